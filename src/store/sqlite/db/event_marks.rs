//! Which events were stored before.
//!
//! An event comes from several sources, and from each at least once. It is identified by a log's id where its source has that, and by
//! its values otherwise; both are kept as keyed hashes, so that an event without an id is known to be the one that came with one, in
//! either order. Two events with different ids are two, whatever their values.

use rusqlite::OptionalExtension;

use super::error::Inside;
use super::identity::origin_of;
use super::store::Store;
use super::tx::Tx;
use crate::store::{NewEvent, StoreError};
use crate::time::day_number;

/// Days for which a taken-in event is remembered. What comes again later is made under the same id, which the target refuses.
pub const REMEMBERED_DAYS: i64 = 180;

/// Hashes that are looked at in one transaction when old ones are removed. They are spread evenly, so no index by day is needed.
#[cfg(not(test))]
const PRUNED_AT_ONCE: i64 = 10_000;
/// Several parts for a few.
#[cfg(test)]
const PRUNED_AT_ONCE: i64 = 3;

/// Kinds of hashes in `event_seen.mark`.
const OF_LOG: i64 = 0;
const OF_VALUES: i64 = 1;
const OF_VALUES_WITH_LOG: i64 = 2;

impl Store {
    /// Which of these events would be new, and changes nothing: for a dry run. Events that are the same as an earlier one of the list
    /// are the caller's to tell.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn unseen_events(&self, flow: &str, events: &[NewEvent]) -> Result<Vec<bool>, StoreError> {
        self.read("compare events", |conn, key| {
            let path = path(&origin_of(conn, flow)?);
            let mut seen = conn.prepare_cached("SELECT mark & 3 FROM event_seen WHERE hash = ?1")?;
            let mut look = |text: &str| -> Inside<Option<i64>> {
                Ok(seen.query_row([key.hash(&path, text).cast_signed()], |row| row.get(0)).optional()?)
            };
            let mut out = Vec::with_capacity(events.len());
            for event in events {
                let known = match &event.log_key {
                    Some(log) => look(log)?.is_some() || look(&event.value_key)? == Some(OF_VALUES),
                    None => look(&event.value_key)?.is_some(),
                };
                out.push(!known);
            }
            Ok(out)
        })
    }

    /// Forgets what was stored long ago, once a day for all flows: one part of it, so that other flows need not wait for the whole.
    /// Begin with `i64::MIN` and call it again with what it gives, until that is nothing. If it is interrupted, it begins again.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn prune_events(&self, from: i64) -> Result<Option<i64>, StoreError> {
        self.write("forget what was stored long ago", |tx| {
            let today = day_number(tx.now);
            let pruned: Option<i64> = tx.conn.query_row("SELECT max(pruned_on) FROM event_cursor", [], |row| row.get(0))?;
            if pruned.is_none_or(|day| day >= today) {
                return Ok(None);
            }
            let last: Option<i64> = tx
                .conn
                .prepare_cached("SELECT hash FROM event_seen WHERE hash >= ?1 ORDER BY hash LIMIT 1 OFFSET ?2")?
                .query_row([from, PRUNED_AT_ONCE - 1], |row| row.get(0))
                .optional()?;
            tx.conn.prepare_cached("DELETE FROM event_seen WHERE hash BETWEEN ?1 AND ?2 AND mark < ?3")?.execute([
                from,
                last.unwrap_or(i64::MAX),
                (today - REMEMBERED_DAYS) * 4,
            ])?;
            let next = last.and_then(|last| last.checked_add(1));
            if next.is_none() {
                tx.conn.execute("UPDATE event_cursor SET pruned_on = ?1", [today])?;
            }
            Ok(next)
        })
    }

    /// How many events are remembered, of all flows.
    ///
    /// # Errors
    /// When the file cannot be read.
    #[cfg(any(test, feature = "internals"))]
    pub fn remembered_events(&self) -> Result<u64, StoreError> {
        self.read("count remembered events", |conn, _| {
            let count: i64 = conn.query_row("SELECT count(*) FROM event_seen", [], |row| row.get(0))?;
            Ok(count.unsigned_abs())
        })
    }
}

/// The path under which a flow's hashes are made, by its first name.
pub(super) fn path(origin: &str) -> String {
    format!("\u{1f}event:{origin}")
}

impl Tx<'_> {
    /// Whether an event was stored before; notes it otherwise.
    pub(super) fn seen(&mut self, origin: &str, event: &NewEvent) -> Inside<bool> {
        let (key, path) = (self.key(), path(origin));
        let values = key.hash(&path, &event.value_key).cast_signed();
        let Some(log) = &event.log_key else {
            if self.kind_of(values)?.is_some() {
                return Ok(true);
            }
            self.note(values, OF_VALUES)?;
            return Ok(false);
        };
        let log = key.hash(&path, log).cast_signed();
        if self.kind_of(log)?.is_some() {
            return Ok(true);
        }
        self.note(log, OF_LOG)?;
        // The same values without an id: it is this event, from a source that has none. Once.
        let known = self.kind_of(values)? == Some(OF_VALUES);
        self.note(values, OF_VALUES_WITH_LOG)?;
        Ok(known)
    }

    fn kind_of(&self, hash: i64) -> Inside<Option<i64>> {
        let mut statement = self.conn.prepare_cached("SELECT mark & 3 FROM event_seen WHERE hash = ?1")?;
        Ok(statement.query_row([hash], |row| row.get(0)).optional()?)
    }

    fn note(&mut self, hash: i64, kind: i64) -> Inside<()> {
        self.conn
            .prepare_cached("INSERT INTO event_seen (hash, mark) VALUES (?1, ?2) ON CONFLICT (hash) DO UPDATE SET mark = excluded.mark")?
            .execute([hash, day_number(self.now) * 4 + kind])?;
        Ok(())
    }
}
