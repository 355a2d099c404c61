//! Dataverse as a source and a target of records.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use indexmap::IndexMap;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use super::closing::OPPORTUNITY;
use super::page::{self, Page as DataversePage};
use super::{Bulk, Condition, Dataverse, Entity, KeyValue, Outcome, RowKey, bulk, text_literal};
use crate::connect::{Call, ConnectError, RequestLifetime};
use crate::system::SystemId;
use crate::systems::source::{Cursor, Page, PageRequest, Query, Row, Source, SourceCapabilities};
use crate::systems::target::{Found, Link, Linked, Payload, RecordKey, Table, Target, TargetCapabilities, Written};
use crate::systems::timeline::Timeline;
use crate::systems::{Connection, Environment};

#[async_trait]
impl Connection for Dataverse {
    /// Costs a call: the address alone does not tell a copy of an environment from another one.
    async fn environment(&self) -> Result<Environment, ConnectError> {
        let organization = self.who_am_i().await?.organization_id.to_string();
        Ok(Environment { address: self.address(), organization: Some(organization) })
    }

    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::new(self.clone()))
    }

    fn target(&self) -> Option<Arc<dyn Target>> {
        Some(Arc::new(self.clone()))
    }

    /// The application user.
    async fn user(&self) -> Result<Option<String>, ConnectError> {
        Ok(Some(self.who_am_i().await?.user_id.to_string()))
    }

    fn timeline(&self) -> Option<Arc<dyn Timeline>> {
        Some(Arc::new(self.clone()))
    }
}

impl From<DataversePage> for Page {
    fn from(page: DataversePage) -> Self {
        let row = |row| match row {
            page::Row::Changed(record) => Row::Changed(record),
            // "changed" says that the row has left the result of the query.
            page::Row::Deleted { id, reason } => Row::Deleted { id: id.to_string(), left_result: reason.eq_ignore_ascii_case("changed") },
            page::Row::Unusable { problem } => Row::Unusable { problem },
        };
        Page { rows: page.rows.into_iter().map(row).collect(), next: page.next, changes: page.delta, content: page.content }
    }
}

#[async_trait]
impl Source for Dataverse {
    fn system(&self) -> SystemId {
        SystemId::D365
    }

    fn capabilities(&self) -> SourceCapabilities {
        SourceCapabilities { change_tracking: true, deletes: true }
    }

    async fn page(&self, request: &PageRequest) -> Result<Page, ConnectError> {
        let request = match request {
            PageRequest::First { query, track_changes, page_size } => page::PageRequest::First(page::Query {
                track_changes: *track_changes,
                annotations: query.labels,
                ..page::Query::of(query.collection.clone(), query.select.clone(), *page_size)
            }),
            // The link has the query.
            PageRequest::Follow { cursor, page_size, .. } => page::PageRequest::Follow { link: cursor.clone(), page_size: *page_size },
        };
        Dataverse::page(self, &request).await.map(Page::from)
    }

    async fn retrieve(&self, query: &Query, id: &str) -> Result<Option<Box<RawValue>>, ConnectError> {
        let Ok(id) = Uuid::parse_str(id) else {
            return Err(ConnectError::config(format!("dataverse: `{id}` is not the id of a row"), "give a GUID"));
        };
        self.retrieve_expanded(&query.collection, id, &query.select, &expansion(&query.expand), query.labels).await
    }

    async fn children(&self, query: &Query, lookup: &str, id: &str) -> Result<Vec<Box<RawValue>>, ConnectError> {
        let Ok(id) = Uuid::parse_str(id) else { return Ok(Vec::new()) };
        let query = page::Query::of(query.collection.clone(), query.select.clone(), CHILDREN).filtered(format!("{lookup} eq {id}"));
        self.all(query).await
    }

