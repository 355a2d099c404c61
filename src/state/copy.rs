//! A copy of one workflow of opt-outs in memory: a dry run reads on from where the workflow is, and changes nothing in the file.

use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::error::StateError;
use super::store::Store;
use super::tx::mapping_id;

/// What a workflow of opt-outs goes by: each table with the condition on its rows. ?1 is the workflow's number, ?2 its name.
const TABLES: &[(&str, &str)] = &[
    ("mapping", "id = ?1 AND ?2 IS NOT NULL"),
    ("cursor", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("optout_flow", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("optout", "mapping = ?1 AND ?2 IS NOT NULL"),
    ("export", "flow = ?2 AND ?1 IS NOT NULL"),
    ("forgotten", "?1 IS NOT NULL AND ?2 IS NOT NULL"),
];

impl Store {
    /// Copies what a workflow of opt-outs knows into a store in memory. The backlog is not copied: what is due is found again.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn copy_of_optouts(&self, flow: &str) -> Result<Store, StateError> {
        let copy = Store::in_memory()?;
        let key = self.read("read its key", |_, key| Ok(*key))?;
        copy.set_hash_key(key)?;
        for (table, condition) in TABLES {
            let (columns, rows) = self.read("copy opt-outs", |conn, _| {
                let Some(mapping) = mapping_id(conn, flow)? else { return Ok((Vec::new(), Vec::new())) };
                let mut statement = conn.prepare(&format!("SELECT * FROM {table} WHERE {condition}"))?;
                let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
                let rows = statement.query_map(rusqlite::params![mapping, flow], |row| {
                    (0..columns.len()).map(|n| row.get::<_, Value>(n)).collect::<rusqlite::Result<Vec<Value>>>()
                })?;
                let rows: Vec<Vec<Value>> = rows.collect::<Result<_, _>>()?;
                Ok((columns, rows))
            })?;
            if rows.is_empty() {
                continue;
            }
            copy.write("take a copy of opt-outs", |tx| {
                // A page that another process is reading is leased to a run that the copy does not have.
                let values: Vec<String> = columns
                    .iter()
                    .enumerate()
                    .map(|(n, c)| if c == "leased_by" { "NULL".to_owned() } else { format!("?{}", n + 1) })
                    .collect();
                let sql = format!("INSERT OR REPLACE INTO {table} ({}) VALUES ({})", columns.join(", "), values.join(", "));
                let mut statement = tx.conn.prepare(&sql)?;
                for row in rows {
                    let row = row.into_iter().zip(&columns).map(|(value, column)| if column == "leased_by" { Value::Null } else { value });
                    statement.execute(params_from_iter(row))?;
                }
                Ok(())
            })?;
        }
        Ok(copy)
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

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
        store.take_in_optouts(FLOW, sights, mark, |_, _, person| Fate::Keep { person, due: false }).unwrap();
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
