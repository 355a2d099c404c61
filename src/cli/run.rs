//! `d365map run`: executes a plan.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::output::{print, print_json, warning};
use super::prepare::{Prepared, prepare, refuse_drift};
use super::progress::Progress;
use super::signals::{reload_on_hangup, stop_on_signals};
use super::{Exit, Global};
use crate::app::limits::{self, FirstLoad};
use crate::app::notify::Channels;
use crate::app::reload::{Fixed, Reloader};
use crate::app::watching::Watching;
use crate::app::{CommandError, operate, options, runtime, service_manager, services, sign_in, state, webhook};
use crate::connect::CallStats;
use crate::count::counted;
use crate::plan::ExecutionPlan;
use crate::printable;
use crate::project::Project;
use crate::run::{
    Counters, DryRun, Options, Pace, Publisher, Reconciliation, RunError, Services, Shown, ShownRecord, ShownRecords, ShownResult, Summary,
    dry_run, dry_run_of_optouts, run as execute, show, workflows,
};
use crate::store::{Access, MassChange, MassLimits, Outbox, Stores};

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
    /// With --dry-run: show one record by its id in Dynamics, with what it is made of, what Campaign has and what would be written.
    /// Can be repeated.
    #[arg(long, value_name = "ID", requires = "dry_run")]
    show: Vec<String>,
    /// With --dry-run: show the first N records of each mapping in the same way.
    #[arg(long, value_name = "N", requires = "dry_run", conflicts_with = "show", value_parser = clap::value_parser!(u32).range(1..=1000))]
    sample: Option<u32>,
    /// Show the values of records even if the output is not a terminal. They may be personal data.
    #[arg(long, requires = "dry_run")]
    show_values: bool,
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

    /// The records that are to be shown, if any.
    fn shown(&self) -> Option<Shown> {
        match self.sample {
            Some(records) => Some(Shown::Sample(records)),
            None => Some(self.show.clone()).filter(|ids| !ids.is_empty()).map(Shown::Ids),
        }
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

/// Runs.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let mut prepared = prepare(args.plan.as_deref(), global)?;
    let wanted = (!args.mapping.is_empty()).then_some(args.mapping.as_slice());
    refuse_drift(&mut prepared, wanted, args.ignore_drift, args.watch, global.quiet)?;
    let Prepared { project, plan, .. } = prepared;
    let interval = args.interval.map_or(project.limits.watch_interval, std::time::Duration::from_secs);
    let pace = if args.watch { Pace::Watch { interval } } else { Pace::Once };
    let mut options = options::of_project(&project, pace, args.mapping.clone());
    if args.allow_mass_delete {
        options.mass_limits = MassLimits::unlimited();
    }
    options.optouts.accept = args.accept_reconciliation;
    if args.dry_run
        && let Some(shown) = args.shown()
    {
        return show_records(&project, &plan, &options, &shown, args);
    }
    if args.dry_run {
        return dry(&project, &plan, &options, args.format);
    }
    operate::refuse_unknown_schedule(&project, &plan)?;
    if !args.ignore_limits
        && let FirstLoad::Unknown(error) = limits::refuse_initial(&project, &plan, options.mappings.as_deref())?
        && !global.quiet
    {
        say!("warning: the number of records to load is not known: {error}");
    }
    let source = Watched {
        plan: args.plan.clone(),
        ignore_drift: args.ignore_drift,
        approved: args.approve_mass_change.clone(),
        approve_all: args.allow_mass_delete,
        interval: args.interval.map(std::time::Duration::from_secs),
    };
    real_run(&project, plan, options, args.format, global.quiet, source)
}

/// What a watch needs to take up changed mapping files.
pub(super) struct Watched {
    pub(super) plan: Option<PathBuf>,
    pub(super) ignore_drift: bool,
    /// Workflows whose held changes are approved.
    pub(super) approved: Vec<String>,
    /// Those of all workflows are.
    pub(super) approve_all: bool,
    /// The interval of the command line.
    pub(super) interval: Option<std::time::Duration>,
}

