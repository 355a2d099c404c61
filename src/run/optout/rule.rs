//! The rule of opt-outs: pure, no I/O, no clock. What both sides were seen to say comes in, what is to be written comes out.
//!
//! **The documented rule** (Campaign Standard – Dynamics 365 integration, opt-out synchronisation, bidirectional): compare
//! the time at which the Dynamics record changed with the time at which the Campaign attribute changed. Campaign strictly newer:
//! Campaign's value. Dynamics newer, or equal: true if either is true.
//!
//! Where the sides agree nothing is to be done, and where they differ one of them is an opt-out. So the rule comes to this: the
//! opt-out wins, unless it is Dynamics that has it and Campaign's consent is strictly newer. Hence
//!
//! * Campaign is only ever *raised* (written `true`), never lowered: nothing that we send can take an opt-out from it;
//! * Dynamics is *lowered* only for a consent given in Campaign after the last change that anybody but us made to the record,
//!   after a look at the profile as it is now, and under the version of the record that was compared.
//!
//! **In one direction** what *changes* in the source overwrites the target. Without history nothing is known to have changed, and only
//! opt-outs are written. Towards Campaign that is: an opt-out of Dynamics is one of Campaign, always; a consent is written if Dynamics
//! changed to it while Campaign was known to have the opt-out, and after a look; opt-outs that only Campaign has at first sight are
//! *held* until somebody approves that they are lifted.
//!
//! **Opt-outs are owed** to a contact ([`Person::owed`]) if the profile that had them is deleted by the mapping, or if the contact that
//! had them was merged into this one. They are written whatever the direction's rule says, and count as said when they are written.
//!
//! What makes it hold although both sides are seen late, twice and out of order:
//!
//! * Campaign's value comes from reading the profile and from nothing else. Exports bring times, and a reason to look.
//! * Of a consent the *latest known* time is kept ([`Profile::consents`]), and every source can only give a time that is not
//!   after the real one: an export the time itself, a reading that finds `false` where `true` was seen the time of the reading
//!   before. So an unclear time speaks for the opt-out, and the order in which sources report does not matter.
//! * Our own writes move Dynamics' `modifiedon` too. They are known by being ours (`modifiedby`), by changing nothing but what
//!   was intended, and by having been made under the version that we knew: nobody else's change can hide behind them. They do
//!   not count as changes of Dynamics; or else what came from Campaign would win over Campaign.
//! * `modifiedon` has whole seconds, so what is in the same second is not "strictly newer", and clocks may differ by a tolerance.
//!
//! The exhaustive check of all this is in `model/`.

use chrono::TimeDelta;

use crate::plan::Direction;
use crate::state::{Contact, Flags, Person, Profile};
use crate::time::Instant;

