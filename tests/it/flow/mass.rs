//! The guard against mass changes: whatever deletes many records, or empties a field in many, stops before anything is written.

use std::sync::Arc;

use d365map::plan::ExecutionPlan;
use d365map::run::RunError;
use d365map::store::sqlite::db::Store;
use d365map::store::{MassChange, Reason, StoreError};
use serde_json::{Value, json};

use super::support::{World, id, plan_of, small};

const DELETES: &str = "deletes propagate; filtered-out delete";

/// A world in which this number of contacts has been written.
async fn loaded(contacts: u32, plan: &Arc<ExecutionPlan>) -> World {
    let world = World::empty().await;
    for n in 1..=contacts {
        let contact = json!({"firstname": format!("F{n}"), "lastname": format!("L{n}"), "emailaddress1": format!("c{n}@example.com")});
        world.create(n, contact).await;
    }
    assert_eq!(world.run(plan).await.created, u64::from(contacts));
    world
}

async fn held(world: &World, plan: &Arc<ExecutionPlan>) -> MassChange {
    match world.try_run(plan).await {
        Err(RunError::State(StoreError::MassChange { change, .. })) => *change,
        other => panic!("not held: {other:?}"),
    }
}

fn store(world: &World) -> Store {
    Store::open(&world.state()).expect("the state opens")
}

/// Everything is read again, as after an expired link.
fn read_again(world: &World, plan: &ExecutionPlan) {
    store(world).restart("contacts", Reason::Resync, &plan.ingress[0].fingerprint()).expect("a restart");
}

