//! Runs the test blocks of mapping files: what each record becomes, against what is expected; and what no test reaches.

mod coverage;

use std::collections::BTreeMap;

pub use coverage::{Coverage, MappingCoverage, Unreached};

use crate::check::{Expected, TestCase};
use crate::eval::{EvalError, Evaluated, Evaluator, Value};
use crate::plan::ExecutionPlan;
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
    let mut ran = Vec::new();
    for case in tests {
        let Some((evaluator, coverage)) = evaluators.get_mut(case.mapping.as_str()) else { continue };
        let result = evaluator.evaluate(&case.record, case.now.unwrap_or(now));
        coverage.count(&result);
        let outcome = compare(case, &result, plan);
        ran.push(Ran { case, outcome });
    }
    let mappings = evaluators.into_values().map(|(mut evaluator, coverage)| coverage.finish(evaluator.arms())).collect();
    Ok(Report { ran, coverage: Coverage { mappings } })
}

fn compare(case: &TestCase, result: &Evaluated<'_, '_>, plan: &ExecutionPlan) -> Outcome {
    let whole = |expected: &str, actual: String, reason: Option<String>| {
        Outcome::Failed(vec![Difference { field: String::new(), expected: expected.to_owned(), actual, reason }])
    };
    match (&case.expected, result) {
        (Expected::Filtered, Evaluated::Filtered { .. }) => Outcome::Passed,
        (Expected::Rejected(code), Evaluated::Rejected(rejection)) => match code {
            Some(code) if *code != rejection.code => {
                let reason = format!("{} ({})", rejection.message, plan.place(rejection.at));
                whole(&format!("rejected {code}"), format!("rejected {}", rejection.code), Some(reason))
            }
            Some(_) | None => Outcome::Passed,
        },
        (Expected::Mapped(fields), Evaluated::Mapped(mapped)) => {
            let key_name = plan.flow(&case.mapping).map(|f| f.key.path.join(".")).unwrap_or_default();
            let mut actual: BTreeMap<&str, String> = mapped.fields().map(|f| (f.path, f.json())).collect();
            let key = Value::Text(mapped.key.clone()).json();
            actual.insert(&key_name, key);
            let differences: Vec<Difference> = fields
                .iter()
                .filter_map(|field| {
                    let expected = Value::constant_json(&field.value);
                    let actual = actual.get(field.path.as_str()).cloned().unwrap_or_else(|| "null".to_owned());
                    (expected != actual).then(|| Difference { field: field.path.clone(), expected, actual, reason: None })
                })
                .collect();
            if differences.is_empty() { Outcome::Passed } else { Outcome::Failed(differences) }
        }
        (expected, actual) => {
            let expected = match expected {
                Expected::Mapped(_) => "a record in Campaign",
                Expected::Filtered => "filtered",
                Expected::Rejected(_) => "rejected",
            };
            match actual {
                Evaluated::Mapped(mapped) => {
                    let mut json = Vec::new();
                    mapped.write_json(&mut json);
                    whole(expected, "a record in Campaign".to_owned(), String::from_utf8(json).ok())
                }
                Evaluated::Filtered { .. } => {
                    let place = plan.flow(&case.mapping).and_then(|f| f.filter.as_ref()).map(|f| plan.place(f.at));
                    whole(expected, "filtered".to_owned(), place.map(|p| format!("by the filter at {p}")))
                }
                Evaluated::Rejected(rejection) => {
                    let reason = format!("{}: {} ({})", rejection.field, rejection.message, plan.place(rejection.at));
                    whole(expected, format!("rejected {}", rejection.code), Some(reason))
                }
            }
        }
    }
}
