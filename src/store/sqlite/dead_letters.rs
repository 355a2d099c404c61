use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{DeadLetter, DeadLetterFilter, DeadLetters, StoreError};

#[async_trait]
impl DeadLetters for Store {
    async fn dead_letters(&self, filter: &DeadLetterFilter, after: i64, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let filter = filter.clone();
        blocking(self, move |store| store.dead_letters(&filter, after, limit)).await
    }

    async fn dead_letter(&self, id: i64) -> Result<Option<DeadLetter>, StoreError> {
        blocking(self, move |store| store.dead_letter(id)).await
    }

    async fn retry_dead_letters(&self, filter: &DeadLetterFilter) -> Result<u64, StoreError> {
        let filter = filter.clone();
        blocking(self, move |store| store.retry_dead_letters(&filter)).await
    }

    async fn drop_dead_letters(&self, filter: &DeadLetterFilter) -> Result<u64, StoreError> {
        let filter = filter.clone();
        blocking(self, move |store| store.drop_dead_letters(&filter)).await
    }
}