pub(super) fn real_run(
    project: &Project,
    plan: Arc<ExecutionPlan>,
    options: Options,
    format: Format,
    quiet: bool,
    watched: Watched,
) -> Result<Exit, CommandError> {
    let webhook = match options.pace {
        Pace::Once => None,
        Pace::Watch { .. } => webhook::bind(project, &plan, options.mappings.as_deref()).map_err(not_received)?,
    };
    let runtime = runtime()?;
    let (stores, spent) = runtime.block_on(async {
        let stores = state::open(project, Access::Run).await?;
        approve(&*stores.outbox, &plan, &watched, quiet).await?;
        let spent = services::spent_today(&stores).await?;
        Ok::<_, CommandError>((stores, spent))
    })?;
    let (http, clients) = services::of_plan(project, &plan, options.mappings.as_deref(), Some(&spent))?;
    let upkeep = match options.pace {
        Pace::Once => Vec::new(),
        // A sign-in that cannot be kept alive does not keep the workflows from running.
        Pace::Watch { .. } => sign_in::upkeep(project).unwrap_or_else(|error| {
            warning(&format!("the sign-in to Partner Center is not kept alive: {error}"));
            Vec::new()
        }),
    };
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signals(stop.clone());
        let counters = Arc::new(Counters::default());
        let progress = Progress::start(counters.clone(), quiet);
        let events = Publisher::to(counters);
        let result = match options.pace {
            Pace::Once => {
                let usage = services::UsageLog::start(stores.usage.clone(), http.clone());
                let result = execute(plan, clients, stores, options, events, stop).await;
                usage.end().await;
                result
            }
            Pace::Watch { .. } => {
                let Watched { plan: plan_file, ignore_drift, approve_all, interval, .. } = watched;
                let (reloader, settings) = Reloader::new(project, Fixed { interval, unlimited: approve_all });
                reload_on_hangup(reloader, |reloader| drop(reloader.reload_and_log()));
                let watching = Watching {
                    name: project.name(),
                    channels: Channels::of(project).map_err(CommandError::usage)?,
                    settings: Some(settings),
                    started: None,
                    project: project.clone(),
                    http: http.clone(),
                    services: clients,
                    plan_file,
                    ignore_drift,
                    plan,
                    stores,
                    webhook,
                    upkeep,
                };
                let _watchdog = service_manager::feed_watchdog();
                service_manager::ready();
                watching.go(options, events, stop).await.map_err(not_received)?
            }
        };
        drop(progress);
        Ok::<_, CommandError>(result)
    })?;
    report(result, &http.stats(), format)
}

