//! Creating, updating, upserting and deleting rows, with the service's checks.

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode};
use indexmap::IndexMap;
use rust_decimal::Decimal;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Site;
use super::batch::{Entity, References, resolve};
use super::error::{Fail, Result};
use super::expand::{Expand, Step, step};
use super::read::{self, Found, Notes, View, find};
use super::relate;
use super::setup::{Application, Operation};
use super::store::{Changes, Store};
use super::table::{Column, Table, Type};
use super::url::{Options, Prefer, RowKey, Segment, segment};
use super::value::Value;
use crate::emulator::net;
use crate::time::{parse_date, parse_instant};

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

pub(super) type Fields = IndexMap<String, Box<RawValue>>;

fn fields(table: &Table, body: &[u8]) -> Result<Fields> {
    serde_json::from_slice(body).map_err(|error| Fail::payload(&table.set, format!("the body is no JSON object: {error}")))
}

pub(super) fn payload(store: &Store, table: usize, fields: &Fields, mode: Mode, references: Option<&References>) -> Result<Payload> {
    let description = &store.tables[table].table;
    let set = description.set.as_str();
    let mut result = Payload { id: None, changes: Vec::with_capacity(fields.len()) };
    for (name, raw) in fields {
        if let Some((property, annotation)) = name.split_once('@') {
            if annotation == "odata.bind" {
                let (column, value) = bind(store, table, property, raw.get(), references)?;
                result.changes.push((column, value));
            }
            // Control information and annotations that a client sends back are passed over.
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
fn bind(store: &Store, table: usize, nav: &str, raw: &str, references: Option<&References>) -> Result<(u16, Value)> {
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
        return Err(Fail::payload(&description.set, format!("'{link}' is no reference that '{nav}' can hold")));
    }
    Ok((index, Value::Link(target as u8, id.into())))
}

/// The row that a reference names: absolute, from the root, relative, or by `$1`; by id or alternate key. [D]
fn refer(store: &Store, set: &str, link: &str, references: Option<&References>) -> Result<(usize, Uuid)> {
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
        Type::DateTime if column.is_date_only() => Ok(Value::Day(parse_date(&text()?).ok_or_else(mistyped)?)),
        Type::DateTime => Ok(Value::Time(parse_instant(&text()?).ok_or_else(mistyped)?.timestamp())),
        Type::Uniqueidentifier => Ok(Value::Id(Uuid::try_parse(&text()?).map_err(|_| mistyped())?.into())),
        Type::Image | Type::File => Err(Fail::not_emulated("images and files")),
        Type::Lookup | Type::Customer | Type::Owner | Type::EntityName | Type::Virtual => Err(mistyped()),
    }
}

/// What the writer may do.
#[derive(Clone, Copy)]
pub(super) struct Rights<'a> {
    pub(super) user: Uuid,
    pub(super) application: &'a Application,
}

impl Rights<'_> {
    pub(super) fn may(&self, operation: Operation, table: &Table) -> Result<()> {
        self.application.may(self.user, operation, table)
    }
}

/// Who writes, and how.
pub(super) struct Writer<'a> {
    pub(super) site: &'a Site,
    pub(super) user: u8,
    pub(super) headers: &'a HeaderMap,
    pub(super) options: &'a Options,
    pub(super) prefer: &'a Prefer,
    /// What `$1` stands for, within a change set.
    pub(super) references: Option<&'a References>,
    pub(super) rights: Rights<'a>,
}

