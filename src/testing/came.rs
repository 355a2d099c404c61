//! What came of the record of a test, whatever kind of mapping it went through.

use std::collections::BTreeMap;

use super::coverage::MappingCoverage;
use crate::check::{GivenItem, TestCase};
use crate::eval::{EvalError, Evaluated, Programs, Rejection, Value, in_scope, raw_at, written};
use crate::plan::{Const, ExecutionPlan, FieldProgram, TwoWayFlow};
use crate::time::Instant;

/// What came of a record.
pub(super) struct Came {
    /// What a mapped record is called: `a record in Campaign`.
    pub(super) target: String,
    pub(super) end: End,
}

pub(super) enum End {
    Mapped {
        /// The items of each list that the mapping writes, in the order in which they are given.
        lists: Vec<Vec<BTreeMap<String, String>>>,
        /// Each field that is written with its value as JSON.
        values: BTreeMap<String, String>,
        /// The whole record.
        json: Option<String>,
        /// How the target's API writes a constant.
        written: fn(&Const) -> String,
    },
    /// The filter kept it out; where that is.
    Filtered(Option<String>),
    Rejected {
        code: &'static str,
        field: String,
        message: String,
        place: String,
    },
}

fn rejected(rejection: &Rejection, plan: &ExecutionPlan) -> End {
    let (field, message) = (rejection.field.clone(), rejection.message.clone());
    End::Rejected { code: rejection.code, field, message, place: plan.place(rejection.at) }
}

impl Came {
    /// What came of a record in a mapping to Campaign.
    pub(super) fn of(mapping: &str, result: &Evaluated<'_, '_>, plan: &ExecutionPlan) -> Came {
        let flow = plan.flow(mapping);
        let end = match result {
            Evaluated::Filtered { .. } => End::Filtered(flow.and_then(|f| f.filter.as_ref()).map(|f| plan.place(f.at))),
            Evaluated::Rejected(rejection) => rejected(rejection, plan),
            Evaluated::Mapped(mapped) => {
                let key = flow.map(|f| f.key.path.join(".")).unwrap_or_default();
                let mut values: BTreeMap<String, String> =
                    mapped.fields().filter(|f| !f.unchanged).map(|f| (f.path.to_owned(), f.json())).collect();
                values.insert(key, Value::Text(mapped.key.clone()).json());
                let mut json = String::new();
                mapped.write_json(&mut json);
                End::Mapped { lists: Vec::new(), values, json: Some(json), written: Value::constant_json }
            }
        };
        Came { target: "a record in Campaign".to_owned(), end }
    }
}

/// A list of a mapping, made ready.
struct ListPrograms<'p> {
    programs: Programs<'p>,
    fields: &'p [FieldProgram],
    /// The property that tells items apart.
    key: &'p str,
}

impl ListPrograms<'_> {
    /// What happens to the items that have a key: of two with the same key, of the first.
    fn run(&self, items: &[&str], now: Instant) -> Result<Vec<Vec<String>>, Rejection> {
        let mut keys = Vec::new();
        let mut mapped = Vec::new();
        for item in items {
            let Some(key) = raw_at(item, self.key).filter(|key| !matches!(key.as_str(), "null" | "\"\"") && !keys.contains(key)) else {
                continue;
            };
            keys.push(key);
            mapped.push(self.programs.run(&self.programs.flat(item), now)?.1);
        }
        Ok(mapped)
    }
}

/// One direction of a mapping in both directions.
struct Direction<'p> {
    flow: &'p TwoWayFlow,
    programs: Programs<'p>,
    fields: &'p [FieldProgram],
    lists: Vec<ListPrograms<'p>>,
    backward: bool,
    coverage: MappingCoverage,
}

