//! The rows of the emulated organization, with what change tracking needs.
//!
//! One version counter runs through the whole organization, as the database's row version does. Each table keeps its live rows by id
//! and by version, and its deleted ids by the version of the deletion, so that a delta is two range reads.
//!
//! Every change of a row is noted with the state before it, so that a request, a change set or a bulk message that fails leaves
//! nothing behind. Row versions that a rollback gave out are not given out again, as in the database.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use rust_decimal::Decimal;
use uuid::Uuid;

use super::error::{Fail, Result};
use super::table::{Derived, KeyStatus, Table, Type};
use super::value::Value;

/// One row. Cells are sorted by column; a column without a cell has its default.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) version: u64,
    pub(super) created: i64,
    pub(super) modified: i64,
    pub(super) created_by: u8,
    pub(super) modified_by: u8,
    pub(super) cells: Box<[(u16, Value)]>,
}

/// Values to set; [`Value::Null`] clears.
pub(super) type Changes = Vec<(u16, Value)>;

impl Row {
    fn cell(&self, column: u16) -> Option<&Value> {
        self.cells.binary_search_by_key(&column, |(index, _)| *index).ok().map(|at| &self.cells[at].1)
    }
}

/// A table's rows.
pub(super) struct Rows {
    pub(super) table: Table,
    pub(super) rows: BTreeMap<Uuid, Row>,
    pub(super) by_version: BTreeMap<u64, Uuid>,
    /// Deleted rows by the version of their deletion.
    pub(super) gone: BTreeMap<u64, Uuid>,
    pub(super) gone_at: HashMap<Uuid, u64>,
    /// One index per alternate key.
    keys: Vec<HashMap<Vec<String>, Uuid>>,
    /// Delta tokens of an older version are dead.
    pub(super) valid_from: u64,
}

/// The organization.
pub(crate) struct Store {
    pub(super) tables: Vec<Rows>,
    pub(super) version: u64,
    /// Application users; rows point to them by index.
    pub(super) users: Vec<Uuid>,
    pub(super) business_unit: Uuid,
    pub(super) currency: Uuid,
    /// What a rollback puts back, oldest first.
    undo: Vec<Undo>,
    /// Rows that changed since they were kept last; `None` when nothing is kept.
    pub(super) touched: Option<BTreeSet<(usize, Uuid)>>,
    /// Whether a definition changed since then.
    pub(super) defined: bool,
}

/// One row before a change.
struct Undo {
    table: usize,
    id: Uuid,
    row: Option<Row>,
    /// The version of its tombstone, when it was deleted before.
    gone: Option<u64>,
}

impl Store {
    pub(crate) fn new(tables: Vec<Table>, users: Vec<Uuid>) -> Store {
        let tables = tables.into_iter().map(Rows::new).collect();
        Store {
            tables,
            version: 1_000_000,
            users,
            business_unit: Uuid::from_u128(0x5a1f_0a10_0000_4000_8000_0000_0000_0001),
            currency: Uuid::from_u128(0xc0a0_0000_0000_4000_8000_0000_0000_0001),
            undo: Vec::new(),
            touched: None,
            defined: false,
        }
    }

    /// Where a rollback may go back to.
    pub(super) fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Undoes every change of rows since a mark.
    pub(super) fn rollback(&mut self, mark: usize) {
        while self.undo.len() > mark {
            let Some(Undo { table, id, row, gone }) = self.undo.pop() else { return };
            let rows = &mut self.tables[table];
            if let Some(now) = rows.rows.remove(&id) {
                let freed = rows.keys_of(&now);
                rows.free_keys(id, freed);
                rows.by_version.remove(&now.version);
            }
            if let Some(at) = rows.gone_at.remove(&id) {
                rows.gone.remove(&at);
            }
            if let Some(at) = gone {
                rows.gone.insert(at, id);
                rows.gone_at.insert(id, at);
            }
            if let Some(row) = row {
                rows.by_version.insert(row.version, id);
                let keys = rows.keys_of(&row);
                rows.set_keys(id, keys);
                rows.rows.insert(id, row);
            }
        }
    }

    /// Ends the transaction: what was done stays.
    pub(super) fn commit(&mut self) {
        if let Some(touched) = &mut self.touched {
            touched.extend(self.undo.iter().map(|undo| (undo.table, undo.id)));
        }
        self.undo.clear();
    }

