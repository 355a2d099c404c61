//! `integer`: text or another number as a whole number.

use super::{Row, Step};

/// The step.
pub const STEP: Step = Step {
    name: "integer",
    usage: "integer",
    summary: "text or another number as a whole number",
    rows: &[
        Row {
            signature: "`integer`",
            takes: "text, numbers",
            gives: "a whole number. Fails where there are decimals, or it does not fit",
        },
    ],
    samples: &["integer"],
    text: None,
};
