//! Text to syntax tree: the pest grammar, recovery, spans.
//!
//! [`parse`] never fails: it gives the tree of what could be read and a diagnostic for everything that could not. The
//! steps: [`scan`] balances braces and strings, the grammar (`grammar/d365map.pest`) reads the rest and swallows faulty
//! entries whole, [`explain`] reads each of those again to say what is wrong with it.

pub mod ast;
mod build;
mod explain;
mod literal;
mod parse;
mod scan;

pub use parse::{MAX_FILE_BYTES, decode, parse};
pub use scan::MAX_DEPTH;
