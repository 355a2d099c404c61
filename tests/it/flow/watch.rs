//! Watching: workflows in one process, started and stopped by themselves, with wishes from beside.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use d365map::plan::ExecutionPlan;
use d365map::run::{
    Options as RunOptions, Pace, PlanSource, PlanSourceError, Publisher, RunError, Services, Settings, Summary, Supervision, Workflow,
    watch,
};
use d365map::store::sqlite::db::{Store, run_in_progress};
use d365map::store::{Wish, WorkflowRecord, WorkflowState};
use d365map::time::schedule::Schedule;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::support::{World, ada, id, plan_of, small, small_text};
use super::{events, events_sources, optout, optout_exports};
use crate::sftp::server::{Options, Server};

/// A mark, and what compiling gives.
type OnDisk = (u64, Result<Arc<ExecutionPlan>, String>);

/// A plan that can be exchanged while it runs, like files on disk.
#[derive(Clone)]
struct Files(Arc<Mutex<OnDisk>>, Services);

impl PlanSource for Files {
    fn mark(&self) -> u64 {
        self.0.lock().expect("no panic").0
    }

    fn load(&self) -> Result<Arc<ExecutionPlan>, PlanSourceError> {
        Ok(self.0.lock().expect("no panic").1.clone()?)
    }

    fn services(&self, _: &ExecutionPlan, _: &Workflow) -> Result<Services, PlanSourceError> {
        Ok(self.1.clone())
    }
}

impl Files {
    fn change(&self, plan: Result<Arc<ExecutionPlan>, String>) {
        let mut files = self.0.lock().expect("no panic");
        *files = (files.0 + 1, plan);
    }
}

/// The settings of a run, with these schedules.
fn settings_of(options: &RunOptions, schedules: &BTreeMap<String, Schedule>) -> Settings {
    let RunOptions { page_size, concurrency, backlog_high_water, mass_limits, optouts, .. } = options.clone();
    let (interval, schedules) = (Duration::from_millis(100), schedules.clone());
    Settings { interval, schedules, page_size, concurrency, backlog_high_water, mass_limits, optouts }
}

/// A watch in this process.
struct Watching {
    files: Files,
    settings: tokio::sync::watch::Sender<Settings>,
    store: Store,
    stop: CancellationToken,
    task: JoinHandle<Result<Summary, RunError>>,
}

impl Watching {
    fn start(world: &mut World, plan: &Arc<ExecutionPlan>, schedules: &[(&str, Duration)]) -> Watching {
        let services = world.services().1;
        Watching::with(world, plan, schedules, services)
    }

    fn with(world: &mut World, plan: &Arc<ExecutionPlan>, schedules: &[(&str, Duration)], services: Services) -> Watching {
        world.options.pace = Pace::Watch { interval: Duration::from_millis(100) };
        let store = Store::open_for_run(&world.state()).expect("the state opens");
        let files = Files(Arc::new(Mutex::new((1, Ok(plan.clone())))), services.clone());
        let schedules: BTreeMap<String, Schedule> = schedules.iter().map(|(n, d)| ((*n).to_owned(), Schedule::every(*d))).collect();
        let (settings, receiver) = tokio::sync::watch::channel(settings_of(&world.options(), &schedules));
        let supervision =
            Supervision { source: Arc::new(files.clone()), schedules, upkeep: Vec::new(), news: None, settings: Some(receiver) };
        let stop = CancellationToken::new();
        let (options, counters) = (world.options(), Publisher::default());
        let task = tokio::spawn(watch(plan.clone(), services, store.clone().into(), options, counters, stop.clone(), supervision));
        Watching { files, settings, store, stop, task }
    }

    fn wish(&self, name: &str, wish: Wish) {
        self.store.wish(&[name.to_owned()], wish, false).expect("the wish is written");
    }

    fn record(&self, name: &str) -> Option<WorkflowRecord> {
        self.store.workflows().expect("the state can be read").into_iter().find(|w| w.name == name)
    }

