use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{Related, RelatedOutcome, RelatedPage, RelatedPlace, RelatedRows, StoreError};

#[async_trait]
impl Related for Store {
    async fn related_place(&self, mapping: &str, table: &str, fingerprint: &str) -> Result<RelatedPlace, StoreError> {
        let (mapping, table, fingerprint) = (mapping.to_owned(), table.to_owned(), fingerprint.to_owned());
        blocking(self, move |store| store.related_place(&mapping, &table, &fingerprint)).await
    }

    async fn restart_related(&self, mapping: &str, table: &str) -> Result<RelatedPlace, StoreError> {
        let (mapping, table) = (mapping.to_owned(), table.to_owned());
        blocking(self, move |store| store.restart_related(&mapping, &table)).await
    }

    async fn store_related(&self, page: RelatedPage) -> Result<RelatedOutcome, StoreError> {
        blocking(self, move |store| store.store_related(page)).await
    }

    async fn related_rows(&self, mapping: &str, wanted: BTreeMap<String, BTreeSet<String>>) -> Result<RelatedRows, StoreError> {
        let mapping = mapping.to_owned();
        blocking(self, move |store| store.related_rows(&mapping, &wanted)).await
    }

    async fn retain_related(&self, mapping: &str, tables: Vec<String>) -> Result<u64, StoreError> {
        let mapping = mapping.to_owned();
        blocking(self, move |store| store.retain_related(&mapping, &tables)).await
    }
}
