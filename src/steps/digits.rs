//! `digits`: keeps the digits only.

use std::borrow::Cow;

use super::{Row, Rule, Step, Text};

/// The step.
pub const STEP: Step = Step {
    name: "digits",
    usage: "digits",
    summary: "keeps the digits only",
    rows: &[
        Row {
            signature: "`digits`",
            takes: "text",
            gives: "its digits; empty if it has none",
        },
    ],
    samples: &["digits"],
    rule: Rule::Text(Text { apply: digits, longest: |most| most, may_leave_nothing: true }),
};

/// The ASCII digits of the text, in their order.
fn digits(text: &str) -> Cow<'_, str> {
    Cow::Owned(text.chars().filter(char::is_ascii_digit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_characters_are_left_out() {
        assert_eq!(digits("+43 (1) 23-4"), "431234");
        assert_eq!(digits("none"), "");
    }
}
