//! Workflows: what they are, how they are, and what is wanted of them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::words;
use super::{Backlog, Cursor, DueStatus, Environment, EventsStatus, FollowedTable, Holder, PairsStatus, RunRecord, Side, StoreError};
use crate::count::counted;
use crate::system::SystemId;
use crate::time::Instant;

/// Workflows: what they are, how they are, and what is wanted of them. Wishes and states are how processes that share a store talk to
/// each other.
#[cfg_attr(
    not(feature = "internals"),
    allow(dead_code, reason = "a port is the contract of a store: some methods are asked by tests only")
)]
#[async_trait]
pub trait Control: Send + Sync {
    /// Returns the state of all workflows.
    async fn status(&self) -> Result<Status, StoreError>;

    /// Returns all workflows that were ever run or mentioned, by name, as their processes left them.
    async fn workflows(&self) -> Result<Vec<WorkflowRecord>, StoreError>;

    /// Notes what is wanted of workflows; a process that runs them sees it at its next check. Returns those for which that is news. To
    /// want a workflow to run that failed, or that no process runs, is news; with `again`, so is one that runs: it is restarted.
    async fn wish(&self, names: &[String], wish: Wish, again: bool) -> Result<Vec<String>, StoreError>;

    /// Notes that all records of a workflow are to be read again at its next start. One that runs is restarted for it.
    async fn request_replay(&self, name: &str) -> Result<(), StoreError>;

    /// Puts a workflow back to the start of a full load if a replay was requested, and ends the request. Returns the cursor if so.
    async fn take_replay(&self, name: &str, plan_fingerprint: &str) -> Result<Option<Cursor>, StoreError>;

    /// Notes the states of workflows in one transaction, each as of its instant, which may be in the past.
    async fn note_workflows(&self, notes: &[(String, WorkflowNote, Instant)]) -> Result<(), StoreError>;

    /// Notes the state of a workflow as of now, by the store's clock.
    async fn note_workflow(&self, name: &str, note: &WorkflowNote) -> Result<(), StoreError>;

    /// Notes why a workflow should be restarted; `None` if there is no reason any more.
    async fn note_restart_due(&self, name: &str, reason: Option<&str>) -> Result<(), StoreError>;

    /// Says that the store cannot be written, and why, where `status` sees it although the store cannot be written; `None` if it can.
    async fn note_trouble(&self, reason: Option<&str>);

    /// Returns the instant since which each of these workflows has begun a round that ended well; `None` if one of them has not, or is
    /// in one now.
    async fn rounds_since(&self, names: &[String]) -> Result<Option<Instant>, StoreError>;

    /// Returns the workflows with operations that are due at `now`, or with records that are to be evaluated again by then.
    async fn due(&self, now: Instant) -> Result<Vec<String>, StoreError>;

    /// Returns the workflows of which the store holds something, by name.
    async fn known_workflows(&self) -> Result<Vec<KnownWorkflow>, StoreError>;

    /// Compares the workflows of a plan with those of the store before any of them runs. One that was renamed is recognized by its
    /// identity and keeps its state, and the identities of all are noted, in one transaction. `busy` run now and are not renamed.
    ///
    /// # Errors
    /// [`StoreError::Orphan`] if a new workflow may be an old one under another name, and that is not certain;
    /// [`StoreError::Busy`].
    async fn recognize_workflows(&self, plan: &[PlannedWorkflow], busy: &[String]) -> Result<Recognition, StoreError>;

    /// As [`Control::recognize_workflows`], and changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Orphan`].
    async fn find_workflows(&self, plan: &[PlannedWorkflow]) -> Result<Recognition, StoreError>;

    /// Gives the state of a workflow another name.
    ///
    /// # Errors
    /// [`StoreError::UnknownWorkflow`]; [`StoreError::NameTaken`]; [`StoreError::NotLocked`] if another process may run.
    async fn rename_workflow(&self, from: &str, to: &str) -> Result<(), StoreError>;

    /// Removes all that the store holds of a workflow. Its records at the target stay as they are. Returns what was held.
    ///
    /// # Errors
    /// [`StoreError::UnknownWorkflow`]; [`StoreError::KeepsOptOuts`]; [`StoreError::NotLocked`] if another process may run.
    async fn drop_workflow(&self, name: &str) -> Result<KnownWorkflow, StoreError>;

    /// Returns the first name that a workflow had, from which the ids of its events are derived.
    async fn origin(&self, name: &str) -> Result<String, StoreError>;

    /// Returns the services that the store belongs to; empty before the first run.
    async fn environment(&self) -> Result<BTreeMap<SystemId, Side>, StoreError>;

