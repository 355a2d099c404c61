//! The page about persons: places and no data, and no id in an address.

use d365map::serve::access::Role;
use reqwest::Method;
use serde_json::json;

use super::support::{NAME, Serving};
use crate::flow::support::{World, id, small_text};

/// Campaign refuses it, so the record is a dead letter.
const ADDRESS: &str = "ada at example.com";

/// Ada has a dead letter.
async fn serving() -> Serving {
    let world = World::empty().await;
    world.create(1, json!({"firstname": "Ada", "lastname": "Lovelace", "emailaddress1": ADDRESS})).await;
    let serving = Serving::start(world, &[("contacts.d365map", &small_text(""))]).await;
    serving.command(&["run", "--quiet"]).await;
    serving
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_reported_by_places_forgotten_after_the_id_is_typed_again_and_lifted() {
    let serving = serving().await;
    let admin = serving.person(Role::Admin);
    let ada = id(1);
    for role in [Role::Viewer, Role::Operator] {
        let person = serving.person(role);
        assert_eq!(person.open("/privacy").await.status.as_u16(), 403);
        assert_eq!(person.submit("/privacy/report", &[("key", &ada)]).await.status.as_u16(), 403);
        assert_eq!(person.submit("/privacy/forget", &[("key", &ada), ("again", &ada)]).await.status.as_u16(), 403);
    }
    let report = async |key: &str| admin.submit("/privacy/report", &[("key", key)]).await;

    let found = report(&format!(" {{{}}} ", ada.to_uppercase())).await;
    assert_eq!((found.status.as_u16(), found.header("location")), (200, ""));
    assert!(found.body.contains("dead_letter") && found.body.contains("Forget this person"), "{}", found.body);
    assert!(!found.body.contains("Lovelace") && !found.body.contains(ADDRESS), "places, not data: {}", found.body);

    // An address may be in the records of several persons.
    let by_address = report(ADDRESS).await;
    assert!(by_address.body.contains(&ada) && !by_address.body.contains("Forget this person"), "{}", by_address.body);
    let refused = admin.submit("/privacy/forget", &[("key", ADDRESS), ("again", ADDRESS)]).await;
    assert!(refused.status.as_u16() == 400 && refused.body.contains("neither an id nor a key"), "{}", refused.body);

    let another = id(2);
    for again in ["", "yes", another.as_str()] {
        let refused = admin.submit("/privacy/forget", &[("key", &ada), ("again", again)]).await;
        assert!(refused.status.as_u16() == 409 && refused.body.contains("Nothing was removed"), "{again}: {}", refused.body);
    }
    assert!(report(&ada).await.body.contains("dead_letter"));
    let audit = format!("/api/v1/projects/{NAME}/audit?action=forget");
    let noted = serving.ask(Role::Admin, Method::GET, &audit, None).await.json();
    assert_eq!(noted["entries"].as_array().map(Vec::len), Some(4), "what was refused is noted, too: {noted}");

    let forgotten = admin.submit("/privacy/forget", &[("key", &ada), ("again", &ada.to_uppercase())]).await;
    assert!(forgotten.status.as_u16() == 200 && forgotten.body.contains("is forgotten"), "{}", forgotten.body);
    let nothing = report(&ada).await;
    assert!(nothing.body.contains("The state has no trace") && nothing.body.contains("Forgotten"), "{}", nothing.body);

    let lifted = admin.submit("/privacy/lift", &[("key", &ada)]).await;
    assert!(lifted.status.as_u16() == 200 && lifted.body.contains("is stored again"), "{}", lifted.body);
    let again = admin.submit("/privacy/lift", &[("key", &ada)]).await;
    assert!(again.status.as_u16() == 400 && again.body.contains("is not forgotten"), "{}", again.body);
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_about_a_person_comes_back_as_text() {
    let serving = serving().await;
    let admin = serving.person(Role::Admin);
    let hostile = "\"><script>alert(1)</script>";
    for (path, fields) in [
        ("/privacy/report", vec![("key", hostile)]),
        ("/privacy/forget", vec![("key", hostile), ("again", hostile)]),
        ("/privacy/forget", vec![("key", hostile), ("again", "")]),
        ("/privacy/lift", vec![("key", hostile)]),
    ] {
        let answer = admin.submit(path, &fields).await;
        assert!(answer.status.as_u16() < 500 && !answer.body.contains("<script>alert"), "{path}: {}", answer.body);
        assert!(answer.body.contains("&lt;script&gt;alert"), "{path}: {}", answer.body);
    }
    let short = admin.submit("/privacy/report", &[("key", "ab")]).await;
    assert!(short.status.as_u16() == 400 && short.body.contains("too short"), "{}", short.body);
    serving.end().await;
}
