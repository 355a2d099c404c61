//! `d365map status`: where every flow stands.

use super::output::{fail, print, stderr_style};
use super::run::Format;
use super::{Exit, Global, files};
use crate::project::Project;
use crate::state::{Phase, StateError, Status, Store};
use crate::time;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The project, or the exit status of a call outside of one.
pub fn need_project(global: &Global) -> Result<Project, Exit> {
    let found = files::project(global.project.as_deref(), stderr_style());
    found.and_then(|p| p.ok_or(files::FilesError::NoProject)).map_err(|e| fail(&e.to_string()))
}

/// Prints the status.
pub fn run(args: &Args, global: &Global) -> Exit {
    let project = match need_project(global) {
        Ok(project) => project,
        Err(exit) => return exit,
    };
    let status = match Store::open_read(&project.state).and_then(|store| store.status()) {
        Ok(status) => status,
        Err(StateError::NotFound { .. }) => Status { mappings: Vec::new(), last_run: None },
        Err(error) => return fail(&error.to_string()),
    };
    match args.format {
        Format::Json => print(&format!("{}\n", serde_json::json!({"version": 1, "status": status}))),
        Format::Human => print(&describe(&status)),
    }
    Exit::Clean
}

fn describe(status: &Status) -> String {
    if status.mappings.is_empty() {
        return "nothing has run yet; begin with `d365map run`\n".to_owned();
    }
    let mut out = String::new();
    for m in &status.mappings {
        let stands = match &m.cursor {
            None => "has not run".to_owned(),
            Some(c) => {
                let phase = match (c.phase, c.link.is_some()) {
                    (Phase::Delta, _) => "follows changes",
                    (Phase::Full, true) => "in a full load",
                    (Phase::Full, false) => "at the start of a full load",
                };
                format!("{phase} (since a {} load), last moved {}", c.reason, time::format_instant(c.updated_at))
            }
        };
        out.push_str(&format!("{}: {stands}\n", m.mapping));
        let b = &m.backlog;
        out.push_str(&format!(
            "  backlog       {:>8}   {} waiting, {} of them put off, {} in hand\n",
            b.total(),
            b.ready,
            b.delayed,
            b.claimed
        ));
        for w in &b.waiting_for {
            out.push_str(&format!(
                "                {:>8}   for records of `{}`, such as {}, which waits for {}\n",
                w.records, w.parent, w.example, w.example_parent
            ));
        }
        out.push_str(&format!("  dead letters  {:>8}   {} being retried\n", m.dead_letters, m.retrying));
        out.push_str(&format!("  records       {:>8}   at the target\n", m.ledger_rows));
    }
    if let Some(run) = &status.last_run {
        let end = match (&run.outcome, run.ended_at) {
            (Some(outcome), Some(at)) => format!("{outcome} {}", time::format_instant(at)),
            _ => format!("running as process {} on {}", run.pid, run.host),
        };
        out.push_str(&format!("last run: {} ({}), started {}, {end}\n", run.id, run.kind, time::format_instant(run.started_at)));
    }
    out
}
