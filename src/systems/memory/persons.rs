//! Timelines, profiles, subscriptions and history in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Memory, error, fields, rejected};
use crate::connect::ConnectError;
use crate::system::SystemId;
use crate::systems::history::{History, HistoryEntry, MirrorPage};
use crate::systems::profiles::{ChangedSince, ProfilePages, Profiles, SubscribedProfile, Subscriptions, no_service};
use crate::systems::target::{RecordKey, Written};
use crate::systems::timeline::{Activity, ActivityColumn, ActivityState, ActivityTable, Timeline};
use crate::time::parse_instant;

/// What is known of persons beside their records.
#[derive(Default)]
pub(super) struct Persons {
    ids: BTreeSet<Uuid>,
    activities: BTreeMap<Uuid, (Map<String, Value>, ActivityState)>,
    services: BTreeSet<String>,
    /// By the person's key.
    subscriptions: BTreeMap<String, BTreeSet<String>>,
    history: BTreeMap<String, Vec<HistoryEntry>>,
}

impl Memory {
    /// A person on whose timeline activities may be written.
    pub fn add_person(&self, id: Uuid) {
        self.tables().persons.ids.insert(id);
    }

    pub fn add_services<const N: usize>(&self, names: [&str; N]) {
        self.tables().persons.services.extend(names.map(str::to_owned));
    }

    pub fn add_subscription(&self, person: &str, service: &str) {
        self.tables().persons.subscriptions.entry(person.to_owned()).or_default().insert(service.to_owned());
    }

    pub fn add_history(&self, person: &str, label: &str, date: &str) {
        let page = "memory://messages/1".parse().expect("an address");
        let entry = HistoryEntry {
            category: "email".to_owned(),
            label: label.to_owned(),
            date: parse_instant(date),
            mirror_page: Some(MirrorPage(page)),
        };
        self.tables().persons.history.entry(person.to_owned()).or_default().push(entry);
    }

    fn has_key(&self, value: &str) -> bool {
        self.tables().records.values().any(|stored| stored.fields.get("id").and_then(Value::as_str) == Some(value))
    }
}

#[async_trait]
impl Timeline for Memory {
    fn request_timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn activity_table(&self, name: &str) -> Result<ActivityTable, ConnectError> {
        if name != "activity" {
            return Err(error(|call| ConnectError::NotFound { call }, "there is no such table"));
        }
        Ok(ActivityTable {
            name: name.to_owned(),
            collection: "activities".to_owned(),
            primary_key: "id".to_owned(),
            person: "person".to_owned(),
            columns: HashMap::from([("subject".to_owned(), ActivityColumn::Text(Some(100)))]),
            bulk: false,
            takes_final_state: true,
        })
    }

    fn activity(&self, table: &ActivityTable, person: Uuid, mut columns: Map<String, Value>) -> String {
        columns.insert(table.person.clone(), json!(person));
        Value::Object(columns).to_string()
    }

