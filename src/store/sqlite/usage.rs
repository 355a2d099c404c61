use std::collections::BTreeMap;

use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{StoreError, Usage};

#[async_trait]
impl Usage for Store {
    async fn usage(&self, day: i64) -> Result<BTreeMap<String, u64>, StoreError> {
        blocking(self, move |store| store.usage(day)).await
    }

    async fn note_usage(&self, usage: &[(String, i64, u64)]) -> Result<(), StoreError> {
        let usage = usage.to_vec();
        blocking(self, move |store| store.note_usage(&usage)).await
    }
}
