//! Typed literals.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::time::{Date, Instant};

/// A typed literal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Const {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// An exact decimal number.
    Decimal(Decimal),
    /// Text.
    Text(String),
    /// A day.
    Date(Date),
    /// An instant.
    Instant(Instant),
}

/// A constant in the notation of the language's literals.
pub fn constant(value: &Const) -> String {
    match value {
        Const::Null => "null".to_owned(),
        Const::Boolean(b) => b.to_string(),
        Const::Integer(n) => n.to_string(),
        Const::Decimal(d) => d.to_string(),
        Const::Text(text) => format!("{text:?}"),
        Const::Date(date) => date.to_string(),
        Const::Instant(instant) => crate::time::format_instant(*instant),
    }
}
