//! `substring`: a part: from which character, at most how many.

use super::truncate::truncate;
use super::{Row, Step};
use crate::unicode;

/// The step.
pub const STEP: Step = Step {
    name: "substring",
    usage: "substring(1, 3)",
    summary: "a part: from which character, at most how many",
    rows: &[
        Row {
            signature: "`substring(from, n)`",
            takes: "text",
            gives: "at most n characters from the given one, counted from 1; nothing where the text is shorter",
        },
    ],
    samples: &["substring(2, 3)"],
    text: None,
};

/// A part of a text, counted in UTF-16 code units; a character that begins before `start` is left out.
pub fn substring(text: &str, start: u32, units: u32) -> &str {
    truncate(unicode::rest(text, start as usize), units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_text_never_cut_a_character_in_two() {
        assert_eq!(substring("a😀bc", 0, 2), "a");
        assert_eq!(substring("a😀bc", 2, 2), "bc");
        assert_eq!(substring("abc", 3, 2), "");
    }
}
