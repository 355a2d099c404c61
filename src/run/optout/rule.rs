//! The rule of opt-outs: pure, no I/O, no clock. What both sides were seen to say comes in, what is to be written comes out.
//!
//! **The documented rule** (Campaign Standard – Dynamics 365 integration, opt-out synchronisation, bidirectional): compare
//! the time at which the Dynamics record changed with the time at which the Campaign attribute changed. Campaign strictly newer:
//! Campaign's value. Dynamics newer, or equal: true if either is true.
//!
//! Where the sides agree nothing is to be done, and where they differ one of them is an opt-out. So the rule comes to this: the
//! opt-out wins, unless it is Dynamics that has it and Campaign's consent is strictly newer. Therefore
//!
//! * Campaign is only ever *raised* (written `true`), never lowered: nothing that we send can take an opt-out from it;
//! * Dynamics is *lowered* only for a consent given in Campaign after the last change that anybody but us made to the record,
//!   after a read of the current profile, and under the version of the record that was compared.
//!
//! **In one direction** what *changes* in the source overwrites the target. Without history nothing is known to have changed, and only
//! opt-outs are written. Towards Campaign that is: an opt-out of Dynamics is one of Campaign, always; a consent is written if Dynamics
//! changed to it while Campaign was known to have the opt-out, and after a read; opt-outs that only Campaign has when they are first seen are
//! *held* until somebody approves that they are lifted.
//!
//! Campaign does not tell who set an opt-out. Any that it has may be its own word, also one that we have written, since somebody may have
//! set the same one in that moment. So a consent of Dynamics is written only if it is later than the latest time at which the opt-out may
//! have been set ([`Profile::no_later`]); otherwise the opt-out is held. It is held too if a write that lifts it was not answered and the
//! profile still has it ([`Person::lifting`]), unless the profile shows that nothing has changed: the write may have failed, or somebody may
//! have opted out again.
//!
//! **Opt-outs are owed** to a contact ([`Person::owed`]) if the profile that had them is deleted by the mapping, or if the contact that
//! had them was merged into this one. They are written whatever the direction's rule says, and count as said when they are written.
//!
//! **Topics** are opt-outs too: not being subscribed to a service is the opt-out. They go from Dynamics to Campaign only. Campaign shows no time
//! of them, so the time of the answer counts. A profile that the mapping has just made is subscribed to nothing, which says nothing about
//! the person: what the contact consents to is subscribed once ([`Person::newborn`]), except where somebody has opted out in an earlier
//! profile.
//!
//! What makes it hold although both sides are seen late, twice and out of order:
//!
//! * Campaign's value comes from reading the profile and from nothing else. Exports bring times, and a reason to look.
//! * Of a consent the *latest known* time is kept ([`Profile::consents`]), and every source can only give a time that is not
//!   after the real one: an export the time itself, a reading that finds `false` where `true` was seen the time of the reading
//!   before. So an unclear time speaks for the opt-out, and the order in which sources report does not matter.
//! * Our own writes move Dynamics' `modifiedon` too. They are known by being ours (`modifiedby`), by changing only what
//!   was intended, and by having been made under the version that we knew: they cannot hide another change. They do
//!   not count as changes of Dynamics; or else what came from Campaign would win over Campaign.
//! * `modifiedon` has whole seconds, so what is in the same second is not "strictly newer", and clocks may differ by a tolerance.
//!
//! The exhaustive check of all this is in `model/`.

use chrono::TimeDelta;

use crate::plan::Direction;
use crate::store::{Contact, Flags, Person, Profile};
use crate::time::Instant;

/// How long after its create a profile counts as new: a first load and a restart take less.
const NEW_FOR: TimeDelta = TimeDelta::days(1);

/// What the rule depends on in one flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// Any but [`Direction::Disabled`].
    pub(super) direction: Direction,
    /// The attributes that have a counterpart.
    pub(super) pairs: Flags,
    /// By how much the clocks of this machine and of the two services may differ.
    pub(super) tolerance: TimeDelta,
}

/// A contact as Dynamics gave it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ContactSight {
    /// The opt-outs, in Campaign's sense.
    pub(super) out: Flags,
    /// `modifiedon`, in whole seconds.
    pub(super) modified: Instant,
    /// Whether the last change was made by our application user.
    pub(super) by_us: bool,
    /// The row's version.
    pub(super) version: Option<String>,
    /// The contact that this one was merged into.
    pub(super) master: Option<String>,
}

