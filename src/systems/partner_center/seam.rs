//! Partner Center as a source and a target of records.
//!
//! A referral is named by its id, or by its external reference: the id of the opportunity. The service gives the id, so a referral that is
//! created is named by the external reference.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::value::{RawValue, to_raw_value};

use super::PartnerCenter;
use super::client::SYSTEM;
use super::patch::difference;
use super::reading::{FRESH, Place};
use super::referral::Referral;
use super::requirements;
use super::siblings;
use super::transitions::{Status, Substatus, status_of, substatus_of};
use super::tree::Node;
use crate::connect::trail::hash_of;
use crate::connect::{Call, ConnectError, RequestLifetime};
use crate::system::SystemId;
use crate::systems::source::{Cursor, Page, PageRequest, Query, Row, Source, SourceCapabilities};
use crate::systems::target::{Found, Link, Linked, Missing, Payload, RecordKey, Table, Target, TargetCapabilities, Written};
use crate::systems::{Connection, Environment};

/// The one collection.
const COLLECTION: &str = "referrals";
/// The attribute that names a referral on our side.
const REFERENCE: &str = "externalReferenceId";
/// How often a change without a version is tried again after another change came between.
const COLLISIONS: u32 = 3;

#[async_trait]
impl Connection for PartnerCenter {
    /// The API names only its address.
    async fn environment(&self) -> Result<Environment, ConnectError> {
        let address = self.0.list.origin().ascii_serialization();
        Ok(Environment { address, organization: None })
    }

    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::new(self.clone()))
    }

    fn target(&self) -> Option<Arc<dyn Target>> {
        Some(Arc::new(self.clone()))
    }
}

impl PartnerCenter {
    /// Returns the referral that an attribute and its value name.
    async fn named(&self, attribute: &str, value: &str) -> Result<Option<Referral>, ConnectError> {
        match attribute {
            "id" => self.referral(value).await,
            REFERENCE => {
                let id = {
                    let mut index = self.0.index.lock().await;
                    index.refresh(self).await?;
                    index.id(value)
                };
                let Some(id) = id else { return Ok(None) };
                let found = self.referral(&id).await?;
                // It can have got another reference since the index was read.
                if let Some(referral) = found.as_ref().filter(|referral| referral.external_reference() != Some(value)) {
                    self.0.index.lock().await.learn(referral);
                    return Ok(None);
                }
                Ok(found)
            }
            other => Err(ConnectError::config(
                format!("partner-center: a referral cannot be named by `{other}`"),
                "use `id` or `externalReferenceId`",
            )),
        }
    }

    fn raw(&self, referral: &Referral) -> Result<Box<RawValue>, ConnectError> {
        to_raw_value(referral.body()).map_err(|_| self.refused("the referral cannot be written as JSON"))
    }

    fn object(&self, body: &str) -> Result<Node, ConnectError> {
        match Node::read(body.as_bytes()) {
            Ok(node @ Node::Object(_)) => Ok(node),
            _ => Err(self.refused("the body is not a JSON object")),
        }
    }

    /// The body of a write. If it has a substatus alone, it gets the status that this belongs to; a status alone gets its substatus if there
    /// is only one.
    fn written(&self, body: &Payload) -> Result<Node, ConnectError> {
        let mut node = self.object(&body.to_text())?;
        let given = |name: &str| node.text(&[name]).map(str::to_owned);
        let added = match (given("status"), given("substatus")) {
            (None, Some(substatus)) => status_of(&Substatus::from(substatus.as_str())).map(|status| ("status", status.to_string())),
            (Some(status), None) => substatus_of(&Status::from(status.as_str())).map(|substatus| ("substatus", substatus.to_string())),
            _ => None,
        };
        if let (Some((name, word)), Node::Object(properties)) = (added, &mut node) {
            properties.insert(name.to_owned(), Node::from(word.as_str()));
        }
        Ok(node)
    }
}

#[async_trait]
impl Source for PartnerCenter {
    fn system(&self) -> SystemId {
        SYSTEM
    }

