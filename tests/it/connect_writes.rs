//! Writes to Dataverse: single rows, batches and bulk operations, against the emulator and against answers written by hand.

use std::time::Duration;

use d365map::connect::{ConnectError, Http, HttpConfig};
use d365map::systems::dataverse::value::{ColumnValue, body};
use d365map::systems::dataverse::{
    Bulk, Condition, Dataverse, DataverseConfig, Entity, KeyValue, Lookups, Operation, Outcome, PageRequest, Part, PartOutcome, Query, Row,
    RowKey, Target, formatted, points_to,
};
use d365map_emulator::{Config, Running, start};
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::connect_server::{Reply, Server};

/// The emulator with an alternate key on contacts' e-mail address.
struct Bench {
    running: Running,
    http: Http,
    dataverse: Dataverse,
}

impl Bench {
    async fn new() -> Self {
        Self::with(json!({"dataverse": {"tables": {"contact": {"keys": [{"name": "email", "columns": ["emailaddress1"]}]}}}})).await
    }

    async fn with(seed: Value) -> Self {
        let running = start(Config { seed_text: Some(seed.to_string()), ..Config::default() }).await.unwrap();
        let http = Http::new(quick()).unwrap();
        let dataverse = crate::connect_emulator::dataverse(&running, &http);
        Self { running, http, dataverse }
    }

    async fn fail_next(&self, order: Value) {
        let url = format!("{}/fail-next", self.running.admin_url());
        let answer = reqwest::Client::builder().no_proxy().build().unwrap().post(url).json(&order).send().await.unwrap();
        assert_eq!(answer.status(), 204);
    }

    async fn contacts(&self) -> Vec<Value> {
        let query = Query { order: Some("lastname asc".into()), ..Query::of("contacts", vec!["firstname".into(), "lastname".into()], 100) };
        rows(&self.dataverse, query).await
    }

    /// `firstname lastname` of every contact.
    async fn names(&self) -> Vec<String> {
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or("-").to_owned();
        self.contacts().await.iter().map(|row| format!("{} {}", text(row, "firstname"), text(row, "lastname"))).collect()
    }
}

fn quick() -> HttpConfig {
    HttpConfig { backoff_min: Duration::from_millis(1), backoff_max: Duration::from_millis(10), ..HttpConfig::default() }
}

async fn rows(dataverse: &Dataverse, query: Query) -> Vec<Value> {
    let page_size = query.page_size;
    let (mut request, mut found) = (PageRequest::First(query), Vec::new());
    loop {
        let page = dataverse.page(&request).await.unwrap();
        for row in page.rows {
            let Row::Changed(raw) = row else { panic!("a tombstone") };
            found.push(serde_json::from_str(raw.get()).unwrap());
        }
        match page.next {
            Some(link) => request = PageRequest::Follow { link, page_size },
            None => return found,
        }
    }
}

fn contact() -> Entity {
    Entity::new("contacts", "contact", "contactid")
}

fn email(text: &str) -> RowKey {
    RowKey::Alternate(vec![("emailaddress1".into(), KeyValue::Text(text.into()))])
}

fn named(n: usize) -> Target {
    Target { key: Some(Uuid::from_u128(n as u128 + 1).into()), fields: json!({"lastname": format!("{n:03}")}).to_string() }
}

// Single rows.

