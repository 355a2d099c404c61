//! `datetime`: converts a day, a time without a zone or text to an instant, using a time zone.

use chrono::{NaiveTime, TimeZone};
use serde::{Deserialize, Serialize};

use super::shared::pattern::{DatePart, date_pattern, digits, parse_moment, text_of, year_from_one};
use super::shared::ready::{Failed, OTHER_TYPE};
use super::shared::zone::{check_zone, ready_zone};
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::time::{self, Instant, LocalDateTime};
use crate::value::{Ty, Value};

/// The step.
pub const STEP: Step = Step {
    name: "datetime",
    usage: "datetime(\"Europe/Berlin\"), or datetime(\"dd.MM.yyyy HH:mm\", \"Europe/Berlin\") for text",
    summary: "converts a day, a time without a zone or text to an instant, using a time zone",
    rows: &[
        Row {
            signature: "`datetime(\"Europe/Berlin\")`",
            takes: "a day, text, a time without a zone",
            gives: "the instant in that [zone](#time-zones). The format of text is `2024-01-31T10:00:30`; a space instead of `T` and missing seconds are accepted, and an offset (`Z`, `+02:00`) takes precedence over the zone",
        },
        Row {
            signature: "`datetime(\"dd.MM.yyyy HH:mm\", \"Europe/Berlin\")`",
            takes: "text",
            gives: "the same for text in a pattern, as for `date`, with `HH` or `H`, `mm`, `ss`",
        },
    ],
    samples: &["datetime(\"Europe/Berlin\")", "datetime(\"UTC\")", "datetime(\"dd.MM.yyyy HH:mm\", \"Europe/Vienna\")"],
    rule: Rule::Call(check),
};

/// The step in a plan. It fails if the clocks of the zone skip the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Zoned {
    /// IANA or Windows name.
    zone: String,
    /// The pattern of a text; `None` for ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pattern: Option<Vec<DatePart>>,
}

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let of_text = matches!(call.input.ty, Ty::Text { .. } | Ty::Words(_));
    let (pattern, zone) = if of_text && call.arguments().len() == 2 {
        let pattern = call.text_at(0, "expected a pattern in quotes, such as \"dd.MM.yyyy HH:mm\"")?;
        (Some(pattern), call.text_at(1, "expected a time zone in quotes, such as \"Europe/Berlin\"")?)
    } else {
        (None, call.one_text("expected a time zone in quotes, such as \"Europe/Berlin\"")?)
    };
    check_zone(zone)?;
    let no_pattern = || {
        Wrong::arguments(
            "a pattern needs yyyy, MM or M, dd or d, HH or H, and optionally mm and ss, each once; `M`, `d` and `H` need another character after them",
        )
    };
    let pattern = pattern.map(|pattern| date_pattern(pattern, true).ok_or_else(no_pattern)).transpose()?;
    let fallible = match &call.input.ty {
        // UTC skips no hour.
        Ty::Local | Ty::Date if zone == "UTC" => None,
        Ty::Local | Ty::Date => Some("when the clocks are set forward, an hour of that day does not exist".to_owned()),
        Ty::Text { .. } | Ty::Words(_) if pattern.is_some() => Some("the text may not be a date with time in this pattern".to_owned()),
        Ty::Text { .. } | Ty::Words(_) => Some("the text may not be a date with time (2024-01-31T10:00:00)".to_owned()),
        Ty::Instant => {
            return Err(Wrong::ty("a day, text, or a time without a zone", "remove the step: the value is already an instant"));
        }
        Ty::Null | Ty::Boolean | Ty::Integer { .. } | Ty::Decimal { .. } | Ty::Double | Ty::Guid | Ty::Choice(_) | Ty::Options(_) => {
            return Err(Wrong::ty("a day, text, or a time without a zone", "remove the step"));
        }
    };
    let operation = Operation::Zoned(Zoned { zone: zone.to_owned(), pattern });
    Ok(Checked { operation: Some(operation), output: call.typed(Ty::Instant), fallible })
}

impl Operate for Zoned {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        let zone = ready_zone(&self.zone)?;
        Ok(Ready::new(move |value| match (&self.pattern, value) {
            (Some(parts), Value::Text(text)) => match parse_moment(&text, parts) {
                Some(local) => zoned(Value::Local(local), zone),
                None => Err(Failed("the text is not a date with time of this pattern")),
            },
            (_, value) => zoned(value, zone),
        }))
    }

    fn written(&self) -> String {
        match &self.pattern {
            None => format!("datetime({:?})", self.zone),
            Some(parts) => format!("datetime(\"{}\", {:?})", text_of(parts), self.zone),
        }
    }
}

/// A wall-clock time as an instant. Where the clock is set back and shows a time twice, the first is meant.
fn zoned<'a>(value: Value<'_>, zone: chrono_tz::Tz) -> Result<Value<'a>, Failed> {
    let local: LocalDateTime = match value {
        Value::Local(local) => local,
        Value::Date(date) => date.and_time(NaiveTime::MIN),
        Value::Text(text) => match parse_iso(text.trim()).ok_or(Failed("the text is not a date with time"))? {
            Moment::Instant(instant) => return Ok(Value::Instant(instant)),
            Moment::Local(local) => local,
        },
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Decimal(_) | Value::Double(_) | Value::Instant(_) => {
            return Err(OTHER_TYPE);
        }
    };
    let instant: Option<Instant> = zone.from_local_datetime(&local).earliest().map(|t| t.with_timezone(&chrono::Utc));
    instant.map(Value::Instant).ok_or(Failed("the clocks of this zone skip this time"))
}

