//! Replays and first loads: what they cost, and where they are refused.

use serde_json::{Value, json};

use super::support::{World, ada, id};

const MAPPING: &str = "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  lastname -> lastName
  address1_city -> location.city | truncate(50) @initial
}
";

async fn loaded() -> World {
    let world = World::empty().await;
    world.project(MAPPING);
    for n in 1..=3 {
        world.create(n, ada()).await;
    }
    let (status, out, error) = world.call(&["run"]).await;
    assert_eq!(status, 0, "{out}{error}");
    world
}

fn state(world: &World) -> std::path::PathBuf {
    world.folder.path().join(".d365map/state.db")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_refused_where_table_or_backlog_has_two_million_records() {
    let world = loaded().await;
    let generation = || {
        let store = d365map::store::sqlite::db::Store::open_read(&state(&world)).expect("the state");
        store.cursor("contacts").expect("the state").expect("a cursor").generation
    };
    let before = generation();
    world.admin("record-count", json!({"table": "contact", "count": 2_000_000})).await;
    let (status, out, error) = world.call(&["replay", "contacts"]).await;
    assert!(status == 2 && out.is_empty() && error.contains("D705: d365.contact has 2,000,000 records"), "{error}");
    let (status, _, error) = world.call(&["replay", "contacts", "--later"]).await;
    assert!(status == 2 && error.contains("D705"), "{error}");
    assert_eq!(generation(), before);
    world.admin("record-count", json!({"table": "contact", "count": 1_999_999})).await;
    let (status, out, error) = world.call(&["replay", "contacts"]).await;
    assert!(status == 0 && out.contains("unchanged         3"), "{out}{error}");
    assert_eq!(generation(), before + 1);

    let db = rusqlite::Connection::open(state(&world)).expect("the state");
    db.execute("UPDATE mapping SET outbox_rows = 2000000", []).expect("a change");
    let (status, _, error) = world.call(&["replay", "contacts"]).await;
    assert!(status == 2 && error.contains("D705: the backlog of `contacts` has 2,000,000 operations"), "{error}");
    db.execute("UPDATE mapping SET outbox_rows = 0", []).expect("a change");
    drop(db);

    // With the flag there is no question.
    world.admin("record-count", json!({"table": "contact", "count": 2_000_000})).await;
    let (status, out, error) = world.call(&["replay", "contacts", "--ignore-limits"]).await;
    assert!(status == 0 && out.contains("unchanged         3"), "{out}{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_writes_what_others_have_changed_by_its_own_knowledge_and_initial_values_again() {
    let world = loaded().await;
    // The city is written on create and on replay, and not in between.
    world.update(1, json!({"address1_city": "Paris"})).await;
    assert_eq!(world.call(&["run"]).await.0, 0);
    assert_eq!(world.profile(1).await.expect("a profile")["location"]["city"], "London");
    let (status, out, error) = world.call(&["replay", "contacts", "--later"]).await;
    assert_eq!((status, out.as_str()), (0, ""), "{error}");
    let (_, out, _) = world.call(&["status"]).await;
    assert!(out.contains("asked for: the next start reads all records again"), "{out}");
    let (status, out, error) = world.call(&["run", "--format", "json"]).await;
    assert_eq!(status, 0, "{error}");
    let summary: Value = serde_json::from_str(&out).expect("JSON");
    let flow = &summary["summary"]["flows"][0];
    assert_eq!((&flow["read"], &flow["updated"], &flow["unchanged"]), (&json!(3), &json!(1), &json!(2)));
    assert_eq!(world.profile(1).await.expect("a profile")["location"]["city"], "Paris");
    let (_, out, _) = world.call(&["status"]).await;
    assert!(!out.contains("asked for"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_load_of_more_than_fifteen_million_records_is_refused() {
    let world = World::empty().await;
    world.project(MAPPING);
    world.create(1, ada()).await;
    world.admin("record-count", json!({"table": "contact", "count": 15_000_001})).await;
    for args in [&["run"][..], &["run", "--watch"]] {
        let (status, _, error) = world.call(args).await;
        assert!(status == 2 && error.contains("D706: 15,000,001 records") && error.contains("--ignore-limits"), "{error}");
        assert!(world.profile(1).await.is_none());
    }
    let (status, _, error) = world.call(&["run", "--ignore-limits"]).await;
    assert_eq!(status, 0, "{error}");
    assert_eq!(world.profile(1).await.expect("written")["externalId"], id(1).as_str());
    // What is loaded is not counted again.
    let (status, _, error) = world.call(&["run"]).await;
    assert_eq!(status, 0, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_takes_its_numbers_from_dataverse_or_from_the_command_line() {
    let world = World::empty().await;
    world.project(MAPPING);
    let file = world.folder.path().join("d365map.yaml");
    let text = std::fs::read_to_string(&file).expect("a file");
    std::fs::write(&file, format!("{text}  requests-per-second: {{ campaign: 10 }}\n  requests-per-day: {{ campaign: 40000 }}\n"))
        .expect("a file");
    let (status, out, error) = world.call(&["plan", "--estimate", "--records", "contacts=100_000"]).await;
    assert_eq!(status, 0, "{error}");
    insta::assert_snapshot!(out);
    world.admin("record-count", json!({"table": "contact", "count": 1234})).await;
    let (status, out, error) = world.call(&["plan", "--estimate", "--format", "json"]).await;
    assert_eq!(status, 0, "{error}");
    let estimate: Value = serde_json::from_str(&out).expect("JSON");
    insta::assert_json_snapshot!(estimate);
    let (status, _, error) = world.call(&["plan", "--estimate", "--records", "contakts=1"]).await;
    assert!(status == 2 && error.contains("`contakts`") && error.contains("`contacts`"), "{error}");
    // A plan without a project: the numbers must be given, and then there is no question.
    let alone = tempfile::tempdir().expect("a folder");
    std::fs::write(alone.path().join("a.d365map"), MAPPING).expect("a file");
    let call = async |args: &[&str]| {
        let output = world.command(args).current_dir(alone.path()).output().await.expect("the command runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (status, error) = call(&["plan", "a.d365map", "--estimate"]).await;
    assert!(status == Some(2) && error.contains("--records contacts=N"), "{error}");
    assert_eq!(call(&["plan", "a.d365map", "--estimate", "--records", "contacts=5"]).await.0, Some(0));
}
