//! A person's opt-outs, as both sides said them last.

use std::fmt;
use std::ops::{BitAnd, BitOr, Not};

use crate::time::Instant;

/// The opt-out attributes of a profile that there are.
pub const ATTRIBUTES: usize = 8;

/// The places in a set of opt-outs.
pub const PLACES: usize = 63;

/// A set of opt-outs: of attributes, by their places in the list of the eight, or of topics, by the places that the state gives them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flags(u64);

impl Flags {
    /// Every opt-out.
    #[cfg(test)]
    pub const ALL: Flags = EVERY;
    /// None of them.
    pub const NONE: Flags = Flags(0);
    /// The opt-out at a place, from 0.
    pub const fn of(place: usize) -> Flags {
        if place < PLACES { Flags(1 << place) } else { Flags::NONE }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` are in it.
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// How many.
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Each by itself.
    pub fn iter(self) -> impl Iterator<Item = Flags> {
        self.places().map(Flags::of)
    }

    /// Their places.
    pub fn places(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let place = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            (place < PLACES).then_some(place)
        })
    }

    /// As the file holds them.
    pub(super) fn bits(self) -> i64 {
        self.0.cast_signed()
    }

    pub(super) fn from_bits(bits: i64) -> Flags {
        // No more bits than there are places were written; what else a damaged file has is skipped.
        Flags(bits.cast_unsigned()) & EVERY
    }
}

/// Every place.
const EVERY: Flags = Flags((1 << PLACES) - 1);

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08b}", self.0)
    }
}

impl BitAnd for Flags {
    type Output = Flags;
    fn bitand(self, other: Flags) -> Flags {
        Flags(self.0 & other.0)
    }
}

impl BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl Not for Flags {
    type Output = Flags;
    fn not(self) -> Flags {
        Flags(!self.0 & EVERY.0)
    }
}

impl FromIterator<Flags> for Flags {
    fn from_iter<T: IntoIterator<Item = Flags>>(flags: T) -> Flags {
        flags.into_iter().fold(Flags::NONE, |all, one| all | one)
    }
}

/// A contact, as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Contact {
    /// Its opt-outs, in Campaign's sense.
    pub out: Flags,
    /// Those of them that we wrote, and that no one in Dynamics can have repeated since.
    pub ours: Flags,
    /// When somebody else than us last changed the record, in whole seconds, by Dynamics' clock.
    pub changed: Instant,
    /// Its version; none after a write of ours, whose answer does not tell it.
    pub version: Option<String>,
}

/// A profile, as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Profile {
    /// Its opt-outs.
    pub out: Flags,
    /// It has said so at this time or later, by our clock.
    pub seen: Instant,
    /// None of its opt-outs was set later than this, unless one was taken back and set again between two readings. By Campaign's clock
    /// or by ours, whichever tells the later time.
    pub no_later: Instant,
    /// When it was made, by Campaign's clock: another time is another record under the same key.
    pub created: Option<Instant>,
    /// Of each attribute: the latest time at which it is known to have been set to false. The real time of the present
    /// consent is never before it.
    pub consents: [Option<Instant>; ATTRIBUTES],
}

impl Profile {
    /// The latest known time at which an attribute was set to false.
    pub fn consent(&self, flag: Flags) -> Option<Instant> {
        flag.places().next().and_then(|place| *self.consents.get(place)?)
    }

    /// Stores a time at which an attribute was set to false; an earlier one than is known says nothing new.
    pub fn note_consent(&mut self, flag: Flags, at: Instant) {
        for place in flag.places() {
            // Topics have no times.
            let Some(consent) = self.consents.get_mut(place) else { continue };
            *consent = (*consent).max(Some(at));
        }
    }
}

/// A person on both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Person {
    /// The contact; none while it was not seen.
    pub contact: Option<Contact>,
    /// The profile; none while it was not seen, or where there is none.
    pub profile: Option<Profile>,
    /// Attributes that changed in Campaign and that Dynamics does not have yet, for flows that follow Campaign's changes.
    pub fresh: Flags,
    /// The profile has to be read before anything is written.
    pub look: bool,
    /// Opt-outs that are perhaps being written to Dynamics.
    pub raising: Flags,
    /// Consents that are perhaps being written to Dynamics.
    pub lowering: Flags,
    /// Opt-outs of Campaign of which it is not known whether they came before the consents of Dynamics, in a workflow from Dynamics to
    /// Campaign: they stay until somebody approves that the consents are written.
    pub held: Flags,
    /// Consents that are perhaps being written to Campaign.
    pub lifting: Flags,
    /// Opt-outs of a profile that the mapping has deleted, or of a contact that was merged into this one, which are still to be written.
    pub owed: Flags,
    /// The id of the contact that this one was merged into.
    pub master: Option<String>,
    /// Opt-outs of the profile that the master was given.
    pub passed: Flags,
    /// Topics in which the profile begins with what the contact consents to, once: the mapping has just made it.
    pub newborn: Flags,
    /// Which profile that was: a greater number is a later one, and 0 means none.
    pub born: i64,
}

impl Person {
    /// The mapping has made the profile, with this number. `kept`: topics that somebody has opted out of in an earlier one. What the
    /// profile before was known not to be subscribed to, although the contact consented, may be such a topic too.
    pub fn be_born(&mut self, kept: Flags, born: i64) {
        let consented = self.contact.as_ref().map_or(EVERY, |contact| !contact.out);
        let before = self.profile.take().map_or(Flags::NONE, |profile| profile.out & consented & !self.fresh);
        self.newborn = EVERY & !kept & !before;
        self.born = born;
        (self.fresh, self.held, self.lifting) = (Flags::NONE, Flags::NONE, Flags::NONE);
    }

    /// Work on the person has ended, and `known` is what is on file meanwhile. If the mapping has made a profile since the work began, what
    /// the work has found out is about another one, or about none.
    pub fn keep_born(&mut self, known: &Person) {
        if self.born == known.born {
            return;
        }
        self.profile = None;
        (self.fresh, self.held, self.lifting) = (Flags::NONE, Flags::NONE, Flags::NONE);
        (self.newborn, self.born, self.look) = (known.newborn, known.born, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_times_of_a_consent_the_later_is_kept_whatever_their_order() {
        let at = |ms| Instant::from_timestamp_millis(ms).unwrap();
        let mut profile = Profile { out: Flags::NONE, seen: at(0), no_later: at(0), created: None, consents: Default::default() };
        for ms in [5, 9, 7] {
            profile.note_consent(Flags::of(3), at(ms));
        }
        assert_eq!((profile.consent(Flags::of(3)), profile.consent(Flags::of(2))), (Some(at(9)), None));
    }

    #[test]
    fn a_set_of_attributes_is_read_from_its_bits() {
        let set = Flags::of(0) | Flags::of(7);
        assert_eq!(Flags::from_bits(set.bits()), set);
        assert_eq!(set.places().collect::<Vec<_>>(), [0, 7]);
        assert!(Flags::of(PLACES).is_empty() && (set & !Flags::of(7)) == Flags::of(0));
        assert_eq!(Flags::from_bits((!Flags::NONE).bits()), !Flags::NONE);
        assert_eq!((!Flags::NONE).places().count(), PLACES);
    }
}
