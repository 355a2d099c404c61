//! `CreateMultiple`, `UpdateMultiple`, `UpsertMultiple`: many rows of one table in one transaction.
//!
//! Standard tables take all rows or none, and the error does not say which row is to blame. [D]

use std::collections::HashSet;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::error::{Fail, Result};
use super::payload::{Fields, Mode, check_open, payload};
use super::read;
use super::setup::Operation;
use super::store::Store;
use super::url::{RowKey, segment};
use super::write::Writer;
use crate::net;

/// The message's prefix in a path.
pub(super) const NAMESPACE: &str = "Microsoft.Dynamics.CRM.";

/// The bulk messages of a table's set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Message {
    Create,
    Update,
    Upsert,
}

impl Message {
    /// The message of that name, without its namespace.
    pub(super) fn named(name: &str) -> Option<Message> {
        match name {
            "CreateMultiple" => Some(Message::Create),
            "UpdateMultiple" => Some(Message::Update),
            "UpsertMultiple" => Some(Message::Upsert),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Message::Create => "CreateMultiple",
            Message::Update => "UpdateMultiple",
            Message::Upsert => "UpsertMultiple",
        }
    }
}

#[derive(Deserialize)]
struct Targets {
    #[serde(rename = "Targets")]
    targets: Vec<Fields>,
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}

/// How one target of an upsert names its row.
fn key_of(store: &Store, table: usize, target: &Fields) -> Result<Option<RowKey>> {
    let description = &store.tables[table].table;
    let Some(raw) = target.get("@odata.id") else { return Ok(None) };
    let link = text(Some(raw)).ok_or_else(|| Fail::payload(&description.set, "'@odata.id' needs a text"))?;
    // An absolute URL is refused here, although it is accepted elsewhere. [C]
    if link.contains("://") {
        return Err(Fail::payload(&description.set, format!("Invalid URI '{link}': '@odata.id' is relative to the service root.")));
    }
    let segment = segment(link.trim_start_matches('/'))?;
    match segment.key {
        Some(key) if segment.name == description.set => Ok(Some(key)),
        Some(_) | None => Err(Fail::payload(&description.set, format!("'{link}' names no row of '{}'", description.set))),
    }
}

