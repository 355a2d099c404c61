//! Copies for dry runs.

use async_trait::async_trait;

use super::{Comparison, Payload, StoreError, Stores};

/// Copies for dry runs, which read by the code of the run and change nothing in the store.
#[cfg_attr(
    not(feature = "internals"),
    allow(dead_code, reason = "a port is the contract of a store: some methods are asked by tests only")
)]
#[async_trait]
pub trait Previews: Send + Sync {
    /// Copies what a mapping knows into a separate store, which goes with its last clone. Queued operations are copied without their
    /// values.
    async fn copy_of_mapping(&self, mapping: &str) -> Result<Stores, StoreError>;

    /// Copies what a workflow of opt-outs knows into a separate store, which goes with its last clone. The backlog is not copied.
    async fn copy_of_optouts(&self, workflow: &str) -> Result<Stores, StoreError>;

    /// Returns the number of the last change that was read.
    async fn last_change(&self) -> Result<i64, StoreError>;

    /// Takes operations that were queued after a change out of the outbox of a copy, a part of them with each call; empty if there are no
    /// more. With `round_over`, also those of records of which something was held in the round.
    async fn take_queued(&self, mapping: &str, after: i64, round_over: bool) -> Result<Vec<QueuedChange>, StoreError>;

    /// Returns how many changes of a mapping are held, approved or not.
    async fn held_changes(&self, mapping: &str) -> Result<u64, StoreError>;
}

/// An operation that a run would carry out.
#[derive(Debug, Clone, PartialEq)]
pub struct QueuedChange {
    /// The target record's key.
    pub key: String,
    /// The source record's id.
    pub source_id: String,
    /// The values of a record that was not written before.
    pub new: Option<Payload>,
    /// What an upsert would change at the target; none for a deletion.
    pub upsert: Option<Comparison>,
}
