//! Dates and instants as text, and the clocks of time zones.

use std::fmt::Write;

use chrono::{Datelike, NaiveDate, NaiveTime, TimeZone, Timelike};

use super::steps::Failed;
use super::value::Value;
use crate::plan::{DatePart, FormatPart};
use crate::time::{self, Instant, LocalDateTime};

/// The time zone of an IANA name (`Europe/Vienna`) or of a name that Windows and Dynamics use (`W. Europe Standard Time`).
///
/// A Windows name stands for the zone that Unicode's CLDR gives for it without a country (windowsZones, territory 001).
pub fn time_zone(name: &str) -> Option<chrono_tz::Tz> {
    if let Ok(zone) = name.parse() {
        return Some(zone);
    }
    let id = icu_time::zone::WindowsParser::new().parse(name, None)?;
    let iana = icu_time::zone::IanaParser::new();
    chrono_tz::TZ_VARIANTS.iter().copied().find(|zone| iana.parse(zone.name()) == id)
}

/// A wall-clock time as an instant. Where the clock is set back and shows a time twice, the first is meant.
pub(super) fn zoned<'a>(value: Value<'_>, zone: chrono_tz::Tz) -> Result<Value<'a>, Failed> {
    let local: LocalDateTime = match value {
        Value::Local(local) => local,
        Value::Date(date) => date.and_time(NaiveTime::MIN),
        Value::Text(text) => match parse_iso(text.trim()).ok_or(Failed("the text is not a date with time"))? {
            Moment::Instant(instant) => return Ok(Value::Instant(instant)),
            Moment::Local(local) => local,
        },
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Decimal(_) | Value::Double(_) | Value::Instant(_) => {
            return Err(Failed("the value is of another type"));
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

/// Reads `2024-01-31`, and behind it a time after `T` or a space: `10:00`, `10:00:30`, `10:00:30.5`, each with `Z`, `+02:00` or
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

/// Takes a number of `least` to `most` digits off the front.
fn digits(rest: &mut &str, least: usize, most: usize) -> Option<u32> {
    let count = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    (count >= least).then_some(())?;
    let (head, tail) = rest.split_at(count);
    *rest = tail;
    head.parse().ok()
}

fn year_from_one(date: NaiveDate) -> Option<NaiveDate> {
    (date.year() >= 1).then_some(date)
}

/// A date as text.
pub fn format_date(at: LocalDateTime, parts: &[FormatPart]) -> String {
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

/// Reads a day by a pattern; the whole text must follow it.
pub(super) fn parse_date(text: &str, parts: &[DatePart]) -> Option<time::Date> {
    parse_moment(text, parts).map(|at| at.date())
}

/// Reads a day with a time by a pattern; the whole text must follow it. Parts of the time that the pattern lacks are zero.
pub(super) fn parse_moment(text: &str, parts: &[DatePart]) -> Option<LocalDateTime> {
    let (mut year, mut month, mut day) = (0, 0, 0);
    let (mut hour, mut minute, mut second) = (0, 0, 0);
    let mut rest = text;
    for part in parts {
        match part {
            DatePart::Year => year = digits(&mut rest, 4, 4)?,
            DatePart::Month => month = digits(&mut rest, 2, 2)?,
            DatePart::MonthShort => month = digits(&mut rest, 1, 2)?,
            DatePart::Day => day = digits(&mut rest, 2, 2)?,
            DatePart::DayShort => day = digits(&mut rest, 1, 2)?,
            DatePart::Hour => hour = digits(&mut rest, 2, 2)?,
            DatePart::HourShort => hour = digits(&mut rest, 1, 2)?,
            DatePart::Minute => minute = digits(&mut rest, 2, 2)?,
            DatePart::Second => second = digits(&mut rest, 2, 2)?,
            DatePart::Text(expected) => rest = rest.strip_prefix(expected.as_str())?,
        }
    }
    rest.is_empty().then_some(())?;
    let day = year_from_one(NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?)?;
    Some(day.and_time(NaiveTime::from_hms_opt(hour, minute, second)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
    fn zones_have_iana_and_windows_names() {
        assert_eq!(time_zone("Europe/Vienna"), Some(chrono_tz::Europe::Vienna));
        for (windows, offset) in [
            ("W. Europe Standard Time", "+0100"),
            ("Tokyo Standard Time", "+0900"),
            ("India Standard Time", "+0530"),
            ("Pacific Standard Time", "-0800"),
            ("UTC", "+0000"),
            ("UTC-11", "-1100"),
        ] {
            let zone = time_zone(windows).unwrap_or_else(|| panic!("{windows} is known"));
            let winter = zone.from_utc_datetime(&NaiveDate::from_ymd_opt(2024, 1, 15).expect("a day").and_time(NaiveTime::MIN));
            assert_eq!(winter.format("%z").to_string(), offset, "{windows}");
        }
        assert_eq!(time_zone("Vienna"), None);
    }

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
}
