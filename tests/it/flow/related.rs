//! Values through lookups: the other tables are followed, and records are evaluated again when a row that they point to changes.

use std::sync::Arc;
use std::time::Duration;

use d365map::plan::ExecutionPlan;
use d365map::run::RunError;
use d365map::store::sqlite::db::Store;
use serde_json::{Value, json};

use super::support::{World, id, plan_of};

fn mapping(entries: &str) -> String {
    format!(
        "mapping contacts: d365.contact -> campaign.profile {{\n  key contactid -> externalId\n  lastname -> lastName\n  {entries}\n}}\n"
    )
}

fn plan(entries: &str) -> Arc<ExecutionPlan> {
    plan_of(&mapping(entries))
}

const COMPANY: &str = "parentcustomerid.account.name -> middleName | truncate(30)";

fn account(n: u32) -> String {
    format!("a0000000-0000-4000-8000-{n:012}")
}

fn at_account(n: u32) -> Value {
    json!(format!("/accounts({})", account(n)))
}

async fn company(world: &World, n: u32, name: &str) {
    world.sales("POST", "accounts", json!({"accountid": account(n), "name": name})).await;
}

async fn rename(world: &World, n: u32, name: &str) {
    world.sales("PATCH", &format!("accounts({})", account(n)), json!({"name": name})).await;
}

async fn person(world: &World, n: u32, company: u32) {
    world.create(n, json!({"lastname": format!("L{n}"), "parentcustomerid_account@odata.bind": at_account(company)})).await;
}

async fn middle_name(world: &World, n: u32) -> Value {
    world.profile(n).await.expect("a profile")["middleName"].clone()
}

