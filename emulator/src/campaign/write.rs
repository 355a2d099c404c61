//! Creating, changing and deleting records, with the checks of a payload.
//!
//! Source: Campaign Standard API: *Creating profiles*, *Updating profiles*, *Managing organizational units* (a link is written as
//! `{"orgUnit": {"PKey": "…"}}`), *Metadata mechanism* (data policies check or transform). Assumed: the status and the words of a
//! refusal, that `null` empties a link, and that a link may also be written by the other record's key or address. [K]

use axum::body::Body;
use axum::http::{Response, StatusCode};
use indexmap::IndexMap;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use super::fields::{Cell, Field, Kind, To, Unknown};
use super::read::Endpoint;
use super::store::{Changes, World};
use super::{Campaign, Fail, missing, ok};
use crate::dataverse::Call;
use crate::net;

/// Which forms of a link the service takes. Documented is the PKey; the others are assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkForms {
    /// `{"link": {"PKey": "@…"}}`
    pub pkey: bool,
    /// `{"link": {"<key attribute>": "…"}}`
    pub key: bool,
    /// `{"link": {"href": "https://…"}}` or `{"link": "https://…"}`
    pub href: bool,
}

impl Default for LinkForms {
    fn default() -> LinkForms {
        LinkForms { pkey: true, key: true, href: true }
    }
}

impl Campaign {
    fn payload(&self, call: &Call<'_>, world: &World, resource: usize, endpoint: Endpoint) -> Result<Changes, Fail> {
        let content_type = call.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
        // The documents send `application/json`; the vendor's own client sends its JSON as `text/plain` and is served. [C]
        if self.site.strict_content_type
            && content_type.split(';').next().is_none_or(|mime| !mime.trim().eq_ignore_ascii_case("application/json"))
        {
            return Err((415, format!("The content type '{content_type}' is not supported; send application/json.")));
        }
        self.changes(call.body, world, resource, endpoint)
    }

    pub(super) fn changes(&self, body: &[u8], world: &World, number: usize, endpoint: Endpoint) -> Result<Changes, Fail> {
        let refused = |why: String| (self.site.refusal_status, why);
        let resource = &world.resources[number];
        let given: IndexMap<String, Box<RawValue>> =
            serde_json::from_slice(body).map_err(|error| refused(format!("The body is not a JSON object: {error}")))?;
        let unknown = |name: &str| refused(format!("'{name}' property is not valid for the '{}' resource.", resource.name));
        let mut changes = Changes::with_capacity(given.len());
        for (name, raw) in &given {
            let index = (resource.fields.find(name)).filter(|index| {
                let field = resource.fields.at(*index);
                field.within.is_none() && (!field.custom || endpoint.custom())
            });
            let index = index.ok_or_else(|| unknown(name))?;
            let field = resource.fields.at(index);
            if field.readonly {
                return Err(refused(format!("Cannot update the '{name}' property that is read-only")));
            }
            if field.kind == Kind::Item {
                let parts: Option<IndexMap<String, Box<RawValue>>> =
                    serde_json::from_str(raw.get()).map_err(|_| refused(format!("The attribute '{name}' needs an object.")))?;
                for (part, raw) in parts.unwrap_or_default() {
                    let path = format!("{name}.{part}");
                    let index = resource.fields.find(&path).ok_or_else(|| unknown(&path))?;
                    let cell = resource.fields.at(index).read(raw.get(), self.policies()).map_err(refused)?;
                    changes.push((index, cell));
                }
                continue;
            }
            let cell = if field.kind == Kind::Link && field.target.as_deref().and_then(|target| world.number(target)).is_some() {
                self.link(world, field, raw.get()).map_err(refused)?
            } else {
                field.read(raw.get(), self.policies()).map_err(refused)?
            };
            changes.push((index, cell));
        }
        Ok(changes)
    }

    /// Reads a link; `null` empties it.
    fn link(&self, world: &World, field: &Field, raw: &str) -> Result<Option<Cell>, String> {
        let forms = self.site.link_forms;
        let name = &field.name;
        let Some(target) = field.target.as_deref().and_then(|target| world.number(target)) else {
            return Err(format!("attribute '{name}' leads to a resource that is not there"));
        };
        let resource = &world.resources[target];
        let given: Json = serde_json::from_str(raw).map_err(|error| format!("attribute '{name}': {error}"))?;
        let wrong = || format!("attribute '{name}' needs a link to a record of '{}', not {raw}", resource.name);
        // A record that the caller cannot see cannot be linked to either.
        let found = |id: Option<u64>| id.filter(|id| world.visible(target, *id));
        let absent = |what: &str| format!("attribute '{name}': there is no record '{what}' of '{}'", resource.name);
        let href = |text: &str| {
            let pkey = text.strip_prefix(self.site.base.as_str())?.split('/').rfind(|part| !part.is_empty())?;
            found(world.by_pkey(target, &net::decode(pkey)?))
        };
        match &given {
            Json::Null => Ok(None),
            Json::String(text) if forms.href && text.starts_with("http") => {
                href(text).map(|id| Some(Cell::Link(To::Row(id)))).ok_or_else(|| absent(text))
            }
            Json::Object(object) if object.len() == 1 => {
                let Some((by, value)) = object.iter().next() else { return Err(wrong()) };
                let text = match value {
                    Json::String(text) => text.clone(),
                    Json::Number(number) => number.to_string(),
                    Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => return Err(wrong()),
                };
                match by.as_str() {
                    "PKey" if forms.pkey => {
                        let id = found(world.by_pkey(target, &text)).ok_or_else(|| absent(&text))?;
                        Ok(Some(Cell::Link(To::Row(id))))
                    }
                    "href" if forms.href => href(&text).map(|id| Some(Cell::Link(To::Row(id)))).ok_or_else(|| absent(&text)),
                    _ if forms.key && resource.fields.find(by).is_some_and(|key| resource.is_key(key)) => {
                        match (found(resource.by_attribute(by, &text)), field.unknown()) {
                            (Some(id), _) => Ok(Some(Cell::Link(To::Row(id)))),
                            // Only the key that addresses a record can wait for its record.
                            (None, Unknown::Accept) if resource.fields.find(by) == resource.address_key() => {
                                Ok(Some(Cell::Link(To::Key(text.into()))))
                            }
                            (None, Unknown::Accept | Unknown::Refuse) => Err(absent(&text)),
                        }
                    }
                    _ => Err(wrong()),
                }
            }
            Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => Err(wrong()),
        }
    }

