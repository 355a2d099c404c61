//! An exhaustive check of the rule on a small world: one person, one opt-out, both services, people who change their minds on
//! either side, readings and answers that are late, exports that come whenever they like and again, lost answers, and kills between any
//! two instructions of the flow, in both directions and towards Campaign. Every reachable state is visited; from every one of them the flow, left alone, must come to rest.
//!
//! What is asked of each:
//!
//! 1. *Agreement*: in a few rounds both services say the same.
//! 2. *No opt-out is lost*: where somebody said "no" in Campaign and it was not taken back there, the end is an opt-out; where
//!    somebody said "no" in Dynamics last, the end is an opt-out, unless a consent in Campaign is strictly newer.
//! 3. *Rest*: then nothing is written any more, however often everything is read and exported again; and the writes until then
//!    are few.
//! 4. *Consent comes through*: given in Campaign while everything is at rest, it reaches Dynamics.
//! 5. *Our own writes win against no one*: while Dynamics is silent, Campaign's last word is the end, whatever we wrote on the way.
//! 6. *Campaign is never lowered* by the flow.
//!
//! In a workflow from Dynamics to Campaign, in place of these: an opt-out of Dynamics is one of Campaign in the end; an opt-out of Campaign
//! is lost only to a consent that Dynamics changed to after it; Dynamics is never written; then rest; and a consent of Dynamics comes
//! through. An opt-out that Campaign gets in the moment in which we write the same one is Campaign's own like any other.
//!
//! A topic is the same from Dynamics to Campaign, with two differences: Campaign shows no time of it, and a profile begins with the opt-out. Of
//! a profile that the mapping makes, and that has an answer to its create, the contact's consent comes through in the end, unless somebody has
//! opted out in an earlier profile.
//!
//! What no client can see or protect is not asked for: each is a [`Limit`](world::Limit), which docs/optout.md states. One test shows of each
//! that the flow reaches it, and another that a client is shown the same whether somebody opted out or not.
//!
//! The mapping takes part: contacts leave the filter and come back, other fields hold records back, profiles are deleted and made,
//! with values that may be old, and killed in between. Wherever the contact has no profile in the end, it gets one, and then the same is
//! asked; and before that, an opt-out that Campaign had must be with the contact or kept for its return.

mod claims;
mod game;
mod work;
mod world;

use chrono::TimeDelta;

use super::rule::Rule;
use crate::plan::Direction;
use crate::store::Flags;
use crate::time::Instant;
use game::Game;
use world::{Act, Flaw, Limit};

/// The most writes that follow an act of people, whatever else happens: each of two views that are out of date may cause some.
const WRITES: u8 = 8;
const FLAG: Flags = Flags::of(1);

fn at(second: i64) -> Instant {
    Instant::from_timestamp(second, 0).unwrap()
}

fn flags(out: bool) -> Flags {
    if out { FLAG } else { Flags::NONE }
}

/// Both directions together; two acts of people.
fn game() -> Game {
    let rule = Rule { direction: Direction::Bidirectional, pairs: FLAG, tolerance: TimeDelta::zero() };
    Game {
        flaw: None,
        rule,
        skew: 0,
        exports: false,
        anew: false,
        late: false,
        filter: false,
        mapping: false,
        stale: true,
        slow: false,
        topic: false,
        beyond: None,
        acts: 2,
        ticks: 1,
        kills: 0,
    }
}

fn towards_campaign() -> Game {
    let rule = Rule { direction: Direction::D365ToCampaign, ..game().rule };
    Game { rule, stale: false, ..game() }
}

fn explored(what: &str, game: &Game) {
    let began = std::time::Instant::now();
    let states = game.explore();
    println!("{what}: {states} states in {:?}", began.elapsed());
    assert!(states > 1_000, "{what}: {states} states are too few");
}

/// Whether a game finds that something does not hold.
fn is_lost(game: &Game) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| game.explore())).is_err()
}

