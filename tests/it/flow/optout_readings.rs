//! Readings of profiles for opt-outs: what they note of how far they came, and what a reading that breaks off leaves for the next.

use std::time::Duration;

use d365map::run::{ChangedProfiles, Memories, Options, Publisher, run};
use d365map::store::OptoutState;
use d365map::store::sqlite::db::Store;
use d365map_emulator::Config;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::optout::plan;
use super::support::{World, id};

/// A world whose Campaign has a filter on the time of the last change, and whose Dynamics' clock is behind.
pub async fn filtered() -> World {
    let mut config = Config::default();
    let filter = json!({"name": "byLastModified", "parameters": [{"name": "lastModified_parameter", "fields": ["lastModified"], "operator": "at-least"}]});
    config.seed_text = Some(json!({"campaign": {"filters": [filter]}}).to_string());
    let mut world = World::new(config).await;
    world.options.optouts.clock_tolerance = Duration::ZERO;
    world.options.optouts.changed_profiles =
        Some(ChangedProfiles { filter: "byLastModified".into(), parameter: "lastModified_parameter".into() });
    world.dynamics_clock(-60).await;
    world
}

fn state(world: &World) -> OptoutState {
    Store::open_read(&world.state()).unwrap().optout_state("contacts.optout").unwrap().expect("the flow has run")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reading_of_changes_that_breaks_off_moves_no_mark_and_the_next_one_brings_what_it_missed() {
    let mut world = filtered().await;
    let plan = plan("bidirectional");
    for n in 1..=3 {
        world.person(n, json!({})).await;
    }
    world.sync(&plan).await;
    world.sync(&plan).await;
    let before = state(&world);
    assert!(before.high_water.is_some());
    for n in 1..=3 {
        world.marketing(n, json!({"blackListEmail": true})).await;
    }
    // A page has one profile; the second page fails.
    world.options.page_size = 1;
    world.admin("fail-next", json!({"kind": "status", "status": 400, "api": "campaign", "method": "GET", "skip": 1, "count": 1})).await;
    world.try_run(&plan).await.expect_err("the reading breaks off");
    let after = state(&world);
    assert_eq!((after.high_water, after.polled_at, after.full_at), (before.high_water, before.polled_at, before.full_at));
    world.admin("clear-faults", Value::Null).await;
    world.sync(&plan).await;
    for n in 1..=3 {
        assert_eq!(world.flags(n).await, (true, false, true), "{}", id(n));
    }
    assert!(state(&world).high_water > before.high_water);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_listing_that_breaks_off_decides_nothing_and_is_begun_again() {
    let mut world = filtered().await;
    world.options.optouts.accept = true;
    let plan = plan("bidirectional");
    for n in 1..=3 {
        world.person(n, json!({})).await;
        world.in_campaign("POST", "profile", json!({"externalId": id(n), "lastName": "L", "blackListEmail": n == 3})).await;
    }
    world.options.page_size = 1;
    world.options.mappings = Some(vec!["contacts.optout".to_owned()]);
    world.admin("fail-next", json!({"kind": "status", "status": 400, "api": "campaign", "method": "GET", "skip": 1, "count": 1})).await;
    world.try_run(&plan).await.expect_err("the listing breaks off");
    let broken = state(&world);
    assert_eq!((broken.listed_at, broken.full_at, broken.high_water), (None, None, None));
    world.admin("clear-faults", Value::Null).await;
    world.sync(&plan).await;
    assert_eq!(world.flags(3).await, (true, false, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_in_dynamics_reaches_a_profile_that_lost_its_own_since_it_was_read() {
    let mut world = super::optout::world().await;
    let plan = plan("bidirectional");
    world.person(1, json!({"donotemail": true})).await;
    world.sync(&plan).await;
    world.sync(&plan).await;
    // Profiles are not listed again for an hour, and by what is known Campaign has the opt-out.
    world.options.optouts.list_every = Duration::from_secs(3600);
    world.marketing(1, json!({"blackListEmail": false})).await;
    world.dynamics_clock(60).await;
    world.update(1, json!({"donotemail": true, "lastname": "Repeated"})).await;
    world.sync(&plan).await;
    assert_eq!((world.flags(1).await, world.lists(1).await), ((true, false, true), (true, false, false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longer_a_listing_of_all_profiles_takes_the_longer_is_the_pause_to_the_next() {
    let mut world = super::optout::world().await;
    world.options.mappings = Some(vec!["contacts.optout".to_owned()]);
    let plan = plan("bidirectional");
    let listed = || state(&world).full_at.expect("profiles were listed");
    // One process: what a listing took is known to its next round.
    let round = async |memories: &Memories| {
        let store = Store::open_for_run(&world.state()).expect("the state opens");
        let (services, stop) = (world.services().1, CancellationToken::new());
        let options = Options { memories: memories.clone(), ..world.options() };
        run(plan.clone(), services, store.into(), options, Publisher::default(), stop).await.expect("the round completes");
        listed()
    };
    let memories = Memories::default();
    world
        .admin("fail-next", json!({"kind": "slow", "delay": 500, "api": "campaign", "method": "GET", "path": "profile", "count": 100}))
        .await;
    let first = round(&memories).await;
    world.admin("clear-faults", Value::Null).await;
    // `list_every` is zero, so only the time that the listing took, at least half a second, spaces the next: 25 seconds or more.
    assert_eq!(round(&memories).await, first, "not listed again");
    assert!(round(&Memories::default()).await > first, "a process that has listed nothing lists at once");
}
