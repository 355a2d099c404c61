//! The Partner Center emulator, as a client meets it over HTTP.

mod referrals;
mod sign_in;
mod webhooks;

use d365map_emulator::{Config, PartnerCenterConfig, PartnerCredentials, Running, start};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

const REFERRALS: &str = "https://api.partner.microsoft.com";
const WEBHOOKS: &str = "https://api.partnercenter.microsoft.com";

/// An emulator with a client that has signed in.
struct Bench {
    running: Running,
    http: reqwest::Client,
    people: PartnerCredentials,
    token: String,
}

fn settings() -> PartnerCenterConfig {
    PartnerCenterConfig { device_interval: std::time::Duration::ZERO, ..PartnerCenterConfig::default() }
}

impl Bench {
    async fn bare(settings: PartnerCenterConfig, seed: Value) -> Bench {
        let config = Config { partner_center: Some(settings), seed_text: Some(seed.to_string()), ..Config::default() };
        let running = start(config).await.expect("the emulators start");
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        let people = running.credentials().partner;
        Bench { running, http, people, token: String::new() }
    }

    async fn with(settings: PartnerCenterConfig, seed: Value) -> Bench {
        let mut bench = Bench::bare(settings, seed).await;
        bench.token = bench.sign_in("", REFERRALS).await["access_token"].as_str().expect("a token").to_owned();
        bench
    }

    async fn new() -> Bench {
        Bench::with(settings(), json!({})).await
    }

    fn authority(&self, rest: &str) -> String {
        format!("{}/{rest}", self.running.partner_authority_url().expect("an address"))
    }

    async fn post_form(&self, rest: &str, form: &[(&str, &str)]) -> Response {
        self.http.post(self.authority(rest)).form(form).send().await.expect("an answer")
    }

    /// Signs in by a device code; `name` is who signs in, the admin when empty.
    async fn sign_in(&self, name: &str, resource: &str) -> Value {
        let scope = format!("{resource}/.default offline_access");
        let form = [("client_id", self.people.public_client.as_str()), ("scope", &scope)];
        let device = json(self.post_form("oauth2/v2.0/devicecode", &form).await).await;
        if !name.is_empty() {
            self.admin("partner/device", json!({"user_code": device["user_code"], "action": "approve", "user": name})).await;
        }
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("client_id", self.people.public_client.as_str()),
            ("device_code", device["device_code"].as_str().expect("a code")),
        ];
        loop {
            let answer = self.post_form("oauth2/v2.0/token", &form).await;
            if answer.status() == 200 {
                return json(answer).await;
            }
            assert_eq!(json(answer).await["error"], "authorization_pending");
        }
    }

    async fn admin(&self, path: &str, body: Value) -> Value {
        let answer = self.http.post(format!("{}/{path}", self.running.admin_url())).json(&body).send().await.expect("an answer");
        let (status, text) = (answer.status(), answer.text().await.expect("a body"));
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// A request to the referrals, by a path below them.
    fn api(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/v1.0/engagements/referrals{path}", self.running.referrals_url().expect("an address"));
        self.http.request(method, url).bearer_auth(&self.token)
    }

    async fn create(&self, body: &Value) -> Value {
        let answer = self.api(Method::POST, "").json(body).send().await.expect("an answer");
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap_or_default());
        json(answer).await
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.api(Method::GET, path).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        json(answer).await
    }

    async fn patch(&self, id: &Value, document: Value) -> Response {
        let path = format!("/{}", id.as_str().expect("an id"));
        self.api(Method::PATCH, &path).json(&document).send().await.expect("an answer")
    }
}

async fn json(answer: Response) -> Value {
    answer.json().await.expect("a body")
}

/// A deal that the service takes.
fn deal(name: &str) -> Value {
    json!({
        "name": name, "type": "Independent", "qualification": "SalesQualified",
        "customerProfile": {"name": "Contoso", "address": {"country": "US", "postalCode": "98052"},
            "team": [{"firstName": "Ann", "lastName": "Lee", "phoneNumber": "1", "email": "ann@contoso.example"}]},
        "consent": {"consentToToShareInfoWithOthers": true, "consentToContact": true, "consentToShareReferralWithMicrosoftSellers": true},
        "details": {"dealValue": 5000, "currency": "USD", "notes": "n",
            "requirements": {"solutions": [{"id": "SOL-1-A", "type": "Name"}]}},
        "team": [{"firstName": "Bo", "lastName": "Ray", "phoneNumber": "2", "email": "bo@partner.example"}],
    })
}
