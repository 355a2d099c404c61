//! What both sides said last of each person's opt-outs, and what waits to be written of it.
//!
//! The rule by which that is judged is not known here: it comes in as a closure, so that a page of what was seen, what follows
//! from it and the mark of how far was read become durable in one transaction. What waits is a row of the outbox
//! (a `refetch`: look at both sides and do what the rule says), so backlog, back-off, recovery after a kill and dead
//! letters are those of every flow.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::Inside;
use super::optout_persons::{page_of, person_of};
use super::store::Store;
use super::tx::mapping_id;
use super::types::{HELD, instant, millis};
use crate::store::{Approval, Cursor, Fate, Mark, OptoutIntake, OptoutStage, OptoutState, Person, Reason, StoreError};
use crate::time::Instant;

pub(super) fn state_of(conn: &Connection, mapping: i64) -> Inside<Option<(String, OptoutState)>> {
    let mut statement = conn.prepare_cached(
        "SELECT pairs, stage, accepted_at, contacts_at, listed_at, polled_at, full_at, high_water, note, warning, approval FROM optout_flow WHERE mapping = ?1",
    )?;
    let row = statement.query_row([mapping], |row| {
        let time = |n: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(n)?.map(instant));
        let state = OptoutState {
            stage: row.get(1)?,
            accepted_at: time(2)?,
            contacts_at: time(3)?,
            listed_at: time(4)?,
            polled_at: time(5)?,
            full_at: time(6)?,
            high_water: time(7)?,
            note: row.get(8)?,
            warning: row.get(9)?,
            approval: row.get(10)?,
        };
        Ok((row.get(0)?, state))
    });
    Ok(row.optional()?)
}

