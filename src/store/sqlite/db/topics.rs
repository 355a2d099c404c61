//! Opt-outs per topic: the places of services among the bits, profiles that a mapping has just made, and what is kept of deleted ones.
//!
//! The rows are those of every workflow of opt-outs. A new profile is subscribed to nothing, and that says nothing about the person: so the
//! transaction that stores the answer to its create notes that what the contact consents to may be subscribed, once.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};

use super::error::Inside;
use super::kept;
use super::optout_persons::person_of;
use super::optouts::state_of;
use super::store::Store;
use super::tx::{Tx, json_list};
use super::types::millis;
use crate::store::person::PLACES;
use crate::store::{Cursor, Flags, OptoutStage, OptoutState, Person, StoreError};

/// What the name of a workflow of topics has after the mapping's.
const TOPICS: &str = "topics";
/// The number of places, as a place is stored.
const MOST: i64 = PLACES as i64;

/// The opt-out at a stored place.
fn flag(place: i64) -> Flags {
    usize::try_from(place).map_or(Flags::NONE, Flags::of)
}

impl Store {
    /// Begins a workflow of topics, or goes on with it, as [`Store::begin_optouts`] does. Also gives the place of each service. If the
    /// pairs are other ones than before, nothing that was seen of profiles counts any more: it says nothing of a new topic.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn begin_topics(&self, flow: &str, pairs: &str, services: &[String]) -> Result<(OptoutState, Cursor, Vec<Flags>), StoreError> {
        let (state, cursor) = self.begin_optouts(flow, pairs)?;
        let places = self.write("number the topics of opt-outs", |tx| {
            let mapping = tx.mapping(flow)?;
            if state.stage == OptoutStage::Baseline && state.contacts_at.is_none() {
                tx.conn.execute(
                    "UPDATE optout SET c_out = NULL, c_seen = NULL, c_created = NULL, c_no_later = NULL, consents = NULL, fresh = 0, held = 0,
                       lifting = 0 WHERE mapping = ?1 AND d_out IS NULL AND c_out IS NOT NULL",
                    [mapping],
                )?;
            }
            tx.places(mapping, services)
        })?;
        Ok((state, cursor, places))
    }

    /// Keeps what `judge` says of a profile that is about to be deleted: the person as it is known then, and the topics that are kept for
    /// the profile that the mapping may make again. Replaces what was kept of the same contact. Nothing is kept of a forgotten person.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep_topics(
        &self,
        flow: &str,
        id: &str,
        judge: impl FnOnce(Option<Person>) -> (Option<Person>, Flags),
    ) -> Result<(), StoreError> {
        self.write("keep the topics of a profile", |tx| {
            if tx.is_forgotten(id)? {
                return Ok(());
            }
            let mapping = tx.mapping(flow)?;
            let (person, out) = judge(person_of(tx.conn, mapping, id)?);
            tx.keep_out(mapping, id, out)?;
            if let Some(person) = person {
                tx.put_person(mapping, id, &person, None)?;
            }
            Ok(())
        })
    }
}