    /// Refuses another environment than the one that the store belongs to; changes nothing.
    ///
    /// # Errors
    /// [`StoreError::OtherEnvironment`].
    async fn check_environment(&self, now: &Environment) -> Result<(), StoreError>;

    /// Binds the store to an environment at the first run, and refuses another one later. If an organization of Dynamics has another
    /// address now, all records are read again.
    ///
    /// # Errors
    /// [`StoreError::OtherEnvironment`].
    async fn bind_environment(&self, now: &Environment) -> Result<(), StoreError>;

    /// Moves the store to an environment on purpose. What is known of another organization of Dynamics is dropped, and what is known of
    /// another instance of Campaign is no longer trusted; with `same_data`, only the addresses are noted. Returns the systems that are
    /// other ones now.
    ///
    /// # Errors
    /// [`StoreError::NotLocked`] if another process may run.
    async fn rebind_environment(&self, now: &Environment, same_data: bool) -> Result<Vec<SystemId>, StoreError>;

    /// Whether [`Control::bind_environment`] has succeeded since the store was opened, so that it need not be called again.
    fn is_bound(&self) -> bool;
}

/// What has gone through the outbox of a flow since the store was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Operations queued, with those that coalesced.
    pub queued: u64,
    /// Of them, operations that were saved because a newer one took their place.
    pub coalesced: u64,
    /// Upserts that were not queued because they equal the last write.
    pub unchanged: u64,
}

/// A flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MappingStatus {
    /// Its name.
    pub mapping: String,
    /// Its position; `None` if it has never run.
    pub cursor: Option<Cursor>,
    /// What waits.
    pub backlog: Backlog,
    /// What has failed.
    pub dead_letters: u64,
    /// Of them, with a retry on its way.
    pub retrying: u64,
    /// When its last full load was complete; none if that is not known.
    pub full_at: Option<Instant>,
    /// Records that are to be evaluated again at an instant, even if they do not change.
    pub due: DueStatus,
    /// Target records on file.
    pub ledger_rows: u64,
    /// What has gone through.
    pub totals: Totals,
    /// Its position in its sources, if it is a flow of events.
    pub events: Option<EventsStatus>,
    /// The tables that it follows for values through lookups, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub followed: Vec<FollowedTable>,
    /// Its pairs, if it is a two-way mapping.
    pub pairs: Option<PairsStatus>,
    /// What is wrong with the exports that it reads. It is among the notes, too.
    #[serde(skip)]
    pub exports: Option<String>,
    /// What somebody has to know or to do.
    pub notes: Vec<String>,
}

/// The state at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// All flows that were ever run on this store, by name.
    pub mappings: Vec<MappingStatus>,
    /// All workflows, as their processes left them; see [`WorkflowRecord::shown`].
    pub workflows: Vec<WorkflowRecord>,
    /// The latest run.
    pub last_run: Option<RunRecord>,
}

impl Status {
    /// Whether the process that holds the store has begun its run: until then, this is of the one before.
    pub fn is_of(&self, holder: &Holder) -> bool {
        self.last_run.as_ref().is_some_and(|run| {
            run.ended_at.is_none() && holder.started_at.is_none_or(|at| run.started_at.timestamp_millis() >= at.timestamp_millis())
        })
    }
}

/// A workflow of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedWorkflow {
    /// Its name.
    pub name: String,
    /// What it is apart from its name.
    pub identity: WorkflowIdentity,
    /// It is among those that this run is for.
    pub runs: bool,
}

/// What a workflow is apart from its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkflowIdentity {
    /// `mapping`, `optout` or `events`.
    pub kind: String,
    /// The table or resource that is read.
    pub source: String,
    /// The table or resource that is written.
    pub target: String,
    /// By what the target's records are addressed.
    pub key: String,
}

const SEPARATOR: char = '|';

impl WorkflowIdentity {
    pub(super) fn to_text(&self) -> String {
        [&*self.kind, &*self.source, &*self.target, &*self.key].join("|")
    }

    pub(super) fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, SEPARATOR).map(str::to_owned);
        Some(WorkflowIdentity { kind: parts.next()?, source: parts.next()?, target: parts.next()?, key: parts.next()? })
    }
}

impl std::fmt::Display for WorkflowIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} -> {} by {}", self.source, self.target, self.key)
    }
}

/// A workflow that the state holds something of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KnownWorkflow {
    /// Its name.
    pub name: String,
    /// `mapping`, `optout` or `events`.
    pub kind: String,
    /// What it is; none if it last ran with a d365map that did not note it.
    pub identity: Option<WorkflowIdentity>,
    /// Records at the target that the ledger has.
    pub records: u64,
    /// Operations or events that wait.
    pub backlog: u64,
    /// Dead letters.
    pub dead_letters: u64,
}

