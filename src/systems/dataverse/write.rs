//! Writes of single rows: create, update, upsert, delete, by id or alternate key.
//!
//! Sources: Dataverse Web API, *Create a table row*, *Update and delete table rows*, *Upsert a table row*, *Perform conditional
//! operations*. Requests that name their row are idempotent; a create without an id is not.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::key::{Entity, RowKey};
use super::{Dataverse, name, query};
use crate::connect::ConnectError;
use crate::connect::http::{Expect, Reply, Request};

/// What must hold of a row for a write to take effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Nothing: create it or change it (upsert).
    Any,
    /// It exists (`If-Match: *`).
    Exists,
    /// It does not exist (`If-None-Match: *`).
    Absent,
    /// Its version is this one (`If-Match` with an ETag, as an answer gave it).
    Version(String),
}

/// What a write came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The row was made. When the request was sent more than once, it may have been there before.
    Created {
        /// Its id, where the answer told.
        id: Option<Uuid>,
    },
    /// The row was changed.
    Updated {
        /// Its id, where the answer told.
        id: Option<Uuid>,
    },
    /// It was written; the answer does not tell whether it was there before.
    Written,
    /// There is no such row ([`Condition::Exists`], [`Condition::Version`]).
    Missing,
    /// There is such a row already ([`Condition::Absent`]). When the request was sent more than once, it may be this one's.
    Exists,
}

/// RecordNotFoundByEntityKey and ObjectDoesNotExist.
const NO_ROW: [&str; 4] = ["0x80060891", "-2147088239", "0x80040217", "-2147220969"];

/// Whether an error says that a row is missing, and not that the table is.
pub(super) fn no_row(error: &ConnectError) -> bool {
    let ConnectError::NotFound { call } = error else { return false };
    call.code.as_deref().is_none_or(|code| code.is_empty() || NO_ROW.iter().any(|c| c.eq_ignore_ascii_case(code)))
}

impl Dataverse {
    /// Makes a row under an id of the service's; `body` is a JSON object.
    ///
    /// # Errors
    /// [`ConnectError::OutcomeUnknown`] when the answer was not seen: the request is not repeated, since it might make a second
    /// row. Where the caller can choose the id, [`Dataverse::write`] with [`Condition::Absent`] can be repeated.
    /// [`ConnectError::Duplicate`] when an alternate key is taken. Others as they come.
    pub async fn create(&self, entity: &Entity, body: &str) -> Result<Uuid, ConnectError> {
        let request = self.change(Method::POST, self.url(&name(&entity.set), "")?, Some(body), Vec::new())?;
        let reply = self.0.http.exchange(&request).await?;
        reply_id(&reply).ok_or_else(|| request.protocol("a created row's address is missing: check that no proxy removes headers"))
    }

    /// Writes a row; `body` is a JSON object of the columns to change. Leave the columns of an alternate key out of it: of a
    /// row that exists they are ignored, of a new one they are taken from the address.
    ///
    /// Where a value of the key would break an address, the row is looked up by a filter and written by its id; a row that is
    /// made then has the key's columns added.
    ///
    /// # Errors
    /// [`ConnectError::Changed`] when the version is another; [`ConnectError::Duplicate`] when another row has an alternate key.
    /// Others as they come.
    pub async fn write(&self, entity: &Entity, key: &RowKey, body: &str, condition: &Condition) -> Result<Outcome, ConnectError> {
        let Some(segment) = key.segment() else { return self.write_by_filter(entity, key, body, condition).await };
        match self.write_at(entity, &segment, body, condition).await {
            // Upserts of one key race: the loser's row exists by now, and the second try changes it.
            Err(ConnectError::Duplicate { .. }) if *condition == Condition::Any && matches!(key, RowKey::Alternate(_)) => {
                self.write_at(entity, &segment, body, condition).await
            }
            other => other,
        }
    }

    /// Deletes a row. One that is gone already is [`Outcome::Missing`], also when an earlier attempt of this very call deleted it.
    ///
    /// # Errors
    /// [`ConnectError::Changed`] when `version` is given and is another. Others as they come.
    pub async fn delete(&self, entity: &Entity, key: &RowKey, version: Option<&str>) -> Result<Outcome, ConnectError> {
        let segment = match key.segment() {
            Some(segment) => segment,
            None => match self.find(entity, key).await? {
                Some(id) => format!("({id})"),
                None => return Ok(Outcome::Missing),
            },
        };
        let url = self.url(&format!("{}{segment}", name(&entity.set)), "")?;
        let headers = version.map(|v| vec![(IF_MATCH, v.to_owned())]).unwrap_or_default();
        let request = self.change(Method::DELETE, url, None, headers)?;
        match self.0.http.exchange(&request).await {
            Ok(reply) if reply.status == 204 && reply.body.is_empty() => Ok(Outcome::Written),
            Ok(_) => {
                Err(request.unknown("something else came in place of the documented answer: check proxies between d365map and the service"))
            }
            Err(error) if no_row(&error) => Ok(Outcome::Missing),
            Err(error) => Err(error),
        }
    }

