//! The journal of Adobe I/O Events: email events of Campaign, pulled in the order in which they came in.
//!
//! Source: Adobe I/O Events: *Introduction to journaling*. An answer has some events and a `Link` with `rel="next"`, which is followed and kept as
//! it is: positions are opaque. 204 means that nothing newer is there, and `retry-after` when to ask again. Events are kept for seven
//! days; 410 Gone answers a position that is older. Events come at least once.
//!
//! The payload of Campaign's events is not documented publicly; its names are settable and the defaults are our own ([`JournalFields`]).

mod event;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, LINK, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

pub use self::event::{JournalEvent, JournalFields, JournalKind, Unreadable};
use super::http::{Http, Request, TokenSource, origin, service_url};
use super::trail::{Trail, hash_of};
use super::{Call, ConnectError, Credential};

const API: &str = "journal";

/// How long to wait where a 204 does not say it.
const QUIET: Duration = Duration::from_secs(10);

/// A registration's journal.
#[derive(Debug, Clone)]
pub struct JournalConfig {
    /// The registration's own address: `https://events.adobe.io/events/organizations/…/integrations/…/…`.
    pub url: Url,
    /// Where tokens come from.
    pub token_url: Url,
    /// The credential's client id; also the API key.
    pub client_id: String,
    /// What the client shows.
    pub credential: Credential,
    /// The scopes, separated by commas.
    pub scope: String,
    /// The organization, `…@AdobeOrg`.
    pub ims_organization: String,
    /// How the payload's fields are called.
    pub fields: JournalFields,
}

/// A client of one journal; clones share the token and the connections.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    http: Http,
    url: Url,
    organization: String,
    headers: HeaderMap,
    token: TokenSource,
    fields: JournalFields,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("url", &self.0.url.as_str()).finish_non_exhaustive()
    }
}

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place, for a report.
    pub position: String,
    /// The event; an entry that makes no sense costs itself and nothing else.
    pub event: Result<JournalEvent, Unreadable>,
}

/// What asking brought.
#[derive(Debug)]
pub enum Reading {
    /// Events, and where to go on.
    Events {
        /// In the journal's order.
        entries: Vec<Entry>,
        /// The link to follow; kept as it is.
        next: String,
    },
    /// Nothing newer is there.
    Quiet {
        /// The link to follow, where the answer has one.
        next: Option<String>,
        /// How long to wait before asking again.
        retry_after: Duration,
    },
    /// The position is too old: what came between it and the oldest event that is kept is not in the journal any more.
    Gone,
}

#[derive(Deserialize)]
struct Page {
    /// Each as it came, so that an odd one does not make the page unreadable, and with it all that comes after.
    #[serde(default)]
    events: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct RawEntry {
    #[serde(default)]
    position: Value,
    event: Option<Box<RawValue>>,
}

impl Journal {
    /// Checks the configuration; makes no call.
    ///
    /// # Errors
    /// [`ConnectError::Config`].
    pub fn new(http: Http, config: JournalConfig) -> Result<Self, ConnectError> {
        service_url(API, "url", &config.url)?;
        service_url(API, "token-url", &config.token_url)?;
        let value = |text: &str, what: &str| {
            HeaderValue::try_from(text).map_err(|_| {
                ConnectError::config(
                    format!("journal: `{what}` cannot be used in a header"),
                    "copy it again from Adobe's developer console",
                )
            })
        };
        let mut key = value(&config.client_id, "client-id")?;
        key.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(HeaderName::from_static("x-api-key"), key);
        headers.insert(HeaderName::from_static("x-ims-org-id"), value(&config.ims_organization, "ims-organization")?);
        let token = TokenSource::new(http.clone(), config.token_url, &config.client_id, config.credential, &config.scope);
        let organization = config.ims_organization;
        Ok(Self(Arc::new(Inner { http, url: config.url, organization, headers, token, fields: config.fields })))
    }

    /// The IMS organization, `…@AdobeOrg`.
    pub fn organization(&self) -> &str {
        &self.0.organization
    }

