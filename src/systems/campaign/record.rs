//! Single records: read, made, changed and deleted by a key of ours.
//!
//! Sources: Campaign Standard API, *Must read* (custom keys), *Verbs*; *Calling a resource using a composite identification key* (a
//! key of several attributes is looked up by a filter). Assumed: that an unknown key answers 404, or else with words that name it.

use std::fmt;

use reqwest::Method;
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};
use url::Url;

use super::list::Filter;
use super::{Campaign, Place, href, scrub, without_pkeys};
use crate::connect::ConnectError;
use crate::connect::http::Request;
use crate::systems::target::{Payload, Written};

/// What names a record.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    /// The value of the identification key that is used in addresses.
    Value(&'a str),
    /// The same, with its attribute: a record that comes in answer and has another value there is not believed.
    Identity {
        /// The attribute.
        attribute: &'a str,
        /// Its value.
        value: &'a str,
    },
    /// A filter that finds one record at most: for identification keys of several attributes, and for values that cannot be
    /// used in an address. Costs one call more.
    Filter(&'a Filter),
}

impl<'a> From<&'a str> for Key<'a> {
    fn from(value: &'a str) -> Self {
        Self::Value(value)
    }
}

impl<'a> From<&'a String> for Key<'a> {
    fn from(value: &'a String) -> Self {
        Self::Value(value)
    }
}

impl<'a> From<&'a Filter> for Key<'a> {
    fn from(filter: &'a Filter) -> Self {
        Self::Filter(filter)
    }
}

