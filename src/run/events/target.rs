//! The tables of activities as they are in Dynamics: names, columns, lengths, the property by which a contact is regarded. They come from
//! the service, once for a round and only for types that occur; none of them can be derived from another.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::event::Event;
use super::trial::Trial;
use crate::connect::ConnectError;
use crate::plan::{EventColumn, EventField, EventPiece, EventType};
use crate::systems::dataverse::{Dataverse, Entity, Lookups, Target};

/// A table of activities.
pub(super) struct ActivityTable {
    pub(super) entity: Entity,
    /// Whether it takes CreateMultiple and UpdateMultiple.
    pub(super) bulk: bool,
    /// Whether rows can be made in their final state.
    pub(super) closes: Trial,
    /// Whether a `$batch` with several bulk requests is carried out.
    pub(super) together: Trial,
    /// The property that binds `regardingobjectid` to a contact.
    regarding: String,
    /// What is written: the column, its greatest length if it is a text, its value.
    columns: Vec<(String, Option<usize>, Vec<EventPiece>)>,
}

/// The length of a text whose definition names none.
const SHORTEST: usize = 100;

impl ActivityTable {
    /// Asks the service for a table.
    ///
    /// # Errors
    /// [`ConnectError::Config`] for a table that is not an activity, or lacks a column; others as they come.
    pub(super) async fn resolve(
        dataverse: &Dataverse,
        kind: EventType,
        table: &str,
        columns: &[EventColumn],
    ) -> Result<Self, ConnectError> {
        let config = |problem: String, remedy: &str| ConnectError::Config { problem, remedy: remedy.to_owned() };
        let (metadata, support) = match dataverse.outline(table).await {
            Err(ConnectError::NotFound { .. }) => {
                let remedy = "install the solution that brings it, or name the table in the event block";
                return Err(config(format!("there is no table `{table}` in Dynamics for events of the type {}", kind.name()), remedy));
            }
            other => other?,
        };
        let text = |name: &str| metadata.definition.get(name).and_then(Value::as_str).map(str::to_owned);
        let (Some(set), Some(primary)) = (text("EntitySetName"), text("PrimaryIdAttribute")) else {
            return Err(config(format!("the definition of `{table}` has no entity set"), "check that it is an activity table"));
        };
        let regarding = Lookups::of(&metadata).property("regardingobjectid", "contact")?.to_owned();
        let entity = Entity::new(set, table, primary);
        let name = |attribute: &Value| attribute.get("LogicalName").and_then(Value::as_str).map(str::to_owned);
        let types: HashMap<String, bool> = metadata
            .attributes
            .iter()
            .filter_map(|a| Some((name(a)?, matches!(a.get("AttributeType")?.as_str()?, "String" | "Memo"))))
            .collect();
        let lengths: HashMap<String, usize> = metadata
            .casts
            .values()
            .flatten()
            .filter_map(|a| Some((name(a)?, usize::try_from(a.get("MaxLength")?.as_u64()?).ok()?)))
            .collect();
        let mut written = Vec::new();
        for EventColumn { column, value, .. } in columns {
            match types.get(column) {
                Some(is_text) => {
                    let length = is_text.then(|| lengths.get(column).copied().unwrap_or(SHORTEST));
                    written.push((column.clone(), length, value.clone()));
                }
                // A column of what only clicks or bounces have is missing in the other tables, and nothing is lost.
                None if never(kind, value) => {}
                None => {
                    let remedy = "name the column that it has in the event block";
                    return Err(config(format!("the table `{table}` has no column `{column}`, to which the event block writes"), remedy));
                }
            }
        }
        let takes_state = |attribute: &Value| {
            name(attribute).as_deref() == Some("statecode") && attribute.get("IsValidForCreate").and_then(Value::as_bool) == Some(true)
        };
        // The definition can say that it does not take a state; that it keeps the one that it takes is seen by its first rows.
        let closes = if metadata.attributes.iter().any(takes_state) { Trial::default() } else { Trial::failed() };
        let bulk = support.create && support.update;
        Ok(Self { entity, bulk, closes, together: Trial::default(), regarding, columns: written })
    }

    /// The table of follow-up tasks.
    pub(super) async fn tasks(dataverse: &Dataverse, subject: &[EventPiece], at: crate::plan::At) -> Result<Self, ConnectError> {
        let column = EventColumn { at, column: "subject".to_owned(), value: subject.to_vec() };
        Self::resolve(dataverse, EventType::Bounce, "task", &[column]).await
    }

    /// The row of an event, under this id.
    pub(super) fn row(&self, id: Uuid, event: &Event) -> Target {
        let mut body = Map::new();
        body.insert(format!("{}@odata.bind", self.regarding), json!(format!("/contacts({})", event.contact)));
        for (column, length, value) in &self.columns {
            let Some(text) = event.text(value) else { continue };
            match length {
                Some(length) if text.encode_utf16().count() > *length => {
                    // A cut address leads somewhere else; a cut label still tells.
                    if !is_address(value) {
                        body.insert(column.clone(), json!(cut(&text, *length)));
                    }
                }
                Some(_) | None => {
                    body.insert(column.clone(), json!(text));
                }
            }
        }
        Target { key: Some(id.into()), fields: Value::Object(body).to_string() }
    }
}

/// Whether events of a type never have a value here.
fn never(kind: EventType, value: &[EventPiece]) -> bool {
    let only = |field, of| kind != of && value.contains(&EventPiece::Field(field));
    only(EventField::Url, EventType::Click) || only(EventField::Reason, EventType::Bounce)
}

fn is_address(value: &[EventPiece]) -> bool {
    matches!(value, [EventPiece::Field(EventField::Url | EventField::MirrorPage)])
}

/// The beginning of a text, in UTF-16 code units, the stricter reading of a length.
fn cut(text: &str, length: usize) -> String {
    let mut left = length;
    text.chars()
        .take_while(|c| {
            let fits = left >= c.len_utf16();
            left = left.saturating_sub(c.len_utf16());
            fits
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_by_utf16_units() {
        assert_eq!(cut("Frühling", 4), "Früh");
        assert_eq!(cut("a😀b", 2), "a");
        assert_eq!(cut("a😀b", 3), "a😀");
        assert_eq!(cut("", 3), "");
    }

    #[test]
    fn what_only_clicks_or_bounces_have_may_be_missing_in_other_tables() {
        let url = [EventPiece::Field(EventField::Url)];
        assert!(never(EventType::Send, &url) && !never(EventType::Click, &url));
        assert!(never(EventType::Click, &[EventPiece::Field(EventField::Reason)]));
        assert!(!never(EventType::Send, &[EventPiece::Field(EventField::Campaign)]));
    }
}