/// The address for notifications cannot be served: nothing has run.
fn not_received(error: webhook::WebhookError) -> CommandError {
    let hint = error.hint();
    let error = CommandError::usage(error);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Approves what workflows hold before the run begins.
async fn approve(outbox: &dyn Outbox, plan: &ExecutionPlan, watched: &Watched, quiet: bool) -> Result<(), CommandError> {
    let names: Vec<String> = match watched.approve_all {
        true => workflows(plan).into_iter().map(|w| w.name).collect(),
        false => watched.approved.clone(),
    };
    for name in names {
        // What a source without any record would delete is approved by the workflow's name alone.
        let empty = |change: MassChange| change.source_empty;
        if watched.approve_all && !watched.approved.contains(&name) && outbox.mass_change(&name).await?.is_some_and(empty) {
            continue;
        }
        match outbox.approve_mass_change(&name).await? {
            Some(count) if !quiet => say!("{name}: approved {}", counted(count, "held change")),
            Some(_) => {}
            None if watched.approve_all => {}
            None => return Err(operate::nothing_held(&name)),
        }
    }
    Ok(())
}

fn report(result: Result<Summary, RunError>, calls: &CallStats, format: Format) -> Result<Exit, CommandError> {
    let summary = match result {
        Ok(summary) => summary,
        Err(error @ RunError::Rejected { .. }) => return Err(error.into()),
        Err(error) => {
            let hint = "Nothing is lost: the next run continues where this one stopped (`d365map status`)";
            return Err(CommandError::from(error).hint(hint));
        }
    };
    match format {
        Format::Human => print(&describe(&summary, calls)),
        Format::Json => print_json(&format!("{}\n", json!({"version": 1, "summary": summary, "calls": calls}))),
    }
    if !summary.needs_attention() {
        return Ok(Exit::Clean);
    }
    if format == Format::Human && summary.flows.iter().any(|f| f.rejected + f.failed > 0) {
        say!("`d365map dead-letters list` shows what was not written, `d365map dead-letters retry` queues it again");
    }
    Ok(Exit::Findings)
}

/// A summary and the calls made, for people.
pub fn describe(summary: &Summary, calls: &CallStats) -> String {
    let mut out = String::new();
    for flow in &summary.flows {
        out.push_str(&format!("{}: {}\n{}", flow.mapping, summary.outcome, flow.describe()));
    }
    for name in &summary.left_out {
        out.push_str(&format!("{name}: STOPPED, and left out; `d365map start {name}` starts it again\n"));
    }
    for (name, reason) in &summary.failed {
        out.push_str(&format!("{name}: FAILED: {}\n", printable::indented(reason, 2)));
    }
    out.push_str(&format!("calls: {calls}\n"));
    out.push_str(&format!("time: {:.1} s\n", summary.milliseconds as f64 / 1000.0));
    out
}

fn dry(project: &Project, plan: &Arc<ExecutionPlan>, options: &Options, format: Format) -> Result<Exit, CommandError> {
    let (http, clients) = services::of_plan(project, plan, options.mappings.as_deref(), None)?;
    let (mut dry, reports) = runtime()?.block_on(async {
        let stores = state::open_or_empty(project).await?;
        Ok::<_, CommandError>(dry_with_signals(plan, &clients, &stores, options).await?)
    })?;
    // They may be personal data; `plan --adopt --show-values` shows them.
    dry.flows.iter_mut().flat_map(|flow| &mut flow.adoptions).for_each(|adoption| adoption.value = None);
    match format {
        Format::Human => {
            print(&dry.flows.iter().map(crate::run::DryFlow::describe).collect::<String>());
            print(&dry.two_way.iter().map(crate::run::DryPairs::describe).collect::<String>());
            print(&dry.orphans.iter().map(|o| format!("{}\n", o.describe_orphan())).collect::<String>());
            print(&dry.events.iter().map(crate::run::DryEvents::describe).collect::<String>());
            print(&reports.iter().map(Reconciliation::describe).collect::<String>());
            say!("nothing was written; `d365map run` does it ({})", http.stats());
        }
        Format::Json => {
            print_json(&format!("{}\n", json!({"version": 1, "dry_run": dry, "reconciliations": reports, "calls": http.stats()})))
        }
    }
    Ok(if dry.has_rejections() { Exit::Findings } else { Exit::Clean })
}

/// Shows single records. Values go to a terminal, or wherever the user says so: they may be personal data.
fn show_records(project: &Project, plan: &Arc<ExecutionPlan>, options: &Options, shown: &Shown, args: &Args) -> Result<Exit, CommandError> {
    let (_, clients) = services::of_plan(project, plan, options.mappings.as_deref(), None)?;
    let ShownRecords { mut records, two_way } = runtime()?.block_on(async {
        let stores = state::open_or_empty(project).await?;
        Ok::<_, CommandError>(show(plan, &clients, &stores, options, shown).await?)
    })?;
    let values = args.show_values || std::io::stdout().is_terminal();
    match args.format {
        Format::Human => {
            print(&records.iter().map(|record| record.describe(values)).collect::<String>());
            if !values && records.iter().any(|record| matches!(record.result, ShownResult::Mapped { .. })) {
                say!("values are shown on a terminal only; `--show-values` shows them here too");
            }
        }
        Format::Json => {
            if !args.show_values {
                records.iter_mut().for_each(ShownRecord::hide_values);
            }
            let mut document = json!({"version": 1, "records": records});
            if !two_way.is_empty() {
                document["not_shown"] = json!(two_way);
            }
            print_json(&format!("{document}\n"));
        }
    }
    for name in &two_way {
        say!(
            "{name}: single records of a two-way mapping are not shown; `d365map run --dry-run --mapping {name}` shows what would be written on both sides"
        );
    }
    let missing = records.iter().any(|record| matches!(record.result, ShownResult::NotFound | ShownResult::Rejected { .. }));
    Ok(if missing { Exit::Findings } else { Exit::Clean })
}

/// What mappings and opt-outs would write.
async fn dry_with_signals(
    plan: &Arc<ExecutionPlan>,
    clients: &Services,
    stores: &Stores,
    options: &Options,
) -> Result<(DryRun, Vec<Reconciliation>), RunError> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone());
    let dry = dry_run(plan, clients, stores, options, &stop).await?;
    let reports = dry_run_of_optouts(plan, clients, stores, options, &stop).await?;
    Ok((dry, reports))
}
