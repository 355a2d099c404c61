//! Flows: move records from source to target by a plan, through the durable state.
//!
//! A plan holds flows of several kinds; each has a folder here, and a `round` that reads all that there is and writes it. What
//! of them is started and stopped by itself, under which name and in what order, is defined in `workflow.rs`. All flows of a run
//! share the clients of the services, and with them one budget of calls.

mod binding;
mod calls;
mod counters;
mod dry;
mod error;
mod events;
mod exports;
mod failure;
mod ingress;
mod memory;
mod optout;
mod paging;
mod round_log;
mod summary;
mod trouble;
mod two_way;
mod watch;
mod workflow;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use crate::engine::clock::Clock;
pub use crate::engine::events::{Note, Problem, Publisher, Receiver, RunEvent, Subscriber};
pub use binding::{check_environment, current_environment, planned};
pub use counters::{Counters, FlowCounters};
pub use dry::{DryRun, dry_run, dry_run_of_adoptions};
pub use error::RunError;
pub use events::{DryEvents, Repair, repair_events};
pub use ingress::{
    DryAdoption, DryFlow, FieldChange, Shown, ShownField, ShownRecord, ShownRecords, ShownResult, ShownSource, outline, payload, show,
};
pub use memory::Memories;
pub use optout::{
    AttributeReport, ChangedProfiles, OptoutSettings, Reconciliation, ReportLine, decide_reconciliation, dry_run as dry_run_of_optouts,
    reconcile,
};
pub use summary::{FlowSummary, RejectionSummary, Summary};
pub use two_way::{DryPairExample, DryPairs, DryTable};
pub use watch::{PlanSource, PlanSourceError, Settings, Supervision, Upkeep, watch};
pub use workflow::{Kind, Workflow, workflows};

use error::both;
use memory::Memory;

use crate::connect::journal::Journal;
use crate::connect::sftp::{ExportFiles, Sftp};
use crate::engine::events::Emitter;
use crate::engine::policy;
use crate::engine::pump::Round;
use crate::engine::signals::Signals;
use crate::plan::{EventFlow, ExecutionPlan, IngressFlow, Side};
use crate::store::{FINISHED, MassLimits, Recovery, RunId, RunKind, RunOutcome, Stores, Wish, WorkflowNote};
use crate::system::SystemId;
use crate::systems::{Connection, History, Profiles, Source, Subscriptions, Systems, Target, Timeline};
use crate::time::Instant;

/// Flows of one stage that go on at the same time: each holds a page in memory.
const FLOWS_AT_ONCE: usize = 4;

/// What a run talks to.
#[derive(Clone)]
pub struct Services {
    /// The systems whose records are moved.
    pub systems: Systems,
    // What follows are not systems of records: events and changes of opt-outs come from there, by other ways than the interface of the
    // system that they are about, and each has a separate position.
    /// Where Campaign leaves its exports, where the project has such a server.
    pub exports: Option<Sftp>,
    /// Which files of them are read, and how.
    pub files: ExportFiles,
    /// The journal of events, where the project has one.
    pub journal: Option<Journal>,
}

/// A system, as a source and as a target.
pub(crate) type BothWays = (Arc<dyn Source>, Arc<dyn Target>);

impl Services {
    /// The services of a project, without exports and journal.
    pub fn new(systems: Systems) -> Services {
        Services { systems, exports: None, files: ExportFiles::default(), journal: None }
    }

    /// A part of the connection to a system. `table`: for whom it is not connected.
    fn part<P>(&self, system: Option<SystemId>, table: &str, part: impl FnOnce(&dyn Connection) -> Option<P>) -> Result<P, RunError> {
        let connection = system.and_then(|system| self.systems.get(system));
        connection.and_then(|connection| part(&**connection)).ok_or_else(|| RunError::NotConnected { table: table.to_owned() })
    }

    /// How long a request to any of the systems may still take effect after its sender was killed.
    pub(crate) fn lifetime_after_kill(&self) -> Duration {
        let targets = self.systems.iter().filter_map(|(_, connection)| connection.target());
        targets.map(|target| target.request_lifetime().after_sending).max().unwrap_or_default()
    }

    /// The system of a side of a two-way mapping, as a source and as a target.
    pub(crate) fn side(&self, side: &Side) -> Result<BothWays, RunError> {
        self.part(side.system(), &side.table, |connection| connection.source().zip(connection.target()))
    }

