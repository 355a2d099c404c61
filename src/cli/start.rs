//! `d365map start`, and what it shares with `stop`: requests to workflows, written while another process runs them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::OnceCell;

use super::output::print;
use super::remote::{Remote, Server};
use super::{Exit, Global};
use crate::app::operate::{self, StatusDocument};
use crate::app::{CommandError, files, runtime, state};
use crate::count::counted;
use crate::project::Project;
use crate::serve::{CountDocument, WishDocument, WorkflowsDocument};
use crate::store::{Access, Holder, StoreError, Stores, Wish, WorkflowRecord, WorkflowState};
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
    #[command(flatten)]
    server: Server,
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
    runtime()?.block_on(async {
        let place = Place::of(&args.which.server, global).await?;
        if args.approve_mass_change {
            for name in &args.which.names {
                let count = place.approve_mass_change(name).await?;
                print(&format!("{name}: approved {}\n", counted(count, "held change")));
            }
        }
        wish_at(&place, &args.which, Wish::Run, args.restart).await
    })
}

/// Writes a wish down and waits until it has come true.
pub fn wish(which: &Which, wish: Wish, again: bool, global: &Global) -> Result<Exit, CommandError> {
    runtime()?.block_on(async {
        let place = Place::of(&which.server, global).await?;
        wish_at(&place, which, wish, again).await
    })
}

async fn wish_at(place: &Place, which: &Which, wish: Wish, again: bool) -> Result<Exit, CommandError> {
    let names = place.meant(&which.names, which.all).await?;
    tell(place, &names, wish, again, Duration::from_secs(which.timeout)).await
}

/// Where the state of the workflows is.
enum Place {
    /// On this machine. The state is opened when it is first needed: it is made where there is none.
    Here(Box<Project>, Box<OnceCell<Stores>>),
    /// At a server.
    There(Box<Remote>),
}

/// What was noted of a wish.
struct Wished {
    /// When, by the clock of the place.
    asked: time::Instant,
    /// The workflows for which it was news.
    changed: Vec<String>,
    /// The process that carries it out.
    holder: Option<Holder>,
}

impl Place {
    async fn of(server: &Server, global: &Global) -> Result<Place, CommandError> {
        Ok(match server.project(global).await? {
            Some(remote) => Place::There(Box::new(remote)),
            None => Place::Here(Box::new(files::need_project(global.project.as_deref())?), Box::default()),
        })
    }

    /// The workflows that are meant.
    async fn meant(&self, names: &[String], all: bool) -> Result<Vec<String>, CommandError> {
        match self {
            Place::Here(project, _) => {
                let known = match state::open_if_current(project).await? {
                    Some(stores) => operate::known(&stores.control.status().await?),
                    None => BTreeSet::new(),
                };
                operate::meant(names, all, project, known)
            }
            Place::There(remote) => {
                let found: WorkflowsDocument = remote.get(&["workflows"], &[]).await?;
                let planned = found.workflows.iter().any(|workflow| workflow.planned);
                let known =
                    found.workflows.into_iter().filter(|workflow| !all || !planned || workflow.planned).map(|workflow| workflow.name);
                if all { Ok(known.collect()) } else { operate::chosen(names, &known.collect()) }
            }
        }
    }

    async fn approve_mass_change(&self, name: &str) -> Result<u64, CommandError> {
        match self {
            Place::Here(project, stores) => operate::approve_mass_change(&*opened(project, stores).await?.outbox, name).await,
            Place::There(remote) => {
                let approved: CountDocument = remote.post(&["workflows", name, "approve-mass-change"], &json!({})).await?;
                Ok(approved.count)
            }
        }
    }

    async fn wish(&self, names: &[String], wish: Wish, again: bool) -> Result<Wished, CommandError> {
        // The state from before the wish must not be taken for its effect.
        let mut wished = Wished { asked: time::now(), changed: Vec::new(), holder: None };
        match self {
            Place::Here(project, stores) => {
                wished.changed = opened(project, stores).await?.control.wish(names, wish, again).await?;
                wished.holder = state::run_in_progress(project).await?;
            }
            Place::There(remote) => {
                let action = match (wish, again) {
                    (Wish::Run, false) => "start",
                    (Wish::Run, true) => "restart",
                    (Wish::Stop, _) => "stop",
                };
                for (n, name) in names.iter().enumerate() {
                    let told: WishDocument = remote.post(&["workflows", name, action], &json!({})).await?;
                    // By the server's clock, and that of the first wish.
                    if n == 0 {
                        wished.asked = told.asked;
                    }
                    wished.holder = told.process;
                    wished.changed.extend(told.changed.then_some(told.workflow));
                }
            }
        }
        Ok(wished)
    }

    /// The states of the workflows, and those of the run that goes on.
    async fn look(&self) -> Result<(Vec<WorkflowRecord>, Vec<String>), CommandError> {
        let status = match self {
            Place::Here(project, stores) => opened(project, stores).await?.control.status().await?,
            Place::There(remote) => remote.get::<StatusDocument>(&["status"], &[]).await?.status,
        };
        Ok((status.workflows, status.last_run.map(|run| run.mappings).unwrap_or_default()))
    }

    async fn of_workflow(&self, name: &str) -> Result<Option<WorkflowRecord>, CommandError> {
        let workflows = match self {
            Place::Here(project, stores) => opened(project, stores).await?.control.workflows().await?,
            Place::There(_) => self.look().await?.0,
        };
        Ok(workflows.into_iter().find(|workflow| workflow.name == name))
    }
}

async fn opened<'s>(project: &Project, stores: &'s OnceCell<Stores>) -> Result<&'s Stores, StoreError> {
    stores.get_or_try_init(|| state::open(project, Access::Write)).await
}

async fn tell(place: &Place, names: &[String], wish: Wish, again: bool, timeout: Duration) -> Result<Exit, CommandError> {
    let Wished { asked, changed, holder } = place.wish(names, wish, again).await?;
    let Some(holder) = holder else {
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
            if new && !timeout.is_zero() { waited(place, name, wish, asked, deadline).await? } else { place.of_workflow(name).await? };
        let (line, ok) = match state {
            Some(record) => {
                let runs = place.look().await?.1.contains(name);
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

/// The workflow when it has done what is wanted, or when the time is over.
async fn waited(
    place: &Place,
    name: &str,
    wish: Wish,
    asked: time::Instant,
    deadline: Instant,
) -> Result<Option<WorkflowRecord>, CommandError> {
    loop {
        let record = place.of_workflow(name).await?;
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
