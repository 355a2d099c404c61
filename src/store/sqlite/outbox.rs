use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{
    Backlog, Change, ClaimedOp, Judged, MassChange, MassLimits, Outbox, PageTimes, RefetchOutcome, RunId, SettleOutcome, Settlement,
    StoreError, Waiting, WrittenPath,
};
use crate::time::Instant;

#[async_trait]
impl Outbox for Store {
    async fn claim(&self, run: RunId, mapping: &str, limit: usize, now: Instant) -> Result<Vec<ClaimedOp>, StoreError> {
        let mapping = mapping.to_owned();
        blocking(self, move |store| store.claim(run, &mapping, limit, now)).await
    }

    async fn drop_unwritten(&self, mapping: &str, written: Vec<WrittenPath>) -> Result<u64, StoreError> {
        let mapping = mapping.to_owned();
        blocking(self, move |store| store.drop_unwritten(&mapping, &written)).await
    }

    async fn settle(&self, run: RunId, settlements: Vec<Settlement>) -> Result<SettleOutcome, StoreError> {
        blocking(self, move |store| store.settle(run, settlements)).await
    }

    async fn resolve_refetch(
        &self,
        run: RunId,
        mapping: &str,
        seq: i64,
        change: Change,
        times: PageTimes,
        guarded: bool,
    ) -> Result<RefetchOutcome, StoreError> {
        let mapping = mapping.to_owned();
        blocking(self, move |store| store.resolve_refetch_guarded(run, &mapping, seq, change, times, guarded)).await
    }

    async fn note_remade(&self, run: RunId, seq: i64) -> Result<bool, StoreError> {
        blocking(self, move |store| store.note_remade(run, seq)).await
    }

    async fn backlog(&self, workflow: &str) -> Result<Backlog, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.backlog(&workflow)).await
    }

    async fn backlog_size(&self, workflow: &str) -> Result<u64, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.backlog_size(&workflow)).await
    }

    async fn waiting_size(&self, mapping: &str) -> Result<u64, StoreError> {
        let mapping = mapping.to_owned();
        blocking(self, move |store| store.waiting_size(&mapping)).await
    }

    async fn waiting_for(&self, mapping: &str) -> Result<Vec<Waiting>, StoreError> {
        let mapping = mapping.to_owned();
        blocking(self, move |store| store.waiting_for(&mapping)).await
    }

    async fn let_deletes_go(&self, mapping: &str, queued_before: Instant) -> Result<u64, StoreError> {
        let mapping = mapping.to_owned();
        blocking(self, move |store| store.let_deletes_go(&mapping, queued_before)).await
    }

    async fn mass_change(&self, mapping: &str) -> Result<Option<MassChange>, StoreError> {
        let mapping = mapping.to_owned();
        blocking(self, move |store| store.mass_change(&mapping)).await
    }

    async fn approve_mass_change(&self, mapping: &str) -> Result<Option<u64>, StoreError> {
        let mapping = mapping.to_owned();
        blocking(self, move |store| store.approve_mass_change(&mapping)).await
    }

    async fn judge_held(&self, mapping: &str, limits: MassLimits) -> Result<Judged, StoreError> {
        let mapping = mapping.to_owned();
        blocking(self, move |store| store.judge_held(&mapping, limits)).await
    }
}
