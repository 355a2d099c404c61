//! A plan's programs on one record: pure, no I/O, no clock.
//!
//! [`Evaluator`] makes a flow ready once; [`Evaluator::evaluate`] turns one record's JSON text into a target record, a
//! filtered record, or a rejection that points at the line of the mapping file. Names were resolved to slots at compile
//! time; the only names looked at per record are those of the incoming JSON text.

mod case;
mod decode;
mod due;
mod filter;
mod formula;
mod lookup;
mod number;
mod optout;
mod output;
mod program;
mod programs;
mod steps;
pub mod text;
mod value;

use std::borrow::Cow;

use decode::Decoder;
pub use filter::meets;
pub(crate) use formula::quotient;
pub use optout::{opt_out_value, opted_out};
use output::Layout;
pub use program::{Arm, ArmUse};
use program::{Program, Reason};
pub use programs::{Flat, Programs, in_scope, raw_at, written};
pub use value::compare_constants;

use crate::json;
use crate::plan::{At, Condition, FieldProgram, IngressFlow};
use crate::time::Instant;
pub use crate::value::Value;

/// A plan that cannot be made ready: it was changed by hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {}: {message}", at.line)]
pub struct EvalError {
    /// The node's place.
    pub at: At,
    /// What is wrong with it.
    pub message: String,
}

impl EvalError {
    fn new(at: At, message: impl Into<String>) -> EvalError {
        EvalError { at, message: message.into() }
    }
}

/// A flow made ready to run. Holds scratch space for decoding, so each thread has its own.
#[derive(Debug)]
pub struct Evaluator<'p> {
    flow: &'p IngressFlow,
    decoder: Decoder,
    filter: Option<filter::Ready>,
    /// The filter's answer changes as time passes.
    asks_the_time: bool,
    /// So do values: a `case` depends on the time.
    values_ask_the_time: bool,
    key: Program<'p>,
    fields: Vec<Program<'p>>,
    paths: Vec<String>,
    /// The columns of each field that can have a value although a column is empty.
    columns: Vec<Option<Vec<u32>>>,
    /// Whether there is such a field.
    outlive: bool,
    layout: Layout,
}

/// Until when a result holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValidUntil {
    /// The first instant at which the filter gives another answer for the same record; `None` if it never does.
    pub filter: Option<Instant>,
    /// The first instant at which a condition of a `case` gives another answer; `None` if none ever does.
    pub values: Option<Instant>,
}

/// What became of a record.
#[derive(Debug)]
pub enum Evaluated<'e, 'a> {
    /// It goes to the target.
    Mapped(Mapped<'e, 'a>),
    /// The filter keeps it out.
    Filtered {
        /// The source's primary key.
        source_id: Cow<'a, str>,
    },
    /// It cannot be mapped.
    Rejected(Rejection),
}

/// A target record.
#[derive(Debug)]
pub struct Mapped<'e, 'a> {
    evaluator: &'e Evaluator<'e>,
    /// The source's primary key.
    pub source_id: Cow<'a, str>,
    /// The target's key, as text.
    pub key: Cow<'a, str>,
    values: Vec<Value<'a>>,
    /// The numbers of the fields that are left as they are at the target.
    unchanged: Vec<usize>,
    /// For each value, which of its columns have a value; empty if no field can have one without its columns.
    filled: Vec<Option<u8>>,
}

/// One field of a target record.
#[derive(Clone, Copy, Debug)]
pub struct MappedField<'m, 'a> {
    /// The target's path, dotted.
    pub path: &'m str,
    /// The value.
    pub value: &'m Value<'a>,
    /// Whether the field is left as it is at the target. It has no value then.
    pub unchanged: bool,
    /// Its program in the plan.
    pub program: &'m FieldProgram,
    /// Which of the first seven source columns that it reads have a value, as bits; none if the field has no value without them
    /// (see [`FieldProgram::outlives_its_columns`]).
    pub filled: Option<u8>,
}

impl MappedField<'_, '_> {
    /// The value as the target's API writes it.
    pub fn json(&self) -> String {
        self.value.json()
    }

    /// Appends the value as the target's API writes it.
    pub fn write_json(&self, out: &mut String) {
        self.value.write_json(out);
    }
}

/// Why a record cannot be mapped. The message holds no value of the record: it goes to logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The source's primary key, where it could be read.
    pub source_id: Option<String>,
    /// The diagnostic's code, `D901` to `D905`.
    pub code: &'static str,
    /// The field that has no value: the path of the target, or the name of the source if a source value is wrong.
    pub field: String,
    /// The node of the mapping file.
    pub at: At,
    /// What is wrong.
    pub message: String,
}

