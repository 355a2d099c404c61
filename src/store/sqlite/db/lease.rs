//! Leases: a reader claims one page of one partition of one flow at a time, and commits it or gives it back.

use rusqlite::{OptionalExtension, params};

use super::store::Store;
use super::types::{instant, latest_postponement, millis};
use crate::store::{Claim, Cursor, Lease, PageCommit, PageOutcome, Partition, PartitionStatus, RunId, StoreError};
use crate::time::Instant;

impl Store {
    /// Commits a page that was read under a lease, as [`Store::commit_page`], and ends the lease.
    ///
    /// # Errors
    /// As [`Store::commit_page`].
    pub fn checkpoint(&self, lease: &Lease, page: PageCommit) -> Result<PageOutcome, StoreError> {
        self.write("store a page", |tx| {
            let mapping = tx.mapping(&lease.partition.mapping)?;
            tx.conn
                .prepare_cached(
                    "UPDATE cursor SET leased_by = NULL, not_before = 0, attempts = 0, last_error = NULL WHERE mapping = ?1 AND leased_by = ?2",
                )?
                .execute(params![mapping, lease.run])?;
            tx.commit_page(page)
        })
    }

    /// Ends a lease without a page: it could not be read, and is not claimed again before `not_before`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn reschedule(&self, lease: &Lease, not_before: Instant, error: &str) -> Result<(), StoreError> {
        self.write("postpone a page", |tx| {
            let mapping = tx.mapping(&lease.partition.mapping)?;
            tx.conn.execute(
                "UPDATE cursor SET leased_by = NULL, not_before = ?3, attempts = attempts + 1, last_error = ?4
                 WHERE mapping = ?1 AND leased_by = ?2",
                params![mapping, lease.run, millis(not_before), error],
            )?;
            Ok(())
        })
    }

    /// Gives out no more pages of a partition in this run. A page that is being read may still be committed.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn cancel(&self, partition: &Partition) -> Result<(), StoreError> {
        self.write("cancel a flow", |tx| {
            let mapping = tx.mapping(&partition.mapping)?;
            tx.conn.execute("UPDATE mapping SET cancelled = 1 WHERE id = ?1", [mapping])?;
            Ok(())
        })
    }

    /// The positions of all partitions, by name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn partitions(&self) -> Result<Vec<PartitionStatus>, StoreError> {
        self.read("show the partitions", |conn, _| {
            let mut statement = conn.prepare_cached(
                "SELECT m.name, c.phase, c.reason, c.link, c.generation, c.plan_fingerprint, c.updated_at,
                   c.leased_by IS NOT NULL, m.cancelled, c.attempts, c.not_before, c.last_error
                 FROM cursor AS c JOIN mapping AS m ON m.id = c.mapping ORDER BY m.name",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(PartitionStatus {
                    partition: Partition { mapping: row.get(0)? },
                    cursor: Cursor {
                        phase: row.get(1)?,
                        reason: row.get(2)?,
                        link: row.get(3)?,
                        generation: row.get(4)?,
                        plan_fingerprint: row.get(5)?,
                        updated_at: instant(row.get(6)?),
                    },
                    leased: row.get(7)?,
                    cancelled: row.get(8)?,
                    attempts: row.get(9)?,
                    not_before: Some(row.get::<_, i64>(10)?).filter(|at| *at > 0).map(instant),
                    last_error: row.get(11)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Claims the next page of a partition at `now`. One that has never run begins its first full load, by this plan.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn claim_page(&self, run: RunId, partition: Partition, plan_fingerprint: &str, now: Instant) -> Result<Claim, StoreError> {
        self.write("claim a page", |tx| {
            let mapping = tx.mapping(&partition.mapping)?;
            let cursor = tx.cursor_or_first(mapping, plan_fingerprint)?;
            let lease: Option<(bool, bool, i64, u32)> = tx
                .conn
                .prepare_cached("SELECT c.leased_by IS NOT NULL, m.cancelled, c.not_before, c.attempts FROM cursor AS c JOIN mapping AS m ON m.id = c.mapping
                     WHERE c.mapping = ?1",
                )?
                .query_row([mapping], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
                .optional()?;
            let (leased, cancelled, not_before, attempts) = lease.unwrap_or_default();
            if cancelled {
                return Ok(Claim::Cancelled);
            }
            if leased {
                return Ok(Claim::Taken);
            }
            if not_before > millis(now) && not_before <= latest_postponement(now) {
                return Ok(Claim::Later(instant(not_before)));
            }
            tx.conn.prepare_cached("UPDATE cursor SET leased_by = ?2 WHERE mapping = ?1")?.execute(params![mapping, run])?;
            Ok(Claim::Page(Lease { partition, run, cursor, attempts }))
        })
    }
}
