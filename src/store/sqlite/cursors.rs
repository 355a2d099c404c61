use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{
    Claim, Cursor, Cursors, DueCommit, ExportMark, Lease, PageCommit, PageOutcome, Partition, PartitionStatus, Reason, RunId, StoreError,
};
use crate::time::Instant;

#[async_trait]
impl Cursors for Store {
    async fn cursor(&self, mapping: &str) -> Result<Option<Cursor>, StoreError> {
        let mapping = mapping.to_owned();
        blocking(self, move |store| store.cursor(&mapping)).await
    }

    async fn cursor_or_first(&self, mapping: &str, plan_fingerprint: &str) -> Result<Cursor, StoreError> {
        let (mapping, plan_fingerprint) = (mapping.to_owned(), plan_fingerprint.to_owned());
        blocking(self, move |store| store.cursor_or_first(&mapping, &plan_fingerprint)).await
    }

    async fn restart(&self, mapping: &str, reason: Reason, plan_fingerprint: &str) -> Result<Cursor, StoreError> {
        let (mapping, plan_fingerprint) = (mapping.to_owned(), plan_fingerprint.to_owned());
        blocking(self, move |store| store.restart(&mapping, reason, &plan_fingerprint)).await
    }

    async fn begin_comparison(&self, mapping: &str, plan_fingerprint: &str, before: Instant) -> Result<bool, StoreError> {
        let (mapping, plan_fingerprint) = (mapping.to_owned(), plan_fingerprint.to_owned());
        blocking(self, move |store| store.begin_comparison(&mapping, &plan_fingerprint, before)).await
    }

    async fn note_key_attribute(&self, mapping: &str, attribute: &str) -> Result<Option<String>, StoreError> {
        let (mapping, attribute) = (mapping.to_owned(), attribute.to_owned());
        blocking(self, move |store| store.note_key_attribute(&mapping, &attribute)).await
    }

    async fn claim_page(&self, run: RunId, partition: &Partition, plan_fingerprint: &str, now: Instant) -> Result<Claim, StoreError> {
        let (partition, plan_fingerprint) = (partition.clone(), plan_fingerprint.to_owned());
        blocking(self, move |store| store.claim_page(run, partition, &plan_fingerprint, now)).await
    }

    async fn checkpoint(&self, lease: Lease, page: PageCommit) -> Result<PageOutcome, StoreError> {
        blocking(self, move |store| store.checkpoint(&lease, page)).await
    }

    async fn reschedule(&self, lease: Lease, not_before: Instant, error: &str) -> Result<(), StoreError> {
        let error = error.to_owned();
        blocking(self, move |store| store.reschedule(&lease, not_before, &error)).await
    }

    async fn cancel(&self, partition: &Partition) -> Result<(), StoreError> {
        let partition = partition.clone();
        blocking(self, move |store| store.cancel(&partition)).await
    }

    async fn partitions(&self) -> Result<Vec<PartitionStatus>, StoreError> {
        blocking(self, move |store| store.partitions()).await
    }

    async fn commit_page(&self, page: PageCommit) -> Result<PageOutcome, StoreError> {
        blocking(self, move |store| store.commit_page(page)).await
    }

    async fn due_records(&self, mapping: &str, now: Instant, limit: usize) -> Result<Vec<String>, StoreError> {
        let mapping = mapping.to_owned();
        blocking(self, move |store| store.due_records(&mapping, now, limit)).await
    }

    async fn store_due(&self, commit: DueCommit) -> Result<PageOutcome, StoreError> {
        blocking(self, move |store| store.store_due(commit)).await
    }

    async fn exports(&self, workflow: &str) -> Result<Vec<ExportMark>, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.exports(&workflow)).await
    }

    async fn keep_exports(&self, workflow: &str, names: &[String]) -> Result<(), StoreError> {
        let (workflow, names) = (workflow.to_owned(), names.to_vec());
        blocking(self, move |store| store.keep_exports(&workflow, &names)).await
    }

    async fn note_skipped_exports(&self, workflow: &str, files: &[(String, String)]) -> Result<(), StoreError> {
        let (workflow, files) = (workflow.to_owned(), files.to_vec());
        blocking(self, move |store| store.note_skipped_exports(&workflow, &files)).await
    }
}
