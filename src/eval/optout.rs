//! Opt-outs of fields that are not true or false: what a value means, and what is written for an opt-out or a consent.

use serde::de::DeserializeSeed;

use super::decode::ValueSeed;
use super::program::Table;
use super::programs::written;
use crate::plan::{Meaning, SlotKind, Written};
use crate::time::Instant;
use crate::value::Value;

/// Whether a value of a record says that the person has opted out. One that the schema does not know counts as an opt-out: nothing is known of
/// a consent.
pub fn opted_out(meaning: &Meaning, value: Option<&serde_json::Value>) -> bool {
    let text = value.map_or_else(|| "null".to_owned(), serde_json::Value::to_string);
    let read = ValueSeed(meaning.kind).deserialize(&mut serde_json::Deserializer::from_str(&text));
    let value = read.unwrap_or(Value::Null);
    let result = Table::new(&meaning.cases).ok().and_then(|table| table.apply(&value).ok());
    !matches!(result, Some(Value::Boolean(false)))
}

/// The JSON text of what Dynamics gets for an opt-out, or for a consent; `None` if nothing is written to Dynamics.
pub fn opt_out_value(meaning: &Meaning, out: bool, now: Instant) -> Option<String> {
    let value = if out { &meaning.opted_out } else { &meaning.opted_in };
    Some(match value.as_ref()? {
        Written::Constant(constant) => written(&Value::of(constant)),
        Written::Now => written(&match meaning.kind {
            SlotKind::Date => Value::Date(now.date_naive()),
            SlotKind::Local => Value::Local(now.naive_utc()),
            _ => Value::Instant(now),
        }),
    })
}