impl Tx<'_> {
    /// The place of each service, new ones given out.
    fn places(&mut self, mapping: i64, services: &[String]) -> Inside<Vec<Flags>> {
        let mut known: BTreeMap<String, i64> = {
            let mut statement = self.conn.prepare_cached("SELECT service, place FROM optout_topic WHERE mapping = ?1")?;
            statement.query_map([mapping], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?
        };
        let missing = services.iter().filter(|service| !known.contains_key(*service)).count();
        if known.len() + missing > PLACES {
            // More than there are: those of services that are gone are used again.
            self.free_places(mapping, services, &mut known)?;
        }
        let mut places = Vec::with_capacity(services.len());
        for service in services {
            let place = match known.get(service) {
                Some(place) => *place,
                None => {
                    let free = (0..MOST).find(|place| known.values().all(|taken| taken != place));
                    let place = free.ok_or_else(|| StoreError::Damaged { what: "an opt-out block has more topics than places".into() })?;
                    self.conn
                        .prepare_cached("INSERT INTO optout_topic (mapping, place, service) VALUES (?1, ?2, ?3)")?
                        .execute(params![mapping, place, service])?;
                    known.insert(service.clone(), place);
                    place
                }
            };
            places.push(flag(place));
        }
        Ok(places)
    }

    /// Frees the places of services that the mapping does not name any more, with the bits that rows have of them.
    fn free_places(&mut self, mapping: i64, services: &[String], known: &mut BTreeMap<String, i64>) -> Inside<()> {
        let gone: Flags = known.iter().filter(|(name, _)| !services.contains(name)).map(|(_, place)| flag(*place)).collect();
        known.retain(|name, _| services.contains(name));
        self.conn.execute(
            "UPDATE optout SET owed = owed & ~?2, newborn = newborn | (CASE WHEN newborn <> 0 THEN ?2 ELSE 0 END) WHERE mapping = ?1",
            params![mapping, gone.bits()],
        )?;
        self.conn.execute("UPDATE optout_kept SET out = out & ~?2 WHERE mapping = ?1", params![mapping, gone.bits()])?;
        let names = json_list(services);
        self.conn.execute(
            "DELETE FROM optout_topic WHERE mapping = ?1 AND service NOT IN (SELECT value FROM json_each(?2))",
            params![mapping, names],
        )?;
        Ok(())
    }

    /// Replaces what is kept of a contact.
    pub fn keep_out(&mut self, mapping: i64, id: &str, out: Flags) -> Inside<()> {
        let id_hash = kept::hash(&self.key(), id);
        if out.is_empty() {
            self.conn.execute("DELETE FROM optout_kept WHERE mapping = ?1 AND id_hash = ?2", params![mapping, id_hash])?;
        } else {
            self.conn
                .prepare_cached(
                    "INSERT INTO optout_kept (mapping, id_hash, out, at) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (mapping, id_hash) DO UPDATE SET out = excluded.out, at = excluded.at",
                )?
                .execute(params![mapping, id_hash, out.bits(), millis(self.now)])?;
        }
        Ok(())
    }

    /// The workflow of a mapping's topics, if it has one.
    fn topics_of(&mut self, mapping: i64) -> Inside<Option<i64>> {
        if !self.has_topics()? {
            return Ok(None);
        }
        let mut statement = self.conn.prepare_cached(
            "SELECT t.id FROM mapping AS m JOIN mapping AS t ON t.name = m.name || '.' || ?2
             WHERE m.id = ?1 AND EXISTS (SELECT 1 FROM optout_topic WHERE mapping = t.id)",
        )?;
        Ok(statement.query_row(params![mapping, TOPICS], |row| row.get(0)).optional()?)
    }

    /// The mapping has written the profile of a contact that it had not written before, or has made it (`created`). The topics of the
    /// person are looked at. A profile that was made begins with what the contact consents to, except what somebody has opted out of
    /// in an earlier profile: what is kept of it, and what was known of it when it was last seen.
    pub fn note_profile(&mut self, mapping: i64, id: &str, created: bool) -> Inside<()> {
        let Some(flow) = self.topics_of(mapping)? else { return Ok(()) };
        if self.is_forgotten(id)? {
            return Ok(());
        }
        let mut person = person_of(self.conn, flow, id)?.unwrap_or_default();
        if created {
            let kept = self.kept(flow, id)?;
            let born = self.next_change()?;
            person.be_born(kept, born);
            self.spend_kept(flow, id)?;
        }
        person.look = true;
        let stage = state_of(self.conn, flow)?.map_or(OptoutStage::Baseline, |(_, state)| state.stage);
        self.keep_person(flow, id, person, None, true, stage)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Contact, Profile};
    use crate::time::now;

    const FLOW: &str = "contacts.topics";
    const ID: &str = "c0000000-0000-4000-8000-000000000001";

    fn names(services: &[&str]) -> Vec<String> {
        services.iter().map(|name| (*name).to_owned()).collect()
    }

    fn places(store: &Store, services: &[&str]) -> Vec<usize> {
        let (_, _, places) = store.begin_topics(FLOW, &services.join(" "), &names(services)).unwrap();
        places.into_iter().map(|place| place.places().next().unwrap()).collect()
    }

    fn made(store: &Store, created: bool) -> Person {
        let noted = store.write("test", |tx| {
            let mapping = tx.mapping("contacts")?;
            tx.note_profile(mapping, ID, created)
        });
        noted.unwrap();
        store.optout(FLOW, ID).unwrap().unwrap_or_default()
    }

    #[test]
    fn a_service_keeps_its_place_however_the_pairs_change() {
        let store = Store::in_memory().unwrap();
        assert_eq!(places(&store, &["A", "B"]), [0, 1]);
        assert_eq!(places(&store, &["C", "B"]), [2, 1]);
        assert_eq!(places(&store, &["A"]), [0]);
    }

    #[test]
    fn the_places_of_services_that_are_gone_are_used_again_when_no_other_is_free() {
        let store = Store::in_memory().unwrap();
        let many: Vec<String> = (0..PLACES).map(|n| format!("S{n}")).collect();
        store.begin_topics(FLOW, "many", &many).unwrap();
        store.keep_topics(FLOW, ID, |_| (None, Flags::of(5) | Flags::of(6))).unwrap();
        assert_eq!(places(&store, &["S6", "new"]), [6, 0]);
        assert_eq!(store.kept_optouts(FLOW, ID).unwrap(), Flags::of(6));
    }

    #[test]
    fn a_new_profile_begins_without_what_is_kept_and_one_that_others_made_is_only_looked_at() {
        let store = Store::in_memory().unwrap();
        assert_eq!(made(&store, true), Person::default(), "a mapping without topics notes nothing");
        places(&store, &["A", "B"]);
        store.keep_topics(FLOW, ID, |_| (None, Flags::of(1))).unwrap();
        let found = made(&store, false);
        assert_eq!((found.newborn, found.look), (Flags::NONE, true));
        let new = made(&store, true);
        assert_eq!((new.newborn.has(Flags::of(0)), new.newborn.has(Flags::of(1)), new.look), (true, false, true));
        assert_eq!(store.kept_optouts(FLOW, ID).unwrap(), Flags::NONE);
    }

    #[test]
    fn what_the_profile_before_was_known_not_to_be_subscribed_to_against_a_consent_is_not_subscribed_in_the_new_one() {
        let store = Store::in_memory().unwrap();
        places(&store, &["A", "B", "C"]);
        let contact = Contact { out: Flags::of(1), ours: Flags::NONE, changed: now(), version: None };
        let out = Flags::of(0) | Flags::of(1);
        let profile = Profile { out, seen: now(), no_later: now(), created: None, consents: Default::default() };
        let person = Person { contact: Some(contact), profile: Some(profile), ..Person::default() };
        store.keep_topics(FLOW, ID, |_| (Some(person), Flags::NONE)).unwrap();
        let new = made(&store, true);
        assert_eq!([0, 1, 2].map(|place| new.newborn.has(Flags::of(place))), [false, true, true]);
        assert_eq!(new.profile, None);
    }

    #[test]
    fn nothing_is_noted_of_a_forgotten_person() {
        let store = Store::in_memory().unwrap();
        places(&store, &["A"]);
        store.forget(ID).unwrap();
        assert_eq!(made(&store, true), Person::default());
        store.keep_topics(FLOW, ID, |_| (Some(Person::default()), Flags::of(0))).unwrap();
        assert_eq!((store.kept_optouts(FLOW, ID).unwrap(), store.optout(FLOW, ID).unwrap()), (Flags::NONE, None));
    }

    #[test]
    fn other_pairs_count_no_profile_as_seen_and_a_new_profile_stays_one() {
        let store = Store::in_memory().unwrap();
        places(&store, &["A"]);
        made(&store, true);
        let known = store.optout(FLOW, ID).unwrap().unwrap();
        let profile = Profile { out: Flags::of(0), seen: now(), no_later: now(), created: None, consents: Default::default() };
        store.keep_topics(FLOW, ID, |_| (Some(Person { profile: Some(profile), ..known.clone() }), Flags::NONE)).unwrap();
        places(&store, &["A", "B"]);
        let after = store.optout(FLOW, ID).unwrap().unwrap();
        assert_eq!((after.profile, after.newborn, after.born), (None, known.newborn, known.born));
    }
}
