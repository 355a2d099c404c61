//! Email events in bulk: how many requests they need, and what a batch does when a service cannot cope with it.

use std::time::{Duration, Instant};

use d365map::store::sqlite::db::Store;
use d365map::store::{EventMark, NewEvent};
use serde_json::{Value, json};

use super::events::{ALL, count, counts, event, go, rows, services, try_run, world};
use super::support::{World, id, plan_of};

/// A block with a follow-up task for each click.
const TASKS: &str =
    "events email: campaign.email -> d365.contact { send on; open on; click on; bounce on; \"Call about {delivery}\" -> task.click }";

/// Events of one type for three contacts.
fn events_of(kind: &str, count: u32) -> Vec<Value> {
    (0..count).map(|n| event(kind, n, 1 + n % 3, json!({"url": "https://www.example.com/offer"}))).collect()
}

/// A world in which this many events wait to be written, of these types in turn, as after an outage: so that no batch depends on how fast
/// events are read.
async fn waiting(kinds: &[&str], count: u32) -> World {
    let world = world(&[]).await;
    let events: Vec<NewEvent> = (0..count)
        .zip(kinds.iter().cycle())
        .map(|(n, kind)| NewEvent {
            activity: id(100_000 + n),
            contact: id(1 + n % 3),
            kind: (*kind).to_owned(),
            log_key: None,
            value_key: format!("event {n}"),
            payload: json!({"kind": kind, "contact": id(1 + n % 3), "at": 1_768_208_400_000_i64 + i64::from(n), "delivery": "Newsletter"})
                .to_string(),
        })
        .collect();
    let store = Store::open_for_run(&world.state()).expect("the state opens");
    assert_eq!(store.take_events("email", &events, &EventMark::None).expect("they are queued").backlog, u64::from(count));
    drop(store);
    world.admin("reset-stats", json!({})).await;
    world
}

/// Requests to Dynamics 365 since the count was last reset, whatever they carry.
async fn requests(world: &World) -> u64 {
    world.admin_get("stats").await["apis"]["dataverse"]["total"].as_u64().expect("a count")
}

/// What these requests count for the daily limit.
async fn operations(world: &World) -> u64 {
    world.admin_get("stats").await["operations"]["dataverse"].as_u64().expect("a count")
}

async fn all_completed(world: &World, table: &str, number: usize) {
    let rows = rows(world, table).await;
    assert_eq!(rows.len(), number);
    assert!(rows.iter().all(|row| row["statecode"] == 1 && row["statuscode"] == 2), "{table}: all are completed");
}

/// At most four requests for 1,000 events, those for the definitions of the tables included.
fn assert_few(what: &str, requests: u64, events: u64) {
    println!("{what}: {requests} requests for {events} events, {:.1} for 1,000", requests as f64 * 1000.0 / events as f64);
    assert!(requests * 1000 <= 4 * events, "{requests} requests for {events} events");
}

#[tokio::test(flavor = "multi_thread")]
async fn completed_activities_need_at_most_four_requests_for_1000_events() {
    let world = waiting(&["open"], 5000).await;
    let done = go(&world, &plan_of(ALL)).await;
    assert_eq!((done.created, done.failed, done.backlog), (5000, 0, 0));
    all_completed(&world, "adobe_emailopen", 5000).await;
    assert_few("completed afterwards in the same batch", requests(&world).await, 5000);
}

