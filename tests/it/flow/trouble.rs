//! Faults on the wire: what is written in the end is what would have been written without them.

use d365map_emulator::Config;
use serde_json::{Value, json};

use super::support::{World, ada, small};

async fn loaded(world: &World, count: u32) {
    for n in 1..=count {
        world.create(n, json!({"firstname": format!("F{n}"), "lastname": "L"})).await;
    }
}

async fn names(world: &World) -> Vec<String> {
    let mut names: Vec<String> = world.profiles().await.iter().map(|p| p["firstName"].as_str().unwrap_or_default().to_owned()).collect();
    names.sort();
    names
}

fn expected(count: u32) -> Vec<String> {
    let mut names: Vec<String> = (1..=count).map(|n| format!("F{n}")).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_create_makes_no_second_profile() {
    let world = World::empty().await;
    loaded(&world, 5).await;
    world.admin("fail-next", json!({"kind": "lost-answer", "api": "campaign", "method": "POST", "count": 3})).await;
    let run = world.run(&small("")).await;
    assert_eq!(run.backlog, 0);
    assert_eq!(names(&world).await, expected(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_errors_do_not_stop_a_run() {
    for fault in [
        json!({"kind": "status", "status": 503, "api": "campaign", "count": 4}),
        json!({"kind": "status", "status": 500, "api": "campaign", "method": "PATCH", "count": 2}),
        json!({"kind": "throttle", "api": "campaign", "retry_after": 1, "count": 2}),
        json!({"kind": "throttle", "api": "dataverse", "retry_after": 1, "count": 1}),
        json!({"kind": "unauthorized", "api": "campaign", "count": 1}),
        json!({"kind": "unauthorized", "api": "dataverse", "count": 1}),
        json!({"kind": "reset", "api": "dataverse", "count": 2}),
        json!({"kind": "reset", "api": "campaign", "count": 2}),
    ] {
        let world = World::empty().await;
        loaded(&world, 4).await;
        world.admin("fail-next", fault.clone()).await;
        let run = world.run(&small("")).await;
        assert_eq!((run.backlog, run.failed), (0, 0), "{fault}");
        assert_eq!(names(&world).await, expected(4), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_expire_in_the_middle_are_fetched_again() {
    let world = World::empty().await;
    loaded(&world, 3).await;
    let plan = small("");
    world.run(&plan).await;
    world.admin("expire-tokens", Value::Null).await;
    world.create_after_expiry().await;
    assert_eq!(world.run(&plan).await.created, 1);
}

impl World {
    /// The test's own token has expired too, so contacts come by another log-in.
    async fn create_after_expiry(&self) {
        let fresh = World::log_in(self).await;
        let url = format!("{}/api/data/v9.2/contacts", self.emulators.dataverse_url().trim_end_matches('/'));
        let answer =
            self.client.post(url).bearer_auth(fresh).json(&json!({"firstname": "F4", "lastname": "L"})).send().await.expect("an answer");
        assert!(answer.status().is_success());
    }

    async fn log_in(&self) -> String {
        let user = &self.emulators.credentials().dataverse_other;
        let scope = format!("{}/.default", self.emulators.dataverse_url().trim_end_matches('/'));
        let form = [("grant_type", "client_credentials"), ("client_id", &*user.id), ("client_secret", &*user.secret), ("scope", &*scope)];
        let answer: Value =
            self.client.post(self.emulators.dataverse_token_url()).form(&form).send().await.expect("an answer").json().await.expect("JSON");
        answer["access_token"].as_str().expect("a token").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_delta_token_leads_to_a_full_load_that_finds_the_deletes_and_writes_nothing_else() {
    for status in [400, 410] {
        let world = World::new(Config { expired_delta_status: status, ..Config::default() }).await;
        let plan = small("deletes propagate");
        loaded(&world, 6).await;
        world.run(&plan).await;
        world.delete(2).await;
        world.update(3, json!({"firstname": "Changed"})).await;
        world.admin("expire-delta", Value::Null).await;
        world.admin("reset-stats", Value::Null).await;
        let run = world.run(&plan).await;
        assert_eq!((run.deleted, run.updated, run.created, run.unchanged), (1, 1, 0, 4), "{status}");
        assert_eq!(world.campaign_writes().await, 2);
        assert!(world.profile(2).await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_table_definition_leads_to_a_full_load_without_writes() {
    let world = World::empty().await;
    let plan = small("");
    loaded(&world, 3).await;
    world.run(&plan).await;
    world.admin("schema-change", json!({"table": "contact"})).await;
    world.admin("reset-stats", Value::Null).await;
    let run = world.run(&plan).await;
    assert_eq!((run.read, run.unchanged), (3, 3));
    assert_eq!(world.campaign_writes().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_resets_and_lost_answers_amid_a_load_change_nothing_in_the_end() {
    let calm = World::new(Config { contacts: 150, ..Config::default() }).await;
    let plan = small("");
    calm.run(&plan).await;
    let rough = World::new(Config { contacts: 150, ..Config::default() }).await;
    rough.admin("fail-next", json!({"kind": "lost-answer", "api": "campaign", "count": 5, "skip": 20})).await;
    rough.admin("fail-next", json!({"kind": "status", "status": 500, "api": "campaign", "count": 5, "skip": 40})).await;
    rough.admin("fail-next", json!({"kind": "reset", "api": "campaign", "count": 5, "skip": 60})).await;
    let run = rough.run(&plan).await;
    assert_eq!((run.failed, run.backlog), (0, 0));
    assert_eq!(rough.profiles().await, calm.profiles().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_down_ends_the_run_with_everything_kept() {
    let mut world = World::empty().await;
    world.http.attempts = 1;
    loaded(&world, 60).await;
    world.admin("fail-next", json!({"kind": "status", "status": 503, "api": "campaign", "path": "profile", "count": 10_000})).await;
    let error = world.try_run(&small("")).await.expect_err("the run ends").to_string();
    assert!(error.contains("in a row"), "{error}");
    world.admin("clear-faults", Value::Null).await;
    world.http.attempts = 5;
    let run = world.run(&small("")).await;
    assert_eq!(run.backlog, 0);
    assert_eq!(world.profiles().await.len(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_end_the_run_at_once_and_lose_nothing() {
    let world = World::empty().await;
    world.create(1, ada()).await;
    world.project("mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n}\n");
    let output = world.command(&["run"]).env("TEST_CAMPAIGN_SECRET", "wrong").output().await.expect("the command runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(!error.contains("wrong-secret") && error.contains("token"), "{error}");
    let (status, out, error) = world.call(&["run", "--format", "json"]).await;
    assert_eq!(status, 0, "{out}{error}");
    assert!(world.profile(1).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_401_stops_a_run_with_status_2_and_the_fix_whoever_meets_it() {
    let world = World::empty().await;
    world.create(1, ada()).await;
    world.project("mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n}\n");
    // The reader, and the writer of records.
    for api in ["dataverse", "campaign"] {
        world.admin("fail-next", json!({"kind": "unauthorized", "api": api, "count": 10_000})).await;
        let (status, _, error) = world.call(&["run"]).await;
        assert_eq!(status, 2, "{api}: {error}");
        assert!(error.contains("a fresh token was refused too: check that the client has this API assigned"), "{api}: {error}");
        assert!(!error.contains("in a row"), "{api}: {error}");
        world.admin("clear-faults", Value::Null).await;
    }
    assert!(world.call(&["run"]).await.0 == 0 && world.profile(1).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_stops_the_workflow_whoever_meets_it() {
    let world = World::empty().await;
    world.create(1, ada()).await;
    world.project("mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  lastname -> lastName\n}\n");
    for order in [json!({"api": "dataverse", "path": "contacts"}), json!({"api": "campaign", "path": "profile"})] {
        let mut fault = json!({"kind": "status", "status": 403, "count": 10_000});
        fault.as_object_mut().expect("an object").extend(order.as_object().cloned().expect("an object"));
        world.admin("fail-next", fault).await;
        let (status, _, error) = world.call(&["run"]).await;
        assert_eq!(status, 2, "{order}: {error}");
        assert!(error.contains("the client lacks a right"), "{order}: {error}");
        world.admin("clear-faults", Value::Null).await;
    }
    // It is not a dead letter, and is written as soon as the right is there.
    assert!(world.call(&["run"]).await.0 == 0 && world.profile(1).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_in_answer_to_one_write_postpones_that_record_and_the_others_are_written() {
    for status in [200, 400, 403, 404, 409, 422] {
        let world = World::empty().await;
        loaded(&world, 5).await;
        world.admin("fail-next", json!({"kind": "html", "status": status, "api": "campaign", "method": "POST", "path": "profile"})).await;
        let run = world.run(&small("")).await;
        assert_eq!((run.created, run.failed, run.backlog), (4, 0, 1), "{status}");
        assert!(world.dead_letters().is_empty(), "{status}");
        assert_eq!(world.run(&small("")).await.backlog, 0, "{status}");
        assert_eq!(names(&world).await, expected(5), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn web_pages_in_answer_to_everything_end_the_round_and_nothing_becomes_a_dead_letter() {
    for (contacts, status) in [(2, 400), (2, 403), (60, 200)] {
        let world = World::empty().await;
        loaded(&world, contacts).await;
        let pages = json!({"kind": "html", "status": status, "api": "campaign", "path": "profile", "count": 10_000});
        world.admin("fail-next", pages).await;
        let error = world.try_run(&small("")).await.expect_err("the round ends");
        assert!(matches!(error, d365map::run::RunError::Stranger { .. }), "{error}");
        assert!(error.to_string().contains("something other than Campaign") && error.to_string().contains("HTML page"), "{error}");
        assert!(world.dead_letters().is_empty());
        assert!(world.admin_get("stats").await["apis"]["campaign"]["calls"].as_u64().unwrap_or(0) < 60, "it stops asking");
        world.admin("clear-faults", Value::Null).await;
        assert_eq!(world.run(&small("")).await.backlog, 0);
        assert_eq!(names(&world).await, expected(contacts));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_403_of_campaign_for_one_record_is_a_dead_letter_while_others_pass() {
    let world = World::empty().await;
    let plan = small("");
    loaded(&world, 5).await;
    world.run(&plan).await;
    let denied =
        json!({"kind": "status", "status": 403, "api": "campaign", "method": "PATCH", "path": super::support::id(3), "count": 1000});
    world.admin("fail-next", denied).await;
    for n in 1..=5 {
        world.update(n, json!({"firstname": format!("New{n}")})).await;
    }
    let run = world.run(&plan).await;
    assert_eq!((run.updated, run.failed, run.backlog), (4, 1, 0), "{run:?}");
    let letter = world.dead_letters().remove(0);
    assert_eq!((letter.source_id, letter.failure.status), (super::support::id(3), Some(403)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_403_of_campaign_for_every_write_of_a_kind_stops_the_mapping_and_makes_no_dead_letter() {
    let world = World::empty().await;
    let plan = small("");
    loaded(&world, 3).await;
    world.run(&plan).await;
    world.admin("fail-next", json!({"kind": "status", "status": 403, "api": "campaign", "method": "POST", "count": 1000})).await;
    for n in 4..=6 {
        world.create(n, json!({"firstname": format!("F{n}"), "lastname": "L"})).await;
    }
    // That updates pass says nothing about creates.
    world.update(1, json!({"lastname": "M"})).await;
    let error = world.try_run(&plan).await.expect_err("the mapping stops");
    assert!(matches!(error, d365map::run::RunError::Denied { .. }), "{error}");
    assert!(error.to_string().starts_with("every create of `contacts` is denied") && error.to_string().contains("403"), "{error}");
    assert!(world.dead_letters().is_empty());
    assert_eq!(world.profile(1).await.expect("a profile")["lastName"], "M");
    world.admin("clear-faults", Value::Null).await;
    assert_eq!(world.run(&plan).await.backlog, 0);
    assert_eq!(names(&world).await, expected(6));
}

/// The first of a world's contacts has a change that earlier runs have tried to write so often.
fn tried(world: &World, attempts: u32) {
    let store = d365map::store::sqlite::db::Store::open_for_run(&world.state()).expect("the state opens");
    let flow = ["contacts".to_owned()];
    let (run, _) = store.start_run(d365map::store::RunKind::Once, &flow).expect("a run");
    let cursor = store.cursor("contacts").expect("a cursor").expect("it has run");
    let mut payload = d365map::store::Payload::default();
    payload.push_value("firstName", &json!("Poison"), false).expect("a value");
    let change = d365map::store::Change::Upsert { source_id: super::support::id(1), key: super::support::id(1), payload };
    let to = d365map::store::CursorMove::Next(cursor.link.clone().expect("a delta link"));
    let [mapping] = flow;
    let page = d365map::store::PageCommit {
        run,
        mapping,
        from: cursor,
        changes: vec![change],
        rewrite: false,
        times: d365map::store::PageTimes::default(),
        guard: None,
        to,
    };
    store.commit_page(page).expect("a page");
    for _ in 0..attempts {
        let op = store.claim(run, "contacts", 1, d365map::time::now()).expect("a claim").remove(0);
        store.settle(run, vec![op.retry(d365map::time::now(), "500", false)]).expect("settled");
    }
    store.end_run(run, d365map::store::RunOutcome::Completed, &Value::Null).expect("an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_a_firewall_blocks_run_after_run_while_campaign_answers_becomes_a_dead_letter() {
    let world = World::empty().await;
    let plan = small("");
    loaded(&world, 1).await;
    world.run(&plan).await;
    world.admin("fail-next", json!({"kind": "html", "status": 403, "api": "campaign", "method": "PATCH", "count": 1000})).await;
    tried(&world, 17);
    let run = world.run(&plan).await;
    assert_eq!((run.failed, run.backlog), (1, 0), "{run:?}");
    let failure = world.dead_letters().remove(0).failure;
    assert!(failure.message.starts_with("The answer did not come from Campaign") && failure.status == Some(403), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_pauses_at_the_high_water_mark() {
    let mut world = World::new(Config { contacts: 600, ..Config::default() }).await;
    world.options.page_size = 50;
    world.options.backlog_high_water = 100;
    let store = d365map::store::sqlite::db::Store::open_for_run(&world.state()).expect("the state opens");
    let counters = d365map::run::Publisher::default();
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(d365map::run::run(small(""), world.services().1, store.clone().into(), world.options(), counters, stop));
    let mut most = 0;
    while !running.is_finished() {
        most = most.max(store.backlog_size("contacts").expect("a count"));
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    running.await.expect("no panic").expect("the run completes");
    // A page may be stored while the backlog is just below the mark.
    assert!(most <= 150, "{most} operations waited");
    assert!(world.profiles().await.len() > 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_outlives_an_outage_of_the_target() {
    let mut world = World::empty().await;
    world.http.attempts = 1;
    loaded(&world, 40).await;
    world.admin("fail-next", json!({"kind": "status", "status": 503, "api": "campaign", "path": "profile", "count": 10_000})).await;
    world.options.pace = d365map::run::Pace::Watch { interval: std::time::Duration::from_millis(200) };
    let store = d365map::store::sqlite::db::Store::open_for_run(&world.state()).expect("the state opens");
    let stop = tokio_util::sync::CancellationToken::new();
    let counters = d365map::run::Publisher::default();
    let running = tokio::spawn(d365map::run::run(small(""), world.services().1, store.into(), world.options(), counters, stop.clone()));
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    assert!(!running.is_finished(), "the outage ended the watch");
    world.admin("clear-faults", Value::Null).await;
    for _ in 0..400 {
        if world.profiles().await.len() == 40 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    stop.cancel();
    running.await.expect("no panic").expect("a graceful end");
    assert_eq!(names(&world).await, expected(40));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_load_that_misses_a_large_share_of_the_records_deletes_nothing_until_it_is_approved() {
    let world = World::new(Config { contacts: 130, ..Config::default() }).await;
    let plan = small("deletes propagate");
    let created = world.run(&plan).await.created;
    assert!(created > 105, "{created}");
    // Somebody takes a right away, or points the project at another environment: nearly all records are gone at once.
    for contact in world.admin_get("dump/contacts").await.as_array().expect("contacts").iter().skip(2) {
        let id = contact["contactid"].as_str().expect("an id");
        world.sales("DELETE", &format!("contacts({id})"), Value::Null).await;
    }
    world.admin("expire-delta", Value::Null).await;
    for _ in 0..2 {
        let error = world.try_run(&plan).await.expect_err("the flow stops").to_string();
        assert!(
            error.contains("--approve-mass-change contacts") && error.contains(&format!("of {created} records at the target")),
            "{error}"
        );
        assert_eq!(world.profiles().await.len() as u64, created);
    }
    d365map::store::sqlite::db::Store::open(&world.state()).unwrap().approve_mass_change("contacts").unwrap();
    assert!(world.run(&plan).await.deleted > 100);
    assert!(world.profiles().await.len() <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_is_answered_500_run_after_run_while_the_service_works_becomes_a_dead_letter() {
    let mut world = World::empty().await;
    world.http.attempts = 1;
    let plan = small("");
    loaded(&world, 1).await;
    world.run(&plan).await;
    world.admin("fail-next", json!({"kind": "status", "status": 500, "api": "campaign", "method": "PATCH", "count": 1000})).await;
    // Seventeen attempts were made in earlier runs; their pauses are minutes.
    tried(&world, 17);
    let run = world.run(&plan).await;
    assert_eq!((run.failed, run.backlog), (1, 0), "{run:?}");
    assert_eq!(world.dead_letters()[0].failure.status, Some(500));
    // Queued again it is read again, and equals what the target has.
    world.admin("clear-faults", Value::Null).await;
    d365map::store::sqlite::db::Store::open(&world.state()).and_then(|s| s.retry_dead_letters(&Default::default())).expect("put back");
    world.run(&plan).await;
    assert!(world.dead_letters().is_empty());
    assert_eq!(names(&world).await, ["F1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_stops_for_its_own_reason_keeps_no_opt_out_from_being_moved() {
    let world = World::empty().await;
    let plan = super::support::plan_of(
        "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  lastname -> lastName
  jobtitle -> birthDate | date(\"dd.MM.yyyy\") or reject
  options { rejected stop }
}
optout contacts { direction bidirectional; donotemail <-> denyListEmail }",
    );
    world.create(1, json!({"lastname": "A"})).await;
    world.try_run(&plan).await.expect("a first run");
    world.create(2, json!({"lastname": "B", "jobtitle": "no date"})).await;
    world.update(1, json!({"donotemail": true})).await;
    let error = world.try_run(&plan).await.expect_err("the mapping stops");
    assert!(matches!(error, d365map::run::RunError::Rejected { .. }), "{error}");
    assert_eq!(world.profile(1).await.expect("a profile")["blackListEmail"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_person_stops_no_mapping_and_is_named_in_no_summary() {
    let world = World::empty().await;
    let plan = |options: &str| {
        super::support::plan_of(&format!(
            "mapping contacts: d365.contact -> campaign.profile {{
  key contactid -> externalId
  jobtitle -> birthDate | date(\"dd.MM.yyyy\") or reject
  options {{ {options} }}
}}"
        ))
    };
    world.create(1, json!({"lastname": "A", "jobtitle": "no date"})).await;
    d365map::store::sqlite::db::Store::open_for_run(&world.state())
        .expect("the state")
        .forget(&super::support::id(1))
        .expect("a tombstone");
    for options in ["rejected stop", "rejected dead-letter"] {
        let summary = world.try_run(&plan(options)).await.expect("nothing stops it");
        let flow = &summary.flows[0];
        assert_eq!((flow.read, flow.forgotten, flow.rejected), (1, 1, 0), "{options}");
        assert!(!serde_json::to_string(&summary).expect("JSON").contains(&super::support::id(1)), "{options}");
    }
    assert!(world.dead_letters().is_empty());
}
