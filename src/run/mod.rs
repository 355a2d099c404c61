//! Flows: move records from source to target by a plan, through the durable state.
//!
//! A plan holds flows of several kinds; each has a folder here, and a `round` that reads all that there is and writes it. What
//! of them is started and stopped by itself, under which name and in what order, stands in `workflow.rs`. All flows of a run
//! share the clients of the services, and with them one budget of calls.

mod counters;
mod failure;
mod ingress;
mod optout;
mod summary;
mod workflow;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use counters::{Counters, FlowCounters};
pub use ingress::{DryFlow, DryRun, dry_run};
pub use optout::{AttributeReport, ChangedProfiles, OptoutSettings, Reconciliation, reconcile};
pub use summary::{FlowSummary, RejectionSummary, Summary};
pub use workflow::{Kind, Workflow, workflows};

use crate::connect::ConnectError;
use crate::connect::campaign::Campaign;
use crate::connect::dataverse::Dataverse;
use crate::connect::sftp::{ExportFiles, Sftp, SftpError};
use crate::eval::EvalError;
use crate::plan::ExecutionPlan;
use crate::state::{RunId, RunKind, RunOutcome, StateError, Store};

/// Flows of one stage that go on at the same time: each holds a page in memory.
const FLOWS_AT_ONCE: usize = 4;

/// The services of both sides.
#[derive(Clone)]
pub struct Services {
    /// Where records come from.
    pub dataverse: Dataverse,
    /// Where they go.
    pub campaign: Campaign,
    /// Where Campaign leaves its exports, where the project has such a server.
    pub exports: Option<Sftp>,
    /// Which files of them are read, and how.
    pub files: ExportFiles,
}

/// How a run goes about its work.
#[derive(Clone, Debug)]
pub struct Options {
    /// Once through, or on and on.
    pub pace: Pace,
    /// The flows to run; `None` for all of the plan.
    pub mappings: Option<Vec<String>>,
    /// Records in a page, 1 to 5000.
    pub page_size: u32,
    /// Calls to Campaign at the same time.
    pub concurrency: usize,
    /// Operations waiting at which reading pauses.
    pub backlog_high_water: u64,
    /// How opt-outs are read and compared.
    pub optouts: OptoutSettings,
}

/// Once through, or on and on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Until everything that there is has been moved.
    Once,
    /// Until told to stop, asking for changes at this interval.
    Watch {
        /// From the end of one round to the beginning of the next.
        interval: Duration,
    },
}

