//! Patterns of dates: `dd.MM.yyyy HH:mm`.

use chrono::{Datelike, NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};

use crate::time::LocalDateTime;

/// A piece of a date pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatePart {
    /// `yyyy`: four digits.
    Year,
    /// `MM`: two digits.
    Month,
    /// `M`: one or two digits.
    MonthShort,
    /// `dd`: two digits.
    Day,
    /// `d`: one or two digits.
    DayShort,
    /// `HH`: two digits, 00 to 23.
    Hour,
    /// `H`: one or two digits.
    HourShort,
    /// `mm`: two digits.
    Minute,
    /// `ss`: two digits.
    Second,
    /// Any other text, as it is.
    Text(String),
}

/// A part as it is written in a pattern.
fn written(part: &DatePart) -> &str {
    match part {
        DatePart::Year => "yyyy",
        DatePart::Month => "MM",
        DatePart::MonthShort => "M",
        DatePart::Day => "dd",
        DatePart::DayShort => "d",
        DatePart::Hour => "HH",
        DatePart::HourShort => "H",
        DatePart::Minute => "mm",
        DatePart::Second => "ss",
        DatePart::Text(text) => text,
    }
}

/// A pattern as it is written.
pub fn text_of(parts: &[DatePart]) -> String {
    parts.iter().map(written).collect()
}

/// The runs of one letter and the characters between them.
pub fn runs(pattern: &str) -> Vec<(char, usize, &str)> {
    let mut runs = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let end = match first.is_alphanumeric() {
            true => rest.len() - rest.trim_start_matches(first).len(),
            false => rest.find(char::is_alphanumeric).unwrap_or(rest.len()),
        };
        let (run, tail) = rest.split_at(end);
        runs.push((first, run.chars().count(), run));
        rest = tail;
    }
    runs
}

/// A pattern of a day, with or without a time, in its parts; `None` if a part is missing, repeated or unknown, or if the pattern
/// does not say where a number ends: one or two digits (`d`, `M`, `H`) directly before another number.
pub fn date_pattern(pattern: &str, timed: bool) -> Option<Vec<DatePart>> {
    let parts = runs(pattern).into_iter().map(|run| {
        Some(match run {
            ('y', 4, _) => DatePart::Year,
            ('M', 2, _) => DatePart::Month,
            ('M', 1, _) => DatePart::MonthShort,
            ('d', 2, _) => DatePart::Day,
            ('d', 1, _) => DatePart::DayShort,
            ('H', 2, _) if timed => DatePart::Hour,
            ('H', 1, _) if timed => DatePart::HourShort,
            ('m', 2, _) if timed => DatePart::Minute,
            ('s', 2, _) if timed => DatePart::Second,
            // The one letter that means itself: 2024-01-31T10:00:00.
            ('T', 1, text) if timed => DatePart::Text(text.to_owned()),
            (c, _, _) if c.is_alphanumeric() => return None,
            (_, _, text) => DatePart::Text(text.to_owned()),
        })
    });
    let parts: Vec<DatePart> = parts.collect::<Option<_>>()?;
    let count = |test: fn(&DatePart) -> bool| parts.iter().filter(|p| test(p)).count();
    let hours = count(|p| matches!(p, DatePart::Hour | DatePart::HourShort));
    let (minutes, seconds) = (count(|p| matches!(p, DatePart::Minute)), count(|p| matches!(p, DatePart::Second)));
    let complete = count(|p| matches!(p, DatePart::Year)) == 1
        && count(|p| matches!(p, DatePart::Month | DatePart::MonthShort)) == 1
        && count(|p| matches!(p, DatePart::Day | DatePart::DayShort)) == 1
        && hours == usize::from(timed)
        && seconds <= minutes
        && minutes <= 1;
    let open = |p: &DatePart| matches!(p, DatePart::MonthShort | DatePart::DayShort | DatePart::HourShort);
    let clear = parts.windows(2).all(|pair| !open(&pair[0]) || matches!(pair[1], DatePart::Text(_)));
    (complete && clear).then_some(parts)
}

/// Reads a day with a time by a pattern; the whole text must follow it. Parts of the time that the pattern lacks are zero.
pub fn parse_moment(text: &str, parts: &[DatePart]) -> Option<LocalDateTime> {
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

/// Takes a number of `least` to `most` digits off the front.
pub fn digits(rest: &mut &str, least: usize, most: usize) -> Option<u32> {
    let count = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    (count >= least).then_some(())?;
    let (head, tail) = rest.split_at(count);
    *rest = tail;
    head.parse().ok()
}

/// A day of the years from 1 on, which are those that texts can have.
pub fn year_from_one(date: NaiveDate) -> Option<NaiveDate> {
    (date.year() >= 1).then_some(date)
}