#[tokio::test]
async fn a_row_is_made_changed_and_deleted_by_its_id_and_the_outcome_says_what_was_there() {
    let bench = Bench::new().await;
    let (dataverse, contact) = (&bench.dataverse, contact());
    let id = Uuid::from_u128(7);
    let key = RowKey::Id(id);
    assert_eq!(dataverse.write(&contact, &key, "{}", &Condition::Exists).await.unwrap(), Outcome::Missing);
    let made = dataverse.write(&contact, &key, r#"{"lastname":"Lovelace"}"#, &Condition::Absent).await.unwrap();
    assert_eq!(made, Outcome::Created { id: Some(id) });
    assert_eq!(dataverse.write(&contact, &key, "{}", &Condition::Absent).await.unwrap(), Outcome::Exists);
    let changed = dataverse.write(&contact, &key, r#"{"firstname":"Ada"}"#, &Condition::Any).await.unwrap();
    assert_eq!(changed, Outcome::Updated { id: Some(id) });
    let made = dataverse.write(&contact, &RowKey::Id(Uuid::from_u128(8)), r#"{"lastname":"Z"}"#, &Condition::Any).await.unwrap();
    assert_eq!(made, Outcome::Created { id: Some(Uuid::from_u128(8)) });
    let free = dataverse.create(&contact, r#"{"lastname":"Y"}"#).await.unwrap();
    assert_eq!(bench.names().await, ["Ada Lovelace", "- Y", "- Z"]);
    assert_eq!(dataverse.delete(&contact, &RowKey::Id(free), None).await.unwrap(), Outcome::Written);
    assert_eq!(dataverse.delete(&contact, &RowKey::Id(free), None).await.unwrap(), Outcome::Missing);
}

#[tokio::test]
async fn a_version_that_is_not_the_rows_is_reported_and_nothing_is_written() {
    let bench = Bench::new().await;
    let (dataverse, contact, key) = (&bench.dataverse, contact(), RowKey::Id(Uuid::from_u128(7)));
    dataverse.write(&contact, &key, r#"{"lastname":"a"}"#, &Condition::Absent).await.unwrap();
    let row = dataverse.row(&contact, &key, &["lastname".into()], false).await.unwrap().unwrap();
    let seen = row["@odata.etag"].as_str().unwrap().to_owned();
    let version = Condition::Version(seen.clone());
    assert!(matches!(dataverse.write(&contact, &key, r#"{"lastname":"b"}"#, &version).await, Ok(Outcome::Updated { .. })));
    let error = dataverse.write(&contact, &key, r#"{"lastname":"c"}"#, &version).await.unwrap_err();
    assert!(matches!(error, ConnectError::Changed { .. }), "{error}");
    assert!(matches!(dataverse.delete(&contact, &key, Some(&seen)).await, Err(ConnectError::Changed { .. })));
    assert_eq!(bench.names().await, ["- b"]);
}

#[tokio::test]
async fn an_alternate_key_makes_and_changes_one_row_and_its_value_may_break_an_address() {
    let bench = Bench::new().await;
    let (dataverse, contact) = (&bench.dataverse, contact());
    for address in ["ann@example.com", "ann+news@example.com", "o'hara/50%@example.com"] {
        let key = email(address);
        assert_eq!(dataverse.write(&contact, &key, "{}", &Condition::Exists).await.unwrap(), Outcome::Missing);
        let made = dataverse.write(&contact, &key, r#"{"lastname":"One"}"#, &Condition::Any).await.unwrap();
        let Outcome::Created { id: Some(id) } = made else { panic!("{address}: {made:?}") };
        let changed = dataverse.write(&contact, &key, r#"{"firstname":"Ann"}"#, &Condition::Any).await.unwrap();
        assert_eq!(changed, Outcome::Updated { id: Some(id) }, "{address}");
        assert_eq!(dataverse.write(&contact, &key, "{}", &Condition::Absent).await.unwrap(), Outcome::Exists, "{address}");
        let row = dataverse.row(&contact, &key, &["emailaddress1".into(), "firstname".into()], false).await.unwrap().unwrap();
        assert_eq!((row["emailaddress1"].as_str(), row["firstname"].as_str()), (Some(address), Some("Ann")));
        assert_eq!(dataverse.delete(&contact, &key, None).await.unwrap(), Outcome::Written);
        assert_eq!(dataverse.delete(&contact, &key, None).await.unwrap(), Outcome::Missing);
        assert!(dataverse.row(&contact, &key, &[], false).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_key_that_another_row_has_is_a_duplicate_and_not_taken_for_existence() {
    let bench = Bench::new().await;
    let (dataverse, contact) = (&bench.dataverse, contact());
    let fields = r#"{"emailaddress1":"ann@example.com"}"#;
    dataverse.write(&contact, &RowKey::Id(Uuid::from_u128(1)), fields, &Condition::Absent).await.unwrap();
    let error = dataverse.write(&contact, &RowKey::Id(Uuid::from_u128(2)), fields, &Condition::Absent).await.unwrap_err();
    assert!(matches!(error, ConnectError::Duplicate { .. }), "{error}");
    assert!(matches!(dataverse.create(&contact, fields).await, Err(ConnectError::Duplicate { .. })));
}

#[tokio::test]
async fn a_lost_answer_makes_one_row_under_an_id_of_ours_and_is_reported_under_one_of_theirs() {
    let bench = Bench::new().await;
    let (dataverse, contact) = (&bench.dataverse, contact());
    bench.fail_next(json!({"api": "dataverse", "kind": "lost-answer", "method": "PATCH"})).await;
    let outcome = dataverse.write(&contact, &RowKey::Id(Uuid::from_u128(1)), r#"{"lastname":"a"}"#, &Condition::Absent).await;
    assert_eq!(outcome.unwrap(), Outcome::Exists, "the second attempt finds the first one's row");
    bench.fail_next(json!({"api": "dataverse", "kind": "lost-answer", "method": "POST"})).await;
    let error = dataverse.create(&contact, r#"{"lastname":"b"}"#).await.unwrap_err();
    assert!(matches!(error, ConnectError::OutcomeUnknown { .. }), "{error}");
    bench.fail_next(json!({"api": "dataverse", "kind": "lost-answer", "method": "PATCH"})).await;
    dataverse.write(&contact, &email("c+d@e.f"), r#"{"lastname":"c"}"#, &Condition::Any).await.unwrap();
    assert_eq!(bench.names().await, ["- a", "- b", "- c"]);
}

#[tokio::test]
async fn a_race_of_upserts_by_key_is_tried_again_once() {
    let server = Server::with_tokens(|_, n| match n {
        1 => Reply::json(412, r#"{"error":{"code":"0x80060892","message":"A record with matching key values already exists."}}"#),
        _ => Reply::json(200, format!(r#"{{"contactid":"{}"}}"#, Uuid::from_u128(9))),
    })
    .await;
    let config = DataverseConfig {
        url: server.url.clone(),
        token_url: server.token_url(),
        client_id: "c".into(),
        credential: SecretString::from("s").into(),
    };
    let dataverse = Dataverse::new(Http::new(quick()).unwrap(), config).unwrap();
    let outcome = dataverse.write(&contact(), &email("a@b.c"), "{}", &Condition::Any).await.unwrap();
    assert_eq!(outcome, Outcome::Updated { id: Some(Uuid::from_u128(9)) });
    let calls = server.calls();
    assert_eq!(calls[0].target, "/api/data/v9.2/contacts(emailaddress1='a%40b.c')?$select=contactid");
    assert_eq!(calls[0].header("prefer"), Some("return=representation"));
    assert_eq!(calls[0].header("if-none-match"), None);
}

// Lookups, labels, filters.

#[tokio::test]
async fn polymorphic_lookups_are_bound_read_and_cleared_by_what_the_metadata_says() {
    let bench = Bench::new().await;
    let (dataverse, contact) = (&bench.dataverse, contact());
    let lookups = Lookups::of(&dataverse.entity_metadata("contact").await.unwrap());
    let account = Entity::new("accounts", "account", "accountid");
    let company = dataverse.create(&account, r#"{"name":"Contoso"}"#).await.unwrap();
    let boss = dataverse.create(&contact, r#"{"lastname":"Boss"}"#).await.unwrap();
    let id = RowKey::Id(Uuid::from_u128(7));
    let body = |(name, value): (String, Value)| json!({ name: value }).to_string();
    dataverse.write(&contact, &id, r#"{"lastname":"Worker"}"#, &Condition::Absent).await.unwrap();
    let read = async || {
        let row = dataverse.row(&contact, &id, &["_parentcustomerid_value".into()], true).await.unwrap().unwrap();
        (points_to(&row, "parentcustomerid"), formatted(&row, "_parentcustomerid_value").map(str::to_owned))
    };
    for (entity, row, label) in [(&account, company, "Contoso"), (&contact, boss, "Boss")] {
        let bound = lookups.bind("parentcustomerid", entity, &row.into()).unwrap();
        dataverse.write(&contact, &id, &body(bound), &Condition::Exists).await.unwrap();
        assert_eq!(read().await, (Some((row, Some(entity.logical_name.clone()))), Some(label.to_owned())));
    }
    dataverse.write(&contact, &id, &body(lookups.clear("parentcustomerid").unwrap()), &Condition::Exists).await.unwrap();
    assert_eq!(read().await, (None, None));
}

#[tokio::test]
async fn a_query_filters_orders_and_pages_and_labels_come_beside_the_values() {
    let bench = Bench::new().await;
    let (dataverse, contact) = (&bench.dataverse, contact());
    for n in 0..7 {
        let fields = body([
            ("lastname", ColumnValue::Text(format!("N'{n} & +"))),
            ("gendercode", ColumnValue::Integer(1 + n % 2)),
            ("birthdate", ColumnValue::Date("1990-05-06".parse().unwrap())),
            ("creditlimit", ColumnValue::Decimal("12345678901.25".parse().unwrap())),
        ]);
        dataverse.create(&contact, &fields).await.unwrap();
    }
    let columns = ["lastname", "gendercode", "birthdate", "creditlimit"].map(str::to_owned).to_vec();
    let query = Query { order: Some("lastname desc".into()), annotations: true, ..Query::of("contacts", columns, 2) };
    let found = rows(dataverse, query.clone().filtered("gendercode eq 1 and contains(lastname,'n''')")).await;
    assert_eq!(found.iter().map(|r| r["lastname"].as_str().unwrap()).collect::<Vec<_>>(), ["N'6 & +", "N'4 & +", "N'2 & +", "N'0 & +"]);
    assert!(found.iter().all(|r| formatted(r, "gendercode") == Some("Male")), "on every page: {found:?}");
    assert_eq!(found[0]["birthdate"], "1990-05-06");
    assert_eq!(found[0]["creditlimit"].to_string(), "12345678901.25");
    let tracked = Query { filter: Some("gendercode eq 1".into()), ..query.tracked() };
    let error = dataverse.page(&PageRequest::First(tracked)).await.unwrap_err();
    assert!(error.to_string().contains("$filter") && error.to_string().contains("change tracking"), "{error}");
}

// Batches.

#[tokio::test]
async fn a_batch_tells_of_each_part_and_a_change_set_that_fails_leaves_nothing_behind() {
    let bench = Bench::new().await;
    let (dataverse, contact) = (&bench.dataverse, contact());
    let make = |name: &str| Operation::create(&contact, json!({"lastname": name, "description": "two\r\nlines, --batch_x"}).to_string());
    let wrong = Operation::create(&contact, r#"{"nosuchcolumn":1}"#);
    let parts = [
        Part::Single(make("single")),
        Part::ChangeSet(vec![make("lost"), wrong.clone()]),
        Part::ChangeSet(vec![make("first"), Operation::change_made(1, r#"{"firstname":"of two"}"#)]),
        Part::Single(Operation::delete(&contact, &RowKey::Id(Uuid::from_u128(404))).unwrap()),
    ];
    let outcomes = dataverse.batch(&parts, true).await.unwrap();
    let [PartOutcome::Done(single), PartOutcome::Failed { error, .. }, PartOutcome::Done(set), PartOutcome::Failed { error: gone, .. }] =
        &outcomes[..]
    else {
        panic!("{outcomes:?}")
    };
    assert_eq!((single.len(), single[0].status, set.len()), (1, 204, 2));
    assert!(single[0].id.is_some());
    assert!(matches!(error, ConnectError::Rejected { .. }) && error.to_string().contains("nosuchcolumn"), "{error}");
    assert!(matches!(gone, ConnectError::NotFound { .. }), "{gone}");
    assert_eq!(bench.names().await, ["of two first", "- single"]);

    let outcomes = dataverse.batch(&[Part::Single(make("a")), Part::Single(wrong), Part::Single(make("never"))], false).await.unwrap();
    assert!(matches!(&outcomes[..], [PartOutcome::Done(_), PartOutcome::Failed { .. }, PartOutcome::NotBegun]), "{outcomes:?}");
    assert_eq!(bench.names().await, ["- a", "of two first", "- single"]);
    assert_eq!(bench.http.stats().api("dataverse").outcomes.get("unavailable"), None);
}

#[tokio::test]
async fn a_batch_reads_rows_and_upserts_by_key() {
    let bench = Bench::new().await;
    let (dataverse, contact) = (&bench.dataverse, contact());
    let id = Uuid::from_u128(7);
    let upsert = Operation::write(&contact, &email("a@b.c"), r#"{"lastname":"K"}"#, &Condition::Any).unwrap();
    let made = Operation::write(&contact, &id.into(), r#"{"lastname":"A"}"#, &Condition::Absent).unwrap();
    let get = Operation::get(&contact, &id.into(), &["lastname".to_owned()]).unwrap();
    let outcomes = dataverse.batch(&[made, upsert, get].map(Part::Single), false).await.unwrap();
    let PartOutcome::Done(read) = &outcomes[2] else { panic!("{outcomes:?}") };
    assert_eq!(serde_json::from_slice::<Value>(&read[0].body).unwrap()["lastname"], "A");
    assert!(Operation::write(&contact, &email("a+b@c.d"), "{}", &Condition::Any).is_none());
    assert_eq!(bench.names().await, ["- A", "- K"]);
}

#[tokio::test]
async fn a_batch_of_writes_by_id_is_repeated_after_a_lost_answer_and_one_that_makes_rows_is_not() {
    let bench = Bench::new().await;
    let (dataverse, contact) = (&bench.dataverse, contact());
    let upsert = |n: u128| {
        Part::Single(
            Operation::write(&contact, &Uuid::from_u128(n).into(), json!({"lastname": n.to_string()}).to_string(), &Condition::Any)
                .unwrap(),
        )
    };
    bench.fail_next(json!({"api": "dataverse", "kind": "lost-answer", "path": "$batch"})).await;
    assert_eq!(dataverse.batch(&[upsert(1), upsert(2)], false).await.unwrap().len(), 2);
    bench.fail_next(json!({"api": "dataverse", "kind": "lost-answer", "path": "$batch"})).await;
    let error = dataverse.batch(&[Part::Single(Operation::create(&contact, r#"{"lastname":"3"}"#))], false).await.unwrap_err();
    assert!(matches!(error, ConnectError::OutcomeUnknown { .. }), "{error}");
    assert_eq!(bench.names().await, ["- 1", "- 2", "- 3"]);
}

#[tokio::test]
async fn what_the_service_would_refuse_as_a_whole_is_refused_before_it_is_sent() {
    let bench = Bench::new().await;
    let (dataverse, contact) = (&bench.dataverse, contact());
    let get = Operation::get(&contact, &Uuid::nil().into(), &[]).unwrap();
    for parts in [vec![Part::Single(get.clone()); 1001], vec![Part::ChangeSet(vec![get])], vec![Part::ChangeSet(Vec::new())]] {
        assert!(matches!(dataverse.batch(&parts, false).await, Err(ConnectError::Config { .. })));
    }
    assert!(dataverse.batch(&[], false).await.unwrap().is_empty());
    assert_eq!(bench.http.stats().api("dataverse").calls, 0);
}

// Bulk operations.

#[tokio::test]
async fn a_bulk_create_halves_down_to_the_bad_rows_and_writes_all_others_in_few_requests() {
    let bench = Bench::new().await;
    let (dataverse, contact) = (&bench.dataverse, contact());
    let support = dataverse.bulk_support(&contact).await.unwrap();
    assert!(support.has(Bulk::Create) && support.has(Bulk::Upsert));
    let before = bench.http.stats().api("dataverse").calls;
    let mut targets: Vec<Target> = (0..100).map(named).collect();
    for bad in [13, 77] {
        targets[bad].fields = json!({"lastname": "x".repeat(51)}).to_string();
    }
    let results = dataverse.bulk(&contact, Bulk::Create, &targets, 100).await;
    let failed: Vec<_> = (0..100).filter(|n| results[*n].is_err()).collect();
    assert_eq!(failed, [13, 77]);
    assert!(results[13].as_ref().unwrap_err().to_string().contains("lastname"), "{:?}", results[13]);
    assert_eq!(results[0].as_ref().unwrap(), &Some(Uuid::from_u128(1)));
    let calls = bench.http.stats().api("dataverse").calls - before;
    assert!(calls <= 1 + 2 * 2 * 7, "each bad row costs two requests for each halving: {calls}");
    assert_eq!(bench.contacts().await.len(), 98);
}

#[tokio::test]
async fn a_bulk_update_and_upsert_write_a_row_that_comes_twice_in_order() {
    let bench = Bench::new().await;
    let (dataverse, contact) = (&bench.dataverse, contact());
    let target = |key: RowKey, name: &str| Target { key: Some(key), fields: json!({"lastname": name}).to_string() };
    let upserts = [target(email("a@b.c"), "1"), target(email("d+e@f.g"), "2"), target(email("a@b.c"), "3"), target(email("h@i.j"), "4")];
    assert!(dataverse.bulk(&contact, Bulk::Upsert, &upserts, 100).await.iter().all(Result::is_ok));
    assert_eq!(bench.names().await, ["- 2", "- 3", "- 4"]);
    let ids: Vec<Uuid> = bench.contacts().await.iter().map(|r| r["contactid"].as_str().unwrap().parse().unwrap()).collect();
    let missing = Uuid::from_u128(404);
    let updates = [target(ids[0].into(), "5"), target(missing.into(), "6"), target(ids[0].into(), "7")];
    let results = dataverse.bulk(&contact, Bulk::Update, &updates, 100).await;
    assert!(results[0].is_ok() && matches!(results[1], Err(ConnectError::NotFound { .. })) && results[2].is_ok(), "{results:?}");
    assert_eq!(bench.names().await, ["- 3", "- 4", "- 7"]);
}

#[tokio::test]
async fn a_bulk_create_whose_answer_is_lost_is_not_repeated_and_an_upsert_is() {
    let bench = Bench::new().await;
    let (dataverse, contact) = (&bench.dataverse, contact());
    let lost = json!({"api": "dataverse", "kind": "lost-answer", "path": "Multiple"});
    bench.fail_next(lost.clone()).await;
    let anonymous: Vec<Target> = (0..3).map(|n| Target { key: None, ..named(n) }).collect();
    let results = dataverse.bulk(&contact, Bulk::Create, &anonymous, 2).await;
    assert!(
        matches!(results[0], Err(ConnectError::OutcomeUnknown { .. })) && matches!(results[1], Err(ConnectError::OutcomeUnknown { .. }))
    );
    assert!(results[2].is_ok(), "the other request went well");
    bench.fail_next(lost).await;
    let named: Vec<Target> = (3..6).map(named).collect();
    assert!(dataverse.bulk(&contact, Bulk::Upsert, &named, 100).await.iter().all(Result::is_ok));
    assert_eq!(bench.contacts().await.len(), 6);
}

#[tokio::test]
async fn a_row_without_what_names_it_fails_alone() {
    let bench = Bench::new().await;
    let mut targets: Vec<Target> = (0..3).map(named).collect();
    targets[1].key = None;
    let results = bench.dataverse.bulk(&contact(), Bulk::Upsert, &targets, 100).await;
    assert!(results[0].is_ok() && results[2].is_ok());
    assert!(matches!(results[1], Err(ConnectError::Config { .. })), "{results:?}");
}
