//! Watching: all workflows in one process, each at its own pace, started and stopped by itself.
//!
//! ```text
//!             start                      round ends well
//! STOPPED ───────────▶ STARTING ──▶ RUNNING ◀──────────────▶ (waits for its time)
//!    ▲                    │            │
//!    └────── stop ────────┴────────────┤ a round fails, or it cannot start
//!                                      ▼
//!                                   FAILED ──▶ tried again by itself (`pause.rs` says when)
//! ```
//!
//! One task decides and the others work: all that changes a workflow's phase happens in [`Supervisor::go`], on what the tasks
//! report. Wishes come through the state file, since they are given by other processes.

mod entry;
mod files;
mod notes;
mod pause;
mod settings;
mod supervision;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::entry::{Disk, Entry, Loaded, Moment, Phase, Report, look};
use self::notes::Notebook;
pub use self::settings::Settings;
pub use self::supervision::{PlanSource, PlanSourceError, Supervision};
pub use self::upkeep::Upkeep;
use super::workflow::{self, Kind, Workflow, workflows};
use super::{Context, Counters, FLOWS_AT_ONCE, Options, Pace, RunError, Services, Summary, begin, binding, end};
use crate::engine::events::{Publisher, RunEvent};
use crate::plan::ExecutionPlan;
use crate::run::round_log::RoundLog;
use crate::store::{RunId, RunKind, Stores, Wish, WorkflowNote, WorkflowRecord};
use crate::time::schedule::Schedule;
use crate::time::{self, Instant};

/// How often wishes and due operations are looked for.
pub(super) const LOOK: Duration = Duration::from_millis(500);
/// How often the mapping files are looked at.
const FILES: Duration = Duration::from_secs(2);
/// A round that was begun for due operations comes no sooner after the last one; the pause doubles while they stay due.
const BREATH: Duration = Duration::from_secs(1);
/// From the first notification of a webhook to the round that it leads to, which takes those that follow meanwhile too.
const GATHER: Duration = Duration::from_millis(500);

/// Runs the workflows of a plan until `stop` is cancelled, then finishes what is in flight. A workflow that fails does not
/// end the others, nor the watch.
///
/// # Errors
/// When a wanted workflow is unknown, or the state file cannot be used at all.
pub async fn watch(
    plan: Arc<ExecutionPlan>,
    services: Services,
    stores: Stores,
    options: Options,
    events: Publisher,
    stop: CancellationToken,
    supervision: Supervision,
) -> Result<Summary, RunError> {
    let clock = options.clock.clone();
    let began = clock.elapsed();
    let interval = match options.pace {
        Pace::Watch { interval } => interval,
        Pace::Once => Duration::ZERO,
    };
    let flows = workflow::selected(&plan, options.mappings.as_deref())?;
    // Services that are down do not keep a watch from starting: each round binds the state before it reads.
    binding::recognize(&plan, &flows, Vec::new(), &stores).await?;
    let names: Vec<String> = flows.iter().map(|f| f.name.clone()).collect();
    let (run, recovery) = begin(&stores, &services, RunKind::Watch, &names).await?;
    let counters = Arc::new(Counters::default());
    let events = events.and(counters.clone()).and(Arc::new(RoundLog::default()));
    let upkeep =
        tokio_util::task::AbortOnDropHandle::new(tokio::spawn(upkeep::run(supervision.upkeep.clone(), clock.clone(), stop.clone())));
    let mut supervisor = Supervisor {
        supervision,
        interval,
        stores: stores.clone(),
        run,
        options,
        events,
        stop: stop.clone(),
        entries: Vec::new(),
        strangers: BTreeMap::new(),
        tasks: JoinSet::new(),
        disk: Disk { mark: None, looking: false },
        notes: Notebook::new(stores.control.clone(), clock.clone()),
        unread: false,
    };
    let result = supervisor.go(&plan, &services, flows).await;
    drop(upkeep);
    let failed = supervisor.failed();
    let names: Vec<String> = supervisor.entries.iter().map(|e| e.name.clone()).collect();
    let mut summary =
        end(&stores, run, recovery, &counters, &names, Vec::new(), &stop, clock.elapsed().saturating_sub(began), result).await?;
    summary.failed = failed;
    Ok(summary)
}

