//! `lookup`: the value of the row of a table whose key is the value.

use super::{Row, Rule, Step};

/// The step.
pub const STEP: Step = Step {
    name: "lookup",
    usage: "lookup industries.label",
    summary: "the value of the row of a table whose key is the value",
    rows: &[
        Row {
            signature: "`lookup industries.label`",
            takes: "text, whole and exact numbers, options, true or false, a day, a GUID",
            gives: "the value of this column in the row of a [table](#tables-from-files) whose key is the value. Fails if there is no such row",
        },
    ],
    samples: &[],
    rule: Rule::Checker,
};
