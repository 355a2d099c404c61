//! `phone`: a phone number in E.164; the country is for numbers without a country code.

use super::{Row, Step};

/// The step.
pub const STEP: Step = Step {
    name: "phone",
    usage: "phone(\"DE\")",
    summary: "a phone number in E.164; the country is for numbers without a country code",
    rows: &[
        Row {
            signature: "`phone(\"DE\")`",
            takes: "text",
            gives: "a phone number in E.164; the country is for numbers without a country code. Fails if the text is not one valid number and nothing else; an extension fails too",
        },
    ],
    samples: &["phone(\"DE\")", "phone"],
    text: None,
};
