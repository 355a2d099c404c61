//! The profiles, their index by identification key and by address, and their opaque primary keys.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::fields::{Cell, Fields};

/// A profile. Cells are sorted by attribute.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    /// Milliseconds since 1970.
    pub(super) created: i64,
    pub(super) modified: i64,
    cells: Box<[(u16, Cell)]>,
}

impl Profile {
    pub(super) fn cell(&self, field: u16) -> Option<&Cell> {
        self.cells.binary_search_by_key(&field, |(index, _)| *index).ok().map(|at| &self.cells[at].1)
    }

    pub(super) fn text(&self, field: u16) -> &str {
        if let Some(Cell::Text(text)) = self.cell(field) { text } else { "" }
    }
}

/// Attributes to set; `None` empties.
pub(super) type Changes = Vec<(u16, Option<Cell>)>;

/// All profiles.
pub(in crate::emulator) struct Profiles {
    pub(super) fields: Fields,
    /// The attribute that is the identification key.
    pub(super) key: u16,
    email: Option<u16>,
    pub(super) rows: BTreeMap<u64, Profile>,
    by_key: HashMap<Box<str>, u64>,
    by_email: HashMap<Box<str>, Vec<u64>>,
    next: u64,
    seed: u64,
    /// Primary keys given out in an earlier epoch are not known any more.
    pub(in crate::emulator) epoch: u64,
}

impl Profiles {
    pub(in crate::emulator) fn new(fields: Fields, key: &str, seed: u64) -> Result<Profiles, String> {
        let index = fields.find(key).ok_or_else(|| format!("the identification key `{key}` is no attribute of the profile"))?;
        Ok(Profiles {
            key: index,
            email: fields.find("email"),
            fields,
            rows: BTreeMap::new(),
            by_key: HashMap::new(),
            by_email: HashMap::new(),
            next: 1,
            seed,
            epoch: 0,
        })
    }

    fn mac(&self, domain: u64, id: u64) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.seed ^ domain, self.epoch);
        hasher.write_u64(id);
        hasher.finish()
    }

    /// An opaque text for a number: not the number, not to be guessed, and dead when the epoch changes.
    pub(super) fn seal(&self, domain: u64, id: u64) -> String {
        let mac = self.mac(domain, id);
        format!("@{:016x}{mac:016x}", id ^ mac.rotate_left(17))
    }

    pub(super) fn unseal(&self, domain: u64, text: &str) -> Option<u64> {
        let digits = text.strip_prefix('@').filter(|digits| digits.len() == 32 && digits.is_ascii())?;
        let mac = u64::from_str_radix(&digits[16..], 16).ok()?;
        let id = u64::from_str_radix(&digits[..16], 16).ok()? ^ mac.rotate_left(17);
        (self.mac(domain, id) == mac).then_some(id)
    }

    pub(super) fn pkey(&self, id: u64) -> String {
        self.seal(1, id)
    }

    /// The profile behind a PKey.
    pub(super) fn by_pkey(&self, pkey: &str) -> Option<u64> {
        self.unseal(1, pkey).filter(|id| self.rows.contains_key(id))
    }

    pub(super) fn by_key(&self, key: &str) -> Option<u64> {
        self.by_key.get(key).copied()
    }

    pub(super) fn by_email(&self, email: &str) -> &[u64] {
        self.by_email.get(email.to_lowercase().as_str()).map_or(&[], Vec::as_slice)
    }

    fn index(&mut self, id: u64, profile: &Profile) {
        let key = profile.text(self.key);
        if !key.is_empty() {
            self.by_key.insert(key.into(), id);
        }
        let email = self.email.map_or("", |email| profile.text(email));
        if !email.is_empty() {
            let ids = self.by_email.entry(email.to_lowercase().into()).or_default();
            ids.push(id);
            ids.sort_unstable();
        }
    }

    fn forget(&mut self, id: u64, profile: &Profile) {
        self.by_key.remove(profile.text(self.key));
        let email = self.email.map_or("", |email| profile.text(email)).to_lowercase();
        if let Some(ids) = self.by_email.get_mut(email.as_str()) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_email.remove(email.as_str());
            }
        }
    }

    /// Creates a profile; the key it clashes with is given back otherwise.
    pub(super) fn insert(&mut self, changes: Changes, now: i64) -> Result<u64, String> {
        let cells: BTreeMap<u16, Cell> = changes.into_iter().filter_map(|(field, cell)| Some((field, cell?))).collect();
        let profile = Profile { created: now, modified: now, cells: cells.into_iter().collect() };
        let key = profile.text(self.key);
        if !key.is_empty() && self.by_key.contains_key(key) {
            return Err(key.to_owned());
        }
        let id = self.next;
        self.next += 1;
        self.index(id, &profile);
        self.rows.insert(id, profile);
        Ok(id)
    }

    /// Changes a profile that is there.
    pub(super) fn update(&mut self, id: u64, changes: Changes, now: i64) {
        let Some(old) = self.rows.remove(&id) else { return };
        self.forget(id, &old);
        let mut cells: BTreeMap<u16, Cell> = old.cells.into_vec().into_iter().collect();
        for (field, cell) in changes {
            match cell {
                Some(cell) => cells.insert(field, cell),
                None => cells.remove(&field),
            };
        }
        let profile = Profile { created: old.created, modified: now, cells: cells.into_iter().collect() };
        self.index(id, &profile);
        self.rows.insert(id, profile);
    }

    pub(super) fn delete(&mut self, id: u64) {
        if let Some(profile) = self.rows.remove(&id) {
            self.forget(id, &profile);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_number_opens_in_its_epoch_only() {
        let mut profiles = Profiles::new(Fields::new(Vec::new()).unwrap(), "externalId", 5).unwrap();
        let sealed = profiles.seal(1, 42);
        assert_eq!(profiles.unseal(1, &sealed), Some(42));
        assert_eq!(profiles.unseal(2, &sealed), None);
        profiles.epoch += 1;
        assert_eq!(profiles.unseal(1, &sealed), None);
    }
}
