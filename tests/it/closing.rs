//! Opportunities that are closed by a message, over HTTP: the connector against the emulator, which was written from the documents.

use std::time::Duration;

use d365map::connect::{ConnectError, Http, HttpConfig};
use d365map::systems::dataverse::Dataverse;
use d365map::systems::{Payload, RecordKey, Table, Target, Written};
use d365map_emulator::{Config, Running, start};
use serde_json::{Value, json};

const TABLE: Table<'static> = Table { name: "opportunity", collection: "opportunities" };
const ID: &str = "c0000000-0000-4000-8000-000000000001";

struct Bench {
    running: Running,
    dataverse: Dataverse,
}

impl Bench {
    /// With one open opportunity.
    async fn new() -> Bench {
        let running = start(Config::default()).await.unwrap();
        let config = HttpConfig { backoff_min: Duration::from_millis(1), backoff_max: Duration::from_millis(10), ..HttpConfig::default() };
        let dataverse = crate::connect_emulator::dataverse(&running, &Http::new(config).unwrap());
        let bench = Bench { running, dataverse };
        bench.create(json!({"opportunityid": ID, "name": "Deal", "statecode": 0})).await;
        bench
    }

    async fn create(&self, body: Value) {
        Target::create(&self.dataverse, TABLE, "opportunityid", Payload::from(body.to_string())).await.unwrap();
    }

    fn key<'a>(&self, id: &'a str) -> RecordKey<'a> {
        RecordKey { table: TABLE, attribute: "opportunityid", value: id }
    }

    async fn update(&self, body: Value, version: Option<&str>) -> Result<Written, ConnectError> {
        Target::update(&self.dataverse, self.key(ID), Payload::from(body.to_string()), version).await
    }

    async fn opportunity(&self, id: &str) -> Value {
        Target::get(&self.dataverse, self.key(id)).await.unwrap().expect("the opportunity").record
    }

    async fn version(&self) -> String {
        Target::get(&self.dataverse, self.key(ID)).await.unwrap().unwrap().version.expect("a version")
    }

    /// State, status reason and name.
    async fn state(&self) -> (i64, i64, String) {
        let row = self.opportunity(ID).await;
        (row["statecode"].as_i64().unwrap(), row["statuscode"].as_i64().unwrap(), row["name"].as_str().unwrap().to_owned())
    }

    async fn admin(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/{path}", self.running.admin_url());
        let answer = client.request(method, url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()
    }

    async fn fail_next(&self, order: Value) {
        self.admin(reqwest::Method::POST, "fail-next", order).await;
    }

    /// Writes since the last call.
    async fn writes(&self) -> u64 {
        let stats = self.admin(reqwest::Method::GET, "stats", json!({})).await;
        self.admin(reqwest::Method::POST, "reset-stats", json!({})).await;
        stats["apis"]["dataverse"]["writes"].as_u64().expect("a count")
    }
}

#[tokio::test]
async fn an_opportunity_is_won_or_lost_by_a_message_after_its_other_columns_are_sent() {
    for (state, status, expected) in [(1, None, 3), (2, None, 4), (2, Some(5), 5)] {
        let bench = Bench::new().await;
        let mut body = json!({"name": "Renamed", "statecode": state});
        if let Some(status) = status {
            body["statuscode"] = json!(status);
        }
        let version = bench.version().await;
        assert_eq!(bench.update(body, Some(&version)).await.unwrap(), Written::Done);
        assert_eq!(bench.state().await, (state, expected, "Renamed".to_owned()));
    }
}

#[tokio::test]
async fn a_closed_opportunity_refuses_other_changes_and_takes_them_when_it_is_open_again() {
    let bench = Bench::new().await;
    bench.update(json!({"statecode": 1}), None).await.unwrap();
    let error = bench.update(json!({"name": "Renamed"}), None).await.unwrap_err();
    assert!(matches!(error, ConnectError::Rejected { .. }), "{error}");
    let error = bench.update(json!({"statecode": 2}), None).await.unwrap_err();
    assert!(matches!(error, ConnectError::Rejected { .. }), "{error}");
    bench.update(json!({"statecode": 0, "name": "Renamed"}), None).await.unwrap();
    assert_eq!(bench.state().await, (0, 1, "Renamed".to_owned()));
}

#[tokio::test]
async fn a_message_whose_answer_is_lost_is_not_sent_again_if_it_took_effect() {
    let bench = Bench::new().await;
    bench.writes().await;
    bench.fail_next(json!({"api": "dataverse", "kind": "lost-answer", "method": "POST", "path": "WinOpportunity"})).await;
    assert_eq!(bench.update(json!({"statecode": 1}), None).await.unwrap(), Written::Done);
    assert_eq!(bench.writes().await, 1);
    assert_eq!(bench.state().await, (1, 3, "Deal".to_owned()));
    // The next attempt, for example after the process ended before it noted the answer.
    assert_eq!(bench.update(json!({"statecode": 1}), None).await.unwrap(), Written::Done);
    assert_eq!(bench.writes().await, 0);
}

#[tokio::test]
async fn a_message_that_has_no_effect_leaves_the_opportunity_open_and_can_be_sent_again() {
    let bench = Bench::new().await;
    bench.fail_next(json!({"api": "dataverse", "kind": "status", "status": 400, "method": "POST", "path": "LoseOpportunity"})).await;
    bench.update(json!({"name": "Renamed", "statecode": 2}), None).await.unwrap_err();
    assert_eq!(bench.state().await, (0, 1, "Renamed".to_owned()), "the other columns were sent before");
    bench.update(json!({"name": "Renamed", "statecode": 2}), None).await.unwrap();
    assert_eq!(bench.state().await, (2, 4, "Renamed".to_owned()));
}

#[tokio::test]
async fn nothing_is_closed_under_an_old_version_or_if_it_is_missing() {
    let bench = Bench::new().await;
    let old = bench.version().await;
    bench.update(json!({"name": "Renamed"}), None).await.unwrap();
    for body in [json!({"statecode": 1}), json!({"statecode": 1, "name": "Again"})] {
        let error = bench.update(body, Some(&old)).await.unwrap_err();
        assert!(matches!(error, ConnectError::Changed { .. }), "{error}");
    }
    assert_eq!(bench.state().await, (0, 1, "Renamed".to_owned()));
    let key = bench.key("c0000000-0000-4000-8000-000000000009");
    let body = Payload::from(json!({"statecode": 1}).to_string());
    assert_eq!(Target::update(&bench.dataverse, key, body, None).await.unwrap(), Written::Missing);
}

#[tokio::test]
async fn an_opportunity_that_is_created_as_won_is_created_open_and_then_closed() {
    let bench = Bench::new().await;
    let id = "c0000000-0000-4000-8000-000000000002";
    bench.create(json!({"opportunityid": id, "name": "Won", "statecode": 1, "estimatedvalue": 100.5})).await;
    let row = bench.opportunity(id).await;
    assert_eq!((&row["statecode"], &row["statuscode"], row["actualvalue"].as_f64()), (&json!(1), &json!(3), Some(100.5)));
}
