//! `d365map run`: executes a plan.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::compile::{compile_group, read_plan};
use super::output::{fail, note, print, print_json, say_styled, stderr_style, warning};
use super::progress::Progress;
use super::source::FilesOnDisk;
use super::{Exit, Global, drift, files, limits, services};
use crate::connect::CallStats;
use crate::count::counted;
use crate::plan::ExecutionPlan;
use crate::printable;
use crate::project::Project;
use crate::run::{
    ChangedProfiles, Counters, DryRun, Kind, Options, OptoutSettings, Pace, Reconciliation, RunError, Services, Summary, Supervision,
    dry_run, dry_run_of_optouts, run as execute, watch, workflows,
};
use crate::state::{MassChange, MassLimits, StateError, Store};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Go through once and end (this is the default).
    #[arg(long, conflicts_with = "watch")]
    once: bool,
    /// Go on until stopped, asking for changes again and again.
    #[arg(long)]
    watch: bool,
    /// Seconds between two rounds of --watch; without it, the project file's.
    #[arg(long, value_name = "SECONDS", requires = "watch", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval: Option<u64>,
    /// A mapping to run; may be given several times. Without it, all.
    #[arg(long, value_name = "NAME")]
    mapping: Vec<String>,
    /// Show what would be written, and write nothing anywhere.
    #[arg(long, conflicts_with_all = ["once", "watch"])]
    dry_run: bool,
    /// Approve in advance what the two sides of opt-outs disagree about when they are first compared; `d365map optout reconcile` shows it.
    #[arg(long)]
    accept_reconciliation: bool,
    /// A compiled plan; without it, the project's mappings are compiled.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Start even where the services have changed in a way that breaks the mappings. Records may fail or be written wrongly.
    #[arg(long)]
    ignore_drift: bool,
    /// Carry out what a workflow holds for approval, since it would delete many records or empty a field in many.
    #[arg(long, value_name = "WORKFLOW", conflicts_with = "dry_run")]
    approve_mass_change: Vec<String>,
    /// Approve what all workflows hold, and let this run delete or empty as much as it likes.
    #[arg(long)]
    allow_mass_delete: bool,
    /// Load more than 15,000,000 records for the first time too.
    #[arg(long)]
    ignore_limits: bool,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Args {
    /// Whether the command goes on until it is stopped.
    pub fn watches(&self) -> bool {
        self.watch
    }
}

/// The formats of a summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON object.
    Json,
}

/// A project with its plan.
pub(super) struct Prepared {
    pub(super) project: Project,
    pub(super) plan: Arc<ExecutionPlan>,
    /// The mapping files, where the plan was made of them.
    group: Option<files::Group>,
}

pub(super) fn prepare(plan: Option<&Path>, global: &Global) -> Result<Prepared, Exit> {
    let style = stderr_style();
    let project = files::project(global.project.as_deref(), style)
        .and_then(|p| p.ok_or(files::FilesError::NoProject))
        .map_err(|e| fail(&e.to_string()))?;
    let (plan, group) = match plan {
        Some(path) => (read_plan(path).map_err(|e| fail(&e))?, None),
        None => {
            let group = files::of_project(project.clone(), style).map_err(|e| fail(&e.to_string()))?;
            (compile_group(group.clone(), style)?, Some(group))
        }
    };
    not_moved(&plan, global.quiet);
    warn_without_source(&project, &plan);
    Ok(Prepared { project, plan: Arc::new(plan), group })
}

/// Compares the services with the committed schemas before anything is read or written: a run that would fail midway, or
/// write what nobody meant, does not begin.
pub(super) fn refuse_drift(
    prepared: &mut Prepared,
    mappings: Option<&[String]>,
    ignore: bool,
    watch: bool,
    quiet: bool,
) -> Result<(), Exit> {
    if ignore {
        return Ok(());
    }
    let style = stderr_style();
    let project = &prepared.project;
    let source = super::schema::connect(project).map_err(|e| fail(&e))?;
    let moved = moved(&prepared.plan, mappings);
    match drift::of_project(source.as_ref(), project, prepared.group.take(), &moved, style) {
        // A user who may move records and may not read metadata is no reason to stop.
        // Nor is a service that is down when a watch begins: its workflows wait for it, each by itself.
        Err(error) if watch || error.contains("lacks a right") => {
            warning(&format!("the services' schemas were not compared with the committed ones: {error}"));
            Ok(())
        }
        Err(error) => Err(fail(&error)),
        Ok(drift) if drift.is_breaking() => {
            say_styled(&drift.text(style));
            Err(fail(
                "the services have changed in a way that breaks the mappings; nothing was read or written. `d365map schema diff` says the same; after the mappings are changed, `d365map schema pull` takes the changes over. `--ignore-drift` starts all the same",
            ))
        }
        Ok(drift) => {
            if !drift.is_none() && !quiet {
                note("the services have changed without touching a mapping; `d365map schema diff` shows it");
            }
            Ok(())
        }
    }
}

