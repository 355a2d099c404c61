//! A system whose writes stay in memory: a dry run does the work of a run on two of them.
//!
//! What is read comes from the service, with what would have been written before on top of it. So a record that would be created is found
//! again, and what follows from it (the id that is written back, the rows of its lists) comes out as in a run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::connect::{ConnectError, RequestLifetime};
use crate::plan::{LinkedRecord, TwoWayFlow};
use crate::system::SystemId;
use crate::systems::{
    Cursor, Found, Link, Linked, Missing, Page, PageRequest, Payload, Query, RecordKey, Source, SourceCapabilities, Table, Target,
    TargetCapabilities, Written,
};

/// What a write would do to its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    Update,
    Delete,
}

/// A write that was kept back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) operation: Operation,
    pub(super) table: String,
    /// The record's id; of one that would be created, the key that it would get.
    pub(super) key: String,
    /// The properties that would be written.
    pub(super) fields: Vec<String>,
}

/// A record as the writes have it.
enum Kept {
    /// It exists only here.
    Created(Map<String, Value>),
    /// What was written to a record of the service.
    Changed(Map<String, Value>),
    Deleted,
}

/// By the table's name in addresses, and the id.
type Place = (String, String);

#[derive(Default)]
struct Writes {
    records: HashMap<Place, Kept>,
    /// The ids of the records to which a text was written, by table, property and text. They may have another value by now.
    texts: HashMap<(String, String, String), BTreeSet<String>>,
    changes: Vec<Change>,
}

impl Writes {
    /// Notes where texts were written, so that a record is found by one without a search through all.
    fn index(&mut self, (collection, id): &Place, written: &Map<String, Value>) {
        for (property, value) in written {
            if let Some(text) = value.as_str() {
                let text = (collection.clone(), property.clone(), text.to_owned());
                self.texts.entry(text).or_default().insert(id.clone());
            }
        }
    }

    /// The records to which a text was written, in the order of their ids.
    fn with_text<'w>(&'w self, collection: &str, property: &str, text: &str) -> impl Iterator<Item = (&'w String, &'w Kept)> + use<'w> {
        let ids = self.texts.get(&(collection.to_owned(), property.to_owned(), text.to_owned()));
        let collection = collection.to_owned();
        ids.into_iter().flatten().filter_map(move |id| Some((id, self.records.get(&(collection.clone(), id.clone()))?)))
    }
}

/// A system whose writes stay in memory.
pub(super) struct Rehearsal {
    source: Arc<dyn Source>,
    target: Arc<dyn Target>,
    /// The property with a record's id, by the table's name in addresses.
    ids: BTreeMap<String, String>,
    /// The property that shows where a link leads, by the name under which it is written.
    lookups: BTreeMap<String, String>,
    writes: Mutex<Writes>,
}

impl Rehearsal {
    /// A rehearsal of a side of a flow.
    pub(super) fn of(flow: &TwoWayFlow, source: Arc<dyn Source>, target: Arc<dyn Target>) -> Arc<Rehearsal> {
        let sides = [&flow.left, &flow.right].map(|side| (side.collection.clone(), side.primary_key.clone()));
        let links = flow.links.iter().map(|link| (link.collection.clone(), link.primary_key.clone()));
        let rows = flow.rows.iter().map(|rows| (rows.collection.clone(), rows.primary_key.clone()));
        let of_links = flow.links.iter().map(|link| (link.navigation.clone(), LinkedRecord::property(link)));
        let of_rows = flow.rows.iter().map(|rows| (rows.navigation.clone(), rows.lookup.clone()));
        let lookups = of_links.chain(of_rows).collect();
        let ids = sides.into_iter().chain(links).chain(rows).collect();
        Arc::new(Rehearsal { source, target, ids, lookups, writes: Mutex::default() })
    }

    /// What would have been written, in its order.
    pub(super) fn changes(&self) -> Vec<Change> {
        self.writes().changes.clone()
    }

    fn writes(&self) -> MutexGuard<'_, Writes> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a body writes, as it is read: a link as the id of the other record.
    fn written(&self, body: &Payload) -> Map<String, Value> {
        let Ok(Value::Object(body)) = serde_json::from_str(&body.to_text()) else { return Map::new() };
        let read = |(name, value): (String, Value)| match name.strip_suffix("@odata.bind").and_then(|link| self.lookups.get(link)) {
            Some(lookup) => (lookup.clone(), bound_id(&value)),
            None => (name, value),
        };
        body.into_iter().map(read).collect()
    }