    /// Runs one unit of work: all of it or nothing.
    pub(super) fn atomically<T>(&mut self, work: impl FnOnce(&mut Store) -> Result<T>) -> Result<T> {
        let mark = self.mark();
        let done = work(self);
        if done.is_err() {
            self.rollback(mark);
        }
        done
    }

    fn note(&mut self, table: usize, id: Uuid) {
        let rows = &self.tables[table];
        let undo = Undo { table, id, row: rows.rows.get(&id).cloned(), gone: rows.gone_at.get(&id).copied() };
        self.undo.push(undo);
    }

    pub(super) fn by_name(&self, name: &str) -> Option<usize> {
        self.tables.iter().position(|rows| rows.table.name == name && !rows.table.dropped)
    }

    pub(super) fn by_set(&self, set: &str) -> Option<usize> {
        self.tables.iter().position(|rows| rows.table.set == set && !rows.table.dropped)
    }

    /// The value of a column, derived ones included; `None` when it is null.
    pub(super) fn value<'a>(&'a self, table: usize, id: Uuid, row: &'a Row, index: u16) -> Option<Cow<'a, Value>> {
        let rows = &self.tables[table];
        let column = rows.table.at(index);
        let user = |user: u8| -> Option<Cow<'a, Value>> {
            let id = *self.users.get(usize::from(user))?;
            Some(Cow::Owned(Value::Link(self.by_name("systemuser")? as u8, id.into())))
        };
        let stored = row.cell(index);
        match &column.derived {
            Derived::Id => Some(Cow::Owned(Value::Id(id.into()))),
            Derived::Version => Some(Cow::Owned(Value::Int(row.version as i64))),
            Derived::CreatedOn => Some(Cow::Owned(Value::Time(row.created))),
            Derived::ModifiedOn => Some(Cow::Owned(Value::Time(row.modified))),
            Derived::CreatedBy => user(row.created_by),
            Derived::ModifiedBy => user(row.modified_by),
            Derived::Owner => stored.map(Cow::Borrowed).or_else(|| user(row.created_by)),
            Derived::OwningUser => match rows.table.column("ownerid").and_then(|owner| row.cell(owner)) {
                Some(owner) => Some(Cow::Borrowed(owner)),
                None => user(row.created_by),
            },
            Derived::BusinessUnit => Some(Cow::Owned(Value::Id(self.business_unit.into()))),
            Derived::Currency => match stored {
                Some(stored) => Some(Cow::Borrowed(stored)),
                None => Some(Cow::Owned(Value::Link(self.by_name("transactioncurrency")? as u8, self.currency.into()))),
            },
            Derived::ExchangeRate => Some(Cow::Owned(Value::Dec(Decimal::ONE))),
            Derived::Base(money) => row.cell(*money).map(Cow::Borrowed),
            Derived::FullName { first, last } => {
                let text = joined([*first, *last].iter().filter_map(|part| row.cell(*part)), " ");
                (!text.is_empty()).then(|| Cow::Owned(Value::text(&text)))
            }
            Derived::Composite(parts) => {
                let text = joined(parts.iter().filter_map(|part| row.cell(*part)), "\r\n");
                (!text.is_empty()).then(|| Cow::Owned(Value::text(&text)))
            }
            Derived::Stored => match stored {
                Some(value) => Some(Cow::Borrowed(value)),
                // Two-option columns and choices with a default have it from creation on; it is not kept in each row.
                None => column
                    .initial()
                    .map(|default| Cow::Owned(if column.kind == Type::Boolean { Value::Bool(default != 0) } else { Value::Int(default) })),
            },
        }
        .filter(|value| !value.is_null())
    }

    /// The text of a row's primary name, for formatted lookups.
    pub(super) fn title(&self, table: usize, id: Uuid) -> Option<String> {
        let rows = &self.tables[table];
        let row = rows.rows.get(&id)?;
        let column = rows.table.column(&rows.table.title)?;
        let value = self.value(table, id, row, column)?;
        if let Value::Text(text) = &*value { Some(text.to_string()) } else { None }
    }

    /// A row by the values of an alternate key, as [`key_text`] writes them.
    pub(super) fn by_key(&self, table: usize, key: usize, values: &[String]) -> Option<Uuid> {
        self.tables[table].keys[key].get(values).copied()
    }

    /// Creates a row.
    pub(super) fn insert(&mut self, table: usize, id: Uuid, mut changes: Changes, user: u8, now: i64) -> Result<u64> {
        let rows = &mut self.tables[table];
        if rows.rows.contains_key(&id) {
            return Err(Fail::new(412, "0x80040237", "A record with matching key values already exists. Cannot insert duplicate key."));
        }
        let created = rows
            .table
            .column("overriddencreatedon")
            .and_then(|column| changes.iter().find(|(index, _)| *index == column))
            .and_then(|(_, value)| if let Value::Time(at) = value { Some(*at) } else { None });
        changes.retain(|(index, value)| !value.is_null() || rows.table.at(*index).initial().is_some());
        changes.sort_by_key(|(index, _)| *index);
        let row = Row {
            version: self.version + 1,
            created: created.unwrap_or(now),
            modified: now,
            created_by: user,
            modified_by: user,
            cells: changes.into_boxed_slice(),
        };
        let keys = rows.claim_keys(id, &row)?;
        self.note(table, id);
        let rows = &mut self.tables[table];
        self.version += 1;
        rows.set_keys(id, keys);
        if let Some(at) = rows.gone_at.remove(&id) {
            // The id lives again: its tombstone would undo the creation in the same delta.
            rows.gone.remove(&at);
        }
        rows.by_version.insert(self.version, id);
        rows.rows.insert(id, row);
        Ok(self.version)
    }

    /// Changes a row. Unchanged values make a new version too, as in the service.
    pub(super) fn update(&mut self, table: usize, id: Uuid, changes: Changes, user: u8, now: i64) -> Result<u64> {
        let rows = &mut self.tables[table];
        let old = rows.rows.get(&id).ok_or_else(|| Fail::not_found(&rows.table.name, id))?;
        let mut cells: BTreeMap<u16, Value> = old.cells.iter().cloned().collect();
        for (index, value) in changes {
            let column = rows.table.at(index);
            if value.is_null() && column.initial().is_none() {
                cells.remove(&index);
            } else {
                cells.insert(index, value);
            }
        }
        let row = Row {
            version: self.version + 1,
            created: old.created,
            modified: now,
            created_by: old.created_by,
            modified_by: user,
            cells: cells.into_iter().collect(),
        };
        let keys = rows.claim_keys(id, &row)?;
        let old_version = old.version;
        let freed = rows.keys_of(old);
        self.note(table, id);
        let rows = &mut self.tables[table];
        rows.free_keys(id, freed);
        rows.set_keys(id, keys);
        self.version += 1;
        rows.by_version.remove(&old_version);
        rows.by_version.insert(self.version, id);
        rows.rows.insert(id, row);
        Ok(self.version)
    }

    /// Deletes a row and leaves a tombstone.
    pub(super) fn delete(&mut self, table: usize, id: Uuid) -> Result<()> {
        if !self.tables[table].rows.contains_key(&id) {
            return Err(Fail::not_found(&self.tables[table].table.name, id));
        }
        self.note(table, id);
        let rows = &mut self.tables[table];
        let Some(row) = rows.rows.remove(&id) else { return Ok(()) };
        let freed = rows.keys_of(&row);
        rows.free_keys(id, freed);
        self.version += 1;
        rows.by_version.remove(&row.version);
        rows.gone.insert(self.version, id);
        rows.gone_at.insert(id, self.version);
        Ok(())
    }

    /// Takes a table's changed definition; its delta tokens die with the old one. [C]
    pub(super) fn redefine(&mut self, table: usize, definition: Table) {
        self.tables[table].redefine(definition);
        self.expire(Some(table));
    }

    /// Ends all delta tokens of a table, or of all.
    pub(super) fn expire(&mut self, table: Option<usize>) {
        self.version += 1;
        self.defined = true;
        let version = self.version;
        for (index, rows) in self.tables.iter_mut().enumerate() {
            if table.is_none_or(|table| table == index) {
                rows.valid_from = version;
            }
        }
    }
}

