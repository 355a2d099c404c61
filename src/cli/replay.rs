//! `d365map replay`: all records of a mapping are read and compared again.

use std::path::PathBuf;

use super::prepare::{Prepared, prepare, refuse_drift};
use super::remote::{Remote, Server};
use super::run::{Format, Watched, real_run};
use super::{Exit, Global};
use crate::app::{CommandError, limits, operate, options, runtime, state};
use crate::run::Pace;
use crate::serve::{ReplayChoice, WishDocument};
use crate::store::{Access, Holder, MassLimits, Reason};

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The mapping whose records are all read again.
    mapping: String,
    #[command(flatten)]
    server: Server,
    /// Just note it: the next run reads everything. Beside a running `run --watch` this is what happens anyway, at once.
    #[arg(long)]
    later: bool,
    /// Replay 2,000,000 records or more too.
    #[arg(long)]
    ignore_limits: bool,
    /// A compiled plan; without it, the project's mappings are compiled.
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    plan: Option<PathBuf>,
    /// Start even where the services have changed in a way that breaks the mappings. Records may fail or be written wrongly.
    #[arg(long, conflicts_with = "server")]
    ignore_drift: bool,
    /// Let the full load delete records, and empty fields, as many as it likes; without it, a large share needs approval.
    #[arg(long, conflicts_with = "server")]
    allow_mass_delete: bool,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Marks a mapping for a full load, and runs it.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    let asked = runtime()?.block_on(async {
        // One runtime for all requests: a connection that is kept belongs to the runtime that made it.
        match args.server.project(global).await? {
            Some(remote) => there(args, &remote, global.quiet).await.map(Some),
            None => Ok(None),
        }
    });
    if let Some(exit) = asked? {
        return Ok(exit);
    }
    let mut prepared = prepare(args.plan.as_deref(), global)?;
    let flow = operate::replayable(&prepared.plan, &args.mapping)?.clone();
    let beside = runtime()?.block_on(state::run_in_progress(&prepared.project))?;
    let later = args.later || beside.is_some();
    if !later {
        refuse_drift(&mut prepared, Some(std::slice::from_ref(&args.mapping)), args.ignore_drift, false, global.quiet)?;
    }
    let Prepared { project, plan, .. } = prepared;
    if later {
        operate::request_replay(&project, &flow, args.ignore_limits)?;
        if !global.quiet {
            say!("{}", requested(&flow.name, beside.as_ref()));
        }
        return Ok(Exit::Clean);
    }
    if !args.ignore_limits {
        limits::refuse_replay(&project, &flow)?;
    }
    runtime()?.block_on(async {
        let stores = state::open(&project, Access::Run).await?;
        stores.cursors.restart(&flow.name, Reason::Replay, &flow.fingerprint()).await
    })?;
    let mut options = options::of_project(&project, Pace::Once, vec![args.mapping.clone()]);
    if args.allow_mass_delete {
        options.mass_limits = MassLimits::unlimited();
    }
    real_run(
        &project,
        plan,
        options,
        args.format,
        global.quiet,
        Watched { plan: None, ignore_drift: args.ignore_drift, approved: Vec::new(), approve_all: false, interval: None },
    )
}

/// Has a server do it, in its next round.
async fn there(args: &Args, remote: &Remote, quiet: bool) -> Result<Exit, CommandError> {
    let choice = ReplayChoice { ignore_limits: args.ignore_limits };
    let told: WishDocument = remote.post(&["workflows", &args.mapping, "replay"], &choice).await?;
    if !quiet {
        say!("{}", requested(&args.mapping, told.process.as_ref()));
    }
    Ok(Exit::Clean)
}

/// What a replay that was requested means.
fn requested(name: &str, beside: Option<&Holder>) -> String {
    match beside {
        Some(holder) => format!(
            "asked {holder} to read all records of `{name}` again: at once where it watches `{name}`, otherwise the next run does; `d365map status` shows it"
        ),
        None => format!("the next run reads all records of `{name}` again"),
    }
}