    async fn retrieve_many(&self, query: &Query, ids: &[String]) -> Result<HashMap<String, Box<RawValue>>, ConnectError> {
        let ids: Vec<Uuid> = ids.iter().filter_map(|id| Uuid::parse_str(id).ok()).collect();
        let rows = self.rows(&query.collection, &query.primary_key, &ids, &query.select, query.labels).await?;
        Ok(rows.into_iter().map(|(id, row)| (id.to_string(), row)).collect())
    }

    fn is_id(&self, text: &str) -> bool {
        Uuid::parse_str(text).is_ok()
    }

    fn collection_of(&self, cursor: &Cursor) -> Option<String> {
        page::leads_to(cursor)
    }
}

/// Rows on a page of the records that lead to another one.
const CHILDREN: u32 = 500;

/// `$expand` with the columns of each: `parentaccountid($select=name)` (Dataverse Web API: *Retrieve related table rows*).
fn expansion(expand: &[(String, Vec<String>)]) -> String {
    expand.iter().map(|(navigation, columns)| format!("{navigation}($select={})", columns.join(","))).collect::<Vec<_>>().join(",")
}

/// The primary key of a table is called `<logical name>id`, of activities `activityid` (Dataverse Web API: *Table definitions*).
fn entity_of(table: Table<'_>, attribute: &str) -> Entity {
    let primary = if attribute == "activityid" { "activityid".to_owned() } else { format!("{}id", table.name) };
    Entity::new(table.collection, table.name, primary)
}

/// A row is named by its id if the attribute is the table's primary key, and otherwise by an alternate key of text.
fn row_of(record: RecordKey<'_>) -> (Entity, RowKey) {
    let entity = entity_of(record.table, record.attribute);
    let id = if record.attribute == entity.primary_id { Uuid::parse_str(record.value).ok() } else { None };
    let key =
        id.map_or_else(|| RowKey::Alternate(vec![(record.attribute.to_owned(), KeyValue::Text(record.value.to_owned()))]), RowKey::Id);
    (entity, key)
}

fn written(outcome: Outcome) -> Written {
    match outcome {
        Outcome::Created { .. } | Outcome::Updated { .. } | Outcome::Written | Outcome::Exists => Written::Done,
        Outcome::Missing => Written::Missing,
    }
}

#[async_trait]
impl Target for Dataverse {
    fn system(&self) -> SystemId {
        SystemId::D365
    }

    fn capabilities(&self) -> TargetCapabilities {
        TargetCapabilities { bulk: Some(bulk::ROWS_PER_REQUEST), conditional_write: true, deletes: true, adopts: false }
    }

    fn request_lifetime(&self) -> RequestLifetime {
        self.0.http.config().request_lifetime
    }

    async fn get(&self, record: RecordKey<'_>) -> Result<Option<Found>, ConnectError> {
        let (entity, key) = row_of(record);
        let row = self.row(&entity, &key, &[], false).await?;
        Ok(row.map(|mut record| {
            let version = record.as_object_mut().and_then(|fields| fields.remove("@odata.etag"));
            if let Some(fields) = record.as_object_mut() {
                fields.retain(|name, _| !name.starts_with("@odata."));
            }
            Found { record, version: version.as_ref().and_then(|version| version.as_str()).map(str::to_owned) }
        }))
    }

    /// By a filter: the column need not be an alternate key.
    async fn find(&self, record: RecordKey<'_>, primary_key: &str) -> Result<Option<String>, ConnectError> {
        let entity = Entity::new(record.table.collection, record.table.name, primary_key);
        let key = RowKey::Alternate(vec![(record.attribute.to_owned(), KeyValue::Text(record.value.to_owned()))]);
        Ok(Dataverse::find(self, &entity, &key).await?.map(|id| id.to_string()))
    }

