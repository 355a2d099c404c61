//! Timelines: activities of persons, written under ids of ours and many at once.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::connect::ConnectError;

/// A table of activities, as the system describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityTable {
    /// Its name: `email`.
    pub name: String,
    /// Its name in the system's addresses: `emails`.
    pub collection: String,
    /// The column with an activity's id.
    pub primary_key: String,
    /// The property that links an activity to the person whose timeline it is on.
    pub person: String,
    /// The columns by their names.
    pub columns: HashMap<String, ActivityColumn>,
    /// It takes many activities in one request, each batch as a whole or not at all. Otherwise each activity is written by itself.
    pub bulk: bool,
    /// Its definition allows an activity to be created in its final state. That it keeps the state is seen by the first ones.
    pub takes_final_state: bool,
}

/// A column of a table of activities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityColumn {
    /// A text, with its greatest length in UTF-16 code units if the definition has one.
    Text(Option<usize>),
    /// Anything else.
    Other,
}

/// An activity that is to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// Its id.
    pub id: Uuid,
    /// Its other columns, as [`Timeline::activity`] writes them.
    pub body: String,
}

/// The state of an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityState {
    /// It can be changed and completed.
    Open,
    /// It is completed.
    Completed,
    /// It is closed in another way, or scheduled.
    Other,
}

/// What is done with activities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActivityWrites<'a> {
    /// They are created.
    Create {
        /// The activities.
        activities: Vec<&'a Activity>,
        /// They are created in their final state.
        completed: bool,
    },
    /// They are completed, which closes them.
    Complete(&'a [Uuid]),
}

impl ActivityWrites<'_> {
    /// How many activities are written.
    pub fn count(&self) -> usize {
        match self {
            ActivityWrites::Create { activities, .. } => activities.len(),
            ActivityWrites::Complete(ids) => ids.len(),
        }
    }
}

/// Activities of one table that are written in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityBatch<'a> {
    /// The table.
    pub table: &'a ActivityTable,
    /// What is done with them.
    pub writes: ActivityWrites<'a>,
}

/// What became of a batch, or of one activity of it.
#[derive(Debug)]
pub enum BatchOutcome {
    /// All was written.
    Done,
    /// The error does not say which activity it is about. If the table has bulk requests, nothing was written, unless the error is
    /// [`ConnectError::OutcomeUnknown`]. [`Timeline::states`] says what exists.
    Failed(ConnectError),
    /// It was not begun, since an earlier one failed.
    NotBegun,
}

/// A system with timelines of persons. The contract is held by [`super::conformance`].
///
/// An activity that exists is not created again: its id makes a second create fail with [`ConnectError::Duplicate`] or
/// [`ConnectError::Rejected`].
#[async_trait]
pub trait Timeline: Send + Sync {
    /// How long a request may take before it is given up.
    fn request_timeout(&self) -> Duration;

    /// Whether an error says that a request was too large: it had too many activities for the time of a request, or too many bytes.
    fn is_too_large(&self, _error: &ConnectError) -> bool {
        false
    }

    /// Asks for a table of activities.
    ///
    /// # Errors
    /// [`ConnectError::NotFound`] for an unknown table; [`ConnectError::Config`] for one whose rows are not about persons. Others as they
    /// come.
    async fn activity_table(&self, name: &str) -> Result<ActivityTable, ConnectError>;

    /// Writes the body of an activity on the timeline of a person. Makes no call.
    fn activity(&self, table: &ActivityTable, person: Uuid, columns: Map<String, Value>) -> String;

    /// Which of these persons exist.
    ///
    /// # Errors
    /// [`ConnectError`].
    async fn persons(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>, ConnectError>;

    /// Which of these activities exist; each with its state if that was asked for.
    ///
    /// # Errors
    /// [`ConnectError`].
    async fn states(
        &self,
        table: &ActivityTable,
        ids: &[Uuid],
        with_state: bool,
    ) -> Result<HashMap<Uuid, Option<ActivityState>>, ConnectError>;

    /// The activities on the timeline of a person, each with the text in one of its columns.
    ///
    /// # Errors
    /// [`ConnectError`].
    async fn on_timeline(&self, table: &ActivityTable, person: Uuid, column: &str) -> Result<HashMap<Uuid, Option<String>>, ConnectError>;

    /// Creates an activity.
    ///
    /// # Errors
    /// [`ConnectError`]. After [`ConnectError::OutcomeUnknown`] ask whether it exists.
    async fn create(&self, table: &ActivityTable, activity: &Activity, completed: bool) -> Result<(), ConnectError>;

    /// Completes an activity. One that is completed already may be refused.
    ///
    /// # Errors
    /// [`ConnectError::NotFound`] if there is no such activity. Others as they come.
    async fn complete(&self, table: &ActivityTable, id: Uuid) -> Result<(), ConnectError>;

    /// Carries out batches of tables with bulk requests in one request, in order. The first one that fails ends it; what came before
    /// stays done. The outcomes are in the order of the batches.
    ///
    /// # Errors
    /// If the request as a whole failed, or its answer was not seen: nothing is known about any batch after
    /// [`ConnectError::OutcomeUnknown`].
    async fn write_together(&self, batches: &[ActivityBatch<'_>]) -> Result<Vec<BatchOutcome>, ConnectError> {
        let mut outcomes = Vec::with_capacity(batches.len());
        let mut failed = false;
        for batch in batches {
            if failed {
                outcomes.push(BatchOutcome::NotBegun);
                continue;
            }
            let mut outcome = BatchOutcome::Done;
            for each in self.write_each(batch).await? {
                if let (BatchOutcome::Done, BatchOutcome::Failed(error)) = (&outcome, each) {
                    (outcome, failed) = (BatchOutcome::Failed(error), true);
                }
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// Carries out a batch so that an activity that is refused costs none of the others. The outcomes are those of its activities, in
    /// their order.
    ///
    /// # Errors
    /// If a request for all of them failed, or its answer was not seen.
    async fn write_each(&self, batch: &ActivityBatch<'_>) -> Result<Vec<BatchOutcome>, ConnectError> {
        let outcome = |result: Result<(), ConnectError>| result.map_or_else(BatchOutcome::Failed, |()| BatchOutcome::Done);
        let mut outcomes = Vec::with_capacity(batch.writes.count());
        match &batch.writes {
            ActivityWrites::Create { activities, completed } => {
                for activity in activities {
                    outcomes.push(outcome(self.create(batch.table, activity, *completed).await));
                }
            }
            ActivityWrites::Complete(ids) => {
                for id in *ids {
                    outcomes.push(outcome(self.complete(batch.table, *id).await));
                }
            }
        }
        Ok(outcomes)
    }
}
