//! Conditions of one group that together are never true, or always: each condition has an effect, but all of them together do not.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Context;
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::eval::compare_constants;
use crate::plan::{Const, Mode, Relation, Test};
use crate::unicode::nfc;

/// A condition on one field, with its constants resolved.
pub(super) struct Fact {
    /// The field's own name.
    pub(super) name: String,
    pub(super) span: Span,
    pub(super) negated: bool,
    pub(super) test: Test,
    /// Whether the field can be empty.
    pub(super) nullable: bool,
    /// How many values the field can have, if they are few and known.
    pub(super) values: Option<usize>,
}

/// A constant in a form that is the same for all constants that a filter takes as equal.
pub(super) fn key(constant: &Const) -> String {
    match constant {
        Const::Text(text) => format!("text {}", nfc(text).to_lowercase()),
        Const::Integer(n) => format!("number {n}"),
        Const::Decimal(d) => format!("number {}", d.normalize()),
        Const::Null | Const::Boolean(_) | Const::Date(_) | Const::Instant(_) => format!("{constant:?}"),
    }
}

/// Reports what the conditions of a group say together. Nested groups of the same mode count as part of it.
pub(super) fn check(mode: Mode, facts: &[Fact], context: &mut Context<'_>) {
    let mut by_name: BTreeMap<&str, Vec<&Fact>> = BTreeMap::new();
    for fact in facts {
        by_name.entry(&fact.name).or_default().push(fact);
    }
    for (name, facts) in by_name.into_iter().filter(|(_, facts)| facts.len() > 1) {
        let finding = match mode {
            Mode::All => Possible::default().never(name, &facts),
            Mode::Any => always(name, &facts),
        };
        if let Some(finding) = finding {
            context.report(finding);
        }
    }
}

/// One end of a range, and the condition that sets it.
struct End<'f> {
    value: &'f Const,
    included: bool,
    by: Span,
}

/// What a field can be if all conditions so far hold.
#[derive(Default)]
struct Possible<'f> {
    /// The only values that are left, and the condition that left them.
    only: Option<(HashMap<String, &'f Const>, Span)>,
    low: Option<End<'f>>,
    high: Option<End<'f>>,
    excluded: HashMap<String, Span>,
    /// Whether an empty field meets all conditions so far.
    empty: bool,
}

/// The condition that a new one contradicts.
enum Conflict {
    /// Both ask for one value or another.
    Values(Span),
    /// A range, or a value that is excluded.
    Range(Span),
}

