//! Values of tables, made ready to run.

use super::EvalError;
use super::program::{Fault, ReadyRead};
use crate::plan::{At, Cells, Lookup, LookupBy, LookupTable, OnFailure};
use crate::steps::Failed;
use crate::time::Instant;
use crate::value::Value;

/// No row of a table has the value as its key.
pub(super) const NO_ROW: Failed = Failed("no row of the table has this value as its key");

/// A column of a table, by the keys of its rows.
#[derive(Debug)]
pub(super) struct ReadyColumn<'p> {
    table: &'p LookupTable,
    cells: &'p Cells,
}

impl<'p> ReadyColumn<'p> {
    pub(super) fn new(lookup: &'p Lookup, at: At) -> Result<ReadyColumn<'p>, EvalError> {
        match (&lookup.table, lookup.column()) {
            (Some(table), Some(column)) => Ok(ReadyColumn { table, cells: &column.cells }),
            _ => Err(EvalError::new(at, "the table of this lookup is not in the plan")),
        }
    }

    /// The value of the row with these keys.
    pub(super) fn find<'a>(&self, keys: &[Value<'_>]) -> Option<Value<'a>>
    where
        'p: 'a,
    {
        self.table.find(keys).map(|row| self.cells.value(row))
    }
}

/// A lookup by the values of several fields.
#[derive(Debug)]
pub(super) struct ReadyLookup<'p> {
    at: At,
    column: ReadyColumn<'p>,
    pub(super) keys: Vec<ReadyRead<'p>>,
    on_failure: Option<&'p OnFailure>,
}

impl<'p> ReadyLookup<'p> {
    pub(super) fn new(by: &'p LookupBy) -> Result<ReadyLookup<'p>, EvalError> {
        Ok(ReadyLookup {
            at: by.at,
            column: ReadyColumn::new(&by.lookup, by.at)?,
            keys: by.keys.iter().map(ReadyRead::new).collect::<Result<_, _>>()?,
            on_failure: by.on_failure.as_ref(),
        })
    }

    /// The value for a record. No row has a key that is empty.
    pub(super) fn run<'a>(&self, slots: &[Value<'a>], now: Instant) -> Result<Value<'a>, Fault>
    where
        'p: 'a,
    {
        let keys: Vec<Value<'a>> = self.keys.iter().map(|key| key.value(slots, now, self.at)).collect::<Result<_, _>>()?;
        if let Some(value) = self.column.find(&keys) {
            return Ok(value);
        }
        match self.on_failure {
            Some(OnFailure::Default(constant)) => Ok(Value::of(constant)),
            Some(OnFailure::Null | OnFailure::Keep) => Ok(Value::Null),
            Some(OnFailure::Reject) => Err(Fault::new("D901", self.at, NO_ROW.0)),
            None => Err(Fault::new("D903", self.at, format!("{}; its schema promised otherwise", NO_ROW.0))),
        }
    }
}