#[test]
fn whatever_people_do_and_however_late_it_is_seen_the_services_agree_and_no_opt_out_is_lost() {
    explored("two acts", &game());
}

#[test]
fn exports_that_come_late_twice_and_out_of_order_lose_no_opt_out() {
    explored("exports", &Game { exports: true, ticks: 0, ..game() });
}

#[test]
fn kills_and_requests_that_arrive_after_them_lose_no_opt_out() {
    explored("kills", &Game { late: true, acts: 1, kills: 1, ..game() });
}

#[test]
fn while_dynamics_is_silent_campaigns_last_word_is_the_end_whatever_we_wrote_on_the_way() {
    explored("silent", &Game { stale: false, late: true, exports: true, kills: 1, ..game() });
}

#[test]
fn a_profile_created_again_is_not_a_consent_whenever_it_happens() {
    explored("created again", &Game { anew: true, ..game() });
}

#[test]
fn clocks_that_differ_within_the_tolerance_lose_no_opt_out() {
    for skew in [-1, 1] {
        let rule = Rule { tolerance: TimeDelta::seconds(1), ..game().rule };
        explored("skew", &Game { rule, skew, ..game() });
    }
}

#[test]
fn towards_campaign_clocks_that_differ_within_the_tolerance_lose_no_opt_out() {
    for skew in [-1, 1] {
        let rule = Rule { tolerance: TimeDelta::seconds(1), ..towards_campaign().rule };
        explored("towards Campaign, skew", &Game { rule, skew, ticks: 2, ..towards_campaign() });
    }
}

#[test]
fn readings_of_changes_that_break_off_lose_no_opt_out() {
    explored("filter", &Game { filter: true, stale: false, kills: 1, ..game() });
}

#[test]
fn profiles_that_the_mapping_deletes_and_makes_lose_no_opt_out() {
    explored("mapping", &Game { mapping: true, stale: false, kills: 1, ..game() });
}

#[test]
fn listings_and_answers_that_are_merely_late_lose_no_opt_out() {
    explored("late answers", &Game { slow: true, stale: false, ..game() });
}

#[test]
fn towards_campaign_listings_and_answers_that_are_merely_late_lose_no_opt_out() {
    explored("towards Campaign, late answers", &Game { slow: true, mapping: true, ..towards_campaign() });
}

#[test]
fn towards_campaign_no_opt_out_is_lost_whatever_happens_to_the_record() {
    explored("towards Campaign", &Game { mapping: true, kills: 1, ..towards_campaign() });
}

#[test]
fn towards_campaign_late_requests_and_readings_of_changes_that_break_off_lose_no_opt_out() {
    explored("towards Campaign, changes", &Game { filter: true, late: true, kills: 1, ..towards_campaign() });
}

#[test]
fn towards_campaign_no_opt_out_that_a_reader_can_see_is_lost_to_three_acts_of_people() {
    explored("towards Campaign, three acts", &Game { acts: 3, ..towards_campaign() });
}

/// A topic: the same from Dynamics to Campaign.
fn topic() -> Game {
    Game { topic: true, mapping: true, ..towards_campaign() }
}

#[test]
fn no_opt_out_of_a_topic_is_lost_whatever_happens_to_the_record_and_a_new_profile_begins_with_the_consent() {
    explored("topics", &Game { kills: 1, ..topic() });
}

#[test]
fn no_opt_out_of_a_topic_is_lost_to_answers_that_are_merely_late() {
    explored("topics, late answers", &Game { slow: true, ..topic() });
}

#[test]
fn a_workflow_of_topics_that_is_built_wrongly_is_found_out() {
    for flaw in [Flaw::ForgetsKept, Flaw::BeginsAgain, Flaw::LiftsAtFirstSight, Flaw::BlindDelete] {
        let game = Game { flaw: Some(flaw), kills: 1, ..topic() };
        assert!(is_lost(&game), "{flaw:?} is not found");
    }
}

