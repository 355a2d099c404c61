//! Commands beside a watch that runs in a separate process.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::Child;

use super::support::{World, ada};

const MAPPING: &str = "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  lastname -> lastName
}
";

async fn watched(world: &World) -> Child {
    let child = world.command(&["run", "--watch", "--interval", "1", "--quiet"]).spawn().expect("the command starts");
    until(world, "RUNNING", |w| w["round_ended"].is_string()).await;
    child
}

/// The one workflow, as `status` shows it to machines.
async fn workflow(world: &World) -> Value {
    let (_, out, error) = world.call(&["status", "--format", "json"]).await;
    let status: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}"));
    status["status"]["workflows"][0].clone()
}

async fn until(world: &World, state: &str, also: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let workflow = workflow(world).await;
        if workflow["state"] == state && also(&workflow) {
            return workflow;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "never {state}: {workflow}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn taken_up(world: &World, n: u32) -> Value {
    let began = Instant::now();
    loop {
        if let Some(profile) = world.profile(n).await {
            return profile;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "contact {n} was not taken up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn terminate(child: &Child) {
    let pid = child.id().expect("a child").to_string();
    assert!(std::process::Command::new("/bin/sh").args(["-c", &format!("kill -TERM {pid}")]).status().expect("kill").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_are_stopped_and_started_from_beside_and_a_second_watch_is_refused_by_name() {
    let world = World::empty().await;
    world.project(MAPPING);
    world.create(1, ada()).await;
    let (status, out, _) = world.call(&["stop", "contacts"]).await;
    assert_eq!((status, out.as_str()), (0, "contacts: STOPPED; `d365map run` leaves it out until `d365map start`\n"));
    let (status, out, error) = world.call(&["run"]).await;
    assert!(status == 0 && out.contains("contacts: STOPPED, and left out"), "{out}{error}");
    assert!(world.profile(1).await.is_none());
    let (status, out, error) = world.call(&["run", "--mapping", "contacts"]).await;
    assert!(status == 0 && out.contains("created           1"), "named, it still runs: {out}{error}");
    let (status, out, _) = world.call(&["start", "--all"]).await;
    assert!(status == 0 && out.contains("will run with the next"), "{out}");

    let mut child = watched(&world).await;
    let pid = child.id().expect("a child").to_string();
    for second in [&["run", "--watch"][..], &["run"], &["run", "--mapping", "contacts"]] {
        let (status, _, error) = world.call(second).await;
        assert!(status == 2 && error.contains(&format!("process {pid} on ")), "{second:?}: {error}");
    }
    let (status, out, error) = world.call(&["stop", "contacts"]).await;
    assert!(status == 0 && out.starts_with("contacts: STOPPED: stopped by hand"), "{out}{error}");
    assert_eq!(workflow(&world).await["state"], "STOPPED");
    world.create(2, ada()).await;
    let (status, out, _) = world.call(&["dead-letters", "list"]).await;
    assert_eq!((status, out.as_str()), (0, "no dead letters\n"));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(world.profile(2).await.is_none());
    let (status, out, error) = world.call(&["start", "contacts"]).await;
    assert!(status == 0 && out.starts_with("contacts: RUNNING"), "{out}{error}");
    taken_up(&world, 2).await;
    let (status, out, _) = world.call(&["start", "contacts"]).await;
    assert!(status == 0 && out.contains("RUNNING already"), "{out}");
    let (status, _, error) = world.call(&["stop", "contakts"]).await;
    assert!(status == 2 && error.contains("did you mean `contacts`?"), "{error}");
    let (status, _, error) = world.call(&["stop"]).await;
    assert!(status == 2 && error.contains("--all"), "{error}");

    terminate(&child);
    assert!(child.wait().await.expect("an end").success());
    assert_eq!(workflow(&world).await["state"], "STOPPED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_is_not_shown_as_running() {
    let world = World::empty().await;
    world.project(MAPPING);
    let mut child = watched(&world).await;
    child.kill().await.expect("SIGKILL");
    let stopped = workflow(&world).await;
    assert_eq!(stopped["state"], "STOPPED");
    assert!(stopped["reason"].as_str().is_some_and(|r| r.contains("killed")) && stopped["next_round"].is_null(), "{stopped}");
    let (_, out, _) = world.call(&["status"]).await;
    assert!(out.starts_with("nothing runs now\ncontacts: STOPPED since") && out.contains("ended without a message"), "{out}");
    // The next one goes on as if nothing had been.
    let mut child = watched(&world).await;
    terminate(&child);
    assert!(child.wait().await.expect("an end").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_file_is_taken_up_by_a_restart_and_one_that_does_not_compile_is_named() {
    let world = World::empty().await;
    world.project(MAPPING);
    let file = world.folder.path().join("mappings/contacts.d365map");
    world.create(1, ada()).await;
    let mut child = watched(&world).await;
    assert!(taken_up(&world, 1).await["firstName"].as_str().is_none_or(str::is_empty));

    std::fs::write(&file, MAPPING.replace("lastname", "lastnmae")).expect("a file");
    let due = until(&world, "RUNNING", |w| w["restart_due"].is_string()).await;
    let due = due["restart_due"].as_str().expect("a reason");
    assert!(due.contains("mappings/contacts.d365map:3:3") && due.contains("D103"), "{due}");
    world.create(2, ada()).await;
    taken_up(&world, 2).await;

    std::fs::write(&file, MAPPING.replace("  lastname", "  firstname -> firstName | truncate(30)\n  lastname")).expect("a file");
    until(&world, "RUNNING", |w| w["restart_due"] == "its mapping has changed").await;
    let (_, out, _) = world.call(&["status"]).await;
    assert!(out.contains("RESTART DUE") && out.contains("`d365map start contacts --restart` takes it up"), "{out}");
    let (status, out, error) = world.call(&["start", "contacts", "--restart"]).await;
    assert!(status == 0 && out.starts_with("contacts: RUNNING"), "{out}{error}");
    let began = Instant::now();
    while world.profile(1).await.expect("a profile")["firstName"] != "Ada" {
        assert!(began.elapsed() < Duration::from_secs(30), "the new mapping is not taken up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(workflow(&world).await["restart_due"].is_null());

    // A breaking drift in the meantime: what runs goes on, what starts is refused.
    world.admin("alter-column", serde_json::json!({ "table": "contact", "column": "firstname", "remove": true })).await;
    let (status, out, _) = world.call(&["start", "contacts", "--restart"]).await;
    assert!(status == 1 && out.contains("FAILED") && out.contains("breaks the mapping"), "{out}");
    terminate(&child);
    assert_eq!(child.wait().await.expect("an end").code(), Some(1), "a workflow had failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_for_no_workflow_is_refused() {
    let world = World::empty().await;
    world.project(MAPPING);
    let file = world.folder.path().join("d365map.yaml");
    let text = std::fs::read_to_string(&file).expect("a file");
    std::fs::write(&file, format!("{text}schedules:\n  contakts: {{ every: 5m }}\n")).expect("a file");
    let (status, _, error) = world.call(&["run"]).await;
    assert!(status == 2 && error.contains("`contakts`") && error.contains("did you mean `contacts`?"), "{error}");
}
