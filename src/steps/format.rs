//! `format`: a date as text, an instant in UTC or a time zone.

use std::fmt::Write;

use chrono::{Datelike, NaiveTime, Timelike};
use serde::{Deserialize, Serialize};

use super::shared::pattern::runs;
use super::shared::ready::{OTHER_TYPE, owned};
use super::shared::zone::{check_zone, ready_zone};
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::time::LocalDateTime;
use crate::value::{Ty, Value, length};

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
    rule: Rule::Call(check),
};

/// The step in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FormatDate {
    /// The pattern.
    parts: Vec<FormatPart>,
    /// The time zone in which an instant is written, by its IANA or Windows name; `None` for UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
}

/// A piece of a pattern that dates are written by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FormatPart {
    /// `yyyy`
    Year,
    /// `yy`
    YearShort,
    /// `MM`
    Month,
    /// `M`
    MonthShort,
    /// `dd`
    Day,
    /// `d`
    DayShort,
    /// `HH`: 00 to 23
    Hour,
    /// `mm`
    Minute,
    /// `ss`
    Second,
    /// Any other text.
    Text(String),
}


fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let pattern = call.text_at(0, "expected a pattern in quotes, such as \"dd.MM.yyyy\"")?;
    let zone = match call.arguments().len() {
        0 | 1 => None,
        _ => Some(call.text_at(1, "expected a time zone in quotes, such as \"Europe/Berlin\"")?),
    };
    call.at_most(2)?;
    if let Some(name) = zone {
        if matches!(call.input.ty, Ty::Date | Ty::Local) {
            return Err(Wrong::argument(1, "only an instant depends on the time zone; remove the zone"));
        }
        check_zone(name)?;
    }
    let Some(parts) = format_pattern(pattern) else {
        return Err(Wrong::arguments("a pattern consists of yyyy, yy, MM, M, dd, d, HH, mm, ss and the characters between them"));
    };
    let timed = parts.iter().any(|p| matches!(p, FormatPart::Hour | FormatPart::Minute | FormatPart::Second));
    if call.input.ty == Ty::Date && timed {
        return Err(Wrong::arguments("a day has no time of day"));
    }
    call.moment()?;
    let longest = parts.iter().map(longest).sum();
    let operation = Operation::FormatDate(FormatDate { parts, zone: zone.map(str::to_owned) });
    Ok(Checked::sure(operation, call.typed(Ty::Text { max: Some(longest) })))
}

/// The most UTF-16 code units of a part.
fn longest(part: &FormatPart) -> u32 {
    match part {
        // Years beyond 9999 have a sign and up to six digits.
        FormatPart::Year => 7,
        FormatPart::YearShort
        | FormatPart::Month
        | FormatPart::MonthShort
        | FormatPart::Day
        | FormatPart::DayShort
        | FormatPart::Hour
        | FormatPart::Minute
        | FormatPart::Second => 2,
        FormatPart::Text(text) => length(text),
    }
}

impl Operate for FormatDate {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        let zone = self.zone.as_deref().map(ready_zone).transpose()?;
        Ok(Ready::new(move |value| {
            let local = match (value, zone) {
                (Value::Date(date), _) => date.and_time(NaiveTime::MIN),
                (Value::Instant(instant), Some(zone)) => instant.with_timezone(&zone).naive_local(),
                (Value::Instant(instant), None) => instant.naive_utc(),
                (Value::Local(local), _) => local,
                _ => return Err(OTHER_TYPE),
            };
            Ok(owned(format_date(local, &self.parts)))
        }))
    }

    fn written(&self) -> String {
        let zone = self.zone.as_ref().map_or_else(String::new, |zone| format!(", {zone:?}"));
        format!("format(\"{}\"{zone})", self.parts.iter().map(written).collect::<String>())
    }
}

/// A part as it is written in a pattern.
fn written(part: &FormatPart) -> &str {
    match part {
        FormatPart::Year => "yyyy",
        FormatPart::YearShort => "yy",
        FormatPart::Month => "MM",
        FormatPart::MonthShort => "M",
        FormatPart::Day => "dd",
        FormatPart::DayShort => "d",
        FormatPart::Hour => "HH",
        FormatPart::Minute => "mm",
        FormatPart::Second => "ss",
        FormatPart::Text(text) => text,
    }
}

