//! The program of one target field, made ready to run: tables sorted for lookup, nothing resolved by name.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;

use super::EvalError;
use super::case::ReadyCase;
use super::filter::ReadyTest;
use super::formula::ReadyFormula;
use super::lookup::ReadyLookup;
use super::number;
use super::steps::{ReadyStep, some_text};
use super::text::fits;
use crate::plan::{At, Const, FieldProgram, Fit, Outcome, Piece, Read, Replacement, Source, Step, Test};
use crate::time::{self, Instant};
use crate::unicode::{is_blank, nfc};
use crate::value::Value;

/// Why a field has no value: the record is rejected. In a box, because it is rare: results are not larger than values then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault(Box<Reason>);

/// The reason of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) code: &'static str,
    pub(super) at: At,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(code: &'static str, at: At, message: impl Into<String>) -> Fault {
        Fault(Box::new(Reason { code, at, message: message.into() }))
    }

    pub(super) fn reason(self) -> Reason {
        *self.0
    }
}

/// What stands for a value or a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Arm {
    /// The case of a value in a replacement.
    Value(Const),
    /// The case of values that meet a comparison.
    Test(Test),
    /// The case of all other values in a replacement.
    Else,
    /// The branch of a `case` or a `when`.
    Branch,
}

/// Whether a case of a replacement or a branch was used.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmUse {
    /// The table, or the branch itself.
    pub at: At,
    /// What it stands for.
    pub what: Arm,
    /// Whether a record took it.
    pub used: bool,
}

/// A read made ready.
#[derive(Debug)]
pub(super) struct ReadyRead<'p> {
    slot: usize,
    replace: Option<Table<'p>>,
    labels: Option<&'p [(i64, String)]>,
    steps: Vec<ReadyStep<'p>>,
}

