//! The Campaign connector and subscriptions: against the emulator, which was written from the vendor's documents, and against answers by
//! hand.

use d365map::connect::ConnectError;
use d365map::systems::campaign::{Key, Written};
use d365map_emulator::{Config, Running, start};
use serde_json::{Value, json};

use crate::connect_campaign::{answering, campaign};
use crate::connect_server::{Reply, Seen};

const ID: &str = "c0000000-0000-4000-8000-000000000001";
const KEY: Key<'_> = Key::Identity { attribute: "externalId", value: ID };

async fn seeded() -> Running {
    let services: Vec<Value> = (1..=60).map(|n| json!({"name": format!("SVC{n}"), "label": format!("Service {n}")})).collect();
    let seed = json!({"campaign": {
        "services": services,
        "profiles": [{"externalId": ID, "firstName": "Ada"}, {"externalId": "other"}],
        "subscriptions": [{"profile": ID, "service": "SVC1"}, {"profile": "other", "service": "SVC1"}],
    }});
    start(Config { seed_text: Some(seed.to_string()), ..Config::default() }).await.unwrap()
}

async fn look(running: &Running, path: &str) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(format!("{}/{path}", running.admin_url())).send().await.unwrap().json().await.unwrap()
}

async fn count(running: &Running, resource: &str) -> usize {
    look(running, &format!("dump/resource/{resource}")).await.as_array().unwrap().len()
}

#[tokio::test]
async fn a_profile_is_subscribed_and_unsubscribed_by_the_names_of_services_and_no_service_is_touched() {
    let running = seeded().await;
    let campaign = campaign(&running);
    let before = campaign.subscriptions("profile", KEY).await.unwrap().unwrap();
    assert_eq!(before.services.iter().map(String::as_str).collect::<Vec<_>>(), ["SVC1"]);
    assert_eq!(before.profile["firstName"], "Ada");
    let shown = format!("{before:?} {}", before.profile);
    assert!(!shown.contains("PKey") && !shown.contains("/@"), "{shown}");
    // The last one is on the second page of services.
    for service in ["SVC60", "SVC1"] {
        assert_eq!(campaign.subscribe(&before, service).await.unwrap(), Written::Done);
    }
    let after = campaign.subscriptions("profile", KEY).await.unwrap().unwrap();
    assert_eq!(after.services.iter().map(String::as_str).collect::<Vec<_>>(), ["SVC1", "SVC60"]);
    assert_eq!(campaign.unsubscribe(&after, "SVC1").await.unwrap(), Written::Done);
    assert_eq!(campaign.unsubscribe(&after, "SVC1").await.unwrap(), Written::Missing);
    assert_eq!(campaign.unsubscribe(&after, "SVC2").await.unwrap(), Written::Missing);
    assert_eq!((count(&running, "service").await, count(&running, "subscription").await), (60, 2));
    assert_eq!(campaign.services().await.unwrap().len(), 60);
    let unknown = campaign.subscribe(&after, "svc1").await.unwrap_err();
    assert!(matches!(unknown, ConnectError::Config { .. }), "{unknown}");
    assert!(campaign.subscriptions("profile", Key::Identity { attribute: "externalId", value: "nobody" }).await.unwrap().is_none());
}

#[tokio::test]
async fn a_service_is_looked_up_again_when_its_pkey_has_changed() {
    let running = seeded().await;
    let campaign = campaign(&running);
    let first = campaign.subscriptions("profile", KEY).await.unwrap().unwrap();
    assert_eq!(campaign.subscribe(&first, "SVC2").await.unwrap(), Written::Done);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.post(format!("{}/expire-pkeys", running.admin_url())).send().await.unwrap();
    // The addresses that are known have expired too: that is neither a consent nor an error.
    assert_eq!(campaign.subscribe(&first, "SVC3").await.unwrap(), Written::Missing);
    let second = campaign.subscriptions("profile", KEY).await.unwrap().unwrap();
    assert_eq!(campaign.subscribe(&second, "SVC2").await.unwrap(), Written::Done);
    assert_eq!(count(&running, "subscription").await, 3);
}

/// Answers with one subscription, which is this entry.
fn with_entry(entry: impl Fn(&str) -> Value + Send + Sync + 'static) -> impl Fn(&Seen) -> Reply + Send + Sync {
    move |seen: &Seen| {
        let base = format!("http://{}/org/campaign/profileAndServicesExt", seen.header("host").unwrap());
        let list = format!("{base}/profile/@q/subscriptions/");
        match seen.target.split('?').next().unwrap().ends_with("/subscriptions/") {
            true => Reply::json(200, json!({"content": [entry(&base)]}).to_string()),
            false => Reply::json(200, json!({"PKey": "@p", "externalId": ID, "subscriptions": {"href": list}}).to_string()),
        }
    }
}

#[tokio::test]
async fn an_entry_without_a_name_or_with_the_address_of_a_service_is_refused_and_nothing_is_deleted() {
    let service = |base: &str| json!({"PKey": "@s", "name": "SVC1", "href": format!("{base}/service/@s")});
    type Entry = fn(&str, Value) -> Value;
    let entries: [Entry; 5] = [
        |base, _| json!({"PKey": "@e", "href": format!("{base}/profile/@q/subscriptions/@e")}),
        |_, service| json!({"PKey": "@e", "href": service["href"], "service": service}),
        |base, service| json!({"PKey": "@e", "href": format!("{base}/profile/@q"), "service": service}),
        |base, service| json!({"PKey": "@e", "href": format!("{base}/profile/@q/subscriptions/"), "service": service}),
        |_, service| json!({"PKey": "@e", "service": service}),
    ];
    for entry in entries {
        let (server, campaign) = answering(with_entry(move |base| entry(base, service(base)))).await;
        let error = campaign.subscriptions("profile", KEY).await.unwrap_err();
        assert!(matches!(error, ConnectError::Rejected { .. }), "{error}");
        assert!(server.calls().iter().all(|call| call.method == "GET"), "{error}");
    }
    let whole =
        |base: &str, service: Value| json!({"PKey": "@e", "href": format!("{base}/profile/@q/subscriptions/@e"), "service": service});
    let (_server, campaign) = answering(with_entry(move |base| whole(base, service(base)))).await;
    assert!(campaign.subscriptions("profile", KEY).await.unwrap().unwrap().services.contains("SVC1"));
}
