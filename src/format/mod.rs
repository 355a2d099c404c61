//! One canonical form of a mapping file: `d365map fmt`.
//!
//! The formatter works on tokens ([`tree`]) and not on the syntax tree, so that no comment can be lost and no literal
//! rewritten; [`print`] lays them out. What it writes is read again: if the words of the result were not those of the text,
//! the text would be left alone.
//!
//! The form: two spaces for each block, one entry in a line, arrows, first steps and comments of neighboring entries in
//! columns, at most one blank line. Line ends are those that most lines of the text have (LF or CRLF): Git for Windows checks
//! text files out with CRLF, and a clean checkout must be in form. A block that its author wrote in one line stays in one while
//! it fits.

mod formula;
mod print;
mod tree;

use crate::diagnostics::{Diagnostics, FileId};
use crate::syntax::{self, TokenKind, tokens};

/// The canonical form of a text; `None` if the text does not follow the grammar.
pub fn format(text: &str) -> Option<String> {
    let mut diagnostics = Diagnostics::default();
    syntax::parse(FileId(0), text, &mut diagnostics);
    // An empty file has a form, though it is no use.
    if diagnostics.iter().any(|d| d.code != crate::diagnostics::Code::D003) {
        return None;
    }
    let tokens = tokens(text);
    let nodes = tree::read(text, &tokens);
    let out = print::print(&nodes);
    (words(&out) == words(text)).then(|| with_line_ends(out, text))
}

/// Gives a text with LF the line ends that most lines of the original have; LF if both are equally frequent.
fn with_line_ends(formatted: String, original: &str) -> String {
    let crlf = original.matches("\r\n").count();
    if crlf * 2 > original.matches('\n').count() { formatted.replace('\n', "\r\n") } else { formatted }
}

/// The tokens that mean something, separators aside.
fn words(text: &str) -> Vec<&str> {
    let mean = |t: &&syntax::Token| t.kind != TokenKind::Newline && !matches!(t.text(text), ";" | ",");
    let mut words: Vec<&str> = tokens(text).iter().filter(mean).map(|t| t.text(text)).collect();
    // A comment within an entry can move to the front of that entry.
    words.sort_by_key(|w| if w.starts_with('#') { Some(*w) } else { None });
    words
}
