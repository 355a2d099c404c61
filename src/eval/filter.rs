//! Conditions on one record: every test but `is empty` is false for a missing value.

use chrono::TimeDelta;
use regex::Regex;

use super::EvalError;
use super::text::{folded, same};
use crate::plan::{At, Condition, ConditionKind, Const, Mode, Relation, RelativeBase, Test, TextTest};
use crate::time::{self, Instant};
use crate::unicode::nfc;
use crate::value::Value;

/// A condition made ready to run: expressions are compiled, texts folded to lower case.
#[derive(Debug)]
pub(super) enum Ready {
    Group { mode: Mode, negated: bool, conditions: Vec<Ready> },
    Test { slot: usize, negated: bool, test: ReadyTest },
}

#[derive(Debug)]
pub(super) enum ReadyTest {
    Present,
    Empty,
    Relation(Relation, Const),
    /// Against another slot.
    Field(Relation, usize),
    In(Vec<Const>),
    Between(Const, Const),
    Within(TimeDelta),
    Relative(Relation, RelativeBase, TimeDelta),
    /// The text is in the form in which texts are compared.
    Text(TextTest, String),
    Matches(Regex),
    HasOption(i64),
}

impl Ready {
    pub(super) fn new(condition: &Condition) -> Result<Ready, EvalError> {
        let negated = condition.negated;
        Ok(match &condition.kind {
            ConditionKind::Group { mode, conditions } => {
                let conditions = conditions.iter().map(Ready::new).collect::<Result<_, _>>()?;
                Ready::Group { mode: *mode, negated, conditions }
            }
            ConditionKind::Test { slot, test } => {
                let test = ReadyTest::new(test, condition.at)?;
                Ready::Test { slot: *slot as usize, negated, test }
            }
        })
    }

    pub(super) fn holds(&self, slots: &[Value<'_>], now: Instant) -> bool {
        match self {
            Ready::Group { mode, negated, conditions } => {
                let result = match mode {
                    Mode::All => conditions.iter().all(|c| c.holds(slots, now)),
                    Mode::Any => conditions.iter().any(|c| c.holds(slots, now)),
                };
                result != *negated
            }
            Ready::Test { slot, negated, test } => slots.get(*slot).is_some_and(|value| test.holds(value, slots, now)) != *negated,
        }
    }
}

impl ReadyTest {
    pub(super) fn new(test: &Test, at: At) -> Result<ReadyTest, EvalError> {
        Ok(match test {
            Test::Present => ReadyTest::Present,
            Test::Empty => ReadyTest::Empty,
            Test::Relation(relation, value) => ReadyTest::Relation(*relation, value.clone()),
            Test::Field(relation, other) => ReadyTest::Field(*relation, *other as usize),
            Test::In(values) => ReadyTest::In(values.clone()),
            Test::Between(low, high) => ReadyTest::Between(low.clone(), high.clone()),
            Test::Within(seconds) => {
                let seconds = i64::try_from(*seconds).ok().and_then(TimeDelta::try_seconds);
                ReadyTest::Within(seconds.ok_or_else(|| EvalError::new(at, "a duration out of range"))?)
            }
            Test::Relative { relation, base, offset } => {
                let offset = TimeDelta::try_seconds(*offset).ok_or_else(|| EvalError::new(at, "an offset out of range"))?;
                ReadyTest::Relative(*relation, *base, offset)
            }
            Test::Text(test, text) => ReadyTest::Text(*test, folded(text).into_owned()),
            Test::Matches(pattern) => ReadyTest::Matches(Regex::new(&nfc(pattern)).map_err(|e| EvalError::new(at, e.to_string()))?),
            Test::HasOption(option) => ReadyTest::HasOption(*option),
        })
    }

