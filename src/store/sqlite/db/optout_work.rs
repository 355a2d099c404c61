//! Persons in workers' hands: handed out, intentions noted before anything is sent, answers stored.

use super::dead_letter::NewDeadLetter;
use super::error::Inside;
use super::optout_persons::person_of;
use super::optouts::state_of;
use super::store::Store;
use super::tx::Tx;
use crate::store::{ClaimedPerson, Flags, OptoutStage, Person, PersonEnd, RunId, StoreError};
use crate::time::Instant;

impl Store {
    /// Takes persons who wait into a run's hands, up to `limit`, those that are due at `now`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn claim_optouts(&self, run: RunId, flow: &str, limit: usize, now: Instant) -> Result<Vec<ClaimedPerson>, StoreError> {
        self.write("claim opt-outs", |tx| {
            let mapping = tx.mapping(flow)?;
            let claimed = tx.claim(run, mapping, limit, now)?;
            let mut persons = Vec::with_capacity(claimed.len());
            for op in claimed {
                let person = person_of(tx.conn, mapping, &op.source_id)?;
                persons.push(ClaimedPerson { seq: op.seq, id: op.source_id, attempts: op.attempts, person });
            }
            Ok(persons)
        })
    }

    /// Stores what is known of a person, and what is about to be written, before it is written. Gives `false` where the
    /// person is not in this file any more, so that nothing may be written.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_intent(&self, flow: &str, id: &str, person: &Person) -> Result<bool, StoreError> {
        self.write("note an intention", |tx| {
            let mapping = tx.mapping(flow)?;
            let Some(known) = person_of(tx.conn, mapping, id)? else { return Ok(false) };
            // What the person was given meanwhile stays.
            let passed = known.passed | person.passed;
            let mut person = Person { owed: known.owed, passed, ..person.clone() };
            if known.born != person.born {
                (person.newborn, person.born) = (known.newborn, known.born);
            }
            tx.put_person(mapping, id, &person, None)?;
            Ok(true)
        })
    }

    /// Records how work on persons ended: of each, the number of the operation, the opt-outs that it was owed when it was claimed, and
    /// the end. All or nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn settle_optouts(&self, run: RunId, flow: &str, ends: Vec<(i64, Flags, PersonEnd)>) -> Result<(), StoreError> {
        self.write("store answers", |tx| {
            let mapping = tx.mapping(flow)?;
            let stage = state_of(tx.conn, mapping)?.map_or(OptoutStage::Baseline, |(_, state)| state.stage);
            for (seq, owed, end) in ends {
                let Some((id, change_no, attempts)) = tx.claimed_unit(run, mapping, seq)? else { continue };
                // A person who was forgotten meanwhile does not come back with an answer.
                let known = person_of(tx.conn, mapping, &id)?.is_some() && !tx.is_forgotten(&id)?;
                match end {
                    PersonEnd::Done(person) => {
                        let held = if known { person.held } else { Flags::NONE };
                        if known {
                            tx.put_worked(mapping, &id, person, owed, stage)?;
                        }
                        tx.settle_person(mapping, seq, &id, held)?;
                        tx.remove_dead_letter(mapping, &id, change_no)?;
                    }
                    PersonEnd::Gone => {
                        tx.contact_gone(mapping, &id)?;
                        tx.remove_op(mapping, seq)?;
                        tx.remove_dead_letter(mapping, &id, change_no)?;
                    }
                    PersonEnd::Retry { person, not_before, error } => {
                        if let (Some(person), true) = (person, known) {
                            tx.put_worked(mapping, &id, person, owed, stage)?;
                        }
                        tx.requeue(seq, false, Some((not_before, &error)))?;
                    }
                    PersonEnd::Failed { person, failure } => {
                        if let (Some(person), true) = (person, known) {
                            tx.put_worked(mapping, &id, person, owed, stage)?;
                        }
                        if known {
                            tx.put_dead_letter(&NewDeadLetter::of_unit(mapping, &id, &failure, run, attempts, change_no))?;
                        }
                        tx.remove_op(mapping, seq)?;
                    }
                    PersonEnd::Released => tx.requeue(seq, false, None)?,
                }
            }
            Ok(())
        })
    }
}

impl Tx<'_> {
    /// Stores what a worker knows of a person. `owed`: what the person was owed when the worker began. What the person was given
    /// since then, by a mapping that deleted the profile or by a merged contact, stays.
    fn put_worked(&mut self, mapping: i64, id: &str, mut person: Person, owed: Flags, stage: OptoutStage) -> Inside<()> {
        let known = person_of(self.conn, mapping, id)?.unwrap_or_default();
        person.owed = known.owed & (person.owed | !owed);
        person.passed = person.passed | known.passed;
        person.keep_born(&known);
        self.pass_on(mapping, id, &mut person, stage)?;
        self.put_person(mapping, id, &person, None)
    }
}