/// A text as ISO 8601 has it: with an offset, or without.
enum Moment {
    Instant(Instant),
    Local(LocalDateTime),
}

/// Reads `2024-01-31`, and after it a time after `T` or a space: `10:00`, `10:00:30`, `10:00:30.5`, each with `Z`, `+02:00` or
/// nothing at the end.
fn parse_iso(text: &str) -> Option<Moment> {
    let (day, tail) = text.split_at_checked(10)?;
    let day = year_from_one(time::parse_date(day)?)?;
    if tail.is_empty() {
        return Some(Moment::Local(day.and_time(NaiveTime::MIN)));
    }
    let tail = tail.strip_prefix(['T', 't', ' '])?;
    let (clock, offset) = match tail.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, Some(0)),
        None => match tail.find(['+', '-']) {
            Some(at) => (&tail[..at], Some(parse_offset(&tail[at..])?)),
            None => (tail, None),
        },
    };
    let local = day.and_time(parse_clock(clock)?);
    Some(match offset {
        Some(seconds) => Moment::Instant(local.checked_sub_signed(chrono::TimeDelta::seconds(seconds))?.and_utc()),
        None => Moment::Local(local),
    })
}

/// `10:00`, `10:00:30`, `10:00:30.5`
fn parse_clock(text: &str) -> Option<NaiveTime> {
    let mut rest = text;
    let hour = digits(&mut rest, 2, 2)?;
    rest = rest.strip_prefix(':')?;
    let minute = digits(&mut rest, 2, 2)?;
    let mut second = 0;
    let mut nanos = 0;
    if let Some(tail) = rest.strip_prefix(':') {
        rest = tail;
        second = digits(&mut rest, 2, 2)?;
        if let Some(fraction) = rest.strip_prefix('.') {
            rest = fraction;
            let length = fraction.len();
            nanos = digits(&mut rest, 1, 9)? * 10_u32.pow(9 - u32::try_from(length - rest.len()).ok()?);
        }
    }
    rest.is_empty().then_some(())?;
    NaiveTime::from_hms_nano_opt(hour, minute, second, nanos)
}

/// `+02:00`, in seconds.
fn parse_offset(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let hours = digits(&mut rest, 2, 2)?;
    rest = rest.strip_prefix(':')?;
    let minutes = digits(&mut rest, 2, 2)?;
    (rest.is_empty() && hours <= 14 && minutes < 60).then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, output, run, text, up_to};

    fn read(text: &str) -> Option<String> {
        parse_iso(text).map(|m| match m {
            Moment::Instant(at) => at.to_string(),
            Moment::Local(at) => at.to_string(),
        })
    }

    #[test]
    fn a_time_is_read_with_a_space_and_without_seconds() {
        assert_eq!(read("2024-01-31 10:00").as_deref(), Some("2024-01-31 10:00:00"));
        assert_eq!(read("2024-01-31T10:00:30.5").as_deref(), Some("2024-01-31 10:00:30.500"));
        assert_eq!(read("2024-01-31 10:00Z").as_deref(), Some("2024-01-31 10:00:00 UTC"));
        assert_eq!(read("2024-01-31T10:00:00+02:00").as_deref(), Some("2024-01-31 08:00:00 UTC"));
        assert_eq!(read("2024-01-31").as_deref(), Some("2024-01-31 00:00:00"));
    }

    #[test]
    fn what_is_not_fully_a_time_is_not_read() {
        for text in [
            "2024-1-31T10:00",
            "2024-01-31T1:00",
            "2024-01-31T10",
            "2024-01-31T24:00",
            "2024-01-31T10:00:60",
            "2024-01-31T10:00:00,5",
            "2024-01-31T10:00 CET",
            "2024-01-31T10:00+2",
            "2024-01-31T10:00+99:00",
            "2024-01-31Z",
            "2024-01-31  10:00",
            "+2024-01-31T10:00",
            "0000-01-31",
            "31.01.2024 10:00",
            "2024-01-3\u{661}T10:00",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_that_the_clocks_skip_fails() {
        let checked = check(&STEP, &[text("Europe/Berlin")], up_to(30));
        assert_eq!(output(&checked), (Ty::Instant, true));
        let at = |text: &str| Ok(Value::Instant(time::parse_instant(text).unwrap()));
        assert_eq!(run(&checked, Value::Text("2024-03-31T01:59:00".into())), at("2024-03-31T00:59:00Z"));
        assert!(run(&checked, Value::Text("2024-03-31T02:30:00".into())).is_err());
        // Clocks that are set back show this time twice: the first is meant.
        assert_eq!(run(&checked, Value::Text("2024-10-27T02:30:00".into())), at("2024-10-27T00:30:00Z"));
        assert_eq!(output(&check(&STEP, &[text("UTC")], Ty::Date)), (Ty::Instant, false));
    }

    #[test]
    fn a_text_of_a_pattern_is_read_in_the_zone() {
        let checked = check(&STEP, &[text("dd.MM.yyyy HH:mm"), text("Europe/Vienna")], up_to(30));
        let at = time::parse_instant("2024-01-31T09:30:00Z").unwrap();
        assert_eq!(run(&checked, Value::Text("31.01.2024 10:30".into())), Ok(Value::Instant(at)));
        assert!(run(&checked, Value::Text("2024-01-31T10:30:00".into())).is_err());
    }
}
