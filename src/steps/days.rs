//! `days`: days from the value to another day.

use super::{Row, Rule, Step};

/// The step.
pub const STEP: Step = Step {
    name: "days",
    usage: "days(today), or days(createdon) with another field",
    summary: "days from the value to another day",
    rows: &[
        Row {
            signature: "`days(today)`, `days(createdon)`",
            takes: "a date",
            gives: "the same in days",
        },
    ],
    samples: &["days(today)", "days(b)"],
    rule: Rule::Checker,
};
