//! A system for tests of two-way mappings: it gives ids, has versions and a change feed, loses answers and dies on request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use crate::connect::trail::hash_of;
use crate::connect::{Call, ConnectError, RequestLifetime};
use crate::system::SystemId;
use crate::systems::{
    Connection, Cursor, Environment, Found, Link, Linked, Page, PageRequest, Payload, Query, RecordKey, Row, Source, SourceCapabilities,
    Table, Target, TargetCapabilities, Written,
};
use crate::time::{Instant, format_instant};

/// The time of both systems, in seconds, and what happens to the process.
#[derive(Default)]
pub(super) struct World {
    now: AtomicI64,
    /// Calls until the process dies.
    pub(super) lives: AtomicI64,
    pub(super) dead: Notify,
}

impl World {
    /// A call, or an answer, is under way; the process may die in it.
    async fn pass(&self) {
        if self.lives.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.dead.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

#[derive(Clone)]
pub(super) struct Service(pub(super) Arc<World>, Arc<Mutex<Inner>>);

struct Inner {
    system: SystemId,
    primary: &'static str,
    etag: &'static str,
    changed: &'static str,
    records: BTreeMap<String, (Map<String, Value>, u64)>,
    /// The records that were written or deleted, in that order.
    log: Vec<String>,
    counts: Counts,
    /// How many of the next writes have no answer.
    lost: u32,
}

/// Calls of the flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) creates: u64,
    pub(super) updates: u64,
    pub(super) reads: u64,
    pub(super) finds: u64,
}

fn call(make: impl FnOnce(Box<Call>) -> ConnectError) -> ConnectError {
    make(Box::new(Call { api: "test", ..Call::default() }))
}

fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (Some(Value::Object(known)), Value::Object(new)) => merge(known, new),
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}

impl Inner {
    fn put(&mut self, world: &World, id: &str, fields: Map<String, Value>) {
        let now = world.now.fetch_add(1, Ordering::SeqCst) + 1;
        let changed = format_instant(Instant::from_timestamp(1_700_000_000 + now, 0).unwrap());
        let (record, version) = self.records.entry(id.to_owned()).or_default();
        merge(record, fields);
        record.insert(self.primary.to_owned(), json!(id));
        record.insert(self.changed.to_owned(), json!(changed));
        *version += 1;
        record.insert(self.etag.to_owned(), json!(format!("\"{version}\"")));
        self.log.push(id.to_owned());
    }

    fn add(&mut self, world: &World, fields: Map<String, Value>) -> String {
        let side = if self.system == SystemId::Partner { 'a' } else { 'b' };
        let id = format!("{side}0000000-0000-4000-8000-{:012}", self.log.len() + 1);
        self.put(world, &id, fields);
        id
    }

    fn named(&self, attribute: &str, value: &str) -> Option<String> {
        let has = |record: &Map<String, Value>| record.get(attribute).and_then(Value::as_str) == Some(value);
        self.records.iter().find(|(_, (record, _))| has(record)).map(|(id, _)| id.clone())
    }

    fn is_closed(&self, id: &str) -> bool {
        self.system == SystemId::Partner && self.records.get(id).is_some_and(|(record, _)| record.get("status") == Some(&json!("Closed")))
    }

    /// Whether the answer to a write is lost.
    fn loses(&mut self) -> bool {
        let loses = self.lost > 0;
        self.lost = self.lost.saturating_sub(1);
        loses
    }
}

impl Service {
    pub(super) fn partner(world: Arc<World>) -> Service {
        Service::new(world, SystemId::Partner, "id", "eTag", "updatedDateTime")
    }

    pub(super) fn dynamics(world: Arc<World>) -> Service {
        Service::new(world, SystemId::D365, "opportunityid", "@odata.etag", "modifiedon")
    }

    fn new(world: Arc<World>, system: SystemId, primary: &'static str, etag: &'static str, changed: &'static str) -> Service {
        let (records, log, counts) = (BTreeMap::new(), Vec::new(), Counts::default());
        Service(world, Arc::new(Mutex::new(Inner { system, primary, etag, changed, records, log, counts, lost: 0 })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody makes a record.
    pub(super) fn add(&self, fields: &Value) -> String {
        let fields = fields.as_object().cloned().unwrap_or_default();
        self.inner().add(&self.0, fields)
    }

    /// Somebody changes a record; nothing happens to one that is closed or gone.
    pub(super) fn set(&self, id: &str, fields: &Value) {
        let mut inner = self.inner();
        if inner.records.contains_key(id) && !inner.is_closed(id) {
            let fields = fields.as_object().cloned().unwrap_or_default();
            inner.put(&self.0, id, fields);
        }
    }

    /// Somebody does something that the readings do not tell.
    pub(super) fn untold<T>(&self, act: impl FnOnce(&Service) -> T) -> T {
        let told = self.inner().log.len();
        let result = act(self);
        self.inner().log.truncate(told);
        result
    }

    pub(super) fn remove(&self, id: &str) {
        let mut inner = self.inner();
        inner.records.remove(id);
        inner.log.push(id.to_owned());
    }

    /// The notice of every record comes again.
    pub(super) fn tell_again(&self) {
        let mut inner = self.inner();
        let ids: Vec<String> = inner.records.keys().rev().cloned().collect();
        inner.log.extend(ids);
    }

    pub(super) fn lose(&self, writes: u32) {
        self.inner().lost = writes;
    }

    pub(super) fn counts(&self) -> Counts {
        self.inner().counts
    }

    pub(super) fn records(&self) -> BTreeMap<String, Value> {
        self.inner().records.iter().map(|(id, (record, _))| (id.clone(), Value::Object(record.clone()))).collect()
    }
}

#[async_trait]
impl Connection for Service {
    async fn environment(&self) -> Result<Environment, ConnectError> {
        Ok(Environment { address: "test".to_owned(), organization: None })
    }

    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::new(self.clone()))
    }

    fn target(&self) -> Option<Arc<dyn Target>> {
        Some(Arc::new(self.clone()))
    }
}

fn raw(record: &Map<String, Value>) -> Box<RawValue> {
    to_raw_value(record).unwrap()
}

#[async_trait]
impl Source for Service {
    fn system(&self) -> SystemId {
        self.inner().system
    }

