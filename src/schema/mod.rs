//! The catalogue of tables, fields, types, option sets and links: built in, pulled, or written by hand.

mod catalogue;
mod diff;
mod doc;
pub mod file;
mod model;
pub mod pull;
mod show;
mod through;
mod words;
mod write;

pub use catalogue::{Catalogue, SchemaFolder, file_of};
pub use diff::{Change, diff};
pub use model::*;
pub use show::{describe, show};
pub use through::Leads;
pub use write::{Node, node, write};
