//! `d365map plan`: what the runner would do, for people, and what that costs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::compile::load;
use super::output::{print, print_json, stderr_style};
use super::{Exit, Global};
use crate::app::limits::{counts, logical_name};
use crate::app::plan::read_plan;
use crate::app::{AppError, CommandError, files, revision, runtime, state};
use crate::diagnostics::render::{Format, render};
use crate::plan::changes::changes;
use crate::plan::estimate::{Pace, estimate};
use crate::plan::{ExecutionPlan, describe};
use crate::project::{Limits, Project};
use crate::run::workflows;
use crate::store::StoreError;
use crate::system::SystemId;
use crate::systems::dataverse::ROWS_PER_REQUEST;

/// The formats of `plan`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum PlanFormat {
    /// For people.
    #[default]
    Human,
    /// The plan itself; with --estimate the estimate, with --against the changes.
    Json,
}

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders, or one compiled plan (*.json); without them the mapping folder of the project.
    paths: Vec<PathBuf>,
    /// Show what it costs: calls by the vendor's rule and here, and the time under the project's limits.
    #[arg(long, group = "costs")]
    estimate: bool,
    /// Show what has changed since a compiled plan (FILE.json) or a revision of the Git repository, such as HEAD or main, and what the
    /// change costs.
    #[arg(long, value_name = "FILE|REVISION", group = "costs")]
    against: Option<String>,
    /// Show which records of Campaign the mappings with an `adopt` line would take over, which they would create, and which are
    /// ambiguous. Reads Dynamics 365 and Campaign, and writes nothing.
    #[arg(long, conflicts_with = "costs")]
    adopt: bool,
    /// With --adopt: show the values by which records are found. They may be personal data.
    #[arg(long, requires = "adopt")]
    show_values: bool,
    /// The number of records or events of a workflow. Otherwise, --estimate asks Dataverse, and --against takes the number of records that
    /// the state has.
    #[arg(long, value_name = "NAME=N", requires = "costs", value_parser = number)]
    records: Vec<(String, u64)>,
    /// Assumed time of one request with its answer.
    #[arg(long, value_name = "MILLISECONDS", requires = "estimate", default_value_t = 200)]
    latency: u64,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    format: PlanFormat,
}

fn number(text: &str) -> Result<(String, u64), String> {
    let (name, number) = text.split_once('=').ok_or("write NAME=N, as in contacts=100000")?;
    // As people write large numbers: 100_000, 100,000.
    let digits: String = number.chars().filter(|c| !matches!(c, '_' | ',')).collect();
    let number = digits.parse().map_err(|_| format!("`{number}` is not a number of records"))?;
    Ok((name.to_owned(), number))
}

/// Prints what the runner would do.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let plan = match args.paths.as_slice() {
        [one] if one.extension().is_some_and(|e| e == "json") => read_plan(one).map_err(AppError::from)?,
        paths => load(paths, global)?,
    };
    if args.adopt {
        return super::plan_adopt::run(plan, args.format == PlanFormat::Json, args.show_values, global);
    }
    if let Some(old) = &args.against {
        print(&against(args, old, &plan, global)?);
        return Ok(Exit::Clean);
    }
    if args.estimate {
        print(&cost(args, &plan, global)?);
        return Ok(Exit::Clean);
    }
    match args.format {
        PlanFormat::Human => print(&describe(&plan)),
        PlanFormat::Json => print_json(&plan.to_json()),
    }
    Ok(Exit::Clean)
}

