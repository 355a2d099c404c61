//! What every system with profiles, subscriptions and a history must do.

use std::collections::BTreeSet;
use std::sync::Arc;

use d365map_emulator::{Config, Running, start};
use serde_json::{Value, json};

use super::{clients, key};
use crate::connect::ConnectError;
use crate::systems::memory::Memory;
use crate::systems::{ChangedSince, Connection, History, Profiles, RecordKey, Subscriptions, Table, Written};
use crate::time::{Instant, parse_instant};

/// The entries of the history of person 1: when, and what people read.
const HISTORY: [(&str, &str); 3] =
    [("2026-01-03T00:00:00Z", "Open"), ("2026-01-02T00:00:00Z", "Click"), ("2026-01-01T00:00:00Z", "Send via email")];
/// A filter, and its parameter.
const FILTER: (&str, &str) = ("byLastModified", "lastModified_parameter");

/// A system under test. It has profiles with the keys 1 and 2 and one without a key, services S1 to S3, a subscription of the first
/// profile to S1, and a history of the first profile.
struct Subject {
    profiles: Arc<dyn Profiles>,
    subscriptions: Arc<dyn Subscriptions>,
    history: Arc<dyn History>,
    table: Table<'static>,
    attribute: &'static str,
    _running: Option<Running>,
}

impl Subject {
    fn key<'a>(&self, value: &'a str) -> RecordKey<'a> {
        RecordKey { table: self.table, attribute: self.attribute, value }
    }

    async fn list(&self, changed: Option<ChangedSince<'_>>, page_size: u32) -> Result<Vec<Vec<Value>>, ConnectError> {
        let mut pages = self.profiles.list(self.table.collection, changed, page_size).await?;
        let mut all = Vec::new();
        while let Some(page) = pages.next().await? {
            all.push(page);
        }
        Ok(all)
    }

    async fn services(&self, n: u32) -> Vec<String> {
        let found = self.subscriptions.subscriptions(self.key(&key(n))).await.expect("an answer").expect("a profile");
        found.services.into_iter().collect()
    }
}

fn subject(connection: &dyn Connection, table: Table<'static>, attribute: &'static str, running: Option<Running>) -> Subject {
    Subject {
        profiles: connection.profiles().expect("profiles"),
        subscriptions: connection.subscriptions().expect("subscriptions"),
        history: connection.history().expect("a history"),
        table,
        attribute,
        _running: running,
    }
}

fn memory() -> Subject {
    let memory = Memory::default();
    let table = Table { name: "person", collection: "people" };
    for body in [json!({"id": key(1)}), json!({"id": key(2)}), json!({"name": "Others"})] {
        memory.add(table, &body.to_string().into());
    }
    for (date, label) in HISTORY {
        memory.add_history(&key(1), label, date);
    }
    memory.add_services(["S1", "S2", "S3"]);
    memory.add_subscription(&key(1), "S1");
    subject(&memory, table, "id", None)
}

async fn campaign() -> Subject {
    let parameter = json!({"name": FILTER.1, "fields": ["lastModified"], "operator": "at-least"});
    let history: Vec<Value> = HISTORY.map(|(date, label)| json!({"profile": key(1), "date": date, "label": label})).into();
    let services: Vec<Value> = ["S1", "S2", "S3"].map(|name| json!({"name": name, "label": name})).into();
    let seed = json!({"campaign": {
        "services": services,
        "profiles": [{"externalId": key(1)}, {"externalId": key(2)}, {"firstName": "Others"}],
        "subscriptions": [{"profile": key(1), "service": "S1"}],
        "filters": [{"name": FILTER.0, "parameters": [parameter]}],
        "history": history,
    }});
    let running = start(Config { seed_text: Some(seed.to_string()), ..Config::default() }).await.expect("the emulators start");
    let connection = clients(&running).1;
    subject(&connection, Table { name: "profile", collection: "profile" }, "externalId", Some(running))
}

/// A test for each system: `$rule` is run with a fresh one.
macro_rules! for_each_system {
    ($($rule:ident)*) => {$(
        mod $rule {
            #[tokio::test]
            async fn in_memory() {
                super::$rule(&super::memory()).await;
            }

            #[tokio::test]
            async fn of_campaign() {
                super::$rule(&super::campaign().await).await;
            }
        }
    )*};
}

for_each_system! {
    all_profiles_are_listed_in_pages_of_the_size_that_was_asked_for
    changed_profiles_are_listed_by_a_filter_that_the_system_has
    a_profile_is_subscribed_and_unsubscribed_by_the_name_of_a_service
    what_happened_to_a_person_comes_with_its_time_and_a_person_who_is_missing_is_not_an_error
}

