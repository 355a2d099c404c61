//! Links by key: to records that Campaign has and no mapping writes.

use std::sync::Arc;

use d365map::plan::ExecutionPlan;
use d365map::systems::campaign::LinkForm;
use d365map_emulator::Config;
use serde_json::{Value, json};

use super::entities::plan_of;
use super::support::{World, id};

/// The profile is extended with the link to organizational units.
const SCHEMA: &str = "version: 1\ntable: campaign.profile\nextends: built-in\nfields:\n  orgUnit: { type: link, target: orgUnitBase }\n";

/// Campaign has the units `all`, `north` and `south`.
async fn world() -> World {
    let seed = json!({"campaign": {"fields": [{"name": "orgUnit", "type": "link", "target": "orgUnitBase"}]}});
    let world = World::new(Config { seed_text: Some(seed.to_string()), ..Config::default() }).await;
    for (name, label) in [("north", "North"), ("south", "South")] {
        world.admin("campaign/rows/orgUnitBase", json!({"name": name, "label": label})).await;
    }
    world
}

fn mapping(or: &str) -> Arc<ExecutionPlan> {
    let text = format!(
        "mapping contacts: d365.contact -> campaign.profile {{
  key contactid -> externalId
  lastname        -> lastName
  address1_county -> orgUnit | lower | link campaign.orgUnitBase {or}
}}
"
    );
    plan_of(&[SCHEMA], &text)
}

fn contact(name: &str, county: Option<&str>) -> Value {
    json!({"lastname": name, "address1_county": county})
}

/// The unit to which the profile of contact n links.
async fn unit(world: &World, n: u32) -> Option<String> {
    let profile = world.profile(n).await.expect("a profile");
    let unit = profile.get("orgUnit").filter(|unit| !unit.is_null())?;
    let name = unit.get("name").or_else(|| unit.get("title")).unwrap_or(unit);
    Some(name.as_str().map_or_else(|| name.to_string(), str::to_owned)).filter(|name| !name.is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_becomes_a_link_to_the_record_that_has_it_in_each_form_and_is_looked_up_once() {
    for form in [LinkForm::PKey, LinkForm::Key, LinkForm::Href] {
        let mut world = world().await;
        world.link_form = form;
        for n in 1..=30 {
            world.create(n, contact("Name", Some(if n % 2 == 0 { "North" } else { "South" }))).await;
        }
        world.create(31, contact("Name", None)).await;
        let run = world.run(&mapping("or reject")).await;
        assert_eq!((run.created, run.failed), (31, 0), "{form:?}: {run:?}");
        let (even, odd) = (unit(&world, 2).await.expect("a link"), unit(&world, 1).await.expect("a link"));
        assert!(even.contains("north") || even.contains("North"), "{form:?}: {even}");
        assert!(odd.contains("south") || odd.contains("South"), "{form:?}: {odd}");
        assert_eq!(unit(&world, 31).await, None);
        let stats = world.admin_get("stats").await;
        let looks = stats["apis"]["campaign"]["routes"]["orgUnitBase/key"].as_u64();
        assert!(looks.is_none_or(|looks| looks <= 12), "{form:?}: {looks:?} lookups of two units");

        // A change of the key is written, and an empty one empties the link.
        world.update(1, json!({"address1_county": "north"})).await;
        world.update(2, json!({"address1_county": null})).await;
        let run = world.run(&mapping("or reject")).await;
        assert_eq!((run.updated, run.failed), (2, 0), "{form:?}: {run:?}");
        assert_eq!((unit(&world, 1).await, unit(&world, 2).await), (Some(even), None), "{form:?}");
        let before = world.campaign_writes().await;
        world.run(&mapping("or reject")).await;
        assert_eq!(world.campaign_writes().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_record_that_campaign_does_not_have_is_rejected_emptied_or_replaced_as_or_says() {
    let reject = world().await;
    reject.create(1, contact("Ada", Some("nowhere"))).await;
    reject.create(2, contact("Grace", Some("north"))).await;
    let run = reject.run(&mapping("or reject")).await;
    assert_eq!((run.created, run.failed), (1, 1), "{run:?}");
    let letters = reject.dead_letters();
    assert_eq!((letters[0].failure.code.as_str(), letters[0].failure.field.as_deref()), ("D908", Some("orgUnit")), "{letters:?}");
    assert_eq!(reject.profile(1).await, None);

    let null = world().await;
    null.create(1, contact("Ada", Some("west"))).await;
    let run = null.run(&mapping("or null")).await;
    assert_eq!((run.created, run.failed, unit(&null, 1).await), (1, 0, None), "{run:?}");
    // It comes later: the next change of the contact brings the link.
    null.admin("campaign/rows/orgUnitBase", json!({"name": "west", "label": "West"})).await;
    null.update(1, json!({"lastname": "King"})).await;
    null.run(&mapping("or null")).await;
    assert!(unit(&null, 1).await.is_some_and(|unit| unit.to_lowercase().contains("west")));

    let other = world().await;
    other.create(1, contact("Ada", Some("nowhere"))).await;
    let run = other.run(&mapping("or default(\"all\")")).await;
    assert_eq!((run.created, run.failed), (1, 0), "{run:?}");
    assert!(unit(&other, 1).await.is_some_and(|unit| unit.to_lowercase().contains("all")));
    let run = other.run(&mapping("or default(\"none\")")).await;
    assert_eq!(run.failed, 1, "{run:?}: the other mapping evaluates all records again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pkey_that_expires_is_looked_up_again() {
    let world = world().await;
    let plan = mapping("or reject");
    world.create(1, contact("Ada", Some("north"))).await;
    world.create(2, contact("Grace", Some("north"))).await;
    world.admin("fail-next", json!({"kind": "expired-pkeys", "api": "campaign", "method": "POST", "path": "profile", "skip": 1})).await;
    let run = world.run(&plan).await;
    assert_eq!((run.created, run.failed), (2, 0), "{run:?}");
    assert!(unit(&world, 1).await.is_some() && unit(&world, 2).await.is_some(), "{}", id(1));
}
