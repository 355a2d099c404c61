use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{Comparison, Ledger, Payload, StoreError};

#[async_trait]
impl Ledger for Store {
    async fn keys_of(&self, mapping: &str, source_id: &str) -> Result<Vec<String>, StoreError> {
        let (mapping, source_id) = (mapping.to_owned(), source_id.to_owned());
        blocking(self, move |store| store.keys_of(&mapping, &source_id)).await
    }

    async fn compare(&self, mapping: &str, key: &str, payload: &Payload, with_initial: bool) -> Result<Comparison, StoreError> {
        let (mapping, key, payload) = (mapping.to_owned(), key.to_owned(), payload.clone());
        blocking(self, move |store| store.compare(&mapping, &key, &payload, with_initial)).await
    }
}
