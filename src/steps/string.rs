//! `string`: the value as text.

use super::{Row, Step};

/// The step.
pub const STEP: Step = Step {
    name: "string",
    usage: "string",
    summary: "the value as text",
    rows: &[
        Row {
            signature: "`string`",
            takes: "anything",
            gives: "the value as text",
        },
    ],
    samples: &["string"],
    text: None,
};