    fn capabilities(&self) -> SourceCapabilities {
        SourceCapabilities { change_tracking: true, deletes: true }
    }

    async fn page(&self, request: &PageRequest) -> Result<Page, ConnectError> {
        self.0.pass().await;
        let inner = self.inner();
        let ids: BTreeSet<String> = match request {
            PageRequest::First { .. } => inner.records.keys().cloned().collect(),
            PageRequest::Follow { cursor, .. } => inner.log[cursor.as_str().parse::<usize>().unwrap()..].iter().cloned().collect(),
        };
        let row = |id: &String| match inner.records.get(id) {
            Some((record, _)) => Row::Changed(raw(record)),
            None => Row::Deleted { id: id.clone(), left_result: false },
        };
        let rows: Vec<Row> = ids.iter().map(row).collect();
        let content = hash_of(format!("{rows:?}"));
        Ok(Page { rows, next: None, changes: Some(Cursor::from(inner.log.len().to_string())), content })
    }

    async fn retrieve(&self, _: &Query, id: &str) -> Result<Option<Box<RawValue>>, ConnectError> {
        self.0.pass().await;
        let mut inner = self.inner();
        inner.counts.reads += 1;
        Ok(inner.records.get(id).map(|(record, _)| raw(record)))
    }

    async fn related(&self, id: &str) -> Result<Vec<String>, ConnectError> {
        self.0.pass().await;
        let inner = self.inner();
        let deal = |id: &str| inner.records.get(id).and_then(|(record, _)| record.get("engagementId"));
        // The service takes an id in any case.
        let id = id.to_ascii_lowercase();
        Ok(inner.records.keys().filter(|other| **other != id && deal(&id).is_some() && deal(other) == deal(&id)).cloned().collect())
    }

    fn collection_of(&self, _: &Cursor) -> Option<String> {
        None
    }
}

#[async_trait]
impl Target for Service {
    fn system(&self) -> SystemId {
        self.inner().system
    }

    fn capabilities(&self) -> TargetCapabilities {
        TargetCapabilities { bulk: None, conditional_write: true, deletes: false, adopts: false }
    }

    fn request_lifetime(&self) -> RequestLifetime {
        RequestLifetime::default()
    }

    async fn get(&self, record: RecordKey<'_>) -> Result<Option<Found>, ConnectError> {
        self.0.pass().await;
        let mut inner = self.inner();
        inner.counts.finds += 1;
        let found = inner.named(record.attribute, record.value).and_then(|id| inner.records.get(&id));
        Ok(found.map(|(record, version)| Found { record: Value::Object(record.clone()), version: Some(format!("\"{version}\"")) }))
    }

    async fn create(&self, _: Table<'_>, _: &str, body: Payload) -> Result<(), ConnectError> {
        self.0.pass().await;
        let loses = {
            let mut inner = self.inner();
            inner.counts.creates += 1;
            inner.add(&self.0, serde_json::from_str(&body.to_text()).unwrap());
            inner.loses()
        };
        self.0.pass().await;
        if loses { Err(call(|call| ConnectError::OutcomeUnknown { call })) } else { Ok(()) }
    }

    async fn update(&self, record: RecordKey<'_>, body: Payload, version: Option<&str>) -> Result<Written, ConnectError> {
        self.0.pass().await;
        let loses = {
            let mut inner = self.inner();
            let Some(id) = inner.named(record.attribute, record.value) else { return Ok(Written::Missing) };
            let known = inner.records.get(&id).map(|(_, version)| format!("\"{version}\""));
            if version.is_none() || version != known.as_deref() {
                return Err(call(|call| ConnectError::Changed { call }));
            }
            assert!(!inner.is_closed(&id), "a closed referral was written: {}", body.to_text());
            inner.counts.updates += 1;
            inner.put(&self.0, &id, serde_json::from_str(&body.to_text()).unwrap());
            inner.loses()
        };
        self.0.pass().await;
        if loses { Err(call(|call| ConnectError::OutcomeUnknown { call })) } else { Ok(Written::Done) }
    }

    async fn delete(&self, _: RecordKey<'_>) -> Result<Written, ConnectError> {
        panic!("nothing is ever deleted")
    }

    async fn linked(&self, body: &str, _: &[Link<'_>]) -> Result<Linked, ConnectError> {
        Ok(Linked::Ready(body.into()))
    }
}