impl Campaign {
    /// A record by its key, without PKeys and addresses at any depth; none when there is none, or none that this client sees.
    ///
    /// # Errors
    /// [`ConnectError::Rejected`] when a filter finds several records, or when the key cannot be used in an address. Others as they come.
    pub async fn get<'k>(&self, resource: &str, key: impl Into<Key<'k>>) -> Result<Option<Value>, ConnectError> {
        let record = self.raw(&self.place(resource).await?, key.into()).await?;
        Ok(record.map(|fields| {
            let mut record = Value::Object(fields);
            scrub(&mut record);
            record
        }))
    }

    /// Creates a record; `body` is a JSON object that carries the key. With an attribute, the answer must be the record that has
    /// the body's value there.
    ///
    /// # Errors
    /// [`ConnectError::Duplicate`] when the key is taken. [`ConnectError::OutcomeUnknown`] when the answer was not seen, or is not
    /// the created record as the documents show it: the request is not repeated, since it might create a second record; look the
    /// key up first. Others as they come.
    pub async fn create(&self, resource: &str, attribute: Option<&str>, body: impl Into<Payload>) -> Result<(), ConnectError> {
        let body = body.into();
        let Place { api, resource } = self.place(resource).await?;
        let request = self.request(Method::POST, self.address([&*api, resource], [])?, Some(body.0.clone()));
        let answer = self.send(&request).await?;
        let Some(told) = documented(&answer, attribute) else { return Err(odd(&request, &answer)) };
        let Some(attribute) = attribute else { return Ok(()) };
        let given = Told::read(&body.0, Some(attribute)).and_then(|given| given.key).as_ref().and_then(shown);
        match given {
            Some(key) if !is_identified(told.key.as_ref(), &key) => {
                self.0.http.leave_connections();
                Err(without_pkeys(request.unknown("the answer is not the created record")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Changes attributes of a record; `body` is a JSON object of the changed ones, without the key. With [`Key::Identity`], an answer
    /// that names another record is not believed; the documented one, `{"PKey": "…", "href": "…"}`, names none that we know.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn update<'k>(&self, resource: &str, key: impl Into<Key<'k>>, body: impl Into<Payload>) -> Result<Written, ConnectError> {
        let (key, body) = (key.into(), body.into());
        match self.locate(&self.place(resource).await?, key).await? {
            Some(url) => {
                let attribute = match key {
                    Key::Identity { attribute, .. } => Some(attribute),
                    Key::Value(_) | Key::Filter(_) => None,
                };
                let own = |answer: &[u8]| documented(answer, attribute).is_some_and(|told| !is_another(&told, key));
                self.write(self.request(Method::PATCH, url, Some(body.0.clone())), key, own).await
            }
            None => Ok(Written::Missing),
        }
    }

    /// Deletes a record. One that is gone already is [`Written::Missing`], also when it was an earlier attempt of this very
    /// call that deleted it and whose answer was lost.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn delete<'k>(&self, resource: &str, key: impl Into<Key<'k>>) -> Result<Written, ConnectError> {
        let key = key.into();
        let place = self.place(resource).await?;
        let Some(url) = self.locate(&place, key).await? else { return Ok(Written::Missing) };
        let request = self.request(Method::DELETE, url, None);
        let reply = match self.exchange(&request).await {
            Ok(reply) => reply,
            Err(error) if is_missing(&error, key) => return Ok(Written::Missing),
            Err(error) => return Err(error),
        };
        // No document shows the answer. A status of 204 is taken for Campaign's own; any other empty answer may be somebody else's, so the
        // record is looked up.
        let is_done = match (reply.status, reply.body.trim_ascii()) {
            (204, []) => true,
            (_, []) => matches!(self.raw(&place, key).await, Ok(None)),
            _ => false,
        };
        if is_done { Ok(Written::Done) } else { Err(odd(&request, &reply.body)) }
    }

    /// A record as the service gives it; its PKey and addresses are for the next call alone.
    pub(super) async fn raw(&self, place: &Place<'_>, key: Key<'_>) -> Result<Option<Map<String, Value>>, ConnectError> {
        let filter = match key {
            Key::Filter(filter) => filter,
            Key::Value(value) | Key::Identity { value, .. } => {
                let url = self.addressed(place, value)?;
                return match self.read::<Map<String, Value>>(url.clone()).await {
                    Ok(answer) => {
                        let record = self.one_of(answer, value)?;
                        match key {
                            Key::Identity { attribute, .. } if !is_identified(record.get(attribute), value) => {
                                self.0.http.leave_connections();
                                Err(without_pkeys(self.request(Method::GET, url, None).unavailable("the answer is about another record")))
                            }
                            Key::Identity { .. } | Key::Value(_) | Key::Filter(_) => Ok(Some(record)),
                        }
                    }
                    Err(error) if is_missing(&error, key) => Ok(None),
                    Err(error) => Err(error),
                };
            }
        };
        let mut found = self.matching(place, filter, 2).await?;
        match found.len() {
            0 | 1 => Ok(found.pop()),
            _ => Err(self.refused(format!("the filter `{}` finds more than one `{}`, so it is not a key", filter.name(), place.resource))),
        }
    }

    /// The address of a record; `None` if the lookup finds nothing.
    async fn locate(&self, place: &Place<'_>, key: Key<'_>) -> Result<Option<Url>, ConnectError> {
        match key {
            Key::Value(value) | Key::Identity { value, .. } => self.addressed(place, value).map(Some),
            Key::Filter(_) => match self.raw(place, key).await? {
                Some(record) => {
                    let link = record.get("href").and_then(Value::as_str);
                    link.ok_or_else(|| self.refused(format!("a `{}` came without its address", place.resource)))
                        .and_then(|l| self.own(l))
                        .map(Some)
                }
                None => Ok(None),
            },
        }
    }

    fn addressed(&self, place: &Place<'_>, key: &str) -> Result<Url, ConnectError> {
        if key.starts_with('@') {
            return Err(self.refused(format!("the key `{key}` would be read as a PKey: look such records up by a filter")));
        }
        self.address([&*place.api, place.resource, key], [])
    }

    /// The record of an answer. A key that is the name of an attribute or a filter is answered by a list.
    fn one_of(&self, mut answer: Map<String, Value>, key: &str) -> Result<Map<String, Value>, ConnectError> {
        if answer.contains_key("PKey") {
            return Ok(answer);
        }
        match answer.get_mut("content").map(Value::take) {
            // An example of the documents shows a single record as a list of one.
            Some(Value::Array(mut list)) if list.len() == 1 && list[0].get("PKey").is_some() => match list.pop() {
                Some(Value::Object(record)) => Ok(record),
                _ => Ok(Map::new()),
            },
            Some(Value::Array(_)) => {
                Err(self.refused(format!("the key `{key}` is answered by a list: it is the name of an attribute or a filter")))
            }
            Some(content) => {
                answer.insert("content".to_owned(), content);
                Ok(answer)
            }
            None => Ok(answer),
        }
    }

    /// Sends a change. `is_documented` says whether the answer has the form that the documents give it: anything else may be
    /// somebody else's, and says nothing about the record.
    pub(super) async fn write(
        &self,
        request: Request<'_>,
        key: Key<'_>,
        is_documented: impl Fn(&[u8]) -> bool,
    ) -> Result<Written, ConnectError> {
        match self.send(&request).await {
            Ok(answer) if is_documented(&answer) => Ok(Written::Done),
            Ok(answer) => {
                // It may be the answer to another request, and those that follow on its connection too.
                self.0.http.leave_connections();
                Err(odd(&request, &answer))
            }
            Err(error) if is_missing(&error, key) => Ok(Written::Missing),
            Err(error) => Err(error),
        }
    }

    /// The addresses of links and collections of a record: what [`Self::raw`] gives for a name.
    pub(super) async fn linked_address(&self, place: &Place<'_>, key: Key<'_>, name: &str) -> Result<Option<Option<Url>>, ConnectError> {
        let Some(record) = self.raw(place, key).await? else { return Ok(None) };
        href(record.get(name)).map(|link| self.own(link)).transpose().map(Some)
    }
}

/// What an answer to a write says of its record. The rest of it, which may be the whole record, is only checked to be JSON.
pub(super) struct Told {
    /// It has a PKey, which is a text.
    has_pkey: bool,
    /// The attribute that was asked for.
    key: Option<Value>,
}

impl Told {
    /// Reads a JSON object; none where it is something else.
    fn read(json: &[u8], attribute: Option<&str>) -> Option<Told> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let told = deserializer.deserialize_map(Attributes(attribute)).ok()?;
        deserializer.end().ok()?;
        Some(told)
    }
}

/// Reads the members of an object that [`Told`] is about. Of a member that comes twice the later counts.
struct Attributes<'a>(Option<&'a str>);

