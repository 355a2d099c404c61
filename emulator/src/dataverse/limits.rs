//! Service protection: three limits per user and web server, over a sliding window. [D]
//!
//! A client without the affinity cookie meets the servers in turn; one that keeps it stays with one of them, whose limits it meets
//! earlier. [D; the cookie's name is K]

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;

use crate::faults::Limit;
use crate::lock;

/// The affinity cookie's name.
pub(super) const COOKIE: &str = "ARRAffinity";
/// What the headers show when no limit is in force: the documented numbers.
const REQUESTS: u32 = 6000;
const EXECUTION: Duration = Duration::from_secs(1200);

/// The limits in force; `None` where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) requests: Option<Limit>,
    /// The execution time of all requests in the window.
    pub(crate) execution: Option<(Duration, Duration)>,
    pub(crate) concurrency: Option<u32>,
}

/// One user at one server.
#[derive(Default)]
struct Meter {
    passed: VecDeque<Instant>,
    work: VecDeque<(Instant, Duration)>,
    running: u32,
    refused: u64,
}

#[derive(Default)]
struct State {
    limits: Limits,
    meters: HashMap<(usize, u32), Meter>,
}

/// All servers.
pub(crate) struct Protection {
    servers: AtomicU32,
    turn: AtomicU32,
    state: Mutex<State>,
}

/// A request over a limit: what the answer says.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: String,
    /// Seconds.
    pub(super) retry_after: u64,
}

/// A request that was let in. Dropping it ends its execution time.
pub(super) struct Admitted<'a> {
    protection: &'a Protection,
    key: (usize, u32),
    begun: Instant,
    /// Requests and execution time left in the window.
    pub(super) left: (u32, Duration),
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.protection.state);
        let watched = state.limits.execution.is_some();
        if let Some(meter) = state.meters.get_mut(&self.key) {
            meter.running = meter.running.saturating_sub(1);
            if watched {
                meter.work.push_back((Instant::now(), self.begun.elapsed()));
            }
        }
    }
}

/// The documented messages.
pub(super) fn message(code: &str, limits: Limits) -> String {
    match code {
        "0x80072321" => {
            let (total, window) = limits.execution.unwrap_or((EXECUTION, Duration::from_secs(300)));
            let milliseconds = grouped(total.as_millis());
            format!(
                "Combined execution time of incoming requests exceeded limit of {milliseconds} milliseconds over time window of {} seconds. Decrease number of \
                 concurrent requests or reduce the duration of requests and try again later.",
                window.as_secs()
            )
        }
        "0x80072326" => format!("Number of concurrent requests exceeded the limit of {}.", limits.concurrency.unwrap_or(52)),
        _ => {
            let limit = limits.requests.unwrap_or(Limit { requests: REQUESTS, window: Duration::from_secs(300) });
            format!("Number of requests exceeded the limit of {} over time window of {} seconds.", limit.requests, limit.window.as_secs())
        }
    }
}

/// Execution time in seconds, with two decimals and thousands separated. [K: the format]
pub(super) fn time_left(time: Duration) -> String {
    format!("{}.{:02}", grouped(u128::from(time.as_secs())), time.subsec_millis() / 10)
}

fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn seconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1)
}

impl Protection {
    pub(crate) fn new(servers: u32, limits: Limits) -> Protection {
        Protection {
            servers: AtomicU32::new(servers.max(1)),
            turn: AtomicU32::new(0),
            state: Mutex::new(State { limits, meters: HashMap::new() }),
        }
    }

    pub(super) fn set_servers(&self, servers: u32) {
        self.servers.store(servers.max(1), Ordering::Release);
    }

    /// New limits; the windows begin again.
    pub(crate) fn set(&self, limits: Limits) {
        *lock(&self.state) = State { limits, meters: HashMap::new() };
    }

