//! Dates and instants, behind which the date library stays hidden.
//!
//! Dataverse keeps three kinds apart, and so does everything here: an instant ([`Instant`]), a day without a time
//! ([`Date`]), and a wall-clock time of no zone ([`LocalDateTime`]). Mixing them is how a birthday moves by a day.

pub mod schedule;

use std::fmt::Write;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Timelike, Utc};

/// A point on the time line, in UTC.
pub type Instant = DateTime<Utc>;
/// A day of the calendar, without a time and without a zone.
pub type Date = NaiveDate;
/// A wall-clock time that names no zone (Dataverse: TimeZoneIndependent).
pub type LocalDateTime = NaiveDateTime;

/// The present instant by the machine's clock. The pure parts never call it, and what runs by a [`Clock`](crate::run::Clock) asks that.
pub fn now() -> Instant {
    Utc::now()
}

/// The day that an instant is on: days since 1970, in UTC.
pub fn day_number(instant: Instant) -> i64 {
    instant.timestamp().div_euclid(86_400)
}

/// Reads an instant as either service writes it: `2023-04-07T21:59:01Z` (Dataverse), `2019-09-25 23:20:35.000Z` (Campaign).
pub fn parse_instant(text: &str) -> Option<Instant> {
    let bytes = text.as_bytes();
    if bytes.len() > 10 && (bytes[10] == b'T' || bytes[10] == b't' || bytes[10] == b' ') {
        DateTime::parse_from_rfc3339(text).ok().map(|t| t.with_timezone(&Utc))
    } else {
        None
    }
}

/// Reads a date as HTTP's headers have it, in any of its three forms (RFC 9110, 5.6.7): `Wed, 31 Jan 2024 12:00:30 GMT`,
/// `Wednesday, 31-Jan-24 12:00:30 GMT` and `Wed Jan 31 12:00:30 2024`; also with another zone, which some services write.
pub fn parse_http_date(text: &str) -> Option<Instant> {
    let text = text.trim();
    httpdate::parse_http_date(text)
        .map(Instant::from)
        .ok()
        .or_else(|| DateTime::parse_from_rfc2822(text).ok().map(|t| t.with_timezone(&Utc)))
}

/// Reads a day: `1980-10-24`.
pub fn parse_date(text: &str) -> Option<Date> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text.as_bytes() else { return None };
    let number = |digits: &[u8]| digits.iter().try_fold(0, |n: u32, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')));
    NaiveDate::from_ymd_opt(i32::try_from(number(&[y1, y2, y3, y4])?).ok()?, number(&[m1, m2])?, number(&[d1, d2])?)
}

/// Appends a day as `1980-10-24`.
pub fn push_date(date: Date, out: &mut String) {
    match u32::try_from(date.year()) {
        Ok(year @ 0..=9999) => {
            push_two(year / 100, out);
            push_two(year % 100, out);
            out.push('-');
            push_two(date.month(), out);
            out.push('-');
            push_two(date.day(), out);
        }
        // A text can always be written to.
        _ => {
            let _ = write!(out, "{:04}-{:02}-{:02}", date.year(), date.month(), date.day());
        }
    }
}

/// Appends a number below 100 with two digits.
fn push_two(number: u32, out: &mut String) {
    let digit = |n: u32| char::from_digit(n % 10, 10).unwrap_or('0');
    out.push(digit(number / 10));
    out.push(digit(number));
}

/// Reads a wall-clock time; a trailing `Z`, which Dataverse writes though no zone is meant, is skipped.
pub fn parse_local(text: &str) -> Option<LocalDateTime> {
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()
}

/// Writes an instant in RFC 3339 with whole seconds, as Dataverse does: `2023-04-07T21:59:01Z`.
pub fn format_instant(instant: Instant) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Writes an instant as Campaign does: `2019-09-25 23:20:35.000Z`.
pub fn format_instant_campaign(instant: Instant) -> String {
    let mut out = String::with_capacity(24);
    push_instant_campaign(instant, &mut out);
    out
}

/// Appends an instant as Campaign writes it: `2019-09-25 23:20:35.000Z`.
pub fn push_instant_campaign(instant: Instant, out: &mut String) {
    let millis = instant.timestamp_subsec_millis();
    if millis > 999 {
        // A leap second.
        let _ = write!(out, "{}", instant.format("%Y-%m-%d %H:%M:%S%.3fZ"));
        return;
    }
    push_date(instant.date_naive(), out);
    for (before, number) in [(' ', instant.hour()), (':', instant.minute()), (':', instant.second())] {
        out.push(before);
        push_two(number, out);
    }
    out.push('.');
    out.push(char::from_digit(millis / 100, 10).unwrap_or('0'));
    push_two(millis % 100, out);
    out.push('Z');
}

/// Whether a date column of Dynamics 365 can hold an instant: from 1753-01-01T00:00:00Z to 9999-12-30T23:59:59Z
/// (`DateTimeAttributeMetadata.MinSupportedValue` and `MaxSupportedValue`).
pub fn fits_dynamics(instant: Instant) -> bool {
    let bound = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).map(midnight);
    bound(1753, 1, 1).is_some_and(|least| instant >= least) && bound(9999, 12, 31).is_some_and(|end| instant < end)
}

/// Midnight UTC at the start of a day.
pub fn midnight(date: Date) -> Instant {
    date.and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_services_spellings_of_an_instant_are_read() {
        let a = parse_instant("2019-09-25T23:20:35Z").unwrap();
        let b = parse_instant("2019-09-25 23:20:35.000Z").unwrap();
        assert_eq!(a, b);
        assert_eq!(format_instant(a), "2019-09-25T23:20:35Z");
        assert_eq!(format_instant_campaign(a), "2019-09-25 23:20:35.000Z");
    }

    #[test]
    fn a_day_is_not_an_instant_and_an_instant_is_not_a_day() {
        assert!(parse_instant("2019-09-25").is_none());
        assert!(parse_date("2019-09-25T00:00:00Z").is_none());
        assert!(parse_date("2019-02-30").is_none());
    }

    #[test]
    fn a_wall_clock_time_keeps_its_digits_whatever_the_suffix() {
        assert_eq!(parse_local("2020-06-01T08:00:00Z"), parse_local("2020-06-01T08:00:00"));
    }
}
