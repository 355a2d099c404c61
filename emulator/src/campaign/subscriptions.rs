//! Subscriptions of profiles to services.
//!
//! Source: Campaign Standard API: *Performing subscriptions*, *Retrieving subscriptions*, *Deleting subscriptions*. Documented: the
//! addresses in the answers of a profile and of a service, both forms of the POST, and the parts of an entry. The page on deleting speaks of
//! "the desired service URL", and shows a service's own address: a DELETE to that address deletes the service here, as the address says, and
//! a DELETE to the address of an entry ends the subscription. [K] Also assumed: a POST of a subscription that exists answers with that one,
//! a subscription does not change the profile's `lastModified`, and an entry's address is below the list that it came in. [K]

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::fields::{Cell, Fields, To};
use super::read::{Endpoint, Of, title};
use super::store::{Resource, Row, World};
use super::{Campaign, Fail, missing, ok};
use crate::dataverse::Call;
use crate::net;

/// The name under which subscriptions are kept. No address names it.
pub(super) const SUBSCRIPTION: &str = "subscription";
/// The attribute of profiles and services that leads to their subscriptions.
pub(super) const SUBSCRIPTIONS: &str = "subscriptions";

/// A subscription whose profile or service is hidden is hidden too.
const FIELDS: &str = r#"[
    {"name": "service", "type": "link", "target": "service", "cardinality": "1"},
    {"name": "subscriber", "type": "link", "target": "profile", "cardinality": "1"}
]"#;

/// A subscription as a seed or the admin interface gives it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubscriptionSeed {
    /// The profile's identification key.
    pub(crate) profile: String,
    /// The service's name.
    pub(crate) service: String,
}

/// The two links of a subscription.
#[derive(Clone, Copy)]
struct Ends {
    resource: usize,
    service: u16,
    subscriber: u16,
}

impl Ends {
    fn of(world: &World) -> Option<Ends> {
        let resource = world.number(SUBSCRIPTION)?;
        let find = |name| world.resources[resource].fields.find(name);
        Some(Ends { resource, service: find("service")?, subscriber: find("subscriber")? })
    }

    /// The link that leads to a record of this resource, and the other one.
    fn from(self, world: &World, number: usize) -> Option<(u16, u16)> {
        match world.resources[number].name.as_str() {
            "profile" => Some((self.subscriber, self.service)),
            "service" => Some((self.service, self.subscriber)),
            _ => None,
        }
    }

    fn row(self, world: &World, profile: u64, service: u64) -> Option<u64> {
        let rows = &world.resources[self.resource];
        let owned = rows.owned_by(self.subscriber, profile);
        owned.into_iter().find(|id| rows.rows.get(id).and_then(|row| row.cell(self.service)) == Some(&Cell::Link(To::Row(service))))
    }
}

/// The resource of subscriptions.
pub(super) fn resource() -> Result<Resource, String> {
    let fields = serde_json::from_str(FIELDS).map_err(|error| format!("embedded description of subscriptions: {error}"))?;
    Resource::new(SUBSCRIPTION, "Subscriptions", "nms:subscription", Fields::custom(fields, false)?, &[], Vec::new()).map(Resource::owned)
}

impl World {
    /// Deletes a record, and the subscriptions that it is an end of.
    pub(super) fn delete(&mut self, number: usize, id: u64) {
        self.resources[number].delete(id);
        let Some(ends) = Ends::of(self) else { return };
        let Some((via, _)) = ends.from(self, number) else { return };
        for subscription in self.resources[ends.resource].owned_by(via, id) {
            self.resources[ends.resource].delete(subscription);
        }
    }

    /// Subscribes a profile to a service. Gives the subscription, and whether it is new.
    fn subscribe(&mut self, ends: Ends, profile: u64, service: u64) -> (Option<u64>, bool) {
        if let Some(known) = ends.row(self, profile, service) {
            return (Some(known), false);
        }
        let link = |id| Some(Cell::Link(To::Row(id)));
        let cells = vec![(ends.service, link(service)), (ends.subscriber, link(profile))];
        (self.insert(ends.resource, cells, crate::time::now().timestamp_millis()).ok(), true)
    }
}

