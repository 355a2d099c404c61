//! Storing a page: what its records become in the outbox, and the cursor after it, in one transaction.

use rusqlite::{OptionalExtension, params};

use super::error::Inside;
use super::outbox::{NewOp, Queued, is_keyless};
use super::store::Store;
use super::tx::{Ahead, LedgerRow, Tx, json_list, mapping_id};
use super::types::millis;
use crate::store::{
    Absence, Change, Cursor, CursorMove, Field, HeldCause, Op, PageCommit, PageOutcome, PageTimes, Payload, Phase, Reason, RunId,
    StoreError, Unseen,
};
use crate::time::Instant;

/// What all changes of one transaction share.
pub(super) struct Intake {
    pub(super) run: RunId,
    pub(super) mapping: i64,
    pub(super) generation: i64,
    /// In a full load what is seen is marked with the generation.
    pub(super) full: bool,
    pub(super) with_initial: bool,
    pub(super) rewrite: bool,
    /// Deletions of what was written, and fields that would become empty, are held.
    pub(super) guarded: bool,
    /// Something is held for the flow.
    pub(super) has_held: bool,
    /// Looked up once: nearly always there are none, and then no record pays for asking.
    pub(super) has_refetches: bool,
    /// Operations of any flow wait for a record that they link to.
    pub(super) has_waits: bool,
    /// Persons were forgotten: whose record this is is asked of each.
    pub(super) has_forgotten: bool,
    /// Records of the flow are to be evaluated again at an instant.
    pub(super) has_due: bool,
    /// Keys of the ledger that a full load has seen, to be marked by [`Tx::mark_seen`].
    pub(super) seen: Vec<String>,
}

impl Store {
    /// Stores a page: operations, rejects, ledger marks and cursor, all or nothing.
    ///
    /// An upsert is not queued when its values equal what was last written and nothing of the same record is in the
    /// outbox. One transaction; at the end of a full load it includes the sweep of what was not seen.
    ///
    /// # Errors
    /// [`StoreError::CursorMoved`] when the flow is not at the position where the page was read; when the file cannot be written.
    pub fn commit_page(&self, page: PageCommit) -> Result<PageOutcome, StoreError> {
        self.write("store a page", |tx| tx.commit_page(page))
    }

    /// The keys of the target records that were written, or wait to be, for a source record.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn keys_of(&self, mapping: &str, source_id: &str) -> Result<Vec<String>, StoreError> {
        self.read("look up a source record", |conn, _| match mapping_id(conn, mapping)? {
            Some(mapping) => keys_of(conn, mapping, source_id),
            None => Ok(Vec::new()),
        })
    }
}

