//! `d365map replay`: all records of a mapping are read and compared again.

use std::path::PathBuf;

use super::output::fail;
use super::run::{Format, Prepared, Watched, options, prepare, refuse_drift, wet};
use super::{Exit, Global, limits};
use crate::run::Pace;
use crate::state::{MassLimits, Store, run_in_progress};

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The mapping whose records are all read again.
    mapping: String,
    /// Just note it: the next run reads everything. Beside a running `run --watch` this is what happens anyway, at once.
    #[arg(long)]
    later: bool,
    /// Replay 2,000,000 records or more too.
    #[arg(long)]
    ignore_limits: bool,
    /// A compiled plan; without it, the project's mappings are compiled.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Start even where the services have changed in a way that breaks the mappings. Records may fail or be written wrongly.
    #[arg(long)]
    ignore_drift: bool,
    /// Let the full load delete records, and empty fields, as many as it likes; without it, a large share needs approval.
    #[arg(long)]
    allow_mass_delete: bool,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Marks a mapping for a full load, and runs it.
pub fn run(args: &Args, global: &Global) -> Exit {
    let mut prepared = match prepare(args.plan.as_deref(), global) {
        Ok(prepared) => prepared,
        Err(exit) => return exit,
    };
    let Some(flow) = prepared.plan.flow(&args.mapping).cloned() else {
        if crate::run::workflows(&prepared.plan).iter().any(|w| w.name == args.mapping) {
            return fail(&format!(
                "`{}` is no mapping to Campaign; opt-outs and events are not replayed (`d365map optout reconcile` compares, `d365map events repair` reads a history)",
                args.mapping
            ));
        }
        let known: Vec<String> = prepared.plan.ingress.iter().map(|f| format!("`{}`", f.name)).collect();
        return fail(&format!("there is no mapping `{}`; the plan has {}", args.mapping, known.join(", ")));
    };
    let beside = match run_in_progress(&prepared.project.state) {
        Ok(beside) => beside,
        Err(error) => return fail(&error.to_string()),
    };
    let later = args.later || beside.is_some();
    if !later
        && let Err(exit) = refuse_drift(&mut prepared, Some(std::slice::from_ref(&args.mapping)), args.ignore_drift, false, global.quiet)
    {
        return exit;
    }
    let Prepared { project, plan, .. } = prepared;
    if !args.ignore_limits
        && let Err(error) = limits::refuse_replay(&project, &flow)
    {
        return fail(&error);
    }
    if later {
        if let Err(error) = Store::open(&project.state).and_then(|store| store.request_replay(&flow.name)) {
            return fail(&error.to_string());
        }
        if !global.quiet {
            match beside {
                Some(holder) => say!(
                    "asked {holder} to read all records of `{0}` again: at once where it watches `{0}`, otherwise the next run does; `d365map status` shows it",
                    flow.name
                ),
                None => say!("the next run reads all records of `{}` again", flow.name),
            }
        }
        return Exit::Clean;
    }
    if let Err(error) = Store::open_for_run(&project.state).and_then(|store| store.reset_for_replay(&flow.name, &flow.fingerprint())) {
        return fail(&error.to_string());
    }
    let mut options = options(&project, Pace::Once, vec![args.mapping.clone()]);
    if args.allow_mass_delete {
        options.mass_limits = MassLimits::unlimited();
    }
    wet(
        &project,
        plan,
        options,
        args.format,
        global.quiet,
        Watched { plan: None, ignore_drift: args.ignore_drift, approved: Vec::new(), approve_all: false },
    )
}
