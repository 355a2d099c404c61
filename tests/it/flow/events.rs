//! Email events on timelines: from the journal to activities in Dataverse, each once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use d365map::connect::journal::{Journal, JournalConfig, JournalFields};
use d365map::plan::ExecutionPlan;
use d365map::run::{FlowSummary, Publisher, RunError, Services, Summary, run};
use d365map::store::sqlite::db::Store;
use d365map::store::{EventMark, NewEvent};
use d365map_emulator::Config;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::support::{World, id, plan_of};
use crate::connect_journal::journal;
use crate::connect_server::{Reply, Server};

/// The tables of activities and three contacts.
const SEED: &str = include_str!("../../../examples/events/seed.json");

pub const ALL: &str = "events email: campaign.email -> d365.contact { send on; open on; click on; bounce on }";

/// A world with these events in the journal.
pub async fn world(events: &[Value]) -> World {
    world_of(json!({"events": events}), 0).await
}

/// A world with this journal, and contacts beside the three of the example.
pub async fn world_of(journal: Value, contacts: u32) -> World {
    let mut seed: Value = serde_json::from_str(SEED).expect("the example's seed");
    seed["journal"] = journal;
    let rows = seed["dataverse"]["tables"]["contact"]["rows"].as_array_mut().expect("rows");
    rows.extend((4..4 + contacts).map(|n| json!({"contactid": id(n), "lastname": format!("Contact {n}")})));
    World::new(Config { seed_text: Some(seed.to_string()), ..Config::default() }).await
}

/// An event of the journal.
pub fn event(kind: &str, log: u32, contact: u32, more: Value) -> Value {
    let mut data = json!({
        "logId": log.to_string(), "externalId": id(contact), "eventDate": format!("2026-01-12 09:{:02}:{:02}.000Z", log / 60 % 60, log % 60),
        "deliveryId": "DM1", "deliveryLabel": "Newsletter", "campaignId": "CMP1", "campaignLabel": "Spring", "mirrorPage": "https://mirror.example/1"
    });
    if let (Some(data), Some(more)) = (data.as_object_mut(), more.as_object()) {
        data.extend(more.clone());
        data.retain(|_, value| !value.is_null());
    }
    json!({"id": format!("io-{log}"), "type": kind, "data": data})
}

pub fn services(world: &World) -> Services {
    let (http, services) = world.services();
    Services { journal: Some(journal(&world.emulators, &http)), ..services }
}

pub async fn try_run(world: &World, plan: &Arc<ExecutionPlan>, services: Services) -> Result<Summary, RunError> {
    let store = Store::open_for_run(&world.state()).expect("the state opens");
    run(plan.clone(), services, store.into(), world.options(), Publisher::default(), CancellationToken::new()).await
}

pub async fn go(world: &World, plan: &Arc<ExecutionPlan>) -> FlowSummary {
    try_run(world, plan, services(world)).await.expect("the run completes").flows.remove(0)
}

pub async fn rows(world: &World, table: &str) -> Vec<Value> {
    match world.admin_get(&format!("dump/table/{table}")).await {
        Value::Array(rows) => rows,
        other => panic!("no list: {other}"),
    }
}

/// How many activities there are, by table.
pub async fn count(world: &World) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for kind in ["send", "open", "click", "bounce"] {
        counts.insert(kind, rows(world, &format!("adobe_email{kind}")).await.len());
    }
    counts
}

pub fn counts(send: usize, open: usize, click: usize, bounce: usize) -> BTreeMap<&'static str, usize> {
    BTreeMap::from([("send", send), ("open", open), ("click", click), ("bounce", bounce)])
}

