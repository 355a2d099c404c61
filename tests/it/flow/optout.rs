//! Opt-outs over HTTP: both directions, conflicts, the first comparison, trouble on the wire.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use d365map::plan::ExecutionPlan;
use d365map::run::{FlowSummary, Reconciliation, RunError, Summary, reconcile};
use d365map::store::OptoutStage;
use d365map::store::sqlite::db::Store;
use d365map_emulator::Config;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::support::{World, id, plan_of};

/// Contacts with their opt-outs in a direction: email, phone, and a flag of the other sense.
pub fn plan(direction: &str) -> Arc<ExecutionPlan> {
    plan_of(&mapping(direction))
}

pub fn mapping(direction: &str) -> String {
    format!(
        "mapping contacts: d365.contact -> campaign.profile {{
  key contactid -> externalId
  lastname -> lastName
  emailaddress1 -> email
}}
optout contacts {{
  direction {direction}
  donotemail <-> denyListEmail
  donotphone <-> denyListPhone
  followemail <-> not denyList
}}"
    )
}

/// A world in which Dynamics' clock is behind: what is done in Campaign now is strictly newer than what was done in
/// Dynamics, without waiting for the next second.
pub async fn world() -> World {
    let mut world = World::new(Config::default()).await;
    world.options.optouts.clock_tolerance = Duration::ZERO;
    world.options.optouts.list_every = Duration::ZERO;
    world.dynamics_clock(-60).await;
    world
}

impl World {
    /// Sets Dynamics' clock, in seconds ahead of Campaign's.
    pub async fn dynamics_clock(&self, seconds: i64) {
        self.admin("setup", json!({"clock_skew": seconds})).await;
    }

    /// Runs all flows once.
    pub async fn sync(&self, plan: &Arc<ExecutionPlan>) -> BTreeMap<String, FlowSummary> {
        let summary: Summary = self.try_run(plan).await.expect("the run completes");
        summary.flows.into_iter().map(|flow| (flow.mapping.clone(), flow)).collect()
    }

    pub async fn compare(&self, plan: &Arc<ExecutionPlan>) -> Reconciliation {
        let (_, services) = self.services();
        let stop = CancellationToken::new();
        let reports = reconcile(plan, &services, &self.options, None, &stop).await.expect("both sides can be read");
        reports.into_iter().next().expect("a flow")
    }

    /// The contact's flags: email, phone, followemail.
    pub async fn flags(&self, n: u32) -> (bool, bool, bool) {
        let rows = self.admin_get("dump/contacts").await;
        let rows = rows.as_array().expect("a list");
        let row = rows.iter().find(|r| r["contactid"] == id(n).as_str()).expect("the contact");
        let flag = |name: &str| row[name].as_bool().unwrap_or(false);
        (flag("donotemail"), flag("donotphone"), flag("followemail"))
    }

    /// The profile's attributes: email, phone, all.
    pub async fn lists(&self, n: u32) -> (bool, bool, bool) {
        let profile = self.profile(n).await.expect("the profile");
        let flag = |name: &str| profile[name].as_bool().unwrap_or(false);
        (flag("blackListEmail"), flag("blackListPhone"), flag("blackList"))
    }

    /// Somebody changes a profile in Campaign.
    pub async fn marketing(&self, n: u32, values: Value) {
        self.in_campaign("PATCH", &format!("profile/{}", id(n)), values).await;
    }

    /// A contact that may be written to, with these values beside.
    pub async fn person(&self, n: u32, values: Value) {
        let mut all = json!({"lastname": format!("L{n}"), "donotemail": false, "donotphone": false, "followemail": true});
        all.as_object_mut().expect("an object").extend(values.as_object().expect("an object").clone());
        self.create(n, all).await;
    }

    /// Changes in both services, since the counts were last reset.
    pub async fn writes(&self) -> (u64, u64) {
        let stats = self.admin_get("stats").await;
        let of = |api: &str| stats["apis"][api]["writes"].as_u64().unwrap_or(0);
        (of("dataverse"), of("campaign"))
    }

