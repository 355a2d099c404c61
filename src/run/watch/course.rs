//! The course of a workflow in the log of a watch: one event for each round that did something, for an outage and its end.

use std::time::{Duration, Instant};

use crate::run::{FlowCounters, RunError};

/// Rounds that find nothing are told once in this time, with their number: a watch has one every few seconds.
const QUIET: Duration = Duration::from_secs(60);

/// What the log was told of a workflow so far.
#[derive(Default)]
pub(super) struct Course {
    began: Option<Instant>,
    /// Counts at the last event: read, written, rejected, retried.
    told: [u64; 4],
    /// Rounds since the last event.
    rounds: u64,
    last: Option<Instant>,
    /// Since when its rounds fail.
    failing: Option<Instant>,
}

impl Course {
    pub fn round_began(&mut self) {
        self.began = Some(Instant::now());
    }

    pub fn round_ended(&mut self, workflow: &str, counters: &FlowCounters, result: &Result<(), RunError>) {
        let now = Instant::now();
        self.rounds += 1;
        if result.is_err() {
            // The reason is told by the one who decides what follows from it.
            self.failing.get_or_insert(now);
            return;
        }
        if let Some(since) = self.failing.take() {
            let seconds = now.duration_since(since).as_secs();
            tracing::info!(workflow, seconds, "recovered: a round went well after those that failed");
        }
        let counts = [
            counters.read.get(),
            counters.created.get() + counters.updated.get() + counters.deleted.get(),
            counters.rejected.get() + counters.failed.get(),
            counters.retried.get(),
        ];
        let quiet = counts == self.told;
        if quiet && self.last.is_some_and(|at| now.duration_since(at) < QUIET) {
            return;
        }
        let [read, written, rejected, retried] = std::array::from_fn(|i| counts[i].saturating_sub(self.told[i]));
        let ms = self.began.map_or(0, |at| u64::try_from(now.duration_since(at).as_millis()).unwrap_or(u64::MAX));
        let (rounds, backlog) = (self.rounds, counters.backlog.get());
        tracing::info!(workflow, rounds, read, written, rejected, retried, backlog, ms, "round");
        (self.told, self.rounds, self.last) = (counts, 0, Some(now));
    }
}
