//! A record's JSON text to slots, without a tree in between.
//!
//! Records of one page have their properties in one order, so the place of each property is guessed from the record before;
//! a wrong guess costs one lookup. Numbers are read from their text: no decimal is ever a floating-point number.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::number;
use crate::plan::{Slot, SlotKind};
use crate::time;
use crate::unicode::{is_blank, without_controls};
use crate::value::Value;

/// Decodes the records of one flow.
#[derive(Debug)]
pub(super) struct Decoder {
    kinds: Vec<SlotKind>,
    by_name: HashMap<Box<str>, u32>,
    /// The properties of the last record in their order, each with its slot.
    shape: RefCell<Vec<(Box<str>, Option<u32>)>>,
}

/// Properties remembered at most; a record with more of them is read, only slower.
const SHAPE_LIMIT: usize = 1024;

impl Decoder {
    pub(super) fn new(slots: &[Slot]) -> Decoder {
        let by_name = slots.iter().zip(0..).map(|(slot, i)| (slot.wire.as_str().into(), i)).collect();
        Decoder { kinds: slots.iter().map(|s| s.kind).collect(), by_name, shape: RefCell::default() }
    }

    /// The values of all slots, `Null` if the record has none. Returns an error if the text is not a record, or if a value is not of
    /// its slot's kind.
    pub(super) fn decode<'a>(&self, record: &'a str) -> Result<Vec<Value<'a>>, serde_json::Error> {
        let mut values = vec![Value::Null; self.kinds.len()];
        let mut deserializer = serde_json::Deserializer::from_str(record);
        let mut shape = self.shape.borrow_mut();
        deserializer.deserialize_map(RecordVisitor { decoder: self, shape: &mut shape, values: &mut values })?;
        deserializer.end()?;
        Ok(values)
    }
}

struct RecordVisitor<'v, 'a> {
    decoder: &'v Decoder,
    shape: &'v mut Vec<(Box<str>, Option<u32>)>,
    values: &'v mut [Value<'a>],
}

impl<'a> Visitor<'a> for RecordVisitor<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let mut position = 0;
        while let Some(slot) = map.next_key_seed(KeySeed { decoder: self.decoder, shape: self.shape, position })? {
            match slot.map(|s| s as usize) {
                Some(slot) => self.values[slot] = map.next_value_seed(ValueSeed(self.decoder.kinds[slot]))?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            position += 1;
        }
        Ok(())
    }
}

struct KeySeed<'v> {
    decoder: &'v Decoder,
    shape: &'v mut Vec<(Box<str>, Option<u32>)>,
    position: usize,
}

impl<'a> DeserializeSeed<'a> for KeySeed<'_> {
    type Value = Option<u32>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Option<u32>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Option<u32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<u32>, E> {
        if let Some((known, slot)) = self.shape.get(self.position)
            && **known == *name
        {
            return Ok(*slot);
        }
        let slot = self.decoder.by_name.get(name).copied();
        if self.position < SHAPE_LIMIT {
            let entry = (name.into(), slot);
            match self.shape.get_mut(self.position) {
                Some(place) => *place = entry,
                None => self.shape.push(entry),
            }
        }
        Ok(slot)
    }
}

pub(super) struct ValueSeed(pub(super) SlotKind);

impl<'a> DeserializeSeed<'a> for ValueSeed {
    type Value = Value<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Value<'a>, D::Error> {
        match self.0 {
            SlotKind::Decimal | SlotKind::Double => {
                let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?.get();
                let value = match (self.0, raw) {
                    (_, "null") => Some(Value::Null),
                    (SlotKind::Decimal, raw) => number::parse(raw).map(Value::Decimal),
                    (_, raw) => raw.parse().ok().filter(|d: &f64| d.is_finite()).map(Value::Double),
                };
                value.ok_or_else(|| D::Error::custom("not a number"))
            }
            SlotKind::Boolean
            | SlotKind::Integer
            | SlotKind::Text
            | SlotKind::Date
            | SlotKind::Instant
            | SlotKind::Local
            | SlotKind::Guid => deserializer.deserialize_any(self),
        }
    }
}

