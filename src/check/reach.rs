//! Which branches of a `case` a record can reach: what the conditions before it leave.

use std::collections::{BTreeMap, HashSet};

use super::Context;
use super::covers::implies;
use super::entry::Checker;
use super::together::key;
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::plan::{Condition, ConditionKind, Const, Relation, Test};
use crate::schema::FieldType;

/// What is left for a record that meets no condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// The last branch is `else`.
    Else,
    /// The conditions cover every value of this slot. Whether it can be empty, which no condition asks.
    Covered { slot: u32, empty: bool },
    /// Anything.
    Open,
}

/// The branches of a `case` or a `when`, each with its place; `None` for `else`.
pub(super) type Branches<'c> = [(Span, Option<&'c Condition>)];

/// Reports branches that no record reaches, and says what is left.
pub(super) fn check(branches: &Branches<'_>, checker: &Checker<'_>, context: &mut Context<'_>) -> Rest {
    let mut covered: BTreeMap<u32, Covered> = BTreeMap::new();
    let mut rest = Rest::Open;
    for (at, (span, condition)) in branches.iter().enumerate() {
        let full = covered.iter().find_map(|(slot, values)| values.full(checker, *slot));
        let before = branches[..at].iter().find(|(_, before)| match (before, condition) {
            (None, _) => true,
            (Some(before), Some(condition)) => implies(condition, before),
            (Some(_), None) => false,
        });
        let unreached = match (before, condition) {
            (Some((before, _)), _) => Some((*before, "its records are covered here")),
            (None, None) => full
                .filter(|rest| matches!(rest, Rest::Covered { empty: false, .. }))
                .map(|_| (branches[0].0, "from here on, every value has a branch")),
            (None, Some(condition)) => listed(condition)
                .filter(|(slot, keys)| covered.get(slot).is_some_and(|values| keys.iter().all(|key| values.keys.contains(key))))
                .map(|_| (branches[0].0, "from here on, its values are covered")),
        };
        if let Some((first, label)) = unreached {
            context.report(
                Diagnostic::new(Code::D312, *span, "this branch is never reached", "an earlier branch covers all of its records")
                    .related(first, label)
                    .help("remove the branch, or put it before the other one"),
            );
        }
        match condition {
            None => rest = Rest::Else,
            Some(condition) => {
                if let Some((slot, keys)) = listed(condition) {
                    covered.entry(slot).or_default().keys.extend(keys);
                }
                if let ConditionKind::Test { slot, test: Test::Empty } = &condition.kind
                    && !condition.negated
                {
                    covered.entry(*slot).or_default().empty = true;
                }
            }
        }
    }
    if rest == Rest::Else { rest } else { covered.iter().find_map(|(slot, values)| values.full(checker, *slot)).unwrap_or(Rest::Open) }
}

/// The values of a slot that have a branch.
#[derive(Default)]
struct Covered {
    keys: HashSet<String>,
    empty: bool,
}

impl Covered {
    /// Whether these are all values that the field can have.
    fn full(&self, checker: &Checker<'_>, slot: u32) -> Option<Rest> {
        let name = &checker.slots.get(slot as usize)?.field;
        let own = || checker.source.field(&name.split('.').collect::<Vec<_>>());
        let field = checker.related_fields.get(name).or_else(own)?;
        let all = match &field.ty {
            FieldType::Boolean { .. } => {
                self.keys.contains(&key(&Const::Boolean(true))) && self.keys.contains(&key(&Const::Boolean(false)))
            }
            FieldType::Choice(set) => {
                !set.options.is_empty() && set.options.iter().all(|o| self.keys.contains(&key(&Const::Integer(o.value))))
            }
            _ => false,
        };
        let own = !checker.related_fields.contains_key(name);
        let never_empty = own && (*name == checker.source.primary_key || field.vendor_type == "State");
        all.then_some(Rest::Covered { slot, empty: !never_empty && !self.empty })
    }
}

/// The values of a condition that asks for one or several of one field.
fn listed(condition: &Condition) -> Option<(u32, Vec<String>)> {
    let ConditionKind::Test { slot, test } = &condition.kind else { return None };
    if condition.negated {
        return None;
    }
    match test {
        Test::Relation(Relation::Equal, value) => Some((*slot, vec![key(value)])),
        Test::In(values) => Some((*slot, values.iter().map(key).collect())),
        _ => None,
    }
}
