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
//! The exhaustive check of all this is in `model.rs`.

use chrono::TimeDelta;

use crate::plan::Direction;
use crate::state::{Contact, Flags, Person, Profile};
use crate::time::Instant;

/// What the rule goes by in one flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// [`Direction::Bidirectional`] or [`Direction::CampaignToD365`].
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
}

/// What is to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Decision {
    /// To be true in Campaign.
    pub(super) raise_campaign: Flags,
    /// To be an opt-out in Dynamics.
    pub(super) raise_dynamics: Flags,
    /// To be a consent in Dynamics.
    pub(super) lower_dynamics: Flags,
}

impl Decision {
    pub(super) fn is_none(&self) -> bool {
        (self.raise_campaign | self.raise_dynamics | self.lower_dynamics).is_empty()
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
    /// Write these opt-outs to the profile.
    WriteCampaign(Flags),
    /// Write these to the contact, under the version that is known.
    WriteDynamics {
        /// Opt-outs.
        raise: Flags,
        /// Consents.
        lower: Flags,
    },
}

impl Rule {
    /// What differs, and who wins. Nothing where one of the sides is not known, or has no such person.
    pub(super) fn decide(&self, person: &Person) -> Decision {
        let (Some(contact), Some(profile)) = (&person.contact, &person.profile) else { return Decision::default() };
        let dynamics_only = contact.out & !profile.out & self.pairs;
        let campaign_only = profile.out & !contact.out & self.pairs;
        match self.direction {
            Direction::Bidirectional => {
                let newer: Flags = dynamics_only.iter().filter(|flag| self.consent_is_newer(contact, profile, *flag)).collect();
                Decision { raise_campaign: dynamics_only & !newer, raise_dynamics: campaign_only, lower_dynamics: newer }
            }
            // Campaign's *changes* overwrite; what has not changed there overwrites nothing.
            Direction::CampaignToD365 => Decision {
                raise_campaign: Flags::NONE,
                raise_dynamics: campaign_only & person.fresh,
                lower_dynamics: dynamics_only & person.fresh,
            },
            Direction::Disabled | Direction::D365ToCampaign => Decision::default(),
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
    pub(super) fn step(&self, person: &Person, looked: bool) -> Step {
        let decision = self.decide(person);
        if !looked && (person.look || !decision.lower_dynamics.is_empty()) {
            return Step::AskCampaign;
        }
        // The side that sends messages first.
        if !decision.raise_campaign.is_empty() {
            return Step::WriteCampaign(decision.raise_campaign);
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
        let ContactSight { out, modified, by_us, version } = sight;
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
                known.ours = (known.ours | (out & !known.out)) & out;
                known.out = out;
                known.version = version;
            }
            Some(_) if unchanged => {}
            contact => {
                // What is known of the profile may be old: if it lost an opt-out that the contact has, nobody would notice until it is
                // read again. And from now on a consent there is the later word, which it is only known to be if the profile was read
                // after this change.
                person.look |= person.profile.as_ref().is_some_and(|profile| !(out & profile.out & self.pairs).is_empty());
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
                person.fresh = person.fresh | (known.out & !sight.out) | (sight.out & !known.out);
                known.out = sight.out;
                // Also where it is older than what was seen before: what an old view shows held no later than it was taken.
                known.seen = sight.at;
            }
            // Seen for the first time, or another record than before: what it does not have, nobody has taken away.
            profile => {
                *profile = Some(Profile { out: sight.out, seen: sight.at, created: sight.created, consents: Default::default() });
                person.fresh = sight.out;
            }
        }
        self.spend(person);
    }

    /// There is no profile (any more).
    pub(super) fn profile_missing(&self, person: &mut Person) {
        person.profile = None;
        person.fresh = Flags::NONE;
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

    /// The profile has these opt-outs now. The answer shows none of its other attributes, so it is not a sighting: a consent in one of
    /// those keeps its earliest possible time.
    pub(super) fn campaign_written(&self, person: &mut Person, raised: Flags) {
        if let Some(profile) = &mut person.profile {
            profile.out = profile.out | raised;
        }
    }

    /// The contact has these values now.
    pub(super) fn dynamics_written(&self, person: &mut Person, raised: Flags, lowered: Flags) {
        if let Some(contact) = &mut person.contact {
            contact.out = (contact.out | raised) & !lowered;
            contact.ours = (contact.ours | raised) & contact.out;
            // The answer does not tell it.
            contact.version = None;
        }
        person.raising = Flags::NONE;
        person.lowering = Flags::NONE;
        self.spend(person);
    }

    /// A change of Campaign's that both sides have has had its effect.
    fn spend(&self, person: &mut Person) {
        if let (Some(contact), Some(profile)) = (&person.contact, &person.profile) {
            person.fresh = person.fresh & ((contact.out & !profile.out) | (profile.out & !contact.out));
        }
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
        ContactSight { out, modified: at(modified), by_us: false, version: Some(modified.to_string()) }
    }

    fn profile(out: Flags, read: i64) -> ProfileSight {
        ProfileSight { out, created: None, at: at(read) }
    }

    /// Seen on both sides.
    fn person(rule: &Rule, dynamics: Flags, changed: i64, campaign: Flags, read: i64) -> Person {
        let mut person = Person::default();
        rule.contact_seen(&mut person, contact(dynamics, changed));
        rule.profile_seen(&mut person, &profile(campaign, read));
        person
    }

    fn decided(raise_campaign: Flags, raise_dynamics: Flags, lower_dynamics: Flags) -> Decision {
        Decision { raise_campaign, raise_dynamics, lower_dynamics }
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
        rule.campaign_written(&mut person, EMAIL);
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
        rule.dynamics_written(&mut person, EMAIL, Flags::NONE);
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
        rule.dynamics_written(&mut person, PHONE, Flags::NONE);
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
    fn attributes_without_a_pair_are_left_alone() {
        let rule = Rule { pairs: PHONE, ..both() };
        let person = person(&rule, EMAIL, 1_000, Flags::NONE, 2_000);
        assert!(!rule.is_due(&person));
    }
}
