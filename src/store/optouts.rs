//! The opt-outs of both sides.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::words;
use super::{Cursor, CursorMove, ExportMark, Failure, Flags, Person, RunId, StoreError};
use crate::time::Instant;

/// Says what happens to a person: of its place among the ids of the [`Sightings`], and of what is known of it.
pub type Judge = Box<dyn FnMut(usize, Option<Person>) -> Fate + Send>;

/// Says whether there is something to write for a person.
pub type IsDue = Box<dyn Fn(&Person) -> bool + Send>;

/// Says what a person is once its profile is deleted, and whether there is something to write for it.
pub type AfterDelete = Box<dyn FnOnce(Option<Person>) -> (Person, bool) + Send>;

/// Says what a person is once its profile is deleted, and which topics are kept for the profile that may be made again.
pub type TopicsAfterDelete = Box<dyn FnOnce(Option<Person>) -> (Option<Person>, Flags) + Send>;

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
#[cfg_attr(
    not(feature = "internals"),
    allow(dead_code, reason = "a port is the contract of a store: some methods are asked by tests only")
)]
#[async_trait]
pub trait OptOuts: Send + Sync {
    /// Returns the state of a workflow; `None` if it has never run.
    async fn optout_state(&self, workflow: &str) -> Result<Option<OptoutState>, StoreError>;

    /// Begins a workflow, or goes on with it. `pairs` says which fields are compared: if it has changed, both sides are read again and
    /// the differences need approval again. Returns the state of the workflow, and its cursor on contacts.
    async fn begin_optouts(&self, workflow: &str, pairs: &str) -> Result<(OptoutState, Cursor), StoreError>;

    /// Begins a workflow of topics, or goes on with it, as [`OptOuts::begin_optouts`] does. Also returns the place of each service, which it
    /// keeps. If the pairs have changed, no profile counts as seen.
    async fn begin_topics(
        &self,
        workflow: &str,
        pairs: &str,
        services: Vec<String>,
    ) -> Result<(OptoutState, Cursor, Vec<Flags>), StoreError>;

    /// Commits what was seen of persons, and how far was read, in one transaction. Persons who were forgotten are counted and not shown
    /// to the rule. Nothing is queued until both sides have been read in full.
    ///
    /// # Errors
    /// [`StoreError::CursorMoved`] if a page was read from another place.
    async fn store_optouts(&self, workflow: &str, sightings: Sightings, mark: Mark) -> Result<OptoutIntake, StoreError>;

    /// Notes that a complete reading of profiles is over, which began at `began`; `full`: of all profiles. `high_water`: up to which
    /// change it reaches, by Campaign's clock; it never goes back. Not to be called after a reading that broke off.
    async fn end_poll(&self, workflow: &str, began: Instant, full: bool, high_water: Option<Instant>) -> Result<(), StoreError>;

    /// Notes what is to become of the differences that were found first; the next round carries it out. Returns whether there is such a
    /// workflow.
    async fn decide_optouts(&self, workflow: &str, approval: Approval) -> Result<bool, StoreError>;

    /// Carries out a decision about the opt-outs that only Campaign had when they were first seen: Dynamics' consents are queued, or the opt-outs
    /// stay and are no longer held.
    async fn carry_out_approval(&self, workflow: &str, approval: Approval) -> Result<(), StoreError>;

    /// Returns how many persons have opt-outs that are held.
    async fn held_optouts(&self, workflow: &str) -> Result<u64, StoreError>;

    /// Returns how many queued operations need approval first.
    async fn held_operations(&self, workflow: &str) -> Result<u64, StoreError>;

    /// Notes how far a workflow has come. When it is live, what was held becomes due, except opt-outs that need a separate decision.
    async fn set_optout_stage(&self, workflow: &str, stage: OptoutStage, note: Option<&str>) -> Result<(), StoreError>;

    /// Notes what is wrong with the exports of a workflow; `None` if nothing is.
    async fn warn_of_exports(&self, workflow: &str, warning: Option<&str>) -> Result<(), StoreError>;

    /// Queues those of up to `limit` persons with ids after `after` of whom `due` says so; with `held`, they need approval first.
    /// Returns the id of the last of these persons, `None` at the end, and how many were queued.
    async fn queue_optouts(
        &self,
        workflow: &str,
        after: &str,
        limit: usize,
        held: bool,
        due: IsDue,
    ) -> Result<(Option<String>, u64), StoreError>;

    /// Returns up to `limit` persons with ids after `after`, in the order of their ids.
    async fn optouts(&self, workflow: &str, after: &str, limit: usize) -> Result<Vec<(String, Person)>, StoreError>;

    /// Claims up to `limit` persons whose work is due at `now`.
    async fn claim_optouts(&self, run: RunId, workflow: &str, limit: usize, now: Instant) -> Result<Vec<ClaimedPerson>, StoreError>;

