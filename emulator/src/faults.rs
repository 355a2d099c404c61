//! Trouble on purpose: random failures, a request limit, and faults ordered by the admin interface.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::http::Method;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::Deserialize;

use super::lock;
use super::stats::Api;

/// What goes wrong with one request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fault {
    /// Answer with this status in the API's error shape, without acting.
    Status { status: u16, code: Option<String>, retry_after: Option<u64> },
    /// The service-protection answer, by its documented code.
    Throttle { code: Option<String>, retry_after: Option<u64> },
    /// The token is refused although it is good.
    Unauthorized,
    /// The connection breaks before the service acts.
    Reset,
    /// The service acts, and its answer never arrives.
    LostAnswer,
    /// A gateway keeps the request, and the connection ends without an answer; the service acts when the request is let go.
    Held,
    /// A proxy's or sign-in page in HTML in place of the answer.
    Html { status: u16 },
    /// The answer comes late.
    Slow(Duration),
    /// The head of the answer and a part of its body come, then the connection breaks.
    CutBody,
    /// The head comes at once and the body in ten pieces, with this time before each.
    SlowBody(Duration),
    /// A proxy sends the request twice: it is processed twice, and the second answer comes.
    Duplicate,
    /// The answer's bytes come twice on the wire.
    RepeatedAnswer,
    /// All PKeys that Campaign has given out expire just before the service acts.
    ExpiredPkeys,
}

/// The body of `POST fail-next`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    /// The service; any of the two APIs when absent (tokens and the journal only by name).
    #[serde(default)]
    api: Option<Api>,
    kind: Kind,
    #[serde(default)]
    status: Option<u16>,
    /// The error code in the body: `0x80072321` …
    #[serde(default)]
    code: Option<String>,
    /// Seconds for `Retry-After`.
    #[serde(default)]
    retry_after: Option<u64>,
    /// Milliseconds, for `slow`; for `slow-body` before each piece.
    #[serde(default)]
    delay: Option<u64>,
    /// How many matching requests fail.
    #[serde(default = "one")]
    count: u32,
    /// How many matching requests pass first.
    #[serde(default)]
    skip: u32,
    #[serde(default)]
    method: Option<String>,
    /// A part of the path (as sent, escapes included).
    #[serde(default)]
    path: Option<String>,
}

fn one() -> u32 {
    1
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Status,
    Throttle,
    Unauthorized,
    Reset,
    LostAnswer,
    Held,
    Html,
    Slow,
    CutBody,
    SlowBody,
    Duplicate,
    RepeatedAnswer,
    ExpiredPkeys,
}

impl Order {
    fn matches(&self, api: Api, method: &Method, path: &str) -> bool {
        let api_matches = match self.api {
            Some(wanted) => wanted == api,
            None => matches!(api, Api::Dataverse | Api::Campaign),
        };
        api_matches
            && self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method.as_str()))
            && self.path.as_deref().is_none_or(|part| path.contains(part))
    }

    fn fault(&self) -> Fault {
        match self.kind {
            Kind::Status => Fault::Status { status: self.status.unwrap_or(500), code: self.code.clone(), retry_after: self.retry_after },
            Kind::Throttle => Fault::Throttle { code: self.code.clone(), retry_after: self.retry_after },
            Kind::Unauthorized => Fault::Unauthorized,
            Kind::Reset => Fault::Reset,
            Kind::LostAnswer => Fault::LostAnswer,
            Kind::Held => Fault::Held,
            Kind::Html => Fault::Html { status: self.status.unwrap_or(200) },
            Kind::Slow => Fault::Slow(Duration::from_millis(self.delay.unwrap_or(1000))),
            Kind::CutBody => Fault::CutBody,
            Kind::SlowBody => Fault::SlowBody(Duration::from_millis(self.delay.unwrap_or(100))),
            Kind::Duplicate => Fault::Duplicate,
            Kind::RepeatedAnswer => Fault::RepeatedAnswer,
            Kind::ExpiredPkeys => Fault::ExpiredPkeys,
        }
    }
}

/// A limit of requests in a sliding window, per user and API.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limit {
    pub(super) requests: u32,
    pub(super) window: Duration,
}

/// The limit in force and each user's window.
#[derive(Default)]
struct Limiter {
    limit: Option<Limit>,
    windows: HashMap<(Api, String), Window>,
}

#[derive(Default)]
struct Window {
    passed: VecDeque<Instant>,
    refused: u64,
}

/// A request over the limit: what the answer says.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Seconds.
    pub(super) retry_after: u64,
}

/// All sources of trouble.
pub(super) struct Faults {
    rate: f64,
    random: Mutex<StdRng>,
    armed: AtomicBool,
    orders: Mutex<Vec<Order>>,
    limited: AtomicBool,
    limit: Mutex<Limiter>,
}