async fn all_profiles_are_listed_in_pages_of_the_size_that_was_asked_for(subject: &Subject) {
    let pages = subject.list(None, 2).await.unwrap();
    assert!(pages.len() >= 2 && pages.iter().all(|page| page.len() <= 2), "{pages:?}");
    let keys: BTreeSet<Option<&str>> = pages.iter().flatten().map(|profile| profile.get(subject.attribute)?.as_str()).collect();
    let (first, second) = (key(1), key(2));
    // One that others have made has an empty key or none.
    assert!(keys.contains(&Some(first.as_str())) && keys.contains(&Some(second.as_str())) && keys.len() == 3, "{keys:?}");
}

async fn changed_profiles_are_listed_by_a_filter_that_the_system_has(subject: &Subject) {
    let changed = |since: &str| ChangedSince { filter: FILTER.0, parameter: FILTER.1, since: instant(since) };
    let collection = subject.table.collection;
    assert!(!subject.profiles.has_filter(collection, "byNothing", FILTER.1, false).await);
    if !subject.profiles.has_filter(collection, FILTER.0, FILTER.1, false).await {
        let error = subject.list(Some(changed("2000-01-01T00:00:00Z")), 10).await.unwrap_err();
        assert!(matches!(error, ConnectError::Config { .. }), "{error}");
        return;
    }
    assert_eq!(subject.list(Some(changed("2000-01-01T00:00:00Z")), 10).await.unwrap().concat().len(), 3);
    assert!(subject.list(Some(changed("2999-01-01T00:00:00Z")), 10).await.unwrap().concat().is_empty());
}

async fn a_profile_is_subscribed_and_unsubscribed_by_the_name_of_a_service(subject: &Subject) {
    let subscriptions = &subject.subscriptions;
    assert_eq!(subscriptions.services().await.unwrap(), ["S1", "S2", "S3"].map(str::to_owned).into());
    let found = subscriptions.subscriptions(subject.key(&key(1))).await.unwrap().expect("a profile");
    assert_eq!(found.profile[subject.attribute], json!(key(1)));
    assert_eq!(found.services.iter().collect::<Vec<_>>(), ["S1"]);
    assert_eq!(subscriptions.subscribe(&found, "S2").await.unwrap(), Written::Done);
    let unknown = subscriptions.subscribe(&found, "S4").await.unwrap_err();
    assert!(matches!(unknown, ConnectError::Config { .. }), "{unknown}");
    assert_eq!((subject.services(1).await, subject.services(2).await), (vec!["S1".to_owned(), "S2".to_owned()], Vec::new()));
    let found = subscriptions.subscriptions(subject.key(&key(1))).await.unwrap().expect("a profile");
    assert_eq!(subscriptions.unsubscribe(&found, "S1").await.unwrap(), Written::Done);
    assert_eq!(subscriptions.unsubscribe(&found, "S1").await.unwrap(), Written::Missing);
    assert_eq!(subscriptions.unsubscribe(&found, "S3").await.unwrap(), Written::Missing);
    assert_eq!(subject.services(1).await, ["S2"]);
    // No service ends with a subscription to it.
    assert_eq!(subscriptions.services().await.unwrap().len(), 3);
    assert!(subscriptions.subscriptions(subject.key(&key(9))).await.unwrap().is_none());
}

async fn what_happened_to_a_person_comes_with_its_time_and_a_person_who_is_missing_is_not_an_error(subject: &Subject) {
    let entries = subject.history.history(&key(1), 2).await.unwrap().expect("a person");
    let found: BTreeSet<(Option<Instant>, &str)> = entries.iter().map(|entry| (entry.date, entry.label.as_str())).collect();
    assert_eq!(found, HISTORY.map(|(date, label)| (Some(instant(date)), label)).into());
    assert!(entries.iter().all(|entry| entry.category == "email"));
    let page = entries[0].mirror_page.as_ref().expect("a mirror page");
    assert!(subject.history.mirror_page(page).await.unwrap().is_some_and(|url| url.starts_with("https://")));
    assert_eq!(subject.history.history(&key(2), 2).await.unwrap().map(|entries| entries.len()), Some(0));
    assert!(subject.history.history(&key(9), 2).await.unwrap().is_none());
}

fn instant(text: &str) -> Instant {
    parse_instant(text).expect("an instant")
}
