//! Contacts and companies into profiles: two mappings write one table of Campaign, each its own records.

use std::sync::Arc;

use d365map::plan::ExecutionPlan;
use d365map::run::RunError;
use serde_json::{Value, json};

use super::support::{World, id, plan_of};

fn plan(key: &str) -> Arc<ExecutionPlan> {
    plan_of(&format!(
        "mapping contacts: d365.contact -> campaign.profile {{
  key contactid -> externalId
  lastname -> lastName
  options {{ deletes propagate }}
}}
optout contacts {{ direction bidirectional; donotemail <-> denyListEmail }}
mapping companies: d365.account -> campaign.profile {{
  key {key} -> externalId
  name -> lastName | truncate(50)
  options {{ deletes propagate }}
}}"
    ))
}

const KEY: &str = "\"account-{accountid}\"";

fn account(n: u32) -> String {
    format!("a0000000-0000-4000-8000-{n:012}")
}

/// The last names of all profiles by their keys.
async fn names(world: &World) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut names: Vec<_> = world.profiles().await.iter().map(|p| (text(&p["externalId"]), text(&p["lastName"]))).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mapping_creates_updates_and_deletes_its_own_profiles_and_no_other() {
    let world = World::empty().await;
    let plan = plan(KEY);
    world.create(1, json!({"lastname": "Ada"})).await;
    for n in 1..=2 {
        world.sales("POST", "accounts", json!({"accountid": account(n), "name": format!("Company {n}")})).await;
    }
    world.run(&plan).await;
    let key = |n: u32| format!("account-{}", account(n));
    let all = |rows: &[(String, &str)]| {
        let mut rows: Vec<_> = rows.iter().map(|(key, name)| (key.clone(), (*name).to_owned())).collect();
        rows.sort();
        rows
    };
    assert_eq!(names(&world).await, all(&[(id(1), "Ada"), (key(1), "Company 1"), (key(2), "Company 2")]));
    world.sales("PATCH", &format!("accounts({})", account(1)), json!({"name": "Renamed"})).await;
    world.sales("DELETE", &format!("accounts({})", account(2)), Value::Null).await;
    world.update(1, json!({"lastname": "Lovelace"})).await;
    world.run(&plan).await;
    assert_eq!(names(&world).await, all(&[(id(1), "Lovelace"), (key(1), "Renamed")]));
    world.delete(1).await;
    world.run(&plan).await;
    assert_eq!(names(&world).await, all(&[(key(1), "Renamed")]));
    world.admin("reset-stats", Value::Null).await;
    world.run(&plan).await;
    assert_eq!(world.campaign_writes().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_text_in_the_key_is_another_key_and_the_run_refuses() {
    let world = World::empty().await;
    world.sales("POST", "accounts", json!({"accountid": account(1), "name": "Company"})).await;
    world.run(&plan(KEY)).await;
    let error = world.try_run(&plan("\"company-{accountid}\"")).await.expect_err("the profiles have the old key");
    assert!(matches!(error, RunError::KeyChanged { .. }), "{error}");
    assert_eq!(names(&world).await.len(), 1);
}
