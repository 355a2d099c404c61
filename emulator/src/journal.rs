//! The emulated journal of Adobe I/O Events: email events of the instance, to be pulled.
//!
//! Source: Adobe I/O Events: *Introduction to journaling*. Documented: the address of a registration, the headers, `limit`, `since`,
//! `latest`, the `Link` header (relative, `rel="next"`), 204 with `retry-after`, seven days, 410 Gone with plain text for an older position,
//! delivery at least once. Assumed: the payload of Campaign's events, which no public document shows; the error bodies, taken from
//! the same gateway's other APIs; the default and the largest number of events in an answer. [K]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::dataverse::Call;
use super::faults::{Faults, Refusal};
use super::net::{self, Answer};
use super::stats::Api;
use super::tokens::{Refused, Tokens};
use super::{App, lock};
use crate::time::{format_instant_campaign, parse_instant};

const JSON: &str = "application/json;charset=utf-8";

/// Events in an answer when no `limit` is given. [K]
const LIMIT: u64 = 100;
/// Events in an answer at most, whatever `limit` says. [K]
const LARGEST: u64 = 1000;

/// The path of the one registration.
pub(super) const PATH: &str = "/events/organizations/365/integrations/36500/d365d365-0000-4000-8000-00000000e001";

/// The journal's part of a seed file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JournalSeed {
    /// Events, each the whole document under `event`.
    #[serde(default)]
    events: Vec<Box<RawValue>>,
    /// Events that are made up when they are asked for; they come before the others.
    #[serde(default)]
    generate: Option<Generate>,
    /// Seconds of `retry-after`; 10 when absent.
    #[serde(default, rename = "retryAfter")]
    retry_after: Option<u64>,
}

/// Many events, the same ones for the same numbers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Generate {
    events: u64,
    /// The events are spread over contacts `c0000000-0000-4000-8000-000000000001` and so on.
    contacts: u64,
    /// The time of the first event; each comes a second after the one before it.
    #[serde(default)]
    from: Option<String>,
}

/// What is made up.
#[derive(Clone, Debug, Default)]
struct Generator {
    events: u64,
    contacts: u64,
    from: i64,
}

/// Events by their number, from 1.
#[derive(Debug, Default)]
struct Store {
    generator: Generator,
    given: VecDeque<Box<RawValue>>,
    /// How many of the given ones have been dropped.
    given_dropped: u64,
    /// The number of the last event that is not kept any more.
    dropped: u64,
}

impl Store {
    fn last(&self) -> u64 {
        self.generator.events + self.given_dropped + self.given.len() as u64
    }

    fn get(&self, number: u64) -> Option<Box<RawValue>> {
        if number == 0 || number <= self.dropped || number > self.last() {
            return None;
        }
        if number <= self.generator.events {
            return RawValue::from_string(self.generator.event(number)).ok();
        }
        let at = number - self.generator.events - self.given_dropped - 1;
        self.given.get(usize::try_from(at).ok()?).cloned()
    }

    /// Forgets everything up to an event.
    fn drop_to(&mut self, number: u64) {
        self.dropped = number.min(self.last()).max(self.dropped);
        while self.generator.events + self.given_dropped < self.dropped && self.given.pop_front().is_some() {
            self.given_dropped += 1;
        }
    }
}

impl Generator {
    /// Of ten events six are sends, two opens, one a click, and one a bounce, now hard, now soft.
    fn event(&self, number: u64) -> String {
        let contact = number % self.contacts.max(1) + 1;
        let delivery = number / 100_000 + 1;
        let (kind, extra) = match number % 10 {
            0..=5 => ("send", json!({})),
            6 | 7 => ("open", json!({})),
            8 => ("click", json!({"url": format!("https://www.example.com/offers/{}", number % 97)})),
            _ if number % 20 == 9 => ("bounce", json!({"failureType": "hard", "failureReason": "User unknown"})),
            _ => ("bounce", json!({"failureType": "soft", "failureReason": "Mailbox full"})),
        };
        let at = chrono::DateTime::from_timestamp_millis(self.from + i64::try_from(number).unwrap_or(0) * 1000);
        let mut data = json!({
            "logId": number.to_string(),
            "externalId": format!("c0000000-0000-4000-8000-{contact:012}"),
            "eventDate": at.map(format_instant_campaign).unwrap_or_default(),
            "deliveryId": format!("DM{delivery}"),
            "deliveryLabel": format!("Newsletter {delivery}"),
            "campaignId": format!("CMP{}", delivery / 4 + 1),
            "campaignLabel": format!("Season {}", delivery / 4 + 1),
            "mirrorPage": format!("https://mirror.example/{number:08x}"),
        });
        if let (Some(data), Some(extra)) = (data.as_object_mut(), extra.as_object()) {
            data.extend(extra.clone());
        }
        let id = uuid::Uuid::from_u128(0xe7e7_0000_0000_4000_8000_0000_0000_0000 + u128::from(number));
        json!({"id": id, "type": kind, "data": data}).to_string()
    }
}

