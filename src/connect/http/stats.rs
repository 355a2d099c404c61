//! How many calls were made, for the run's summary.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;

/// Calls made since the [`super::Http`] was built, per API: `dataverse`, `campaign`, `token`. Every request counts, repeated ones too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CallStats {
    /// The counts by API.
    pub apis: BTreeMap<&'static str, ApiCalls>,
}

/// Calls made to one API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ApiCalls {
    /// Requests sent.
    pub calls: u64,
    /// Those of them that repeated an earlier one.
    pub retries: u64,
    /// By HTTP method.
    pub methods: BTreeMap<String, u64>,
    /// By outcome: `ok`, `not_found`, `duplicate`, `rejected`, `forbidden`, `unauthorized`, `redirect`, `throttled`, `unavailable`, `unknown`.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// How long they took, from sending to the end of the answer.
    #[serde(skip)]
    pub latency: Latency,
}

/// How long calls took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latency {
    /// The time of all calls together.
    pub sum: Duration,
    /// How many took no longer than the bound in [`LATENCY_BOUNDS`] at the same place, and longer than the one before it; at the end
    /// those that took longer than all bounds.
    pub counts: [u64; LATENCY_BOUNDS.len() + 1],
}

/// The bounds by which durations of calls are counted, in milliseconds.
pub const LATENCY_BOUNDS: [u32; 11] = [25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000];

impl Latency {
    /// Counts a call.
    fn add(&mut self, took: Duration) {
        self.sum += took;
        self.counts[LATENCY_BOUNDS.partition_point(|bound| Duration::from_millis(u64::from(*bound)) < took)] += 1;
    }
}

impl CallStats {
    /// The counts of one API; zero when it was never called.
    pub fn api(&self, api: &str) -> ApiCalls {
        self.apis.get(api).cloned().unwrap_or_default()
    }
}

impl fmt::Display for CallStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.apis.is_empty() {
            return f.write_str("no calls");
        }
        for (n, (api, calls)) in self.apis.iter().enumerate() {
            let methods: Vec<String> = calls.methods.iter().map(|(method, count)| format!("{count} {method}")).collect();
            write!(f, "{}{api} {} ({}", if n == 0 { "" } else { ", " }, calls.calls, methods.join(", "))?;
            if calls.retries > 0 {
                write!(f, "; {} repeated", calls.retries)?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

/// The counters themselves.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<CallStats>);

impl Counters {
    pub(super) fn add(&self, api: &'static str, method: &str, outcome: &'static str, retry: bool, took: Duration) {
        let mut stats = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let calls = stats.apis.entry(api).or_default();
        calls.calls += 1;
        calls.retries += u64::from(retry);
        match calls.methods.get_mut(method) {
            Some(count) => *count += 1,
            None => drop(calls.methods.insert(method.to_owned(), 1)),
        }
        *calls.outcomes.entry(outcome).or_default() += 1;
        calls.latency.add(took);
    }

    pub(super) fn get(&self) -> CallStats {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_api_method_and_outcome() {
        let counters = Counters::default();
        let ms = Duration::from_millis;
        counters.add("campaign", "POST", "throttled", false, ms(25));
        counters.add("campaign", "POST", "ok", true, ms(26));
        counters.add("token", "POST", "ok", false, ms(70_000));
        let stats = counters.get();
        assert_eq!(stats.to_string(), "campaign 2 (2 POST; 1 repeated), token 1 (1 POST)");
        assert_eq!(
            serde_json::to_value(&stats).unwrap()["campaign"],
            serde_json::json!({"calls": 2, "retries": 1, "methods": {"POST": 2}, "outcomes": {"ok": 1, "throttled": 1}})
        );
        assert_eq!(stats.api("dataverse").calls, 0);
        let Latency { sum, counts } = stats.api("campaign").latency;
        assert_eq!((sum, &counts[..3]), (ms(51), &[1, 1, 0][..]));
        assert_eq!(stats.api("token").latency.counts.last(), Some(&1));
    }
}