    /// Where a flow's records come from.
    pub(crate) fn source(&self, flow: &IngressFlow) -> Result<Arc<dyn Source>, RunError> {
        self.part(flow.source.system(), &flow.source.table, |connection| connection.source())
    }

    /// Where a flow's records go.
    pub(crate) fn target(&self, flow: &IngressFlow) -> Result<Arc<dyn Target>, RunError> {
        self.part(flow.target.system(), &flow.target.table, |connection| connection.target())
    }

    /// The system that a mapping reads, as the target of its opt-outs.
    fn opt_outs_back(&self, flow: &IngressFlow) -> Result<Arc<dyn Target>, RunError> {
        self.part(flow.source.system(), &flow.source.table, |connection| connection.target())
    }

    /// The id of the user as whom the system that a mapping reads is written, as its records name it.
    async fn user(&self, flow: &IngressFlow) -> Result<Option<String>, RunError> {
        let connection = flow.source.system().and_then(|system| self.systems.get(system));
        let connection = connection.ok_or_else(|| RunError::NotConnected { table: flow.source.table.clone() })?;
        Ok(connection.user().await?)
    }

    /// The profiles that a mapping writes, for their opt-outs.
    fn profiles(&self, flow: &IngressFlow) -> Result<Arc<dyn Profiles>, RunError> {
        self.part(flow.target.system(), &flow.target.table, |connection| connection.profiles())
    }

    /// The subscriptions of the profiles that a mapping writes.
    fn subscriptions(&self, flow: &IngressFlow) -> Result<Arc<dyn Subscriptions>, RunError> {
        self.part(flow.target.system(), &flow.target.table, |connection| connection.subscriptions())
    }

    /// The timelines on which events appear.
    fn timeline(&self, flow: &EventFlow) -> Result<Arc<dyn Timeline>, RunError> {
        self.part(flow.system(), &flow.table, |connection| connection.timeline())
    }

    /// What a system has sent.
    fn history(&self, system: SystemId) -> Result<Arc<dyn History>, RunError> {
        self.part(Some(system), system.name(), |connection| connection.history())
    }
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
    /// How many deletions, or fields that become empty, need approval.
    pub mass_limits: MassLimits,
    /// How opt-outs are read and compared.
    pub optouts: OptoutSettings,
    /// What workflows remember from round to round. A clone shares it.
    pub memories: Memories,
    /// By which the run goes: when records are evaluated, what is due, how long it waits.
    pub clock: Clock,
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

/// What a flow needs to go through a round.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) plan: Arc<ExecutionPlan>,
    pub(crate) services: Services,
    pub(crate) stores: Stores,
    pub(crate) run: RunId,
    pub(crate) options: Options,
    /// Cancelled when the flow is to finish what is in flight and end.
    pub(crate) stop: CancellationToken,
    /// Tells those who follow the run what happens in the flow.
    pub(crate) events: Emitter,
    /// What the flow remembers from round to round.
    memory: Arc<Memory>,
}

impl Context {
    /// The present instant by the run's clock.
    pub(crate) fn now(&self) -> Instant {
        self.options.clock.now()
    }

    /// When a unit of work is tried again that was tried `attempts` times before this one.
    pub(crate) fn later(&self, attempts: u32) -> Instant {
        self.now() + policy::postponement(attempts)
    }

    /// Tells those who follow the run.
    pub(crate) fn emit(&self, event: RunEvent<'_>) {
        self.events.emit(event);
    }

    /// Tells how many operations wait.
    pub(crate) fn note_backlog(&self, waiting: u64) {
        self.memory.note_backlog(waiting);
        self.emit(RunEvent::Backlog(waiting));
    }

    /// What a work loop of the flow's round needs.
    fn round<'a>(&'a self, signals: &'a Signals) -> Round<'a> {
        Round { clock: &self.options.clock, signals, stop: &self.stop }
    }
}

/// Takes flows through a round, a few at the same time. One that fails does not stop the others. Gives how each ended.
async fn together(flows: impl Iterator<Item = (Context, Workflow)>) -> Vec<Result<(), RunError>> {
    let mut flows = flows;
    let mut rounds = JoinSet::new();
    let mut results = Vec::new();
    loop {
        while rounds.len() < FLOWS_AT_ONCE
            && let Some((context, flow)) = flows.next()
        {
            rounds.spawn(shown(context, flow));
        }
        match rounds.join_next().await {
            Some(ended) => results.push(ended.map_err(|e| RunError::Task(e.to_string())).and_then(|r| r)),
            None => return results,
        }
    }
}

