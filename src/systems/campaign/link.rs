//! Links from one record to another, named by a key of ours.
//!
//! Source: Campaign Standard API, *Managing organizational units* (`{"orgUnit": {"PKey": "…"}}`) and *Managing subscriptions*
//! (`{"service": {"PKey": "…"}}`): the documents write a link by the other record's PKey. That a link to a record of a custom
//! resource is written alike, that key and address do as well, and that `null` empties a link, is assumed. [K]

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::record::Key;
use super::{Campaign, href};
use crate::connect::ConnectError;
use crate::systems::target::Linked;

/// How long the value of a lasting link is used. How long a PKey lives is not documented; a write that is rejected looks it up again.
pub(super) const LASTS: Duration = Duration::from_secs(300);

/// Values of lasting links that are remembered at most.
const MOST_LASTING: usize = 10_000;

/// The values of links to records that last, by resource, attribute and key, with the time of the lookup; none if there is no such record.
/// In memory only.
type LastingLinks = HashMap<[String; 3], (Instant, Option<Value>)>;

/// The same, for all tasks.
pub(super) type Lasting = Mutex<LastingLinks>;

/// How a link is written; in the project file `pkey`, `key` or `href`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LinkForm {
    /// `{"link": {"PKey": "@…"}}`: the documented form. The other record is looked up by its key first, one call more; the PKey
    /// goes from that answer into this request and nowhere else.
    #[default]
    PKey,
    /// `{"link": {"<key attribute>": "…"}}`: no call more. Assumed.
    Key,
    /// `{"link": {"href": "https://…"}}`: looked up as for the PKey. Assumed.
    Href,
}

/// A link of a record.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// The link's attribute.
    pub name: &'a str,
    /// Where it leads; none empties it.
    pub to: Option<Target<'a>>,
    /// The link's value may be remembered for some minutes: many records link to the other one.
    pub lasting: bool,
}

/// The other record of a link.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Its resource.
    pub resource: &'a str,
    /// The attribute that is the resource's identification key.
    pub attribute: &'a str,
    /// Its key.
    pub key: Key<'a>,
}

impl Campaign {
    /// Adds links to the body of a write.
    ///
    /// # Errors
    /// [`ConnectError`] of the lookups; [`ConnectError::Rejected`] if `body` is not a JSON object.
    pub async fn linked(&self, body: &str, links: &[Link<'_>]) -> Result<Linked, ConnectError> {
        // Raw, so that numbers keep their digits.
        let mut fields: IndexMap<String, Box<RawValue>> =
            serde_json::from_str(body).map_err(|_| self.refused("the body of a write is not a JSON object".to_owned()))?;
        for link in links {
            let value = match link.to {
                None => Value::Null,
                Some(target) => match self.link_value(target, link.lasting).await? {
                    Some(value) => value,
                    None => return Ok(Linked::Absent { link: link.name.to_owned() }),
                },
            };
            let raw = to_raw_value(&value).map_err(|_| self.refused("a link cannot be written".to_owned()))?;
            fields.insert(link.name.to_owned(), raw);
        }
        let body = serde_json::to_string(&fields).map_err(|_| self.refused("a body cannot be written".to_owned()))?;
        Ok(Linked::Ready(body.into()))
    }

    /// A link's value; none when there is no such record. One that lasts is looked up once in a while.
    async fn link_value(&self, target: Target<'_>, lasting: bool) -> Result<Option<Value>, ConnectError> {
        let (true, Key::Value(key) | Key::Identity { value: key, .. }) = (lasting, target.key) else { return self.target(target).await };
        let name = [target.resource, target.attribute, key].map(str::to_owned);
        if let Some((at, value)) = self.lasting().get(&name)
            && at.elapsed() < LASTS
        {
            return Ok(value.clone());
        }
        // Also of the form that sends the key: whether there is such a record decides what is written.
        let found = match self.0.link_form {
            LinkForm::Key => self
                .raw(&self.place(target.resource).await?, Key::Identity { attribute: target.attribute, value: key })
                .await?
                .map(|_| json!({ target.attribute: key })),
            LinkForm::PKey | LinkForm::Href => self.target(target).await?,
        };
        let mut kept = self.lasting();
        if kept.len() >= MOST_LASTING {
            kept.clear();
        }
        kept.insert(name, (Instant::now(), found.clone()));
        Ok(found)
    }

    /// Forgets the values of lasting links.
    pub fn forget_links(&self) {
        self.lasting().clear();
    }

    pub(super) fn lasting(&self) -> MutexGuard<'_, LastingLinks> {
        self.0.lasting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A link's value; none when there is no such record.
    async fn target(&self, target: Target<'_>) -> Result<Option<Value>, ConnectError> {
        let form = self.0.link_form;
        if let (LinkForm::Key, Key::Value(key) | Key::Identity { value: key, .. }) = (form, target.key) {
            return Ok(Some(json!({ target.attribute: key })));
        }
        let place = self.place(target.resource).await?;
        let key = match target.key {
            // The PKey in the answer goes into the link: it must be this record's.
            Key::Value(value) if !target.attribute.is_empty() => Key::Identity { attribute: target.attribute, value },
            key => key,
        };
        let Some(record) = self.raw(&place, key).await? else { return Ok(None) };
        let whole = Value::Object(record);
        let missing = |what: &str| self.refused(format!("a `{}` came without its {what}: the link cannot be written", place.resource));
        match form {
            LinkForm::Href => {
                let link = href(Some(&whole)).ok_or_else(|| missing("address"))?;
                self.own(link)?;
                Ok(Some(json!({ "href": link })))
            }
            // A key of several attributes is looked up whatever the form.
            LinkForm::PKey | LinkForm::Key => {
                let pkey = whole.get("PKey").and_then(Value::as_str).ok_or_else(|| missing("PKey"))?;
                Ok(Some(json!({ "PKey": pkey })))
            }
        }
    }
}
