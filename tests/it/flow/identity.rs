//! What a workflow is apart from its name, and which services a state belongs to.

use std::sync::Arc;

use d365map::plan::ExecutionPlan;
use d365map::run::RunError;
use d365map::store::StoreError;
use d365map::store::sqlite::db::Store;
use d365map_emulator::Config;
use serde_json::json;

use super::events;
use super::support::{World, ada, id, plan_of, small};

const DELETES: &str = "deletes propagate";

/// The plan of [`small`] under another name.
fn called(name: &str, options: &str) -> Arc<ExecutionPlan> {
    let mut plan = ExecutionPlan::clone(&small(options));
    plan.ingress[0].name = name.to_owned();
    Arc::new(plan)
}

async fn loaded(plan: &Arc<ExecutionPlan>) -> World {
    let world = World::empty().await;
    for n in 1..=3 {
        world.create(n, ada()).await;
    }
    assert_eq!(world.run(plan).await.created, 3);
    world
}

fn refused(result: Result<d365map::run::Summary, RunError>) -> String {
    match result {
        Err(RunError::State(StoreError::Orphan { .. })) => result.unwrap_err().to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_renamed_mapping_goes_on_with_its_state_and_carries_out_the_deletions() {
    let world = loaded(&small(DELETES)).await;
    world.delete(1).await;
    world.update(2, json!({"lastname": "Byron"})).await;
    let done = world.run(&called("customers", DELETES)).await;
    assert_eq!((done.created, done.updated, done.deleted, done.unchanged), (0, 1, 1, 1));
    assert_eq!(world.profile(1).await, None);
    let store = Store::open_read(&world.state()).unwrap();
    let known = store.known_workflows().unwrap();
    assert_eq!(known.iter().map(|k| (k.name.as_str(), k.records)).collect::<Vec<_>>(), [("customers", 2)]);
    assert!(store.runs(10).unwrap().iter().all(|run| run.mappings == ["customers"]), "its runs are shown under its name");
}

#[tokio::test]
async fn a_dry_run_of_a_renamed_mapping_goes_on_with_its_state_and_leaves_the_name_as_it_is() {
    let world = loaded(&small(DELETES)).await;
    world.delete(1).await;
    world.update(2, json!({"lastname": "Byron"})).await;
    let mut dry = world.dry(&called("customers", DELETES)).await;
    assert_eq!(dry.renamed.iter().map(|r| (&*r.from, &*r.to)).collect::<Vec<_>>(), [("contacts", "customers")]);
    let flow = dry.flows.remove(0);
    assert_eq!((flow.create, flow.update, flow.delete, flow.unchanged), (0, 1, 1, 1), "{flow:?}");
    assert!(flow.describe().contains("would continue with the state of `contacts`"), "{}", flow.describe());
    let store = Store::open_read(&world.state()).unwrap();
    assert_eq!(store.known_workflows().unwrap().iter().map(|k| k.name.as_str()).collect::<Vec<_>>(), ["contacts"]);
    let mut other = ExecutionPlan::clone(&called("customers", DELETES));
    other.ingress[0].key.path = vec!["cusCode".to_owned()];
    let stop = tokio_util::sync::CancellationToken::new();
    let refused = d365map::run::dry_run(&std::sync::Arc::new(other), &world.services().1, &store.into(), &world.options, &stop).await;
    assert!(matches!(refused, Err(RunError::State(StoreError::Orphan { .. }))), "{refused:?}");
}

#[tokio::test]
async fn a_new_name_is_refused_if_the_key_or_the_tables_leave_a_doubt() {
    let world = loaded(&small(DELETES)).await;
    world.delete(1).await;
    let mut other = ExecutionPlan::clone(&called("customers", DELETES));
    other.ingress[0].key.path = vec!["cusCode".to_owned()];
    let error = refused(world.try_run(&Arc::new(other)).await);
    assert!(error.contains("`contacts` (3 records") && error.contains("state rename contacts customers"), "{error}");

    // Two new mappings with the same identity: which of them was it?
    let mut two = ExecutionPlan::clone(&called("customers", DELETES));
    let second = d365map::plan::IngressFlow { name: "clients".to_owned(), ..two.ingress[0].clone() };
    two.ingress.push(second);
    let error = refused(world.try_run(&Arc::new(two)).await);
    assert!(error.contains("several workflows"), "{error}");
    assert!(world.profile(1).await.is_some(), "nothing was read or written");

    // Said by hand, it goes on.
    Store::open_for_run(&world.state()).unwrap().rename_workflow("contacts", "customers").unwrap();
    assert_eq!(world.run(&called("customers", DELETES)).await.deleted, 1);
}

#[tokio::test]
async fn a_state_from_before_identities_were_noted_is_refused_under_a_new_name_and_goes_on_under_its_own() {
    let world = loaded(&small(DELETES)).await;
    let raw = rusqlite::Connection::open(world.state()).unwrap();
    raw.execute("UPDATE mapping SET identity = NULL", []).unwrap();
    let error = refused(world.try_run(&called("customers", DELETES)).await);
    assert!(error.contains("did not note"), "{error}");
    world.run(&small(DELETES)).await;
    world.run(&called("customers", DELETES)).await;
}

#[tokio::test]
async fn a_mapping_that_is_removed_while_another_stays_stops_no_workflow_and_can_be_dropped() {
    let world = loaded(&small(DELETES)).await;
    let mut others = ExecutionPlan::clone(&called("leads", DELETES));
    others.ingress[0].source.table = "d365.lead".to_owned();
    world.try_run(&Arc::new(others)).await.unwrap();
    let store = Store::open_for_run(&world.state()).unwrap();
    assert_eq!(store.known_workflows().unwrap().len(), 2);
    assert_eq!(store.drop_workflow("contacts").unwrap().records, 3);
    assert!(matches!(store.drop_workflow("contacts"), Err(StoreError::UnknownWorkflow { .. })));
    assert_eq!(store.known_workflows().unwrap().iter().map(|k| k.name.as_str()).collect::<Vec<_>>(), ["leads"]);
}

#[tokio::test]
async fn a_renamed_events_block_writes_no_event_again_and_a_new_block_of_the_old_name_writes_its_own() {
    let plan = |name: &str| plan_of(&events::ALL.replace("events email", &format!("events {name}")));
    let first = events::event("open", 1, 1, json!({}));
    let world = events::world(&[first.clone(), events::event("send", 2, 1, json!({}))]).await;
    assert_eq!(events::go(&world, &plan("email")).await.created, 2);
    // The same event again from the journal, and a new one.
    world.admin("journal/events", json!([first, events::event("open", 3, 1, json!({}))])).await;
    let done = events::go(&world, &plan("newsletter")).await;
    assert_eq!((done.created, done.unchanged), (1, 1));
    assert_eq!(events::count(&world).await, events::counts(1, 2, 0, 0));
    let store = Store::open_read(&world.state()).unwrap();
    assert_eq!(store.origin("newsletter").unwrap(), "email");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_list_rename_and_drop_what_no_mapping_file_has() {
    let mapping = |name: &str, key: &str| {
        format!("mapping {name}: d365.contact -> campaign.profile {{\n  key contactid -> {key}\n  lastname -> lastName\n}}\n")
    };
    let world = World::empty().await;
    world.project(&mapping("contacts", "externalId"));
    world.create(1, ada()).await;
    let (status, out, error) = world.call(&["run"]).await;
    assert_eq!(status, 0, "{out}{error}");
    let write = |text: &str| std::fs::write(world.folder.path().join("mappings/contacts.d365map"), text).unwrap();
    write(&mapping("customers", "externalId"));
    let (status, out, error) = world.call(&["state", "list"]).await;
    assert!(status == 0 && out.contains("contacts (ORPHAN): mapping, d365.contact -> profile by externalId"), "{out}{error}");
    assert!(out.contains("Campaign: http") && out.contains("1 record at the target"), "{out}");
    let (status, _, error) = world.call(&["state", "rename", "contacts", "clients"]).await;
    assert!(status == 2 && error.contains("have no `clients`"), "{error}");
    let (status, out, error) = world.call(&["state", "rename", "contacts", "customers"]).await;
    assert!(status == 0 && out.contains("`customers` goes on"), "{out}{error}");
    let (status, _, error) = world.call(&["state", "drop", "customers"]).await;
    assert!(status == 2 && error.contains("replay customers"), "{error}");
    let (status, out, error) = world.call(&["state", "list", "--format", "json"]).await;
    let list: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert!(status == 0 && list["workflows"][0]["orphan"] == false, "{out}{error}");
    write(&mapping("contacts", "externalId"));
    let (status, out, error) = world.call(&["run"]).await;
    assert!(status == 0 && error.contains("`customers` is now called `contacts`"), "{out}{error}");
}

// --- the environment --------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn another_campaign_is_refused_before_anything_is_read_until_the_state_is_moved_there() {
    let mut first = World::empty().await;
    for n in 1..=3 {
        first.create(n, ada()).await;
    }
    let plan = small(DELETES);
    assert_eq!(first.run(&plan).await.created, 3);
    // The same contacts, and an instance of Campaign that has none of the profiles.
    let mut second = World::new(Config::default()).await;
    for n in 2..=4 {
        second.create(n, ada()).await;
    }
    std::mem::swap(&mut first.folder, &mut second.folder);
    let reads = async || second.admin_get("stats").await["apis"]["dataverse"].to_string();
    let error = second.try_run(&plan).await.unwrap_err();
    assert!(matches!(&error, RunError::State(StoreError::OtherEnvironment { .. })), "{error}");
    let text = error.to_string();
    assert!(text.contains("belongs to Campaign at http://127.0.0.1") && text.contains("state rebind"), "{text}");
    assert!(second.profiles().await.is_empty(), "{}", reads().await);
    let plan_text = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n}\n";
    second.project(plan_text);
    std::fs::create_dir_all(second.folder.path().join(".d365map")).unwrap();
    std::fs::rename(second.state(), second.folder.path().join(".d365map/state.db")).unwrap();
    for args in [&["run"][..], &["run", "--dry-run"], &["run", "--dry-run", "--sample", "1"]] {
        let (status, out, error) = second.call(args).await;
        assert!(status == 2 && error.contains("belongs to Campaign"), "{args:?}: {out}{error}");
    }
    let (status, out, error) = second.call(&["state", "rebind"]).await;
    assert!(status == 0 && out.contains("looks up each record in Campaign"), "{out}{error}");
    let (status, out, error) = second.call(&["run"]).await;
    assert_eq!(status, 0, "{out}{error}");
    let mut there: Vec<String> = second.profiles().await.iter().map(|p| p["externalId"].as_str().unwrap_or_default().to_owned()).collect();
    there.sort();
    assert_eq!(there, [id(2), id(3), id(4)], "all is written, though the ledger had two of them");
}
