//! Of which causes people were notified.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreError;
use crate::time::Instant;

/// Of which causes people were notified, so that a restart does not notify them again. A cause is words of ours and the name of a
/// workflow, an API or a credential; never a record.
#[async_trait]
pub trait Alerts: Send + Sync {
    /// Returns the causes of which people were notified and that are not over, each with the instant at which it began.
    async fn alerts(&self) -> Result<BTreeMap<String, Instant>, StoreError>;

    /// Notes that people were notified of a cause that began at an instant; `None` if they were notified that it is over.
    async fn note_alert(&self, cause: &str, since: Option<Instant>) -> Result<(), StoreError>;
}
