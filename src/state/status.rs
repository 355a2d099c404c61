//! What `status` shows: the position of each flow and its backlog.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::cursor::{Cursor, cursor_of, full_at};
use super::due::{DueStatus, due_status};
use super::error::{Inside, StateError};
use super::events::{EventsStatus, events_status};
use super::exports::export_notes;
use super::links::{Waiting, waiting_for};
use super::lock::Holder;
use super::mass::mass_change;
use super::pairs::{PairsStatus, pairs_status};
use super::run::{RunRecord, last_run};
use super::store::Store;
use super::tx::mapping_id;
use super::types::{instant, millis};
use super::workflow::{WorkflowRecord, workflows};
use crate::time::Instant;

/// What waits in the outbox for a flow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// Operations that wait for a worker, including postponed ones.
    pub ready: u64,
    /// Of them, postponed after a failed attempt.
    pub delayed: u64,
    /// Of those that wait: for a record that they link to, or, a delete, for records that link to theirs. No call is made for
    /// them until then.
    pub waiting_for_parents: u64,
    /// The mappings whose records they wait for.
    pub waiting_for: Vec<Waiting>,
    /// Operations in workers' hands.
    pub claimed: u64,
    /// When the oldest of all was queued.
    pub oldest: Option<Instant>,
    /// When the first postponed one is due.
    pub next_due: Option<Instant>,
}

impl Backlog {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.ready + self.claimed
    }

    /// Those that a worker may take at once.
    pub fn due(&self) -> u64 {
        self.ready.saturating_sub(self.delayed + self.waiting_for_parents)
    }
}

/// What has gone through the outbox of a flow since the file was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Operations queued, with those that coalesced.
    pub queued: u64,
    /// Of them, operations that were saved because a newer one took their place.
    pub coalesced: u64,
    /// Upserts that were not queued because they equal the last write.
    pub unchanged: u64,
}

/// A flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MappingStatus {
    /// Its name.
    pub mapping: String,
    /// Its position; `None` if it has never run.
    pub cursor: Option<Cursor>,
    /// What waits.
    pub backlog: Backlog,
    /// What has failed.
    pub dead_letters: u64,
    /// Of them, with a retry on its way.
    pub retrying: u64,
    /// When its last full load was complete; none if that is not known.
    pub full_at: Option<Instant>,
    /// Records that are to be evaluated again at an instant, even if they do not change.
    pub due: DueStatus,
    /// Target records on file.
    pub ledger_rows: u64,
    /// What has gone through.
    pub totals: Totals,
    /// Its position in its sources, if it is a flow of events.
    pub events: Option<EventsStatus>,
    /// Its pairs, if it is a two-way mapping.
    pub pairs: Option<PairsStatus>,
    /// What somebody has to know or to do.
    pub notes: Vec<String>,
}

/// The state at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// All flows that were ever run on this file, by name.
    pub mappings: Vec<MappingStatus>,
    /// All workflows, as their processes left them; see [`WorkflowRecord::shown`].
    pub workflows: Vec<WorkflowRecord>,
    /// The latest run.
    pub last_run: Option<RunRecord>,
}

impl Status {
    /// Whether the process that holds the state file has begun its run: until then, this is of the one before.
    pub fn is_of(&self, holder: &Holder) -> bool {
        self.last_run
            .as_ref()
            .is_some_and(|run| run.ended_at.is_none() && holder.started_at.is_none_or(|at| millis(run.started_at) >= millis(at)))
    }
}

impl Store {
    /// The positions of all flows.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn status(&self) -> Result<Status, StateError> {
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
    pub fn backlog(&self, mapping: &str) -> Result<Backlog, StateError> {
        self.read("count the backlog", |conn, _| match mapping_id(conn, mapping)? {
            Some(id) => backlog(conn, id, false),
            None => Ok(Backlog::default()),
        })
    }

    /// How many operations are in the outbox for a flow. Costs one lookup, however many there are: for the high-water mark.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn backlog_size(&self, mapping: &str) -> Result<u64, StateError> {
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
    let mut notes = optout_notes(conn, id)?;
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
        pairs: pairs_status(conn, id)?,
        notes,
    })
}

/// What an operator has to know about a workflow of opt-outs: what needs approval, and that no new exports come.
fn optout_notes(conn: &Connection, mapping: i64) -> Inside<Vec<String>> {
    let mut statement = conn.prepare_cached("SELECT note, warning FROM optout_flow WHERE mapping = ?1")?;
    let notes: Option<(Option<String>, Option<String>)> =
        statement.query_row([mapping], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(notes.into_iter().flat_map(|(note, warning)| [note, warning]).flatten().collect())
}

fn count(rows: i64) -> u64 {
    u64::try_from(rows).unwrap_or(0)
}

/// What needs approval.
fn mass_note(conn: &Connection, mapping: i64, name: &str) -> Inside<Option<String>> {
    Ok(mass_change(conn, mapping)?.map(|change| format!("stopped before writing, and {}", change.approval(name))))
}
