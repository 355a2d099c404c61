//! When the answer of a filter changes although the record does not.
//!
//! The answer of a test is constant between a few moments that its value and its offset decide, so that of the whole filter is
//! constant between the moments of all its tests. The filter is evaluated at each of them, in order, whatever `all`, `any` and `not` make
//! of the tests.

use chrono::{Days, TimeDelta};

use super::filter::{Ready, ReadyTest};
use crate::plan::RelativeBase;
use crate::time::{self, Date, Instant};
use crate::value::Value;

impl Ready {
    /// Returns the first instant after `now` at which the answer differs from the answer at `now`. `None` if it never does. To the
    /// nanosecond: what is true *until* an instant is false one nanosecond later.
    pub(super) fn next_change(&self, slots: &[Value<'_>], now: Instant) -> Option<Instant> {
        let mut moments = Vec::new();
        self.moments(slots, &mut moments);
        moments.retain(|at| *at > now);
        moments.sort_unstable();
        moments.dedup();
        let answer = self.holds(slots, now);
        moments.into_iter().find(|at| self.holds(slots, *at) != answer)
    }

    fn moments(&self, slots: &[Value<'_>], moments: &mut Vec<Instant>) {
        match self {
            Ready::Group { conditions, .. } => conditions.iter().for_each(|c| c.moments(slots, moments)),
            Ready::Test { slot, test, .. } => {
                if let Some(value) = slots.get(*slot) {
                    moments.extend(test.moments(value).into_iter().flatten());
                }
            }
        }
    }
}

impl ReadyTest {
    /// The instants at which the answer may change. A moment outside of the calendar never comes.
    fn moments(&self, value: &Value<'_>) -> [Option<Instant>; 3] {
        const NONE: [Option<Instant>; 3] = [None; 3];
        match self {
            ReadyTest::Within(span) => {
                let since = match value {
                    Value::Instant(instant) => *instant,
                    Value::Date(date) => time::midnight(*date),
                    _ => return NONE,
                };
                [since.checked_add_signed(*span).and_then(after), None, None]
            }
            ReadyTest::Relative(_, base, offset) => match value {
                Value::Instant(instant) => of_instant(*base, *instant, *offset),
                Value::Local(local) => of_instant(*base, local.and_utc(), *offset),
                Value::Date(date) => of_date(*base, *date, *offset),
                _ => NONE,
            },
            ReadyTest::Present
            | ReadyTest::Empty
            | ReadyTest::Relation(..)
            | ReadyTest::Field(..)
            | ReadyTest::In(_)
            | ReadyTest::Between(..)
            | ReadyTest::Text(..)
            | ReadyTest::Matches(_)
            | ReadyTest::HasOption(_) => NONE,
        }
    }
}

/// The moment from the run's time reaches the value, and passes it.
fn of_instant(base: RelativeBase, value: Instant, offset: TimeDelta) -> [Option<Instant>; 3] {
    let reached = value.checked_sub_signed(offset);
    match base {
        RelativeBase::Now => [reached, reached.and_then(after), None],
        // The moment moves at midnight only.
        RelativeBase::Today => {
            let day = reached.map(|at| at.date_naive());
            [day.map(time::midnight), day.and_then(|day| midnight_after(day, 1)), None]
        }
    }
}

/// As [`of_instant`]; a day is compared with the moment's day, from its first instant to its last.
fn of_date(base: RelativeBase, value: Date, offset: TimeDelta) -> [Option<Instant>; 3] {
    let reached = time::midnight(value).checked_sub_signed(offset);
    match base {
        RelativeBase::Now => [reached, midnight_after(value, 1).and_then(|end| end.checked_sub_signed(offset)), None],
        RelativeBase::Today => {
            let day = reached.map(|at| at.date_naive());
            [day.map(time::midnight), day.and_then(|day| midnight_after(day, 1)), day.and_then(|day| midnight_after(day, 2))]
        }
    }
}

fn after(instant: Instant) -> Option<Instant> {
    instant.checked_add_signed(TimeDelta::nanoseconds(1))
}

fn midnight_after(date: Date, days: u64) -> Option<Instant> {
    date.checked_add_days(Days::new(days)).map(time::midnight)
}