/// A profile as Campaign gave it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProfileSight {
    /// The opt-outs.
    pub(super) out: Flags,
    /// When the profile was made, by Campaign's clock.
    pub(super) created: Option<Instant>,
    /// When the request was sent, by our clock: what it says held then or later.
    pub(super) at: Instant,
    /// When the answer had come, by our clock: what it says held then or earlier.
    pub(super) answered: Instant,
    /// When the profile was last changed, by Campaign's clock (`lastModified`).
    pub(super) modified: Option<Instant>,
}

/// What is to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Decision {
    /// To be true in Campaign.
    pub(super) raise_campaign: Flags,
    /// To be false in Campaign; only where Dynamics is the one source.
    pub(super) lower_campaign: Flags,
    /// To be an opt-out in Dynamics.
    pub(super) raise_dynamics: Flags,
    /// To be a consent in Dynamics.
    pub(super) lower_dynamics: Flags,
}

impl Decision {
    fn without(self, refused: Flags) -> Decision {
        Decision {
            raise_campaign: self.raise_campaign & !refused,
            lower_campaign: self.lower_campaign & !refused,
            raise_dynamics: self.raise_dynamics & !refused,
            lower_dynamics: self.lower_dynamics & !refused,
        }
    }

    pub(super) fn is_none(&self) -> bool {
        (self.raise_campaign | self.lower_campaign | self.raise_dynamics | self.lower_dynamics).is_empty()
    }
}

/// What to do next about a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is left to do.
    Done,
    /// Read the contact: its version is not known.
    AskDynamics,
    /// Read the profile: what is known of it may be old.
    AskCampaign,
    /// Write these to the profile.
    WriteCampaign {
        /// Opt-outs.
        raise: Flags,
        /// Consents.
        lower: Flags,
    },
    /// Write these to the contact, under the version that is known.
    WriteDynamics {
        /// Opt-outs.
        raise: Flags,
        /// Consents.
        lower: Flags,
    },
}

impl Rule {
    /// What differs, and who wins. If one of the sides is not known, or has no such person, only what a contact is owed.
    pub(super) fn decide(&self, person: &Person) -> Decision {
        let Some(contact) = &person.contact else { return Decision::default() };
        let owed = person.owed & !contact.out & self.pairs;
        let Some(profile) = &person.profile else {
            return match self.direction {
                Direction::Bidirectional | Direction::CampaignToD365 => Decision { raise_dynamics: owed, ..Decision::default() },
                // The profile that is made for the contact begins with it.
                Direction::Disabled | Direction::D365ToCampaign => Decision::default(),
            };
        };
        let dynamics_only = contact.out & !profile.out & self.pairs;
        let campaign_only = profile.out & !contact.out & self.pairs;
        match self.direction {
            Direction::Bidirectional => {
                let newer: Flags = dynamics_only.iter().filter(|flag| self.consent_is_newer(contact, profile, *flag)).collect();
                Decision {
                    raise_campaign: dynamics_only & !newer,
                    raise_dynamics: campaign_only | owed,
                    lower_dynamics: newer,
                    ..Decision::default()
                }
            }
            // Campaign's *changes* overwrite; what has not changed there overwrites nothing.
            Direction::CampaignToD365 => Decision {
                raise_dynamics: (campaign_only & person.fresh) | owed,
                lower_dynamics: dynamics_only & person.fresh,
                ..Decision::default()
            },
            // An opt-out of Dynamics is one of Campaign, always. A consent is written only if Dynamics has changed to it.
            Direction::D365ToCampaign => Decision {
                raise_campaign: dynamics_only | (owed & !profile.out),
                lower_campaign: campaign_only & person.fresh & !person.owed,
                ..Decision::default()
            },
            Direction::Disabled => Decision::default(),
        }
    }

    /// Whether Campaign's consent is strictly newer than Dynamics' opt-out.
    fn consent_is_newer(&self, contact: &Contact, profile: &Profile, flag: Flags) -> bool {
        let Some(consent) = profile.consent(flag) else { return false };
        // An opt-out that we brought from Campaign has no time in Dynamics: it was not set there.
        if contact.ours.has(flag) {
            return true;
        }
        // Whole seconds: a change at 10.9 s is shown as 10, and a consent at 10.5 s came before it.
        consent.timestamp() > contact.changed.timestamp().saturating_add(whole_seconds(self.tolerance))
    }

