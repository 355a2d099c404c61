//! Mappings as documentation for the people who sign them off: Markdown, and HTML that needs no other file.
//!
//! [`collect`] gathers what a mapping says with the types of both sides; [`markdown`] and [`html`] print it. The same files
//! give the same bytes.

mod collect;
mod html;
mod markdown;

pub use collect::{Document, collect};
pub use html::html;
pub use markdown::markdown;
