//! Runs the test blocks of mapping files: what each record becomes, against what is expected; and what no test reaches.

mod came;
mod coverage;

use std::collections::BTreeMap;

use came::{BothWays, Came, End};
pub use coverage::{Coverage, MappingCoverage, Unreached};

use crate::check::{Expected, ExpectedField, ExpectedList, TestCase};
use crate::count::counted;
use crate::eval::{EvalError, Evaluator};
use crate::plan::{Const, ExecutionPlan};
use crate::time::Instant;

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As expected.
    Passed,
    /// Otherwise; the differences, one for each field or one for the whole record.
    Failed(Vec<Difference>),
}

/// What was expected and what came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The target's field; empty where the record as a whole went another way.
    pub field: String,
    /// What the test expects.
    pub expected: String,
    /// What the mapping gives.
    pub actual: String,
    /// Why, where the mapping says so: the reason of a rejection with its line.
    pub reason: Option<String>,
}

/// One test with its outcome.
#[derive(Clone, Debug)]
pub struct Ran<'t> {
    /// The test.
    pub case: &'t TestCase,
    /// How it ended.
    pub outcome: Outcome,
}

/// The outcomes of all tests, and what they reach.
#[derive(Debug)]
pub struct Report<'t> {
    /// In the order of the tests.
    pub ran: Vec<Ran<'t>>,
    /// What the tests reach in each mapping of the plan.
    pub coverage: Coverage,
}

/// Runs tests against a plan. `now` is the time for tests that give none.
///
/// # Errors
///
/// A plan that was changed by hand and cannot be made ready.
pub fn run<'t>(plan: &ExecutionPlan, tests: impl Iterator<Item = &'t TestCase>, now: Instant) -> Result<Report<'t>, EvalError> {
    let mut evaluators: BTreeMap<&str, (Evaluator<'_>, MappingCoverage)> = BTreeMap::new();
    for flow in &plan.ingress {
        evaluators.insert(&flow.name, (Evaluator::counting(flow)?, MappingCoverage::new(flow)));
    }
    let mut pairs: BTreeMap<&str, BothWays<'_>> = BTreeMap::new();
    for flow in &plan.two_way {
        pairs.insert(&flow.name, BothWays::new(flow)?);
    }
    let mut ran = Vec::new();
    for case in tests {
        let now = case.now.unwrap_or(now);
        let came = if let Some((evaluator, coverage)) = evaluators.get_mut(case.mapping.as_str()) {
            let result = evaluator.evaluate(&case.record, now);
            coverage.count(&result);
            Came::of(&case.mapping, &result, plan)
        } else if let Some(pair) = pairs.get_mut(case.mapping.as_str()) {
            pair.run(case, now, plan)
        } else {
            continue;
        };
        ran.push(Ran { case, outcome: compare(case, came) });
    }
    let one_way = evaluators.into_values().map(|(mut evaluator, coverage)| coverage.finish(evaluator.arms()));
    let mappings = one_way.chain(pairs.into_values().flat_map(BothWays::finish)).collect();
    Ok(Report { ran, coverage: Coverage { mappings } })
}

fn compare(case: &TestCase, came: Came) -> Outcome {
    let whole = |expected: &str, actual: String, reason: Option<String>| {
        Outcome::Failed(vec![Difference { field: String::new(), expected: expected.to_owned(), actual, reason }])
    };
    let Came { target, end } = came;
    match (&case.expected, end) {
        (Expected::Filtered, End::Filtered(_)) => Outcome::Passed,
        (Expected::Rejected(code), End::Rejected { code: actual, message, place, .. }) => match code {
            Some(code) if code != actual => {
                whole(&format!("rejected {code}"), format!("rejected {actual}"), Some(format!("{message} ({place})")))
            }
            Some(_) | None => Outcome::Passed,
        },
        (Expected::Mapped(expected), End::Mapped { lists, values, written, .. }) => {
            let mut differences: Vec<Difference> = expected.fields.iter().filter_map(|field| difference(field, &values, written)).collect();
            differences
                .extend(expected.lists.iter().flat_map(|list| of_list(list, lists.get(list.list).map_or(&[], Vec::as_slice), written)));
            if differences.is_empty() { Outcome::Passed } else { Outcome::Failed(differences) }
        }
        (expected, end) => {
            let expected = match expected {
                Expected::Mapped(_) => target.as_str(),
                Expected::Filtered => "filtered",
                Expected::Rejected(_) => "rejected",
            };
            match end {
                End::Mapped { json, .. } => whole(expected, target.clone(), json),
                End::Filtered(place) => whole(expected, "filtered".to_owned(), place.map(|place| format!("by the filter at {place}"))),
                End::Rejected { code, field, message, place } => {
                    whole(expected, format!("rejected {code}"), Some(format!("{field}: {message} ({place})")))
                }
            }
        }
    }
}

/// The differences of a list: the number of its items, else those of each item.
fn of_list(expected: &ExpectedList, actual: &[BTreeMap<String, String>], written: fn(&Const) -> String) -> Vec<Difference> {
    let count = |items: usize| counted(items as u64, "item");
    if expected.items.len() != actual.len() {
        let (expected, actual, field) = (count(expected.items.len()), count(actual.len()), expected.name.clone());
        return vec![Difference { field, expected, actual, reason: None }];
    }
    let of_item = |(number, (fields, values)): (usize, (&Vec<ExpectedField>, &BTreeMap<String, String>))| -> Vec<Difference> {
        let found = fields.iter().filter_map(|field| difference(field, values, written));
        found.map(|one| Difference { field: format!("{} {}: {}", expected.name, number + 1, one.field), ..one }).collect()
    };
    expected.items.iter().zip(actual).enumerate().flat_map(of_item).collect()
}

fn difference(field: &ExpectedField, values: &BTreeMap<String, String>, written: fn(&Const) -> String) -> Option<Difference> {
    let actual = values.get(&field.path);
    let (expected, same) = match &field.value {
        None => ("absent".to_owned(), actual.is_none()),
        Some(value) => {
            let expected = written(value);
            let same = actual.is_some_and(|actual| *actual == expected);
            (expected, same)
        }
    };
    let actual = actual.cloned().unwrap_or_else(|| "absent".to_owned());
    (!same).then(|| Difference { field: field.path.clone(), expected, actual, reason: None })
}
