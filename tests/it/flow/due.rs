//! Filters that ask the time: a record is evaluated again when the answer changes, even if it does not change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use d365map::plan::ExecutionPlan;
use d365map::run::{Pace, Publisher, RunError, run};
use d365map::store::sqlite::db::Store;
use d365map::store::{DueStatus, Phase, StoreError};
use d365map::time::{format_instant, now};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::support::{World, id, plan_of, small};

const GONE: &str = "deletes propagate; filtered-out delete";

fn filtered(filter: &str, options: &str) -> Arc<ExecutionPlan> {
    plan_of(&format!(
        "mapping contacts: d365.contact -> campaign.profile {{
  key contactid -> externalId
  lastname -> lastName
  filter all {{ {filter} }}
  options {{ {options} }}
}}"
    ))
}

/// An instant from now on, as Dynamics has it.
fn in_hours(hours: i64) -> String {
    format_instant(now() + TimeDelta::hours(hours))
}

fn due(world: &World) -> DueStatus {
    Store::open_read(&world.state()).and_then(|store| store.status()).expect("the state can be read").mappings[0].due
}

async fn dynamics_calls(world: &World) -> u64 {
    world.admin_get("stats").await["apis"]["dataverse"]["total"].as_u64().expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_written_when_its_time_comes_and_deleted_when_it_is_over_without_a_change() {
    let world = World::empty().await;
    let plan = filtered("lastonholdtime <= now; lastonholdtime >= now - 10h", GONE);
    world.create(1, json!({"lastname": "Soon", "lastonholdtime": in_hours(5)})).await;
    world.create(2, json!({"lastname": "Never"})).await;
    let first = world.run(&plan).await;
    assert_eq!((first.read, first.created, first.filtered_out), (2, 0, 2));
    assert_eq!(due(&world).records, 1);
    assert_eq!(world.run(&plan).await.read, 0, "its time has not come");
    world.options.clock.advance(TimeDelta::hours(6));
    let dry = world.dry(&plan).await.flows.remove(0);
    assert_eq!((dry.read, dry.due, dry.create), (1, 1, 1));
    assert!(dry.describe().contains("because of the time"), "{}", dry.describe());
    let second = world.run(&plan).await;
    assert_eq!((second.read, second.created), (1, 1));
    assert_eq!(world.profile(1).await.expect("a profile")["lastName"], "Soon");
    assert_eq!(due(&world).records, 1, "it will leave the filter");
    world.options.clock.advance(TimeDelta::hours(10));
    let third = world.run(&plan).await;
    assert_eq!((third.read, third.deleted), (1, 1));
    assert!(world.profiles().await.is_empty());
    assert_eq!(due(&world), DueStatus::default(), "it never passes the filter again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_stays_at_the_target_when_it_leaves_the_filter_is_not_due() {
    let world = World::empty().await;
    let plan = filtered("lastonholdtime >= now", "filtered-out keep");
    world.create(1, json!({"lastname": "Kept", "lastonholdtime": in_hours(5)})).await;
    assert_eq!(world.run(&plan).await.created, 1);
    assert_eq!(due(&world).records, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_and_a_deletion_come_before_the_instant_and_cost_no_second_read() {
    let world = World::empty().await;
    let plan = filtered("lastonholdtime <= now", GONE);
    for n in 1..=3 {
        world.create(n, json!({"lastname": format!("L{n}"), "lastonholdtime": in_hours(5)})).await;
    }
    world.run(&plan).await;
    assert_eq!(due(&world).records, 3);
    world.delete(1).await;
    world.update(2, json!({"lastonholdtime": in_hours(50)})).await;
    world.options.clock.advance(TimeDelta::hours(6));
    let before = dynamics_calls(&world).await;
    let done = world.run(&plan).await;
    // The changes tell of the first two; the third is fetched.
    assert_eq!((done.read, done.created, done.deleted), (3, 1, 0));
    assert!(dynamics_calls(&world).await - before <= 4, "one call for the changes, one for what is due, and the environment's");
    assert_eq!(due(&world).records, 1);
    assert!(world.profile(3).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_due_records_are_fetched_in_batches_by_their_ids() {
    let world = World::empty().await;
    let plan = filtered("lastonholdtime <= now", "");
    for n in 1..=205 {
        world.create(n, json!({"lastname": format!("L{n}"), "lastonholdtime": in_hours(5)})).await;
    }
    world.run(&plan).await;
    world.options.clock.advance(TimeDelta::hours(6));
    let before = dynamics_calls(&world).await;
    let done = world.run(&plan).await;
    assert_eq!((done.read, done.created), (205, 205));
    let calls = dynamics_calls(&world).await - before;
    assert!(calls <= 6, "{calls} calls: the changes, two batches, and the environment's");
    assert_eq!(due(&world).records, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_leave_the_filter_together_are_held_as_a_mass_change() {
    let world = World::empty().await;
    let plan = filtered("lastonholdtime >= now", GONE);
    for n in 1..=12 {
        world.create(n, json!({"lastname": format!("L{n}"), "lastonholdtime": in_hours(5)})).await;
    }
    assert_eq!(world.run(&plan).await.created, 12);
    world.options.clock.advance(TimeDelta::hours(6));
    match world.try_run(&plan).await {
        Err(RunError::State(StoreError::MassChange { change, .. })) => assert_eq!((change.filtered, change.known), (12, 12)),
        other => panic!("not held: {other:?}"),
    }
    assert_eq!(world.profiles().await.len(), 12);
    let store = Store::open(&world.state()).expect("the state opens");
    assert_eq!(store.approve_mass_change("contacts").expect("approved"), Some(12));
    assert_eq!(world.run(&plan).await.deleted, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_by_days_is_asked_again_at_midnight_in_utc() {
    let world = World::empty().await;
    let plan = filtered("birthdate between today and today + 7d", "");
    let birthday = (now() + TimeDelta::days(9)).date_naive().to_string();
    world.create(1, json!({"lastname": "Birthday", "birthdate": birthday})).await;
    world.run(&plan).await;
    let next = due(&world).next.expect("it is due");
    assert_eq!(next, d365map::time::midnight((now() + TimeDelta::days(2)).date_naive()));
    world.options.clock.advance(TimeDelta::days(2));
    assert_eq!(world.run(&plan).await.created, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_begins_a_round_at_the_instant_although_its_schedule_is_far_away() {
    let mut world = World::empty().await;
    let plan = filtered("lastonholdtime <= now", "");
    world.create(1, json!({"lastname": "Soon", "lastonholdtime": in_hours(5)})).await;
    world.options.pace = Pace::Watch { interval: Duration::from_hours(10) };
    let (stop, store) = (CancellationToken::new(), Store::open_for_run(&world.state()).expect("the state opens"));
    let watch = run(plan, world.services().1, store.clone().into(), world.options(), Publisher::default(), stop.clone());
    let watch = tokio::spawn(watch);
    let began = Instant::now();
    let patience = |what: &str| assert!(began.elapsed() < Duration::from_secs(30), "{what}");
    while store.status().expect("the state").mappings.first().is_none_or(|m| m.due.records == 0) {
        patience("the first round ends");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.options.clock.advance(TimeDelta::hours(6));
    while world.profile(1).await.is_none() {
        patience("the record is written at its time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    watch.await.expect("no panic").expect("a graceful end");
    assert_eq!(world.profile(1).await.expect("a profile")["externalId"], id(1).as_str());
}

async fn position(world: &World) -> (Phase, i64, Option<d365map::time::Instant>) {
    let store = Store::open_read(&world.state()).expect("the state opens");
    let cursor = store.cursor("contacts").expect("the state can be read").expect("a cursor");
    (cursor.phase, cursor.generation, store.status().expect("the state can be read").mappings[0].full_at)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_begins_when_it_is_due_and_deletes_what_is_missing_without_a_call_for_equal_records() {
    let world = World::empty().await;
    let plan = small("deletes propagate; reconcile every 7d");
    for n in 1..=3 {
        world.create(n, json!({"lastname": format!("L{n}")})).await;
    }
    assert_eq!(world.run(&plan).await.created, 3);
    let (phase, generation, first) = position(&world).await;
    assert_eq!((phase, generation), (Phase::Delta, 1));
    world.options.clock.advance(TimeDelta::days(6));
    assert_eq!(world.run(&plan).await.read, 0, "6 days are not 7");
    assert_eq!(position(&world).await.1, 1);
    world.options.clock.advance(TimeDelta::days(2));
    // The message of this deletion is lost with the link of the changes: the comparison does not find the record.
    world.delete(1).await;
    let writes = world.campaign_writes().await;
    let done = world.run(&plan).await;
    assert_eq!((done.read, done.unchanged, done.updated, done.deleted), (2, 2, 0, 1));
    assert_eq!(world.campaign_writes().await - writes, 1);
    let (phase, generation, second) = position(&world).await;
    assert_eq!((phase, generation), (Phase::Delta, 2));
    assert!(second > first);
    assert_eq!(world.run(&plan).await.read, 0, "the next one is 7 days away");
    assert_eq!(position(&world).await.1, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_depend_on_the_day_are_written_once_a_day_where_they_differ() {
    let world = World::empty().await;
    let text = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n  \
                birthdate -> salutation | days(today)\n  options { refresh daily }\n}\n";
    let plan = plan_of(text);
    world.create(1, json!({"lastname": "L1", "birthdate": "2000-01-01"})).await;
    world.create(2, json!({"lastname": "L2"})).await;
    assert_eq!(world.run(&plan).await.created, 2);
    let days = |profile: serde_json::Value| profile["salutation"].as_str().and_then(|n| n.parse::<i64>().ok()).expect("a number of days");
    let before = days(world.profile(1).await.expect("a profile"));
    assert_eq!(world.run(&plan).await.read, 0, "once a day is enough");
    world.options.clock.advance(TimeDelta::days(1));
    let done = world.run(&plan).await;
    assert_eq!((done.read, done.unchanged, done.updated), (2, 1, 1), "the profile without a birthday stays as it is");
    assert_eq!(days(world.profile(1).await.expect("a profile")), before + 1);
    assert_eq!(world.run(&plan).await.read, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_comparison_goes_on_and_counts_as_complete_only_at_its_last_page() {
    let mut world = World::empty().await;
    let plan = small("reconcile every 7d");
    for n in 1..=30 {
        world.create(n, json!({"lastname": format!("L{n}")})).await;
    }
    world.run(&plan).await;
    let first = position(&world).await.2;
    world.options.clock.advance(TimeDelta::days(8));
    world.options.page_size = 10;
    // The second page fails.
    let fault = json!({"api": "dataverse", "kind": "status", "status": 400, "method": "GET", "path": "/contacts", "skip": 1});
    world.admin("fail-next", fault).await;
    world.try_run(&plan).await.expect_err("the service fails");
    let (phase, generation, at) = position(&world).await;
    assert_eq!((phase, generation, at), (Phase::Full, 2, first));
    let done = world.run(&plan).await;
    assert!(done.read < 30, "{} records were read: it started again", done.read);
    let (phase, generation, at) = position(&world).await;
    assert_eq!((phase, generation), (Phase::Delta, 2));
    assert!(at > first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_that_would_delete_many_records_is_held_and_does_not_begin_again_meanwhile() {
    let world = World::empty().await;
    let plan = small("deletes propagate; reconcile every 7d");
    for n in 1..=12 {
        world.create(n, json!({"lastname": format!("L{n}")})).await;
    }
    world.run(&plan).await;
    world.options.clock.advance(TimeDelta::days(8));
    for n in 1..=11 {
        world.delete(n).await;
    }
    for _ in 0..2 {
        match world.try_run(&plan).await {
            Err(RunError::State(StoreError::MassChange { change, .. })) => assert_eq!((change.unseen, change.known), (11, 12)),
            other => panic!("not held: {other:?}"),
        }
        world.options.clock.advance(TimeDelta::days(8));
    }
    assert_eq!((world.profiles().await.len(), position(&world).await.1), (12, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_compares_when_it_is_due() {
    let mut world = World::empty().await;
    let plan = small("reconcile every 7d");
    world.create(1, json!({"lastname": "L"})).await;
    world.options.pace = Pace::Watch { interval: Duration::from_millis(50) };
    let (stop, store) = (CancellationToken::new(), Store::open_for_run(&world.state()).expect("the state opens"));
    let watch = run(plan, world.services().1, store.clone().into(), world.options(), Publisher::default(), stop.clone());
    let watch = tokio::spawn(watch);
    let began = Instant::now();
    for generation in [1, 2] {
        while !store.cursor("contacts").expect("the state").is_some_and(|c| c.phase == Phase::Delta && c.generation == generation) {
            assert!(began.elapsed() < Duration::from_secs(30), "load {generation} ends");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        world.options.clock.advance(TimeDelta::days(8));
    }
    stop.cancel();
    watch.await.expect("no panic").expect("a graceful end");
}
