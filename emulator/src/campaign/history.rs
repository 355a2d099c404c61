//! Marketing history: what was sent to a profile, under `profileAndServices/history`.
//!
//! Source: Campaign Standard API: *Interacting with marketing history*. Documented: the two steps (the profile by PKey, then its `events`
//! address) and an event's `category`, `date`, `label`, `mirrorPage`, `type`. Assumed: that a custom key is not an address here, that
//! events come newest first and in pages like any list, and what is at a mirror page's address. [K]

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::read::Endpoint;
use super::store::{EVENT, LINE, World};
use super::{Campaign, Fail, ok};
use crate::net;
use crate::time::{format_instant_campaign, parse_instant};

/// Events of one page when `_lineCount` is not given. [K]
const LINES: usize = 25;

/// Something that happened to a profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Event {
    /// Counts over the whole instance.
    id: u64,
    category: String,
    /// Milliseconds since 1970.
    date: i64,
    label: String,
    kind: String,
    mirror: bool,
}

/// An event as a seed or the admin interface gives it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventSeed {
    /// The profile's identification key.
    profile: String,
    #[serde(default = "email")]
    category: String,
    date: String,
    #[serde(default = "sent")]
    label: String,
    #[serde(default = "outbound", rename = "type")]
    kind: String,
    /// Whether the message has a mirror page.
    #[serde(default = "yes")]
    mirror: bool,
    /// Number of events in place of one, an hour apart.
    #[serde(default = "one")]
    repeat: u32,
}

fn email() -> String {
    "email".to_owned()
}

fn sent() -> String {
    "Send via email".to_owned()
}

fn outbound() -> String {
    "outbound".to_owned()
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

impl Campaign {
    /// Adds events to a profile's history.
    pub(crate) fn add_events(&self, seed: &EventSeed) -> Result<(), String> {
        let mut world = crate::write(&self.world);
        let profile = world.resources[0].by_key(&seed.profile).ok_or_else(|| format!("no profile has the key `{}`", seed.profile))?;
        let date = parse_instant(&seed.date).ok_or_else(|| format!("`{}` is not an instant", seed.date))?;
        let first = world.history.values().map(Vec::len).sum::<usize>() as u64;
        let events = world.history.entry(profile).or_default();
        for number in 0..u64::from(seed.repeat) {
            events.push(Event {
                id: first + number,
                category: seed.category.clone(),
                date: date.timestamp_millis() + number as i64 * 3_600_000,
                label: seed.label.clone(),
                kind: seed.kind.clone(),
                mirror: seed.mirror,
            });
        }
        // Newest first. [K]
        events.sort_by_key(|event| std::cmp::Reverse((event.date, event.id)));
        Ok(())
    }

    /// `GET history/<PKEY>[/events[/<PKEY>[/mirrorPage]]]`.
    pub(super) fn history(&self, path: &[&str], query: &[(String, String)], route: &mut String) -> Result<Option<Response<Body>>, Fail> {
        let world = crate::read(&self.world);
        let [pkey, rest @ ..] = path else { return Ok(None) };
        // The documents name the primary key, with quotation marks around it in one place.
        let pkey = pkey.trim_matches('"');
        if !pkey.starts_with('@') {
            return Ok(None);
        }
        *route = "history/PKey".to_owned();
        let id = world.find(0, pkey).ok_or_else(|| super::missing("profile", pkey))?;
        let own = world.nested_pkey(0, id);
        let base = format!("{}/campaign/profileAndServices/history/{own}", self.site.base);
        let none = Vec::new();
        let events = world.history.get(&id).unwrap_or(&none);
        match rest {
            [] => {
                let Some(row) = world.resources[0].rows.get(&id) else { return Ok(None) };
                let mut record = self.record(&world, 0, Endpoint::Standard, id, row);
                record.insert("events".to_owned(), json!({"href": format!("{base}/events/"), "metadata": "subHisto"}));
                record.insert("countBroadLogEvents".to_owned(), json!(events.len()));
                let oldest = events.iter().map(|event| event.date).min();
                record.insert("minBroadLogEvents".to_owned(), json!(oldest.map(instant).unwrap_or_default()));
                record.insert("href".to_owned(), json!(base));
                Ok(Some(ok(StatusCode::OK, &Json::Object(record))))
            }
            ["events"] => {
                route.push_str("/events");
                events_page(&world, &base, events, query).map(|page| Some(ok(StatusCode::OK, &page)))
            }
            ["events", "_count"] => Ok(Some(ok(StatusCode::OK, &json!({"count": events.len()})))),
            ["events", event, more @ ..] => {
                route.push_str("/events/PKey");
                let number = world.unseal(EVENT, event);
                let event = events.iter().find(|event| Some(event.id) == number).ok_or_else(|| super::missing("event", event))?;
                match more {
                    [] => Ok(Some(ok(StatusCode::OK, &event.write(&world, &base)))),
                    ["mirrorPage"] if event.mirror => {
                        route.push_str("/mirrorPage");
                        Ok(Some(ok(StatusCode::OK, &json!({"url": format!("https://mirror.example/{:08x}", event.id)}))))
                    }
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }
}

fn instant(millis: i64) -> String {
    chrono::DateTime::from_timestamp_millis(millis).map(format_instant_campaign).unwrap_or_default()
}

impl Event {
    fn write(&self, world: &World, base: &str) -> Json {
        let pkey = world.seal(EVENT, self.id);
        let href = format!("{base}/events/{pkey}");
        let mut event = json!({
            "PKey": pkey,
            "category": self.category,
            "date": instant(self.date),
            "label": self.label,
            "type": self.kind,
        });
        if self.mirror {
            event["mirrorPage"] = json!({"href": format!("{href}/mirrorPage/")});
        }
        event["href"] = json!(href);
        event
    }
}

fn events_page(world: &World, base: &str, events: &[Event], query: &[(String, String)]) -> Result<Json, Fail> {
    let option = |name: &str| query.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    let lines = match option("_lineCount") {
        None => LINES,
        Some(text) => text.parse::<usize>().ok().filter(|n| *n > 0).ok_or((400, format!("'{text}' is not a _lineCount")))?,
    };
    let from = match option("_lineStart") {
        None => 0,
        Some(text) => world.unseal(LINE, text).ok_or((400, format!("'{text}' is not a _lineStart")))? as usize,
    };
    let content: Vec<Json> = events.iter().skip(from).take(lines).map(|event| event.write(world, base)).collect();
    let start = net::encode(&world.seal(LINE, from as u64));
    let mut page = json!({
        "content": content,
        "count": {"href": format!("{base}/events/_count?_lineStart={start}")},
        "serverSidePagination": true,
    });
    if from + lines < events.len() {
        let next = net::encode(&world.seal(LINE, (from + lines) as u64));
        page["next"] = json!({"href": format!("{base}/events/?_lineCount={lines}&_lineStart={next}")});
    }
    Ok(page)
}