impl Faults {
    pub(super) fn new(rate: f64, seed: u64, limit: Option<Limit>) -> Faults {
        Faults {
            rate,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            armed: AtomicBool::new(false),
            orders: Mutex::new(Vec::new()),
            limited: AtomicBool::new(limit.is_some()),
            limit: Mutex::new(Limiter { limit, windows: HashMap::new() }),
        }
    }

    pub(super) fn order(&self, order: Order) {
        lock(&self.orders).push(order);
        self.armed.store(true, Ordering::Release);
    }

    pub(super) fn clear(&self) {
        lock(&self.orders).clear();
        self.armed.store(false, Ordering::Release);
    }

    /// The limit from now on; `None` lifts it.
    pub(super) fn set_limit(&self, limit: Option<Limit>) {
        *lock(&self.limit) = Limiter { limit, windows: HashMap::new() };
        self.limited.store(limit.is_some(), Ordering::Release);
    }

    /// Whether faults are ordered.
    pub(super) fn are_ordered(&self) -> bool {
        self.armed.load(Ordering::Acquire)
    }

    /// The fault that was ordered for a request with this part in its path, but not for the batch of which it is a part.
    pub(super) fn of_part(&self, api: Api, batch: &str, method: &Method, path: &str) -> Option<Fault> {
        self.ordered(|order| order.path.as_deref().is_some_and(|part| !batch.contains(part)) && order.matches(api, method, path))
    }

    fn ordered(&self, matches: impl Fn(&Order) -> bool) -> Option<Fault> {
        if !self.are_ordered() {
            return None;
        }
        let mut orders = lock(&self.orders);
        let index = orders.iter().position(matches)?;
        let order = &mut orders[index];
        if order.skip > 0 {
            order.skip -= 1;
            return None;
        }
        let fault = order.fault();
        order.count = order.count.saturating_sub(1);
        if order.count == 0 {
            orders.remove(index);
            self.armed.store(!orders.is_empty(), Ordering::Release);
        }
        Some(fault)
    }

    /// What, if anything, befalls this request. Ordered faults come before random ones.
    pub(super) fn next(&self, api: Api, method: &Method, path: &str) -> Option<Fault> {
        if let Some(fault) = self.ordered(|order| order.matches(api, method, path)) {
            return Some(fault);
        }
        if self.rate > 0.0 {
            let mut random = lock(&self.random);
            if random.random::<f64>() < self.rate {
                return Some(match random.random_range(0..4u8) {
                    0 => Fault::Status { status: 500, code: None, retry_after: None },
                    1 => Fault::Status { status: 503, code: None, retry_after: None },
                    2 => Fault::Reset,
                    _ => Fault::LostAnswer,
                });
            }
        }
        None
    }

    /// Counts a request of a user against the limit. The wait grows for those who keep hammering.
    pub(super) fn admit(&self, api: Api, user: &str, now: Instant) -> Result<(), Refusal> {
        if !self.limited.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut state = lock(&self.limit);
        let Some(limit) = state.limit else { return Ok(()) };
        let window = state.windows.entry((api, user.to_owned())).or_default();
        while window.passed.front().is_some_and(|&at| now.duration_since(at) >= limit.window) {
            window.passed.pop_front();
        }
        if window.passed.len() < limit.requests as usize {
            window.passed.push_back(now);
            window.refused = 0;
            return Ok(());
        }
        window.refused += 1;
        let free_in = window.passed.front().map_or(limit.window, |&at| limit.window.saturating_sub(now.duration_since(at)));
        let seconds = free_in.as_millis().div_ceil(1000).max(1) as u64;
        Err(Refusal { retry_after: seconds + window.refused / 20 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_trouble_is_the_same_for_the_same_seed() {
        let run = |seed| {
            let faults = Faults::new(0.3, seed, None);
            (0..200).map(|_| faults.next(Api::Dataverse, &Method::GET, "/")).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
        let hit = run(7).iter().filter(|fault| fault.is_some()).count();
        assert!((30..90).contains(&hit), "{hit} of 200 at a rate of 0.3");
    }

    #[test]
    fn the_window_slides_and_counts_each_user_alone() {
        let limit = Limit { requests: 2, window: Duration::from_secs(10) };
        let faults = Faults::new(0.0, 0, Some(limit));
        let start = Instant::now();
        assert!(faults.admit(Api::Dataverse, "a", start).is_ok());
        assert!(faults.admit(Api::Dataverse, "a", start + Duration::from_secs(4)).is_ok());
        let refused = faults.admit(Api::Dataverse, "a", start + Duration::from_secs(5)).expect_err("over the limit");
        assert_eq!(refused.retry_after, 5);
        assert!(faults.admit(Api::Dataverse, "b", start + Duration::from_secs(5)).is_ok());
        assert!(faults.admit(Api::Dataverse, "a", start + Duration::from_secs(10)).is_ok());
        assert!(faults.admit(Api::Dataverse, "a", start + Duration::from_secs(11)).is_err());
    }
}
