//! The tables in which consultants keep an integration, as mapping files: field mappings, replacements, filters.
//!
//! [`table`] reads CSV (separator and encoding are found out) and YAML; [`text`] writes the entries. A row that makes no
//! entry stays in the result as a comment, so that nothing is lost on the way.

mod table;
mod text;

pub use table::{Kind, Row, Table, TableError, read};
pub use text::{Imported, Note, import};
