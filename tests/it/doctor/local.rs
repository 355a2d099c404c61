//! The project's files and this machine.

use d365map::store::sqlite::db::Store;
use insta::assert_snapshot;
use serde_json::Value;

use super::fake::{self, READS, examined, services};
use super::{about, doctor, raw, stable};

const SECRET: [(&str, &str); 1] = [("TEST_SECRET", "s3cr3t-value")];

#[tokio::test]
async fn without_a_project_it_says_how_to_begin_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (status, out) = doctor(folder.path(), &[], &[]).await;
    assert_eq!(status, 2);
    assert_snapshot!(out);
}

#[tokio::test]
async fn a_faulty_project_file_is_shown_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("d365map.yaml"), "version: 1\nlimit:\n  page-size: 10\n").expect("a file");
    let (status, out) = doctor(folder.path(), &[], &[]).await;
    assert_eq!(status, 2);
    assert_snapshot!(out);
}

#[tokio::test]
async fn a_project_without_connections_and_with_faulty_mappings_is_examined_as_far_as_it_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("d365map.yaml"), "version: 1\n").expect("a file");
    std::fs::create_dir(folder.path().join("mappings")).expect("a folder");
    std::fs::write(folder.path().join("mappings/a.d365map"), READS.replace("lastname", "lastnmae")).expect("a file");
    let (status, out) = doctor(folder.path(), &[], &[]).await;
    assert_eq!(status, 1);
    assert_snapshot!(out);
}

#[tokio::test]
async fn json_holds_every_check_with_its_name_and_a_summary() {
    let server = services(|_| None).await;
    let folder = tempfile::tempdir().expect("a folder");
    fake::project(folder.path(), server.url.as_str(), READS);
    let (status, out, _) = raw(folder.path(), &["--format", "json", "--connection", "campaign"], &[]).await;
    let document: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((status, &document["version"]), (1, &Value::from(1)));
    let secret = document["checks"].as_array().expect("a list").iter().find(|c| c["id"] == "campaign.secret").expect("the check");
    assert_eq!(secret["outcome"], "failed");
    assert!(secret["mend"].as_str().is_some_and(|m| m.contains("TEST_SECRET")), "{secret}");
    let count = document["checks"].as_array().map_or(0, Vec::len) as u64;
    let summary = document["summary"].as_object().expect("a summary");
    assert_eq!(summary.values().filter_map(Value::as_u64).sum::<u64>(), count);
    assert!(!out.contains('\u{1b}'));
}

#[tokio::test]
async fn a_run_under_way_is_reported_and_is_not_a_failure() {
    let server = services(|_| None).await;
    let folder = tempfile::tempdir().expect("a folder");
    fake::project(folder.path(), server.url.as_str(), READS);
    let store = Store::open_for_run(&folder.path().join(".d365map/state.db")).expect("the state opens");
    let (status, out) = doctor(folder.path(), &["--connection", "campaign"], &SECRET).await;
    assert_eq!(status, 0, "{out}");
    assert_snapshot!(about(&out, "run lock"));
    // It took nothing away from the run, and leaves nothing behind.
    drop(store);
    drop(Store::open_for_run(&folder.path().join(".d365map/state.db")).expect("the lock is free"));
    let (_, out) = doctor(folder.path(), &["--connection", "campaign"], &SECRET).await;
    assert!(about(&out, "run lock").contains("no run is under way"), "{out}");
    let names: Vec<_> = std::fs::read_dir(folder.path().join(".d365map")).expect("a folder").flatten().map(|e| e.file_name()).collect();
    assert!(names.iter().all(|n| n.to_string_lossy().starts_with("state.db")), "{names:?}");
}

#[tokio::test]
async fn a_state_folder_that_cannot_be_written_to_fails() {
    let server = services(|_| None).await;
    let folder = tempfile::tempdir().expect("a folder");
    fake::project(folder.path(), server.url.as_str(), READS);
    // A file where a folder should be stops every user, the superuser too.
    std::fs::write(folder.path().join(".d365map"), "").expect("a file");
    let (status, out) = doctor(folder.path(), &["--connection", "campaign"], &SECRET).await;
    assert_eq!(status, 1, "{out}");
    assert_snapshot!(about(&out, "state folder"));
}

#[tokio::test]
async fn a_state_of_another_program_fails() {
    let server = services(|_| None).await;
    let folder = tempfile::tempdir().expect("a folder");
    fake::project(folder.path(), server.url.as_str(), READS);
    std::fs::create_dir(folder.path().join(".d365map")).expect("a folder");
    std::fs::write(folder.path().join(".d365map/state.db"), "this is not a database, whatever its name says. ".repeat(200))
        .expect("a file");
    let (status, out) = doctor(folder.path(), &["--connection", "campaign"], &SECRET).await;
    assert_eq!(status, 1, "{out}");
    assert!(about(&out, "state  ").contains("failed"), "{out}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_secret_and_a_state_that_others_can_read_are_worth_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let server = services(|_| None).await;
    let folder = tempfile::tempdir().expect("a folder");
    fake::project(folder.path(), server.url.as_str(), READS);
    let file = folder.path().join("d365map.yaml");
    let text = std::fs::read_to_string(&file).expect("the file").replace("env: TEST_SECRET", "file: secret");
    std::fs::write(&file, text).expect("the file");
    std::fs::write(folder.path().join("secret"), "s3cr3t-value\n").expect("the secret");
    let state = folder.path().join(".d365map/state.db");
    drop(Store::open_for_run(&state).expect("the state opens"));
    for path in [&folder.path().join("secret"), &state] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).expect("the rights");
    }
    let (status, out, _) = raw(folder.path(), &["--connection", "dynamics"], &[]).await;
    let out = stable(&out, folder.path());
    assert_eq!(status, 0, "{out}");
    assert_snapshot!(format!("{}\n{}", about(&out, "state  "), about(&out, "secret")));
}

#[tokio::test]
async fn one_connection_is_examined_by_its_name() {
    let server = services(|_| None).await;
    let (_, out) = examined(&server, READS, "campaign").await;
    assert!(out.contains("Adobe Campaign") && !out.contains("Dynamics 365\n"), "{out}");
}

#[test]
fn every_check_is_on_its_page() {
    let page = include_str!("../../../docs/doctor.md");
    let id = regex::Regex::new(r#""((?:project|machine|dynamics|campaign|sftp)\.[a-z-]+)""#).expect("a pattern");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<_> = std::fs::read_dir(root.join("doctor")).expect("the folder").flatten().map(|e| e.path()).collect();
    files.push(root.join("cli/doctor.rs"));
    let mut ids = std::collections::BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source file");
        ids.extend(id.captures_iter(&text).map(|c| c[1].to_owned()));
    }
    assert!(ids.len() > 30, "{ids:?}");
    // The name of a section of the project file is not one.
    let missing: Vec<_> = ids.iter().filter(|id| *id != "campaign.sftp" && !page.contains(&format!("`{id}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
