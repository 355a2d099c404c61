//! `@present`: what Campaign has after values came, went and waited.

use serde_json::json;

use super::support::{World, ada, plan_of};

const MAPPING: &str = "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  lastname    -> lastName
  mobilephone -> mobilePhone | truncate(32) @present
  nickname    -> salutation  | truncate(20)
}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_becomes_empty_stays_at_the_target_and_costs_no_call() {
    let world = World::empty().await;
    let plan = plan_of(MAPPING);
    let mut contact = ada();
    (contact["mobilephone"], contact["nickname"]) = ("+1".into(), "Countess".into());
    world.create(1, contact).await;
    world.create(2, ada()).await;
    world.run(&plan).await;
    assert!(world.profile(2).await.expect("a profile").get("mobilePhone").is_none_or(|v| v.is_null() || v == ""));

    world.update(1, json!({"mobilephone": null})).await;
    let before = world.campaign_writes().await;
    let run = world.run(&plan).await;
    assert_eq!((run.unchanged, world.campaign_writes().await), (1, before), "{run:?}");
    world.update(1, json!({"nickname": null})).await;
    world.run(&plan).await;
    let profile = world.profile(1).await.expect("a profile");
    assert_eq!(profile["mobilePhone"], "+1");
    assert!(profile["salutation"].is_null() || profile["salutation"] == "", "{profile}");

    // The same value again is not news, another one is.
    world.update(1, json!({"mobilephone": "+1"})).await;
    let before = world.campaign_writes().await;
    world.run(&plan).await;
    assert_eq!(world.campaign_writes().await, before);
    world.update(1, json!({"mobilephone": "+2"})).await;
    world.run(&plan).await;
    assert_eq!(world.profile(1).await.expect("a profile")["mobilePhone"], "+2");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_flag_the_next_full_load_empties_what_stayed() {
    let world = World::empty().await;
    let mut contact = ada();
    contact["mobilephone"] = "+1".into();
    world.create(1, contact).await;
    world.run(&plan_of(MAPPING)).await;
    world.update(1, json!({"mobilephone": null})).await;
    world.run(&plan_of(MAPPING)).await;
    world.run(&plan_of(&MAPPING.replace(" @present", ""))).await;
    let profile = world.profile(1).await.expect("a profile");
    assert!(profile["mobilePhone"].is_null() || profile["mobilePhone"] == "", "{profile}");
}
