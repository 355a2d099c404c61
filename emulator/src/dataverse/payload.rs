//! From a request's body to cells: properties, references, states, each checked against the table.

use chrono::NaiveDate;
use indexmap::IndexMap;
use rust_decimal::Decimal;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Site;
use super::batch::{References, resolve};
use super::close;
use super::error::{Fail, Result};
use super::read::find;
use super::store::{Changes, Store};
use super::table::{Column, StateOnCreate, Table, Type};
use super::url::{Segment, segment};
use super::value::Value;
use crate::time::{Instant, midnight, parse_date, parse_instant};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mode {
    Create,
    Update,
}

/// A body's values, and the primary key if it names one.
pub(super) struct Payload {
    pub(super) id: Option<Uuid>,
    pub(super) changes: Changes,
}

/// A body's properties, in order. A property that is there twice makes the body unreadable: OData JSON does not allow it, and
/// whichever value counted would be the wrong one for somebody. [K: text]
#[derive(Debug, Default)]
pub(super) struct Fields(pub(super) IndexMap<String, Box<RawValue>>);

impl std::ops::Deref for Fields {
    type Target = IndexMap<String, Box<RawValue>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl std::ops::DerefMut for Fields {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<'de> serde::Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Fields, D::Error> {
        struct Properties;
        impl<'de> serde::de::Visitor<'de> for Properties {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> std::result::Result<Fields, A::Error> {
                let mut fields = IndexMap::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if fields.contains_key(&name) {
                        return Err(serde::de::Error::custom(format!(
                            "Multiple properties with the name '{name}' were detected in a resource or complex value. In OData, duplicate property names are not allowed."
                        )));
                    }
                    fields.insert(name, value);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Properties)
    }
}

pub(super) fn fields(table: &Table, body: &[u8]) -> Result<Fields> {
    serde_json::from_slice(body).map_err(|error| Fail::payload(&table.set, format!("the body is not a JSON object: {error}")))
}

pub(super) fn payload(store: &Store, table: usize, fields: &Fields, mode: Mode, references: Option<&References>) -> Result<Payload> {
    let description = &store.tables[table].table;
    let set = description.set.as_str();
    let mut result = Payload { id: None, changes: Vec::with_capacity(fields.len()) };
    for (name, raw) in fields.iter() {
        if let Some((property, annotation)) = name.split_once('@') {
            if annotation == "odata.bind" {
                let (column, value) = bind(store, table, property, raw.get(), references)?;
                result.changes.push((column, value));
            }
            // Control information and annotations that a client sends back are skipped.
            continue;
        }
        let Some(index) = description.column(name).filter(|index| description.at(*index).has('o')) else {
            result.changes.push(navigation(description, name, raw.get())?);
            continue;
        };
        let column = description.at(index);
        if column.kind.is_lookup() {
            result.changes.push(navigation(description, name, raw.get())?);
            continue;
        }
        let value = read_value(description, column, raw.get())?;
        if *name == description.id {
            result.id = match value {
                Value::Id(id) => Some(id.into()),
                _ => return Err(Fail::payload(set, format!("'{name}' needs a value"))),
            };
            continue;
        }
        let (flag, verb) = match mode {
            Mode::Create => ('c', "create"),
            Mode::Update => ('u', "update"),
        };
        if !column.has(flag) {
            // Which read-only columns the service refuses and which it ignores is not documented; the emulator refuses all. [K]
            return Err(Fail::new(
                400,
                "0x80040203",
                format!("The property '{name}' of entity '{}' is not valid for {verb}.", description.name),
            ));
        }
        result.changes.push((index, value));
    }
    if mode == Mode::Create {
        let ignored: &[&str] = match description.state_on_create {
            StateOnCreate::Ignored => &["statecode"],
            StateOnCreate::Dropped => &["statecode", "statuscode"],
            StateOnCreate::Refused | StateOnCreate::Kept => &[],
        };
        result.changes.retain(|(index, _)| !ignored.contains(&description.at(*index).name.as_str()));
    }
    check_state(description, &mut result.changes, mode)?;
    Ok(result)
}

/// A navigation property written as a value: null clears it, anything else is refused.
fn navigation(table: &Table, name: &str, raw: &str) -> Result<(u16, Value)> {
    let unknown = || {
        Fail::payload(
            &table.set,
            format!(
                "The property '{name}' does not exist on type '{}'. Make sure to only use property names that are defined by the type.",
                table.entity()
            ),
        )
    };
    if table.columns.iter().any(|column| column.kind.is_lookup() && column.property == name) {
        return Err(Fail::new(
            400,
            "0x80048d19",
            "CRM do not support direct update of Entity Reference properties, Use Navigation properties instead.",
        ));
    }
    let relation = table.many_to_one.iter().find(|relation| relation.nav == name).ok_or_else(unknown)?;
    match raw.as_bytes().first() {
        Some(b'n') => Ok((table.column(&relation.column).ok_or_else(unknown)?, Value::Null)),
        Some(b'{' | b'[') => Err(Fail::payload(&table.set, format!("'{name}': nested entities are taken on create, not on update"))),
        _ => Err(Fail::payload(
            &table.set,
            format!(
                "A 'PrimitiveValue' node with non-null value was found when trying to read the value of the property '{name}'; however, a 'StartArray' node, \
                 a 'StartObject' node, or a 'PrimitiveValue' node with null value was expected."
            ),
        )),
    }
}

/// `"nav@odata.bind": "/set(key)"`. Navigation names are case-sensitive. [D]
pub(super) fn bind(store: &Store, table: usize, nav: &str, raw: &str, references: Option<&References>) -> Result<(u16, Value)> {
    let description = &store.tables[table].table;
    let undeclared = || {
        Fail::payload(
            &description.set,
            format!(
                "An undeclared property '{nav}' which only has property annotations in the payload but no property value was found in the payload. In \
                 OData, only declared navigation properties and declared named streams can be represented as properties without values."
            ),
        )
    };
    let relation = description.many_to_one.iter().find(|relation| relation.nav == nav).ok_or_else(undeclared)?;
    let index = description.column(&relation.column).ok_or_else(undeclared)?;
    if !description.at(index).has('c') && !description.at(index).has('u') {
        return Err(Fail::new(400, "0x80040203", format!("The property '{nav}' of entity '{}' is read-only.", description.name)));
    }
    let link: Option<String> =
        serde_json::from_str(raw).map_err(|_| Fail::payload(&description.set, format!("'{nav}@odata.bind' needs a URL or null")))?;
    let Some(link) = link else { return Ok((index, Value::Null)) };
    let (target, id) = refer(store, &description.set, &link, references)?;
    let target_table = &store.tables[target].table;
    let fits = if relation.table == "owner" {
        description.at(index).targets.contains(&target_table.name)
    } else {
        relation.table == target_table.name
    };
    if !fits {
        return Err(Fail::payload(&description.set, format!("'{link}' is not a reference that '{nav}' can hold")));
    }
    Ok((index, Value::Link(target as u8, id.into())))
}

/// The row that a reference names: absolute, from the root, relative, or by `$1`; by id or alternate key. [D]
pub(super) fn refer(store: &Store, set: &str, link: &str, references: Option<&References>) -> Result<(usize, Uuid)> {
    let link = match link.trim_start_matches('/') {
        name if name.starts_with('$') => resolve(references, name)?,
        _ => link,
    };
    let path = match link.find("/api/data/v") {
        Some(at) => link[at + "/api/data/v".len()..].split_once('/').map_or("", |(_, path)| path),
        None => link.trim_start_matches('/'),
    };
    let Segment { name, key, .. } = segment(path)?;
    let target = store.by_set(&name).ok_or_else(|| Fail::no_segment(&name))?;
    let key = key.ok_or_else(|| Fail::payload(set, format!("'{link}' names no row")))?;
    Ok((target, find(store, target, &key)?.existing(&store.tables[target].table)?))
}

/// A completed or canceled activity is read-only until it is opened again; other rows by setting. [D; code and text K]
pub(super) fn check_open(site: &Site, store: &Store, table: usize, id: Uuid, changes: &Changes) -> Result<()> {
    close::check(store, table, id, changes)?;
    let rows = &store.tables[table];
    let watched = rows.table.activity || site.inactive_read_only;
    let (true, Some(state), Some(row)) = (watched, rows.table.column("statecode"), rows.rows.get(&id)) else { return Ok(()) };
    let closed = matches!(store.value(table, id, row, state).as_deref(), Some(Value::Int(1 | 2)));
    if closed && !changes.iter().any(|(column, _)| *column == state) {
        return Err(Fail::new(400, "0x80043500", format!("The {} is not active and read-only.", rows.table.name)));
    }
    Ok(())
}

/// State and status go together; a state brings its default status.
fn check_state(table: &Table, changes: &mut Changes, mode: Mode) -> Result<()> {
    let (Some(state), Some(status)) = (table.column("statecode"), table.column("statuscode")) else { return Ok(()) };
    let int = |changes: &Changes, column| {
        changes.iter().find_map(|(index, value)| match value {
            Value::Int(value) if *index == column => Some(*value),
            _ => None,
        })
    };
    let given_state = int(changes, state);
    let given_status = int(changes, status);
    let status_state = given_status.and_then(|value| table.at(status).choice(value)).and_then(|choice| choice.other);
    match (given_state, given_status) {
        (Some(value), None) => {
            if let Some(default) = table.at(state).choice(value).and_then(|choice| choice.other) {
                changes.push((status, Value::Int(default)));
            }
        }
        (Some(value), Some(given)) if status_state != Some(value) => {
            return Err(Fail::new(
                400,
                "0x80048408",
                format!("{given} is not a valid status code for state code {value} on {}.", table.name),
            ));
        }
        (None, Some(given)) if mode == Mode::Create && status_state.is_some_and(|state| state != 0) => {
            return Err(Fail::new(
                400,
                "0x80048408",
                format!("{given} is not a valid status code for state code Active on {}.", table.name),
            ));
        }
        (None, Some(_)) => {
            if let Some(value) = status_state.filter(|_| mode == Mode::Update) {
                changes.push((state, Value::Int(value)));
            }
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    Ok(())
}

fn read_value(table: &Table, column: &Column, raw: &str) -> Result<Value> {
    let name = column.name.as_str();
    if raw == "null" {
        return Ok(Value::Null);
    }
    let mistyped = || {
        Fail::payload(
            &table.set,
            format!(
                "Cannot convert the literal '{}' to the expected type '{}' for the property '{name}'.",
                raw.trim_matches('"'),
                super::metadata::edm(column)
            ),
        )
    };
    let text = || serde_json::from_str::<String>(raw).map_err(|_| mistyped());
    let integer = || raw.parse::<i64>().map_err(|_| mistyped());
    let out_of_range = |code: &str| {
        Fail::new(
            400,
            code,
            format!(
                "A validation error occurred.  The value {raw} of '{name}' on record of type '{}' is outside the valid range of {} to {}.",
                table.name,
                column.min.unwrap_or_default(),
                column.max.unwrap_or_default()
            ),
        )
    };
    match column.kind {
        Type::String | Type::Memo => {
            let text = text()?;
            // Lengths count UTF-16 code units, as the database's nvarchar does. [K]
            if let Some(length) = column.length
                && text.len() > length
                && text.encode_utf16().count() > length
            {
                // The text is the documented one, two spaces included.
                return Err(Fail::new(
                    400,
                    "0x80044331",
                    format!(
                        "A validation error occurred.  The length of the '{name}' attribute of the '{}' entity exceeded the maximum allowed length of '{length}'.",
                        table.name
                    ),
                ));
            }
            if text.contains(|c| !is_xml(c)) {
                return Err(Fail::new(400, "0x80040278", format!("The field '{name}' contains one or more invalid characters.")));
            }
            // The service keeps no empty texts: they read back as null. [K]
            Ok(if text.is_empty() { Value::Null } else { Value::text(&text) })
        }
        Type::Boolean => match raw {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(mistyped()),
        },
        Type::Picklist | Type::State | Type::Status => {
            let value = integer()?;
            if column.choice(value).is_none() {
                let accepted: Vec<String> = column.options.iter().map(|choice| choice.value.to_string()).collect();
                return Err(Fail::new(
                    400,
                    "0x8004431A",
                    format!(
                        "A validation error occurred.  The value {value} of '{name}' on record of type '{}' is outside the valid range. Accepted Values: {}",
                        table.name,
                        accepted.join(",")
                    ),
                ));
            }
            Ok(Value::Int(value))
        }
        Type::MultiSelect => {
            let text = text()?;
            let values: std::result::Result<Vec<i64>, _> = text.split(',').map(|item| item.trim().parse::<i64>()).collect();
            let values = values.map_err(|_| mistyped())?;
            if values.iter().any(|value| column.choice(*value).is_none()) {
                return Err(Fail::new(
                    400,
                    "0x8004431A",
                    format!("A validation error occurred.  The value {raw} of '{name}' is outside the valid range."),
                ));
            }
            Ok(Value::text(&values.iter().map(i64::to_string).collect::<Vec<_>>().join(",")))
        }
        Type::Integer | Type::BigInt => {
            let value = integer()?;
            if column.min.is_some_and(|min| (value as f64) < min) || column.max.is_some_and(|max| value as f64 > max) {
                return Err(out_of_range("0x80040203"));
            }
            Ok(Value::Int(value))
        }
        Type::Decimal | Type::Money => {
            // Read from the digits as sent: money never passes through a float.
            let number: Decimal = raw.parse().or_else(|_| Decimal::from_scientific(raw)).map_err(|_| mistyped())?;
            let bound = |bound: Option<f64>| bound.and_then(|bound| Decimal::try_from(bound).ok());
            if bound(column.min).is_some_and(|min| number < min) || bound(column.max).is_some_and(|max| number > max) {
                return Err(out_of_range("0x80044330"));
            }
            Ok(Value::Dec(number.round_dp(column.precision.unwrap_or(2)).normalize()))
        }
        Type::Double => {
            let number: f64 = raw.parse().map_err(|_| mistyped())?;
            if column.min.is_some_and(|min| number < min) || column.max.is_some_and(|max| number > max) {
                return Err(out_of_range("0x80044330"));
            }
            Ok(Value::Float(number))
        }
        Type::DateTime if column.is_date_only() => {
            let day = parse_date(&text()?).ok_or_else(mistyped)?;
            check_range(midnight(day))?;
            Ok(Value::Day(day))
        }
        Type::DateTime => {
            let at = parse_instant(&text()?).ok_or_else(mistyped)?;
            check_range(at)?;
            Ok(Value::Time(at.timestamp()))
        }
        Type::Uniqueidentifier => Ok(Value::Id(Uuid::try_parse(&text()?).map_err(|_| mistyped())?.into())),
        Type::Image | Type::File => Err(Fail::not_emulated("images and files")),
        Type::Lookup | Type::Customer | Type::Owner | Type::EntityName | Type::Virtual => Err(mistyped()),
    }
}

/// Whether XML 1.0 can hold a character. Dataverse checks each text of a string or memo column with `XmlConvert.VerifyXmlChars`
/// (Microsoft, "InvalidCharactersInField"). [D]
fn is_xml(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// Rejects what a date column cannot hold: anything before 1753-01-01 or after 9999-12-30 23:59:59
/// (`DateTimeAttributeMetadata.MinSupportedValue` and `MaxSupportedValue`). [D; the message of the minimum C, of the maximum K]
fn check_range(at: Instant) -> Result<()> {
    let day = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).map(midnight);
    let shown = |at: Instant| at.format("%m/%d/%Y %H:%M:%S");
    let (Some(least), Some(end)) = (day(1753, 1, 1), day(9999, 12, 31)) else { return Ok(()) };
    // The service's own spelling of "minimum".
    let (which, bound) = match at {
        at if at < least => ("less than minumum", least),
        at if at >= end => ("greater than maximum", end - chrono::TimeDelta::seconds(1)),
        _ => return Ok(()),
    };
    let word = if bound == least { "Minimum" } else { "Maximum" };
    Err(Fail::new(
        400,
        "0x80040239",
        format!(
            "DateTime is {which} value supported by CrmDateTime. Actual value: {}, {word} value supported: {}",
            shown(at),
            shown(bound)
        ),
    ))
}
