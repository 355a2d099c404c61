//! Copies for dry runs.

use async_trait::async_trait;

use super::{QueuedChange, StateError, Stores};

/// Copies for dry runs, which read by the code of the run and change nothing in the store.
#[async_trait]
pub trait Previews: Send + Sync {
    /// Copies what a mapping knows into a separate store, which goes with its last clone. Queued operations are copied without their
    /// values.
    async fn copy_of_mapping(&self, mapping: &str) -> Result<Stores, StateError>;

    /// Copies what a workflow of opt-outs knows into a separate store, which goes with its last clone. The backlog is not copied.
    async fn copy_of_optouts(&self, workflow: &str) -> Result<Stores, StateError>;

    /// Returns the number of the last change that was read.
    async fn last_change(&self) -> Result<i64, StateError>;

    /// Takes operations that were queued after a change out of the outbox of a copy, a part of them with each call; empty if there are no
    /// more. With `round_over`, also those of records of which something was held in the round.
    async fn take_queued(&self, mapping: &str, after: i64, round_over: bool) -> Result<Vec<QueuedChange>, StateError>;

    /// Returns how many changes of a mapping are held, approved or not.
    async fn held_changes(&self, mapping: &str) -> Result<u64, StateError>;
}
