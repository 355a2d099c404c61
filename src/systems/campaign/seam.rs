//! Campaign as a source and a target of records.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::value::{RawValue, to_raw_value};
use url::Url;

use super::list::Pages;
use super::{API, Campaign, Key, link};
use crate::connect::trail::hash_of;
use crate::connect::{ConnectError, RequestLifetime};
use crate::system::SystemId;
use crate::systems::history::History;
use crate::systems::profiles::{Profiles, Subscriptions};
use crate::systems::source::{self, Cursor, Page, PageRequest, Row, Source, SourceCapabilities};
use crate::systems::target::{Found, Link, Linked, Match, Matches, Payload, RecordKey, Search, Table, Target, TargetCapabilities, Written};
use crate::systems::{Connection, Environment};

#[async_trait]
impl Connection for Campaign {
    /// Campaign's interface names only its address.
    async fn environment(&self) -> Result<Environment, ConnectError> {
        Ok(Environment { address: self.instance().to_owned(), organization: None })
    }

    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::new(self.clone()))
    }

    fn target(&self) -> Option<Arc<dyn Target>> {
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

impl<'a> From<RecordKey<'a>> for Key<'a> {
    fn from(record: RecordKey<'a>) -> Self {
        Key::Identity { attribute: record.attribute, value: record.value }
    }
}

/// A record's id is the value of its key, in the attribute that the query names as primary key: the PKey must not be kept.
#[async_trait]
impl Source for Campaign {
    fn system(&self) -> SystemId {
        SystemId::Campaign
    }

    /// The product has no change tracking, and no built-in filter on the time of a change.
    fn capabilities(&self) -> SourceCapabilities {
        SourceCapabilities { change_tracking: false, deletes: false }
    }

    async fn page(&self, request: &PageRequest) -> Result<Page, ConnectError> {
        let (query, mut pages) = match request {
            PageRequest::First { track_changes: true, .. } => {
                return Err(ConnectError::config("campaign: there is no change tracking", "read all records in each round"));
            }
            PageRequest::First { query, page_size, .. } => {
                (query, self.list(&query.collection, &super::Query::new().lines(*page_size)).await?)
            }
            PageRequest::Follow { cursor, query, page_size } => (query, Pages::from(self, self.own(cursor.as_str())?, *page_size)),
        };
        let records = pages.next().await?.unwrap_or_default();
        let mut rows = Vec::with_capacity(records.len());
        for record in records {
            // Records without the key are not the integration's.
            if record.get(&query.primary_key).and_then(serde_json::Value::as_str).is_none_or(str::is_empty) {
                continue;
            }
            rows.push(match to_raw_value(&record) {
                Ok(record) => Row::Changed(record),
                Err(_) => Row::Unusable { problem: "it cannot be written as JSON" },
            });
        }
        let content =
            hash_of(rows.iter().filter_map(|row| if let Row::Changed(row) = row { Some(row.get()) } else { None }).collect::<Vec<_>>());
        Ok(Page { rows, next: pages.next_address().map(|url| Cursor::from(url.to_string())), changes: None, content })
    }

    async fn retrieve(&self, query: &source::Query, id: &str) -> Result<Option<Box<RawValue>>, ConnectError> {
        let record = self.get(&query.collection, Key::Identity { attribute: &query.primary_key, value: id }).await?;
        let raw = |record| to_raw_value(&record).map_err(|_| self.refused(format!("a record of {API} cannot be written as JSON")));
        record.map(raw).transpose()
    }

    fn collection_of(&self, cursor: &Cursor) -> Option<String> {
        let url = Url::parse(cursor.as_str()).ok()?;
        let path = url.path().strip_prefix(self.0.root.path())?.to_owned();
        path.split('/').filter(|segment| !segment.is_empty()).nth(1).map(str::to_owned)
    }
}

#[async_trait]
impl Target for Campaign {
    fn system(&self) -> SystemId {
        SystemId::Campaign
    }

    fn capabilities(&self) -> TargetCapabilities {
        TargetCapabilities { bulk: None, conditional_write: false, deletes: true, adopts: true }
    }

    fn request_lifetime(&self) -> RequestLifetime {
        Campaign::request_lifetime(self)
    }

    async fn get(&self, record: RecordKey<'_>) -> Result<Option<Found>, ConnectError> {
        Ok(Campaign::get(self, record.table.collection, record).await?.map(|record| Found { record, version: None }))
    }

    async fn create(&self, table: Table<'_>, attribute: &str, body: Payload) -> Result<(), ConnectError> {
        Campaign::create(self, table.collection, Some(attribute), body).await
    }

    async fn update(&self, record: RecordKey<'_>, body: Payload, version: Option<&str>) -> Result<Written, ConnectError> {
        if version.is_some() {
            return Err(ConnectError::config("campaign: records have no versions", "write without one"));
        }
        Campaign::update(self, record.table.collection, record, body).await
    }

    async fn search(&self, search: Search<'_>) -> Result<Matches, ConnectError> {
        Campaign::search(self, search).await
    }

    async fn adopt(&self, found: &Match, record: RecordKey<'_>, body: Payload) -> Result<Written, ConnectError> {
        Campaign::adopt(self, found, record, body).await
    }

    /// By the key alone: an answer to a delete names no record.
    async fn delete(&self, record: RecordKey<'_>) -> Result<Written, ConnectError> {
        Campaign::delete(self, record.table.collection, record.value).await
    }

    async fn linked(&self, body: &str, links: &[Link<'_>]) -> Result<Linked, ConnectError> {
        fn target(to: RecordKey<'_>) -> link::Target<'_> {
            link::Target { resource: to.table.collection, attribute: to.attribute, key: Key::Value(to.value) }
        }
        let links: Vec<link::Link<'_>> =
            links.iter().map(|link| link::Link { name: link.name, to: link.to.map(target), lasting: link.lasting }).collect();
        Campaign::linked(self, body, &links).await
    }

    fn forget_links(&self) {
        Campaign::forget_links(self);
    }
}
