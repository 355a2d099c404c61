//! Who did what through the pages and the API.

use async_trait::async_trait;
use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::types::words;
use crate::time::Instant;

/// How long an entry is kept: a year, and time to look at it.
pub const AUDIT_RETENTION: TimeDelta = TimeDelta::days(400);

/// The audit log: entries are added, read, and removed by age only.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Adds an entry. Entries that are older than [`AUDIT_RETENTION`] by the time of the new one are removed.
    async fn note_audit(&self, entry: AuditEntry) -> Result<(), StoreError>;

    /// Returns up to `limit` of the entries that are meant, the one that was added last first; with `before`, those that were added before
    /// that number.
    async fn audit(&self, filter: &AuditFilter, before: Option<i64>, limit: usize) -> Result<Vec<AuditRecord>, StoreError>;
}

/// Which entries are meant; the default is all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of exactly this person or client; empty for strangers.
    pub who: Option<String>,
    /// Of this action.
    pub action: Option<String>,
}

words! {
    /// How an action ended.
    pub enum AuditResult {
        /// It was done.
        Done = "done",
        /// It was refused: the caller may not do it.
        Refused = "refused",
        /// It was tried, and an error ended it.
        Failed = "failed",
    }
}

/// What somebody did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// When.
    pub at: Instant,
    /// Who: the name of a person or of an API client. Empty for a stranger.
    pub who: String,
    /// The role at that time, if there was one.
    pub role: Option<String>,
    /// What: `start`, `show-values`, `sign-in`.
    pub action: String,
    /// What it was done to: the name of a workflow, the number of a dead letter. No data of a person.
    pub object: String,
    /// How it ended.
    pub result: AuditResult,
    /// The address that the request came from, if it is known.
    pub from: Option<String>,
}

/// An entry with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRecord {
    /// Its number; a later one has a higher number.
    pub id: i64,
    /// What is on record.
    #[serde(flatten)]
    pub entry: AuditEntry,
}
