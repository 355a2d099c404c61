//! `title`: a capital at the beginning of each word.

use std::borrow::Cow;

use super::shared::letters::single;
use super::{Row, Rule, Step, Text};

/// The step.
pub const STEP: Step = Step {
    name: "title",
    usage: "title",
    summary: "a capital at the beginning of each word",
    rows: &[
        Row {
            signature: "`title`",
            takes: "text",
            gives: "a capital at the beginning of each word, small letters behind it",
        },
    ],
    samples: &["title"],
    rule: Rule::Text(Text { apply: title, longest: |most| most, may_leave_nothing: false }),
};

/// The first letter of each word in upper case, the others in lower case, letter for letter. A word is a run of letters,
/// digits and apostrophes.
pub fn title(text: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        out.push(if inside { single(c, c.to_lowercase()) } else { single(c, c.to_uppercase()) });
        inside = c.is_alphanumeric() || (inside && matches!(c, '\'' | '\u{2019}'));
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_has_a_capital_at_each_word_and_nowhere_else() {
        assert_eq!(title("anna-lena VON der o'neil"), "Anna-Lena Von Der O'neil");
        assert_eq!(title("éLAN ßa"), "Élan ßa");
    }
}
