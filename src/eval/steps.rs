//! The steps of a pipeline on one value.

use std::borrow::Cow;

use super::EvalError;
use super::lookup::{NO_ROW, ReadyColumn};
use super::program::{Fault, ReadyPiece, ReadyRead, Table, first_of, labels_text};
use crate::plan::{At, Elapsed, OnFailure, Op, Step, TableOf, Until};
use crate::steps::{CalendarUnit, Failed, Operate, Ready, day_of, local_in, phone_in};
use crate::time::{self, Instant};
use crate::unicode::is_blank;
use crate::value::Value;

/// A step made ready: expressions compiled, tables sorted, zones found.
#[derive(Debug)]
pub(super) struct ReadyStep<'p> {
    at: At,
    on_failure: Option<&'p OnFailure>,
    tool: Tool<'p>,
}

/// What a step does.
#[derive(Debug)]
enum Tool<'p> {
    /// A step whose file has all of it, and the value instead of an empty one.
    Step(Ready<'p>, Value<'p>),
    Coalesce(Vec<ReadyRead<'p>>),
    Concat(Vec<ReadyPiece<'p>>),
    /// The field with the country, and the country if it is empty.
    PhoneIn(ReadyRead<'p>, Option<&'p str>),
    /// The field with the zone, and the zone if it is empty.
    LocalIn(ReadyRead<'p>, Option<&'p str>),
    /// To the day of the run, or to that of a field.
    Elapsed(CalendarUnit, Option<ReadyRead<'p>>),
    Map(Table<'p>),
    Labels {
        separator: &'p str,
        entries: &'p [(i64, String)],
        sorted: bool,
    },
    Lookup(ReadyColumn<'p>),
    Link(Option<&'p TableOf>),
    Midnight,
    Not,
}

impl<'p> ReadyStep<'p> {
    pub(super) fn new(step: &'p Step) -> Result<ReadyStep<'p>, EvalError> {
        let tool = match &step.op {
            Op::Step(operation) => {
                let ready = operation.ready().map_err(|why| EvalError::new(step.at, why.0))?;
                Tool::Step(ready, operation.instead_of_empty().map_or(Value::Null, Value::of))
            }
            Op::Coalesce(reads) => Tool::Coalesce(reads.iter().map(ReadyRead::new).collect::<Result<_, _>>()?),
            Op::Concat(pieces) => Tool::Concat(pieces.iter().map(ReadyPiece::new).collect::<Result<_, _>>()?),
            Op::PhoneIn(phone) => Tool::PhoneIn(ReadyRead::new(&phone.country)?, phone.otherwise.as_deref()),
            Op::LocalIn(local) => Tool::LocalIn(ReadyRead::new(&local.zone)?, local.otherwise.as_deref()),
            Op::Elapsed(Elapsed { unit, until }) => Tool::Elapsed(
                *unit,
                match until {
                    Until::Today => None,
                    Until::Field(read) => Some(ReadyRead::new(read)?),
                },
            ),
            Op::Map(replacement) => Tool::Map(Table::new(replacement)?),
            Op::Lookup(lookup) => Tool::Lookup(ReadyColumn::new(lookup, step.at)?),
            Op::Labels { separator, entries, sorted } => Tool::Labels { separator, entries, sorted: *sorted },
            Op::Link { table, .. } => Tool::Link(table.as_ref()),
            Op::Midnight => Tool::Midnight,
            Op::Not => Tool::Not,
        };
        Ok(ReadyStep { at: step.at, on_failure: step.on_failure.as_ref(), tool })
    }

    /// Every table of the step.
    pub(super) fn tables_mut(&mut self, each: &mut dyn FnMut(&mut Table<'p>)) {
        match &mut self.tool {
            Tool::Map(table) => each(table),
            Tool::Coalesce(reads) => reads.iter_mut().for_each(|read| read.tables_mut(each)),
            Tool::PhoneIn(read, _) | Tool::LocalIn(read, _) | Tool::Elapsed(_, Some(read)) => {
                read.tables_mut(each);
            }
            Tool::Concat(pieces) => {
                pieces.iter_mut().filter_map(ReadyPiece::read_mut).for_each(|read| read.tables_mut(each));
            }
            Tool::Step(..)
            | Tool::Lookup(_)
            | Tool::Elapsed(_, None)
            | Tool::Labels { .. }
            | Tool::Link(_)
            | Tool::Midnight
            | Tool::Not => {}
        }
    }

    pub(super) fn run<'a>(&self, value: Value<'a>, slots: &[Value<'a>], now: Instant) -> Result<Value<'a>, Fault>
    where
        'p: 'a,
    {
        let on_failure = match self.on_failure {
            // Only a step that can fail may need its input again.
            None => {
                return self
                    .apply(value, slots, now)?
                    .map(or_none)
                    .map_err(|Failed(why)| Fault::new("D903", self.at, format!("{why}; its schema promised otherwise")));
            }
            Some(on_failure) => on_failure,
        };
        let kept = if matches!(on_failure, OnFailure::Keep) { value.clone() } else { Value::Null };
        match self.apply(value, slots, now)? {
            Ok(value) => Ok(or_none(value)),
            Err(Failed(why)) => match on_failure {
                OnFailure::Null => Ok(Value::Null),
                OnFailure::Default(constant) => Ok(Value::of(constant)),
                OnFailure::Keep => Ok(kept),
                OnFailure::Reject => Err(Fault::new("D901", self.at, why)),
            },
        }
    }

    fn apply<'a>(&self, value: Value<'a>, slots: &[Value<'a>], now: Instant) -> Result<Result<Value<'a>, Failed>, Fault>
    where
        'p: 'a,
    {
        // A step leaves an empty value empty, except for those that are there for it.
        if value.is_null() {
            return Ok(Ok(match &self.tool {
                Tool::Step(_, instead) => instead.clone(),
                Tool::Coalesce(reads) => first_of(reads, slots, now, self.at)?,
                Tool::Map(table) => table.apply(&value)?,
                Tool::Concat(_)
                | Tool::PhoneIn(..)
                | Tool::LocalIn(..)
                | Tool::Elapsed(..)
                | Tool::Labels { .. }
                | Tool::Lookup(_)
                | Tool::Link(_)
                | Tool::Midnight
                | Tool::Not => Value::Null,
            }));
        }
        Ok(match (&self.tool, value) {
            (Tool::Step(ready, _), value) => ready.run(value),
            (Tool::Link(Some(table)), value) => Ok(match slots.get(table.slot as usize) {
                Some(Value::Text(name)) if **name != *table.name => Value::Null,
                _ => value,
            }),
            (Tool::Coalesce(_) | Tool::Link(None), value) => Ok(value),
            (Tool::Map(table), value) => Ok(table.apply(&value)?),
            (Tool::Lookup(column), value) => column.find(&[value]).ok_or(NO_ROW),
            (Tool::Concat(pieces), value) => {
                let mut out = value.into_text().unwrap_or_default().into_owned();
                for piece in pieces {
                    piece.append(slots, now, self.at, &mut out)?;
                }
                Ok(Value::Text(Cow::Owned(out)))
            }
            (Tool::PhoneIn(country, otherwise), Value::Text(text)) => {
                let country = country.value(slots, now, self.at)?.into_text();
                phone_in(&text, country.as_deref().or(*otherwise))
            }
            (Tool::LocalIn(zone, otherwise), value) => {
                let zone = zone.value(slots, now, self.at)?.into_text();
                local_in(value, zone.as_deref().or(*otherwise))
            }
            (Tool::Elapsed(unit, until), value) => {
                let until = match until {
                    None => Some(now.date_naive()),
                    Some(read) => match read.value(slots, now, self.at)? {
                        Value::Null => return Ok(Ok(Value::Null)),
                        other => day_of(&other),
                    },
                };
                match (day_of(&value), until) {
                    (Some(from), Some(to)) => Ok(Value::Integer(unit.between(from, to))),
                    _ => Err(Failed("the value is of another type")),
                }
            }
            (Tool::Labels { separator, entries, sorted }, Value::Text(text)) => labels_text(&text, entries, separator, *sorted)
                .map(|text| Value::Text(Cow::Owned(text)))
                .ok_or(Failed("the option set in the schema has no such option")),
            (Tool::Not, Value::Boolean(b)) => Ok(Value::Boolean(!b)),
            (Tool::Midnight, Value::Date(date)) => Ok(Value::Instant(time::midnight(date))),
            (Tool::Midnight, value @ Value::Instant(_)) => Ok(value),
            (Tool::PhoneIn(..) | Tool::Labels { .. } | Tool::Not | Tool::Midnight, _) => Err(Failed("the value is of another type")),
        })
    }
}

/// A text as a value. Text that is empty or only white space is not a value.
pub(super) fn some_text<'a>(text: String) -> Value<'a> {
    or_none(Value::Text(Cow::Owned(text)))
}

/// The result of a step: text that is empty or only white space is not a value, whichever step left it.
fn or_none(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Text(text) if is_blank(&text) => Value::Null,
        value => value,
    }
}