/// A round of a run that goes through once, with the workflow's state as `status` shows it.
async fn shown(context: Context, flow: Workflow) -> Result<(), RunError> {
    // What is shown of a round is not worth the round.
    let note = async |note: WorkflowNote| {
        if let Err(error) = context.stores.control.note_workflow(&flow.name, &note).await {
            tracing::warn!(workflow = flow.name, %error, "the state of the workflow was not stored");
        }
    };
    if flow.kind == Kind::Ingress {
        context.stores.control.take_replay(&flow.name, &flow.fingerprint(&context.plan)).await?;
    }
    note(WorkflowNote::Round).await;
    let clock = &context.options.clock;
    context.emit(RunEvent::RoundBegan { at: clock.elapsed() });
    let result = flow.round(context.clone()).await;
    context.emit(RunEvent::RoundEnded { at: clock.elapsed(), failed: result.is_err() });
    match &result {
        Ok(()) => {
            note(WorkflowNote::Rested { next: None }).await;
            let reason = if context.stop.is_cancelled() { "stopped; what was in flight is finished" } else { FINISHED };
            note(WorkflowNote::Stopped { reason: reason.to_owned() }).await;
        }
        Err(error) => note(WorkflowNote::Failed { reason: error.to_string(), next: None }).await,
    }
    result
}

/// Runs a plan. The store must be open for running. Ends when everything is moved ([`Pace::Once`]), when `stop` is cancelled
/// (what is in flight is finished first), or with an error; in each case the state has its position.
///
/// A workflow that was stopped by hand stays out of a run of all workflows; one that `options` name is still run.
pub async fn run(
    plan: Arc<ExecutionPlan>,
    services: Services,
    stores: Stores,
    options: Options,
    events: Publisher,
    stop: CancellationToken,
) -> Result<Summary, RunError> {
    match options.pace {
        Pace::Once => once(plan, services, stores, options, events, stop).await,
        Pace::Watch { .. } => {
            let supervision = Supervision::fixed(plan.clone(), services.clone());
            watch(plan, services, stores, options, events, stop, supervision).await
        }
    }
}

async fn once(
    plan: Arc<ExecutionPlan>,
    services: Services,
    stores: Stores,
    options: Options,
    events: Publisher,
    stop: CancellationToken,
) -> Result<Summary, RunError> {
    let began = options.clock.elapsed();
    let mut flows = workflow::selected(&plan, options.mappings.as_deref())?;
    binding::bind(&services, &stores).await?;
    binding::recognize(&plan, &flows, Vec::new(), &stores).await?;
    let wishes = stopped(&stores).await?;
    let left_out = match options.mappings {
        Some(_) => Vec::new(),
        None => flows.extract_if(.., |f| wishes.contains_key(&f.name)).map(|f| f.name).collect(),
    };
    let names: Vec<String> = flows.iter().map(|f| f.name.clone()).collect();
    let (run, recovery) = begin(&stores, &services, RunKind::Once, &names).await?;
    let counters = Arc::new(Counters::default());
    let events = events.and(counters.clone());
    let tokens: BTreeMap<String, CancellationToken> = names.iter().map(|n| (n.clone(), stop.child_token())).collect();
    let context_of = |name: &str| Context {
        plan: plan.clone(),
        services: services.clone(),
        stores: stores.clone(),
        run,
        options: options.clone(),
        // Its own: a flow that ends for an error does not stop the others.
        stop: tokens.get(name).map_or_else(|| stop.child_token(), CancellationToken::child_token),
        events: events.workflow(name),
        memory: options.memories.workflow(name),
    };
    let mut result = Ok(());
    let rounds = async {
        for stage in workflow::stages(&plan, &flows) {
            let wanted = stage.into_iter().filter(|f| tokens.get(&f.name).is_none_or(|t| !t.is_cancelled()));
            let ended = together(wanted.map(|flow| (context_of(&flow.name), flow))).await;
            // A mapping that fails for its own reasons does not delay opt-outs; children wait for their
            // parents by themselves. A service that is down, or a state that cannot be written, would fail them all.
            let concerns_all = ended.iter().any(|e| e.as_ref().is_err_and(|e| e.concerns_all()));
            result = ended.into_iter().fold(std::mem::replace(&mut result, Ok(())), both);
            if concerns_all || stop.is_cancelled() {
                break;
            }
        }
        // What the mappings left for one another does not wait for an unrelated source.
        if result.as_ref().err().is_none_or(RunError::is_of_one_source) && !stop.is_cancelled() {
            let left = ingress::leftovers(&flows, context_of).await;
            result = both(std::mem::replace(&mut result, Ok(())), left);
        }
    };
    tokio::select! {
        () = rounds => {}
        () = heed_stops(&options.clock, &stores, &tokens, &wishes) => {}
    }
    let took = options.clock.elapsed().saturating_sub(began);
    end(&stores, run, recovery, &counters, &names, left_out, &stop, took, result).await
}