    /// Referrals are never deleted.
    fn capabilities(&self) -> SourceCapabilities {
        SourceCapabilities { change_tracking: true, deletes: false }
    }

    async fn page(&self, request: &PageRequest) -> Result<Page, ConnectError> {
        let (place, size) = match request {
            PageRequest::First { page_size, .. } => (Place::default(), *page_size),
            PageRequest::Follow { cursor, page_size, .. } => {
                let expired = || {
                    let message = Some("the cursor is not one of this program".to_owned());
                    ConnectError::DeltaExpired { call: Box::new(Call { message, ..Call::default() }) }
                };
                (Place::read(cursor.as_str()).ok_or_else(expired)?, *page_size)
            }
        };
        let part = self.read_from(&place, usize::try_from(size).unwrap_or(usize::MAX)).await?;
        let row = |referral: &Result<Referral, Node>| match referral {
            Ok(referral) => to_raw_value(referral.body()).map_or(Row::Unusable { problem: "it cannot be written as JSON" }, Row::Changed),
            Err(_) => Row::Unusable { problem: "it has no `id`" },
        };
        let rows: Vec<Row> = part.referrals.iter().map(row).collect();
        let content =
            hash_of(rows.iter().filter_map(|row| if let Row::Changed(row) = row { Some(row.get()) } else { None }).collect::<Vec<_>>());
        let cursor = Cursor::from(part.place.to_text());
        let tracked = !matches!(request, PageRequest::First { track_changes: false, .. });
        let (next, changes) = if part.more { (Some(cursor), None) } else { (None, Some(cursor).filter(|_| tracked)) };
        Ok(Page { rows, next, changes, content })
    }

    async fn retrieve(&self, query: &Query, id: &str) -> Result<Option<Box<RawValue>>, ConnectError> {
        let Some(mut referral) = self.named(&query.primary_key, id).await? else { return Ok(None) };
        if siblings::is_asked(&query.select) {
            referral = self.with_microsoft(referral).await?;
        }
        self.raw(&referral).map(Some)
    }

    /// Those of the same engagement.
    async fn related(&self, id: &str) -> Result<Vec<String>, ConnectError> {
        let Some(referral) = self.referral(id).await? else { return Ok(Vec::new()) };
        let Some(engagement) = referral.engagement_id() else { return Ok(Vec::new()) };
        let referrals = self.engagement(engagement).await?;
        Ok(referrals.iter().map(|other| other.id().to_owned()).filter(|other| !other.eq_ignore_ascii_case(id)).collect())
    }

    fn is_of_another(&self, record: &str) -> bool {
        self.object(record).is_ok_and(|referral| siblings::is_of_microsoft(&referral))
    }

    fn page_for_people(&self, id: &str) -> Option<String> {
        self.portal_page(id)
    }

    fn collection_of(&self, cursor: &Cursor) -> Option<String> {
        Place::read(cursor.as_str()).map(|_| COLLECTION.to_owned())
    }
}

#[async_trait]
impl Target for PartnerCenter {
    fn system(&self) -> SystemId {
        SYSTEM
    }

    fn capabilities(&self) -> TargetCapabilities {
        TargetCapabilities { bulk: None, conditional_write: true, deletes: false, adopts: false }
    }

    fn request_lifetime(&self) -> RequestLifetime {
        PartnerCenter::request_lifetime(self).and(FRESH)
    }

    async fn get(&self, record: RecordKey<'_>) -> Result<Option<Found>, ConnectError> {
        Ok(self.named(record.attribute, record.value).await?.map(|referral| {
            let version = referral.etag().map(str::to_owned);
            let mut body = referral.into_body();
            if let Node::Object(properties) = &mut body {
                properties.retain(|name, _| name != "eTag" && name != "links" && !name.starts_with('@'));
            }
            Found { record: (&body).into(), version }
        }))
    }

