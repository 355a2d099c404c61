//! Workflows: what people request of each, and its state.
//!
//! The wish is written by commands beside the running process and outlives it; the state is written by the process that runs.
//! That process may die between two instructions, so a state counts only while its process lives: see
//! [`WorkflowRecord::shown`].

use rusqlite::{OptionalExtension, Row, params};

use super::error::Inside;
use super::store::Store;
use super::tx::Tx;
use super::types::{HELD, instant, latest_postponement, millis};
use crate::store::{Cursor, StoreError, Wish, WorkflowNote, WorkflowRecord, WorkflowState};
use crate::time::{Instant, now};

const SELECT: &str = "SELECT name, wish, request, replay, state, since, reason, restart_due, round_began, round_ended, next_round,
  last_error, error_at FROM workflow";

/// Lookups by their own indexes for each flow, however many operations there are.
const DUE: &str = "SELECT name FROM mapping AS m WHERE EXISTS (SELECT 1 FROM due_record WHERE mapping = m.id AND due_at <= ?1) OR outbox_rows > 0 AND (
  EXISTS (SELECT 1 FROM outbox WHERE mapping = m.id AND state = 'ready' AND not_before = 0 AND waits = 0)
  OR EXISTS (SELECT 1 FROM outbox WHERE mapping = m.id AND state = 'ready' AND not_before > 0 AND not_before <= ?1 AND waits = 0)
  OR EXISTS (SELECT 1 FROM outbox WHERE mapping = m.id AND state = 'ready' AND not_before > 0 AND not_before > ?2 AND not_before < ?3 AND waits = 0))";

fn from_row(row: &Row<'_>) -> rusqlite::Result<WorkflowRecord> {
    let at = |index: usize| -> rusqlite::Result<Option<Instant>> { Ok(row.get::<_, Option<i64>>(index)?.map(instant)) };
    Ok(WorkflowRecord {
        name: row.get(0)?,
        wish: row.get(1)?,
        request: row.get(2)?,
        replay: row.get(3)?,
        state: row.get(4)?,
        since: instant(row.get(5)?),
        reason: row.get(6)?,
        restart_due: row.get(7)?,
        round_began: at(8)?,
        round_ended: at(9)?,
        next_round: at(10)?,
        last_error: row.get(11)?,
        error_at: at(12)?,
    })
}

