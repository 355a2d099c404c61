//! A copy of what the state has of one workflow: a dry run reads on from where the workflow is, and changes nothing in the file.

use rusqlite::types::Value;
use rusqlite::{params, params_from_iter};

use super::store::Store;
use super::tx::mapping_id;
use crate::store::StoreError;

/// What a workflow of opt-outs uses: each table with the condition on its rows. ?1 is the workflow's number, ?2 its name.
const OPTOUTS: &[(&str, &str)] = &[
    ("mapping", "id = ?1 AND ?2 IS NOT NULL"),
    ("cursor", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("optout_flow", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("optout", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("optout_topic", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("export", "flow = ?2 AND ?1 IS NOT NULL"),
    ("forgotten", "?1 IS NOT NULL AND ?2 IS NOT NULL"),
];

/// The same for a mapping.
const MAPPING: &[(&str, &str)] = &[
    ("mapping", "id = ?1 AND ?2 IS NOT NULL"),
    ("cursor", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("target_path", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("ledger", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("outbox", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("due_record", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("related_source", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("related_row", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("related_use", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("held", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("mass_change", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("mass_passed", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("dead_letter", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("pair", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("pair_cursor", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("pair_row", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("pair_row_cursor", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("workflow", "name = ?2 AND ?1 IS NOT NULL"),
    ("forgotten", "?1 IS NOT NULL AND ?2 IS NOT NULL"),
];

/// What a copy has in place of a column's value: nothing of runs, which it does not have, and no data of persons that it does not need.
fn in_copy(table: &str, column: &str, value: Value) -> Value {
    match (table, column) {
        // A page that another process is reading is leased to a run that the copy does not have.
        ("cursor", "leased_by") | ("dead_letter", "run_id" | "request" | "response") | ("outbox", "last_error" | "waited") => Value::Null,
        ("dead_letter", "message") => Value::Text(String::new()),
        ("outbox", "payload") if value != Value::Null => Value::Text(r#"{"fields":{}}"#.to_owned()),
        _ => value,
    }
}

impl Store {
    /// Copies what a workflow of opt-outs knows into a store in memory. The backlog is not copied: what is due is found again.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn copy_of_optouts(&self, flow: &str) -> Result<Store, StoreError> {
        let copy = Store::in_memory()?;
        self.copy_into(&copy, flow, OPTOUTS)?;
        Ok(copy)
    }

    /// Copies what a mapping knows into a separate store, whose file has no name and goes with it: a ledger may be larger than
    /// the memory. Queued operations are copied without their values.
    ///
    /// # Errors
    /// When the file cannot be read, or the copy cannot be written.
    pub fn copy_of_mapping(&self, flow: &str) -> Result<Store, StoreError> {
        let copy = Store::temporary()?;
        self.copy_into(&copy, flow, MAPPING)?;
        Ok(copy)
    }

    fn copy_into(&self, copy: &Store, flow: &str, tables: &[(&str, &str)]) -> Result<(), StoreError> {
        copy.set_hash_key(self.read("read its key", |_, key| Ok(*key))?)?;
        // All tables as they are at the same moment.
        self.read("copy a workflow", |conn, _| {
            let change_no: i64 = conn.query_row("SELECT value FROM meta WHERE name = 'change_no'", [], |row| row.get(0))?;
            let Some(mapping) = mapping_id(conn, flow)? else { return Ok(()) };
            copy.write("take a copy of a workflow", |tx| {
                tx.conn.execute("UPDATE meta SET value = ?1 WHERE name = 'change_no'", [change_no])?;
                for (table, condition) in tables {
                    let mut rows = conn.prepare(&format!("SELECT * FROM {table} WHERE {condition}"))?;
                    let columns: Vec<String> = rows.column_names().map(str::to_owned).collect();
                    let values = vec!["?"; columns.len()].join(", ");
                    let mut insert =
                        tx.conn.prepare(&format!("INSERT OR REPLACE INTO {table} ({}) VALUES ({values})", columns.join(", ")))?;
                    let mut rows = rows.query(params![mapping, flow])?;
                    while let Some(row) = rows.next()? {
                        let value = |(n, column): (usize, &String)| Ok(in_copy(table, column, row.get(n)?));
                        let values: Vec<Value> = columns.iter().enumerate().map(value).collect::<rusqlite::Result<_>>()?;
                        insert.execute(params_from_iter(values))?;
                    }
                }
                Ok(())
            })?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{CursorMove, Fate, Flags, Mark, OptoutStage, Person};

    const FLOW: &str = "contacts.optout";
    const ID: &str = "c0000000-0000-4000-8000-000000000001";

    #[test]
    fn a_copy_has_the_persons_the_cursor_and_the_tombstones_and_what_is_done_to_it_leaves_the_file_alone() {
        let store = Store::in_memory().unwrap();
        store.begin_optouts("others.optout", "pairs").unwrap();
        let (_, cursor) = store.begin_optouts(FLOW, "pairs").unwrap();
        let person = Person { owed: Flags::of(2), ..Person::default() };
        let mark = Mark::Contacts { from: cursor, to: CursorMove::Next("next".to_owned()) };
        let sights = vec![(ID.to_owned(), person.clone())];
        store.store_optouts(FLOW, sights, mark, |_, _, person| Fate::Keep { person: Box::new(person), due: false }).unwrap();
        store.set_optout_stage(FLOW, OptoutStage::Live, None).unwrap();
        store.forget("c0000000-0000-4000-8000-000000000009").unwrap();
        let copy = store.copy_of_optouts(FLOW).unwrap();
        assert_eq!(copy.optout(FLOW, ID).unwrap(), Some(person));
        assert_eq!(copy.optout_state(FLOW).unwrap(), store.optout_state(FLOW).unwrap());
        assert_eq!(copy.cursor(FLOW).unwrap(), store.cursor(FLOW).unwrap());
        assert!(copy.is_forgotten("c0000000-0000-4000-8000-000000000009").unwrap());
        copy.set_optout_stage(FLOW, OptoutStage::Held, None).unwrap();
        assert_eq!(store.optout_state(FLOW).unwrap().unwrap().stage, OptoutStage::Live);
        assert!(store.copy_of_optouts("nothing.optout").unwrap().optout_state(FLOW).unwrap().is_none());
    }
}
