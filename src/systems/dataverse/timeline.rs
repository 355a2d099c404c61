//! Dataverse as a system with timelines: activities that regard contacts.
//!
//! Sources: Dataverse Web API, *Activity tables* (`regardingobjectid`, `statecode`), *Custom activities*, *Use bulk operation messages*.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::bulk::{Bulk, Target, is_too_much};
use super::together::{BulkPart, BulkPartOutcome};
use super::{Condition, Dataverse, Entity, Lookups, Operation, Outcome, Part, PartOutcome, page};
use crate::connect::{Call, ConnectError};
use crate::systems::timeline::{
    Activity, ActivityBatch, ActivityColumn, ActivityState, ActivityTable, ActivityWrites, BatchOutcome, Timeline,
};

/// Completed, and the default reason of that state (Dataverse: *Custom activities*).
const COMPLETED: &str = r#"{"statecode":1,"statuscode":2}"#;
/// The column with the state of an activity.
const STATE: &str = "statecode";
/// The lookup to the record that an activity regards.
const REGARDING: &str = "regardingobjectid";
/// Activities of one person on a page.
const PAGE: u32 = 500;

fn contacts() -> Entity {
    Entity::new("contacts", "contact", "contactid")
}

fn entity(table: &ActivityTable) -> Entity {
    Entity::new(&table.collection, &table.name, &table.primary_key)
}

/// An activity as a row of a bulk request.
fn row(activity: &Activity, completed: bool) -> Target {
    let fields = if completed { closed(&activity.body) } else { activity.body.clone() };
    Target { key: Some(activity.id.into()), fields }
}

/// The body of an activity in its final state.
fn closed(body: &str) -> String {
    let (state, fields) = (COMPLETED.trim_end_matches('}'), body.trim_start_matches('{'));
    if fields == "}" { COMPLETED.to_owned() } else { format!("{state},{fields}") }
}

/// The body of an activity that is created by itself: its id is one of the columns.
fn alone(table: &ActivityTable, activity: &Activity, completed: bool) -> String {
    let Target { fields, .. } = row(activity, completed);
    format!("{{\"{}\":\"{}\",{}", table.primary_key, activity.id, fields.trim_start_matches('{'))
}

/// The rows of a bulk request.
fn rows(writes: &ActivityWrites<'_>) -> (Bulk, Vec<Target>) {
    match writes {
        ActivityWrites::Create { activities, completed } => {
            (Bulk::Create, activities.iter().map(|activity| row(activity, *completed)).collect())
        }
        ActivityWrites::Complete(ids) => {
            let row = |id: &Uuid| Target { key: Some((*id).into()), fields: COMPLETED.to_owned() };
            (Bulk::Update, ids.iter().map(row).collect())
        }
    }
}

fn state_of(code: i64) -> ActivityState {
    match code {
        0 => ActivityState::Open,
        1 => ActivityState::Completed,
        _ => ActivityState::Other,
    }
}

#[async_trait]
impl Timeline for Dataverse {
    fn request_timeout(&self) -> Duration {
        Dataverse::request_timeout(self)
    }

    fn is_too_large(&self, error: &ConnectError) -> bool {
        is_too_much(error)
    }