    /// Creates a record from a seed or for the admin interface.
    pub(crate) fn seed(&self, resource: &str, body: &str) -> Result<(), String> {
        let mut world = crate::write(&self.world);
        let number = world.number(resource).ok_or_else(|| format!("no resource `{resource}`"))?;
        let changes = self.changes(body.as_bytes(), &world, number, Endpoint::Extended).map_err(|(_, why)| why)?;
        world.insert(number, changes, crate::time::now().timestamp_millis()).map_err(|key| format!("the key '{key}' is taken")).map(drop)
    }

    /// Changes (`Some`) or deletes a record by its key, hidden or not, as somebody in the product's own screens does.
    pub(crate) fn change(&self, resource: &str, key: &str, body: Option<&str>) -> Result<(), String> {
        let mut world = crate::write(&self.world);
        let number = world.number(resource).ok_or_else(|| format!("no resource `{resource}`"))?;
        let id = world.resources[number].by_key(key).ok_or_else(|| format!("no record of `{resource}` has the key `{key}`"))?;
        let Some(body) = body else {
            world.delete(number, id);
            return Ok(());
        };
        let changes = self.changes(body.as_bytes(), &world, number, Endpoint::Extended).map_err(|(_, why)| why)?;
        let now = crate::time::now().timestamp_millis();
        world.resources[number].update(id, changes, now).map_err(|key| format!("the key '{key}' is taken"))
    }

    pub(super) fn create(&self, call: &Call<'_>, resource: usize, endpoint: Endpoint) -> Result<Response<Body>, Fail> {
        let mut world = crate::write(&self.world);
        let changes = self.payload(call, &world, resource, endpoint)?;
        let name = world.resources[resource].name.clone();
        // A hidden record holds its key too: the caller gets an error about a duplicate that it cannot see.
        let id = world
            .insert(resource, changes, crate::time::now().timestamp_millis())
            .map_err(|key| (self.site.duplicate_status, format!("A {name} with the key '{key}' already exists.")))?;
        let row = world.resources[resource].rows.get(&id);
        let record = row.map(|row| self.record(&world, resource, endpoint, id, row)).unwrap_or_default();
        Ok(ok(StatusCode::CREATED, &Json::Object(record)))
    }

    pub(super) fn update(&self, call: &Call<'_>, number: usize, endpoint: Endpoint, key: &str) -> Result<Response<Body>, Fail> {
        let mut world = crate::write(&self.world);
        let id = world.find(number, key).ok_or_else(|| missing(&world.resources[number].name, key))?;
        let changes = self.payload(call, &world, number, endpoint)?;
        let resource = &world.resources[number];
        if let Some(row) = resource.rows.get(&id) {
            for (index, cell) in changes.iter().filter(|(index, _)| resource.keys.iter().any(|key| key.contains(index))) {
                // The identification key cannot be changed. [D] Sending the value it has is let pass. [D: "if different"] That one which
                // is empty can be set is assumed. [K]
                if row.cell(*index).is_some() && cell.as_ref() != row.cell(*index) {
                    let name = &resource.fields.at(*index).name;
                    return Err((self.site.refusal_status, format!("The key '{name}' cannot be changed.")));
                }
            }
        }
        world.resources[number]
            .update(id, changes, crate::time::now().timestamp_millis())
            .map_err(|key| (self.site.duplicate_status, format!("The key '{key}' already exists.")))?;
        let pkey = world.pkey(number, id);
        let href = self.href(&world, number, endpoint, &pkey);
        Ok(ok(StatusCode::OK, &json!({"PKey": pkey, "href": href})))
    }

    pub(super) fn delete(&self, number: usize, key: &str) -> Result<Response<Body>, Fail> {
        let mut world = crate::write(&self.world);
        let id = world.find(number, key).ok_or_else(|| missing(&world.resources[number].name, key))?;
        world.delete(number, id);
        Ok(net::empty(StatusCode::NO_CONTENT))
    }
}
