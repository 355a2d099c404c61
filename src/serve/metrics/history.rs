//! The history for charts: what was done in each minute, kept in the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::ProjectMetrics;
use crate::connect::CallStats;
use crate::run::Clock;
use crate::store::{CallCounts, RecordCounts, Samples, StoreError};

/// From one sample to the next.
const MINUTE: Duration = Duration::from_secs(60);

/// Stores what a project did in each minute, until [`History::end`].
pub struct History {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl History {
    /// Begins; must be called within a runtime.
    pub fn start(metrics: Arc<ProjectMetrics>) -> History {
        let stop = CancellationToken::new();
        let task = tokio::spawn(record(metrics, stop.clone()));
        History { stop, task }
    }

    /// Stores what was done since the last sample, and ends.
    pub async fn end(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the last minute of the history was not stored");
        }
    }
}

async fn record(metrics: Arc<ProjectMetrics>, stop: CancellationToken) {
    let mut taken = Taken::default();
    let (clock, samples) = (metrics.clock.clone(), metrics.stores.samples.clone());
    loop {
        tokio::select! {
            () = clock.sleep(MINUTE) => {}
            () = stop.cancelled() => {}
        }
        let now = Taken::of(&metrics);
        let added = now.since(&taken);
        match store(&*samples, &clock, &added).await {
            Ok(()) => taken = now,
            // It is part of the next sample.
            Err(error) => tracing::warn!(%error, "the history was not stored; it is stored with the next minute"),
        }
        if stop.is_cancelled() {
            return;
        }
    }
}

async fn store(samples: &dyn Samples, clock: &Clock, added: &Taken) -> Result<(), StoreError> {
    if added.records.is_empty() && added.calls.is_empty() {
        return Ok(());
    }
    let records: Vec<_> = added.records.clone().into_iter().collect();
    let calls: Vec<_> = added.calls.clone().into_iter().collect();
    samples.note_samples(clock.now(), &records, &calls).await
}

/// The counts at one moment, by workflow and by API.
#[derive(Default)]
struct Taken {
    records: BTreeMap<String, RecordCounts>,
    calls: BTreeMap<String, CallCounts>,
}

impl Taken {
    fn of(metrics: &ProjectMetrics) -> Taken {
        Taken {
            records: metrics.counts().into_iter().map(|(name, counts)| (name, counts.records())).collect(),
            calls: calls(&metrics.calls()),
        }
    }

    /// What has changed since an earlier moment, without what has not.
    fn since(&self, earlier: &Taken) -> Taken {
        fn difference<T: Default + PartialEq + Copy>(
            now: &BTreeMap<String, T>,
            then: &BTreeMap<String, T>,
            minus: fn(T, T) -> T,
        ) -> BTreeMap<String, T> {
            let changed = now.iter().map(|(name, counts)| (name.clone(), minus(*counts, then.get(name).copied().unwrap_or_default())));
            changed.filter(|(_, counts)| *counts != T::default()).collect()
        }
        Taken {
            records: difference(&self.records, &earlier.records, RecordCounts::minus),
            calls: difference(&self.calls, &earlier.calls, CallCounts::minus),
        }
    }
}

fn calls(stats: &CallStats) -> BTreeMap<String, CallCounts> {
    let of = |outcomes: &BTreeMap<&'static str, u64>, names: &[&str]| names.iter().filter_map(|name| outcomes.get(name)).sum();
    let counts = stats.apis.iter().map(|(api, calls)| {
        let counts = CallCounts {
            calls: calls.calls,
            throttled: of(&calls.outcomes, &["throttled"]),
            failed: of(&calls.outcomes, &["unavailable", "unknown"]),
            milliseconds: u64::try_from(calls.latency.sum.as_millis()).unwrap_or(u64::MAX),
        };
        ((*api).to_owned(), counts)
    });
    counts.collect()
}
