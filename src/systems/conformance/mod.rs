//! The contract of [`Source`](super::Source), [`Target`](super::Target) and what else a connection may have, as a suite that every system
//! must pass: the connectors over real HTTP against the emulators, and the system in memory.

mod profiles;
mod sources;
mod targets;
mod timelines;

use std::sync::Arc;

use d365map_emulator::{Config, PartnerCenterConfig, Running, start};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::campaign::{Campaign, CampaignConfig};
use super::dataverse::{Dataverse, DataverseConfig};
use super::memory::Memory;
use super::partner_center::PartnerCenter;
use super::{Connection, Payload, Query, RecordKey, Source, Systems, Table, Target};
use crate::connect::http::FixedTokens;
use crate::connect::{Http, HttpConfig};
use crate::system::SystemId;

/// A system under test, with an empty table.
struct Subject {
    source: Arc<dyn Source>,
    target: Arc<dyn Target>,
    table: Table<'static>,
    /// The attribute with the key, which is also the id of the records that are read.
    attribute: &'static str,
    /// A field of text.
    text: &'static str,
    /// Another one.
    other: &'static str,
    /// A field of text by which records are searched.
    searched: &'static str,
    /// What else a record must have.
    required: Value,
    /// Keys may be any text, not GUIDs alone.
    free_keys: bool,
    /// The connection, to make records without a key.
    campaign: Option<Campaign>,
    memory: Option<Memory>,
    /// Keeps the emulators alive.
    _running: Option<Running>,
}

impl Subject {
    fn query(&self) -> Query {
        let select = [self.attribute, self.text, self.other].map(str::to_owned).to_vec();
        Query { collection: self.table.collection.to_owned(), primary_key: self.attribute.to_owned(), select, ..Query::default() }
    }

    fn key<'a>(&self, value: &'a str) -> RecordKey<'a> {
        RecordKey { table: self.table, attribute: self.attribute, value }
    }

    fn body(&self, key: &str, text: &str) -> Payload {
        let mut body = json!({ self.attribute: key, self.text: text, self.other: "Other" });
        if let (Some(body), Some(required)) = (body.as_object_mut(), self.required.as_object()) {
            body.extend(required.clone());
        }
        Payload::from(body.to_string())
    }

    async fn create(&self, key: &str, text: &str) {
        self.target.create(self.table, self.attribute, self.body(key, text)).await.expect("the record is created");
    }

    /// A record that somebody else made, without a key.
    async fn without_key(&self, body: Payload) {
        // Without an attribute, no key is expected.
        match &self.campaign {
            Some(campaign) => campaign.create(self.table.collection, None, body).await.expect("the record is created"),
            None => self.memory.as_ref().expect("a target that adopts").add(self.table, &body),
        }
    }

    /// The text of a record, as the target has it.
    async fn text(&self, key: &str) -> Option<String> {
        let found = self.target.get(self.key(key)).await.expect("an answer")?;
        Some(found.record.get(self.text).and_then(Value::as_str).unwrap_or_default().to_owned())
    }
}

/// The n-th key.
fn key(n: u32) -> String {
    format!("c0000000-0000-4000-8000-{n:012}")
}

fn subject(connection: &dyn Connection, table: Table<'static>, fields: [&'static str; 3], running: Option<Running>) -> Subject {
    let [attribute, text, other] = fields;
    Subject {
        source: connection.source().expect("a source"),
        target: connection.target().expect("a target"),
        table,
        attribute,
        text,
        other,
        searched: "email",
        required: Value::Null,
        free_keys: true,
        campaign: None,
        memory: None,
        _running: running,
    }
}

fn http() -> Http {
    let (backoff_min, backoff_max) = (std::time::Duration::from_millis(1), std::time::Duration::from_millis(10));
    Http::new(HttpConfig { backoff_min, backoff_max, ..HttpConfig::default() }).expect("a client")
}

fn memory() -> Subject {
    let memory = Memory::default();
    let table = Table { name: "person", collection: "people" };
    Subject { memory: Some(memory.clone()), ..subject(&memory, table, ["id", "name", "note"], None) }
}

/// Clients of the emulators.
pub(crate) fn clients(running: &Running) -> (Dataverse, Campaign) {
    let address = |text: String| text.parse().expect("an address");
    let credentials = running.credentials();
    let config = DataverseConfig {
        url: address(running.dataverse_url()),
        token_url: address(running.dataverse_token_url()),
        client_id: credentials.dataverse.id.clone(),
        credential: SecretString::from(credentials.dataverse.secret.clone()).into(),
    };
    let dataverse = Dataverse::new(http(), config).expect("a client");
    let secret = SecretString::from(credentials.campaign.secret.clone());
    let (id, scope) = (credentials.campaign.id.clone(), credentials.campaign_scope.clone());
    let config = CampaignConfig::new(address(running.campaign_url()), id, secret, scope);
    let config = CampaignConfig { token_url: address(running.campaign_token_url()), ..config };
    (dataverse, Campaign::new(http(), config).expect("a client"))
}

/// The emulators as the systems of a project.
pub(crate) fn systems(running: &Running) -> Systems {
    let (dataverse, campaign) = clients(running);
    Systems::default().with(SystemId::D365, dataverse).with(SystemId::Campaign, campaign)
}

