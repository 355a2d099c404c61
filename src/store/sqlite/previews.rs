use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{Previews, QueuedChange, StoreError, Stores};

#[async_trait]
impl Previews for Store {
    async fn copy_of_mapping(&self, mapping: &str) -> Result<Stores, StoreError> {
        let mapping = mapping.to_owned();
        blocking(self, move |store| store.copy_of_mapping(&mapping)).await.map(Stores::of)
    }

    async fn copy_of_optouts(&self, workflow: &str) -> Result<Stores, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.copy_of_optouts(&workflow)).await.map(Stores::of)
    }

    async fn last_change(&self) -> Result<i64, StoreError> {
        blocking(self, move |store| store.last_change()).await
    }

    async fn take_queued(&self, mapping: &str, after: i64, round_over: bool) -> Result<Vec<QueuedChange>, StoreError> {
        let mapping = mapping.to_owned();
        blocking(self, move |store| store.take_queued(&mapping, after, round_over)).await
    }

    async fn held_changes(&self, mapping: &str) -> Result<u64, StoreError> {
        let mapping = mapping.to_owned();
        blocking(self, move |store| store.held_changes(&mapping)).await
    }
}
