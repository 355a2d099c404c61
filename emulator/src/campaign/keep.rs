//! The instance's records and history in the form in which they are kept over restarts.
//!
//! Cells are kept by their attributes' names, those of an item's parts as `location.city`; the attributes themselves come from the seed each time.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::fields::Cell;
use super::history::Event;
use super::store::{Row, World};

#[derive(Serialize, Deserialize)]
struct Saved {
    created: i64,
    modified: i64,
    cells: BTreeMap<String, Cell>,
}

/// A record that changed: its resource, its number, and its text unless it is deleted.
pub(crate) type Kept = (String, u64, Option<String>);

/// What changed since it was asked for last.
pub(crate) struct Changes {
    /// The number of the next record.
    pub(crate) next: u64,
    pub(crate) epoch: u64,
    pub(crate) records: Vec<Kept>,
    /// All of the history by profile, when it changed.
    pub(crate) history: Option<Vec<(u64, String)>>,
}

fn wrong(error: impl std::fmt::Display) -> String {
    format!("the kept state of Campaign cannot be read: {error}")
}

impl World {
    /// Notes from now on what changes.
    pub(crate) fn keep(&mut self) {
        for resource in &mut self.resources {
            resource.touched = Some(BTreeSet::new());
        }
    }

    /// What changed since the last call.
    pub(crate) fn changes(&mut self) -> Result<Changes, String> {
        let mut records = Vec::new();
        for resource in &mut self.resources {
            for id in resource.touched.replace(BTreeSet::new()).unwrap_or_default() {
                let text = match resource.rows.get(&id) {
                    None => None,
                    Some(row) => {
                        let path = |index: u16| resource.fields.at(index).path();
                        let cells = row.cells.iter().map(|(index, cell)| (path(*index), cell.clone())).collect();
                        let saved = Saved { created: row.created, modified: row.modified, cells };
                        Some(serde_json::to_string(&saved).map_err(|error| error.to_string())?)
                    }
                };
                records.push((resource.name.clone(), id, text));
            }
        }
        let events = self.history.values().map(Vec::len).sum();
        let changed = std::mem::replace(&mut self.events_kept, events) != events;
        let text =
            |(profile, events): (&u64, &Vec<Event>)| Ok((*profile, serde_json::to_string(events).map_err(|error| error.to_string())?));
        let history = changed.then(|| self.history.iter().map(text).collect::<Result<Vec<_>, String>>()).transpose()?;
        Ok(Changes { next: self.next, epoch: self.epoch, records, history })
    }

    /// Takes over what was kept, in place of a seed's records.
    pub(crate) fn restore(&mut self, kept: Changes) -> Result<(), String> {
        self.next = kept.next;
        self.epoch = kept.epoch;
        for (name, id, text) in kept.records {
            let number = self.number(&name).ok_or_else(|| wrong(format!("the seed has no resource `{name}`")))?;
            let resource = &mut self.resources[number];
            let Some(text) = text else { continue };
            let saved: Saved = serde_json::from_str(&text).map_err(wrong)?;
            let mut cells = Vec::with_capacity(saved.cells.len());
            for (attribute, cell) in saved.cells {
                let index = resource
                    .fields
                    .find(&attribute)
                    .ok_or_else(|| wrong(format!("the seed has no attribute `{attribute}` of `{name}`")))?;
                cells.push((index, cell));
            }
            cells.sort_by_key(|(index, _)| *index);
            resource.put(id, Row { created: saved.created, modified: saved.modified, cells: cells.into_boxed_slice() });
        }
        for (profile, text) in kept.history.unwrap_or_default() {
            self.history.insert(profile, serde_json::from_str(&text).map_err(wrong)?);
        }
        self.events_kept = self.history.values().map(Vec::len).sum();
        Ok(())
    }
}
