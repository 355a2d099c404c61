//! Dates as people write them in cells: `31.12.2024`, `12/31/2024`, `31 Dec 2024`, with a time or without.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::time;

/// Which part of a date such as `03/04/2024` comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DateOrder {
    /// Day, month, year.
    Dmy,
    /// Month, day, year.
    Mdy,
}

/// A date of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LocalDate {
    /// `2024-12-31`
    pub(super) day: String,
    /// `14:30:00`, if the cell has a time.
    pub(super) clock: Option<String>,
    /// `Z` or `+02:00`, if the cell has one.
    pub(super) offset: Option<String>,
}

/// Why a cell is not a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotADate {
    /// It does not look like one.
    Other,
    /// The day and the month could each be the other: both readings.
    Ambiguous(String, String),
}

const MONTHS: [&str; 12] =
    ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];

struct Patterns {
    year_first: Regex,
    numbers: Regex,
    day_and_name: Regex,
    name_and_day: Regex,
    clock: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    // Constants that the tests compile, so `expect` cannot be reached by any input.
    let pattern = |text: &str| Regex::new(&format!("^{text}(?<rest>(?:[T,\\s].*)?)$")).expect("a constant pattern");
    Patterns {
        year_first: pattern(r"(?<y>[0-9]{4})[-/.](?<m>[0-9]{1,2})[-/.](?<d>[0-9]{1,2})"),
        numbers: pattern(r"(?<a>[0-9]{1,2})(?<sign>[-/.]) ?(?<b>[0-9]{1,2})[-/.] ?(?<y>[0-9]{4})"),
        day_and_name: pattern(r"(?<d>[0-9]{1,2})(?:\.|st|nd|rd|th)?[- ]*(?<name>[A-Za-z]{3,9})\.?,?[- ]+(?<y>[0-9]{4})"),
        name_and_day: pattern(r"(?<name>[A-Za-z]{3,9})\.? (?<d>[0-9]{1,2})(?:st|nd|rd|th)?,? (?<y>[0-9]{4})"),
        clock: Regex::new(
            r"^[T,\s]*(?<h>[0-9]{1,2}):(?<min>[0-9]{2})(?::(?<s>[0-9]{2})(?:\.[0-9]+)?)?\s*(?<half>[AaPp][Mm])?\s*(?<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?$",
        )
        .expect("a constant pattern"),
    }
});

/// Reads a date. `order` decides where the numbers do not.
///
/// # Errors
///
/// [`NotADate`].
pub(super) fn read(text: &str, order: Option<DateOrder>) -> Result<LocalDate, NotADate> {
    let text = text.trim();
    let p = &*PATTERNS;
    if let Some(found) = p.year_first.captures(text) {
        return whole(&found["y"], &found["m"], &found["d"], &found);
    }
    if let Some(found) = p.numbers.captures(text) {
        let (a, b, y) = (&found["a"], &found["b"], &found["y"]);
        let (day_first, month_first) = (whole(y, b, a, &found), whole(y, a, b, &found));
        return match (day_first, month_first) {
            // With dots, the day comes first wherever dates are written so.
            (Ok(day_first), Ok(month_first)) if &found["sign"] != "." && day_first != month_first => match order {
                Some(DateOrder::Dmy) => Ok(day_first),
                Some(DateOrder::Mdy) => Ok(month_first),
                None => Err(NotADate::Ambiguous(day_first.day, month_first.day)),
            },
            (Ok(day_first), _) => Ok(day_first),
            (Err(_), month_first) if &found["sign"] != "." => month_first,
            (other, _) => other,
        };
    }
    let found = p.day_and_name.captures(text).or_else(|| p.name_and_day.captures(text)).ok_or(NotADate::Other)?;
    let name = found["name"].to_lowercase();
    let month = MONTHS.iter().position(|m| m.starts_with(&name) || name == "sept" && *m == "september").ok_or(NotADate::Other)?;
    whole(&found["y"], &(month + 1).to_string(), &found["d"], &found)
}

/// The order that a text shows: one of its numbers cannot be a month.
pub(super) fn order_of(text: &str) -> Option<DateOrder> {
    let found = PATTERNS.numbers.captures(text.trim()).filter(|found| &found["sign"] != ".")?;
    match (whole(&found["y"], &found["b"], &found["a"], &found), whole(&found["y"], &found["a"], &found["b"], &found)) {
        (Ok(_), Err(_)) => Some(DateOrder::Dmy),
        (Err(_), Ok(_)) => Some(DateOrder::Mdy),
        _ => None,
    }
}