pub(super) fn workflows(conn: &rusqlite::Connection) -> Inside<Vec<WorkflowRecord>> {
    let mut statement = conn.prepare_cached(&format!("{SELECT} ORDER BY name"))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

impl Store {
    /// All workflows that were ever run or spoken of, by name, as their processes left them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn workflows(&self) -> Result<Vec<WorkflowRecord>, StoreError> {
        self.read("list workflows", |conn, _| workflows(conn))
    }

    /// Notes what is wanted of workflows; a process that runs them sees it at its next check. Gives those for which that is
    /// anything new. To want a workflow to run that failed, or that no process runs, is new; with `again`, also one that
    /// runs already: it is stopped and started.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn wish(&self, names: &[String], wish: Wish, again: bool) -> Result<Vec<String>, StoreError> {
        self.write("note what is wanted of workflows", |tx| {
            let mut changed = Vec::new();
            for name in names {
                tx.workflow(name)?;
                let rows = tx
                    .conn
                    .prepare_cached(
                        "UPDATE workflow SET wish = ?2, request = request + 1
                         WHERE name = ?1 AND (wish <> ?2 OR (?2 = 'run' AND (?3 OR state IN ('STOPPED', 'FAILED'))))",
                    )?
                    .execute(params![name, wish, again])?;
                if rows > 0 {
                    changed.push(name.clone());
                }
            }
            Ok(changed)
        })
    }

    /// Notes that all records of a workflow are to be read again at its next start. One that runs is stopped and started for it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn request_replay(&self, name: &str) -> Result<(), StoreError> {
        self.write("ask for a replay", |tx| {
            tx.workflow(name)?;
            tx.conn.execute("UPDATE workflow SET replay = 1, request = request + (wish = 'run') WHERE name = ?1", [name])?;
            Ok(())
        })
    }

    /// Puts a workflow back to the start of a full load if a replay was asked for. The caller starts it, so that no process reads
    /// by its cursor. Gives the cursor where there was such a request.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn take_replay(&self, name: &str, plan_fingerprint: &str) -> Result<Option<Cursor>, StoreError> {
        self.write("begin a replay", |tx| {
            if tx.conn.execute("UPDATE workflow SET replay = 0 WHERE name = ?1 AND replay <> 0", [name])? == 0 {
                return Ok(None);
            }
            tx.reset_for_replay(name, plan_fingerprint).map(Some)
        })
    }

    /// Notes the state of a workflow.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_workflow(&self, name: &str, note: &WorkflowNote) -> Result<(), StoreError> {
        self.note_workflows(&[(name.to_owned(), note.clone(), now())])
    }

    /// Notes the states of workflows in one transaction, each as of its time: a note may come late, when the file could not be
    /// written before.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_workflows(&self, notes: &[(String, WorkflowNote, Instant)]) -> Result<(), StoreError> {
        self.write("note the state of workflows", |tx| notes.iter().try_for_each(|(name, note, at)| tx.note_workflow(name, note, *at)))
    }

    /// Notes why a workflow should be stopped and started, or that there is no reason (any more).
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_restart_due(&self, name: &str, reason: Option<&str>) -> Result<(), StoreError> {
        self.write("note that a restart is due", |tx| {
            tx.workflow(name)?;
            tx.conn.prepare_cached("UPDATE workflow SET restart_due = ?2 WHERE name = ?1")?.execute(params![name, reason])?;
            Ok(())
        })
    }

    /// The instant since which each of these workflows has begun a round that ended well; none where one of them has not, or is
    /// at one now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn rounds_since(&self, names: &[String]) -> Result<Option<Instant>, StoreError> {
        self.read("look when workflows had their rounds", |conn, _| {
            let mut statement = conn.prepare_cached(
                "SELECT round_began FROM workflow WHERE name = ?1 AND round_ended >= round_began AND (error_at IS NULL OR error_at < round_began)",
            )?;
            let mut since: Option<i64> = None;
            for name in names {
                let Some(began) = statement.query_row([name], |row| row.get::<_, i64>(0)).optional()? else { return Ok(None) };
                since = Some(since.map_or(began, |at| at.min(began)));
            }
            Ok(since.map(instant))
        })
    }

    /// The flows with operations that could be carried out at `now`, or with records that are to be evaluated again by then.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn due(&self, now: Instant) -> Result<Vec<String>, StoreError> {
        self.read("look for due operations", |conn, _| {
            let mut statement = conn.prepare_cached(DUE)?;
            let rows = statement.query_map(params![millis(now), latest_postponement(now), HELD], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

impl Tx<'_> {
    /// Makes a workflow's row where there is none.
    fn workflow(&mut self, name: &str) -> Inside<()> {
        self.conn
            .prepare_cached("INSERT OR IGNORE INTO workflow (name, since) VALUES (?1, ?2)")?
            .execute(params![name, millis(self.now)])?;
        Ok(())
    }

    fn note_workflow(&mut self, name: &str, note: &WorkflowNote, at: Instant) -> Inside<()> {
        self.workflow(name)?;
        let now = millis(at);
        let (state, reason) = match note {
            WorkflowNote::Starting { reason } => (WorkflowState::Starting, reason.as_deref()),
            WorkflowNote::Waiting { .. } | WorkflowNote::Round | WorkflowNote::Rested { .. } => (WorkflowState::Running, None),
            WorkflowNote::Failed { reason, .. } => (WorkflowState::Failed, Some(reason.as_str())),
            WorkflowNote::Stopped { reason } => (WorkflowState::Stopped, Some(reason.as_str())),
        };
        let next = match note {
            WorkflowNote::Rested { next } | WorkflowNote::Failed { next, .. } => next.map(millis),
            WorkflowNote::Waiting { next } => Some(millis(*next)),
            WorkflowNote::Starting { .. } | WorkflowNote::Round | WorkflowNote::Stopped { .. } => None,
        };
        self.conn
            .prepare_cached(
                "UPDATE workflow SET since = CASE WHEN state = ?2 THEN since ELSE ?4 END, state = ?2, reason = ?3, next_round = ?5
                 WHERE name = ?1",
            )?
            .execute(params![name, state, reason, now, next])?;
        let more = match note {
            WorkflowNote::Round => "UPDATE workflow SET round_began = ?2 WHERE name = ?1",
            WorkflowNote::Rested { .. } => "UPDATE workflow SET round_ended = ?2 WHERE name = ?1",
            WorkflowNote::Failed { .. } => "UPDATE workflow SET round_ended = ?2, last_error = reason, error_at = ?2 WHERE name = ?1",
            WorkflowNote::Starting { .. } | WorkflowNote::Waiting { .. } | WorkflowNote::Stopped { .. } => return Ok(()),
        };
        self.conn.prepare_cached(more)?.execute(params![name, now])?;
        Ok(())
    }

    /// No workflow runs now: a run begins or ends, and there is no other.
    pub(super) fn rest_workflows(&mut self, reason: &str) -> Inside<()> {
        self.conn.execute(
            "UPDATE workflow SET state = 'STOPPED', since = ?1, reason = ?2 WHERE state IN ('RUNNING', 'STARTING')",
            params![millis(self.now), reason],
        )?;
        self.conn.execute("UPDATE workflow SET next_round = NULL, restart_due = NULL", [])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Holder;
    use crate::store::{
        Change, CursorMove, LONGEST_POSTPONEMENT, PageCommit, Payload, Phase, Reason, RunKind, RunOutcome, Trouble, Unseen,
    };

    fn store() -> Store {
        Store::in_memory().unwrap()
    }

    fn record(store: &Store, name: &str) -> WorkflowRecord {
        store.workflows().unwrap().into_iter().find(|w| w.name == name).unwrap()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn a_stop_and_a_start_between_two_looks_are_both_seen() {
        let store = store();
        store.note_workflow("a", &WorkflowNote::Round).unwrap();
        let before = record(&store, "a").request;
        assert_eq!(store.wish(&names(&["a"]), Wish::Stop, false).unwrap(), ["a"]);
        assert_eq!(store.wish(&names(&["a"]), Wish::Run, false).unwrap(), ["a"]);
        let after = record(&store, "a");
        assert_eq!((after.wish, after.request), (Wish::Run, before + 2));
    }

    #[test]
    fn a_wish_for_what_is_so_already_has_no_effect_unless_it_is_meant_again() {
        let store = store();
        store.note_workflow("a", &WorkflowNote::Round).unwrap();
        assert!(store.wish(&names(&["a"]), Wish::Run, false).unwrap().is_empty());
        assert_eq!(store.wish(&names(&["a"]), Wish::Run, true).unwrap(), ["a"]);
        store.note_workflow("a", &WorkflowNote::Failed { reason: "x".into(), next: None }).unwrap();
        assert_eq!(store.wish(&names(&["a"]), Wish::Run, false).unwrap(), ["a"]);
        assert_eq!(store.wish(&names(&["a"]), Wish::Stop, false).unwrap(), ["a"]);
        assert!(store.wish(&names(&["a"]), Wish::Stop, false).unwrap().is_empty());
    }

    #[test]
    fn what_a_dead_process_left_as_running_is_shown_as_stopped_and_a_failure_stays_one() {
        let store = store();
        store.note_workflow("a", &WorkflowNote::Rested { next: Some(instant(5_000)) }).unwrap();
        store.note_workflow("b", &WorkflowNote::Failed { reason: "no way".into(), next: Some(instant(5_000)) }).unwrap();
        let a = record(&store, "a");
        let holder = Holder { pid: Some(1), host: None, started_at: None, trouble: None };
        assert_eq!((a.clone().shown(Some(&holder)).state, a.next_round), (WorkflowState::Running, Some(instant(5_000))));
        let a = a.shown(None);
        assert!(a.state == WorkflowState::Stopped && a.reason.is_some_and(|r| r.contains("killed")) && a.next_round.is_none());
        let b = record(&store, "b").shown(None);
        assert_eq!((b.state, b.reason.as_deref(), b.next_round), (WorkflowState::Failed, Some("no way"), None));
    }

    #[test]
    fn a_process_that_cannot_write_its_state_is_not_shown_as_running() {
        let store = store();
        store.note_workflow("a", &WorkflowNote::Rested { next: Some(instant(5_000)) }).unwrap();
        store.note_workflow("b", &WorkflowNote::Stopped { reason: "by hand".into() }).unwrap();
        let trouble = Trouble { since: instant(7_000), reason: "the disk is full".to_owned() };
        let holder = Holder { pid: Some(1), host: None, started_at: None, trouble: Some(trouble) };
        let a = record(&store, "a").shown(Some(&holder));
        assert_eq!((a.state, a.since, a.next_round), (WorkflowState::Failed, instant(7_000), None));
        assert!(a.reason.is_some_and(|r| r.contains("the disk is full")));
        assert_eq!(record(&store, "b").shown(Some(&holder)).state, WorkflowState::Stopped);
    }

    #[test]
    fn a_note_that_is_written_late_has_the_time_of_what_it_says() {
        let store = store();
        let failed = WorkflowNote::Failed { reason: "the disk is full".into(), next: None };
        let notes = [("a", failed, 1_000), ("a", WorkflowNote::Round, 2_000), ("a", WorkflowNote::Rested { next: None }, 3_000)];
        store.note_workflows(&notes.map(|(name, note, at)| (name.to_owned(), note, instant(at)))).unwrap();
        let a = record(&store, "a");
        assert_eq!((a.state, a.since), (WorkflowState::Running, instant(2_000)));
        assert_eq!((a.error_at, a.round_began, a.round_ended), (Some(instant(1_000)), Some(instant(2_000)), Some(instant(3_000))));
    }

    #[test]
    fn what_was_postponed_while_the_clock_ran_ahead_is_due() {
        let store = store();
        let (run, _) = store.start_run(RunKind::Once, &names(&["a"])).unwrap();
        let at = |hours: i64| instant(1_800_000_000_000 + hours * 3_600_000);
        let cursor = store.cursor_or_first("a", "p").unwrap();
        let change = Change::Upsert { source_id: "s".to_owned(), key: "k".to_owned(), payload: Payload::with_capacity(0) };
        let page = PageCommit {
            run,
            mapping: "a".to_owned(),
            from: cursor,
            changes: vec![change],
            rewrite: false,
            times: crate::store::PageTimes::default(),
            guard: None,
            to: CursorMove::RoundEnd { link: None, unseen: Unseen::Keep },
        };
        store.commit_page(page).unwrap();
        let claim = |now| store.claim(run, "a", 10, now).unwrap();
        let postponed = |until| {
            let op = claim(at(100)).pop().expect("it is due");
            store.settle(run, vec![op.retry(until, "not now", false)]).unwrap();
        };
        postponed(at(0) + LONGEST_POSTPONEMENT);
        assert!(claim(at(0)).is_empty() && store.due(at(0)).unwrap().is_empty(), "as long as anything is postponed");
        postponed(at(24));
        assert_eq!(store.due(at(0)).unwrap(), ["a"], "the clock was 24 hours ahead");
        assert_eq!(claim(at(0)).len(), 1);
    }

    #[test]
    fn a_new_run_finds_nothing_running_and_the_wishes_as_they_were() {
        let store = store();
        store.note_workflow("a", &WorkflowNote::Round).unwrap();
        store.wish(&names(&["b"]), Wish::Stop, false).unwrap();
        let (run, _) = store.start_run(RunKind::Watch, &names(&["a", "b"])).unwrap();
        let a = record(&store, "a");
        assert!(a.state == WorkflowState::Stopped && a.round_began.is_some());
        assert_eq!(record(&store, "b").wish, Wish::Stop);
        store.note_workflow("a", &WorkflowNote::Round).unwrap();
        store.end_run(run, RunOutcome::Stopped, &serde_json::Value::Null).unwrap();
        assert_eq!(record(&store, "a").state, WorkflowState::Stopped);
    }

    #[test]
    fn the_time_of_a_state_is_that_of_its_beginning_and_an_error_is_remembered() {
        let store = store();
        store.note_workflow("a", &WorkflowNote::Failed { reason: "down".into(), next: None }).unwrap();
        store.note_workflow("a", &WorkflowNote::Round).unwrap();
        let running = record(&store, "a");
        std::thread::sleep(std::time::Duration::from_millis(3));
        store.note_workflow("a", &WorkflowNote::Rested { next: None }).unwrap();
        let rested = record(&store, "a");
        assert_eq!((rested.since, rested.reason), (running.since, None));
        assert_eq!(rested.last_error.as_deref(), Some("down"));
        assert!(rested.round_ended > rested.round_began);
    }

    #[test]
    fn a_replay_is_taken_once_and_moves_the_cursor_in_the_same_transaction() {
        let store = store();
        let before = store.cursor_or_first("a", "p").unwrap();
        assert_eq!(store.take_replay("a", "p").unwrap(), None);
        store.request_replay("a").unwrap();
        assert!(record(&store, "a").replay);
        let cursor = store.take_replay("a", "p").unwrap().unwrap();
        assert_eq!((cursor.phase, cursor.reason, cursor.generation), (Phase::Full, Reason::Replay, before.generation + 1));
        assert_eq!(store.take_replay("a", "p").unwrap(), None);
    }

    #[test]
    fn rounds_count_from_the_beginning_of_the_eldest_that_ended_well() {
        let store = store();
        let both = names(&["a", "b"]);
        assert_eq!(store.rounds_since(&both).unwrap(), None);
        let note = |name: &str, note: WorkflowNote| store.note_workflow(name, &note).unwrap();
        for name in ["a", "b"] {
            note(name, WorkflowNote::Round);
            note(name, WorkflowNote::Rested { next: None });
        }
        let began = |name: &str| record(&store, name).round_began.unwrap();
        assert_eq!(store.rounds_since(&both).unwrap(), Some(began("a").min(began("b"))));
        std::thread::sleep(std::time::Duration::from_millis(2));
        note("b", WorkflowNote::Round);
        assert_eq!(store.rounds_since(&both).unwrap(), None, "b is at one");
        note("b", WorkflowNote::Failed { reason: "no".to_owned(), next: None });
        assert_eq!(store.rounds_since(&both).unwrap(), None, "b's failed");
        assert!(store.rounds_since(&names(&["a"])).unwrap().is_some());
    }

    #[test]
    fn due_operations_are_looked_up_and_not_searched_for() {
        let plan: Vec<String> = store()
            .read("explain a query", |conn, _| {
                let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {DUE}"))?;
                Ok(statement.query_map([1, 2, 3], |row| row.get(3))?.collect::<Result<_, _>>()?)
            })
            .unwrap();
        assert!(plan.iter().any(|s| s.contains("due_record_at")), "{plan:?}");
        let searches: Vec<&String> = plan.iter().filter(|s| s.contains("outbox")).collect();
        assert_eq!(searches.len(), 3, "{plan:?}");
        assert!(searches.iter().all(|s| s.contains("outbox_due") || s.contains("outbox_later")), "{plan:?}");
    }
}
