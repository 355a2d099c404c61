//! Metadata requests that change definitions, and those over the whole organization: relationships, changes of metadata.
//!
//! Names of properties and the answers' headers are the documented ones; `CreateEntities` is known from Microsoft's own Python client. [C]

use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::error::{Fail, Result};
use super::metadata::{self, Query, column_at, key_at, metadata_id, table_at};
use super::store::Store;
use super::url::Segment;
use super::{Access, Call, Site, define, read};
use crate::net;

fn json(call: &Call<'_>) -> Result<Json> {
    super::route::json_body(call)?;
    serde_json::from_slice(call.body).map_err(|error| Fail::payload("EntityDefinitions", format!("the body is not a JSON object: {error}")))
}

/// 204 with the address of what was made.
fn made(site: &Site, path: &str) -> Response<Body> {
    let mut response = net::empty(StatusCode::NO_CONTENT);
    let url = format!("{}/{path}", site.root);
    net::set(&mut response, "odata-entityid", &url);
    net::set(&mut response, "location", &url);
    response
}

/// A change of the definitions; not within a change set, which could not undo it.
fn change<T>(access: &mut Access<'_>, work: impl FnOnce(&mut Store) -> Result<T>) -> Result<T> {
    match access {
        Access::Held(..) => Err(Fail::not_emulated("changes of definitions in a change set")),
        Access::Lock(_) => access.write(work),
    }
}

fn table_id(store: &Store, table: usize) -> String {
    metadata_id(&store.tables[table].table.name)
}

/// `POST CreateEntities`.
pub(super) fn create_entities(access: &mut Access<'_>, call: &Call<'_>) -> Result<Response<Body>> {
    let body = json(call)?;
    let entities =
        body.get("Entities").and_then(Json::as_array).ok_or_else(|| Fail::payload("CreateEntities", "the body needs 'Entities'"))?;
    for entity in entities {
        change(access, |store| define::create_table(store, entity))?;
    }
    Ok(net::empty(StatusCode::NO_CONTENT))
}

/// `POST`, `PUT` and `DELETE` under `EntityDefinitions`.
pub(super) fn entity_definitions(site: &Site, access: &mut Access<'_>, call: &Call<'_>, segments: &[Segment]) -> Result<Response<Body>> {
    let method = call.method.as_str();
    let refused = || Fail::method(method);
    let Some(first) = segments.first() else { return Err(refused()) };
    if first.key.is_none() {
        if *call.method != Method::POST || segments.len() > 1 {
            return Err(refused());
        }
        let body = json(call)?;
        let id = change(access, |store| define::create_table(store, &body).map(|table| table_id(store, table)))?;
        return Ok(made(site, &format!("EntityDefinitions({id})")));
    }
    let missing = || metadata::missing_entity(&first.raw);
    let table = access.read(|store| table_at(store, first.key.as_ref())).ok_or_else(missing)?;
    let entity = access.read(|store| table_id(store, table));
    let done = || Ok(net::empty(StatusCode::NO_CONTENT));
    let Some(second) = segments.get(1) else {
        if *call.method == Method::PUT {
            let body = json(call)?;
            change(access, |store| define::update_table(store, table, &body))?;
            return done();
        }
        if *call.method != Method::DELETE {
            return Err(refused());
        }
        let custom = access.read(|store| store.tables[table].table.custom);
        if !custom {
            return Err(Fail::new(400, "0x8004f01f", "The entity cannot be deleted: it is part of the system."));
        }
        change(access, |store| store.drop_table(table))?;
        return done();
    };
    match (method, second.name.as_str(), &second.key) {
        ("POST", "Attributes", None) => {
            let body = json(call)?;
            let name = change(access, |store| define::create_column(store, table, &body))?;
            let id = access.read(|store| metadata_id(&format!("{}.{name}", store.tables[table].table.name)));
            Ok(made(site, &format!("EntityDefinitions({entity})/Attributes({id})")))
        }
        ("PUT" | "DELETE", "Attributes", Some(key)) => {
            let column = access.read(|store| {
                let description = &store.tables[table].table;
                column_at(description, Some(key)).map(|index| description.at(index).name.clone())
            });
            let column = column.ok_or_else(|| metadata::missing_attribute(&second.raw))?;
            if method == "DELETE" {
                change(access, |store| define::delete_column(store, table, &column))?;
            } else {
                let body = json(call)?;
                change(access, |store| define::update_column(store, table, &column, &body))?;
            }
            done()
        }
        ("POST", "Keys", None) => {
            let body = json(call)?;
            let name = change(access, |store| define::create_key(store, table, &body))?;
            let id = access.read(|store| metadata_id(&format!("{} key {name}", store.tables[table].table.name)));
            Ok(made(site, &format!("EntityDefinitions({entity})/Keys({id})")))
        }
        ("DELETE", "Keys", Some(key)) => {
            let at = access.read(|store| key_at(&store.tables[table].table, Some(key)));
            let at =
                at.ok_or_else(|| Fail::new(404, "0x80060888", format!("Could not find a key with the specified key: {}", second.raw)))?;
            change(access, |store| define::delete_key(store, table, at))?;
            done()
        }
        _ => Err(refused()),
    }
}

