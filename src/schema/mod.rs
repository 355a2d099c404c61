//! The catalogue of tables, fields, types, option sets and links: built in, pulled, or written by hand.

mod catalogue;
mod model;

pub use catalogue::*;

pub use model::*;
