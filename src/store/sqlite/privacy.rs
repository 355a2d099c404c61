use std::collections::HashSet;

use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{Forgotten, Privacy, StoreError, Traces};

#[async_trait]
impl Privacy for Store {
    async fn forgotten_among(&self, ids: Vec<String>) -> Result<HashSet<String>, StoreError> {
        blocking(self, move |store| store.forgotten_among(ids)).await
    }

    async fn trace(&self, key: &str) -> Result<Traces, StoreError> {
        let key = key.to_owned();
        blocking(self, move |store| store.trace(&key)).await
    }

    async fn forget(&self, key: &str) -> Result<Forgotten, StoreError> {
        let key = key.to_owned();
        blocking(self, move |store| store.forget(&key)).await
    }

    async fn lift_tombstone(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        blocking(self, move |store| store.lift_tombstone(&id)).await
    }
}
