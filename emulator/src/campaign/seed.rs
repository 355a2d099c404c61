//! What an instance holds at the start, and how it is built from that.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Campaign;
use super::fields::{Field, Fields};
use super::filter::Filter;
use super::history::EventSeed;
use super::store::{Resource, World};
use super::subscriptions::{self, SubscriptionSeed};
use super::write::LinkForms;
use crate::Config;

/// The instance's part of a seed file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CampaignSeed {
    /// Custom attributes of the profile.
    #[serde(default)]
    fields: Vec<Field>,
    /// The attribute that is the profile's identification key; `externalId` when absent.
    #[serde(default)]
    key: Option<String>,
    /// More identification keys of the profile, of one or several attributes.
    #[serde(default)]
    keys: Vec<Vec<String>>,
    /// Custom filters of the profile.
    #[serde(default)]
    filters: Vec<Filter>,
    /// Bodies as in a `POST`.
    #[serde(default)]
    profiles: Vec<Box<RawValue>>,
    /// Other resources by name, in the order in which their rows are made: by name, unless links ask for another.
    #[serde(default)]
    resources: BTreeMap<String, ResourceSeed>,
    /// Subscription services, as bodies of a `POST`.
    #[serde(default)]
    services: Vec<Box<RawValue>>,
    /// Which profiles are subscribed to which services.
    #[serde(default)]
    subscriptions: Vec<SubscriptionSeed>,
    /// Marketing history.
    #[serde(default)]
    history: Vec<EventSeed>,
    /// Profiles without an organizational unit are invisible.
    #[serde(default, rename = "orgUnitRequired")]
    org_units: bool,
    #[serde(default)]
    settings: Settings,
}

/// What the documents leave open; each overrides the setting of the same name of [`crate::Config`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Settings {
    duplicate_status: Option<u16>,
    refusal_status: Option<u16>,
    missing_status: Option<u16>,
    big_table_threshold: Option<usize>,
    lower_email: Option<bool>,
    smart_case: Option<bool>,
    strip_phone: Option<bool>,
    cut_overlong: Option<bool>,
    strict_content_type: Option<bool>,
    /// Of `pkey`, `key`, `href`.
    link_forms: Option<Vec<Form>>,
    retry_after: Option<bool>,
    jwt_keys: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Pkey,
    Key,
    Href,
}

fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *setting = value;
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceSeed {
    #[serde(default)]
    label: String,
    #[serde(default)]
    fields: Vec<Field>,
    #[serde(default)]
    keys: Vec<Vec<String>>,
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    rows: Vec<Box<RawValue>>,
}

/// The product's own list of organizational units.
const ORG_UNITS: &str = r#"{
    "label": "Organizational units",
    "fields": [{"name": "name", "type": "string"}, {"name": "label", "type": "string"}, {"name": "desc", "type": "string"}],
    "keys": [["name"]],
    "rows": [{"name": "all", "label": "All"}]
}"#;

/// The product's own subscription services. Attributes and filters as far as the documents' examples show them.
const SERVICES: &str = r#"{
    "label": "Services",
    "fields": [
        {"name": "name", "type": "string"}, {"name": "label", "type": "string"}, {"name": "limitedDuration", "type": "boolean"},
        {"name": "messageType", "type": "enumeration", "values": [["Email", "email", 0], ["SMS", "sms", 1]]},
        {"name": "mode", "type": "enumeration", "values": [["Newsletter", "newsletter", 0], ["Viral", "viral", 1]]},
        {"name": "subscriptions", "type": "collection"}
    ],
    "keys": [["name"]],
    "filters": [
        {"name": "byText", "parameters": [{"name": "text", "fields": ["label", "name"], "operator": "contains"}]},
        {"name": "byChannel", "parameters": [{"name": "channel", "fields": ["messageType"]}]}
    ]
}"#;

impl CampaignSeed {
    /// Puts the seed's settings in the place of the others.
    pub(crate) fn settle(&mut self, config: &mut Config) {
        let given = std::mem::take(&mut self.settings);
        set(&mut config.duplicate_status, given.duplicate_status);
        set(&mut config.refusal_status, given.refusal_status);
        set(&mut config.missing_status, given.missing_status);
        set(&mut config.big_table_threshold, given.big_table_threshold);
        set(&mut config.lower_email, given.lower_email);
        set(&mut config.smart_case, given.smart_case);
        set(&mut config.strip_phone, given.strip_phone);
        set(&mut config.cut_overlong, given.cut_overlong);
        set(&mut config.strict_content_type, given.strict_content_type);
        set(&mut config.campaign_retry_after, given.retry_after);
        set(&mut config.jwt_keys, given.jwt_keys);
        if let Some(forms) = given.link_forms {
            let has = |form| forms.contains(&form);
            config.link_forms = LinkForms { pkey: has(Form::Pkey), key: has(Form::Key), href: has(Form::Href) };
        }
    }

