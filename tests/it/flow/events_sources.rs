//! Events from several sources at once: merged without doubling, repaired, tried dry, killed midway.

use std::time::Duration;

use d365map::connect::sftp::{DeliveryLogColumns, ExportFiles, Files, TrackingLogColumns};
use d365map::run::{Services, dry_run, repair_events};
use d365map::store::sqlite::db::Store;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::events::{ALL, count, counts, event, go, rows, services, try_run, world, world_of};
use super::support::{World, id, plan_of};
use crate::sftp::server::{Options, Server};

const DELIVERIES: &str = "logId,externalId,eventDate,status,failureType,deliveryId,deliveryLabel,campaignId,mirrorPage\n";
pub const TRACKING: &str = "logId,externalId,eventDate,type,url,deliveryId\n";

/// Services with exports beside the journal.
pub fn with_exports(world: &World, server: &Server) -> Services {
    let files = ExportFiles {
        deliveries: Some(Files { pattern: "delivery_*.csv".into(), format: Default::default(), columns: DeliveryLogColumns::default() }),
        tracking: Some(Files { pattern: "tracking_*.csv".into(), format: Default::default(), columns: TrackingLogColumns::default() }),
        opt_outs: None,
    };
    Services { exports: Some(server.client()), files, ..services(world) }
}

#[tokio::test]
async fn journal_and_exports_give_each_event_once_and_each_fills_what_the_other_lacks() {
    let world = world(&[
        event("send", 1, 1, json!({"eventDate": "2026-01-12 09:00:01.000Z"})),
        event("open", 2, 1, json!({"eventDate": "2026-01-12 09:00:02.000Z"})),
        // Without an id: known by its values.
        event("open", 3, 2, json!({"eventDate": "2026-01-12 09:00:03.400Z", "logId": null})),
    ])
    .await;
    let server = Server::start(&Options::default());
    let (a, b) = (id(1), id(2));
    server.write(
        "delivery_1.csv",
        format!(
            "{DELIVERIES}1,{a},2026-01-12 09:00:01.000Z,sent,,DM1,Newsletter,CMP1,\n1,{a},2026-01-12 09:05:00.000Z,failed,hard,DM1,Newsletter,CMP1,\n\
             8,{b},2026-01-12 09:00:01.000Z,sent,,DM1,Newsletter,CMP1,\n9,{b},sideways,sent,,DM1,,,\n10,shop-1,2026-01-12 09:00:01.000Z,sent,,DM1,,,\n"
        ),
    );
    server.write(
        "tracking_1.csv",
        format!(
            "{TRACKING}2,{a},2026-01-12 09:00:02.000Z,open,,DM1\n3,{b},2026-01-12 09:00:03.000Z,open,,DM1\n4,{b},2026-01-12 09:00:03.000Z,open,,DM1\n\
             5,{b},2026-01-12 09:01:00.000Z,click,https://x,DM1\n"
        ),
    );
    let plan = plan_of(ALL);
    let dry = {
        let store = Store::in_memory().unwrap();
        dry_run(&plan, &with_exports(&world, &server), &store.into(), &world.options, &CancellationToken::new())
            .await
            .unwrap()
            .events
            .remove(0)
    };
    assert_eq!(dry.create.into_iter().collect::<Vec<_>>(), [("bounce", 1), ("click", 1), ("open", 3), ("send", 2)]);
    assert_eq!((dry.known, dry.foreign, dry.rejected), (3, 1, 1));
    assert_eq!(count(&world).await, counts(0, 0, 0, 0), "a dry run makes nothing");

    let done = try_run(&world, &plan, with_exports(&world, &server)).await.unwrap().flows.remove(0);
    // The log's row 1 is a send and a bounce; of the three opens of two contacts, two are one with the journal's.
    assert_eq!(count(&world).await, counts(2, 3, 1, 1));
    assert_eq!((done.created, done.unchanged, done.rejected, done.backlog), (7, 3, 1, 0));

    // The file grows; the journal brings what the export had.
    server.append("tracking_1.csv", &format!("6,{a},2026-01-12 10:00:00.000Z,click,https://y,DM1\n"));
    world
        .admin("journal/events", json!([event("click", 5, 2, json!({"eventDate": "2026-01-12 09:01:00.000Z", "url": "https://x"}))]))
        .await;
    let done = try_run(&world, &plan, with_exports(&world, &server)).await.unwrap().flows.remove(0);
    assert_eq!((done.read, done.created, done.unchanged), (2, 1, 1));
    let done = try_run(&world, &plan, with_exports(&world, &server)).await.unwrap().flows.remove(0);
    assert_eq!((done.read, done.created), (0, 0));
    // A file that the server has no more is forgotten.
    std::fs::remove_file(server.exports().join("delivery_1.csv")).unwrap();
    try_run(&world, &plan, with_exports(&world, &server)).await.unwrap();
    let marks = Store::open_read(&world.state()).unwrap().exports("email").unwrap();
    assert_eq!(marks.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["tracking_1.csv"]);
}

