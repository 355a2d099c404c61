use std::time::Duration;

use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{Recovery, RunId, RunKind, RunOutcome, RunRecord, Runs, StoreError};

#[async_trait]
impl Runs for Store {
    async fn start_run(&self, kind: RunKind, workflows: &[String], request_lifetime: Duration) -> Result<(RunId, Recovery), StoreError> {
        let workflows = workflows.to_vec();
        blocking(self, move |store| {
            store.set_request_lifetime(request_lifetime);
            store.start_run(kind, &workflows)
        })
        .await
    }

    async fn end_run(&self, run: RunId, outcome: RunOutcome, counters: serde_json::Value) -> Result<(), StoreError> {
        blocking(self, move |store| store.end_run(run, outcome, &counters)).await
    }

    async fn free_flow(&self, workflow: &str) -> Result<u64, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.free_flow(&workflow)).await
    }

    async fn runs(&self, limit: usize) -> Result<Vec<RunRecord>, StoreError> {
        blocking(self, move |store| store.runs(limit)).await
    }
}