#[tokio::test]
async fn each_type_becomes_a_completed_activity_regarding_the_contact_with_what_the_event_says() {
    let world = world(&[
        event("send", 1, 1, json!({})),
        event("open", 2, 1, json!({})),
        event("click", 3, 1, json!({"url": "https://www.example.com/offer"})),
        event("bounce", 4, 2, json!({"failureType": "hard"})),
        event("bounce", 5, 3, json!({"failureType": "soft"})),
        event("open", 6, 1, json!({"externalId": "shop-17"})),
        event("open", 7, 1, json!({"externalId": null})),
        event("open", 8, 1, json!({"eventDate": "yesterday"})),
    ])
    .await;
    let plan = plan_of(ALL);
    let done = go(&world, &plan).await;
    assert_eq!((done.read, done.created, done.filtered_out, done.rejected), (8, 4, 1, 1));
    assert_eq!(done.notes.get("events of profiles that are not the integration's"), Some(&2));
    assert_eq!(count(&world).await, counts(1, 1, 1, 1));
    let click = rows(&world, "adobe_emailclick").await.remove(0);
    assert_eq!(click["_regardingobjectid_value"], id(1).as_str(), "{click}");
    assert_eq!(
        (&click["subject"], &click["adobe_campaignname"], &click["adobe_deliveryname"], &click["adobe_trackingurl"]),
        (&json!("CMP1 DM1"), &json!("Spring"), &json!("Newsletter"), &json!("https://www.example.com/offer"))
    );
    assert_eq!((&click["statecode"], &click["adobe_mirrorpageurl"]), (&json!(1), &json!("https://mirror.example/1")));
    assert_eq!((&click["adobe_eventdate"], &click["actualend"]), (&json!("2026-01-12T09:00:03Z"), &json!("2026-01-12T09:00:03Z")));
    // Nothing new: nothing happens.
    let again = go(&world, &plan).await;
    assert_eq!((again.read, again.created), (0, 0));
}

#[tokio::test]
async fn what_dynamics_cannot_hold_is_rejected_or_removed_before_the_call_and_makes_no_dead_letter() {
    let world = world(&[
        event("open", 1, 1, json!({"eventDate": "0001-01-01T00:00:00Z"})),
        event("open", 2, 1, json!({"eventDate": "9999-12-31T00:00:00Z"})),
        event("open", 3, 1, json!({"eventDate": "1753-01-01T00:00:00Z", "campaignLabel": "Spring\u{0}\u{b} sale"})),
    ])
    .await;
    let done = go(&world, &plan_of(ALL)).await;
    assert_eq!((done.read, done.created, done.rejected, done.failed), (3, 1, 2, 0));
    let [kind] = done.rejections.as_slice() else { panic!("one kind: {:?}", done.rejections) };
    assert_eq!((kind.place.as_str(), kind.code.as_str(), kind.count), ("journal", "time", 2));
    assert!(kind.message.contains("before 1753-01-01"), "{}", kind.message);
    let open = rows(&world, "adobe_emailopen").await.remove(0);
    assert_eq!((&open["adobe_eventdate"], &open["adobe_campaignname"]), (&json!("1753-01-01T00:00:00Z"), &json!("Spring sale")));
}

#[tokio::test]
async fn what_is_switched_off_is_skipped_and_an_event_that_comes_twice_is_made_once() {
    let twice = event("open", 2, 1, json!({}));
    let world = world(&[event("send", 1, 1, json!({})), twice.clone(), twice.clone()]).await;
    let plan = plan_of("events email: campaign.email -> d365.contact { open on; send off }");
    let done = go(&world, &plan).await;
    assert_eq!((done.read, done.created, done.unchanged, done.filtered_out), (3, 1, 1, 1));
    world.admin("journal/events", json!([twice, event("open", 3, 1, json!({"eventDate": "2025-06-01 00:00:00.000Z"}))])).await;
    let done = go(&world, &plan).await;
    assert_eq!((done.read, done.created, done.unchanged), (2, 1, 1), "late is as good as in time");
    assert_eq!(count(&world).await, counts(0, 2, 0, 0));
}

