//! Opt-outs per topic over HTTP: subscriptions of profiles to services, which begin with a profile that the mapping makes, and end with
//! an opt-out in Dynamics.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use d365map::plan::ExecutionPlan;
use d365map::run::{Reconciliation, RunError, reconcile};
use d365map::store::sqlite::db::Store;
use d365map::store::{Approval, DeadLetterFilter};
use d365map_emulator::Config;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::support::{World, id, plan_of};

const FLOW: &str = "contacts.topics";

/// Phone calls, and two topics: `donotemail` is the opt-out of one, `followemail` the consent to the other.
pub fn mapping(options: &str) -> String {
    format!(
        "mapping contacts: d365.contact -> campaign.profile {{
  key contactid -> externalId
  lastname -> lastName
  filter all {{ statecode = Active }}
  options {{ {options} }}
}}
optout contacts {{
  direction d365-to-campaign
  donotphone  <-> denyListPhone
  donotemail  <-> not subscription \"SVC1\"
  followemail <-> subscription \"SVC2\"
}}"
    )
}

pub fn plan(options: &str) -> Arc<ExecutionPlan> {
    plan_of(&mapping(options))
}

/// A world with three services, in which Dynamics' clock is behind.
pub async fn world() -> World {
    let services = json!([{"name": "SVC1"}, {"name": "SVC2"}, {"name": "SVC3"}]);
    let seed = json!({"campaign": {"services": services}}).to_string();
    let mut world = World::new(Config { seed_text: Some(seed), ..Config::default() }).await;
    world.options.optouts.clock_tolerance = Duration::ZERO;
    world.options.optouts.list_every = Duration::ZERO;
    world.dynamics_clock(-60).await;
    world
}

impl World {
    /// The services to which the n-th contact's profile is subscribed.
    pub async fn topics(&self, n: u32) -> Vec<String> {
        let rows = self.admin_get("dump/resource/subscription").await;
        let own = rows.as_array().expect("a list").iter().filter(|row| row["subscriber"] == id(n).as_str());
        let names: BTreeSet<String> = own.map(|row| row["service"].as_str().expect("a name").to_owned()).collect();
        names.into_iter().collect()
    }

    pub async fn subscribe(&self, n: u32, service: &str) {
        self.admin("campaign/subscriptions", json!({"profile": id(n), "service": service})).await;
    }

    pub async fn unsubscribe(&self, n: u32, service: &str) {
        let url = format!("{}/campaign/subscriptions/{service}/{}", self.emulators.admin_url(), id(n));
        assert_eq!(self.client.delete(url).send().await.expect("an answer").status(), 204);
    }

    async fn services_left(&self) -> usize {
        self.admin_get("dump/resource/service").await.as_array().expect("a list").len()
    }

    async fn compare_topics(&self, plan: &Arc<ExecutionPlan>) -> Reconciliation {
        let (_, services) = self.services();
        let reports = reconcile(plan, &services, &self.options, None, &CancellationToken::new()).await.expect("both sides can be read");
        reports.into_iter().find(|report| report.topics).expect("the topics")
    }

