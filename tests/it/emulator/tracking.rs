//! Paging and change tracking of the emulated Dataverse.

use std::collections::BTreeSet;
use std::time::Duration;

use d365map_emulator::Config;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Bench, ID, OTHER_ID, refused};

const TRACK: &str = "odata.track-changes,odata.maxpagesize=7";

async fn page(bench: &Bench, link: &str, prefer: &str) -> Value {
    super::ok(bench.dv(Method::GET, link).header("Prefer", prefer)).await
}

fn ids(page: &Value) -> Vec<String> {
    let rows = page["value"].as_array().expect("rows");
    rows.iter().filter_map(|row| row["contactid"].as_str().or(row["id"].as_str())).map(str::to_owned).collect()
}

/// All pages from a link on: the rows and the delta link of the last page.
async fn all(bench: &Bench, first: &str, prefer: &str) -> (Vec<Value>, Option<String>) {
    let mut rows = Vec::new();
    let mut link = first.to_owned();
    for _ in 0..100 {
        let page = page(bench, &link, prefer).await;
        rows.extend(page["value"].as_array().expect("rows").iter().cloned());
        match (page["@odata.nextLink"].as_str(), page["@odata.deltaLink"].as_str()) {
            (Some(next), None) => link = next.to_owned(),
            (None, delta) => return (rows, delta.map(str::to_owned)),
            (Some(_), Some(_)) => panic!("a delta link before the last page"),
        }
    }
    panic!("paging does not end");
}

async fn delta_link(bench: &Bench) -> String {
    all(bench, "contacts?$select=lastname", TRACK).await.1.expect("a delta link")
}

#[tokio::test]
async fn paging_gives_every_row_once_and_the_delta_link_last() {
    let bench = Bench::with(Config { contacts: 50, ..Config::default() }).await;
    let (rows, delta) = all(&bench, "contacts?$select=lastname", TRACK).await;
    let distinct: BTreeSet<&str> = rows.iter().filter_map(|row| row["contactid"].as_str()).collect();
    assert_eq!((rows.len(), distinct.len()), (50, 50));
    assert!(delta.expect("a delta link").contains("$deltatoken="));
    let (rows, delta) = all(&bench, "contacts?$select=lastname", "odata.maxpagesize=20").await;
    assert_eq!((rows.len(), delta), (50, None));
}

#[tokio::test]
async fn a_next_link_works_only_as_it_was_given() {
    let bench = Bench::with(Config { contacts: 20, ..Config::default() }).await;
    let first = page(&bench, "contacts?$select=lastname", "odata.maxpagesize=5").await;
    let next = first["@odata.nextLink"].as_str().unwrap();
    assert_eq!(page(&bench, next, "odata.maxpagesize=5").await["value"].as_array().unwrap().len(), 5);
    let unescaped = next.replace("%25", "%");
    assert_eq!(refused(bench.dv(Method::GET, &unescaped)).await.0, 400);
    let widened = next.replace("$select=lastname", "$select=lastname,firstname");
    assert_eq!(refused(bench.dv(Method::GET, &widened)).await.0, 400);
}

#[tokio::test]
async fn what_changes_between_the_pages_of_a_full_load_comes_with_the_delta() {
    let bench = Bench::with(Config { contacts: 20, ..Config::default() }).await;
    let first = page(&bench, "contacts?$select=lastname", TRACK).await;
    let seen = ids(&first);
    // One row already read is changed, one is deleted, and one is created that sorts before the page.
    bench.dv(Method::PATCH, &format!("contacts({})", seen[0])).json(&json!({"lastname": "Changed"})).send().await.unwrap();
    bench.dv(Method::DELETE, &format!("contacts({})", seen[1])).send().await.unwrap();
    let new = "00000000-0000-4000-8000-000000000001";
    bench.contact(new, json!({"lastname": "Early"})).await;
    let (_, delta) = all(&bench, first["@odata.nextLink"].as_str().unwrap(), TRACK).await;
    let (changes, _) = all(&bench, &delta.unwrap(), "odata.maxpagesize=2").await;
    let changed: Vec<&str> = changes.iter().filter_map(|row| row["contactid"].as_str()).collect();
    let deleted: Vec<&str> = changes.iter().filter(|row| row["reason"] == "deleted").filter_map(|row| row["id"].as_str()).collect();
    assert_eq!(changed, [seen[0].as_str(), new]);
    assert_eq!(deleted, [seen[1].as_str()]);
}