/// The workflows that were stopped by hand, each with the number of its wish.
async fn stopped(stores: &Stores) -> Result<BTreeMap<String, i64>, RunError> {
    let workflows = stores.control.workflows().await?;
    Ok(workflows.into_iter().filter(|w| w.wish == Wish::Stop).map(|w| (w.name, w.request)).collect())
}

/// Stops workflows that are stopped by hand while they go through once. Never ends.
async fn heed_stops(clock: &Clock, stores: &Stores, tokens: &BTreeMap<String, CancellationToken>, before: &BTreeMap<String, i64>) {
    loop {
        clock.sleep(watch::LOOK).await;
        match stopped(stores).await {
            Ok(stopped) => {
                for (name, request) in stopped.iter().filter(|(name, request)| before.get(*name).is_none_or(|b| b != *request)) {
                    if let Some(token) = tokens.get(name).filter(|t| !t.is_cancelled()) {
                        tracing::info!(workflow = name, request, "stopping by hand");
                        token.cancel();
                    }
                }
            }
            // The rounds meet the same trouble with the file and say so.
            Err(error) => tracing::warn!(%error, "the requests to workflows were not read"),
        }
    }
}

async fn begin(stores: &Stores, services: &Services, kind: RunKind, names: &[String]) -> Result<(RunId, Recovery), RunError> {
    let lifetime = services.lifetime_after_kill();
    let (run, recovery) = stores.runs.start_run(kind, names, lifetime).await?;
    if recovery.recovered_operations > 0 {
        tracing::info!(
            operations = recovery.recovered_operations,
            seconds = lifetime.as_secs(),
            "the last run was interrupted: its operations in progress are postponed, because their requests may still arrive; their records are looked up before they are written again"
        );
    }
    Ok((run, recovery))
}

#[expect(clippy::too_many_arguments, reason = "the end of both kinds of runs")]
async fn end(
    stores: &Stores,
    run: RunId,
    recovery: Recovery,
    counters: &Arc<Counters>,
    names: &[String],
    left_out: Vec<String>,
    stop: &CancellationToken,
    took: Duration,
    result: Result<(), RunError>,
) -> Result<Summary, RunError> {
    let outcome = match (&result, stop.is_cancelled()) {
        (Err(_), _) => RunOutcome::Failed,
        (Ok(()), true) => RunOutcome::Stopped,
        (Ok(()), false) => RunOutcome::Completed,
    };
    let mut backlogs = Vec::with_capacity(names.len());
    for name in names {
        backlogs.push((stores.outbox.backlog_size(name).await?, stores.outbox.waiting_for(name).await?));
    }
    let mut summary = Summary::new(run, outcome, recovery, counters, names, &backlogs, took);
    summary.left_out = left_out;
    // A person who was forgotten during the run is not used as an example.
    let examples = summary.flows.iter().flat_map(|f| &f.rejections).map(|rejection| rejection.example.clone()).collect();
    let forgotten = stores.privacy.forgotten_among(examples).await?;
    for rejection in summary.flows.iter_mut().flat_map(|f| &mut f.rejections) {
        if forgotten.contains(&rejection.example) {
            "(forgotten)".clone_into(&mut rejection.example);
        }
    }
    stores.runs.end_run(run, outcome, serde_json::to_value(&summary).unwrap_or_default()).await?;
    result.map(|()| summary)
}