    /// The instance's resources, without records.
    pub(crate) fn world(&mut self, seed: u64) -> Result<World, String> {
        let fields = Fields::profile(std::mem::take(&mut self.fields))?;
        let mut keys = vec![vec![self.key.clone().unwrap_or_else(|| "externalId".to_owned())]];
        keys.append(&mut self.keys);
        let mut filters = Filter::of_profile();
        filters.append(&mut self.filters);
        let mut resources = vec![Resource::new("profile", "Profile", "nms:recipient", fields, &keys, filters)?];
        for (name, text) in [("orgUnitBase", ORG_UNITS), ("service", SERVICES)] {
            if !self.resources.contains_key(name) {
                let resource = serde_json::from_str(text).map_err(|error| format!("embedded description of `{name}`: {error}"))?;
                self.resources.insert(name.to_owned(), resource);
            }
        }
        for (name, resource) in &mut self.resources {
            let known = ["orgUnitBase", "countries", "state", "service"].contains(&name.as_str());
            if !name.starts_with("cus") && !known {
                return Err(format!("resource `{name}`: the name of a custom resource begins with `cus`"));
            }
            let fields = Fields::custom(std::mem::take(&mut resource.fields), !known).map_err(|why| format!("resource `{name}`: {why}"))?;
            let label = if resource.label.is_empty() { name } else { &resource.label };
            let schema = if known { format!("xtk:{name}") } else { format!("cus:{}", name.trim_start_matches("cus").to_lowercase()) };
            let filters = std::mem::take(&mut resource.filters);
            let made = Resource::new(name, label, &schema, fields, &resource.keys, filters);
            resources.push(made.map_err(|why| format!("resource `{name}`: {why}"))?);
        }
        resources.push(subscriptions::resource()?);
        World::new(resources, self.org_units, seed)
    }

    /// The records and the history.
    pub(crate) fn fill(&self, campaign: &Campaign) -> Result<(), String> {
        let rows = |name: &str, rows: &[Box<RawValue>]| {
            rows.iter().enumerate().try_for_each(|(index, row)| {
                let what = if name == "profile" { name.to_owned() } else { format!("resource `{name}`, row") };
                campaign.seed(name, row.get()).map_err(|why| format!("{what} {}: {why}", index + 1))
            })
        };
        let standard = |name: &&String| !name.starts_with("cus");
        for name in self.resources.keys().filter(standard) {
            rows(name, &self.resources[name].rows)?;
        }
        rows("service", &self.services)?;
        rows("profile", &self.profiles)?;
        for (index, subscription) in self.subscriptions.iter().enumerate() {
            campaign.set_subscription(subscription, true).map_err(|why| format!("subscription {}: {why}", index + 1))?;
        }
        // A record comes after those that its links lead to.
        let mut waiting: Vec<&String> = self.resources.keys().filter(|name| !standard(name)).collect();
        while !waiting.is_empty() {
            let ready: Vec<&String> = {
                let world = crate::read(&campaign.world);
                let waits = |name: &str| {
                    let Some(number) = world.number(name) else { return false };
                    world.resources[number].fields.list.iter().any(|field| {
                        field.via.is_none()
                            && field.target.as_ref().is_some_and(|target| target != name && waiting.contains(&target))
                            && field.kind == super::fields::Kind::Link
                    })
                };
                waiting.iter().copied().filter(|name| !waits(name)).collect()
            };
            // Links that form a cycle: any order will do.
            let ready = if ready.is_empty() { waiting.clone() } else { ready };
            for name in &ready {
                rows(name, &self.resources[*name].rows)?;
            }
            waiting.retain(|name| !ready.contains(name));
        }
        self.history
            .iter()
            .enumerate()
            .try_for_each(|(index, event)| campaign.add_events(event).map_err(|why| format!("history {}: {why}", index + 1)))
    }
}