impl Tx<'_> {
    pub fn commit_page(&mut self, page: PageCommit) -> Inside<PageOutcome> {
        let PageCommit { run, mapping: name, from, changes, rewrite, times, guard, to } = page;
        let mapping = self.mapping(&name)?;
        self.expect_cursor(&name, mapping, &from)?;
        let mut intake = self.intake(run, mapping, &from, rewrite, guard.is_some())?;
        let mut outcome = PageOutcome::default();
        let keys: Vec<&str> = changes.iter().filter_map(Change::upserted_key).collect();
        self.read_ahead(mapping, &keys)?;
        for change in changes {
            let due = times.due.get(change.source_id()).copied();
            self.store_change(&mut intake, change, due, &mut outcome)?;
        }
        self.mark_seen(&mut intake)?;
        self.note_page_uses(&intake, &times)?;
        if intake.full {
            self.conn
                .prepare_cached("UPDATE cursor SET records = records + ?2 WHERE mapping = ?1")?
                .execute(params![mapping, i64::try_from(outcome.records).unwrap_or(i64::MAX)])?;
        }
        let cursor = match to {
            CursorMove::Next(link) => Cursor { link: Some(link), ..from },
            CursorMove::RoundEnd { link, unseen } => {
                let empty = intake.full && self.any("SELECT records = 0 FROM cursor WHERE mapping = ?1", mapping)?;
                if intake.full {
                    if unseen == Unseen::Delete {
                        outcome.unseen_deleted = self.sweep(mapping, from.generation, guard.is_some())?;
                    }
                    if !empty && self.has_dead_letters(mapping)? {
                        self.sweep_dead_letters(mapping, from.generation, unseen)?;
                    }
                }
                if let Some(limits) = guard {
                    self.end_round(mapping, limits, empty, &mut outcome)?;
                }
                self.conn.prepare_cached("UPDATE cursor SET records = 0 WHERE mapping = ?1 AND records > 0")?.execute([mapping])?;
                if intake.full {
                    let at = millis(times.at.unwrap_or(self.now));
                    self.conn.prepare_cached("UPDATE cursor SET full_at = ?2 WHERE mapping = ?1")?.execute([mapping, at])?;
                }
                match (link, from.phase) {
                    (Some(link), Phase::Full | Phase::Delta) => Cursor { phase: Phase::Delta, link: Some(link), ..from },
                    (None, Phase::Delta) => from,
                    (None, Phase::Full) => Cursor { reason: Reason::Resync, link: None, generation: from.generation + 1, ..from },
                }
            }
            CursorMove::Restart { reason, plan_fingerprint } => {
                outcome.cursor = Some(self.restart(mapping, &from, reason, &plan_fingerprint)?);
                outcome.backlog = self.backlog(mapping)?;
                return Ok(outcome);
            }
        };
        outcome.cursor = Some(self.put_cursor(mapping, cursor)?);
        outcome.backlog = self.backlog(mapping)?;
        Ok(outcome)
    }

    /// What all changes share that are read from a place of the flow's source.
    pub fn intake(&self, run: RunId, mapping: i64, from: &Cursor, rewrite: bool, guarded: bool) -> Inside<Intake> {
        Ok(Intake {
            run,
            mapping,
            generation: from.generation,
            full: from.phase == Phase::Full,
            with_initial: from.with_initial(),
            rewrite,
            guarded,
            has_held: self.has_held(mapping)?,
            has_refetches: self.any("SELECT EXISTS (SELECT 1 FROM outbox WHERE mapping = ?1 AND op = 'refetch')", mapping)?,
            has_waits: self.any("SELECT EXISTS (SELECT 1 FROM link_wait WHERE parent = ?1)", mapping)?,
            has_forgotten: self.conn.query_row("SELECT EXISTS (SELECT 1 FROM forgotten)", [], |row| row.get(0))?,
            has_due: self.any("SELECT EXISTS (SELECT 1 FROM due_record WHERE mapping = ?1)", mapping)?,
            seen: Vec::new(),
        })
    }

    /// Notes with which rows of other tables the records of a page were evaluated. After their changes are stored.
    pub fn note_page_uses(&mut self, intake: &Intake, times: &PageTimes) -> Inside<()> {
        let Some(uses) = &times.uses else { return Ok(()) };
        let at = times.at.unwrap_or(self.now);
        self.note_uses(intake.mapping, intake.has_forgotten, uses, at)
    }

    fn any(&self, question: &str, mapping: i64) -> Inside<bool> {
        Ok(self.conn.prepare_cached(question)?.query_row([mapping], |row| row.get(0))?)
    }

    /// The rows of the outbox, with what this transaction has changed.
    pub fn backlog(&mut self, mapping: i64) -> Inside<u64> {
        let before: i64 =
            self.conn.prepare_cached("SELECT outbox_rows FROM mapping WHERE id = ?1")?.query_row([mapping], |row| row.get(0))?;
        Ok(u64::try_from(before + self.tally(mapping).outbox_rows).unwrap_or(0))
    }

    /// Stores one change. `due`: when its record is to be evaluated again.
    pub fn store_change(&mut self, intake: &mut Intake, change: Change, due: Option<Instant>, outcome: &mut PageOutcome) -> Inside<()> {
        outcome.records += 1;
        if intake.has_refetches {
            self.supersede_refetch(intake.mapping, change.source_id())?;
        }
        // A deletion of a forgotten person's record goes on: what may still be there is to go.
        if intake.has_forgotten && !matches!(change, Change::Absent { .. }) && self.is_forgotten(change.source_id())? {
            outcome.forgotten += 1;
            return Ok(());
        }
        intake.has_due |= due.is_some();
        self.note_due(intake, change.source_id(), due)?;
        match change {
            Change::Upsert { source_id, key, mut payload } => {
                if intake.has_forgotten {
                    self.unlink_forgotten(&mut payload)?;
                }
                self.store_upsert(intake, &source_id, &key, &payload, outcome)
            }
            Change::Rekeyed { source_id, key, mut payload, remove } => {
                if intake.has_forgotten {
                    self.unlink_forgotten(&mut payload)?;
                }
                self.leave_other_keys(intake, &source_id, &key, remove, outcome)?;
                self.store_upsert(intake, &source_id, &key, &payload, outcome)
            }
            Change::Absent { source_id, why, remove } => self.store_absent(intake, &source_id, why, remove, outcome),
            Change::Reject { source_id, key, failure } => {
                outcome.rejected += 1;
                if intake.full {
                    self.mark_source_seen(intake, &source_id)?;
                }
                let change_no = self.next_change()?;
                self.put_dead_letter(&super::dead_letter::NewDeadLetter {
                    mapping: intake.mapping,
                    key: key.as_deref(),
                    source_id: &source_id,
                    operation: Op::Upsert,
                    failure: &failure,
                    run: intake.run,
                    attempts: 1,
                    with_initial: intake.with_initial,
                    change_no,
                    generation: intake.generation,
                })
            }
        }
    }

    fn store_upsert(
        &mut self,
        intake: &mut Intake,
        source_id: &str,
        key: &str,
        payload: &Payload,
        outcome: &mut PageOutcome,
    ) -> Inside<()> {
        let mapping = intake.mapping;
        if intake.has_held {
            self.drop_held(mapping, key)?;
        }
        let mut with_initial = intake.with_initial;
        if self.has_dead_letters(mapping)? {
            // An initial load or replay of this record that failed is still owed its @initial fields.
            with_initial |= self.dead_letter_with_initial(mapping, source_id)?;
        }
        let Ahead { ledger, is_queued } = self.take_ahead(mapping, key)?;
        if intake.full && ledger.as_ref().is_some_and(|row| row.generation < intake.generation) {
            intake.seen.push(key.to_owned());
        }
        let rest = match &ledger {
            Some(row) if intake.guarded => self.hold_emptied(intake, row, key, source_id, payload, with_initial)?,
            Some(_) | None => None,
        };
        let payload = rest.as_ref().unwrap_or(payload);
        if let Some(row) = &ledger
            && !intake.rewrite
            && !is_queued
            && self.equals_last_write(mapping, row, source_id, payload, with_initial)?
        {
            self.note_filled(mapping, key, row, payload)?;
            // A record of which something is held is not unchanged.
            if rest.is_none() {
                outcome.unchanged += 1;
                self.tally(mapping).unchanged += 1;
            }
            if intake.has_waits {
                // It was to be deleted, and is not any more: it can be linked to.
                self.release(mapping, source_id)?;
            }
            // The state that failed is gone from the source: the target has what it should have.
            self.remove_dead_letter(mapping, source_id, i64::MAX)?;
            return Ok(());
        }
        let change_no = self.next_change()?;
        let new = NewOp {
            key,
            source_id,
            op: Op::Upsert,
            payload: Some(payload),
            with_initial,
            rewrite: intake.rewrite,
            generation: intake.generation,
            change_no,
        };
        let queued = if is_queued {
            self.enqueue(mapping, &new)?
        } else {
            self.enqueue_first(mapping, &new)?;
            Queued::Inserted
        };
        match queued {
            Queued::Inserted => outcome.upserts_queued += 1,
            Queued::Coalesced => outcome.upserts_coalesced += 1,
        }
        Ok(())
    }

    /// Marks in the ledger what a full load has seen, in one statement: the sweep looks at these marks.
    pub fn mark_seen(&mut self, intake: &mut Intake) -> Inside<()> {
        if intake.seen.is_empty() {
            return Ok(());
        }
        self.conn
            .prepare_cached(
                "UPDATE ledger SET generation = ?2 WHERE mapping = ?1 AND generation < ?2 AND key IN (SELECT value FROM json_each(?3))",
            )?
            .execute(params![intake.mapping, intake.generation, json_list(&intake.seen)])?;
        intake.seen.clear();
        Ok(())
    }

    fn equals_last_write(&mut self, mapping: i64, row: &LedgerRow, source_id: &str, payload: &Payload, with_initial: bool) -> Inside<bool> {
        if row.doubtful || row.source_id != source_id {
            return Ok(false);
        }
        let compared = |field: &Field| !field.create_only && (with_initial || !field.initial_only);
        for (index, field) in payload.fields().iter().enumerate().filter(|(_, field)| compared(field)) {
            let hash = self.key().hash(&field.path, field.value.get());
            match self.slot_at(mapping, index, &field.path)? {
                Some((_, slot)) if row.fingerprint.has(*slot, hash) => {}
                Some(_) | None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The values are those that were last written, but may come from other source columns.
    fn note_filled(&mut self, mapping: i64, key: &str, row: &LedgerRow, payload: &Payload) -> Inside<()> {
        let mut filled = row.filled.clone();
        for (index, field) in payload.fields().iter().enumerate() {
            if let Some((_, slot)) = self.slot_at(mapping, index, &field.path)? {
                filled.write(*slot, field.filled);
            }
        }
        if filled != row.filled {
            self.conn.prepare_cached("UPDATE ledger SET filled = ?3 WHERE mapping = ?1 AND key = ?2")?.execute(params![
                mapping,
                key,
                filled.as_blob()
            ])?;
        }
        Ok(())
    }

    /// The source record has another key now. What was written under an earlier one is a separate record at the target: it is deleted
    /// as a deletion of the source record would delete it, or stays. What only waits to be written under it is not written any more.
    fn leave_other_keys(&mut self, intake: &mut Intake, source_id: &str, key: &str, remove: bool, outcome: &mut PageOutcome) -> Inside<()> {
        let mapping = intake.mapping;
        for old in keys_of(self.conn, mapping, source_id)? {
            if old == key || self.newest_owner(mapping, &old)?.is_some_and(|owner| owner != source_id) {
                continue;
            }
            let is_written = self.ledger_row(mapping, &old)?.is_some();
            if is_written && !remove {
                continue;
            }
            if is_written && intake.guarded {
                self.hold_delete(intake, &old, source_id, HeldCause::Deleted)?;
            } else {
                self.queue_delete(intake, &old, source_id)?;
            }
            outcome.deletes_queued += u64::from(is_written);
        }
        Ok(())
    }

    fn queue_delete(&mut self, intake: &Intake, key: &str, source_id: &str) -> Inside<()> {
        let change_no = self.next_change()?;
        let (op, generation) = (Op::Delete, intake.generation);
        let new = NewOp { key, source_id, op, payload: None, with_initial: false, rewrite: false, generation, change_no };
        self.enqueue(intake.mapping, &new).map(drop)
    }

    fn store_absent(&mut self, intake: &mut Intake, source_id: &str, why: Absence, remove: bool, outcome: &mut PageOutcome) -> Inside<()> {
        let mapping = intake.mapping;
        match (why, remove) {
            (Absence::FilteredOut, _) => outcome.filtered_out += 1,
            (Absence::Deleted, false) => outcome.deletes_ignored += 1,
            (Absence::Deleted, true) => {}
        }
        let mut found = false;
        if remove {
            for key in keys_of(self.conn, mapping, source_id)? {
                // Another source record may have taken the key over since: then it is not ours to delete.
                if self.newest_owner(mapping, &key)?.is_some_and(|owner| owner != source_id) {
                    continue;
                }
                found = true;
                // Dropping what was never written loses nothing.
                if intake.guarded && self.ledger_row(mapping, &key)?.is_some() {
                    let cause = if why == Absence::Deleted { HeldCause::Deleted } else { HeldCause::Filtered };
                    self.hold_delete(intake, &key, source_id, cause)?;
                    outcome.deletes_queued += 1;
                    continue;
                }
                self.queue_delete(intake, &key, source_id)?;
                outcome.deletes_queued += 1;
            }
            // A record that never passed the filter is the ordinary case, not a deletion that went into the void.
            if !found && why == Absence::Deleted {
                outcome.deletes_unknown += 1;
            }
        } else if intake.full {
            self.mark_source_seen(intake, source_id)?;
        }
        if !found {
            self.remove_dead_letter(mapping, source_id, i64::MAX)?;
        }
        Ok(())
    }

    /// Whether an operation on a target record waits.
    pub fn is_waiting(&self, mapping: i64, key: &str) -> Inside<bool> {
        let mut statement =
            self.conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM outbox WHERE mapping = ?1 AND key = ?2 AND state = 'ready')")?;
        Ok(statement.query_row(params![mapping, key], |row| row.get(0))?)
    }

    /// The source record of the newest operation in the outbox on a target record.
    pub fn newest_owner(&self, mapping: i64, key: &str) -> Inside<Option<String>> {
        // 'ready' sorts after 'claimed', and waits behind it.
        let mut statement =
            self.conn.prepare_cached("SELECT source_id FROM outbox WHERE mapping = ?1 AND key = ?2 ORDER BY state DESC LIMIT 1")?;
        Ok(statement.query_row(params![mapping, key], |row| row.get(0)).optional()?)
    }

    /// The source has the record, though nothing is written for it now: the sweep must not take it for deleted.
    fn mark_source_seen(&mut self, intake: &Intake, source_id: &str) -> Inside<()> {
        let values = params![intake.mapping, source_id, intake.generation];
        self.conn
            .prepare_cached(
                "UPDATE ledger INDEXED BY ledger_source SET generation = ?3 WHERE mapping = ?1 AND source_id = ?2 AND generation < ?3",
            )?
            .execute(values)?;
        self.conn
            .prepare_cached("UPDATE outbox SET generation = ?3 WHERE mapping = ?1 AND source_id = ?2 AND generation < ?3")?
            .execute(values)?;
        Ok(())
    }
}

/// UNION ALL, and each key once by hand: for UNION, SQLite walks both tables in the order of their keys rather than look the
/// record up, which takes the longer the more records there are.
const KEYS_OF: &str =
    "SELECT key FROM ledger WHERE mapping = ?1 AND source_id = ?2 UNION ALL SELECT key FROM outbox WHERE mapping = ?1 AND source_id = ?2";

fn keys_of(conn: &rusqlite::Connection, mapping: i64, source_id: &str) -> Inside<Vec<String>> {
    let mut statement = conn.prepare_cached(KEYS_OF)?;
    let rows = statement.query_map(params![mapping, source_id], |row| row.get(0))?;
    let mut keys: Vec<String> = rows.collect::<Result<_, _>>()?;
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| !is_keyless(key));
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Destination, Field, RunKind, Work};

    fn upsert(id: &str, link: Option<&str>) -> Change {
        let mut payload = Payload::default();
        payload.push_value("x", &1.into(), false).unwrap();
        if let Some(parent) = link {
            let value = serde_json::value::to_raw_value(parent).unwrap().into();
            payload.push(Field {
                path: "parent".into(),
                value,
                initial_only: false,
                create_only: false,
                filled: None,
                link: Some("parents".into()),
                absent: crate::store::IfAbsent::Wait,
            });
        }
        Change::Upsert { source_id: id.into(), key: format!("K-{id}"), payload }
    }

    #[test]
    fn a_forgotten_person_is_neither_stored_nor_linked_to_any_more() {
        let store = Store::in_memory().unwrap();
        let (run, _) = store.start_run(RunKind::Once, &[]).unwrap();
        store.write("test", |tx| tx.forget_id("p")).unwrap();
        let page = |flow: &str, changes| {
            let from = store.cursor_or_first(flow, "plan").unwrap();
            let to = CursorMove::Next("next".into());
            store
                .commit_page(PageCommit {
                    run,
                    mapping: flow.into(),
                    from,
                    changes,
                    rewrite: false,
                    times: PageTimes::default(),
                    guard: None,
                    to,
                })
                .unwrap()
        };
        let gone = Change::Absent { source_id: "p".into(), why: Absence::Deleted, remove: true };
        let outcome = page("parents", vec![upsert("p", None), gone, upsert("q", None)]);
        assert_eq!((outcome.forgotten, outcome.deletes_unknown, outcome.backlog), (1, 1, 1));
        page("children", vec![upsert("c", Some("p"))]);
        let op = store.claim(run, "children", 1, crate::time::now()).unwrap().remove(0);
        let Work::Upsert(fields) = op.work else { panic!("no upsert") };
        assert_eq!(fields[1].link.as_ref().map(|l| &l.to), Some(&Destination::Nowhere));
    }

    #[test]
    fn any_text_can_be_the_key_of_a_record_that_is_looked_up_in_a_batch() {
        let store = Store::in_memory().unwrap();
        let (run, _) = store.start_run(RunKind::Once, &[]).unwrap();
        let ids = ["", "1", "a\0b", "a\0c", "a", "\"\\/", "\u{2028}\n\u{7f}", "\u{1f600}", "[1]"];
        let page = |to| {
            let from = store.cursor_or_first("contacts", "plan").unwrap();
            let changes = ids.iter().map(|id| upsert(id, None)).collect();
            let times = PageTimes::default();
            let page = PageCommit { run, mapping: "contacts".into(), from, changes, rewrite: false, times, guard: None, to };
            store.commit_page(page).unwrap()
        };
        let end = || CursorMove::RoundEnd { link: Some("changes".into()), unseen: Unseen::Delete };
        assert_eq!(page(end()).upserts_queued, ids.len() as u64);
        let answers = store.claim(run, "contacts", ids.len(), crate::time::now()).unwrap().iter().map(|op| op.written(true)).collect();
        assert_eq!(store.settle(run, answers).unwrap().created, ids.len() as u64);
        page(CursorMove::Restart { reason: crate::store::Reason::Resync, plan_fingerprint: "plan".into() });
        let outcome = page(end());
        assert_eq!((outcome.unchanged, outcome.unseen_deleted, outcome.backlog), (ids.len() as u64, 0, 0));
    }

    #[test]
    fn a_source_record_is_looked_up_and_not_searched_for() {
        let store = Store::in_memory().unwrap();
        let plan: Vec<String> = store
            .read("explain a query", |conn, _| {
                let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {KEYS_OF}"))?;
                let rows = statement.query_map(rusqlite::params![1, "x"], |row| row.get::<_, String>(3))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .unwrap();
        let tables: Vec<&String> = plan.iter().filter(|step| step.contains("ledger") || step.contains("outbox")).collect();
        assert_eq!(tables.len(), 2, "{plan:?}");
        assert!(tables.iter().all(|step| step.contains("source_id=?")), "{plan:?}");
    }
}
