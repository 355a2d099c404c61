//! `coalesce`: the value; if it is empty, the first of these fields that has a value.

use super::{Row, Rule, Step};

/// The step.
pub const STEP: Step = Step {
    name: "coalesce",
    usage: "coalesce(telephone1, telephone2)",
    summary: "the first of these fields that has a value, if the value is empty",
    rows: &[
        Row {
            signature: "`coalesce(a, b)`",
            takes: "anything",
            gives: "the value; if it is empty, the first of these fields that has a value",
        },
    ],
    samples: &["coalesce(b)"],
    rule: Rule::Checker,
};
