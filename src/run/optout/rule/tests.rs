//! The rule's answers, one by one. What follows from them together is checked in `model/`.

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
    ProfileSight { out, created: None, at: at(read), answered: at(read), modified: None }
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
fn where_the_sides_disagree_when_first_seen_the_opt_out_wins_on_either_side() {
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
    // The contact was changed between the two readings: it is not known whether before or after the consent.
    rule.contact_seen(&mut person, contact(EMAIL, 15_000));
    assert_eq!(rule.decide(&person).raise_campaign, EMAIL);
}

#[test]
fn a_change_of_a_contact_whose_profile_has_the_opt_out_too_asks_for_a_read_that_dates_a_later_consent() {
    let rule = both();
    let mut person = person(&rule, EMAIL, 10_000, EMAIL, 12_000);
    assert_eq!(rule.step(&person, false), Step::Done);
    // It is not known whether Campaign still says so, nor from when on a consent there would be the later word.
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
    rule.campaign_written(&mut person, EMAIL, Flags::NONE, at(13_000));
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
fn dynamics_is_lowered_only_after_a_read_of_the_profile_and_under_a_known_version() {
    let rule = both();
    let mut person = person(&rule, EMAIL, 10_000, EMAIL, 12_000);
    rule.profile_seen(&mut person, &profile(Flags::NONE, 30_000));
    assert_eq!(rule.step(&person, false), Step::AskCampaign);
    assert_eq!(rule.step(&person, true), Step::WriteDynamics { raise: Flags::NONE, lower: EMAIL });
    person.contact.as_mut().unwrap().version = None;
    assert_eq!(rule.step(&person, true), Step::AskDynamics);
}

#[test]
fn an_old_export_changes_no_value_and_a_new_one_asks_for_a_read() {
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
fn a_time_in_the_future_does_not_count() {
    let rule = both();
    let mut person = person(&rule, EMAIL, 10_000, Flags::NONE, 20_000);
    assert!(!rule.exported(&mut person, EMAIL, false, at(99_000), at(30_000)));
    assert_eq!(rule.decide(&person).raise_campaign, EMAIL);
}

#[test]
fn a_profile_created_again_has_not_consented() {
    let rule = both();
    let mut person = person(&rule, EMAIL, 10_000, EMAIL, 12_000);
    rule.profile_seen(&mut person, &ProfileSight { created: Some(at(20_000)), ..profile(Flags::NONE, 30_000) });
    assert_eq!(rule.decide(&person), decided(EMAIL, Flags::NONE, Flags::NONE));
}

#[test]
fn towards_dynamics_only_campaigns_changes_overwrite_and_campaign_is_never_written() {
    let rule = rule(Direction::CampaignToD365);
    // First read: an opt-out goes over, what Campaign merely lacks does not.
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
    // First read: the opt-out goes over, the one that only Campaign has stays and is held.
    let mut person = person(&rule, EMAIL, 10_000, PHONE, 12_000);
    assert_eq!((rule.decide(&person), person.held), (to_campaign(EMAIL, Flags::NONE), PHONE));
    rule.campaign_written(&mut person, EMAIL, Flags::NONE, at(13_000));
    assert!(!rule.is_due(&person));
    // Dynamics takes its own opt-out back: that is a change. It goes over after a read.
    rule.contact_seen(&mut person, contact(Flags::NONE, 20_000));
    assert_eq!(rule.decide(&person), to_campaign(Flags::NONE, EMAIL));
    assert_eq!(rule.step(&person, false), Step::AskCampaign);
    assert_eq!(rule.step(&person, true), Step::WriteCampaign { raise: Flags::NONE, lower: EMAIL });
    rule.campaign_written(&mut person, Flags::NONE, EMAIL, at(22_000));
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
        // A profile that shows that it has not changed since then was read as late as the others.
        let mut person = Person::default();
        rule.contact_seen(&mut person, contact(EMAIL, 10_000));
        rule.profile_seen(&mut person, &ProfileSight { modified: Some(at(20_000)), ..profile(EMAIL, 30_000) });
        rule.contact_seen(&mut person, contact(Flags::NONE, consent));
        assert_eq!((person.fresh, person.held), (EMAIL, Flags::NONE), "{consent}");
    }
}

#[test]
fn towards_campaign_an_opt_out_that_we_wrote_is_perhaps_campaigns_own_until_the_answer_came() {
    let rule = rule(Direction::D365ToCampaign);
    for (consent, lifts) in [(14_000, false), (15_000, false), (16_000, true)] {
        let mut person = person(&rule, EMAIL, 10_000, Flags::NONE, 12_000);
        rule.campaign_written(&mut person, EMAIL, Flags::NONE, at(15_000));
        rule.contact_seen(&mut person, contact(Flags::NONE, consent));
        assert_eq!((person.fresh == EMAIL, person.held == EMAIL), (lifts, !lifts), "{consent}");
    }
}

#[test]
fn towards_campaign_a_reading_counts_from_its_answer_or_from_the_last_change_that_it_shows() {
    let rule = rule(Direction::D365ToCampaign);
    let sight = |modified: Option<i64>| ProfileSight { answered: at(40_000), modified: modified.map(at), ..profile(EMAIL, 30_000) };
    for (modified, consent, lifts) in
        [(None, 35_000, false), (None, 41_000, true), (Some(20_000), 19_000, false), (Some(20_000), 21_000, true)]
    {
        let mut person = Person::default();
        rule.contact_seen(&mut person, contact(EMAIL, 10_000));
        rule.profile_seen(&mut person, &sight(modified));
        rule.contact_seen(&mut person, contact(Flags::NONE, consent));
        assert_eq!((person.fresh == EMAIL, person.held == EMAIL), (lifts, !lifts), "{modified:?} {consent}");
    }
    // One that a reading finds came at some time before the answer, whatever else the profile shows.
    let mut person = person(&rule, EMAIL, 10_000, Flags::NONE, 12_000);
    rule.profile_seen(&mut person, &sight(Some(11_000)));
    rule.contact_seen(&mut person, contact(Flags::NONE, 35_000));
    assert_eq!((person.fresh, person.held), (Flags::NONE, EMAIL));
}

#[test]
fn towards_campaign_a_consent_whose_answer_was_lost_is_written_again_only_if_the_profile_has_not_changed() {
    let rule = rule(Direction::D365ToCampaign);
    let lost = || {
        let mut person = person(&rule, EMAIL, 10_000, EMAIL, 12_000);
        rule.contact_seen(&mut person, contact(Flags::NONE, 20_000));
        rule.profile_seen(&mut person, &ProfileSight { modified: Some(at(11_000)), ..profile(EMAIL, 21_000) });
        person.lifting = EMAIL;
        person
    };
    for (modified, again) in [(Some(11_000), true), (Some(21_500), false), (Some(25_000), false), (None, false)] {
        let mut person = lost();
        rule.profile_seen(&mut person, &ProfileSight { modified: modified.map(at), ..profile(EMAIL, 30_000) });
        assert_eq!((person.fresh == EMAIL, person.held == EMAIL, person.lifting), (again, !again, Flags::NONE), "{modified:?}");
    }
    let mut person = lost();
    rule.profile_seen(&mut person, &ProfileSight { modified: Some(at(22_000)), ..profile(Flags::NONE, 30_000) });
    assert_eq!((person.fresh, person.held, person.lifting), (Flags::NONE, Flags::NONE, Flags::NONE), "it was written");
    // A refusal is an answer.
    let mut person = lost();
    rule.campaign_refused(&mut person, EMAIL);
    rule.profile_seen(&mut person, &ProfileSight { modified: Some(at(25_000)), ..profile(EMAIL, 30_000) });
    assert_eq!((person.fresh, person.held), (EMAIL, Flags::NONE));
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

#[test]
fn a_profile_counts_as_new_for_one_day_and_a_later_first_reading_holds_the_consents() {
    let rule = rule(Direction::D365ToCampaign);
    const DAY: i64 = 24 * 60 * 60 * 1_000;
    for (created, new) in [(Some(0), true), (Some(-1_000), false), (None, false)] {
        let mut person = Person::default();
        person.be_born(Flags::NONE, 1);
        rule.contact_seen(&mut person, contact(PHONE, 0));
        rule.profile_seen(&mut person, &ProfileSight { created: created.map(at), ..profile(EMAIL | PHONE, DAY) });
        assert_eq!((person.fresh == EMAIL, person.held == EMAIL), (new, !new), "{created:?}");
    }
}
