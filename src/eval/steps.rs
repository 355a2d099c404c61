//! The steps of a pipeline on one value.

use std::borrow::Cow;
use std::fmt::Write;

use regex::Regex;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use sha2::Digest;

use super::EvalError;
use super::moment::{format_date, parse_date, parse_moment, time_zone, zoned};
use super::number;
use super::program::{Fault, ReadyPiece, ReadyRead, Table, first_of, labels_text};
use super::value::Value;
use crate::plan::{OnFailure, Op, Step};
use crate::steps::{lower, pad, piece, replace, substring, truncate};
use crate::time;
use crate::unicode::{is_blank, nfc};

/// A step made ready: expressions compiled, tables sorted, zones found.
#[derive(Debug)]
pub(super) struct ReadyStep<'p> {
    step: &'p Step,
    tool: Tool<'p>,
}

/// What a step needs beside its own description.
#[derive(Debug)]
enum Tool<'p> {
    None,
    Reads(Vec<ReadyRead<'p>>),
    Pieces(Vec<ReadyPiece<'p>>),
    Table(Table<'p>),
    Pattern(Regex),
    Zone(chrono_tz::Tz),
    Region(Option<phonenumber::country::Id>),
}

/// A step did not work on this value.
pub(super) struct Failed(pub(super) &'static str);

/// The country of an ISO 3166-1 alpha-2 code, where its phone numbers are known.
pub fn phone_region(code: &str) -> Option<phonenumber::country::Id> {
    code.parse().ok()
}

impl<'p> ReadyStep<'p> {
    pub(super) fn new(step: &'p Step) -> Result<ReadyStep<'p>, EvalError> {
        let damaged = |what: &str| EvalError::new(step.at, what.to_owned());
        let tool = match &step.op {
            Op::Coalesce(reads) => Tool::Reads(reads.iter().map(ReadyRead::new).collect()),
            Op::Concat(pieces) => Tool::Pieces(pieces.iter().map(ReadyPiece::new).collect()),
            Op::Map(replacement) => Tool::Table(Table::new(replacement)),
            Op::Matches(pattern) => Tool::Pattern(Regex::new(&nfc(pattern)).map_err(|e| damaged(&e.to_string()))?),
            Op::Zoned { zone, .. } | Op::DayOfInstant { zone: Some(zone) } | Op::FormatDate { zone: Some(zone), .. } => {
                Tool::Zone(time_zone(zone).ok_or_else(|| damaged("an unknown time zone"))?)
            }
            Op::Phone { region } => Tool::Region(match region {
                Some(code) => Some(phone_region(code).ok_or_else(|| damaged("an unknown country"))?),
                None => None,
            }),
            Op::Text(_)
            | Op::Truncate(_)
            | Op::Default(_)
            | Op::Round { .. }
            | Op::ParseDate(_)
            | Op::DayOfInstant { zone: None }
            | Op::Midnight
            | Op::ToText
            | Op::Pad { .. }
            | Op::ReplaceText { .. }
            | Op::Email
            | Op::FormatDate { zone: None, .. }
            | Op::ParseNumber { .. }
            | Op::ToInteger { .. }
            | Op::ToBoolean
            | Op::Substring { .. }
            | Op::Split { .. }
            | Op::Join { .. }
            | Op::Labels { .. }
            | Op::Sha256
            | Op::Not
            | Op::Link { .. } => Tool::None,
        };
        Ok(ReadyStep { step, tool })
    }

    /// Every table of the step.
    pub(super) fn tables_mut(&mut self, each: &mut dyn FnMut(&mut Table<'p>)) {
        match &mut self.tool {
            Tool::Table(table) => each(table),
            Tool::Reads(reads) => reads.iter_mut().filter_map(|r| r.replace.as_mut()).for_each(each),
            Tool::Pieces(pieces) => {
                pieces.iter_mut().filter_map(ReadyPiece::read_mut).filter_map(|r| r.replace.as_mut()).for_each(each);
            }
            Tool::None | Tool::Pattern(_) | Tool::Zone(_) | Tool::Region(_) => {}
        }
    }

    pub(super) fn run<'a>(&self, value: Value<'a>, slots: &[Value<'a>]) -> Result<Value<'a>, Fault>
    where
        'p: 'a,
    {
        let on_failure = match &self.step.on_failure {
            // Only a step that can fail may need its input again.
            None => {
                return self
                    .apply(value, slots)?
                    .map(or_none)
                    .map_err(|Failed(why)| Fault::new("D903", self.step.at, format!("{why}; its schema promised otherwise")));
            }
            Some(on_failure) => on_failure,
        };
        match self.apply(value.clone(), slots)? {
            Ok(value) => Ok(or_none(value)),
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
        // A step leaves a missing value missing, but for those that are there for it.
        if value.is_null() {
            return Ok(Ok(match (&self.step.op, &self.tool) {
                (Op::Default(constant), _) => Value::of(constant),
                (Op::Coalesce(_), Tool::Reads(reads)) => first_of(reads, slots, self.step.at)?,
                (Op::Map(_), Tool::Table(table)) => table.apply(&value)?,
                _ => Value::Null,
            }));
        }
        let wrong = Err(Failed("the value is of another type"));
        Ok(match (&self.step.op, &self.tool, value) {
            (Op::Link { table: Some(table), .. }, _, value) => Ok(match slots.get(table.slot as usize) {
                Some(Value::Text(name)) if **name != *table.name => Value::Null,
                _ => value,
            }),
            (Op::Default(_) | Op::Coalesce(_) | Op::Link { .. }, _, value) => Ok(value),
            (Op::Map(_), Tool::Table(table), value) => Ok(table.apply(&value)?),
            (Op::Concat(_), Tool::Pieces(pieces), value) => {
                let mut out = value.into_text().unwrap_or_default().into_owned();
                for piece in pieces {
                    piece.append(slots, self.step.at, &mut out)?;
                }
                Ok(Value::Text(Cow::Owned(out)))
            }
            (Op::ToText, _, value) => value.into_text().map(Value::Text).ok_or(Failed("there is no value")),
            (Op::Text(step), _, Value::Text(text)) => Ok(Value::Text(on_text(text, step.rule().apply))),
            (Op::Truncate(units), _, Value::Text(text)) => Ok(Value::Text(on_text(text, |t| Cow::Borrowed(truncate(t, *units))))),
            (Op::Pad { length, with, behind }, _, Value::Text(text)) => Ok(owned(pad(&text, *length, *with, *behind))),
            (Op::ReplaceText { from, to }, _, Value::Text(text)) => Ok(owned(replace(&text, from, to))),
            (Op::Matches(_), Tool::Pattern(pattern), Value::Text(text)) => {
                if pattern.is_match(&nfc(&text)) {
                    Ok(Value::Text(text))
                } else {
                    Err(Failed("the text does not match the expression"))
                }
            }
            (Op::Phone { .. }, Tool::Region(region), Value::Text(text)) => phone(&text, *region),
            (Op::Email, _, Value::Text(text)) => email(&text),
            (Op::Substring { start, length }, _, Value::Text(text)) => Ok(owned(substring(&text, *start, *length).to_owned())),
            (Op::Split { separator, index }, _, Value::Text(text)) => Ok(owned(piece(&text, separator, *index as usize))),
            (Op::Join { separator }, _, Value::Text(text)) => Ok(owned(text.replace(',', separator))),
            (Op::Labels { separator, entries }, _, Value::Text(text)) => {
                labels_text(&text, entries, separator).map(owned).ok_or(Failed("the option set in the schema has no such option"))
            }
            (Op::Sha256, _, Value::Text(text)) => {
                let mut out = String::with_capacity(64);
                for byte in sha2::Sha256::digest(text.as_bytes()) {
                    // Writing into a String cannot fail.
                    let _ = write!(out, "{byte:02x}");
                }
                Ok(owned(out))
            }
            (Op::Round { scale, bounds }, _, value) => round(value, *scale, bounds.as_ref()),
            (Op::ParseNumber { point, scale, bounds }, _, Value::Text(text)) => parse_number(&text, *point, *scale, bounds),
            (Op::ToInteger { min, max }, _, value) => to_integer(value, *min, *max),
            (Op::ToBoolean, _, value) => to_boolean(&value),
            (Op::Not, _, Value::Boolean(b)) => Ok(Value::Boolean(!b)),
            (Op::ParseDate(parts), _, Value::Text(text)) => {
                parse_date(&text, parts).map(Value::Date).ok_or(Failed("the text is not a date of this pattern"))
            }
            (Op::FormatDate { parts, .. }, _, Value::Date(date)) => Ok(owned(format_date(date.and_time(chrono::NaiveTime::MIN), parts))),
            (Op::FormatDate { parts, .. }, Tool::Zone(zone), Value::Instant(instant)) => {
                Ok(owned(format_date(instant.with_timezone(zone).naive_local(), parts)))
            }
            (Op::FormatDate { parts, .. }, _, Value::Instant(instant)) => Ok(owned(format_date(instant.naive_utc(), parts))),
            (Op::FormatDate { parts, .. }, _, Value::Local(local)) => Ok(owned(format_date(local, parts))),
            (Op::Zoned { pattern: Some(parts), .. }, Tool::Zone(zone), Value::Text(text)) => match parse_moment(&text, parts) {
                Some(local) => zoned(Value::Local(local), *zone),
                None => Err(Failed("the text is not a date with time of this pattern")),
            },
            (Op::Zoned { .. }, Tool::Zone(zone), value) => zoned(value, *zone),
            (Op::DayOfInstant { .. }, Tool::Zone(zone), Value::Instant(instant)) => {
                Ok(Value::Date(instant.with_timezone(zone).date_naive()))
            }
            (Op::DayOfInstant { .. }, _, Value::Instant(instant)) => Ok(Value::Date(instant.date_naive())),
            (Op::DayOfInstant { .. }, _, Value::Local(local)) => Ok(Value::Date(local.date())),
            (Op::DayOfInstant { .. }, _, Value::Date(date)) => Ok(Value::Date(date)),
            (Op::Midnight, _, Value::Date(date)) => Ok(Value::Instant(time::midnight(date))),
            (Op::Midnight, _, value @ Value::Instant(_)) => Ok(value),
            (
                Op::Text(_)
                | Op::Truncate(_)
                | Op::Pad { .. }
                | Op::ReplaceText { .. }
                | Op::Matches(_)
                | Op::Phone { .. }
                | Op::Email
                | Op::Substring { .. }
                | Op::Split { .. }
                | Op::Join { .. }
                | Op::Labels { .. }
                | Op::Sha256
                | Op::ParseNumber { .. }
                | Op::Not
                | Op::ParseDate(_)
                | Op::FormatDate { .. }
                | Op::Zoned { .. }
                | Op::DayOfInstant { .. }
                | Op::Midnight
                | Op::Map(_)
                | Op::Concat(_),
                _,
                _,
            ) => wrong,
        })
    }
}

fn owned<'a>(text: String) -> Value<'a> {
    Value::Text(Cow::Owned(text))
}

/// A text as a value. Text that is empty or only white space is not a value.
pub(super) fn some_text<'a>(text: String) -> Value<'a> {
    or_none(owned(text))
}

/// The result of a step: text that is empty or only white space is not a value, whichever step left it.
fn or_none(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Text(text) if is_blank(&text) => Value::Null,
        value => value,
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

fn phone<'a>(text: &str, region: Option<phonenumber::country::Id>) -> Result<Value<'a>, Failed> {
    let failed = Failed("the text is not a phone number of this country");
    // The library reads a number out of any text around it; only a text that is one number and nothing else is accepted.
    let text = text.trim();
    let plain = |c: char| c.is_ascii_digit() || c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '.' | '/' | '(' | ')');
    let body = match text.strip_prefix("(+") {
        Some(rest) => rest,
        None => text.strip_prefix('+').unwrap_or(text),
    };
    if !body.chars().all(plain) {
        return Err(Failed("the text is not a phone number and nothing else"));
    }
    let number = phonenumber::parse(region, text).map_err(|_| Failed("the text is not a phone number"))?;
    if !phonenumber::is_valid(&number) {
        return Err(failed);
    }
    Ok(owned(number.format().mode(phonenumber::Mode::E164).to_string()))
}

/// The domain in lower case; what stands before it is kept, since its host may tell cases apart.
fn email<'a>(text: &str) -> Result<Value<'a>, Failed> {
    let text = text.trim();
    let options = email_address::Options::default().with_required_tld().without_display_text().without_domain_literal();
    let address =
        email_address::EmailAddress::parse_with_options(text, options).map_err(|_| Failed("the text is not an e-mail address"))?;
    Ok(owned(format!("{}@{}", address.local_part(), lower(address.domain()))))
}

fn round<'a>(value: Value<'a>, scale: u32, bounds: Option<&(Decimal, Decimal)>) -> Result<Value<'a>, Failed> {
    let exact = match value {
        Value::Decimal(d) => d,
        Value::Integer(n) => n.into(),
        Value::Double(d) => Decimal::try_from(d).map_err(|_| Failed("the number is too large"))?,
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

/// A number as people write it, see [`number::written`], within what the target holds.
fn parse_number<'a>(text: &str, point: char, scale: u32, bounds: &(Decimal, Decimal)) -> Result<Value<'a>, Failed> {
    let value = number::written(text, point).ok_or(Failed("the text is not a number"))?;
    if value.normalize().scale() > scale {
        return Err(Failed("the number has more decimals than the target holds"));
    }
    if value < bounds.0 || bounds.1 < value {
        return Err(Failed("the number is outside what the target holds"));
    }
    Ok(Value::Decimal(value))
}

fn to_integer<'a>(value: Value<'a>, min: i64, max: i64) -> Result<Value<'a>, Failed> {
    let number = match value {
        Value::Integer(n) => n,
        Value::Decimal(d) if d.is_integer() => d.to_i64().ok_or(Failed("the number is too large"))?,
        Value::Double(d) => {
            let exact = Decimal::try_from(d).ok().filter(Decimal::is_integer);
            exact.and_then(|d| d.to_i64()).ok_or(Failed("the number is not a whole number"))?
        }
        Value::Text(text) => text.trim().parse().map_err(|_| Failed("the text is not a whole number"))?,
        Value::Decimal(_) => return Err(Failed("the number has decimals")),
        Value::Null | Value::Boolean(_) | Value::Date(_) | Value::Instant(_) | Value::Local(_) => {
            return Err(Failed("the value is no number"));
        }
    };
    if (min..=max).contains(&number) { Ok(Value::Integer(number)) } else { Err(Failed("the number is outside what the target holds")) }
}

fn to_boolean<'a>(value: &Value<'_>) -> Result<Value<'a>, Failed> {
    let failed = Failed("the value is neither yes nor no");
    match value {
        Value::Boolean(b) => Ok(Value::Boolean(*b)),
        Value::Integer(0) => Ok(Value::Boolean(false)),
        Value::Integer(1) => Ok(Value::Boolean(true)),
        Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Ok(Value::Boolean(true)),
            "false" | "no" | "0" => Ok(Value::Boolean(false)),
            _ => Err(failed),
        },
        Value::Null | Value::Integer(_) | Value::Decimal(_) | Value::Double(_) | Value::Date(_) | Value::Instant(_) | Value::Local(_) => {
            Err(failed)
        }
    }
}
