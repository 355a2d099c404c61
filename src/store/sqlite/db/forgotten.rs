//! Persons who were forgotten: a tombstone under a keyed hash of the record's id, so that a later delta, a late event or an
//! old export does not bring them back. The id itself is not kept.

use std::collections::HashSet;

use rusqlite::params;

use super::error::Inside;
use super::store::Store;
use super::tx::Tx;
use super::types::millis;
use crate::store::{StoreError, fingerprint::HashKey};

/// The hash's first part, apart from every target path.
const PATH: &str = "\u{1f}forgotten";

pub(super) fn hash(key: &HashKey, source_id: &str) -> i64 {
    key.hash(PATH, &source_id.to_ascii_lowercase()).cast_signed()
}

impl Store {
    /// Whether a record of this id must not be stored any more.
    ///
    /// # Errors
    /// When the file cannot be read.
    #[cfg(any(test, feature = "internals"))]
    pub fn is_forgotten(&self, source_id: &str) -> Result<bool, StoreError> {
        self.read("look for a tombstone", |conn, key| {
            let mut statement = conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM forgotten WHERE id_hash = ?1)")?;
            Ok(statement.query_row([hash(key, source_id)], |row| row.get(0))?)
        })
    }

    /// Returns those of the ids whose records belong to forgotten persons.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn forgotten_among(&self, ids: Vec<String>) -> Result<HashSet<String>, StoreError> {
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        self.read("look for tombstones", |conn, key| {
            let mut statement = conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM forgotten WHERE id_hash = ?1)")?;
            let mut found = HashSet::new();
            for id in ids {
                if statement.query_row([hash(key, &id)], |row| row.get(0))? {
                    found.insert(id);
                }
            }
            Ok(found)
        })
    }
}

impl Tx<'_> {
    /// Whether a record of this id must not be stored any more.
    pub fn is_forgotten(&self, source_id: &str) -> Inside<bool> {
        let mut statement = self.conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM forgotten WHERE id_hash = ?1)")?;
        Ok(statement.query_row([hash(&self.key(), source_id)], |row| row.get(0))?)
    }

    /// Leaves a tombstone for a record.
    pub fn forget_id(&mut self, source_id: &str) -> Inside<()> {
        let id = hash(&self.key(), source_id);
        self.conn
            .prepare_cached("INSERT OR IGNORE INTO forgotten (id_hash, at) VALUES (?1, ?2)")?
            .execute(params![id, millis(self.now)])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_is_found_by_the_id_in_either_case_and_does_not_hold_it() {
        let store = Store::in_memory().unwrap();
        let id = "8F1D0000-0000-4000-8000-000000000001";
        assert!(!store.is_forgotten(id).unwrap());
        store.write("test", |tx| tx.forget_id(id)).unwrap();
        assert!(store.is_forgotten(&id.to_lowercase()).unwrap());
        assert!(!store.is_forgotten("another").unwrap());
        assert!(store.write("test", |tx| tx.is_forgotten(id)).unwrap());
    }
}
