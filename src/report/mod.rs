//! Mappings as documentation for the people who sign them off: Markdown, and HTML that needs no other file; and as tables that `import` reads
//! back.
//!
//! [`collect`] gathers what a mapping says with the types of both sides; [`markdown`] and [`html`] print it. The same files
//! give the same bytes.

mod collect;
mod comments;
mod html;
mod markdown;
mod spreadsheet;
mod tables;
mod text;

pub use collect::{Document, Grid, Section, collect};
pub use html::html;
pub use markdown::markdown;
pub use spreadsheet::{csv, xlsx};
pub use tables::{Parsed, Sheet, Sheets, tables};
