//! Partner Center: its section of the project file, and signing in.

mod section;