#[test]
fn what_no_client_can_see_or_protect_is_lost() {
    let games = [
        (Limit::Repeated, towards_campaign()),
        (Limit::TwoChanges, Game { acts: 3, ..towards_campaign() }),
        (Limit::TimeOfRecord, Game { acts: 3, ..towards_campaign() }),
        (Limit::LookToDelete, Game { mapping: true, stale: false, ..game() }),
        (Limit::LookToDelete, Game { mapping: true, ..towards_campaign() }),
        (Limit::LateConsent, Game { late: true, kills: 1, ..towards_campaign() }),
    ];
    for (limit, game) in games {
        let game = Game { beyond: Some(limit), ..game };
        assert!(is_lost(&game), "{limit:?} is not a limit, {:?}", game.rule.direction);
    }
}

/// Two stories, one act a second, that show a client the same at the same times: in the first somebody opts out in Campaign after the
/// consent in Dynamics, in the second before it or not at all. `None`: another attribute of the profile changes.
fn stories(limit: Limit) -> [Vec<Option<Act>>; 2] {
    let (consent, out, back, other) = (Some(Act::Dynamics(false)), Some(Act::Campaign(true)), Some(Act::Campaign(false)), None);
    match limit {
        Limit::Repeated => [vec![consent, out], vec![consent, other]],
        Limit::TwoChanges => [vec![consent, back, out], vec![consent, other, other]],
        Limit::TimeOfRecord => [vec![consent, out, Some(Act::Touch)], vec![Some(Act::Touch), out, consent]],
        Limit::LookToDelete => [vec![out], vec![other]],
        Limit::LateConsent => unreachable!("no client sees what arrives late"),
    }
}

#[test]
fn what_no_client_can_see_is_shown_alike_whether_somebody_opted_out_later_or_not() {
    for limit in [Limit::Repeated, Limit::TwoChanges, Limit::TimeOfRecord, Limit::LookToDelete] {
        let game = Game { beyond: Some(limit), acts: 4, mapping: true, ..towards_campaign() };
        let [opted_out, did_not] = stories(limit).map(|story| game.told(&story));
        assert_eq!(game.contact(&opted_out), game.contact(&did_not), "{limit:?}");
        assert_eq!(game.profile(&opted_out, opted_out.now), game.profile(&did_not, did_not.now), "{limit:?}");
        assert_eq!((opted_out.said_no_in_campaign, did_not.said_no_in_campaign), (true, false), "{limit:?}");
    }
}

#[test]
fn a_flow_that_is_built_wrongly_is_found_out() {
    let one_way = towards_campaign;
    let games = [
        (Flaw::NoVersion, game()),
        (Flaw::TimeOfReading, game()),
        (Flaw::OwnWritesCount, Game { stale: false, ..game() }),
        (Flaw::NoCreated, Game { anew: true, ..game() }),
        (Flaw::DatedByListing, game()),
        (Flaw::MarkOfPage, Game { filter: true, stale: false, ..game() }),
        (Flaw::BlindDelete, Game { mapping: true, stale: false, ..game() }),
        (Flaw::BlindDelete, Game { mapping: true, ..one_way() }),
        (Flaw::KeepsAfterwards, Game { mapping: true, stale: false, kills: 1, ..game() }),
        (Flaw::KeepsAfterwards, Game { mapping: true, kills: 1, ..one_way() }),
        (Flaw::WithTheRecord, Game { mapping: true, ..one_way() }),
        (Flaw::LiftsAtFirstSight, one_way()),
        (Flaw::LiftsUnseen, one_way()),
        (Flaw::MarkOfPage, Game { filter: true, ..one_way() }),
        (Flaw::OwnWritesAreOurs, one_way()),
        (Flaw::TimeOfRequest, Game { slow: true, ..one_way() }),
        (Flaw::LiftsAgain, one_way()),
    ];
    for (flaw, game) in games {
        let game = Game { flaw: Some(flaw), ..game };
        assert!(is_lost(&game), "{flaw:?} is not found, {:?}", game.rule.direction);
    }
}