    /// Reads on from a link that an answer gave; from the oldest event that is kept without one. `limit` is a wish, for the first call alone:
    /// links carry their own.
    ///
    /// # Errors
    /// [`ConnectError::ForeignLink`] for a link that leads elsewhere; [`ConnectError::Protocol`] for an answer without a link to go on by.
    pub async fn read(&self, from: Option<&str>, limit: u32) -> Result<Reading, ConnectError> {
        let url = match from {
            Some(link) => self.own(link)?,
            None => {
                let mut url = self.0.url.clone();
                url.query_pairs_mut().append_pair("limit", &limit.max(1).to_string());
                url
            }
        };
        let request = Request { headers: self.0.headers.clone(), token: Some(&self.0.token), ..Request::new(API, Method::GET, url) };
        let reply = match self.0.http.exchange(&request).await {
            Ok(reply) => reply,
            Err(ConnectError::Rejected { call }) if call.status == Some(410) => return Ok(Reading::Gone),
            Err(error) => return Err(error),
        };
        let next = next_link(&reply.headers).map(str::to_owned);
        if let (204, Some(next)) = (reply.status, &next) {
            self.own(next)?;
        }
        if reply.status == 204 {
            let after = reply.headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse().ok());
            return Ok(Reading::Quiet { next, retry_after: after.map_or(QUIET, Duration::from_secs) });
        }
        let page: Page = serde_json::from_slice(reply.body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&reply.body)).map_err(|e| {
            request.protocol(format!(
                "the answer is not a page of a journal (line {}, column {}): check the journal's `url`",
                e.line(),
                e.column()
            ))
        })?;
        let next = next.ok_or_else(|| request.protocol("the answer has no link to what comes next: check that no proxy removes `Link`"))?;
        // Before it is kept: a link that leads elsewhere must not come back from the state in a later run.
        self.own(&next)?;
        Ok(Reading::Events { entries: page.events.iter().map(|raw| entry(&self.0.fields, raw)).collect(), next })
    }

    /// The address of a link, when it leads to this registration.
    fn own(&self, link: &str) -> Result<Url, ConnectError> {
        let root = &self.0.url;
        let foreign = |found: String| ConnectError::ForeignLink { api: API, found, expected: origin(root) + root.path() };
        let url = root.join(link).map_err(|_| foreign("no address".to_owned()))?;
        let own = url.origin() == root.origin() && url.username().is_empty() && url.password().is_none();
        if own && url.path().trim_end_matches('/') == root.path().trim_end_matches('/') {
            return Ok(url);
        }
        Err(foreign(if own { format!("another registration at {}", origin(&url)) } else { origin(&url) }))
    }
}

/// Takes a page of the journal into what a reading has followed.
///
/// # Errors
/// [`ConnectError::Protocol`] where the pages will not come to an end.
pub fn follow(trail: &mut Trail, from: Option<&str>, next: &str, entries: &[Entry]) -> Result<(), ConnectError> {
    // Entries without a position cannot be told apart by it.
    let positions: Vec<&str> = entries.iter().map(|entry| entry.position.as_str()).collect();
    let content = if positions.iter().all(|p| p.is_empty()) { hash_of(next) } else { hash_of(positions) };
    trail.step(from, next, entries.len(), content).map_err(|problem| ConnectError::Protocol {
        call: Box::new(Call { api: API, method: "GET".to_owned(), ..Call::default() }),
        problem: format!("{problem}: the read was stopped; check that no proxy is in between"),
    })
}

/// One entry of a page, whatever it is.
fn entry(fields: &JournalFields, raw: &RawValue) -> Entry {
    let Ok(RawEntry { position, event }) = serde_json::from_str(raw.get()) else {
        return Entry { position: String::new(), event: Err(Unreadable::Shape) };
    };
    let position = match position {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        // Nothing that a report could name.
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    };
    Entry { position, event: event.map_or(Err(Unreadable::Shape), |event| fields.read(event.get())) }
}

