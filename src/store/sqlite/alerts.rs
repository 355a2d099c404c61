use std::collections::BTreeMap;

use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{Alerts, StoreError};
use crate::time::Instant;

#[async_trait]
impl Alerts for Store {
    async fn alerts(&self) -> Result<BTreeMap<String, Instant>, StoreError> {
        blocking(self, Store::alerts).await
    }

    async fn note_alert(&self, cause: &str, since: Option<Instant>) -> Result<(), StoreError> {
        let cause = cause.to_owned();
        blocking(self, move |store| store.note_alert(&cause, since)).await
    }
}
