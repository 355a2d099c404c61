//! A project with the shipped mapping of referrals, and people who work in both systems.

use d365map_emulator::Config;
use reqwest::Method;
use serde_json::{Value, json};

use super::sign_in::{Place, settings};

pub(super) const IDENTIFIER: &str = "msft_microsoftpartnercenterreferralidentifier";
pub(super) const SYNC: &str = "msft_microsoftpartnercenterreferralsync";

/// A signed-in project with the shipped mapping, and somebody who works in Dynamics.
pub(super) struct Deal {
    pub(super) place: Place,
    http: reqwest::Client,
    token: String,
}

impl Deal {
    pub(super) async fn new() -> Deal {
        Deal::with(|mapping| mapping).await
    }

    /// With a changed mapping.
    pub(super) async fn with(change: impl FnOnce(String) -> String) -> Deal {
        let place = Place::with(Config { partner_center: Some(settings()), ..Config::default() }).await;
        let running = &place.running;
        let dynamics = running.credentials().dataverse;
        let path = place.project.path();
        let text = std::fs::read_to_string(path.join("d365map.yaml")).unwrap();
        let section = format!(
            "  dynamics:\n    url: {}\n    token-url: {}\n    client-id: {}\n    client-secret: {{ env: D365MAP_DYNAMICS_SECRET }}\n",
            running.dataverse_url(),
            running.dataverse_token_url(),
            dynamics.id
        );
        std::fs::write(path.join("d365map.yaml"), text + &section).unwrap();
        std::fs::create_dir(path.join("mappings")).unwrap();
        let mapping = include_str!("../../../mappings/referrals.d365map").replace("scope co-sell", "scope all");
        std::fs::write(path.join("mappings/referrals.d365map"), change(mapping)).unwrap();
        place.sign_in().await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let scope = format!("{}/.default", running.dataverse_url());
        let form =
            [("grant_type", "client_credentials"), ("client_id", &dynamics.id), ("client_secret", &dynamics.secret), ("scope", &scope)];
        let answer = http.post(running.dataverse_token_url()).form(&form).send().await.unwrap();
        let token = answer.json::<Value>().await.unwrap()["access_token"].as_str().expect("a token").to_owned();
        Deal { place, http, token }
    }

    /// The output of a command that ends with this status.
    pub(super) async fn output(&self, args: &[&str], status: i32) -> String {
        let mut command = self.place.command(args);
        let output = command.env("D365MAP_DYNAMICS_SECRET", self.place.running.credentials().dataverse.secret).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(output.status.code(), Some(status), "{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs the mapping once.
    pub(super) async fn run(&self) {
        self.output(&["run", "--format", "json"], 0).await;
    }

    /// Runs the mapping once, with dead letters at its end.
    pub(super) async fn run_with_dead_letters(&self) -> Vec<Value> {
        self.output(&["run", "--format", "json"], 1).await;
        let text = self.output(&["dead-letters", "list", "--format", "json"], 0).await;
        let listed: Value = serde_json::from_str(&text).expect("JSON");
        listed["dead_letters"].as_array().expect("a list").clone()
    }

    /// Runs the mapping once, and returns the codes of the dead letters.
    pub(super) async fn rejections(&self) -> Vec<String> {
        let summary: Value = serde_json::from_str(&self.output(&["run", "--format", "json"], 1).await).expect("JSON");
        let rejections = summary["summary"]["flows"][0]["rejections"].as_array().expect("rejections");
        let mut codes: Vec<String> = rejections.iter().map(|one| one["code"].as_str().unwrap_or_default().to_owned()).collect();
        codes.sort();
        codes
    }

    pub(super) async fn dynamics(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/api/data/v9.2/{path}", self.place.running.dataverse_url());
        let answer = self.http.request(method, url).bearer_auth(&self.token).json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// All rows of a table.
    pub(super) async fn rows(&self, collection: &str) -> Vec<Value> {
        let url = format!("{}/api/data/v9.2/{collection}", self.place.running.dataverse_url());
        let answer = self.http.get(url).bearer_auth(&self.token).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["value"].as_array().expect("a list").clone()
    }

    /// Creates a row and returns its id.
    pub(super) async fn create(&self, collection: &str, key: &str, mut body: Value) -> String {
        let id = uuid::Uuid::new_v4().to_string();
        body[key] = json!(id);
        self.dynamics(Method::POST, collection, body).await;
        id
    }

    pub(super) async fn opportunities(&self) -> Vec<Value> {
        self.rows("opportunities").await
    }

    pub(super) async fn admin(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/{path}", self.place.running.admin_url());
        let answer = self.http.request(method, url).json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub(super) async fn referrals(&self) -> Vec<Value> {
        self.admin(Method::GET, "partner/referrals", json!({})).await.as_array().expect("a list").clone()
    }

    pub(super) async fn referral(&self, id: &Value) -> Value {
        self.referrals().await.into_iter().find(|referral| referral["id"] == *id).expect("the referral")
    }

    /// The opportunity of a referral.
    pub(super) async fn opportunity_of(&self, id: &Value) -> Value {
        self.opportunities().await.into_iter().find(|one| one[IDENTIFIER] == *id).expect("its opportunity")
    }

    /// The id of a new referral.
    pub(super) async fn referral_named(&self, name: &str, status: &str, substatus: &str) -> Value {
        let body = json!({
            "name": name, "type": "Independent", "qualification": "SalesQualified", "status": status, "substatus": substatus,
            "customerProfile": {"name": "Contoso", "address": {"country": "US", "postalCode": "98052"}},
            "consent": {"consentToToShareInfoWithOthers": true, "consentToContact": true, "consentToShareReferralWithMicrosoftSellers": true},
            "details": {"dealValue": 5000, "currency": "USD", "requirements": {"solutions": [{"id": "SOL-1-A", "type": "Name"}]}},
        });
        self.admin(Method::POST, "partner/referrals", body).await["id"].clone()
    }

    /// Changes sent to Dynamics and to Partner Center since the last call.
    pub(super) async fn writes(&self) -> (u64, u64) {
        let stats = self.admin(Method::GET, "stats", json!({})).await;
        self.admin(Method::POST, "reset-stats", json!({})).await;
        let of = |api: &str| stats["apis"][api]["writes"].as_u64().expect("a count");
        (of("dataverse"), of("referrals"))
    }
}
