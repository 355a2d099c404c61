//! `date`: the day of a date with time, in UTC or a time zone; text as a day.

use serde::{Deserialize, Serialize};

use super::shared::pattern::{DatePart, date_pattern, parse_moment, text_of};
use super::shared::ready::{Failed, OTHER_TYPE};
use super::shared::zone::{check_zone, ready_zone};
use super::{Call, Checked, NotReady, Operate, Operation, Ready, Row, Rule, Step, Wrong};
use crate::time;
use crate::value::{Ty, Value};

/// The step.
pub const STEP: Step = Step {
    name: "date",
    usage: "date, date(\"Europe/Vienna\") for the day in a zone, or date(\"dd.MM.yyyy\") for text",
    summary: "the day of a date with time, in UTC or a time zone; text as a day",
    rows: &[
        Row {
            signature: "`date`, `date(\"Europe/Vienna\")`",
            takes: "a date with time",
            gives: "the day in UTC, or in a [time zone](#time-zones)",
        },
        Row {
            signature: "`date(\"dd.MM.yyyy\")`",
            takes: "text",
            gives: "the day; `yyyy`, `MM` or `M`, `dd` or `d`, and other characters between them. `d` and `M` need another character after them. Without a pattern: `yyyy-MM-dd`",
        },
    ],
    samples: &["date", "date(\"dd.MM.yyyy\")", "date(\"Europe/Vienna\")", "date(\"Tokyo Standard Time\")"],
    rule: Rule::Call(check),
};

/// The step in a plan, for text: the pattern.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParseDate(Vec<DatePart>);

/// The step in a plan, for a date with time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DayOfInstant {
    /// The time zone, by its IANA or Windows name; `None` for UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
}

fn check(call: &mut Call<'_>) -> Result<Checked, Wrong> {
    let argument = match (call.has_arguments(), &call.input.ty) {
        (false, _) => None,
        (true, Ty::Instant) => Some(call.one_text("expected a time zone in quotes, such as \"Europe/Berlin\"")?),
        (true, _) => Some(call.one_text("expected a pattern in quotes")?),
    };
    let output = call.typed(Ty::Date);
    let day = |zone: Option<&str>| Operation::DayOfInstant(DayOfInstant { zone: zone.map(str::to_owned) });
    match (&call.input.ty, argument) {
        (Ty::Instant, zone) => {
            zone.map_or(Ok(()), check_zone)?;
            Ok(Checked::sure(day(zone), output))
        }
        (Ty::Local, None) => Ok(Checked::sure(day(None), output)),
        (Ty::Local, Some(_)) => Err(Wrong::arguments("this value has the same day in every time zone: write `date`")),
        (Ty::Date, Some(_)) => {
            Err(Wrong::arguments("a pattern is for text, but this value is already a date; use `format` to write it as text"))
        }
        (Ty::Date, None) => {
            call.no_effect("the value is already a date");
            Ok(Checked::sure(day(None), output))
        }
        (Ty::Text { .. } | Ty::Words(_), pattern) => {
            let pattern = pattern.unwrap_or("yyyy-MM-dd");
            let Some(parts) = date_pattern(pattern, false) else {
                return Err(Wrong::arguments(
                    "a pattern needs a year (yyyy), a month (MM or M) and a day (dd or d), each once; `M` and `d` need another character after them",
                ));
            };
            let why = format!("the text may not be a date written `{pattern}`");
            Ok(Checked::fallible(Operation::ParseDate(ParseDate(parts)), output, why))
        }
        (
            Ty::Null | Ty::Boolean | Ty::Integer { .. } | Ty::Decimal { .. } | Ty::Double | Ty::Guid | Ty::Choice(_) | Ty::Options(_),
            _,
        ) => Err(Wrong::ty("text or a date with time", "remove the step")),
    }
}

impl Operate for ParseDate {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        Ok(Ready::new(|value| match value {
            Value::Text(text) => parse_date(&text, &self.0).map(Value::Date).ok_or(Failed("the text is not a date in this pattern")),
            _ => Err(OTHER_TYPE),
        }))
    }

    fn written(&self) -> String {
        format!("date(\"{}\")", text_of(&self.0))
    }
}

impl Operate for DayOfInstant {
    fn ready(&self) -> Result<Ready<'_>, NotReady> {
        let zone = self.zone.as_deref().map(ready_zone).transpose()?;
        Ok(Ready::new(move |value| match (value, zone) {
            (Value::Instant(instant), Some(zone)) => Ok(Value::Date(instant.with_timezone(&zone).date_naive())),
            (Value::Instant(instant), None) => Ok(Value::Date(instant.date_naive())),
            (Value::Local(local), _) => Ok(Value::Date(local.date())),
            (Value::Date(date), _) => Ok(Value::Date(date)),
            _ => Err(OTHER_TYPE),
        }))
    }

    fn written(&self) -> String {
        self.zone.as_ref().map_or("date".to_owned(), |zone| format!("date({zone:?})"))
    }
}

/// Reads a day by a pattern; the whole text must follow it.
fn parse_date(text: &str, parts: &[DatePart]) -> Option<time::Date> {
    parse_moment(text, parts).map(|at| at.date())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::shared::trial::{check, output, run, text, up_to};

    #[test]
    fn an_instant_has_another_day_in_another_zone() {
        let late = time::parse_instant("2024-01-31T23:30:00Z").unwrap();
        let day = |text: &str| Value::Date(time::parse_date(text).unwrap());
        let utc = check(&STEP, &[], Ty::Instant);
        assert_eq!(output(&utc), (Ty::Date, false));
        assert_eq!(run(&utc, Value::Instant(late)), Ok(day("2024-01-31")));
        let vienna = check(&STEP, &[text("Europe/Vienna")], Ty::Instant);
        assert_eq!(run(&vienna, Value::Instant(late)), Ok(day("2024-02-01")));
        assert!(check(&STEP, &[text("Vienna")], Ty::Instant).is_err());
    }

    #[test]
    fn a_text_is_read_by_its_pattern() {
        let checked = check(&STEP, &[text("d.M.yyyy")], up_to(10));
        assert_eq!(output(&checked), (Ty::Date, true));
        assert_eq!(run(&checked, Value::Text("1.2.2024".into())), Ok(Value::Date(time::parse_date("2024-02-01").unwrap())));
        assert!(run(&checked, Value::Text("2024-02-01".into())).is_err());
        assert!(check(&STEP, &[text("dMyyyy")], up_to(10)).is_err());
    }
}