#[tokio::test]
async fn events_that_wait_for_a_type_that_was_switched_off_do_not_hold_up_the_others() {
    let mut world = world(&[event("open", 1, 1, json!({})), event("send", 2, 1, json!({}))]).await;
    (world.options.backlog_high_water, world.options.concurrency) = (100, 1);
    let waiting: Vec<NewEvent> = (0..150)
        .map(|n| NewEvent {
            activity: id(5000 + n),
            contact: id(1),
            kind: "send".to_owned(),
            log_key: None,
            value_key: format!("waits {n}"),
            payload: json!({"kind": "send", "contact": id(1), "at": 1_768_208_400_000_i64 + i64::from(n)}).to_string(),
        })
        .collect();
    let store = Store::open_for_run(&world.state()).expect("the state opens");
    assert_eq!(store.take_events("email", &waiting, &EventMark::None).unwrap().backlog, 150);
    drop(store);
    let off = plan_of("events email: campaign.email -> d365.contact { open on; send off }");
    let done = tokio::time::timeout(Duration::from_secs(30), go(&world, &off)).await.expect("the flow goes on");
    assert_eq!((done.created, done.filtered_out, done.backlog), (1, 1, 150));
    assert_eq!(go(&world, &plan_of(ALL)).await.created, 150, "on again, they are written");
    assert_eq!(count(&world).await, counts(150, 1, 0, 0));
}

#[tokio::test]
async fn a_contact_that_is_gone_costs_its_own_events_and_no_dead_letter() {
    let mut events: Vec<Value> = (0..40).map(|n| event("send", n, 4 + n % 20, json!({}))).collect();
    events.push(event("send", 99, 900, json!({})));
    let world = world_of(json!({"events": events}), 20).await;
    world.delete(5).await;
    world.delete(6).await;
    world.admin("reset-stats", json!({})).await;
    let done = go(&world, &plan_of(ALL)).await;
    assert_eq!((done.created, done.failed, done.backlog), (36, 0, 0));
    assert_eq!(done.notes.get("events whose contact was deleted"), Some(&5));
    assert!(world.dead_letters().is_empty());
    let stats = world.admin_get("stats").await;
    let writes = stats["apis"]["dataverse"]["writes"].as_u64().unwrap();
    assert!(writes <= 4, "one refused, one without those contacts, one to complete: {writes}");
}

#[tokio::test]
async fn an_activity_that_was_made_before_its_contact_was_deleted_is_completed() {
    let events = [event("send", 1, 4, json!({})), event("send", 2, 5, json!({}))];
    let mut world = world_of(json!({"events": events}), 2).await;
    world.http.attempts = 1;
    let plan = plan_of(ALL);
    world.admin("fail-next", json!({"api": "dataverse", "kind": "status", "status": 503, "path": "UpdateMultiple", "count": 1000})).await;
    // Whether the run gives up or leaves them for later: they are made, and not completed.
    let _ = try_run(&world, &plan, services(&world)).await;
    let sends = rows(&world, "adobe_emailsend").await;
    assert!(sends.len() == 2 && sends.iter().all(|row| row["statecode"] == 0));
    world.admin("clear-faults", json!({})).await;
    world.delete(5).await;
    let done = go(&world, &plan).await;
    assert_eq!((done.backlog, done.failed), (0, 0));
    let sends = rows(&world, "adobe_emailsend").await;
    assert!(sends.len() == 2 && sends.iter().all(|row| row["statecode"] == 1));
}

