//! The program of one target field, made ready to run: tables sorted for look-up, nothing resolved by name.

use std::borrow::Cow;

use super::number;
use super::text::{fits, lower, truncate, upper};
use super::value::Value;
use crate::plan::{At, Const, DatePart, FieldProgram, Fit, OnFailure, Op, Outcome, Piece, Read, Replacement, Source, Step};
use crate::time;

/// Why a field has no value: the record is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) at: At,
    pub(super) message: String,
}

impl Fault {
    fn new(code: &'static str, at: At, message: impl Into<String>) -> Fault {
        Fault { code, at, message: message.into() }
    }
}

/// A read made ready.
#[derive(Debug)]
struct ReadyRead<'p> {
    slot: usize,
    replace: Option<Table<'p>>,
    labels: Option<&'p [(i64, String)]>,
}

/// A replacement sorted for look-up by its kind of key.
#[derive(Debug)]
struct Table<'p> {
    at: At,
    integers: Vec<(i64, &'p Outcome)>,
    texts: Vec<(&'p str, &'p Outcome)>,
    /// Decimals, dates and instants: compared one by one.
    others: Vec<(&'p Const, &'p Outcome)>,
    no: Option<&'p Outcome>,
    yes: Option<&'p Outcome>,
    null: &'p Outcome,
    otherwise: &'p Outcome,
}

