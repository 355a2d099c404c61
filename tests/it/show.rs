//! `run --dry-run --show` and `--sample`: single records with their values.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::flow::support::{World, id};

const MAPPING: &str = "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  \"{firstname} {lastname}\" -> lastName | truncate(50)
  firstname -> firstName | truncate(30)
  emailaddress1 -> email | email or reject
  mobilephone -> mobilePhone | truncate(32) @initial
  filter all { statecode = Active }
}
";

async fn world() -> World {
    let world = World::empty().await;
    world.project(MAPPING);
    let person = json!({"firstname": "Ada", "lastname": "Lovelace", "emailaddress1": "ada@example.com", "mobilephone": "1"});
    world.create(1, person).await;
    assert_eq!(world.call(&["run"]).await.0, 0);
    world.update(1, json!({"firstname": "Augusta", "mobilephone": "2"})).await;
    world.create(2, json!({"firstname": "Grace", "lastname": "Hopper", "emailaddress1": "grace@example.com"})).await;
    world.create(3, json!({"lastname": "Wrong", "emailaddress1": "no address"})).await;
    world.create(4, json!({"lastname": "Left"})).await;
    world.update(4, json!({"statecode": 1})).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_shown_with_what_it_is_made_of_and_what_would_be_written() {
    let world = world().await;
    let ids: Vec<String> = (1..=5).map(id).collect();
    let mut args = vec!["run", "--dry-run", "--show-values"];
    ids.iter().for_each(|id| args.extend(["--show", id]));
    let (status, out, error) = world.call(&args).await;
    assert_eq!(status, 1, "one is rejected and one is missing: {out}{error}");
    assert_snapshot!(out);
    let (status, out, _) = world.call(&["run", "--dry-run", "--show", "nonsense"]).await;
    assert_eq!((status, out.as_str()), (1, "contacts nonsense: there is no such record\n"));
    assert_eq!(world.profiles().await.len(), 1, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_personal_data_and_are_shown_on_request_only() {
    let world = world().await;
    for args in [&["run", "--dry-run", "--sample", "10"][..], &["run", "--dry-run", "--sample", "10", "--format", "json"]] {
        let (_, out, error) = world.call(args).await;
        assert!(!out.contains("Lovelace") && !out.contains("example.com"), "{out}");
        assert!(out.contains("firstName") && !error.contains("Lovelace"), "{out}{error}");
    }
    let (_, out, _) = world.call(&["run", "--dry-run", "--sample", "10", "--format", "json", "--show-values"]).await;
    let found: Value = serde_json::from_str(&out).expect("JSON");
    let records = found["records"].as_array().expect("records");
    assert_eq!(records.len(), 4, "{out}");
    let of = |number: u32| records.iter().find(|record| record["id"] == id(number)).expect("the record");
    let field = |number: u32, name: &str| {
        of(number)["fields"].as_array().expect("fields").iter().find(|field| field["field"] == name).expect("the field").clone()
    };
    let first = field(1, "firstName");
    assert_eq!((&first["before"], &first["after"], &first["change"]), (&json!("Ada"), &json!("Augusta"), &json!("write")), "{out}");
    assert_eq!(field(1, "email")["change"], "same", "{out}");
    assert_eq!(field(1, "mobilePhone")["change"], "keep", "{out}");
    assert_eq!(
        (&of(2)["create"], &field(2, "firstName")["sources"]),
        (&json!(true), &json!([{"field": "firstname", "value": "Grace"}])),
        "{out}"
    );
    let (_, out, _) = world.call(&["run", "--dry-run", "--sample", "2", "--format", "json"]).await;
    let found: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(found["records"].as_array().map(Vec::len), Some(2), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_was_forgotten_is_not_shown() {
    let world = world().await;
    assert_eq!(world.call(&["privacy", "forget", &id(1), "--yes"]).await.0, 0);
    let (status, out, error) = world.call(&["run", "--dry-run", "--show", &id(1), "--show-values"]).await;
    assert_eq!(status, 0, "{error}");
    assert!(out.contains("the person was forgotten") && !out.contains("Augusta"), "{out}");
    let (status, _, error) = world.call(&["run", "--show", &id(1)]).await;
    assert!(status == 2 && error.contains("--dry-run"), "{error}");
}
