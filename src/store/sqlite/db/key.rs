//! The attribute by which a flow addresses its target records: a mapping that names another one must not make them a second time.

use rusqlite::{Connection, OptionalExtension, params};

use super::cursor::cursor_of;
use super::store::Store;
use crate::store::{Phase, Reason, StoreError};

impl Store {
    /// Notes by which attribute a flow addresses its target records. Gives the one that it used before, where that is another
    /// one and records were written by it; then nothing is noted, unless the flow is at the start of a replay: that takes the new
    /// attribute, and relies on nothing that is on file of those records.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_key_attribute(&self, mapping: &str, attribute: &str) -> Result<Option<String>, StoreError> {
        const KNOWN: &str = "SELECT key_attribute FROM mapping WHERE name = ?1";
        let known = |conn: &Connection| -> rusqlite::Result<Option<String>> {
            Ok(conn.prepare_cached(KNOWN)?.query_row([mapping], |row| row.get(0)).optional()?.flatten())
        };
        if self.read("look up a key", |conn, _| Ok(known(conn)?))?.as_deref() == Some(attribute) {
            return Ok(None);
        }
        self.write("note a key", |tx| {
            let id = tx.mapping(mapping)?;
            if let Some(before) = known(tx.conn)?.filter(|before| before != attribute) {
                let cursor = cursor_of(tx.conn, id)?;
                let replayed = cursor.is_some_and(|c| c.reason == Reason::Replay && c.phase == Phase::Full && c.link.is_none());
                let written: bool = tx.conn.query_row("SELECT EXISTS (SELECT 1 FROM ledger WHERE mapping = ?1)", [id], |row| row.get(0))?;
                if written && !replayed {
                    return Ok(Some(before));
                }
                tx.conn.execute("UPDATE ledger SET doubtful = 1, fingerprints = x'' WHERE mapping = ?1", [id])?;
            }
            tx.conn.execute("UPDATE mapping SET key_attribute = ?2 WHERE id = ?1", params![id, attribute])?;
            Ok(None)
        })
    }
}