fn joined<'a>(parts: impl Iterator<Item = &'a Value>, separator: &str) -> String {
    let mut text = String::new();
    for part in parts {
        if let Value::Text(part) = part {
            if !text.is_empty() {
                text.push_str(separator);
            }
            text.push_str(part);
        }
    }
    text
}

/// A key value in the form the index compares: text without regard to case, as the database's collation does.
pub(super) fn key_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Text(text) => Some(text.to_lowercase()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Dec(value) => Some(value.normalize().to_string()),
        Value::Float(value) => Some(value.to_string()),
        Value::Day(day) => Some(day.to_string()),
        Value::Time(seconds) => Some(seconds.to_string()),
        Value::Id(id) | Value::Link(_, id) => Some(Uuid::from(*id).to_string()),
    }
}

type KeyValues = Vec<Option<Vec<String>>>;

impl Rows {
    /// A table without rows.
    pub(super) fn new(table: Table) -> Rows {
        Rows {
            keys: vec![HashMap::new(); table.keys.len()],
            table,
            rows: BTreeMap::new(),
            by_version: BTreeMap::new(),
            gone: BTreeMap::new(),
            gone_at: HashMap::new(),
            valid_from: 0,
        }
    }

    /// Rebuilds the indexes of the alternate keys. A key whose values are not unique fails, as its index does in the service.
    pub(super) fn index_keys(&mut self) {
        self.keys = vec![HashMap::new(); self.table.keys.len()];
        let rows = std::mem::take(&mut self.rows);
        for (id, row) in &rows {
            for (at, value) in self.keys_of(row).into_iter().enumerate() {
                let Some(value) = value else { continue };
                if self.keys[at].insert(value, *id).is_some() {
                    self.table.keys[at].status = KeyStatus::Failed;
                }
            }
        }
        self.rows = rows;
        for (key, index) in self.table.keys.iter().zip(&mut self.keys) {
            if key.status != KeyStatus::Active {
                index.clear();
            }
        }
    }

