//! `RetrieveTotalRecordCount`: how many rows tables have, from a snapshot of the last 24 hours. [D]
//!
//! Here the snapshot is taken at the moment of the question, unless a test has set one.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::json;

use super::error::{Fail, Result};
use super::store::Store;
use super::{Site, read};
use crate::net;

/// The snapshots that were set, by table.
pub(super) type Snapshots = BTreeMap<String, u64>;

/// `GET RetrieveTotalRecordCount(EntityNames=['contact','account'])`, or with a parameter alias.
pub(super) fn total(site: &Site, store: &Store, snapshots: &Snapshots, path: &str, query: Option<&str>) -> Result<Response<Body>> {
    let pairs = net::query(query).ok_or_else(|| Fail::query("The query string is not UTF-8."))?;
    let inner = path.strip_suffix(')').and_then(|path| path.split_once('(')).map_or("", |(_, inner)| inner);
    let argument = net::decode(inner).unwrap_or_default();
    let missing = || Fail::query("The parameter 'EntityNames' is missing.");
    let value = argument.trim().strip_prefix("EntityNames=").ok_or_else(missing)?;
    let text = match value.starts_with('@') {
        true => pairs.iter().find(|(name, _)| name == value).map(|(_, text)| text.as_str()).ok_or_else(missing)?,
        false => value,
    };
    let list = text.trim().strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let list = list.ok_or_else(|| Fail::query(format!("The parameter 'EntityNames' is not a collection: {text}")))?;
    let names: Vec<&str> = list.split(',').map(|name| name.trim().trim_matches(['\'', '"'])).filter(|name| !name.is_empty()).collect();
    let mut counts = Vec::with_capacity(names.len());
    for name in &names {
        // The code and the beginning of the text are seen for unknown tables in other messages. [C]
        let table = store.by_name(name).ok_or_else(|| {
            let text = format!("The entity with a name = '{name}' with namemapping = 'Logical' was not found in the MetadataCache.");
            Fail::new(404, "0x80041102", text)
        })?;
        counts.push(snapshots.get(*name).copied().unwrap_or(store.tables[table].rows.len() as u64));
    }
    let body = json!({
        "@odata.context": format!("{}/$metadata#Microsoft.Dynamics.CRM.RetrieveTotalRecordCountResponse", site.root),
        "EntityRecordCountCollection": { "Count": names.len(), "IsReadOnly": false, "Keys": names, "Values": counts },
    });
    Ok(net::body(StatusCode::OK, read::JSON, body.to_string()))
}
