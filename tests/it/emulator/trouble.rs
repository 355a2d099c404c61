//! Faults, limits, counts, and the emulators as a command.

use std::time::{Duration, Instant};

use d365map_emulator::{Config, start};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Bench, ID, ok, refused, turned_down};

#[tokio::test]
async fn a_lost_answer_leaves_its_write_behind() {
    let bench = Bench::new().await;
    for api in ["dataverse", "campaign"] {
        bench.admin("fail-next", json!({"api": api, "kind": "lost-answer", "method": "POST"})).await;
    }
    let post = bench.dv(Method::POST, "contacts").json(&json!({"contactid": ID, "lastname": "A"}));
    assert!(post.send().await.is_err(), "no answer arrives");
    assert_eq!(bench.get(&format!("contacts({ID})?$select=lastname")).await["lastname"], "A");
    let post = || bench.ac(Method::POST, "profileAndServicesExt/profile").json(&json!({"externalId": ID}));
    assert!(post().send().await.is_err());
    assert_eq!(turned_down(post()).await.0, 409, "the profile is there");
    let stats = bench.look("stats").await;
    let lost = stats["requests"].as_array().unwrap().iter().filter(|entry| entry["dropped"] == "after").count();
    assert_eq!(lost, 2);
}

#[tokio::test]
async fn a_reset_connection_leaves_no_write_behind() {
    let bench = Bench::new().await;
    bench.admin("fail-next", json!({"api": "dataverse", "kind": "reset"})).await;
    let post = bench.dv(Method::POST, "contacts").json(&json!({"contactid": ID}));
    assert!(post.send().await.is_err());
    assert_eq!(bench.look("dump/contacts").await, json!([]));
}

#[tokio::test]
async fn ordered_faults_hit_the_named_requests_as_often_as_named() {
    let bench = Bench::new().await;
    let order = json!({"kind": "status", "status": 503, "retry_after": 2, "count": 2, "skip": 1, "path": "WhoAmI"});
    bench.admin("fail-next", order).await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(bench.dv(Method::GET, "WhoAmI").send().await.unwrap().status().as_u16());
        ok(bench.dv(Method::GET, "")).await;
    }
    assert_eq!(seen, [200, 503, 503, 200, 200]);
    bench.admin("fail-next", json!({"kind": "unauthorized", "api": "campaign"})).await;
    assert_eq!(turned_down(bench.ac(Method::GET, "profileAndServices/profile")).await.1, "401013");
    bench.admin("fail-next", json!({"kind": "html", "api": "dataverse"})).await;
    let page = bench.dv(Method::GET, "WhoAmI").send().await.unwrap();
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    bench.admin("fail-next", json!({"kind": "slow", "delay": 60})).await;
    let begun = Instant::now();
    bench.get("WhoAmI").await;
    assert!(begun.elapsed() >= Duration::from_millis(60));
    let wrong = bench.http.post(format!("{}/fail-next", bench.running.admin_url())).json(&json!({"kind": "nosuch"})).send().await.unwrap();
    assert_eq!(wrong.status(), 400);
}

#[tokio::test]
async fn each_of_the_three_service_protection_codes_can_be_met() {
    let bench = Bench::new().await;
    for code in ["0x80072322", "0x80072321", "0x80072326"] {
        bench.admin("fail-next", json!({"kind": "throttle", "code": code, "retry_after": 7})).await;
        let answer = bench.dv(Method::GET, "WhoAmI").send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "7"));
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], code);
    }
}

#[tokio::test]
async fn above_the_limit_the_answer_is_429_until_the_window_has_moved() {
    let bench = Bench::new().await;
    bench.admin("throttle", json!({"requests": 3, "window": 300})).await;
    for _ in 0..3 {
        bench.get("WhoAmI").await;
    }
    let (status, code, message) = refused(bench.dv(Method::GET, "WhoAmI")).await;
    assert_eq!((status, code.as_str()), (429, "0x80072322"));
    assert!(message.starts_with("Number of requests exceeded the limit of 3 over"), "{message}");
    // The other API counts for itself.
    ok(bench.ac(Method::GET, "profileAndServices/profile")).await;
    tokio::time::sleep(Duration::from_millis(320)).await;
    bench.get("WhoAmI").await;
}

