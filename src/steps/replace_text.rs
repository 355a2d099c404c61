//! `replace_text`: one text becomes another wherever it occurs.

use super::letters::comparable;
use super::{Row, Step};
use crate::unicode::nfc;

/// The step.
pub const STEP: Step = Step {
    name: "replace_text",
    usage: "replace_text(\"a\", \"b\")",
    summary: "one text becomes another wherever it occurs",
    rows: &[
        Row {
            signature: "`replace_text(\"a\", \"b\")`",
            takes: "text",
            gives: "one text in place of another, wherever it occurs",
        },
    ],
    samples: &["replace_text(\"a\", \"bcd\")", "replace_text(\" \", \"\")", "replace_text(\"a\", \"\")"],
    text: None,
};

/// Replaces every occurrence of one text by another.
pub fn replace(text: &str, from: &str, to: &str) -> String {
    comparable(text).replace(nfc(from).as_ref(), to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_however_its_accents_are_encoded() {
        assert_eq!(replace("caf\u{e9} cafe\u{301}", "e\u{301}", "e"), "cafe cafe");
    }
}
