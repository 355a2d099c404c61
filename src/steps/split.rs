//! `split`: one piece of a text that something separates.

use super::letters::comparable;
use super::{Row, Step};
use crate::unicode::nfc;

/// The step.
pub const STEP: Step = Step {
    name: "split",
    usage: "split(\"-\", 1)",
    summary: "one piece of a text that something separates",
    rows: &[
        Row {
            signature: "`split(\"-\", n)`",
            takes: "text",
            gives: "the n-th piece between separators, counted from 1; nothing where there are fewer",
        },
    ],
    samples: &["split(\" \", 2)"],
    text: None,
};

/// One piece of a text between separators, counted from 0; empty if there are fewer.
pub fn piece(text: &str, separator: &str, index: usize) -> String {
    comparable(text).split(nfc(separator).as_ref()).nth(index).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_is_found_however_its_accents_are_encoded() {
        assert_eq!(piece("a\u{e9}b", "e\u{301}", 1), "b");
        assert_eq!(piece("a-b", "-", 2), "");
    }
}