    async fn persons(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>, ConnectError> {
        let tables = self.tables();
        Ok(ids.iter().copied().filter(|id| tables.persons.ids.contains(id)).collect())
    }

    async fn states(
        &self,
        _: &ActivityTable,
        ids: &[Uuid],
        with_state: bool,
    ) -> Result<HashMap<Uuid, Option<ActivityState>>, ConnectError> {
        let tables = self.tables();
        let state = |id: &Uuid| tables.persons.activities.get(id).map(|(_, state)| (*id, with_state.then_some(*state)));
        Ok(ids.iter().filter_map(state).collect())
    }

    async fn on_timeline(&self, table: &ActivityTable, person: Uuid, column: &str) -> Result<HashMap<Uuid, Option<String>>, ConnectError> {
        let tables = self.tables();
        let own = tables.persons.activities.iter().filter(|(_, (fields, _))| fields.get(&table.person) == Some(&json!(person)));
        Ok(own.map(|(id, (fields, _))| (*id, fields.get(column).and_then(Value::as_str).map(str::to_owned))).collect())
    }

    async fn create(&self, table: &ActivityTable, activity: &Activity, completed: bool) -> Result<(), ConnectError> {
        let fields = fields(&activity.body)?;
        let persons = &mut self.tables().persons;
        let of = fields.get(&table.person).and_then(Value::as_str).and_then(|id| id.parse().ok());
        if of.is_none_or(|person| !persons.ids.contains(&person)) {
            return Err(rejected("there is no such person"));
        }
        if persons.activities.contains_key(&activity.id) {
            return Err(error(|call| ConnectError::Duplicate { call }, "the id is taken"));
        }
        let state = if completed { ActivityState::Completed } else { ActivityState::Open };
        persons.activities.insert(activity.id, (fields, state));
        Ok(())
    }

    async fn complete(&self, _: &ActivityTable, id: Uuid) -> Result<(), ConnectError> {
        match self.tables().persons.activities.get_mut(&id) {
            Some((_, state)) => {
                *state = ActivityState::Completed;
                Ok(())
            }
            None => Err(error(|call| ConnectError::NotFound { call }, "there is no such activity")),
        }
    }
}

/// Profiles that are left, in pages.
struct Pages {
    left: Vec<Value>,
    size: usize,
}

#[async_trait]
impl ProfilePages for Pages {
    async fn next(&mut self) -> Result<Option<Vec<Value>>, ConnectError> {
        if self.left.is_empty() {
            return Ok(None);
        }
        let rest = self.left.split_off(self.size.min(self.left.len()));
        Ok(Some(std::mem::replace(&mut self.left, rest)))
    }
}

#[async_trait]
impl Profiles for Memory {
    async fn list(
        &self,
        collection: &str,
        changed: Option<ChangedSince<'_>>,
        page_size: u32,
    ) -> Result<Box<dyn ProfilePages>, ConnectError> {
        if changed.is_some() {
            return Err(ConnectError::config("memory: there is no filter by time", "list all profiles"));
        }
        Ok(Box::new(Pages { left: self.records(collection), size: page_size.max(1) as usize }))
    }

    async fn has_filter(&self, _: &str, _: &str, _: &str, _: bool) -> bool {
        false
    }
}

#[async_trait]
impl Subscriptions for Memory {
    async fn services(&self) -> Result<BTreeSet<String>, ConnectError> {
        Ok(self.tables().persons.services.clone())
    }

    async fn subscriptions(&self, profile: RecordKey<'_>) -> Result<Option<SubscribedProfile>, ConnectError> {
        if !self.has_key(profile.value) {
            return Ok(None);
        }
        let services = self.tables().persons.subscriptions.get(profile.value).cloned().unwrap_or_default();
        let list = format!("memory://people/{}", profile.value).parse().expect("an address");
        Ok(Some(SubscribedProfile { profile: json!({ profile.attribute: profile.value }), services, list, entries: Vec::new() }))
    }

    async fn subscribe(&self, profile: &SubscribedProfile, service: &str) -> Result<Written, ConnectError> {
        let persons = &mut self.tables().persons;
        if !persons.services.contains(service) {
            return Err(no_service(SystemId::Memory, service, None));
        }
        let key = profile.list.path().trim_start_matches('/').to_owned();
        persons.subscriptions.entry(key).or_default().insert(service.to_owned());
        Ok(Written::Done)
    }

    async fn unsubscribe(&self, profile: &SubscribedProfile, service: &str) -> Result<Written, ConnectError> {
        let key = profile.list.path().trim_start_matches('/');
        let had = self.tables().persons.subscriptions.get_mut(key).is_some_and(|services| services.remove(service));
        Ok(if had { Written::Done } else { Written::Missing })
    }
}

#[async_trait]
impl History for Memory {
    async fn history(&self, person: &str, _: u32) -> Result<Option<Vec<HistoryEntry>>, ConnectError> {
        let known = self.has_key(person);
        Ok(known.then(|| self.tables().persons.history.get(person).cloned().unwrap_or_default()))
    }

    async fn mirror_page(&self, page: &MirrorPage) -> Result<Option<String>, ConnectError> {
        Ok(Some(format!("https://mirror.example{}", page.0.path())))
    }
}
