//! Text to syntax tree: the pest grammar, recovery, spans.
//!
//! [`parse`] never fails: it gives the tree of what could be read and a diagnostic for everything that could not. The
//! steps: [`scan`] balances braces and strings, the grammar (`grammar/d365map.pest`) reads the rest and swallows faulty
//! entries whole, [`explain`] reads each of those again to say what is wrong with it.

pub mod ast;
mod build;
mod conditions;
mod explain;
mod faulty;
mod formula;
mod items;
mod labels;
mod literal;
mod mistakes;
mod parse;
mod pasted;
mod replacements;
mod scan;
mod swallowed;
mod tokens;

pub use literal::is_forbidden;
pub use parse::{MAX_FILE_BYTES, Undecodable, decode, parse};
pub use scan::MAX_DEPTH;
pub use tokens::{Token, TokenKind, tokens};
