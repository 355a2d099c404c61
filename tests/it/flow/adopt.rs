//! `adopt by`: profiles that Campaign has without our key get it, once, whatever is lost on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use d365map::store::sqlite::db::Store;
use d365map::store::{DeadLetter, DeadLetterFilter};
use d365map_emulator::Config;
use serde_json::{Value, json};

use super::support::{World, id, plan_of};

const MAPPING: &str = "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  adopt by email
  firstname     -> firstName | truncate(30)
  lastname      -> lastName
  emailaddress1 -> email
  address1_city -> location.city | truncate(50) @initial
}

optout contacts { direction d365-to-campaign; donotemail <-> denyListEmail; donotphone <-> denyListPhone }
";

fn contact(name: &str, email: &str) -> Value {
    json!({"lastname": name, "emailaddress1": email, "address1_city": "London"})
}

/// A profile that somebody made in Campaign.
async fn made_in_campaign(world: &World, mut profile: Value, email: &str) {
    profile["email"] = email.into();
    world.in_campaign("POST", "profile", profile).await;
}

/// Somebody writes a key into a profile of this address and name.
async fn give_key(world: &World, email: &str, name: &str, key: &str) {
    let found = world.in_campaign("GET", &format!("profile/byEmail?email={email}"), Value::Null).await;
    let found = found["content"].as_array().expect("a list").iter().find(|p| p["lastName"] == name).expect("the profile").clone();
    let path = format!("profile/{}", found["PKey"].as_str().expect("a PKey"));
    world.in_campaign("PATCH", &path, json!({"externalId": key})).await;
}

/// The dead letters of a project's state.
fn dead_letters(world: &World) -> Vec<DeadLetter> {
    let store = Store::open_read(&world.folder.path().join(".d365map/state.db")).expect("the state opens");
    store.dead_letters(&DeadLetterFilter::default(), 0, 1000).expect("the state can be read")
}

async fn with_email(world: &World, email: &str) -> Vec<Value> {
    world.profiles().await.into_iter().filter(|p| p["email"] == email).collect()
}

