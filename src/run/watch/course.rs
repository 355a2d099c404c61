//! The course of a workflow in the log of a watch: one event for each round that did something, for an outage and its end.

use std::time::Duration;

use crate::run::{FlowCounters, RunError};

/// Rounds that find nothing are told once in this time, with their number: a watch has one every few seconds.
const QUIET: Duration = Duration::from_secs(60);

/// What the log was told of a workflow so far. Times are those since the run's clock was made.
#[derive(Default)]
pub(super) struct Course {
    began: Option<Duration>,
    /// Counts at the last event: read, written, rejected, retried.
    told: [u64; 4],
    /// Rounds since the last event.
    rounds: u64,
    last: Option<Duration>,
    /// Since when its rounds fail.
    failing: Option<Duration>,
}

impl Course {
    pub fn round_began(&mut self, now: Duration) {
        self.began = Some(now);
    }

    pub fn round_ended(&mut self, workflow: &str, counters: &FlowCounters, result: &Result<(), RunError>, now: Duration) {
        self.rounds += 1;
        if result.is_err() {
            // The reason is told by the one who decides what follows from it.
            self.failing.get_or_insert(now);
            return;
        }
        if let Some(since) = self.failing.take() {
            let seconds = now.saturating_sub(since).as_secs();
            tracing::info!(workflow, seconds, "recovered: a round went well after those that failed");
        }
        let counts = [
            counters.read.get(),
            counters.created.get() + counters.updated.get() + counters.deleted.get(),
            counters.rejected.get() + counters.failed.get(),
            counters.retried.get(),
        ];
        let quiet = counts == self.told;
        if quiet && self.last.is_some_and(|at| now.saturating_sub(at) < QUIET) {
            return;
        }
        let [read, written, rejected, retried] = std::array::from_fn(|i| counts[i].saturating_sub(self.told[i]));
        let ms = self.began.map_or(0, |at| u64::try_from(now.saturating_sub(at).as_millis()).unwrap_or(u64::MAX));
        let (rounds, backlog) = (self.rounds, counters.backlog.get());
        tracing::info!(workflow, rounds, read, written, rejected, retried, backlog, ms, "round");
        (self.told, self.rounds, self.last) = (counts, 0, Some(now));
    }
}
