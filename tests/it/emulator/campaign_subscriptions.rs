//! Campaign's services and the subscriptions of profiles to them.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Bench, ID, OTHER_ID, ok, turned_down};

const EXT: &str = "profileAndServicesExt/profile";
const SERVICES: &str = "profileAndServices/service";

fn seed() -> Value {
    json!({"campaign": {
        "services": [{"name": "SVC1", "label": "Sport"}, {"name": "SVC2", "label": "News"}, {"name": "SVC3", "label": "Travel"}],
        "profiles": [
            {"externalId": ID, "firstName": "Ada", "email": "ada@example.com"},
            {"externalId": OTHER_ID, "firstName": "Eve", "email": "eve@example.com"},
        ],
        "subscriptions": [{"profile": ID, "service": "SVC1"}, {"profile": OTHER_ID, "service": "SVC1"}],
    }})
}

async fn list(bench: &Bench, of: &Value) -> Vec<Value> {
    let page = ok(bench.ac(Method::GET, of["subscriptions"]["href"].as_str().unwrap())).await;
    page["content"].as_array().unwrap().clone()
}

async fn profile(bench: &Bench, id: &str) -> Value {
    ok(bench.ac(Method::GET, &format!("{EXT}/{id}"))).await
}

async fn service(bench: &Bench, name: &str) -> Value {
    let page = ok(bench.ac(Method::GET, SERVICES)).await;
    page["content"].as_array().unwrap().iter().find(|service| service["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
}

async fn deleted(bench: &Bench, href: &Value) -> u16 {
    bench.ac(Method::DELETE, href.as_str().unwrap()).send().await.unwrap().status().as_u16()
}

/// Who is subscribed to what, as the product's own screens show it.
async fn all(bench: &Bench) -> Vec<(String, String)> {
    let rows = bench.look("dump/resource/subscription").await;
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let mut all: Vec<_> = rows.as_array().unwrap().iter().map(|row| (text(row, "service"), text(row, "subscriber"))).collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_profile_and_a_service_give_the_address_of_their_subscriptions_with_the_other_side_in_each() {
    let bench = Bench::seeded(seed()).await;
    let ada = profile(&bench, ID).await;
    let entries = list(&bench, &ada).await;
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!(
        (&entry["service"]["name"], &entry["service"]["label"], &entry["serviceName"]),
        (&json!("SVC1"), &json!("Sport"), &json!("SVC1"))
    );
    assert_eq!((&entry["service"]["title"], &entry["subscriber"]["firstName"]), (&json!("Sport (SVC1)"), &json!("Ada")));
    assert!(entry["PKey"].is_string() && entry["created"].is_string() && entry["subscriber"].get("externalId").is_none(), "{entry}");
    let subscribers = list(&bench, &service(&bench, "SVC1").await).await;
    let emails: Vec<&str> = subscribers.iter().map(|entry| entry["subscriber"]["email"].as_str().unwrap()).collect();
    assert_eq!(emails, ["ada@example.com", "eve@example.com"]);
    // A key is not an address of them.
    assert_eq!(turned_down(bench.ac(Method::GET, &format!("{EXT}/{ID}/subscriptions"))).await.1, "500");
    assert_eq!(turned_down(bench.ac(Method::GET, "profileAndServicesExt/subscription")).await.1, "500");
}

#[tokio::test]
async fn a_post_subscribes_from_either_side_and_one_that_exists_stays_one() {
    let bench = Bench::seeded(seed()).await;
    let ada = profile(&bench, ID).await;
    let (sport, news) = (service(&bench, "SVC1").await, service(&bench, "SVC2").await);
    let at = ada["subscriptions"]["href"].as_str().unwrap();
    let post = |at: &str, body: Value| bench.ac(Method::POST, at).json(&body);
    let answer = post(at, json!({"service": {"PKey": news["PKey"]}})).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let entry: Value = answer.json().await.unwrap();
    assert_eq!((&entry["service"]["title"], &entry["serviceName"]), (&json!("News (SVC2)"), &json!("")));
    assert_eq!(post(at, json!({"service": {"PKey": sport["PKey"]}})).send().await.unwrap().status(), 200);
    let eve = profile(&bench, OTHER_ID).await;
    ok(post(news["subscriptions"]["href"].as_str().unwrap(), json!({"subscriber": {"PKey": eve["PKey"]}}))).await;
    let expected = [("SVC1", ID), ("SVC1", OTHER_ID), ("SVC2", ID), ("SVC2", OTHER_ID)].map(|(s, p)| (s.to_owned(), p.to_owned()));
    assert_eq!(all(&bench).await, expected);
    assert_eq!(profile(&bench, ID).await["lastModified"], ada["lastModified"], "a subscription is not a change of the profile");
    for body in [json!({"service": {"PKey": "@0123"}}), json!({}), json!({"subscriber": {"PKey": eve["PKey"]}}), json!({"service": null})] {
        assert_eq!(turned_down(post(at, body.clone())).await.0, 400, "{body}");
    }
}

#[tokio::test]
async fn a_delete_of_an_entry_ends_one_subscription_and_a_delete_of_the_service_ends_it_for_everybody() {
    let bench = Bench::seeded(seed()).await;
    let ada = profile(&bench, ID).await;
    let entry = list(&bench, &ada).await.remove(0);
    assert_eq!(deleted(&bench, &entry["href"]).await, 204);
    assert_eq!(deleted(&bench, &entry["href"]).await, 404);
    assert_eq!(all(&bench).await, [("SVC1".to_owned(), OTHER_ID.to_owned())]);
    let entry = list(&bench, &profile(&bench, OTHER_ID).await).await.remove(0);
    assert_eq!(deleted(&bench, &entry["service"]["href"]).await, 204);
    assert!(all(&bench).await.is_empty());
    let page = ok(bench.ac(Method::GET, SERVICES)).await;
    assert_eq!(page["content"].as_array().unwrap().len(), 2, "the service is gone");
}

#[tokio::test]
async fn a_profile_that_is_deleted_has_no_subscriptions_any_more() {
    let bench = Bench::seeded(seed()).await;
    assert_eq!(bench.ac(Method::DELETE, &format!("{EXT}/{ID}")).send().await.unwrap().status(), 204);
    ok(bench.ac(Method::POST, EXT).json(&json!({"externalId": ID}))).await;
    assert!(list(&bench, &profile(&bench, ID).await).await.is_empty());
    assert_eq!(all(&bench).await, [("SVC1".to_owned(), OTHER_ID.to_owned())]);
}

#[tokio::test]
async fn subscriptions_come_in_pages_are_counted_and_set_in_the_products_own_screens() {
    let bench = Bench::seeded(seed()).await;
    for service in ["SVC2", "SVC3"] {
        bench.admin("campaign/subscriptions", json!({"profile": ID, "service": service})).await;
    }
    let at = profile(&bench, ID).await["subscriptions"]["href"].as_str().unwrap().to_owned();
    let page = ok(bench.ac(Method::GET, &format!("{at}?_lineCount=2"))).await;
    let rest = ok(bench.ac(Method::GET, page["next"]["href"].as_str().unwrap())).await;
    assert_eq!((page["content"].as_array().unwrap().len(), rest["content"][0]["serviceName"].as_str()), (2, Some("SVC3")));
    assert_eq!(ok(bench.ac(Method::GET, page["count"]["href"].as_str().unwrap())).await, json!({"count": 3}));
    let gone = format!("{}/campaign/subscriptions/SVC3/{ID}", bench.running.admin_url());
    assert_eq!(bench.http.delete(gone).send().await.unwrap().status(), 204);
    assert_eq!(ok(bench.ac(Method::GET, page["count"]["href"].as_str().unwrap())).await, json!({"count": 2}));
}