impl<'p> Evaluator<'p> {
    /// Makes a flow ready.
    pub fn new(flow: &'p IngressFlow) -> Result<Evaluator<'p>, EvalError> {
        Ok(Evaluator {
            flow,
            decoder: Decoder::new(&flow.source.slots),
            filter: flow.filter.as_ref().map(filter::Ready::new).transpose()?,
            asks_the_time: flow.filter.as_ref().is_some_and(Condition::asks_the_time),
            values_ask_the_time: flow.fields.iter().any(FieldProgram::asks_the_time),
            key: Program::new(&flow.key)?,
            fields: flow.fields.iter().map(Program::new).collect::<Result<_, _>>()?,
            paths: flow.fields.iter().map(|f| f.path.join(".")).collect(),
            columns: flow.fields.iter().map(|f| f.outlives_its_columns().then(|| f.columns())).collect(),
            outlive: flow.fields.iter().any(FieldProgram::outlives_its_columns),
            layout: Layout::new(flow),
        })
    }

    /// Makes a flow ready and counts which arms of its replacements records take.
    pub fn counting(flow: &'p IngressFlow) -> Result<Evaluator<'p>, EvalError> {
        let mut evaluator = Evaluator::new(flow)?;
        evaluator.fields.iter_mut().for_each(Program::count);
        Ok(evaluator)
    }

    /// The arms of the replacements, each with whether a record took it; nothing if they are not counted. A table that
    /// several fields use is in it once for each.
    pub fn arms(&mut self) -> Vec<ArmUse> {
        let mut arms = Vec::new();
        self.fields.iter_mut().for_each(|f| f.arms(&mut arms));
        arms
    }

    /// The flow.
    pub fn flow(&self) -> &'p IngressFlow {
        self.flow
    }

    /// Evaluates one record, given as the JSON text of the source. `now` is the time of the run.
    pub fn evaluate<'a>(&'a self, record: &'a str, now: Instant) -> Evaluated<'a, 'a> {
        match self.decoder.decode(record) {
            Ok(slots) => self.evaluate_slots(&slots, now),
            Err(error) => Evaluated::Rejected(self.undecodable(record, &error)),
        }
    }

