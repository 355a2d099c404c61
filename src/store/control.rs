//! Workflows: what they are, how they are, and what is wanted of them.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{
    Cursor, Environment, KnownWorkflow, PlannedWorkflow, Recognition, Side, StateError, Status, Wish, WorkflowNote, WorkflowRecord,
};
use crate::system::SystemId;
use crate::time::Instant;

/// Workflows: what they are, how they are, and what is wanted of them. Wishes and states are how processes that share a store talk to
/// each other.
#[async_trait]
pub trait Control: Send + Sync {
    /// Returns the state of all workflows.
    async fn status(&self) -> Result<Status, StateError>;

    /// Returns all workflows that were ever run or mentioned, by name, as their processes left them.
    async fn workflows(&self) -> Result<Vec<WorkflowRecord>, StateError>;

    /// Notes what is wanted of workflows; a process that runs them sees it at its next check. Returns those for which that is news. To
    /// want a workflow to run that failed, or that no process runs, is news; with `again`, so is one that runs: it is restarted.
    async fn wish(&self, names: &[String], wish: Wish, again: bool) -> Result<Vec<String>, StateError>;

    /// Notes that all records of a workflow are to be read again at its next start. One that runs is restarted for it.
    async fn request_replay(&self, name: &str) -> Result<(), StateError>;

    /// Puts a workflow back to the start of a full load if a replay was requested, and ends the request. Returns the cursor if so.
    async fn take_replay(&self, name: &str, plan_fingerprint: &str) -> Result<Option<Cursor>, StateError>;

    /// Notes the states of workflows in one transaction, each as of its instant, which may be in the past.
    async fn note_workflows(&self, notes: &[(String, WorkflowNote, Instant)]) -> Result<(), StateError>;

    /// Notes the state of a workflow as of now, by the store's clock.
    async fn note_workflow(&self, name: &str, note: &WorkflowNote) -> Result<(), StateError>;

    /// Notes why a workflow should be restarted; `None` if there is no reason any more.
    async fn note_restart_due(&self, name: &str, reason: Option<&str>) -> Result<(), StateError>;

    /// Says that the store cannot be written, and why, where `status` sees it although the store cannot be written; `None` if it can.
    async fn note_trouble(&self, reason: Option<&str>);

    /// Returns the instant since which each of these workflows has begun a round that ended well; `None` if one of them has not, or is
    /// in one now.
    async fn rounds_since(&self, names: &[String]) -> Result<Option<Instant>, StateError>;

    /// Returns the workflows with operations that are due at `now`, or with records that are to be evaluated again by then.
    async fn due(&self, now: Instant) -> Result<Vec<String>, StateError>;

    /// Returns the workflows of which the store holds something, by name.
    async fn known_workflows(&self) -> Result<Vec<KnownWorkflow>, StateError>;

    /// Compares the workflows of a plan with those of the store before any of them runs. One that was renamed is recognized by its
    /// identity and keeps its state, and the identities of all are noted, in one transaction. `busy` run now and are not renamed.
    ///
    /// # Errors
    /// [`StateError::Orphan`] if a new workflow may be an old one under another name, and that is not certain;
    /// [`StateError::Busy`].
    async fn recognize_workflows(&self, plan: &[PlannedWorkflow], busy: &[String]) -> Result<Recognition, StateError>;

    /// As [`Control::recognize_workflows`], and changes nothing.
    ///
    /// # Errors
    /// [`StateError::Orphan`].
    async fn find_workflows(&self, plan: &[PlannedWorkflow]) -> Result<Recognition, StateError>;

    /// Gives the state of a workflow another name.
    ///
    /// # Errors
    /// [`StateError::UnknownWorkflow`]; [`StateError::NameTaken`]; [`StateError::NotLocked`] if another process may run.
    async fn rename_workflow(&self, from: &str, to: &str) -> Result<(), StateError>;

    /// Removes all that the store holds of a workflow. Its records at the target stay as they are. Returns what was held.
    ///
    /// # Errors
    /// [`StateError::UnknownWorkflow`]; [`StateError::KeepsOptOuts`]; [`StateError::NotLocked`] if another process may run.
    async fn drop_workflow(&self, name: &str) -> Result<KnownWorkflow, StateError>;

    /// Returns the first name that a workflow had, from which the ids of its events are derived.
    async fn origin(&self, name: &str) -> Result<String, StateError>;

    /// Returns the services that the store belongs to; empty before the first run.
    async fn environment(&self) -> Result<BTreeMap<SystemId, Side>, StateError>;

    /// Refuses another environment than the one that the store belongs to; changes nothing.
    ///
    /// # Errors
    /// [`StateError::OtherEnvironment`].
    async fn check_environment(&self, now: &Environment) -> Result<(), StateError>;

    /// Binds the store to an environment at the first run, and refuses another one later. If an organization of Dynamics has another
    /// address now, all records are read again.
    ///
    /// # Errors
    /// [`StateError::OtherEnvironment`].
    async fn bind_environment(&self, now: &Environment) -> Result<(), StateError>;

    /// Moves the store to an environment on purpose. What is known of another organization of Dynamics is dropped, and what is known of
    /// another instance of Campaign is no longer trusted; with `same_data`, only the addresses are noted. Returns the systems that are
    /// other ones now.
    ///
    /// # Errors
    /// [`StateError::NotLocked`] if another process may run.
    async fn rebind_environment(&self, now: &Environment, same_data: bool) -> Result<Vec<SystemId>, StateError>;

    /// Whether [`Control::bind_environment`] has succeeded since the store was opened, so that it need not be called again.
    fn is_bound(&self) -> bool;
}
