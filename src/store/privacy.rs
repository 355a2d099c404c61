//! Persons who were forgotten.

use std::collections::HashSet;

use async_trait::async_trait;

use super::{Forgotten, StateError, Traces};

/// Persons who were forgotten. Their records are not added again: each port that adds something asks for the tombstone in its own
/// transaction.
#[async_trait]
pub trait Privacy: Send + Sync {
    /// Returns those of the source ids whose persons were forgotten, as they were given. Upper and lower case are the same id.
    async fn forgotten_among(&self, ids: Vec<String>) -> Result<HashSet<String>, StateError>;

    /// Returns every trace of a person: of a source id, of a target record's key, or of any text of theirs, such as an e-mail address.
    async fn trace(&self, key: &str) -> Result<Traces, StateError>;

    /// Removes every trace of a source record, by its id or a target record's key, and leaves a tombstone, in one transaction.
    ///
    /// # Errors
    /// [`StateError::InFlight`] while a run has an operation of the record in its hands; [`StateError::Ambiguous`] if a key belongs to
    /// several records.
    async fn forget(&self, key: &str) -> Result<Forgotten, StateError>;

    /// Removes a tombstone. Returns whether there was one.
    async fn lift_tombstone(&self, id: &str) -> Result<bool, StateError>;
}
