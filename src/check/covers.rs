//! Whether one condition covers another: every record that meets the one meets the other.

use std::cmp::Ordering;

use crate::eval::{compare_constants, meets};
use crate::plan::{Condition, ConditionKind, Const, Mode, Relation, Test};

/// Whether every record that meets the one condition meets the other. `false` where that is not certain.
pub(super) fn implies(one: &Condition, other: &Condition) -> bool {
    match (&one.kind, &other.kind) {
        (ConditionKind::Test { slot: a, test: one_test }, ConditionKind::Test { slot: b, test: other_test }) if a == b => {
            match (one.negated, other.negated) {
                (false, false) => narrower(one_test, other_test),
                (true, true) => narrower(other_test, one_test),
                (false, true) | (true, false) => false,
            }
        }
        (_, ConditionKind::Group { mode: Mode::All, conditions }) if !other.negated => conditions.iter().all(|c| implies(one, c)),
        (ConditionKind::Group { mode: Mode::Any, conditions }, _) if !one.negated => conditions.iter().all(|c| implies(c, other)),
        (_, ConditionKind::Group { mode: Mode::Any, conditions }) if !other.negated => {
            conditions.iter().any(|c| implies(one, c))
                || matches!(&one.kind, ConditionKind::Group { mode: Mode::All, conditions: of_one } if !one.negated && of_one.iter().any(|c| implies(c, other)))
        }
        (ConditionKind::Group { mode: Mode::All, conditions }, _) if !one.negated => conditions.iter().any(|c| implies(c, other)),
        _ => false,
    }
}

/// Whether every value that meets the one test meets the other.
pub(super) fn narrower(one: &Test, other: &Test) -> bool {
    let meet = |values: &[Const]| values.iter().all(|value| meets(value, other) == Some(true));
    match (one, other) {
        (a, b) if a == b => true,
        (Test::Empty, _) => false,
        // Every other test is false for an empty value.
        (_, Test::Present) => true,
        (Test::Relation(Relation::Equal, value), _) => meet(std::slice::from_ref(value)),
        (Test::In(values), _) => meet(values),
        _ => match (ends(one), ends(other)) {
            (Some((low, high)), Some((other_low, other_high))) => {
                let within = |end: Option<End<'_>>, bound: Option<End<'_>>, outside: Ordering| match (end, bound) {
                    (_, None) => true,
                    (None, Some(_)) => false,
                    (Some(end), Some(bound)) => match compare_constants(end.value, bound.value) {
                        Some(Ordering::Equal) => bound.included || !end.included,
                        Some(order) => order != outside,
                        None => false,
                    },
                };
                within(low, other_low, Ordering::Less) && within(high, other_high, Ordering::Greater)
            }
            _ => false,
        },
    }
}

/// One end of a range.
#[derive(Clone, Copy)]
struct End<'t> {
    value: &'t Const,
    included: bool,
}

/// The ends of a range of values; the inner `None` for no end.
#[allow(clippy::type_complexity)]
fn ends(test: &Test) -> Option<(Option<End<'_>>, Option<End<'_>>)> {
    let end = |value, included| Some(End { value, included });
    Some(match test {
        Test::Relation(Relation::Less, value) => (None, end(value, false)),
        Test::Relation(Relation::LessOrEqual, value) => (None, end(value, true)),
        Test::Relation(Relation::Greater, value) => (end(value, false), None),
        Test::Relation(Relation::GreaterOrEqual, value) => (end(value, true), None),
        Test::Between(low, high) => (end(low, true), end(high, true)),
        _ => return None,
    })
}
