//! What the target has, as far as this integration has written it.

use async_trait::async_trait;
use serde::Serialize;

use super::{Payload, StoreError};

/// What the target has, as far as this integration has written it. It changes with [`super::Outbox::settle`] only, in one transaction
/// with the operations, and holds no values: those of a record are compared by keyed hashes.
#[cfg_attr(
    not(feature = "internals"),
    allow(dead_code, reason = "a port is the contract of a store: some methods are asked by tests only")
)]
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Returns the keys of the target records that were written, or wait to be, for a source record.
    async fn keys_of(&self, mapping: &str, source_id: &str) -> Result<Vec<String>, StoreError>;

    /// Compares values with those that were last written under a key. With `with_initial`, fields that are written once only as well.
    async fn compare(&self, mapping: &str, key: &str, payload: &Payload, with_initial: bool) -> Result<Comparison, StoreError>;
}

/// A payload beside what was last written for its key, as a dry run shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Nothing was ever written for this key.
    New,
    /// Nothing to write.
    Unchanged,
    /// These paths differ.
    Changed(Vec<String>),
}
