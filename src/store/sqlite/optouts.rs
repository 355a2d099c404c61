use async_trait::async_trait;

use super::blocking;
use super::db::Store;
use crate::store::{
    AfterDelete, Approval, ClaimedPerson, Cursor, Flags, IsDue, Mark, OptOuts, OptoutIntake, OptoutStage, OptoutState, Person, PersonEnd,
    RunId, Sightings, StoreError, TopicsAfterDelete,
};
use crate::time::Instant;

#[async_trait]
impl OptOuts for Store {
    async fn optout_state(&self, workflow: &str) -> Result<Option<OptoutState>, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.optout_state(&workflow)).await
    }

    async fn begin_optouts(&self, workflow: &str, pairs: &str) -> Result<(OptoutState, Cursor), StoreError> {
        let (workflow, pairs) = (workflow.to_owned(), pairs.to_owned());
        blocking(self, move |store| store.begin_optouts(&workflow, &pairs)).await
    }

    async fn begin_topics(
        &self,
        workflow: &str,
        pairs: &str,
        services: Vec<String>,
    ) -> Result<(OptoutState, Cursor, Vec<Flags>), StoreError> {
        let (workflow, pairs) = (workflow.to_owned(), pairs.to_owned());
        blocking(self, move |store| store.begin_topics(&workflow, &pairs, &services)).await
    }

    async fn store_optouts(&self, workflow: &str, sightings: Sightings, mark: Mark) -> Result<OptoutIntake, StoreError> {
        let workflow = workflow.to_owned();
        let Sightings { ids, mut judge } = sightings;
        let sights = ids.into_iter().enumerate().map(|(place, id)| (id, place)).collect();
        blocking(self, move |store| store.store_optouts(&workflow, sights, mark, |_, known, place| judge(place, known))).await
    }

    async fn end_poll(&self, workflow: &str, began: Instant, full: bool, high_water: Option<Instant>) -> Result<(), StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.end_poll(&workflow, began, full, high_water)).await
    }

    async fn decide_optouts(&self, workflow: &str, approval: Approval) -> Result<bool, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.decide_optouts(&workflow, approval)).await
    }

    async fn carry_out_approval(&self, workflow: &str, approval: Approval) -> Result<(), StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.carry_out_approval(&workflow, approval)).await
    }

    async fn held_optouts(&self, workflow: &str) -> Result<u64, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.held_optouts(&workflow)).await
    }

    async fn held_operations(&self, workflow: &str) -> Result<u64, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.held_operations(&workflow)).await
    }

    async fn set_optout_stage(&self, workflow: &str, stage: OptoutStage, note: Option<&str>) -> Result<(), StoreError> {
        let (workflow, note) = (workflow.to_owned(), note.map(str::to_owned));
        blocking(self, move |store| store.set_optout_stage(&workflow, stage, note.as_deref())).await
    }

    async fn warn_of_exports(&self, workflow: &str, warning: Option<&str>) -> Result<(), StoreError> {
        let (workflow, warning) = (workflow.to_owned(), warning.map(str::to_owned));
        blocking(self, move |store| store.warn_of_exports(&workflow, warning.as_deref())).await
    }

    async fn queue_optouts(
        &self,
        workflow: &str,
        after: &str,
        limit: usize,
        held: bool,
        due: IsDue,
    ) -> Result<(Option<String>, u64), StoreError> {
        let (workflow, after) = (workflow.to_owned(), after.to_owned());
        blocking(self, move |store| store.queue_optouts(&workflow, &after, limit, held, due)).await
    }

    async fn optouts(&self, workflow: &str, after: &str, limit: usize) -> Result<Vec<(String, Person)>, StoreError> {
        let (workflow, after) = (workflow.to_owned(), after.to_owned());
        blocking(self, move |store| store.optouts(&workflow, &after, limit)).await
    }

    async fn claim_optouts(&self, run: RunId, workflow: &str, limit: usize, now: Instant) -> Result<Vec<ClaimedPerson>, StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.claim_optouts(run, &workflow, limit, now)).await
    }

    async fn note_intent(&self, workflow: &str, id: &str, person: &Person) -> Result<bool, StoreError> {
        let (workflow, id, person) = (workflow.to_owned(), id.to_owned(), person.clone());
        blocking(self, move |store| store.note_intent(&workflow, &id, &person)).await
    }

    async fn settle_optouts(&self, run: RunId, workflow: &str, ends: Vec<(i64, Flags, PersonEnd)>) -> Result<(), StoreError> {
        let workflow = workflow.to_owned();
        blocking(self, move |store| store.settle_optouts(run, &workflow, ends)).await
    }

    async fn keep_optouts(&self, mapping: &str, workflow: &str, id: &str, out: Flags, judge: AfterDelete) -> Result<(), StoreError> {
        let (mapping, workflow, id) = (mapping.to_owned(), workflow.to_owned(), id.to_owned());
        blocking(self, move |store| store.keep_optouts(&mapping, &workflow, &id, out, judge)).await
    }

    async fn keep_topics(&self, workflow: &str, id: &str, judge: TopicsAfterDelete) -> Result<(), StoreError> {
        let (workflow, id) = (workflow.to_owned(), id.to_owned());
        blocking(self, move |store| store.keep_topics(&workflow, &id, judge)).await
    }
}
