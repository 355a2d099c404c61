//! `value`: the number of an option.

use super::{Row, Step};

/// The step.
pub const STEP: Step = Step {
    name: "value",
    usage: "value",
    summary: "the number of an option",
    rows: &[
        Row {
            signature: "`value`",
            takes: "options",
            gives: "the number, whatever `picklists` says",
        },
    ],
    samples: &["value"],
    text: None,
};
