//! Of which causes people were notified.

use std::collections::BTreeMap;

use rusqlite::params;

use super::store::Store;
use super::types::{instant, millis};
use crate::store::StoreError;
use crate::time::Instant;

impl Store {
    /// The causes of which people were notified, each with the instant at which it began.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn alerts(&self) -> Result<BTreeMap<String, Instant>, StoreError> {
        self.read("read of what people were notified", |conn, _| {
            let mut statement = conn.prepare_cached("SELECT cause, since FROM alert")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, instant(row.get(1)?))))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Notes that people were notified of a cause; without an instant, that it is over.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_alert(&self, cause: &str, since: Option<Instant>) -> Result<(), StoreError> {
        self.write("note that people were notified", |tx| {
            match since {
                Some(since) => {
                    tx.conn.execute("INSERT OR REPLACE INTO alert (cause, since) VALUES (?1, ?2)", params![cause, millis(since)])?
                }
                None => tx.conn.execute("DELETE FROM alert WHERE cause = ?1", [cause])?,
            };
            Ok(())
        })
    }
}