    /// The server a request goes to: the cookie's, or the next in turn.
    pub(super) fn server(&self, headers: &HeaderMap) -> u32 {
        let servers = self.servers.load(Ordering::Acquire);
        let cookies = headers.get_all("cookie").iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(';'));
        let kept = cookies.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == COOKIE);
        match kept.and_then(|(_, value)| value.strip_prefix("server")).and_then(|number| number.parse::<u32>().ok()) {
            Some(server) if server < servers => server,
            Some(_) | None => self.turn.fetch_add(1, Ordering::AcqRel) % servers,
        }
    }

    /// Lets a user's request in, or says which limit it is over. The wait grows for those who keep hammering. [D]
    pub(super) fn admit(&self, user: usize, server: u32, now: Instant) -> Result<Admitted<'_>, Refusal> {
        let mut state = lock(&self.state);
        let limits = state.limits;
        let meter = state.meters.entry((user, server)).or_default();
        let over = |code, free_in: Duration, refused: &mut u64| {
            *refused += 1;
            Err(Refusal { code, message: message(code, limits), retry_after: seconds(free_in) + *refused / 20 })
        };
        if limits.concurrency.is_some_and(|limit| meter.running >= limit) {
            return over("0x80072326", Duration::ZERO, &mut meter.refused);
        }
        let mut left = (REQUESTS, EXECUTION);
        if let Some(limit) = limits.requests {
            while meter.passed.front().is_some_and(|at| now.duration_since(*at) >= limit.window) {
                meter.passed.pop_front();
            }
            let used = u32::try_from(meter.passed.len()).unwrap_or(u32::MAX);
            if used >= limit.requests {
                let free_in = meter.passed.front().map_or(limit.window, |at| limit.window.saturating_sub(now.duration_since(*at)));
                return over("0x80072322", free_in, &mut meter.refused);
            }
            meter.passed.push_back(now);
            left.0 = limit.requests - used - 1;
        }
        if let Some((total, window)) = limits.execution {
            while meter.work.front().is_some_and(|(at, _)| now.duration_since(*at) >= window) {
                meter.work.pop_front();
            }
            let used: Duration = meter.work.iter().map(|(_, spent)| *spent).sum();
            if used >= total {
                let free_in = meter.work.front().map_or(window, |(at, _)| window.saturating_sub(now.duration_since(*at)));
                return over("0x80072321", free_in, &mut meter.refused);
            }
            left.1 = total - used;
        }
        meter.refused = 0;
        meter.running += 1;
        Ok(Admitted { protection: self, key: (user, server), begun: now, left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(requests: u32, seconds: u64) -> Limits {
        Limits { requests: Some(Limit { requests, window: Duration::from_secs(seconds) }), ..Limits::default() }
    }

    #[test]
    fn each_user_and_each_server_has_its_own_window() {
        let protection = Protection::new(2, requests(1, 10));
        let now = Instant::now();
        assert!(protection.admit(0, 0, now).is_ok());
        let refused = protection.admit(0, 0, now + Duration::from_secs(4)).err().expect("over the limit");
        assert_eq!((refused.code, refused.retry_after), ("0x80072322", 6));
        assert!(protection.admit(0, 1, now).is_ok() && protection.admit(1, 0, now).is_ok());
        assert!(protection.admit(0, 0, now + Duration::from_secs(10)).is_ok());
    }

    #[test]
    fn without_the_cookie_servers_take_turns_and_with_it_one_stays() {
        let protection = Protection::new(3, Limits::default());
        let none = HeaderMap::new();
        assert_eq!([0, 1, 2, 0], [(); 4].map(|()| protection.server(&none)));
        let mut kept = HeaderMap::new();
        kept.insert("cookie", "a=b; ARRAffinity=server1".parse().unwrap());
        assert_eq!([1, 1], [(); 2].map(|()| protection.server(&kept)));
    }

    #[test]
    fn requests_at_one_time_are_limited_and_time_spent_is_counted() {
        let protection = Protection::new(1, Limits { concurrency: Some(1), ..Limits::default() });
        let first = protection.admit(0, 0, Instant::now()).unwrap();
        assert_eq!(protection.admit(0, 0, Instant::now()).err().unwrap().code, "0x80072326");
        drop(first);
        assert!(protection.admit(0, 0, Instant::now()).is_ok());
        let limits = Limits { execution: Some((Duration::from_millis(1), Duration::from_secs(300))), ..Limits::default() };
        protection.set(limits);
        let early = Instant::now() - Duration::from_millis(20);
        drop(protection.admit(0, 0, early).unwrap());
        let refused = protection.admit(0, 0, Instant::now()).err().unwrap();
        assert_eq!(refused.code, "0x80072321");
        assert!(refused.message.contains("exceeded limit of 1 milliseconds over time window of 300 seconds"), "{}", refused.message);
        assert!(refused.retry_after > 200);
    }

    #[test]
    fn who_keeps_hammering_waits_longer() {
        let protection = Protection::new(1, requests(1, 10));
        let now = Instant::now();
        drop(protection.admit(0, 0, now));
        let waits: Vec<u64> = (0..41).map(|_| protection.admit(0, 0, now).err().unwrap().retry_after).collect();
        assert_eq!((waits[0], waits[40]), (10, 12));
    }
}
