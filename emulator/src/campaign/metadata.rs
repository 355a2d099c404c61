//! What the API says of its resources: their attributes, their filters, and which there are.
//!
//! Source: Campaign Standard API: *Metadata mechanism*, *Filtering*, *Custom resources*.

use serde_json::{Map, Value as Json, json};

use super::Campaign;
use super::fields::{Cardinality, Field, Kind};
use super::read::Endpoint;
use super::store::{TYPE, World};

/// The technical type. Documented is that there is one; the words are assumed. [K]
fn technical(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "string",
        Kind::Integer => "long",
        Kind::Number => "double",
        Kind::Boolean => "boolean",
        Kind::Date => "date",
        Kind::Datetime => "datetime",
        Kind::Enumeration => "byte",
        Kind::Link | Kind::Collection => "link",
        Kind::Item => "element",
    }
}

fn attribute(field: &Field) -> Json {
    let mut entry = json!({
        "apiName": field.name,
        "label": field.label,
        "type": field.kind.name(),
        "dataPolicy": field.policy.as_deref().unwrap_or("none"),
        "category": if field.custom { "extended" } else { "standard" },
        "resType": technical(field.kind),
        "sortable": field.sortable,
    });
    if let Some(target) = &field.target {
        entry["resTarget"] = json!(target);
    }
    if matches!(field.kind, Kind::Link | Kind::Collection) {
        entry["unbound"] = json!(field.kind == Kind::Collection);
    }
    if field.cardinality == Cardinality::One {
        entry["mandatory"] = json!(true);
    }
    if field.kind == Kind::Enumeration {
        entry["values"] = field.values.iter().map(|(label, name, stored)| json!({"label": label, "name": name, "value": stored})).collect();
    }
    entry
}

impl Campaign {
    /// `GET resourceType/<resource>`.
    pub(super) fn metadata(&self, world: &World, number: usize, endpoint: Endpoint) -> Json {
        let resource = &world.resources[number];
        let base = format!("{}/campaign/{}", self.site.base, endpoint.name());
        let content: Map<String, Json> =
            resource.fields.top(endpoint.custom()).map(|(_, field)| (field.name.clone(), attribute(field))).collect();
        json!({
            "content": content,
            "data": format!("/{}/{}/", endpoint.name(), resource.name),
            "filters": {"href": format!("{base}/resourceType/{}/filters/", world.seal(TYPE, number as u64))},
            "help": resource.label,
            "href": format!("{base}/{}/metadata", resource.name),
            "label": resource.label,
            "mandatory": false,
            "name": resource.name,
            "pkgStatus": "never",
            "readOnly": false,
            "schema": resource.schema,
            "type": "item",
        })
    }

    /// `GET resourceType/history`: that it exists is known from the vendor's tests of its client [C], its content is assumed [K].
    pub(super) fn history_metadata(&self, world: &World) -> Json {
        let base = format!("{}/campaign/{}", self.site.base, Endpoint::Standard.name());
        json!({
            "content": {
                "countBroadLogEvents": {"apiName": "countBroadLogEvents", "type": "number", "dataPolicy": "none", "resType": "long"},
                "events": {"apiName": "events", "type": "collection", "dataPolicy": "none", "resType": "link", "unbound": true},
                "minBroadLogEvents": {"apiName": "minBroadLogEvents", "type": "date", "dataPolicy": "none", "resType": "datetime"},
            },
            "data": "/profileAndServices/history/",
            "filters": {"href": format!("{base}/resourceType/{}/filters/", world.seal(TYPE, 0))},
            "help": "Marketing history",
            "href": format!("{base}/history/metadata"),
            "label": "Marketing history",
            "name": "history",
            "schema": "nms:recipient",
            "type": "item",
        })
    }

    /// `GET resourceType/<PKEY>/filters`: the filters by name.
    pub(super) fn filters(&self, world: &World, number: usize, endpoint: Endpoint) -> Json {
        let resource = &world.resources[number];
        let data = format!("/{}/{}/", endpoint.name(), resource.name);
        let filters = resource.filters.iter().enumerate();
        let named = filters.map(|(at, filter)| (filter.name.clone(), filter.describe(&world.seal(TYPE + 100, at as u64), &data)));
        Json::Object(named.collect())
    }

    /// `GET <endpoint>/`: the resources found there.
    pub(super) fn directory(&self, world: &World, endpoint: Endpoint) -> Json {
        let mut list = Map::new();
        list.insert("apiName".to_owned(), json!("resourceType"));
        for resource in world.resources.iter().filter(|resource| endpoint.serves(resource)) {
            let base = format!("{}/campaign/{}", self.site.base, endpoint.name());
            let entry = json!({
                "data": format!("/{}/{}/", endpoint.name(), resource.name),
                "help": resource.label,
                "href": format!("{base}/{}/metadata", resource.name),
                "name": resource.name,
                "type": "collection",
            });
            list.insert(resource.name.clone(), entry);
        }
        Json::Object(list)
    }
}