impl Writer<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
    }

    fn answer(&self, store: &Store, table: usize, id: Uuid, created: bool, echo: &str) -> Result<Response<Body>> {
        let description = &store.tables[table].table;
        let mut response = if self.prefer.representation {
            let view = View::new(description, self.options.select.as_deref())?;
            let expand = self.options.expand.as_deref().map_or(Ok(Vec::new()), |text| Expand::parse(text, store, table))?;
            let status = if created { StatusCode::CREATED } else { StatusCode::OK };
            let mut response =
                net::body(status, read::JSON, read::entity(self.site, store, (table, id), &view, &expand, Notes::new(self.prefer)));
            if let Some(row) = store.tables[table].rows.get(&id) {
                net::set(&mut response, "etag", &format!("W/\"{}\"", row.version));
            }
            response
        } else {
            let mut response = net::empty(StatusCode::NO_CONTENT);
            let url = format!("{}/{echo}", self.site.root);
            net::set(&mut response, "odata-entityid", &url);
            net::set(&mut response, "location", &url);
            response
        };
        response.extensions_mut().insert(Entity(echo.to_owned()));
        read::apply(&mut response, self.prefer);
        Ok(response)
    }

    /// `POST set`.
    pub(super) fn create(&self, store: &mut Store, table: usize, body: &[u8]) -> Result<Response<Body>> {
        let description = &store.tables[table].table;
        self.rights.may(Operation::Create, description)?;
        if let Some(select) = &self.options.select {
            View::new(description, Some(select))?;
        }
        let fields = fields(description, body)?;
        let set = description.set.clone();
        let id = self.insert(store, table, fields, 0)?;
        self.answer(store, table, id, true, &format!("{set}({id})"))
    }

    /// OData's own library refuses a null annotation; the documents say that it clears the lookup. A setting decides. [D/C]
    fn check_binds(&self, set: &str, fields: &Fields) -> Result<()> {
        let null = fields.iter().any(|(name, raw)| name.ends_with("@odata.bind") && raw.get() == "null");
        if self.site.refuse_null_bind && null {
            return Err(Fail::payload(
                set,
                "The 'odata.bind' instance or property annotation has a null value. In OData, the 'odata.bind' instance or property annotation must have a \
                 non-null string value.",
            ));
        }
        Ok(())
    }

    /// Inserts a row, and the rows nested in it: related ones before it, those that point to it after. [D: deep insert]
    fn insert(&self, store: &mut Store, table: usize, mut fields: Fields, depth: usize) -> Result<Uuid> {
        let description = &store.tables[table].table;
        if depth > 8 {
            return Err(Fail::payload(&description.set, "the entities are nested too deeply"));
        }
        let set = description.set.clone();
        self.check_binds(&set, &fields)?;
        let nested: Vec<String> =
            fields.iter().filter(|(_, raw)| raw.get().starts_with(['{', '['])).map(|(name, _)| name.clone()).collect();
        let (mut before, mut after): (Changes, Vec<(usize, u16, Vec<Fields>)>) = (Vec::new(), Vec::new());
        let wrong = |error: serde_json::Error| Fail::payload(&set, error);
        for name in nested {
            let Some(raw) = fields.get(&name) else { continue };
            match step(store, table, &name) {
                Ok(Step::One(single)) => {
                    let inner: Fields = serde_json::from_str(raw.get()).map_err(wrong)?;
                    self.rights.may(Operation::Create, &store.tables[single.table].table)?;
                    let id = self.insert(store, single.table, inner, depth + 1)?;
                    before.push((single.lookup, Value::Link(single.table as u8, id.into())));
                }
                Ok(Step::Many(child, lookup)) => {
                    self.rights.may(Operation::Create, &store.tables[child].table)?;
                    after.push((child, lookup, serde_json::from_str(raw.get()).map_err(wrong)?));
                }
                // What it is instead is said where single values are read.
                Ok(Step::Column) | Err(_) => continue,
            }
            fields.shift_remove(&name);
        }
        let mut payload = payload(store, table, &fields, Mode::Create, self.references)?;
        payload.changes.extend(before);
        let id = payload.id.unwrap_or_else(Uuid::new_v4);
        store.insert(table, id, payload.changes, self.user, self.site.now())?;
        for (child, lookup, rows) in after {
            for row in rows {
                let child_id = self.insert(store, child, row, depth + 1)?;
                store.update(child, child_id, vec![(lookup, Value::Link(table as u8, id.into()))], self.user, self.site.now())?;
            }
        }
        Ok(id)
    }

    fn check_match(&self, store: &Store, table: usize, found: &Found) -> Result<()> {
        let description = &store.tables[table].table;
        if let Some(wanted) = self.header("if-match") {
            let id = found.existing(description)?;
            let current = store.tables[table].rows.get(&id).map(|row| format!("W/\"{}\"", row.version));
            if wanted != "*" && current.as_deref() != Some(wanted) {
                return Err(Fail::new(
                    412,
                    "0x80060882",
                    "The version of the existing record doesn't match the RowVersion property provided.",
                ));
            }
        }
        if self.header("if-none-match") == Some("*") && found.id.is_some() {
            return Err(Fail::new(412, "0x80040237", "A record with matching key values already exists."));
        }
        Ok(())
    }

    /// `PATCH set(key)`: update, or upsert unless `If-Match` forbids the creation.
    pub(super) fn patch(&self, store: &mut Store, table: usize, key: &RowKey, echo: &str, body: &[u8]) -> Result<Response<Body>> {
        let description = &store.tables[table].table;
        let fields = fields(description, body)?;
        if let Some(select) = &self.options.select {
            View::new(description, Some(select))?;
        }
        self.check_binds(&description.set, &fields)?;
        let found = find(store, table, key)?;
        self.check_match(store, table, &found)?;
        self.rights.may(if found.id.is_some() { Operation::Write } else { Operation::Create }, description)?;
        let Some(id) = found.id else {
            let mut payload = payload(store, table, &fields, Mode::Create, self.references)?;
            // The key's values fill the new row; the body's win over them. [D]
            for (column, value) in found.key {
                if !payload.changes.iter().any(|(other, _)| *other == column) {
                    payload.changes.push((column, value));
                }
            }
            let id = found.wanted.or(payload.id).unwrap_or_else(Uuid::new_v4);
            if payload.id.is_some_and(|given| given != id) {
                return Err(Fail::payload(&description.set, "the primary key in the body differs from the one in the URL"));
            }
            store.insert(table, id, payload.changes, self.user, self.site.now())?;
            return self.answer(store, table, id, true, echo);
        };
        let mut payload = payload(store, table, &fields, Mode::Update, self.references)?;
        if payload.id.is_some_and(|given| given != id) {
            return Err(Fail::payload(&description.set, "the primary key in the body differs from the one in the URL"));
        }
        // On an update by alternate key, the body's values for the key's own columns are dropped. [D]
        payload.changes.retain(|(column, _)| !found.key.iter().any(|(key, _)| key == column));
        check_open(self.site, store, table, id, &payload.changes)?;
        store.update(table, id, payload.changes, self.user, self.site.now())?;
        self.answer(store, table, id, false, echo)
    }

    /// `PUT set(key)/column` with `{"value": …}`, and `DELETE set(key)/column` or `…/nav/$ref`, which clear.
    pub(super) fn set_property(
        &self,
        store: &mut Store,
        table: usize,
        key: &RowKey,
        name: &str,
        body: Option<&[u8]>,
    ) -> Result<Response<Body>> {
        let description = &store.tables[table].table;
        self.rights.may(Operation::Write, description)?;
        let raw = match body {
            None => "null".to_owned(),
            Some(body) => match fields(description, body)?.get("value") {
                Some(value) => value.get().to_owned(),
                None => return Err(Fail::payload(&description.set, "the body needs a 'value'")),
            },
        };
        let raw = RawValue::from_string(raw).map_err(|error| Fail::payload(&description.set, error))?;
        let found = find(store, table, key)?;
        self.check_match(store, table, &found)?;
        let id = found.existing(description)?;
        let fields: Fields = [(name.to_owned(), raw)].into_iter().collect();
        let payload = payload(store, table, &fields, Mode::Update, self.references)?;
        store.update(table, id, payload.changes, self.user, self.site.now())?;
        Ok(net::empty(StatusCode::NO_CONTENT))
    }

    /// `PUT set(key)/nav/$ref` and `POST set(key)/nav/$ref`, with `{"@odata.id": url}`.
    pub(super) fn associate(
        &self,
        store: &mut Store,
        table: usize,
        key: &RowKey,
        name: &str,
        body: &[u8],
        add: bool,
    ) -> Result<Response<Body>> {
        let description = &store.tables[table].table;
        let set = description.set.clone();
        let mut fields = fields(description, body)?;
        let link = fields.shift_remove("@odata.id").ok_or_else(|| Fail::payload(&set, "the body needs '@odata.id'"))?;
        let id = find(store, table, key)?.existing(description)?;
        match (step(store, table, name)?, add) {
            (Step::One(_), false) => {
                self.rights.may(Operation::Write, description)?;
                let change = bind(store, table, name, link.get(), self.references)?;
                store.update(table, id, vec![change], self.user, self.site.now())?;
            }
            (Step::Many(child, lookup), true) => {
                let child_table = &store.tables[child].table;
                self.rights.may(Operation::Write, child_table)?;
                let text: String = serde_json::from_str(link.get()).map_err(|error| Fail::payload(&set, error))?;
                let (target, row) = refer(store, &set, &text, self.references)?;
                if target != child {
                    return Err(Fail::payload(&set, format!("'{text}' is no row of '{}'", child_table.set)));
                }
                store.update(child, row, vec![(lookup, Value::Link(table as u8, id.into()))], self.user, self.site.now())?;
            }
            (Step::Column, _) => return Err(Fail::no_segment("$ref")),
            (Step::One(_), true) => return Err(Fail::method("POST")),
            (Step::Many(..), false) => return Err(Fail::method("PUT")),
        }
        Ok(net::empty(StatusCode::NO_CONTENT))
    }

    /// `DELETE set(key)/nav(key)/$ref`: a row leaves a collection.
    pub(super) fn dissociate(&self, store: &mut Store, table: usize, key: &RowKey, name: &str, other: &RowKey) -> Result<Response<Body>> {
        let id = find(store, table, key)?.existing(&store.tables[table].table)?;
        let Step::Many(child, lookup) = step(store, table, name)? else { return Err(Fail::no_segment(name)) };
        self.rights.may(Operation::Write, &store.tables[child].table)?;
        let row = find(store, child, other)?.existing(&store.tables[child].table)?;
        let single = relate::Single { lookup, table };
        let points = store.tables[child].rows.get(&row).and_then(|found| relate::target(store, child, row, found, single));
        if points == Some(id) {
            store.update(child, row, vec![(lookup, Value::Null)], self.user, self.site.now())?;
        }
        Ok(net::empty(StatusCode::NO_CONTENT))
    }

    /// `DELETE set(key)`.
    pub(super) fn delete(&self, store: &mut Store, table: usize, key: &RowKey) -> Result<Response<Body>> {
        self.rights.may(Operation::Delete, &store.tables[table].table)?;
        let found = find(store, table, key)?;
        let id = found.existing(&store.tables[table].table)?;
        self.check_match(store, table, &found)?;
        store.delete(table, id)?;
        Ok(net::empty(StatusCode::NO_CONTENT))
    }
}

/// Creates a row from a seed's body. What the service forbids on create (`statecode`) is done by an update after it.
pub(super) fn seed(store: &mut Store, table: usize, body: &str, user: u8, now: i64) -> Result<Uuid> {
    let description = &store.tables[table].table;
    let mut first = fields(description, body.as_bytes())?;
    let mut second = Fields::new();
    for name in ["statecode", "statuscode"] {
        if let Some(value) = first.shift_remove(name) {
            second.insert(name.to_owned(), value);
        }
    }
    let created = payload(store, table, &first, Mode::Create, None)?;
    let id = created.id.unwrap_or_else(Uuid::new_v4);
    store.insert(table, id, created.changes, user, now)?;
    if !second.is_empty() {
        let changes = payload(store, table, &second, Mode::Update, None)?.changes;
        store.update(table, id, changes, user, now)?;
    }
    Ok(id)
}

/// Changes a row outside of the API.
pub(super) fn change(store: &mut Store, table: usize, id: Uuid, body: &str, user: u8, now: i64) -> Result<()> {
    let fields = fields(&store.tables[table].table, body.as_bytes())?;
    let changes = payload(store, table, &fields, Mode::Update, None)?.changes;
    store.update(table, id, changes, user, now).map(|_| ())
}