/// The journal.
pub(super) struct Journal {
    /// `…@AdobeOrg`
    organization: String,
    client: String,
    retry_after: u64,
    store: Mutex<Store>,
}

impl Journal {
    pub(super) fn new(organization: String, client: String, seed: JournalSeed) -> Result<Journal, String> {
        let generator = match seed.generate {
            None => Generator::default(),
            Some(generate) => {
                let from = generate.from.unwrap_or_else(|| "2026-01-01T00:00:00Z".to_owned());
                let from = parse_instant(&from).ok_or_else(|| format!("`{from}` is not an instant"))?.timestamp_millis();
                Generator { events: generate.events, contacts: generate.contacts, from }
            }
        };
        let store = Mutex::new(Store { generator, given: seed.events.into(), ..Store::default() });
        Ok(Journal { organization, client, retry_after: seed.retry_after.unwrap_or(10), store })
    }

    /// Answers a request; `tokens` are those of Adobe's token service.
    pub(super) fn answer(&self, call: &Call<'_>, tokens: &Tokens, faults: &Faults) -> Answer {
        let header = |name: &str| header(call.headers, name);
        match tokens.check(header("authorization"), Instant::now()) {
            Ok(_) => {}
            Err(Refused::Missing) => return refused("unauthorized", 401, "401010", "Oauth token is missing."),
            Err(Refused::Unknown | Refused::Expired) => return refused("unauthorized", 401, "401013", "Oauth token is not valid"),
        }
        match (header("x-api-key"), header("x-ims-org-id")) {
            (None, _) => return refused("forbidden", 403, "403000", "Api Key is required"),
            (Some(key), _) if key != self.client => return refused("forbidden", 403, "403003", "Api Key is invalid"),
            (Some(_), Some(org)) if org == self.organization => {}
            (Some(_), _) => return refused("forbidden", 403, "403023", "Profile is not valid"),
        }
        if let Err(Refusal { retry_after, .. }) = faults.admit(Api::Journal, &self.client, Instant::now()) {
            let mut response = refuse(429, "429050", "Too many requests");
            net::set(&mut response, "retry-after", &retry_after.to_string());
            return Answer::new("throttled", response);
        }
        if call.path.trim_end_matches('/') != PATH {
            return refused("unknown", 404, "404000", "There is no such registration.");
        }
        if call.method != Method::GET {
            return refused("unknown", 405, "405000", "Use GET.");
        }
        let query = net::query(call.query).unwrap_or_default();
        let option = |name: &str| query.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let limit = match option("limit").map(str::parse::<u64>) {
            None => LIMIT,
            Some(Ok(limit)) if limit > 0 => limit.min(LARGEST),
            Some(_) => return refused("journal", 400, "400000", "limit is a positive number"),
        };
        Answer::new("journal", self.page(option("since"), option("latest") == Some("true"), limit))
    }

