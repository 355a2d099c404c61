//! One value during evaluation, borrowed from the record or the plan wherever that is possible.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::io::Write;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::text::same;
use crate::plan::Const;
use crate::time::{self, Date, Instant, LocalDateTime};

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// An exact decimal number.
    Decimal(Decimal),
    /// A floating-point number.
    Double(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// A day.
    Date(Date),
    /// An instant.
    Instant(Instant),
    /// A wall-clock time of no zone.
    Local(LocalDateTime),
}

impl<'a> Value<'a> {
    /// A constant of the plan.
    pub(super) fn of(constant: &'a Const) -> Value<'a> {
        match constant {
            Const::Null => Value::Null,
            Const::Boolean(b) => Value::Boolean(*b),
            Const::Integer(n) => Value::Integer(*n),
            Const::Decimal(d) => Value::Decimal(*d),
            Const::Text(text) => Value::Text(Cow::Borrowed(text)),
            Const::Date(date) => Value::Date(*date),
            Const::Instant(instant) => Value::Instant(*instant),
        }
    }

    /// The value as Campaign's API writes it.
    pub fn json(&self) -> String {
        let mut out = Vec::new();
        self.write_json(&mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    /// A constant as Campaign's API writes it.
    pub fn constant_json(constant: &Const) -> String {
        let mut out = Vec::new();
        Value::of(constant).write_json(&mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The value as text in the notation of the language's literals; `None` for no value.
    pub(super) fn into_text(self) -> Option<Cow<'a, str>> {
        Some(match self {
            Value::Null => return None,
            Value::Boolean(true) => Cow::Borrowed("true"),
            Value::Boolean(false) => Cow::Borrowed("false"),
            Value::Integer(n) => Cow::Owned(n.to_string()),
            Value::Decimal(d) => Cow::Owned(d.normalize().to_string()),
            Value::Double(d) => Cow::Owned(double_text(d)),
            Value::Text(text) => text,
            Value::Date(date) => Cow::Owned(date.to_string()),
            Value::Instant(instant) => Cow::Owned(time::format_instant(instant)),
            Value::Local(local) => Cow::Owned(local.format("%Y-%m-%dT%H:%M:%S").to_string()),
        })
    }

    /// Appends the value as Campaign's API writes it.
    pub(super) fn write_json(&self, out: &mut Vec<u8>) {
        // Writing into a vector cannot fail.
        let _ = match self {
            Value::Null => out.write_all(b"null"),
            Value::Boolean(true) => out.write_all(b"true"),
            Value::Boolean(false) => out.write_all(b"false"),
            Value::Integer(n) => write!(out, "{n}"),
            Value::Decimal(d) => write!(out, "{}", d.normalize()),
            Value::Double(d) => serde_json::to_writer(&mut *out, d).map_err(std::io::Error::from),
            Value::Text(text) => serde_json::to_writer(&mut *out, text.as_ref()).map_err(std::io::Error::from),
            Value::Date(date) => {
                out.push(b'"');
                time::write_date(*date, out);
                out.write_all(b"\"")
            }
            Value::Instant(instant) => write!(out, "\"{}\"", time::format_instant_campaign(*instant)),
            Value::Local(local) => write!(out, "\"{}\"", local.format("%Y-%m-%d %H:%M:%S")),
        };
    }

    /// Whether the value is there and equals a constant; text without regard to case.
    pub(super) fn equals(&self, constant: &Const) -> bool {
        match (self, constant) {
            (Value::Text(a), Const::Text(b)) => same(a, b),
            (Value::Boolean(a), Const::Boolean(b)) => a == b,
            (value, constant) => value.compare(constant) == Some(Ordering::Equal),
        }
    }

    /// The order of the value and a constant; `None` where one is missing or they have no order.
    pub(super) fn compare(&self, constant: &Const) -> Option<Ordering> {
        match (self, constant) {
            (Value::Integer(a), Const::Integer(b)) => Some(a.cmp(b)),
            (Value::Integer(a), Const::Decimal(b)) => Some(Decimal::from(*a).cmp(b)),
            (Value::Decimal(a), Const::Decimal(b)) => Some(a.cmp(b)),
            (Value::Decimal(a), Const::Integer(b)) => Some(a.cmp(&Decimal::from(*b))),
            (Value::Double(a), Const::Decimal(b)) => a.partial_cmp(&b.to_f64()?),
            (Value::Double(a), Const::Integer(b)) => a.partial_cmp(&Decimal::from(*b).to_f64()?),
            (Value::Date(a), Const::Date(b)) => Some(a.cmp(b)),
            (Value::Date(a), Const::Instant(b)) => Some(time::midnight(*a).cmp(b)),
            (Value::Instant(a), Const::Instant(b)) => Some(a.cmp(b)),
            (Value::Local(a), Const::Instant(b)) => Some(a.and_utc().cmp(b)),
            _ => None,
        }
    }
}

/// The shortest text that reads back as the same number, of 24 characters at most: very large and very small numbers have an
/// exponent, since their digits alone would take hundreds.
fn double_text(value: f64) -> String {
    let size = value.abs();
    if value != 0.0 && !(1e-5..1e16).contains(&size) { format!("{value:e}") } else { value.to_string() }
}

/// The order of two constants of one kind; `None` where they have none.
pub fn compare_constants(a: &Const, b: &Const) -> Option<Ordering> {
    Value::of(a).compare(b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::double_text;

    proptest! {
        #[test]
        fn the_text_of_a_double_is_short_and_reads_back(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            let text = double_text(value);
            prop_assert!(text.len() <= 24, "{text}");
            prop_assert_eq!(text.parse::<f64>(), Ok(value));
        }
    }
}
