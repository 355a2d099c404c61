//! The rows of persons: how what both sides said last is kept, queued, held and dropped.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::Inside;
use super::outbox::{NewOp, Queued};
use super::tx::Tx;
use super::types::{HELD, instant, millis};
use crate::store::{ATTRIBUTES, Contact, Cursor, CursorMove, Flags, Op, OptoutStage, Person, Phase, Profile, Reason};

const COLUMNS: &str = "d_out, d_ours, d_changed, d_version, c_out, c_seen, c_created, consents, fresh, look, raising, lowering, held, owed, master, passed, lifting, c_no_later, newborn, born, source_id";

fn from_row(row: &Row<'_>) -> rusqlite::Result<(String, Person)> {
    let flags = |n: usize| row.get::<_, i64>(n).map(Flags::from_bits);
    let contact = match (row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(2)?) {
        (Some(out), Some(changed)) => {
            Some(Contact { out: Flags::from_bits(out), ours: flags(1)?, changed: instant(changed), version: row.get(3)? })
        }
        (Some(_) | None, _) => None,
    };
    let profile = match (row.get::<_, Option<i64>>(4)?, row.get::<_, Option<i64>>(5)?) {
        (Some(out), Some(seen)) => {
            let mut consents = [None; ATTRIBUTES];
            // Our own JSON; if it were damaged, the times would be unknown, and unknown times favor the opt-out.
            let known: Vec<(usize, i64)> = row.get::<_, Option<String>>(7)?.and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default();
            for (place, at) in known {
                if let Some(consent) = consents.get_mut(place) {
                    *consent = Some(instant(at));
                }
            }
            let created = row.get::<_, Option<i64>>(6)?.map(instant);
            // It is written with each profile. A time that is not known must not lift an opt-out.
            let no_later = row.get::<_, Option<i64>>(17)?.map_or_else(|| instant(HELD), instant);
            Some(Profile { out: Flags::from_bits(out), seen: instant(seen), no_later, created, consents })
        }
        (Some(_) | None, _) => None,
    };
    let person = Person {
        contact,
        profile,
        fresh: flags(8)?,
        look: row.get(9)?,
        raising: flags(10)?,
        lowering: flags(11)?,
        held: flags(12)?,
        owed: flags(13)?,
        master: row.get(14)?,
        passed: flags(15)?,
        lifting: flags(16)?,
        newborn: flags(18)?,
        born: row.get(19)?,
    };
    Ok((row.get(20)?, person))
}

pub(super) fn person_of(conn: &Connection, mapping: i64, id: &str) -> Inside<Option<Person>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM optout WHERE mapping = ?1 AND source_id = ?2"))?;
    Ok(statement.query_row(params![mapping, id], from_row).optional()?.map(|(_, person)| person))
}

