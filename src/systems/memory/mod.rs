//! A system in memory, for tests: the smallest that keeps the contract of sources and targets. It shows what a further system needs: this
//! folder and its entry in `src/system.rs`.

mod flows;
mod persons;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::source::{Cursor, Page, PageRequest, Query, Row, Source, SourceCapabilities};
use super::target::{Found, Link, Linked, Match, Matches, Payload, RecordKey, Search, Table, Target, TargetCapabilities, Written};
use super::{Connection, Environment, History, Profiles, Subscriptions, Timeline};
use crate::connect::trail::hash_of;
use crate::connect::{Call, ConnectError, RequestLifetime};
use crate::system::SystemId;

/// Tables of records. A clone shares them.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Tables>>);

#[derive(Default)]
struct Tables {
    records: BTreeMap<u64, Stored>,
    /// What was written.
    log: Vec<Change>,
    persons: persons::Persons,
}

struct Change {
    table: String,
    /// The record's number.
    number: u64,
    /// The record itself, if it is gone.
    gone: Option<Map<String, Value>>,
}

struct Stored {
    table: String,
    fields: Map<String, Value>,
    version: u64,
}

impl Tables {
    fn find(&self, table: &str, attribute: &str, value: &str) -> Option<u64> {
        let has = |stored: &Stored| stored.table == table && stored.fields.get(attribute).and_then(Value::as_str) == Some(value);
        self.records.iter().find(|(_, stored)| has(stored)).map(|(number, _)| *number)
    }
}

fn error(make: impl FnOnce(Box<Call>) -> ConnectError, message: &str) -> ConnectError {
    make(Box::new(Call { api: SystemId::Memory.api(), message: Some(message.to_owned()), ..Call::default() }))
}

fn rejected(message: &str) -> ConnectError {
    error(|call| ConnectError::Rejected { call }, message)
}

fn fields(body: &str) -> Result<Map<String, Value>, ConnectError> {
    serde_json::from_str(body).map_err(|_| rejected("the body is not a JSON object"))
}

fn raw(fields: &Map<String, Value>) -> Result<Box<RawValue>, ConnectError> {
    to_raw_value(fields).map_err(|_| rejected("the record is not JSON"))
}

/// Where a page begins: in the records after a number (`full`), or in the log.
struct Place {
    full: bool,
    table: String,
    from: u64,
    /// The length of the log when the reading began.
    log: u64,
}

impl Place {
    fn to_cursor(&self) -> Cursor {
        let kind = if self.full { "full" } else { "changes" };
        Cursor::from(format!("{kind}|{}|{}|{}", self.table, self.from, self.log))
    }

    fn read(cursor: &Cursor) -> Option<Place> {
        let mut parts = cursor.as_str().split('|');
        let (kind, table) = (parts.next()?, parts.next()?.to_owned());
        let (from, log) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Place { full: kind == "full", table, from, log })
    }
}

impl Memory {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All records of a table, in the order in which they were made.
    pub(super) fn records(&self, table: &str) -> Vec<Value> {
        let tables = self.tables();
        tables.records.values().filter(|stored| stored.table == table).map(|stored| Value::Object(stored.fields.clone())).collect()
    }
}

#[async_trait]
impl Connection for Memory {
    async fn environment(&self) -> Result<Environment, ConnectError> {
        Ok(Environment { address: "memory".to_owned(), organization: None })
    }

    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::new(self.clone()))
    }

    fn target(&self) -> Option<Arc<dyn Target>> {
        Some(Arc::new(self.clone()))
    }

    fn timeline(&self) -> Option<Arc<dyn Timeline>> {
        Some(Arc::new(self.clone()))
    }

    fn history(&self) -> Option<Arc<dyn History>> {
        Some(Arc::new(self.clone()))
    }

    fn profiles(&self) -> Option<Arc<dyn Profiles>> {
        Some(Arc::new(self.clone()))
    }

    fn subscriptions(&self) -> Option<Arc<dyn Subscriptions>> {
        Some(Arc::new(self.clone()))
    }
}