    fn page(&self, since: Option<&str>, latest: bool, limit: u64) -> Response<Body> {
        let store = lock(&self.store);
        let last = store.last();
        let after = match since.map(number) {
            Some(Some(after)) if after <= last => after,
            Some(_) => return refuse(400, "400001", "since is not a position of this journal"),
            None if latest => last.saturating_sub(1).max(store.dropped),
            None => store.dropped,
        };
        if after < store.dropped {
            let text = "The requested position is older than the oldest event that is kept.";
            return net::body(StatusCode::GONE, "text/plain", text);
        }
        let numbers = after + 1..=last.min(after.saturating_add(limit));
        let events: Vec<_> = numbers.clone().filter_map(|n| Some((n, store.get(n)?))).collect();
        drop(store);
        let Some((newest, _)) = events.last() else {
            let mut response = net::empty(StatusCode::NO_CONTENT);
            net::set(&mut response, "retry-after", &self.retry_after.to_string());
            link(&mut response, after, limit);
            return response;
        };
        let newest = *newest;
        let count = events.len();
        let entries: Vec<_> = events.into_iter().map(|(n, event)| json!({"position": position(n), "event": event})).collect();
        let page = json!({"events": entries, "_page": {"last": position(newest), "count": count}});
        let mut response = net::body(StatusCode::OK, JSON, page.to_string());
        link(&mut response, newest, limit);
        response
    }

    fn append(&self, events: Vec<Box<RawValue>>) {
        lock(&self.store).given.extend(events);
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The position behind an event. The service's own are longer, and opaque as well.
fn position(number: u64) -> String {
    format!("emulated:1.journal-1:{number:016x}")
}

fn number(position: &str) -> Option<u64> {
    u64::from_str_radix(position.strip_prefix("emulated:1.journal-1:")?, 16).ok()
}

fn link(response: &mut Response<Body>, after: u64, limit: u64) {
    let since = net::encode(&position(after));
    let links =
        [("events", String::new()), ("validate", format!("/validate?since={since}")), ("next", format!("?since={since}&limit={limit}"))];
    for (rel, query) in links {
        if let Ok(value) = HeaderValue::try_from(format!("<{PATH}{query}>; rel=\"{rel}\"")) {
            response.headers_mut().append("link", value);
        }
    }
}

fn refuse(status: u16, code: &str, message: &str) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    net::body(status, JSON, json!({"error_code": code, "message": message}).to_string())
}

fn refused(route: &str, status: u16, code: &str, message: &str) -> Answer {
    Answer::new(route, refuse(status, code, message))
}

/// The journal's part of the admin interface.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/journal", get(describe)).route("/journal/events", post(append)).route("/journal/drop", post(drop_oldest))
}

type AppState = State<Arc<App>>;

async fn describe(State(app): AppState) -> axum::response::Response {
    let store = lock(&app.journal.store);
    Json(json!({"kept": store.last() - store.dropped, "dropped": store.dropped})).into_response()
}

/// The body is a list of events, each the whole document under `event`.
async fn append(State(app): AppState, body: String) -> axum::response::Response {
    match serde_json::from_str(&body) {
        Ok(events) => {
            app.journal.append(events);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({"error": error.to_string()}))).into_response(),
    }
}

/// How many of the oldest events are kept no more, as after seven days; all where nothing is said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drop {
    #[serde(default)]
    count: Option<u64>,
}

async fn drop_oldest(State(app): AppState, body: String) -> axum::response::Response {
    match serde_json::from_str::<Drop>(&body) {
        Ok(Drop { count }) => {
            let mut store = lock(&app.journal.store);
            let to = count.map_or(store.last(), |count| store.dropped + count);
            store.drop_to(to);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({"error": error.to_string()}))).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_are_made_up_and_given_ones_have_one_row_of_numbers_and_go_from_the_front() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let mut store = Store {
            generator: Generator { events: 3, contacts: 2, from: 0 },
            given: [raw("\"a\""), raw("\"b\"")].into(),
            ..Store::default()
        };
        assert_eq!((store.last(), store.get(5).unwrap().get()), (5, "\"b\""));
        assert!(store.get(3).unwrap().get().contains("1970-01-01 00:00:03.000Z") && store.get(6).is_none() && store.get(0).is_none());
        store.drop_to(4);
        assert_eq!((store.last(), store.get(4).is_none(), store.get(5).unwrap().get()), (5, true, "\"b\""));
        store.drop_to(99);
        store.given.push_back(raw("\"c\""));
        assert_eq!((store.last(), store.get(6).unwrap().get()), (6, "\"c\""));
        assert_eq!(number(&position(77)), Some(77));
    }
}