    /// The id of the row with an alternate key, by a filter.
    ///
    /// # Errors
    /// [`ConnectError::Protocol`] when more than one row has it: the key is not enforced there. Others as they come.
    pub async fn find(&self, entity: &Entity, key: &RowKey) -> Result<Option<Uuid>, ConnectError> {
        let options = query(&[("$select", &name(&entity.primary_id)), ("$filter", &name(&key.filter(&entity.primary_id))), ("$top", "2")]);
        let request = self.request(self.url(&name(&entity.set), &options)?, None)?;
        let body = self.0.http.send(&request).await?;
        let found: Value = super::json(&request, &body)?;
        let rows = found.get("value").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        match rows {
            [] => Ok(None),
            [row] => {
                let id = row.get(&entity.primary_id).and_then(Value::as_str).and_then(|id| id.parse().ok());
                id.map(Some).ok_or_else(|| request.protocol(format!("a row has no `{}`: check the table's names", entity.primary_id)))
            }
            _ => Err(request.protocol("more than one row has this key: make its columns an alternate key in Dynamics")),
        }
    }

    async fn write_at(&self, entity: &Entity, segment: &str, body: &str, condition: &Condition) -> Result<Outcome, ConnectError> {
        let path = format!("{}{segment}", name(&entity.set));
        let mut headers = Vec::new();
        let mut options = String::new();
        match condition {
            Condition::Any => {
                // Only an answer with a body tells a created row (201) from a changed one (200).
                headers.push((HeaderName::from_static("prefer"), "return=representation".to_owned()));
                options = query(&[("$select", &name(&entity.primary_id))]);
            }
            Condition::Exists => headers.push((IF_MATCH, "*".to_owned())),
            Condition::Absent => headers.push((IF_NONE_MATCH, "*".to_owned())),
            Condition::Version(version) => headers.push((IF_MATCH, version.clone())),
        }
        let request = self.change(Method::PATCH, self.url(&path, &options)?, Some(body), headers)?;
        match self.0.http.exchange(&request).await {
            Ok(reply) => {
                let id = reply_id(&reply).or_else(|| body_id(&reply, &entity.primary_id));
                let other = id.is_some_and(|id| id_in(segment).is_some_and(|asked| asked != id));
                // Documented: 204 without a body, or the row, which says by its id that it is the answer to this request.
                let row = || body_id(&reply, &entity.primary_id).is_some();
                let documented = match reply.status {
                    204 => reply.body.is_empty(),
                    200 => row(),
                    201 => matches!(condition, Condition::Any | Condition::Absent) && row(),
                    _ => false,
                };
                if other || !documented {
                    return Err(request.unknown(if other {
                        "the answer is about another row"
                    } else {
                        "something else came in place of the documented answer: check proxies between d365map and the service"
                    }));
                }
                Ok(match (condition, reply.status) {
                    (Condition::Absent, _) | (Condition::Any, 201) => Outcome::Created { id },
                    (Condition::Exists | Condition::Version(_), _) | (Condition::Any, 200) => Outcome::Updated { id },
                    (Condition::Any, _) => Outcome::Written,
                })
            }
            Err(error) if no_row(&error) && matches!(condition, Condition::Exists | Condition::Version(_)) => Ok(Outcome::Missing),
            // Another row may have one of the body's alternate keys: only a row at this very address is "exists".
            Err(ConnectError::Duplicate { call }) if *condition == Condition::Absent && !is_other_key(call.code.as_deref()) => {
                Ok(Outcome::Exists)
            }
            Err(error) => Err(error),
        }
    }

    async fn write_by_filter(&self, entity: &Entity, key: &RowKey, body: &str, condition: &Condition) -> Result<Outcome, ConnectError> {
        let existing = |id: Uuid| format!("({id})");
        for last in [false, true] {
            match (self.find(entity, key).await?, condition) {
                (Some(_), Condition::Absent) => return Ok(Outcome::Exists),
                (None, Condition::Exists | Condition::Version(_)) => return Ok(Outcome::Missing),
                (Some(id), Condition::Any | Condition::Exists) => {
                    match self.write_at(entity, &existing(id), body, &Condition::Exists).await? {
                        // Gone since it was found.
                        Outcome::Missing if *condition == Condition::Any && !last => {}
                        outcome => return Ok(outcome),
                    }
                }
                (Some(id), Condition::Version(_)) => return self.write_at(entity, &existing(id), body, condition).await,
                (None, Condition::Any | Condition::Absent) => {
                    let id = Uuid::new_v4();
                    let body = with_key(body, key);
                    match self.write_at(entity, &existing(id), &body, &Condition::Absent).await {
                        // Under an id of ours, so it was an earlier attempt of this call.
                        Ok(Outcome::Exists) => return Ok(Outcome::Created { id: Some(id) }),
                        // Made by somebody else since it was looked for.
                        Err(ConnectError::Duplicate { .. }) if !last => {}
                        other => return other,
                    }
                }
            }
        }
        Err(ConnectError::Protocol {
            call: Box::default(),
            problem: format!("a row of {} appears and disappears while it is written: try again", entity.logical_name),
        })
    }

