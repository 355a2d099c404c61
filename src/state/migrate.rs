//! The versions of the file's format, and the way from each to the next.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::{Fault, Inside, StateError};
use super::fingerprint::HashKey;

/// "d365" in the header of the file: what makes it ours (SQLite's `application_id`).
const APPLICATION_ID: i64 = 0x6433_3635;

/// The steps; step `n` (from 0) brings format `n` to format `n + 1`. Published steps are never edited.
const STEPS: &[&str] = &[
    include_str!("schema_v1.sql"),
    include_str!("schema_v2.sql"),
    concat!(
        include_str!("schema_v3_exports.sql"),
        include_str!("schema_v3_links.sql"),
        include_str!("schema_v3_events.sql"),
        include_str!("schema_v3_optouts.sql"),
        include_str!("schema_v3_workflows.sql")
    ),
    concat!(
        include_str!("schema_v4_exports.sql"),
        include_str!("schema_v4_identity.sql"),
        include_str!("schema_v4_late.sql"),
        include_str!("schema_v4_mass.sql"),
        include_str!("schema_v4_optouts.sql")
    ),
];

fn pragma(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}

/// The newest format that this program knows.
pub(super) fn newest() -> i64 {
    STEPS.len() as i64
}

/// Refuses a file that is not ours or is newer than we are; gives its format, 0 for an empty file.
pub(super) fn format_of(conn: &Connection, path: &Path) -> Inside<i64> {
    let found = pragma(conn, "user_version")?;
    if pragma(conn, "application_id")? != APPLICATION_ID {
        let tables: i64 = conn.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables > 0 || found != 0 {
            return Err(StateError::Foreign { path: path.to_owned() }.into());
        }
    }
    if found > newest() {
        return Err(StateError::NewerFormat { path: path.to_owned(), found, known: newest() }.into());
    }
    Ok(found)
}

/// Brings the file to the newest format, in one transaction: another process sees the old format or the new one.
pub(super) fn migrate(conn: &mut Connection, path: &Path) -> Inside<()> {
    if format_of(conn, path)? == newest() {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again under the write lock: two processes may have come here together.
    let found = format_of(&tx, path)?;
    for step in &STEPS[usize::try_from(found).unwrap_or(0)..] {
        tx.execute_batch(step)?;
    }
    if found == 0 {
        tx.execute("INSERT INTO meta (name, value) VALUES ('hash_key', ?1), ('change_no', 0)", [HashKey::random().as_bytes()])?;
    }
    tx.execute_batch(&format!("PRAGMA user_version = {}; PRAGMA application_id = {APPLICATION_ID}", newest()))?;
    tx.commit()?;
    Ok(())
}

pub(super) fn hash_key(conn: &Connection) -> Inside<HashKey> {
    let bytes: Vec<u8> = conn.query_row("SELECT value FROM meta WHERE name = 'hash_key'", [], |row| row.get(0))?;
    HashKey::from_bytes(&bytes)
        .ok_or_else(|| Fault::from(StateError::Damaged { what: "the key of the fingerprints has the wrong length".into() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_format_3_keeps_what_it_has_and_gets_the_newer_columns() {
        let mut conn = Connection::open_in_memory().unwrap();
        for step in &STEPS[..3] {
            conn.execute_batch(step).unwrap();
        }
        conn.execute("INSERT INTO meta (name, value) VALUES ('hash_key', ?1), ('change_no', 7)", [HashKey::random().as_bytes()]).unwrap();
        conn.execute_batch(&format!(
            "INSERT INTO mapping (id, name, ledger_rows) VALUES (1, 'contacts', 1);
             INSERT INTO ledger (mapping, key, source_id, fingerprints, generation, written_at) VALUES (1, 'k', 's', x'', 1, 1);
             INSERT INTO cursor (mapping, phase, reason, link, generation, plan_fingerprint, updated_at) VALUES (1, 'delta', 'first', 'l', 1, 'p', 1);
             PRAGMA user_version = 3; PRAGMA application_id = {APPLICATION_ID}"
        ))
        .unwrap();
        migrate(&mut conn, Path::new("state.db")).unwrap();
        assert_eq!(format_of(&conn, Path::new("state.db")).unwrap(), newest());
        let kept: (String, Option<String>, i64, String, i64) = conn
            .query_row(
                "SELECT m.name, m.identity, m.ledger_rows, c.link, c.records FROM mapping AS m JOIN cursor AS c ON c.mapping = m.id",
                [],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
            )
            .unwrap();
        assert_eq!(kept, ("contacts".to_owned(), None, 1, "l".to_owned(), 0));
        assert_eq!(conn.query_row("SELECT COUNT(*) FROM environment", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    }
}
