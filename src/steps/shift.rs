//! `shift`: a date earlier or later.

use chrono::{Days, Months, NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize};

use super::shared::ready::OTHER_TYPE;
use super::{Argument, Call, Checked, NotReady, Operate, Operation, Period, Ready, Row, Rule, Step, Wrong};
use crate::time::LocalDateTime;
use crate::value::{Ty, Value};

/// The step.
pub const STEP: Step = Step {
    name: "shift",
    usage: "shift(6 months), shift(-90d) or shift(1 year)",
    summary: "moves a date by years, months, days or hours; earlier with a minus",
    rows: &[
        Row {
            signature: "`shift(6 months)`, `shift(-90d)`",
            takes: "a date",
            gives: "the date moved by `years`, `months`, `weeks`, `days`, `hours` or `minutes` (`90d`, `12h`, `5m` for short); earlier with a minus. One month after 31 January is the last day of February. The result stays within the years 1 to 9999. An instant is moved in UTC",
        },
    ],
    samples: &["shift(6 months)", "shift(-90d)", "shift(-3 hours)", "shift(999 years)"],
    rule: Rule::Call(check),
};

/// The step in a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    /// How many months later.
    months: i32,
    /// How many seconds later, after that.
    seconds: i64,
}

const DAY: i64 = 86_400;

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let [Argument::Period(Period { months, seconds })] = call.arguments() else {
        return Err(Wrong::arguments("expected a period, such as `6 months`, `-90d` or `1 year`"));
    };
    if call.input.ty == Ty::Date && seconds % DAY != 0 {
        return Err(Wrong::arguments("this value has no time of day: write years, months, weeks or days"));
    }
    call.moment()?;
    if (*months, *seconds) == (0, 0) {
        call.no_effect("the period is zero");
    }
    let output = call.typed(call.input.ty.clone());
    Ok(Checked::sure(Operation::Shift(Shift { months: *months, seconds: *seconds }), output))
}

impl Operate for Shift {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::new(|value| match value {
            Value::Date(date) => Ok(Value::Date(self.later(date.and_hms_opt(0, 0, 0).unwrap_or_default()).date())),
            Value::Instant(instant) => Ok(Value::Instant(self.later(instant.naive_utc()).and_utc())),
            Value::Local(local) => Ok(Value::Local(self.later(local))),
            _ => Err(OTHER_TYPE),
        }))
    }

    fn written(&self) -> String {
        let (count, unit) = match (self.months, self.seconds) {
            (0, s) if s % DAY == 0 => (s / DAY, "d"),
            (0, s) if s % 3_600 == 0 => (s / 3_600, "h"),
            (0, s) => (s / 60, "m"),
            (m, _) if m % 12 == 0 => (i64::from(m / 12), " year"),
            (m, _) => (i64::from(m), " month"),
        };
        let plural = if unit.starts_with(' ') && count.abs() != 1 { "s" } else { "" };
        format!("shift({count}{unit}{plural})")
    }
}

impl Shift {
    fn later(&self, at: LocalDateTime) -> LocalDateTime {
        let months = Months::new(self.months.unsigned_abs());
        let moved = if self.months < 0 { at.checked_sub_months(months) } else { at.checked_add_months(months) };
        let moved = moved.and_then(|at| at.checked_add_signed(TimeDelta::try_seconds(self.seconds)?));
        let first = NaiveDate::from_ymd_opt(1, 1, 1).and_then(|day| day.and_hms_opt(0, 0, 0)).unwrap_or_default();
        // The last day keeps the time of day, which a day does not have.
        let last = NaiveDate::from_ymd_opt(9999, 12, 31).map(|day| day.and_time(at.time())).unwrap_or_default();
        let beyond = NaiveDate::from_ymd_opt(9999, 12, 31).and_then(|day| day.checked_add_days(Days::new(1))).unwrap_or_default();
        match moved {
            Some(moved) if moved < first => first,
            Some(moved) if moved.date() < beyond => moved,
            None if self.months < 0 || self.seconds < 0 => first,
            Some(_) | None => last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, output, run};
    use crate::time::{parse_date, parse_instant};

    fn period(months: i32, seconds: i64) -> [Argument; 1] {
        [Argument::Period(Period { months, seconds })]
    }

    fn day(from: &str, months: i32, days: i64) -> String {
        let checked = check(&STEP, &period(months, days * DAY), Ty::Date);
        assert_eq!(output(&checked), (Ty::Date, false));
        let Ok(Value::Date(date)) = run(&checked, Value::Date(parse_date(from).expect("a day"))) else { panic!("not a day") };
        date.to_string()
    }

    #[test]
    fn the_end_of_a_month_is_clipped() {
        assert_eq!(day("2024-01-31", 1, 0), "2024-02-29");
        assert_eq!(day("2023-03-31", -1, 0), "2023-02-28");
        assert_eq!(day("2024-02-29", 12, 0), "2025-02-28");
        assert_eq!(day("2024-01-31", 6, 0), "2024-07-31");
        assert_eq!(day("2024-01-31", 0, -90), "2023-11-02");
    }

    #[test]
    fn dates_stay_within_the_years_1_to_9999() {
        assert_eq!(day("9999-12-31", 12, 0), "9999-12-31");
        assert_eq!(day("9999-12-31", 0, 1), "9999-12-31");
        assert_eq!(day("0001-01-01", 0, -1), "0001-01-01");
        assert_eq!(day("0001-01-01", -12, 0), "0001-01-01");
    }

    #[test]
    fn an_instant_keeps_its_time_and_a_day_has_none() {
        let later = |at: &str, months: i32, seconds: i64| {
            run(&check(&STEP, &period(months, seconds), Ty::Instant), Value::Instant(parse_instant(at).expect("an instant")))
        };
        let at = |text: &str| Ok(Value::Instant(parse_instant(text).expect("an instant")));
        assert_eq!(later("2024-01-31T23:30:00Z", 1, 0), at("2024-02-29T23:30:00Z"));
        assert_eq!(later("2024-01-31T23:30:00Z", 0, 3_600), at("2024-02-01T00:30:00Z"));
        assert!(check(&STEP, &period(0, 3_600), Ty::Date).is_err());
    }

    #[test]
    fn it_is_written_as_an_author_writes_it() {
        for (shift, text) in [((12, 0), "shift(1 year)"), ((-6, 0), "shift(-6 months)"), ((0, -90 * DAY), "shift(-90d)"), ((0, 60), "shift(1m)")] {
            assert_eq!(Shift { months: shift.0, seconds: shift.1 }.written(), text);
        }
    }
}
