//! The connection to Dynamics 365.

use std::time::{Duration, Instant};

use d365map_emulator::Config;
use insta::assert_snapshot;
use serde_json::json;

use super::fake::{self, READS, WRITES, definition, examined, privileges, services};
use super::{about, doctor, stable};
use crate::connect_server::{Reply, closed_port};
use crate::flow::support::{CONTACTS, World};

/// A project at the emulators.
async fn emulated(config: Config, mapping: &str) -> World {
    let world = World::new(config).await;
    world.project(mapping);
    world
}

async fn call(world: &World, args: &[&str]) -> (i32, String) {
    let (status, out, error) = world.call(&[&["doctor"], args].concat()).await;
    assert_eq!(error, "");
    // What is left of the emulator's limits depends on how long its answers took.
    let left = regex::Regex::new(r"\d+ of (6000|1200) ").expect("a pattern");
    (status, left.replace_all(&stable(&out, world.folder.path()), "[LEFT] of $1 ").into_owned())
}

fn seed(text: serde_json::Value) -> Config {
    Config { seed_text: Some(text.to_string()), ..Config::default() }
}

#[tokio::test]
async fn a_good_set_up_is_all_well_and_doctor_only_reads() {
    let config = Config { contacts: 3, seed_text: Some(d365map_emulator::SAMPLE_SEED.to_owned()), ..Config::default() };
    let world = emulated(config, CONTACTS).await;
    let (status, out) = call(&world, &[]).await;
    assert_eq!(status, 0, "{out}");
    assert_snapshot!(out);
    let stats = world.admin_get("stats").await;
    for api in ["dataverse", "campaign"] {
        assert_eq!(stats["apis"][api]["writes"].as_u64().unwrap_or(0), 0, "{stats}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_reported_and_what_needs_a_token_is_left_out() {
    let world = emulated(Config::default(), READS).await;
    let output = world.command(&["doctor"]).env("TEST_DYNAMICS_SECRET", "wr0ng-secret").output().await.expect("the command runs");
    let out = stable(&String::from_utf8(output.stdout).expect("UTF-8"), world.folder.path());
    assert_eq!(output.status.code(), Some(1), "{out}");
    assert!(!out.contains("wr0ng-secret"), "{out}");
    assert_snapshot!(out);
}

#[tokio::test]
async fn a_secret_that_is_not_set_is_named_by_its_variable() {
    let server = services(|_| None).await;
    let folder = tempfile::tempdir().expect("a folder");
    fake::project(folder.path(), server.url.as_str(), READS);
    let (status, out) = doctor(folder.path(), &["--connection", "dynamics"], &[]).await;
    assert_eq!(status, 1);
    assert_snapshot!(out);
}

fn entra(status: u16, error: &str, description: &str) -> Reply {
    Reply::json(status, json!({"error": error, "error_description": format!("{description} Trace ID: 1 Timestamp: 2")}).to_string())
}

#[tokio::test]
async fn each_refusal_of_the_token_service_has_its_cause_and_remedy() {
    let mut told = Vec::new();
    for (error, description) in [
        ("invalid_client", "AADSTS7000222: The provided client secret keys for app 'client' are expired."),
        ("unauthorized_client", "AADSTS700016: Application with identifier 'client' was not found in the directory 'contoso'."),
        ("invalid_request", "AADSTS90002: Tenant 'contoso' not found."),
        ("invalid_resource", "AADSTS500011: The resource principal named https://o.crm4.dynamics.com was not found."),
        ("temporarily_odd", "Something else."),
    ] {
        let server = services(move |seen| (seen.is_token() && seen.method == "POST").then(|| entra(401, error, description))).await;
        let (status, out) = examined(&server, READS, "dynamics").await;
        assert_eq!(status, 1, "{out}");
        told.push(about(&out, "token  "));
    }
    assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn a_missing_a_disabled_and_a_roleless_application_user_are_told_apart() {
    let mut told = Vec::new();
    for (status, code, message) in [
        (403, "0x80072560", "The user is not a member of the organization."),
        (403, "0x80040225", "The specified user(Id = 1) is disabled. Consider enabling this user."),
        (403, "0x80042f09", "The user with id 1 has no roles assigned."),
        (401, "", ""),
    ] {
        let body = json!({"error": {"code": code, "message": message}}).to_string();
        let server = services(move |seen| seen.target.ends_with("/WhoAmI").then(|| Reply::json(status, body.clone()))).await;
        let (status, out) = examined(&server, READS, "dynamics").await;
        assert_eq!(status, 1, "{out}");
        told.push(about(&out, "application user"));
    }
    assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn a_missing_privilege_is_named_with_the_level_that_change_tracking_needs() {
    let server = services(|seen| {
        seen.target.contains("/contacts").then(|| {
            Reply::json(
                403,
                r#"{"error":{"code":"0x80040220","message":"Principal user (Id=1, type=8) is missing prvReadContact privilege (Id=2) on OTC=2 for entity 'contact'."}}"#,
            )
        })
    })
    .await;
    let (status, out) = examined(&server, READS, "dynamics").await;
    assert_eq!(status, 1);
    assert_snapshot!(about(&out, "read contact"));
}

#[tokio::test]
async fn write_privileges_are_known_without_writing() {
    let healthy = services(|_| None).await;
    let (status, out) = examined(&healthy, WRITES, "dynamics").await;
    assert_eq!((status, about(&out, "write contact").contains("ok")), (0, true), "{out}");
    let mut told = Vec::new();
    for answer in [
        Reply::json(200, privileges(&["prvReadContact"], "Global").to_string()),
        Reply::json(200, privileges(&["prvReadContact", "prvWriteContact"], "Local").to_string()),
        Reply::json(501, r#"{"error":{"code":"0x80060888","message":"not here"}}"#),
    ] {
        let server = services(move |seen| seen.target.contains("RetrieveUserPrivileges").then(|| answer.clone())).await;
        let (_, out) = examined(&server, WRITES, "dynamics").await;
        told.push(about(&out, "write contact"));
        assert!(server.calls().iter().all(|c| c.method == "GET"));
    }
    assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn change_tracking_that_is_off_is_reported_with_the_way_to_the_switch() {
    let world = emulated(seed(json!({"dataverse": {"tables": {"contact": {"tracking": false}}}})), READS).await;
    let (status, out) = call(&world, &["--connection", "dynamics"]).await;
    assert_eq!(status, 1, "{out}");
    assert_snapshot!(out);
}

#[tokio::test]
async fn an_alternate_key_that_no_flow_needs_is_worth_a_warning() {
    let key = |status: &str| json!({"name": "new_byid", "columns": ["employeeid"], "status": status});
    for (status, word) in [("Active", "ok"), ("InProgress", "warning"), ("Failed", "warning")] {
        let world = emulated(seed(json!({"dataverse": {"tables": {"contact": {"keys": [key(status)]}}}})), READS).await;
        let (exit, out) = call(&world, &["--connection", "dynamics"]).await;
        assert_eq!(exit, 0, "{out}");
        assert!(about(&out, "key contact.employeeid").trim_start().starts_with(word), "{out}");
    }
}

#[tokio::test]
async fn a_table_that_is_not_there_or_has_another_set_is_reported() {
    let missing = services(|seen| {
        seen.target.contains("EntityDefinitions").then(|| Reply::json(404, r#"{"error":{"code":"0x80040217","message":"no such table"}}"#))
    })
    .await;
    let other = services(|seen| {
        let answer = definition("contact", "people", true, &json!([]));
        seen.target.contains("EntityDefinitions").then(|| Reply::json(200, answer.to_string()))
    })
    .await;
    let forbidden = services(|seen| {
        let answer = r#"{"error":{"code":"0x80040220","message":"missing prvReadEntity privilege"}}"#;
        seen.target.contains("EntityDefinitions").then(|| Reply::json(403, answer))
    })
    .await;
    let mut told = Vec::new();
    for (server, exit) in [(missing, 1), (other, 1), (forbidden, 0)] {
        let (status, out) = examined(&server, READS, "dynamics").await;
        assert_eq!(status, exit, "{out}");
        told.push(about(&out, "table contact"));
    }
    assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn a_clock_that_is_off_is_reported_by_how_much_and_fails_beyond_five_minutes() {
    // The seconds that pass meanwhile are rounded away.
    let about_90 = regex::Regex::new(r"\b(8\d|9\d) s\b").expect("a pattern");
    let mut told = Vec::new();
    for (seconds, exit) in [(0, 0), (-90, 0), (3700, 1)] {
        let server = services(move |seen| {
            let at = chrono::Utc::now() + chrono::TimeDelta::seconds(seconds);
            let date = at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            Some(fake::healthy(seen, 1).with("date", date))
        })
        .await;
        let (status, out) = examined(&server, READS, "dynamics").await;
        assert_eq!(status, exit, "{out}");
        told.push(about_90.replace(&about(&out, "clock"), "about 90 s").into_owned());
    }
    assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn an_address_of_the_wrong_region_is_asked_for_its_region() {
    let folder = tempfile::tempdir().expect("a folder");
    // A label of more than 63 characters is not a valid name, so that no name service is asked.
    let url = format!("https://contoso{}.crm.dynamics.com", "x".repeat(60));
    let tokens = services(|_| None).await;
    fake::project_with(folder.path(), &url, tokens.token_url().as_str(), fake::TENANT, READS);
    let (status, out) = doctor(folder.path(), &["--connection", "dynamics"], &[("TEST_SECRET", "s3cr3t-value")]).await;
    assert_eq!(status, 1);
    assert_snapshot!(out.replace(&"x".repeat(60), "…"));
}

#[tokio::test]
async fn what_answers_in_place_of_the_service_is_reported() {
    let mut told = Vec::new();
    let away = Reply::empty(302).with("location", "https://login.example.com/sign-in?secret=1");
    for reply in [Reply::html(200), away, Reply::empty(404), Reply::empty(403), Reply::empty(503), Reply::json(200, "{}")] {
        let server = services(move |seen| (!seen.is_token()).then(|| reply.clone())).await;
        let (_, out) = examined(&server, READS, "dynamics").await;
        told.push(about(&out, "service"));
        assert!(!out.contains("secret=1"), "{out}");
    }
    assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn an_environment_of_another_tenant_is_reported() {
    let server = services(|_| None).await;
    let folder = tempfile::tempdir().expect("a folder");
    let other = "00000000-0000-4000-8000-000000000001";
    fake::project_with(folder.path(), server.url.as_str(), server.token_url().as_str(), other, READS);
    let (status, out) = doctor(folder.path(), &["--connection", "dynamics"], &[("TEST_SECRET", "s3cr3t-value")]).await;
    assert_eq!(status, 1);
    assert_snapshot!(about(&out, "tenant"));
}

#[tokio::test]
async fn little_room_under_the_services_limits_is_worth_a_warning() {
    let mut told = Vec::new();
    for (left, hint, word) in [("120", "8", "warning"), ("5,000", "4", "ok")] {
        let server = services(move |seen| {
            let who = json!({"UserId": "5e120000-0000-4000-8000-000000000001"}).to_string();
            let reply = Reply::json(200, who).with("x-ms-ratelimit-burst-remaining-xrm-requests", left).with("x-ms-dop-hint", hint);
            (seen.target.ends_with("/WhoAmI") && seen.header("authorization").is_some()).then_some(reply)
        })
        .await;
        let (status, out) = examined(&server, READS, "dynamics").await;
        assert_eq!(status, 0, "{out}");
        assert!(about(&out, "limits").trim_start().starts_with(word), "{out}");
        told.push(about(&out, "limits"));
    }
    assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn an_address_where_nothing_listens_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    fake::project(folder.path(), closed_port().await.as_str(), READS);
    let (status, out) = doctor(folder.path(), &["--connection", "dynamics"], &[("TEST_SECRET", "s3cr3t-value")]).await;
    assert_eq!(status, 1);
    assert_snapshot!(out);
}

#[tokio::test]
async fn a_service_that_never_answers_does_not_hold_doctor_up() {
    let server = services(|seen| Some(fake::healthy(seen, 1).after(Duration::from_secs(60)))).await;
    let folder = tempfile::tempdir().expect("a folder");
    fake::project(folder.path(), server.url.as_str(), READS);
    let start = Instant::now();
    let (status, out) = doctor(folder.path(), &["--timeout", "1"], &[("TEST_SECRET", "s3cr3t-value")]).await;
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(status, 1, "{out}");
    assert!(about(&out, "connection ").contains("does not answer in time") || out.contains("no answer within 1 seconds"), "{out}");
}

#[tokio::test]
async fn set_ups_that_the_emulated_environment_can_have_are_reported_like_those_by_hand() {
    let keys = json!({"dataverse": {"tables": {"contact": {"keys": [{"name": "new_byid", "columns": ["employeeid"]}]}}}});
    let mut told = Vec::new();
    for (setup, subject, exit) in [
        (json!({"secret": "expired"}), "token  ", 1),
        (json!({"application_user": "missing"}), "application user", 1),
        (json!({"application_user": "disabled"}), "application user", 1),
        (json!({"denied": [{"table": "contact", "operation": "read"}]}), "read contact", 1),
        (json!({"denied": [{"table": "contact", "operation": "read-organization"}]}), "read contact", 1),
        (json!({"clock_skew": 4000}), "clock", 1),
        (json!({"clock_skew": -100}), "clock", 0),
    ] {
        let world = emulated(seed(keys.clone()), READS).await;
        world.admin("setup", setup.clone()).await;
        let (status, out) = call(&world, &["--connection", "dynamics"]).await;
        assert_eq!(status, exit, "{setup}: {out}");
        told.push(about(&out, subject));
    }
    let seconds = regex::Regex::new(r"\b(9\d|10\d) s\b").expect("a pattern");
    let users = regex::Regex::new(r"[0-9a-f]{8}-[0-9a-f-]{27}").expect("a pattern");
    let ids = regex::Regex::new(r"OTC=\d+").expect("a pattern");
    let told = seconds.replace_all(&told.join("\n"), "about 100 s").into_owned();
    assert_snapshot!(ids.replace_all(&users.replace_all(&told, "[ID]"), "OTC=[N]"));
}
