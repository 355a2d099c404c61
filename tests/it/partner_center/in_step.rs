//! A two-way mapping end to end: the commands against the emulated Dynamics 365 and Partner Center, over HTTP.

use d365map_emulator::Config;
use reqwest::Method;
use serde_json::{Value, json};

use super::sign_in::{Place, settings};

const IDENTIFIER: &str = "msft_microsoftpartnercenterreferralidentifier";
const COLUMNS: &str = "opportunityid,name,estimatedvalue,msft_microsoftpartnercenterreferralidentifier";

/// A signed-in project with the shipped mapping, and somebody who works in Dynamics.
struct Deal {
    place: Place,
    http: reqwest::Client,
    token: String,
}

impl Deal {
    async fn new() -> Deal {
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
        std::fs::write(path.join("mappings/referrals.d365map"), mapping).unwrap();
        place.sign_in().await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let scope = format!("{}/.default", running.dataverse_url());
        let form =
            [("grant_type", "client_credentials"), ("client_id", &dynamics.id), ("client_secret", &dynamics.secret), ("scope", &scope)];
        let answer = http.post(running.dataverse_token_url()).form(&form).send().await.unwrap();
        let token = answer.json::<Value>().await.unwrap()["access_token"].as_str().expect("a token").to_owned();
        Deal { place, http, token }
    }

    /// Runs the mapping once.
    async fn run(&self) {
        let mut command = self.place.command(&["run", "--format", "json"]);
        let output = command.env("D365MAP_DYNAMICS_SECRET", self.place.running.credentials().dataverse.secret).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    }

    async fn dynamics(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/api/data/v9.2/{path}", self.place.running.dataverse_url());
        let answer = self.http.request(method, url).bearer_auth(&self.token).json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn opportunities(&self) -> Vec<Value> {
        let url = format!("{}/api/data/v9.2/opportunities?$select={COLUMNS}", self.place.running.dataverse_url());
        let answer = self.http.get(url).bearer_auth(&self.token).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["value"].as_array().expect("a list").clone()
    }

    async fn admin(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/{path}", self.place.running.admin_url());
        let answer = self.http.request(method, url).json(&body).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn referrals(&self) -> Vec<Value> {
        self.admin(Method::GET, "partner/referrals", json!({})).await.as_array().expect("a list").clone()
    }

    async fn referral(&self, id: &Value) -> Value {
        self.referrals().await.into_iter().find(|referral| referral["id"] == *id).expect("the referral")
    }

    /// Changes sent to Dynamics and to Partner Center since the last call.
    async fn writes(&self) -> (u64, u64) {
        let stats = self.admin(Method::GET, "stats", json!({})).await;
        self.admin(Method::POST, "reset-stats", json!({})).await;
        let of = |api: &str| stats["apis"][api]["writes"].as_u64().expect("a count");
        (of("dataverse"), of("referrals"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_of_partner_center_stays_in_step_with_one_write_for_a_change_and_none_for_its_echo() {
    let deal = Deal::new().await;
    let body = json!({
        "name": "Data platform", "type": "Independent", "qualification": "SalesQualified", "status": "Active", "substatus": "Accepted",
        "customerProfile": {"name": "Contoso", "address": {"country": "US", "postalCode": "98052"}},
        "consent": {"consentToToShareInfoWithOthers": true, "consentToContact": true, "consentToShareReferralWithMicrosoftSellers": true},
        "details": {"dealValue": 5000, "currency": "USD", "requirements": {"solutions": [{"id": "SOL-1-A", "type": "Name"}]}},
    });
    let open = deal.admin(Method::POST, "partner/referrals", body).await;
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (1, 1), "the opportunity, and its id in the referral");
    let ours = || async { deal.opportunities().await.into_iter().find(|one| one[IDENTIFIER] == open["id"]).expect("its opportunity") };
    let opportunity = ours().await;
    assert_eq!(deal.referral(&open["id"]).await["externalReferenceId"], opportunity["opportunityid"]);
    let count = deal.opportunities().await.len();

    // Changed in Dynamics, then in Partner Center.
    let path = format!("opportunities({})", opportunity["opportunityid"].as_str().unwrap());
    deal.dynamics(Method::PATCH, &path, json!({"estimatedvalue": 1500})).await;
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (0, 1));
    assert_eq!(deal.referral(&open["id"]).await["details"]["dealValue"].as_f64(), Some(1500.0));
    let path = format!("partner/referrals/{}", open["id"].as_str().unwrap());
    deal.admin(Method::PATCH, &path, json!({"name": "Data platform, phase 1"})).await;
    deal.writes().await;
    deal.run().await;
    assert_eq!(deal.writes().await, (1, 0));
    assert_eq!(ours().await["name"], "Data platform, phase 1");

    deal.run().await;
    assert_eq!(deal.writes().await, (0, 0));
    assert_eq!(deal.opportunities().await.len(), count);
}
