//! One value during evaluation, borrowed from the record or the plan wherever that is possible.

use std::borrow::Cow;

use rust_decimal::Decimal;

use super::constant::Const;
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
    pub fn of(constant: &'a Const) -> Value<'a> {
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

    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The value as text in the notation of the language's literals; `None` for no value.
    pub fn into_text(self) -> Option<Cow<'a, str>> {
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
}

/// The shortest text that reads back as the same number, of 24 characters at most: very large and very small numbers have an
/// exponent, since their digits alone would take hundreds.
fn double_text(value: f64) -> String {
    let size = value.abs();
    if value != 0.0 && !(1e-5..1e16).contains(&size) { format!("{value:e}") } else { value.to_string() }
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
