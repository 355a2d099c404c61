//! Opt-outs apart from the record: whatever is the matter with a contact, its opt-outs reach the profile, and no opt-out is lifted without
//! a change or somebody's approval.

use serde_json::{Value, json};

use d365map::store::Approval;
use d365map::store::sqlite::db::Store;

use super::optout::world;
use super::support::{World, id, plan_of};

const FLOW: &str = "contacts.optout";

fn mapping(direction: &str, options: &str) -> String {
    format!(
        "mapping contacts: d365.contact -> campaign.profile {{
  key contactid -> externalId
  lastname -> lastName
  emailaddress1 -> email
  telephone1 -> phone | phone(\"DE\") or reject
  filter all {{ statecode = Active }}
  options {{ {options} }}
}}
optout contacts {{ direction {direction}; donotemail <-> denyListEmail; donotphone <-> denyListPhone }}"
    )
}

impl World {
    async fn denied(&self, n: u32) -> bool {
        self.profile(n).await.expect("the profile")["blackListEmail"] == true
    }

    async fn deactivate(&self, n: u32, out: bool) {
        self.update(n, json!({"statecode": i32::from(out), "statuscode": 1 + i32::from(out)})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_in_dynamics_reaches_its_profile_whatever_is_wrong_with_the_rest_of_the_record() {
    for direction in ["d365-to-campaign", "bidirectional"] {
        let world = world().await;
        let plan = plan_of(&mapping(direction, "deletes ignore"));
        for n in 1..=5 {
            world.person(n, json!({"emailaddress1": format!("p{n}@example.com")})).await;
        }
        world.sync(&plan).await;
        world.update(1, json!({"donotemail": true, "telephone1": "call me"})).await;
        world.update(2, json!({"donotemail": true, "emailaddress1": "two@@example.com"})).await;
        world.update(3, json!({"donotemail": true, "statecode": 1, "statuscode": 2})).await;
        world.update(4, json!({"donotemail": true})).await;
        let flows = world.sync(&plan).await;
        assert_eq!((flows["contacts"].rejected, flows["contacts"].failed), (1, 1), "{direction}");
        for n in 1..=4 {
            assert!(world.denied(n).await, "{direction}: {n}");
        }
        assert!(!world.denied(5).await, "{direction}");
        // And back, where Dynamics is the one source: later than the opt-out was written, by Dynamics' clock.
        world.dynamics_clock(60).await;
        world.update(1, json!({"donotemail": false, "telephone1": "still not a number"})).await;
        world.sync(&plan).await;
        assert_eq!(world.denied(1).await, direction == "bidirectional", "{direction}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attribute_that_campaign_refuses_keeps_no_other_opt_out_from_being_written() {
    let world = world().await;
    let plan = plan_of(&mapping("d365-to-campaign", "deletes ignore"));
    world.person(1, json!({})).await;
    world.sync(&plan).await;
    world.update(1, json!({"donotemail": true, "donotphone": true})).await;
    // Both together are refused, and the first of them by itself.
    world.admin("fail-next", json!({"kind": "status", "status": 400, "api": "campaign", "method": "PATCH", "count": 2})).await;
    let flows = world.sync(&plan).await;
    assert_eq!((flows[FLOW].failed, world.lists(1).await), (1, (false, true, false)));
    Store::open(&world.state()).unwrap().retry_dead_letters(&d365map::store::DeadLetterFilter::default()).unwrap();
    world.sync(&plan).await;
    assert_eq!((world.dead_letters().len(), world.lists(1).await), (0, (true, true, false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn towards_campaign_the_first_run_writes_opt_outs_and_holds_what_would_lift_one() {
    let world = world().await;
    let plan = plan_of(&mapping("d365-to-campaign", "deletes ignore"));
    for n in 1..=3 {
        world.person(n, json!({"donotemail": n == 1})).await;
        world.in_campaign("POST", "profile", json!({"externalId": id(n), "lastName": "L", "blackListEmail": n == 2})).await;
    }
    let report = world.compare(&plan).await;
    assert_eq!((report.writes(), report.held()), (1, 1));
    assert!(report.describe().contains("stays an opt-out in Campaign, unless you approve"), "{}", report.describe());
    let flows = world.sync(&plan).await;
    assert_eq!((world.denied(1).await, world.denied(2).await, world.denied(3).await), (true, true, false));
    assert_eq!(flows[FLOW].backlog, 1, "the run needs attention");
    let note = || Store::open_read(&world.state()).unwrap().optout_state(FLOW).unwrap().unwrap().note;
    assert!(note().unwrap().contains("optout reconcile --accept contacts"), "{:?}", note());
    // What is held does not hold back what comes next of the same person.
    world.update(2, json!({"donotphone": true})).await;
    world.sync(&plan).await;
    assert_eq!(world.lists(2).await, (true, true, false));

    Store::open(&world.state()).unwrap().decide_optouts(FLOW, Approval::Leave).unwrap();
    let flows = world.sync(&plan).await;
    assert_eq!((flows[FLOW].backlog, world.denied(2).await, note()), (0, true, None));
    // The same without a state, and this time it is approved.
    std::fs::remove_file(world.state()).unwrap();
    assert_eq!(world.sync(&plan).await[FLOW].backlog, 1);
    assert!(world.denied(2).await);
    Store::open(&world.state()).unwrap().decide_optouts(FLOW, Approval::Write).unwrap();
    let flows = world.sync(&plan).await;
    assert_eq!((flows[FLOW].backlog, world.lists(2).await), (0, (false, true, false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn towards_campaign_a_consent_that_is_not_later_than_our_own_write_of_the_opt_out_is_held() {
    let world = world().await;
    let plan = plan_of(&mapping("d365-to-campaign", "deletes ignore"));
    for n in 1..=2 {
        world.person(n, json!({})).await;
    }
    world.sync(&plan).await;
    for n in 1..=2 {
        world.update(n, json!({"donotemail": true})).await;
    }
    world.sync(&plan).await;
    assert!(world.denied(1).await && world.denied(2).await);
    // Somebody may have unsubscribed in the moment of our write. By Dynamics' clock the first consent came before it, the second after it.
    world.update(1, json!({"donotemail": false})).await;
    world.dynamics_clock(60).await;
    world.update(2, json!({"donotemail": false})).await;
    let flows = world.sync(&plan).await;
    assert_eq!((flows[FLOW].backlog, world.denied(1).await, world.denied(2).await), (1, true, false));
    Store::open(&world.state()).unwrap().decide_optouts(FLOW, Approval::Write).unwrap();
    assert_eq!((world.sync(&plan).await[FLOW].backlog, world.denied(1).await), (0, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn towards_campaign_a_consent_whose_answer_was_lost_lifts_no_opt_out_that_came_after_it() {
    for unsubscribed in [true, false] {
        let world = world().await;
        let plan = plan_of(&mapping("d365-to-campaign", "deletes ignore"));
        world.person(1, json!({"donotemail": true})).await;
        world.sync(&plan).await;
        world.dynamics_clock(60).await;
        world.update(1, json!({"donotemail": false})).await;
        // Campaign carries the consent out, and the answer never arrives; nothing else is written in this run.
        world.admin("fail-next", json!({"kind": "lost-answer", "api": "campaign", "method": "PATCH", "count": 1})).await;
        world
            .admin(
                "fail-next",
                json!({"kind": "status", "status": 403, "api": "campaign", "method": "GET", "path": id(1), "skip": 1, "count": 1000}),
            )
            .await;
        let _ = world.try_run(&plan).await;
        world.admin("clear-faults", Value::Null).await;
        assert!(!world.denied(1).await, "it was carried out");
        if unsubscribed {
            world.marketing(1, json!({"blackListEmail": true})).await;
        }
        world.sync(&plan).await;
        let flows = world.sync(&plan).await;
        let expected = (u64::from(unsubscribed), unsubscribed);
        assert_eq!((flows[FLOW].backlog, world.denied(1).await), expected, "somebody unsubscribed: {unsubscribed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_that_campaign_gets_later_stays_without_approval() {
    let world = world().await;
    let plan = plan_of(&mapping("d365-to-campaign", "deletes ignore"));
    world.person(1, json!({})).await;
    world.sync(&plan).await;
    world.marketing(1, json!({"blackListEmail": true})).await;
    world.update(1, json!({"lastname": "Changed"})).await;
    let flows = world.sync(&plan).await;
    assert_eq!((flows[FLOW].backlog, world.denied(1).await, world.flags(1).await.0), (0, true, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_in_a_field_mapping_without_a_block_travels_apart_from_the_record_too() {
    let world = world().await;
    let text = mapping("disabled", "deletes ignore");
    let text = text.split("optout").next().unwrap().replace("  lastname", "  donotemail -> denyListEmail\n  lastname");
    let plan = plan_of(&text);
    for n in 1..=2 {
        world.person(n, json!({"donotemail": false})).await;
    }
    world.in_campaign("POST", "profile", json!({"externalId": id(2), "lastName": "L", "blackListEmail": true})).await;
    world.sync(&plan).await;
    assert!(world.denied(2).await, "the first run lifts nothing");
    world.update(1, json!({"donotemail": true, "telephone1": "call me"})).await;
    world.sync(&plan).await;
    assert!(world.denied(1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_outlives_the_profile_that_the_mapping_deletes() {
    for direction in ["bidirectional", "campaign-to-d365", "d365-to-campaign"] {
        let world = world().await;
        let plan = plan_of(&mapping(direction, "deletes propagate; filtered-out delete"));
        for n in 1..=3 {
            world.person(n, json!({})).await;
        }
        world.sync(&plan).await;
        for n in 1..=2 {
            world.marketing(n, json!({"blackListEmail": true, "blackListFax": true})).await;
        }
        world.deactivate(1, true).await;
        world.delete(2).await;
        world.deactivate(3, true).await;
        world.sync(&plan).await;
        assert!(world.profiles().await.is_empty(), "{direction}");
        assert_eq!(world.flags(1).await.0, direction != "d365-to-campaign", "{direction}: brought to the contact that is still there");
        world.deactivate(1, false).await;
        world.person(2, json!({})).await;
        world.deactivate(3, false).await;
        // In the request that makes the profile: nothing is written to it afterwards.
        world.admin("fail-next", json!({"kind": "status", "status": 503, "api": "campaign", "method": "PATCH", "count": 1000})).await;
        let _ = world.try_run(&plan).await;
        for n in 1..=3 {
            let profile = world.profile(n).await.expect("a profile");
            assert_eq!(profile["blackListEmail"] == true, n != 3, "{direction}: {n}");
            assert_eq!(profile["blackListFax"] == true, n != 3, "{direction}: {n}, without a pair");
        }
        world.admin("clear-faults", Value::Null).await;
        world.sync(&plan).await;
        let store = Store::open_read(&world.state()).unwrap();
        assert!(store.kept_optouts("contacts", &id(1)).unwrap().is_empty(), "{direction}: kept until it is written");
        if direction != "d365-to-campaign" {
            assert_eq!((world.flags(1).await.0, world.flags(2).await.0), (true, true), "{direction}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_is_on_disk_before_the_profile_goes() {
    let world = world().await;
    let plan = plan_of(&mapping("bidirectional", "deletes propagate; filtered-out delete"));
    world.person(1, json!({})).await;
    world.sync(&plan).await;
    world.marketing(1, json!({"blackListEmail": true})).await;
    world.delete(1).await;
    // The delete is done, and its answer is never seen.
    world.admin("fail-next", json!({"kind": "status", "status": 403, "api": "campaign", "method": "DELETE", "count": 1})).await;
    let _ = world.try_run(&plan).await;
    assert!(!Store::open_read(&world.state()).unwrap().kept_optouts("contacts", &id(1)).unwrap().is_empty());
    // Without a read there is no delete.
    world.person(2, json!({})).await;
    world.sync(&plan).await;
    world.delete(2).await;
    world.admin("fail-next", json!({"kind": "status", "status": 403, "api": "campaign", "method": "GET", "path": id(2), "count": 1})).await;
    let _ = world.try_run(&plan).await;
    assert!(world.profile(2).await.is_some());
    world.sync(&plan).await;
    assert!(world.profile(2).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_of_a_merged_contacts_profile_reaches_the_contact_that_stays() {
    for (direction, options) in [
        ("bidirectional", "deletes ignore"),
        ("bidirectional", "filtered-out delete"),
        ("campaign-to-d365", "filtered-out delete"),
        ("d365-to-campaign", "filtered-out delete"),
    ] {
        let world = world().await;
        let plan = plan_of(&mapping(direction, options));
        for n in 1..=2 {
            world.person(n, json!({})).await;
        }
        world.sync(&plan).await;
        world.marketing(2, json!({"blackListEmail": true})).await;
        world.admin("merge", json!({"target": id(1), "subordinate": id(2)})).await;
        world.sync(&plan).await;
        world.sync(&plan).await;
        let expected = (direction != "d365-to-campaign", direction != "campaign-to-d365");
        assert_eq!((world.flags(1).await.0, world.denied(1).await), expected, "{direction}, {options}");
        // Handed over once: what happens to the contact later is its own affair.
        world.reset().await;
        world.sync(&plan).await;
        assert_eq!(world.writes().await, (0, 0), "{direction}, {options}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_opt_outs_in_both_directions_and_reversals_and_writes_nothing() {
    let world = world().await;
    let plan = plan_of(&mapping("bidirectional", "deletes ignore"));
    for n in 1..=3 {
        world.person(n, json!({"donotemail": n == 3})).await;
    }
    world.sync(&plan).await;
    world.sync(&plan).await;
    world.update(1, json!({"donotphone": true})).await;
    world.marketing(2, json!({"blackListEmail": true})).await;
    world.marketing(3, json!({"blackListEmail": false})).await;
    world.reset().await;
    let before = Store::open_read(&world.state()).unwrap().cursor(FLOW).unwrap();
    let [email, phone] = world.dry_optouts(&plan).await;
    assert_eq!((email.to_dynamics, email.consents_to_dynamics, phone.to_campaign), (1, 1, 1));
    assert_eq!(world.writes().await, (0, 0));
    assert_eq!(Store::open_read(&world.state()).unwrap().cursor(FLOW).unwrap(), before);
    world.sync(&plan).await;
    assert_eq!((world.flags(2).await.0, world.flags(3).await.0, world.lists(1).await.1), (true, false, true));

    let towards = plan_of(&mapping("d365-to-campaign", "deletes ignore"));
    world.sync(&towards).await;
    world.dynamics_clock(60).await;
    world.update(1, json!({"donotphone": false})).await;
    world.update(3, json!({"donotemail": true})).await;
    let [email, phone] = world.dry_optouts(&towards).await;
    assert_eq!((email.to_campaign, phone.consents_to_campaign), (1, 1));
}

impl World {
    async fn dry_optouts(&self, plan: &std::sync::Arc<d365map::plan::ExecutionPlan>) -> [d365map::run::AttributeReport; 2] {
        let store = Store::open_read(&self.state()).expect("a state");
        let stop = tokio_util::sync::CancellationToken::new();
        let reports =
            d365map::run::dry_run_of_optouts(plan, &self.services().1, &store.into(), &self.options, &stop).await.expect("a dry run");
        let report = reports.into_iter().next().expect("a flow");
        report.attributes.try_into().expect("two pairs")
    }
}