    /// What to do next. `looked`: the profile has been read for this very piece of work.
    #[cfg(test)]
    pub(super) fn step(&self, person: &Person, looked: bool) -> Step {
        self.step_without(person, looked, Flags::NONE)
    }

    /// What to do next, apart from attributes that a service has just refused: those must not keep the others from being written.
    pub(super) fn step_without(&self, person: &Person, looked: bool, refused: Flags) -> Step {
        let decision = self.decide(person).without(refused);
        if !looked && (person.look || self.begins(person) || !(decision.lower_dynamics | decision.lower_campaign).is_empty()) {
            return Step::AskCampaign;
        }
        // The side that sends messages first, and opt-outs before consents.
        if !decision.raise_campaign.is_empty() {
            return Step::WriteCampaign { raise: decision.raise_campaign, lower: Flags::NONE };
        }
        if !decision.lower_campaign.is_empty() {
            return Step::WriteCampaign { raise: Flags::NONE, lower: decision.lower_campaign };
        }
        let (raise, lower) = (decision.raise_dynamics, decision.lower_dynamics);
        match &person.contact {
            Some(contact) if !(raise | lower).is_empty() => match contact.version {
                Some(_) => Step::WriteDynamics { raise, lower },
                None => Step::AskDynamics,
            },
            Some(_) | None => Step::Done,
        }
    }

    /// Whether there is something to do about a person.
    pub(super) fn is_due(&self, person: &Person) -> bool {
        person.look || self.begins(person) || !self.decide(person).is_none()
    }

    /// Whether the mapping has made the profile, and it was not read yet.
    fn begins(&self, person: &Person) -> bool {
        !person.newborn.is_empty() && person.profile.is_none()
    }

    /// Dynamics has shown the contact.
    pub(super) fn contact_seen(&self, person: &mut Person, sight: ContactSight) {
        let ContactSight { out, modified, by_us, version, master } = sight;
        if master.is_none() || person.master != master {
            person.passed = Flags::NONE;
            person.master = master;
        }
        // The very row under which something is perhaps being written: a request that is still on its way may yet reach it.
        let unchanged = version.is_some() && person.contact.as_ref().is_some_and(|known| known.version == version);
        let echo = by_us
            && person.contact.as_ref().is_some_and(|known| {
                // Every write of ours is made under a version that was seen. So behind the last one nothing of others can be hidden,
                // as long as it shows what was meant to be written and nothing else.
                let raised = out & !known.out;
                let lowered = known.out & !out;
                (raised & !person.raising).is_empty() && (lowered & !person.lowering).is_empty()
            });
        match &mut person.contact {
            Some(known) if echo => {
                let raised = out & !known.out;
                known.ours = (known.ours | (raised & !person.owed)) & out;
                if !(raised & person.owed).is_empty() {
                    // What a contact was owed, somebody has said: it counts as said when it was written.
                    known.changed = modified;
                }
                known.out = out;
                known.version = version;
            }
            Some(_) if unchanged => {}
            contact => {
                // What is known of the profile may be old: if it lost an opt-out that the contact has, that would not be noticed until it is
                // read again. And from now on a consent there is the later word, which it is only known to be if the profile was read
                // after this change.
                person.look |= person.profile.as_ref().is_some_and(|profile| !(out & profile.out & self.pairs).is_empty());
                if self.direction == Direction::D365ToCampaign {
                    let known_out = person.profile.as_ref().map_or(Flags::NONE, |profile| profile.out);
                    match contact {
                        // Dynamics has changed to a consent, and Campaign had the opt-out before. One that was not seen there before may be
                        // the later word, and so may one that was perhaps set after the change.
                        Some(known) => {
                            let lifted = known.out & !out & known_out;
                            if person.profile.as_ref().is_some_and(|profile| modified > profile.no_later + self.tolerance) {
                                person.fresh = person.fresh | lifted;
                            } else {
                                person.held = person.held | (lifted & self.pairs);
                            }
                        }
                        None => {
                            person.fresh = Flags::NONE;
                            person.held = known_out & !out & !person.owed & self.pairs;
                        }
                    }
                }
                *contact = Some(Contact { out, ours: Flags::NONE, changed: modified, version });
            }
        }
        if !unchanged {
            person.raising = Flags::NONE;
            person.lowering = Flags::NONE;
        }
        self.welcome(person);
        self.spend(person);
    }