#[tokio::test]
async fn a_repeated_write_makes_nothing_twice_whatever_answers_are_lost() {
    let events: Vec<Value> = (0..250).map(|n| event("open", n, 1 + n % 3, json!({}))).collect();
    let world = world(&events).await;
    let plan = plan_of(ALL);
    for fault in [
        json!({"api": "dataverse", "kind": "lost-answer", "path": "CreateMultiple", "count": 2}),
        json!({"api": "dataverse", "kind": "throttle", "code": "0x80072322", "retry_after": 0, "path": "CreateMultiple", "skip": 1}),
        json!({"api": "dataverse", "kind": "duplicate", "path": "CreateMultiple", "skip": 2}),
        json!({"api": "dataverse", "kind": "lost-answer", "path": "UpdateMultiple"}),
        json!({"api": "journal", "kind": "cut-body"}),
    ] {
        world.admin("fail-next", fault).await;
    }
    let done = go(&world, &plan).await;
    assert_eq!((done.backlog, done.failed), (0, 0));
    let opens = rows(&world, "adobe_emailopen").await;
    assert_eq!(opens.len(), 250);
    assert!(opens.iter().all(|row| row["statecode"] == 1), "every one is completed");
}

#[tokio::test]
async fn a_lost_state_does_not_double_a_timeline() {
    let events: Vec<Value> = (0..30).map(|n| event("click", n, 1 + n % 3, json!({"url": format!("https://x/{n}")}))).collect();
    let world = world(&events).await;
    let plan = plan_of(ALL);
    go(&world, &plan).await;
    std::fs::remove_file(world.state()).expect("the state");
    let done = go(&world, &plan).await;
    assert_eq!((done.read, done.created, done.backlog), (30, 0, 0));
    assert_eq!(count(&world).await, counts(0, 0, 30, 0));
}

#[tokio::test]
async fn a_table_without_bulk_requests_takes_batches() {
    let events: Vec<Value> = (0..45).map(|n| event("open", n, 1 + n % 3, json!({}))).chain([event("open", 60, 900, json!({}))]).collect();
    let world = world(&events).await;
    world.admin("table", json!({"table": "adobe_emailopen", "bulk": false})).await;
    let done = go(&world, &plan_of(ALL)).await;
    assert_eq!((done.created, done.backlog, done.failed), (45, 0, 0));
    assert_eq!(done.notes.get("events whose contact was deleted"), Some(&1));
    assert!(rows(&world, "adobe_emailopen").await.iter().all(|row| row["statecode"] == 1));
}

#[tokio::test]
async fn a_position_that_is_gone_is_a_gap_that_everybody_sees_and_reading_goes_on() {
    let world = world_of(json!({"generate": {"events": 40, "contacts": 3}}), 0).await;
    let plan = plan_of(ALL);
    go(&world, &plan).await;
    let more: Vec<Value> = (100..130).map(|n| event("open", n, 1, json!({}))).collect();
    world.admin("journal/events", json!(more)).await;
    world.admin("journal/drop", json!({"count": 50})).await;
    let before = count(&world).await;
    let done = go(&world, &plan).await;
    assert_eq!((done.read, done.created), (20, 20));
    assert_eq!(done.notes.get("gaps in the journal"), Some(&1));
    assert_eq!(count(&world).await["open"], before["open"] + 20);
    let gaps = Store::open_read(&world.state()).unwrap().event_gaps("email").unwrap();
    let time = |at: Option<d365map::time::Instant>| at.map(d365map::time::format_instant);
    assert_eq!(time(gaps[0].from).as_deref(), Some("2026-01-01T00:00:40Z"));
    assert_eq!(time(gaps[0].until).as_deref(), Some("2026-01-12T09:01:50Z"));
    assert!(go(&world, &plan).await.notes.is_empty(), "told once");
}

