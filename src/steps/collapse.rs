//! `collapse`: replaces each run of white space with one space.

use std::borrow::Cow;

use super::{Row, Rule, Step, Text};

/// The step.
pub const STEP: Step = Step {
    name: "collapse",
    usage: "collapse",
    summary: "replaces each run of white space with one space",
    rows: &[
        Row {
            signature: "`collapse`",
            takes: "text",
            gives: "each run of white space, including line endings, replaced with one space; `trim` removes the space at the ends",
        },
    ],
    samples: &["collapse"],
    rule: Rule::Text(Text { apply: collapse, longest: |most| most, may_leave_nothing: false }),
};

/// The text with one space instead of each run of white space.
fn collapse(text: &str) -> Cow<'_, str> {
    let mut before = '.';
    let single = text.chars().all(|c| {
        let plain = !c.is_whitespace() || (c == ' ' && before != ' ');
        before = c;
        plain
    });
    if single {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_whitespace() {
            true if out.ends_with(' ') => {}
            true => out.push(' '),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_of_white_space_becomes_one_space() {
        assert_eq!(collapse("a \t\r\n b\u{a0}c"), "a b c");
        assert_eq!(collapse("  a  "), " a ");
        assert!(matches!(collapse("a b c"), Cow::Borrowed(_)));
    }
}
