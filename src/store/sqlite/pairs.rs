use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{
    ClaimedPair, Fingerprinter, Joined, Pair, PairEnd, PairIntake, PairMark, PairNotice, PairRowNotice, PairSide, Pairs, RunId, StoreError,
};
use crate::time::Instant;

#[async_trait]
impl Pairs for Store {
    async fn fingerprinter(&self) -> Result<Fingerprinter, StoreError> {
        blocking(self, Store::fingerprinter).await
    }

    async fn pair_cursor(&self, workflow: &str, side: PairSide, plan: &str) -> Result<Option<String>, StoreError> {
        let (workflow, plan) = (workflow.to_owned(), plan.to_owned());
        blocking(self, move |store| store.pair_cursor(&workflow, side, &plan)).await
    }

    async fn take_pairs(
        &self,
        workflow: &str,
        side: PairSide,
        notices: Vec<PairNotice>,
        mark: Option<PairMark>,
    ) -> Result<PairIntake, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.take_pairs(&workflow, side, &notices, mark.as_ref())).await
    }

    async fn pair_row_cursor(&self, workflow: &str, table: &str, plan: &str) -> Result<Option<String>, StoreError> {
        let (workflow, table, plan) = (workflow.to_owned(), table.to_owned(), plan.to_owned());
        blocking(self, move |store| store.pair_row_cursor(&workflow, &table, &plan)).await
    }

    async fn take_pair_rows(
        &self,
        workflow: &str,
        table: &str,
        notices: Vec<PairRowNotice>,
        mark: PairMark,
    ) -> Result<PairIntake, StoreError> {
        let (workflow, table) = (workflow.to_owned(), table.to_owned());
        blocking(self, move |store| store.take_pair_rows(&workflow, &table, &notices, &mark)).await
    }

    async fn pair_of(&self, workflow: &str, side: PairSide, id: &str, fields: &[String]) -> Result<Option<Pair>, StoreError> {
        let (workflow, id, fields) = (workflow.to_owned(), id.to_owned(), fields.to_vec());
        blocking(self, move |store| store.pair_of(&workflow, side, &id, &fields)).await
    }

    async fn claim_pairs(
        &self,
        run: RunId,
        workflow: &str,
        fields: &[String],
        limit: usize,
        now: Instant,
    ) -> Result<Vec<ClaimedPair>, StoreError> {
        let (workflow, fields) = (workflow.to_owned(), fields.to_vec());
        blocking(self, move |store| store.claim_pairs(run, &workflow, &fields, limit, now)).await
    }

    async fn join_pair(&self, workflow: &str, number: i64, left: &str, right: &str) -> Result<Joined, StoreError> {
        let (workflow, left, right) = (workflow.to_owned(), left.to_owned(), right.to_owned());
        blocking(self, move |store| store.join_pair(&workflow, number, &left, &right)).await
    }

    async fn note_sent(&self, workflow: &str, fields: &[String], pair: &Pair) -> Result<bool, StoreError> {
        let (workflow, fields, pair) = (workflow.to_owned(), fields.to_vec(), pair.clone());
        blocking(self, move |store| store.note_sent(&workflow, &fields, &pair)).await
    }

    async fn settle_pairs(&self, run: RunId, workflow: &str, fields: &[String], ends: Vec<(i64, PairEnd)>) -> Result<(), StoreError> {
        let (workflow, fields) = (workflow.to_owned(), fields.to_vec());
        blocking(self, move |store| store.settle_pairs(run, &workflow, &fields, ends)).await
    }
}
