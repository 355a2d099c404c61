//! Cell values and how they are written as JSON and as people read them.

use std::borrow::Cow;
use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::table::{Column, Type};
use crate::time::format_instant;

/// The value of a cell. Small on purpose: a hundred thousand rows of some twenty cells stay in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Dec(Decimal),
    Float(f64),
    Text(Box<str>),
    Day(NaiveDate),
    /// Seconds since 1970; Dataverse keeps whole seconds.
    Time(i64),
    Id(UuidBytes),
    /// A lookup: the index of the table it points to, and the row.
    Link(u8, UuidBytes),
}

/// An id without the alignment of a 128-bit number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Uuid", into = "Uuid")]
pub(super) struct UuidBytes([u8; 16]);

impl From<Uuid> for UuidBytes {
    fn from(id: Uuid) -> UuidBytes {
        UuidBytes(*id.as_bytes())
    }
}

impl From<UuidBytes> for Uuid {
    fn from(id: UuidBytes) -> Uuid {
        Uuid::from_bytes(id.0)
    }
}

impl Value {
    pub(super) fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}

pub(super) fn instant(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

/// Appends a JSON string.
pub(super) fn write_text(out: &mut String, text: &str) {
    out.push('"');
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape: Cow<'static, str> = match byte {
            b'"' => "\\\"".into(),
            b'\\' => "\\\\".into(),
            b'\n' => "\\n".into(),
            b'\r' => "\\r".into(),
            b'\t' => "\\t".into(),
            0..0x20 => format!("\\u{byte:04x}").into(),
            _ => continue,
        };
        out.push_str(&text[start..at]);
        out.push_str(&escape);
        start = at + 1;
    }
    out.push_str(&text[start..]);
    out.push('"');
}

/// Appends a value as the Web API writes it.
pub(super) fn write_json(out: &mut String, column: &Column, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => {
            let _ = write!(out, "{value}");
        }
        Value::Dec(value) => {
            let places = if column.kind == Type::Money { 4 } else { column.precision.unwrap_or(2) as usize };
            let _ = write!(out, "{value:.places$}");
        }
        Value::Float(value) => {
            let _ = write!(out, "{value:?}");
        }
        Value::Text(value) => write_text(out, value),
        Value::Day(day) => {
            let _ = write!(out, "\"{day}\"");
        }
        Value::Time(seconds) => {
            let _ = write!(out, "\"{}\"", format_instant(instant(*seconds)));
        }
        Value::Id(id) | Value::Link(_, id) => {
            let _ = write!(out, "\"{}\"", Uuid::from(*id));
        }
    }
}

/// The value as the en-US user interface shows it; `None` for types that have no formatted value.
pub(super) fn formatted(column: &Column, value: &Value) -> Option<String> {
    let label = |value: i64| column.choice(value).and_then(|choice| choice.label.clone());
    match value {
        Value::Bool(value) => label(i64::from(*value)),
        Value::Int(value) if matches!(column.kind, Type::Picklist | Type::State | Type::Status) => label(*value),
        Value::Int(value) => Some(grouped(&value.to_string())),
        Value::Dec(value) => {
            let places = column.precision.unwrap_or(2) as usize;
            let text = grouped(&format!("{value:.places$}"));
            Some(if column.kind == Type::Money { format!("${text}") } else { text })
        }
        Value::Float(value) => Some(grouped(&format!("{value:.*}", column.precision.unwrap_or(2) as usize))),
        Value::Day(day) => Some(format!("{}/{}/{}", day.month(), day.day(), day.year())),
        Value::Time(seconds) => {
            let at = instant(*seconds);
            let (afternoon, hour) = at.hour12();
            let half = if afternoon { "PM" } else { "AM" };
            Some(format!("{}/{}/{} {hour}:{:02} {half}", at.month(), at.day(), at.year(), at.minute()))
        }
        Value::Text(text) if column.kind == Type::MultiSelect => {
            Some(text.split(',').filter_map(|item| item.trim().parse().ok().and_then(label)).collect::<Vec<_>>().join("; "))
        }
        Value::Text(_) | Value::Id(_) | Value::Link(..) | Value::Null => None,
    }
}

/// Thousands separators.
fn grouped(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut text = String::from(sign);
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if let Some(fraction) = fraction {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stays_small() {
        assert!(std::mem::size_of::<(u16, Value)>() <= 32);
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(grouped("1234567.50"), "1,234,567.50");
        assert_eq!(grouped("-123"), "-123");
        assert_eq!(grouped("1000"), "1,000");
    }

    #[test]
    fn text_is_escaped_as_json() {
        for text in ["O'Brien", "a\"b\\c", "line\nbreak\u{1}", "日本語", ""] {
            let mut out = String::new();
            write_text(&mut out, text);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
