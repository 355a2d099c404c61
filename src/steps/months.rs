//! `months`: whole months from the value to another day.

use super::{Row, Rule, Step};

/// The step.
pub const STEP: Step = Step {
    name: "months",
    usage: "months(today), or months(createdon) with another field",
    summary: "whole months from the value to another day",
    rows: &[
        Row {
            signature: "`months(today)`, `months(createdon)`",
            takes: "a date",
            gives: "the same in whole months. A month is complete on the day of the same number",
        },
    ],
    samples: &["months(today)", "months(b)"],
    rule: Rule::Checker,
};
