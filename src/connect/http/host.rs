//! The hosts talked to: how many requests go there at once, when one is left alone, and what it last said of its limits.
//!
//! Dataverse counts per user and web server, so a 429 to one worker holds for all of them: the whole host rests.
//! Source: Dataverse, *Service protection API limits*.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use reqwest::header::{DATE, HeaderMap, HeaderValue};
use tokio::time::Instant;
use url::{Position, Url};

use super::address::origin;
use super::breaker::{self, Breaker, Open, Ticket};
use super::concurrency::{Gate, Permit, Sign};
use super::limits::ServiceLimits;
use crate::time;

/// The hosts, by scheme, name and port.
#[derive(Debug)]
pub(super) struct Hosts {
    concurrency: usize,
    breaker: breaker::Settings,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

/// What a host last said of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostInfo {
    /// How many requests may be under way now.
    pub concurrency: usize,
    /// The parallelism that Dataverse recommends (`x-ms-dop-hint`).
    pub dop_hint: Option<usize>,
    /// Requests left in the window (`x-ms-ratelimit-burst-remaining-xrm-requests`), of the web server that answered.
    pub remaining_requests: Option<u64>,
    /// Execution time left in the window, in seconds (`x-ms-ratelimit-time-remaining-xrm-requests`).
    pub remaining_seconds: Option<u64>,
    /// How far the host's clock is ahead of ours, by the header `Date`; whole seconds, travel time included.
    pub clock_ahead: Option<TimeDelta>,
}

impl Hosts {
    pub(super) fn new(concurrency: usize, breaker: breaker::Settings) -> Self {
        Self { concurrency, breaker, hosts: Mutex::default() }
    }

    /// The host of an address.
    pub(super) fn of(&self, url: &Url) -> Arc<Host> {
        // The address up to its path is the origin, unless it names a user.
        let plain = url.username().is_empty() && url.password().is_none();
        if plain { self.get(&url[..Position::BeforePath]) } else { self.get(&origin(url)) }
    }

    pub(super) fn get(&self, origin: &str) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(origin) {
            return Arc::clone(host);
        }
        let host = Arc::new(Host {
            gate: Gate::new(self.concurrency),
            breaker: Breaker::new(origin, self.breaker),
            rests_until: Mutex::new(None),
            said: Mutex::default(),
        });
        hosts.insert(origin.to_owned(), Arc::clone(&host));
        host
    }
}

/// One host.
#[derive(Debug)]
pub(super) struct Host {
    gate: Arc<Gate>,
    breaker: Arc<Breaker>,
    rests_until: Mutex<Option<Instant>>,
    said: Mutex<Said>,
}

/// What its answers said last.
#[derive(Debug, Default)]
struct Said {
    dop_hint: Option<usize>,
    remaining_requests: Option<u64>,
    remaining_seconds: Option<u64>,
    /// The header `Date` and when it came; read only when somebody asks.
    date: Option<(HeaderValue, time::Instant)>,
}

/// A request's leave to go; held while it is under way.
#[derive(Debug)]
pub(super) struct Pass {
    permit: Permit,
    ticket: Ticket,
}

impl Pass {
    /// The request has ended. `kind` groups requests that take alike long.
    pub(super) fn finish(self, kind: &'static str, sign: Sign) {
        self.permit.finish(kind, sign);
        self.ticket.report(match sign {
            Sign::Answered(_) | Sign::Refused => Some(true),
            Sign::Failed => Some(false),
            Sign::Nothing => None,
        });
    }
}

impl Host {
    /// Waits until the host does not rest, its circuit is closed and a request may go.
    ///
    /// # Errors
    /// [`Open`] when a probe showed that the host still fails.
    pub(super) async fn enter(&self) -> Result<Pass, Open> {
        loop {
            self.rested().await;
            // Before the gate, so that all who wait learn together what a probe brought.
            let ticket = self.breaker.pass().await?;
            let permit = self.gate.enter().await;
            // A rest may have begun while this one waited for its turn, or the circuit have opened.
            if self.rest().is_none() && ticket.holds() {
                return Ok(Pass { permit, ticket });
            }
        }
    }

    /// Lets the host rest for at least `wait` from now. Gives whether a rest begins with it.
    pub(super) fn pause(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mut rests = self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = rests.is_none_or(|earlier| earlier <= Instant::now());
        *rests = Some(rests.map_or(until, |earlier| earlier.max(until)));
        begins
    }

    /// Reads what an answer's headers say of the host.
    pub(super) fn learn(&self, headers: &HeaderMap) {
        let limits = ServiceLimits::read(headers);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hint) = limits.parallelism {
            said.dop_hint = Some(hint as usize);
            self.gate.hint(hint as usize);
        }
        said.remaining_requests = limits.requests_left.or(said.remaining_requests);
        said.remaining_seconds = limits.seconds_left.map(|left| left.max(0.0) as u64).or(said.remaining_seconds);
        if let Some(date) = headers.get(DATE) {
            said.date = Some((date.clone(), time::now()));
        }
    }

    pub(super) fn info(&self) -> HostInfo {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let date = |text: &HeaderValue| time::parse_http_date(text.to_str().ok()?.trim());
        HostInfo {
            concurrency: self.gate.limit(),
            dop_hint: said.dop_hint,
            remaining_requests: said.remaining_requests,
            remaining_seconds: said.remaining_seconds,
            clock_ahead: said.date.as_ref().and_then(|(text, seen)| Some(date(text)? - *seen)),
        }
    }

    fn rest(&self) -> Option<Instant> {
        let mut rests = self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        if rests.is_some_and(|until| until <= Instant::now()) {
            *rests = None;
        }
        *rests
    }

    async fn rested(&self) {
        while let Some(until) = self.rest() {
            tokio::time::sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(concurrency: usize) -> Hosts {
        Hosts::new(concurrency, breaker::Settings::default())
    }

    #[tokio::test]
    async fn a_resting_host_lets_no_request_in_before_the_longest_wait_is_over() {
        let host = hosts(4).get("h");
        host.pause(Duration::from_millis(80));
        host.pause(Duration::from_millis(5));
        let start = Instant::now();
        let _pass = host.enter().await;
        assert!(start.elapsed() >= Duration::from_millis(75), "{:?}", start.elapsed());
    }

    #[tokio::test]
    async fn no_more_requests_than_allowed_are_under_way() {
        let hosts = hosts(2);
        let (a, b) = (hosts.get("h").enter().await, hosts.get("h").enter().await);
        let third = tokio::time::timeout(Duration::from_millis(20), hosts.get("h").enter()).await;
        assert!(third.is_err());
        drop((a, b));
        assert!(tokio::time::timeout(Duration::from_secs(5), hosts.get("h").enter()).await.is_ok());
    }

    #[test]
    fn what_a_host_says_of_itself_is_kept() {
        let host = hosts(16).get("h");
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-ms-dop-hint", "2"),
            ("x-ms-ratelimit-burst-remaining-xrm-requests", "5999"),
            ("x-ms-ratelimit-time-remaining-xrm-requests", "1,199.5"),
            ("date", "Wed, 31 Jan 2024 12:00:30 GMT"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        host.learn(&headers);
        host.learn(&HeaderMap::new());
        let info = host.info();
        assert_eq!((info.concurrency, info.dop_hint), (2, Some(2)));
        assert_eq!((info.remaining_requests, info.remaining_seconds), (Some(5999), Some(1199)));
        assert!(info.clock_ahead.unwrap() < TimeDelta::zero());
    }
}
