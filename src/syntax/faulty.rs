//! A faulty entry: where it is, what is wrong with it, and its text without what is not code.

use std::ops::Range;

use crate::diagnostics::{Code, Near, Safety};

/// Which list the entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// The file itself.
    Item,
    /// Between `mapping` and `{`.
    Head,
    /// A mapping.
    Entry,
    /// A replacement.
    Arm,
    /// A `case`.
    Branch,
    /// A filter or a group.
    Condition,
    /// Options.
    Setting,
    /// An event block.
    Event,
    /// An opt-out block.
    Pair,
    /// A test.
    Clause,
    /// A record in a test.
    Assignment,
    /// A table of a file.
    TableLine,
}

/// What is wrong, with a byte range within the entry.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) code: Code,
    pub(super) range: Range<usize>,
    pub(super) message: String,
    pub(super) label: String,
    pub(super) help: Option<String>,
    /// What takes the place of the range, if that alone fixes it.
    pub(super) instead: Option<Near>,
    /// What takes the place of which ranges, if the fix has several edits; each is safe.
    pub(super) edits: Vec<(Range<usize>, &'static str)>,
    /// What takes the place of another range than the one that is underlined.
    pub(super) rewrite: Option<(Range<usize>, String, Safety)>,
}

/// The text with strings and comments blanked out (same length), so that symbols are found only outside of strings and comments.
pub(super) fn blank_strings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote = false;
    let mut comment = false;
    let mut escaped = false;
    for c in text.chars() {
        let hide = comment || quote;
        match c {
            '\n' => comment = false,
            '"' if !comment && !escaped => quote = !quote,
            '#' if !quote => comment = true,
            _ => {}
        }
        escaped = quote && c == '\\' && !escaped;
        let closes = c == '"' && !quote;
        if hide && c != '\n' && !closes {
            out.extend(std::iter::repeat_n(' ', c.len_utf8()));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_are_blanked_without_shifting_anything() {
        let text = "a \"x -> é\\\" y\" -> b # ->";
        let blank = blank_strings(text);
        assert_eq!(blank.len(), text.len());
        assert_eq!(blank.find("->"), Some(text.rfind("-> b").unwrap()));
    }
}