impl KnownWorkflow {
    /// Says what it means that the mapping files do not have it.
    pub fn describe_orphan(&self) -> String {
        format!(
            "the state has the workflow `{0}`, which the mapping files do not have: it no longer updates or deletes {1} at the target; `d365map state drop {0}` forgets it",
            self.name,
            counted(self.records, "record")
        )
    }
}

/// A workflow whose state goes on under another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RenamedWorkflow {
    /// The old name.
    pub from: String,
    /// The new name.
    pub to: String,
}

/// What was found when a plan's workflows were compared with those of the state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recognition {
    /// Those that were renamed.
    pub renamed: Vec<RenamedWorkflow>,
    /// Those that the plan does not have any more.
    pub orphans: Vec<KnownWorkflow>,
}

impl Recognition {
    /// The name that the state has for a workflow of the plan.
    pub fn name_in_state<'a>(&'a self, name: &'a str) -> &'a str {
        self.renamed.iter().find(|r| r.to == name).map_or(name, |r| &r.from)
    }
}

words! {
    /// The state of a workflow, in the words of the vendor's own integration.
    pub enum WorkflowState {
        /// It runs: a round is under way, or the next one is waited for.
        Running = "RUNNING",
        /// It does not run, and nothing went wrong.
        Stopped = "STOPPED",
        /// It is on its way: its mapping is compiled, or it waits for the workflows that it depends on.
        Starting = "STARTING",
        /// It went wrong; the reason says whether it is tried again by itself.
        Failed = "FAILED",
    }
}

/// The reason of a workflow that does not run because its run is complete and is over.
pub const FINISHED: &str = "its run is complete";

words! {
    /// What is wanted of a workflow.
    pub enum Wish {
        /// That it runs, as soon as a process is there to run it.
        Run = "run",
        /// That it does not.
        Stop = "stop",
    }
}

/// A workflow as the store has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkflowRecord {
    /// Its name.
    pub name: String,
    /// What is wanted.
    pub wish: Wish,
    /// Goes up with every wish that is to have an effect.
    #[serde(skip)]
    pub request: i64,
    /// All its records are read again when it starts next.
    pub replay: bool,
    /// Its state.
    pub state: WorkflowState,
    /// Since when.
    pub since: Instant,
    /// Why.
    pub reason: Option<String>,
    /// Why it should be stopped and started: its mapping is another one on disk.
    pub restart_due: Option<String>,
    /// When its last round began.
    pub round_began: Option<Instant>,
    /// When its last round ended that has ended.
    pub round_ended: Option<Instant>,
    /// When its next round is due.
    pub next_round: Option<Instant>,
    /// The last error, whether it is fixed or not.
    pub last_error: Option<String>,
    /// When that was.
    pub error_at: Option<Instant>,
}

impl WorkflowRecord {
    /// The record as it is to be shown beside the process that holds the store. If there is none, nothing runs, whatever a
    /// process that was killed has left written; one that cannot write the store has left its last words there as well.
    pub fn shown(self, process: Option<&Holder>) -> WorkflowRecord {
        let active = matches!(self.state, WorkflowState::Running | WorkflowState::Starting);
        match process {
            Some(Holder { trouble: Some(trouble), .. }) if active => WorkflowRecord {
                state: WorkflowState::Failed,
                since: trouble.since,
                reason: Some(format!("{}. The process continues as soon as it can write the file", trouble.reason)),
                next_round: None,
                ..self
            },
            Some(_) => self,
            None if active => WorkflowRecord {
                state: WorkflowState::Stopped,
                reason: Some(
                    "the process that ran it ended without a message (it was killed, or the machine stopped); nothing is lost".to_owned(),
                ),
                restart_due: None,
                next_round: None,
                ..self
            },
            None => WorkflowRecord { restart_due: None, next_round: None, ..self },
        }
    }
}

/// What a running process has to say of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkflowNote {
    /// It is on its way.
    Starting {
        /// What it waits for, if it waits.
        reason: Option<String>,
    },
    /// It runs, and its first round is not due yet.
    Waiting {
        /// When it is.
        next: Instant,
    },
    /// A round begins.
    Round,
    /// A round has ended well.
    Rested {
        /// When the next one is due.
        next: Option<Instant>,
    },
    /// A round has failed, or it could not start.
    Failed {
        /// Why.
        reason: String,
        /// When it is tried again; none where it is not.
        next: Option<Instant>,
    },
    /// It does not run.
    Stopped {
        /// Why.
        reason: String,
    },
}
