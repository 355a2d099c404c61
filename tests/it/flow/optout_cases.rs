//! Opt-outs of fields that are not true or false, over HTTP: options and dates, both ways.

use std::sync::Arc;

use d365map::plan::ExecutionPlan;
use serde_json::{Value, json};

use super::optout::world;
use super::support::{World, id, plan_of};

fn plan(direction: &str) -> Arc<ExecutionPlan> {
    plan_of(&format!(
        "mapping contacts: d365.contact -> campaign.profile {{
  key contactid -> externalId
  lastname -> lastName
}}
optout contacts {{
  direction {direction}
  preferredcontactmethodcode <-> denyListEmail {{ Email => in; Phone => out; Fax => out; null => in; else => out }}
  lastonholdtime <-> denyListPhone {{ null => in; else => out }}
}}"
    ))
}

impl World {
    /// The contact's preferred contact method and date.
    async fn says(&self, n: u32) -> (Value, Value) {
        let rows = self.admin_get("dump/contacts").await;
        let rows = rows.as_array().expect("a list");
        let row = rows.iter().find(|r| r["contactid"] == id(n).as_str()).expect("the contact");
        (row["preferredcontactmethodcode"].clone(), row["lastonholdtime"].clone())
    }

    async fn listed(&self, n: u32) -> (bool, bool) {
        let (email, phone, _) = self.lists(n).await;
        (email, phone)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn options_and_dates_of_dynamics_become_the_opt_outs_that_their_cases_say() {
    let world = world().await;
    let plan = plan("d365-to-campaign");
    for (n, values) in
        [(1, json!({})), (2, json!({"preferredcontactmethodcode": 3})), (3, json!({"lastonholdtime": "2026-01-01T00:00:00Z"}))]
    {
        let mut all = json!({"lastname": format!("L{n}"), "preferredcontactmethodcode": 2});
        all.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
        world.create(n, all).await;
    }
    world.sync(&plan).await;
    assert_eq!((world.listed(1).await, world.listed(2).await, world.listed(3).await), ((false, false), (true, false), (false, true)));
    // Another option that means the same is not a change.
    world.update(2, json!({"preferredcontactmethodcode": 4})).await;
    world.reset().await;
    world.sync(&plan).await;
    assert_eq!((world.listed(2).await, world.writes().await), ((true, false), (0, 0)));
    world.update(2, json!({"preferredcontactmethodcode": 2})).await;
    world.dynamics_clock(60).await;
    world.update(3, json!({"lastonholdtime": null})).await;
    world.update(2, json!({"preferredcontactmethodcode": null})).await;
    world.sync(&plan).await;
    assert_eq!((world.listed(2).await, world.listed(3).await), ((false, false), (false, false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_of_campaign_becomes_the_first_value_that_means_it_and_does_not_come_back() {
    let world = world().await;
    let plan = plan("bidirectional");
    world.create(1, json!({"lastname": "L", "preferredcontactmethodcode": 2})).await;
    world.sync(&plan).await;
    world.marketing(1, json!({"blackListEmail": true, "blackListPhone": true})).await;
    world.reset().await;
    world.sync(&plan).await;
    let (method, since) = world.says(1).await;
    assert_eq!(method, 3);
    let since = d365map::time::parse_instant(since.as_str().expect("a time")).expect("an instant");
    assert!((d365map::time::now() - since).num_minutes().abs() < 5, "the time of the run: {since}");
    for _ in 0..3 {
        world.sync(&plan).await;
    }
    assert_eq!(world.writes().await, (1, 0), "one write, and no echo");
    assert_eq!(world.listed(1).await, (true, true));
    world.marketing(1, json!({"blackListEmail": false, "blackListPhone": false})).await;
    world.sync(&plan).await;
    assert_eq!(world.says(1).await, (json!(2), Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_cases_are_another_question_and_both_sides_are_compared_again() {
    let world = world().await;
    world.create(1, json!({"lastname": "L", "preferredcontactmethodcode": 5})).await;
    world.sync(&plan("d365-to-campaign")).await;
    assert_eq!(world.listed(1).await, (true, false));
    let other = plan_of(
        "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  lastname -> lastName
}
optout contacts {
  direction d365-to-campaign
  preferredcontactmethodcode <-> denyListEmail { Phone => out; null => in; else => in }
  lastonholdtime <-> denyListPhone { null => out; else => in }
}",
    );
    let flows = world.sync(&other).await;
    assert_eq!(world.listed(1).await, (true, true), "what only Campaign has is kept until somebody approves: {:?}", flows.keys());
    let report = world.compare(&other).await;
    assert_eq!((report.attributes[0].campaign_only, report.attributes[1].both_out), (1, 1));
}
