//! `concat`: adds texts and fields after the value.

use super::{Row, Rule, Step};

/// The step.
pub const STEP: Step = Step {
    name: "concat",
    usage: "concat(\" \", lastname)",
    summary: "adds texts and fields after the value",
    rows: &[
        Row {
            signature: "`concat(\" \", lastname)`",
            takes: "anything",
            gives: "the value as text, followed by texts and fields",
        },
    ],
    samples: &["concat(\"-\", b)"],
    rule: Rule::Checker,
};