#[tokio::test]
async fn random_failures_come_at_about_their_rate() {
    let bench = Bench::with(Config { ..Config::default() }).await;
    drop(bench);
    let running = start(Config { fail_rate: 0.3, random_seed: 3, ..Config::default() }).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut failed = 0;
    for _ in 0..100 {
        let answer = http.get(format!("{}/api/data/v9.2/WhoAmI", running.dataverse_url())).send().await;
        failed += usize::from(!answer.is_ok_and(|answer| answer.status() == 401));
    }
    assert!((15..50).contains(&failed), "{failed} of 100");
    running.stop().await;
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status() {
    let bench = Bench::new().await;
    bench.admin("reset-stats", json!({})).await;
    bench.contact(ID, json!({"lastname": "A"})).await;
    bench.get("contacts").await;
    bench.get("contacts").await;
    refused(bench.dv(Method::GET, "contacts?$skip=1")).await;
    let stats = bench.look("stats").await;
    assert_eq!(stats["apis"]["dataverse"], json!({"total": 4, "reads": 3, "writes": 1}));
    assert_eq!(stats["apis"]["campaign"]["total"], 0);
    let requests = stats["requests"].as_array().unwrap();
    assert!(
        requests.contains(&json!({"api": "dataverse", "method": "GET", "route": "contacts", "status": 200, "count": 2})),
        "{requests:?}"
    );
    assert!(
        requests.contains(&json!({"api": "dataverse", "method": "POST", "route": "contacts", "status": 204, "count": 1})),
        "{requests:?}"
    );
}

#[tokio::test]
async fn tokens_expire() {
    let bench = Bench::with(Config { token_lifetime: Duration::ZERO, ..Config::default() }).await;
    assert_eq!(refused(bench.dv(Method::GET, "WhoAmI")).await.0, 401);
}

#[tokio::test]
async fn a_wrong_seed_is_refused_with_its_place() {
    let seeds = [
        (json!({"nosuch": 1}), "unknown field `nosuch`"),
        (json!({"dataverse": {"tables": {"nosuch": {}}}}), "no table `nosuch`"),
        (json!({"dataverse": {"tables": {"contact": {"rows": [{"firstname": 1}]}}}}), "table `contact`, row 1"),
        (json!({"dataverse": {"tables": {"contact": {"keys": [{"name": "k", "columns": ["nosuch"]}]}}}}), "no column `nosuch`"),
        (json!({"dataverse": {"tables": {"contact": {"columns": [{"name": "Loyalty", "type": "String"}]}}}}), "prefix"),
        (json!({"campaign": {"fields": [{"name": "myField", "type": "string"}]}}), "begins with `cus`"),
        (json!({"campaign": {"profiles": [{"gender": "x"}]}}), "profile 1"),
    ];
    for (seed, text) in seeds {
        let error = start(Config { seed_text: Some(seed.to_string()), ..Config::default() }).await.err().expect("refused").to_string();
        assert!(error.contains(text), "{seed}: {error}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_command_prints_one_line_of_json_and_ends_well_when_terminated() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_d365map"))
        .args(["emulate", "--contacts", "3", "--format", "json"])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().expect("a line");
    let urls: Value = serde_json::from_str(&line).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let dump = format!("{}/dump/contacts", urls["admin"]["url"].as_str().unwrap());
    let contacts: Value = http.get(dump).send().await.unwrap().json().await.unwrap();
    assert_eq!(contacts.as_array().unwrap().len(), 3);
    let ended = std::process::Command::new("/bin/sh").args(["-c", &format!("kill -TERM {}", child.id().unwrap())]).status().unwrap();
    assert!(ended.success());
    let status = tokio::time::timeout(Duration::from_secs(5), child.wait()).await.expect("ends in time").unwrap();
    assert_eq!(status.code(), Some(0));
}

/// Prints what the emulators can bear: `cargo test -- --ignored --nocapture emulator_figures`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, not a rule"]
async fn emulator_figures() {
    let begun = Instant::now();
    let bench = std::sync::Arc::new(Bench::with(Config { contacts: 100_000, ..Config::default() }).await);
    println!("100,000 sample contacts in {:?}", begun.elapsed());
    let begun = Instant::now();
    let mut link = "contacts?$select=firstname,lastname,emailaddress1,gendercode,birthdate,creditlimit,address1_city".to_owned();
    let mut rows = 0;
    for _ in 0..30 {
        let page = ok(bench.dv(Method::GET, &link).header("Prefer", "odata.track-changes")).await;
        rows += page["value"].as_array().unwrap().len();
        match page["@odata.nextLink"].as_str() {
            Some(next) => link = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(rows, 100_000);
    println!("read in {:?}", begun.elapsed());
    let begun = Instant::now();
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let bench = std::sync::Arc::clone(&bench);
            tokio::spawn(async move {
                for index in 0..1000 {
                    let body = json!({"externalId": format!("{task}-{index}"), "firstName": "Zoë", "email": "zoe@example.com"});
                    ok(bench.ac(Method::POST, "profileAndServicesExt/profile").json(&body)).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    println!("16,000 creates in {:?}, client included", begun.elapsed());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("no memory figure"));
}
