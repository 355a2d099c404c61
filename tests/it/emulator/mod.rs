//! The emulators keep the vendors' rules: tested over real HTTP, as any client would meet them.

mod batch;
mod campaign;
mod campaign_resources;
mod campaign_subscriptions;
mod dataverse;
mod journal;
mod kept;
mod setup;
mod tables;
mod tracking;
mod trouble;

use d365map_emulator::{Client, Config, Credentials, Running, credentials, start};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

/// Emulators with a client that is logged in to both.
pub struct Bench {
    pub running: Running,
    pub http: reqwest::Client,
    pub dataverse: String,
    pub campaign: String,
}

pub const ID: &str = "c0000000-0000-4000-8000-000000000001";
pub const OTHER_ID: &str = "c0000000-0000-4000-8000-000000000002";

impl Bench {
    pub async fn with(config: Config) -> Bench {
        let running = start(config).await.expect("the emulators start");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut bench = Bench { running, http, dataverse: String::new(), campaign: String::new() };
        bench.log_in().await;
        bench
    }

    pub async fn new() -> Bench {
        Bench::with(Config::default()).await
    }

    pub async fn seeded(seed: Value) -> Bench {
        Bench::with(Config { seed_text: Some(seed.to_string()), ..Config::default() }).await
    }

    pub async fn log_in(&mut self) {
        let Credentials { dataverse, campaign, campaign_scope, .. } = credentials();
        self.dataverse = self.dataverse_token(&dataverse).await;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &campaign.id),
            ("client_secret", &campaign.secret),
            ("scope", &campaign_scope),
        ];
        let answer = self.http.post(self.running.campaign_token_url()).form(&form).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        self.campaign = body["access_token"].as_str().expect("a token").to_owned();
    }

    pub async fn dataverse_token(&self, client: &Client) -> String {
        let scope = format!("{}/.default", self.running.dataverse_url());
        let form = [("grant_type", "client_credentials"), ("client_id", &client.id), ("client_secret", &client.secret), ("scope", &scope)];
        let answer = self.http.post(self.running.dataverse_token_url()).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let body: Value = answer.json().await.unwrap();
        body["access_token"].as_str().expect("a token").to_owned()
    }

    /// A request to Dataverse, by a path below the service root or a whole link.
    pub fn dv(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}/api/data/v9.2/{path}", self.running.dataverse_url()) };
        self.http.request(method, url).bearer_auth(&self.dataverse)
    }

    pub async fn get(&self, path: &str) -> Value {
        ok(self.dv(Method::GET, path)).await
    }

    /// A request to Campaign, by a path below the instance's root or a whole link.
    pub fn ac(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}/campaign/{path}", self.running.campaign_url()) };
        self.http.request(method, url).bearer_auth(&self.campaign).header("X-Api-Key", credentials().campaign.id)
    }

    pub async fn admin(&self, path: &str, body: Value) {
        let answer = self.http.post(format!("{}/{path}", self.running.admin_url())).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 204, "{}", answer.text().await.unwrap());
    }

    pub async fn look(&self, path: &str) -> Value {
        self.http.get(format!("{}/{path}", self.running.admin_url())).send().await.unwrap().json().await.unwrap()
    }

    /// Creates a contact with an id.
    pub async fn contact(&self, id: &str, fields: Value) {
        let mut body = fields;
        body["contactid"] = json!(id);
        let answer = self.dv(Method::POST, "contacts").json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 204, "{}", answer.text().await.unwrap());
    }
}

/// The body of an answer that must be a success.
pub async fn ok(request: RequestBuilder) -> Value {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Status, code and message of an answer that must be an error of Dataverse.
pub async fn refused(request: RequestBuilder) -> (u16, String, String) {
    let answer: Response = request.send().await.unwrap();
    let status = answer.status().as_u16();
    assert!(status >= 400, "a success: {status}");
    let body: Value = answer.json().await.unwrap();
    let text = |name: &str| body["error"][name].as_str().unwrap_or_else(|| panic!("no error.{name}: {body}")).to_owned();
    (status, text("code"), text("message"))
}

/// Status and message of an answer that must be an error of Campaign.
pub async fn turned_down(request: RequestBuilder) -> (u16, String, String) {
    let answer: Response = request.send().await.unwrap();
    let status = answer.status().as_u16();
    assert!(status >= 400, "a success: {status}");
    let body: Value = answer.json().await.unwrap();
    let code = body["error_code"].as_str().map(str::to_owned).unwrap_or_else(|| body["code"].to_string());
    (status, code, body["message"].as_str().unwrap_or_default().to_owned())
}
