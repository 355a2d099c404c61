//! `d365map start`, and what it shares with `stop`: requests to workflows, written while another process runs them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::output::print;
use super::{Exit, Global};
use crate::app::plan::of_project;
use crate::app::{CommandError, files};
use crate::count::counted;
use crate::diagnostics::nearest;
use crate::project::Project;
use crate::run::workflows;
use crate::state::{Holder, StateError, Store, Wish, WorkflowRecord, WorkflowState, run_in_progress};
use crate::time;

/// How often the state is looked at while the effect is waited for.
const LOOK: Duration = Duration::from_millis(100);

/// Which workflows are meant.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Workflows: a mapping, NAME.optout for a mapping's opt-outs, a block of events.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// All of them.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Seconds to wait for the effect; 0 for not at all.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

/// Arguments of `start`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Stop what runs already, and start it by the mapping files as they are now.
    #[arg(long)]
    restart: bool,
    /// Carry out what the workflows hold for approval, since it would delete many records or empty a field in many.
    #[arg(long, conflicts_with = "all")]
    approve_mass_change: bool,
}

/// Starts workflows.
pub fn run(args: &Args, global: &Global) -> Result<Exit, CommandError> {
    if args.approve_mass_change {
        let project = files::need_project(global.project.as_deref())?;
        for name in &args.which.names {
            match Store::open(&project.state).and_then(|store| store.approve_mass_change(name))? {
                Some(count) => print(&format!("{name}: approved {}\n", counted(count, "held change"))),
                None => return Err(super::run::nothing_held(name)),
            }
        }
    }
    wish(&args.which, Wish::Run, args.restart, global)
}

/// Writes a wish down and waits until it has come true.
pub fn wish(which: &Which, wish: Wish, again: bool, global: &Global) -> Result<Exit, CommandError> {
    let project = files::need_project(global.project.as_deref())?;
    let names = meant(which, &project)?;
    Ok(tell(&project, &names, wish, again, Duration::from_secs(which.timeout))?)
}

/// The names that are meant, all of them known.
fn meant(which: &Which, project: &Project) -> Result<Vec<String>, CommandError> {
    let mut known: BTreeSet<String> = match Store::open_read(&project.state).and_then(|s| s.status()) {
        Ok(status) => status.mappings.into_iter().map(|m| m.mapping).chain(status.workflows.into_iter().map(|w| w.name)).collect(),
        Err(StateError::NotFound { .. } | StateError::OlderFormat { .. }) => BTreeSet::new(),
        Err(error) => return Err(error.into()),
    };
    // Where the files do not compile, what ran before can still be stopped.
    let planned: Vec<String> = of_project(project).map(|p| workflows(&p).into_iter().map(|w| w.name).collect()).unwrap_or_default();
    if which.all {
        return if planned.is_empty() { Ok(known.into_iter().collect()) } else { Ok(planned) };
    }
    if which.names.is_empty() {
        return Err(CommandError::usage("say which ones: workflows, or --all"));
    }
    known.extend(planned);
    if let Some(name) = which.names.iter().find(|n| !known.contains(*n)) {
        let help = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "there is none; `d365map check` says what is wrong with the mapping files".to_owned(),
            None => format!("there are {}", known.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")),
        };
        return Err(CommandError::usage(format!("there is no workflow `{name}`; {help}")));
    }
    Ok(which.names.clone())
}

fn tell(project: &Project, names: &[String], wish: Wish, again: bool, timeout: Duration) -> Result<Exit, StateError> {
    let store = Store::open(&project.state)?;
    // The state from before the wish must not be taken for its effect.
    let asked = time::now();
    let changed = store.wish(names, wish, again)?;
    let Some(holder) = run_in_progress(&project.state)? else {
        for name in names {
            print(&format!("{name}: {}\n", at_rest(wish)));
        }
        return Ok(Exit::Clean);
    };
    let runs = |name: &String| store.status().map(|s| s.last_run.is_some_and(|r| r.mappings.contains(name)));
    let deadline = Instant::now() + timeout;
    let mut exit = Exit::Clean;
    for name in names {
        let new = changed.contains(name);
        let state = if new && !timeout.is_zero() { waited(&store, name, wish, asked, deadline)? } else { of(&store, name)? };
        let (line, ok) = match state {
            Some(record) => told(&record, wish, new, &holder, runs(name)?),
            None => (at_rest(wish).to_owned(), true),
        };
        print(&format!("{name}: {line}\n"));
        if !ok {
            exit = Exit::Findings;
        }
    }
    Ok(exit)
}

/// What a wish means while nothing runs.
fn at_rest(wish: Wish) -> &'static str {
    match wish {
        Wish::Run => "will run with the next `d365map run`; nothing runs now",
        Wish::Stop => "STOPPED; `d365map run` leaves it out until `d365map start`",
    }
}

fn of(store: &Store, name: &str) -> Result<Option<WorkflowRecord>, StateError> {
    Ok(store.workflows()?.into_iter().find(|w| w.name == name))
}

/// The workflow when it has done what is wanted, or when the time is over.
fn waited(store: &Store, name: &str, wish: Wish, asked: time::Instant, deadline: Instant) -> Result<Option<WorkflowRecord>, StateError> {
    loop {
        let record = of(store, name)?;
        let done = record.as_ref().is_some_and(|r| match (wish, r.state) {
            (Wish::Stop, WorkflowState::Stopped) => true,
            (Wish::Run, WorkflowState::Running | WorkflowState::Failed) => r.since.timestamp_millis() >= asked.timestamp_millis(),
            (Wish::Run, WorkflowState::Starting) => r.reason.is_some(),
            (Wish::Stop, WorkflowState::Running | WorkflowState::Starting | WorkflowState::Failed)
            | (Wish::Run, WorkflowState::Stopped) => false,
        });
        if done || Instant::now() >= deadline {
            return Ok(record);
        }
        std::thread::sleep(LOOK);
    }
}

/// What to say of a workflow, and whether it is as it was wanted.
fn told(record: &WorkflowRecord, wish: Wish, new: bool, holder: &Holder, runs: bool) -> (String, bool) {
    let reason = record.reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
    let state = format!("{}{reason}", record.state);
    match (wish, record.state) {
        (Wish::Stop, WorkflowState::Stopped) => (state, true),
        (Wish::Stop, WorkflowState::Failed) => ("STOPPED (it had failed)".to_owned(), true),
        (Wish::Stop, WorkflowState::Running | WorkflowState::Starting) => {
            (format!("still {}: requests in flight are being finished; `d365map status` shows when it has stopped", record.state), false)
        }
        (Wish::Run, WorkflowState::Running) if !new => (format!("{state} already; `--restart` starts it again"), true),
        (Wish::Run, WorkflowState::Running | WorkflowState::Starting) => (state, true),
        (Wish::Run, WorkflowState::Failed) => (state, false),
        (Wish::Run, WorkflowState::Stopped) if !runs => {
            (format!("still STOPPED: {holder} does not run it; the next run that includes it starts it"), false)
        }
        (Wish::Run, WorkflowState::Stopped) => (format!("{state}; it has not started yet, `d365map status` shows when it has"), false),
    }
}
