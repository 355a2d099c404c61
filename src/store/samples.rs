//! What was done in each minute, for charts.

use async_trait::async_trait;
use serde::Serialize;

use super::StoreError;
use crate::time::Instant;

/// What was done in each minute. Samples become coarser with time: ten minutes long after a day, an hour after a week, and they are
/// removed after 90 days.
#[async_trait]
pub trait Samples: Send + Sync {
    /// Adds to the samples of the minute that `at` is in: records by workflow, calls by API. Makes older samples coarser, as of `at`.
    async fn note_samples(&self, at: Instant, records: &[(String, RecordCounts)], calls: &[(String, CallCounts)])
    -> Result<(), StoreError>;

    /// Returns the samples that begin at `from` or later and before `until`, in the order of their times and names.
    async fn samples(&self, from: Instant, until: Instant) -> Result<SampleRows, StoreError>;
}

/// Samples of records by workflow, and of calls by API.
pub type SampleRows = (Vec<Sample<RecordCounts>>, Vec<Sample<CallCounts>>);

/// What was done in a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample<T> {
    /// When the time begins.
    pub at: Instant,
    /// The workflow or the API.
    pub name: String,
    /// How much.
    pub counts: T,
}

/// Numbers of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RecordCounts {
    /// Read in the source.
    pub read: u64,
    /// Created at the target.
    pub created: u64,
    /// Updated at the target.
    pub updated: u64,
    /// Deleted at the target.
    pub deleted: u64,
    /// Rejected by the mapping.
    pub rejected: u64,
    /// Refused by the target.
    pub failed: u64,
}

/// Numbers of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CallCounts {
    /// Requests sent.
    pub calls: u64,
    /// Of them, those that the service rejected because there were too many.
    pub throttled: u64,
    /// Of them, those without a usable answer.
    pub failed: u64,
    /// The time that all of them took.
    pub milliseconds: u64,
}

macro_rules! differences {
    ($($counts:ident { $($field:ident),+ })+) => {$(
        impl $counts {
            /// Returns the differences, 0 where the other is larger.
            pub fn minus(self, other: Self) -> Self {
                $counts { $($field: self.$field.saturating_sub(other.$field),)+ }
            }
        }
    )+};
}

differences! {
    RecordCounts { read, created, updated, deleted, rejected, failed }
    CallCounts { calls, throttled, failed, milliseconds }
}
