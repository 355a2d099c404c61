//! `default`: the value where there is none.

use super::{Row, Step};

/// The step.
pub const STEP: Step = Step {
    name: "default",
    usage: "default(\"none\")",
    summary: "the value where there is none",
    rows: &[
        Row {
            signature: "`default(value)`",
            takes: "anything",
            gives: "the value where there is none",
        },
    ],
    samples: &["default(\"none\")", "default(0)", "default(1.5)", "default(true)", "default(2024-01-31)"],
    text: None,
};
