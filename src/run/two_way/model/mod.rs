//! An exhaustive check of the rule on a small world: one deal, two fields, both systems, people who change either side at any moment,
//! notices that are late, repeated and out of order, and a process that dies between any two steps. Every reachable state is visited; from
//! each of them the flow, left alone, must come to rest.
//!
//! What is asked of each end:
//!
//! 1. *Agreement*: both records hold the same values, unless the referral is closed, the opportunity was taken out, or a conflict waits
//!    for a person.
//! 2. *No change is lost*: a field that people changed on one side only has that side's value in the end.
//! 3. *Rest*: then nothing is written, however often both sides are reported again, and the writes until then are few.
//! 4. *One referral per opportunity*, and the other way round.
//! 5. *Closed records never change* by the flow.
//! 6. *A conflict that is to be reported changes neither side.*

mod game;
mod world;

use super::rule::{FieldWay, Policy};
use game::{Flaw, Game};
use world::FIELDS;

const POLICIES: [Policy; 4] = [Policy::Newest, Policy::Left, Policy::Right, Policy::Report];
const KINDS: [[FieldWay; FIELDS]; 3] =
    [[FieldWay::Both, FieldWay::Both], [FieldWay::ToRight, FieldWay::ToLeft], [FieldWay::Both, FieldWay::ToRight]];

/// Explores a game with every policy and every kind of fields.
fn explore(what: &str, of: impl Fn(Game) -> Game) {
    explore_some(what, &POLICIES, &KINDS, of);
}

fn explore_some(what: &str, policies: &[Policy], kinds: &[[FieldWay; FIELDS]], of: impl Fn(Game) -> Game) {
    for &policy in policies {
        for &ways in kinds {
            let states = of(Game::new(ways, policy)).explore();
            println!("{what}, {policy:?}, {ways:?}: {states} states");
            assert!(states > 50, "{what}: {states} states are too few");
        }
    }
}

fn is_lost(game: &Game) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| game.explore())).is_err()
}

#[test]
fn records_that_are_in_step_stay_so_whatever_people_do_and_whenever_the_process_dies() {
    explore("in step", Game::in_step);
}

#[test]
fn a_new_referral_gets_one_opportunity() {
    explore_some("new referral", &[Policy::Newest, Policy::Report], &KINDS, |game| game.with_left().acts(1));
}

#[test]
fn a_new_opportunity_gets_one_referral() {
    explore_some("new opportunity", &[Policy::Newest, Policy::Report], &KINDS, |game| game.with_right().acts(1));
}

#[test]
fn closed_referrals_never_change_and_their_opportunities_get_their_last_values() {
    explore_some("closed", &[Policy::Newest], &KINDS[1..], |game| Game { closes: true, ..game.in_step() });
    explore_some("closed while new", &[Policy::Newest], &KINDS[1..], |game| Game { closes: true, ..game.with_left().acts(1) });
}

#[test]
fn closed_opportunities_never_change_and_their_referrals_get_their_last_values() {
    explore_some("won", &[Policy::Newest], &KINDS[1..], |game| Game { wins: true, ..game.in_step() });
    explore_some("won while new", &[Policy::Newest], &KINDS[1..], |game| Game { wins: true, ..game.with_right().acts(1) });
    explore_some("both closed", &[Policy::Newest], &KINDS[1..], |game| Game { closes: true, wins: true, ..game.in_step() });
}

#[test]
fn an_opportunity_that_is_taken_out_and_in_again_is_in_step_again() {
    explore_some("gate", &[Policy::Newest], &KINDS[1..], |game| Game { gates: true, ..game.in_step() });
    explore_some("gate while new", &[Policy::Newest], &KINDS[1..], |game| Game { gates: true, ..game.with_right().acts(1) });
}

#[test]
fn a_system_that_keeps_another_value_than_it_was_sent_causes_no_ping_pong() {
    explore("normalizes", |game| {
        let mut game = Game { normalizes: true, ..game.in_step() };
        // A death between a write and its note makes such a value look like a change of the other side.
        game.start.kills = 0;
        game
    });
}

#[test]
fn a_write_that_is_broken_off_in_the_middle_is_completed_and_not_taken_for_a_change() {
    explore_some("piece by piece", &POLICIES, &KINDS[..2], |game| game.in_step().piecewise());
    explore_some("piece by piece, new referral", &[Policy::Newest], &KINDS[..2], |game| game.with_left().acts(1).piecewise());
}

#[test]
fn a_deletion_is_never_propagated() {
    explore_some("deletes", &[Policy::Newest], &KINDS[1..], |game| Game { deletes: true, ..game.in_step() });
}

#[test]
fn a_flow_that_is_built_wrongly_is_found_out() {
    let both = || Game::new(KINDS[0], Policy::Newest);
    for (flaw, game) in [
        (Flaw::NoVersion, Game { closes: true, ..both().in_step() }),
        (Flaw::NoSearch, both().with_left().acts(0)),
        (Flaw::NoSearch, both().with_right().acts(0)),
        (Flaw::WritesClosed, Game { closes: true, ..both().in_step() }),
        (Flaw::WritesClosed, Game { wins: true, ..both().in_step() }),
        (Flaw::NoIntent, both().in_step()),
        (Flaw::TakesPartsForChanges, Game { flaw: Some(Flaw::TakesPartsForChanges), ..both() }.in_step().piecewise()),
        (Flaw::ForgetsWrites, Game { normalizes: true, ..both().in_step() }),
    ] {
        assert!(is_lost(&Game { flaw: Some(flaw), ..game }), "{flaw:?} is not found");
    }
}
