//! The systems whose records are moved, each in a folder of its own, on the HTTP layer of [`crate::connect`].

pub mod campaign;
pub mod dataverse;