/// Everything under `RelationshipDefinitions`.
pub(super) fn relationships(site: &Site, access: &mut Access<'_>, call: &Call<'_>, segments: &[Segment]) -> Result<Response<Body>> {
    let method = call.method.as_str();
    let Some(first) = segments.first() else { return Err(Fail::method(method)) };
    let found = |store: &Store| -> Vec<(usize, Map<String, Json>)> {
        let tables = store.tables.iter().enumerate().filter(|(_, rows)| !rows.table.dropped);
        tables
            .flat_map(|(index, rows)| rows.table.many_to_one.iter().map(move |item| (index, metadata::relation(&rows.table, item))))
            .collect()
    };
    let by_key = |store: &Store| -> Option<(usize, Map<String, Json>)> {
        let wanted = metadata::guid_of(first.key.as_ref());
        let name = metadata::named(first.key.as_ref(), "SchemaName");
        found(store).into_iter().find(|(_, map)| {
            wanted.as_deref().is_some_and(|id| map["MetadataId"] == id) || name.is_some_and(|name| map["SchemaName"] == name)
        })
    };
    let missing = || Fail::new(404, "0x80060888", format!("Could not find a relationship with the specified key: {}", first.raw));
    match (method, &first.key) {
        ("POST", None) => {
            let body = json(call)?;
            let schema = change(access, |store| define::create_relationship(store, &body))?;
            Ok(made(site, &format!("RelationshipDefinitions({})", metadata_id(&schema))))
        }
        ("DELETE", Some(_)) => {
            let (table, map) = access.read(by_key).ok_or_else(missing)?;
            let column = map["ReferencingAttribute"].as_str().unwrap_or_default().to_owned();
            change(access, |store| define::delete_column(store, table, &column))?;
            Ok(net::empty(StatusCode::NO_CONTENT))
        }
        ("GET", key) => {
            let query = Query::parse(call.query)?;
            let typed = |mut map: Map<String, Json>| {
                map.insert("@odata.type".to_owned(), json!("#Microsoft.Dynamics.CRM.OneToManyRelationshipMetadata"));
                map
            };
            if key.is_some() {
                let (_, map) = access.read(by_key).ok_or_else(missing)?;
                let map = metadata::project(typed(map), query.select.as_deref(), "RelationshipMetadataBase")?;
                return Ok(metadata::respond(site, "RelationshipDefinitions/$entity", map));
            }
            let mut items = Vec::new();
            for (_, map) in access.read(found) {
                if query.passes(&map, "RelationshipMetadataBase")? {
                    items.push(metadata::project(typed(map), query.select.as_deref(), "RelationshipMetadataBase")?);
                }
            }
            Ok(metadata::list(site, "RelationshipDefinitions", items))
        }
        _ => Err(Fail::method(method)),
    }
}