#[tokio::test]
async fn a_source_that_fails_does_not_keep_the_others_from_being_read() {
    let world = world(&[event("open", 1, 1, json!({}))]).await;
    let server = Server::start(&Options::default());
    server.write("tracking_1.csv", format!("{TRACKING}2,{},2026-01-12 09:00:02.000Z,open,,DM1\n", id(1)));
    world.admin("fail-next", json!({"api": "journal", "kind": "status", "status": 403, "count": 1})).await;
    let plan = plan_of(ALL);
    assert!(try_run(&world, &plan, with_exports(&world, &server)).await.is_err());
    assert_eq!(count(&world).await, counts(0, 1, 0, 0));
    try_run(&world, &plan, with_exports(&world, &server)).await.unwrap();
    assert_eq!(count(&world).await, counts(0, 2, 0, 0));
}

#[tokio::test]
async fn history_repairs_one_timeline_without_doubling_what_is_there() {
    let world = world(&[event("send", 1, 1, json!({"eventDate": "2026-01-12 09:00:30.000Z"}))]).await;
    let plan = plan_of(ALL);
    let repair = async |dry| {
        let store = Store::open_for_run(&world.state()).expect("the state opens");
        repair_events(plan.clone(), services(&world), store.into(), world.options(), &id(1), dry).await.expect("a repair").remove(0)
    };
    go(&world, &plan).await;
    // The seed's history has a send on the 5th, and on the 12th half a minute before the journal's.
    let dry = repair(true).await;
    assert_eq!((dry.profile, dry.history["send"], dry.there, dry.missing, dry.created), (true, 2, 1, 1, 0));
    assert_eq!(count(&world).await["send"], 1);
    let done = repair(false).await;
    assert_eq!((done.there, done.missing, done.created, done.backlog), (1, 1, 1, 0));
    let sends = rows(&world, "adobe_emailsend").await;
    let repaired = sends.iter().find(|row| row["adobe_eventdate"] == "2026-01-05T09:00:00Z").expect("the send of the 5th");
    assert!(repaired["adobe_mirrorpageurl"].as_str().unwrap().starts_with("https://mirror.example/"), "{repaired}");
    assert_eq!(repaired["statecode"], 1);
    let again = repair(false).await;
    assert_eq!((again.there, again.missing, again.created), (2, 0, 0));
    assert_eq!(count(&world).await["send"], 2);
    let store = Store::open_for_run(&world.state()).unwrap();
    let stranger = repair_events(plan.clone(), services(&world), store.into(), world.options(), &id(900), false).await.unwrap();
    assert!(!stranger[0].profile);
}

#[tokio::test]
async fn what_is_known_and_not_written_yet_is_not_made_by_a_repair_too() {
    let world = world(&[event("send", 1, 1, json!({"eventDate": "2026-01-12 09:00:30.000Z"}))]).await;
    world
        .admin(
            "add-column",
            json!({"table": "adobe_emailsend", "column": {"name": "new_number", "schema": "new_Number", "type": "Integer", "label": "N"}}),
        )
        .await;
    let faulty = plan_of("events email: campaign.email -> d365.contact { send on; deliveryId -> new_number; date -> adobe_eventdate }");
    assert_eq!(go(&world, &faulty).await.failed, 1);
    let plan = plan_of(ALL);
    let repair = async || {
        let store = Store::open_for_run(&world.state()).expect("the state opens");
        let done = repair_events(plan.clone(), services(&world), store.into(), world.options(), &id(1), false).await;
        let done = done.expect("a repair").remove(0);
        (done.there, done.missing, done.created)
    };
    assert_eq!(repair().await, (1, 1, 1), "the dead letter's send comes with its retry");
    assert_eq!(repair().await, (2, 0, 0));
    let store = Store::open_for_run(&world.state()).unwrap();
    assert_eq!(store.retry_dead_letters(&Default::default()).unwrap(), 1);
    drop(store);
    assert_eq!(repair().await, (2, 0, 0), "its retry was asked for");
    assert_eq!(go(&world, &plan).await.created, 1);
    assert_eq!(count(&world).await["send"], 2);
    assert_eq!(repair().await, (2, 0, 0));
}