fn note(run: &d365map::run::FlowSummary) -> u64 {
    run.notes.iter().find(|(what, _)| what.contains("adopted")).map_or(0, |(_, count)| *count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_without_a_key_that_is_found_by_its_address_gets_the_key_and_all_values_in_one_write() {
    let world = World::empty().await;
    let plan = plan_of(MAPPING);
    let own = json!({"firstName": "A.", "lastName": "L", "phone": "+44", "blackListEmail": true});
    made_in_campaign(&world, own, "ada@example.com").await;
    made_in_campaign(&world, json!({"lastName": "Stranger"}), "other@example.com").await;
    let mut ada = contact("Lovelace", "ADA@example.com");
    (ada["donotemail"], ada["donotphone"]) = (false.into(), true.into());
    world.create(1, ada).await;
    world.create(2, contact("Hopper", "grace@example.com")).await;
    let before = world.campaign_writes().await;
    let run = world.run(&plan).await;
    assert_eq!((run.created, run.updated, note(&run), run.failed), (1, 1, 1, 0), "{run:?}");
    assert_eq!(world.campaign_writes().await - before, 2, "one write for each, and none for the opt-outs");

    let profile = world.profile(1).await.expect("the profile has the key");
    assert_eq!((&profile["lastName"], &profile["location"]["city"]), (&json!("Lovelace"), &json!("London")));
    // The mapping has no value for the first name, and does not write the phone number.
    assert!(profile["firstName"].is_null() || profile["firstName"] == "", "{profile}");
    assert_eq!(profile["phone"], "+44");
    // What Campaign has of opt-outs stays, and the contact's own is there at once.
    assert_eq!((&profile["blackListEmail"], &profile["blackListPhone"]), (&json!(true), &json!(true)), "{profile}");
    assert_eq!(world.profiles().await.len(), 3);
    assert!(world.profiles().await.iter().any(|p| p["lastName"] == "Stranger" && p["externalId"].as_str().unwrap_or("").is_empty()));

    // It is ours now: the next change is written by the key, with what differs.
    let run = world.run(&plan).await;
    assert_eq!((run.updated, note(&run)), (0, 0));
    world.update(1, json!({"lastname": "King", "emailaddress1": "king@example.com"})).await;
    let run = world.run(&plan).await;
    assert_eq!((run.created, run.updated, note(&run)), (0, 1, 0));
    assert_eq!(world.profile(1).await.expect("a profile")["lastName"], "King");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_profiles_without_a_key_make_a_dead_letter_and_one_that_is_left_is_adopted_by_a_retry() {
    let world = World::empty().await;
    world.project(MAPPING);
    for name in ["First", "Second"] {
        made_in_campaign(&world, json!({"lastName": name}), "ada@example.com").await;
    }
    world.create(1, contact("Lovelace", "ada@example.com")).await;
    let (status, out, error) = world.call(&["run"]).await;
    assert_eq!(status, 1, "{out}{error}");
    let letters = dead_letters(&world);
    assert_eq!(letters.len(), 1, "{letters:?}");
    let failure = &letters[0].failure;
    assert_eq!((failure.code.as_str(), failure.field.as_deref()), ("D907", Some("email")));
    assert!(failure.message.contains("2 records of `profile` have this `email` and no `externalId`"), "{}", failure.message);
    assert!(!out.contains("ada@"), "{out}");
    assert_eq!(with_email(&world, "ada@example.com").await.iter().filter(|p| p["lastName"] == "Lovelace").count(), 0);

    // Somebody writes the id into the right one.
    give_key(&world, "ada@example.com", "Second", &id(1)).await;
    assert_eq!(world.call(&["dead-letters", "retry", "--all"]).await.0, 0);
    let (status, out, error) = world.call(&["run"]).await;
    assert_eq!(status, 0, "{out}{error}");
    assert_eq!(world.profile(1).await.expect("a profile")["lastName"], "Lovelace");
    assert_eq!(with_email(&world, "ada@example.com").await.len(), 2);
    assert_eq!(dead_letters(&world).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_with_another_key_is_never_adopted_and_our_own_is_updated() {
    let world = World::empty().await;
    let plan = plan_of(MAPPING);
    made_in_campaign(&world, json!({"externalId": id(900), "lastName": "Another"}), "ada@example.com").await;
    world.create(1, contact("Lovelace", "ada@example.com")).await;
    // Ours, which the state does not know, beside one without a key.
    made_in_campaign(&world, json!({"externalId": id(2), "lastName": "Old"}), "grace@example.com").await;
    made_in_campaign(&world, json!({"lastName": "Keyless"}), "grace@example.com").await;
    world.create(2, contact("Hopper", "grace@example.com")).await;
    // Ours, whose address was another one when it was written.
    made_in_campaign(&world, json!({"externalId": id(3), "lastName": "Old"}), "old@example.com").await;
    made_in_campaign(&world, json!({"lastName": "Keyless"}), "jean@example.com").await;
    world.create(3, contact("Bartik", "jean@example.com")).await;
    let run = world.run(&plan).await;
    assert_eq!((run.created, run.updated, note(&run), run.failed), (1, 2, 0, 0), "{run:?}");
    assert_eq!(world.profile(900).await.expect("a profile")["lastName"], "Another");
    for (n, name) in [(1, "Lovelace"), (2, "Hopper"), (3, "Bartik")] {
        assert_eq!(world.profile(n).await.expect("a profile")["lastName"], name);
    }
    assert_eq!(world.profiles().await.iter().filter(|p| p["lastName"] == "Keyless").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_contacts_with_one_address_one_gets_the_profile_and_the_other_a_new_one() {
    let world = World::empty().await;
    for n in 0..10 {
        made_in_campaign(&world, json!({"phone": "+44"}), &format!("p{n}@example.com")).await;
        world.create(2 * n + 1, contact("One", &format!("p{n}@example.com"))).await;
        world.create(2 * n + 2, contact("Two", &format!("p{n}@example.com"))).await;
    }
    let plan = plan_of(MAPPING);
    let dry = world.dry(&plan).await;
    assert_eq!((dry.flows[0].adopt, dry.flows[0].create, dry.flows[0].ambiguous), (Some(10), 10, Some(0)), "{:?}", dry.flows[0]);
    let run = world.run(&plan).await;
    assert_eq!((run.created, run.updated, note(&run), run.failed, run.backlog), (10, 10, 10, 0, 0), "{run:?}");
    let profiles = world.profiles().await;
    assert_eq!((profiles.len(), profiles.iter().filter(|p| p["phone"] == "+44").count()), (20, 10));
}

/// A profile of Campaign is found by its mobile phone number with a filter of the customer's own.
fn with_filter() -> Config {
    let filter = json!({"name": "byMobilePhone", "parameters": [{"name": "mobilePhone_parameter", "fields": ["mobilePhone"]}]});
    Config { seed_text: Some(json!({"campaign": {"filters": [filter]}}).to_string()), ..Config::default() }
}

const IN_TURN: &str = "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  adopt by email or mobilePhone
  lastname      -> lastName
  emailaddress1 -> email
  mobilephone   -> mobilePhone | truncate(32)
}
";

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_tried_in_turn_and_an_empty_one_is_skipped() {
    let world = World::new(with_filter()).await;
    made_in_campaign(&world, json!({"mobilePhone": "+441"}), "").await;
    made_in_campaign(&world, json!({"mobilePhone": "+442"}), "grace@example.com").await;
    world.create(1, json!({"lastname": "Lovelace", "mobilephone": "+441"})).await;
    world.create(2, json!({"lastname": "Hopper", "mobilephone": "+449", "emailaddress1": "grace@example.com"})).await;
    world.create(3, json!({"lastname": "Bartik"})).await;
    let run = world.run(&plan_of(IN_TURN)).await;
    assert_eq!((run.created, note(&run), run.failed), (1, 2, 0), "{run:?}");
    assert_eq!(world.profile(1).await.expect("a profile")["mobilePhone"], "+441");
    assert_eq!(world.profile(2).await.expect("a profile")["mobilePhone"], "+449");
    assert_eq!(world.profiles().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_filter_for_the_field_the_run_stops_says_which_and_creates_nothing() {
    let world = World::empty().await;
    world.project(IN_TURN);
    world.create(1, json!({"lastname": "Lovelace", "mobilephone": "+441"})).await;
    let (status, _, error) = world.call(&["run"]).await;
    assert_eq!(status, 2, "{error}");
    assert!(error.contains("no filter `byMobilePhone`"), "{error}");
    assert_eq!((world.profiles().await.len(), dead_letters(&world).len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_answers_are_lost_each_profile_is_adopted_once_and_none_is_made_twice() {
    let faults = [
        json!({"api": "campaign", "kind": "lost-answer", "method": "PATCH", "path": "profile", "count": 3}),
        json!({"api": "campaign", "kind": "lost-answer", "method": "GET", "path": "byEmail", "count": 3}),
        json!({"api": "campaign", "kind": "reset", "method": "PATCH", "path": "profile", "count": 3}),
        json!({"api": "campaign", "kind": "cut-body", "method": "PATCH", "path": "profile", "count": 3}),
        json!({"api": "campaign", "kind": "status", "status": 502, "method": "PATCH", "path": "profile", "count": 3}),
        json!({"api": "campaign", "kind": "expired-pkeys", "method": "PATCH", "path": "profile", "count": 2}),
        json!({"api": "campaign", "kind": "lost-answer", "method": "POST", "path": "profile", "count": 3}),
    ];
    for fault in faults {
        let world = World::empty().await;
        for n in 1..=12 {
            if n <= 8 {
                made_in_campaign(&world, json!({"phone": "+44"}), &format!("p{n}@example.com")).await;
            }
            world.create(n, contact(&format!("Name {n}"), &format!("p{n}@example.com"))).await;
        }
        world.admin("fail-next", fault.clone()).await;
        let plan = plan_of(MAPPING);
        for _ in 0..4 {
            let summary = world.try_run(&plan).await;
            assert!(summary.is_ok(), "{fault}: {summary:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let profiles = world.profiles().await;
        let keys: BTreeSet<&str> = profiles.iter().filter_map(|p| p["externalId"].as_str()).filter(|key| !key.is_empty()).collect();
        assert_eq!((profiles.len(), keys.len()), (12, 12), "{fault}");
        for n in 1..=12 {
            let profile = world.profile(n).await.expect("a profile");
            assert_eq!(profile["lastName"], format!("Name {n}"), "{fault}");
            assert_eq!(profile["phone"] == "+44", n <= 8, "{fault}: {profile}");
        }
        assert_eq!(world.dead_letters().len(), 0, "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_gets_a_key_between_the_search_and_the_write_is_left_alone() {
    let world = World::empty().await;
    made_in_campaign(&world, json!({"phone": "+44", "lastName": "Keyless"}), "ada@example.com").await;
    world.create(1, contact("Lovelace", "ada@example.com")).await;
    world.project(MAPPING);
    world.admin("fail-next", json!({"kind": "held", "api": "campaign", "method": "PATCH", "path": "profile"})).await;
    let mut child = world.command(&["run", "--quiet"]).spawn().expect("the command starts");
    while world.admin_get("held").await["held"] != 1 {
        assert!(child.try_wait().expect("a child").is_none(), "the run ended");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    give_key(&world, "ada@example.com", "Keyless", &id(900)).await;
    world.admin("release-held", Value::Null).await;
    child.wait().await.expect("an end");
    assert_eq!(world.call(&["run"]).await.0, 0);
    assert_eq!(world.profile(900).await.expect("a profile")["phone"], "+44");
    assert_eq!(world.profile(1).await.expect("a profile")["lastName"], "Lovelace");
    assert_eq!(world.profiles().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_while_it_adopts_leaves_nothing_to_adopt_twice() {
    const COUNT: u32 = 120;
    let world = World::new(Config { latency: Duration::from_millis(2), ..Config::default() }).await;
    for n in 1..=COUNT {
        if n % 2 == 0 {
            made_in_campaign(&world, json!({"phone": "+44"}), &format!("p{n}@example.com")).await;
        }
        world.create(n, contact(&format!("Name {n}"), &format!("p{n}@example.com"))).await;
    }
    world.project(MAPPING);
    let keyed = async || {
        let profiles = world.profiles().await;
        profiles.iter().filter(|p| p["externalId"].as_str().is_some_and(|key| !key.is_empty())).count()
    };
    for kill in 1..=4 {
        let mut child = world.command(&["run", "--quiet"]).spawn().expect("the command starts");
        let began = std::time::Instant::now();
        while keyed().await < COUNT as usize * kill / 6 && began.elapsed() < Duration::from_secs(20) {
            if child.try_wait().expect("a child").is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        let _ = child.kill().await;
    }
    assert_eq!(world.call(&["run"]).await.0, 0);
    let profiles = world.profiles().await;
    assert_eq!((profiles.len(), keyed().await), (COUNT as usize, COUNT as usize));
    assert_eq!(profiles.iter().filter(|p| p["phone"] == "+44").count(), COUNT as usize / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_adopt_and_a_dry_run_count_and_name_what_would_be_adopted_and_write_nothing() {
    let world = World::empty().await;
    world.project(MAPPING);
    made_in_campaign(&world, json!({"phone": "+44"}), "ada@example.com").await;
    made_in_campaign(&world, json!({}), "grace@example.com").await;
    made_in_campaign(&world, json!({}), "grace@example.com").await;
    world.create(1, contact("Lovelace", "ada@example.com")).await;
    world.create(2, contact("Hopper", "grace@example.com")).await;
    world.create(3, contact("Bartik", "jean@example.com")).await;
    let before = (world.profiles().await, world.campaign_writes().await);
    let (status, out, error) = world.call(&["plan", "--adopt"]).await;
    assert_eq!(status, 1, "{out}{error}");
    for line in ["~ adopt             1", "+ create            1", "! ambiguous         1", &format!("~ {} by email", id(1))] {
        assert!(out.contains(line), "{line}\n{out}");
    }
    assert!(out.contains(&format!("! {} by email: 2 records", id(2))) && !out.contains('@'), "{out}");
    let (_, out, _) = world.call(&["plan", "--adopt", "--show-values"]).await;
    assert!(out.contains("by email `ada@example.com`"), "{out}");
    let (_, out, _) = world.call(&["plan", "--adopt", "--format", "json"]).await;
    let found: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&found["adopt"][0]["adopt"], &found["adopt"][0]["records"][1]["records"]), (&json!(1), &json!(2)), "{found}");
    let (status, out, _) = world.call(&["run", "--dry-run"]).await;
    assert!(status == 1 && out.contains("~ adopt             1") && !out.contains('@'), "{out}");
    assert_eq!((world.profiles().await, world.campaign_writes().await), before);
    assert!(!world.state().exists(), "there is no state yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_shown_says_whether_it_would_be_adopted_and_nothing_is_written() {
    let world = World::empty().await;
    world.project(MAPPING);
    made_in_campaign(&world, json!({"lastName": "L"}), "ada@example.com").await;
    made_in_campaign(&world, json!({"lastName": "One"}), "twice@example.com").await;
    made_in_campaign(&world, json!({"lastName": "Two"}), "twice@example.com").await;
    world.create(1, contact("Lovelace", "ADA@example.com")).await;
    world.create(2, contact("Hopper", "grace@example.com")).await;
    world.create(3, contact("Several", "twice@example.com")).await;
    world.create(4, contact("Second", "ada@example.com")).await;
    let before = world.campaign_writes().await;
    let ids: Vec<String> = (1..=4).map(id).collect();
    let mut args = vec!["run", "--dry-run"];
    ids.iter().for_each(|id| args.extend(["--show", id]));
    let (status, out, error) = world.call(&args).await;
    assert_eq!(status, 1, "one is ambiguous: {out}{error}");
    let line = |n: u32| out.lines().find(|line| line.starts_with(&format!("contacts {}", id(n)))).unwrap_or_default().to_owned();
    assert!(line(1).contains(&format!("would adopt a record that has no key and is found by email, as {}", id(1))), "{out}");
    assert!(line(2).contains("would create"), "{out}");
    assert!(line(3).contains("D907"), "{out}");
    assert!(line(4).contains("would create"), "the first one gets the profile: {out}");
    let (_, out, _) = world.call(&["run", "--dry-run", "--show", &id(1), "--format", "json"]).await;
    let shown: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&shown["records"][0]["adopt"], &shown["records"][0]["create"]), (&json!("email"), &json!(false)), "{out}");
    assert_eq!(world.campaign_writes().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_looks_for_the_filter_of_each_field_that_records_are_searched_by() {
    let world = World::empty().await;
    world.project(IN_TURN);
    let (status, out, _) = world.call(&["doctor", "--connection", "campaign"]).await;
    assert_eq!(status, 1, "{out}");
    assert!(out.contains("search profile.email") && out.contains("no filter `byMobilePhone`"), "{out}");
    let world = World::new(with_filter()).await;
    world.project(IN_TURN);
    let (_, out, _) = world.call(&["doctor", "--connection", "campaign"]).await;
    assert!(out.contains("the filter `byMobilePhone` finds records"), "{out}");
}
