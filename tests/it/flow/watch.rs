//! Watching: workflows in one process, started and stopped by themselves, with wishes from beside.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use d365map::plan::ExecutionPlan;
use d365map::run::{Counters, Pace, PlanSource, RunError, Services, Summary, Supervision, Workflow, watch};
use d365map::state::{Store, Wish, WorkflowRecord, WorkflowState};
use d365map::time::schedule::Schedule;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::support::{World, ada, id, plan_of, small};
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

    fn load(&self) -> Result<Arc<ExecutionPlan>, String> {
        self.0.lock().expect("no panic").1.clone()
    }

    fn services(&self, _: &ExecutionPlan, _: &Workflow) -> Result<Services, String> {
        Ok(self.1.clone())
    }
}

impl Files {
    fn change(&self, plan: Result<Arc<ExecutionPlan>, String>) {
        let mut files = self.0.lock().expect("no panic");
        *files = (files.0 + 1, plan);
    }
}

/// A watch in this process.
struct Watching {
    files: Files,
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
        let supervision = Supervision { source: Arc::new(files.clone()), schedules };
        let stop = CancellationToken::new();
        let (options, counters) = (world.options.clone(), Arc::new(Counters::default()));
        let task = tokio::spawn(watch(plan.clone(), services, store.clone(), options, counters, stop.clone(), supervision));
        Watching { files, store, stop, task }
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
async fn one_that_fails_for_good_stays_failed_until_it_is_started_and_the_others_go_on() {
    let mut world = World::empty().await;
    world.create(1, ada()).await;
    let watching = Watching::start(&mut world, &with_another("nosuchtable"), &[]);
    let failed = watching.state("others", WorkflowState::Failed).await;
    assert!(failed.reason.is_some_and(|r| !r.is_empty()) && failed.next_round.is_none());
    profile_of(&world, 1).await;
    world.create(2, ada()).await;
    profile_of(&world, 2).await;
    assert_eq!(watching.record("others").map(|w| w.state), Some(WorkflowState::Failed), "not tried again by itself");
    assert_eq!(watching.record("contacts").map(|w| w.state), Some(WorkflowState::Running));
    // What was wrong is mended, and it is started.
    watching.files.change(Ok(with_another("contacts")));
    watching.wish("others", Wish::Run);
    let running = watching.state("others", WorkflowState::Running).await;
    assert_eq!((running.reason, running.last_error.is_some()), (None, true));
    let summary = watching.end().await;
    assert_eq!(summary.failed, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_shows_as_failed_with_the_next_attempt_and_mends_itself() {
    let mut world = World::empty().await;
    world.http.attempts = 1;
    world.create(1, ada()).await;
    // Not one record's trouble, which would be put off, but everyone's.
    world.admin("fail-next", json!({"kind": "unauthorized", "api": "campaign", "count": 10_000})).await;
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

/// Asks until it is so.
async fn eventually(what: &str, so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !so().await {
        assert!(began.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_that_cannot_be_had_until_somebody_mends_it_keep_no_opt_out_from_travelling() {
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
async fn a_journal_that_lets_nobody_in_keeps_no_event_of_the_exports_from_travelling() {
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

    // Files that are no plan stop nothing, but they do not start anything either.
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
    watching.store.retry_dead_letters(&d365map::state::DeadLetterFilter::default()).expect("put back");
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
    assert_eq!((after.generation, after.reason), (before + 1, d365map::state::Reason::Replay));
    watching.end().await;
}