/// A replacement sorted for lookup by its kind of key.
#[derive(Debug)]
pub(super) struct Table<'p> {
    at: At,
    integers: Vec<(i64, &'p Outcome)>,
    /// The texts in normalization form C.
    texts: Vec<(Cow<'p, str>, &'p Outcome)>,
    /// Decimals, dates and instants: compared one by one.
    others: Vec<(&'p Const, &'p Outcome)>,
    /// For other values; the first one that is true decides.
    tests: Vec<(ReadyTest, &'p Outcome)>,
    no: Option<&'p Outcome>,
    yes: Option<&'p Outcome>,
    null: &'p Outcome,
    otherwise: &'p Outcome,
    replacement: &'p Replacement,
    /// Which outcomes were taken, by their addresses; only while a test counts them.
    taken: Option<RefCell<HashSet<usize>>>,
}

impl<'p> Table<'p> {
    pub(super) fn new(replacement: &'p Replacement) -> Result<Table<'p>, EvalError> {
        let ready = |(test, outcome): &'p (Test, Outcome)| Ok((ReadyTest::new(test, replacement.at)?, outcome));
        let mut table = Table {
            at: replacement.at,
            integers: Vec::new(),
            texts: Vec::new(),
            others: Vec::new(),
            tests: replacement.tests.iter().map(ready).collect::<Result<_, EvalError>>()?,
            no: None,
            yes: None,
            null: &replacement.null,
            otherwise: &replacement.otherwise,
            replacement,
            taken: None,
        };
        for (key, outcome) in &replacement.entries {
            match key {
                Const::Integer(n) => table.integers.push((*n, outcome)),
                Const::Text(text) => table.texts.push((nfc(text), outcome)),
                Const::Boolean(true) => table.yes = Some(outcome),
                Const::Boolean(false) => table.no = Some(outcome),
                Const::Null | Const::Decimal(_) | Const::Date(_) | Const::Instant(_) => table.others.push((key, outcome)),
            }
        }
        table.integers.sort_by_key(|e| e.0);
        table.texts.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(table)
    }

    /// The outcome of a value.
    pub(super) fn apply<'a>(&self, value: &Value<'a>) -> Result<Value<'a>, Fault>
    where
        'p: 'a,
    {
        let outcome = self.outcome(value);
        if let Some(taken) = &self.taken {
            taken.borrow_mut().insert(std::ptr::from_ref(outcome).addr());
        }
        match outcome {
            Outcome::Keep => Ok(value.clone()),
            Outcome::Value(constant) => Ok(Value::of(constant)),
            Outcome::Reject(at) => Err(Fault::new("D902", *at, "the replacement says to reject this value")),
            Outcome::Unknown => Err(Fault::new("D903", self.at, "the option set in the schema has no such option; pull the schema again")),
        }
    }

    /// Begins to count which outcomes are taken.
    pub(super) fn count(&mut self) {
        self.taken = Some(RefCell::default());
    }

    /// The arms that an author wrote, each with whether it was taken.
    pub(super) fn arms(&self, arms: &mut Vec<ArmUse>) {
        let Some(taken) = self.taken.as_ref().filter(|_| !self.replacement.labels) else { return };
        let taken = taken.borrow();
        let mut add = |what: Arm, outcome: &Outcome| {
            let used = taken.contains(&std::ptr::from_ref(outcome).addr());
            arms.push(ArmUse { at: self.at, what, used });
        };
        for (key, outcome) in &self.replacement.entries {
            add(Arm::Value(key.clone()), outcome);
        }
        for (test, outcome) in &self.replacement.tests {
            add(Arm::Test(test.clone()), outcome);
        }
        // A missing arm keeps the value, or cannot be reached.
        if self.replacement.null != Outcome::Keep {
            add(Arm::Value(Const::Null), &self.replacement.null);
        }
        if !matches!(self.replacement.otherwise, Outcome::Keep | Outcome::Unknown) {
            add(Arm::Else, &self.replacement.otherwise);
        }
    }

    fn outcome(&self, value: &Value<'_>) -> &'p Outcome {
        let own = match value {
            Value::Null => Some(self.null),
            Value::Boolean(true) => self.yes,
            Value::Boolean(false) => self.no,
            Value::Integer(n) if !self.integers.is_empty() => {
                self.integers.binary_search_by_key(n, |e| e.0).ok().map(|i| self.integers[i].1)
            }
            Value::Text(text) => {
                let text = nfc(text);
                self.texts.binary_search_by(|e| e.0.as_ref().cmp(text.as_ref())).ok().map(|i| self.texts[i].1)
            }
            Value::Integer(_) | Value::Decimal(_) | Value::Double(_) | Value::Date(_) | Value::Instant(_) | Value::Local(_) => {
                self.others.iter().find(|(key, _)| value.equals(key)).map(|e| e.1)
            }
        };
        // A replacement's comparisons are with constants: neither other fields nor the time matter.
        let holds = |test: &ReadyTest| test.holds(value, &[], Instant::UNIX_EPOCH);
        own.or_else(|| self.tests.iter().find(|(test, _)| holds(test)).map(|(_, outcome)| *outcome)).unwrap_or(self.otherwise)
    }
}

impl<'p> ReadyRead<'p> {
    pub(super) fn new(read: &'p Read) -> Result<ReadyRead<'p>, EvalError> {
        let replace = read.replace.as_ref().map(Table::new).transpose()?;
        let steps = read.steps.iter().map(ReadyStep::new).collect::<Result<_, _>>()?;
        Ok(ReadyRead { slot: read.slot as usize, replace, labels: read.labels.as_deref(), steps })
    }

    /// Its table, and those of its steps.
    pub(super) fn tables_mut(&mut self, each: &mut dyn FnMut(&mut Table<'p>)) {
        if let Some(table) = &mut self.replace {
            each(table);
        }
        for step in &mut self.steps {
            step.tables_mut(each);
        }
    }

    pub(super) fn value<'a>(&self, slots: &[Value<'a>], now: Instant, at: At) -> Result<Value<'a>, Fault>
    where
        'p: 'a,
    {
        let mut value = self.read(slots, at)?;
        for step in &self.steps {
            value = step.run(value, slots, now)?;
        }
        Ok(value)
    }

    fn read<'a>(&self, slots: &[Value<'a>], at: At) -> Result<Value<'a>, Fault>
    where
        'p: 'a,
    {
        let value = slots.get(self.slot).unwrap_or(&Value::Null);
        if let Some(table) = &self.replace {
            return table.apply(value);
        }
        if let (Some(labels), Value::Text(text)) = (self.labels, value) {
            return match labels_text(text, labels, "; ", false) {
                Some(text) => Ok(some_text(text)),
                None => Err(Fault::new("D903", at, "the option set in the schema has no such option; pull the schema again")),
            };
        }
        Ok(value.clone())
    }
}

