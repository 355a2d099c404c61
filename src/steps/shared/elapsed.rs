//! Whole years, months and days between two days.

use chrono::Datelike;
use serde::{Deserialize, Serialize};

use crate::time::Date;
use crate::value::{Ty, Value};

/// What is counted between two days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CalendarUnit {
    /// Whole years.
    Years,
    /// Whole months.
    Months,
    /// Days.
    Days,
}

impl CalendarUnit {
    /// The step that counts them.
    pub fn name(self) -> &'static str {
        match self {
            CalendarUnit::Years => "years",
            CalendarUnit::Months => "months",
            CalendarUnit::Days => "days",
        }
    }

    /// The unit of a step.
    pub fn of_step(name: &str) -> Option<CalendarUnit> {
        [CalendarUnit::Years, CalendarUnit::Months, CalendarUnit::Days].into_iter().find(|unit| unit.name() == name)
    }

    /// The type of what is counted: of the years 1 to 9999.
    pub fn output(self) -> Ty {
        let most = self.most();
        Ty::Integer { min: -most, max: most }
    }

    fn most(self) -> i64 {
        match self {
            CalendarUnit::Years => 9_998,
            CalendarUnit::Months => 9_998 * 12 + 11,
            CalendarUnit::Days => 3_652_058,
        }
    }

    /// How many of them lie between two days; negative if the second is the earlier one. A month is complete on the day of the same
    /// number, so someone who was born on 29 February is a year older on 1 March.
    pub fn between(self, from: Date, to: Date) -> i64 {
        let months = |from: Date, to: Date| {
            let months = (i64::from(to.year()) - i64::from(from.year())) * 12 + i64::from(to.month()) - i64::from(from.month());
            months - i64::from(to.day() < from.day())
        };
        let months = if from <= to { months(from, to) } else { -months(to, from) };
        let count = match self {
            CalendarUnit::Years => months / 12,
            CalendarUnit::Months => months,
            CalendarUnit::Days => to.signed_duration_since(from).num_days(),
        };
        count.clamp(-self.most(), self.most())
    }
}

/// The day of a value: of an instant that in UTC.
pub fn day_of(value: &Value<'_>) -> Option<Date> {
    match value {
        Value::Date(date) => Some(*date),
        Value::Instant(instant) => Some(instant.date_naive()),
        Value::Local(local) => Some(local.date()),
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Decimal(_) | Value::Double(_) | Value::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_date;

    #[test]
    fn a_month_is_complete_on_the_day_of_the_same_number() {
        let count =
            |unit: CalendarUnit, from: &str, to: &str| unit.between(parse_date(from).expect("a day"), parse_date(to).expect("a day"));
        for (from, to, years, months, days) in [
            ("1980-10-24", "2024-10-23", 43, 527, 16_070),
            ("1980-10-24", "2024-10-24", 44, 528, 16_071),
            ("2024-02-29", "2025-02-28", 0, 11, 365),
            ("2024-02-29", "2025-03-01", 1, 12, 366),
            ("2024-01-31", "2024-02-29", 0, 0, 29),
            ("2024-03-01", "2024-02-29", 0, 0, -1),
            ("2024-03-15", "2022-03-15", -2, -24, -731),
            ("2024-01-01", "2024-01-01", 0, 0, 0),
            ("0001-01-01", "9999-12-31", 9_998, 119_987, 3_652_058),
        ] {
            assert_eq!(count(CalendarUnit::Years, from, to), years, "years from {from} to {to}");
            assert_eq!(count(CalendarUnit::Months, from, to), months, "months from {from} to {to}");
            assert_eq!(count(CalendarUnit::Days, from, to), days, "days from {from} to {to}");
        }
    }
}
