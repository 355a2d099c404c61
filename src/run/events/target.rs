//! The tables of activities as they are in Dynamics: names, columns, lengths, the property by which a contact is regarded. They come from
//! the service, once for a round and only for types that occur; none of them can be derived from another.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, json};
use uuid::Uuid;

use super::event::Event;
use super::trial::Trial;
use crate::connect::ConnectError;
use crate::plan::{EventColumn, EventField, EventPiece, EventType};
use crate::systems::{Activity, ActivityColumn, ActivityState, ActivityTable, Timeline};

/// A table of activities, and what events write to it.
pub(super) struct EventTable {
    pub(super) timeline: Arc<dyn Timeline>,
    pub(super) table: ActivityTable,
    /// Whether rows can be made in their final state.
    pub(super) closes: Trial,
    /// Whether a request with several batches is carried out.
    pub(super) together: Trial,
    /// What is written: the column, its greatest length if it is a text, its value.
    columns: Vec<(String, Option<usize>, Vec<EventPiece>)>,
}

/// The length of a text whose definition names none.
const SHORTEST: usize = 100;

impl EventTable {
    /// Asks the service for a table.
    ///
    /// # Errors
    /// [`ConnectError::Config`] for a table that is not an activity, or lacks a column; others as they come.
    pub(super) async fn resolve(
        timeline: &Arc<dyn Timeline>,
        kind: EventType,
        table: &str,
        columns: &[EventColumn],
    ) -> Result<Self, ConnectError> {
        let config = |problem: String, remedy: &str| ConnectError::Config { problem, remedy: remedy.to_owned() };
        let table = match timeline.activity_table(table).await {
            Err(ConnectError::NotFound { .. }) => {
                let remedy = "install the solution that brings it, or name the table in the event block";
                return Err(config(format!("there is no table `{table}` in Dynamics for events of the type {}", kind.name()), remedy));
            }
            other => other?,
        };
        let mut written = Vec::new();
        for EventColumn { column, value, .. } in columns {
            match table.columns.get(column) {
                Some(ActivityColumn::Text(length)) => written.push((column.clone(), Some(length.unwrap_or(SHORTEST)), value.clone())),
                Some(ActivityColumn::Other) => written.push((column.clone(), None, value.clone())),
                // A column of what only clicks or bounces have is missing in the other tables, and nothing is lost.
                None if never(kind, value) => {}
                None => {
                    let name = &table.name;
                    let remedy = "name the column that it has in the event block";
                    return Err(config(format!("the table `{name}` has no column `{column}`, to which the event block writes"), remedy));
                }
            }
        }
        // The definition can say that it does not take a state; that it keeps the one that it takes is seen by its first rows.
        let closes = if table.takes_final_state { Trial::default() } else { Trial::failed() };
        Ok(Self { timeline: timeline.clone(), table, closes, together: Trial::default(), columns: written })
    }

    /// The table of follow-up tasks.
    pub(super) async fn tasks(timeline: &Arc<dyn Timeline>, subject: &[EventPiece], at: crate::plan::At) -> Result<Self, ConnectError> {
        let column = EventColumn { at, column: "subject".to_owned(), value: subject.to_vec() };
        Self::resolve(timeline, EventType::Bounce, "task", &[column]).await
    }

    /// Which of these rows exist; each with its state if that was asked for.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub(super) async fn states(&self, ids: &[Uuid], with_state: bool) -> Result<HashMap<Uuid, Option<ActivityState>>, ConnectError> {
        self.timeline.states(&self.table, ids, with_state).await
    }

    /// The row of an event, under this id.
    pub(super) fn row(&self, id: Uuid, event: &Event) -> Activity {
        let mut body = Map::new();
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
        Activity { id, body: self.timeline.activity(&self.table, event.contact, body) }
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