    pub(super) fn holds(&self, value: &Value<'_>, slots: &[Value<'_>], now: Instant) -> bool {
        // Text that is empty or only white space was decoded to no value.
        let empty = value.is_null();
        match self {
            ReadyTest::Present => !empty,
            ReadyTest::Empty => empty,
            ReadyTest::Relation(relation, constant) => related(*relation, value, constant),
            ReadyTest::Field(relation, other) => slots.get(*other).is_some_and(|other| related_fields(*relation, value, other)),
            ReadyTest::Relative(relation, base, offset) => {
                let start = match base {
                    RelativeBase::Now => now,
                    RelativeBase::Today => time::midnight(now.date_naive()),
                };
                let Some(moment) = start.checked_add_signed(*offset) else { return false };
                // A day is compared with a day: a birthday is not before noon of the same day.
                let constant = match value {
                    Value::Date(_) => Const::Date(moment.date_naive()),
                    _ => Const::Instant(moment),
                };
                related(*relation, value, &constant)
            }
            ReadyTest::In(constants) => constants.iter().any(|c| value.equals(c)),
            ReadyTest::Between(low, high) => {
                value.compare(low).is_some_and(|o| o.is_ge()) && value.compare(high).is_some_and(|o| o.is_le())
            }
            ReadyTest::Within(span) => {
                let since = match value {
                    Value::Instant(instant) => Some(now - *instant),
                    Value::Date(date) => Some(now - time::midnight(*date)),
                    _ => None,
                };
                since.is_some_and(|s| s <= *span)
            }
            ReadyTest::Text(test, text) => match value {
                Value::Text(value) => match test {
                    TextTest::Contains => folded(value).contains(text.as_str()),
                    TextTest::StartsWith => folded(value).starts_with(text.as_str()),
                    TextTest::EndsWith => folded(value).ends_with(text.as_str()),
                },
                _ => false,
            },
            ReadyTest::Matches(regex) => match value {
                Value::Text(value) => regex.is_match(&nfc(value)),
                _ => false,
            },
            ReadyTest::HasOption(option) => match value {
                Value::Text(value) => {
                    let option = option.to_string();
                    value.split(',').any(|v| same(v.trim(), &option))
                }
                _ => false,
            },
        }
    }
}

fn related(relation: Relation, value: &Value<'_>, constant: &Const) -> bool {
    match relation {
        Relation::Equal => value.equals(constant),
        Relation::NotEqual => !value.is_null() && !value.equals(constant),
        Relation::Less => value.compare(constant).is_some_and(|o| o.is_lt()),
        Relation::LessOrEqual => value.compare(constant).is_some_and(|o| o.is_le()),
        Relation::Greater => value.compare(constant).is_some_and(|o| o.is_gt()),
        Relation::GreaterOrEqual => value.compare(constant).is_some_and(|o| o.is_ge()),
    }
}

/// As [`related`], for two values. No value has a relation to a missing one.
fn related_fields(relation: Relation, value: &Value<'_>, other: &Value<'_>) -> bool {
    if value.is_null() || other.is_null() {
        return false;
    }
    match relation {
        Relation::Equal => value.equals_value(other),
        Relation::NotEqual => !value.equals_value(other),
        Relation::Less => value.compare_value(other).is_some_and(|o| o.is_lt()),
        Relation::LessOrEqual => value.compare_value(other).is_some_and(|o| o.is_le()),
        Relation::Greater => value.compare_value(other).is_some_and(|o| o.is_gt()),
        Relation::GreaterOrEqual => value.compare_value(other).is_some_and(|o| o.is_ge()),
    }
}

/// Whether a constant meets a test; `None` if that depends on more than the constant.
pub fn meets(constant: &Const, test: &Test) -> Option<bool> {
    if matches!(test, Test::Field(..) | Test::Within(_) | Test::Relative { .. }) {
        return None;
    }
    let ready = ReadyTest::new(test, At { file: 0, line: 0, column: 0, start: 0, end: 0 }).ok()?;
    // None of the remaining tests depends on the time.
    Some(ready.holds(&Value::of(constant), &[], Instant::UNIX_EPOCH))
}
