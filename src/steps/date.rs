//! `date`: the day of a date with time, in UTC or a time zone; text as a day.

use super::{Row, Step};

/// The step.
pub const STEP: Step = Step {
    name: "date",
    usage: "date, date(\"Europe/Vienna\") for the day in a zone, or date(\"dd.MM.yyyy\") for text",
    summary: "the day of a date with time, in UTC or a time zone; text as a day",
    rows: &[
        Row {
            signature: "`date`, `date(\"Europe/Vienna\")`",
            takes: "a date with time",
            gives: "the day in UTC, or in a [time zone](#time-zones)",
        },
        Row {
            signature: "`date(\"dd.MM.yyyy\")`",
            takes: "text",
            gives: "the day; `yyyy`, `MM` or `M`, `dd` or `d`, and other characters between them. `d` and `M` need another character after them. Without a pattern: `yyyy-MM-dd`",
        },
    ],
    samples: &["date", "date(\"dd.MM.yyyy\")", "date(\"Europe/Vienna\")", "date(\"Tokyo Standard Time\")"],
    text: None,
};