    /// Takes a changed definition: the cells of all rows move to where their columns are now, those of removed columns go.
    fn redefine(&mut self, table: Table) {
        let moved: Vec<Option<u16>> = self.table.columns.iter().map(|column| table.column(&column.name)).collect();
        for row in self.rows.values_mut() {
            let mut cells: Vec<(u16, Value)> = std::mem::take(&mut row.cells)
                .into_iter()
                .filter_map(|(index, value)| Some((moved.get(usize::from(index)).copied().flatten()?, value)))
                .collect();
            cells.sort_by_key(|(index, _)| *index);
            row.cells = cells.into_boxed_slice();
        }
        self.table = table;
        self.index_keys();
    }

    /// The values of each key in a row; `None` where a part is null, for nulls are not held unique, and where the key has no
    /// finished index.
    fn keys_of(&self, row: &Row) -> KeyValues {
        let values = |key: &super::table::Key| key.indexes.iter().map(|index| row.cell(*index).and_then(key_text)).collect();
        self.table.keys.iter().map(|key| if key.status == KeyStatus::Active { values(key) } else { None }).collect()
    }

    /// Checks that the row's keys are free, and returns them.
    fn claim_keys(&self, id: Uuid, row: &Row) -> Result<KeyValues> {
        let values = self.keys_of(row);
        for (at, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            if self.keys[at].get(value).is_some_and(|other| *other != id) {
                let key = &self.table.keys[at];
                return Err(Fail::new(
                    412,
                    "0x80060892",
                    format!(
                        "Entity Key {} violated. A record with the same value for {} already exists. A duplicate record cannot be created. \
                         Select one or more unique values and try again.",
                        key.name,
                        key.columns.join(", ")
                    ),
                ));
            }
        }
        Ok(values)
    }

    fn set_keys(&mut self, id: Uuid, values: KeyValues) {
        for (index, value) in self.keys.iter_mut().zip(values) {
            if let Some(value) = value {
                index.insert(value, id);
            }
        }
    }

    fn free_keys(&mut self, id: Uuid, values: KeyValues) {
        for (index, value) in self.keys.iter_mut().zip(values) {
            if let Some(value) = value.filter(|value| index.get(value) == Some(&id)) {
                index.remove(&value);
            }
        }
    }
}
