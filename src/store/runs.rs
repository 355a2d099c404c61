//! The runs of a store.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::words;
use super::{RunId, StoreError};
use crate::time::Instant;

/// The runs of a store. At any time there is one.
#[cfg_attr(
    not(feature = "internals"),
    allow(dead_code, reason = "a port is the contract of a store: some methods are asked by tests only")
)]
#[async_trait]
pub trait Runs: Send + Sync {
    /// Begins a run. What is claimed now was claimed by a run that is dead: it waits again, marked uncertain, and not before
    /// `request_lifetime` is over, for which a request of that run may still reach its service. Leases and cancellations of that run end.
    ///
    /// # Errors
    /// [`StoreError::NotLocked`] if the store cannot say that no other run goes on.
    async fn start_run(&self, kind: RunKind, workflows: &[String], request_lifetime: Duration) -> Result<(RunId, Recovery), StoreError>;

    /// Ends a run. What it has claimed and not settled waits again, marked uncertain.
    async fn end_run(&self, run: RunId, outcome: RunOutcome, counters: serde_json::Value) -> Result<(), StoreError>;

    /// Frees what an earlier round of a workflow did not give back: its page, and its operations, which wait again, marked uncertain.
    /// To be called before each round, of which there is one at a time. Returns how many operations.
    async fn free_flow(&self, workflow: &str) -> Result<u64, StoreError>;

    /// Returns the last `limit` runs, the newest first.
    async fn runs(&self, limit: usize) -> Result<Vec<RunRecord>, StoreError>;
}

words! {
    /// What kind of run. A dry run is not on record: it writes nothing.
    pub enum RunKind {
        /// Once through, then done.
        Once = "once",
        /// On and on.
        Watch = "watch",
        /// Everything again.
        Replay = "replay",
    }
}

words! {
    /// How a run ended.
    pub enum RunOutcome {
        /// It did all there was.
        Completed = "completed",
        /// It was asked to stop, and finished what was in flight.
        Stopped = "stopped",
        /// An error ended it.
        Failed = "failed",
        /// Its process died; found out by the next run.
        Interrupted = "interrupted",
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord {
    /// Its number.
    pub id: RunId,
    /// What kind.
    pub kind: RunKind,
    /// Its flows.
    pub mappings: Vec<String>,
    /// When it began.
    pub started_at: Instant,
    /// When it ended; none while it goes on (or was interrupted, and no other has started since).
    pub ended_at: Option<Instant>,
    /// How it ended.
    pub outcome: Option<RunOutcome>,
    /// Its counters, as the runner gave them last.
    pub counters: serde_json::Value,
    /// Its process.
    pub pid: u32,
    /// Its machine.
    pub host: String,
}

/// What a new run found of the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Runs that had not ended.
    pub interrupted_runs: u64,
    /// Operations they had in their hands; these wait again, marked uncertain.
    pub recovered_operations: u64,
}
