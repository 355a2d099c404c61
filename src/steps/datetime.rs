//! `datetime`: a day, a time without a zone or text as an instant, by a time zone.

use super::{Row, Step};

/// The step.
pub const STEP: Step = Step {
    name: "datetime",
    usage: "datetime(\"Europe/Berlin\"), or datetime(\"dd.MM.yyyy HH:mm\", \"Europe/Berlin\") for text",
    summary: "a day, a time without a zone or text as an instant, by a time zone",
    rows: &[
        Row {
            signature: "`datetime(\"Europe/Berlin\")`",
            takes: "a day, text, a time without a zone",
            gives: "the instant by that [zone](#time-zones). Text is written `2024-01-31T10:00:30`; a space instead of `T` and missing seconds are accepted, and an offset (`Z`, `+02:00`) counts before the zone",
        },
        Row {
            signature: "`datetime(\"dd.MM.yyyy HH:mm\", \"Europe/Berlin\")`",
            takes: "text",
            gives: "the same for text of a pattern: as for `date`, with `HH` or `H`, `mm`, `ss`",
        },
    ],
    samples: &["datetime(\"Europe/Berlin\")", "datetime(\"UTC\")", "datetime(\"dd.MM.yyyy HH:mm\", \"Europe/Vienna\")"],
    text: None,
};
