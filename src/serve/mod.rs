//! The service with its pages and its API: `d365map serve`.

pub mod access;
