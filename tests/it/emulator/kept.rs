//! The emulators' state over restarts and kills.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use d365map_emulator::{Config, start};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Bench, ID, OTHER_ID, ok};

fn config(folder: &Path) -> Config {
    let seed = json!({
        "dataverse": {"contacts": 5, "tables": {"contact": {"keys": [{"name": "new_byemployee", "columns": ["employeeid"]}]}}},
        "campaign": {"fields": [{"name": "cusScore", "type": "number"}], "profiles": [{"externalId": "1", "email": "a@example.com"}]},
    });
    Config { data: Some(folder.to_owned()), seed_text: Some(seed.to_string()), ..Config::default() }
}

const DUMPS: [&str; 4] =
    ["dump/contacts?system=true", "dump/table/new_visit?system=true", "dump/table/systemuser?system=true", "dump/profiles?system=true"];

async fn dumps(bench: &Bench) -> Vec<Value> {
    let mut all = Vec::new();
    for path in DUMPS {
        all.push(bench.look(path).await);
    }
    all
}

#[tokio::test]
async fn rows_definitions_tombstones_and_profiles_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::with(config(folder.path())).await;
    let table = json!({
        "@odata.type": "Microsoft.Dynamics.CRM.EntityMetadata", "SchemaName": "new_Visit", "ChangeTrackingEnabled": true,
        "Attributes": [{"@odata.type": "Microsoft.Dynamics.CRM.DecimalAttributeMetadata", "SchemaName": "new_Cost", "Precision": 2}],
    });
    assert_eq!(bench.dv(Method::POST, "EntityDefinitions").json(&table).send().await.unwrap().status(), 204);
    bench
        .contact(ID, json!({"lastname": "Kept", "employeeid": "7", "birthdate": "1980-10-24", "creditlimit": 10.5, "statuscode": 1}))
        .await;
    bench.contact(OTHER_ID, json!({"lastname": "Doomed"})).await;
    let page = ok(bench.dv(Method::GET, "contacts?$select=lastname").header("Prefer", "odata.track-changes")).await;
    let link = page["@odata.deltaLink"].as_str().unwrap().to_owned();
    assert_eq!(bench.dv(Method::DELETE, &format!("contacts({OTHER_ID})")).send().await.unwrap().status(), 204);
    assert_eq!(bench.dv(Method::POST, "new_visits").json(&json!({"new_cost": 1.25})).send().await.unwrap().status(), 204);
    let profile = json!({"externalId": "2", "cusScore": 3, "firstName": "Zoë", "location": {"city": "Graz"}});
    ok(bench.ac(Method::POST, "profileAndServicesExt/profile").json(&profile)).await;
    assert!(bench.ac(Method::DELETE, "profileAndServicesExt/profile/1").send().await.unwrap().status().is_success());
    let before = dumps(&bench).await;
    let port = bench.running.dataverse_url();
    bench.running.stop().await;

    let bench = Bench::with(config(folder.path())).await;
    assert_eq!(dumps(&bench).await, before);
    assert_eq!(bench.get("contacts(employeeid='7')?$select=lastname").await["lastname"], "Kept");
    let delta = bench.get(&link.replace(&port, &bench.running.dataverse_url())).await;
    let [gone] = delta["value"].as_array().unwrap().as_slice() else { panic!("{delta}") };
    assert_eq!((&gone["id"], &gone["reason"]), (&json!(OTHER_ID), &json!("deleted")));
    assert_eq!(bench.dv(Method::POST, "new_visits").json(&json!({"new_cost": 2})).send().await.unwrap().status(), 204);
    ok(bench.ac(Method::GET, "profileAndServicesExt/profile/2")).await;
    assert_eq!(bench.ac(Method::GET, "profileAndServicesExt/profile/1").send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_change_set_that_failed_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::with(config(folder.path())).await;
    let body = json!({"Targets": [
        {"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": ID},
        {"@odata.type": "Microsoft.Dynamics.CRM.contact", "lastname": "x".repeat(51)},
    ]});
    let answer = bench.dv(Method::POST, "contacts/Microsoft.Dynamics.CRM.CreateMultiple").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    bench.running.stop().await;
    let bench = Bench::with(config(folder.path())).await;
    assert_eq!(bench.look("dump/contacts").await.as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_folder_serves_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::with(config(folder.path())).await;
    let error = start(config(folder.path())).await.err().expect("refused").to_string();
    assert!(error.contains("emulators.sqlite: another process uses it"), "{error}");
    bench.running.stop().await;
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_d365map"))
            .args(["emulate", "--contacts", "0", "--format", "json", "--data"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (child, serde_json::from_str::<Value>(&line).unwrap())
    };
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let (mut child, said) = run();
    let known = &said["dataverse"];
    let url = known["url"].as_str().unwrap();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", known["client_id"].as_str().unwrap()),
        ("client_secret", known["client_secret"].as_str().unwrap()),
        ("scope", &format!("{url}/.default")),
    ];
    let token: Value = http.post(known["token_url"].as_str().unwrap()).form(&form).send().await.unwrap().json().await.unwrap();
    let mut acknowledged = 0;
    for number in 0..25 {
        let request = http.post(format!("{url}/api/data/v9.2/contacts")).bearer_auth(token["access_token"].as_str().unwrap());
        let answer = request.json(&json!({"lastname": format!("Row {number}")})).send().await.unwrap();
        acknowledged += usize::from(answer.status() == 204);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (mut child, said) = run();
    let rows: Value =
        http.get(format!("{}/dump/contacts", said["admin"]["url"].as_str().unwrap())).send().await.unwrap().json().await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((acknowledged, rows.as_array().unwrap().len()), (25, 25));
}
