//! Steps on dates.

use super::{Checked, StepChecker};
use crate::check::types::{Ty, Typed, length};
use crate::eval::time_zone;
use crate::plan::{DatePart, FormatPart, Op};

impl StepChecker<'_, '_, '_> {
    pub(super) fn date(&mut self) -> Option<Checked> {
        let argument = match self.step.arguments {
            None => None,
            Some(_) if matches!(self.input.ty, Ty::Instant) => {
                Some(self.one_text("expected a time zone in quotes, such as \"Europe/Berlin\"")?)
            }
            Some(_) => Some(self.one_text("expected a pattern in quotes")?),
        };
        let output = Typed::new(Ty::Date, self.input.nullable);
        match (&self.input.ty, argument) {
            (Ty::Instant, zone) => {
                if let Some(name) = &zone {
                    self.zone(name)?;
                }
                Some(Checked::sure(Op::DayOfInstant { zone }, output))
            }
            (Ty::Local, None) => Some(Checked::sure(Op::DayOfInstant { zone: None }, output)),
            (Ty::Local, Some(_)) => self.wrong_arguments("this value has a day of its own, whatever the zone: write `date`"),
            (Ty::Date, Some(_)) => {
                self.wrong_arguments("a pattern is for text; this value is a date already (`format` writes one as text)")
            }
            (Ty::Date, None) => {
                self.no_effect("the value is a date already");
                Some(Checked::sure(Op::DayOfInstant { zone: None }, output))
            }
            (Ty::Text { .. } | Ty::Words(_), pattern) => {
                let pattern = pattern.unwrap_or_else(|| "yyyy-MM-dd".to_owned());
                let Some(parts) = date_pattern(&pattern, false) else {
                    return self.wrong_arguments(
                        "a pattern holds a year (yyyy), a month (MM or M) and a day (dd or d), each once; `M` and `d` need another character after them",
                    );
                };
                Some(Checked::fallible(Op::ParseDate(parts), output, format!("the text may not be a date written `{pattern}`")))
            }
            (
                Ty::Null | Ty::Boolean | Ty::Integer { .. } | Ty::Decimal { .. } | Ty::Double | Ty::Guid | Ty::Choice(_) | Ty::Options(_),
                _,
            ) => self.wrong_type("text or a date with time", "remove the step"),
        }
    }

    /// Reports a name that is not a time zone.
    fn zone(&mut self, name: &str) -> Option<()> {
        if time_zone(name).is_some() {
            return Some(());
        }
        self.wrong_arguments(
            "not the name of a time zone: write a continent and a city, such as \"Europe/Berlin\", the name that Windows uses, such as \"W. Europe Standard Time\", or \"UTC\"",
        )
    }

    pub(super) fn datetime(&mut self) -> Option<Checked> {
        let of_text = matches!(self.input.ty, Ty::Text { .. } | Ty::Words(_));
        let (pattern, zone) = if of_text && self.arguments().len() == 2 {
            let pattern = self.text_at(0, "expected a pattern in quotes, such as \"dd.MM.yyyy HH:mm\"")?;
            (Some(pattern), self.text_at(1, "expected a time zone in quotes, such as \"Europe/Berlin\"")?)
        } else {
            (None, self.one_text("expected a time zone in quotes, such as \"Europe/Berlin\"")?)
        };
        self.zone(&zone)?;
        let pattern = match pattern {
            None => None,
            Some(pattern) => {
                let Some(parts) = date_pattern(&pattern, true) else {
                    return self.wrong_arguments(
                        "a pattern holds yyyy, MM or M, dd or d, HH or H, and perhaps mm and ss, each once; `M`, `d` and `H` need another character after them",
                    );
                };
                Some(parts)
            }
        };
        let output = Typed::new(Ty::Instant, self.input.nullable);
        let why = match &self.input.ty {
            // UTC skips no hour.
            Ty::Local | Ty::Date if zone == "UTC" => None,
            Ty::Local | Ty::Date => Some("where the clocks are set forward, an hour of that day does not exist".to_owned()),
            Ty::Text { .. } | Ty::Words(_) if pattern.is_some() => Some("the text may not be a date with time of this pattern".to_owned()),
            Ty::Text { .. } | Ty::Words(_) => Some("the text may not be a date with time (2024-01-31T10:00:00)".to_owned()),
            Ty::Instant => {
                return self.wrong_type("a day, text, or a time without a zone", "remove the step: the value is an instant already");
            }
            Ty::Null | Ty::Boolean | Ty::Integer { .. } | Ty::Decimal { .. } | Ty::Double | Ty::Guid | Ty::Choice(_) | Ty::Options(_) => {
                return self.wrong_type("a day, text, or a time without a zone", "remove the step");
            }
        };
        Some(Checked { op: Some(Op::Zoned { zone, pattern }), output, fallible: why, settled: None })
    }

    pub(super) fn format(&mut self) -> Option<Checked> {
        let pattern = self.text_at(0, "expected a pattern in quotes, such as \"dd.MM.yyyy\"")?;
        let zone = match self.arguments().len() {
            0 | 1 => None,
            _ => Some(self.text_at(1, "expected a time zone in quotes, such as \"Europe/Berlin\"")?),
        };
        self.at_most(2)?;
        if let Some(name) = &zone {
            if matches!(self.input.ty, Ty::Date | Ty::Local) {
                let span = self.arguments().get(1).map_or(self.step.span, crate::syntax::ast::Argument::span);
                return self.wrong_argument(span, "only an instant has another time in each zone; remove the zone");
            }
            self.zone(name)?;
        }
        let Some(parts) = format_pattern(&pattern) else {
            return self.wrong_arguments("a pattern consists of yyyy, yy, MM, M, dd, d, HH, mm, ss and the characters between them");
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
        Some(Checked::sure(Op::FormatDate { parts, zone }, Typed::new(Ty::Text { max: Some(longest) }, self.input.nullable)))
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

/// A pattern of a day, with or without a time, in its parts; `None` if a part is missing, repeated or unknown, or if the pattern
/// does not say where a number ends: one or two digits (`d`, `M`, `H`) directly before another number.
pub(super) fn date_pattern(pattern: &str, timed: bool) -> Option<Vec<DatePart>> {
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
