//! The organization's rows and definitions in the form in which they are kept over restarts.
//!
//! Cells are kept by their columns' names, so that a changed definition needs no change of the rows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::store::{Row, Rows, Store};
use super::table::Table;
use super::value::Value;

/// A row as it is kept.
#[derive(Serialize, Deserialize)]
struct Saved {
    created: i64,
    modified: i64,
    by: (u8, u8),
    cells: BTreeMap<String, Value>,
}

/// A row that changed: its table's place, its id, its version or that of its deletion, and its text unless it is deleted.
pub(crate) type Kept = (usize, Uuid, u64, Option<String>);

/// What changed since it was asked for last.
pub(crate) struct Changes {
    pub(crate) version: u64,
    pub(crate) rows: Vec<Kept>,
    /// All definitions in order, with the version from which delta tokens are good, when one of them changed.
    pub(crate) tables: Option<Vec<(String, u64)>>,
    /// Places of tables whose rows are gone with them.
    pub(crate) dropped: Vec<usize>,
}

fn wrong(error: impl std::fmt::Display) -> String {
    format!("the kept state of Dataverse cannot be read: {error}")
}

impl Store {
    /// Notes from now on what changes.
    pub(crate) fn keep(&mut self) {
        self.touched = Some(BTreeSet::new());
        self.defined = true;
    }

    /// What changed since the last call.
    pub(crate) fn changes(&mut self) -> Result<Changes, String> {
        let touched = self.touched.replace(BTreeSet::new()).unwrap_or_default();
        let mut rows = Vec::with_capacity(touched.len());
        for (table, id) in touched {
            let Rows { table: definition, rows: live, gone_at, .. } = &self.tables[table];
            if let Some(row) = live.get(&id) {
                let cells = row.cells.iter().map(|(index, value)| (definition.at(*index).name.clone(), value.clone())).collect();
                let saved = Saved { created: row.created, modified: row.modified, by: (row.created_by, row.modified_by), cells };
                let text = serde_json::to_string(&saved).map_err(|error| error.to_string())?;
                rows.push((table, id, row.version, Some(text)));
            } else if let Some(at) = gone_at.get(&id) {
                rows.push((table, id, *at, None));
            }
        }
        let mut changes = Changes { version: self.version, rows, tables: None, dropped: Vec::new() };
        if std::mem::take(&mut self.defined) {
            let text = |rows: &Rows| Ok((serde_json::to_string(&rows.table).map_err(|error| error.to_string())?, rows.valid_from));
            changes.tables = Some(self.tables.iter().map(text).collect::<Result<_, String>>()?);
            changes.dropped = (0..self.tables.len()).filter(|index| self.tables[*index].table.dropped).collect();
        }
        Ok(changes)
    }

    /// Builds an organization from what was kept.
    pub(crate) fn restore(version: u64, tables: Vec<(String, u64)>, rows: Vec<Kept>, users: Vec<Uuid>) -> Result<Store, String> {
        let mut definitions = Vec::with_capacity(tables.len());
        for (text, _) in &tables {
            let mut table: Table = serde_json::from_str(text).map_err(wrong)?;
            table.finish()?;
            definitions.push(table);
        }
        let mut store = Store::new(definitions, users);
        store.version = version;
        for (place, (_, valid_from)) in store.tables.iter_mut().zip(&tables) {
            place.valid_from = *valid_from;
        }
        for (table, id, version, text) in rows {
            let place = store.tables.get_mut(table).ok_or_else(|| wrong(format!("row {id} is of table {table}, which is not there")))?;
            let Some(text) = text else {
                place.gone.insert(version, id);
                place.gone_at.insert(id, version);
                continue;
            };
            let saved: Saved = serde_json::from_str(&text).map_err(wrong)?;
            let mut cells: Vec<(u16, Value)> =
                saved.cells.into_iter().filter_map(|(name, value)| Some((place.table.column(&name)?, value))).collect();
            cells.sort_by_key(|(index, _)| *index);
            let row = Row {
                version,
                created: saved.created,
                modified: saved.modified,
                created_by: saved.by.0,
                modified_by: saved.by.1,
                cells: cells.into_boxed_slice(),
            };
            place.by_version.insert(version, id);
            place.rows.insert(id, row);
        }
        for place in &mut store.tables {
            place.index_keys();
        }
        Ok(store)
    }
}
