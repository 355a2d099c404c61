//! `years`: whole years from the value to another day.

use super::{Row, Rule, Step};

/// The step.
pub const STEP: Step = Step {
    name: "years",
    usage: "years(today), or years(createdon) with another field",
    summary: "whole years from the value to another day",
    rows: &[
        Row {
            signature: "`years(today)`, `years(createdon)`",
            takes: "a date",
            gives: "the whole years from the value to today, such as an age; negative if the value is later. With a field, the years until the day in that field. An instant counts as its day in UTC, and `today` is also a day in UTC (`D127`)",
        },
    ],
    samples: &["years(today)", "years(b)"],
    rule: Rule::Checker,
};
