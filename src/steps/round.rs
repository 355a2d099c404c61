//! `round`: so many decimals, half away from zero.

use super::{Row, Step};

/// The step.
pub const STEP: Step = Step {
    name: "round",
    usage: "round(2)",
    summary: "so many decimals, half away from zero",
    rows: &[
        Row {
            signature: "`round(n)`",
            takes: "a number",
            gives: "with n decimals, half away from zero",
        },
    ],
    samples: &["round(0)", "round(2)"],
    text: None,
};
