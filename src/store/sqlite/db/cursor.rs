//! The position of a flow in its source.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::Inside;
use super::store::Store;
use super::tx::{Tx, mapping_id};
use super::types::{instant, millis};
use crate::store::{Cursor, Phase, Reason, StoreError};
use crate::time::Instant;

const COLUMNS: &str = "phase, reason, link, generation, plan_fingerprint, updated_at";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Cursor> {
    Ok(Cursor {
        phase: row.get(0)?,
        reason: row.get(1)?,
        link: row.get(2)?,
        generation: row.get(3)?,
        plan_fingerprint: row.get(4)?,
        updated_at: instant(row.get(5)?),
    })
}

pub(super) fn cursor_of(conn: &Connection, mapping: i64) -> Inside<Option<Cursor>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM cursor WHERE mapping = ?1"))?;
    Ok(statement.query_row([mapping], from_row).optional()?)
}

fn comparison_is_due(conn: &Connection, mapping: i64, before: Instant) -> Inside<bool> {
    let mut statement =
        conn.prepare_cached("SELECT phase = 'delta' AND (full_at IS NULL OR full_at <= ?2) FROM cursor WHERE mapping = ?1")?;
    Ok(statement.query_row(params![mapping, millis(before)], |row| row.get(0)).optional()?.unwrap_or(false))
}

pub(super) fn full_at(conn: &Connection, mapping: i64) -> Inside<Option<Instant>> {
    let mut statement = conn.prepare_cached("SELECT full_at FROM cursor WHERE mapping = ?1")?;
    Ok(statement.query_row([mapping], |row| row.get::<_, Option<i64>>(0)).optional()?.flatten().map(instant))
}

impl Store {
    /// Returns the position of the flow; `None` if it has never run.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn cursor(&self, mapping: &str) -> Result<Option<Cursor>, StoreError> {
        self.read("read a cursor", |conn, _| match mapping_id(conn, mapping)? {
            Some(id) => cursor_of(conn, id),
            None => Ok(None),
        })
    }

    /// Returns the position of the flow; a flow that has never run is put to the start of its first full load.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn cursor_or_first(&self, mapping: &str, plan_fingerprint: &str) -> Result<Cursor, StoreError> {
        self.write("begin a flow", |tx| {
            let id = tx.mapping(mapping)?;
            tx.cursor_or_first(id, plan_fingerprint)
        })
    }

    /// Puts a flow back to the start of a full load that writes all records again with their `@initial` fields.
    /// Whether that is wise (the backlog, the size of the table) is for the caller to judge. What waits in the outbox stays.
    ///
    /// # Errors
    /// When the file cannot be written.
    #[cfg(any(test, feature = "internals"))]
    pub fn reset_for_replay(&self, mapping: &str, plan_fingerprint: &str) -> Result<Cursor, StoreError> {
        self.write("restart a flow", |tx| tx.reset_for_replay(mapping, plan_fingerprint))
    }

    /// Puts a flow back to the start of a full load, as [`CursorMove::Restart`] does, without a page.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn restart(&self, mapping: &str, reason: Reason, plan_fingerprint: &str) -> Result<Cursor, StoreError> {
        self.write("restart a flow", |tx| {
            let id = tx.mapping(mapping)?;
            let from = tx.cursor_or_first(id, plan_fingerprint)?;
            tx.restart(id, &from, reason, plan_fingerprint)
        })
    }

    /// Whether a comparison of all records with the source is to begin: the last full load was complete at `before` or earlier, or no
    /// version that notes it has completed one. Not in a full load, which is such a comparison.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn is_comparison_due(&self, mapping: &str, before: Instant) -> Result<bool, StoreError> {
        self.read("look for the last comparison", |conn, _| match mapping_id(conn, mapping)? {
            Some(id) => comparison_is_due(conn, id, before),
            None => Ok(false),
        })
    }

    /// Begins a comparison of all records with the source if one is due: a full load, in which a record that equals what was last
    /// written costs no call. It goes on after an interruption as any full load does. Returns whether it has begun.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn begin_comparison(&self, mapping: &str, plan_fingerprint: &str, before: Instant) -> Result<bool, StoreError> {
        if !self.is_comparison_due(mapping, before)? {
            return Ok(false);
        }
        self.write("begin a comparison", |tx| {
            let id = tx.mapping(mapping)?;
            let Some(from) = cursor_of(tx.conn, id)? else { return Ok(false) };
            tx.restart(id, &from, Reason::Resync, plan_fingerprint)?;
            Ok(true)
        })
    }
}

