//! Contacts to profiles: creates, updates, deletes, filters, replay, what belongs to others.

use d365map_emulator::{Config, SAMPLE_SEED};
use serde_json::{Value, json};

use super::support::{CONTACTS, World, ada, id, plan_of, small};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_load_makes_one_profile_of_each_contact_in_the_filter_and_a_second_run_makes_no_write_call() {
    let config = Config { contacts: 400, seed_text: Some(SAMPLE_SEED.to_owned()), ..Config::default() };
    let world = World::new(config).await;
    let foreign = world.profiles().await;
    let plan = plan_of(CONTACTS);
    let first = world.run(&plan).await;
    assert_eq!((first.read, first.rejected, first.failed, first.backlog), (400, 0, 0, 0));
    assert_eq!(first.created + first.filtered_out, 400);
    assert!(first.filtered_out > 0, "the samples have contacts outside of the filter");
    let profiles = world.profiles().await;
    assert_eq!(profiles.len() as u64, first.created + foreign.len() as u64);
    for other in &foreign {
        assert!(profiles.contains(other), "a profile of others was changed: {other}");
    }

    world.admin("reset-stats", Value::Null).await;
    let second = world.run(&plan).await;
    assert_eq!((second.created, second.updated, second.deleted), (0, 0, 0));
    assert_eq!(world.campaign_writes().await, 0);
    assert_eq!(world.profiles().await, profiles);
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_updates_deletes_and_leaving_the_filter_cost_one_call_each() {
    let world = World::empty().await;
    let plan = small("deletes propagate; filtered-out delete");
    for n in 1..=4 {
        world.create(n, ada()).await;
    }
    assert_eq!(world.run(&plan).await.created, 4);
    world.create(5, ada()).await;
    world.update(1, json!({"firstname": "Augusta"})).await;
    world.delete(2).await;
    world.update(3, json!({"lastname": "Hidden"})).await;
    world.update(4, json!({"jobtitle": "not mapped"})).await;
    world.admin("reset-stats", Value::Null).await;
    let run = world.run(&plan).await;
    assert_eq!((run.created, run.updated, run.deleted, run.unchanged), (1, 1, 2, 1));
    assert_eq!(world.campaign_writes().await, 4);
    assert_eq!(world.profile(1).await.expect("kept")["firstName"], "Augusta");
    assert!(world.profile(2).await.is_none() && world.profile(3).await.is_none());
    assert!(world.profile(4).await.is_some() && world.profile(5).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_and_filtered_records_stay_where_the_options_do_not_say_otherwise() {
    let world = World::empty().await;
    let plan = small("deletes ignore; filtered-out keep");
    world.create(1, ada()).await;
    world.create(2, ada()).await;
    world.run(&plan).await;
    world.delete(1).await;
    world.update(2, json!({"lastname": "Hidden"})).await;
    let run = world.run(&plan).await;
    assert_eq!((run.deleted, run.deletes_without_effect, run.filtered_out), (0, 1, 1));
    assert_eq!(world.profile(2).await.expect("kept")["lastName"], "Lovelace");
    assert!(world.profile(1).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_sends_just_the_fields_that_changed() {
    let world = World::empty().await;
    let plan = small("");
    world.create(1, ada()).await;
    world.run(&plan).await;
    // Somebody changes another field in Campaign; were all fields sent, it would be overwritten.
    world.in_campaign("PATCH", &format!("profile/{}", id(1)), json!({"lastName": "King"})).await;
    world.update(1, json!({"firstname": "Augusta"})).await;
    assert_eq!(world.run(&plan).await.updated, 1);
    let profile = world.profile(1).await.expect("kept");
    assert_eq!((&profile["firstName"], &profile["lastName"]), (&json!("Augusta"), &json!("King")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_initial_field_goes_with_creation_and_replay_and_not_with_changes() {
    let world = World::empty().await;
    let plan = small("");
    world.create(1, ada()).await;
    world.run(&plan).await;
    let city = |profile: Option<Value>| profile.expect("kept")["location"]["city"].clone();
    assert_eq!(city(world.profile(1).await), "London");
    world.update(1, json!({"address1_city": "Paris", "firstname": "Augusta"})).await;
    world.run(&plan).await;
    assert_eq!(city(world.profile(1).await), "London");
    {
        let store = d365map::store::sqlite::db::Store::open_for_run(&world.state()).expect("the state opens");
        store.reset_for_replay("contacts", &plan.ingress[0].fingerprint()).expect("the replay is noted");
    }
    let replay = world.run(&plan).await;
    assert_eq!((replay.read, replay.updated), (1, 1));
    assert_eq!(city(world.profile(1).await), "Paris");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_has_the_contacts_id_is_taken_over_and_others_are_left_alone() {
    let world = World::empty().await;
    world.in_campaign("POST", "profile", json!({"externalId": id(1), "lastName": "Old", "fax": "1"})).await;
    world.in_campaign("POST", "profile", json!({"externalId": "someone-else", "lastName": "Other"})).await;
    world.create(1, ada()).await;
    let run = world.run(&small("")).await;
    assert_eq!((run.created, run.updated, run.failed), (0, 1, 0));
    let profiles = world.profiles().await;
    assert_eq!(profiles.len(), 2);
    let ours = world.profile(1).await.expect("taken over");
    assert_eq!((&ours["lastName"], &ours["fax"]), (&json!("Lovelace"), &json!("1")));
    assert!(profiles.iter().any(|p| p["externalId"] == "someone-else" && p["lastName"] == "Other"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_deleted_in_campaign_comes_back_with_the_next_change() {
    let world = World::empty().await;
    let plan = small("");
    world.create(1, ada()).await;
    world.run(&plan).await;
    world.in_campaign("DELETE", &format!("profile/{}", id(1)), Value::Null).await;
    world.update(1, json!({"firstname": "Augusta"})).await;
    world.run(&plan).await;
    let profile = world.profile(1).await.expect("created again");
    assert_eq!((&profile["firstName"], &profile["lastName"]), (&json!("Augusta"), &json!("Lovelace")));
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_pkeys_would_be_found_out_and_are_not_there() {
    let world = World::empty().await;
    let plan = small("deletes propagate");
    world.create(1, ada()).await;
    world.create(2, ada()).await;
    world.run(&plan).await;
    world.admin("expire-pkeys", Value::Null).await;
    world.update(1, json!({"firstname": "Augusta"})).await;
    world.delete(2).await;
    let run = world.run(&plan).await;
    assert_eq!((run.updated, run.deleted, run.failed), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_a_run_does_and_writes_nothing() {
    let world = World::empty().await;
    let plan = small("deletes propagate; filtered-out delete");
    for n in 1..=3 {
        world.create(n, ada()).await;
    }
    let dry = world.dry(&plan).await.flows.remove(0);
    assert_eq!((dry.create, dry.full_load), (3, true));
    assert_eq!(world.campaign_writes().await, 0);
    assert!(!world.state().exists());

    world.run(&plan).await;
    world.update(1, json!({"firstname": "Augusta"})).await;
    world.delete(2).await;
    world.create(4, ada()).await;
    world.admin("reset-stats", Value::Null).await;
    let dry = world.dry(&plan).await.flows.remove(0);
    assert_eq!((dry.create, dry.update, dry.delete, dry.full_load), (1, 1, 1, false));
    assert_eq!(dry.changed_fields.get("firstName"), Some(&1));
    assert_eq!(world.campaign_writes().await, 0);
    let run = world.run(&plan).await;
    assert_eq!((run.created, run.updated, run.deleted), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_knows_a_key_with_a_fixed_text_by_the_name_that_the_run_gave_it() {
    let world = World::empty().await;
    let plan = plan_of(
        "mapping accounts: d365.account -> campaign.profile {
  key \"account-{accountid}\" -> externalId
  name -> lastName | truncate(50)
}",
    );
    world.run(&plan).await;
    let dry = world.dry(&plan).await.flows.remove(0);
    assert_eq!((dry.create, dry.full_load), (0, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_mapping_reads_everything_again_and_writes_only_what_differs() {
    let world = World::empty().await;
    world.create(1, ada()).await;
    world.create(2, json!({"firstname": "B", "lastname": "C", "jobtitle": "x", "fax": "12"})).await;
    world.run(&small("")).await;
    world.admin("reset-stats", Value::Null).await;
    let changed = plan_of(
        "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  firstname -> firstName | truncate(30)
  lastname -> lastName
  emailaddress1 -> email
  fax -> fax | truncate(32)
}",
    );
    let run = world.run(&changed).await;
    // The field is new in both records; in one of them it has no value, which must be sent to the target once.
    assert_eq!(run.read, 2);
    assert_eq!(run.updated, 2);
    assert_eq!(world.profile(2).await.expect("kept")["fax"], "12");
    assert_eq!(world.run(&changed).await.updated, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_campaign_refuses_becomes_a_dead_letter_with_its_line() {
    let world = World::empty().await;
    let plan = small("");
    world.create(1, json!({"lastname": "A", "emailaddress1": "not an address"})).await;
    world.create(2, ada()).await;
    let run = world.run(&plan).await;
    assert_eq!((run.created, run.failed), (1, 1));
    let letters = world.dead_letters();
    assert_eq!(letters.len(), 1);
    let failure = &letters[0].failure;
    assert_eq!(letters[0].source_id, id(1));
    assert_eq!((failure.field.as_deref(), failure.place.as_ref().map(|p| p.line)), (Some("email"), Some(5)));
    assert!(failure.request.as_ref().is_some_and(|r| r.contains("not an address")));
    assert!(failure.response.is_some() && failure.status == Some(400));

    // A retry reads the record again: the old payload is not written over the fixed one.
    world.update(1, json!({"emailaddress1": "a@example.com"})).await;
    {
        let store = d365map::store::sqlite::db::Store::open(&world.state()).expect("the state opens");
        assert_eq!(store.retry_dead_letters(&d365map::store::DeadLetterFilter::default()).expect("put back"), 1);
    }
    world.run(&plan).await;
    assert_eq!(world.profile(1).await.expect("written")["email"], "a@example.com");
    assert!(world.dead_letters().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_stop_ends_the_run_before_the_record_and_goes_on_once_it_is_fixed() {
    let world = World::empty().await;
    let plan = plan_of(
        "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  lastname -> lastName
  jobtitle -> birthDate | date(\"dd.MM.yyyy\") or reject
  options { rejected stop }
}",
    );
    world.create(1, json!({"lastname": "A", "jobtitle": "soon"})).await;
    let error = world.try_run(&plan).await.expect_err("the run stops").to_string();
    assert!(error.contains("contacts.d365map:4:") && error.contains(&id(1)) && error.contains("D901"), "{error}");
    assert!(world.profiles().await.is_empty());
    world.update(1, json!({"jobtitle": "01.02.1980"})).await;
    assert_eq!(world.run(&plan).await.created, 1);
    assert_eq!(world.profile(1).await.expect("written")["birthDate"], "1980-02-01");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_record_is_settled_by_its_next_good_version() {
    let world = World::empty().await;
    let plan = plan_of(
        "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  lastname -> lastName
  jobtitle -> birthDate | date(\"dd.MM.yyyy\") or reject
}",
    );
    world.create(1, json!({"lastname": "A", "jobtitle": "soon"})).await;
    let run = world.run(&plan).await;
    assert_eq!((run.rejected, run.rejections[0].code.as_str()), (1, "D901"));
    assert!(run.rejections[0].place.ends_with("contacts.d365map:4:27"), "{}", run.rejections[0].place);
    world.update(1, json!({"jobtitle": "01.02.1980"})).await;
    world.run(&plan).await;
    assert!(world.dead_letters().is_empty());
}