#[tokio::test]
async fn tables_columns_and_tasks_are_those_that_the_block_names() {
    let world = world(&[
        event("open", 1, 1, json!({})),
        event("bounce", 2, 2, json!({"failureType": "hard", "failureReason": "User unknown"})),
        event("click", 3, 1, json!({"url": "https://x"})),
    ])
    .await;
    let plan = plan_of(
        "events email: campaign.email -> d365.contact {
           open on; bounce on; click on; completed off
           # allow(D124): the emulator's
           open -> adobe_emailsend
           \"{type} of {delivery}\" -> subject
           reason -> description
           date   -> adobe_eventdate
           \"{delivery} came back: {reason}\" -> task.bounce
         }",
    );
    let done = go(&world, &plan).await;
    assert_eq!((done.created, done.notes.get("follow-up tasks")), (3, Some(&1)));
    assert_eq!(count(&world).await, counts(1, 0, 1, 1));
    let bounce = rows(&world, "adobe_emailbounce").await.remove(0);
    assert_eq!((&bounce["subject"], &bounce["description"]), (&json!("bounce of Newsletter"), &json!("User unknown")));
    assert_eq!((&bounce["statecode"], &bounce["adobe_campaignname"]), (&json!(0), &Value::Null));
    let task = rows(&world, "task").await.remove(0);
    assert_eq!((&task["subject"], &task["statecode"]), (&json!("Newsletter came back: User unknown"), &json!(0)));
    assert_eq!(task["_regardingobjectid_value"], id(2).as_str());
    std::fs::remove_file(world.state()).expect("the state");
    go(&world, &plan).await;
    assert_eq!(rows(&world, "task").await.len(), 1, "a task is made once");
}

#[tokio::test]
async fn a_missing_table_or_column_ends_the_flow_and_nothing_is_lost() {
    let world = world(&[event("open", 1, 1, json!({}))]).await;
    let missing = plan_of("events email: campaign.email -> d365.contact { open on; open -> new_opened # allow(D124): not there yet\n }");
    let error = try_run(&world, &missing, services(&world)).await.unwrap_err().to_string();
    assert!(error.contains("no table `new_opened`"), "{error}");
    let column = plan_of("events email: campaign.email -> d365.contact { open on; delivery -> new_delivery }");
    let error = try_run(&world, &column, services(&world)).await.unwrap_err().to_string();
    assert!(error.contains("no column `new_delivery`"), "{error}");
    let done = go(&world, &plan_of(ALL)).await;
    assert_eq!((done.created, done.backlog), (1, 0));
}

#[tokio::test]
async fn a_refused_event_is_a_dead_letter_that_can_be_retried_and_costs_none_of_the_others() {
    let events: Vec<Value> = (0..20).map(|n| event("open", n, 1, json!({"deliveryLabel": format!("D{n}")}))).collect();
    let world = world(&events).await;
    // A number that the service holds to its range; the event's text is not a number.
    world
        .admin(
            "add-column",
            json!({"table": "adobe_emailopen", "column": {"name": "new_number", "schema": "new_Number", "type": "Integer", "label": "N"}}),
        )
        .await;
    let faulty = plan_of("events email: campaign.email -> d365.contact { open on; deliveryId -> new_number; date -> adobe_eventdate }");
    let done = go(&world, &faulty).await;
    assert_eq!((done.created, done.failed, done.backlog), (0, 20, 0));
    let letters = world.dead_letters();
    assert_eq!(letters.len(), 20);
    assert!(letters[0].failure.request.as_deref().unwrap().contains("DM1"), "{:?}", letters[0].failure);
    assert_eq!(letters[0].failure.place.as_ref().map(|p| p.line), Some(1));
    let store = Store::open_for_run(&world.state()).unwrap();
    store.drop_dead_letters(&d365map::store::DeadLetterFilter::ids([letters[0].id])).unwrap();
    assert_eq!(store.retry_dead_letters(&d365map::store::DeadLetterFilter::default()).unwrap(), 19);
    drop(store);
    let done = go(&world, &plan_of(ALL)).await;
    assert_eq!((done.created, done.backlog), (19, 0));
    assert!(world.dead_letters().is_empty());
    assert!(Store::open_read(&world.state()).unwrap().events_of(&id(1)).unwrap().is_empty(), "a dropped one leaves nothing");
}