/// The target of `rel="next"` among the links of an answer (RFC 8288); they may come in one header or several.
fn next_link(headers: &HeaderMap) -> Option<&str> {
    headers.get_all(LINK).iter().filter_map(|v| v.to_str().ok()).find_map(|line| {
        let mut rest = line;
        while let Some(start) = rest.find('<') {
            let (target, after) = rest[start + 1..].split_once('>')?;
            // The parameters reach to the next link.
            let end = after.find('<').unwrap_or(after.len());
            let is_next = after[..end].split([';', ',']).any(|p| {
                let Some((name, value)) = p.trim().split_once('=') else { return false };
                name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"').split_ascii_whitespace().any(|r| r == "next")
            });
            if is_next {
                return Some(target);
            }
            rest = &after[end..];
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::connect::HttpConfig;

    #[test]
    fn the_next_link_is_found_among_others_in_one_header_or_several() {
        let headers = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            lines.iter().for_each(|l| {
                headers.append(LINK, HeaderValue::from_static(l));
            });
            headers
        };
        let found = headers(&["</e>; rel=\"events\"", "</e?since=a%2Cb>; rel=\"next\""]);
        assert_eq!(next_link(&found), Some("/e?since=a%2Cb"));
        let found = headers(&["</e>; rel=events, </v?since=1>; rel=\"validate\", </e?since=2>; title=x; rel=\"next last\""]);
        assert_eq!(next_link(&found), Some("/e?since=2"));
        assert_eq!(next_link(&headers(&["</e>; rel=\"events\""])), None);
    }

    #[test]
    fn an_odd_entry_costs_itself_and_not_the_page() {
        let good = r#"{"type":"open","data":{"eventDate":"2026-01-12T09:00:00Z"}}"#;
        let text = format!(
            r#"{{"events":[{{"position":"a","event":{good}}},{{"position":"b"}},{{"position":"c","event":null}},{{"position":null,"event":{good}}},
                {{"position":17,"event":{good}}},{{"position":["d"],"event":{good}}},{{"event":{good}}},7,null,"x",[{good}]]}}"#
        );
        let page: Page = serde_json::from_str(&text).unwrap();
        let entries: Vec<Entry> = page.events.iter().map(|raw| entry(&JournalFields::default(), raw)).collect();
        let found: Vec<(&str, bool)> = entries.iter().map(|e| (e.position.as_str(), e.event.is_ok())).collect();
        let (good, odd) = (true, false);
        assert_eq!(
            found,
            [
                ("a", good),
                ("b", odd),
                ("c", odd),
                ("", good),
                ("17", good),
                ("", good),
                ("", good),
                ("", odd),
                ("", odd),
                ("", odd),
                ("", odd)
            ]
        );
    }

    #[test]
    fn a_link_that_leads_away_from_the_registration_is_not_followed() {
        let url = |text: &str| Url::parse(text).unwrap();
        let config = JournalConfig {
            url: url("https://events.adobe.io/events/organizations/1/integrations/2/3"),
            token_url: url("https://ims-na1.adobelogin.com/ims/token/v3"),
            client_id: "id".to_owned(),
            credential: SecretString::from("s3cr3t").into(),
            scope: String::new(),
            ims_organization: "1@AdobeOrg".to_owned(),
            fields: JournalFields::default(),
        };
        let journal = Journal::new(Http::new(HttpConfig::default()).unwrap(), config).unwrap();
        let own = journal.own("/events/organizations/1/integrations/2/3?since=x%3A1").unwrap();
        assert_eq!(own.query(), Some("since=x%3A1"));
        for link in ["/events/organizations/1/integrations/2/4?since=x", "https://other.example/events/organizations/1/integrations/2/3"] {
            assert!(matches!(journal.own(link), Err(ConnectError::ForeignLink { .. })), "{link}");
        }
        assert!(!format!("{journal:?}").contains("s3cr3t"));
    }
}
