//! Runs: who works on the file, since when, and how it ended; and the recovery of what a dead run left.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::Inside;
use super::lock::host_name;
use super::store::Store;
use super::types::{instant, millis};
use crate::store::{Recovery, RunId, RunKind, RunOutcome, RunRecord, StoreError};

/// How many runs stay on record.
const KEPT_RUNS: i64 = 1000;

fn from_row(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    Ok(RunRecord {
        id: row.get(0)?,
        kind: row.get(1)?,
        // Both are our own JSON; if they are damaged, the record of a run is not a reason to fail.
        mappings: serde_json::from_str(&row.get::<_, String>(2)?).unwrap_or_default(),
        started_at: instant(row.get(3)?),
        ended_at: row.get::<_, Option<i64>>(4)?.map(instant),
        outcome: row.get(5)?,
        counters: row.get::<_, Option<String>>(6)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default(),
        pid: row.get(7)?,
        host: row.get(8)?,
    })
}

const SELECT: &str = "SELECT id, kind, mappings, started_at, ended_at, outcome, counters, pid, host FROM run";

pub(super) fn last_run(conn: &Connection) -> Inside<Option<RunRecord>> {
    Ok(conn.prepare_cached(&format!("{SELECT} ORDER BY id DESC LIMIT 1"))?.query_row([], from_row).optional()?)
}

impl Store {
    /// Begins a run. The run lock makes it the only one, so whatever is claimed now was claimed by a run that is dead: it
    /// waits again, marked uncertain, and cancellations and leases of that run end.
    ///
    /// # Errors
    /// [`StoreError::NotLocked`] on a store not opened by [`Store::open_for_run`]; when the file cannot be written.
    pub fn start_run(&self, kind: RunKind, mappings: &[String]) -> Result<(RunId, Recovery), StoreError> {
        self.require_lock()?;
        self.write("start a run", |tx| {
            let now = millis(tx.now);
            let interrupted = tx
                .conn
                .execute("UPDATE run SET ended_at = ?1, outcome = ?2 WHERE ended_at IS NULL", params![now, RunOutcome::Interrupted])?;
            tx.conn.execute("UPDATE cursor SET leased_by = NULL", [])?;
            tx.conn.execute("UPDATE mapping SET cancelled = 0 WHERE cancelled", [])?;
            let recovered = tx.requeue_claimed(None)?;
            tx.rest_workflows("the process that ran it ended without a message")?;
            tx.conn.execute("DELETE FROM run WHERE id <= (SELECT max(id) FROM run) - ?1", [KEPT_RUNS - 1])?;
            tx.conn.execute(
                "INSERT INTO run (kind, mappings, started_at, pid, host) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![kind, serde_json::json!(mappings).to_string(), now, std::process::id(), host_name()],
            )?;
            let recovery = Recovery { interrupted_runs: interrupted as u64, recovered_operations: recovered };
            Ok((RunId(tx.conn.last_insert_rowid()), recovery))
        })
    }

    /// Stores a run's counters while it goes on, for `status`.
    ///
    /// # Errors
    /// When the file cannot be written.
    #[cfg(any(test, feature = "internals"))]
    pub fn note_counters(&self, run: RunId, counters: &serde_json::Value) -> Result<(), StoreError> {
        self.write("note counters", |tx| {
            tx.conn.prepare_cached("UPDATE run SET counters = ?2 WHERE id = ?1")?.execute(params![run, counters.to_string()])?;
            Ok(())
        })
    }

    /// Ends a run. What it has not settled waits again, marked uncertain: settle as released what was never sent.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn end_run(&self, run: RunId, outcome: RunOutcome, counters: &serde_json::Value) -> Result<(), StoreError> {
        self.write("end a run", |tx| {
            tx.requeue_claimed(None)?;
            tx.rest_workflows("its run has ended")?;
            tx.conn.execute("UPDATE cursor SET leased_by = NULL WHERE leased_by = ?1", [run])?;
            tx.conn.execute(
                "UPDATE run SET ended_at = ?2, outcome = ?3, counters = ?4 WHERE id = ?1",
                params![run, millis(tx.now), outcome, counters.to_string()],
            )?;
            Ok(())
        })
    }

    /// The last `limit` runs, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn runs(&self, limit: usize) -> Result<Vec<RunRecord>, StoreError> {
        self.read("list runs", |conn, _| {
            let mut statement = conn.prepare_cached(&format!("{SELECT} ORDER BY id DESC LIMIT ?1"))?;
            let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], from_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

impl Store {
    /// Frees what an earlier round of a flow did not give back, since the state could not be written then: its page, and its
    /// operations, which wait again, as uncertain as after a crash. Called before each round; there is one at a time.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn free_flow(&self, name: &str) -> Result<u64, StoreError> {
        self.write("free a flow", |tx| {
            let Some(mapping) = super::tx::mapping_id(tx.conn, name)? else { return Ok(0) };
            tx.conn
                .prepare_cached("UPDATE cursor SET leased_by = NULL WHERE mapping = ?1 AND leased_by IS NOT NULL")?
                .execute([mapping])?;
            tx.requeue_claimed(Some(mapping))
        })
    }
}

impl super::tx::Tx<'_> {
    /// All claimed operations wait again, marked uncertain. Nothing says whether and when their requests were sent, so those that
    /// write rest from now on for as long as a request may live. Only numbers are kept in memory, as many as workers had in flight.
    fn requeue_claimed(&mut self, mapping: Option<i64>) -> Inside<u64> {
        let claimed: Vec<i64> = {
            let mut statement =
                self.conn.prepare_cached("SELECT seq FROM outbox WHERE state = 'claimed' AND mapping = coalesce(?1, mapping)")?;
            let rows = statement.query_map([mapping], |row| row.get(0))?;
            rows.collect::<Result<_, _>>()?
        };
        let until = self.requests_live_until();
        for seq in &claimed {
            self.requeue(*seq, true, None)?;
            if until > self.now {
                self.conn
                    .prepare_cached("UPDATE outbox SET not_before = ?2 WHERE seq = ?1 AND uncertain = 1")?
                    .execute(params![seq, millis(until)])?;
            }
        }
        Ok(claimed.len() as u64)
    }
}
