//! `slug`: lower case, only letters and digits, hyphens between words.

use std::borrow::Cow;

use super::shared::letters::comparable;
use super::lower::lower;
use super::{Row, Rule, Step, Text};

/// The step.
pub const STEP: Step = Step {
    name: "slug",
    usage: "slug",
    summary: "lower case, only letters and digits, hyphens between words",
    rows: &[
        Row {
            signature: "`slug`",
            takes: "text",
            gives: "for addresses and codes: lower-case letters and digits, with one hyphen between words. Apostrophes and separate accents are removed (`O'Neil & Söhne` becomes `oneil-söhne`); empty if there is no letter or digit",
        },
    ],
    samples: &["slug"],
    rule: Rule::Text(Text { apply: slug, longest: |most| most, may_leave_nothing: true }),
};

/// Small letters and digits, with one hyphen between words. As in `title`, an apostrophe belongs to its word; and so does an accent that is
/// a separate character in Unicode (U+0300 to U+036F). Both are left out.
fn slug(text: &str) -> Cow<'_, str> {
    let text = comparable(text);
    let mut out = String::with_capacity(text.len());
    let mut between = false;
    for c in lower(&text).chars() {
        if c.is_alphanumeric() {
            if between && !out.is_empty() {
                out.push('-');
            }
            between = false;
            out.push(c);
        } else if !matches!(c, '\'' | '\u{2019}' | '\u{300}'..='\u{36f}') {
            between = true;
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_joined_by_one_hyphen() {
        assert_eq!(slug("  Hello,  World -- 24/7! "), "hello-world-24-7");
        assert_eq!(slug("O'Neil & Söhne"), "oneil-söhne");
        assert_eq!(slug("cafe\u{301} x\u{30c}y"), "café-xy");
        assert_eq!(slug("?!"), "");
    }
}
