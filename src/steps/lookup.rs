//! `lookup`: a value from the row of a table whose key is the value.

use super::{Row, Rule, Step};

/// The step.
pub const STEP: Step = Step {
    name: "lookup",
    usage: "lookup industries.label",
    summary: "a value from the row of a table whose key is the value",
    rows: &[
        Row {
            signature: "`lookup industries.label`",
            takes: "text, whole and exact numbers, options, true or false, a day, a GUID",
            gives: "the value in this column of the [table](#tables-from-files) row whose key is the value. Fails if there is no such row",
        },
    ],
    samples: &[],
    rule: Rule::Checker,
};
