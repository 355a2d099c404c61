use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{EventGap, EventIntake, EventMark, EventResult, Events, JournalCursor, NewEvent, RunId, StoreError, WaitingEvent};

#[async_trait]
impl Events for Store {
    async fn begin_events(&self, workflow: &str) -> Result<u64, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.begin_events(&workflow)).await
    }

    async fn take_events(&self, workflow: &str, events: Vec<NewEvent>, mark: EventMark) -> Result<EventIntake, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.take_events(&workflow, &events, &mark)).await
    }

    async fn unseen_events(&self, workflow: &str, events: Vec<NewEvent>) -> Result<Vec<bool>, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.unseen_events(&workflow, &events)).await
    }

    async fn journal_cursor(&self, workflow: &str) -> Result<JournalCursor, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.journal_cursor(&workflow)).await
    }

    async fn note_event_gap(&self, workflow: &str) -> Result<Option<EventGap>, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.note_event_gap(&workflow)).await
    }

    async fn event_gaps(&self, workflow: &str) -> Result<Vec<EventGap>, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.event_gaps(&workflow)).await
    }

    async fn events_aside(&self, workflow: &str, kinds: &[&str]) -> Result<u64, StoreError> {
        let (workflow, kinds) = (workflow.to_owned(), kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<String>>());
        blocking(self, move |store| store.events_aside(&workflow, &texts(&kinds))).await
    }

    async fn waiting_events(&self, workflow: &str, kinds: &[&str], after: i64, limit: usize) -> Result<Vec<WaitingEvent>, StoreError> {
        let (workflow, kinds) = (workflow.to_owned(), kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<String>>());
        blocking(self, move |store| store.waiting_events(&workflow, &texts(&kinds), after, limit)).await
    }

    async fn unwritten_events_of(&self, workflow: &str, contact: &str) -> Result<Vec<WaitingEvent>, StoreError> {
        let (workflow, contact) = (workflow.to_owned(), contact.to_owned());
        blocking(self, move |store| store.unwritten_events_of(&workflow, &contact)).await
    }

    async fn claim_events(&self, run: RunId, workflow: &str, seqs: &[i64]) -> Result<Vec<i64>, StoreError> {
        let (workflow, seqs) = (workflow.to_owned(), seqs.to_vec());
        blocking(self, move |store| store.claim_events(run, &workflow, &seqs)).await
    }

    async fn settle_events(&self, run: RunId, workflow: &str, results: Vec<(i64, EventResult)>) -> Result<u64, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.settle_events(run, &workflow, &results)).await
    }

    async fn prune_events(&self, from: i64) -> Result<Option<i64>, StoreError> {
        blocking(self, move |store| store.prune_events(from)).await
    }
}

fn texts(kinds: &[String]) -> Vec<&str> {
    kinds.iter().map(String::as_str).collect()
}