/// Why a run ended before its work was done. What was read and not written waits in the state.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state file.
    #[error(transparent)]
    State(#[from] StateError),
    /// A service that does not answer, or refuses everything.
    #[error("{0}")]
    Service(#[from] ConnectError),
    /// The SFTP server of the exports.
    #[error("{0}")]
    Sftp(#[from] SftpError),
    /// The plan.
    #[error("the plan cannot be run: {0}. Compile it again")]
    Plan(#[from] EvalError),
    /// A mapping that the plan does not have.
    #[error("there is no mapping `{name}` in the plan; it has {known}")]
    UnknownMapping {
        /// The name.
        name: String,
        /// The mappings of the plan.
        known: String,
    },
    /// `options { rejected stop }`.
    #[error(
        "{place}: record {source_id} is rejected ({code}: {message}), and the mapping says to stop then. Mend the record or the mapping, or write `rejected dead-letter`"
    )]
    Rejected {
        /// The line of the mapping file.
        place: String,
        /// The record.
        source_id: String,
        /// The diagnostic's code.
        code: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The source gave a record that cannot even be named.
    #[error("{place}: the source gave a record without a readable primary key ({message}); nothing of its page was taken in")]
    Nameless {
        /// The line of the mapping file.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// Too many calls in a row that failed for reasons of the service.
    #[error("Campaign has failed {failures} times in a row, last with: {last}. {waiting} operations wait in the state; run again later")]
    Unavailable {
        /// How many.
        failures: u32,
        /// The last reason.
        last: String,
        /// The backlog.
        waiting: u64,
    },
    /// Another reader is at the flow.
    #[error("another reader is at mapping `{name}`; wait for it to end")]
    Taken {
        /// The mapping.
        name: String,
    },
    /// A task of the program ended by itself.
    #[error("a part of the program ended unexpectedly: {0}")]
    Task(String),
}

impl RunError {
    /// Whether it is of the moment, so that watching goes on.
    pub fn is_passing(&self) -> bool {
        match self {
            RunError::Service(error) => error.is_transient(),
            RunError::Sftp(error) => error.is_transient(),
            RunError::Unavailable { .. } => true,
            RunError::State(_)
            | RunError::Plan(_)
            | RunError::UnknownMapping { .. }
            | RunError::Rejected { .. }
            | RunError::Nameless { .. }
            | RunError::Taken { .. }
            | RunError::Task(_) => false,
        }
    }
}

/// What a flow needs to go through a round.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) plan: Arc<ExecutionPlan>,
    pub(crate) services: Services,
    pub(crate) store: Store,
    pub(crate) run: RunId,
    pub(crate) options: Options,
    /// Cancelled when the flow is to finish what is in flight and end.
    pub(crate) stop: CancellationToken,
    /// The flow's own counts.
    pub(crate) counters: Arc<FlowCounters>,
}

impl Context {
    /// Runs a short piece of work on the state file off the asynchronous threads.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, RunError> {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        Ok(done.map_err(|e| RunError::Task(e.to_string()))??)
    }
}

/// Takes flows through a round, a few at the same time. One that fails does not stop the others; the first failure counts.
async fn together(flows: impl Iterator<Item = (Context, Workflow)>) -> Result<(), RunError> {
    let mut flows = flows;
    let mut rounds = JoinSet::new();
    let mut result = Ok(());
    loop {
        while rounds.len() < FLOWS_AT_ONCE
            && let Some((context, flow)) = flows.next()
        {
            rounds.spawn(async move { flow.round(context).await });
        }
        match rounds.join_next().await {
            Some(ended) => result = result.and(ended.map_err(|e| RunError::Task(e.to_string())).and_then(|r| r)),
            None => return result,
        }
    }
}

/// Runs a plan. The store must be open for running. Ends when everything is moved ([`Pace::Once`]), when `stop` is cancelled
/// (what is in flight is finished first), or with an error; in each case the state says where it stands.
pub async fn run(
    plan: Arc<ExecutionPlan>,
    services: Services,
    store: Store,
    options: Options,
    counters: Arc<Counters>,
    stop: CancellationToken,
) -> Result<Summary, RunError> {
    let began = std::time::Instant::now();
    let flows = workflow::selected(&plan, options.mappings.as_deref())?;
    let kind = match options.pace {
        Pace::Once => RunKind::Once,
        Pace::Watch { .. } => RunKind::Watch,
    };
    let names: Vec<String> = flows.iter().map(|f| f.name.clone()).collect();
    let (run, recovery) = {
        let (store, names) = (store.clone(), names.clone());
        let started = tokio::task::spawn_blocking(move || store.start_run(kind, &names)).await;
        started.map_err(|e| RunError::Task(e.to_string()))??
    };
    counters.begin(&names);
    let context_of = |name: &str| Context {
        plan: plan.clone(),
        services: services.clone(),
        store: store.clone(),
        run,
        options: options.clone(),
        // Its own: a flow that ends for an error does not stop those who watch.
        stop: stop.child_token(),
        counters: counters.flow(name),
    };
    let mut result = Ok(());
    loop {
        for stage in workflow::stages(&plan, &flows) {
            result = together(stage.into_iter().map(|flow| (context_of(&flow.name), flow))).await;
            if result.is_err() || stop.is_cancelled() {
                break;
            }
        }
        match options.pace {
            Pace::Watch { interval } if !stop.is_cancelled() => {
                if let Err(error) = &result {
                    if !error.is_passing() {
                        break;
                    }
                    tracing::warn!(%error, "the round failed; it will be tried again");
                    result = Ok(());
                }
                tokio::select! {
                    () = tokio::time::sleep(interval) => {}
                    () = stop.cancelled() => break,
                }
            }
            Pace::Watch { .. } | Pace::Once => break,
        }
    }
    let outcome = match (&result, stop.is_cancelled()) {
        (Err(_), _) => RunOutcome::Failed,
        (Ok(()), true) => RunOutcome::Stopped,
        (Ok(()), false) => RunOutcome::Completed,
    };
    let summary = {
        let (store, counters, names) = (store.clone(), counters.clone(), names.clone());
        let done = tokio::task::spawn_blocking(move || -> Result<Summary, StateError> {
            let backlogs =
                names.iter().map(|n| Ok((store.backlog_size(n)?, store.waiting_for(n)?))).collect::<Result<Vec<_>, StateError>>()?;
            let summary = Summary::new(run, outcome, recovery, &counters, &names, &backlogs, began.elapsed());
            store.end_run(run, outcome, &serde_json::to_value(&summary).unwrap_or_default())?;
            Ok(summary)
        });
        done.await.map_err(|e| RunError::Task(e.to_string()))??
    };
    result.map(|()| summary)
}
