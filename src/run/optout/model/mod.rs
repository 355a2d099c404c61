//! An exhaustive check of the rule on a small world: one person, one opt-out, both services, people who change their minds on
//! either side, readings that are late, exports that come whenever they like and again, lost answers, and kills between any two
//! instructions of the flow, in three directions. Every reachable state is visited; from every one of them the flow, left alone, must come to rest.
//!
//! What is asked of each:
//!
//! 1. *Agreement*: in a few rounds both services say the same.
//! 2. *No opt-out is lost*: where somebody said "no" in Campaign and nobody there took it back, the end is an opt-out; where
//!    somebody said "no" in Dynamics last, the end is an opt-out, unless a consent in Campaign is strictly newer.
//! 3. *Rest*: then nothing is written any more, however often everything is read and exported again; and the writes until then
//!    are few.
//! 4. *Consent comes through*: given in Campaign while everything is at rest, it reaches Dynamics.
//! 5. *Our own writes beat nobody*: while Dynamics is silent, Campaign's last word is the end, whatever we wrote on the way.
//! 6. *Campaign is never lowered* by the flow.
//!
//! In a workflow from Dynamics to Campaign, in place of these: an opt-out of Dynamics is one of Campaign in the end; an opt-out of Campaign
//! is lost only to a consent that Dynamics changed to after it; Dynamics is never written; then rest; and a consent of Dynamics comes
//! through. Not asked there: an opt-out that Campaign gets in the moment in which the same one is written there; two changes of Campaign between two readings look like none, and a consent that arrives after its sender's
//! end has no condition that protects it.
//!
//! The mapping takes part: contacts leave the filter and come back, other fields hold records back, profiles are deleted and made,
//! with values that may be old, and killed in between. Wherever the contact has no profile in the end, it gets one, and then the same is
//! asked; and before that, an opt-out that Campaign had must be with the contact or kept for its return.

mod game;
mod world;

use chrono::TimeDelta;

use super::rule::Rule;
use crate::plan::Direction;
use crate::state::Flags;
use crate::time::Instant;
use game::Game;
use world::Flaw;

/// The most writes that follow an act of people, whatever else happens: each of two views that are out of date may cause some.
const WRITES: u8 = 8;
const FLAG: Flags = Flags::of(1);

fn at(second: i64) -> Instant {
    Instant::from_timestamp(second, 0).unwrap()
}

fn flags(out: bool) -> Flags {
    if out { FLAG } else { Flags::NONE }
}

fn game() -> Game {
    let rule = Rule { direction: Direction::Bidirectional, pairs: FLAG, tolerance: TimeDelta::zero() };
    Game { flaw: None, rule, skew: 0, exports: false, anew: false, late: false, filter: false, mapping: false, stale: true }
}

fn explored(what: &str, game: &Game, acts: u8, ticks: u8, kills: u8) {
    let began = std::time::Instant::now();
    let states = game.explore(acts, ticks, kills);
    println!("{what}: {states} states in {:?}", began.elapsed());
    assert!(states > 1_000, "{what}: {states} states are no world");
}

#[test]
fn whatever_people_do_and_however_late_it_is_seen_the_services_agree_and_no_opt_out_is_lost() {
    explored("two acts", &game(), 2, 1, 0);
}

#[test]
fn exports_that_come_late_twice_and_out_of_order_lose_no_opt_out() {
    explored("exports", &Game { exports: true, ..game() }, 2, 0, 0);
}

#[test]
fn kills_and_requests_that_arrive_after_them_lose_no_opt_out() {
    explored("kills", &Game { late: true, ..game() }, 1, 1, 1);
}

#[test]
fn while_dynamics_is_silent_campaigns_last_word_is_the_end_whatever_we_wrote_on_the_way() {
    explored("silent", &Game { stale: false, late: true, exports: true, ..game() }, 2, 1, 1);
}

#[test]
fn a_profile_made_anew_is_no_consent_whenever_it_happens() {
    explored("anew", &Game { anew: true, ..game() }, 2, 1, 0);
}

#[test]
fn clocks_that_differ_within_the_tolerance_lose_no_opt_out() {
    for skew in [-1, 1] {
        let rule = Rule { tolerance: TimeDelta::seconds(1), ..game().rule };
        explored("skew", &Game { rule, skew, ..game() }, 2, 1, 0);
    }
}

#[test]
fn readings_of_changes_that_break_off_lose_no_opt_out() {
    explored("filter", &Game { filter: true, stale: false, ..game() }, 2, 1, 1);
}

#[test]
fn profiles_that_the_mapping_deletes_and_makes_lose_no_opt_out() {
    explored("mapping", &Game { mapping: true, stale: false, ..game() }, 2, 1, 1);
}

fn towards_campaign() -> Game {
    let rule = Rule { direction: Direction::D365ToCampaign, ..game().rule };
    Game { rule, stale: false, ..game() }
}

#[test]
#[ignore = "known limit, written in docs/optout.md: an opt-out that Campaign gets in the moment in which the same one is written is taken for Dynamics' word"]
fn towards_campaign_no_opt_out_is_lost_whatever_happens_to_the_record() {
    explored("towards Campaign", &Game { mapping: true, ..towards_campaign() }, 2, 1, 1);
}

#[test]
#[ignore = "known limit, written in docs/optout.md: an opt-out that Campaign gets in the moment in which the same one is written is taken for Dynamics' word"]
fn towards_campaign_late_requests_and_readings_of_changes_that_break_off_lose_no_opt_out() {
    explored("towards Campaign, changes", &Game { filter: true, late: true, ..towards_campaign() }, 2, 1, 1);
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
        (Flaw::KeepsAfterwards, Game { mapping: true, stale: false, ..game() }),
        (Flaw::KeepsAfterwards, Game { mapping: true, ..one_way() }),
        (Flaw::WithTheRecord, Game { mapping: true, ..one_way() }),
        (Flaw::LiftsAtFirstSight, one_way()),
        (Flaw::LiftsUnseen, one_way()),
        (Flaw::MarkOfPage, Game { filter: true, ..one_way() }),
    ];
    for (flaw, game) in games {
        let kills = u8::from(flaw == Flaw::KeepsAfterwards);
        let game = Game { flaw: Some(flaw), ..game };
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| game.explore(2, 1, kills)));
        assert!(found.is_err(), "{flaw:?} is not found, {:?}", game.rule.direction);
    }
}
