//! `boolean`: yes, no, true, false, 1, 0 as true or false.

use super::{Row, Step};

/// The step.
pub const STEP: Step = Step {
    name: "boolean",
    usage: "boolean",
    summary: "yes, no, true, false, 1, 0 as true or false",
    rows: &[
        Row {
            signature: "`boolean`",
            takes: "text, whole numbers",
            gives: "true for `true`, `yes`, `1`; false for `false`, `no`, `0`. Fails for anything else",
        },
    ],
    samples: &["boolean"],
    text: None,
};