struct Supervisor {
    supervision: Supervision,
    interval: Duration,
    stores: Stores,
    run: RunId,
    options: Options,
    events: Publisher,
    stop: CancellationToken,
    /// In the plan's order.
    entries: Vec<Entry>,
    /// Workflows of the state file that are not under supervision, each with the number of its last wish.
    strangers: BTreeMap<String, i64>,
    tasks: JoinSet<Report>,
    disk: Disk,
    notes: Notebook,
    /// The last read of the wishes failed.
    unread: bool,
}

impl Supervisor {
    async fn go(&mut self, plan: &Arc<ExecutionPlan>, services: &Services, flows: Vec<Workflow>) -> Result<(), RunError> {
        let known = self.stores.control.workflows().await?;
        self.strangers = known.iter().map(|w| (w.name.clone(), w.request)).collect();
        for workflow in flows {
            let record = known.iter().find(|w| w.name == workflow.name);
            self.strangers.remove(&workflow.name);
            let mut entry = Entry::new(&workflow.name, record.map_or(0, |r| r.request), record.map_or(Wish::Run, |r| r.wish));
            let loaded = Loaded {
                fingerprint: workflow.fingerprint(plan),
                plan: plan.clone(),
                workflow: workflow.clone(),
                services: services.clone(),
            };
            match entry.wanted {
                Wish::Stop => {
                    let reason = "stopped by hand before; `d365map start` starts it".to_owned();
                    self.note(&entry.name, WorkflowNote::Stopped { reason }).await;
                }
                Wish::Run => {
                    self.replay_if_asked(&loaded).await;
                    entry.phase = self.wait_for_first(&workflow.name).await;
                }
            }
            entry.loaded = Some(loaded);
            self.entries.push(entry);
        }
        let clock = self.options.clock.clone();
        let (mut next_look, mut next_files) = (clock.elapsed(), clock.elapsed());
        let news = self.supervision.news.clone().unwrap_or_default();
        let mut new_settings = self.supervision.settings.take();
        let mut looking = false;
        while !self.stop.is_cancelled() {
            self.begin_rounds().await;
            let now = self.moment_now();
            let pause = self.next_due().map_or(LOOK, |at| at.saturating_sub(now)).min(LOOK);
            tokio::select! {
                () = self.stop.cancelled() => {}
                Some(report) = self.tasks.join_next() => match report {
                    Ok(report) => {
                        looking &= !matches!(report, Report::Looked(_));
                        self.take(report).await;
                    }
                    Err(error) => return Err(RunError::Task(error.to_string())),
                },
                () = news.notified() => self.take_news(),
                new = settings::changed(&mut new_settings) => self.take_settings(new).await,
                () = clock.sleep(next_look.saturating_sub(now)) => {
                    next_look = clock.elapsed() + LOOK;
                    self.notes.catch_up().await;
                    if !looking {
                        looking = true;
                        let (control, now) = (self.stores.control.clone(), self.options.clock.now());
                        self.tasks.spawn(async move { Report::Looked(look(&*control, now).await) });
                    }
                }
                () = clock.sleep(next_files.saturating_sub(now)) => {
                    next_files = clock.elapsed() + FILES;
                    self.look_at_files();
                }
                () = clock.sleep(pause) => {}
            }
        }
        self.finish().await
    }

