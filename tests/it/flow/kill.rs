//! The process is killed, again and again, at any moment; the target ends as if nothing had happened.

use std::collections::BTreeSet;
use std::time::Duration;

use d365map_emulator::Config;
use serde_json::Value;

use super::support::{CONTACTS, World};

const CONTACTS_COUNT: usize = 600;

fn config() -> Config {
    Config { contacts: CONTACTS_COUNT, latency: Duration::from_millis(2), ..Config::default() }
}

/// Writes that took effect so far.
async fn written(world: &World) -> usize {
    world.admin_get("stats").await["apis"]["campaign"]["writes"].as_u64().unwrap_or(0) as usize
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_ten_moments_of_a_load_the_target_ends_as_after_an_undisturbed_run() {
    let calm = World::new(config()).await;
    calm.project(CONTACTS);
    let (status, _, error) = calm.call(&["run"]).await;
    assert_eq!(status, 0, "{error}");
    let expected = calm.profiles().await;
    assert!(expected.len() > CONTACTS_COUNT / 2);

    let rough = World::new(config()).await;
    rough.project(CONTACTS);
    for kill in 1..=10_usize {
        let mut child = rough.command(&["run", "--quiet"]).spawn().expect("the command starts");
        // Each kill falls in a later part of the load; the first ones while pages are still read.
        let mark = expected.len() * kill / 12;
        let began = std::time::Instant::now();
        while written(&rough).await < mark && began.elapsed() < Duration::from_secs(30) {
            if child.try_wait().expect("a child").is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        assert!(child.try_wait().expect("a child").is_none(), "run {kill} ended before it could be killed");
        child.kill().await.expect("SIGKILL");
        let now = rough.profiles().await;
        let keys: BTreeSet<&str> = now.iter().filter_map(|p| p["externalId"].as_str()).collect();
        assert_eq!(keys.len(), now.len(), "a profile twice after kill {kill}");
    }
    let (status, out, error) = rough.call(&["run", "--format", "json"]).await;
    assert_eq!(status, 0, "{out}{error}");
    let summary: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(summary["summary"]["recovery"]["interrupted_runs"], 1);
    assert_eq!(rough.profiles().await, expected);
    let (_, status, _) = rough.call(&["status", "--format", "json"]).await;
    let status: Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["status"]["mappings"][0]["backlog"]["ready"], 0);
    assert_eq!(status["status"]["mappings"][0]["ledger_rows"].as_u64(), Some(expected.len() as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_stop_finishes_what_is_in_flight_and_the_next_run_goes_on() {
    let world = World::new(config()).await;
    world.project(CONTACTS);
    let mut child = world.command(&["run", "--format", "json"]).stdout(std::process::Stdio::piped()).spawn().expect("the command starts");
    while written(&world).await < 50 {
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let pid = child.id().expect("a running child").to_string();
    assert!(std::process::Command::new("/bin/sh").args(["-c", &format!("kill -TERM {pid}")]).status().expect("kill").success());
    let output = child.wait_with_output_of().await;
    let summary: Value = serde_json::from_str(&output).expect("JSON");
    assert_eq!(summary["summary"]["outcome"], "stopped");
    let (status, out, error) = world.call(&["run", "--format", "json"]).await;
    assert_eq!(status, 0, "{out}{error}");
    let summary: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(summary["summary"]["recovery"]["interrupted_runs"], 0);
}

/// A mapping that deletes what is gone.
const DELETING: &str = "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  lastname -> lastName
  filter all { statecode = Active }
  options { deletes propagate; filtered-out delete }
}
";

/// Runs until a gateway holds a request of this method, and kills the process; then starts the next run, lets the request arrive
/// while that run has it rest, and waits for the end.
async fn killed_with_a_late_request(world: &World, method: &str, meanwhile: impl AsyncFnOnce(&World)) {
    world.admin("fail-next", serde_json::json!({"kind": "held", "api": "campaign", "method": method, "path": "profile"})).await;
    let mut child = world.command(&["run", "--quiet"]).spawn().expect("the command starts");
    while world.admin_get("held").await["held"] != 1 {
        assert!(child.try_wait().expect("a child").is_none(), "the run ended");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    child.kill().await.expect("SIGKILL");
    meanwhile(world).await;
    world.admin("reset-stats", Value::Null).await;
    let mut next = world.command(&["run", "--quiet"]).spawn().expect("the command starts");
    // It has read the change, so it has something to write.
    while world.admin_get("stats").await["apis"]["dataverse"]["reads"].as_u64().unwrap_or(0) == 0 {
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    world.admin("release-held", Value::Null).await;
    assert_eq!(next.wait().await.expect("an end").code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_arrives_after_its_sender_was_killed_does_not_overwrite_the_next_runs() {
    let world = World::empty().await;
    world.project(DELETING);
    world.create(1, serde_json::json!({"lastname": "V0"})).await;
    assert_eq!(world.call(&["run"]).await.0, 0);
    world.update(1, serde_json::json!({"lastname": "V1"})).await;
    killed_with_a_late_request(&world, "PATCH", async |w| w.update(1, serde_json::json!({"lastname": "V2"})).await).await;
    assert_eq!(world.profile(1).await.expect("a profile")["lastName"], "V2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_arrives_after_its_sender_was_killed_leaves_no_profile_of_a_deleted_contact() {
    let world = World::empty().await;
    world.project(DELETING);
    world.create(1, serde_json::json!({"lastname": "V1"})).await;
    killed_with_a_late_request(&world, "POST", async |w| w.delete(1).await).await;
    assert_eq!(world.profile(1).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_arrives_after_its_sender_was_killed_leaves_the_profile_of_a_contact_that_is_active_again() {
    let world = World::empty().await;
    world.project(DELETING);
    world.create(1, serde_json::json!({"lastname": "V1"})).await;
    assert_eq!(world.call(&["run"]).await.0, 0);
    world.update(1, serde_json::json!({"statecode": 1, "statuscode": 2})).await;
    let active = async |w: &World| w.update(1, serde_json::json!({"statecode": 0, "statuscode": 1, "lastname": "V2"})).await;
    killed_with_a_late_request(&world, "DELETE", active).await;
    assert_eq!(world.profile(1).await.expect("a profile")["lastName"], "V2");
}

trait Output {
    async fn wait_with_output_of(&mut self) -> String;
}

impl Output for tokio::process::Child {
    async fn wait_with_output_of(&mut self) -> String {
        use tokio::io::AsyncReadExt;
        let mut text = String::new();
        self.stdout.take().expect("piped").read_to_string(&mut text).await.expect("UTF-8");
        self.wait().await.expect("an end");
        text
    }
}