async fn with_email(world: &World) -> usize {
    world.profiles().await.iter().filter(|p| p["email"].as_str().is_some_and(|e| !e.is_empty())).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_over_several_pages_of_changes_are_held_together_and_go_on_when_approved() {
    let plan = small(DELETES);
    let mut world = loaded(30, &plan).await;
    world.options.page_size = 5;
    for n in 1..=20 {
        world.delete(n).await;
    }
    world.update(30, json!({"lastname": "Changed"})).await;
    let change = held(&world, &plan).await;
    assert_eq!((change.deleted, change.known, change.examples.len()), (20, 30, 3));
    assert_eq!(world.profiles().await.len(), 30);
    assert_eq!(world.profile(30).await.unwrap()["lastName"], "Changed", "what is not a deletion goes on");
    // Nothing is read or written until somebody decides.
    world.update(29, json!({"lastname": "Later"})).await;
    assert_eq!(held(&world, &plan).await.deleted, 20);
    assert_eq!(store(&world).status().unwrap().mappings[0].notes.len(), 1);
    assert_eq!(store(&world).approve_mass_change("contacts").unwrap(), Some(20));
    let done = world.run(&plan).await;
    assert_eq!((done.deleted, done.updated), (20, 1));
    assert_eq!(store(&world).approve_mass_change("contacts").unwrap(), None);
    assert!(store(&world).status().unwrap().mappings[0].notes.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn few_deletions_pass_and_a_small_share_of_many_does() {
    let plan = small(DELETES);
    let world = loaded(40, &plan).await;
    for n in 1..=9 {
        world.delete(n).await;
    }
    assert_eq!(world.run(&plan).await.deleted, 9, "fewer than ten are never a mass");
    for n in 10..=20 {
        world.delete(n).await;
    }
    assert_eq!(world.run(&plan).await.deleted, 11, "11 of 31 are fewer than half");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_filter_is_held_and_a_corrected_one_goes_on_without_approval() {
    let plan = small(DELETES);
    let world = loaded(12, &plan).await;
    let wrong = wrong_filter();
    let change = held(&world, &wrong).await;
    assert_eq!((change.filtered, change.unseen, change.known), (12, 0, 12));
    assert_eq!(world.profiles().await.len(), 12);
    assert_eq!(held(&world, &wrong).await.filtered, 12);
    let done = world.run(&plan).await;
    assert_eq!((done.deleted, done.unchanged), (0, 12));
    assert!(store(&world).mass_change("contacts").unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_becomes_empty_in_many_records_is_held_by_full_load_and_by_changes_and_the_rest_goes_on() {
    for full in [true, false] {
        let plan = small("");
        let world = loaded(15, &plan).await;
        for n in 1..=15 {
            world.update(n, json!({"emailaddress1": Value::Null, "firstname": "New"})).await;
        }
        if full {
            read_again(&world, &plan);
        }
        let change = held(&world, &plan).await;
        assert_eq!(change.emptied.len(), 1, "{change}");
        assert_eq!((&*change.emptied[0].path, change.emptied[0].records, change.emptied[0].known), ("email", 15, 15));
        assert_eq!(with_email(&world).await, 15);
        assert!(world.profiles().await.iter().all(|p| p["firstName"] == "New"), "the other fields are written");
        store(&world).approve_mass_change("contacts").unwrap();
        assert_eq!(world.run(&plan).await.updated, 15);
        assert_eq!(with_email(&world).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_comes_back_is_not_emptied_by_what_was_held() {
    let plan = small("");
    let world = loaded(15, &plan).await;
    for n in 1..=15 {
        world.update(n, json!({"emailaddress1": Value::Null})).await;
    }
    held(&world, &plan).await;
    for n in 1..=15 {
        world.update(n, json!({"emailaddress1": format!("c{n}@example.com")})).await;
    }
    read_again(&world, &plan);
    let done = world.run(&plan).await;
    assert_eq!((done.updated, done.unchanged), (0, 15));
    assert_eq!(with_email(&world).await, 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_which_few_records_have_a_value_counts_by_those() {
    let plan = plan_of(
        "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  lastname -> lastName
  fax -> fax | truncate(20)
}",
    );
    let world = World::empty().await;
    for n in 1..=40 {
        world.create(n, json!({"lastname": "L", "fax": if n <= 12 { json!(format!("+49 30 {n:06}")) } else { Value::Null }})).await;
    }
    world.run(&plan).await;
    for n in 1..=12 {
        world.update(n, json!({"fax": Value::Null})).await;
    }
    let change = held(&world, &plan).await;
    assert_eq!((change.emptied[0].records, change.emptied[0].known), (12, 12));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_returns_nothing_deletes_nothing_until_it_is_approved_however_few_there_are() {
    let plan = small(DELETES);
    let mut world = loaded(2, &plan).await;
    world.delete(1).await;
    world.delete(2).await;
    world.admin("expire-delta", Value::Null).await;
    // What lets everything else pass does not let this pass.
    world.options.mass_limits = d365map::store::MassLimits::unlimited();
    let change = held(&world, &plan).await;
    assert!(change.source_empty && change.unseen == 2, "{change}");
    assert!(change.to_string().contains("no record at all"), "{change}");
    assert_eq!(world.profiles().await.len(), 2);
    store(&world).approve_mass_change("contacts").unwrap();
    assert_eq!(world.run(&plan).await.deleted, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_read_again_on_their_own_are_judged_too() {
    let plan = small("");
    let world = loaded(15, &plan).await;
    for n in 1..=15 {
        // A value that the profile cannot take makes a dead letter.
        world.update(n, json!({"emailaddress1": Value::Null, "lastname": "x".repeat(50)})).await;
    }
    let store = store(&world);
    let raw = rusqlite::Connection::open(world.state()).unwrap();
    raw.execute("UPDATE cursor SET records = 0", []).unwrap();
    // All of them are read again one by one, as after `dead-letters retry`.
    let mapping: i64 = raw.query_row("SELECT id FROM mapping WHERE name = 'contacts'", [], |row| row.get(0)).unwrap();
    for n in 1..=15 {
        raw.execute(
            "INSERT INTO outbox (mapping, key, source_id, op, with_initial, rewrite, generation, change_no, enqueued_at) VALUES (?1, ?2, ?2, 'refetch', 0, 0, 1, 1, 1)",
            rusqlite::params![mapping, id(n)],
        )
        .unwrap();
    }
    raw.execute("UPDATE mapping SET outbox_rows = outbox_rows + 15 WHERE id = ?1", [mapping]).unwrap();
    drop((raw, store));
    let change = held(&world, &plan).await;
    assert_eq!((change.emptied[0].records, with_email(&world).await), (15, 15));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_what_it_would_do_and_goes_on_when_told_to() {
    let world = World::empty().await;
    world.project("mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n  options { deletes propagate }\n}\n");
    for n in 1..=12 {
        world.create(n, json!({"lastname": "L"})).await;
    }
    assert_eq!(world.call(&["run"]).await.0, 0);
    for n in 1..=12 {
        world.delete(n).await;
    }
    let (status, out, error) = world.call(&["run"]).await;
    assert!(status == 2 && error.contains("would delete 12 of 12 records at the target (12 deleted in Dynamics 365)"), "{out}{error}");
    assert!(error.contains("--approve-mass-change contacts"), "{error}");
    let (_, out, _) = world.call(&["status"]).await;
    assert!(out.contains("needs approval: it would delete 12 of 12"), "{out}");
    let (status, _, error) = world.call(&["run", "--approve-mass-change", "nobody"]).await;
    assert!(status == 2 && error.contains("`nobody` holds nothing"), "{error}");
    let (status, out, error) = world.call(&["run", "--approve-mass-change", "contacts"]).await;
    assert!(status == 0 && out.contains("deleted          12"), "{out}{error}");
    assert!(world.profiles().await.is_empty());
}

/// The same mapping with a filter that no record passes.
fn wrong_filter() -> Arc<ExecutionPlan> {
    let text = super::support::small_text(DELETES).replace("statecode = Active", "statecode = Inactive");
    plan_of(&text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_what_the_run_would_hold_and_changes_nothing() {
    let world = loaded(15, &small(DELETES)).await;
    let dry = world.dry(&wrong_filter()).await.flows.remove(0);
    let expected = dry.mass_change.clone().expect("a mass change");
    assert_eq!((expected.filtered, expected.known, dry.held, dry.delete, dry.read), (15, 15, 15, 0, 15));
    assert!(!dry.held_already && dry.full_load, "{dry:?}");
    assert!(store(&world).mass_change("contacts").unwrap().is_none(), "nothing is held by a dry run");
    assert_eq!(held(&world, &wrong_filter()).await, expected, "the run says the same");
    let again = world.dry(&wrong_filter()).await.flows.remove(0);
    assert_eq!((again.held_already, again.read, again.mass_change, again.held), (true, 0, Some(expected), 15));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_fields_that_would_become_empty_and_what_else_would_be_written() {
    let plan = small("");
    let world = loaded(15, &plan).await;
    for n in 1..=15 {
        world.update(n, json!({"emailaddress1": Value::Null, "firstname": if n == 1 { "New".to_owned() } else { format!("F{n}") }})).await;
    }
    let dry = world.dry(&plan).await.flows.remove(0);
    assert_eq!((dry.held, dry.update, dry.unchanged, dry.changed_fields.len()), (15, 1, 0, 1), "{dry:?}");
    assert_eq!(dry.mass_change, Some(held(&world, &plan).await));
    // A few pass.
    let world = loaded(15, &plan).await;
    for n in 1..=3 {
        world.update(n, json!({"emailaddress1": Value::Null})).await;
    }
    let dry = world.dry(&plan).await.flows.remove(0);
    assert_eq!((dry.held, dry.update, dry.unchanged, dry.changed_fields.get("email")), (0, 3, 0, Some(&3)), "{dry:?}");
    assert_eq!(world.run(&plan).await.updated, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_the_deletions_at_the_end_of_a_full_load_as_the_run_does() {
    let plan = small(DELETES);
    for (gone, held_too) in [(3, false), (15, true)] {
        let world = loaded(20, &plan).await;
        for n in 1..=gone {
            world.delete(n).await;
        }
        world.admin("expire-delta", Value::Null).await;
        let dry = world.dry(&plan).await.flows.remove(0);
        assert_eq!((dry.mass_change.is_some(), dry.held, dry.delete), if held_too { (true, 15, 0) } else { (false, 0, 3) }, "{dry:?}");
        match held_too {
            true => assert_eq!(held(&world, &plan).await.unseen, 15),
            false => assert_eq!(world.run(&plan).await.deleted, 3),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dry_run_command_names_the_held_changes_in_the_words_of_the_run_and_as_json() {
    let world = World::empty().await;
    let text = "mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n  options { deletes propagate }\n}\n";
    world.project(text);
    for n in 1..=12 {
        world.create(n, json!({"lastname": "L"})).await;
    }
    assert_eq!(world.call(&["run"]).await.0, 0);
    for n in 1..=12 {
        world.delete(n).await;
    }
    let (_, dry, _) = world.call(&["run", "--dry-run", "--format", "json"]).await;
    let dry: Value = serde_json::from_str(&dry).expect("JSON");
    let flow = &dry["dry_run"]["flows"][0];
    assert_eq!((&flow["held"], &flow["delete"], &flow["mass_change"]["deleted"]), (&json!(12), &json!(0), &json!(12)), "{flow}");
    let (_, text, error) = world.call(&["run", "--dry-run"]).await;
    let (_, _, run) = world.call(&["run"]).await;
    let words = "it would delete 12 of 12 records at the target (12 deleted in Dynamics 365), for example of";
    assert!(text.contains(words) && run.contains(words), "{text}{error}{run}");
    assert!(text.contains("approve it with `d365map run --approve-mass-change contacts`"), "{text}");
    let (_, text, _) = world.call(&["run", "--dry-run"]).await;
    assert!(text.contains("would read nothing until held changes are approved") && text.contains(words), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_that_come_a_few_at_a_time_are_held_once_they_are_a_mass_together() {
    let plan = small(DELETES);
    let world = loaded(30, &plan).await;
    let delete = async |from: u32, to: u32| {
        for n in from..=to {
            world.delete(n).await;
        }
    };
    delete(1, 8).await;
    assert_eq!(world.run(&plan).await.deleted, 8);
    delete(9, 15).await;
    assert_eq!(world.run(&plan).await.deleted, 7, "15 of 30 are not more than half");
    delete(16, 16).await;
    let dry = world.dry(&plan).await.flows.remove(0);
    let change = held(&world, &plan).await;
    assert_eq!((change.deleted, change.known, change.earlier), (1, 15, 15));
    assert!(
        change.to_string().contains("delete 1 of 15 records at the target (1 deleted in Dynamics 365), after 15 in the last 24 hours"),
        "{change}"
    );
    assert_eq!(dry.mass_change, Some(change));
    // After an approval the count begins again.
    assert_eq!(store(&world).approve_mass_change("contacts").unwrap(), Some(1));
    assert_eq!(world.run(&plan).await.deleted, 1);
    delete(17, 20).await;
    assert_eq!(world.run(&plan).await.deleted, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_of_more_than_a_day_ago_do_not_count_and_a_clock_that_was_set_back_does_no_harm() {
    for hours in [-25, 48] {
        let plan = small(DELETES);
        let world = loaded(20, &plan).await;
        for n in 1..=9 {
            world.delete(n).await;
        }
        assert_eq!(world.run(&plan).await.deleted, 9);
        let raw = rusqlite::Connection::open(world.state()).unwrap();
        assert_eq!(raw.execute("UPDATE mass_passed SET at = at + ?1 * 3600000", [hours]).unwrap(), 1);
        drop(raw);
        for n in 10..=14 {
            world.delete(n).await;
        }
        assert_eq!(world.run(&plan).await.deleted, 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_becomes_empty_a_few_records_at_a_time_is_held_once_it_is_a_mass_together() {
    let plan = small("");
    let world = loaded(18, &plan).await;
    let empty = async |from: u32, to: u32| {
        for n in from..=to {
            world.update(n, json!({"emailaddress1": Value::Null})).await;
        }
    };
    empty(1, 9).await;
    assert_eq!(world.run(&plan).await.updated, 9);
    empty(10, 10).await;
    let change = held(&world, &plan).await;
    assert_eq!((change.emptied[0].records, change.emptied[0].known, change.emptied[0].earlier), (1, 9, 9));
    assert_eq!(with_email(&world).await, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_allows_everything_does_not_count_against_later_ones() {
    let plan = small(DELETES);
    let mut world = loaded(30, &plan).await;
    world.options.mass_limits = d365map::store::MassLimits::unlimited();
    for n in 1..=20 {
        world.delete(n).await;
    }
    assert_eq!(world.run(&plan).await.deleted, 20);
    world.options.mass_limits = d365map::store::MassLimits::default();
    world.delete(21).await;
    assert_eq!(world.run(&plan).await.deleted, 1);
}

/// A mapping whose fields have values although their columns are empty.
fn with_fallbacks() -> Arc<ExecutionPlan> {
    plan_of(
        "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  lastname -> lastName
  firstname -> firstName | truncate(30) | default(\"Customer\")
  coalesce(mobilephone, telephone1) -> mobilePhone | truncate(30)
}",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_gets_its_fallback_since_its_column_became_empty_is_held_like_one_that_becomes_empty() {
    for (column, path) in [("firstname", "firstName"), ("mobilephone", "mobilePhone")] {
        let plan = with_fallbacks();
        let world = World::empty().await;
        for n in 1..=15 {
            let more =
                json!({"lastname": "L", "firstname": format!("F{n}"), "mobilephone": format!("+49 170 {n:06}"), "telephone1": "+49 30 1"});
            world.create(n, more).await;
        }
        world.run(&plan).await;
        let before = world.profiles().await;
        for n in 1..=15 {
            world.update(n, json!({column: Value::Null})).await;
        }
        let change = held(&world, &plan).await;
        let field = &change.emptied[0];
        assert_eq!((field.path.as_str(), field.records, field.known, field.falls_back), (path, 15, 15, true), "{change}");
        assert!(change.to_string().contains("write a fallback value to"), "{change}");
        assert_eq!(world.profiles().await, before);
        store(&world).approve_mass_change("contacts").unwrap();
        assert_eq!(world.run(&plan).await.updated, 15);
        // What has the fallback already does not lose its column again.
        read_again(&world, &plan);
        assert_eq!(world.run(&plan).await.unchanged, 15);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_default_for_columns_that_were_always_empty_is_not_a_mass_change() {
    let world = World::empty().await;
    for n in 1..=15 {
        world.create(n, json!({"lastname": "L", "telephone1": "+49 30 1"})).await;
    }
    world.run(&with_fallbacks()).await;
    let text = "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  lastname -> lastName
  firstname -> firstName | truncate(30) | default(\"Friend\")
  coalesce(mobilephone, telephone1) -> mobilePhone | truncate(30)
}";
    assert_eq!(world.run(&plan_of(text)).await.updated, 15);
}