/// What to do about a block of events without a source.
pub(super) const ADD_A_SOURCE: &str =
    "add `journal`, or `sftp` with `deliveries` or `tracking`, under `connections: campaign:` of d365map.yaml";

/// Warns of event blocks that move nothing, since the project has no source of events.
pub(super) fn warn_without_source(project: &Project, plan: &ExecutionPlan) {
    for flow in without_source(project, plan) {
        warning(&format!("`{flow}` has no source of events, so it moves none; {ADD_A_SOURCE}"));
    }
}

/// The blocks of events for which the project names neither a journal nor exported logs.
pub(super) fn without_source<'p>(project: &Project, plan: &'p ExecutionPlan) -> Vec<&'p str> {
    let has_source = project.connections.campaign.as_ref().is_some_and(|campaign| {
        let logs = campaign.sftp.as_ref().is_some_and(|sftp| sftp.kinds.deliveries.is_some() || sftp.kinds.tracking.is_some());
        campaign.journal.is_some() || logs
    });
    if has_source { Vec::new() } else { plan.events.iter().map(|flow| flow.name.as_str()).collect() }
}

/// The part of a plan that a run moves: the tables of other mappings, and of mappings in both directions, must not stop it.
fn moved(plan: &ExecutionPlan, mappings: Option<&[String]>) -> ExecutionPlan {
    let mut moved = plan.clone();
    moved.two_way.clear();
    if let Some(names) = mappings {
        let flows = workflows(plan).into_iter().filter(|w| names.contains(&w.name));
        let flows: Vec<(Kind, usize)> = flows.map(|w| (w.kind, w.index)).collect();
        let wanted = |kind, index| flows.contains(&(kind, index));
        let optouts: Vec<_> = plan.optouts.iter().enumerate().filter(|(i, _)| wanted(Kind::Optout, *i)).map(|(_, f)| f.clone()).collect();
        // Opt-outs read and write the tables of their mapping.
        let needed = |index: usize, name: &str| wanted(Kind::Ingress, index) || optouts.iter().any(|o| o.mapping == name);
        moved.ingress = plan.ingress.iter().enumerate().filter(|(i, f)| needed(*i, &f.name)).map(|(_, f)| f.clone()).collect();
        moved.events = plan.events.iter().enumerate().filter(|(i, _)| wanted(Kind::Events, *i)).map(|(_, f)| f.clone()).collect();
        moved.optouts = optouts;
    }
    moved
}

/// What a plan can hold and this version's runner does not move: said rather than passed over.
fn not_moved(plan: &ExecutionPlan, quiet: bool) {
    let names: Vec<String> = plan.two_way.iter().map(|t| format!("`{}`", t.name)).collect();
    if !quiet && !names.is_empty() {
        warning(&format!("this version does not run mappings in both directions; not moved: {}", names.join(", ")));
    }
}

/// The project, its plan and the options of one pass, for commands beside `run`.
pub fn prepared(plan: Option<&Path>, mappings: Vec<String>, global: &Global) -> Result<(Project, Arc<ExecutionPlan>, Options), Exit> {
    let Prepared { project, plan, .. } = prepare(plan, global)?;
    let options = options(&project, Pace::Once, mappings);
    Ok((project, plan, options))
}

pub(super) fn options(project: &Project, pace: Pace, mappings: Vec<String>) -> Options {
    Options {
        pace,
        mappings: (!mappings.is_empty()).then_some(mappings),
        page_size: project.limits.page_size,
        concurrency: project.limits.concurrency,
        backlog_high_water: project.limits.backlog_high_water,
        mass_limits: MassLimits { count: project.limits.mass_change_count, percent: project.limits.mass_change_percent },
        optouts: optouts(project, false),
        clock: crate::time::Clock::default(),
    }
}

/// How a project has its opt-outs read.
pub fn optouts(project: &Project, accept: bool) -> OptoutSettings {
    let reading = &project.optouts;
    let changed = reading.changed_profiles.clone();
    OptoutSettings {
        changed_profiles: changed.map(|(filter, parameter)| ChangedProfiles { filter, parameter }),
        list_every: reading.list_every,
        clock_tolerance: reading.clock_tolerance,
        exports_stale_after: reading.exports_stale_after,
        accept,
    }
}

