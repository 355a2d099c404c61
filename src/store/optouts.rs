//! The opt-outs of both sides.

use async_trait::async_trait;

use super::{
    Approval, ClaimedPerson, Cursor, Fate, Flags, Mark, OptoutIntake, OptoutStage, OptoutState, Person, PersonEnd, RunId, StateError,
};
use crate::time::Instant;

/// Says what happens to a person: of its place among the ids of the [`Sightings`], and of what is known of it.
pub type Judge = Box<dyn FnMut(usize, Option<Person>) -> Fate + Send>;

/// Says whether there is something to write for a person.
pub type IsDue = Box<dyn Fn(&Person) -> bool + Send>;

/// Says what a person is once its profile is deleted, and whether there is something to write for it.
pub type AfterDelete = Box<dyn FnOnce(Option<Person>) -> (Person, bool) + Send>;

/// What was seen of persons, with the rule that says what happens to them.
pub struct Sightings {
    /// The contacts' ids, in the order in which they were seen; one may be repeated.
    pub ids: Vec<String>,
    /// Is called once at most for each id, in their order, within the transaction.
    pub judge: Judge,
}

impl Sightings {
    /// Sightings of persons, each with what was seen, and the rule that judges them.
    pub fn new<S: Send + 'static>(
        sights: Vec<(String, S)>,
        mut judge: impl FnMut(Option<Person>, S) -> Fate + Send + 'static,
    ) -> Sightings {
        let (ids, sights): (Vec<String>, Vec<Option<S>>) = sights.into_iter().map(|(id, sight)| (id, Some(sight))).unzip();
        let mut sights = sights;
        let judge = move |place: usize, known| match sights.get_mut(place).and_then(Option::take) {
            Some(sight) => judge(known, sight),
            None => Fate::Leave,
        };
        Sightings { ids, judge: Box::new(judge) }
    }

    /// Nothing was seen.
    pub fn none() -> Sightings {
        Sightings { ids: Vec::new(), judge: Box::new(|_, _| Fate::Leave) }
    }
}

/// The opt-outs of both sides: what is known of each person, and the work that follows from it.
///
/// What is known of a person changes in transactions that read it, so that what two tasks find out at the same time is not lost. The
/// rules that decide are the flow's; they do no I/O and do not depend on the order of persons.
#[async_trait]
pub trait OptOuts: Send + Sync {
    /// Returns the state of a workflow; `None` if it has never run.
    async fn optout_state(&self, workflow: &str) -> Result<Option<OptoutState>, StateError>;

    /// Begins a workflow, or goes on with it. `pairs` says which fields are compared: if it has changed, both sides are read again and
    /// the differences need approval again. Returns the state of the workflow, and its cursor on contacts.
    async fn begin_optouts(&self, workflow: &str, pairs: &str) -> Result<(OptoutState, Cursor), StateError>;

    /// Commits what was seen of persons, and how far was read, in one transaction. Persons who were forgotten are counted and not shown
    /// to the rule. Nothing is queued until both sides have been read in full.
    ///
    /// # Errors
    /// [`StateError::CursorMoved`] if a page was read from another place.
    async fn store_optouts(&self, workflow: &str, sightings: Sightings, mark: Mark) -> Result<OptoutIntake, StateError>;

    /// Notes that a complete reading of profiles is over, which began at `began`; `full`: of all profiles. `high_water`: up to which
    /// change it reaches, by Campaign's clock; it never goes back. Not to be called after a reading that broke off.
    async fn end_poll(&self, workflow: &str, began: Instant, full: bool, high_water: Option<Instant>) -> Result<(), StateError>;

    /// Notes what is to become of the differences that were found first; the next round carries it out. Returns whether there is such a
    /// workflow.
    async fn decide_optouts(&self, workflow: &str, approval: Approval) -> Result<bool, StateError>;

    /// Carries out a decision about the opt-outs that only Campaign had when they were first seen: Dynamics' consents are queued, or the opt-outs
    /// stay and are no longer held.
    async fn carry_out_approval(&self, workflow: &str, approval: Approval) -> Result<(), StateError>;

    /// Returns how many persons have opt-outs that are held.
    async fn held_optouts(&self, workflow: &str) -> Result<u64, StateError>;

    /// Returns how many queued operations need approval first.
    async fn held_operations(&self, workflow: &str) -> Result<u64, StateError>;

    /// Notes how far a workflow has come. When it is live, what was held becomes due, except opt-outs that need a separate decision.
    async fn set_optout_stage(&self, workflow: &str, stage: OptoutStage, note: Option<&str>) -> Result<(), StateError>;

    /// Notes what is wrong with the exports of a workflow; `None` if nothing is.
    async fn warn_of_exports(&self, workflow: &str, warning: Option<&str>) -> Result<(), StateError>;

    /// Queues those of up to `limit` persons with ids after `after` of whom `due` says so; with `held`, they need approval first.
    /// Returns the id of the last of these persons, `None` at the end, and how many were queued.
    async fn queue_optouts(
        &self,
        workflow: &str,
        after: &str,
        limit: usize,
        held: bool,
        due: IsDue,
    ) -> Result<(Option<String>, u64), StateError>;

    /// Returns up to `limit` persons with ids after `after`, in the order of their ids.
    async fn optouts(&self, workflow: &str, after: &str, limit: usize) -> Result<Vec<(String, Person)>, StateError>;

    /// Claims up to `limit` persons whose work is due at `now`.
    async fn claim_optouts(&self, run: RunId, workflow: &str, limit: usize, now: Instant) -> Result<Vec<ClaimedPerson>, StateError>;

    /// Notes what is known of a person and what is about to be written, before it is written. Returns `false` if the person is not on
    /// file any more, so that nothing may be written.
    async fn note_intent(&self, workflow: &str, id: &str, person: &Person) -> Result<bool, StateError>;

    /// Settles claimed persons: of each, the number of the operation, the opt-outs that it was owed when it was claimed, and how the work
    /// ended. What a person was given meanwhile stays.
    async fn settle_optouts(&self, run: RunId, workflow: &str, ends: Vec<(i64, Flags, PersonEnd)>) -> Result<(), StateError>;

    /// Keeps the opt-outs of a profile that is about to be deleted, in one transaction: `out` for the profile that `mapping` may create
    /// again, and in the workflow of its opt-outs what `judge` makes of the person, with whether there is something to write. Replaces
    /// what was kept of the same contact. Nothing is kept of a forgotten person.
    async fn keep_optouts(&self, mapping: &str, workflow: &str, id: &str, out: Flags, judge: AfterDelete) -> Result<(), StateError>;
}