    async fn find_by(&self, table: Table<'_>, primary_key: &str, values: &[(&str, Value)]) -> Result<Vec<String>, ConnectError> {
        let condition = |(column, value): &(&str, Value)| match value {
            Value::String(text) => format!("{column} eq {}", text_literal(text)),
            other => format!("{column} eq {other}"),
        };
        let filter = values.iter().map(condition).collect::<Vec<_>>().join(" and ");
        let query = page::Query::of(table.collection, vec![primary_key.to_owned()], 2).filtered(filter);
        let page = Dataverse::page(self, &page::PageRequest::First(query)).await?;
        let id = |row: &page::Row| match row {
            page::Row::Changed(row) => {
                crate::json::properties(row.get()).and_then(|row| serde_json::from_str(row.get(primary_key)?.get()).ok())
            }
            page::Row::Deleted { .. } | page::Row::Unusable { .. } => None,
        };
        Ok(page.rows.iter().filter_map(id).collect())
    }

    async fn create(&self, table: Table<'_>, attribute: &str, body: Payload) -> Result<(), ConnectError> {
        let entity = entity_of(table, attribute);
        if table.name == OPPORTUNITY {
            return self.create_opportunity(&entity, &body.to_text()).await;
        }
        Dataverse::create(self, &entity, &body.to_text()).await.map(|_| ())
    }

    async fn update(&self, record: RecordKey<'_>, body: Payload, version: Option<&str>) -> Result<Written, ConnectError> {
        let (entity, key) = row_of(record);
        let condition = version.map_or(Condition::Exists, |version| Condition::Version(version.to_owned()));
        if record.table.name == OPPORTUNITY {
            return self.write_opportunity(&entity, &key, &body.to_text(), &condition).await.map(written);
        }
        self.write(&entity, &key, &body.to_text(), &condition).await.map(written)
    }

    async fn delete(&self, record: RecordKey<'_>) -> Result<Written, ConnectError> {
        let (entity, key) = row_of(record);
        Dataverse::delete(self, &entity, &key, None).await.map(written)
    }

    /// A link is the navigation property of a lookup, written with `@odata.bind` (Dataverse Web API: *Associate table rows on create*);
    /// `null` empties it. The other row is looked up first, since the service's refusal of a write does not say which link it is about.
    async fn linked(&self, body: &str, links: &[Link<'_>]) -> Result<Linked, ConnectError> {
        let refused = |message: &str| ConnectError::Rejected {
            call: Box::new(Call { api: super::API, message: Some(message.to_owned()), ..Call::default() }),
        };
        // Raw, so that numbers keep their digits.
        let mut fields: IndexMap<String, Box<RawValue>> =
            serde_json::from_str(body).map_err(|_| refused("the body of a write is not a JSON object"))?;
        for link in links {
            let value = match link.to {
                None => None,
                Some(to) => {
                    if Target::get(self, to).await?.is_none() {
                        return Ok(Linked::Absent { link: link.name.to_owned() });
                    }
                    let (entity, key) = row_of(to);
                    let segment = match key.segment() {
                        Some(segment) => segment,
                        None => match self.find(&entity, &key).await? {
                            Some(id) => format!("({id})"),
                            None => return Ok(Linked::Absent { link: link.name.to_owned() }),
                        },
                    };
                    Some(format!("/{}{segment}", entity.set))
                }
            };
            let raw = to_raw_value(&value).map_err(|_| refused("a link cannot be written"))?;
            fields.insert(format!("{}@odata.bind", link.name), raw);
        }
        let body = serde_json::to_string(&fields).map_err(|_| refused("a body cannot be written"))?;
        Ok(Linked::Ready(body.into()))
    }

    async fn create_many(&self, table: Table<'_>, attribute: &str, bodies: Vec<Payload>) -> Vec<Result<(), ConnectError>> {
        // Rows that may have to be closed are created one by one.
        if table.name == OPPORTUNITY {
            let mut results = Vec::with_capacity(bodies.len());
            for body in bodies {
                results.push(Target::create(self, table, attribute, body).await);
            }
            return results;
        }
        let rows: Vec<bulk::Target> = bodies.iter().map(|body| bulk::Target { key: None, fields: body.to_text() }).collect();
        let results = self.bulk(&entity_of(table, attribute), Bulk::Create, &rows, bulk::ROWS_PER_REQUEST).await;
        results.into_iter().map(|result| result.map(|_| ())).collect()
    }
}