    /// Waits until a workflow is as expected.
    async fn until(&self, name: &str, what: &str, expected: impl Fn(&WorkflowRecord) -> bool) -> WorkflowRecord {
        let began = Instant::now();
        loop {
            assert!(!self.task.is_finished(), "the watch has ended while `{name}` was to be {what}");
            match self.record(name) {
                Some(record) if expected(&record) => return record,
                record => assert!(began.elapsed() < Duration::from_secs(30), "`{name}` is never {what}: {record:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn state(&self, name: &str, state: WorkflowState) -> WorkflowRecord {
        self.until(name, state.as_str(), |w| w.state == state).await
    }

    async fn end(self) -> Summary {
        self.stop.cancel();
        self.task.await.expect("no panic").expect("a graceful end")
    }
}

async fn profile_of(world: &World, n: u32) -> Value {
    let began = Instant::now();
    loop {
        if let Some(profile) = world.profile(n).await {
            return profile;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "contact {n} was not taken up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The plan of contacts and another workflow beside it that reads the same table, from `collection`.
fn with_another(collection: &str) -> Arc<ExecutionPlan> {
    let mut plan = ExecutionPlan::clone(&small(""));
    let mut other = plan.ingress[0].clone();
    other.name = "others".to_owned();
    other.source.collection = collection.to_owned();
    plan.ingress.push(other);
    Arc::new(plan)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_again_and_again_shows_when_it_is_tried_next_and_the_others_go_on() {
    let mut world = World::empty().await;
    world.create(1, ada()).await;
    let watching = Watching::start(&mut world, &with_another("nosuchtable"), &[]);
    let failed = watching.state("others", WorkflowState::Failed).await;
    assert!(failed.reason.is_some_and(|r| !r.is_empty()) && failed.next_round.is_some());
    profile_of(&world, 1).await;
    world.create(2, ada()).await;
    profile_of(&world, 2).await;
    assert_eq!(watching.record("contacts").map(|w| w.state), Some(WorkflowState::Running));
    // What was wrong is corrected, and it is started.
    watching.files.change(Ok(with_another("contacts")));
    watching.wish("others", Wish::Run);
    let running = watching.state("others", WorkflowState::Running).await;
    assert_eq!((running.reason, running.last_error.is_some()), (None, true));
    let summary = watching.end().await;
    assert_eq!(summary.failed, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_answer_of_a_maintenance_window_does_not_end_a_workflow() {
    let mut world = World::empty().await;
    world.http.attempts = 1;
    let watching = Watching::start(&mut world, &small(""), &[]);
    watching.until("contacts", "through a round", |w| w.round_ended.is_some()).await;
    let reading = |kind: &str, more: Value| {
        let mut order = json!({"kind": kind, "api": "dataverse", "method": "GET", "path": "contacts"});
        order.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        order
    };
    let odd = [
        vec![reading("html", json!({}))],
        vec![reading("html", json!({"status": 302}))],
        vec![reading("html", json!({"status": 403}))],
        vec![reading("html", json!({"status": 404}))],
        vec![reading("status", json!({"status": 400}))],
        // The token is refused, and the token service answers with a page.
        vec![reading("unauthorized", json!({})), json!({"kind": "html", "api": "dataverse-token"})],
    ];
    for (n, orders) in (1_u32..).zip(odd) {
        let before = watching.record("contacts").and_then(|w| w.error_at);
        for order in &orders {
            world.admin("fail-next", order.clone()).await;
        }
        let failed = watching.until("contacts", "failed by it", |w| w.error_at > before).await;
        assert!(failed.last_error.is_some(), "{orders:?}");
        world.create(n, ada()).await;
        profile_of(&world, n).await;
    }
    // A round that is stopped before its end does not count as a good one.
    watching.until("contacts", "through a good round", |w| w.state == WorkflowState::Running && w.round_ended > w.error_at).await;
    assert_eq!(watching.end().await.failed, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_in_place_of_campaign_pause_the_workflow_for_ten_minutes_and_status_says_why() {
    let mut world = World::empty().await;
    world.create(1, ada()).await;
    world.admin("fail-next", json!({"kind": "html", "status": 403, "api": "campaign", "path": "profile", "count": 10_000})).await;
    let watching = Watching::start(&mut world, &small(""), &[]);
    let failed = watching.state("contacts", WorkflowState::Failed).await;
    let next = failed.next_round.expect("it is tried again");
    assert!((9..=10).contains(&(next - d365map::time::now()).num_minutes()), "{next}");
    let reason = failed.reason.unwrap_or_default();
    assert!(reason.contains("something other than Campaign") && reason.contains("looked up before they are written"), "{reason}");
    world.admin("clear-faults", Value::Null).await;
    watching.wish("contacts", Wish::Run);
    profile_of(&world, 1).await;
    assert_eq!(watching.end().await.failed, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_must_fix_is_looked_at_every_hour_and_at_once_when_it_is_started() {
    let mut world = World::empty().await;
    world.create(1, json!({"lastname": "A", "emailaddress1": "not an address"})).await;
    let plan = plan_of(&small_text("rejected stop").replace("emailaddress1 -> email", "emailaddress1 -> email | email or reject"));
    let watching = Watching::start(&mut world, &plan, &[]);
    let failed = watching.state("contacts", WorkflowState::Failed).await;
    let next = failed.next_round.expect("it is tried again");
    assert!((55..=60).contains(&(next - d365map::time::now()).num_minutes()), "{next}");
    world.update(1, json!({"emailaddress1": "a@example.com"})).await;
    watching.wish("contacts", Wish::Run);
    profile_of(&world, 1).await;
    assert_eq!(watching.end().await.failed, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_another_program_keeps_locked_is_not_shown_as_running_and_the_watch_goes_on_afterwards() {
    let mut world = World::empty().await;
    let watching = Watching::start(&mut world, &small(""), &[]);
    let before = watching.until("contacts", "through a round", |w| w.round_ended.is_some()).await;
    watching.store.set_busy_timeout(Duration::from_millis(20)).expect("it is set");
    let other = rusqlite::Connection::open(world.state()).expect("the state opens");
    other.busy_timeout(Duration::from_secs(10)).expect("it is set");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    world.create(1, ada()).await;
    let holder = || run_in_progress(&world.state()).expect("the lock file").expect("a process");
    eventually("the process says that it cannot write", async || holder().trouble.is_some()).await;
    let shown = watching.record("contacts").expect("a workflow").shown(Some(&holder()));
    let reason = shown.reason.unwrap_or_default();
    assert!(shown.state == WorkflowState::Failed && reason.contains("locked"), "{} {reason}", shown.state);
    assert!(world.profile(1).await.is_none(), "nothing is written that could not be noted");

    other.execute_batch("ROLLBACK").expect("the lock is released");
    profile_of(&world, 1).await;
    eventually("the process can write", async || holder().trouble.is_none()).await;
    let through = |w: &WorkflowRecord| w.state == WorkflowState::Running && w.round_ended > before.round_ended;
    watching.until("contacts", "through a round", through).await;
    assert_eq!(watching.end().await.failed, []);
}

/// The disk is full for one process: no file may get longer than the state's log is. Raised again without ending the process.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_the_round_and_the_watch_goes_on_when_there_is_room() {
    let world = World::empty().await;
    world.project(&small_text(""));
    let watching = world.command(&["run", "--watch", "--interval", "1"]);
    let mut shell = tokio::process::Command::new("bash");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(watching.as_std().get_program()).args(watching.as_std().get_args());
    shell.current_dir(world.folder.path()).kill_on_drop(true).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    for (name, value) in watching.as_std().get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    let mut child = shell.spawn().expect("the command starts");
    let pid = child.id().expect("it runs");
    let status = async || -> Value {
        let text = world.call(&["status", "--format", "json"]).await.1;
        serde_json::from_str(&text).unwrap_or_default()
    };
    let state = async || status().await["status"]["workflows"][0]["state"].clone();
    eventually("a round has ended", async || status().await["status"]["workflows"][0]["round_ended"].is_string()).await;
    let limit = async |bytes: String| {
        let done = tokio::process::Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--fsize={bytes}")]).status();
        assert!(done.await.expect("prlimit of util-linux").success());
    };
    let log = std::fs::metadata(world.folder.path().join(".d365map/state.db-wal")).expect("the log").len();
    limit(format!("{log}:")).await;
    for n in 1..=200 {
        world.create(n, ada()).await;
    }
    eventually("it is shown as failed", async || state().await == "FAILED").await;
    limit("unlimited:".to_owned()).await;
    profile_of(&world, 200).await;
    eventually("it runs again", async || state().await == "RUNNING").await;
    child.start_kill().expect("it is ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_shows_as_failed_with_the_next_attempt_and_ends_without_help() {
    let mut world = World::empty().await;
    world.http.attempts = 1;
    world.create(1, ada()).await;
    // Not one record's trouble, which would be postponed, but everyone's.
    world.admin("fail-next", json!({"kind": "status", "status": 503, "api": "dataverse", "path": "contacts", "count": 10_000})).await;
    let watching = Watching::start(&mut world, &small(""), &[]);
    let failed = watching.state("contacts", WorkflowState::Failed).await;
    assert!(failed.next_round.is_some() && failed.reason.is_some(), "{failed:?}");
    world.admin("clear-faults", Value::Null).await;
    profile_of(&world, 1).await;
    let running =
        watching.until("contacts", "RUNNING with a round done", |w| w.state == WorkflowState::Running && w.reason.is_none()).await;
    assert!(running.last_error.is_some() && running.error_at.is_some());
    watching.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_401_shows_a_watched_workflow_as_failed_with_the_fix_and_is_probed_after_ten_minutes() {
    for api in ["dataverse", "campaign"] {
        let mut world = World::empty().await;
        world.create(1, ada()).await;
        world.admin("fail-next", json!({"kind": "unauthorized", "api": api, "count": 10_000})).await;
        let watching = Watching::start(&mut world, &small(""), &[]);
        let failed = watching.state("contacts", WorkflowState::Failed).await;
        let next = failed.next_round.expect("it is tried again");
        assert!((9..=10).contains(&(next - d365map::time::now()).num_minutes()), "{api}: {next}");
        let reason = failed.reason.unwrap_or_default();
        assert!(reason.contains("a fresh token was refused too: check that the client"), "{api}: {reason}");
        world.admin("clear-faults", Value::Null).await;
        watching.wish("contacts", Wish::Run);
        profile_of(&world, 1).await;
        assert_eq!(watching.end().await.failed, []);
    }
}

/// Asks until it is so.
async fn eventually(what: &str, so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !so().await {
        assert!(began.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_that_cannot_be_read_until_a_person_fixes_them_keep_no_opt_out_from_traveling() {
    let server = Server::start(&Options::default());
    let mut world = optout::world().await;
    world.person(1, json!({})).await;
    let services = optout_exports::services(&world, &server, "moved");
    let watching = Watching::with(&mut world, &optout::plan("bidirectional"), &[], services);
    let failed = watching.state("contacts.optout", WorkflowState::Failed).await;
    assert!(failed.reason.is_some_and(|r| r.contains("there is no `moved`")) && failed.next_round.is_some());
    profile_of(&world, 1).await;
    // One in a round, the other in a later one.
    world.marketing(1, json!({"blackListEmail": true})).await;
    eventually("the first opt-out is in Dynamics", async || world.flags(1).await.0).await;
    world.marketing(1, json!({"blackListPhone": true})).await;
    eventually("the second opt-out is in Dynamics", async || world.flags(1).await.1).await;
    std::fs::create_dir(server.path("home/moved")).expect("a folder");
    watching.until("contacts.optout", "through a round", |w| w.state == WorkflowState::Running && w.next_round.is_some()).await;
    assert_eq!(watching.end().await.failed, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_refuses_the_login_keeps_no_event_of_the_exports_from_traveling() {
    let server = Server::start(&Options::default());
    let mut world = events::world(&[events::event("open", 1, 1, json!({}))]).await;
    world.admin("fail-next", json!({"api": "journal", "kind": "status", "status": 403, "count": 100_000})).await;
    let services = events_sources::with_exports(&world, &server);
    let watching = Watching::with(&mut world, &plan_of(events::ALL), &[], services);
    let failed = watching.state("email", WorkflowState::Failed).await;
    assert!(failed.reason.is_some() && failed.next_round.is_some());
    let line = format!("2,{},2026-01-12 09:00:02.000Z,open,,DM1\n", id(1));
    server.write("tracking_1.csv", format!("{}{line}", events_sources::TRACKING));
    eventually("the export's event is there", async || events::count(&world).await == events::counts(0, 1, 0, 0)).await;
    world.admin("clear-faults", Value::Null).await;
    eventually("the journal's event is there", async || events::count(&world).await == events::counts(0, 2, 0, 0)).await;
    watching.until("email", "through a round", |w| w.state == WorkflowState::Running && w.next_round.is_some()).await;
    assert_eq!(watching.end().await.failed, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_workflow_rests_through_a_restart_of_the_process_until_it_is_started() {
    let mut world = World::empty().await;
    world.create(1, ada()).await;
    let watching = Watching::start(&mut world, &with_another("contacts"), &[]);
    profile_of(&world, 1).await;
    for name in ["contacts", "others"] {
        watching.wish(name, Wish::Stop);
        watching.state(name, WorkflowState::Stopped).await;
    }
    world.create(2, ada()).await;
    watching.end().await;

    let watching = Watching::start(&mut world, &with_another("contacts"), &[]);
    let stopped = watching.until("contacts", "STOPPED by hand", |w| w.reason.as_ref().is_some_and(|r| r.contains("by hand"))).await;
    assert_eq!(stopped.state, WorkflowState::Stopped);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(world.profile(2).await.is_none(), "a stopped workflow has moved a record");
    watching.wish("contacts", Wish::Run);
    profile_of(&world, 2).await;
    assert_eq!(watching.record("others").map(|w| w.state), Some(WorkflowState::Stopped));
    watching.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_mapping_is_noted_and_taken_up_at_the_next_start_and_not_before() {
    let mut world = World::empty().await;
    world.create(1, ada()).await;
    let watching = Watching::start(&mut world, &small(""), &[]);
    assert_eq!(profile_of(&world, 1).await["lastName"], "Lovelace");
    let mut changed = ExecutionPlan::clone(&small(""));
    changed.ingress[0].fields.retain(|f| f.path != ["lastName"]);
    watching.files.change(Ok(Arc::new(changed)));
    let due = watching.until("contacts", "due for a restart", |w| w.restart_due.is_some()).await;
    assert!(due.state == WorkflowState::Running && due.restart_due.is_some_and(|r| r.contains("changed")));
    world.create(2, ada()).await;
    assert_eq!(profile_of(&world, 2).await["lastName"], "Lovelace", "by the plan from before");

    watching.store.wish(&["contacts".to_owned()], Wish::Run, true).expect("the wish is written");
    watching.until("contacts", "restarted", |w| w.restart_due.is_none() && w.state == WorkflowState::Running).await;
    world.create(3, ada()).await;
    assert!(profile_of(&world, 3).await["lastName"].as_str().is_none_or(str::is_empty), "by the new plan");

    // Files that do not compile stop nothing, but they do not start anything either.
    watching.files.change(Err("1 error, the first at a.d365map:1:1".to_owned()));
    let due = watching.until("contacts", "due for a restart", |w| w.restart_due.is_some()).await;
    assert!(due.restart_due.is_some_and(|r| r.contains("a.d365map:1:1")));
    world.create(4, ada()).await;
    profile_of(&world, 4).await;
    watching.wish("contacts", Wish::Stop);
    watching.state("contacts", WorkflowState::Stopped).await;
    watching.wish("contacts", Wish::Run);
    let failed = watching.state("contacts", WorkflowState::Failed).await;
    assert!(failed.reason.is_some_and(|r| r.contains("a.d365map:1:1")));
    let summary = watching.end().await;
    assert_eq!(summary.failed.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_is_new_in_the_files_is_noted_and_starts_when_asked() {
    let mut world = World::empty().await;
    let watching = Watching::start(&mut world, &small(""), &[]);
    watching.until("contacts", "through a round", |w| w.round_ended.is_some()).await;
    watching.files.change(Ok(with_another("contacts")));
    let new = watching.until("others", "noted", |w| w.restart_due.is_some()).await;
    assert_eq!(new.state, WorkflowState::Stopped);
    watching.wish("others", Wish::Run);
    let running = watching.until("others", "through a round", |w| w.round_ended.is_some()).await;
    assert_eq!(running.restart_due, None);
    let summary = watching.end().await;
    assert_eq!(summary.flows.iter().map(|f| f.mapping.as_str()).collect::<Vec<_>>(), ["contacts", "others"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_was_renamed_takes_over_the_state_once_the_old_one_has_stopped() {
    let mut world = World::empty().await;
    // One stays: a source that returns nothing deletes nothing.
    for n in 1..=2 {
        world.create(n, ada()).await;
    }
    let watching = Watching::start(&mut world, &small("deletes propagate"), &[]);
    watching.until("contacts", "through a round", |w| w.round_ended.is_some()).await;
    let mut plan = ExecutionPlan::clone(&small("deletes propagate"));
    plan.ingress[0].name = "customers".to_owned();
    watching.files.change(Ok(Arc::new(plan)));
    watching.until("customers", "noted", |w| w.restart_due.is_some()).await;
    watching.wish("customers", Wish::Run);
    let failed = watching.state("customers", WorkflowState::Failed).await;
    assert!(failed.reason.is_some_and(|r| r.contains("`d365map stop contacts` first")));
    watching.wish("contacts", Wish::Stop);
    watching.state("contacts", WorkflowState::Stopped).await;
    world.delete(1).await;
    let asked = d365map::time::now();
    watching.wish("customers", Wish::Run);
    // It is tried again by itself as well, and that round may have begun before the deletion.
    let after = |w: &WorkflowRecord| w.round_began.is_some_and(|at| at > asked) && w.round_ended > w.round_began;
    watching.until("customers", "through a round", |w| w.state == WorkflowState::Running && after(w)).await;
    watching.end().await;
    assert_eq!(world.profile(1).await, None, "the deletion is carried out under the new name");
    let store = Store::open_read(&world.state()).unwrap();
    assert_eq!(store.workflows().unwrap().iter().map(|w| w.name.as_str()).collect::<Vec<_>>(), ["customers"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_workflow_goes_at_its_own_pace() {
    let mut world = World::empty().await;
    let watching = Watching::start(&mut world, &with_another("contacts"), &[("others", Duration::from_secs(3600))]);
    let slow = watching.until("others", "through a round", |w| w.next_round.is_some()).await;
    let first = watching.until("contacts", "through a round", |w| w.round_ended.is_some()).await;
    watching.until("contacts", "through another round", |w| w.round_ended > first.round_ended).await;
    let later = watching.record("others").expect("a workflow");
    assert_eq!(later.round_began, slow.round_began);
    assert!(later.next_round.is_some_and(|at| (at - d365map::time::now()).num_minutes() >= 58));
    watching.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_waits_takes_up_a_changed_schedule_and_one_without_a_change_keeps_its_time() {
    let mut world = World::empty().await;
    let hour = Duration::from_secs(3600);
    let watching = Watching::start(&mut world, &with_another("contacts"), &[("contacts", hour), ("others", hour)]);
    let rested = async |name| watching.until(name, "through its first round", |w| w.round_ended.is_some() && w.next_round.is_some()).await;
    let (contacts, others) = (rested("contacts").await, rested("others").await);
    let schedules = [("contacts", Duration::from_secs(7200)), ("others", hour)];
    let schedules = schedules.map(|(name, every)| (name.to_owned(), Schedule::every(every))).into();
    watching.settings.send_replace(settings_of(&world.options(), &schedules));
    let later = watching.until("contacts", "due in two hours", |w| w.next_round > contacts.next_round).await;
    assert_eq!((later.round_ended, later.state), (contacts.round_ended, WorkflowState::Running));
    assert_eq!(watching.record("others").and_then(|w| w.next_round), others.next_round);
    // At once, by an interval that is over.
    watching.settings.send_replace(settings_of(&world.options(), &[("others".to_owned(), Schedule::every(hour))].into()));
    watching.until("contacts", "through another round", |w| w.round_ended > contacts.round_ended).await;
    watching.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_begin_after_their_parents_first_round() {
    let mut world = World::empty().await;
    for n in 1..=30 {
        world.create(n, ada()).await;
    }
    let mut plan = ExecutionPlan::clone(&with_another("contacts"));
    // Named before the parent in the plan, so that the order alone would not do.
    plan.ingress[0].depends_on = vec!["others".to_owned()];
    world.admin("fail-next", json!({"kind": "slow", "delay": 1500, "api": "dataverse", "count": 1})).await;
    let watching = Watching::start(&mut world, &Arc::new(plan), &[]);
    let waiting = watching.state("contacts", WorkflowState::Starting).await;
    let child = watching.until("contacts", "in a round", |w| w.round_began.is_some()).await;
    let parent = watching.record("others").expect("a workflow");
    assert!(parent.round_ended <= child.round_began && parent.round_ended.is_some(), "{parent:?} {child:?} {waiting:?}");
    watching.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_put_back_wakes_a_workflow_that_waits_for_its_time() {
    let mut world = World::empty().await;
    world.create(1, json!({"lastname": "A", "emailaddress1": "no address"})).await;
    let watching = Watching::start(&mut world, &small(""), &[("contacts", Duration::from_secs(3600))]);
    watching.until("contacts", "through a round", |w| w.next_round.is_some()).await;
    assert_eq!(world.dead_letters().len(), 1);
    world.update(1, json!({"emailaddress1": "a@example.com"})).await;
    let began = Instant::now();
    watching.store.retry_dead_letters(&d365map::store::DeadLetterFilter::default()).expect("put back");
    assert_eq!(profile_of(&world, 1).await["externalId"], id(1).as_str());
    assert!(began.elapsed() < Duration::from_secs(10));
    watching.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_asked_for_beside_a_watch_reads_everything_again() {
    let mut world = World::empty().await;
    world.create(1, ada()).await;
    let watching = Watching::start(&mut world, &small(""), &[("contacts", Duration::from_secs(3600))]);
    watching.until("contacts", "through a round", |w| w.next_round.is_some()).await;
    let before = watching.store.cursor("contacts").expect("the state").expect("a cursor").generation;
    watching.store.request_replay("contacts").expect("the request is written");
    watching.until("contacts", "through the replay", |w| !w.replay && w.next_round.is_some()).await;
    let after = watching.store.cursor("contacts").expect("the state").expect("a cursor");
    assert_eq!((after.generation, after.reason), (before + 1, d365map::store::Reason::Replay));
    watching.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_logs_its_rounds_and_each_line_of_its_json_log_is_an_object() {
    use tokio::io::AsyncBufReadExt;
    let world = World::empty().await;
    world.create(1, ada()).await;
    world.project(&small_text(""));
    let mut command = world.command(&["run", "--watch", "--interval", "1", "--log-format", "json"]);
    let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().expect("the command starts");
    let mut lines = tokio::io::BufReader::new(child.stderr.take().expect("standard error")).lines();
    let round = loop {
        let line = lines.next_line().await.expect("text").expect("the watch goes on");
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
        if event["fields"]["message"] == "round" {
            break event["fields"].clone();
        }
    };
    assert_eq!((&round["workflow"], &round["read"], &round["written"]), (&json!("contacts"), &json!(1), &json!(1)));
    child.start_kill().expect("it is ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_run_is_shown_as_finished_and_a_number_that_no_dead_letter_has_is_an_error() {
    let world = World::empty().await;
    world.create(1, ada()).await;
    world.project(&small_text(""));
    assert_eq!(world.call(&["run", "-q"]).await.0, 0);
    let (_, status, _) = world.call(&["status"]).await;
    assert!(status.contains("contacts: finished "), "{status}");
    for action in ["retry", "drop"] {
        let (code, _, error) = world.call(&["dead-letters", action, "99"]).await;
        assert!(code == 2 && error.contains("there is no dead letter 99"), "{code} {error}");
        assert_eq!(world.call(&["dead-letters", action, "--mapping", "nosuch"]).await.0, 1);
    }
}
