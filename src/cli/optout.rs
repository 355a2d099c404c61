//! `d365map optout`: what the two sides of a workflow of opt-outs disagree about, and the approval to write it.

use std::path::PathBuf;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::output::{print, print_json};
use super::prepare::{Prepared, prepare};
use super::run::Format;
use super::signals::stop_on_signals;
use super::{Exit, Global};
use crate::app::{CommandError, options, runtime, services, state};
use crate::plan::Direction;
use crate::run::{Pace, Reconciliation, check_environment, decide_reconciliation, reconcile};
use crate::store::{Access, Approval};

/// Arguments of `optout`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Compare the opt-outs of both systems and show what would be written and why. Nothing is written.
    Reconcile(ReconcileArgs),
}

#[derive(Debug, clap::Args)]
struct ReconcileArgs {
    /// The mapping; without it, all that have an opt-out block.
    mapping: Option<String>,
    /// Approve the differences: the next run writes them. The services are not written by this command.
    #[arg(long, conflicts_with = "dry_run")]
    accept: bool,
    /// Leave opt-outs that only Campaign has as they are (`direction d365-to-campaign`): runs no longer ask about them.
    #[arg(long, conflicts_with_all = ["dry_run", "accept"])]
    keep: bool,
    /// Show the differences and note nothing (this is the default).
    #[arg(long)]
    dry_run: bool,
    /// A compiled plan; without it, the project's mappings are compiled.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// How the comparison is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    match &args.command {
        Command::Reconcile(args) => compare(args, global),
    }
}

fn compare(args: &ReconcileArgs, global: &Global) -> Result<Exit, CommandError> {
    let Prepared { project, plan, .. } = prepare(args.plan.as_deref(), global)?;
    let options = options::of_project(&project, Pace::Once, Vec::new());
    if plan.optouts.is_empty() {
        return Err(CommandError::usage("no mapping has an opt-out block; write `optout NAME { direction bidirectional … }`"));
    }
    if args.keep
        && let Some(other) = plan
            .optouts
            .iter()
            .find(|flow| flow.direction != Direction::D365ToCampaign && args.mapping.as_ref().is_none_or(|name| *name == flow.mapping))
    {
        return Err(CommandError::usage(format!(
            "`--keep` is for `direction d365-to-campaign`, and the opt-outs of `{}` have another direction: there an opt-out of either side goes \
             over to the other; name a mapping, or use `--accept`",
            other.mapping
        )));
    }
    let (http, clients) = services::of_plan(&project, &plan, Some(&[]), None)?;
    let runtime = runtime()?;
    let reports = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signals(stop.clone());
        // What is approved here is approved for the environment that the state belongs to.
        if let Some(stores) = state::open_if_current(&project).await? {
            check_environment(&clients, &stores).await?;
        }
        reconcile(&plan, &clients, &options, args.mapping.as_deref(), &stop).await
    })?;
    let approval = if args.accept { Some(Approval::Write) } else { args.keep.then_some(Approval::Leave) };
    if let Some(approval) = approval {
        runtime.block_on(async {
            let stores = state::open(&project, Access::Write).await?;
            for report in &reports {
                decide_reconciliation(&stores, &plan, &report.mapping, approval).await?;
            }
            Ok::<(), CommandError>(())
        })?;
    }
    let open: u64 = reports.iter().map(|report| report.writes() + report.held()).sum();
    match args.format {
        Format::Human => {
            print(&reports.iter().map(Reconciliation::describe).collect::<String>());
            if !global.quiet {
                say!("{}", next(approval, open));
            }
        }
        Format::Json => {
            print_json(&format!(
                "{}\n",
                json!({"version": 1, "accepted": args.accept, "kept": args.keep, "reconciliations": reports, "calls": http.stats()})
            ));
        }
    }
    Ok(if approval.is_some() || open == 0 { Exit::Clean } else { Exit::Findings })
}

fn next(approval: Option<Approval>, differences: u64) -> &'static str {
    match (approval, differences) {
        (_, 0) => "there is nothing to write; `d365map run` keeps both sides in sync",
        (Some(Approval::Write), _) => "approved; `d365map run` compares again and writes the differences",
        (Some(Approval::Leave), _) => "noted; opt-outs that only Campaign has stay, and `d365map run` no longer asks about them",
        (None, _) => "nothing was written; `d365map optout reconcile --accept` approves this, and the next `d365map run` writes it",
    }
}
