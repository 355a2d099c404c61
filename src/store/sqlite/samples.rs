use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{CallCounts, RecordCounts, SampleRows, Samples, StoreError};
use crate::time::Instant;

#[async_trait]
impl Samples for Store {
    async fn note_samples(
        &self,
        at: Instant,
        records: &[(String, RecordCounts)],
        calls: &[(String, CallCounts)],
    ) -> Result<(), StoreError> {
        let (records, calls) = (records.to_vec(), calls.to_vec());
        blocking(self, move |store| store.note_samples(at, &records, &calls)).await
    }

    async fn samples(&self, from: Instant, until: Instant) -> Result<SampleRows, StoreError> {
        blocking(self, move |store| store.samples(from, until)).await
    }
}
