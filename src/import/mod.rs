//! The tables in which consultants keep an integration, as mapping files: field mappings, replacements, filters.
//!
//! [`table`] reads CSV (separator and encoding are found out), YAML and workbooks (`.xlsx`); [`columns`] finds the row of headings and what
//! each column holds; [`text`] writes the entries. A row that makes no entry stays in the result as a comment, so that nothing is lost on
//! the way.

mod blocks;
mod cells;
mod columns;
mod date;
mod direction;
mod error;
mod kind;
mod table;
mod text;

pub use columns::{HeadingError, Headings};
pub use date::DateOrder;
pub use error::TableError;
pub use kind::Kind;
pub use table::{Found, Reading, Row, Table, read};
pub use text::{Imported, Note, heading, import};