#[tokio::test(flavor = "multi_thread")]
async fn activities_with_tasks_need_at_most_four_requests_for_1000_events() {
    let world = waiting(&["click"], 5000).await;
    let done = go(&world, &plan_of(TASKS)).await;
    assert_eq!((done.created, done.failed, done.backlog, done.notes.get("follow-up tasks")), (5000, 0, 0, Some(&5000)));
    all_completed(&world, "adobe_emailclick", 5000).await;
    let tasks = rows(&world, "task").await;
    assert!(tasks.len() == 5000 && tasks.iter().all(|task| task["statecode"] == 0), "one open task for each");
    assert_few("completed, with tasks", requests(&world).await, 5000);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_four_types_that_come_mixed_need_at_most_four_requests_for_1000_events() {
    let kinds = ["send", "open", "send", "click", "send", "open", "send", "bounce", "send", "send"];
    let world = waiting(&kinds, 10_000).await;
    let done = go(&world, &plan_of(ALL)).await;
    assert_eq!((done.created, done.failed, done.backlog), (10_000, 0, 0));
    assert_eq!(count(&world).await, counts(6000, 2000, 1000, 1000));
    assert_few("four types", requests(&world).await, 10_000);
}

#[tokio::test]
async fn a_table_that_keeps_the_state_of_a_create_needs_no_second_write_for_a_row() {
    let world = waiting(&["open"], 700).await;
    world.admin("table", json!({"table": "adobe_emailopen", "state_on_create": "kept"})).await;
    let done = go(&world, &plan_of(ALL)).await;
    assert_eq!((done.created, done.failed, done.backlog), (700, 0, 0));
    all_completed(&world, "adobe_emailopen", 700).await;
    let (requests, operations) = (requests(&world).await, operations(&world).await);
    // 100 + 200 + 400 rows, the seven parts of the definition, one read of the first rows, one of the environment.
    assert_eq!((operations, requests), (700 + 7 + 1 + 1, 3 + 1 + 1 + 1));
}

#[tokio::test]
async fn a_table_that_ignores_or_refuses_the_state_of_a_create_is_detected_and_its_rows_are_still_completed() {
    for behavior in ["refused", "ignored", "dropped"] {
        let world = waiting(&["click"], 700).await;
        world.admin("table", json!({"table": "adobe_emailclick", "state_on_create": behavior})).await;
        let done = go(&world, &plan_of(TASKS)).await;
        assert_eq!((done.created, done.failed, done.backlog, done.notes.get("follow-up tasks")), (700, 0, 0, Some(&700)), "{behavior}");
        all_completed(&world, "adobe_emailclick", 700).await;
        assert_eq!(rows(&world, "task").await.len(), 700, "{behavior}");
        // A read of the environment, the definitions of two tables, 100 + 200 + 400 rows, and what the first batch needs besides: one that is refused and the tasks
        // and the completion by themselves, or a read and the completion.
        let more = match behavior {
            "refused" => 0,
            "ignored" => 3,
            _ => 2,
        };
        assert_eq!(requests(&world).await, 1 + 2 + 3 + more, "{behavior}");
    }
}

#[tokio::test]
async fn a_service_that_takes_no_bulk_requests_in_a_batch_gets_them_one_by_one() {
    let world = waiting(&["click"], 700).await;
    let refusal = json!({"api": "dataverse", "kind": "status", "status": 400, "path": "$batch", "count": 1000});
    world.admin("fail-next", refusal).await;
    let done = go(&world, &plan_of(TASKS)).await;
    assert_eq!((done.created, done.failed, done.backlog, done.notes.get("follow-up tasks")), (700, 0, 0, Some(&700)));
    all_completed(&world, "adobe_emailclick", 700).await;
    let stats = world.admin_get("stats").await;
    let refused = stats["requests"].as_array().expect("requests").iter().filter(|request| request["status"] == 400);
    assert_eq!(
        refused.map(|request| request["count"].as_u64().unwrap()).sum::<u64>(),
        3,
        "it is tried once for each definition and once for rows: {stats}"
    );
}

#[tokio::test]
async fn a_table_that_refuses_large_requests_gets_smaller_ones_and_no_event_is_a_dead_letter() {
    for most in [250, 60] {
        let world = waiting(&["open"], 2000).await;
        world.admin("table", json!({"table": "adobe_emailopen", "max_targets": most})).await;
        let done = go(&world, &plan_of(ALL)).await;
        assert_eq!((done.created, done.failed, done.backlog), (2000, 0, 0), "at most {most}");
        all_completed(&world, "adobe_emailopen", 2000).await;
        let requests = requests(&world).await;
        // Batches that fit, and a few that did not.
        assert!(requests <= 2000 / (most / 2) + 12, "at most {most}: {requests} requests");
    }
}

#[tokio::test]
async fn a_service_that_is_slow_for_large_batches_keeps_them_small_and_none_times_out() {
    let mut world = waiting(&["open"], 600).await;
    world.http.request_timeout = Duration::from_secs(2);
    // 100 rows, made and completed, take 0.8 s: more than a quarter of the time-out.
    world.admin("setup", json!({"row_time": 4000})).await;
    let done = go(&world, &plan_of(ALL)).await;
    assert_eq!((done.created, done.failed, done.backlog, done.retried), (600, 0, 0, 0));
    let stats = world.admin_get("stats").await;
    let batches = stats["requests"].as_array().expect("requests").iter().find(|request| request["route"] == "$batch").expect("batches");
    assert_eq!(batches["count"], 1 + 6, "the definition and six batches of 100: {stats}");
}

#[tokio::test]
async fn a_batch_that_times_out_is_halved_and_each_event_is_made_once() {
    let mut world = world(&events_of("open", 300)).await;
    world.http.request_timeout = Duration::from_millis(700);
    // 100 rows, made and completed, take 1.2 s.
    world.admin("setup", json!({"row_time": 6000})).await;
    let began = Instant::now();
    let done = go(&world, &plan_of(ALL)).await;
    assert_eq!((done.failed, done.backlog), (0, 0), "{:?}", began.elapsed());
    all_completed(&world, "adobe_emailopen", 300).await;
}

#[tokio::test]
async fn a_task_that_is_refused_costs_its_own_event_and_the_others_of_its_batch_are_written() {
    let mut events = events_of("click", 30);
    events.push(event("click", 99, 2, json!({"url": "https://x", "deliveryLabel": "D\u{e9}j\u{e0} vu"})));
    let world = world(&events).await;
    // The batch, the tasks alone, and their halves down to one of them.
    let denied = json!({"api": "dataverse", "kind": "status", "status": 403, "path": "tasks/", "count": 6});
    world.admin("fail-next", denied).await;
    let done = go(&world, &plan_of(TASKS)).await;
    assert_eq!((done.created, done.failed, done.backlog, done.notes.get("follow-up tasks")), (31, 1, 0, Some(&30)), "{done:?}");
    assert_eq!(world.dead_letters()[0].failure.status, Some(403));
}

#[tokio::test]
async fn whatever_answers_are_lost_events_with_tasks_are_made_once() {
    for behavior in ["refused", "kept"] {
        let world = world(&events_of("click", 900)).await;
        world.admin("table", json!({"table": "adobe_emailclick", "state_on_create": behavior})).await;
        for fault in [
            json!({"api": "dataverse", "kind": "lost-answer", "path": "emailclicks/Microsoft.Dynamics.CRM.CreateMultiple", "skip": 1}),
            json!({"api": "dataverse", "kind": "duplicate", "path": "tasks/Microsoft.Dynamics.CRM.CreateMultiple", "skip": 2}),
            json!({"api": "dataverse", "kind": "status", "status": 503, "path": "tasks/Microsoft.Dynamics.CRM.CreateMultiple"}),
            json!({"api": "dataverse", "kind": "lost-answer", "path": "UpdateMultiple"}),
        ] {
            world.admin("fail-next", fault).await;
        }
        let done = go(&world, &plan_of(TASKS)).await;
        assert_eq!((done.backlog, done.failed), (0, 0), "{behavior}");
        all_completed(&world, "adobe_emailclick", 900).await;
        assert_eq!(rows(&world, "task").await.len(), 900, "{behavior}");
    }
}

#[tokio::test]
async fn a_run_that_ends_at_any_request_leaves_nothing_that_the_next_one_does_not_finish() {
    for behavior in ["refused", "kept"] {
        let mut world = world(&events_of("click", 450)).await;
        (world.http.attempts, world.options.concurrency) = (1, 2);
        world.admin("table", json!({"table": "adobe_emailclick", "state_on_create": behavior})).await;
        let plan = plan_of(TASKS);
        for request in 0..12 {
            // Ends a run at this request: dropped in the middle, as by a kill, once it was sent.
            world.admin("fail-next", json!({"api": "dataverse", "kind": "slow", "delay": 60_000, "skip": request})).await;
            world.admin("reset-stats", json!({})).await;
            let run = tokio::time::timeout(Duration::from_millis(400), try_run(&world, &plan, services(&world)));
            let ended = run.await;
            world.admin("clear-faults", json!({})).await;
            if ended.is_ok() {
                break;
            }
        }
        let done = go(&world, &plan).await;
        assert_eq!((done.backlog, done.failed), (0, 0), "{behavior}");
        all_completed(&world, "adobe_emailclick", 450).await;
        let contacts = rows(&world, "task").await.iter().filter(|task| task["_regardingobjectid_value"] == id(1).as_str()).count();
        assert_eq!((rows(&world, "task").await.len(), contacts), (450, 150), "{behavior}");
    }
}
