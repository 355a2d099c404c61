//! Lists of the left side whose items are rows of the right side: what either side shows of such a list, and what is to be written.
//!
//! A list is one field: it is compared as a whole, by the keys of its items. An item of the left side is a part of its record and goes with
//! it in one write. A row of the right side is a separate record, so a list is written there row by row, each under an id that follows
//! from the record and the key: a row that is created again meets itself.

use uuid::Builder;

use super::values::{Body, Fault, is_empty, mean_same, quoted};
use crate::eval::{Flat, Programs, raw_at};
use crate::plan::{At, FieldProgram, LinkedRows, Slot};
use crate::store::Fingerprinter;
use crate::systems::Query;
use crate::time::Instant;

/// An item of a list, or the row of one.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its key, as text.
    pub(super) key: String,
    /// Its id, if it is a row.
    pub(super) id: Option<String>,
    raw: String,
    flat: Flat,
    /// The results of the programs that read it, the key first.
    results: Vec<String>,
}

/// A list as one side has it.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    pub(super) items: Vec<Item>,
    /// Whether programs read it.
    read: bool,
}

/// What is to be written to a table so that it has the rows of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RowWrite {
    Create { body: String },
    Update { id: String, body: String },
    Delete { id: String },
}

impl List {
    /// Reads the items of the left side.
    pub(super) fn of_items(rows: &LinkedRows, raw: &str, now: Instant) -> Result<List, Fault> {
        let list =
            raw_at(raw, &rows.list.join(".")).and_then(|list| serde_json::from_str::<Vec<Box<serde_json::value::RawValue>>>(&list).ok());
        let raws: Vec<String> = list.unwrap_or_default().iter().map(|item| item.get().to_owned()).collect();
        List::of(&raws, &rows.items, &rows.forward, &rows.item_key, None, rows.at, now)
    }

    /// Reads the rows of the right side.
    pub(super) fn of_rows(rows: &LinkedRows, raws: &[String], now: Instant) -> Result<List, Fault> {
        List::of(raws, &rows.rows, &rows.backward, &rows.row_key, Some(&rows.primary_key), rows.at, now)
    }

    fn of(
        raws: &[String],
        slots: &[Slot],
        programs: &[FieldProgram],
        key: &str,
        id: Option<&str>,
        at: At,
        now: Instant,
    ) -> Result<List, Fault> {
        let ready = Programs::new(slots, programs.iter(), None, at)?;
        let mut items: Vec<Item> = Vec::new();
        for raw in raws {
            let Some(key) = raw_at(raw, key).and_then(|json| as_text(&json)) else { continue };
            // Of two items with one key the first counts.
            if items.iter().any(|known| known.key == key) {
                continue;
            }
            let flat = ready.flat(raw);
            let (_, results) = ready.run(&flat, now)?;
            let id = id.and_then(|id| raw_at(raw, id)).and_then(|json| as_text(&json));
            items.push(Item { key, id, raw: raw.clone(), flat, results });
        }
        items.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(List { items, read: !programs.is_empty() })
    }

    /// What the side shows of the list, as JSON; nothing if it is not read there. An empty list is an empty value.
    pub(super) fn shown(&self) -> Option<String> {
        self.read.then(|| shown(self.items.iter().map(|item| item.results.as_slice())))
    }

    fn item(&self, key: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.key == key)
    }
}

fn shown<'r>(items: impl Iterator<Item = &'r [String]>) -> String {
    let items: Vec<String> = items.map(|results| format!("[{}]", results.join(","))).collect();
    if items.is_empty() { "null".to_owned() } else { format!("[{}]", items.join(",")) }
}

