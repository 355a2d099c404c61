//! Persons who were forgotten.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use async_trait::async_trait;
use serde::Serialize;

use super::StoreError;
use crate::time::Instant;

/// Persons who were forgotten. Their records are not added again: each port that adds something asks for the tombstone in its own
/// transaction.
#[cfg_attr(
    not(feature = "internals"),
    allow(dead_code, reason = "a port is the contract of a store: some methods are asked by tests only")
)]
#[async_trait]
pub trait Privacy: Send + Sync {
    /// Returns those of the source ids whose persons were forgotten, as they were given. Upper and lower case are the same id.
    async fn forgotten_among(&self, ids: Vec<String>) -> Result<HashSet<String>, StoreError>;

    /// Returns every trace of a person: of a source id, of a target record's key, or of any text of theirs, such as an e-mail address.
    async fn trace(&self, key: &str) -> Result<Traces, StoreError>;

    /// Removes every trace of a source record, by its id or a target record's key, and leaves a tombstone, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::InFlight`] while a run has an operation of the record in its hands; [`StoreError::Ambiguous`] if a key belongs to
    /// several records.
    async fn forget(&self, key: &str) -> Result<Forgotten, StoreError>;

    /// Removes a tombstone. Returns whether there was one.
    async fn lift_tombstone(&self, id: &str) -> Result<bool, StoreError>;
}

/// A place in the store where a person was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The table.
    pub table: &'static str,
    /// What its row is.
    pub what: &'static str,
    /// The flow, where it is of one.
    pub mapping: Option<String>,
    /// Which row.
    pub row: String,
    /// The source record that the row is of, where it is of one.
    pub record: Option<String>,
    /// The columns in which it was found.
    pub columns: Vec<&'static str>,
}

/// Every trace of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Traces {
    /// The first hundred of each table.
    pub found: Vec<Trace>,
    /// How many rows of each table.
    pub counts: BTreeMap<&'static str, u64>,
    /// The source records that the rows are of.
    pub records: BTreeSet<String>,
    /// When a tombstone was left; none where there is none.
    pub forgotten_at: Option<Instant>,
    /// How many rows each table has that names persons by ids and keys alone, so that no other text of theirs finds them.
    pub by_id_only: BTreeMap<&'static str, u64>,
}

impl Traces {
    /// How many rows in all.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// What was done to forget a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Forgotten {
    /// The ids that have a tombstone now.
    pub ids: BTreeSet<String>,
    /// Rows that went, by table.
    pub removed: BTreeMap<&'static str, u64>,
    /// Rows that stay, without the person, by table.
    pub cleaned: BTreeMap<&'static str, u64>,
    /// Whether the log of the state file (`-wal`) is empty too. It is not where another process reads at this very moment.
    pub log_is_empty: bool,
}