/// Runs.
pub fn run(args: &Args, global: &Global) -> Exit {
    let mut prepared = match prepare(args.plan.as_deref(), global) {
        Ok(prepared) => prepared,
        Err(exit) => return exit,
    };
    let wanted = (!args.mapping.is_empty()).then_some(args.mapping.as_slice());
    if let Err(exit) = refuse_drift(&mut prepared, wanted, args.ignore_drift, args.watch, global.quiet) {
        return exit;
    }
    let Prepared { project, plan, .. } = prepared;
    let interval = args.interval.map_or(project.limits.watch_interval, std::time::Duration::from_secs);
    let pace = if args.watch { Pace::Watch { interval } } else { Pace::Once };
    let mut options = options(&project, pace, args.mapping.clone());
    if args.allow_mass_delete {
        options.mass_limits = MassLimits::unlimited();
    }
    options.optouts.accept = args.accept_reconciliation;
    if args.dry_run {
        return dry(&project, &plan, &options, args.format);
    }
    if let Some(name) = project.schedules.keys().find(|name| !workflows(&plan).iter().any(|w| w.name == **name)) {
        let known: Vec<String> = workflows(&plan).into_iter().map(|w| w.name).collect();
        let near = crate::diagnostics::nearest(name, known.iter().map(String::as_str));
        let help = near.map_or_else(|| format!("there are {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
        return fail(&format!("`schedules` of the project file has `{name}`, and there is no such workflow; {help}"));
    }
    if !args.ignore_limits
        && let Err(error) = limits::refuse_initial(&project, &plan, options.mappings.as_deref(), global.quiet)
    {
        return fail(&error);
    }
    let source = Watched {
        plan: args.plan.clone(),
        ignore_drift: args.ignore_drift,
        approved: args.approve_mass_change.clone(),
        approve_all: args.allow_mass_delete,
    };
    wet(&project, plan, options, args.format, global.quiet, source)
}

/// The runtime of commands that talk to services.
pub fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| format!("the runtime could not be started: {e}"))
}

/// Cancels the token at the first Ctrl-C or SIGTERM; ends the process at the second.
pub fn stop_on_signals(stop: CancellationToken) {
    tokio::spawn(async move {
        signal().await;
        note("stopping: what is in flight is finished first; press Ctrl-C again to quit immediately");
        stop.cancel();
        signal().await;
        std::process::exit(130);
    });
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut term) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = term.recv() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn signal() {
    drop(tokio::signal::ctrl_c().await);
}

/// What a watch needs to take up changed mapping files.
pub(super) struct Watched {
    pub(super) plan: Option<PathBuf>,
    pub(super) ignore_drift: bool,
    /// Workflows whose held changes are approved.
    pub(super) approved: Vec<String>,
    /// Those of all workflows are.
    pub(super) approve_all: bool,
}

pub(super) fn wet(project: &Project, plan: Arc<ExecutionPlan>, options: Options, format: Format, quiet: bool, watched: Watched) -> Exit {
    let store = match Store::open_for_run(&project.state) {
        Ok(store) => store,
        Err(error) => return fail(&error.to_string()),
    };
    if let Err(error) = approve(&store, &plan, &watched, quiet) {
        return fail(&error);
    }
    let (http, clients) = match services::of_plan(project, &plan, Some(&store)) {
        Ok(both) => both,
        Err(error) => return fail(&error),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signals(stop.clone());
        let counters = Arc::new(Counters::default());
        let progress = Progress::start(counters.clone(), quiet);
        let usage = services::Ledger::start(store.clone(), http.clone());
        let result = match options.pace {
            Pace::Once => execute(plan, clients, store, options, counters, stop).await,
            Pace::Watch { .. } => {
                let Watched { plan: file, ignore_drift, .. } = watched;
                let source =
                    FilesOnDisk { project: project.clone(), plan: file, services: clients.clone(), http: http.clone(), ignore_drift };
                let supervision = Supervision { source: Arc::new(source), schedules: project.schedules.clone() };
                watch(plan, clients, store, options, counters, stop, supervision).await
            }
        };
        drop(usage);
        drop(progress);
        result
    });
    report(result, &http.stats(), format)
}