    fn note(&self) -> Option<String> {
        Store::open_read(&self.state()).unwrap().optout_state(FLOW).unwrap().unwrap().note
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_the_mapping_makes_is_subscribed_once_to_what_its_contact_consents_to() {
    let world = world().await;
    let plan = plan("deletes ignore");
    world.person(1, json!({})).await;
    world.person(2, json!({"donotemail": true, "donotphone": true})).await;
    world.person(3, json!({"donotemail": true, "followemail": false})).await;
    let flows = world.sync(&plan).await;
    assert_eq!(
        (world.topics(1).await, world.topics(2).await, world.topics(3).await),
        (vec!["SVC1".into(), "SVC2".into()], vec!["SVC2".into()], vec![])
    );
    assert_eq!(flows[FLOW].backlog, 0);
    assert_eq!(world.profile(2).await.unwrap()["blackListPhone"], true);
    // Somebody unsubscribes. Neither the next change nor the next run subscribes again.
    world.unsubscribe(1, "SVC1").await;
    world.update(1, json!({"lastname": "Changed"})).await;
    world.reset().await;
    world.sync(&plan).await;
    world.sync(&plan).await;
    assert_eq!((world.topics(1).await, world.writes().await.1), (vec!["SVC2".to_owned()], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_ends_the_subscription_and_a_later_consent_begins_it_again_and_the_service_stays() {
    let world = world().await;
    let plan = plan("deletes ignore");
    world.person(1, json!({})).await;
    world.person(2, json!({})).await;
    world.sync(&plan).await;
    world.update(1, json!({"donotemail": true})).await;
    world.update(2, json!({"followemail": false, "donotemail": true})).await;
    world.sync(&plan).await;
    assert_eq!((world.topics(1).await, world.topics(2).await), (vec!["SVC2".to_owned()], vec![]));
    assert_eq!(world.services_left().await, 3);
    world.dynamics_clock(60).await;
    world.update(1, json!({"donotemail": false})).await;
    let flows = world.sync(&plan).await;
    assert_eq!((world.topics(1).await.len(), flows[FLOW].backlog, world.dead_letters().len()), (2, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_that_is_not_later_than_our_own_end_of_the_subscription_is_held() {
    let world = world().await;
    let plan = plan("deletes ignore");
    world.person(1, json!({})).await;
    world.sync(&plan).await;
    world.update(1, json!({"donotemail": true})).await;
    world.sync(&plan).await;
    world.update(1, json!({"donotemail": false})).await;
    let flows = world.sync(&plan).await;
    assert_eq!((world.topics(1).await, flows[FLOW].backlog), (vec!["SVC2".to_owned()], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_was_there_before_is_subscribed_only_if_somebody_approves_it() {
    let world = world().await;
    let plan = plan("deletes ignore");
    for n in 1..=2 {
        world.person(n, json!({"donotemail": n == 2})).await;
        world.in_campaign("POST", "profile", json!({"externalId": id(n), "lastName": "L"})).await;
        world.subscribe(n, "SVC2").await;
    }
    world.subscribe(2, "SVC1").await;
    let report = world.compare_topics(&plan).await;
    assert_eq!((report.writes(), report.held(), report.compared), (1, 1, 2), "{}", report.describe());
    assert!(report.describe().contains("donotemail <-> not subscription \"SVC1\""), "{}", report.describe());
    let flows = world.sync(&plan).await;
    assert_eq!((world.topics(1).await, world.topics(2).await), (vec!["SVC2".to_owned()], vec!["SVC2".to_owned()]));
    assert_eq!(flows[FLOW].backlog, 1);
    assert!(world.note().unwrap().contains("--accept contacts` subscribes"), "{:?}", world.note());
    Store::open(&world.state()).unwrap().decide_optouts(FLOW, Approval::Leave).unwrap();
    let flows = world.sync(&plan).await;
    assert_eq!((flows[FLOW].backlog, world.topics(1).await.len(), world.note()), (0, 1, None));
    // The same without a state, and this time it is approved.
    std::fs::remove_file(world.state()).unwrap();
    world.sync(&plan).await;
    Store::open(&world.state()).unwrap().decide_optouts(FLOW, Approval::Write).unwrap();
    let flows = world.sync(&plan).await;
    assert_eq!((flows[FLOW].backlog, world.topics(1).await.len(), world.topics(2).await.len()), (0, 2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_between_the_create_and_the_subscription_loses_no_consent() {
    let mut world = world().await;
    let plan = plan("deletes ignore");
    world.person(1, json!({})).await;
    world.options.mappings = Some(vec!["contacts".to_owned()]);
    world.sync(&plan).await;
    assert!(world.topics(1).await.is_empty());
    world.options.mappings = None;
    world.sync(&plan).await;
    assert_eq!(world.topics(1).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_whose_create_was_not_answered_is_not_taken_for_a_new_one() {
    let world = world().await;
    let plan = plan("deletes ignore");
    world.person(1, json!({})).await;
    world.admin("fail-next", json!({"kind": "lost-answer", "api": "campaign", "method": "POST", "count": 1})).await;
    let flows = world.sync(&plan).await;
    assert!(world.profile(1).await.is_some());
    assert_eq!((world.topics(1).await.len(), flows[FLOW].backlog), (0, 1), "it is held");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_whose_answer_was_lost_is_not_begun_again_after_somebody_ended_it() {
    for ended in [false, true] {
        let world = world().await;
        let plan = plan("deletes ignore");
        world.person(1, json!({"donotemail": true, "followemail": false})).await;
        world.sync(&plan).await;
        world.dynamics_clock(60).await;
        world.update(1, json!({"followemail": true})).await;
        world.admin("fail-next", json!({"kind": "lost-answer", "api": "campaign", "method": "POST", "count": 1})).await;
        let stopped = world.try_run(&plan);
        if ended {
            let waiting = async {
                while world.topics(1).await.is_empty() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                world.unsubscribe(1, "SVC2").await;
            };
            drop(tokio::join!(stopped, waiting).0);
        } else {
            drop(stopped.await);
        }
        let flows = world.sync(&plan).await;
        let expected = if ended { (0, 1) } else { (1, 0) };
        assert_eq!((world.topics(1).await.len() as u64, flows[FLOW].backlog), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_unsubscribed_outlives_the_profile_that_the_mapping_deletes() {
    let world = world().await;
    let plan = plan("filtered-out delete");
    world.person(1, json!({"followemail": false})).await;
    world.person(2, json!({})).await;
    world.sync(&plan).await;
    world.unsubscribe(1, "SVC1").await;
    for n in 1..=2 {
        world.update(n, json!({"statecode": 1, "statuscode": 2})).await;
    }
    world.sync(&plan).await;
    assert!(world.profile(1).await.is_none() && world.profile(2).await.is_none());
    for n in 1..=2 {
        world.update(n, json!({"statecode": 0, "statuscode": 1})).await;
    }
    let flows = world.sync(&plan).await;
    assert!(world.profile(1).await.is_some());
    assert_eq!((world.topics(1).await, world.topics(2).await.len()), (vec![], 2));
    assert_eq!(flows[FLOW].backlog, 1, "what was unsubscribed is held");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_subscribes_in_campaign_against_an_opt_out_of_dynamics_is_unsubscribed_at_the_next_review() {
    let mut world = world().await;
    let plan = plan("deletes ignore");
    world.person(1, json!({"donotemail": true})).await;
    world.sync(&plan).await;
    world.subscribe(1, "SVC1").await;
    world.sync(&plan).await;
    assert_eq!(world.topics(1).await.len(), 2, "the last review was less than a day ago");
    world.options.optouts.review_every = Duration::ZERO;
    world.sync(&plan).await;
    assert_eq!(world.topics(1).await, ["SVC2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_campaign_refuses_to_end_is_a_dead_letter_with_the_line_of_its_pair() {
    let world = world().await;
    let plan = plan("deletes ignore");
    world.person(1, json!({})).await;
    world.sync(&plan).await;
    world.update(1, json!({"donotemail": true, "followemail": false})).await;
    world.admin("fail-next", json!({"kind": "status", "status": 400, "api": "campaign", "method": "DELETE", "count": 1})).await;
    let flows = world.sync(&plan).await;
    // The other one ends anyway.
    assert_eq!((flows[FLOW].failed, world.topics(1).await.len()), (1, 1));
    let letter = world.dead_letters().remove(0);
    assert_eq!(letter.mapping, FLOW);
    assert!(["SVC1", "SVC2"].contains(&letter.failure.field.as_deref().unwrap()), "{letter:?}");
    let shown = format!("{letter:?}");
    assert!(shown.contains("subscribed") && !shown.contains("/@"), "{shown}");
    Store::open(&world.state()).unwrap().retry_dead_letters(&DeadLetterFilter::default()).unwrap();
    world.sync(&plan).await;
    assert_eq!((world.topics(1).await.len(), world.dead_letters().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_exist_stops_the_workflow_before_anything_is_taken_for_an_opt_out() {
    let world = world().await;
    let plan = plan_of(&mapping("deletes ignore").replace("SVC1", "svc1"));
    world.person(1, json!({})).await;
    let error = world.try_run(&plan).await.err().map(|error: RunError| error.to_string());
    let text = match error {
        Some(text) => text,
        None => panic!("the run is clean"),
    };
    assert!(text.contains("there is no service with the name `svc1`") && text.contains("mappings/contacts.d365map:10"), "{text}");
    assert!(world.topics(1).await.is_empty() && world.profile(1).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_options_of_a_field_say_what_is_a_consent_to_a_topic() {
    let world = world().await;
    let text = mapping("deletes ignore").replace(
        "followemail <-> subscription \"SVC2\"",
        "preferredcontactmethodcode <-> subscription \"SVC2\" { Email => in; null => out; else => out }",
    );
    let plan = plan_of(&text);
    for (n, method) in [(1, json!(2)), (2, json!(3)), (3, Value::Null)] {
        world.person(n, json!({"donotemail": true, "preferredcontactmethodcode": method})).await;
    }
    world.sync(&plan).await;
    assert_eq!((world.topics(1).await.len(), world.topics(2).await.len(), world.topics(3).await.len()), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_person_leaves_no_topics_in_the_state_and_is_not_subscribed() {
    let mut world = world().await;
    let plan = plan("deletes ignore");
    world.person(1, json!({})).await;
    world.options.mappings = Some(vec!["contacts".to_owned()]);
    world.sync(&plan).await;
    let store = Store::open(&world.state()).unwrap();
    assert!(store.trace(&id(1)).unwrap().counts.contains_key("optout"));
    store.forget(&id(1)).unwrap();
    assert!(!store.trace(&id(1)).unwrap().counts.contains_key("optout"));
    drop(store);
    world.options.mappings = None;
    world.sync(&plan).await;
    assert!(world.topics(1).await.is_empty());
}