/// A project folder whose command reads the emulated journal.
fn project(world: &World, mapping: &str) {
    world.project(mapping);
    let path = world.folder.path().join("d365map.yaml");
    let journal = format!(
        "    journal:\n      url: {}\n      ims-organization: {}\nlimits:",
        world.emulators.journal_url(),
        world.emulators.credentials().campaign_account.organization
    );
    let yaml = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, yaml.replace("limits:", &journal)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_a_timeline_has_each_event_once() {
    let world = world_of(json!({"generate": {"events": 900, "contacts": 3}}), 0).await;
    world.admin("fail-next", json!({"api": "dataverse", "kind": "slow", "delay": 30, "count": 100000})).await;
    project(&world, ALL);
    let mut kills = 0;
    for kill in 1..=8_u64 {
        world.admin("reset-stats", json!({})).await;
        let mut child = world.command(&["run", "--quiet", "--ignore-drift"]).spawn().expect("the command starts");
        let began = std::time::Instant::now();
        let writes = async || world.admin_get("stats").await["apis"]["dataverse"]["writes"].as_u64().unwrap_or(0);
        while writes().await < kill % 4 + 1 && began.elapsed() < Duration::from_secs(20) && child.try_wait().expect("a child").is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        kills += u32::from(child.try_wait().expect("a child").is_none());
        let _ = child.kill().await;
    }
    assert!(kills >= 4, "only {kills} runs could be killed");
    let (status, out, error) = world.call(&["run", "--format", "json", "--ignore-drift"]).await;
    assert_eq!(status, 0, "{out}{error}");
    assert_eq!(count(&world).await, counts(540, 180, 90, 45));
    for kind in ["send", "open", "click", "bounce"] {
        assert!(rows(&world, &format!("adobe_email{kind}")).await.iter().all(|row| row["statecode"] == 1), "{kind}: all are completed");
    }
    let (_, out, _) = world.call(&["status"]).await;
    assert!(out.contains("journal read up to 2026-01-01T00:15:00Z"), "{out}");
    let (status, out, _) = world.call(&["run", "--dry-run", "--ignore-drift"]).await;
    assert!(status == 0 && out.contains("email: would read 0 events"), "{out}");
}

/// Figures; see `load.rs`.
///
/// ```text
/// cargo test --release --test it -- --ignored --nocapture a_million_events
/// ```
#[test]
#[ignore = "takes minutes and prints figures; run it in release"]
fn a_million_events_go_through_a_bounded_store_in_bounded_memory() {
    let mut peaks = Vec::new();
    for events in [100_000_u64, 1_000_000] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut seed: Value = serde_json::from_str(include_str!("../../../examples/events/seed.json")).expect("the example's seed");
        seed["journal"] = json!({"generate": {"events": events, "contacts": 1000}});
        let rows: Vec<Value> = (1..=1000).map(|n| json!({"contactid": id(n), "lastname": format!("Contact {n}")})).collect();
        seed["dataverse"]["tables"]["contact"]["rows"] = rows.into();
        let file = folder.path().join("seed.json");
        std::fs::write(&file, seed.to_string()).expect("a seed");
        let emulators = super::load::Emulators::with(&["--contacts", "0", "--seed", file.to_str().expect("a path")]);
        super::load::project(folder.path(), &emulators);
        let path = folder.path().join("d365map.yaml");
        let yaml = std::fs::read_to_string(&path).expect("the project file");
        let journal = format!(
            "    journal:\n      url: {}\n      ims-organization: {}\n",
            emulators.text("/journal/url"),
            emulators.text("/journal/ims_organization")
        );
        std::fs::write(&path, format!("{yaml}{journal}")).expect("the project file");
        std::fs::write(folder.path().join("mappings/contacts.d365map"), ALL).expect("a mapping");
        let (peak, seconds, first) = super::load::run(folder.path(), &emulators);
        let flow = &first["summary"]["flows"][0];
        let created = flow["created"].as_u64().expect("a count");
        let state = folder.path().join(".d365map/state.db");
        println!(
            "{events} events: {seconds:.1} s, {:.0} events/s, peak memory {:.1} MiB, {created} activities, state {:.1} MiB ({:.0} bytes for each activity), calls {}",
            events as f64 / seconds,
            peak as f64 / 1024.0,
            std::fs::metadata(&state).expect("the state").len() as f64 / 1024.0 / 1024.0,
            std::fs::metadata(&state).expect("the state").len() as f64 / created as f64,
            first["calls"],
        );
        // Of ten events six sends, two opens, a click; every other bounce is hard.
        assert_eq!((flow["read"].as_u64(), created), (Some(events), events * 19 / 20));
        assert_eq!(flow["backlog"].as_u64(), Some(0));
        let (_, seconds, second) = super::load::run(folder.path(), &emulators);
        println!("second run: {seconds:.1} s, calls {}", second["calls"]);
        peaks.push(peak);
    }
    let growth = peaks[1] as f64 / peaks[0] as f64;
    println!("peak memory grows by the factor {growth:.3} from 100,000 to 1,000,000");
    assert!(growth <= 1.2, "the peak grew by {growth}");
}

