//! The rounds of a watch in the log: one line for each round that did something, for an outage and its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::counters::FlowCounters;
use crate::engine::events::{Receiver, RunEvent, Subscriber};

/// Rounds that find nothing are logged once in this time, with their number: a watch has one every few seconds.
const QUIET: Duration = Duration::from_secs(60);

/// Writes the rounds of all workflows to the log.
#[derive(Default)]
pub(super) struct RoundLog(Mutex<BTreeMap<String, Arc<WorkflowLog>>>);

impl Subscriber for RoundLog {
    fn workflow(&self, name: &str) -> Arc<dyn Receiver> {
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(WorkflowLog { name: name.to_owned(), counters: FlowCounters::default(), told: Mutex::default() });
        logs.entry(name.to_owned()).or_insert_with(new).clone()
    }
}

struct WorkflowLog {
    name: String,
    counters: FlowCounters,
    told: Mutex<Told>,
}

/// What was logged of a workflow so far. Times are those since the run's clock was made.
#[derive(Default)]
struct Told {
    began: Option<Duration>,
    /// Counts at the last line: read, written, rejected, retried.
    counts: [u64; 4],
    /// Rounds since the last line.
    rounds: u64,
    last: Option<Duration>,
    /// Since when its rounds fail.
    failing: Option<Duration>,
}

impl Receiver for WorkflowLog {
    fn receive(&self, event: &RunEvent<'_>) {
        match *event {
            RunEvent::RoundBegan { at } => self.told.lock().unwrap_or_else(PoisonError::into_inner).began = Some(at),
            RunEvent::RoundEnded { at, failed } => {
                self.told.lock().unwrap_or_else(PoisonError::into_inner).round_ended(&self.name, &self.counters, failed, at);
            }
            _ => self.counters.receive(event),
        }
    }
}

impl Told {
    fn round_ended(&mut self, workflow: &str, counters: &FlowCounters, failed: bool, now: Duration) {
        self.rounds += 1;
        if failed {
            // The reason is logged where its consequence is decided.
            self.failing.get_or_insert(now);
            return;
        }
        if let Some(since) = self.failing.take() {
            let seconds = now.saturating_sub(since).as_secs();
            tracing::info!(workflow, seconds, "recovered: a round was successful after failed rounds");
        }
        let counts = [
            counters.read.get(),
            counters.created.get() + counters.updated.get() + counters.deleted.get(),
            counters.rejected.get() + counters.failed.get(),
            counters.retried.get(),
        ];
        let quiet = counts == self.counts;
        if quiet && self.last.is_some_and(|at| now.saturating_sub(at) < QUIET) {
            return;
        }
        let [read, written, rejected, retried] = std::array::from_fn(|i| counts[i].saturating_sub(self.counts[i]));
        let ms = self.began.map_or(0, |at| u64::try_from(now.saturating_sub(at).as_millis()).unwrap_or(u64::MAX));
        let (rounds, backlog) = (self.rounds, counters.backlog.get());
        tracing::info!(workflow, rounds, read, written, rejected, retried, backlog, ms, "round");
        (self.counts, self.rounds, self.last) = (counts, 0, Some(now));
    }
}