#[tokio::test]
async fn a_delta_has_updates_by_version_and_then_tombstones() {
    let bench = Bench::new().await;
    bench.contact(ID, json!({"lastname": "A"})).await;
    bench.contact(OTHER_ID, json!({"lastname": "B"})).await;
    let link = delta_link(&bench).await;
    let short = "c0000000-0000-4000-8000-000000000003";
    bench.contact(short, json!({"lastname": "Short-lived"})).await;
    bench.dv(Method::DELETE, &format!("contacts({short})")).send().await.unwrap();
    for (id, name) in [(OTHER_ID, "B2"), (ID, "A2"), (OTHER_ID, "B3")] {
        bench.dv(Method::PATCH, &format!("contacts({id})")).json(&json!({"lastname": name})).send().await.unwrap();
    }
    let delta = bench.get(&link).await;
    assert!(delta["@odata.context"].as_str().unwrap().ends_with("$metadata#contacts(lastname)/$delta"));
    let rows = delta["value"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert_eq!((&rows[0]["contactid"], &rows[0]["lastname"]), (&json!(ID), &json!("A2")));
    assert_eq!((&rows[1]["contactid"], &rows[1]["lastname"]), (&json!(OTHER_ID), &json!("B3")));
    let context = format!("{}/api/data/v9.2/$metadata#contacts/$deletedEntity", bench.running.dataverse_url());
    assert_eq!(rows[2], json!({"@odata.context": context, "id": short, "reason": "deleted"}));
    let again = bench.get(delta["@odata.deltaLink"].as_str().unwrap()).await;
    assert_eq!(again["value"], json!([]));
}

#[tokio::test]
async fn an_id_that_lives_again_leaves_no_tombstone() {
    let bench = Bench::new().await;
    bench.contact(ID, json!({"lastname": "A"})).await;
    let link = delta_link(&bench).await;
    bench.dv(Method::DELETE, &format!("contacts({ID})")).send().await.unwrap();
    bench.contact(ID, json!({"lastname": "Again"})).await;
    let delta = bench.get(&link).await;
    assert_eq!(delta["value"].as_array().unwrap().len(), 1);
    assert_eq!(delta["value"][0]["lastname"], "Again");
}

#[tokio::test]
async fn a_row_changed_while_a_delta_is_paged_comes_again() {
    let bench = Bench::with(Config { contacts: 6, ..Config::default() }).await;
    let (rows, link) = all(&bench, "contacts?$select=lastname", TRACK).await;
    for row in &rows {
        let id = row["contactid"].as_str().unwrap();
        bench.dv(Method::PATCH, &format!("contacts({id})")).json(&json!({"lastname": "X"})).send().await.unwrap();
    }
    let first = page(&bench, &link.unwrap(), "odata.maxpagesize=4").await;
    let changed = ids(&first)[0].clone();
    bench.dv(Method::PATCH, &format!("contacts({changed})")).json(&json!({"lastname": "Y"})).send().await.unwrap();
    let (rest, next) = all(&bench, first["@odata.nextLink"].as_str().unwrap(), "odata.maxpagesize=4").await;
    assert_eq!(rest.len(), 2);
    let (again, _) = all(&bench, &next.unwrap(), "odata.maxpagesize=4").await;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0]["lastname"], "Y");
}

#[tokio::test]
async fn tracking_allows_no_filter_order_expand_or_top() {
    let bench = Bench::new().await;
    for option in ["$filter=statecode eq 0", "$orderby=lastname", "$expand=createdby", "$top=3"] {
        let request = bench.dv(Method::GET, &format!("contacts?{option}")).header("Prefer", "odata.track-changes");
        let (status, _, message) = refused(request).await;
        assert_eq!(status, 400);
        let name = option.split('=').next().unwrap();
        assert_eq!(message, format!("The \"{name}\" query parameter isn't supported when Change Tracking is enabled."));
    }
}

#[tokio::test]
async fn a_table_without_tracking_refuses_it() {
    let bench = Bench::new().await;
    let request = bench.dv(Method::GET, "transactioncurrencies?$select=currencyname").header("Prefer", "odata.track-changes");
    assert_eq!(refused(request).await.0, 400);
}

#[tokio::test]
async fn delta_tokens_die_by_age_by_order_and_by_a_changed_definition() {
    let bench = Bench::new().await;
    for path in ["expire-delta", "schema-change"] {
        let link = delta_link(&bench).await;
        bench.get(&link).await;
        bench.admin(path, json!({"table": "contact"})).await;
        let (status, code, message) = refused(bench.dv(Method::GET, &link)).await;
        assert_eq!((status, code.as_str()), (400, "0x80044352"), "{path}");
        assert_eq!(message, "Version stamp associated with the client has expired. Please perform a full sync.");
        let fresh = delta_link(&bench).await;
        bench.get(&fresh).await;
    }
    let config = Config { delta_retention: Duration::ZERO, expired_delta_status: 410, ..Config::default() };
    let bench = Bench::with(config).await;
    let link = delta_link(&bench).await;
    let (status, code, _) = refused(bench.dv(Method::GET, &link)).await;
    assert_eq!((status, code.as_str()), (410, "0x80044352"));
}

#[tokio::test]
async fn a_count_is_text_behind_a_byte_order_mark() {
    let bench = Bench::with(Config { contacts: 12, ..Config::default() }).await;
    let bytes = bench.dv(Method::GET, "contacts/$count").send().await.unwrap().bytes().await.unwrap();
    assert_eq!(&bytes[..], b"\xef\xbb\xbf12");
}