#[tokio::test]
async fn a_journal_whose_next_link_leads_to_itself_ends_the_round_and_its_events_are_made_once() {
    let world = world(&[]).await;
    let plan = plan_of(ALL);
    let page = json!({"events": [{"position": "p1", "event": event("open", 1, 1, json!({}))}]}).to_string();
    // Whatever is asked for, the same page comes, and its link leads to itself.
    let server = Server::with_tokens(move |_, _| {
        Reply::json(200, page.clone()).with("link", "</events/organizations/1/integrations/2/3?since=p1>; rel=\"next\"")
    })
    .await;
    let (http, services) = world.services();
    let config = JournalConfig {
        url: server.url.join("events/organizations/1/integrations/2/3").expect("an address"),
        token_url: server.token_url(),
        client_id: "client".to_owned(),
        credential: SecretString::from("secret").into(),
        scope: String::new(),
        ims_organization: "1@AdobeOrg".to_owned(),
        fields: JournalFields::default(),
    };
    let services = Services { journal: Some(Journal::new(http, config).expect("a client")), ..services };
    for _ in 0..2 {
        let asked = server.calls().len();
        let error = try_run(&world, &plan, services.clone()).await.expect_err("the round ends");
        assert!(matches!(&error, RunError::Journal(_)) && error.to_string().contains("the read was stopped"), "{error}");
        assert!(server.calls().len() - asked <= 3, "it stops asking");
        assert_eq!(count(&world).await, counts(0, 1, 0, 0));
    }
}

/// Four events in one batch, which meets this fault from its first request on.
async fn four_opens(fault: Value) -> World {
    let events: Vec<Value> = (0..4).map(|n| event("open", n, 1 + n % 3, json!({}))).collect();
    let world = world(&events).await;
    let mut order = json!({"api": "dataverse", "path": "CreateMultiple"});
    order.as_object_mut().expect("an object").extend(fault.as_object().cloned().expect("an object"));
    world.admin("fail-next", order).await;
    world
}

#[tokio::test]
async fn a_403_for_one_event_costs_that_event_and_the_others_are_written() {
    // The batch, its first half, and the first event alone.
    let world = four_opens(json!({"kind": "status", "status": 403, "count": 3})).await;
    let done = go(&world, &plan_of(ALL)).await;
    assert_eq!((done.created, done.failed, done.backlog), (3, 1, 0), "{done:?}");
    assert_eq!(world.dead_letters()[0].failure.status, Some(403));
}

#[tokio::test]
async fn a_403_for_every_event_stops_the_workflow_and_makes_no_dead_letter() {
    let world = four_opens(json!({"kind": "status", "status": 403, "count": 10_000})).await;
    let error = try_run(&world, &plan_of(ALL), services(&world)).await.expect_err("the workflow stops");
    assert!(matches!(error, RunError::Denied { .. }) && error.to_string().contains("the client lacks a right"), "{error}");
    assert!(world.dead_letters().is_empty());
    world.admin("clear-faults", json!({})).await;
    assert_eq!(go(&world, &plan_of(ALL)).await.created, 4);
}

#[tokio::test]
async fn a_web_page_in_answer_to_one_event_postpones_it_and_the_others_are_written() {
    let world = four_opens(json!({"kind": "html", "status": 403, "count": 3})).await;
    let done = go(&world, &plan_of(ALL)).await;
    assert_eq!((done.created, done.failed, done.backlog, done.retried), (4, 0, 0, 1), "{done:?}");
}

#[tokio::test]
async fn pages_in_place_of_dynamics_end_the_round_of_events_and_nothing_becomes_a_dead_letter() {
    let world = four_opens(json!({"kind": "html", "status": 403, "count": 10_000})).await;
    world.admin("fail-next", json!({"api": "dataverse", "path": "contacts", "kind": "html", "count": 10_000})).await;
    let error = try_run(&world, &plan_of(ALL), services(&world)).await.expect_err("the round ends");
    assert!(matches!(error, RunError::Stranger { .. }), "{error}");
    assert!(error.to_string().contains("something other than Dynamics 365"), "{error}");
    assert!(world.dead_letters().is_empty());
    world.admin("clear-faults", json!({})).await;
    assert_eq!(go(&world, &plan_of(ALL)).await.created, 4);
}
