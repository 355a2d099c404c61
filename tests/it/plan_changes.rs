//! `plan --against`: what has changed since a compiled plan or a revision, and what the change costs.

use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::cli::d365map;
use crate::flow::support::{World, ada};

const MAPPING: &str = "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  firstname -> firstName | truncate(30)
  lastname -> lastName
  filter all { statecode = Active }
}
";

fn git(folder: &Path, words: &[&str]) {
    let who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"];
    let output = Command::new("git").arg("-C").arg(folder).args(who).args(words).output().expect("git runs");
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A project whose mapping is committed, below the top of the repository.
fn committed() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let project = folder.path().join("sync");
    std::fs::create_dir_all(project.join("mappings")).expect("a folder");
    std::fs::write(project.join("d365map.yaml"), "version: 1\n").expect("a file");
    std::fs::write(project.join("mappings/contacts.d365map"), MAPPING).expect("a file");
    git(folder.path(), &["init", "--quiet"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "--quiet", "-m", "first"]);
    (folder, project)
}

fn change(project: &Path, text: &str) {
    std::fs::write(project.join("mappings/contacts.d365map"), text).expect("a file");
}

fn against(project: &Path, args: &[&str]) -> String {
    let (status, out, error) = d365map(project, &[&["plan", "--against"], args].concat());
    assert_eq!((status, error.as_str()), (0, ""), "{out}");
    out
}

#[test]
fn a_change_is_shown_against_a_revision_with_its_cost() {
    let (_folder, project) = committed();
    assert_eq!(against(&project, &["HEAD"]), "no differences in 1 workflow\n");
    // Where something is written makes no difference.
    change(&project, &format!("# a comment\n\n{MAPPING}"));
    assert_eq!(against(&project, &["HEAD"]), "no differences in 1 workflow\n");
    let changed =
        MAPPING.replace("truncate(30)", "truncate(25)").replace("  filter all { statecode = Active }\n", "  emailaddress1 -> email\n");
    change(&project, &changed);
    let known = against(&project, &["HEAD", "--records", "contacts=12_000"]);
    let unknown = against(&project, &["HEAD"]);
    change(&project, &MAPPING.replace("contacts:", "people:"));
    let renamed = against(&project, &["HEAD"]);
    assert_snapshot!([known, unknown, renamed].join("----\n"));
}

#[test]
fn a_change_is_shown_against_a_compiled_plan_and_as_json() {
    let (_folder, project) = committed();
    assert_eq!(d365map(&project, &["compile", "-o", "old.json"]).0, 0);
    change(&project, &MAPPING.replace("truncate(30)", "truncate(25)"));
    let found: Value =
        serde_json::from_str(&against(&project, &["old.json", "--format", "json", "--records", "contacts=10001"])).expect("JSON");
    let change = &found["changes"]["workflows"][0];
    assert_eq!(change["before"], json!(["firstName <- firstname | truncate(30)"]), "{found}");
    assert_eq!(change["after"], json!(["firstName <- firstname | truncate(25)"]), "{found}");
    assert_eq!((&change["effect"], &change["writes_at_most"]), (&json!("read-again"), &json!(10001)), "{found}");
    assert_eq!(found["changes"]["unchanged"], 0, "{found}");
}

#[test]
fn a_new_key_is_refused_and_what_is_new_or_gone_is_named() {
    let (_folder, project) = committed();
    let optout = "optout contacts {\n  direction bidirectional\n  donotemail <-> denyListEmail\n}\n";
    change(&project, &format!("{MAPPING}\n{optout}"));
    let added = against(&project, &["HEAD", "--records", "contacts.optout=500"]);
    assert_eq!(d365map(&project, &["compile", "-o", "old.json"]).0, 0);
    change(&project, MAPPING);
    let removed = against(&project, &["old.json"]);
    // The shipped tables have one key only.
    let plan = std::fs::read_to_string(project.join("old.json")).expect("a plan").replace("externalId", "cusId");
    std::fs::write(project.join("old.json"), plan).expect("a plan");
    let key = against(&project, &["old.json"]);
    assert_snapshot!([added, removed, key].join("----\n"));
}

#[test]
fn what_is_neither_a_plan_nor_a_revision_is_a_usage_error() {
    let (folder, project) = committed();
    let (status, _, error) = d365map(&project, &["plan", "--against", "nothing"]);
    assert!(status == 2 && error.contains("`nothing` is neither a compiled plan nor a revision"), "{error}");
    // A name that looks like an option of Git is a name.
    let (status, _, error) = d365map(&project, &["plan", "--against=--output=x"]);
    assert!(status == 2 && error.contains("neither a compiled plan nor a revision"), "{error}");
    git(folder.path(), &["rm", "--quiet", "-r", "--cached", "sync/d365map.yaml"]);
    git(folder.path(), &["commit", "--quiet", "-m", "second"]);
    let (status, _, error) = d365map(&project, &["plan", "--against", "HEAD"]);
    assert!(status == 2 && error.contains("revision `HEAD` has no d365map.yaml"), "{error}");
    let (status, _, error) = d365map(&project, &["plan", "--records", "contacts=1"]);
    assert!(status == 2 && error.contains("--against"), "{error}");
    change(&project, &MAPPING.replace("firstname ->", "firstnmae ->"));
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "--quiet", "-m", "third"]);
    change(&project, MAPPING);
    let (status, _, error) = d365map(&project, &["plan", "--against", "HEAD"]);
    assert!(status == 1 && error.contains("D103") && error.contains("the mapping files of `HEAD` have errors"), "{status} {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cost_counts_the_records_that_the_state_has() {
    let world = World::empty().await;
    world.project(MAPPING);
    world.create(1, ada()).await;
    assert_eq!(world.call(&["run"]).await.0, 0);
    assert_eq!(world.call(&["compile", "-o", "old.json"]).await.0, 0);
    world.project(&MAPPING.replace("truncate(30)", "truncate(25)"));
    let (status, out, error) = world.call(&["plan", "--against", "old.json"]).await;
    assert!(status == 0 && out.contains("all records are read again: 1 record in 1 request"), "{out}{error}");
}