/// A client of Dataverse to which nothing is sent.
pub(crate) fn unreachable_dataverse(http: Http) -> Dataverse {
    let address = |text: &str| text.parse().expect("an address");
    let config = DataverseConfig {
        url: address("http://127.0.0.1:1/"),
        token_url: address("http://127.0.0.1:1/token"),
        client_id: "client".to_owned(),
        credential: SecretString::from("secret").into(),
    };
    Dataverse::new(http, config).expect("a client")
}

const CONTACTS: Table<'static> = Table { name: "contact", collection: "contacts" };

async fn dataverse() -> Subject {
    let running = start(Config::default()).await.expect("the emulators start");
    let (connection, _) = clients(&running);
    Subject { free_keys: false, ..subject(&connection, CONTACTS, ["contactid", "lastname", "firstname"], Some(running)) }
}

/// Rows that are named by an alternate key.
async fn dataverse_by_alternate_key() -> Subject {
    let seed = serde_json::json!({"dataverse": {"tables": {"contact": {"keys": [{"name": "email", "columns": ["emailaddress1"]}]}}}});
    let running = start(Config { seed_text: Some(seed.to_string()), ..Config::default() }).await.expect("the emulators start");
    let (connection, _) = clients(&running);
    subject(&connection, CONTACTS, ["emailaddress1", "lastname", "firstname"], Some(running))
}

async fn campaign() -> Subject {
    let running = start(Config::default()).await.expect("the emulators start");
    let (_, connection) = clients(&running);
    let table = Table { name: "profile", collection: "profile" };
    let of = subject(&connection, table, ["externalId", "lastName", "firstName"], Some(running));
    Subject { campaign: Some(connection), ..of }
}

/// The access token of the Referrals admin, who signs in with a device code.
pub(crate) async fn partner_token(running: &Running, audience: &str) -> String {
    let authority = running.partner_authority_url().expect("Partner Center is there");
    let client = running.credentials().partner.public_client;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let ask = async |path: &str, form: &[(&str, &str)]| -> Value {
        let answer = http.post(format!("{authority}/oauth2/v2.0/{path}")).form(form).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    };
    let scope = format!("{audience}/.default offline_access");
    let device = ask("devicecode", &[("client_id", client.as_str()), ("scope", scope.as_str())]).await;
    let code = device["device_code"].as_str().expect("a device code");
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    loop {
        let answer = ask("token", &[("grant_type", grant), ("client_id", client.as_str()), ("device_code", code)]).await;
        match answer["access_token"].as_str() {
            Some(token) => return token.to_owned(),
            None => assert_eq!(answer["error"], "authorization_pending", "{answer}"),
        }
    }
}

/// An emulated Partner Center with an empty list of referrals, and a client of it.
pub(crate) async fn partner_center_of(settings: PartnerCenterConfig) -> (Running, PartnerCenter) {
    let settings = PartnerCenterConfig { device_interval: std::time::Duration::ZERO, ..settings };
    let config = Config { partner_center: Some(settings), seed_text: Some("{}".to_owned()), ..Config::default() };
    let running = start(config).await.expect("the emulators start");
    let token = partner_token(&running, "https://api.partner.microsoft.com").await;
    let url = running.referrals_url().expect("Partner Center is there").parse().expect("an address");
    let connection = PartnerCenter::new(http(), &url, Arc::new(FixedTokens::new(&token))).expect("a client");
    (running, connection)
}

async fn partner_center() -> Subject {
    let (running, connection) = partner_center_of(PartnerCenterConfig::default()).await;
    let table = Table { name: "referral", collection: "referrals" };
    let required = json!({
        "type": "Independent",
        "qualification": "SalesQualified",
        "customerProfile": {"name": "Contoso", "address": {"country": "US"}},
        "consent": {
            "consentToToShareInfoWithOthers": true,
            "consentToContact": true,
            "consentToShareReferralWithMicrosoftSellers": false,
            "consentToMicrosoftToContactSpecificPartners": false,
        },
        "details": {"dealValue": 1000, "currency": "USD", "closingDateTime": "2030-01-01T00:00:00Z"},
    });
    let subject = subject(&connection, table, ["externalReferenceId", "name", "salesStage"], Some(running));
    Subject { required, ..subject }
}

/// A test for each system: `$rule` is run with a fresh one.
macro_rules! for_each_system {
    ($($rule:ident)*) => {$(
        mod $rule {
            #[tokio::test]
            async fn in_memory() {
                super::$rule(&super::super::memory()).await;
            }

            #[tokio::test]
            async fn of_dataverse() {
                super::$rule(&super::super::dataverse().await).await;
            }

            #[tokio::test]
            async fn of_dataverse_by_an_alternate_key() {
                super::$rule(&super::super::dataverse_by_alternate_key().await).await;
            }

            #[tokio::test]
            async fn of_campaign() {
                super::$rule(&super::super::campaign().await).await;
            }

            #[tokio::test]
            async fn of_partner_center() {
                super::$rule(&super::super::partner_center().await).await;
            }
        }
    )*};
}
use for_each_system;