    /// Evaluates one record as [`Evaluator::evaluate`] does, and also returns until when the result is valid if the record does not change. Of the
    /// values, only the conditions of a `case` are asked: a value that depends on the day (`years(today)`) is written again by `refresh
    /// daily`, for all records at once.
    pub fn evaluate_until<'a>(&'a self, record: &'a str, now: Instant) -> (Evaluated<'a, 'a>, ValidUntil) {
        match self.decoder.decode(record) {
            Ok(slots) => {
                let timed = self.filter.as_ref().filter(|_| self.asks_the_time);
                let filter = timed.and_then(|filter| filter.next_change(&slots, now));
                let timed = self.fields.iter().filter(|_| self.values_ask_the_time);
                let values = timed.filter_map(|field| field.next_change(&slots, now)).min();
                (self.evaluate_slots(&slots, now), ValidUntil { filter, values })
            }
            Err(error) => (Evaluated::Rejected(self.undecodable(record, &error)), ValidUntil::default()),
        }
    }

    fn evaluate_slots<'a>(&'a self, slots: &[Value<'a>], now: Instant) -> Evaluated<'a, 'a> {
        let source_id = match slots.get(self.flow.source.primary_key as usize) {
            Some(Value::Text(text)) if !text.is_empty() => text.clone(),
            _ => {
                return Evaluated::Rejected(Rejection {
                    source_id: None,
                    code: "D904",
                    field: self.primary_key().to_owned(),
                    at: self.flow.key.at,
                    message: "the record has no primary key".to_owned(),
                });
            }
        };
        if let Some(filter) = &self.filter
            && !filter.holds(slots, now)
        {
            return Evaluated::Filtered { source_id };
        }
        match self.map(slots, now) {
            Ok((key, values, unchanged)) => {
                let of_field = |columns: &Option<Vec<u32>>| columns.as_ref().map(|columns| filled(columns, slots));
                let filled = if self.outlive { self.columns.iter().map(of_field).collect() } else { Vec::new() };
                Evaluated::Mapped(Mapped { evaluator: self, source_id, key, values, unchanged, filled })
            }
            Err((fault, field)) => {
                let Reason { code, at, message } = fault.reason();
                Evaluated::Rejected(Rejection { source_id: Some(source_id.into_owned()), code, field: field.to_owned(), at, message })
            }
        }
    }

    fn primary_key(&self) -> &str {
        self.flow.source.slots.get(self.flow.source.primary_key as usize).map_or("", |s| &s.field)
    }

    #[allow(clippy::type_complexity)]
    fn map<'a>(
        &'a self,
        slots: &[Value<'a>],
        now: Instant,
    ) -> Result<(Cow<'a, str>, Vec<Value<'a>>, Vec<usize>), (program::Fault, &'a str)> {
        let key_name = self.flow.key.path.first().map_or("", String::as_str);
        let key = self.key.run(slots, now).map_err(|fault| (fault, key_name))?;
        let Some(key) = key.and_then(Value::into_text).filter(|k| !k.is_empty()) else {
            let fault = program::Fault::new("D904", self.flow.key.at, "the record has no key");
            return Err((fault, key_name));
        };
        let (mut values, mut unchanged) = (Vec::with_capacity(self.fields.len()), Vec::new());
        for (program, path) in self.fields.iter().zip(&self.paths) {
            let value = program.run(slots, now).map_err(|fault| (fault, path.as_str()))?;
            if value.is_none() {
                unchanged.push(values.len());
            }
            values.push(value.unwrap_or(Value::Null));
        }
        Ok((key, values, unchanged))
    }

    /// The slow path: which value of a record does not match its schema.
    fn undecodable(&self, record: &str, error: &serde_json::Error) -> Rejection {
        // A name that is not a text hides the properties: then those of the repaired record tell the id at least.
        let repaired = json::without_lone_surrogates(record);
        let properties = json::properties(record).or_else(|| json::properties(repaired.as_deref()?)).unwrap_or_default();
        let property = |name: &str| properties.get(name).map(|raw| raw.get());
        let id_slot = self.flow.source.slots.get(self.flow.source.primary_key as usize);
        let source_id = id_slot.and_then(|s| property(&s.wire)).and_then(|raw| serde_json::from_str::<String>(raw).ok());
        let source_id = source_id.filter(|id| !id.is_empty()).map(|id| id.to_lowercase());
        let faulty = self.flow.source.slots.iter().find_map(|s| Some((s, property(&s.wire).filter(|v| !decode::decodes(s.kind, v))?)));
        let (field, at, message) = match faulty {
            Some((slot, value)) if json::without_lone_surrogates(value).is_some() => {
                let message = "the text has half of a surrogate pair, probably an emoji that another program cut; correct it in the source";
                (slot.field.clone(), slot.at, message.to_owned())
            }
            Some((slot, _)) => {
                (slot.field.clone(), slot.at, format!("the value is not {}; pull the schema again", decode::kind_text(slot.kind)))
            }
            None => {
                let (line, column) = (error.line(), error.column());
                (String::new(), self.flow.at, format!("the record is not valid JSON (line {line}, column {column})"))
            }
        };
        Rejection { source_id, code: "D903", field, at, message }
    }
}

/// Which of the first seven columns have a value.
fn filled(columns: &[u32], slots: &[Value<'_>]) -> u8 {
    let bit = |(n, slot): (usize, &u32)| u8::from(slots.get(*slot as usize).is_some_and(|value| !value.is_null())) << n;
    columns.iter().take(7).enumerate().map(bit).sum()
}

impl<'a> Mapped<'_, 'a> {
    /// The fields in the plan's order, without the key.
    pub fn fields(&self) -> impl Iterator<Item = MappedField<'_, 'a>> {
        let evaluator = self.evaluator;
        let (unchanged, filled) = (&self.unchanged, &self.filled);
        self.values.iter().zip(&evaluator.paths).zip(&evaluator.flow.fields).enumerate().map(move |(at, ((value, path), program))| {
            let filled = filled.get(at).copied().flatten();
            MappedField { path, value, unchanged: unchanged.contains(&at), program, filled }
        })
    }

    /// Appends the whole record as one JSON object, nested, the key first. It has no field that is left as it is.
    pub fn write_json(&self, out: &mut String) {
        if !self.unchanged.is_empty() {
            return Layout::without(self.evaluator.flow, &self.unchanged).write(&self.key, &self.values, out);
        }
        self.evaluator.layout.write(&self.key, &self.values, out);
    }
}
