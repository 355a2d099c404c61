//! Opt-outs under generated histories: people on both sides change their minds, readings fail, answers are lost, the process
//! dies; in the end both systems agree, no opt-out is lost, and nothing is written any more.

use std::sync::Arc;
use std::time::Duration;

use d365map::plan::ExecutionPlan;
use d365map::run::{Publisher, run};
use d365map::store::StoreError;
use d365map::store::sqlite::db::Store;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::optout::{mapping, plan, world};
use super::support::{World, id};

const PERSONS: u32 = 3;
const STORIES: usize = 24;

/// A thing that happens.
#[derive(Clone, Debug)]
enum Event {
    /// In Dynamics: of a person, email or phone, to this.
    Dynamics(u32, bool, bool),
    /// In Dynamics: another field.
    Touch(u32),
    /// In Campaign.
    Campaign(u32, bool, bool),
    /// A whole second passes.
    Pause,
    /// A run to its end.
    Run,
    /// A run that dies after this number of milliseconds.
    Killed(u64),
    /// The next requests meet this.
    Fault(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let person = 1..=PERSONS;
    prop_oneof![
        4 => (person.clone(), any::<bool>(), any::<bool>()).prop_map(|(n, email, out)| Event::Dynamics(n, email, out)),
        1 => person.clone().prop_map(Event::Touch),
        4 => (person, any::<bool>(), any::<bool>()).prop_map(|(n, email, out)| Event::Campaign(n, email, out)),
        2 => Just(Event::Pause),
        3 => Just(Event::Run),
        2 => (1..120_u64).prop_map(Event::Killed),
        2 => (0..5_usize).prop_map(Event::Fault),
    ]
}

/// What people have said of one opt-out, in the order in which they said it.
#[derive(Clone, Copy, Default)]
struct Said {
    in_dynamics: Option<u32>,
    in_campaign: bool,
    consent: Option<u32>,
}

impl Said {
    /// Whether the end must be an opt-out.
    fn must_be_out(self) -> bool {
        self.in_campaign || self.in_dynamics.is_some_and(|no| self.consent.is_none_or(|consent| consent < no))
    }
}

/// Opens the state when the run before has let go of it.
async fn opened(world: &World) -> Store {
    for _ in 0..200 {
        match Store::open_for_run(&world.state()) {
            Err(StoreError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
            other => return other.expect("the state opens"),
        }
    }
    panic!("the state stays in use");
}

/// Runs; a run that is cut off stops wherever it is, as a process that is killed does.
pub(super) async fn once(world: &World, plan: &Arc<ExecutionPlan>, cut: Option<u64>) {
    let store = opened(world).await;
    let (_, services) = world.services();
    let going = run(plan.clone(), services, store.into(), world.options(), Publisher::default(), CancellationToken::new());
    match cut {
        Some(after) => drop(tokio::time::timeout(Duration::from_millis(after), going).await),
        // It may end for a fault of the moment; the next one goes on.
        None => drop(going.await),
    }
}

async fn tell(number: usize, story: Vec<Event>) {
    let mut world = world().await;
    world.dynamics_clock(0).await;
    world.options.optouts.accept = true;
    let plan = plan("bidirectional");
    for n in 1..=PERSONS {
        world.person(n, json!({"donotemail": n == 1})).await;
    }
    once(&world, &plan, None).await;
    let mut said = vec![[Said::default(); 2]; PERSONS as usize + 1];
    said[1][0].in_dynamics = Some(0);
    let faults = [
        json!({"kind": "lost-answer", "api": "dataverse", "method": "PATCH", "count": 2}),
        json!({"kind": "lost-answer", "api": "campaign", "method": "PATCH", "count": 2}),
        json!({"kind": "reset", "api": "dataverse", "count": 2}),
        json!({"kind": "status", "status": 503, "api": "campaign", "count": 2}),
        json!({"kind": "reset", "api": "campaign", "count": 2}),
    ];
    for (moment, event) in (1..).zip(&story) {
        match event {
            Event::Dynamics(..) | Event::Touch(_) | Event::Campaign(..) => world.admin("clear-faults", json!(null)).await,
            Event::Pause | Event::Run | Event::Killed(_) | Event::Fault(_) => {}
        }
        match event {
            Event::Dynamics(n, email, out) => {
                world.update(*n, json!({if *email { "donotemail" } else { "donotphone" }: out})).await;
                said[*n as usize][usize::from(!email)].in_dynamics = out.then_some(moment);
            }
            Event::Touch(n) => world.update(*n, json!({"lastname": format!("L{moment}")})).await,
            Event::Campaign(n, email, out) => {
                world.marketing(*n, json!({if *email { "blackListEmail" } else { "blackListPhone" }: out})).await;
                let said = &mut said[*n as usize][usize::from(!email)];
                said.in_campaign = *out;
                if !out {
                    said.consent = Some(moment);
                }
            }
            Event::Pause => tokio::time::sleep(Duration::from_millis(1050)).await,
            Event::Run => once(&world, &plan, None).await,
            Event::Killed(after) => once(&world, &plan, Some(*after)).await,
            Event::Fault(which) => world.admin("fail-next", faults[*which].clone()).await,
        }
    }
    world.admin("clear-faults", json!(null)).await;
    for _ in 0..3 {
        once(&world, &plan, None).await;
    }
    world.reset().await;
    once(&world, &plan, None).await;
    assert_eq!(world.writes().await, (0, 0), "story {number} does not come to rest: {story:?}");
    for n in 1..=PERSONS {
        let (flags, lists) = (world.flags(n).await, world.lists(n).await);
        assert_eq!((flags.0, flags.1), (lists.0, lists.1), "story {number}: the systems disagree about {}: {story:?}", id(n));
        for (out, said) in [(flags.0, said[n as usize][0]), (flags.1, said[n as usize][1])] {
            assert!(out || !said.must_be_out(), "story {number}: an opt-out of {} is lost: {story:?}", id(n));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_happens_both_systems_agree_in_the_end_and_no_opt_out_is_lost() {
    // The same stories each time.
    let mut runner = TestRunner::deterministic();
    let strategy = proptest::collection::vec(event(), 4..14);
    let mut stories: Vec<(usize, Vec<Event>)> =
        (0..STORIES).map(|n| (n, strategy.new_tree(&mut runner).expect("a story").current())).collect();
    let mut telling = JoinSet::new();
    while !stories.is_empty() || !telling.is_empty() {
        while telling.len() < 6
            && let Some((number, story)) = stories.pop()
        {
            telling.spawn(tell(number, story));
        }
        if let Some(told) = telling.join_next().await {
            told.expect("a story that ends well");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_again_and_again_leaves_both_systems_as_an_undisturbed_one_would() {
    const PEOPLE: u32 = 60;
    let world = world().await;
    world.project(&mapping("bidirectional"));
    let yaml = world.folder.path().join("d365map.yaml");
    let text = std::fs::read_to_string(&yaml).unwrap();
    std::fs::write(&yaml, format!("{text}opt-outs:\n  list-every-seconds: 0\n  clock-tolerance-seconds: 0\n")).unwrap();
    for n in 1..=PEOPLE {
        world.person(n, json!({"donotphone": n % 3 == 0})).await;
    }
    let (status, _, error) = world.call(&["run", "--quiet"]).await;
    assert_eq!(status, 0, "{error}");
    for n in 1..=PEOPLE {
        match n % 3 {
            0 => world.marketing(n, json!({"blackListPhone": false})).await,
            1 => world.marketing(n, json!({"blackListEmail": true})).await,
            _ => world.update(n, json!({"donotemail": true})).await,
        }
    }
    world.reset().await;
    for kill in 1..=5_u64 {
        let mut child = world.command(&["run", "--quiet"]).spawn().expect("the command starts");
        let began = std::time::Instant::now();
        loop {
            let (dynamics, campaign) = world.writes().await;
            if dynamics + campaign >= kill * u64::from(PEOPLE) / 7 || began.elapsed() > Duration::from_secs(30) {
                break;
            }
            if child.try_wait().expect("a child").is_some() {
                break;
            }
        }
        child.kill().await.expect("SIGKILL");
    }
    let (status, out, error) = world.call(&["run"]).await;
    assert_eq!(status, 0, "{out}{error}");
    for n in 1..=PEOPLE {
        let expected = if n % 3 == 0 { (false, false) } else { (true, false) };
        let (flags, lists) = (world.flags(n).await, world.lists(n).await);
        assert_eq!(((flags.0, flags.1), (lists.0, lists.1)), (expected, expected), "{n}");
    }
    world.reset().await;
    let (status, ..) = world.call(&["run", "--quiet"]).await;
    assert_eq!((status, world.writes().await), (0, (0, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_shows_what_would_be_written_and_a_run_waits_for_its_yes() {
    let world = world().await;
    world.project(&mapping("bidirectional"));
    world.person(1, json!({"donotemail": true})).await;
    world.in_campaign("POST", "profile", json!({"externalId": id(1), "lastName": "L1", "blackListPhone": true})).await;
    let (status, out, _) = world.call(&["optout", "reconcile"]).await;
    assert_eq!(status, 1);
    assert!(out.contains("1 contact with a profile, 1 of them with a difference") && out.contains("to write: 2"), "{out}");
    let (_, out, _) = world.call(&["run", "--dry-run", "--format", "json"]).await;
    let dry: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(dry["reconciliations"][0]["attributes"][0]["to_campaign"], 1);
    world.reset().await;
    let (status, out, error) = world.call(&["run"]).await;
    assert_eq!(status, 1, "{out}{error}");
    assert!(error.contains("optout reconcile --accept contacts"), "{error}");
    // The profile was there before: the mapping takes it over and writes no opt-out to it.
    assert_eq!((world.flags(1).await.1, world.lists(1).await.0), (false, false));
    let (status, _, error) = world.call(&["optout", "reconcile", "--accept", "contacts"]).await;
    assert_eq!(status, 0, "{error}");
    assert_eq!((world.flags(1).await.1, world.lists(1).await.0), (false, false));
    let (status, out, error) = world.call(&["run"]).await;
    assert_eq!(status, 0, "{out}{error}");
    assert_eq!((world.flags(1).await.1, world.lists(1).await.0), (true, true));
    let (status, ..) = world.call(&["optout", "reconcile", "nobody"]).await;
    assert_eq!(status, 2);
}