    /// Campaign has shown the profile. A consent that it shows was given after the last time that this profile itself was read: a
    /// reading that did not bring it says nothing of it, since a list may miss a record.
    pub(super) fn profile_seen(&self, person: &mut Person, sight: &ProfileSight) {
        person.look = false;
        // What somebody has subscribed meanwhile does not begin with the profile, whatever becomes of it. In a longer time somebody may
        // have subscribed and unsubscribed again, as while topics are switched off.
        let is_new = sight.created.is_some_and(|created| sight.answered - created <= NEW_FOR);
        person.newborn = if is_new { person.newborn & sight.out } else { Flags::NONE };
        self.judge_lifting(person, sight);
        match &mut person.profile {
            Some(known) if known.created == sight.created => {
                let since = known.seen - self.tolerance;
                for flag in (known.out & !sight.out).iter() {
                    known.note_consent(flag, since);
                }
                if self.direction != Direction::D365ToCampaign {
                    person.fresh = person.fresh | (known.out & !sight.out) | (sight.out & !known.out);
                }
                let news = sight.out & !known.out;
                if !news.is_empty() {
                    known.no_later = known.no_later.max(sight.answered);
                } else if !sight.out.is_empty() {
                    // Only the profile's time shows whether an opt-out was taken back and set again since the last reading.
                    known.no_later = known.no_later.max(sight.modified.unwrap_or(sight.answered));
                }
                known.out = sight.out;
                // Also where it is older than what was seen before: what an old view shows held no later than it was taken.
                known.seen = sight.at;
            }
            // Seen for the first time, or another record than before: what it does not have was not taken away.
            profile => {
                *profile = Some(Profile {
                    out: sight.out,
                    seen: sight.at,
                    no_later: sight.modified.unwrap_or(sight.answered),
                    created: sight.created,
                    consents: Default::default(),
                });
                let follows_dynamics = self.direction == Direction::D365ToCampaign;
                person.fresh = if follows_dynamics { Flags::NONE } else { sight.out };
                person.held = match &person.contact {
                    Some(contact) if follows_dynamics => sight.out & !contact.out & !person.owed & self.pairs,
                    Some(_) | None => Flags::NONE,
                };
            }
        }
        self.welcome(person);
        self.spend(person);
    }

    /// A profile that the mapping has just made begins with what the contact consents to, as soon as both are known.
    fn welcome(&self, person: &mut Person) {
        if let (Some(contact), Some(profile), false) = (&person.contact, &person.profile, person.newborn.is_empty()) {
            let consents = person.newborn & profile.out & !contact.out & !person.owed & self.pairs;
            person.fresh = person.fresh | consents;
            person.held = person.held & !consents;
            person.newborn = Flags::NONE;
        }
    }

    /// A write that was to lift opt-outs of the profile was not answered. If the profile still has one of them, the write has not
    /// been carried out, or somebody has opted out after it. It is the first if the profile has not changed since the read that came
    /// before the write; otherwise the opt-out is held.
    fn judge_lifting(&self, person: &mut Person, sight: &ProfileSight) {
        let Some(known) = &person.profile else {
            person.lifting = Flags::NONE;
            return;
        };
        let unchanged = known.created == sight.created
            // Times may have whole seconds: what is in the same second may have come after the read.
            && sight.modified.is_some_and(|modified| modified.timestamp() + whole_seconds(self.tolerance) < known.seen.timestamp());
        if !unchanged {
            let unclear = person.lifting & sight.out;
            person.fresh = person.fresh & !unclear;
            person.held = person.held | (unclear & self.pairs);
        }
        person.lifting = Flags::NONE;
    }

    /// The mapping is about to delete the profile, which has this. Its opt-outs are owed to the contact from now on.
    pub(super) fn profile_deleted(&self, person: &mut Person, sight: &ProfileSight) {
        self.profile_seen(person, sight);
        person.owed = person.owed | (sight.out & self.pairs);
        self.profile_missing(person);
        self.spend(person);
    }

