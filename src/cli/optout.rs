//! `d365map optout`: what the two sides of a flow of opt-outs disagree about, and the yes to writing it.

use std::path::PathBuf;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::output::{fail, print};
use super::run::{Format, prepared, runtime, stop_on_signals};
use super::{Exit, Global, services};
use crate::run::{Reconciliation, accept_reconciliation, check_environment, reconcile};
use crate::state::{StateError, Store};

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
    /// The mapping; without it, all that have an opt-out block in which Campaign is a source.
    mapping: Option<String>,
    /// Say yes to the differences: the next run writes them. The services are not written by this command.
    #[arg(long, conflicts_with = "dry_run")]
    accept: bool,
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
pub fn run(args: &Args, global: &Global) -> Exit {
    match &args.command {
        Command::Reconcile(args) => compare(args, global),
    }
}

fn compare(args: &ReconcileArgs, global: &Global) -> Exit {
    let (project, plan, options) = match prepared(args.plan.as_deref(), Vec::new(), global) {
        Ok(both) => both,
        Err(exit) => return exit,
    };
    if plan.optouts.is_empty() {
        return fail("no mapping has an opt-out block in which Campaign is a source; write `optout NAME { direction bidirectional … }`");
    }
    let (http, clients) = match services::of_plan(&project, &plan, None) {
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
        // What is approved here is approved for the environment that the state belongs to.
        match Store::open_read(&project.state) {
            Ok(store) => check_environment(&clients, &store).await?,
            Err(StateError::NotFound { .. } | StateError::OlderFormat { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        reconcile(&plan, &clients, &options, args.mapping.as_deref(), &stop).await
    });
    let reports = match result {
        Ok(reports) => reports,
        Err(error) => return fail(&error.to_string()),
    };
    if args.accept {
        let accepted = Store::open(&project.state)
            .and_then(|store| reports.iter().try_for_each(|report| accept_reconciliation(&store, &plan, &report.mapping)));
        if let Err(error) = accepted {
            return fail(&error.to_string());
        }
    }
    match args.format {
        Format::Human => {
            print(&reports.iter().map(Reconciliation::describe).collect::<String>());
            if !global.quiet {
                eprintln!("{}", next(args.accept, reports.iter().map(Reconciliation::writes).sum()));
            }
        }
        Format::Json => {
            print(&format!("{}\n", json!({"version": 1, "accepted": args.accept, "reconciliations": reports, "calls": http.stats()})));
        }
    }
    if args.accept || reports.iter().all(|report| report.writes() == 0) { Exit::Clean } else { Exit::Findings }
}

fn next(accepted: bool, writes: u64) -> &'static str {
    match (accepted, writes) {
        (_, 0) => "the two sides agree; `d365map run` keeps them so",
        (true, _) => "noted; `d365map run` compares again and writes what then differs",
        (false, _) => {
            "nothing was written; `d365map optout reconcile --accept` says that this is meant, and the next `d365map run` writes it"
        }
    }
}
