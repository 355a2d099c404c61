use std::collections::BTreeMap;

use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{
    Control, Cursor, Environment, KnownWorkflow, PlannedWorkflow, Recognition, Side, Status, StoreError, Wish, WorkflowNote, WorkflowRecord,
};
use crate::system::SystemId;
use crate::time::Instant;

#[async_trait]
impl Control for Store {
    async fn status(&self) -> Result<Status, StoreError> {
        blocking(self, move |store| store.status()).await
    }

    async fn workflows(&self) -> Result<Vec<WorkflowRecord>, StoreError> {
        blocking(self, move |store| store.workflows()).await
    }

    async fn wish(&self, names: &[String], wish: Wish, again: bool) -> Result<Vec<String>, StoreError> {
        let names = names.to_vec();
        blocking(self, move |store| store.wish(&names, wish, again)).await
    }

    async fn request_replay(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        blocking(self, move |store| store.request_replay(&name)).await
    }

    async fn take_replay(&self, name: &str, plan_fingerprint: &str) -> Result<Option<Cursor>, StoreError> {
        let (name, plan_fingerprint) = (name.to_owned(), plan_fingerprint.to_owned());
        blocking(self, move |store| store.take_replay(&name, &plan_fingerprint)).await
    }

    async fn note_workflows(&self, notes: &[(String, WorkflowNote, Instant)]) -> Result<(), StoreError> {
        let notes = notes.to_vec();
        blocking(self, move |store| store.note_workflows(&notes)).await
    }

    async fn note_workflow(&self, name: &str, note: &WorkflowNote) -> Result<(), StoreError> {
        let (name, note) = (name.to_owned(), note.clone());
        blocking(self, move |store| store.note_workflow(&name, &note)).await
    }

    async fn note_restart_due(&self, name: &str, reason: Option<&str>) -> Result<(), StoreError> {
        let (name, reason) = (name.to_owned(), reason.map(str::to_owned));
        blocking(self, move |store| store.note_restart_due(&name, reason.as_deref())).await
    }

    async fn note_trouble(&self, reason: Option<&str>) {
        let (store, reason) = (self.clone(), reason.map(str::to_owned));
        // It can only fail by a panic, and nothing waits for it to succeed.
        let _ = tokio::task::spawn_blocking(move || store.note_trouble(reason.as_deref())).await;
    }

    async fn rounds_since(&self, names: &[String]) -> Result<Option<Instant>, StoreError> {
        let names = names.to_vec();
        blocking(self, move |store| store.rounds_since(&names)).await
    }

    async fn due(&self, now: Instant) -> Result<Vec<String>, StoreError> {
        blocking(self, move |store| store.due(now)).await
    }

    async fn known_workflows(&self) -> Result<Vec<KnownWorkflow>, StoreError> {
        blocking(self, move |store| store.known_workflows()).await
    }

    async fn recognize_workflows(&self, plan: &[PlannedWorkflow], busy: &[String]) -> Result<Recognition, StoreError> {
        let (plan, busy) = (plan.to_vec(), busy.to_vec());
        blocking(self, move |store| store.recognize_workflows(&plan, &busy)).await
    }

    async fn find_workflows(&self, plan: &[PlannedWorkflow]) -> Result<Recognition, StoreError> {
        let plan = plan.to_vec();
        blocking(self, move |store| store.find_workflows(&plan)).await
    }

    async fn rename_workflow(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        blocking(self, move |store| store.rename_workflow(&from, &to)).await
    }

    async fn drop_workflow(&self, name: &str) -> Result<KnownWorkflow, StoreError> {
        let name = name.to_owned();
        blocking(self, move |store| store.drop_workflow(&name)).await
    }

    async fn origin(&self, name: &str) -> Result<String, StoreError> {
        let name = name.to_owned();
        blocking(self, move |store| store.origin(&name)).await
    }

    async fn environment(&self) -> Result<BTreeMap<SystemId, Side>, StoreError> {
        blocking(self, move |store| store.environment()).await
    }

    async fn check_environment(&self, now: &Environment) -> Result<(), StoreError> {
        let now = now.clone();
        blocking(self, move |store| store.check_environment(&now)).await
    }

    async fn bind_environment(&self, now: &Environment) -> Result<(), StoreError> {
        let now = now.clone();
        blocking(self, move |store| store.bind_environment(&now)).await
    }

    async fn rebind_environment(&self, now: &Environment, same_data: bool) -> Result<Vec<SystemId>, StoreError> {
        let now = now.clone();
        blocking(self, move |store| store.rebind_environment(&now, same_data)).await
    }

    fn is_bound(&self) -> bool {
        Store::is_bound(self)
    }
}
