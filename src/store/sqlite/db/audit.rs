//! The audit log: who did what through the pages and the API.

use rusqlite::params;

use super::store::Store;
use super::types::{instant, millis};
use crate::store::{AUDIT_RETENTION, AuditEntry, AuditFilter, AuditRecord, StoreError};

/// Old entries that are removed with one new one: a log that was not written to for long is not emptied in one transaction.
const REMOVED_AT_ONCE: i64 = 1000;

impl Store {
    /// Adds an entry, and removes old ones.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.write("write the audit log", |tx| {
            let AuditEntry { at, who, role, action, object, result, from } = entry;
            tx.conn
                .prepare_cached("INSERT INTO audit (at, who, role, action, object, result, origin) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
                .execute(params![millis(*at), who, role, action, object, result, from])?;
            tx.conn
                .prepare_cached("DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ?1 ORDER BY at LIMIT ?2)")?
                .execute(params![millis(*at - AUDIT_RETENTION), REMOVED_AT_ONCE])?;
            Ok(())
        })
    }

    /// Returns the entries that are meant, the one that was added last first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn audit(&self, filter: &AuditFilter, before: Option<i64>, limit: usize) -> Result<Vec<AuditRecord>, StoreError> {
        self.read("read the audit log", |conn, _| {
            let mut statement = conn.prepare_cached(
                "SELECT id, at, who, role, action, object, result, origin FROM audit
                 WHERE id < ?1 AND (?2 IS NULL OR who = ?2) AND (?3 IS NULL OR action = ?3) ORDER BY id DESC LIMIT ?4",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = statement.query_map(params![before.unwrap_or(i64::MAX), filter.who, filter.action, limit], |row| {
                let entry = AuditEntry {
                    at: instant(row.get(1)?),
                    who: row.get(2)?,
                    role: row.get(3)?,
                    action: row.get(4)?,
                    object: row.get(5)?,
                    result: row.get(6)?,
                    from: row.get(7)?,
                };
                Ok(AuditRecord { id: row.get(0)?, entry })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}