/// `EntityQueryExpression`, as far as clients use it here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    #[serde(default)]
    properties: Wanted,
    #[serde(default)]
    criteria: Criteria,
    #[serde(default)]
    attribute_query: Option<Box<Asked>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wanted {
    #[serde(default)]
    all_properties: bool,
    #[serde(default)]
    property_names: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Criteria {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Condition {
    property_name: String,
    condition_operator: String,
    value: Json,
}

impl Asked {
    fn matches(&self, map: &Map<String, Json>) -> Result<bool> {
        for condition in &self.criteria.conditions {
            let value = map.get(&condition.property_name).cloned().unwrap_or(Json::Null);
            let wanted = condition.value.get("Value").cloned().unwrap_or(Json::Null);
            let equal = value == wanted || value.to_string().trim_matches('"') == wanted.as_str().unwrap_or_default();
            let holds = match condition.condition_operator.as_str() {
                "Equals" => equal,
                "NotEquals" => !equal,
                other => return Err(Fail::not_emulated(&format!("the condition {other} on metadata"))),
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Properties that an object does not have are left out, as they are of another type's objects.
    fn project(&self, map: Map<String, Json>) -> Map<String, Json> {
        let always = |name: &str| matches!(name, "MetadataId" | "@odata.type" | "HasChanged");
        let wanted = |name: &str| self.properties.all_properties || self.properties.property_names.iter().any(|other| other == name);
        map.into_iter().filter(|(name, _)| always(name) || wanted(name)).collect()
    }
}

/// `GET RetrieveMetadataChanges(Query=@p1)?@p1={…}`: everything that matches, for no stamp of an earlier call is taken.
pub(super) fn metadata_changes(site: &Site, store: &Store, path: &str, query: Option<&str>) -> Result<Response<Body>> {
    let pairs = net::query(query).ok_or_else(|| Fail::query("The query string is not UTF-8."))?;
    let inner = path.strip_suffix(')').and_then(|path| path.split_once('(')).map_or("", |(_, inner)| inner);
    let argument = net::decode(inner).unwrap_or_default();
    let value = argument.split_once('=').map_or("", |(_, value)| value);
    let text = match value.starts_with('@') {
        true => pairs.iter().find(|(name, _)| name == value).map_or("", |(_, text)| text.as_str()),
        false => value,
    };
    let asked: Asked =
        serde_json::from_str(text).map_err(|error| Fail::query(format!("The parameter 'Query' cannot be read: {error}.")))?;
    let mut entities = Vec::new();
    for rows in store.tables.iter().filter(|rows| !rows.table.dropped) {
        let map = metadata::entity(&rows.table);
        if !asked.matches(&map)? {
            continue;
        }
        let mut map = asked.project(map);
        if asked.properties.all_properties || asked.properties.property_names.iter().any(|name| name == "Attributes") {
            let mut attributes = Vec::new();
            for column in &rows.table.columns {
                let full = metadata::full(&rows.table, column);
                match &asked.attribute_query {
                    Some(query) if query.matches(&full)? => attributes.push(Json::Object(query.project(full))),
                    Some(_) => {}
                    None => attributes.push(Json::Object(full)),
                }
            }
            map.insert("Attributes".to_owned(), Json::Array(attributes));
        }
        entities.push(Json::Object(map));
    }
    let body = json!({
        "@odata.context": format!("{}/$metadata#Microsoft.Dynamics.CRM.RetrieveMetadataChangesResponse", site.root),
        "ServerVersionStamp": format!("{}!{}", store.version, site.clock.now().format("%m/%d/%Y %H:%M:%S")),
        "DeletedMetadata": null,
        "EntityMetadata": entities,
    });
    Ok(net::body(StatusCode::OK, read::JSON, body.to_string()))
}

/// `POST BulkDelete`: an asynchronous job in the service, done at once here. Of its conditions, a list of primary keys is known.
pub(super) fn bulk_delete(site: &Site, access: &mut Access<'_>, call: &Call<'_>) -> Result<Response<Body>> {
    let body = json(call)?;
    let queries = body.get("QuerySet").and_then(Json::as_array).ok_or_else(|| Fail::payload("BulkDelete", "the body needs 'QuerySet'"))?;
    for query in queries {
        let name = query.get("EntityName").and_then(Json::as_str).unwrap_or_default();
        let table = access.read(|store| store.by_name(name));
        let table = table.ok_or_else(|| Fail::new(400, "0x80040217", format!("Could not find an entity with name {name}.")))?;
        let id = access.read(|store| store.tables[table].table.id.clone());
        let conditions = query.get("Criteria").and_then(|criteria| criteria.get("Conditions")).and_then(Json::as_array);
        let Some([condition]) = conditions.map(Vec::as_slice) else { return Err(Fail::not_emulated("this query of BulkDelete")) };
        if condition["AttributeName"] != *id || condition["Operator"] != "In" {
            return Err(Fail::not_emulated("this condition of BulkDelete"));
        }
        let values = condition["Values"].as_array().cloned().unwrap_or_default();
        let ids: Vec<Uuid> = values.iter().filter_map(|value| value["Value"].as_str()).filter_map(|id| Uuid::try_parse(id).ok()).collect();
        access.write(|store| {
            for id in ids {
                // The job skips rows that no longer exist.
                if store.tables[table].rows.contains_key(&id) {
                    store.delete(table, id)?;
                }
            }
            Ok(())
        })?;
    }
    let context = format!("{}/$metadata#Microsoft.Dynamics.CRM.BulkDeleteResponse", site.root);
    Ok(net::body(StatusCode::OK, read::JSON, json!({"@odata.context": context, "JobId": Uuid::new_v4()}).to_string()))
}