impl<'f> Possible<'f> {
    fn never(mut self, name: &str, facts: &[&'f Fact]) -> Option<Diagnostic> {
        self.empty = true;
        let (fact, conflict) = facts.iter().find_map(|fact| Some((*fact, self.add(fact)?)))?;
        let finding = |label: String| Diagnostic::new(Code::D407, fact.span, "these conditions are never true together", label);
        Some(match conflict {
            Conflict::Values(first) => finding(format!("`{name}` cannot be both"))
                .related(first, "equal to another value here")
                .help("use `in (…)`, or put them in an `any { … }`"),
            Conflict::Range(first) => finding(format!("no value of `{name}` meets both conditions"))
                .related(first, "the other condition")
                .help("correct one of the two, or put them in an `any { … }`"),
        })
    }

    fn add(&mut self, fact: &'f Fact) -> Option<Conflict> {
        // Only a condition with `not` before it is true for an empty field.
        self.empty &= fact.negated;
        match (&fact.test, fact.negated) {
            (Test::Relation(Relation::Equal, value), false) => self.one_of(std::slice::from_ref(value), fact),
            (Test::In(values), false) => self.one_of(values, fact),
            (Test::Relation(Relation::NotEqual, value), false) | (Test::Relation(Relation::Equal, value), true) => {
                self.none_of(std::slice::from_ref(value), fact)
            }
            (Test::In(values), true) => self.none_of(values, fact),
            (Test::Relation(relation, value), false) => {
                let included = matches!(relation, Relation::LessOrEqual | Relation::GreaterOrEqual);
                let lower = matches!(relation, Relation::Greater | Relation::GreaterOrEqual);
                self.end(End { value, included, by: fact.span }, lower)
            }
            (Test::Between(low, high), false) => {
                let end = |value| End { value, included: true, by: fact.span };
                self.end(end(low), true).or_else(|| self.end(end(high), false))
            }
            _ => None,
        }
    }

    fn one_of(&mut self, values: &'f [Const], fact: &Fact) -> Option<Conflict> {
        let wanted: HashMap<String, &Const> = values.iter().map(|value| (key(value), value)).collect();
        let (mut left, before) = match self.only.take() {
            Some((only, by)) => (wanted.into_iter().filter(|(key, _)| only.contains_key(key)).collect(), Some(by)),
            None => (wanted, None),
        };
        if left.is_empty() {
            return before.map(Conflict::Values);
        }
        let mut by = None;
        left.retain(|key, value| {
            let against = self.against(key, value);
            by = by.or(against);
            against.is_none()
        });
        if left.is_empty() {
            return by.map(Conflict::Range);
        }
        self.only = Some((left, fact.span));
        None
    }

    fn none_of(&mut self, values: &[Const], fact: &Fact) -> Option<Conflict> {
        let first = self.excluded.values().next().copied();
        for value in values {
            self.excluded.entry(key(value)).or_insert(fact.span);
        }
        let all = fact.values.is_some_and(|count| self.excluded.len() >= count) && !(self.empty && fact.nullable);
        match first {
            Some(first) if all => Some(Conflict::Range(first)),
            _ => self.still_possible(),
        }
    }

    fn end(&mut self, new: End<'f>, lower: bool) -> Option<Conflict> {
        let place = if lower { &mut self.low } else { &mut self.high };
        let tighter = place.as_ref().is_none_or(|old| match compare_constants(new.value, old.value) {
            Some(std::cmp::Ordering::Equal) => old.included,
            Some(order) => order.is_gt() == lower,
            None => false,
        });
        if tighter {
            *place = Some(new);
        }
        let other = if lower { &self.high } else { &self.low };
        if let (Some(low), Some(high)) = (&self.low, &self.high)
            && nothing_between(low, high)
        {
            return other.as_ref().map(|end| Conflict::Range(end.by));
        }
        self.still_possible()
    }

    /// The conflict of a new range or exclusion with the values that were left.
    fn still_possible(&mut self) -> Option<Conflict> {
        let (only, by) = self.only.as_ref()?;
        only.iter().all(|(key, value)| self.against(key, value).is_some()).then_some(Conflict::Range(*by))
    }

    /// The condition that a value does not meet.
    fn against(&self, key: &str, value: &Const) -> Option<Span> {
        let below = |end: &&End<'_>| match compare_constants(value, end.value) {
            Some(std::cmp::Ordering::Equal) => !end.included,
            order => order.is_some_and(std::cmp::Ordering::is_lt),
        };
        let above = |end: &&End<'_>| match compare_constants(value, end.value) {
            Some(std::cmp::Ordering::Equal) => !end.included,
            order => order.is_some_and(std::cmp::Ordering::is_gt),
        };
        let excluded = self.excluded.get(key).copied();
        excluded.or(self.low.as_ref().filter(below).map(|end| end.by)).or(self.high.as_ref().filter(above).map(|end| end.by))
    }
}

/// Whether no value lies between two ends. Between two neighboring whole numbers lies none.
fn nothing_between(low: &End<'_>, high: &End<'_>) -> bool {
    if let (Const::Integer(from), Const::Integer(to)) = (low.value, high.value) {
        let from = i128::from(*from) + i128::from(!low.included);
        return from > i128::from(*to) - i128::from(!high.included);
    }
    match compare_constants(low.value, high.value) {
        Some(std::cmp::Ordering::Equal) => !(low.included && high.included),
        order => order.is_some_and(std::cmp::Ordering::is_gt),
    }
}

/// The finding about conditions of which one always holds, whatever the record is.
fn always(name: &str, facts: &[&Fact]) -> Option<Diagnostic> {
    let mut covered: HashSet<String> = HashSet::new();
    // The only values that are not covered, once a condition excludes values.
    let mut uncovered: Option<HashSet<String>> = None;
    let mut empty = false;
    for fact in facts {
        empty |= !fact.nullable;
        let values: &[Const] = match &fact.test {
            Test::Relation(Relation::Equal | Relation::NotEqual, value) => std::slice::from_ref(value),
            Test::In(values) => values,
            Test::Empty => {
                empty |= !fact.negated;
                &[]
            }
            _ => continue,
        };
        let excludes = matches!(fact.test, Test::Relation(Relation::NotEqual, _)) != fact.negated;
        empty |= fact.negated && !values.is_empty();
        let keys = values.iter().map(key);
        if values.is_empty() || !excludes {
            covered.extend(keys);
        } else {
            let keys: HashSet<String> = keys.collect();
            uncovered = Some(uncovered.map_or_else(|| keys.clone(), |left| left.intersection(&keys).cloned().collect()));
        }
        let all =
            fact.values.is_some_and(|count| covered.len() >= count) || uncovered.as_ref().is_some_and(|left| left.is_subset(&covered));
        if all && empty {
            return Some(
                Diagnostic::new(Code::D407, fact.span, "this group is always true", format!("covers every other value of `{name}`"))
                    .related(facts[0].span, "covers the first of the values")
                    .help("remove the group, or correct one of its conditions"),
            );
        }
    }
    None
}
