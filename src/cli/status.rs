//! `d365map status`: where every workflow stands.

use std::collections::BTreeSet;

use super::output::{fail, print, stderr_style};
use super::run::Format;
use super::{Exit, Global, files};
use crate::project::Project;
use crate::state::{Holder, MappingStatus, Phase, StateError, Status, Store, Wish, WorkflowRecord, WorkflowState, run_in_progress};
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
    let process = match run_in_progress(&project.state) {
        Ok(process) => process,
        Err(error) => return fail(&error.to_string()),
    };
    let status = match Store::open_read(&project.state).and_then(|store| store.status()) {
        Ok(status) => status,
        Err(StateError::NotFound { .. }) => Status { mappings: Vec::new(), workflows: Vec::new(), last_run: None },
        Err(error) => return fail(&error.to_string()),
    };
    let status = status.shown(process.as_ref());
    match args.format {
        Format::Json => print(&format!("{}\n", serde_json::json!({"version": 1, "process": process, "status": status}))),
        Format::Human => print(&describe(&status, process.as_ref())),
    }
    Exit::Clean
}

fn describe(status: &Status, process: Option<&Holder>) -> String {
    if status.mappings.is_empty() && status.workflows.is_empty() {
        return "nothing has run yet; begin with `d365map run`\n".to_owned();
    }
    let mut out = match process {
        Some(holder) => format!("running: {holder}\n"),
        None => "nothing runs now\n".to_owned(),
    };
    let names: BTreeSet<&str> =
        status.mappings.iter().map(|m| m.mapping.as_str()).chain(status.workflows.iter().map(|w| w.name.as_str())).collect();
    for name in names {
        let workflow = status.workflows.iter().find(|w| w.name == name);
        out.push_str(&match workflow {
            Some(w) => head(w),
            None => format!("{name}: {}\n", WorkflowState::Stopped),
        });
        if let Some(mapping) = status.mappings.iter().find(|m| m.mapping == name) {
            out.push_str(&counts(mapping));
        }
        if let Some(w) = workflow {
            out.push_str(&notes(w));
        }
    }
    if let Some(run) = &status.last_run {
        let end = match (&run.outcome, run.ended_at, process) {
            (Some(outcome), Some(at), _) => format!("{outcome} {}", time::format_instant(at)),
            (_, _, Some(_)) => format!("running as process {} on {}", run.pid, run.host),
            (_, _, None) => format!("its process {} on {} ended without a word", run.pid, run.host),
        };
        out.push_str(&format!("last run: {} ({}), started {}, {end}\n", run.id, run.kind, time::format_instant(run.started_at)));
    }
    out
}

/// A workflow's state, since when, and why.
fn head(w: &WorkflowRecord) -> String {
    let mut out = format!("{}: {} since {}\n", w.name, w.state, time::format_instant(w.since));
    let wanted = match (w.wish, w.state) {
        (Wish::Stop, WorkflowState::Running | WorkflowState::Starting) => Some("is being stopped; what is in flight is finished first"),
        (Wish::Stop, WorkflowState::Stopped | WorkflowState::Failed) | (Wish::Run, _) => None,
    };
    for reason in wanted.into_iter().chain(w.reason.as_deref()) {
        out.push_str(&row("why", reason));
    }
    out
}

fn row(name: &str, text: &str) -> String {
    format!("  {name:<12}  {}\n", text.trim_end().replace('\n', "\n                "))
}

/// Where a flow stands in its source, and how much waits.
fn counts(m: &MappingStatus) -> String {
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
    let b = &m.backlog;
    let mut out = row("source", &stands);
    let backlog = format!("{:>8}   {} waiting, {} of them put off, {} in hand", b.total(), b.ready, b.delayed, b.claimed);
    out.push_str(&row("backlog", &backlog));
    for w in &b.waiting_for {
        let waiting =
            format!("{:>8}   for records of `{}`, such as {}, which waits for {}", w.records, w.parent, w.example, w.example_parent);
        out.push_str(&row("", &waiting));
    }
    out.push_str(&row("dead letters", &format!("{:>8}   {} being retried", m.dead_letters, m.retrying)));
    out.push_str(&row("records", &format!("{:>8}   at the target", m.ledger_rows)));
    out
}

/// Its rounds, and what is to be done.
fn notes(w: &WorkflowRecord) -> String {
    let mut out = String::new();
    let last = match (w.round_began, w.round_ended) {
        (Some(began), Some(ended)) if ended >= began => {
            Some(format!("last from {} to {}", time::format_instant(began), time::format_instant(ended)))
        }
        (Some(began), _) if w.state == WorkflowState::Running => Some(format!("since {}", time::format_instant(began))),
        (Some(began), _) => Some(format!("last from {}, not ended", time::format_instant(began))),
        (None, _) => None,
    };
    let next = w.next_round.map(|at| format!("next {}", time::format_instant(at)));
    let rounds: Vec<String> = last.into_iter().chain(next).collect();
    if !rounds.is_empty() {
        out.push_str(&row("rounds", &rounds.join(", ")));
    }
    if let (Some(error), Some(at)) = (&w.last_error, w.error_at)
        && w.reason.as_ref() != Some(error)
    {
        out.push_str(&row("last error", &format!("{}: {error}", time::format_instant(at))));
    }
    if w.replay {
        out.push_str(&row("replay", "asked for: the next start reads all records again"));
    }
    if let Some(due) = &w.restart_due {
        let (name, option) = (&w.name, if w.state == WorkflowState::Running { " --restart" } else { "" });
        out.push_str(&row("RESTART DUE", &format!("{due}; `d365map start {name}{option}` takes it up")));
    }
    out
}
