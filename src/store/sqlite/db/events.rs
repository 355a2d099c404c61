//! Marketing events on their way to timelines: what was stored, what waits, where the journal was read up to.
//!
//! Which events were stored before is in `event_marks.rs`. The payload is kept while the event waits.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::dead_letter::NewDeadLetter;
use super::error::Inside;
use super::identity::origin_of;
use super::store::Store;
use super::tx::{Tx, mapping_id};
use super::types::{instant, millis};
use crate::store::{
    EventGap, EventIntake, EventMark, EventResult, EventsStatus, JournalCursor, NewEvent, Op, RunId, StoreError, WaitingEvent,
};
use crate::time::{Instant, day_number};

impl Store {
    /// Stores events and moves their source's mark, all or nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn take_events(&self, flow: &str, events: &[NewEvent], mark: &EventMark) -> Result<EventIntake, StoreError> {
        self.write("store events", |tx| {
            let id = tx.mapping(flow)?;
            let origin = origin_of(tx.conn, flow)?;
            let mut intake = EventIntake::default();
            for event in events {
                if tx.is_forgotten(&event.contact)? {
                    intake.forgotten += 1;
                } else if tx.seen(&origin, event)? {
                    intake.known += 1;
                } else if tx.add_event(id, event)? {
                    intake.new += 1;
                } else {
                    // It waits, though its hash was pruned.
                    intake.known += 1;
                }
            }
            match mark {
                EventMark::Journal { link, span, quiet_until } => tx.note_journal(id, link.as_deref(), *span, *quiet_until)?,
                EventMark::Export(mark) => tx.note_export(flow, mark)?,
                EventMark::None => {}
            }
            intake.backlog = tx.waiting_events(id)?;
            Ok(intake)
        })
    }

    /// Notes that the position in the journal is kept no more: reading begins with the oldest event, and the gap is on file. None where
    /// a gap is open already: nothing was read since, so that it is the same.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_event_gap(&self, flow: &str) -> Result<Option<EventGap>, StoreError> {
        self.write("note a gap of the journal", |tx| {
            let id = tx.mapping(flow)?;
            let from: Option<i64> = tx
                .conn
                .prepare_cached("SELECT read_up_to FROM event_cursor WHERE flow = ?1")?
                .query_row([id], |row| row.get(0))
                .optional()?
                .flatten();
            tx.conn.prepare_cached("UPDATE event_cursor SET link = NULL, quiet_until = 0 WHERE flow = ?1")?.execute([id])?;
            let open: bool = tx
                .conn
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM event_gap WHERE flow = ?1 AND until_at IS NULL)")?
                .query_row([id], |row| row.get(0))?;
            if open {
                return Ok(None);
            }
            tx.conn.prepare_cached("INSERT INTO event_gap (flow, noticed_at, from_at) VALUES (?1, ?2, ?3)")?.execute(params![
                id,
                millis(tx.now),
                from
            ])?;
            Ok(Some(EventGap { noticed_at: tx.now, from: from.map(instant), until: None }))
        })
    }

    /// The position of a flow in the journal.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn journal_cursor(&self, flow: &str) -> Result<JournalCursor, StoreError> {
        self.read("read the position in the journal", |conn, _| {
            let Some(id) = mapping_id(conn, flow)? else { return Ok(JournalCursor::default()) };
            let mut statement = conn.prepare_cached("SELECT link, quiet_until, read_up_to, gone FROM event_cursor WHERE flow = ?1")?;
            let row = statement.query_row([id], |row| {
                Ok(JournalCursor {
                    link: row.get(0)?,
                    quiet_until: Some(row.get::<_, i64>(1)?).filter(|at| *at > 0).map(instant),
                    read_up_to: row.get::<_, Option<i64>>(2)?.map(instant),
                    gone: row.get::<_, i64>(3)?.unsigned_abs(),
                })
            });
            Ok(row.optional()?.unwrap_or_default())
        })
    }

    /// The gaps of a flow, the oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn event_gaps(&self, flow: &str) -> Result<Vec<EventGap>, StoreError> {
        self.read("list gaps of the journal", |conn, _| match mapping_id(conn, flow)? {
            Some(id) => gaps(conn, id),
            None => Ok(Vec::new()),
        })
    }

    /// How many events of a flow wait that are of none of these types: those of a type that was switched off since they were stored.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn events_aside(&self, flow: &str, kinds: &[&str]) -> Result<u64, StoreError> {
        self.read("count events of types that are switched off", |conn, _| {
            let Some(id) = mapping_id(conn, flow)? else { return Ok(0) };
            let count: i64 = conn
                .prepare_cached("SELECT count(*) FROM event WHERE flow = ?1 AND NOT dead AND instr(?2, ',' || kind || ',') = 0")?
                .query_row(params![id, list(kinds)], |row| row.get(0))?;
            Ok(count.unsigned_abs())
        })
    }

    /// Up to `limit` events of a flow that wait and are of one of these types, with numbers above `after`, the oldest first. Those of other
    /// types neither come nor count, however many there are.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn waiting_events(&self, flow: &str, kinds: &[&str], after: i64, limit: usize) -> Result<Vec<WaitingEvent>, StoreError> {
        self.read("read waiting events", |conn, _| {
            let Some(id) = mapping_id(conn, flow)? else { return Ok(Vec::new()) };
            let mut statement = conn.prepare_cached(
                "SELECT seq, activity, contact, kind, payload, attempts FROM event
                 WHERE flow = ?1 AND seq > ?2 AND NOT dead AND instr(?4, ',' || kind || ',') > 0 ORDER BY seq LIMIT ?3",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = statement.query_map(params![id, after, limit, list(kinds)], waiting_event)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The events of a contact that are known and not written: those that wait, and those that have failed and may be retried.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn unwritten_events_of(&self, flow: &str, contact: &str) -> Result<Vec<WaitingEvent>, StoreError> {
        self.read("look for a contact's events that are not written", |conn, _| {
            let Some(id) = mapping_id(conn, flow)? else { return Ok(Vec::new()) };
            // A dead row whose dead letter was dropped goes with the next round, and will not be written.
            let mut statement = conn.prepare_cached(
                "SELECT seq, activity, contact, kind, payload, attempts FROM event AS e WHERE contact = ?2 AND flow = ?1 AND (NOT dead
                   OR EXISTS (SELECT 1 FROM dead_letter AS d WHERE d.mapping = ?1 AND d.source_id = e.activity)
                   OR EXISTS (SELECT 1 FROM outbox AS o WHERE o.mapping = ?1 AND o.op = 'refetch' AND o.source_id = e.activity))
                 ORDER BY seq",
            )?;
            let rows = statement.query_map(params![id, contact.to_ascii_lowercase()], waiting_event)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Takes events in hand before they are written, so that their person is not forgotten meanwhile. Gives the numbers of those that still
    /// wait: a person may have been forgotten since they were read.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn claim_events(&self, run: RunId, flow: &str, seqs: &[i64]) -> Result<Vec<i64>, StoreError> {
        self.write("take events in hand", |tx| {
            let id = tx.mapping(flow)?;
            let mut statement = tx.conn.prepare_cached("UPDATE event SET claimed_by = ?3 WHERE seq = ?1 AND flow = ?2 AND NOT dead")?;
            let mut claimed = Vec::with_capacity(seqs.len());
            for seq in seqs {
                if statement.execute(params![seq, id, run])? > 0 {
                    claimed.push(*seq);
                }
            }
            Ok(claimed)
        })
    }

    /// Hands in what became of events. What is written or has no contact any more goes; what is refused becomes a dead letter and
    /// keeps its payload until that is retried or dropped.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn settle_events(&self, run: RunId, flow: &str, results: &[(i64, EventResult)]) -> Result<u64, StoreError> {
        self.write("settle events", |tx| {
            let id = tx.mapping(flow)?;
            for (seq, result) in results {
                tx.settle_event(run, id, *seq, result)?;
            }
            tx.waiting_events(id)
        })
    }

    /// Begins a round: dead events whose retry was asked for wait again, those whose dead letter was dropped go. Gives how many
    /// wait again.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn begin_events(&self, flow: &str) -> Result<u64, StoreError> {
        self.write("begin a round of events", |tx| {
            let id = tx.mapping(flow)?;
            tx.conn
                .prepare_cached("INSERT OR IGNORE INTO event_cursor (flow, pruned_on) VALUES (?1, ?2)")?
                .execute([id, day_number(tx.now)])?;
            let asked: Vec<(i64, String)> = {
                let mut statement =
                    tx.conn.prepare_cached("SELECT seq, source_id FROM outbox WHERE mapping = ?1 AND op = 'refetch' ORDER BY seq")?;
                statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?
            };
            let mut again = 0;
            for (seq, activity) in asked {
                let revived = tx
                    .conn
                    .prepare_cached("UPDATE event SET dead = 0, attempts = 0 WHERE flow = ?1 AND activity = ?2 AND dead")?
                    .execute(params![id, activity])?;
                tx.conn.prepare_cached("DELETE FROM outbox WHERE seq = ?1")?.execute([seq])?;
                tx.tally(id).outbox_rows -= 1;
                tx.tally(id).outbox_rows += i64::from(revived > 0);
                again += revived as u64;
            }
            tx.conn.execute(
                "DELETE FROM event WHERE flow = ?1 AND dead
                   AND NOT EXISTS (SELECT 1 FROM dead_letter AS d WHERE d.mapping = ?1 AND d.source_id = event.activity)",
                [id],
            )?;
            Ok(again)
        })
    }

    /// The events of a person that wait or have failed, of all flows: the flow, the activity's id, the type.
    ///
    /// # Errors
    /// When the file cannot be read.
    #[cfg(any(test, feature = "internals"))]
    pub fn events_of(&self, contact: &str) -> Result<Vec<(String, String, String)>, StoreError> {
        self.read("look for a person's events", |conn, _| {
            let mut statement = conn.prepare_cached(
                "SELECT m.name, e.activity, e.kind FROM event AS e JOIN mapping AS m ON m.id = e.flow WHERE e.contact = ?1 ORDER BY e.seq",
            )?;
            let rows = statement.query_map([contact.to_ascii_lowercase()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

/// Types as a text in which each is between commas.
fn list(kinds: &[&str]) -> String {
    format!(",{},", kinds.join(","))
}

fn waiting_event(row: &Row<'_>) -> rusqlite::Result<WaitingEvent> {
    Ok(WaitingEvent {
        seq: row.get(0)?,
        activity: row.get(1)?,
        contact: row.get(2)?,
        kind: row.get(3)?,
        payload: row.get(4)?,
        attempts: row.get(5)?,
    })
}

fn gaps(conn: &Connection, flow: i64) -> Inside<Vec<EventGap>> {
    let mut statement = conn.prepare_cached("SELECT noticed_at, from_at, until_at FROM event_gap WHERE flow = ?1 ORDER BY id")?;
    let rows = statement.query_map([flow], |row| {
        Ok(EventGap {
            noticed_at: instant(row.get(0)?),
            from: row.get::<_, Option<i64>>(1)?.map(instant),
            until: row.get::<_, Option<i64>>(2)?.map(instant),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Returns the status of a flow of events; `None` for a flow of another kind.
pub(super) fn events_status(conn: &Connection, flow: i64) -> Inside<Option<EventsStatus>> {
    let row: Option<(Option<i64>, i64)> = conn
        .prepare_cached("SELECT read_up_to, gone FROM event_cursor WHERE flow = ?1")?
        .query_row([flow], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((read_up_to, gone)) = row else { return Ok(None) };
    Ok(Some(EventsStatus { read_up_to: read_up_to.map(instant), gone: gone.unsigned_abs(), gaps: gaps(conn, flow)? }))
}

impl Tx<'_> {
    /// Removes a person's events that wait or have failed, with their dead letters. Gives how many.
    pub fn forget_events(&mut self, contact: &str) -> Inside<u64> {
        let contact = contact.to_ascii_lowercase();
        let rows: Vec<(i64, i64, String, bool)> = {
            let mut statement = self.conn.prepare_cached("SELECT seq, flow, activity, dead FROM event WHERE contact = ?1")?;
            statement.query_map([contact], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?.collect::<Result<_, _>>()?
        };
        for (seq, flow, activity, dead) in &rows {
            self.conn.prepare_cached("DELETE FROM event WHERE seq = ?1")?.execute([seq])?;
            self.tally(*flow).outbox_rows -= i64::from(!dead);
            self.remove_dead_letter(*flow, activity, i64::MAX)?;
        }
        Ok(rows.len() as u64)
    }

    fn add_event(&mut self, flow: i64, event: &NewEvent) -> Inside<bool> {
        let added = self
            .conn
            .prepare_cached(
                "INSERT OR IGNORE INTO event (flow, activity, contact, kind, payload, taken_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![flow, event.activity, event.contact.to_ascii_lowercase(), event.kind, event.payload, millis(self.now)])?;
        let tally = self.tally(flow);
        tally.outbox_rows += i64::from(added > 0);
        tally.queued += i64::from(added > 0);
        Ok(added > 0)
    }

    fn waiting_events(&mut self, flow: i64) -> Inside<u64> {
        let before: i64 = self.conn.prepare_cached("SELECT outbox_rows FROM mapping WHERE id = ?1")?.query_row([flow], |row| row.get(0))?;
        Ok(u64::try_from(before + self.tally(flow).outbox_rows).unwrap_or(0))
    }

    fn note_journal(&mut self, flow: i64, link: Option<&str>, span: Option<(Instant, Instant)>, quiet: Option<Instant>) -> Inside<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO event_cursor (flow, link, quiet_until, read_up_to, pruned_on) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (flow) DO UPDATE SET link = coalesce(excluded.link, link), quiet_until = excluded.quiet_until,
                   read_up_to = max(coalesce(read_up_to, excluded.read_up_to), coalesce(excluded.read_up_to, read_up_to))",
            )?
            .execute(params![flow, link, quiet.map_or(0, millis), span.map(|(_, last)| millis(last)), day_number(self.now)])?;
        if let Some((first, _)) = span {
            self.conn
                .prepare_cached("UPDATE event_gap SET until_at = ?2 WHERE flow = ?1 AND until_at IS NULL")?
                .execute(params![flow, millis(first)])?;
        }
        Ok(())
    }

    fn settle_event(&mut self, run: RunId, flow: i64, seq: i64, result: &EventResult) -> Inside<()> {
        type Row = (String, u32);
        let row: Option<Row> = self
            .conn
            .prepare_cached("SELECT activity, attempts FROM event WHERE seq = ?1 AND flow = ?2 AND NOT dead")?
            .query_row([seq, flow], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        // Gone meanwhile: the person was forgotten.
        let Some((activity, attempts)) = row else { return Ok(()) };
        match result {
            EventResult::Written | EventResult::Gone => {
                self.conn.prepare_cached("DELETE FROM event WHERE seq = ?1")?.execute([seq])?;
                self.tally(flow).outbox_rows -= 1;
                self.remove_dead_letter(flow, &activity, i64::MAX)?;
                if matches!(result, EventResult::Gone) {
                    self.conn
                        .prepare_cached(
                            "INSERT INTO event_cursor (flow, gone) VALUES (?1, 1) ON CONFLICT (flow) DO UPDATE SET gone = gone + 1",
                        )?
                        .execute([flow])?;
                }
            }
            EventResult::Failed(failure) => {
                self.conn
                    .prepare_cached("UPDATE event SET dead = 1, claimed_by = NULL, attempts = attempts + 1 WHERE seq = ?1")?
                    .execute([seq])?;
                self.tally(flow).outbox_rows -= 1;
                let change_no = self.next_change()?;
                self.put_dead_letter(&NewDeadLetter {
                    mapping: flow,
                    // The event is found by its own id, never by a target's key: a contact has many.
                    key: None,
                    source_id: &activity,
                    operation: Op::Upsert,
                    failure,
                    run,
                    attempts: attempts + 1,
                    with_initial: false,
                    change_no,
                    generation: 0,
                })?;
            }
            EventResult::Later => {
                self.conn.prepare_cached("UPDATE event SET claimed_by = NULL, attempts = attempts + 1 WHERE seq = ?1")?.execute([seq])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::store::sqlite::db::event_marks::{REMEMBERED_DAYS, path};
    use crate::store::{Failure, RunKind, RunOutcome};

    const ANN: &str = "8f1d0000-0000-4000-8000-000000000001";

    /// An event of these values, with or without an id.
    fn event(log: Option<&str>, values: &str) -> NewEvent {
        NewEvent {
            activity: log.map_or_else(|| format!("values-{values}"), |log| format!("log-{log}")),
            contact: ANN.to_owned(),
            kind: "open".to_owned(),
            log_key: log.map(str::to_owned),
            value_key: values.to_owned(),
            payload: "{}".to_owned(),
        }
    }

    fn take(store: &Store, events: &[NewEvent]) -> EventIntake {
        store.take_events("email", events, &EventMark::None).unwrap()
    }

    fn seqs(store: &Store) -> Vec<i64> {
        store.waiting_events("email", &["open"], 0, 100).unwrap().iter().map(|e| e.seq).collect()
    }

    #[test]
    fn an_event_with_an_id_and_one_without_are_one_in_either_order_and_two_ids_are_two() {
        for order in [[Some("1"), None, Some("2")], [None, Some("1"), Some("2")], [Some("2"), Some("1"), None]] {
            let store = Store::in_memory().unwrap();
            let events: Vec<NewEvent> = order.iter().map(|log| event(*log, "v")).collect();
            assert_eq!(take(&store, &events), EventIntake { new: 2, known: 1, forgotten: 0, backlog: 2 }, "{order:?}");
            assert_eq!(
                store.unseen_events("email", &[event(Some("1"), "v"), event(Some("3"), "v"), event(None, "w")]).unwrap(),
                [false, true, true]
            );
        }
    }

    proptest! {
        #[test]
        fn however_sources_are_mixed_and_repeated_each_event_is_stored_once(
            given in proptest::collection::vec((0..4u8, proptest::option::of(0..4u8)), 0..40),
            pages in 1..5usize,
        ) {
            let store = Store::in_memory().unwrap();
            let events: Vec<NewEvent> =
                given.iter().map(|(value, log)| event(log.map(|l| format!("{value}-{l}")).as_deref(), &format!("v{value}"))).collect();
            let mut new = 0;
            for page in events.chunks(events.len().div_ceil(pages).max(1)) {
                new += take(&store, page).new;
            }
            // Of one value there are as many events as there are ids; without an id, one.
            let expected: usize = (0..4u8).map(|value| {
                let logs: BTreeSet<u8> = given.iter().filter(|(v, _)| *v == value).filter_map(|(_, log)| *log).collect();
                logs.len().max(usize::from(given.iter().any(|(v, _)| *v == value)))
            }).sum();
            prop_assert_eq!(new, expected as u64);
            prop_assert_eq!(store.backlog_size("email").unwrap(), new);
        }
    }

    #[test]
    fn events_of_types_that_are_switched_off_neither_come_nor_take_the_place_of_others() {
        let store = Store::in_memory().unwrap();
        let of = |kind: &str, log: &str| NewEvent { kind: kind.to_owned(), ..event(Some(log), log) };
        take(&store, &[of("send", "1"), of("send", "2"), of("open", "3"), of("click", "4"), of("send", "5"), of("open", "6")]);
        let kinds = |on: &[&str], limit| -> Vec<String> {
            store.waiting_events("email", on, 0, limit).unwrap().into_iter().map(|e| e.kind).collect()
        };
        assert_eq!(kinds(&["open", "click"], 2), ["open", "click"]);
        assert_eq!(kinds(&["open"], 100), ["open", "open"]);
        assert_eq!(kinds(&[], 100), [""; 0]);
        assert_eq!((store.events_aside("email", &["open", "click"]).unwrap(), store.events_aside("email", &[]).unwrap()), (3, 6));
    }

    #[test]
    fn a_number_is_never_given_twice() {
        let store = Store::in_memory().unwrap();
        let (run, _) = store.start_run(RunKind::Once, &[]).unwrap();
        take(&store, &[event(Some("1"), "a"), event(Some("2"), "b")]);
        let first = seqs(&store);
        let results: Vec<_> = first.iter().map(|seq| (*seq, EventResult::Written)).collect();
        store.settle_events(run, "email", &results).unwrap();
        take(&store, &[event(Some("3"), "c")]);
        assert!(seqs(&store)[0] > first[1]);
    }

    #[test]
    fn flows_do_not_know_each_others_events_and_a_forgotten_person_has_none() {
        let store = Store::in_memory().unwrap();
        take(&store, &[event(Some("1"), "v")]);
        assert_eq!(store.take_events("other", &[event(Some("1"), "v")], &EventMark::None).unwrap().new, 1);
        assert_eq!(store.events_of(&ANN.to_uppercase()).unwrap().len(), 2);
        store.write("test", |tx| tx.forget_id(ANN)).unwrap();
        assert_eq!(store.write("test", |tx| tx.forget_events(ANN)).unwrap(), 2);
        assert_eq!((store.backlog_size("email").unwrap(), store.events_of(ANN).unwrap().len()), (0, 0));
        assert_eq!(take(&store, &[event(Some("2"), "w")]), EventIntake { forgotten: 1, ..EventIntake::default() });
    }

    #[test]
    fn a_page_and_its_mark_are_one_and_a_gap_lasts_from_the_last_event_before_to_the_first_after() {
        let store = Store::in_memory().unwrap();
        let at = |ms| instant(ms);
        let mark =
            |link: &str, from, to| EventMark::Journal { link: Some(link.to_owned()), span: Some((at(from), at(to))), quiet_until: None };
        store.take_events("email", &[event(Some("1"), "v")], &mark("/a", 1000, 5000)).unwrap();
        store.take_events("email", &[], &mark("/b", 2000, 3000)).unwrap();
        let cursor = store.journal_cursor("email").unwrap();
        assert_eq!((cursor.link.as_deref(), cursor.read_up_to), (Some("/b"), Some(at(5000))), "late events do not turn it back");
        assert_eq!(store.note_event_gap("email").unwrap().unwrap().from, Some(at(5000)));
        assert_eq!(store.note_event_gap("email").unwrap(), None, "the same one");
        assert_eq!(store.journal_cursor("email").unwrap().link, None);
        store.take_events("email", &[], &mark("/c", 9000, 9500)).unwrap();
        store.take_events("email", &[], &mark("/d", 7000, 9600)).unwrap();
        let gaps = store.event_gaps("email").unwrap();
        assert_eq!((gaps.len(), gaps[0].from, gaps[0].until), (1, Some(at(5000)), Some(at(9000))));
        let quiet = EventMark::Journal { link: None, span: None, quiet_until: Some(at(20_000)) };
        store.take_events("email", &[], &quiet).unwrap();
        let cursor = store.journal_cursor("email").unwrap();
        assert_eq!((cursor.link.as_deref(), cursor.quiet_until), (Some("/d"), Some(at(20_000))));
    }

    #[test]
    fn what_is_written_leaves_only_its_hash_and_what_is_refused_waits_for_a_retry() {
        let store = Store::in_memory().unwrap();
        store.begin_events("email").unwrap();
        let (run, _) = store.start_run(RunKind::Once, &["email".to_owned()]).unwrap();
        take(&store, &[event(Some("1"), "a"), event(Some("2"), "b"), event(Some("3"), "c"), event(Some("4"), "d")]);
        let failure = Failure { code: "x".to_owned(), request: Some("{}".to_owned()), ..Failure::default() };
        let results = [EventResult::Written, EventResult::Gone, EventResult::Failed(failure), EventResult::Later];
        let results: Vec<_> = seqs(&store).into_iter().zip(results).collect();
        assert_eq!(store.settle_events(run, "email", &results).unwrap(), 1);
        // The same answers again, as after a crash of the caller: nothing happens.
        assert_eq!(store.settle_events(run, "email", &results[..3]).unwrap(), 1);
        assert_eq!(store.waiting_events("email", &["open"], 0, 10).unwrap()[0].attempts, 1);
        let letters = store.dead_letters(&Default::default(), 0, 10).unwrap();
        assert_eq!((letters.len(), letters[0].source_id.as_str()), (1, "log-3"));
        assert_eq!(store.journal_cursor("email").unwrap().gone, 1);
        assert_eq!(store.retry_dead_letters(&Default::default()).unwrap(), 1);
        assert_eq!(store.begin_events("email").unwrap(), 1);
        assert_eq!((seqs(&store).len(), store.backlog_size("email").unwrap()), (2, 2));
        let results: Vec<_> = seqs(&store).into_iter().map(|seq| (seq, EventResult::Written)).collect();
        assert_eq!(store.settle_events(run, "email", &results).unwrap(), 0);
        assert!(store.dead_letters(&Default::default(), 0, 10).unwrap().is_empty());
        assert!(store.events_of(ANN).unwrap().is_empty());
        assert_eq!(take(&store, &[event(Some("3"), "c")]).known, 1);
        store.end_run(run, RunOutcome::Completed, &serde_json::Value::Null).unwrap();
    }

    #[test]
    fn what_was_stored_long_ago_is_forgotten_once_a_day() {
        let store = Store::in_memory().unwrap();
        store.begin_events("email").unwrap();
        take(&store, &[event(Some("1"), "a"), event(Some("2"), "b")]);
        let results: Vec<_> = seqs(&store).into_iter().map(|seq| (seq, EventResult::Written)).collect();
        let (run, _) = store.start_run(RunKind::Once, &[]).unwrap();
        store.settle_events(run, "email", &results).unwrap();
        assert_eq!(store.remembered_events().unwrap(), 4);
        let age = |days: i64| {
            let old = |tx: &mut Tx<'_>| {
                let hash = tx.key().hash(&path("email"), "1").cast_signed();
                tx.conn.execute("UPDATE event_seen SET mark = mark - ?1 * 4 WHERE hash = ?2", [days, hash])?;
                tx.conn.execute("UPDATE event_cursor SET pruned_on = 0", [])?;
                Ok(())
            };
            store.write("test", old).unwrap();
            let mut from = Some(i64::MIN);
            while let Some(after) = from {
                from = store.prune_events(after).unwrap();
            }
            store.remembered_events().unwrap()
        };
        assert_eq!(age(REMEMBERED_DAYS), 4);
        assert_eq!(age(1), 3);
        assert_eq!(store.prune_events(i64::MIN).unwrap(), None, "not again on the same day");
    }
}