impl<'a> Visitor<'a> for ValueSeed {
    type Value = Value<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(kind_text(self.0))
    }

    fn visit_unit<E: Error>(self) -> Result<Value<'a>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value<'a>, E> {
        match self.0 {
            SlotKind::Boolean => Ok(Value::Boolean(value)),
            _ => Err(E::custom("true or false")),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value<'a>, E> {
        match self.0 {
            SlotKind::Integer => Ok(Value::Integer(value)),
            _ => Err(E::custom("a number")),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value<'a>, E> {
        i64::try_from(value).map_err(E::custom).and_then(|n| self.visit_i64(n))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<Value<'a>, E> {
        let value = match self.0 {
            SlotKind::Text => Some(text_value(Cow::Borrowed(text))),
            SlotKind::Guid => guid(text).map(Value::Text),
            kind => scalar(kind, text),
        };
        value.ok_or_else(|| E::custom("a text"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value<'a>, E> {
        let value = match self.0 {
            SlotKind::Text => Some(text_value(Cow::Owned(text.to_owned()))),
            SlotKind::Guid => guid(text).map(|t| Value::Text(Cow::Owned(t.into_owned()))),
            kind => scalar(kind, text),
        };
        value.ok_or_else(|| E::custom("a text"))
    }
}

/// A text of the source: without control characters, and empty if only white space is left.
fn text_value(text: Cow<'_, str>) -> Value<'_> {
    let text = without_controls(text);
    if is_blank(&text) { Value::Null } else { Value::Text(text) }
}

/// A value that is written as text and borrows no part of it.
fn scalar(kind: SlotKind, text: &str) -> Option<Value<'static>> {
    match kind {
        SlotKind::Date => time::parse_date(text).map(Value::Date),
        SlotKind::Instant => time::parse_instant(text).map(Value::Instant),
        SlotKind::Local => time::parse_local(text).map(Value::Local),
        SlotKind::Boolean | SlotKind::Integer | SlotKind::Decimal | SlotKind::Double | SlotKind::Text | SlotKind::Guid => None,
    }
}

/// What a byte can be in a GUID: a digit or a lower-case letter, an upper-case letter, a hyphen.
const IN_GUID: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'0'..=b'9' | b'a'..=b'f' => 1,
            b'A'..=b'F' => 2,
            b'-' => 4,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

/// A GUID in lower case; `None` if the text is not one.
fn guid(text: &str) -> Option<Cow<'_, str>> {
    let bytes: &[u8; 36] = text.as_bytes().try_into().ok()?;
    let hyphens = [8, 13, 18, 23].iter().all(|at| bytes[*at] == b'-');
    let (mut other, mut upper, mut count) = (false, false, 0);
    for byte in bytes {
        let kind = IN_GUID[usize::from(*byte)];
        other |= kind == 0;
        upper |= kind == 2;
        count += kind >> 2;
    }
    let valid = hyphens && count == 4 && !other;
    valid.then(|| if upper { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) })
}

/// What a slot holds, in words.
pub(super) fn kind_text(kind: SlotKind) -> &'static str {
    match kind {
        SlotKind::Boolean => "true or false",
        SlotKind::Integer => "a whole number",
        SlotKind::Decimal => "a decimal number",
        SlotKind::Double => "a number",
        SlotKind::Text => "text",
        SlotKind::Date => "a date",
        SlotKind::Instant => "a date with time",
        SlotKind::Local => "a date with time of no zone",
        SlotKind::Guid => "a GUID",
    }
}

/// Decodes one value of a record that could not be decoded as a whole, to find which value is wrong.
pub(super) fn decodes(kind: SlotKind, value: &str) -> bool {
    ValueSeed(kind).deserialize(&mut serde_json::Deserializer::from_str(value)).is_ok()
}
