//! The audit log in the SQLite store.

use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{Audit, AuditEntry, AuditFilter, AuditRecord, StoreError};

#[async_trait]
impl Audit for Store {
    async fn note_audit(&self, entry: AuditEntry) -> Result<(), StoreError> {
        blocking(self, move |store| store.note_audit(&entry)).await
    }

    async fn audit(&self, filter: &AuditFilter, before: Option<i64>, limit: usize) -> Result<Vec<AuditRecord>, StoreError> {
        let filter = filter.clone();
        blocking(self, move |store| store.audit(&filter, before, limit)).await
    }
}