impl Campaign {
    /// What is below `…/subscriptions` of a profile or a service; `None` if it leads nowhere.
    pub(super) fn subscriptions(
        &self,
        call: &Call<'_>,
        endpoint: Endpoint,
        (number, key): (usize, &str),
        rest: &[&str],
        query: &[(String, String)],
    ) -> Result<Option<Response<Body>>, Fail> {
        let mut world = crate::write(&self.world);
        let Some(ends) = Ends::of(&world) else { return Ok(None) };
        let Some((own, other)) = ends.from(&world, number) else { return Ok(None) };
        let id = world.find(number, key).ok_or_else(|| missing(&world.resources[number].name, key))?;
        let address = format!("{}/{SUBSCRIPTIONS}", self.href(&world, number, endpoint, &world.nested_pkey(number, id)));
        match (call.method.as_str(), rest) {
            ("GET", [] | ["_count"]) => {
                let of = Of { owner: Some((own, id, &address)), ..Of::default() };
                let answer = if rest.is_empty() {
                    self.list(&world, ends.resource, endpoint, of, query)?
                } else {
                    json!({"count": self.count(&world, ends.resource, of, query)?})
                };
                Ok(Some(ok(StatusCode::OK, &answer)))
            }
            ("POST", []) => {
                let target = self.other_end(&world, ends, other, call.body)?;
                let (profile, service) = if own == ends.subscriber { (id, target) } else { (target, id) };
                let (made, is_new) = world.subscribe(ends, profile, service);
                let Some((made, row)) = made.and_then(|made| Some((made, world.resources[ends.resource].rows.get(&made)?))) else {
                    return Ok(None);
                };
                let mut entry = self.subscription(&world, endpoint, made, row, &address);
                // The example of the answer has an empty name, and of the service the PKey and the title. [D]
                entry.insert("serviceName".to_owned(), json!(""));
                if let Some(Json::Object(service)) = entry.get_mut("service") {
                    service.retain(|name, _| name == "PKey" || name == "title");
                }
                Ok(Some(ok(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &Json::Object(entry))))
            }
            ("GET" | "DELETE", [entry]) => {
                let found = world.find(ends.resource, entry).filter(|found| {
                    world.resources[ends.resource].rows.get(found).and_then(|row| row.cell(own)) == Some(&Cell::Link(To::Row(id)))
                });
                let found = found.ok_or_else(|| missing(SUBSCRIPTION, entry))?;
                if call.method == "DELETE" {
                    world.resources[ends.resource].delete(found);
                    return Ok(Some(net::empty(StatusCode::NO_CONTENT)));
                }
                let Some(row) = world.resources[ends.resource].rows.get(&found) else { return Ok(None) };
                Ok(Some(ok(StatusCode::OK, &Json::Object(self.subscription(&world, endpoint, found, row, &address)))))
            }
            _ => Ok(None),
        }
    }

    /// The record that the body of a POST names: `{"service": {"PKey": "…"}}` or `{"subscriber": {"PKey": "…"}}`. [D]
    fn other_end(&self, world: &World, ends: Ends, other: u16, body: &[u8]) -> Result<u64, Fail> {
        let refused = |why: String| (self.site.refusal_status, why);
        let name = &world.resources[ends.resource].fields.at(other).name;
        let changes = self.changes(body, world, ends.resource, Endpoint::Extended)?;
        match changes.as_slice() {
            [(field, Some(Cell::Link(To::Row(id))))] if *field == other => Ok(*id),
            _ => Err(refused(format!("A subscription needs the attribute '{name}' with a PKey, and nothing else."))),
        }
    }

    /// An entry of a list of subscriptions.
    pub(super) fn subscription(&self, world: &World, endpoint: Endpoint, id: u64, row: &Row, list: &str) -> Map<String, Json> {
        let Some(ends) = Ends::of(world) else { return Map::new() };
        let pkey = world.pkey(ends.resource, id);
        let end = |via: u16, names: &[&str]| {
            let (number, id) = world.target(ends.resource, via, row)?;
            let other = &world.resources[number];
            let record = other.rows.get(&id)?;
            let pkey = world.pkey(number, id);
            let mut parts = json!({"PKey": pkey, "href": self.href(world, number, endpoint, &pkey), "title": title(other, record)});
            for name in names {
                parts[*name] = json!(other.fields.find(name).map_or("", |index| record.text(index)));
            }
            Some(parts)
        };
        let service = end(ends.service, &["label", "name"]).unwrap_or(Json::Null);
        let subscriber = end(ends.subscriber, &["email", "firstName", "lastName"]);
        let created = world.resources[ends.resource].fields.find("created");
        let mut entry = Map::new();
        entry.insert("PKey".to_owned(), json!(pkey));
        let created = created.map(|index| self.attribute(world, ends.resource, endpoint, id, row, index));
        entry.insert("created".to_owned(), json!(created));
        entry.insert("href".to_owned(), json!(format!("{list}/{pkey}")));
        entry.insert("serviceName".to_owned(), service.get("name").cloned().unwrap_or_default());
        entry.insert("service".to_owned(), service);
        entry.insert("subscriber".to_owned(), json!(subscriber));
        entry
    }

    /// Subscribes a profile to a service, or ends the subscription, as somebody in the product's own screens or the person does.
    pub(crate) fn set_subscription(&self, seed: &SubscriptionSeed, on: bool) -> Result<(), String> {
        let mut world = crate::write(&self.world);
        let ends = Ends::of(&world).ok_or("there are no subscriptions")?;
        let find = |resource: &str, key: &str| {
            let found = world.number(resource).and_then(|number| world.resources[number].by_key(key));
            found.ok_or_else(|| format!("no {resource} has the key `{key}`"))
        };
        let (profile, service) = (find("profile", &seed.profile)?, find("service", &seed.service)?);
        match (on, ends.row(&world, profile, service)) {
            (true, None) => drop(world.subscribe(ends, profile, service)),
            (false, Some(id)) => world.resources[ends.resource].delete(id),
            (true, Some(_)) | (false, None) => {}
        }
        Ok(())
    }
}
