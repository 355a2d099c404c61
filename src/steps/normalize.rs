//! `normalize`: Unicode's normalization form C.

use super::{Row, Rule, Step, Text};
use crate::unicode::nfc;

/// The step.
pub const STEP: Step = Step {
    name: "normalize",
    usage: "normalize",
    summary: "the text in Unicode normalization form C",
    rows: &[
        Row {
            signature: "`normalize`",
            takes: "text",
            gives: "the text in Unicode normalization form C: `e` with a combining accent becomes `é`. A few characters become up to three characters, so a text of n characters can become up to 3 × n long: put `truncate` after the step if the target cannot hold that",
        },
    ],
    samples: &["normalize"],
    rule: Rule::Text(Text { apply: nfc, longest, may_leave_nothing: false }),
};

/// The greatest growth of a text in UTF-16 code units is threefold (UAX #15, 14.1: U+FB2C).
fn longest(most: Option<u32>) -> Option<u32> {
    most.and_then(|most| most.checked_mul(3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, output, run_text, text, up_to};

    #[test]
    fn accents_are_joined_to_their_letters() {
        let checked = check(&STEP, &[], up_to(10));
        assert_eq!(run_text(&checked, "Zoe\u{308}").as_deref(), Some("Zo\u{eb}"));
        assert!(check(&STEP, &[text("C")], up_to(10)).is_err());
    }

    #[test]
    fn the_type_after_it_has_room_for_the_characters_that_become_three() {
        let checked = check(&STEP, &[], up_to(1));
        assert_eq!(output(&checked), (up_to(3), false));
        assert_eq!(run_text(&checked, "\u{fb2c}").map(|t| t.encode_utf16().count()), Some(3));
    }
}