/// Approves what workflows hold before the run begins.
fn approve(store: &Store, plan: &ExecutionPlan, watched: &Watched, quiet: bool) -> Result<(), String> {
    let names: Vec<String> = match watched.approve_all {
        true => workflows(plan).into_iter().map(|w| w.name).collect(),
        false => watched.approved.clone(),
    };
    for name in names {
        // What a source without any record would delete is approved by the workflow's name alone.
        let empty = |change: MassChange| change.source_empty;
        if watched.approve_all
            && !watched.approved.contains(&name)
            && store.mass_change(&name).map_err(|e| e.to_string())?.is_some_and(empty)
        {
            continue;
        }
        match store.approve_mass_change(&name).map_err(|e| e.to_string())? {
            Some(count) if !quiet => say!("{name}: approved {}", counted(count, "held change")),
            Some(_) => {}
            None if watched.approve_all => {}
            None => return Err(nothing_held(&name)),
        }
    }
    Ok(())
}

pub(super) fn nothing_held(name: &str) -> String {
    format!("`{name}` holds nothing for approval; `d365map status` shows what does")
}

fn report(result: Result<Summary, RunError>, calls: &CallStats, format: Format) -> Exit {
    match result {
        Ok(summary) => {
            match format {
                Format::Human => print(&describe(&summary, calls)),
                Format::Json => print_json(&format!("{}\n", json!({"version": 1, "summary": summary, "calls": calls}))),
            }
            if summary.needs_attention() {
                if format == Format::Human && summary.flows.iter().any(|f| f.rejected + f.failed > 0) {
                    say!("`d365map dead-letters list` shows what was not written, `d365map dead-letters retry` puts it back");
                }
                Exit::Findings
            } else {
                Exit::Clean
            }
        }
        Err(error @ RunError::Rejected { .. }) => {
            fail(&error.to_string());
            Exit::Findings
        }
        Err(error) => fail(&format!("{error}\nNothing is lost: the next run goes on from where this one stood (`d365map status`)")),
    }
}

/// A summary and the calls made, for people.
pub fn describe(summary: &Summary, calls: &CallStats) -> String {
    let mut out = String::new();
    for flow in &summary.flows {
        out.push_str(&format!("{}: {}\n{}", flow.mapping, summary.outcome, flow.describe()));
    }
    for name in &summary.left_out {
        out.push_str(&format!("{name}: STOPPED, and left out; `d365map start {name}` takes it in again\n"));
    }
    for (name, reason) in &summary.failed {
        out.push_str(&format!("{name}: FAILED: {}\n", printable::indented(reason, 2)));
    }
    out.push_str(&format!("calls: {calls}\n"));
    out.push_str(&format!("time: {:.1} s\n", summary.milliseconds as f64 / 1000.0));
    out
}

fn dry(project: &Project, plan: &Arc<ExecutionPlan>, options: &Options, format: Format) -> Exit {
    let (http, clients) = match services::of_plan(project, plan, None) {
        Ok(both) => both,
        Err(error) => return fail(&error),
    };
    let store = match Store::open_read(&project.state) {
        Err(StateError::NotFound { .. }) => Store::in_memory(),
        other => other,
    };
    let store = match store {
        Ok(store) => store,
        Err(error) => return fail(&error.to_string()),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(dry_with_signals(plan, &clients, &store, options));
    match result {
        Ok((dry, reports)) => {
            match format {
                Format::Human => {
                    print(&dry.flows.iter().map(crate::run::DryFlow::describe).collect::<String>());
                    print(&dry.orphans.iter().map(|o| format!("{}\n", o.describe_orphan())).collect::<String>());
                    print(&dry.events.iter().map(crate::run::DryEvents::describe).collect::<String>());
                    print(&reports.iter().map(Reconciliation::describe).collect::<String>());
                    say!("nothing was written; `d365map run` does it ({})", http.stats());
                }
                Format::Json => {
                    print_json(&format!("{}\n", json!({"version": 1, "dry_run": dry, "reconciliations": reports, "calls": http.stats()})))
                }
            }
            if dry.flows.iter().any(|f| f.rejected > 0) { Exit::Findings } else { Exit::Clean }
        }
        Err(error) => fail(&error.to_string()),
    }
}

/// What mappings and opt-outs would write.
async fn dry_with_signals(
    plan: &Arc<ExecutionPlan>,
    clients: &Services,
    store: &Store,
    options: &Options,
) -> Result<(DryRun, Vec<Reconciliation>), RunError> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone());
    let dry = dry_run(plan, clients, store, options, &stop).await?;
    let reports = dry_run_of_optouts(plan, clients, store, options, &stop).await?;
    Ok((dry, reports))
}