/// A key as text: a whole number is one too.
fn as_text(json: &str) -> Option<String> {
    let text = if json.starts_with('"') { serde_json::from_str(json).ok()? } else { json.to_owned() };
    (!is_empty(json) && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// Whether what one side shows is what the other side has.
fn carried(from: &List, programs: &[FieldProgram], to: &List) -> bool {
    from.read
        && from.items.len() == to.items.len()
        && from.items.iter().all(|item| {
            to.item(&item.key).is_some_and(|other| {
                let same = |(program, result): (&FieldProgram, &String)| {
                    mean_same(Some(result), raw_at(&other.raw, &program.path.join(".")).as_deref())
                };
                programs.iter().zip(&item.results).all(same)
            })
        })
}

/// Whether both sides have the same list.
pub(super) fn same(rows: &LinkedRows, left: &List, right: &List) -> bool {
    carried(left, &rows.forward, right) || carried(right, &rows.backward, left)
}

/// The list of the left side when it has what the right side shows, as JSON. What the mapping does not know of an item stays.
pub(super) fn items_of(rows: &LinkedRows, right: &List, left: Option<&List>) -> String {
    let item = |row: &Item| {
        let mut body = left.and_then(|left| left.item(&row.key)).map(|item| Body::read(&item.raw)).unwrap_or_default();
        for (program, result) in rows.backward.iter().zip(&row.results) {
            body.set(&program.path, result.clone());
        }
        body.to_json()
    };
    format!("[{}]", right.items.iter().map(item).collect::<Vec<_>>().join(","))
}

/// What the other side shows when it has the list; nothing if that is not known.
pub(super) fn expected(
    from: &List,
    programs: &[FieldProgram],
    to: Option<&List>,
    back: (&[Slot], &[FieldProgram], At),
    now: Instant,
) -> Option<String> {
    let (slots, back, at) = back;
    if back.is_empty() {
        return None;
    }
    let ready = Programs::new(slots, back.iter(), None, at).ok()?;
    let mut all = Vec::new();
    for item in &from.items {
        let mut flat = to.and_then(|to| to.item(&item.key)).map(|other| other.flat.clone()).unwrap_or_default();
        for (program, result) in programs.iter().zip(&item.results) {
            flat.insert(program.path.join("."), result.clone());
        }
        all.push(ready.run(&flat, now).ok()?.1);
    }
    Some(shown(all.iter().map(Vec::as_slice)))
}

/// What is needed of the rows of a list.
pub(super) fn rows_query(rows: &LinkedRows) -> Query {
    let mut select = vec![rows.primary_key.clone(), rows.row_key.clone(), rows.lookup.clone()];
    let written = rows.forward.iter().filter_map(|program| program.path.first());
    for column in rows.rows.iter().map(|slot| &slot.wire).chain(written) {
        if !select.contains(column) {
            select.push(column.clone());
        }
    }
    Query { collection: rows.collection.clone(), primary_key: rows.primary_key.clone(), select, ..Query::default() }
}

/// What is to be written so that the right side has the rows of the left side's list.
pub(super) fn writes(rows: &LinkedRows, left: &List, right: &List, right_id: &str, printer: &Fingerprinter) -> Vec<RowWrite> {
    let mut writes = Vec::new();
    for item in &left.items {
        let mut body = Body::default();
        let known = right.item(&item.key);
        for (program, result) in rows.forward.iter().zip(&item.results) {
            let held = known.and_then(|row| raw_at(&row.raw, &program.path.join(".")));
            if known.is_none() && !is_empty(result) || known.is_some() && !mean_same(Some(result), held.as_deref()) {
                body.set(&program.path, result.clone());
            }
        }
        match known.and_then(|row| row.id.clone()) {
            Some(id) if !body.is_empty() => writes.push(RowWrite::Update { id, body: body.to_json() }),
            Some(_) => {}
            None => {
                let id = row_id(printer, &rows.table, &[right_id, &item.key]);
                body.set_text(&rows.primary_key, &id);
                writes.push(RowWrite::Create { body: body.to_json() });
            }
        }
    }
    for row in right.items.iter().filter(|row| left.item(&row.key).is_none()) {
        writes.extend(row.id.clone().map(|id| RowWrite::Delete { id }));
    }
    writes
}

/// The id of a record that is created: it follows from what identifies the record, so that a create that is sent again meets itself.
pub(super) fn row_id(printer: &Fingerprinter, table: &str, parts: &[&str]) -> String {
    let text = parts.iter().map(|part| quoted(part)).collect::<Vec<_>>().join(",");
    let (high, low) = (printer.print(table, &text), printer.print(&format!("{table} id"), &text));
    let bytes = ((u128::from(high) << 64) | u128::from(low)).to_be_bytes();
    Builder::from_custom_bytes(bytes).into_uuid().to_string()
}