    /// The mapping is about to delete the profile, which has these topics. Gives those that somebody may have opted out of in it:
    /// the contact was not known to have opted out of them too, and is not known to consent to them since later.
    pub(super) fn topics_deleted(&self, person: &mut Person, sight: &ProfileSight) -> Flags {
        // Where both sides agreed before, the opt-out is Dynamics' own.
        let agreed =
            person.contact.as_ref().zip(person.profile.as_ref()).map_or(Flags::NONE, |(contact, profile)| contact.out & profile.out);
        self.profile_seen(person, sight);
        let said = sight.out & !agreed & !person.fresh & self.pairs;
        self.profile_missing(person);
        said
    }

    /// There is no profile (any more).
    pub(super) fn profile_missing(&self, person: &mut Person) {
        person.profile = None;
        person.newborn = Flags::NONE;
        person.fresh = Flags::NONE;
        person.held = Flags::NONE;
        person.lifting = Flags::NONE;
        person.look = false;
    }

    /// An export says that an attribute was set to a value at a time. Gives whether that was news.
    pub(super) fn exported(&self, person: &mut Person, flag: Flags, value: bool, at: Instant, now: Instant) -> bool {
        // A time in the future is not a time.
        if at > now + self.tolerance {
            return false;
        }
        let Some(profile) = &mut person.profile else {
            // A profile that no reading has brought yet, or that one has missed: the line is not read again, so somebody has to look.
            let look = value && self.pairs.has(flag) && !person.look;
            person.look |= look;
            return look;
        };
        let before = profile.consents;
        if !value {
            profile.note_consent(flag, at);
        }
        // Not what was seen, and not older than what was seen: somebody has to look.
        let look = profile.out.has(flag) != value && at + self.tolerance >= profile.seen && self.pairs.has(flag);
        let news = (look && !person.look) || profile.consents != before;
        person.look |= look;
        news
    }

    /// The profile has these values now; `answered` is when the answer had come, by our clock. The answer shows none of the other attributes,
    /// so it is not a sighting: a consent in one of those keeps its earliest possible time.
    pub(super) fn campaign_written(&self, person: &mut Person, raised: Flags, lowered: Flags, answered: Instant) {
        if let Some(profile) = &mut person.profile {
            profile.out = (profile.out | raised) & !lowered;
            if !raised.is_empty() {
                // Somebody in Campaign may have set the same one before the write was carried out: the answer does not tell.
                profile.no_later = profile.no_later.max(answered);
            }
        }
        person.lifting = person.lifting & !lowered;
        self.spend(person);
    }

    /// Campaign has refused to write these consents: they are not under way any more.
    pub(super) fn campaign_refused(&self, person: &mut Person, lowered: Flags) {
        person.lifting = person.lifting & !lowered;
    }

    /// The contact has these values now; `sent` is when the request was sent, by our clock.
    pub(super) fn dynamics_written(&self, person: &mut Person, raised: Flags, lowered: Flags, sent: Instant) {
        if let Some(contact) = &mut person.contact {
            let owed = raised & person.owed;
            contact.out = (contact.out | raised) & !lowered;
            contact.ours = (contact.ours | (raised & !owed)) & contact.out;
            if !owed.is_empty() {
                contact.changed = contact.changed.max(sent + self.tolerance);
            }
            // The answer does not tell it.
            contact.version = None;
        }
        person.raising = Flags::NONE;
        person.lowering = Flags::NONE;
        self.spend(person);
    }

    /// A change that both sides have has had its effect, and an opt-out that arrived is owed no longer.
    pub(super) fn spend(&self, person: &mut Person) {
        if let (Some(contact), Some(profile)) = (&person.contact, &person.profile) {
            person.fresh = person.fresh & ((contact.out & !profile.out) | (profile.out & !contact.out));
            person.held = person.held & profile.out & !contact.out;
        }
        let arrived = match (self.direction, &person.contact, &person.profile) {
            (Direction::D365ToCampaign, _, Some(profile)) => profile.out,
            (Direction::CampaignToD365 | Direction::Bidirectional, Some(contact), _) => contact.out,
            (Direction::D365ToCampaign | Direction::CampaignToD365 | Direction::Bidirectional | Direction::Disabled, ..) => Flags::NONE,
        };
        person.owed = person.owed & !arrived;
    }
}

/// Seconds, a begun one counted as whole.
fn whole_seconds(time: TimeDelta) -> i64 {
    time.num_seconds() + i64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests;
