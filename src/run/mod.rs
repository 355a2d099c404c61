//! Flows: move records from source to target by a plan, through the durable state.
//!
//! ```text
//! Dataverse page ─▶ evaluate ─▶ state (outbox + cursor, one transaction) ─▶ workers ─▶ Campaign
//!      reader.rs                                                            writer.rs
//! ```
//!
//! Reader and writer of a flow run side by side and know each other only by the state: a process that dies between any two
//! instructions is resumed from there. The reader asks an [`Engine`](crate::state::Engine) for its pages, so that another
//! engine can take the place of the local one.

mod body;
mod counters;
mod dry;
mod failure;
mod reader;
mod summary;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub use counters::{Counters, FlowCounters};
pub use dry::{DryFlow, DryRun, dry_run};
pub use summary::{FlowSummary, RejectionSummary, Summary};

use crate::connect::ConnectError;
use crate::connect::campaign::Campaign;
use crate::connect::dataverse::Dataverse;
use crate::eval::EvalError;
use crate::plan::ExecutionPlan;
use crate::state::{LocalEngine, RunId, RunKind, RunOutcome, StateError, Store};

/// The services of both sides.
#[derive(Clone)]
pub struct Services {
    /// Where records come from.
    pub dataverse: Dataverse,
    /// Where they go.
    pub campaign: Campaign,
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

/// What reader and writer of one flow share.
struct Shared {
    plan: Arc<ExecutionPlan>,
    flow: usize,
    services: Services,
    store: Store,
    run: RunId,
    engine: LocalEngine,
    options: Options,
    stop: CancellationToken,
    counters: Arc<FlowCounters>,
    /// Something was queued: the writer may look.
    queued: Notify,
    /// Something was settled: the reader may go on.
    settled: Notify,
    /// The reader has ended its work, or will read no more.
    reading: watch::Sender<bool>,
}

impl Shared {
    fn flow(&self) -> &crate::plan::IngressFlow {
        &self.plan.ingress[self.flow]
    }

    /// Runs a short piece of work on the state file off the asynchronous threads.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, RunError> {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        Ok(done.map_err(|e| RunError::Task(e.to_string()))??)
    }
}

/// The flows of a plan that are wanted.
pub(crate) fn selected(plan: &ExecutionPlan, wanted: Option<&[String]>) -> Result<Vec<usize>, RunError> {
    let Some(wanted) = wanted else { return Ok((0..plan.ingress.len()).collect()) };
    let position = |name: &String| {
        plan.ingress.iter().position(|f| f.name == *name).ok_or_else(|| RunError::UnknownMapping {
            name: name.clone(),
            known: plan.ingress.iter().map(|f| format!("`{}`", f.name)).collect::<Vec<_>>().join(", "),
        })
    };
    wanted.iter().map(position).collect()
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
    let flows = selected(&plan, options.mappings.as_deref())?;
    let kind = match options.pace {
        Pace::Once => RunKind::Once,
        Pace::Watch { .. } => RunKind::Watch,
    };
    let names: Vec<String> = flows.iter().map(|i| plan.ingress[*i].name.clone()).collect();
    let (run, recovery) = {
        let (store, names) = (store.clone(), names.clone());
        let started = tokio::task::spawn_blocking(move || store.start_run(kind, &names)).await;
        started.map_err(|e| RunError::Task(e.to_string()))??
    };
    counters.begin(&names);
    let mut result = Ok(());
    // One flow after the other: parents before children, and one budget of calls.
    loop {
        for (flow, name) in flows.iter().zip(&names) {
            let shared = Arc::new(Shared {
                plan: plan.clone(),
                flow: *flow,
                services: services.clone(),
                store: store.clone(),
                run,
                engine: LocalEngine::new(store.clone(), run),
                options: options.clone(),
                // Its own: a flow that ends for an error does not stop those who watch.
                stop: stop.child_token(),
                counters: counters.flow(name),
                queued: Notify::new(),
                settled: Notify::new(),
                reading: watch::Sender::new(true),
            });
            result = run_flow(shared).await;
            if result.is_err() || stop.is_cancelled() {
                break;
            }
        }
        match options.pace {
            Pace::Watch { interval } if !stop.is_cancelled() => {
                if let Err(error) = &result {
                    if !passing(error) {
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
            let backlogs = names.iter().map(|n| store.backlog_size(n)).collect::<Result<Vec<_>, _>>()?;
            let summary = Summary::new(run, outcome, recovery, &counters, &names, &backlogs, began.elapsed());
            store.end_run(run, outcome, &serde_json::to_value(&summary).unwrap_or_default())?;
            Ok(summary)
        });
        done.await.map_err(|e| RunError::Task(e.to_string()))??
    };
    result.map(|()| summary)
}

/// Whether an error is of the moment, so that watching goes on.
fn passing(error: &RunError) -> bool {
    match error {
        RunError::Service(error) => error.is_transient(),
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

async fn run_flow(shared: Arc<Shared>) -> Result<(), RunError> {
    let reading = async {
        let result = reader::read(&shared).await;
        shared.reading.send_replace(false);
        shared.queued.notify_one();
        result
    };
    let (read, written) = tokio::join!(reading, writer::write(shared.clone()));
    read.and(written)
}
