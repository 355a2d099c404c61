//! How many requests a caller or an address may send.
//!
//! A caller has a separate limit, which only a program can reach. Requests without a session share the limit of their address. What tries
//! to authenticate has a much stricter one: a wrong token, a used link, the way to a sign-in service.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::run::Clock;

/// Requests after which keys that are at rest are removed.
const PRUNE_EVERY: u32 = 1024;
/// Keys that are kept. Above that, keys that were not seen before share a limit.
const MOST_KEYS: usize = 50_000;

/// Requests that may come at once, and how many more per minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// Per minute.
    pub per_minute: u32,
}

/// The limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Of a person with a session, or of a client.
    pub caller: Rate,
    /// Of an address, for requests without a session.
    pub address: Rate,
    /// Of an address, for attempts to sign in.
    pub sign_in: Rate,
}

impl Default for Rates {
    fn default() -> Rates {
        Rates {
            caller: Rate { burst: 2000, per_minute: 60_000 },
            address: Rate { burst: 200, per_minute: 1200 },
            sign_in: Rate { burst: 20, per_minute: 20 },
        }
    }
}

/// governor's clock.
struct Elapsed(Clock);

impl governor::clock::Clock for Elapsed {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The key of all that are too many to have their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key<K> {
    One(K),
    Others,
}

struct Limit<K: Hash + Eq + Clone>(RateLimiter<Key<K>, HashMapStateStore<Key<K>>, Elapsed, NoOpMiddleware<Duration>>);

impl<K: Hash + Eq + Clone> Limit<K> {
    fn new(rate: Rate, clock: &Clock) -> Limit<K> {
        let at_least_one = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_minute(at_least_one(rate.per_minute)).allow_burst(at_least_one(rate.burst));
        Limit(RateLimiter::hashmap_with_clock(quota, Elapsed(clock.clone())))
    }

    fn check(&self, key: K) -> Result<(), TooMany> {
        let key = if self.0.len() < MOST_KEYS { Key::One(key) } else { Key::Others };
        self.0.check_key(&key).map_err(|until| TooMany { retry_after: until.wait_time_from(self.0.clock().now()) })
    }

    fn prune(&self) {
        self.0.retain_recent();
    }
}

/// A limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany {
    /// When the next request is accepted.
    pub(super) retry_after: Duration,
}

/// All limits.
pub(super) struct Limits {
    callers: Limit<String>,
    addresses: Limit<Option<IpAddr>>,
    sign_ins: Limit<Option<IpAddr>>,
    since_pruned: AtomicU32,
}

impl Limits {
    pub(super) fn new(rates: Rates, clock: &Clock) -> Limits {
        Limits {
            callers: Limit::new(rates.caller, clock),
            addresses: Limit::new(rates.address, clock),
            sign_ins: Limit::new(rates.sign_in, clock),
            since_pruned: AtomicU32::new(0),
        }
    }

    fn count(&self) {
        if self.since_pruned.fetch_add(1, Ordering::Relaxed) >= PRUNE_EVERY {
            self.since_pruned.store(0, Ordering::Relaxed);
            self.callers.prune();
            self.addresses.prune();
            self.sign_ins.prune();
        }
    }

    /// Counts a request of a caller.
    pub(super) fn caller(&self, name: &str) -> Result<(), TooMany> {
        self.count();
        self.callers.check(name.to_owned())
    }

    /// Counts a request without a session.
    pub(super) fn address(&self, from: Option<IpAddr>) -> Result<(), TooMany> {
        self.count();
        self.addresses.check(from.map(network))
    }

    /// Counts an attempt to sign in.
    pub(super) fn sign_in(&self, from: Option<IpAddr>) -> Result<(), TooMany> {
        self.count();
        self.sign_ins.check(from.map(network))
    }
}

/// What counts as one address: of IPv6, a network of 64 bits, which one machine can fill.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn limits() -> (Limits, Clock) {
        let clock = Clock::stopped(crate::time::parse_instant("2024-05-01T12:00:00Z").expect("an instant"));
        let rate = Rate { burst: 2, per_minute: 60 };
        (Limits::new(Rates { caller: rate, address: rate, sign_in: rate }, &clock), clock)
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn requests_above_a_limit_are_refused_until_time_has_passed() {
        let (limits, clock) = limits();
        let a = address("192.0.2.1");
        assert!(limits.address(a).is_ok() && limits.address(a).is_ok());
        assert_eq!(limits.address(a), Err(TooMany { retry_after: Duration::from_secs(1) }));
        // Another address, and attempts to sign in, have separate limits.
        assert!(limits.address(address("192.0.2.2")).is_ok() && limits.sign_in(a).is_ok() && limits.caller("ada").is_ok());
        clock.advance(TimeDelta::seconds(1));
        assert!(limits.address(a).is_ok() && limits.address(a).is_err());
    }

    #[test]
    fn the_addresses_of_one_network_share_a_limit() {
        let (limits, _) = limits();
        assert!(limits.address(address("2001:db8::1")).is_ok() && limits.address(address("2001:db8::ffff:1")).is_ok());
        assert!(limits.address(address("2001:db8::2")).is_err() && limits.address(address("2001:db8:0:1::2")).is_ok());
        assert_eq!(network("::ffff:192.0.2.1".parse().expect("an address")), network("192.0.2.1".parse().expect("an address")));
    }

    #[test]
    fn what_is_kept_of_addresses_is_removed_when_they_are_at_rest() {
        let (limits, clock) = limits();
        for n in 0..PRUNE_EVERY {
            limits.address(Some(IpAddr::from(n.to_be_bytes()))).expect("allowed");
        }
        assert_eq!(limits.addresses.0.len(), PRUNE_EVERY as usize);
        clock.advance(TimeDelta::minutes(1));
        for _ in 0..2 {
            limits.address(address("192.0.2.1")).expect("allowed");
        }
        assert!(limits.addresses.0.len() <= 2, "{}", limits.addresses.0.len());
    }
}
