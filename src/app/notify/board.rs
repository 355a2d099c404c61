//! Which causes are news: one message when a cause has lasted for its time, one when it is over. Pure: times come with the calls.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde::Serialize;

use crate::project::NotifyEvent;
use crate::time::{self, Instant};

/// The pause after the first failed delivery; it doubles with each.
const BACK_OFF: TimeDelta = TimeDelta::seconds(15);
/// The longest pause.
const LONGEST: TimeDelta = TimeDelta::minutes(10);

/// Something that needs a person, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    pub event: NotifyEvent,
    /// The workflow, the API or the credential.
    pub subject: String,
    /// For people.
    pub summary: String,
    /// It is news when it has lasted for this time.
    pub hold: TimeDelta,
}

impl Cause {
    pub fn key(&self) -> String {
        key(self.event, &self.subject)
    }
}

/// The key of a cause.
pub(super) fn key(event: NotifyEvent, subject: &str) -> String {
    format!("{}/{subject}", event.name())
}

/// What a check for causes has found.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub causes: Vec<Cause>,
    /// Keys of causes of which it is not known yet whether they are there.
    pub unknown: BTreeSet<String>,
}

/// A message that has to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    key: String,
    summary: String,
    since: Instant,
    /// The cause is over.
    resolved: bool,
    /// The channels that have not taken it yet.
    left: BTreeSet<usize>,
    failures: u32,
    not_before: Instant,
}

/// A message, as commands and webhooks get it.
#[derive(Debug, Serialize)]
pub(super) struct Message<'a> {
    version: u32,
    /// The same for a message that is delivered twice.
    id: String,
    project: &'a str,
    event: &'a str,
    /// `firing`, or `resolved` when the cause is over.
    status: &'static str,
    subject: &'a str,
    summary: &'a str,
    since: String,
    at: String,
}

impl Delivery {
    pub fn cause(&self) -> &str {
        &self.key
    }

    pub fn is_left(&self, channel: usize) -> bool {
        self.left.contains(&channel)
    }

    pub fn message<'a>(&'a self, project: &'a str, now: Instant) -> Message<'a> {
        let (event, subject) = self.key.split_once('/').unwrap_or((&self.key, ""));
        let status = if self.resolved { "resolved" } else { "firing" };
        let since = time::format_instant(self.since);
        let id = format!("{}/{since}/{status}", self.key);
        Message { version: 1, id, project, event, status, subject, summary: &self.summary, since, at: time::format_instant(now) }
    }
}

/// What is known of causes and messages.
#[derive(Debug)]
pub(super) struct Board {
    channels: usize,
    /// The causes that are there, with the instant at which each was seen first.
    seen: BTreeMap<String, Instant>,
    /// Those of which people were notified.
    told: BTreeMap<String, Instant>,
    /// Messages that are not delivered to all channels, by the key of their cause.
    outgoing: BTreeMap<String, Delivery>,
    /// What has changed in `told` since it was stored.
    changed: BTreeSet<String>,
}

impl Board {
    /// `told`: the causes of which people were notified before.
    pub fn new(told: BTreeMap<String, Instant>, channels: usize) -> Board {
        Board { channels, seen: told.clone(), told, outgoing: BTreeMap::new(), changed: BTreeSet::new() }
    }

    /// Takes what was found now.
    pub fn update(&mut self, look: Look, now: Instant) {
        let keys: BTreeSet<String> = look.causes.iter().map(Cause::key).collect();
        self.seen.retain(|key, _| keys.contains(key) || look.unknown.contains(key));
        // If the cause is over before any channel has taken the message, there is nothing to say.
        let channels = self.channels;
        self.outgoing.retain(|key, delivery| {
            delivery.resolved || delivery.left.len() < channels || keys.contains(key) || look.unknown.contains(key)
        });
        for cause in look.causes {
            let key = cause.key();
            let since = *self.seen.entry(key.clone()).or_insert(now);
            if now - since >= cause.hold && !self.told.contains_key(&key) && !self.outgoing.contains_key(&key) {
                self.post(key, cause.summary, since, false, now);
            }
        }
        let over: Vec<(String, Instant)> = self
            .told
            .iter()
            .filter(|(key, _)| !keys.contains(*key) && !look.unknown.contains(*key) && !self.outgoing.contains_key(*key))
            .map(|(key, since)| (key.clone(), *since))
            .collect();
        for (key, since) in over {
            self.post(key, "The cause of the earlier notification is over.".to_owned(), since, true, now);
        }
    }

    fn post(&mut self, key: String, summary: String, since: Instant, resolved: bool, now: Instant) {
        let left = (0..self.channels).collect();
        self.outgoing.insert(key.clone(), Delivery { key, summary, since, resolved, left, failures: 0, not_before: now });
    }

    /// The messages whose time has come.
    pub fn due(&self, now: Instant) -> Vec<Delivery> {
        self.outgoing.values().filter(|delivery| delivery.not_before <= now).cloned().collect()
    }

    /// A channel has taken a message.
    pub fn sent(&mut self, delivery: &Delivery, channel: usize) {
        let Some(kept) = self.outgoing.get_mut(&delivery.key) else { return };
        kept.left.remove(&channel);
        if !kept.left.is_empty() {
            return;
        }
        self.outgoing.remove(&delivery.key);
        if delivery.resolved {
            self.told.remove(&delivery.key);
        } else {
            self.told.insert(delivery.key.clone(), delivery.since);
        }
        self.changed.insert(delivery.key.clone());
    }

    /// A channel has not taken a message.
    pub fn failed(&mut self, delivery: &Delivery, now: Instant) {
        if let Some(kept) = self.outgoing.get_mut(&delivery.key) {
            kept.failures = delivery.failures + 1;
            kept.not_before = now + (BACK_OFF * (1 << delivery.failures.min(10))).min(LONGEST);
        }
    }

    /// What is to be stored: causes of which people were notified, or notified that they are over.
    pub fn told(&self) -> Vec<(String, Option<Instant>)> {
        self.changed.iter().map(|key| (key.clone(), self.told.get(key).copied())).collect()
    }

    /// It was stored.
    pub fn noted(&mut self, key: &str) {
        self.changed.remove(key);
    }
}