    /// Stops all that runs and waits for it.
    async fn finish(&mut self) -> Result<(), RunError> {
        for entry in &mut self.entries {
            if let Phase::Round { stop } = &entry.phase {
                stop.cancel();
            }
        }
        while let Some(report) = self.tasks.join_next().await {
            let Ok(Report::Round(name, result)) = report else { continue };
            match result {
                Ok(()) => self.note(&name, WorkflowNote::Rested { next: None }).await,
                Err(error) => {
                    self.note(&name, WorkflowNote::Failed { reason: error.to_string(), next: None }).await;
                    if let Some(entry) = self.entries.iter_mut().find(|e| e.name == name) {
                        entry.error = Some(error.to_string());
                    }
                }
            }
        }
        self.notes.catch_up().await;
        Ok(())
    }

    /// Does blocking work off the asynchronous threads. A panic in it is reported as its result: it must not end the watch.
    fn off_thread<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
        report: impl FnOnce(Result<T, String>) -> Report + Send + 'static,
    ) {
        self.tasks.spawn(async move { report(tokio::task::spawn_blocking(work).await.map_err(|e| e.to_string())) });
    }

    /// The workflows that have failed, with the reason.
    fn failed(&self) -> Vec<(String, String)> {
        self.entries.iter().filter_map(|e| Some((e.name.clone(), e.error.clone()?))).collect()
    }

    /// Notes the state of a workflow.
    async fn note(&mut self, name: &str, note: WorkflowNote) {
        self.notes.note(name, note).await;
    }

    async fn replay_if_asked(&self, loaded: &Loaded) {
        if loaded.workflow.kind != Kind::Ingress {
            return;
        }
        if let Err(error) = self.stores.control.take_replay(&loaded.workflow.name, &loaded.fingerprint).await {
            tracing::warn!(workflow = loaded.workflow.name, %error, "the replay that was asked for was not begun");
        }
    }

    fn schedule(&self, name: &str) -> Schedule {
        self.supervision.schedules.get(name).cloned().unwrap_or_else(|| Schedule::every(self.interval))
    }

    /// The first round of a workflow that starts is due at once, unless its schedule says otherwise.
    async fn wait_for_first(&mut self, name: &str) -> Phase {
        let now = self.options.clock.now();
        let next = self.schedule(name).first(now);
        let note = if next > now { WorkflowNote::Waiting { next } } else { WorkflowNote::Starting { reason: None } };
        self.note(name, note).await;
        Phase::Waiting { until: self.moment(next) }
    }

    fn moment_now(&self) -> Moment {
        self.options.clock.elapsed()
    }

    /// A time of day as one since the clock was made; the present one if it is over.
    fn moment(&self, at: Instant) -> Moment {
        self.moment_now() + (at - self.options.clock.now()).to_std().unwrap_or_default()
    }

    /// When the first of those that wait is due.
    fn next_due(&self) -> Option<Moment> {
        let waiting = self.entries.iter().filter_map(|e| match e.phase {
            Phase::Waiting { until } | Phase::Unloaded { until } => Some(until),
            Phase::Off | Phase::Loading | Phase::Round { .. } => None,
        });
        let now = self.moment_now();
        waiting.filter(|at| *at > now).min()
    }

    /// Begins the rounds whose time has come.
    async fn begin_rounds(&mut self) {
        let now = self.moment_now();
        for at in 0..self.entries.len() {
            if matches!(self.entries[at].phase, Phase::Unloaded { until } if until <= now) {
                self.make_plan(at);
                continue;
            }
            let entry = &self.entries[at];
            let Phase::Waiting { until } = entry.phase else { continue };
            let Some(loaded) = entry.loaded.clone().filter(|_| until <= now) else { continue };
            // Parents come first in the first round; after that a child whose parent is not there yet waits in the state.
            if !entry.settled
                && let Some(parent) = loaded.workflow.parents(&loaded.plan).into_iter().find(|p| self.on_its_way(p, now))
            {
                if entry.waits.as_deref() != Some(parent) {
                    let name = entry.name.clone();
                    let reason = Some(format!("waits for the first round of `{parent}`"));
                    self.entries[at].waits = Some(parent.to_owned());
                    self.note(&name, WorkflowNote::Starting { reason }).await;
                }
                continue;
            }
            // A page in memory for each. Opt-outs and events wait for no load, however long it takes.
            let loading = self.entries.iter().filter(|e| e.is_in_round() && e.kind() == Some(Kind::Ingress)).count();
            if loaded.workflow.kind == Kind::Ingress && loading >= FLOWS_AT_ONCE {
                continue;
            }
            self.begin_round(at, loaded).await;
        }
    }

    /// Whether a workflow will soon have been through its first round.
    fn on_its_way(&self, name: &str, now: Moment) -> bool {
        self.entries.iter().any(|e| {
            let soon = match e.phase {
                Phase::Off | Phase::Unloaded { .. } => false,
                Phase::Loading | Phase::Round { .. } => true,
                Phase::Waiting { until } => until <= now,
            };
            e.name == name && !e.settled && e.failures == 0 && soon
        })
    }

    async fn begin_round(&mut self, at: usize, loaded: Loaded) {
        let stop = self.stop.child_token();
        let name = loaded.workflow.name.clone();
        let context = Context {
            plan: loaded.plan,
            services: loaded.services,
            stores: self.stores.clone(),
            run: self.run,
            options: self.options.clone(),
            stop: stop.clone(),
            events: self.events.workflow(&name),
            memory: self.options.memories.workflow(&name),
        };
        self.entries[at].phase = Phase::Round { stop };
        self.entries[at].news = false;
        let now = self.moment_now();
        context.emit(RunEvent::RoundBegan { at: now });
        self.entries[at].waits = None;
        self.note(&name, WorkflowNote::Round).await;
        self.tasks.spawn(async move {
            // In a separate task: a panic in a flow ends only that flow's round.
            let round = tokio::spawn(async move { loaded.workflow.round(context).await });
            let result = round.await.unwrap_or_else(|e| Err(RunError::Task(e.to_string())));
            Report::Round(name, result)
        });
    }

    async fn take(&mut self, report: Report) {
        match report {
            Report::Loaded(name, result) => self.loaded(&name, result).await,
            Report::Round(name, result) => self.round_ended(&name, result).await,
            Report::Looked(Ok(look)) => {
                self.unread = false;
                for record in look.workflows {
                    self.heed(record).await;
                }
                self.wake(&look.due);
            }
            Report::Looked(Err(error)) => {
                if !self.unread {
                    tracing::warn!(%error, "the state file could not be read; `d365map start` and `stop` have no effect until it can");
                }
                self.unread = true;
            }
            Report::Disk(mark, found) => {
                self.disk = Disk { mark, looking: false };
                self.compare(found).await;
            }
        }
    }

    /// Does what somebody has asked for.
    async fn heed(&mut self, record: WorkflowRecord) {
        let Some(at) = self.entries.iter().position(|e| e.name == record.name) else {
            let before = self.strangers.insert(record.name.clone(), record.request);
            let asked = record.wish == Wish::Run && before.is_some_and(|b| b != record.request);
            // One that is new in the files, unless just some were to be run.
            if (asked || (before.is_none() && record.request > 0 && record.wish == Wish::Run)) && self.options.mappings.is_none() {
                let entry = Entry::new(&record.name, record.request, Wish::Run);
                self.entries.push(Entry { restart_due: record.restart_due, ..entry });
                self.load(self.entries.len() - 1).await;
            }
            return;
        };
        let entry = &mut self.entries[at];
        if entry.request == record.request {
            return;
        }
        entry.request = record.request;
        entry.wanted = record.wish;
        match (record.wish, &entry.phase) {
            (Wish::Stop, Phase::Round { stop }) => stop.cancel(),
            // What comes of it is not wanted any more.
            (Wish::Stop, Phase::Loading) => {}
            (Wish::Stop, Phase::Off | Phase::Waiting { .. } | Phase::Unloaded { .. }) => self.switch_off(at).await,
            (Wish::Run, Phase::Round { stop }) => {
                stop.cancel();
                entry.restart = true;
            }
            (Wish::Run, Phase::Loading) => entry.restart = true,
            (Wish::Run, Phase::Off | Phase::Waiting { .. } | Phase::Unloaded { .. }) => self.load(at).await,
        }
    }

    async fn switch_off(&mut self, at: usize) {
        let entry = &mut self.entries[at];
        entry.phase = Phase::Off;
        (entry.failures, entry.error, entry.restart, entry.settled) = (0, None, false, false);
        let name = entry.name.clone();
        tracing::info!(workflow = name, "stopped");
        let reason = "stopped by hand; what was in flight is finished".to_owned();
        self.note(&name, WorkflowNote::Stopped { reason }).await;
    }

    /// Starts a workflow by the files as they are now.
    async fn load(&mut self, at: usize) {
        let entry = &mut self.entries[at];
        (entry.failures, entry.error, entry.restart, entry.settled, entry.waits) = (0, None, false, false, None);
        let name = entry.name.clone();
        tracing::info!(workflow = name, "starting");
        self.note(&name, WorkflowNote::Starting { reason: None }).await;
        self.make_plan(at);
    }

    /// Makes the plan of a workflow of the files as they are now.
    fn make_plan(&mut self, at: usize) {
        let entry = &mut self.entries[at];
        entry.phase = Phase::Loading;
        let (source, name) = (self.supervision.source.clone(), entry.name.clone());
        let of = name.clone();
        self.off_thread(
            move || make(source.as_ref(), &of).map(Box::new),
            move |made| {
                Report::Loaded(name, made.unwrap_or_else(|ended| Err(format!("a part of the program ended unexpectedly: {ended}"))))
            },
        );
    }

    async fn loaded(&mut self, name: &str, result: Result<Box<Loaded>, String>) {
        let Some(at) = self.entries.iter().position(|e| e.name == name) else { return };
        if self.entries[at].wanted == Wish::Stop {
            return self.switch_off(at).await;
        }
        if self.entries[at].restart {
            return self.load(at).await;
        }
        let result = match result {
            Ok(loaded) => self.recognized(&loaded).await.map(|()| loaded).map_err(|e| e.to_string()),
            Err(reason) => Err(reason),
        };
        let Some(at) = self.entries.iter().position(|e| e.name == name) else { return };
        match result {
            Ok(loaded) => {
                self.replay_if_asked(&loaded).await;
                let phase = self.wait_for_first(name).await;
                let entry = &mut self.entries[at];
                (entry.failures, entry.error) = (0, None);
                entry.phase = phase;
                entry.loaded = Some(*loaded);
                self.set_restart_due(at, None).await;
            }
            // Also what a person must fix: then the fix alone is enough.
            Err(reason) => {
                let failures = self.entries[at].failures;
                let next = self.options.clock.now() + pause::back_off(failures);
                let until = self.moment(next);
                let entry = &mut self.entries[at];
                if entry.error.as_ref() != Some(&reason) {
                    tracing::warn!(
                        workflow = name,
                        reason,
                        next = time::format_instant(next),
                        "the workflow could not start; it is tried again"
                    );
                }
                entry.failures = entry.failures.saturating_add(1);
                entry.phase = Phase::Unloaded { until };
                entry.error = Some(reason.clone());
                self.note(name, WorkflowNote::Failed { reason, next: Some(next) }).await;
            }
        }
    }

    /// Finds a workflow that starts in the state. If it was renamed, the entry of its old name goes.
    async fn recognized(&mut self, loaded: &Loaded) -> Result<(), RunError> {
        let busy = self.entries.iter().filter(|e| !matches!(e.phase, Phase::Off) && e.name != loaded.workflow.name);
        let busy = busy.map(|e| e.name.clone()).collect();
        let selected = std::slice::from_ref(&loaded.workflow);
        let found = binding::recognize(&loaded.plan, selected, busy, &self.stores).await?;
        self.entries.retain(|e| !found.renamed.iter().any(|r| r.from == e.name));
        Ok(())
    }

    async fn round_ended(&mut self, name: &str, result: Result<(), RunError>) {
        let Some(at) = self.entries.iter().position(|e| e.name == name) else { return };
        let now = self.moment_now();
        self.entries[at].ended = Some(now);
        self.events.workflow(name).emit(RunEvent::RoundEnded { at: now, failed: result.is_err() });
        let (now, failures) = (self.options.clock.now(), self.entries[at].failures);
        let next = match &result {
            // The round may have begun before it was there to be taken.
            Ok(()) if self.entries[at].news => self.schedule(name).next(now).min(now + GATHER),
            Ok(()) => self.schedule(name).next(now),
            // The other sources have done their work and do it again at their time, however long this one is away.
            Err(error) if error.is_of_one_source() => self.schedule(name).next(now).min(now + pause::after(error, failures)),
            Err(error) => now + pause::after(error, failures),
        };
        let until = self.moment(next);
        let entry = &mut self.entries[at];
        entry.phase = Phase::Waiting { until };
        let note = match result {
            Ok(()) => {
                (entry.failures, entry.error, entry.settled) = (0, None, true);
                WorkflowNote::Rested { next: Some(next) }
            }
            Err(error) => {
                entry.failures = entry.failures.saturating_add(1);
                entry.error = Some(error.to_string());
                let at = time::format_instant(next);
                if error.needs_person() {
                    tracing::error!(
                        workflow = name,
                        %error,
                        next = at,
                        "the round failed, and a person must act; it is tried again at the time `next`, or immediately with `d365map start {name}`"
                    );
                } else {
                    tracing::warn!(workflow = name, %error, next = at, "the round failed; it will be tried again");
                }
                WorkflowNote::Failed { reason: error.to_string(), next: Some(next) }
            }
        };
        self.note(name, note).await;
        match (self.entries[at].wanted, self.entries[at].restart) {
            (Wish::Stop, _) => self.switch_off(at).await,
            (Wish::Run, true) => self.load(at).await,
            (Wish::Run, false) => {}
        }
    }

    /// Operations have become due for workflows that wait: a dead letter put back, a child whose parent has come, an attempt
    /// that was postponed. Or records have: the answer of their filter changes as time passes.
    fn wake(&mut self, due: &[String]) {
        let now = self.moment_now();
        for entry in &mut self.entries {
            let Phase::Waiting { until } = &mut entry.phase else { continue };
            if !due.contains(&entry.name) {
                entry.breath = BREATH;
            } else if *until > now
                && entry.settled
                && entry.failures == 0
                && entry.ended.is_none_or(|at| now.saturating_sub(at) >= entry.breath)
            {
                *until = now;
                // Operations that a round leaves due, for whatever reason, must not make it go round and round.
                entry.breath = entry.breath.saturating_mul(2).min(pause::LONGEST_BACK_OFF);
            }
        }
    }

    /// A webhook has told something: two-way mappings look at it soon. One that has failed does so at its time, as for all its work.
    fn take_news(&mut self) {
        let soon = self.moment_now() + GATHER;
        for entry in self.entries.iter_mut().filter(|entry| entry.kind() == Some(Kind::TwoWay)) {
            entry.news = true;
            if let Phase::Waiting { until } = &mut entry.phase
                && entry.settled
                && entry.failures == 0
            {
                *until = soon.min(*until);
            }
        }
    }
}

/// A workflow by the files as they are.
fn make(source: &dyn PlanSource, name: &str) -> Result<Loaded, String> {
    let plan = source.load().map_err(|e| e.to_string())?;
    let workflow = workflows(&plan).into_iter().find(|w| w.name == name).ok_or_else(|| format!("the mapping files have no `{name}`"))?;
    let services = source.services(&plan, &workflow).map_err(|e| e.to_string())?;
    Ok(Loaded { fingerprint: workflow.fingerprint(&plan), plan, workflow, services })
}