/// Up to `limit` persons after an id.
pub(super) fn page_of(conn: &Connection, mapping: i64, after: &str, limit: usize) -> Inside<Vec<(String, Person)>> {
    let mut statement =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM optout WHERE mapping = ?1 AND source_id > ?2 ORDER BY source_id LIMIT ?3"))?;
    let rows = statement.query_map(params![mapping, after, i64::try_from(limit).unwrap_or(i64::MAX)], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Contacts that were merged into one another, one after the other, at most: a cycle must not go on forever.
const MERGES: usize = 16;

impl Tx<'_> {
    /// Keeps what is known of a person, gives the contact that it was merged into what that one is owed, and queues what is due. Gives
    /// whether the person is queued.
    pub fn keep_person(
        &mut self,
        mapping: i64,
        id: &str,
        mut person: Person,
        generation: Option<i64>,
        due: bool,
        stage: OptoutStage,
    ) -> Inside<bool> {
        self.pass_on(mapping, id, &mut person, stage)?;
        self.put_person(mapping, id, &person, generation)?;
        match (stage, due, person.held.is_empty()) {
            (OptoutStage::Baseline, ..) => return Ok(false),
            (OptoutStage::Held | OptoutStage::Live, true, _) => self.queue_person(mapping, id, stage == OptoutStage::Held)?,
            (OptoutStage::Held | OptoutStage::Live, false, false) => self.queue_person(mapping, id, true)?,
            (OptoutStage::Held, false, true) => {}
            // Nothing is held any more: the operation that was queued for it finds nothing to do.
            (OptoutStage::Live, false, true) => {
                self.conn
                    .prepare_cached(
                        "UPDATE outbox SET not_before = 0 WHERE mapping = ?1 AND key = ?2 AND state = 'ready' AND not_before = ?3",
                    )?
                    .execute(params![mapping, id, HELD])?;
            }
        }
        Ok(due)
    }

    /// Gives the contact that this one was merged into the opt-outs of this one's profile that it was not given yet.
    pub fn pass_on(&mut self, mapping: i64, id: &str, person: &mut Person, stage: OptoutStage) -> Inside<()> {
        let (mut from, mut master) = (id.to_owned(), person.master.clone());
        let out = person.profile.as_ref().map_or(Flags::NONE, |profile| profile.out) | person.owed;
        let mut news = out & !person.passed;
        person.passed = person.passed | if master.is_some() { news } else { Flags::NONE };
        for _ in 0..MERGES {
            let Some(survivor) = master.take().filter(|survivor| *survivor != from && *survivor != id) else { return Ok(()) };
            if news.is_empty() || self.is_forgotten(&survivor)? {
                return Ok(());
            }
            let mut known = person_of(self.conn, mapping, &survivor)?.unwrap_or_default();
            let has = known.contact.as_ref().map_or(Flags::NONE, |contact| contact.out);
            known.owed = known.owed | (news & !has);
            master.clone_from(&known.master);
            if master.is_some() {
                (news, known.passed) = (news & !known.passed, known.passed | news);
            }
            self.put_person(mapping, &survivor, &known, None)?;
            if stage != OptoutStage::Baseline {
                self.queue_person(mapping, &survivor, stage == OptoutStage::Held)?;
            }
            from = survivor;
        }
        Ok(())
    }

    pub fn put_person(&mut self, mapping: i64, id: &str, person: &Person, generation: Option<i64>) -> Inside<()> {
        let Person { contact, profile, fresh, look, raising, lowering, held, owed, master, passed, lifting, newborn, born } = person;
        let consents = profile.as_ref().and_then(|profile| {
            let known: Vec<(usize, i64)> =
                profile.consents.iter().enumerate().filter_map(|(place, at)| Some((place, millis((*at)?)))).collect();
            (!known.is_empty()).then(|| serde_json::json!(known).to_string())
        });
        self.conn
            .prepare_cached(
                "INSERT INTO optout (mapping, source_id, d_out, d_ours, d_changed, d_version, c_out, c_seen, c_created, consents, fresh, look,
                   raising, lowering, held, owed, master, passed, lifting, c_no_later, newborn, born, generation)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, coalesce(?15, 0))
                 ON CONFLICT (mapping, source_id) DO UPDATE SET d_out = excluded.d_out, d_ours = excluded.d_ours, d_changed = excluded.d_changed,
                   d_version = excluded.d_version, c_out = excluded.c_out, c_seen = excluded.c_seen, c_created = excluded.c_created,
                   consents = excluded.consents, fresh = excluded.fresh, look = excluded.look, raising = excluded.raising,
                   lowering = excluded.lowering, held = excluded.held, owed = excluded.owed, master = excluded.master,
                   passed = excluded.passed, lifting = excluded.lifting, c_no_later = excluded.c_no_later, newborn = excluded.newborn,
                   born = excluded.born,
                   generation = coalesce(?15, generation)",
            )?
            .execute(params![
                mapping,
                id,
                contact.as_ref().map(|c| c.out.bits()),
                contact.as_ref().map_or(0, |c| c.ours.bits()),
                contact.as_ref().map(|c| millis(c.changed)),
                contact.as_ref().and_then(|c| c.version.as_deref()),
                profile.as_ref().map(|p| p.out.bits()),
                profile.as_ref().map(|p| millis(p.seen)),
                profile.as_ref().and_then(|p| p.created).map(millis),
                consents,
                fresh.bits(),
                look,
                raising.bits(),
                lowering.bits(),
                generation,
                held.bits(),
                owed.bits(),
                master,
                passed.bits(),
                lifting.bits(),
                profile.as_ref().map(|p| millis(p.no_later)),
                newborn.bits(),
                born
            ])?;
        Ok(())
    }

    /// Queues a person; `held`: not before they are approved.
    pub fn queue_person(&mut self, mapping: i64, id: &str, held: bool) -> Inside<()> {
        let change_no = self.next_change()?;
        let new =
            NewOp { key: id, source_id: id, op: Op::Refetch, payload: None, with_initial: false, rewrite: false, generation: 0, change_no };
        match (self.enqueue(mapping, &new)?, held) {
            (Queued::Inserted, true) => self.hold_person(mapping, id),
            // What is due does not wait for the approval of something else.
            (Queued::Coalesced, false) => {
                self.conn
                    .prepare_cached(
                        "UPDATE outbox SET not_before = 0 WHERE mapping = ?1 AND key = ?2 AND state = 'ready' AND not_before = ?3",
                    )?
                    .execute(params![mapping, id, HELD])?;
                Ok(())
            }
            (Queued::Inserted, false) | (Queued::Coalesced, true) => Ok(()),
        }
    }

    fn hold_person(&mut self, mapping: i64, id: &str) -> Inside<()> {
        self.conn
            .prepare_cached("UPDATE outbox SET not_before = ?3 WHERE mapping = ?1 AND key = ?2 AND state = 'ready'")?
            .execute(params![mapping, id, HELD])?;
        Ok(())
    }

    /// Work on a person is done: the operation goes, or is held if the person has opt-outs that need approval.
    pub fn settle_person(&mut self, mapping: i64, seq: i64, id: &str, held: Flags) -> Inside<()> {
        let newer: bool = self
            .conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM outbox WHERE mapping = ?1 AND key = ?2 AND state = 'ready')")?
            .query_row(params![mapping, id], |row| row.get(0))?;
        if held.is_empty() || newer {
            return self.remove_op(mapping, seq);
        }
        self.requeue(seq, false, None)?;
        self.hold_person(mapping, id)
    }

    /// The contact is gone. A profile stays known: the contact may come back, restored or visible again, and a listing of changes does
    /// not bring a profile that has not changed a second time. So do opt-outs that the contact is owed.
    pub fn contact_gone(&mut self, mapping: i64, id: &str) -> Inside<()> {
        let Some(known) = person_of(self.conn, mapping, id)? else { return Ok(()) };
        let Person { profile, owed, master, passed, .. } = known;
        let kept = Person { owed, master, passed, ..Person::default() };
        match profile {
            Some(profile) => {
                // With the contact the profile may have gone too, or have been created again: a contact that comes back is read, as when it
                // is first seen.
                let person = Person { fresh: profile.out, look: true, profile: Some(profile), ..kept };
                self.put_person(mapping, id, &person, None)
            }
            None if !owed.is_empty() => self.put_person(mapping, id, &kept, None),
            None => {
                self.conn.prepare_cached("DELETE FROM optout WHERE mapping = ?1 AND source_id = ?2")?.execute(params![mapping, id])?;
                Ok(())
            }
        }
    }

    /// The contact is gone: what is known of it, what waits for it, and what failed.
    pub fn drop_person(&mut self, mapping: i64, id: &str) -> Inside<()> {
        self.contact_gone(mapping, id)?;
        let removed = self
            .conn
            .prepare_cached("DELETE FROM outbox WHERE mapping = ?1 AND key = ?2 AND state = 'ready'")?
            .execute(params![mapping, id])?;
        self.tally(mapping).outbox_rows -= i64::try_from(removed).unwrap_or(0);
        self.remove_dead_letter(mapping, id, i64::MAX)?;
        Ok(())
    }

    /// Moves the cursor of contacts, and drops those that a full load did not see. Gives how many these are.
    pub fn move_contacts(&mut self, mapping: i64, from: Cursor, to: CursorMove) -> Inside<u64> {
        let mut gone = 0;
        let cursor = match to {
            CursorMove::Next(link) => Cursor { link: Some(link), ..from },
            CursorMove::RoundEnd { link, .. } => {
                if from.phase == Phase::Full {
                    // A contact that a full load did not see is gone, and its tombstone was missed. Profiles without a contact stay.
                    loop {
                        let ids: Vec<String> = {
                            let mut statement = self.conn.prepare_cached(
                                "SELECT source_id FROM optout WHERE mapping = ?1 AND d_out IS NOT NULL AND generation < ?2 LIMIT 10000",
                            )?;
                            statement.query_map(params![mapping, from.generation], |row| row.get(0))?.collect::<Result<_, _>>()?
                        };
                        if ids.is_empty() {
                            break;
                        }
                        gone += ids.len() as u64;
                        for id in &ids {
                            self.drop_person(mapping, id)?;
                        }
                    }
                    self.conn
                        .prepare_cached("UPDATE optout_flow SET contacts_at = coalesce(contacts_at, ?2) WHERE mapping = ?1")?
                        .execute(params![mapping, millis(self.now)])?;
                }
                match (link, from.phase) {
                    (Some(link), Phase::Full | Phase::Delta) => Cursor { phase: Phase::Delta, link: Some(link), ..from },
                    (None, Phase::Delta) => from,
                    (None, Phase::Full) => Cursor { reason: Reason::Resync, link: None, generation: from.generation + 1, ..from },
                }
            }
            CursorMove::Restart { reason, plan_fingerprint } => {
                self.restart(mapping, &from, reason, &plan_fingerprint)?;
                return Ok(0);
            }
        };
        self.put_cursor(mapping, cursor)?;
        Ok(gone)
    }
}