    /// A record of the service with what was written to it.
    fn with_writes(&self, collection: &str, id: &str, record: Option<Box<RawValue>>) -> Option<Box<RawValue>> {
        let written = match self.writes().records.get(&place(collection, id)) {
            None => return record,
            Some(Kept::Deleted) => return None,
            Some(Kept::Created(created)) => return to_raw_value(created).ok(),
            Some(Kept::Changed(written)) => written.clone(),
        };
        let mut all: Map<String, Value> = serde_json::from_str(record?.get()).ok()?;
        merge(&mut all, written);
        to_raw_value(&all).ok()
    }

    /// The ids of records that exist only here and have these values.
    fn created_with(&self, collection: &str, primary_key: &str, values: &[(&str, Value)]) -> Vec<String> {
        let writes = self.writes();
        let text = values.iter().find_map(|(name, value)| Some((*name, value.as_str()?)));
        let candidates: Vec<&Kept> = match text {
            Some((property, text)) => writes.with_text(collection, property, text).map(|(_, kept)| kept).collect(),
            None => writes.records.iter().filter(|((of, _), _)| of == collection).map(|(_, kept)| kept).collect(),
        };
        let created = candidates.into_iter().filter_map(|kept| match kept {
            Kept::Created(record) => Some(record),
            Kept::Changed(_) | Kept::Deleted => None,
        });
        // A record is created active.
        let has =
            |record: &Map<String, Value>, (name, value): &(&str, Value)| record.get(*name).map_or(*name == "statecode", |v| v == value);
        let found = created.filter(|record| values.iter().all(|wanted| has(record, wanted)));
        found.filter_map(|record| record.get(primary_key)?.as_str().map(str::to_owned)).collect()
    }

    /// The id of a record of the service to which this value was written.
    fn changed_to(&self, collection: &str, attribute: &str, value: &str) -> Option<String> {
        let writes = self.writes();
        let has = |kept: &Kept| matches!(kept, Kept::Changed(written) if written.get(attribute).is_some_and(|v| v.as_str() == Some(value)));
        writes.with_text(collection, attribute, value).find(|(_, kept)| has(kept)).map(|(id, _)| id.clone())
    }

    fn note(&self, operation: Operation, table: Table<'_>, key: &str, written: &Map<String, Value>) {
        let fields = fields(written);
        self.writes().changes.push(Change { operation, table: table.name.to_owned(), key: key.to_owned(), fields });
    }
}

fn place(collection: &str, id: &str) -> Place {
    (collection.to_owned(), id.to_ascii_lowercase())
}

/// The id in a reference to a record: `/accounts(ID)`.
fn bound_id(reference: &Value) -> Value {
    let id = reference.as_str().and_then(|text| text.rsplit_once('(')).map(|(_, id)| id.trim_end_matches(')'));
    id.map_or(Value::Null, Value::from)
}

/// Puts what was written over what is there; objects within objects property by property.
fn merge(into: &mut Map<String, Value>, written: Map<String, Value>) {
    for (name, value) in written {
        match (into.get_mut(&name), value) {
            (Some(Value::Object(there)), Value::Object(value)) => merge(there, value),
            (_, value) => drop(into.insert(name, value)),
        }
    }
}

/// The names of properties that hold values, those of objects with their path.
fn fields(written: &Map<String, Value>) -> Vec<String> {
    let mut names = Vec::new();
    for (name, value) in written {
        match value {
            Value::Object(inner) => names.extend(fields(inner).into_iter().map(|inner| format!("{name}.{inner}"))),
            _ => names.push(name.clone()),
        }
    }
    names
}

#[async_trait]
impl Source for Rehearsal {
    fn system(&self) -> SystemId {
        self.source.system()
    }

    fn capabilities(&self) -> SourceCapabilities {
        self.source.capabilities()
    }

    async fn page(&self, request: &PageRequest) -> Result<Page, ConnectError> {
        self.source.page(request).await
    }

    async fn retrieve(&self, query: &Query, id: &str) -> Result<Option<Box<RawValue>>, ConnectError> {
        let only_here = matches!(self.writes().records.get(&place(&query.collection, id)), Some(Kept::Created(_) | Kept::Deleted));
        let record = if only_here { None } else { self.source.retrieve(query, id).await? };
        Ok(self.with_writes(&query.collection, id, record))
    }

