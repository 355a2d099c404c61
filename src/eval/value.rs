//! Values as Campaign's API writes them, and how they compare with constants.

use std::cmp::Ordering;
use std::io::Write;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::text::same;
use crate::time;
use crate::value::{Const, Value};

impl Value<'_> {
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

    /// Appends the value as Campaign's API writes it.
    pub(super) fn write_json(&self, out: &mut Vec<u8>) {
        // Writing into a vector cannot fail.
        let _ = match self {
            Value::Null => out.write_all(b"null"),
            Value::Boolean(true) => out.write_all(b"true"),
            Value::Boolean(false) => out.write_all(b"false"),
            // The writer of JSON is faster than the formatter.
            Value::Integer(n) => serde_json::to_writer(&mut *out, n).map_err(std::io::Error::from),
            Value::Decimal(d) => {
                let d = d.normalize();
                match i64::try_from(d.mantissa()) {
                    Ok(whole) if d.scale() == 0 => serde_json::to_writer(&mut *out, &whole).map_err(std::io::Error::from),
                    _ => write!(out, "{d}"),
                }
            }
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

    /// Whether both values are there and equal; text without regard to case.
    pub(super) fn equals_value(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::Text(a), Value::Text(b)) => same(a, b),
            (Value::Boolean(a), Value::Boolean(b)) => a == b,
            (a, b) => a.compare_value(b) == Some(Ordering::Equal),
        }
    }

    /// The order of two values; `None` if one is missing or they have no order.
    pub(super) fn compare_value(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (value, Value::Integer(n)) => value.compare(&Const::Integer(*n)),
            (value, Value::Decimal(d)) => value.compare(&Const::Decimal(*d)),
            (value, Value::Date(date)) => match value {
                Value::Instant(instant) => Some(instant.cmp(&time::midnight(*date))),
                value => value.compare(&Const::Date(*date)),
            },
            (value, Value::Instant(instant)) => value.compare(&Const::Instant(*instant)),
            (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
            (Value::Local(a), Value::Local(b)) => Some(a.cmp(b)),
            // The remaining numbers: the same question from the other side.
            (Value::Integer(_) | Value::Decimal(_), Value::Double(_)) => other.compare_value(self).map(Ordering::reverse),
            _ => None,
        }
    }

    /// The order of the value and a constant; `None` if one is missing or they have no order.
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

/// The order of two constants of one kind; `None` if they have none.
pub fn compare_constants(a: &Const, b: &Const) -> Option<Ordering> {
    Value::of(a).compare(b)
}
