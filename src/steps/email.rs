//! `email`: checks an e-mail address and puts its domain in lower case.

use super::{Row, Step};

/// The step.
pub const STEP: Step = Step {
    name: "email",
    usage: "email",
    summary: "checks an e-mail address and puts its domain in lower case",
    rows: &[
        Row {
            signature: "`email`",
            takes: "text",
            gives: "the address, its domain in small letters. Fails where it is none",
        },
    ],
    samples: &["email"],
    text: None,
};