impl Store {
    /// Returns the phase of a flow of opt-outs; `None` if it has never run.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn optout_state(&self, flow: &str) -> Result<Option<OptoutState>, StoreError> {
        self.read("read the phase of opt-outs", |conn, _| match mapping_id(conn, flow)? {
            Some(mapping) => Ok(state_of(conn, mapping)?.map(|(_, state)| state)),
            None => Ok(None),
        })
    }

    /// Begins a flow, or goes on with it. `pairs` tells which fields are compared: where it is another than before, both sides
    /// are read again and the differences have to be accepted again. Returns the phase of the flow and its cursor on contacts.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn begin_optouts(&self, flow: &str, pairs: &str) -> Result<(OptoutState, Cursor), StoreError> {
        self.write("begin opt-outs", |tx| {
            let mapping = tx.mapping(flow)?;
            let cursor = tx.cursor_or_first(mapping, pairs)?;
            let known = state_of(tx.conn, mapping)?;
            let cursor = match &known {
                Some((before, state)) if before == pairs => return Ok((state.clone(), cursor)),
                Some(_) => {
                    // What was seen of fields that are no longer meant says nothing of those that are.
                    // What Campaign has counts as seen for the first time: which changes are followed may be another choice too.
                    tx.conn.execute(
                        "UPDATE optout SET d_out = NULL, d_changed = NULL, d_version = NULL, d_ours = 0, raising = 0, lowering = 0, lifting = 0, held = 0,
                           fresh = coalesce(c_out, 0) WHERE mapping = ?1",
                        [mapping],
                    )?;
                    let removed = tx.conn.execute("DELETE FROM outbox WHERE mapping = ?1", [mapping])?;
                    tx.tally(mapping).outbox_rows -= i64::try_from(removed).unwrap_or(0);
                    tx.restart(mapping, &cursor, Reason::Resync, pairs)?
                }
                None => cursor,
            };
            tx.conn.execute(
                "INSERT INTO optout_flow (mapping, pairs, stage) VALUES (?1, ?2, 'baseline')
                 ON CONFLICT (mapping) DO UPDATE SET pairs = excluded.pairs, stage = 'baseline', accepted_at = NULL, contacts_at = NULL,
                   listed_at = NULL, note = NULL, approval = NULL",
                params![mapping, pairs],
            )?;
            match state_of(tx.conn, mapping)? {
                Some((_, state)) => Ok((state, cursor)),
                None => Err(StoreError::Damaged { what: "a workflow of opt-outs was removed while it started".into() }.into()),
            }
        })
    }

    /// Stores what was seen of persons, and how far was read, in one transaction. `judge` says what happens to each;
    /// persons who were forgotten are not shown to it. Nothing is queued until both sides have been read in full.
    ///
    /// # Errors
    /// [`StoreError::CursorMoved`] when a page was read from another place; when the file cannot be written.
    pub fn store_optouts<S>(
        &self,
        flow: &str,
        sights: Vec<(String, S)>,
        mark: Mark,
        mut judge: impl FnMut(&str, Option<Person>, S) -> Fate,
    ) -> Result<OptoutIntake, StoreError> {
        self.write("store opt-outs", |tx| {
            let mapping = tx.mapping(flow)?;
            let stage = state_of(tx.conn, mapping)?.map_or(OptoutStage::Baseline, |(_, state)| state.stage);
            let generation = match &mark {
                Mark::Contacts { from, .. } => {
                    tx.expect_cursor(flow, mapping, from)?;
                    Some(from.generation)
                }
                Mark::Profiles | Mark::Export(_) => None,
            };
            let mut outcome = OptoutIntake::default();
            for (id, sight) in sights {
                outcome.records += 1;
                if tx.is_forgotten(&id)? {
                    outcome.forgotten += 1;
                    continue;
                }
                match judge(&id, person_of(tx.conn, mapping, &id)?, sight) {
                    Fate::Keep { person, due } => {
                        outcome.queued += u64::from(tx.keep_person(mapping, &id, *person, generation, due, stage)?);
                    }
                    Fate::Drop => tx.drop_person(mapping, &id)?,
                    Fate::Same { seen } => {
                        outcome.unchanged += 1;
                        tx.conn
                            .prepare_cached("UPDATE optout SET c_seen = ?3 WHERE mapping = ?1 AND source_id = ?2 AND c_seen IS NOT NULL")?
                            .execute(params![mapping, id, millis(seen)])?;
                    }
                    Fate::Leave => {
                        outcome.unchanged += 1;
                        if let Some(generation) = generation {
                            tx.conn
                                .prepare_cached(
                                    "UPDATE optout SET generation = ?3 WHERE mapping = ?1 AND source_id = ?2 AND generation < ?3",
                                )?
                                .execute(params![mapping, id, generation])?;
                        }
                    }
                }
            }
            match mark {
                Mark::Contacts { from, to } => outcome.gone = tx.move_contacts(mapping, from, to)?,
                Mark::Profiles => {}
                Mark::Export(mark) => tx.note_export(flow, &mark)?,
            }
            let rows: i64 =
                tx.conn.prepare_cached("SELECT outbox_rows FROM mapping WHERE id = ?1")?.query_row([mapping], |row| row.get(0))?;
            outcome.backlog = u64::try_from(rows + tx.tally(mapping).outbox_rows).unwrap_or(0);
            Ok(outcome)
        })
    }

    /// A complete reading of profiles, which began at `began`, is over; `full`: it was one of all profiles. `high_water`: up to which
    /// change it reaches, by Campaign's clock. A reading that breaks off must not call this.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn end_poll(&self, flow: &str, began: Instant, full: bool, high_water: Option<Instant>) -> Result<(), StoreError> {
        self.write("note a reading of profiles", |tx| {
            let mapping = tx.mapping(flow)?;
            tx.conn.execute("UPDATE optout_flow SET polled_at = ?2 WHERE mapping = ?1", params![mapping, millis(began)])?;
            if let Some(at) = high_water {
                tx.conn.execute(
                    "UPDATE optout_flow SET high_water = max(coalesce(high_water, ?2), ?2) WHERE mapping = ?1",
                    params![mapping, millis(at)],
                )?;
            }
            if full {
                let now = millis(tx.now);
                tx.conn.execute(
                    "UPDATE optout_flow SET full_at = ?2, listed_at = coalesce(listed_at, ?3) WHERE mapping = ?1",
                    params![mapping, millis(began), now],
                )?;
            }
            Ok(())
        })
    }

    /// Notes that the differences that were found first may be written. Gives whether there was such a flow.
    ///
    /// # Errors
    /// When the file cannot be written.
    #[cfg(any(test, feature = "internals"))]
    pub fn accept_optouts(&self, flow: &str) -> Result<bool, StoreError> {
        self.decide_optouts(flow, Approval::Write)
    }

    /// Notes what is to become of the differences that were found first; the next round carries it out. Gives whether there was such a
    /// flow.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn decide_optouts(&self, flow: &str, approval: Approval) -> Result<bool, StoreError> {
        self.write("note a decision about differences", |tx| {
            let mapping = tx.mapping(flow)?;
            let accepted = (approval == Approval::Write).then(|| millis(tx.now));
            let found = tx.conn.execute(
                "UPDATE optout_flow SET accepted_at = coalesce(accepted_at, ?2), approval = ?3 WHERE mapping = ?1",
                params![mapping, accepted, approval],
            )?;
            Ok(found > 0)
        })
    }

    /// Carries out a decision about the opt-outs that only Campaign had when they were first seen: Dynamics' consents are queued, or the opt-outs stay
    /// and are no longer held.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn carry_out_approval(&self, flow: &str, approval: Approval) -> Result<(), StoreError> {
        self.write("carry out a decision about differences", |tx| {
            let mapping = tx.mapping(flow)?;
            let write = approval == Approval::Write;
            tx.conn.execute(
                "UPDATE outbox SET not_before = 0 WHERE mapping = ?1 AND not_before = ?2
                   AND key IN (SELECT source_id FROM optout WHERE mapping = ?1 AND held <> 0)",
                params![mapping, HELD],
            )?;
            tx.conn.execute(
                "UPDATE optout SET fresh = CASE WHEN ?2 THEN fresh | held ELSE fresh END, held = 0 WHERE mapping = ?1 AND held <> 0",
                params![mapping, write],
            )?;
            tx.conn.execute("UPDATE optout_flow SET approval = NULL, note = NULL WHERE mapping = ?1", [mapping])?;
            Ok(())
        })
    }

    /// Persons with opt-outs that are held.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn held_optouts(&self, flow: &str) -> Result<u64, StoreError> {
        self.read("count opt-outs that are held", |conn, _| {
            let Some(mapping) = mapping_id(conn, flow)? else { return Ok(0) };
            let mut statement = conn.prepare_cached("SELECT COUNT(*) FROM optout WHERE mapping = ?1 AND held <> 0")?;
            let count: i64 = statement.query_row([mapping], |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
    }

    /// Operations of a flow that are queued and need approval first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn held_operations(&self, flow: &str) -> Result<u64, StoreError> {
        self.read("count operations that are held", |conn, _| {
            let Some(mapping) = mapping_id(conn, flow)? else { return Ok(0) };
            let mut statement =
                conn.prepare_cached("SELECT COUNT(*) FROM outbox WHERE mapping = ?1 AND state = 'ready' AND not_before = ?2")?;
            let count: i64 = statement.query_row(params![mapping, HELD], |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
    }

    /// Notes how far a flow has come. What was held is free to go once it is live, except opt-outs that need a separate decision.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_optout_stage(&self, flow: &str, stage: OptoutStage, note: Option<&str>) -> Result<(), StoreError> {
        self.write("note how far opt-outs are", |tx| {
            let mapping = tx.mapping(flow)?;
            tx.conn.execute("UPDATE optout_flow SET stage = ?2, note = ?3 WHERE mapping = ?1", params![mapping, stage, note])?;
            if stage == OptoutStage::Live {
                tx.conn.execute(
                    "UPDATE outbox SET not_before = 0 WHERE mapping = ?1 AND not_before = ?2
                       AND key NOT IN (SELECT source_id FROM optout WHERE mapping = ?1 AND held <> 0)",
                    params![mapping, HELD],
                )?;
            }
            Ok(())
        })
    }

    /// Notes what is wrong with the exports of a flow, or that nothing is.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn warn_of_exports(&self, flow: &str, warning: Option<&str>) -> Result<(), StoreError> {
        self.write("note how exports are", |tx| {
            let mapping = tx.mapping(flow)?;
            tx.conn.execute("UPDATE optout_flow SET warning = ?2 WHERE mapping = ?1", params![mapping, warning])?;
            Ok(())
        })
    }

    /// Queues those of up to `limit` persons behind `after` of whom `due` says so; `held`: not before they are approved. Gives
    /// the last of them, none at the end, and how many were queued.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn queue_optouts(
        &self,
        flow: &str,
        after: &str,
        limit: usize,
        held: bool,
        due: impl Fn(&Person) -> bool,
    ) -> Result<(Option<String>, u64), StoreError> {
        self.write("queue opt-outs", |tx| {
            let mapping = tx.mapping(flow)?;
            let page = page_of(tx.conn, mapping, after, limit)?;
            let mut queued = 0;
            for (id, person) in &page {
                if due(person) || !person.held.is_empty() {
                    tx.queue_person(mapping, id, held || !due(person))?;
                    queued += 1;
                }
            }
            Ok((page.into_iter().next_back().map(|(id, _)| id), queued))
        })
    }

    /// Up to `limit` persons behind `after`, by their ids.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn optouts(&self, flow: &str, after: &str, limit: usize) -> Result<Vec<(String, Person)>, StoreError> {
        self.read("read opt-outs", |conn, _| match mapping_id(conn, flow)? {
            Some(mapping) => page_of(conn, mapping, after, limit),
            None => Ok(Vec::new()),
        })
    }

    /// One person.
    ///
    /// # Errors
    /// When the file cannot be read.
    #[cfg(any(test, feature = "internals"))]
    pub fn optout(&self, flow: &str, id: &str) -> Result<Option<Person>, StoreError> {
        self.read("read an opt-out", |conn, _| match mapping_id(conn, flow)? {
            Some(mapping) => person_of(conn, mapping, id),
            None => Ok(None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Contact, Flags, PersonEnd, Profile};
    use crate::time::now;

    const FLOW: &str = "contacts.optout";
    const ID: &str = "c0000000-0000-4000-8000-000000000001";

    fn person() -> Person {
        let at = |ms| instant(ms);
        let mut profile =
            Profile { out: Flags::of(1), seen: at(2_000), no_later: at(2_500), created: Some(at(500)), consents: Default::default() };
        profile.note_consent(Flags::of(4), at(1_500));
        let contact = Contact { out: Flags::of(4), ours: Flags::NONE, changed: at(1_000), version: Some("W/\"7\"".to_owned()) };
        Person {
            contact: Some(contact),
            profile: Some(profile),
            fresh: Flags::of(2),
            look: true,
            raising: Flags::of(3),
            lowering: Flags::of(5),
            held: Flags::of(6),
            owed: Flags::of(7),
            master: Some("c0000000-0000-4000-8000-000000000002".to_owned()),
            passed: Flags::ALL,
            lifting: Flags::of(0),
            newborn: Flags::of(40),
            born: 9,
        }
    }

    fn seen(store: &Store, person: &Person) -> OptoutIntake {
        store
            .store_optouts(FLOW, vec![(ID.to_owned(), person.clone())], Mark::Profiles, |_, _, person| Fate::Keep {
                person: Box::new(person),
                due: true,
            })
            .unwrap()
    }

    #[test]
    fn a_person_comes_back_from_its_row_as_it_was() {
        let store = Store::in_memory().unwrap();
        store.begin_optouts(FLOW, "pairs").unwrap();
        for known in [person(), Person::default(), Person { profile: None, ..person() }, Person { contact: None, ..person() }] {
            seen(&store, &known);
            assert_eq!(store.optout(FLOW, ID).unwrap(), Some(known));
        }
    }

    #[test]
    fn nothing_waits_before_both_sides_are_known_and_what_is_held_waits_until_the_flow_is_live() {
        let store = Store::in_memory().unwrap();
        store.begin_optouts(FLOW, "pairs").unwrap();
        let (run, _) = store.start_run(crate::store::RunKind::Once, &[FLOW.to_owned()]).unwrap();
        assert_eq!(seen(&store, &Person { held: Flags::NONE, ..person() }).backlog, 0);
        store.set_optout_stage(FLOW, OptoutStage::Held, Some("approval is needed")).unwrap();
        assert_eq!(seen(&store, &Person { held: Flags::NONE, ..person() }).backlog, 1);
        assert!(store.claim_optouts(run, FLOW, 10, now()).unwrap().is_empty());
        assert!(store.due(now()).unwrap().is_empty(), "no person is due for it");
        store.set_optout_stage(FLOW, OptoutStage::Live, None).unwrap();
        assert_eq!(store.claim_optouts(run, FLOW, 10, now()).unwrap().len(), 1);
    }

    #[test]
    fn an_answer_does_not_bring_back_a_person_who_was_forgotten_meanwhile() {
        let store = Store::in_memory().unwrap();
        store.begin_optouts(FLOW, "pairs").unwrap();
        let (run, _) = store.start_run(crate::store::RunKind::Once, &[FLOW.to_owned()]).unwrap();
        store.set_optout_stage(FLOW, OptoutStage::Live, None).unwrap();
        seen(&store, &person());
        let claimed = store.claim_optouts(run, FLOW, 10, now()).unwrap().remove(0);
        let forgotten = store.write("test", |tx| {
            tx.forget_id(ID)?;
            let mapping = tx.mapping(FLOW)?;
            tx.drop_person(mapping, ID)?;
            tx.conn.execute("DELETE FROM optout", [])?;
            Ok(())
        });
        forgotten.unwrap();
        assert!(!store.note_intent(FLOW, ID, &person()).unwrap());
        store.settle_optouts(run, FLOW, vec![(claimed.seq, Flags::NONE, PersonEnd::Done(person()))]).unwrap();
        assert_eq!((seen(&store, &person()).forgotten, store.optout(FLOW, ID).unwrap()), (1, None));
        assert_eq!(store.backlog_size(FLOW).unwrap(), 0);
    }

    #[test]
    fn of_a_contact_that_is_gone_the_profile_stays_known_and_is_looked_at_when_the_contact_returns() {
        let store = Store::in_memory().unwrap();
        store.begin_optouts(FLOW, "pairs").unwrap();
        store.set_optout_stage(FLOW, OptoutStage::Live, None).unwrap();
        seen(&store, &person());
        let gone = || store.store_optouts(FLOW, vec![(ID.to_owned(), ())], Mark::Profiles, |_, _, ()| Fate::Drop);
        gone().unwrap();
        let Person { owed, master, passed, profile, .. } = person();
        let kept = Person { profile, fresh: Flags::of(1), look: true, owed, master, passed, ..Person::default() };
        assert_eq!(store.optout(FLOW, ID).unwrap(), Some(kept));
        assert_eq!(store.backlog_size(FLOW).unwrap(), 0);
        // Of one that has no profile nothing is kept.
        seen(&store, &Person { profile: None, owed: Flags::NONE, ..person() });
        gone().unwrap();
        assert_eq!(store.optout(FLOW, ID).unwrap(), None);
    }

    #[test]
    fn other_pairs_begin_again_and_the_same_pairs_go_on() {
        let store = Store::in_memory().unwrap();
        store.begin_optouts(FLOW, "pairs").unwrap();
        store.accept_optouts(FLOW).unwrap();
        store.set_optout_stage(FLOW, OptoutStage::Live, None).unwrap();
        seen(&store, &person());
        assert_eq!(store.begin_optouts(FLOW, "pairs").unwrap().0.stage, OptoutStage::Live);
        let (state, cursor) = store.begin_optouts(FLOW, "others").unwrap();
        assert_eq!((state.stage, state.accepted_at, cursor.link), (OptoutStage::Baseline, None, None));
        assert_eq!((store.backlog_size(FLOW).unwrap(), store.optout(FLOW, ID).unwrap().unwrap().contact), (0, None));
    }
}