    async fn children(&self, query: &Query, lookup: &str, id: &str) -> Result<Vec<Box<RawValue>>, ConnectError> {
        let found = self.source.children(query, lookup, id).await?;
        let row_id = |row: &RawValue| {
            let row: Map<String, Value> = serde_json::from_str(row.get()).ok()?;
            row.get(&query.primary_key)?.as_str().map(str::to_owned)
        };
        let kept = found.into_iter().filter_map(|row| match row_id(&row) {
            Some(id) => self.with_writes(&query.collection, &id, Some(row)),
            None => Some(row),
        });
        let mut rows: Vec<Box<RawValue>> = kept.collect();
        let mut created = self.created_with(&query.collection, &query.primary_key, &[(lookup, Value::from(id))]);
        created.sort();
        rows.extend(created.iter().filter_map(|id| self.with_writes(&query.collection, id, None)));
        Ok(rows)
    }

    async fn related(&self, id: &str) -> Result<Vec<String>, ConnectError> {
        self.source.related(id).await
    }

    fn is_of_another(&self, record: &str) -> bool {
        self.source.is_of_another(record)
    }

    fn page_for_people(&self, id: &str) -> Option<String> {
        self.source.page_for_people(id)
    }

    fn is_id(&self, text: &str) -> bool {
        self.source.is_id(text)
    }

    fn collection_of(&self, cursor: &Cursor) -> Option<String> {
        self.source.collection_of(cursor)
    }
}

#[async_trait]
impl Target for Rehearsal {
    fn system(&self) -> SystemId {
        self.target.system()
    }

    fn capabilities(&self) -> TargetCapabilities {
        self.target.capabilities()
    }

    fn request_lifetime(&self) -> RequestLifetime {
        self.target.request_lifetime()
    }

    async fn get(&self, record: RecordKey<'_>) -> Result<Option<Found>, ConnectError> {
        self.target.get(record).await
    }

    async fn find(&self, record: RecordKey<'_>, primary_key: &str) -> Result<Option<String>, ConnectError> {
        let (collection, wanted) = (record.table.collection, [(record.attribute, Value::from(record.value))]);
        let created = self.created_with(collection, primary_key, &wanted).into_iter().next();
        match created.or_else(|| self.changed_to(collection, record.attribute, record.value)) {
            Some(id) => Ok(Some(id)),
            None => self.target.find(record, primary_key).await,
        }
    }

    async fn find_by(&self, table: Table<'_>, primary_key: &str, values: &[(&str, Value)]) -> Result<Vec<String>, ConnectError> {
        let mut found = self.target.find_by(table, primary_key, values).await?;
        found.extend(self.created_with(table.collection, primary_key, values));
        Ok(found)
    }

    async fn create(&self, table: Table<'_>, attribute: &str, body: Payload) -> Result<(), ConnectError> {
        let mut record = self.written(&body);
        let key = record.get(attribute).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.note(Operation::Create, table, &key, &record);
        let Some(primary_key) = self.ids.get(table.collection) else { return Ok(()) };
        let mut writes = self.writes();
        let number = writes.records.len() as u128 + 1;
        let id = record.entry(primary_key.clone()).or_insert_with(|| Value::from(Uuid::from_u128(number).to_string()));
        let place = place(table.collection, id.as_str().unwrap_or_default());
        writes.index(&place, &record);
        writes.records.insert(place, Kept::Created(record));
        Ok(())
    }

    async fn update(&self, record: RecordKey<'_>, body: Payload, _version: Option<&str>) -> Result<Written, ConnectError> {
        let written = self.written(&body);
        let mut writes = self.writes();
        let place = place(record.table.collection, record.value);
        match writes.records.entry(place.clone()).or_insert_with(|| Kept::Changed(Map::new())) {
            Kept::Deleted => return Ok(Written::Missing),
            Kept::Created(there) | Kept::Changed(there) => merge(there, written.clone()),
        }
        writes.index(&place, &written);
        drop(writes);
        self.note(Operation::Update, record.table, record.value, &written);
        Ok(Written::Done)
    }

    fn missing(&self, table: Table<'_>, before: Option<&str>, body: &str) -> Vec<Missing> {
        self.target.missing(table, before, body)
    }

    async fn delete(&self, record: RecordKey<'_>) -> Result<Written, ConnectError> {
        self.writes().records.insert(place(record.table.collection, record.value), Kept::Deleted);
        self.note(Operation::Delete, record.table, record.value, &Map::new());
        Ok(Written::Done)
    }

    async fn linked(&self, body: &str, links: &[Link<'_>]) -> Result<Linked, ConnectError> {
        self.target.linked(body, links).await
    }
}
