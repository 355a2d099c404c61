//! `link`: the record that another mapping writes for the one that a lookup points to.

use super::{Row, Rule, Step};

/// The step.
pub const STEP: Step = Step {
    name: "link",
    usage: "link accounts",
    summary: "the record that another mapping writes for the one that a lookup points to",
    rows: &[
        Row {
            signature: "`link accounts`",
            takes: "a lookup",
            gives: "the record that another mapping writes for the one that it points to, see [links](#links)",
        },
    ],
    samples: &[],
    rule: Rule::Checker,
};
