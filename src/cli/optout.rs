//! `d365map optout`: what the two sides of a workflow of opt-outs disagree about, and the approval to write it.

use std::path::PathBuf;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::output::{print, print_json};
use super::prepare::{Prepared, prepare};
use super::run::Format;
use super::signals::stop_on_signals;
use super::{Exit, Global};
use crate::app::operate::{cannot_be_left, compare_optouts, decide_optouts, need_optouts};
use crate::app::{CommandError, runtime, services, state};
use crate::run::Reconciliation;
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
    need_optouts(&plan)?;
    if args.keep
        && let Some(other) = cannot_be_left(&plan, args.mapping.as_deref())
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
        compare_optouts(&project, &plan, &clients, args.mapping.as_deref(), &stop).await
    })?;
    let approval = if args.accept { Some(Approval::Write) } else { args.keep.then_some(Approval::Leave) };
    if let Some(approval) = approval {
        runtime.block_on(async {
            let stores = state::open(&project, Access::Write).await?;
            decide_optouts(&stores, &plan, reports.iter().map(|report| &*report.mapping), approval).await
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