/// Two companies; two persons of the first, one of the second.
async fn loaded(plan: &Arc<ExecutionPlan>) -> World {
    let world = World::empty().await;
    company(&world, 1, "Contoso").await;
    company(&world, 2, "Fabrikam").await;
    for (n, of) in [(1, 1), (2, 1), (3, 2)] {
        person(&world, n, of).await;
    }
    world.run(plan).await;
    world.admin("reset-stats", Value::Null).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_load_has_the_values_and_a_change_of_the_other_row_alone_writes_only_what_differs() {
    let plan = plan(COMPANY);
    let world = loaded(&plan).await;
    assert_eq!((middle_name(&world, 1).await, middle_name(&world, 3).await), (json!("Contoso"), json!("Fabrikam")));
    let idle = world.run(&plan).await;
    assert_eq!((idle.read, world.campaign_writes().await), (0, 0));
    rename(&world, 1, "Contoso AG").await;
    let done = world.run(&plan).await;
    assert_eq!((done.read, done.updated, world.campaign_writes().await), (2, 2, 2));
    assert_eq!((middle_name(&world, 2).await, middle_name(&world, 3).await), (json!("Contoso AG"), json!("Fabrikam")));
    world.sales("PATCH", &format!("accounts({})", account(1)), json!({"accountnumber": "1"})).await;
    assert_eq!(world.run(&plan).await.read, 0, "a column that the mapping does not read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_that_is_moved_or_emptied_and_a_row_that_is_deleted_change_the_value() {
    let plan = plan(COMPANY);
    let world = loaded(&plan).await;
    world.update(1, json!({"parentcustomerid_account@odata.bind": at_account(2)})).await;
    world.run(&plan).await;
    assert_eq!(middle_name(&world, 1).await, "Fabrikam");
    rename(&world, 1, "Contoso AG").await;
    let done = world.run(&plan).await;
    assert_eq!((done.read, middle_name(&world, 1).await), (1, json!("Fabrikam")), "only the one that is left");
    world.sales("DELETE", &format!("accounts({})", account(2)), Value::Null).await;
    world.run(&plan).await;
    assert!(middle_name(&world, 1).await.as_str().unwrap_or_default().is_empty());
    assert_eq!(middle_name(&world, 2).await, "Contoso AG");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_of_another_table_has_no_value() {
    let plan = plan("coalesce(parentcustomerid.account.name, parentcustomerid.contact.lastname) -> middleName | truncate(30)");
    let world = loaded(&plan).await;
    let boss = json!(format!("/contacts({})", id(1)));
    world.create(4, json!({"lastname": "L4", "parentcustomerid_contact@odata.bind": boss})).await;
    world.run(&plan).await;
    assert_eq!(middle_name(&world, 4).await, "L1");
    world.update(1, json!({"lastname": "Boss"})).await;
    world.run(&plan).await;
    assert_eq!((middle_name(&world, 4).await, middle_name(&world, 1).await), (json!("Boss"), json!("Contoso")));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_lookups_deep_a_change_of_the_last_row_and_of_the_one_between_counts() {
    let plan = plan("parentcustomerid.contact.parentcustomerid.account.name -> middleName | truncate(30)");
    let world = loaded(&plan).await;
    let under = |n: u32| json!(format!("/contacts({})", id(n)));
    world.create(4, json!({"lastname": "L4", "parentcustomerid_contact@odata.bind": under(1)})).await;
    world.run(&plan).await;
    assert_eq!(middle_name(&world, 4).await, "Contoso");
    rename(&world, 1, "Contoso AG").await;
    world.run(&plan).await;
    assert_eq!(middle_name(&world, 4).await, "Contoso AG");
    world.update(1, json!({"parentcustomerid_account@odata.bind": at_account(2)})).await;
    world.run(&plan).await;
    assert_eq!(middle_name(&world, 4).await, "Fabrikam");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_by_another_row_lets_records_in_and_out_when_the_row_changes() {
    let entries = "filter all { parentcustomerid.account.name starts with \"Contoso\" }\n  options { filtered-out delete }";
    let plan = plan(entries);
    let world = loaded(&plan).await;
    assert_eq!(world.profiles().await.len(), 2);
    rename(&world, 2, "Contoso East").await;
    assert_eq!(world.run(&plan).await.created, 1);
    rename(&world, 1, "Northwind").await;
    assert_eq!(world.run(&plan).await.deleted, 2);
    assert!(world.profile(3).await.is_some() && world.profile(1).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_rejected_for_another_row_is_written_when_the_row_is_corrected() {
    let plan = plan("parentcustomerid.account.name -> middleName | matches(\"^[A-Z]\") or reject | truncate(30)");
    let world = World::empty().await;
    company(&world, 1, "contoso").await;
    person(&world, 1, 1).await;
    assert_eq!(world.run(&plan).await.rejected, 1);
    assert_eq!(world.dead_letters().len(), 1);
    rename(&world, 1, "Contoso").await;
    assert_eq!(world.run(&plan).await.created, 1);
    assert!(world.dead_letters().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_expired_token_all_rows_are_read_again_and_only_what_differs_is_written() {
    let plan = plan(COMPANY);
    let world = loaded(&plan).await;
    rename(&world, 2, "Fabrikam AG").await;
    world.admin("expire-delta", Value::Null).await;
    world.run(&plan).await;
    assert_eq!((middle_name(&world, 3).await, world.campaign_writes().await), (json!("Fabrikam AG"), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_page_by_page() {
    let plan = plan(COMPANY);
    let mut world = World::empty().await;
    world.options.page_size = 2;
    for n in 1..=7 {
        company(&world, n, &format!("Company {n}")).await;
        person(&world, n, n).await;
    }
    world.run(&plan).await;
    assert_eq!(middle_name(&world, 7).await, "Company 7");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_what_a_changed_row_would_write_and_changes_nothing() {
    let plan = plan(COMPANY);
    let world = loaded(&plan).await;
    rename(&world, 1, "Contoso AG").await;
    for _ in 0..2 {
        let dry = world.dry(&plan).await.flows.remove(0);
        assert_eq!((dry.read, dry.due, dry.update), (2, 2, 2), "{}", dry.describe());
    }
    assert_eq!(world.run(&plan).await.updated, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_shown_with_the_values_of_rows_that_are_kept_and_of_those_that_are_not_yet() {
    let world = World::empty().await;
    world.project(&mapping(COMPANY));
    company(&world, 1, "Contoso").await;
    person(&world, 1, 1).await;
    let args = ["run", "--dry-run", "--show-values", "--show", &id(1)];
    let (_, out, error) = world.call(&args).await;
    assert!(out.contains("parentcustomerid.account.name \"Contoso\"") && out.contains("-> middleName"), "{out}{error}");
    assert_eq!(world.call(&["run"]).await.0, 0);
    let (_, out, error) = world.call(&args).await;
    assert!(out.contains("parentcustomerid.account.name \"Contoso\""), "{out}{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_columns_are_read_again_and_a_table_that_nothing_reads_any_more_leaves_the_state() {
    let one = plan(COMPANY);
    let world = loaded(&one).await;
    let traces = |needle: &str| Store::open_read(&world.state()).and_then(|s| s.trace(needle)).expect("the state can be read").counts;
    assert_eq!(traces("Fabrikam").get("related_row"), Some(&1));
    let other = plan("parentcustomerid.account.accountnumber -> middleName | truncate(30)");
    world.sales("PATCH", &format!("accounts({})", account(2)), json!({"accountnumber": "F-2"})).await;
    world.run(&other).await;
    assert_eq!(middle_name(&world, 3).await, "F-2");
    assert_eq!((traces("Fabrikam").get("related_row"), traces("F-2").get("related_row")), (None, Some(&1)));
    world.run(&plan("nickname -> middleName | truncate(30)")).await;
    assert_eq!((traces(&account(2)).get("related_row"), traces(&account(2)).get("related_use")), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_change_tracking_stops_the_mapping_with_its_name_and_is_followed_once_it_is_on() {
    let plan = plan("preferredsystemuserid.internalemailaddress -> middleName | truncate(30)");
    let world = World::empty().await;
    world.admin("table", json!({"table": "systemuser", "tracking": false})).await;
    match world.try_run(&plan).await {
        Err(RunError::Untracked { table, .. }) => assert_eq!(table, "systemuser"),
        other => panic!("not refused: {other:?}"),
    }
    world.admin("table", json!({"table": "systemuser", "tracking": true})).await;
    let owner = "50000000-0000-4000-8000-000000000001";
    world.admin("rows/systemuser", json!({"systemuserid": owner, "firstname": "Ann", "internalemailaddress": "ann@contoso.com"})).await;
    world.create(1, json!({"lastname": "L1", "preferredsystemuserid@odata.bind": format!("/systemusers({owner})")})).await;
    world.run(&plan).await;
    assert_eq!(middle_name(&world, 1).await, "ann@contoso.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_between_the_other_row_and_the_write_nothing_is_lost() {
    let world = World::new(d365map_emulator::Config { latency: Duration::from_millis(3), ..Default::default() }).await;
    world.project(&mapping(COMPANY));
    for n in 1..=4 {
        company(&world, n, &format!("Company {n}")).await;
    }
    for n in 1..=40 {
        person(&world, n, n % 4 + 1).await;
    }
    assert_eq!(world.call(&["run"]).await.0, 0);
    for n in 1..=4 {
        rename(&world, n, &format!("New {n}")).await;
    }
    // The first runs die before, while and after they store the changed rows; later ones while they fetch and write.
    for milliseconds in [40, 80, 120, 160, 200, 260, 320] {
        let mut child = world.command(&["run", "--quiet"]).spawn().expect("the command starts");
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        child.kill().await.expect("SIGKILL");
    }
    let (status, out, error) = world.call(&["run"]).await;
    assert_eq!(status, 0, "{out}{error}");
    for n in 1..=40 {
        assert_eq!(middle_name(&world, n).await, format!("New {}", n % 4 + 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_changes_for_more_records_than_a_batch_reaches_all_of_them() {
    let plan = plan(COMPANY);
    let world = World::empty().await;
    company(&world, 1, "Contoso").await;
    for n in 1..=205 {
        person(&world, n, 1).await;
    }
    world.run(&plan).await;
    rename(&world, 1, "Contoso AG").await;
    assert_eq!(world.run(&plan).await.updated, 205);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_the_followed_tables_and_the_estimate_counts_them() {
    let world = World::empty().await;
    world.project(&mapping(COMPANY));
    for n in 1..=3 {
        company(&world, n, &format!("Company {n}")).await;
    }
    for (n, of) in [(1, 1), (2, 1), (3, 2)] {
        person(&world, n, of).await;
    }
    let (status, out, error) = world.call(&["plan", "--estimate"]).await;
    assert_eq!(status, 0, "{error}");
    assert!(out.contains("read d365.account"), "{out}");
    assert_eq!(world.call(&["run"]).await.0, 0);
    let (_, out, error) = world.call(&["status"]).await;
    let followed = out.lines().find(|line| line.trim_start().starts_with("followed")).unwrap_or_else(|| panic!("{out}{error}"));
    assert!(followed.contains("account follows changes") && followed.contains("for 3 records"), "{followed}");
    let (_, out, _) = world.call(&["status", "--format", "json"]).await;
    let document: Value = serde_json::from_str(&out).expect("JSON");
    let followed = &document["status"]["mappings"][0]["followed"][0];
    assert_eq!(
        (&followed["table"], &followed["phase"], &followed["records"]),
        (&json!("d365.account"), &json!("delta"), &json!(3)),
        "{followed}"
    );
}