    async fn activity_table(&self, name: &str) -> Result<ActivityTable, ConnectError> {
        let (metadata, support) = self.outline(name).await?;
        let text = |name: &str| metadata.definition.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(collection), Some(primary_key)) = (text("EntitySetName"), text("PrimaryIdAttribute")) else {
            return Err(ConnectError::config(
                format!("the definition of `{name}` has no entity set"),
                "check that it is an activity table",
            ));
        };
        let person = Lookups::of(&metadata).property(REGARDING, "contact")?.to_owned();
        let column = |attribute: &Value| attribute.get("LogicalName").and_then(Value::as_str).map(str::to_owned);
        let lengths: HashMap<String, usize> = metadata
            .casts
            .values()
            .flatten()
            .filter_map(|a| Some((column(a)?, usize::try_from(a.get("MaxLength")?.as_u64()?).ok()?)))
            .collect();
        let kind = |attribute: &Value| {
            let name = column(attribute)?;
            let kind = match attribute.get("AttributeType")?.as_str()? {
                "String" | "Memo" => ActivityColumn::Text(lengths.get(&name).copied()),
                _ => ActivityColumn::Other,
            };
            Some((name, kind))
        };
        let takes_state = |attribute: &Value| {
            column(attribute).as_deref() == Some(STATE) && attribute.get("IsValidForCreate").and_then(Value::as_bool) == Some(true)
        };
        Ok(ActivityTable {
            name: name.to_owned(),
            collection,
            primary_key,
            person,
            columns: metadata.attributes.iter().filter_map(kind).collect(),
            bulk: support.create && support.update,
            takes_final_state: metadata.attributes.iter().any(takes_state),
        })
    }

    fn activity(&self, table: &ActivityTable, person: Uuid, columns: Map<String, Value>) -> String {
        let mut body = Map::new();
        body.insert(format!("{}@odata.bind", table.person), json!(format!("/contacts({person})")));
        body.extend(columns);
        Value::Object(body).to_string()
    }

    async fn persons(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>, ConnectError> {
        Ok(self.existing(&contacts(), ids, None).await?.into_keys().collect())
    }

    async fn states(
        &self,
        table: &ActivityTable,
        ids: &[Uuid],
        with_state: bool,
    ) -> Result<HashMap<Uuid, Option<ActivityState>>, ConnectError> {
        let found = self.existing(&entity(table), ids, with_state.then_some(STATE)).await?;
        Ok(found.into_iter().map(|(id, state)| (id, state.map(state_of))).collect())
    }

    async fn on_timeline(&self, table: &ActivityTable, person: Uuid, column: &str) -> Result<HashMap<Uuid, Option<String>>, ConnectError> {
        let select = vec![table.primary_key.clone(), column.to_owned()];
        let query = page::Query::of(&table.collection, select, PAGE).filtered(format!("_{REGARDING}_value eq {person}"));
        let rows = self.all(query).await?;
        let found = rows.iter().filter_map(|row| {
            let row: Value = serde_json::from_str(row.get()).ok()?;
            let id = row.get(&table.primary_key).and_then(Value::as_str).and_then(|id| Uuid::try_parse(id).ok())?;
            Some((id, row.get(column).and_then(Value::as_str).map(str::to_owned)))
        });
        Ok(found.collect())
    }

    async fn create(&self, table: &ActivityTable, activity: &Activity, completed: bool) -> Result<(), ConnectError> {
        Dataverse::create(self, &entity(table), &alone(table, activity, completed)).await.map(|_| ())
    }

    async fn complete(&self, table: &ActivityTable, id: Uuid) -> Result<(), ConnectError> {
        match self.write(&entity(table), &id.into(), COMPLETED, &Condition::Exists).await? {
            Outcome::Missing => {
                let call = Call { api: super::API, message: Some("there is no such activity".to_owned()), ..Call::default() };
                Err(ConnectError::NotFound { call: Box::new(call) })
            }
            Outcome::Created { .. } | Outcome::Updated { .. } | Outcome::Written | Outcome::Exists => Ok(()),
        }
    }

    /// One batch is one bulk request; several are bulk requests in one `$batch`.
    async fn write_together(&self, batches: &[ActivityBatch<'_>]) -> Result<Vec<BatchOutcome>, ConnectError> {
        if let [ActivityBatch { table, writes: writes @ ActivityWrites::Create { .. } }] = batches {
            self.create_all(&entity(table), &rows(writes).1).await?;
            return Ok(vec![BatchOutcome::Done]);
        }
        let written: Vec<(Entity, Bulk, Vec<Target>)> = batches
            .iter()
            .map(|batch| {
                let (bulk, targets) = rows(&batch.writes);
                (entity(batch.table), bulk, targets)
            })
            .collect();
        let parts: Vec<BulkPart<'_>> = written.iter().map(|(entity, bulk, targets)| BulkPart { entity, bulk: *bulk, targets }).collect();
        let outcome = |outcome| match outcome {
            BulkPartOutcome::Done => BatchOutcome::Done,
            BulkPartOutcome::Failed(error) => BatchOutcome::Failed(error),
            BulkPartOutcome::NotBegun => BatchOutcome::NotBegun,
        };
        Ok(self.together(&parts).await?.into_iter().map(outcome).collect())
    }

    /// A bulk request that is taken apart down to the row that is refused; for a table without bulk requests, single requests in a
    /// `$batch`.
    async fn write_each(&self, batch: &ActivityBatch<'_>) -> Result<Vec<BatchOutcome>, ConnectError> {
        let (table, entity) = (batch.table, entity(batch.table));
        if table.bulk {
            let (bulk, targets) = rows(&batch.writes);
            let results = self.bulk(&entity, bulk, &targets, targets.len()).await;
            return Ok(results.into_iter().map(|result| result.map_or_else(BatchOutcome::Failed, |_| BatchOutcome::Done)).collect());
        }
        let parts: Vec<Part> = match &batch.writes {
            ActivityWrites::Create { activities, completed } => {
                let create = |activity: &&Activity| Part::Single(Operation::create(&entity, alone(table, activity, *completed)));
                activities.iter().map(create).collect()
            }
            ActivityWrites::Complete(ids) => {
                let complete = |id: &Uuid| Operation::write(&entity, &(*id).into(), COMPLETED, &Condition::Exists).map(Part::Single);
                ids.iter().filter_map(complete).collect()
            }
        };
        let outcome = |outcome| match outcome {
            PartOutcome::Done(_) => BatchOutcome::Done,
            PartOutcome::Failed { error, .. } => BatchOutcome::Failed(error),
            PartOutcome::NotBegun => BatchOutcome::NotBegun,
        };
        Ok(self.batch(&parts, true).await?.into_iter().map(outcome).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_activity_in_its_final_state_has_the_state_beside_its_columns() {
        assert_eq!(closed(r#"{"subject":"a"}"#), r#"{"statecode":1,"statuscode":2,"subject":"a"}"#);
        assert_eq!(closed("{}"), COMPLETED);
    }
}
