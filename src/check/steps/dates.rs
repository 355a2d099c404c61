//! Steps on dates.

use super::{Checked, StepChecker};
use crate::check::types::{Ty, Typed, length};
use crate::eval::time_zone;
use crate::plan::{DatePart, FormatPart, Op};

impl StepChecker<'_, '_, '_> {
    pub(super) fn date(&mut self) -> Option<Checked> {
        let pattern = match self.step.arguments {
            None => None,
            Some(_) => Some(self.one_text("expected a pattern in quotes")?),
        };
        let output = Typed::new(Ty::Date, self.input.nullable);
        match (&self.input.ty, pattern) {
            (Ty::Instant | Ty::Local, None) => Some(Checked::sure(Op::DayOfInstant, output)),
            (Ty::Instant | Ty::Local | Ty::Date, Some(_)) => {
                self.wrong_arguments("a pattern is for text; this value is a date already (`format` writes one as text)")
            }
            (Ty::Date, None) => {
                self.no_effect("the value is a date already");
                Some(Checked::sure(Op::DayOfInstant, output))
            }
            (Ty::Text { .. } | Ty::Words(_), pattern) => {
                let pattern = pattern.unwrap_or_else(|| "yyyy-MM-dd".to_owned());
                let Some(parts) = date_pattern(&pattern) else {
                    return self.wrong_arguments("a pattern holds a year (yyyy), a month (MM or M) and a day (dd or d), each once");
                };
                Some(Checked::fallible(Op::ParseDate(parts), output, format!("the text may not be a date written `{pattern}`")))
            }
            (
                Ty::Null | Ty::Boolean | Ty::Integer { .. } | Ty::Decimal { .. } | Ty::Double | Ty::Guid | Ty::Choice(_) | Ty::Options(_),
                _,
            ) => self.wrong_type("text or a date with time", "remove the step"),
        }
    }

    pub(super) fn datetime(&mut self) -> Option<Checked> {
        let zone = self.one_text("expected a time zone in quotes, such as \"Europe/Berlin\"")?;
        if time_zone(&zone).is_none() {
            return self.wrong_arguments("no time zone of this name; a continent and a city, such as \"Europe/Berlin\", or \"UTC\"");
        }
        let output = Typed::new(Ty::Instant, self.input.nullable);
        let why = match &self.input.ty {
            // UTC skips no hour.
            Ty::Local | Ty::Date if zone == "UTC" => None,
            Ty::Local | Ty::Date => Some("where the clocks are set forward, an hour of that day does not exist".to_owned()),
            Ty::Text { .. } | Ty::Words(_) => Some("the text may be no date with time (2024-01-31T10:00:00)".to_owned()),
            Ty::Instant => return self.wrong_type("a day, text, or a time of no zone", "remove the step: the value is an instant already"),
            Ty::Null | Ty::Boolean | Ty::Integer { .. } | Ty::Decimal { .. } | Ty::Double | Ty::Guid | Ty::Choice(_) | Ty::Options(_) => {
                return self.wrong_type("a day, text, or a time of no zone", "remove the step");
            }
        };
        Some(Checked { op: Some(Op::Zoned { zone }), output, fallible: why, settled: None })
    }

    pub(super) fn format(&mut self) -> Option<Checked> {
        let pattern = self.one_text("expected a pattern in quotes, such as \"dd.MM.yyyy\"")?;
        let Some(parts) = format_pattern(&pattern) else {
            return self.wrong_arguments("a pattern consists of yyyy, yy, MM, M, dd, d, HH, mm, ss and signs between them");
        };
        let timed = parts.iter().any(|p| matches!(p, FormatPart::Hour | FormatPart::Minute | FormatPart::Second));
        match &self.input.ty {
            Ty::Date if timed => return self.wrong_arguments("a day has no time of day"),
            Ty::Date | Ty::Instant | Ty::Local => {}
            Ty::Null
            | Ty::Boolean
            | Ty::Integer { .. }
            | Ty::Decimal { .. }
            | Ty::Double
            | Ty::Text { .. }
            | Ty::Words(_)
            | Ty::Guid
            | Ty::Choice(_)
            | Ty::Options(_) => {
                return self.wrong_type("a date", "remove the step, or read the text as a date first: `| date(\"…\") or null`");
            }
        }
        let longest = parts
            .iter()
            .map(|p| match p {
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
            })
            .sum();
        Some(Checked::sure(Op::FormatDate(parts), Typed::new(Ty::Text { max: Some(longest) }, self.input.nullable)))
    }
}

/// The runs of one letter and the signs between them.
fn runs(pattern: &str) -> Vec<(char, usize, &str)> {
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

/// A pattern that dates are written by; `None` where a part is unknown or there is none.
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

/// A pattern of a day in its parts; `None` where a part is missing, double or unknown.
pub(super) fn date_pattern(pattern: &str) -> Option<Vec<DatePart>> {
    let parts = runs(pattern).into_iter().map(|run| {
        Some(match run {
            ('y', 4, _) => DatePart::Year,
            ('M', 2, _) => DatePart::Month,
            ('M', 1, _) => DatePart::MonthShort,
            ('d', 2, _) => DatePart::Day,
            ('d', 1, _) => DatePart::DayShort,
            (c, _, _) if c.is_alphanumeric() => return None,
            (_, _, text) => DatePart::Text(text.to_owned()),
        })
    });
    let parts: Vec<DatePart> = parts.collect::<Option<_>>()?;
    let count = |test: fn(&DatePart) -> bool| parts.iter().filter(|p| test(p)).count();
    let complete = count(|p| matches!(p, DatePart::Year)) == 1
        && count(|p| matches!(p, DatePart::Month | DatePart::MonthShort)) == 1
        && count(|p| matches!(p, DatePart::Day | DatePart::DayShort)) == 1;
    complete.then_some(parts)
}