/// A pattern that dates are written by; `None` if a part is unknown or there is none.
fn format_pattern(pattern: &str) -> Option<Vec<FormatPart>> {
    let parts = runs(pattern).into_iter().map(|run| {
        Some(match run {
            ('y', 4, _) => FormatPart::Year,
            ('y', 2, _) => FormatPart::YearShort,
            ('M', 2, _) => FormatPart::Month,
            ('M', 1, _) => FormatPart::MonthShort,
            ('d', 2, _) => FormatPart::Day,
            ('d', 1, _) => FormatPart::DayShort,
            ('H', 2, _) => FormatPart::Hour,
            ('m', 2, _) => FormatPart::Minute,
            ('s', 2, _) => FormatPart::Second,
            // The one letter that stands for itself: 2024-01-31T10:00:00.
            ('T', 1, text) => FormatPart::Text(text.to_owned()),
            (c, _, _) if c.is_alphanumeric() => return None,
            (_, _, text) => FormatPart::Text(text.to_owned()),
        })
    });
    let parts: Vec<FormatPart> = parts.collect::<Option<_>>()?;
    parts.iter().any(|p| !matches!(p, FormatPart::Text(_))).then_some(parts)
}

/// A date as text.
fn format_date(at: LocalDateTime, parts: &[FormatPart]) -> String {
    let mut out = String::new();
    for part in parts {
        // Writing into a String cannot fail.
        let _ = match part {
            FormatPart::Year => write!(out, "{:04}", at.year()),
            FormatPart::YearShort => write!(out, "{:02}", at.year().rem_euclid(100)),
            FormatPart::Month => write!(out, "{:02}", at.month()),
            FormatPart::MonthShort => write!(out, "{}", at.month()),
            FormatPart::Day => write!(out, "{:02}", at.day()),
            FormatPart::DayShort => write!(out, "{}", at.day()),
            FormatPart::Hour => write!(out, "{:02}", at.hour()),
            FormatPart::Minute => write!(out, "{:02}", at.minute()),
            FormatPart::Second => write!(out, "{:02}", at.second()),
            FormatPart::Text(text) => write!(out, "{text}"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::steps::shared::pattern::{DatePart, parse_moment};
    use crate::steps::shared::trial::{check, output, run, text, up_to};

    proptest! {
        #[test]
        fn what_is_written_by_a_pattern_is_read_back_by_it(seconds in -60_000_000_000_i64..200_000_000_000, short in any::<bool>()) {
            let at = chrono::DateTime::from_timestamp(seconds, 0).expect("an instant").naive_utc();
            let dot = || FormatPart::Text(".".to_owned());
            let text = |t: &str| FormatPart::Text(t.to_owned());
            let (day, month) = if short { (FormatPart::DayShort, FormatPart::MonthShort) } else { (FormatPart::Day, FormatPart::Month) };
            let written = format_date(at, &[day, dot(), month, dot(), FormatPart::Year, text(" "), FormatPart::Hour, text(":"), FormatPart::Minute, text(":"), FormatPart::Second]);
            let dot = || DatePart::Text(".".to_owned());
            let text = |t: &str| DatePart::Text(t.to_owned());
            let (day, month) = if short { (DatePart::DayShort, DatePart::MonthShort) } else { (DatePart::Day, DatePart::Month) };
            let parts = [day, dot(), month, dot(), DatePart::Year, text(" "), DatePart::Hour, text(":"), DatePart::Minute, text(":"), DatePart::Second];
            prop_assert_eq!(parse_moment(&written, &parts), Some(at));
            let trailing = format!("{written}x");
            prop_assert_eq!(parse_moment(&trailing, &parts), None);
            let shorter = &written[1..];
            let day = parse_moment(shorter, &parts);
            prop_assert!(short || day.is_none(), "{} was read without its first digit", shorter);
        }
    }

    #[test]
    fn an_instant_is_written_in_its_zone() {
        let checked = check(&STEP, &[text("dd.MM.yyyy HH:mm"), text("Europe/Vienna")], Ty::Instant);
        assert_eq!(output(&checked), (up_to(19), false));
        let at = crate::time::parse_instant("2024-01-31T23:30:00Z").unwrap();
        assert_eq!(run(&checked, Value::Instant(at)), Ok(owned("01.02.2024 00:30".to_owned())));
        assert!(check(&STEP, &[text("HH:mm")], Ty::Date).is_err(), "a day has no time of day");
        assert!(check(&STEP, &[text("yyyy"), text("UTC")], Ty::Date).is_err(), "a day has no zone");
    }
}