impl Memory {
    /// Adds a record that somebody else makes; it need not have a key.
    pub fn add(&self, table: Table<'_>, body: &Payload) {
        let mut tables = self.tables();
        let number = tables.log.len() as u64 + 1;
        let fields = fields(&body.to_text()).unwrap_or_default();
        tables.records.insert(number, Stored { table: table.collection.to_owned(), fields, version: number });
        tables.log.push(Change { table: table.collection.to_owned(), number, gone: None });
    }
}

#[async_trait]
impl Source for Memory {
    fn system(&self) -> SystemId {
        SystemId::Memory
    }

    fn capabilities(&self) -> SourceCapabilities {
        SourceCapabilities { change_tracking: true, deletes: true }
    }

    async fn page(&self, request: &PageRequest) -> Result<Page, ConnectError> {
        let tables = self.tables();
        let end = tables.log.len() as u64;
        let (place, query, size) = match request {
            PageRequest::First { query, page_size, .. } => {
                (Place { full: true, table: query.collection.clone(), from: 0, log: end }, query, *page_size)
            }
            PageRequest::Follow { cursor, query, page_size } => {
                let expired = || error(|call| ConnectError::DeltaExpired { call }, "the cursor cannot be read");
                (Place::read(cursor).ok_or_else(expired)?, query, *page_size)
            }
        };
        let mut rows = Vec::new();
        let mut next = None;
        let size = size.max(1) as usize;
        if place.full {
            let records = tables.records.range(place.from..).filter(|(_, stored)| stored.table == place.table);
            for (number, stored) in records {
                if rows.len() == size {
                    next = Some(Place { from: *number, ..Place { table: place.table.clone(), ..place } });
                    break;
                }
                rows.push(Row::Changed(raw(&stored.fields)?));
            }
        } else {
            let changes: BTreeMap<u64, &Option<Map<String, Value>>> = tables.log[usize::try_from(place.from).unwrap_or(0)..]
                .iter()
                .filter(|change| change.table == place.table)
                .map(|change| (change.number, &change.gone))
                .collect();
            for (number, gone) in changes {
                let id =
                    |fields: &Map<String, Value>| fields.get(&query.primary_key).and_then(Value::as_str).unwrap_or_default().to_owned();
                match (gone, tables.records.get(&number)) {
                    (Some(fields), _) => rows.push(Row::Deleted { id: id(fields), left_result: false }),
                    (None, Some(stored)) => rows.push(Row::Changed(raw(&stored.fields)?)),
                    (None, None) => {}
                }
            }
        }
        // Changes come on one page, however many there are.
        let log = if place.full { place.log } else { end };
        let changes = next.is_none().then(|| Place { full: false, table: place.table.clone(), from: log, log }.to_cursor());
        let content = hash_of(format!("{rows:?}"));
        Ok(Page { rows, next: next.map(|place| place.to_cursor()), changes, content })
    }

    async fn retrieve(&self, query: &Query, id: &str) -> Result<Option<Box<RawValue>>, ConnectError> {
        let tables = self.tables();
        let number = tables.find(&query.collection, &query.primary_key, id);
        number.and_then(|number| tables.records.get(&number)).map(|stored| raw(&stored.fields)).transpose()
    }

    fn collection_of(&self, cursor: &Cursor) -> Option<String> {
        Place::read(cursor).map(|place| place.table)
    }
}

#[async_trait]
impl Target for Memory {
    fn system(&self) -> SystemId {
        SystemId::Memory
    }

    fn capabilities(&self) -> TargetCapabilities {
        TargetCapabilities { bulk: None, conditional_write: true, deletes: true, adopts: true }
    }

    fn request_lifetime(&self) -> RequestLifetime {
        RequestLifetime::default()
    }

    async fn get(&self, record: RecordKey<'_>) -> Result<Option<Found>, ConnectError> {
        let tables = self.tables();
        let number = tables.find(record.table.collection, record.attribute, record.value);
        Ok(number
            .and_then(|number| tables.records.get(&number))
            .map(|stored| Found { record: Value::Object(stored.fields.clone()), version: Some(stored.version.to_string()) }))
    }

