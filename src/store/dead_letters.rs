//! What could not be written.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Op, RunId, StoreError};
use crate::time::Instant;

/// What could not be written. Dead letters are made by [`super::Cursors::commit_page`] and by settling. May be used beside a run.
#[cfg_attr(
    not(feature = "internals"),
    allow(dead_code, reason = "a port is the contract of a store: some methods are asked by tests only")
)]
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Returns up to `limit` dead letters with numbers above `after`, in the order of their numbers.
    async fn dead_letters(&self, filter: &DeadLetterFilter, after: i64, limit: usize) -> Result<Vec<DeadLetter>, StoreError>;

    /// Returns one dead letter.
    async fn dead_letter(&self, id: i64) -> Result<Option<DeadLetter>, StoreError>;

    /// Queues a new attempt for each: an operation that reads the record again, so that an old state never overwrites a newer one. The
    /// dead letter stays, marked, until the attempt has ended. Returns their number.
    async fn retry_dead_letters(&self, filter: &DeadLetterFilter) -> Result<u64, StoreError>;

    /// Removes dead letters: their records stay unwritten until they change again. Returns their number.
    async fn drop_dead_letters(&self, filter: &DeadLetterFilter) -> Result<u64, StoreError>;
}

/// A place in a mapping file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The file, as the plan names it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
}

/// Why a record was not written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// A stable word or the service's own code, to filter by.
    pub code: String,
    /// For people: what happened and how to fix it.
    pub message: String,
    /// The field, where one is to blame.
    pub field: Option<String>,
    /// The line of the mapping file.
    pub place: Option<Place>,
    /// The request's body (JSON), where one was sent. Never its headers: they carry tokens.
    pub request: Option<String>,
    /// The answer's HTTP status.
    pub status: Option<u16>,
    /// The answer's body; the store keeps the first 64 KiB.
    pub response: Option<String>,
}

/// A failed record: at most one per mapping and source record, the newest failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// Its number; a newer failure of the same record keeps it.
    pub id: i64,
    /// The flow.
    pub mapping: String,
    /// The target record's business key, where it is known.
    pub key: Option<String>,
    /// The source record.
    pub source_id: String,
    /// What was to be done.
    pub operation: Op,
    /// Why it was not.
    #[serde(flatten)]
    pub failure: Failure,
    /// The run in which it failed, while that is still on record.
    pub run: Option<RunId>,
    /// When it failed.
    pub created_at: Instant,
    /// How often it was tried.
    pub attempts: u32,
    /// It failed in an initial load or replay.
    pub with_initial: bool,
    /// When a retry was asked for that has not come to its end yet.
    pub retry_requested_at: Option<Instant>,
}

/// Which dead letters are meant; the default is all.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterFilter {
    /// Of this flow.
    pub mapping: Option<String>,
    /// With this code.
    pub code: Option<String>,
    /// With one of these numbers.
    pub ids: Option<Vec<i64>>,
}

impl DeadLetterFilter {
    /// These numbers.
    #[cfg(any(test, feature = "internals"))]
    pub fn ids(ids: impl Into<Vec<i64>>) -> Self {
        DeadLetterFilter { ids: Some(ids.into()), ..DeadLetterFilter::default() }
    }

    /// All of a flow.
    #[cfg(any(test, feature = "internals"))]
    pub fn mapping(mapping: impl Into<String>) -> Self {
        DeadLetterFilter { mapping: Some(mapping.into()), ..DeadLetterFilter::default() }
    }

    pub(super) fn ids_json(&self) -> Option<String> {
        self.ids.as_ref().map(|ids| serde_json::json!(ids).to_string())
    }
}