    /// A request that changes something. `If-None-Match: null`, which keeps caches away, is for reading only.
    pub(super) fn change(
        &self,
        method: Method,
        url: Url,
        body: Option<&str>,
        more: Vec<(HeaderName, String)>,
    ) -> Result<Request<'_>, ConnectError> {
        let read = self.request(url, None)?;
        let mut headers: HeaderMap = read.headers;
        headers.remove(IF_NONE_MATCH);
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        }
        for (name, value) in more {
            let wrong = |_| ConnectError::config(format!("dataverse: `{name}` cannot have this value"), "take the version from an answer");
            headers.insert(name.clone(), HeaderValue::try_from(value).map_err(wrong)?);
        }
        let body = body.map(|b| Bytes::copy_from_slice(b.as_bytes())).into();
        let token = read.token;
        // A lost body after its status changes nothing, but for the id that some answers have in it.
        Ok(Request { headers, body, token, expect: Expect::Status, ..Request::new(super::API, method, read.url) })
    }
}

/// DuplicateRecordEntityKey: an alternate key is taken, perhaps by another row.
fn is_other_key(code: Option<&str>) -> bool {
    code.is_some_and(|code| ["0x80060892", "-2147088238"].iter().any(|c| c.eq_ignore_ascii_case(code)))
}

/// A body with the columns of an alternate key.
fn with_key(body: &str, key: &RowKey) -> String {
    let RowKey::Alternate(parts) = key else { return body.to_owned() };
    let mut text = String::from("{");
    for (column, value) in parts {
        use super::key::KeyValue;
        let json = match value {
            KeyValue::Text(text) | KeyValue::Date(text) => Value::from(text.as_str()).to_string(),
            KeyValue::Integer(number) => number.to_string(),
            KeyValue::Decimal(number) => number.to_string(),
            // A lookup is written by its navigation property, which the body has.
            KeyValue::Lookup(_) => continue,
        };
        text.push_str(&format!("{}:{json},", Value::from(column.as_str())));
    }
    join(text, body)
}

/// Adds the members of a JSON object to an object that is begun.
pub(super) fn join(mut begun: String, object: &str) -> String {
    let inner = object.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or_default().trim();
    if inner.is_empty() && begun.ends_with(',') {
        begun.pop();
    }
    begun.push_str(inner);
    begun.push('}');
    begun
}

/// The id in an answer's headers: `OData-EntityId: <root>/contacts(<guid>)`. The address by an alternate key has none.
pub(super) fn reply_id(reply: &Reply) -> Option<Uuid> {
    ["odata-entityid", "location"].iter().find_map(|name| id_in(reply.headers.get(*name)?.to_str().ok()?))
}

/// The id at the end of an address.
pub(super) fn id_in(address: &str) -> Option<Uuid> {
    let (_, rest) = address.rsplit_once('(')?;
    rest.split_once(')')?.0.parse().ok()
}

fn body_id(reply: &Reply, primary_id: &str) -> Option<Uuid> {
    let body: Value = serde_json::from_slice(&reply.body).ok()?;
    body.get(primary_id)?.as_str()?.parse().ok()
}

/// A row's version as a header gave it.
pub(super) fn version(headers: &HeaderMap) -> Option<String> {
    headers.get(ETAG).and_then(|v| v.to_str().ok()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::dataverse::KeyValue;

    #[test]
    fn an_id_is_read_from_an_address_and_not_from_an_alternate_key() {
        let id = Uuid::from_u128(7);
        assert_eq!(id_in(&format!("https://o/api/data/v9.2/contacts({id})")), Some(id));
        assert_eq!(id_in("https://o/api/data/v9.2/contacts(emailaddress1='a(b)')"), None);
        assert_eq!(id_in(""), None);
    }

    #[test]
    fn a_new_rows_body_gets_the_keys_columns() {
        let key = RowKey::Alternate(vec![
            ("emailaddress1".into(), KeyValue::Text("a+\"b".into())),
            ("n".into(), KeyValue::Integer(1)),
            ("_x_value".into(), KeyValue::Lookup(Uuid::nil())),
        ]);
        for (body, expected) in [(r#"{"a": 1}"#, r#"{"emailaddress1":"a+\"b","n":1,"a": 1}"#), ("{}", r#"{"emailaddress1":"a+\"b","n":1}"#)]
        {
            let made = with_key(body, &key);
            assert_eq!(made, expected);
            assert!(serde_json::from_str::<Value>(&made).is_ok());
        }
    }
}
