//! The process is killed, again and again, at any moment; the target ends as if nothing had happened.

use std::collections::BTreeSet;
use std::time::Duration;

use d365map::emulator::Config;
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