impl<'de> Visitor<'de> for Attributes<'_> {
    type Value = Told;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Told, A::Error> {
        let mut told = Told { has_pkey: false, key: None };
        while let Some((is_pkey, is_key)) = map.next_key_seed(Name(self.0))? {
            if !is_pkey && !is_key {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value: Value = map.next_value()?;
            if is_pkey {
                told.has_pkey = value.is_string();
            }
            if is_key {
                told.key = Some(value);
            }
        }
        Ok(told)
    }
}

/// Whether a member's name is `PKey`, and whether it is the attribute that is asked for.
struct Name<'a>(Option<&'a str>);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = (bool, bool);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = (bool, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok((name == "PKey", self.0 == Some(name)))
    }
}

/// What the answer says of a record, if it is one: an object with a PKey.
pub(super) fn documented(answer: &[u8], attribute: Option<&str>) -> Option<Told> {
    Told::read(answer.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(answer), attribute).filter(|told| told.has_pkey)
}

/// The error of a write that was answered with success by something that is not the documented answer.
fn odd(request: &Request<'_>, answer: &[u8]) -> ConnectError {
    let what = match answer {
        [] => "an empty answer",
        _ if serde_json::from_slice::<serde::de::IgnoredAny>(answer).is_ok() => "another JSON document",
        _ => "something that is not JSON",
    };
    without_pkeys(request.unknown(&format!("{what} came in place of the documented answer: check proxies between d365map and the service")))
}

/// A value as a key: text, or a number as text.
pub(super) fn shown(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether this value, which a record has as its key, is the one that was asked for. Data policies may change the case and the space
/// around a text (Campaign Standard API, *Metadata mechanism*), so both are ignored.
pub(super) fn is_identified(value: Option<&Value>, key: &str) -> bool {
    value.and_then(shown).is_some_and(|found| found.trim().to_lowercase() == key.trim().to_lowercase())
}

/// Whether an answer names another record than the one that was asked for.
pub(super) fn is_another(told: &Told, key: Key<'_>) -> bool {
    match key {
        Key::Identity { value, .. } => told.key.is_some() && !is_identified(told.key.as_ref(), value),
        Key::Value(_) | Key::Filter(_) => false,
    }
}

/// Whether an error says that there is no such record. Status 404 is assumed to mean that; with another one the words must name
/// the key, so that a missing attribute is not taken for a missing record. [K]
fn is_missing(error: &ConnectError, key: Key<'_>) -> bool {
    let Some(call) = error.call() else { return false };
    match (error, call.status) {
        (ConnectError::NotFound { .. }, Some(404)) => true,
        (ConnectError::Rejected { .. } | ConnectError::Unavailable { .. }, Some(400 | 410 | 500)) => {
            let message = call.message.as_deref().unwrap_or_default();
            let lower = message.to_ascii_lowercase();
            let said = ["does not exist", "not found", "cannot be found"].iter().any(|words| lower.contains(words));
            said && matches!(key, Key::Value(key) | Key::Identity { value: key, .. } if !key.is_empty() && message.contains(key))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Call;

    #[test]
    fn a_record_is_missing_by_404_or_by_words_that_name_its_key() {
        let call = |status, message: &str| Box::new(Call { status: Some(status), message: Some(message.into()), ..Call::default() });
        let key = Key::from("k-1");
        assert!(is_missing(&ConnectError::NotFound { call: call(404, "") }, key));
        assert!(is_missing(&ConnectError::Rejected { call: call(400, "The profile 'k-1' does not exist.") }, key));
        assert!(is_missing(&ConnectError::Unavailable { call: call(500, "k-1 not found") }, key));
        assert!(!is_missing(&ConnectError::Rejected { call: call(400, "The attribute 'x' does not exist.") }, key));
        assert!(!is_missing(&ConnectError::Rejected { call: call(400, "k-1 is locked") }, key));
        assert!(!is_missing(&ConnectError::Unavailable { call: call(503, "k-1 not found") }, key));
        assert!(!is_missing(&ConnectError::Unavailable { call: call(500, "Check your URI") }, key));
    }

    #[test]
    fn a_payload_shows_its_length_alone() {
        assert_eq!(format!("{:?}", Payload::from(r#"{"email":"a@b"}"#)), "Payload(15 bytes)");
    }
}
