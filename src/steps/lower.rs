//! `lower`: lower case, letter for letter.

use std::borrow::Cow;

use super::shared::letters::{map_letters, single};
use super::{Row, Rule, Step, Text};

/// The step.
pub const STEP: Step = Step {
    name: "lower",
    usage: "lower",
    summary: "lower case, letter for letter",
    rows: &[
        Row {
            signature: "`lower`",
            takes: "text",
            gives: "in lower case, letter for letter: `İ` stays `İ`, so that the text never gets longer",
        },
    ],
    samples: &["lower"],
    rule: Rule::Text(Text { apply: lower, longest: |most| most, may_leave_nothing: false }),
};

/// Lower case, letter for letter: a letter whose lower case is several letters stays as it is.
pub fn lower(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|b| b.is_ascii_uppercase()) { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) };
    }
    map_letters(text, |c| single(c, c.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_that_would_become_several_stays() {
        assert_eq!(lower("İSTANBUL"), "İstanbul");
        assert!(matches!(lower("istanbul"), Cow::Borrowed(_)));
    }
}
