//! `upper`: upper case, letter for letter.

use std::borrow::Cow;

use super::shared::letters::{map_letters, single};
use super::{Row, Rule, Step, Text};

/// The step.
pub const STEP: Step = Step {
    name: "upper",
    usage: "upper",
    summary: "upper case, letter for letter",
    rows: &[
        Row {
            signature: "`upper`",
            takes: "text",
            gives: "in upper case, letter for letter: `ß` stays `ß`, so that the text never gets longer",
        },
    ],
    samples: &["upper"],
    rule: Rule::Text(Text { apply: upper, longest: |most| most, may_leave_nothing: false }),
};

/// Upper case, letter for letter: `ß` stays `ß`, since `SS` would be longer.
pub fn upper(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|b| b.is_ascii_lowercase()) { Cow::Owned(text.to_ascii_uppercase()) } else { Cow::Borrowed(text) };
    }
    map_letters(text, |c| single(c, c.to_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_that_would_become_several_stays() {
        assert_eq!(upper("straße"), "STRAßE");
        assert_eq!(upper("élan"), "ÉLAN");
    }
}
