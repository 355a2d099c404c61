//! The project file d365map.yaml: connections, folders, limits, secrets by reference.
