//! `join`: the numbers of several options with a text between them.

use super::{Row, Step};

/// The step.
pub const STEP: Step = Step {
    name: "join",
    usage: "join(\", \")",
    summary: "the numbers of several options with a text between them",
    rows: &[
        Row {
            signature: "`join(\", \")`",
            takes: "several options",
            gives: "their numbers with a text between them",
        },
    ],
    samples: &["join(\"/\")"],
    text: None,
};