    async fn create(&self, table: Table<'_>, attribute: &str, body: Payload) -> Result<(), ConnectError> {
        let fields = fields(&body.to_text())?;
        let mut tables = self.tables();
        let key = fields.get(attribute).and_then(Value::as_str).ok_or_else(|| rejected("the key is missing"))?;
        if tables.find(table.collection, attribute, key).is_some() {
            return Err(error(|call| ConnectError::Duplicate { call }, "the key is taken"));
        }
        let number = tables.log.len() as u64 + 1;
        tables.records.insert(number, Stored { table: table.collection.to_owned(), fields, version: number });
        tables.log.push(Change { table: table.collection.to_owned(), number, gone: None });
        Ok(())
    }

    async fn update(&self, record: RecordKey<'_>, body: Payload, version: Option<&str>) -> Result<Written, ConnectError> {
        let changed = fields(&body.to_text())?;
        let mut tables = self.tables();
        let Some(number) = tables.find(record.table.collection, record.attribute, record.value) else { return Ok(Written::Missing) };
        let now = tables.log.len() as u64 + 1;
        let Some(stored) = tables.records.get_mut(&number) else { return Ok(Written::Missing) };
        if version.is_some_and(|version| version != stored.version.to_string()) {
            return Err(error(|call| ConnectError::Changed { call }, "the record has another version"));
        }
        stored.fields.extend(changed);
        stored.version = now;
        tables.log.push(Change { table: record.table.collection.to_owned(), number, gone: None });
        Ok(Written::Done)
    }

    async fn search(&self, search: Search<'_>) -> Result<Matches, ConnectError> {
        let tables = self.tables();
        let folded = |value: &str| value.trim().to_lowercase();
        let text = |stored: &Stored, name: &str| stored.fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let hits = tables.records.iter().filter(|(_, stored)| {
            let same = || text(stored, search.by).is_some_and(|value| folded(&value) == folded(search.value));
            stored.table == search.table.collection && same()
        });
        let found: Vec<Match> = hits
            .take(search.most.saturating_add(1))
            .map(|(number, stored)| Match { key: text(stored, search.key).filter(|key| !key.is_empty()), address: number.to_string() })
            .collect();
        let more = found.len() > search.most;
        Ok(Matches { records: found.into_iter().take(search.most).collect(), more })
    }

    async fn adopt(&self, found: &Match, record: RecordKey<'_>, body: Payload) -> Result<Written, ConnectError> {
        let changed = fields(&body.to_text())?;
        let mut tables = self.tables();
        if tables.find(record.table.collection, record.attribute, record.value).is_some() {
            return Err(error(|call| ConnectError::Duplicate { call }, "the key is taken"));
        }
        let number = found.address.parse().unwrap_or(0);
        let now = tables.log.len() as u64 + 1;
        let Some(stored) = tables.records.get_mut(&number) else { return Ok(Written::Missing) };
        if stored.fields.get(record.attribute).and_then(Value::as_str).is_some_and(|key| !key.is_empty()) {
            return Err(rejected("the key cannot be changed"));
        }
        stored.fields.extend(changed);
        stored.version = now;
        tables.log.push(Change { table: record.table.collection.to_owned(), number, gone: None });
        Ok(Written::Done)
    }

    async fn delete(&self, record: RecordKey<'_>) -> Result<Written, ConnectError> {
        let mut tables = self.tables();
        let Some(number) = tables.find(record.table.collection, record.attribute, record.value) else { return Ok(Written::Missing) };
        let gone = tables.records.remove(&number).map(|stored| stored.fields);
        tables.log.push(Change { table: record.table.collection.to_owned(), number, gone });
        Ok(Written::Done)
    }

    async fn linked(&self, body: &str, links: &[Link<'_>]) -> Result<Linked, ConnectError> {
        let mut fields = fields(body)?;
        for link in links {
            let value = match link.to {
                Some(to) if self.tables().find(to.table.collection, to.attribute, to.value).is_none() => {
                    return Ok(Linked::Absent { link: link.name.to_owned() });
                }
                Some(to) => Value::from(to.value),
                None => Value::Null,
            };
            fields.insert(link.name.to_owned(), value);
        }
        Ok(Linked::Ready(Value::Object(fields).to_string().into()))
    }
}
