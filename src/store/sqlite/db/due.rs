//! Records that are to be evaluated again at an instant, even if they do not change: the answer of a filter that asks the time
//! changes then. Each is noted in the transaction that takes the record in, and evaluated again when its instant has come. So are records
//! that point to a row of another table, from the transaction that changes the row (`related.rs`).

use rusqlite::{Connection, params};

use super::error::Inside;
use super::page::Intake;
use super::store::Store;
use super::tx::{Tx, mapping_id};
use super::types::{instant, millis};
use crate::store::{DueCommit, DueStatus, PageOutcome, StoreError};
use crate::time::Instant;

impl Store {
    /// Returns source ids of a flow that are due at `now`, those that are due first coming first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn due_records(&self, mapping: &str, now: Instant, limit: usize) -> Result<Vec<String>, StoreError> {
        self.read("look for due records", |conn, _| {
            let Some(id) = mapping_id(conn, mapping)? else { return Ok(Vec::new()) };
            let mut statement =
                conn.prepare_cached("SELECT source_id FROM due_record WHERE mapping = ?1 AND due_at <= ?2 ORDER BY due_at LIMIT ?3")?;
            let rows = statement.query_map(params![id, millis(now), i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Stores records that were due, like a page: operations, rejects and the next instants, all or nothing. What may be part of a
    /// mass change is held until [`Store::judge_held`].
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn store_due(&self, commit: DueCommit) -> Result<PageOutcome, StoreError> {
        self.write("store due records", |tx| {
            let DueCommit { run, mapping: name, records, changes, times } = commit;
            let mapping = tx.mapping(&name)?;
            let mut outcome = PageOutcome::default();
            // The workflow was dropped or reset meanwhile: then nothing is due.
            let Some(from) = super::cursor::cursor_of(tx.conn, mapping)? else { return Ok(outcome) };
            for id in &records {
                tx.forget_due(mapping, id)?;
            }
            let mut intake = tx.intake(run, mapping, &from, false, true)?;
            for change in changes {
                let due = times.due.get(change.source_id()).copied();
                tx.store_change(&mut intake, change, due, &mut outcome)?;
            }
            tx.mark_seen(&mut intake)?;
            tx.note_page_uses(&intake, &times)?;
            outcome.cursor = Some(from);
            outcome.backlog = tx.backlog(mapping)?;
            Ok(outcome)
        })
    }
}

impl Tx<'_> {
    /// Notes when a record is due, or that it is not.
    pub fn note_due(&self, intake: &Intake, source_id: &str, due: Option<Instant>) -> Inside<()> {
        match due {
            Some(at) => {
                self.conn
                    .prepare_cached("INSERT OR REPLACE INTO due_record (mapping, source_id, due_at) VALUES (?1, ?2, ?3)")?
                    .execute(params![intake.mapping, source_id, first_millisecond(at)])?;
            }
            None if intake.has_due => self.forget_due(intake.mapping, source_id)?,
            None => {}
        }
        Ok(())
    }

    fn forget_due(&self, mapping: i64, source_id: &str) -> Inside<()> {
        self.conn.prepare_cached("DELETE FROM due_record WHERE mapping = ?1 AND source_id = ?2")?.execute(params![mapping, source_id])?;
        Ok(())
    }

    /// Everything is read again, and each record is due then by what it is then.
    pub fn forget_all_due(&self, mapping: i64) -> Inside<()> {
        self.conn.prepare_cached("DELETE FROM due_record WHERE mapping = ?1")?.execute([mapping])?;
        Ok(())
    }
}

/// The first whole millisecond that is not before an instant: at it the answer has changed.
fn first_millisecond(at: Instant) -> i64 {
    let floor = millis(at);
    if instant(floor) < at { floor + 1 } else { floor }
}

pub(super) fn due_status(conn: &Connection, mapping: i64) -> Inside<DueStatus> {
    let (records, next): (i64, Option<i64>) = conn
        .prepare_cached("SELECT COUNT(*), min(due_at) FROM due_record WHERE mapping = ?1")?
        .query_row([mapping], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(DueStatus { records: u64::try_from(records).unwrap_or(0), next: next.map(instant) })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::store::{Absence, CursorMove, PageCommit, Reason, RunKind};
    use crate::store::{Change, PageTimes, RunId};

    const FLOW: &str = "contacts";

    fn at(seconds: i64) -> Instant {
        Instant::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn filtered(id: &str) -> Change {
        Change::Absent { source_id: id.into(), why: Absence::FilteredOut, remove: false }
    }

    fn page(store: &Store, run: RunId, records: &[(&str, Option<Instant>)]) {
        let from = store.cursor_or_first(FLOW, "plan").unwrap();
        let mut times = PageTimes::default();
        records.iter().for_each(|(id, due)| times.note(id, *due));
        let changes = records.iter().map(|(id, _)| filtered(id)).collect();
        let to = CursorMove::Next("next".into());
        store.commit_page(PageCommit { run, mapping: FLOW.into(), from, changes, rewrite: false, times, guard: None, to }).unwrap();
    }

    #[test]
    fn a_record_is_due_from_the_millisecond_at_which_its_answer_has_changed_until_it_is_stored_again() {
        let store = Store::in_memory().unwrap();
        let (run, _) = store.start_run(RunKind::Once, &[]).unwrap();
        let later = at(10) + TimeDelta::nanoseconds(1);
        page(&store, run, &[("a", Some(at(10))), ("b", Some(later)), ("c", Some(at(99))), ("d", Some(at(5))), ("d", None)]);
        assert!(store.due_records(FLOW, at(9), 9).unwrap().is_empty());
        assert_eq!(store.due_records(FLOW, at(10), 9).unwrap(), ["a"]);
        assert_eq!(store.due_records(FLOW, at(11), 9).unwrap(), ["a", "b"]);
        assert_eq!(store.due_records(FLOW, at(100), 2).unwrap(), ["a", "b"]);
        assert_eq!(store.due(at(9)).unwrap(), Vec::<String>::new());
        assert_eq!(store.due(at(10)).unwrap(), [FLOW]);
        let mut times = PageTimes::default();
        times.note("b", Some(at(50)));
        let records = vec!["a".to_owned(), "b".to_owned()];
        let changes = vec![filtered("a"), filtered("b")];
        let outcome = store.store_due(DueCommit { run, mapping: FLOW.into(), records, changes, times }).unwrap();
        assert_eq!((outcome.records, outcome.filtered_out), (2, 2));
        assert_eq!(store.due_records(FLOW, at(100), 9).unwrap(), ["b", "c"]);
        assert_eq!(store.status().unwrap().mappings[0].due, DueStatus { records: 2, next: Some(at(50)) });
    }

    #[test]
    fn a_change_a_deletion_and_a_restart_of_the_load_take_the_instant_away() {
        let store = Store::in_memory().unwrap();
        let (run, _) = store.start_run(RunKind::Once, &[]).unwrap();
        page(&store, run, &[("a", Some(at(1))), ("b", Some(at(2))), ("c", Some(at(3)))]);
        page(&store, run, &[("a", None)]);
        let from = store.cursor_or_first(FLOW, "plan").unwrap();
        let gone = Change::Absent { source_id: "b".into(), why: Absence::Deleted, remove: false };
        let (times, to) = (PageTimes::default(), CursorMove::Next("next".into()));
        let page = PageCommit { run, mapping: FLOW.into(), from, changes: vec![gone], rewrite: false, times, guard: None, to };
        store.commit_page(page).unwrap();
        assert_eq!(store.due_records(FLOW, at(9), 9).unwrap(), ["c"]);
        store.restart(FLOW, Reason::Resync, "plan").unwrap();
        assert!(store.due_records(FLOW, at(9), 9).unwrap().is_empty());
    }

    #[test]
    fn a_forgotten_person_is_not_due() {
        let store = Store::in_memory().unwrap();
        let (run, _) = store.start_run(RunKind::Once, &[]).unwrap();
        page(&store, run, &[("8f1d0000-0000-4000-8000-000000000001", Some(at(1)))]);
        assert_eq!(store.trace("8f1d0000-0000-4000-8000-000000000001").unwrap().counts.get("due_record"), Some(&1));
        store.forget("8f1d0000-0000-4000-8000-000000000001").unwrap();
        assert!(store.due_records(FLOW, at(9), 9).unwrap().is_empty());
        let mut payload = crate::store::Payload::default();
        payload.push_value("x", &1.into(), false).unwrap();
        let id = "8f1d0000-0000-4000-8000-000000000001";
        let change = Change::Upsert { source_id: id.into(), key: "k".into(), payload };
        let mut times = PageTimes::default();
        times.note(id, Some(at(2)));
        let records = vec![id.to_owned()];
        store.store_due(DueCommit { run, mapping: FLOW.into(), records, changes: vec![change], times }).unwrap();
        assert!(store.due_records(FLOW, at(9), 9).unwrap().is_empty());
    }
}
