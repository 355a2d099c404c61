//! What `status` shows: the position of each flow and its backlog.

use rusqlite::{Connection, OptionalExtension, params};

use super::cursor::{cursor_of, full_at};
use super::due::due_status;
use super::error::Inside;
use super::events::events_status;
use super::exports::export_notes;
use super::links::waiting_for;
use super::mass::mass_change;
use super::pairs::pairs_status;
use super::related::followed;
use super::run::last_run;
use super::store::Store;
use super::tx::mapping_id;
use super::types::instant;
use super::workflow::workflows;
use crate::store::{Backlog, MappingStatus, Status, StoreError, Totals};

impl Store {
    /// The positions of all flows.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn status(&self) -> Result<Status, StoreError> {
        self.read("show the status", |conn, _| {
            let names: Vec<(i64, String)> = {
                let mut statement = conn.prepare_cached("SELECT id, name FROM mapping ORDER BY name")?;
                let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
                rows.collect::<Result<_, _>>()?
            };
            let mappings = names.into_iter().map(|(id, name)| mapping_status(conn, id, name)).collect::<Result<_, _>>()?;
            Ok(Status { mappings, workflows: workflows(conn)?, last_run: last_run(conn)? })
        })
    }

    /// What waits for a flow, by what it waits for, without which mappings ([`Store::waiting_for`] has those).
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn backlog(&self, mapping: &str) -> Result<Backlog, StoreError> {
        self.read("count the backlog", |conn, _| match mapping_id(conn, mapping)? {
            Some(id) => backlog(conn, id, false),
            None => Ok(Backlog::default()),
        })
    }

    /// How many operations are in the outbox for a flow. Costs one lookup, however many there are: for the high-water mark.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn backlog_size(&self, mapping: &str) -> Result<u64, StoreError> {
        self.read("count the backlog", |conn, _| match mapping_id(conn, mapping)? {
            Some(id) => {
                let mut statement = conn.prepare_cached("SELECT outbox_rows FROM mapping WHERE id = ?1")?;
                Ok(count(statement.query_row([id], |row| row.get(0))?))
            }
            None => Ok(0),
        })
    }
}

fn backlog(conn: &Connection, mapping: i64, details: bool) -> Inside<Backlog> {
    let (total, waiting): (i64, i64) = conn
        .prepare_cached("SELECT outbox_rows, waiting_rows FROM mapping WHERE id = ?1")?
        .query_row([mapping], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (claimed, oldest_claimed): (i64, Option<i64>) = conn
        .prepare_cached("SELECT COUNT(*), min(enqueued_at) FROM outbox WHERE mapping = ?1 AND state = 'claimed'")?
        .query_row([mapping], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (delayed, oldest_delayed, next_due): (i64, Option<i64>, Option<i64>) = conn
        .prepare_cached(
            "SELECT COUNT(*), min(enqueued_at), min(not_before) FROM outbox
             WHERE mapping = ?1 AND state = 'ready' AND not_before > 0 AND waits = 0",
        )?
        .query_row([mapping], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    // The first in order is the oldest: a row keeps its number and its time when another operation takes its place.
    let oldest_due: Option<i64> = conn
        .prepare_cached(
            "SELECT min(enqueued_at) FROM (SELECT enqueued_at FROM outbox WHERE mapping = ?1 AND state = 'ready' AND not_before = 0
               AND waits = 0 ORDER BY seq LIMIT 1)",
        )?
        .query_row([mapping], |row| row.get(0))?;
    let (oldest_waiting, parents) = if waiting > 0 {
        let oldest: Option<i64> = conn
            .prepare_cached("SELECT enqueued_at FROM outbox WHERE mapping = ?1 AND waits = 1 ORDER BY seq LIMIT 1")?
            .query_row([mapping], |row| row.get(0))
            .optional()?;
        (oldest, if details { waiting_for(conn, mapping)? } else { Vec::new() })
    } else {
        (None, Vec::new())
    };
    Ok(Backlog {
        ready: count(total - claimed),
        delayed: count(delayed),
        waiting_for_parents: count(waiting),
        waiting_for: parents,
        claimed: count(claimed),
        oldest: [oldest_claimed, oldest_delayed, oldest_due, oldest_waiting].into_iter().flatten().min().map(instant),
        next_due: next_due.map(instant),
    })
}

fn mapping_status(conn: &Connection, id: i64, mapping: String) -> Inside<MappingStatus> {
    let (ledger_rows, totals) = conn
        .prepare_cached("SELECT ledger_rows, queued_total, coalesced_total, unchanged_total FROM mapping WHERE id = ?1")?
        .query_row([id], |row| {
            let totals = Totals { queued: count(row.get(1)?), coalesced: count(row.get(2)?), unchanged: count(row.get(3)?) };
            Ok((count(row.get(0)?), totals))
        })?;
    let (dead_letters, retrying) = conn
        .prepare_cached("SELECT COUNT(*), COUNT(retry_at) FROM dead_letter WHERE mapping = ?1")?
        .query_row(params![id], |row| Ok((count(row.get(0)?), count(row.get(1)?))))?;
    let (note, exports) = optout_notes(conn, id)?;
    let mut notes: Vec<String> = note.into_iter().chain(exports.clone()).collect();
    notes.extend(export_notes(conn, &mapping)?);
    notes.extend(mass_note(conn, id, &mapping)?);
    Ok(MappingStatus {
        mapping,
        cursor: cursor_of(conn, id)?,
        backlog: backlog(conn, id, true)?,
        dead_letters,
        retrying,
        full_at: full_at(conn, id)?,
        due: due_status(conn, id)?,
        ledger_rows,
        totals,
        events: events_status(conn, id)?,
        followed: followed(conn, id)?,
        pairs: pairs_status(conn, id)?,
        exports,
        notes,
    })
}

/// What an operator has to know about a workflow of opt-outs: what needs approval, and that there are no new exports.
fn optout_notes(conn: &Connection, mapping: i64) -> Inside<(Option<String>, Option<String>)> {
    let mut statement = conn.prepare_cached("SELECT note, warning FROM optout_flow WHERE mapping = ?1")?;
    Ok(statement.query_row([mapping], |row| Ok((row.get(0)?, row.get(1)?))).optional()?.unwrap_or_default())
}

fn count(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or(0)
}

/// What needs approval.
fn mass_note(conn: &Connection, mapping: i64, name: &str) -> Inside<Option<String>> {
    Ok(mass_change(conn, mapping)?.map(|change| format!("stopped before writing, and {}", change.approval(name))))
}
