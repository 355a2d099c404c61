//! The contract of [`Source`](super::Source) and [`Target`](super::Target), as a suite that every system must pass: the connectors over
//! real HTTP against the emulators, and the system in memory.

mod sources;
mod targets;

use std::sync::Arc;

use d365map_emulator::{Config, Running, start};
use secrecy::SecretString;
use serde_json::Value;

use super::campaign::{Campaign, CampaignConfig};
use super::dataverse::{Dataverse, DataverseConfig};
use super::memory::Memory;
use super::{Connection, Payload, Query, RecordKey, Source, Table, Target};
use crate::connect::{Http, HttpConfig};

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
    /// Keys may be any text, not GUIDs alone.
    free_keys: bool,
    /// Keeps the emulators alive.
    _running: Option<Running>,
}

impl Subject {
    fn query(&self) -> Query {
        let select = [self.attribute, self.text, self.other].map(str::to_owned).to_vec();
        Query { collection: self.table.collection.to_owned(), primary_key: self.attribute.to_owned(), select, labels: false }
    }

    fn key<'a>(&self, value: &'a str) -> RecordKey<'a> {
        RecordKey { table: self.table, attribute: self.attribute, value }
    }

    fn body(&self, key: &str, text: &str) -> Payload {
        Payload::from(serde_json::json!({ self.attribute: key, self.text: text, self.other: "Other" }).to_string())
    }

    async fn create(&self, key: &str, text: &str) {
        self.target.create(self.table, self.attribute, self.body(key, text)).await.expect("the record is created");
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
        free_keys: true,
        _running: running,
    }
}

fn http() -> Http {
    let (backoff_min, backoff_max) = (std::time::Duration::from_millis(1), std::time::Duration::from_millis(10));
    Http::new(HttpConfig { backoff_min, backoff_max, ..HttpConfig::default() }).expect("a client")
}

fn memory() -> Subject {
    subject(&Memory::default(), Table { name: "person", collection: "people" }, ["id", "name", "note"], None)
}

/// Clients of the emulators.
pub(super) fn clients(running: &Running) -> (Dataverse, Campaign) {
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
    subject(&connection, table, ["externalId", "lastName", "firstName"], Some(running))
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
        }
    )*};
}
use for_each_system;