impl Tx<'_> {
    pub fn cursor_or_first(&mut self, mapping: i64, plan_fingerprint: &str) -> Inside<Cursor> {
        match cursor_of(self.conn, mapping)? {
            Some(cursor) => Ok(cursor),
            None => self.put_cursor(
                mapping,
                Cursor {
                    phase: Phase::Full,
                    reason: Reason::First,
                    link: None,
                    generation: 1,
                    plan_fingerprint: plan_fingerprint.to_owned(),
                    updated_at: self.now,
                },
            ),
        }
    }

    pub fn put_cursor(&mut self, mapping: i64, cursor: Cursor) -> Inside<Cursor> {
        // To the millisecond, as it will be read back.
        let updated_at = instant(millis(self.now));
        self.conn
            .prepare_cached(
                "INSERT INTO cursor (mapping, phase, reason, link, generation, plan_fingerprint, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (mapping) DO UPDATE SET phase = excluded.phase, reason = excluded.reason, link = excluded.link,
                   generation = excluded.generation, plan_fingerprint = excluded.plan_fingerprint, updated_at = excluded.updated_at",
            )?
            .execute(params![
                mapping,
                cursor.phase,
                cursor.reason,
                cursor.link,
                cursor.generation,
                cursor.plan_fingerprint,
                millis(updated_at)
            ])?;
        Ok(Cursor { updated_at, ..cursor })
    }

    /// Puts a flow back to the start of a full load that writes all records again, see [`Store::reset_for_replay`].
    pub fn reset_for_replay(&mut self, mapping: &str, plan_fingerprint: &str) -> Inside<Cursor> {
        let id = self.mapping(mapping)?;
        let from = self.cursor_or_first(id, plan_fingerprint)?;
        self.restart(id, &from, Reason::Replay, plan_fingerprint)
    }

    pub fn restart(&mut self, mapping: i64, from: &Cursor, reason: Reason, plan_fingerprint: &str) -> Inside<Cursor> {
        // A resync in the middle of a first load or replay must not lose the @initial fields of what was not read yet.
        let reason = if reason == Reason::Resync && from.with_initial() { from.reason } else { reason };
        self.drop_all_held(mapping)?;
        self.forget_all_due(mapping)?;
        if reason == Reason::Replay {
            // What passed before is corrected by it.
            self.forget_passed(mapping)?;
        }
        self.conn.prepare_cached("UPDATE cursor SET records = 0 WHERE mapping = ?1")?.execute([mapping])?;
        let generation = from.generation + 1;
        self.put_cursor(
            mapping,
            Cursor {
                phase: Phase::Full,
                reason,
                link: None,
                generation,
                plan_fingerprint: plan_fingerprint.to_owned(),
                updated_at: self.now,
            },
        )
    }

    /// Refuses a page that was read from another position than the present one of the flow.
    pub fn expect_cursor(&mut self, name: &str, mapping: i64, from: &Cursor) -> Inside<()> {
        let moved = |detail: String| StoreError::CursorMoved { mapping: name.to_owned(), detail };
        let Some(current) = cursor_of(self.conn, mapping)? else {
            return Err(moved("there is none".into()).into());
        };
        if current.generation != from.generation {
            return Err(moved(format!("load {} has begun, the page is of load {}", current.generation, from.generation)).into());
        }
        if current.phase != from.phase || current.link != from.link {
            return Err(moved(format!("another page of load {} was committed", from.generation)).into());
        }
        Ok(())
    }
}
