//! What each API was sent on a day: budgets of requests per day outlive the run that spends them.

use std::collections::BTreeMap;

use rusqlite::params;

use super::store::Store;
use crate::store::StoreError;

/// Days that stay on record.
const KEPT_DAYS: i64 = 31;

impl Store {
    /// Stores what an API has been sent on a day, the day's earlier runs included. Days are counted from 1970, in UTC.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_usage(&self, usage: &[(String, i64, u64)]) -> Result<(), StoreError> {
        self.write("note usage", |tx| {
            for (api, day, spent) in usage {
                tx.conn.execute(
                    "INSERT INTO usage (day, api, spent) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET spent = max(spent, excluded.spent)",
                    params![day, api, i64::try_from(*spent).unwrap_or(i64::MAX)],
                )?;
                tx.conn.execute("DELETE FROM usage WHERE day < ?1", [day - KEPT_DAYS])?;
            }
            Ok(())
        })
    }

    /// What each API was sent on a day.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn usage(&self, day: i64) -> Result<BTreeMap<String, u64>, StoreError> {
        self.read("read usage", |conn, _| {
            let mut statement = conn.prepare_cached("SELECT api, spent FROM usage WHERE day = ?1")?;
            let rows = statement.query_map([day], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_days_usage_grows_and_old_days_are_let_go() {
        let store = Store::in_memory().unwrap();
        let note = |day, spent| store.note_usage(&[("dataverse".to_owned(), day, spent)]).unwrap();
        note(100, 5);
        note(100, 9);
        note(100, 7);
        assert_eq!(store.usage(100).unwrap(), BTreeMap::from([("dataverse".to_owned(), 9)]));
        note(132, 1);
        assert!(store.usage(100).unwrap().is_empty());
    }
}
