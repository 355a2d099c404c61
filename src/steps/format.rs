//! `format`: a date as text, an instant in UTC or a time zone.

use super::{Row, Step};

/// The step.
pub const STEP: Step = Step {
    name: "format",
    usage: "format(\"dd.MM.yyyy\"), or format(\"dd.MM.yyyy HH:mm\", \"Europe/Vienna\")",
    summary: "a date as text, an instant in UTC or a time zone",
    rows: &[
        Row {
            signature: "`format(\"dd.MM.yyyy HH:mm\")`",
            takes: "a date",
            gives: "text; `yyyy`, `yy`, `MM`, `M`, `dd`, `d`, `HH`, `mm`, `ss`, `T` and other characters between them; instants in UTC, or in a [time zone](#time-zones): `format(\"dd.MM.yyyy HH:mm\", \"Europe/Vienna\")`",
        },
    ],
    samples: &["format(\"dd.MM.yy\")", "format(\"dd.MM.yyyy HH:mm\", \"Europe/Vienna\")"],
    text: None,
};
