//! Topics under generated histories: people opt out and consent in Dynamics, unsubscribe in Campaign, answers are lost, the process dies
//! also between a create and the subscription. In the end no person is subscribed who said no.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::optout_stories::once;
use super::topics::{plan, world};

const PERSONS: u32 = 3;
const STORIES: usize = 12;
const SERVICES: [&str; 2] = ["SVC1", "SVC2"];

#[derive(Clone, Debug)]
enum Event {
    /// In Dynamics: a person opts out of a topic, or consents to it.
    Dynamics(u32, usize, bool),
    /// In Campaign: a person unsubscribes.
    Unsubscribe(u32, usize),
    /// The contact leaves the filter, or comes back.
    Filter(u32),
    Pause,
    Run,
    /// A run that dies after this number of milliseconds.
    Killed(u64),
    Fault(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let person = 1..=PERSONS;
    prop_oneof![
        5 => (person.clone(), 0..2_usize, any::<bool>()).prop_map(|(n, topic, out)| Event::Dynamics(n, topic, out)),
        3 => (person.clone(), 0..2_usize).prop_map(|(n, topic)| Event::Unsubscribe(n, topic)),
        1 => person.prop_map(Event::Filter),
        1 => Just(Event::Pause),
        3 => Just(Event::Run),
        3 => (1..120_u64).prop_map(Event::Killed),
        2 => (0..5_usize).prop_map(Event::Fault),
    ]
}

async fn tell(number: usize, story: Vec<Event>) {
    let mut world = world().await;
    world.options.optouts.review_every = Duration::ZERO;
    world.dynamics_clock(0).await;
    let plan = plan("filtered-out delete");
    // Of each person and topic: what Dynamics says, and whether the last word of the person in Campaign was a no.
    let mut out = [[false; 2]; PERSONS as usize + 1];
    let mut said_no = [[false; 2]; PERSONS as usize + 1];
    let mut active = [true; PERSONS as usize + 1];
    for n in 1..=PERSONS {
        out[n as usize] = [n == 1, false];
        world.person(n, json!({"donotemail": n == 1})).await;
    }
    let faults = [
        json!({"kind": "lost-answer", "api": "campaign", "method": "POST", "count": 2}),
        json!({"kind": "lost-answer", "api": "campaign", "method": "DELETE", "count": 2}),
        json!({"kind": "reset", "api": "dataverse", "count": 2}),
        json!({"kind": "status", "status": 503, "api": "campaign", "count": 2}),
        json!({"kind": "reset", "api": "campaign", "count": 2}),
    ];
    for event in &story {
        // Faults are for the flow, and not for people.
        if matches!(event, Event::Dynamics(..) | Event::Unsubscribe(..) | Event::Filter(_)) {
            world.admin("clear-faults", json!(null)).await;
        }
        match event {
            Event::Dynamics(n, topic, no) => {
                let person = *n as usize;
                let value = if *topic == 0 { json!({"donotemail": no}) } else { json!({"followemail": !no}) };
                world.update(*n, value).await;
                // Only a change of the field to a consent is a later word.
                if out[person][*topic] && !no {
                    said_no[person][*topic] = false;
                }
                out[person][*topic] = *no;
            }
            Event::Unsubscribe(n, topic) => {
                if world.topics(*n).await.iter().any(|name| name == SERVICES[*topic]) {
                    world.unsubscribe(*n, SERVICES[*topic]).await;
                    said_no[*n as usize][*topic] = true;
                }
            }
            Event::Filter(n) => {
                let person = *n as usize;
                active[person] = !active[person];
                let state = i32::from(!active[person]);
                world.update(*n, json!({"statecode": state, "statuscode": 1 + state})).await;
            }
            Event::Pause => tokio::time::sleep(Duration::from_millis(1100)).await,
            Event::Run => once(&world, &plan, None).await,
            Event::Killed(after) => once(&world, &plan, Some(*after)).await,
            Event::Fault(fault) => world.admin("fail-next", faults[*fault].clone()).await,
        }
    }
    world.admin("clear-faults", json!(null)).await;
    for n in (1..=PERSONS).filter(|n| !active[*n as usize]) {
        world.update(n, json!({"statecode": 0, "statuscode": 1})).await;
    }
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(350)).await;
        once(&world, &plan, None).await;
    }
    for n in 1..=PERSONS {
        let topics = world.topics(n).await;
        for topic in 0..2 {
            let subscribed = topics.iter().any(|name| name == SERVICES[topic]);
            let no = (out[n as usize][topic], said_no[n as usize][topic]);
            assert!(
                !subscribed || no == (false, false),
                "story {number}: {n} is subscribed to {} against {no:?}: {story:?}",
                SERVICES[topic]
            );
        }
    }
    world.reset().await;
    once(&world, &plan, None).await;
    assert_eq!(world.writes().await, (0, 0), "story {number} does not come to rest: {story:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_generated_histories_no_person_is_subscribed_who_said_no_and_the_flow_comes_to_rest() {
    let mut runner = TestRunner::deterministic();
    let stories = proptest::collection::vec(event(), 6..20);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..STORIES {
        let story = stories.new_tree(&mut runner).expect("a story").current();
        tasks.spawn(tell(number, story));
        if tasks.len() >= 4 {
            tasks.join_next().await.expect("a story").expect("it ends well");
        }
    }
    while let Some(told) = tasks.join_next().await {
        told.expect("it ends well");
    }
}