    pub async fn reset(&self) {
        self.admin("reset-stats", Value::Null).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_made_with_its_contacts_opt_outs_in_every_direction_but_disabled() {
    for (direction, expected) in [
        ("disabled", (false, false, false)),
        ("d365-to-campaign", (true, false, true)),
        ("campaign-to-d365", (true, false, true)),
        ("bidirectional", (true, false, true)),
    ] {
        let world = world().await;
        world.person(1, json!({"donotemail": true, "followemail": false})).await;
        // In the very request that makes the profile: there is no moment in which it may be written to.
        world.admin("fail-next", json!({"kind": "status", "status": 503, "api": "campaign", "method": "PATCH", "count": 1000})).await;
        world.sync(&plan(direction)).await;
        assert_eq!(world.lists(1).await, expected, "{direction}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_later_change_nor_a_replay_of_the_mapping_writes_opt_outs_over_campaigns() {
    let mut world = world().await;
    let plan = plan("bidirectional");
    world.person(1, json!({"donotemail": true})).await;
    world.options.mappings = Some(vec!["contacts".to_owned()]);
    world.sync(&plan).await;
    world.marketing(1, json!({"blackListEmail": false})).await;
    world.update(1, json!({"lastname": "Changed"})).await;
    assert_eq!(world.sync(&plan).await["contacts"].updated, 1);
    Store::open(&world.state()).unwrap().reset_for_replay("contacts", &plan.ingress[0].fingerprint()).unwrap();
    world.sync(&plan).await;
    assert_eq!(world.lists(1).await, (false, false, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn disabled_moves_nothing_either_way() {
    let world = world().await;
    let plan = plan("disabled");
    world.person(1, json!({})).await;
    world.sync(&plan).await;
    world.marketing(1, json!({"blackListEmail": true})).await;
    world.update(1, json!({"donotphone": true})).await;
    world.sync(&plan).await;
    assert_eq!((world.flags(1).await, world.lists(1).await), ((false, true, true), (true, false, false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn towards_campaign_dynamics_overwrites() {
    let world = world().await;
    let plan = plan("d365-to-campaign");
    world.person(1, json!({"donotemail": true})).await;
    world.sync(&plan).await;
    // Later than Campaign got the opt-out, by Dynamics' clock.
    world.dynamics_clock(60).await;
    world.update(1, json!({"donotemail": false, "followemail": false})).await;
    world.sync(&plan).await;
    assert_eq!(world.lists(1).await, (false, false, true));
    world.marketing(1, json!({"blackListPhone": true})).await;
    world.sync(&plan).await;
    assert_eq!(world.flags(1).await, (false, false, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn towards_dynamics_campaigns_changes_overwrite_and_campaign_is_not_written() {
    let world = world().await;
    let plan = plan("campaign-to-d365");
    world.person(1, json!({})).await;
    world.sync(&plan).await;
    world.marketing(1, json!({"blackListEmail": true, "blackList": true})).await;
    world.sync(&plan).await;
    assert_eq!(world.flags(1).await, (true, false, false));
    // What Dynamics changes stays there, until Campaign changes again.
    world.update(1, json!({"donotphone": true, "donotemail": false})).await;
    world.reset().await;
    world.sync(&plan).await;
    assert_eq!((world.flags(1).await, world.lists(1).await), ((false, true, false), (true, false, true)));
    assert_eq!(world.writes().await, (0, 0));
    world.marketing(1, json!({"blackList": false})).await;
    world.sync(&plan).await;
    assert_eq!((world.flags(1).await, world.lists(1).await), ((false, true, true), (true, false, false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_both_directions_an_opt_out_goes_over_in_its_sense_and_comes_not_back() {
    let world = world().await;
    let plan = plan("bidirectional");
    for n in 1..=2 {
        world.person(n, json!({})).await;
    }
    world.sync(&plan).await;
    world.marketing(1, json!({"blackListEmail": true, "blackList": true})).await;
    world.update(2, json!({"donotphone": true, "followemail": false})).await;
    world.reset().await;
    world.sync(&plan).await;
    assert_eq!((world.flags(1).await, world.lists(1).await), ((true, false, false), (true, false, true)));
    assert_eq!((world.flags(2).await, world.lists(2).await), ((false, true, false), (false, true, true)));
    // One request for each of the two persons, and none for the echo.
    assert_eq!(world.writes().await, (1, 1));
    for _ in 0..3 {
        world.sync(&plan).await;
    }
    assert_eq!(world.writes().await, (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_in_campaign_after_the_contacts_last_change_reaches_dynamics() {
    let world = world().await;
    let plan = plan("bidirectional");
    world.person(1, json!({"donotemail": true})).await;
    world.sync(&plan).await;
    world.sync(&plan).await;
    world.marketing(1, json!({"blackListEmail": false})).await;
    world.sync(&plan).await;
    assert_eq!((world.flags(1).await, world.lists(1).await), ((false, false, true), (false, false, false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_contact_was_changed_later_than_the_consent_the_opt_out_comes_back_to_campaign() {
    let world = world().await;
    let plan = plan("bidirectional");
    world.person(1, json!({"donotemail": true})).await;
    world.sync(&plan).await;
    world.marketing(1, json!({"blackListEmail": false})).await;
    world.dynamics_clock(0).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    // Another field: the time is the record's.
    world.update(1, json!({"lastname": "Changed"})).await;
    world.sync(&plan).await;
    assert_eq!((world.flags(1).await, world.lists(1).await), ((true, false, true), (true, false, false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_withdrawn_in_dynamics_alone_comes_back_from_campaign() {
    let world = world().await;
    let plan = plan("bidirectional");
    world.person(1, json!({"donotemail": true})).await;
    world.sync(&plan).await;
    world.dynamics_clock(60).await;
    world.update(1, json!({"donotemail": false})).await;
    world.sync(&plan).await;
    assert_eq!((world.flags(1).await, world.lists(1).await), ((true, false, true), (true, false, false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_after_our_own_write_to_dynamics_is_not_beaten_by_that_write() {
    let world = world().await;
    let plan = plan("bidirectional");
    world.person(1, json!({})).await;
    world.sync(&plan).await;
    world.marketing(1, json!({"blackListEmail": true})).await;
    // Our own write carries a time that is far ahead.
    world.dynamics_clock(600).await;
    world.sync(&plan).await;
    assert_eq!(world.flags(1).await, (true, false, true));
    world.marketing(1, json!({"blackListEmail": false})).await;
    world.sync(&plan).await;
    assert_eq!((world.flags(1).await, world.lists(1).await), ((false, false, true), (false, false, false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_disagrees_at_first_waits_for_approval_and_then_the_opt_out_wins() {
    let mut world = world().await;
    let plan = plan("bidirectional");
    // Both systems have been there before: profiles by the contacts' ids, one of somebody else.
    for n in 1..=4 {
        world.person(n, json!({"donotemail": n == 1, "followemail": n != 4})).await;
    }
    for (n, values) in [(1, json!({})), (2, json!({"blackListEmail": true})), (3, json!({})), (4, json!({"blackList": true}))] {
        let mut all = json!({"externalId": id(n), "lastName": format!("L{n}")});
        all.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
        world.in_campaign("POST", "profile", all).await;
    }
    world.in_campaign("POST", "profile", json!({"externalId": "other", "lastName": "Other", "blackListEmail": true})).await;

    world.reset().await;
    let report = world.compare(&plan).await;
    assert_eq!(world.writes().await, (0, 0));
    assert_eq!((report.compared, report.disagreeing, report.writes()), (4, 2, 2));
    let email = &report.attributes[0];
    assert_eq!((email.dynamics_only, email.campaign_only, email.neither), (1, 1, 2));
    assert_eq!((email.to_campaign, email.to_dynamics), (1, 1));
    assert_eq!((&*email.dynamics_only_examples, &*email.campaign_only_examples), (&[id(1)][..], &[id(2)][..]));
    assert_eq!(report.attributes[2].both_out, 1);
    assert!(report.describe().contains("followemail <-> not blackList"), "{}", report.describe());

    let flows = world.sync(&plan).await;
    assert_eq!(flows["contacts.optout"].backlog, 2);
    assert_eq!((world.flags(2).await, world.lists(1).await), ((false, false, true), (false, false, false)));
    let state = Store::open_read(&world.state()).unwrap().optout_state("contacts.optout").unwrap().unwrap();
    assert_eq!(state.stage, OptoutStage::Held);
    assert!(state.note.unwrap().contains("optout reconcile --accept contacts"));

    Store::open(&world.state()).unwrap().accept_optouts("contacts.optout").unwrap();
    world.sync(&plan).await;
    assert_eq!((world.flags(2).await, world.lists(1).await), ((true, false, true), (true, false, false)));
    assert_eq!((world.flags(4).await, world.lists(4).await), ((false, false, false), (false, false, true)));
    let other = world.profiles().await.into_iter().find(|p| p["externalId"] == "other").unwrap();
    assert_eq!(other["blackListEmail"], true);
    // From then on no approval is needed.
    world.options.optouts.accept = false;
    world.marketing(3, json!({"blackListPhone": true})).await;
    world.sync(&plan).await;
    assert_eq!(world.flags(3).await, (false, true, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_pairs_are_compared_again_before_anything_is_written() {
    let world = world().await;
    world.person(1, json!({"donotfax": true})).await;
    let first = plan("bidirectional");
    world.sync(&first).await;
    let more = plan_of(&mapping("bidirectional").replace("donotphone <-> denyListPhone", "donotfax <-> denyListFax"));
    let flows = world.sync(&more).await;
    assert_eq!(flows["contacts.optout"].backlog, 1);
    assert_eq!(world.profile(1).await.unwrap()["blackListFax"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_without_a_profile_waits_for_nothing_and_is_compared_when_it_has_one() {
    let world = world().await;
    let plan = plan_of(
        &mapping("bidirectional")
            .replace("emailaddress1 -> email\n", "emailaddress1 -> email\n  filter all { not jobtitle = \"Hidden\" }\n"),
    );
    world.person(1, json!({"jobtitle": "Hidden", "donotemail": true})).await;
    let flows = world.sync(&plan).await;
    assert_eq!(flows["contacts.optout"].backlog, 0);
    assert!(world.profile(1).await.is_none());
    world.in_campaign("POST", "profile", json!({"externalId": id(1), "lastName": "L1", "blackListPhone": true})).await;
    world.sync(&plan).await;
    assert_eq!((world.flags(1).await, world.lists(1).await), ((true, true, true), (true, true, false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_was_deleted_and_made_again_is_not_a_consent() {
    let world = world().await;
    let plan = plan("bidirectional");
    world.person(1, json!({"donotemail": true})).await;
    world.sync(&plan).await;
    world.sync(&plan).await;
    world.in_campaign("DELETE", &format!("profile/{}", id(1)), Value::Null).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    world.in_campaign("POST", "profile", json!({"externalId": id(1), "lastName": "L1"})).await;
    world.sync(&plan).await;
    assert_eq!((world.flags(1).await, world.lists(1).await), ((true, false, true), (true, false, false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_and_profiles_that_go_take_what_waits_for_them_along() {
    let world = world().await;
    let plan = plan("bidirectional");
    for n in 1..=2 {
        world.person(n, json!({})).await;
    }
    world.sync(&plan).await;
    world.marketing(1, json!({"blackListEmail": true})).await;
    world.update(2, json!({"donotemail": true})).await;
    world.delete(1).await;
    world.in_campaign("DELETE", &format!("profile/{}", id(2)), Value::Null).await;
    let flows = world.sync(&plan).await;
    assert_eq!((flows["contacts.optout"].backlog, flows["contacts.optout"].failed), (0, 0));
    assert!(world.dead_letters().is_empty());
    let store = Store::open_read(&world.state()).unwrap();
    assert!(store.optout("contacts.optout", &id(1)).unwrap().is_none_or(|p| p.contact.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_goes_and_comes_back_without_a_flag_gets_the_opt_out_that_campaign_has() {
    for direction in ["bidirectional", "campaign-to-d365"] {
        let mut world = world().await;
        let plan = plan(direction);
        world.person(1, json!({})).await;
        world.sync(&plan).await;
        world.marketing(1, json!({"blackListEmail": true})).await;
        world.sync(&plan).await;
        assert_eq!(world.flags(1).await, (true, false, true), "{direction}");
        // The profile does not show again by itself: nothing changes there any more. The mapping would delete it.
        world.options.optouts.list_every = Duration::from_secs(3600);
        world.options.mappings = Some(vec!["contacts.optout".to_owned()]);
        world.delete(1).await;
        world.sync(&plan).await;
        world.person(1, json!({})).await;
        world.sync(&plan).await;
        assert_eq!((world.flags(1).await, world.lists(1).await), ((true, false, true), (true, false, false)), "{direction}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_dynamics_between_reading_and_writing_is_not_overwritten() {
    let world = world().await;
    let plan = plan("bidirectional");
    world.person(1, json!({"donotemail": true})).await;
    world.sync(&plan).await;
    world.sync(&plan).await;
    world.marketing(1, json!({"blackListEmail": false})).await;
    // The consent is read, and the write of it fails until the next run.
    world.admin("fail-next", json!({"kind": "status", "status": 403, "api": "dataverse", "method": "PATCH", "count": 1})).await;
    assert!(matches!(world.try_run(&plan).await, Err(RunError::Denied { .. })));
    // Meanwhile the person says no again, in Dynamics.
    world.dynamics_clock(60).await;
    world.update(1, json!({"donotemail": true, "lastname": "Again"})).await;
    world.sync(&plan).await;
    assert_eq!((world.flags(1).await, world.lists(1).await), ((true, false, true), (true, false, false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_resets_and_throttling_change_nothing_in_the_end() {
    for fault in [
        json!({"kind": "lost-answer", "api": "dataverse", "method": "PATCH", "count": 4}),
        json!({"kind": "lost-answer", "api": "campaign", "method": "PATCH", "count": 4}),
        json!({"kind": "reset", "api": "dataverse", "count": 3}),
        json!({"kind": "status", "status": 503, "api": "campaign", "count": 3}),
        json!({"kind": "throttle", "api": "dataverse", "retry_after": 1, "count": 1}),
        json!({"kind": "unauthorized", "api": "dataverse", "count": 1}),
    ] {
        let world = world().await;
        let plan = plan("bidirectional");
        for n in 1..=6 {
            world.person(n, json!({"donotphone": n % 2 == 0})).await;
        }
        world.sync(&plan).await;
        world.sync(&plan).await;
        for n in 1..=3 {
            world.marketing(n, json!({"blackListEmail": true, "blackListPhone": false})).await;
        }
        for n in 4..=6 {
            world.update(n, json!({"donotemail": true})).await;
        }
        world.admin("fail-next", fault.clone()).await;
        let flows = world.sync(&plan).await;
        assert_eq!((flows["contacts.optout"].backlog, flows["contacts.optout"].failed), (0, 0), "{fault}");
        for n in 1..=6 {
            let phone = n % 2 == 0 && n > 3;
            assert_eq!((world.flags(n).await, world.lists(n).await), ((true, phone, true), (true, phone, false)), "{fault} {n}");
        }
        world.reset().await;
        world.sync(&plan).await;
        assert_eq!(world.writes().await, (0, 0), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_refuses_is_a_dead_letter_that_a_retry_settles() {
    let world = world().await;
    let plan = plan("bidirectional");
    world.person(1, json!({})).await;
    world.sync(&plan).await;
    world.marketing(1, json!({"blackListEmail": true})).await;
    world.admin("fail-next", json!({"kind": "status", "status": 400, "api": "dataverse", "method": "PATCH", "count": 1})).await;
    let flows = world.sync(&plan).await;
    assert_eq!(flows["contacts.optout"].failed, 1);
    let letters = world.dead_letters();
    assert_eq!((letters.len(), &*letters[0].mapping, &*letters[0].source_id), (1, "contacts.optout", &*id(1)));
    assert_eq!(letters[0].failure.place.as_ref().unwrap().line, 8);
    Store::open(&world.state()).unwrap().retry_dead_letters(&d365map::store::DeadLetterFilter::default()).unwrap();
    world.sync(&plan).await;
    assert_eq!((world.flags(1).await, world.dead_letters().len()), ((true, false, true), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_delta_token_and_changed_profiles_alone_lose_nothing() {
    let world = super::optout_readings::filtered().await;
    let plan = plan("bidirectional");
    for n in 1..=5 {
        world.person(n, json!({"donotphone": true})).await;
    }
    world.sync(&plan).await;
    world.admin("expire-delta", Value::Null).await;
    world.update(2, json!({"donotemail": true})).await;
    world.delete(3).await;
    world.marketing(1, json!({"blackListEmail": true})).await;
    world.sync(&plan).await;
    assert_eq!((world.flags(1).await, world.lists(2).await), ((true, true, true), (true, true, false)));
    let store = Store::open_read(&world.state()).unwrap();
    assert!(store.optout("contacts.optout", &id(3)).unwrap().is_none_or(|p| p.contact.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_filter_of_changed_profiles_is_used_where_campaign_has_it_without_being_configured() {
    let mut config = Config::default();
    let filter = json!({"name": "byLastModified", "parameters": [{"name": "lastModified_parameter", "fields": ["lastModified"], "operator": "at-least"}]});
    config.seed_text = Some(json!({"campaign": {"filters": [filter]}}).to_string());
    let mut world = World::new(config).await;
    world.options.optouts.clock_tolerance = Duration::ZERO;
    world.dynamics_clock(-60).await;
    let plan = plan("bidirectional");
    world.person(1, json!({})).await;
    world.sync(&plan).await;
    world.marketing(1, json!({"blackListEmail": true})).await;
    // Without the filter the next listing would come in an hour.
    world.sync(&plan).await;
    assert_eq!(world.flags(1).await, (true, false, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_in_answer_to_one_opt_out_postpones_that_person_and_the_others_are_written() {
    for fault in [json!({"kind": "html", "status": 200}), json!({"kind": "status", "status": 403})] {
        let world = world().await;
        let plan = plan("bidirectional");
        for n in 1..=5 {
            world.person(n, json!({})).await;
        }
        world.sync(&plan).await;
        world.sync(&plan).await;
        for n in 1..=5 {
            world.marketing(n, json!({"blackListEmail": true})).await;
        }
        let mut order = json!({"api": "dataverse", "method": "PATCH", "path": id(3), "count": 1000});
        order.as_object_mut().expect("an object").extend(fault.as_object().cloned().expect("an object"));
        world.admin("fail-next", order).await;
        let flows = world.sync(&plan).await;
        let denied = fault["kind"] == "status";
        let flow = &flows["contacts.optout"];
        assert_eq!((flow.backlog, flow.failed), (u64::from(!denied), u64::from(denied)), "{fault}");
        for n in [1, 2, 4, 5] {
            assert!(world.flags(n).await.0, "{fault} {n}");
        }
    }
}
