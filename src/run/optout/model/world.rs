//! The small world: what both services, the people and the flow are made of.

use super::super::rule::{ContactSight, ProfileSight};
use crate::store::{Flags, Person};

/// What people do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// The flag of the contact is set.
    Dynamics(bool),
    /// Another field of the contact is changed.
    Touch,
    /// The attribute of the profile is set.
    Campaign(bool),
    /// Somebody deletes the profile and creates it again.
    Anew,
    /// The contact leaves the mapping's filter, or comes back.
    Filter,
    /// Another field of the contact becomes one that the mapping rejects, Campaign refuses, or that waits for a link; or is fixed.
    HoldBack,
}

pub(super) const ACTS: [Act; 8] = [
    Act::Dynamics(true),
    Act::Dynamics(false),
    Act::Touch,
    Act::Campaign(true),
    Act::Campaign(false),
    Act::Anew,
    Act::Filter,
    Act::HoldBack,
];

/// A write that was sent by a process that is dead, and that may still arrive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Late {
    Campaign { out: bool },
    Dynamics { out: bool, version: String },
}

/// An answer that is on its way to the flow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    /// To a read of the profile, or to a write to one that is gone.
    Profile(Option<ProfileSight>),
    /// To a read of the contact, or to a write under a version that is not the present one.
    Contact(ContactSight),
    WrittenToCampaign {
        raise: Flags,
        lower: Flags,
    },
    WrittenToDynamics {
        raise: Flags,
        lower: Flags,
    },
}

/// The flow's work on the person.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Work {
    pub(super) person: Person,
    pub(super) looked: bool,
    /// What the person was owed when the work began.
    pub(super) owed: Flags,
    /// When the present request was sent, in games with late answers.
    pub(super) sent: i64,
    /// Of a request that a service has carried out, in games with late answers.
    pub(super) answer: Option<Answer>,
}

/// What no client can see, or protect; see docs/optout.md. A game still asks for it, to show that the limit exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Somebody opts out in Campaign whose profile has the opt-out already: nothing changes there.
    Repeated,
    /// An opt-out is taken back in Campaign and set again before the profile is read.
    TwoChanges,
    /// Dynamics tells when the record changed, not when the flag did.
    TimeOfRecord,
    /// Somebody opts out between the read of a profile and its deletion.
    LookToDelete,
    /// A consent arrives after its sender's end.
    LateConsent,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    /// Seconds, by Campaign's clock and ours.
    pub(super) now: i64,
    // Dynamics.
    pub(super) d_out: bool,
    pub(super) d_modified: i64,
    pub(super) d_by_us: bool,
    pub(super) d_version: u32,
    /// Whether the contact passes the mapping's filter.
    pub(super) wanted: bool,
    /// Whether the rest of the record is held back: the mapping makes no profile for it.
    pub(super) held_back: bool,
    // Campaign, and what its export would say of it.
    pub(super) c_exists: bool,
    pub(super) c_out: bool,
    pub(super) c_made: i64,
    pub(super) c_changed: i64,
    pub(super) exports: Vec<(bool, i64)>,
    // The flow's durable state.
    pub(super) stored: Person,
    /// The opt-out that is kept under the contact's hash.
    pub(super) kept: bool,
    /// From which change on the filtered list is asked for.
    pub(super) mark: i64,
    // The flow's memory, which a kill empties.
    pub(super) held_contact: Option<ContactSight>,
    pub(super) held_profile: Option<ProfileSight>,
    /// When a listing was asked for that Campaign has not carried out yet, in games with late answers.
    pub(super) asked: Option<i64>,
    /// The mapping has looked at the profile, and will delete it.
    pub(super) deleting: bool,
    pub(super) work: Option<Work>,
    pub(super) late: Option<Late>,
    // What people said last on each side, and when; the last consent in Campaign.
    pub(super) said_no_in_dynamics: Option<i64>,
    pub(super) said_no_in_campaign: bool,
    pub(super) consent: Option<i64>,
    /// Somebody has taken the opt-out of the profile back since it was read last.
    pub(super) unread_consent: bool,
    /// Somebody has taken the opt-out of the contact back since it was read last.
    pub(super) unread_lift: bool,
    /// In Dynamics nothing was said or done, and there was no opt-out there.
    pub(super) silent: bool,
    // What is left of the story.
    pub(super) acts: u8,
    pub(super) ticks: u8,
    pub(super) kills: u8,
    pub(super) writes: u8,
}

impl World {
    /// Whether the flow knows something of the person: in its state, or in memory, which it may lose.
    pub(super) fn knows(&self, what: impl Fn(&Person) -> bool) -> bool {
        what(&self.stored) || self.work.as_ref().is_some_and(|work| what(&work.person))
    }

    /// Of the numbers of new profiles it only matters whether they are the same.
    fn number_births(&mut self) {
        let known = self.work.as_ref().map_or(self.stored.born, |work| work.person.born);
        self.stored.born = i64::from(self.stored.born != known);
        if let Some(work) = &mut self.work {
            work.person.born = 0;
        }
    }

    /// Versions are compared and nothing else: they are renumbered, so that worlds that differ in their numbers are one.
    pub(super) fn number_versions(&mut self) {
        self.number_births();
        let mut versions: Vec<&mut String> = Vec::new();
        versions.extend(self.stored.contact.as_mut().and_then(|c| c.version.as_mut()));
        versions.extend(self.held_contact.as_mut().and_then(|c| c.version.as_mut()));
        if let Some(work) = &mut self.work {
            versions.extend(work.person.contact.as_mut().and_then(|c| c.version.as_mut()));
            if let Some(Answer::Contact(contact)) = &mut work.answer {
                versions.extend(contact.version.as_mut());
            }
        }
        if let Some(Late::Dynamics { version, .. }) = &mut self.late {
            versions.push(version);
        }
        let mut numbers: Vec<u32> = versions.iter().map(|v| v.parse().unwrap()).chain([self.d_version]).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let renamed = |old: u32| u32::try_from(numbers.binary_search(&old).unwrap()).unwrap() + 1;
        for version in versions {
            *version = renamed(version.parse().unwrap()).to_string();
        }
        self.d_version = renamed(self.d_version);
    }
}

/// A flow that is built wrongly, to see that the check would find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Dynamics is written whatever version it has.
    NoVersion,
    /// A consent is taken to be as new as the reading that found it.
    TimeOfReading,
    /// Our own writes are not known again.
    OwnWritesCount,
    /// A profile that was created again is mistaken for the one before.
    NoCreated,
    /// A listing dates the profiles that it did not bring too.
    DatedByListing,
    /// The mark of a reading of changes moves with each of its pages.
    MarkOfPage,
    /// A profile is deleted without being read.
    BlindDelete,
    /// A profile is deleted, and then what it had is kept.
    KeepsAfterwards,
    /// Opt-outs of Dynamics are read with the record, and held back with it.
    WithTheRecord,
    /// What Campaign has when it is first read is overwritten.
    LiftsAtFirstSight,
    /// A consent in Dynamics lifts an opt-out of Campaign that was not seen before it.
    LiftsUnseen,
    /// An opt-out that we have written to Campaign counts as set by no one else.
    OwnWritesAreOurs,
    /// A reading is taken to hold from the time at which it was asked for.
    TimeOfRequest,
    /// A consent for Campaign whose answer was lost is written again.
    LiftsAgain,
    /// A profile that the mapping makes begins with the consent to topics that somebody has opted out of in an earlier one.
    ForgetsKept,
    /// A profile still counts as just made when its first consent is under way.
    BeginsAgain,
}