    /// The service takes any number of referrals with one external reference, so those that exist are looked through first.
    async fn create(&self, _table: Table<'_>, attribute: &str, body: Payload) -> Result<(), ConnectError> {
        if attribute != REFERENCE {
            return Err(ConnectError::config(
                "partner-center: the service gives referrals their ids",
                "use `externalReferenceId` as the key",
            ));
        }
        let body = self.written(&body)?;
        let reference = body.text(&[REFERENCE]).ok_or_else(|| self.refused("`externalReferenceId` is missing"))?;
        let mut index = self.0.index.lock().await;
        index.refresh(self).await?;
        if index.id(reference).is_some() {
            let message = Some("a referral with this `externalReferenceId` already exists".to_owned());
            let call = Call { api: SYSTEM.api(), method: "POST".to_owned(), url: self.0.list.to_string(), message, ..Call::default() };
            return Err(ConnectError::Duplicate { call: Box::new(call) });
        }
        let since = index.since();
        // Creates wait for each other only while the index is read.
        drop(index);
        let created = match PartnerCenter::create(self, &body).await {
            Err(error @ ConnectError::OutcomeUnknown { .. }) => match self.find_created(reference, since).await {
                Ok(Some(referral)) => Some(referral),
                // It may still be under way; the error says that it must be looked for again.
                Ok(None) | Err(_) => return Err(error),
            },
            other => other?,
        };
        if let Some(referral) = created {
            self.0.index.lock().await.learn(&referral);
        }
        Ok(())
    }

    /// Reads the referral and sends only what differs, under the version that was read. Objects in the body are joined with those of the
    /// referral, lists replace them.
    async fn update(&self, record: RecordKey<'_>, body: Payload, version: Option<&str>) -> Result<Written, ConnectError> {
        let over = self.written(&body)?;
        let mut collisions = 0;
        loop {
            let Some(referral) = self.named(record.attribute, record.value).await? else { return Ok(Written::Missing) };
            let mut wanted = referral.body().clone();
            wanted.merge(over.clone());
            let changes = difference(referral.body(), &wanted);
            // Also after a request of ours whose answer was lost, and which is now met again.
            if changes.is_empty() && (version.is_none() || collisions > 0) {
                return Ok(Written::Done);
            }
            let etag = version.or_else(|| referral.etag());
            if changes.is_empty() && etag == referral.etag() {
                return Ok(Written::Done);
            }
            match self.patch(referral.id(), &changes, etag).await {
                Ok(Some(())) => return Ok(Written::Done),
                Ok(None) => return Ok(Written::Missing),
                Err(ConnectError::Changed { call }) => {
                    collisions += 1;
                    let ours = call.attempts > 1;
                    if collisions > COLLISIONS || version.is_some() && !ours {
                        return Err(ConnectError::Changed { call });
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn missing(&self, _table: Table<'_>, before: Option<&str>, body: &str) -> Vec<Missing> {
        // What cannot be read is refused by the write itself.
        let Ok(body) = self.object(body) else { return Vec::new() };
        let before = before.and_then(|before| self.object(before).ok());
        requirements::missing(before.as_ref(), body)
    }

    async fn delete(&self, _record: RecordKey<'_>) -> Result<Written, ConnectError> {
        Err(ConnectError::config("partner-center: a referral cannot be deleted", "close it: set `status` and `substatus`"))
    }

    /// A link holds the id of the other referral, or of its engagement.
    async fn linked(&self, body: &str, links: &[Link<'_>]) -> Result<Linked, ConnectError> {
        let Node::Object(mut properties) = self.object(body)? else { return Err(self.refused("the body is not a JSON object")) };
        for link in links {
            let value = match link.to {
                None => Node::Null,
                Some(to) => match self.named(to.attribute, to.value).await? {
                    None => return Ok(Linked::Absent { link: link.name.to_owned() }),
                    Some(referral) if link.name == "engagementId" => referral.engagement_id().map_or(Node::Null, Node::from),
                    Some(referral) => Node::from(referral.id()),
                },
            };
            properties.insert(link.name.to_owned(), value);
        }
        let body = serde_json::to_string(&Node::Object(properties)).map_err(|_| self.refused("the body cannot be written as JSON"))?;
        Ok(Linked::Ready(body.into()))
    }
}