#[tokio::test]
async fn an_outage_keeps_what_waits_and_a_full_backlog_lets_the_reader_on_when_it_is_over() {
    let mut world = world_of(json!({"generate": {"events": 1200, "contacts": 3}}), 0).await;
    world.options.backlog_high_water = 150;
    world.options.concurrency = 2;
    world.http.attempts = 1;
    world.admin("fail-next", json!({"api": "dataverse", "kind": "status", "status": 503, "path": "CreateMultiple", "count": 3})).await;
    let plan = plan_of(ALL);
    let done = tokio::time::timeout(Duration::from_secs(60), go(&world, &plan)).await.expect("the flow goes on");
    assert_eq!((done.read, done.created, done.backlog), (1200, 1140, 0));
    assert!(done.retried > 0);

    let more: Vec<Value> = (5000..5050).map(|n| event("open", n, 1, json!({}))).collect();
    world.admin("journal/events", json!(more)).await;
    world.admin("fail-next", json!({"api": "dataverse", "kind": "status", "status": 503, "path": "CreateMultiple", "count": 1000})).await;
    let done = try_run(&world, &plan, services(&world)).await;
    let waiting = Store::open_read(&world.state()).unwrap().backlog_size("email").unwrap();
    assert_eq!(waiting, 50, "{done:?}");
    world.admin("clear-faults", json!({})).await;
    assert_eq!(go(&world, &plan).await.created, 50);
    assert_eq!(count(&world).await, counts(720, 290, 120, 60));
}

#[tokio::test]
async fn an_export_that_cannot_be_read_is_counted_and_those_behind_it_are_read_in_their_encoding() {
    let world = world(&[]).await;
    let server = Server::start(&Options::default());
    let a = id(1);
    server.write("delivery_1.csv", "no,such,header\n1,2,3\n");
    server.write("delivery_2.csv", b"\xFF\xFEu\0t\0f\0".as_slice());
    let line = format!("{DELIVERIES}1,{a},2026-01-12 09:00:01.000Z,sent,,DM1,Fr\u{fc}hling,CMP1,\n");
    let (latin, _, _) = encoding_rs::WINDOWS_1252.encode(&line);
    server.write("delivery_3.csv", &latin);
    server.write("tracking_1.csv", format!("{TRACKING}2,{a},2026-01-12 09:00:02.000Z,open,,DM1\n"));
    let mut services = with_exports(&world, &server);
    let deliveries = services.files.deliveries.as_mut().expect("deliveries");
    deliveries.format.encoding = encoding_rs::WINDOWS_1252;
    let summary = try_run(&world, &plan_of(ALL), services).await.expect("the run completes");
    let flow = summary.flows.iter().find(|f| f.mapping == "email").expect("the flow of events");
    assert_eq!((flow.created, flow.rejected), (2, 2), "{flow:?}");
    assert!(summary.needs_attention());
    assert_eq!(count(&world).await, counts(1, 1, 0, 0));
}
