//! The runs of a store.

use std::time::Duration;

use async_trait::async_trait;

use super::{Recovery, RunId, RunKind, RunOutcome, RunRecord, StateError};

/// The runs of a store. At any time there is one.
#[async_trait]
pub trait Runs: Send + Sync {
    /// Begins a run. What is claimed now was claimed by a run that is dead: it waits again, marked uncertain, and not before
    /// `request_lifetime` is over, for which a request of that run may still reach its service. Leases and cancellations of that run end.
    ///
    /// # Errors
    /// [`StateError::NotLocked`] if the store cannot say that no other run goes on.
    async fn start_run(&self, kind: RunKind, workflows: &[String], request_lifetime: Duration) -> Result<(RunId, Recovery), StateError>;

    /// Ends a run. What it has claimed and not settled waits again, marked uncertain.
    async fn end_run(&self, run: RunId, outcome: RunOutcome, counters: serde_json::Value) -> Result<(), StateError>;

    /// Frees what an earlier round of a workflow did not give back: its page, and its operations, which wait again, marked uncertain.
    /// To be called before each round, of which there is one at a time. Returns how many operations.
    async fn free_flow(&self, workflow: &str) -> Result<u64, StateError>;

    /// Returns the last `limit` runs, the newest first.
    async fn runs(&self, limit: usize) -> Result<Vec<RunRecord>, StateError>;
}