impl Writer<'_> {
    /// `POST set/Microsoft.Dynamics.CRM.XMultiple`. The number of targets comes back with the answer.
    pub(super) fn bulk(&self, store: &mut Store, table: usize, message: Message, body: &[u8]) -> Result<(Response<Body>, u64)> {
        let description = &store.tables[table].table;
        let set = description.set.clone();
        if !description.bulk {
            return Err(Fail::new(
                400,
                "0x80040800",
                format!("The '{}' method does not support entities of type '{}'.", message.name(), description.name),
            ));
        }
        let needed: &[Operation] = match message {
            Message::Create => &[Operation::Create],
            Message::Update => &[Operation::Write],
            Message::Upsert => &[Operation::Create, Operation::Write],
        };
        for operation in needed {
            self.rights.application.may_bulk(self.rights.user, *operation, description)?;
        }
        let Targets { targets } = serde_json::from_slice(body)
            .map_err(|error| Fail::payload(&set, format!("the body needs 'Targets', an array of objects: {error}")))?;
        if targets.is_empty() {
            return Err(Fail::new(400, "0x80040203", "The 'Targets' collection is empty."));
        }
        if description.max_targets.is_some_and(|most| targets.len() > most) {
            return Err(Fail::new(413, "0x8004418a", "Request too long."));
        }
        let wanted = description.entity();
        for target in &targets {
            let Some(kind) = text(target.get("@odata.type").map(AsRef::as_ref)) else {
                // Without it the library cannot tell the type. The text is assumed. [K]
                return Err(Fail::payload(
                    &set,
                    "A type name was not found for an item of 'Targets' and the expected type 'Microsoft.Dynamics.CRM.crmbaseentity' is abstract; \
                     every item needs '@odata.type'.",
                ));
            };
            if kind.trim_start_matches('#') != wanted {
                return Err(Fail::new(
                    400,
                    "0x80040203",
                    format!("The entity type '{kind}' of an item of 'Targets' differs from '{wanted}'."),
                ));
            }
        }
        let count = targets.len() as u64;
        let response = store.atomically(|store| match message {
            Message::Create => self.create_multiple(store, table, &targets),
            Message::Update => self.update_multiple(store, table, &targets),
            Message::Upsert => self.upsert_multiple(store, table, &targets),
        })?;
        Ok((response, count))
    }

    fn create_multiple(&self, store: &mut Store, table: usize, targets: &[Fields]) -> Result<Response<Body>> {
        let mut ids = Vec::with_capacity(targets.len());
        for target in targets {
            let payload = payload(store, table, target, Mode::Create, self.references)?;
            let id = payload.id.unwrap_or_else(Uuid::new_v4);
            store.insert(table, id, payload.changes, self.user, self.site.now())?;
            ids.push(id);
        }
        let context = format!("{}/$metadata#{NAMESPACE}CreateMultipleResponse", self.site.root);
        Ok(net::body(StatusCode::OK, read::JSON, json!({"@odata.context": context, "Ids": ids}).to_string()))
    }

    fn update_multiple(&self, store: &mut Store, table: usize, targets: &[Fields]) -> Result<Response<Body>> {
        let mut seen = HashSet::new();
        for target in targets {
            let payload = payload(store, table, target, Mode::Update, self.references)?;
            let description = &store.tables[table].table;
            // Alternate keys are not supported here. [D]
            let Some(id) = payload.id else {
                return Err(Fail::new(400, "0x80040203", format!("Every target needs its primary key '{}'.", description.id)));
            };
            // Duplicates: the first wins, the rest are silently ignored. [D]
            if !seen.insert(id) {
                continue;
            }
            if !store.tables[table].rows.contains_key(&id) {
                return Err(Fail::new(404, "0x80040217", format!("{} With Ids = {id} Do Not Exist", description.schema)));
            }
            check_open(self.site, store, table, id, &payload.changes)?;
            store.update(table, id, payload.changes, self.user, self.site.now())?;
        }
        Ok(net::empty(StatusCode::NO_CONTENT))
    }

    fn upsert_multiple(&self, store: &mut Store, table: usize, targets: &[Fields]) -> Result<Response<Body>> {
        let mut seen = HashSet::new();
        for target in targets {
            let key = key_of(store, table, target)?;
            let found = key.as_ref().map(|key| read::find(store, table, key)).transpose()?;
            // The row by its key, or else by the primary key in the body.
            let given = |mode| payload(store, table, target, mode, self.references);
            let (existing, by_key) = match found {
                Some(found) => (found.id, Some(found)),
                None => {
                    let id = given(Mode::Update)?.id;
                    let Some(id) = id else {
                        let id_column = &store.tables[table].table.id;
                        return Err(Fail::new(400, "0x80040203", format!("Every target needs '{id_column}' or '@odata.id' with a key.")));
                    };
                    (store.tables[table].rows.contains_key(&id).then_some(id), None)
                }
            };
            let row = match existing {
                Some(id) => {
                    let mut payload = given(Mode::Update)?;
                    if let Some(found) = &by_key {
                        payload.changes.retain(|(column, _)| !found.key.iter().any(|(key, _)| key == column));
                    }
                    check_open(self.site, store, table, id, &payload.changes)?;
                    store.update(table, id, payload.changes, self.user, self.site.now())?;
                    id
                }
                None => {
                    let mut payload = given(Mode::Create)?;
                    let mut id = payload.id;
                    if let Some(found) = by_key {
                        // A key column both in the URL and in the body: an unexpected error, on this path alone. [C]
                        if payload.changes.iter().any(|(column, _)| found.key.iter().any(|(key, _)| key == column)) {
                            return Err(Fail::new(400, "0x80040216", "An unexpected error occurred."));
                        }
                        payload.changes.extend(found.key);
                        id = found.wanted.or(id);
                    }
                    let id = id.unwrap_or_else(Uuid::new_v4);
                    store.insert(table, id, payload.changes, self.user, self.site.now())?;
                    id
                }
            };
            if !seen.insert(row) {
                // Which error is not documented. [K]
                return Err(Fail::new(400, "0x80040237", "A record with matching key values already exists. Cannot insert duplicate key."));
            }
        }
        Ok(net::empty(StatusCode::NO_CONTENT))
    }
}