/// What the rule goes by in one flow.
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
    /// Whether nothing has changed since the profile was made.
    pub(super) untouched: bool,
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
        // An opt-out that we brought from Campaign has no time of its own in Dynamics: nobody there has said it.
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
        if !looked && (person.look || !(decision.lower_dynamics | decision.lower_campaign).is_empty()) {
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
        person.look || !self.decide(person).is_none()
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
                // What is known of the profile may be old: if it lost an opt-out that the contact has, nobody would notice until it is
                // read again. And from now on a consent there is the later word, which it is only known to be if the profile was read
                // after this change.
                person.look |= person.profile.as_ref().is_some_and(|profile| !(out & profile.out & self.pairs).is_empty());
                if self.direction == Direction::D365ToCampaign {
                    let known_out = person.profile.as_ref().map_or(Flags::NONE, |profile| profile.out);
                    match contact {
                        // Dynamics has changed to a consent, and Campaign had the opt-out before. One that was not seen there before may be
                        // the later word, and so may one that Campaign got by itself unless it was seen there before the change.
                        Some(known) => {
                            let lifted = known.out & !out & known_out;
                            let later = person.profile.as_ref().is_some_and(|profile| modified > profile.seen + self.tolerance);
                            let unclear = if later { Flags::NONE } else { lifted & person.own };
                            person.fresh = person.fresh | (lifted & !unclear);
                            person.held = person.held | (unclear & self.pairs);
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
        self.spend(person);
    }

    /// Campaign has shown the profile. A consent that it shows was given after the last time that this profile itself was read: a
    /// reading that did not bring it says nothing of it, since a list may miss a record.
    pub(super) fn profile_seen(&self, person: &mut Person, sight: &ProfileSight) {
        person.look = false;
        match &mut person.profile {
            Some(known) if known.created == sight.created => {
                let since = known.seen - self.tolerance;
                for flag in (known.out & !sight.out).iter() {
                    known.note_consent(flag, since);
                }
                if self.direction != Direction::D365ToCampaign {
                    person.fresh = person.fresh | (known.out & !sight.out) | (sight.out & !known.out);
                }
                person.own = (person.own | (sight.out & !known.out)) & sight.out;
                known.out = sight.out;
                // Also where it is older than what was seen before: what an old view shows held no later than it was taken.
                known.seen = sight.at;
            }
            // Seen for the first time, or another record than before: what it does not have, nobody has taken away.
            profile => {
                *profile = Some(Profile { out: sight.out, seen: sight.at, created: sight.created, consents: Default::default() });
                person.own = if sight.untouched { Flags::NONE } else { sight.out };
                let follows_dynamics = self.direction == Direction::D365ToCampaign;
                person.fresh = if follows_dynamics { Flags::NONE } else { sight.out };
                person.held = match &person.contact {
                    Some(contact) if follows_dynamics => sight.out & !contact.out & !person.owed & self.pairs,
                    Some(_) | None => Flags::NONE,
                };
            }
        }
        self.spend(person);
    }

    /// The mapping is about to delete the profile, which has this. Its opt-outs are owed to the contact from now on.
    pub(super) fn profile_deleted(&self, person: &mut Person, sight: &ProfileSight) {
        self.profile_seen(person, sight);
        person.owed = person.owed | (sight.out & self.pairs);
        self.profile_missing(person);
        self.spend(person);
    }

    /// There is no profile (any more).
    pub(super) fn profile_missing(&self, person: &mut Person) {
        person.profile = None;
        person.fresh = Flags::NONE;
        person.held = Flags::NONE;
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

    /// The profile has these values now. The answer shows none of its other attributes, so it is not a sighting: a consent in one of
    /// those keeps its earliest possible time.
    pub(super) fn campaign_written(&self, person: &mut Person, raised: Flags, lowered: Flags) {
        if let Some(profile) = &mut person.profile {
            profile.out = (profile.out | raised) & !lowered;
            person.own = person.own & !lowered;
        }
        self.spend(person);
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
mod tests {
    use super::*;

    const EMAIL: Flags = Flags::of(1);
    const PHONE: Flags = Flags::of(4);

    fn at(milliseconds: i64) -> Instant {
        Instant::from_timestamp_millis(milliseconds).unwrap()
    }

    fn rule(direction: Direction) -> Rule {
        Rule { direction, pairs: EMAIL | PHONE, tolerance: TimeDelta::zero() }
    }

    fn both() -> Rule {
        rule(Direction::Bidirectional)
    }

    fn contact(out: Flags, modified: i64) -> ContactSight {
        ContactSight { out, modified: at(modified), by_us: false, version: Some(modified.to_string()), master: None }
    }

    fn profile(out: Flags, read: i64) -> ProfileSight {
        ProfileSight { out, created: None, at: at(read), untouched: false }
    }

    /// Seen on both sides.
    fn person(rule: &Rule, dynamics: Flags, changed: i64, campaign: Flags, read: i64) -> Person {
        let mut person = Person::default();
        rule.contact_seen(&mut person, contact(dynamics, changed));
        rule.profile_seen(&mut person, &profile(campaign, read));
        person
    }

    fn decided(raise_campaign: Flags, raise_dynamics: Flags, lower_dynamics: Flags) -> Decision {
        Decision { raise_campaign, raise_dynamics, lower_dynamics, ..Decision::default() }
    }

    #[test]
    fn where_the_sides_disagree_at_first_sight_the_opt_out_wins_on_either_side() {
        let rule = both();
        let person = person(&rule, EMAIL, 1_000, PHONE, 900_000);
        assert_eq!(rule.decide(&person), decided(EMAIL, PHONE, Flags::NONE));
    }

    #[test]
    fn an_exported_consent_wins_only_when_it_is_strictly_newer_than_the_contact() {
        let rule = both();
        for (consent, wins) in [(9_000, false), (10_000, false), (10_999, false), (11_000, true)] {
            let mut person = person(&rule, EMAIL, 10_000, Flags::NONE, 20_000);
            assert!(rule.exported(&mut person, EMAIL, false, at(consent), at(20_000)));
            let expected = if wins { decided(Flags::NONE, Flags::NONE, EMAIL) } else { decided(EMAIL, Flags::NONE, Flags::NONE) };
            assert_eq!(rule.decide(&person), expected, "{consent}");
        }
    }

    #[test]
    fn clocks_that_may_differ_make_a_consent_wait_for_more_than_the_difference() {
        let rule = Rule { tolerance: TimeDelta::milliseconds(1_500), ..both() };
        for (consent, wins) in [(11_000, false), (12_999, false), (13_000, true)] {
            let mut person = person(&rule, EMAIL, 10_000, Flags::NONE, 20_000);
            rule.exported(&mut person, EMAIL, false, at(consent), at(20_000));
            assert_eq!(!rule.decide(&person).lower_dynamics.is_empty(), wins, "{consent}");
        }
    }

    #[test]
    fn a_consent_that_a_reading_finds_was_given_at_the_earliest_after_the_reading_before() {
        let rule = both();
        let mut person = person(&rule, EMAIL, 10_000, EMAIL, 12_000);
        rule.profile_seen(&mut person, &profile(Flags::NONE, 30_000));
        assert_eq!(rule.decide(&person).lower_dynamics, EMAIL);
        // The contact was changed between the two readings: before or after the consent, nobody knows.
        rule.contact_seen(&mut person, contact(EMAIL, 15_000));
        assert_eq!(rule.decide(&person).raise_campaign, EMAIL);
    }

    #[test]
    fn a_change_of_a_contact_whose_profile_has_the_opt_out_too_asks_for_a_look_that_dates_a_later_consent() {
        let rule = both();
        let mut person = person(&rule, EMAIL, 10_000, EMAIL, 12_000);
        assert_eq!(rule.step(&person, false), Step::Done);
        // Nobody knows whether Campaign still says so, nor from when on a consent there would be the later word.
        rule.contact_seen(&mut person, contact(EMAIL, 15_000));
        assert_eq!(rule.step(&person, false), Step::AskCampaign);
        rule.profile_seen(&mut person, &profile(EMAIL, 16_000));
        assert_eq!(rule.step(&person, true), Step::Done);
        rule.profile_seen(&mut person, &profile(Flags::NONE, 30_000));
        assert_eq!(rule.decide(&person).lower_dynamics, EMAIL);
    }

    #[test]
    fn our_write_of_one_opt_out_is_not_a_reading_of_the_others() {
        let rule = both();
        // An opt-out by phone that Campaign has, and one by e-mail that it lacks.
        let mut person = person(&rule, EMAIL | PHONE, 10_000, PHONE, 12_000);
        rule.campaign_written(&mut person, EMAIL, Flags::NONE);
        // Dynamics repeats its opt-outs, and then a reading finds that Campaign has lost the one by phone at some time.
        rule.contact_seen(&mut person, contact(EMAIL | PHONE, 15_000));
        rule.profile_seen(&mut person, &profile(EMAIL, 30_000));
        assert_eq!(rule.decide(&person), decided(PHONE, Flags::NONE, Flags::NONE));
    }

    #[test]
    fn what_we_wrote_to_dynamics_does_not_count_as_a_change_of_dynamics() {
        let rule = both();
        let mut person = person(&rule, Flags::NONE, 5_000, EMAIL, 6_000);
        assert_eq!(rule.step(&person, false), Step::WriteDynamics { raise: EMAIL, lower: Flags::NONE });
        person.raising = EMAIL;
        rule.dynamics_written(&mut person, EMAIL, Flags::NONE, at(9_000));
        rule.contact_seen(&mut person, ContactSight { by_us: true, ..contact(EMAIL, 9_000) });
        assert_eq!(person.contact.as_ref().unwrap().changed, at(5_000));
        // A consent of a time before our write reached Dynamics.
        rule.profile_seen(&mut person, &profile(Flags::NONE, 10_000));
        assert_eq!(rule.decide(&person).lower_dynamics, EMAIL);
    }

    #[test]
    fn a_change_under_our_user_that_was_not_meant_counts_as_one_of_dynamics() {
        let rule = both();
        let mut person = person(&rule, Flags::NONE, 5_000, Flags::NONE, 6_000);
        rule.contact_seen(&mut person, ContactSight { by_us: true, ..contact(EMAIL, 9_000) });
        let known = person.contact.as_ref().unwrap();
        assert_eq!((known.changed, known.ours), (at(9_000), Flags::NONE));
    }

    #[test]
    fn a_write_whose_answer_was_lost_is_known_again_by_what_was_intended() {
        let rule = both();
        let mut person = person(&rule, Flags::NONE, 5_000, EMAIL, 6_000);
        person.raising = EMAIL;
        rule.contact_seen(&mut person, ContactSight { by_us: true, ..contact(EMAIL, 9_000) });
        let known = person.contact.as_ref().unwrap();
        assert_eq!((known.out, known.ours, known.changed), (EMAIL, EMAIL, at(5_000)));
        assert!(!rule.is_due(&person));
    }

    #[test]
    fn dynamics_is_lowered_only_after_a_look_at_the_profile_and_under_a_known_version() {
        let rule = both();
        let mut person = person(&rule, EMAIL, 10_000, EMAIL, 12_000);
        rule.profile_seen(&mut person, &profile(Flags::NONE, 30_000));
        assert_eq!(rule.step(&person, false), Step::AskCampaign);
        assert_eq!(rule.step(&person, true), Step::WriteDynamics { raise: Flags::NONE, lower: EMAIL });
        person.contact.as_mut().unwrap().version = None;
        assert_eq!(rule.step(&person, true), Step::AskDynamics);
    }

    #[test]
    fn an_old_export_changes_no_value_and_a_new_one_asks_for_a_look() {
        let rule = both();
        let mut person = person(&rule, Flags::NONE, 1_000, Flags::NONE, 20_000);
        assert!(!rule.exported(&mut person, EMAIL, true, at(15_000), at(30_000)));
        assert!(!rule.is_due(&person));
        assert!(rule.exported(&mut person, EMAIL, true, at(25_000), at(30_000)));
        assert_eq!(rule.step(&person, false), Step::AskCampaign);
        rule.profile_seen(&mut person, &profile(EMAIL, 31_000));
        assert_eq!(rule.decide(&person).raise_dynamics, EMAIL);
    }

    #[test]
    fn exports_say_the_same_in_any_order_and_however_often() {
        let rule = both();
        let entries = [(false, 15_000), (true, 16_000), (false, 17_000), (false, 15_000)];
        let told = |order: &[usize]| {
            let mut person = person(&rule, EMAIL, 10_000, Flags::NONE, 20_000);
            for n in order {
                rule.exported(&mut person, EMAIL, entries[*n].0, at(entries[*n].1), at(30_000));
            }
            person
        };
        assert_eq!(told(&[0, 1, 2, 3]), told(&[3, 2, 1, 0, 2, 2]));
    }

    #[test]
    fn a_time_that_is_not_yet_is_no_time() {
        let rule = both();
        let mut person = person(&rule, EMAIL, 10_000, Flags::NONE, 20_000);
        assert!(!rule.exported(&mut person, EMAIL, false, at(99_000), at(30_000)));
        assert_eq!(rule.decide(&person).raise_campaign, EMAIL);
    }

    #[test]
    fn a_profile_made_anew_has_not_consented() {
        let rule = both();
        let mut person = person(&rule, EMAIL, 10_000, EMAIL, 12_000);
        rule.profile_seen(&mut person, &ProfileSight { created: Some(at(20_000)), ..profile(Flags::NONE, 30_000) });
        assert_eq!(rule.decide(&person), decided(EMAIL, Flags::NONE, Flags::NONE));
    }

    #[test]
    fn towards_dynamics_only_campaigns_changes_overwrite_and_campaign_is_never_written() {
        let rule = rule(Direction::CampaignToD365);
        // First sight: an opt-out goes over, what Campaign merely lacks does not.
        let mut person = person(&rule, EMAIL, 10_000, PHONE, 12_000);
        assert_eq!(rule.decide(&person), decided(Flags::NONE, PHONE, Flags::NONE));
        rule.dynamics_written(&mut person, PHONE, Flags::NONE, at(9_000));
        // Somebody in Dynamics takes it back: Campaign has not changed.
        rule.contact_seen(&mut person, contact(EMAIL, 40_000));
        assert!(!rule.is_due(&person));
        // Campaign changes it, though earlier than Dynamics did.
        rule.profile_seen(&mut person, &profile(Flags::NONE, 50_000));
        rule.profile_seen(&mut person, &profile(EMAIL, 60_000));
        rule.profile_seen(&mut person, &profile(Flags::NONE, 70_000));
        assert_eq!(rule.decide(&person), decided(Flags::NONE, Flags::NONE, EMAIL));
    }

    #[test]
    fn towards_campaign_an_opt_out_always_goes_over_and_a_consent_only_if_dynamics_changed_to_it() {
        let rule = rule(Direction::D365ToCampaign);
        let to_campaign = |raise, lower| Decision { raise_campaign: raise, lower_campaign: lower, ..Decision::default() };
        // First sight: the opt-out goes over, the one that only Campaign has stays and is held.
        let mut person = person(&rule, EMAIL, 10_000, PHONE, 12_000);
        assert_eq!((rule.decide(&person), person.held), (to_campaign(EMAIL, Flags::NONE), PHONE));
        rule.campaign_written(&mut person, EMAIL, Flags::NONE);
        assert!(!rule.is_due(&person));
        // Dynamics takes its own opt-out back: that is a change. It goes over after a look.
        rule.contact_seen(&mut person, contact(Flags::NONE, 20_000));
        assert_eq!(rule.decide(&person), to_campaign(Flags::NONE, EMAIL));
        assert_eq!(rule.step(&person, false), Step::AskCampaign);
        assert_eq!(rule.step(&person, true), Step::WriteCampaign { raise: Flags::NONE, lower: EMAIL });
        rule.campaign_written(&mut person, Flags::NONE, EMAIL);
        // Somebody unsubscribes in Campaign: Dynamics has not changed.
        rule.profile_seen(&mut person, &profile(EMAIL | PHONE, 30_000));
        assert!(!rule.is_due(&person) && person.held == PHONE);
        // And an opt-out that Campaign loses comes back from Dynamics.
        rule.contact_seen(&mut person, contact(EMAIL, 40_000));
        rule.profile_seen(&mut person, &profile(PHONE, 50_000));
        assert_eq!(rule.decide(&person), to_campaign(EMAIL, Flags::NONE));
    }

    #[test]
    fn towards_campaign_a_consent_in_dynamics_lifts_no_opt_out_that_was_not_seen_before_it() {
        let rule = rule(Direction::D365ToCampaign);
        let mut person = person(&rule, EMAIL, 10_000, Flags::NONE, 12_000);
        // Before the opt-out is written, Dynamics takes it back; the next reading finds that Campaign has one.
        rule.contact_seen(&mut person, contact(Flags::NONE, 20_000));
        rule.profile_seen(&mut person, &profile(EMAIL, 30_000));
        assert!(!rule.is_due(&person));
    }

    #[test]
    fn towards_campaign_a_consent_that_may_be_older_than_campaigns_own_opt_out_is_held() {
        let rule = rule(Direction::D365ToCampaign);
        for (consent, lifts) in [(29_000, false), (30_000, false), (31_000, true)] {
            let mut person = person(&rule, EMAIL, 10_000, EMAIL, 30_000);
            rule.contact_seen(&mut person, contact(Flags::NONE, consent));
            assert_eq!((person.fresh == EMAIL, person.held == EMAIL), (lifts, !lifts), "{consent}");
            // One that the profile was made with is not a word of Campaign's own.
            let mut person = Person::default();
            rule.contact_seen(&mut person, contact(EMAIL, 10_000));
            rule.profile_seen(&mut person, &ProfileSight { untouched: true, ..profile(EMAIL, 30_000) });
            rule.contact_seen(&mut person, contact(Flags::NONE, consent));
            assert_eq!((person.fresh, person.held), (EMAIL, Flags::NONE), "{consent}");
        }
    }

    #[test]
    fn what_a_contact_is_owed_is_written_without_a_profile_and_beats_an_older_consent() {
        for direction in [Direction::Bidirectional, Direction::CampaignToD365] {
            let rule = rule(direction);
            let mut person = person(&rule, Flags::NONE, 10_000, Flags::NONE, 12_000);
            rule.exported(&mut person, EMAIL, false, at(15_000), at(20_000));
            rule.profile_deleted(&mut person, &profile(EMAIL, 30_000));
            assert_eq!((rule.decide(&person), person.profile.is_none()), (decided(Flags::NONE, EMAIL, Flags::NONE), true));
            rule.dynamics_written(&mut person, EMAIL, Flags::NONE, at(40_000));
            assert!(person.owed.is_empty() && !rule.is_due(&person));
            assert_eq!((person.contact.as_ref().unwrap().ours, person.contact.as_ref().unwrap().changed), (Flags::NONE, at(40_000)));
        }
        let rule = rule(Direction::D365ToCampaign);
        let mut person = person(&rule, Flags::NONE, 10_000, EMAIL, 12_000);
        rule.profile_deleted(&mut person, &profile(EMAIL, 30_000));
        assert!(!rule.is_due(&person), "Dynamics is not written");
        // The profile that is made for the contact has it, which needs no approval.
        rule.profile_seen(&mut person, &profile(EMAIL, 50_000));
        assert!(person.owed.is_empty() && person.held.is_empty() && !rule.is_due(&person));
    }

    #[test]
    fn an_owed_opt_out_whose_answer_was_lost_is_known_again_and_is_not_taken_for_our_own_word() {
        let rule = both();
        let mut person = person(&rule, Flags::NONE, 5_000, Flags::NONE, 6_000);
        person.owed = EMAIL;
        person.raising = EMAIL;
        rule.contact_seen(&mut person, ContactSight { by_us: true, ..contact(EMAIL, 9_000) });
        let known = person.contact.as_ref().unwrap();
        assert_eq!((known.out, known.ours, known.changed, person.owed), (EMAIL, Flags::NONE, at(9_000), Flags::NONE));
        assert_eq!(rule.decide(&person).raise_campaign, EMAIL);
    }

    #[test]
    fn attributes_without_a_pair_are_left_alone() {
        let rule = Rule { pairs: PHONE, ..both() };
        let person = person(&rule, EMAIL, 1_000, Flags::NONE, 2_000);
        assert!(!rule.is_due(&person));
    }
}
