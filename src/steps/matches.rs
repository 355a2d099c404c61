//! `matches`: fails where the text does not match the expression.

use super::{Row, Step};

/// The step.
pub const STEP: Step = Step {
    name: "matches",
    usage: "matches(\"^[A-Z]{2}$\")",
    summary: "fails where the text does not match the expression",
    rows: &[
        Row {
            signature: "`matches(\"expression\")`",
            takes: "text",
            gives: "the text; fails where it does not match. A backslash in the expression is its own",
        },
    ],
    samples: &["matches(\"^[a-z0-9 ]+$\")"],
    text: None,
};
