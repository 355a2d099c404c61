//! Values as Campaign's API writes them, and how they compare with constants.

use std::cmp::Ordering;
use std::fmt::Write;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::number;
use super::text::same;
use crate::json;
use crate::time;
use crate::value::{Const, Value};

impl Value<'_> {
    /// The value as Campaign's API writes it.
    pub fn json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    /// A constant as Campaign's API writes it.
    pub fn constant_json(constant: &Const) -> String {
        let mut out = String::new();
        Value::of(constant).write_json(&mut out);
        out
    }

    /// Appends the value as Campaign's API writes it.
    pub(super) fn write_json(&self, out: &mut String) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Boolean(true) => out.push_str("true"),
            Value::Boolean(false) => out.push_str("false"),
            Value::Integer(n) => out.push_str(itoa::Buffer::new().format(*n)),
            Value::Decimal(d) => number::push(*d, out),
            // A finite number, which JSON can hold: the decoder has checked it.
            Value::Double(d) => out.push_str(&serde_json::to_string(d).unwrap_or_default()),
            Value::Text(text) => json::push_string(out, text),
            Value::Date(date) => {
                out.push('"');
                time::push_date(*date, out);
                out.push('"');
            }
            Value::Instant(instant) => {
                out.push('"');
                time::push_instant_campaign(*instant, out);
                out.push('"');
            }
            Value::Local(local) => {
                // A text can always be written to.
                let _ = write!(out, "\"{}\"", local.format("%Y-%m-%d %H:%M:%S"));
            }
        }
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
