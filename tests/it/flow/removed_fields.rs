//! Fields that were taken out of a mapping while records waited with them: nothing of them is sent, and nothing of them is kept.

use d365map::store::sqlite::db::Store;
use d365map::store::{Change, CursorMove, PageCommit, PageTimes, Payload, RunKind, RunOutcome};
use serde_json::{Value, json};

use super::support::{World, ada, id, plan_of};

fn mapping(fields: &str) -> String {
    format!("mapping contacts: d365.contact -> campaign.profile {{\n  key contactid -> externalId\n  lastname -> lastName\n{fields}}}\n")
}

/// Queues a change of a contact that is not written before the run ends.
fn queued(world: &World, contact: u32, fields: &[(&str, Value)]) {
    let store = Store::open_for_run(&world.state()).expect("the state opens");
    let (run, _) = store.start_run(RunKind::Once, &["contacts".to_owned()]).expect("a run");
    let from = store.cursor("contacts").expect("a cursor").expect("it has run");
    let mut payload = Payload::default();
    for (path, value) in fields {
        payload.push_value(*path, value, false).expect("a value");
    }
    let change = Change::Upsert { source_id: id(contact), key: id(contact), payload };
    let to = CursorMove::Next(from.link.clone().expect("a delta link"));
    let mapping = "contacts".to_owned();
    let page = PageCommit { run, mapping, from, changes: vec![change], rewrite: false, times: PageTimes::default(), guard: None, to };
    store.commit_page(page).expect("a page");
    store.end_run(run, RunOutcome::Completed, &Value::Null).expect("an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_was_taken_out_of_the_mapping_is_not_sent_for_records_that_wait() {
    let world = World::empty().await;
    world.create(1, ada()).await;
    let before = mapping("  emailaddress1 -> email\n  address1_city -> location.city | truncate(50)\n");
    world.run(&plan_of(&before)).await;
    // One of the waiting records is read again and merged with what waits, the other is in no page any more.
    world.create(2, ada()).await;
    for contact in [2, 3] {
        let city = ("location.city", json!("London"));
        queued(&world, contact, &[("lastName", json!("Lovelace")), ("email", json!("ada@example.com")), city]);
    }
    let after = mapping("  address1_city -> location.city | truncate(50)\n");
    let run = world.run(&plan_of(&after)).await;
    assert_eq!(run.backlog, 0, "{run:?}");
    for contact in [2, 3] {
        let profile = world.profile(contact).await.expect("a profile");
        assert_eq!(profile["lastName"], "Lovelace");
        assert_eq!(profile["location"]["city"], "London");
        assert!(profile.get("email").is_none_or(|email| email.is_null() || email == ""), "{profile}");
    }
    // What was written before is left as it is.
    assert_eq!(world.profile(1).await.expect("a profile")["email"], "ada@example.com");
}

#[test]
fn a_record_waits_no_longer_for_the_one_to_which_a_removed_field_linked() {
    use d365map::store::{Field, WrittenPath};

    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open_for_run(&folder.path().join("state.db")).expect("a state");
    let (run, _) = store.start_run(RunKind::Once, &["orders".to_owned(), "firms".to_owned()]).expect("a run");
    let from = store.cursor_or_first("orders", "plan").expect("a cursor");
    let mut payload = Payload::default();
    payload.push_value("cusName", &json!("first order"), false).expect("a value");
    payload.push_value("cusFirm", &json!(id(7)), false).expect("a value");
    let payload = Payload::from_fields(payload.fields().iter().map(|field| {
        let link = (&*field.path == "cusFirm").then(|| "firms".into());
        Field { link, ..field.clone() }
    }));
    let changes = vec![Change::Upsert { source_id: id(1), key: id(1), payload }];
    let to = CursorMove::Next("next".to_owned());
    let mapping = "orders".to_owned();
    store
        .commit_page(PageCommit { run, mapping, from, changes, rewrite: false, times: PageTimes::default(), guard: None, to })
        .expect("a page");
    let claim = || store.claim(run, "orders", 9, d365map::time::now()).expect("a claim");
    assert!(claim().is_empty(), "it waits for its firm");
    let written = |path: &str, link: Option<&str>| WrittenPath { path: path.to_owned(), link: link.map(str::to_owned) };
    let all = [written("cusName", None), written("cusFirm", Some("firms"))];
    assert_eq!(store.drop_unwritten("orders", &all).expect("nothing to do"), 0);
    assert!(claim().is_empty(), "the field is still written");
    assert_eq!(store.drop_unwritten("orders", &[written("cusName", None)]).expect("dropped"), 1);
    let ops = claim();
    let d365map::store::Work::Upsert(fields) = &ops[0].work else { panic!("{ops:?}") };
    assert_eq!(fields.iter().map(|f| &*f.path).collect::<Vec<_>>(), ["cusName"]);
}