impl<'p> Direction<'p> {
    fn new(flow: &'p TwoWayFlow, backward: bool) -> Result<Direction<'p>, EvalError> {
        let (from, to, fields, filter) = if backward {
            (&flow.right, &flow.left, &flow.backward, None)
        } else {
            (&flow.left, &flow.right, &flow.forward, flow.filter.as_ref())
        };
        // What a lookup is to lead to follows the fields.
        let linked = flow.links.iter().filter(|_| !backward).flat_map(|link| &link.fields);
        let programs = Programs::new(&from.slots, fields.iter().chain(linked), filter, flow.at)?.counting();
        let mut lists = Vec::new();
        for rows in &flow.rows {
            let (slots, fields, key) =
                if backward { (&rows.rows, &rows.backward, &rows.row_key) } else { (&rows.items, &rows.forward, &rows.item_key) };
            lists.push(ListPrograms { programs: Programs::new(slots, fields.iter(), None, rows.at)?.counting(), fields, key });
        }
        let lines = fields.iter().chain(lists.iter().flat_map(|list| list.fields));
        let coverage = MappingCoverage::of(format!("{} -> {}", flow.name, to.table), lines, filter);
        Ok(Direction { flow, programs, fields, lists, backward, coverage })
    }

    /// What happens to the items of the lists, by the names of their fields.
    fn run_lists(&mut self, items: &[GivenItem], now: Instant) -> Result<Vec<Vec<BTreeMap<String, String>>>, Rejection> {
        let mut first = self.fields.len();
        let mut all = Vec::new();
        for (place, list) in self.lists.iter().enumerate() {
            let given: Vec<&str> = items.iter().filter(|item| item.list == place).map(|item| item.record.as_str()).collect();
            let mapped = list.run(&given, now)?;
            mapped.iter().for_each(|values| self.coverage.filled_from(first, values.iter().map(|json| json != "null")));
            let named = |values: Vec<String>| list.fields.iter().map(|field| field.path.join(".")).zip(values).collect();
            all.push(mapped.into_iter().map(named).collect());
            first += list.fields.len();
        }
        Ok(all)
    }

    fn run(&mut self, record: &str, items: &[GivenItem], now: Instant, plan: &ExecutionPlan) -> Came {
        let to = if self.backward { &self.flow.left } else { &self.flow.right };
        let target = format!("a record of {}", to.table);
        let flat = self.programs.flat(record);
        let end = match self.programs.run(&flat, now) {
            Err(rejection) => rejected(&rejection, plan),
            Ok((admitted, values)) => {
                self.coverage.decided(admitted);
                if !admitted {
                    End::Filtered(self.flow.filter.as_ref().map(|filter| plan.place(filter.at)))
                } else if !self.backward && !in_scope(record, self.flow.scope) {
                    End::Filtered(None)
                } else {
                    self.coverage.filled(values.iter().take(self.fields.len()).map(|json| json != "null"));
                    let linked = self.flow.links.iter().filter(|_| !self.backward);
                    let linked =
                        linked.flat_map(|link| link.fields.iter().map(|field| format!("{}.{}", link.column, field.path.join("."))));
                    let names = self.fields.iter().map(|field| field.path.join(".")).chain(linked);
                    let values: BTreeMap<String, String> = names.zip(values).collect();
                    let lists = match self.run_lists(items, now) {
                        Ok(lists) => lists,
                        Err(rejection) => return Came { target, end: rejected(&rejection, plan) },
                    };
                    let whole = values.iter().map(|(name, json)| format!("{name:?}:{json}")).collect::<Vec<_>>().join(",");
                    End::Mapped { lists, values, json: Some(format!("{{{whole}}}")), written: constant }
                }
            }
        };
        Came { target, end }
    }
}

fn constant(value: &Const) -> String {
    written(&Value::of(value))
}

/// A mapping in both directions, made ready for tests.
pub(super) struct BothWays<'p> {
    to_right: Direction<'p>,
    to_left: Direction<'p>,
}

impl<'p> BothWays<'p> {
    pub(super) fn new(flow: &'p TwoWayFlow) -> Result<BothWays<'p>, EvalError> {
        Ok(BothWays { to_right: Direction::new(flow, false)?, to_left: Direction::new(flow, true)? })
    }

    /// Puts a record through one of the directions.
    pub(super) fn run(&mut self, case: &TestCase, now: Instant, plan: &ExecutionPlan) -> Came {
        let direction = if case.backward { &mut self.to_left } else { &mut self.to_right };
        direction.run(&case.record, &case.items, now, plan)
    }

    /// What the tests reached, for each direction.
    pub(super) fn finish(self) -> [MappingCoverage; 2] {
        [self.to_right, self.to_left].map(|mut direction| {
            let mut arms = direction.programs.arms();
            arms.extend(direction.lists.iter_mut().flat_map(|list| list.programs.arms()));
            direction.coverage.finish(arms)
        })
    }
}
