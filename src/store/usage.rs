//! What each API was sent on a day.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreError;

/// What each API was sent on a day: budgets of requests per day outlive the run that spends them.
#[cfg_attr(
    not(feature = "internals"),
    allow(dead_code, reason = "a port is the contract of a store: some methods are asked by tests only")
)]
#[async_trait]
pub trait Usage: Send + Sync {
    /// Returns what each API was sent on a day. Days are counted from 1970, in UTC.
    async fn usage(&self, day: i64) -> Result<BTreeMap<String, u64>, StoreError>;

    /// Stores what an API has been sent on a day, the day's earlier runs included; a number that is not larger than the stored one changes
    /// nothing. Days that ended a month before are forgotten.
    async fn note_usage(&self, usage: &[(String, i64, u64)]) -> Result<(), StoreError>;
}
