//! `trim`: removes white space at both ends.

use std::borrow::Cow;

use super::{Row, Rule, Step, Text};

/// The step.
pub const STEP: Step = Step {
    name: "trim",
    usage: "trim",
    summary: "removes white space at both ends",
    rows: &[
        Row {
            signature: "`trim`",
            takes: "text",
            gives: "without white space at both ends",
        },
    ],
    samples: &["trim"],
    rule: Rule::Text(Text { apply: trim, longest: |most| most, may_leave_nothing: false }),
};

/// The text without white space at both ends. Text that is only white space counts as empty before the step already.
fn trim(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_inside_stays() {
        assert_eq!(trim("\u{a0} a  b\t"), "a  b");
    }
}