    /// Notes what is known of a person and what is about to be written, before it is written. Returns `false` if the person is not on
    /// file any more, so that nothing may be written.
    async fn note_intent(&self, workflow: &str, id: &str, person: &Person) -> Result<bool, StoreError>;

    /// Settles claimed persons: of each, the number of the operation, the opt-outs that it was owed when it was claimed, and how the work
    /// ended. What a person was given meanwhile stays.
    async fn settle_optouts(&self, run: RunId, workflow: &str, ends: Vec<(i64, Flags, PersonEnd)>) -> Result<(), StoreError>;

    /// Keeps the opt-outs of a profile that is about to be deleted, in one transaction: `out` for the profile that `mapping` may create
    /// again, and in the workflow of its opt-outs what `judge` makes of the person, with whether there is something to write. Replaces
    /// what was kept of the same contact. Nothing is kept of a forgotten person.
    async fn keep_optouts(&self, mapping: &str, workflow: &str, id: &str, out: Flags, judge: AfterDelete) -> Result<(), StoreError>;

    /// Keeps, in one transaction, what `judge` makes of a person whose profile is about to be deleted, and the topics that the profile that
    /// is made again does not begin with. Replaces what was kept of the same contact. Nothing is kept of a forgotten person.
    async fn keep_topics(&self, workflow: &str, id: &str, judge: TopicsAfterDelete) -> Result<(), StoreError>;
}

words! {
    /// How far a flow of opt-outs has come.
    pub enum OptoutStage {
        /// Not both sides have been read in full.
        Baseline = "baseline",
        /// The sides disagree, and the differences are not approved yet.
        Held = "held",
        /// Differences are written.
        Live = "live",
    }
}

words! {
    /// What is to become of differences that are held.
    pub enum Approval {
        /// They are written.
        Write = "write",
        /// They stay as they are.
        Leave = "leave",
    }
}

/// The phase of a flow of opt-outs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OptoutState {
    /// How far it has come.
    pub stage: OptoutStage,
    /// When the first differences were accepted.
    pub accepted_at: Option<Instant>,
    /// When all contacts had been read for the first time.
    pub contacts_at: Option<Instant>,
    /// When all profiles had been listed for the first time.
    pub listed_at: Option<Instant>,
    /// When the last complete reading of profiles, or of changed ones, began.
    pub polled_at: Option<Instant>,
    /// When the last complete listing of all profiles began.
    pub full_at: Option<Instant>,
    /// Up to which change of profiles complete readings reach, by Campaign's clock.
    pub high_water: Option<Instant>,
    /// What needs approval, and how that is given.
    pub note: Option<String>,
    /// What was said about the differences that are held, until a round has carried it out.
    pub approval: Option<Approval>,
    /// That exports have ceased, and since when.
    pub warning: Option<String>,
}

/// What happens to a person whom something was seen of.
#[derive(Debug)]
pub enum Fate {
    /// It is kept so; `due`: there is something to write.
    Keep {
        /// The person now.
        person: Box<Person>,
        /// Whether it is to be queued.
        due: bool,
    },
    /// The contact is gone. What is known of its profile is kept.
    Drop,
    /// Nothing has changed but the time at which the profile was last read.
    Same {
        /// By our clock.
        seen: Instant,
    },
    /// Nothing has changed.
    Leave,
}

/// What becomes durable together with what was seen.
#[derive(Debug)]
pub enum Mark {
    /// A page of contacts.
    Contacts {
        /// The cursor that it was read with.
        from: Cursor,
        /// Where the flow goes on.
        to: CursorMove,
    },
    /// A page of profiles. How far was read is noted when the reading is complete, with [`OptOuts::end_poll`].
    Profiles,
    /// A piece of an export.
    Export(ExportMark),
}

/// What became of what was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptoutIntake {
    /// Sights.
    pub records: u64,
    /// Sights that changed nothing.
    pub unchanged: u64,
    /// Persons who wait to be written now.
    pub queued: u64,
    /// Sights of persons who were forgotten.
    pub forgotten: u64,
    /// Contacts that a full load did not see any more.
    pub gone: u64,
    /// All that wait.
    pub backlog: u64,
}

/// A person in a worker's hands.
#[derive(Clone, Debug)]
pub struct ClaimedPerson {
    /// The number of the operation.
    pub seq: i64,
    /// The contact's id, which is the profile's key.
    pub id: String,
    /// How often it was tried before.
    pub attempts: u32,
    /// What is known; none where the row is gone.
    pub person: Option<Person>,
}

/// How work on a person ended.
#[derive(Debug)]
pub enum PersonEnd {
    /// Done; so it is known now.
    Done(Person),
    /// The contact is gone.
    Gone,
    /// To be tried again.
    Retry {
        /// What is known now.
        person: Option<Person>,
        /// Not before.
        not_before: Instant,
        /// Why.
        error: String,
    },
    /// It cannot be written as it is.
    Failed {
        /// What is known now.
        person: Option<Person>,
        /// Why.
        failure: Failure,
    },
    /// It was not tried.
    Released,
}
