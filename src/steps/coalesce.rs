//! `coalesce`: the first of these fields that has a value, where there is none.

use super::{Row, Rule, Step};

/// The step.
pub const STEP: Step = Step {
    name: "coalesce",
    usage: "coalesce(telephone1, telephone2)",
    summary: "the first of these fields that has a value, where there is none",
    rows: &[
        Row {
            signature: "`coalesce(a, b)`",
            takes: "anything",
            gives: "the first of these fields that has a value, where there is none",
        },
    ],
    samples: &["coalesce(b)"],
    rule: Rule::Checker,
};
