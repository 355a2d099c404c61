//! Workflows under supervision, and what tasks report of them.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::BREATH;
use crate::plan::ExecutionPlan;
use crate::run::{Kind, RunError, Services, Workflow};
use crate::store::{Control, StoreError, Wish, WorkflowRecord};
use crate::time::Instant;

/// A time since the run's clock was made: what is planned by it stays when the machine's clock is set.
pub(super) type Moment = Duration;

/// A workflow under supervision.
pub(super) struct Entry {
    pub(super) name: String,
    /// The plan that it runs by; another workflow may run by another.
    pub(super) loaded: Option<Loaded>,
    pub(super) phase: Phase,
    /// The last wish that was acted upon.
    pub(super) request: i64,
    pub(super) wanted: Wish,
    /// It is to be stopped and started.
    pub(super) restart: bool,
    /// Rounds in a row that have failed, or attempts to start it.
    pub(super) failures: u32,
    /// Why it failed last, if it has not gone well since.
    pub(super) error: Option<String>,
    /// A round has ended well since it started.
    pub(super) settled: bool,
    /// When its last round ended.
    pub(super) ended: Option<Moment>,
    /// The pause before a round for due operations.
    pub(super) breath: Duration,
    /// A webhook told something after the present round, or the last one, began.
    pub(super) news: bool,
    /// What was last noted of what it waits for.
    pub(super) waits: Option<String>,
    pub(super) restart_due: Option<String>,
}

#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) plan: Arc<ExecutionPlan>,
    pub(super) workflow: Workflow,
    pub(super) services: Services,
    pub(super) fingerprint: String,
}

pub(super) enum Phase {
    /// Stopped by hand.
    Off,
    /// Its plan is being made.
    Loading,
    /// Its plan could not be made, and is tried again then, or when the mapping files change.
    Unloaded { until: Moment },
    /// It waits for its time.
    Waiting { until: Moment },
    /// A round is under way.
    Round { stop: CancellationToken },
}

/// What a task has to report.
pub(super) enum Report {
    Loaded(String, Result<Box<Loaded>, String>),
    Round(String, Result<(), RunError>),
    Looked(Result<Look, StoreError>),
    Disk(Option<u64>, Result<Option<Arc<ExecutionPlan>>, String>),
}

pub(super) struct Look {
    pub(super) workflows: Vec<WorkflowRecord>,
    pub(super) due: Vec<String>,
}

/// What is known of the mapping files.
pub(super) struct Disk {
    pub(super) mark: Option<u64>,
    pub(super) looking: bool,
}

impl Entry {
    pub(super) fn new(name: &str, request: i64, wanted: Wish) -> Entry {
        Entry {
            name: name.to_owned(),
            loaded: None,
            phase: Phase::Off,
            request,
            wanted,
            restart: false,
            failures: 0,
            error: None,
            settled: false,
            ended: None,
            breath: BREATH,
            news: false,
            waits: None,
            restart_due: None,
        }
    }

    pub(super) fn is_in_round(&self) -> bool {
        matches!(self.phase, Phase::Round { .. })
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        self.loaded.as_ref().map(|l| l.workflow.kind)
    }
}

pub(super) async fn look(control: &dyn Control, now: Instant) -> Result<Look, StoreError> {
    Ok(Look { workflows: control.workflows().await?, due: control.due(now).await? })
}