impl<'p> Table<'p> {
    fn new(replacement: &'p Replacement) -> Table<'p> {
        let mut table = Table {
            at: replacement.at,
            integers: Vec::new(),
            texts: Vec::new(),
            others: Vec::new(),
            no: None,
            yes: None,
            null: &replacement.null,
            otherwise: &replacement.otherwise,
        };
        for (key, outcome) in &replacement.entries {
            match key {
                Const::Integer(n) => table.integers.push((*n, outcome)),
                Const::Text(text) => table.texts.push((text, outcome)),
                Const::Boolean(true) => table.yes = Some(outcome),
                Const::Boolean(false) => table.no = Some(outcome),
                Const::Null | Const::Decimal(_) | Const::Date(_) | Const::Instant(_) => table.others.push((key, outcome)),
            }
        }
        table.integers.sort_by_key(|e| e.0);
        table.texts.sort_by_key(|e| e.0);
        table
    }

    fn outcome(&self, value: &Value<'_>) -> &'p Outcome {
        match value {
            Value::Null => self.null,
            Value::Boolean(true) => self.yes.unwrap_or(self.otherwise),
            Value::Boolean(false) => self.no.unwrap_or(self.otherwise),
            Value::Integer(n) if !self.integers.is_empty() => {
                self.integers.binary_search_by_key(n, |e| e.0).map_or(self.otherwise, |i| self.integers[i].1)
            }
            Value::Text(text) => self.texts.binary_search_by(|e| e.0.cmp(text)).map_or(self.otherwise, |i| self.texts[i].1),
            Value::Integer(_) | Value::Decimal(_) | Value::Double(_) | Value::Date(_) | Value::Instant(_) | Value::Local(_) => {
                self.others.iter().find(|(key, _)| value.equals(key)).map_or(self.otherwise, |e| e.1)
            }
        }
    }
}

impl<'p> ReadyRead<'p> {
    fn new(read: &'p Read) -> ReadyRead<'p> {
        ReadyRead { slot: read.slot as usize, replace: read.replace.as_ref().map(Table::new), labels: read.labels.as_deref() }
    }

    fn value<'a>(&self, slots: &[Value<'a>], at: At) -> Result<Value<'a>, Fault>
    where
        'p: 'a,
    {
        let value = slots.get(self.slot).unwrap_or(&Value::Null);
        if let Some(table) = &self.replace {
            return match table.outcome(value) {
                Outcome::Keep => Ok(value.clone()),
                Outcome::Value(constant) => Ok(Value::of(constant)),
                Outcome::Reject(at) => Err(Fault::new("D902", *at, "the replacement says to reject this value")),
                Outcome::Unknown => {
                    Err(Fault::new("D903", table.at, "the option set in the schema has no such option; pull the schema again"))
                }
            };
        }
        if let (Some(labels), Value::Text(text)) = (self.labels, value) {
            let label = |number: &str| {
                let number: i64 = number.trim().parse().ok()?;
                labels.iter().find(|(n, _)| *n == number).map(|(_, label)| label.as_str())
            };
            let joined = text.split(',').map(label).collect::<Option<Vec<_>>>().map(|l| l.join("; "));
            return match joined {
                Some(text) => Ok(Value::Text(Cow::Owned(text))),
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
}

#[derive(Debug)]
enum ReadyPiece<'p> {
    Text(&'p str),
    Field(ReadyRead<'p>),
}

#[derive(Debug)]
struct ReadyStep<'p> {
    step: &'p Step,
    /// Of [`Op::Coalesce`].
    reads: Vec<ReadyRead<'p>>,
}

/// A field's program made ready.
#[derive(Debug)]
pub(super) struct Program<'p> {
    at: At,
    source: ReadySource<'p>,
    steps: Vec<ReadyStep<'p>>,
    fit: &'p Fit,
}

impl<'p> Program<'p> {
    pub(super) fn new(field: &'p FieldProgram) -> Program<'p> {
        let source = match &field.source {
            Source::Field(read) => ReadySource::Field(ReadyRead::new(read)),
            Source::Constant(constant) => ReadySource::Constant(constant),
            Source::Template(pieces) => ReadySource::Template(
                pieces
                    .iter()
                    .map(|p| match p {
                        Piece::Text(text) => ReadyPiece::Text(text),
                        Piece::Field(read) => ReadyPiece::Field(ReadyRead::new(read)),
                    })
                    .collect(),
            ),
            Source::Coalesce(reads) => ReadySource::Coalesce(reads.iter().map(ReadyRead::new).collect()),
        };
        let steps = field
            .steps
            .iter()
            .map(|step| {
                let reads = match &step.op {
                    Op::Coalesce(reads) => reads.iter().map(ReadyRead::new).collect(),
                    Op::Trim
                    | Op::Lower
                    | Op::Upper
                    | Op::Truncate(_)
                    | Op::Default(_)
                    | Op::Round { .. }
                    | Op::ParseDate(_)
                    | Op::DayOfInstant
                    | Op::Midnight
                    | Op::ToText => Vec::new(),
                };
                ReadyStep { step, reads }
            })
            .collect();
        Program { at: field.at, source, steps, fit: &field.fit }
    }

    /// The field's value for a record.
    pub(super) fn run<'a>(&self, slots: &[Value<'a>]) -> Result<Value<'a>, Fault>
    where
        'p: 'a,
    {
        let mut value = match &self.source {
            ReadySource::Field(read) => read.value(slots, self.at)?,
            ReadySource::Constant(constant) => Value::of(constant),
            ReadySource::Template(pieces) => self.template(pieces, slots)?,
            ReadySource::Coalesce(reads) => first_of(reads, slots, self.at)?,
        };
        for step in &self.steps {
            value = step.run(value, slots)?;
        }
        // A day may stand where days and instants meet: a default, the first of several fields.
        if let (Fit::Instant, Value::Date(date)) = (self.fit, &value) {
            value = Value::Instant(time::midnight(*date));
        }
        self.check(&value)?;
        Ok(value)
    }

    /// Missing fields leave nothing; where all are missing, so is the whole.
    fn template<'a>(&self, pieces: &[ReadyPiece<'p>], slots: &[Value<'a>]) -> Result<Value<'a>, Fault>
    where
        'p: 'a,
    {
        let mut out = String::with_capacity(64);
        let mut any = false;
        for piece in pieces {
            match piece {
                ReadyPiece::Text(text) => out.push_str(text),
                ReadyPiece::Field(read) => {
                    if let Some(text) = read.value(slots, self.at)?.into_text() {
                        any = true;
                        out.push_str(&text);
                    }
                }
            }
        }
        Ok(if any { Value::Text(Cow::Owned(out)) } else { Value::Null })
    }

    /// What the checker has proved, checked once more: a record may break its own schema.
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
            (Fit::Decimal { scale, min, max }, Value::Decimal(d)) => d.normalize().scale() <= *scale && min <= d && d <= max,
            (Fit::Double, Value::Double(_) | Value::Integer(_) | Value::Decimal(_)) => true,
            (
                Fit::Boolean
                | Fit::Integer { .. }
                | Fit::Decimal { .. }
                | Fit::Double
                | Fit::Text { .. }
                | Fit::Date
                | Fit::Instant
                | Fit::Enumeration(_),
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

fn first_of<'a, 'p: 'a>(reads: &[ReadyRead<'p>], slots: &[Value<'a>], at: At) -> Result<Value<'a>, Fault> {
    for read in reads {
        let value = read.value(slots, at)?;
        if !value.is_null() {
            return Ok(value);
        }
    }
    Ok(Value::Null)
}

/// A step did not work on this value.
struct Failed(&'static str);

impl<'p> ReadyStep<'p> {
    fn run<'a>(&self, value: Value<'a>, slots: &[Value<'a>]) -> Result<Value<'a>, Fault>
    where
        'p: 'a,
    {
        let on_failure = match &self.step.on_failure {
            // Only a step that can fail may need its input again.
            None => {
                return self
                    .apply(value, slots)?
                    .map_err(|Failed(why)| Fault::new("D903", self.step.at, format!("{why}; its schema promised otherwise")));
            }
            Some(on_failure) => on_failure,
        };
        match self.apply(value.clone(), slots)? {
            Ok(value) => Ok(value),
            Err(Failed(why)) => match on_failure {
                OnFailure::Null => Ok(Value::Null),
                OnFailure::Default(constant) => Ok(Value::of(constant)),
                OnFailure::Keep => Ok(value),
                OnFailure::Reject => Err(Fault::new("D901", self.step.at, why)),
            },
        }
    }

    fn apply<'a>(&self, value: Value<'a>, slots: &[Value<'a>]) -> Result<Result<Value<'a>, Failed>, Fault>
    where
        'p: 'a,
    {
        if value.is_null() {
            return Ok(Ok(match &self.step.op {
                Op::Default(constant) => Value::of(constant),
                Op::Coalesce(_) => first_of(&self.reads, slots, self.step.at)?,
                Op::Trim
                | Op::Lower
                | Op::Upper
                | Op::Truncate(_)
                | Op::Round { .. }
                | Op::ParseDate(_)
                | Op::DayOfInstant
                | Op::Midnight
                | Op::ToText => Value::Null,
            }));
        }
        Ok(match (&self.step.op, value) {
            (Op::Default(_) | Op::Coalesce(_), value) => Ok(value),
            (Op::Trim, Value::Text(text)) => Ok(Value::Text(on_text(text, |t| Cow::Borrowed(t.trim())))),
            (Op::Lower, Value::Text(text)) => Ok(Value::Text(on_text(text, lower))),
            (Op::Upper, Value::Text(text)) => Ok(Value::Text(on_text(text, upper))),
            (Op::Truncate(units), Value::Text(text)) => Ok(Value::Text(on_text(text, |t| Cow::Borrowed(truncate(t, *units))))),
            (Op::Round { scale, bounds }, value) => round(value, *scale, bounds.as_ref()),
            (Op::ParseDate(parts), Value::Text(text)) => {
                parse_date(&text, parts).map(Value::Date).ok_or(Failed("the text is not a date of this pattern"))
            }
            (Op::DayOfInstant, Value::Instant(instant)) => Ok(Value::Date(instant.date_naive())),
            (Op::DayOfInstant, Value::Local(local)) => Ok(Value::Date(local.date())),
            (Op::DayOfInstant, Value::Date(date)) => Ok(Value::Date(date)),
            (Op::Midnight, Value::Date(date)) => Ok(Value::Instant(time::midnight(date))),
            (Op::Midnight, value @ Value::Instant(_)) => Ok(value),
            (Op::ToText, value) => value.into_text().map(Value::Text).ok_or(Failed("there is no value")),
            (Op::Trim | Op::Lower | Op::Upper | Op::Truncate(_) | Op::ParseDate(_) | Op::DayOfInstant | Op::Midnight, _) => {
                Err(Failed("the value is of another type"))
            }
        })
    }
}

/// Applies an operation without copying what is borrowed.
fn on_text<'a>(text: Cow<'a, str>, operation: impl for<'t> FnOnce(&'t str) -> Cow<'t, str>) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => operation(text),
        Cow::Owned(text) => match operation(&text) {
            Cow::Borrowed(part) if part.len() == text.len() => Cow::Owned(text),
            other => Cow::Owned(other.into_owned()),
        },
    }
}

fn round<'a>(value: Value<'a>, scale: u32, bounds: Option<&(rust_decimal::Decimal, rust_decimal::Decimal)>) -> Result<Value<'a>, Failed> {
    let exact = match value {
        Value::Decimal(d) => d,
        Value::Integer(n) => n.into(),
        Value::Double(d) => rust_decimal::Decimal::try_from(d).map_err(|_| Failed("the number is too large"))?,
        Value::Null | Value::Boolean(_) | Value::Text(_) | Value::Date(_) | Value::Instant(_) | Value::Local(_) => {
            return Err(Failed("the value is no number"));
        }
    };
    let rounded = number::round(exact, scale);
    match bounds {
        Some((low, high)) if rounded < *low || *high < rounded => Err(Failed("the number is outside what the target holds")),
        _ => Ok(Value::Decimal(rounded)),
    }
}

/// Reads a day by a pattern; the whole text must follow it.
fn parse_date(text: &str, parts: &[DatePart]) -> Option<time::Date> {
    let (mut year, mut month, mut day) = (0, 0, 0);
    let mut rest = text;
    let number = |rest: &mut &str, least: usize, most: usize| -> Option<u32> {
        let digits = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        (digits >= least).then_some(())?;
        let (head, tail) = rest.split_at(digits);
        *rest = tail;
        head.parse().ok()
    };
    for part in parts {
        match part {
            DatePart::Year => year = number(&mut rest, 4, 4)?,
            DatePart::Month => month = number(&mut rest, 2, 2)?,
            DatePart::MonthShort => month = number(&mut rest, 1, 2)?,
            DatePart::Day => day = number(&mut rest, 2, 2)?,
            DatePart::DayShort => day = number(&mut rest, 1, 2)?,
            DatePart::Text(expected) => rest = rest.strip_prefix(expected.as_str())?,
        }
    }
    rest.is_empty().then_some(())?;
    time::Date::from_ymd_opt(i32::try_from(year).ok()?, month, day)
}
