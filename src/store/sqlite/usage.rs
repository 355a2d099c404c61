use std::collections::BTreeMap;

use async_trait::async_trait;

use super::blocking;
use crate::state::Store;
use crate::store::{StateError, Usage};

#[async_trait]
impl Usage for Store {
    async fn usage(&self, day: i64) -> Result<BTreeMap<String, u64>, StateError> {
        blocking(self, move |store| store.usage(day)).await
    }

    async fn note_usage(&self, usage: &[(String, i64, u64)]) -> Result<(), StateError> {
        let usage = usage.to_vec();
        blocking(self, move |store| store.note_usage(&usage)).await
    }
}
