//! Relationships between rows: from a lookup to its target, and from a row to those that point to it.

use uuid::Uuid;

use super::store::{Row, Store};
use super::table::Relation;
use super::value::Value;

/// A single-valued navigation property: the lookup behind it and the table it leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Single {
    pub(super) lookup: u16,
    pub(super) table: usize,
}

/// A single-valued navigation property by its name, which is case-sensitive. [D]
pub(super) fn single(store: &Store, table: usize, nav: &str) -> Option<Single> {
    let description = &store.tables[table].table;
    let relation = description.many_to_one.iter().find(|relation| relation.nav == nav)?;
    let lookup = description.column(&relation.column)?;
    // An owner is a user or a team; there are no teams here.
    let target = if relation.table == "owner" { "systemuser" } else { relation.table.as_str() };
    Some(Single { lookup, table: store.by_name(target)? })
}

/// The id a row's lookup holds, when it points into that table.
pub(super) fn target(store: &Store, table: usize, id: Uuid, row: &Row, single: Single) -> Option<Uuid> {
    match store.value(table, id, row, single.lookup).as_deref() {
        Some(Value::Link(target, id)) if usize::from(*target) == single.table => Some((*id).into()),
        _ => None,
    }
}

/// The name of a relationship's collection on the table it points to.
pub(super) fn collection_name(relation: &Relation) -> &str {
    relation.back.as_deref().unwrap_or(&relation.schema)
}

/// A collection-valued navigation property: the table whose rows it gives, and their lookup.
pub(super) fn collection(store: &Store, table: usize, nav: &str) -> Option<(usize, u16)> {
    let name = &store.tables[table].table.name;
    store.tables.iter().enumerate().filter(|(_, rows)| !rows.table.dropped).find_map(|(child, rows)| {
        let relation = rows.table.many_to_one.iter().find(|relation| relation.table == *name && collection_name(relation) == nav)?;
        Some((child, rows.table.column(&relation.column)?))
    })
}

/// The rows of a table whose lookup points to a row.
pub(super) fn pointing_here(store: &Store, child: usize, lookup: u16, table: usize, id: Uuid) -> impl Iterator<Item = (Uuid, &Row)> {
    store.tables[child].rows.iter().filter_map(move |(child_id, row)| {
        let points = matches!(store.value(child, *child_id, row, lookup).as_deref(), Some(Value::Link(target, other)) if usize::from(*target) == table && Uuid::from(*other) == id);
        points.then_some((*child_id, row))
    })
}