/// What has changed since an old plan.
fn against(args: &Args, old: &str, plan: &ExecutionPlan, global: &Global) -> Result<String, CommandError> {
    let project = files::project(global.project.as_deref())?;
    let before = if Path::new(old).is_file() {
        read_plan(Path::new(old)).map_err(AppError::from)?
    } else {
        let project = project.as_ref().ok_or_else(|| CommandError::from(files::FilesError::NoProject))?;
        let (_folder, group) = revision::at(project, old).map_err(AppError::from)?;
        let compiled = group.compile();
        let errors = render(&compiled.diagnostics, &compiled.sources, Format::Human, stderr_style());
        compiled.plan.ok_or_else(|| CommandError::findings(format!("{errors}the mapping files of `{old}` have errors")))?
    };
    let mut records: BTreeMap<String, u64> = args.records.iter().cloned().collect();
    refuse_unknown(plan, &records)?;
    if let Some(project) = &project {
        let stored = match runtime()?.block_on(state::status(project)) {
            Ok(status) => status.mappings,
            Err(StoreError::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        for mapping in stored {
            let count = mapping.pairs.map_or(mapping.ledger_rows, |pairs| pairs.linked + pairs.single);
            records.entry(mapping.mapping).or_insert(count);
        }
    }
    let page_size = project.as_ref().map(|p| p.limits.page_size).unwrap_or_else(|| Limits::default().page_size);
    let changes = changes(&before, plan, &records, page_size);
    Ok(match args.format {
        PlanFormat::Human => changes.describe(),
        PlanFormat::Json => format!("{}\n", serde_json::json!({"version": 1, "changes": changes})),
    })
}

fn refuse_unknown(plan: &ExecutionPlan, records: &BTreeMap<String, u64>) -> Result<(), CommandError> {
    let Some(name) = records.keys().find(|name| !workflows_of(plan).contains(*name)) else { return Ok(()) };
    let known = workflows_of(plan).into_iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    Err(CommandError::usage(format!("there is no workflow `{name}` in the plan; it has {known}")))
}

fn cost(args: &Args, plan: &ExecutionPlan, global: &Global) -> Result<String, CommandError> {
    let project = files::project(global.project.as_deref())?;
    let mut records: BTreeMap<String, u64> = args.records.iter().cloned().collect();
    refuse_unknown(plan, &records)?;
    ask(plan, project.as_ref(), &mut records)?;
    let limits = project.as_ref().map(|p| p.limits.clone()).unwrap_or_default();
    let pace = pace(&limits, args.latency);
    let estimate = estimate(plan, &records, pace);
    Ok(match args.format {
        PlanFormat::Human => estimate.describe(),
        PlanFormat::Json => format!("{}\n", serde_json::json!({"version": 1, "estimate": estimate})),
    })
}

/// All that can be given a number: the plan's workflows, opt-outs whether this version runs them or not, and the tables that mappings
/// follow beside their own.
fn workflows_of(plan: &ExecutionPlan) -> BTreeSet<String> {
    let optouts = plan.optouts.iter().map(crate::plan::OptoutFlow::workflow);
    workflows(plan).into_iter().map(|w| w.name).chain(optouts).chain(followed(plan)).collect()
}

/// The tables that mappings follow beside their own: `d365.account`.
fn followed(plan: &ExecutionPlan) -> BTreeSet<String> {
    plan.ingress.iter().flat_map(|flow| &flow.related.tables).map(|table| table.table.clone()).collect()
}

/// Asks Dataverse for the numbers of records that were not given.
fn ask(plan: &ExecutionPlan, project: Option<&Project>, records: &mut BTreeMap<String, u64>) -> Result<(), CommandError> {
    let open: Vec<_> = plan.ingress.iter().filter(|f| !records.contains_key(&f.name)).collect();
    let followed: Vec<String> = followed(plan).into_iter().filter(|table| !records.contains_key(table)).collect();
    if open.is_empty() && followed.is_empty() {
        return Ok(());
    }
    let names = open.iter().map(|f| &f.name).chain(&followed);
    let names = names.map(|name| format!("--records {name}=N")).collect::<Vec<_>>().join(" ");
    let without = |error: CommandError| error.context("the number of records is not known").hint(format!("say it yourself: {names}"));
    let missing = || CommandError::usage("there is no project with a connection to Dynamics");
    let project = project.ok_or_else(|| without(missing()))?;
    let within = |table: &String| table.split_once('.').map_or(table.clone(), |(_, name)| name.to_owned());
    let tables: BTreeSet<String> = open.iter().map(|f| logical_name(f)).chain(followed.iter().map(within)).collect();
    let counts = counts(project, &tables).map_err(|e| without(e.into()))?;
    for flow in open {
        if let Some(count) = counts.get(&logical_name(flow)) {
            records.insert(flow.name.clone(), *count);
        }
    }
    for table in followed {
        if let Some(count) = counts.get(&within(&table)) {
            records.insert(table, *count);
        }
    }
    Ok(())
}

fn pace(limits: &Limits, latency: u64) -> Pace {
    Pace {
        page_size: limits.page_size,
        bulk_size: u32::try_from(ROWS_PER_REQUEST).unwrap_or(u32::MAX),
        concurrency: limits.concurrency,
        latency_milliseconds: latency,
        dynamics_per_second: limits.requests_per_second.get(&SystemId::D365).copied(),
        campaign_per_second: limits.requests_per_second.get(&SystemId::Campaign).copied(),
        dynamics_per_day: limits.requests_per_day.get(&SystemId::D365).copied(),
        campaign_per_day: limits.requests_per_day.get(&SystemId::Campaign).copied(),
    }
}
