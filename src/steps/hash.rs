//! `hash`: a fingerprint of the text.

use super::{Row, Step};

/// The step.
pub const STEP: Step = Step {
    name: "hash",
    usage: "hash(sha256)",
    summary: "a fingerprint of the text",
    rows: &[
        Row {
            signature: "`hash(sha256)`",
            takes: "text",
            gives: "64 hexadecimal digits",
        },
    ],
    samples: &["hash(sha256)"],
    text: None,
};
