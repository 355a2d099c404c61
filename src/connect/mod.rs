//! The services: one HTTP layer, and Dataverse and Campaign on it. Knows no plan.
