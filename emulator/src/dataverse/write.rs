//! Creating, updating, upserting and deleting rows, with the service's checks.

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Site;
use super::batch::{Entity, References};
use super::error::{Fail, Result};
use super::expand::{Expand, Step, step};
use super::payload::{Fields, Mode, bind, check_open, fields, payload, refer};
use super::read::{self, Found, Notes, View, find};
use super::relate;
use super::setup::{Application, Operation};
use super::store::{Changes, Store};
use super::table::Table;
use super::url::{Options, Prefer, RowKey};
use super::value::Value;
use crate::net;

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
        let fields = Fields([(name.to_owned(), raw)].into_iter().collect());
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
                    return Err(Fail::payload(&set, format!("'{text}' is not a row of '{}'", child_table.set)));
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
    let mut second = Fields::default();
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