fn whole(year: &str, month: &str, day: &str, found: &Captures<'_>) -> Result<LocalDate, NotADate> {
    let day = format!("{year}-{month:0>2}-{day:0>2}");
    time::parse_date(&day).ok_or(NotADate::Other)?;
    let rest = found["rest"].trim();
    if rest.is_empty() {
        return Ok(LocalDate { day, clock: None, offset: None });
    }
    let clock = PATTERNS.clock.captures(rest).ok_or(NotADate::Other)?;
    let hour: u8 = clock["h"].parse().map_err(|_| NotADate::Other)?;
    let hour = match clock.name("half").map(|half| half.as_str().to_ascii_lowercase()) {
        None => hour,
        Some(half) if (1..=12).contains(&hour) => hour % 12 + if half == "pm" { 12 } else { 0 },
        Some(_) => return Err(NotADate::Other),
    };
    let (minute, second) = (&clock["min"], clock.name("s").map_or("00", |s| s.as_str()));
    if hour > 23 || minute > "59" || second > "59" {
        return Err(NotADate::Other);
    }
    let offset = clock.name("zone").map(|zone| zone.as_str().to_ascii_uppercase());
    Ok(LocalDate { day, clock: Some(format!("{hour:02}:{minute}:{second}")), offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, order: Option<DateOrder>) -> Result<String, NotADate> {
        read(text, order)
            .map(|d| format!("{}{}{}", d.day, d.clock.map(|c| format!("T{c}")).unwrap_or_default(), d.offset.unwrap_or_default()))
    }

    #[test]
    fn dates_are_read_in_the_forms_that_people_write() {
        for text in [
            "2024-12-31",
            "2024/12/31",
            "31.12.2024",
            "31. 12. 2024",
            "31/12/2024",
            "12/31/2024",
            "31-12-2024",
            "31 Dec 2024",
            "31-Dec-2024",
            "31st December 2024",
            "Dec 31, 2024",
            "December 31 2024",
        ] {
            assert_eq!(of(text, None).as_deref(), Ok("2024-12-31"), "{text}");
        }
        assert_eq!(of("1.2.2024", None).as_deref(), Ok("2024-02-01"));
        assert_eq!(of("5/5/2024", None).as_deref(), Ok("2024-05-05"));
        assert_eq!(of("31.12.2024 14:30", None).as_deref(), Ok("2024-12-31T14:30:00"));
        assert_eq!(of("12/31/2024 2:30:05 PM", None).as_deref(), Ok("2024-12-31T14:30:05"));
        assert_eq!(of("12/31/2024 12:00 AM", None).as_deref(), Ok("2024-12-31T00:00:00"));
        assert_eq!(of("2024-12-31T14:30:00.000Z", None).as_deref(), Ok("2024-12-31T14:30:00Z"));
        assert_eq!(of("2024-12-31 14:30+02:00", None).as_deref(), Ok("2024-12-31T14:30:00+02:00"));
    }

    #[test]
    fn a_date_that_could_be_two_days_is_read_by_the_order_or_not_at_all() {
        assert_eq!(of("03/04/2024", None), Err(NotADate::Ambiguous("2024-04-03".into(), "2024-03-04".into())));
        assert_eq!(of("03/04/2024", Some(DateOrder::Dmy)).as_deref(), Ok("2024-04-03"));
        assert_eq!(of("03/04/2024", Some(DateOrder::Mdy)).as_deref(), Ok("2024-03-04"));
        assert_eq!(of("03.04.2024", Some(DateOrder::Mdy)).as_deref(), Ok("2024-04-03"));
        assert_eq!((order_of("31/12/2024"), order_of("12/31/2024")), (Some(DateOrder::Dmy), Some(DateOrder::Mdy)));
        assert_eq!((order_of("03/04/2024"), order_of("31.12.2024"), order_of("x")), (None, None, None));
    }

    #[test]
    fn what_is_not_a_date_is_not_read() {
        for text in [
            "",
            "31.02.2024",
            "13/13/2024",
            "31.12.24",
            "2024",
            "Mayonnaise 5 2024",
            "31.12.2024 25:00",
            "31.12.2024 noon",
            "13:00 PM",
            "31.12.2024 13:00 PM",
        ] {
            assert_eq!(of(text, None), Err(NotADate::Other), "{text}");
        }
    }
}
