//! Opt-outs of profiles that a mapping deletes. Campaign may have the only copy of a "no"; it is on disk here before the profile goes, and
//! in the request that makes the profile again if the contact comes back. The contact's id is kept as a keyed hash only.

use rusqlite::{OptionalExtension, params};

use super::error::Inside;
use super::optout_persons::person_of;
use super::optouts::state_of;
use super::store::Store;
use super::tx::Tx;
use crate::store::{Flags, OptoutStage, Person, StoreError, fingerprint::HashKey};

/// The first part of the hash, different from every target path and from that of tombstones.
const PATH: &str = "\u{1f}optout";

pub(super) fn hash(key: &HashKey, source_id: &str) -> i64 {
    key.hash(PATH, &source_id.to_ascii_lowercase()).cast_signed()
}

impl Store {
    /// Keeps the opt-outs of a profile that is about to be deleted, in one transaction: `out` under the contact's hash for `mapping`, and in
    /// the workflow of its opt-outs, `flow`, what `judge` makes of the person (with whether there is something to write). What was kept
    /// before of the same contact is replaced, since the profile was just read. Nothing is kept of a forgotten person.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep_optouts(
        &self,
        mapping: &str,
        flow: &str,
        id: &str,
        out: Flags,
        judge: impl FnOnce(Option<Person>) -> (Person, bool),
    ) -> Result<(), StoreError> {
        self.write("keep the opt-outs of a profile", |tx| {
            if tx.is_forgotten(id)? {
                return Ok(());
            }
            let mapping = tx.mapping(mapping)?;
            tx.keep_out(mapping, id, out)?;
            let flow = tx.mapping(flow)?;
            let known = person_of(tx.conn, flow, id)?;
            if known.is_some() || !out.is_empty() {
                let (person, due) = judge(known);
                let stage = state_of(tx.conn, flow)?.map_or(OptoutStage::Baseline, |(_, state)| state.stage);
                tx.keep_person(flow, id, person, None, due, stage)?;
            }
            Ok(())
        })
    }

    /// The opt-outs that are kept of a contact whose profile a mapping has deleted.
    ///
    /// # Errors
    /// When the file cannot be read.
    #[cfg(any(test, feature = "internals"))]
    pub fn kept_optouts(&self, mapping: &str, id: &str) -> Result<Flags, StoreError> {
        self.read("look for kept opt-outs", |conn, key| {
            let mut statement = conn
                .prepare_cached("SELECT out FROM optout_kept WHERE mapping = (SELECT id FROM mapping WHERE name = ?1) AND id_hash = ?2")?;
            let out = statement.query_row(params![mapping, hash(key, id)], |row| row.get(0)).optional()?;
            Ok(out.map_or(Flags::NONE, Flags::from_bits))
        })
    }
}

impl Tx<'_> {
    /// What is kept for the profile of a contact.
    pub fn kept(&mut self, mapping: i64, source_id: &str) -> Inside<Flags> {
        if !self.has_kept()? {
            return Ok(Flags::NONE);
        }
        let mut statement = self.conn.prepare_cached("SELECT out FROM optout_kept WHERE mapping = ?1 AND id_hash = ?2")?;
        let out = statement.query_row(params![mapping, hash(&self.key(), source_id)], |row| row.get(0)).optional()?;
        Ok(out.map_or(Flags::NONE, Flags::from_bits))
    }

    /// The profile has what was kept for it.
    pub fn spend_kept(&mut self, mapping: i64, source_id: &str) -> Inside<()> {
        if !self.has_kept()? {
            return Ok(());
        }
        let id_hash = hash(&self.key(), source_id);
        self.conn.prepare_cached("DELETE FROM optout_kept WHERE mapping = ?1 AND id_hash = ?2")?.execute(params![mapping, id_hash])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "c0000000-0000-4000-8000-000000000001";

    fn keep(store: &Store, out: Flags) {
        store.keep_optouts("contacts", "contacts.optout", ID, out, |_| (Person { owed: out, ..Person::default() }, true)).unwrap();
    }

    #[test]
    fn what_is_kept_is_found_by_the_id_in_either_case_replaced_by_a_newer_reading_and_gone_once_it_is_written() {
        let store = Store::in_memory().unwrap();
        assert_eq!(store.kept_optouts("contacts", ID).unwrap(), Flags::NONE);
        keep(&store, Flags::of(1) | Flags::of(4));
        assert_eq!(store.kept_optouts("contacts", &ID.to_uppercase()).unwrap(), Flags::of(1) | Flags::of(4));
        assert_eq!(store.optout("contacts.optout", ID).unwrap().unwrap().owed, Flags::of(1) | Flags::of(4));
        keep(&store, Flags::of(4));
        assert_eq!(store.kept_optouts("contacts", ID).unwrap(), Flags::of(4));
        keep(&store, Flags::NONE);
        assert_eq!(store.kept_optouts("contacts", ID).unwrap(), Flags::NONE);
        keep(&store, Flags::of(1));
        store
            .write("test", |tx| {
                let mapping = tx.mapping("contacts")?;
                tx.spend_kept(mapping, ID)
            })
            .unwrap();
        assert_eq!(store.kept_optouts("contacts", ID).unwrap(), Flags::NONE);
    }

    #[test]
    fn nothing_is_kept_of_a_forgotten_person() {
        let store = Store::in_memory().unwrap();
        store.forget(ID).unwrap();
        keep(&store, Flags::of(1));
        assert_eq!((store.kept_optouts("contacts", ID).unwrap(), store.optout("contacts.optout", ID).unwrap()), (Flags::NONE, None));
    }
}