#[derive(Debug)]
enum ReadySource<'p> {
    Field(ReadyRead<'p>),
    Constant(&'p Const),
    Template(Vec<ReadyPiece<'p>>),
    Coalesce(Vec<ReadyRead<'p>>),
    Join(&'p str, Vec<ReadyRead<'p>>),
    Case(ReadyCase<'p>),
    Formula(ReadyFormula<'p>),
    Lookup(ReadyLookup<'p>),
}

#[derive(Debug)]
pub(super) enum ReadyPiece<'p> {
    Text(&'p str),
    Field(Box<ReadyRead<'p>>),
}

impl<'p> ReadyPiece<'p> {
    pub(super) fn new(piece: &'p Piece) -> Result<ReadyPiece<'p>, EvalError> {
        Ok(match piece {
            Piece::Text(text) => ReadyPiece::Text(text),
            Piece::Field(read) => ReadyPiece::Field(Box::new(ReadyRead::new(read)?)),
        })
    }

    pub(super) fn read_mut(&mut self) -> Option<&mut ReadyRead<'p>> {
        match self {
            ReadyPiece::Text(_) => None,
            ReadyPiece::Field(read) => Some(read),
        }
    }

    /// Appends the piece; whether it is a field that has a value.
    pub(super) fn append(&self, slots: &[Value<'_>], now: Instant, at: At, out: &mut String) -> Result<bool, Fault> {
        match self {
            ReadyPiece::Text(text) => out.push_str(text),
            ReadyPiece::Field(read) => {
                if let Some(text) = read.value(slots, now, at)?.into_text() {
                    out.push_str(&text);
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// A source with its steps, made ready.
#[derive(Debug)]
pub(super) struct Piped<'p> {
    at: At,
    source: ReadySource<'p>,
    steps: Vec<ReadyStep<'p>>,
}

/// A field's program made ready.
#[derive(Debug)]
pub(super) struct Program<'p> {
    at: At,
    piped: Piped<'p>,
    fit: &'p Fit,
    /// An empty value leaves the target as it is.
    present: bool,
}

impl<'p> Piped<'p> {
    pub(super) fn new(at: At, source: &'p Source, steps: &'p [Step]) -> Result<Piped<'p>, EvalError> {
        let source = match source {
            Source::Field(read) => ReadySource::Field(ReadyRead::new(read)?),
            Source::Constant(constant) => ReadySource::Constant(constant),
            Source::Template(pieces) => ReadySource::Template(pieces.iter().map(ReadyPiece::new).collect::<Result<_, _>>()?),
            Source::Coalesce(reads) => ReadySource::Coalesce(reads.iter().map(ReadyRead::new).collect::<Result<_, _>>()?),
            Source::Join { separator, reads } => ReadySource::Join(separator, reads.iter().map(ReadyRead::new).collect::<Result<_, _>>()?),
            Source::Case(branches) => ReadySource::Case(ReadyCase::new(branches)?),
            Source::Formula(formula) => ReadySource::Formula(ReadyFormula::new(formula)?),
            Source::Lookup(by) => ReadySource::Lookup(ReadyLookup::new(by)?),
        };
        let steps = steps.iter().map(ReadyStep::new).collect::<Result<_, _>>()?;
        Ok(Piped { at, source, steps })
    }

    /// Every table of the source and the steps, but for those within a `case`.
    fn own_tables_mut(&mut self, each: &mut dyn FnMut(&mut Table<'p>)) {
        let of_reads = |reads: &mut [ReadyRead<'p>], each: &mut dyn FnMut(&mut Table<'p>)| {
            reads.iter_mut().for_each(|read| read.tables_mut(each));
        };
        match &mut self.source {
            ReadySource::Field(read) => of_reads(std::slice::from_mut(read), each),
            ReadySource::Constant(_) | ReadySource::Case(_) => {}
            ReadySource::Template(pieces) => {
                pieces.iter_mut().filter_map(ReadyPiece::read_mut).for_each(|r| of_reads(std::slice::from_mut(r), each))
            }
            ReadySource::Coalesce(reads) | ReadySource::Join(_, reads) => of_reads(reads, each),
            ReadySource::Formula(formula) => formula.tables_mut(each),
            ReadySource::Lookup(lookup) => of_reads(&mut lookup.keys, each),
        }
        for step in &mut self.steps {
            step.tables_mut(each);
        }
    }

    /// Begins to count which cases and branches are taken.
    pub(super) fn count(&mut self) {
        self.own_tables_mut(&mut |table| table.count());
        if let ReadySource::Case(case) = &mut self.source {
            case.count();
        }
    }

    /// The cases and branches that an author wrote, each with whether it was taken.
    pub(super) fn arms(&mut self, arms: &mut Vec<ArmUse>) {
        self.own_tables_mut(&mut |table| table.arms(arms));
        if let ReadySource::Case(case) = &mut self.source {
            case.arms(arms);
        }
    }

    /// The first instant after `now` at which a condition in it changes its answer for a record.
    pub(super) fn next_change(&self, slots: &[Value<'_>], now: Instant) -> Option<Instant> {
        match &self.source {
            ReadySource::Case(case) => case.next_change(slots, now),
            ReadySource::Field(_)
            | ReadySource::Constant(_)
            | ReadySource::Template(_)
            | ReadySource::Coalesce(_)
            | ReadySource::Join(..)
            | ReadySource::Formula(_)
            | ReadySource::Lookup(_) => None,
        }
    }

    /// The value for a record; `None` if the target is left as it is.
    pub(super) fn run<'a>(&self, slots: &[Value<'a>], now: Instant) -> Result<Option<Value<'a>>, Fault>
    where
        'p: 'a,
    {
        let mut value = match &self.source {
            ReadySource::Field(read) => read.value(slots, now, self.at)?,
            ReadySource::Constant(constant) => Value::of(constant),
            ReadySource::Template(pieces) => self.template(pieces, slots, now)?,
            ReadySource::Coalesce(reads) => first_of(reads, slots, now, self.at)?,
            ReadySource::Join(separator, reads) => self.join(separator, reads, slots, now)?,
            ReadySource::Case(case) => match case.run(slots, now)? {
                Some(value) => value,
                None => return Ok(None),
            },
            ReadySource::Formula(formula) => formula.run(slots, now, self.at)?,
            ReadySource::Lookup(lookup) => lookup.run(slots, now)?,
        };
        for step in &self.steps {
            value = step.run(value, slots, now)?;
        }
        Ok(Some(value))
    }

    /// Empty fields add nothing; if all are missing, so is the whole.
    fn template<'a>(&self, pieces: &[ReadyPiece<'p>], slots: &[Value<'a>], now: Instant) -> Result<Value<'a>, Fault>
    where
        'p: 'a,
    {
        let mut out = String::with_capacity(64);
        let mut any = false;
        for piece in pieces {
            any |= piece.append(slots, now, self.at, &mut out)?;
        }
        Ok(if any { Value::Text(Cow::Owned(out)) } else { Value::Null })
    }

    /// The fields that have a value.
    fn join<'a>(&self, separator: &str, reads: &[ReadyRead<'p>], slots: &[Value<'a>], now: Instant) -> Result<Value<'a>, Fault>
    where
        'p: 'a,
    {
        let mut texts = Vec::with_capacity(reads.len());
        for read in reads {
            texts.extend(read.value(slots, now, self.at)?.into_text());
        }
        Ok(if texts.is_empty() { Value::Null } else { Value::Text(Cow::Owned(texts.join(separator))) })
    }
}

impl<'p> Program<'p> {
    pub(super) fn new(field: &'p FieldProgram) -> Result<Program<'p>, EvalError> {
        Ok(Program { at: field.at, piped: Piped::new(field.at, &field.source, &field.steps)?, fit: &field.fit, present: field.present })
    }

    /// Begins to count which cases and branches are taken.
    pub(super) fn count(&mut self) {
        self.piped.count();
    }

    /// The cases and branches that an author wrote, each with whether it was taken.
    pub(super) fn arms(&mut self, arms: &mut Vec<ArmUse>) {
        self.piped.arms(arms);
    }

    /// The first instant after `now` at which a condition in the program changes its answer for a record.
    pub(super) fn next_change(&self, slots: &[Value<'_>], now: Instant) -> Option<Instant> {
        self.piped.next_change(slots, now)
    }

    /// The field's value for a record; `None` if the target is left as it is.
    pub(super) fn run<'a>(&self, slots: &[Value<'a>], now: Instant) -> Result<Option<Value<'a>>, Fault>
    where
        'p: 'a,
    {
        let Some(mut value) = self.piped.run(slots, now)? else { return Ok(None) };
        if self.present && value.is_null() {
            return Ok(None);
        }
        // A day is possible where days and instants meet: a default, the first of several fields.
        if let (Fit::Instant, Value::Date(date)) = (self.fit, &value) {
            value = Value::Instant(time::midnight(*date));
        }
        self.check(&value)?;
        Ok(Some(value))
    }

    /// Checks again what the checker has proved, because a record can violate its schema.
    fn check(&self, value: &Value<'_>) -> Result<(), Fault> {
        let fits = match (self.fit, value) {
            (_, Value::Null) => true,
            (Fit::Text { max }, Value::Text(text)) => {
                if let Some(max) = max
                    && !fits(text, *max)
                {
                    let length = text.encode_utf16().count();
                    return Err(Fault::new(
                        "D905",
                        self.at,
                        format!("the text has {length} characters, {max} fit; its schema promised fewer"),
                    ));
                }
                true
            }
            (Fit::Enumeration(names), Value::Text(text)) => names.iter().any(|n| n == text),
            (Fit::Boolean, Value::Boolean(_)) | (Fit::Date, Value::Date(_)) | (Fit::Instant, Value::Instant(_)) => true,
            (Fit::Integer { min, max }, Value::Integer(n)) => min <= n && n <= max,
            (Fit::Integer { min, max }, Value::Decimal(d)) => {
                d.is_integer() && rust_decimal::Decimal::from(*min) <= *d && *d <= rust_decimal::Decimal::from(*max)
            }
            (Fit::Decimal { min, max, .. }, Value::Integer(n)) => {
                *min <= rust_decimal::Decimal::from(*n) && rust_decimal::Decimal::from(*n) <= *max
            }
            (Fit::Decimal { scale, min, max }, Value::Decimal(d)) => {
                (d.scale() <= *scale || number::normalized(*d).scale() <= *scale) && number::within(*d, *min, *max)
            }
            (Fit::Double, Value::Double(_) | Value::Integer(_) | Value::Decimal(_)) => true,
            (Fit::Options(options), Value::Integer(n)) => options.contains(n),
            (Fit::Link { .. }, Value::Text(_)) => true,
            (
                Fit::Boolean
                | Fit::Integer { .. }
                | Fit::Decimal { .. }
                | Fit::Double
                | Fit::Text { .. }
                | Fit::Date
                | Fit::Instant
                | Fit::Enumeration(_)
                | Fit::Options(_)
                | Fit::Link { .. },
                _,
            ) => false,
        };
        if fits {
            Ok(())
        } else {
            Err(Fault::new("D905", self.at, "the value is outside what the target admits; its schema promised otherwise"))
        }
    }
}

/// The labels of several options, given as `1,9`, in that order or in that of `labels`; `None` if one is unknown.
pub(super) fn labels_text(numbers: &str, labels: &[(i64, String)], separator: &str, sorted: bool) -> Option<String> {
    let place = |number: &str| {
        let number: i64 = number.trim().parse().ok()?;
        labels.iter().position(|(n, _)| *n == number)
    };
    let mut places = numbers.split(',').map(place).collect::<Option<Vec<_>>>()?;
    if sorted {
        places.sort_unstable();
    }
    // An option without a label adds nothing.
    Some(places.into_iter().map(|at| labels[at].1.as_str()).filter(|l| !is_blank(l)).collect::<Vec<_>>().join(separator))
}

/// The first of several fields that has a value.
pub(super) fn first_of<'a, 'p: 'a>(reads: &[ReadyRead<'p>], slots: &[Value<'a>], now: Instant, at: At) -> Result<Value<'a>, Fault> {
    for read in reads {
        let value = read.value(slots, now, at)?;
        if !value.is_null() {
            return Ok(value);
        }
    }
    Ok(Value::Null)
}
