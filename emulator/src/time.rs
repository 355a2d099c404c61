//! Instants and days as the services write them.
//!
//! The product has a module of the same kind. This one is written apart from it, so that an error there is not made here as well.

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};

/// A point on the time line, in UTC.
pub(crate) type Instant = DateTime<Utc>;

/// Returns the present instant.
pub(crate) fn now() -> Instant {
    Utc::now()
}

/// Reads an instant in either service's form: `2023-04-07T21:59:01Z` (Dataverse), `2019-09-25 23:20:35.000Z` (Campaign).
pub(crate) fn parse_instant(text: &str) -> Option<Instant> {
    // The eleventh byte separates the day from the time; a day alone is not an instant.
    matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')).then_some(())?;
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
}

/// Reads a day with all its digits: `1980-10-24`.
pub(crate) fn parse_date(text: &str) -> Option<NaiveDate> {
    // chrono also reads `1980-1-2` and years of other lengths.
    let shape = |(at, byte): (usize, &u8)| if at == 4 || at == 7 { *byte == b'-' } else { byte.is_ascii_digit() };
    (text.len() == 10 && text.as_bytes().iter().enumerate().all(shape)).then_some(())?;
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

/// Writes an instant in RFC 3339 with whole seconds, as Dataverse does: `2023-04-07T21:59:01Z`.
pub(crate) fn format_instant(instant: Instant) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Writes an instant as Campaign does: `2019-09-25 23:20:35.000Z`.
pub(crate) fn format_instant_campaign(instant: Instant) -> String {
    instant.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string()
}

/// Returns midnight UTC at the start of a day.
pub(crate) fn midnight(date: NaiveDate) -> Instant {
    date.and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_services_forms_of_an_instant_are_read_and_written() {
        let a = parse_instant("2019-09-25T23:20:35Z").unwrap();
        assert_eq!(parse_instant("2019-09-25 23:20:35.000Z"), Some(a));
        assert_eq!(format_instant(a), "2019-09-25T23:20:35Z");
        assert_eq!(format_instant_campaign(a), "2019-09-25 23:20:35.000Z");
        assert!(parse_instant("2019-09-25").is_none());
    }

    #[test]
    fn a_day_has_all_its_digits_and_no_time() {
        assert_eq!(parse_date("1980-10-24").map(midnight), parse_instant("1980-10-24T00:00:00Z"));
        for text in ["1980-1-24", "1980-10-24T00:00:00Z", "2019-02-30", "+1980-1-02", "1980-10-2\u{e9}", ""] {
            assert!(parse_date(text).is_none(), "{text}");
        }
    }
}
