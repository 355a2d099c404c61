//! `number`: text as a number.

use super::{Row, Step};

/// The step.
pub const STEP: Step = Step {
    name: "number",
    usage: "number, or number(\",\") for a decimal comma",
    summary: "text as a number",
    rows: &[
        Row {
            signature: "`number`, `number(\",\")`",
            takes: "text",
            gives: "a number; with a decimal comma. Groups of three digits with one separator (`1.234,50`, `1 234,50`, `1'234,50`) are understood. Fails for everything else (`19.99` with a decimal comma, `0,123` with a point, `5-`, `1e3`, `12 EUR`), and for a number that the target cannot hold",
        },
    ],
    samples: &["number", "number(\",\")"],
    text: None,
};
