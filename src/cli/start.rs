//! `d365map start`, and what it shares with `stop`: requests to workflows, written while another process runs them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::output::print;
use super::{Exit, Global};
use crate::app::{CommandError, files, operate, runtime, state};
use crate::count::counted;
use crate::project::Project;
use crate::store::{Access, Control, Holder, StoreError, Wish, WorkflowRecord, WorkflowState};
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
        let runtime = runtime()?;
        for name in &args.which.names {
            let count = runtime.block_on(async {
                let stores = state::open(&project, Access::Write).await?;
                operate::approve_mass_change(&*stores.outbox, name).await
            })?;
            print(&format!("{name}: approved {}\n", counted(count, "held change")));
        }
    }
    wish(&args.which, Wish::Run, args.restart, global)
}

/// Writes a wish down and waits until it has come true.
pub fn wish(which: &Which, wish: Wish, again: bool, global: &Global) -> Result<Exit, CommandError> {
    let project = files::need_project(global.project.as_deref())?;
    let runtime = runtime()?;
    let names = operate::meant(&which.names, which.all, &project, runtime.block_on(on_file(&project))?)?;
    Ok(runtime.block_on(tell(&project, &names, wish, again, Duration::from_secs(which.timeout)))?)
}

/// The workflows that the state has.
async fn on_file(project: &Project) -> Result<BTreeSet<String>, StoreError> {
    let Some(stores) = state::open_if_current(project).await? else { return Ok(BTreeSet::new()) };
    Ok(operate::known(&stores.control.status().await?))
}

async fn tell(project: &Project, names: &[String], wish: Wish, again: bool, timeout: Duration) -> Result<Exit, StoreError> {
    let control = state::open(project, Access::Write).await?.control;
    // The state from before the wish must not be taken for its effect.
    let asked = time::now();
    let changed = control.wish(names, wish, again).await?;
    let Some(holder) = state::run_in_progress(project).await? else {
        for name in names {
            print(&format!("{name}: {}\n", at_rest(wish)));
        }
        return Ok(Exit::Clean);
    };
    let deadline = Instant::now() + timeout;
    let mut exit = Exit::Clean;
    for name in names {
        let new = changed.contains(name);
        let state =
            if new && !timeout.is_zero() { waited(&*control, name, wish, asked, deadline).await? } else { of(&*control, name).await? };
        let (line, ok) = match state {
            Some(record) => {
                let runs = control.status().await?.last_run.is_some_and(|run| run.mappings.contains(name));
                told(&record, wish, new, &holder, runs)
            }
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

async fn of(control: &dyn Control, name: &str) -> Result<Option<WorkflowRecord>, StoreError> {
    Ok(control.workflows().await?.into_iter().find(|w| w.name == name))
}

/// The workflow when it has done what is wanted, or when the time is over.
async fn waited(
    control: &dyn Control,
    name: &str,
    wish: Wish,
    asked: time::Instant,
    deadline: Instant,
) -> Result<Option<WorkflowRecord>, StoreError> {
    loop {
        let record = of(control, name).await?;
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
        tokio::time::sleep(LOOK).await;
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
