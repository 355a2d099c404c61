//! `concat`: puts texts and fields behind the value.

use super::{Row, Rule, Step};

/// The step.
pub const STEP: Step = Step {
    name: "concat",
    usage: "concat(\" \", lastname)",
    summary: "puts texts and fields behind the value",
    rows: &[
        Row {
            signature: "`concat(\" \", lastname)`",
            takes: "anything",
            gives: "the value as text, and texts and fields behind it",
        },
    ],
    samples: &["concat(\"-\", b)"],
    rule: Rule::Checker,
};
