//! Persons are found and forgotten: not a byte of theirs stays, and nothing brings them back.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use d365map::store::sqlite::db::Store;
use d365map::store::{Change, CursorMove, PageCommit, Payload, RunKind, RunOutcome};
use serde_json::{Value, json};

use super::support::{World, id};
use crate::security::scan::Scan;

const MAPPING: &str = "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  firstname -> firstName | truncate(30)
  lastname -> lastName
  emailaddress1 -> email
}
";

const ADA: (&str, &str, &str) = ("Adalberta", "Quixwhistle", "adalberta.quixwhistle@private.example");
const EVE: (&str, &str, &str) = ("Evelinda", "Brummelkamp", "evelinda.brummelkamp@private.example");

fn person((first, last, mail): (&str, &str, &str)) -> Value {
    json!({"firstname": first, "lastname": last, "emailaddress1": mail})
}

/// All of a person that could be left over.
fn traces_of(n: u32, (first, last, mail): (&str, &str, &str)) -> Scan {
    let mut scan = Scan::default();
    for (what, text) in [("the id", id(n).as_str()), ("a first name", first), ("a last name", last), ("an address", mail)] {
        scan.add(what, text);
    }
    scan
}

fn folder(world: &World) -> PathBuf {
    world.folder.path().join(".d365map")
}

/// Ada and Eve wait to be written, and Ada has a dead letter of an earlier state.
async fn waiting() -> World {
    let world = World::empty().await;
    world.project(MAPPING);
    for (n, who) in [(1, ADA), (2, EVE)] {
        world.create(n, person(who)).await;
    }
    world.update(1, json!({"emailaddress1": "adalberta.quixwhistle at private.example"})).await;
    let (status, out, error) = world.call(&["run"]).await;
    assert!(status == 1 && out.contains("rejected          1"), "{out}{error}");
    // Both change, and Campaign is down.
    world.update(1, json!({"emailaddress1": ADA.2})).await;
    world.update(2, json!({"firstname": format!("{}-Again", EVE.0)})).await;
    world.admin("fail-next", json!({"kind": "status", "status": 503, "api": "campaign", "path": "Ext/profile", "count": 10_000})).await;
    let limits = world.folder.path().join("d365map.yaml");
    let text = std::fs::read_to_string(&limits).expect("a file");
    std::fs::write(&limits, format!("{text}  attempts: 1\n")).expect("a file");
    let mut child = world.command(&["run", "--quiet"]).spawn().expect("the command starts");
    let began = Instant::now();
    while waiting_for_all(&world) < 2 {
        assert!(began.elapsed() < Duration::from_secs(30), "nothing waits");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().await.expect("SIGKILL");
    world
}

fn waiting_for_all(world: &World) -> u64 {
    Store::open_read(&folder(world).join("state.db")).and_then(|s| s.backlog_size("contacts")).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_forget_no_byte_of_the_person_is_in_state_log_or_shared_memory_and_the_others_stay() {
    let world = waiting().await;
    let (ada, eve) = (traces_of(1, ADA), traces_of(2, EVE));
    assert!(!ada.folder(&folder(&world), &[]).is_empty() && !eve.folder(&folder(&world), &[]).is_empty(), "the search is awake");

    let (status, out, error) = world.call(&["privacy", "report", &id(1)]).await;
    assert!(status == 1 && out.contains("outbox: 1 row") && out.contains("dead_letter: 1 row"), "{out}{error}");
    assert!(!out.contains(ADA.1) && !out.contains(ADA.2), "places, not data: {out}");
    let (status, out, error) = world.call(&["privacy", "report", ADA.2, "--format", "json"]).await;
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}"));
    assert_eq!((status, &report["traces"]["records"]), (1, &json!([id(1)])), "{report}");
    // An address is not a key: the report says whose it is, and nothing is removed.
    let (status, _, error) = world.call(&["privacy", "forget", ADA.2, "--yes"]).await;
    assert!(status == 2 && error.contains(&id(1)), "{error}");
    let (status, _, error) = world.call(&["privacy", "forget", &id(1)]).await;
    assert!(status == 2 && error.contains("--yes"), "{error}");
    let (status, dry, _) = world.call(&["privacy", "forget", &id(1), "--dry-run"]).await;
    assert!(status == 1 && dry.contains("outbox: 1 row"), "{dry}");
    assert!(!ada.folder(&folder(&world), &[]).is_empty(), "nothing has gone so far");

    // A connection of another process keeps the log and the shared memory in being.
    let beside = Store::open_read(&folder(&world).join("state.db")).expect("the state");
    assert!(beside.status().is_ok());
    let (status, out, error) = world.call(&["privacy", "forget", &id(1), "--yes"]).await;
    assert!(status == 0 && out.contains("is forgotten"), "{out}{error}");
    assert!(folder(&world).join("state.db-wal").exists() && folder(&world).join("state.db-shm").exists());
    assert_eq!(ada.folder(&folder(&world), &[]), Vec::<String>::new());
    drop(beside);
    assert!(!eve.folder(&folder(&world), &[]).is_empty());
    let (status, out, _) = world.call(&["privacy", "report", &id(1)]).await;
    assert!(status == 0 && out.contains("holds no trace") && out.contains("forgotten 20"), "{out}");

    // Campaign is back: Eve is written, and Ada comes neither from the outbox nor by a change nor by a replay.
    world.admin("clear-faults", Value::Null).await;
    world.update(1, json!({"lastname": "Quixwhistle-Again"})).await;
    for args in [&["run"][..], &["replay", "contacts"]] {
        let (status, out, error) = world.call(args).await;
        assert_eq!(status, 0, "{out}{error}");
        assert!(world.profile(1).await.is_none(), "a forgotten person is back");
        assert_eq!(ada.folder(&folder(&world), &[]), Vec::<String>::new());
    }
    assert_eq!(world.profile(2).await.expect("written")["lastName"], EVE.1);

    // A mistake can be fixed.
    assert_eq!(world.call(&["privacy", "lift", &id(1)]).await.0, 0);
    assert_eq!(world.call(&["privacy", "lift", &id(1)]).await.0, 2);
    let (status, out, error) = world.call(&["replay", "contacts"]).await;
    assert_eq!(status, 0, "{out}{error}");
    assert_eq!(world.profile(1).await.expect("written")["lastName"], "Quixwhistle-Again");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_being_written_by_another_process_is_not_forgotten_beside_it_but_right_after() {
    let world = World::empty().await;
    world.project(MAPPING);
    world.admin("fail-next", json!({"kind": "slow", "delay": 4000, "api": "campaign", "path": "Ext/profile", "count": 1})).await;
    world.create(1, person(ADA)).await;
    let mut child = world.command(&["run", "--watch", "--interval", "1", "--quiet"]).spawn().expect("the command starts");
    let began = Instant::now();
    let state = folder(&world).join("state.db");
    while Store::open_read(&state).and_then(|s| s.backlog("contacts")).map_or(0, |b| b.claimed) == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "nothing is in flight");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (status, out, error) = world.call(&["privacy", "forget", &id(1), "--yes"]).await;
    let pid = child.id().expect("a child").to_string();
    assert!(status == 2 && out.is_empty() && error.contains(&format!("in flight in process {pid}")), "{out}{error}");
    while waiting_for_all(&world) > 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "it is never written");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (status, out, error) = world.call(&["privacy", "forget", &id(1), "--yes"]).await;
    assert!(status == 0 && out.contains("ledger: 1 removed"), "{out}{error}");
    world.update(1, json!({"lastname": "Quixwhistle-Again"})).await;
    world.create(2, person(EVE)).await;
    while world.profile(2).await.is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "the watch does not go on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.profile(1).await.expect("the profile is Campaign's to delete")["lastName"], ADA.1);
    assert_eq!(traces_of(1, ADA).folder(&folder(&world), &[]), Vec::<String>::new(), "the process that runs has brought nothing back");
    child.kill().await.expect("an end");
}

#[test]
fn among_thousands_of_records_that_came_and_went_nothing_of_the_forgotten_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open_for_run(&folder.path().join("state.db")).expect("the state");
    let (run, _) = store.start_run(RunKind::Once, &["contacts".to_owned()]).expect("a run");
    let (many, forgotten) = (3000, [1, 777, 1500, 2222, 3000]);
    let name = |n: u32, state: &str| format!("Zebulonia-{state}-{n:05}-Quixwhistle");
    for (round, state) in ["first", "second", "third"].into_iter().enumerate() {
        for from in (1..=many).step_by(500) {
            let change = |n: u32| {
                let mut payload = Payload::default();
                // Of different lengths, so that rows move among the pages.
                let filler = "x".repeat((n as usize * 37 + round * 811) % 1900);
                payload.push_value("lastName", &json!(name(n, state)), false).expect("a value");
                payload.push_value("email", &json!(filler), false).expect("a value");
                Change::Upsert { source_id: id(n), key: id(n), payload }
            };
            let cursor = store.cursor_or_first("contacts", "p").expect("a cursor");
            let changes = (from..from + 500).map(change).collect();
            let to = CursorMove::Next(format!("{state}{from}"));
            let page = PageCommit {
                run,
                mapping: "contacts".to_owned(),
                from: cursor,
                changes,
                rewrite: false,
                times: d365map::store::PageTimes::default(),
                guard: None,
                to,
            };
            store.commit_page(page).expect("a page");
        }
        // A third of them is written each time.
        for _ in 0..10 {
            let claimed = store.claim(run, "contacts", 100, d365map::time::now()).expect("operations");
            store.settle(run, claimed.iter().map(|op| op.written(true)).collect()).expect("answers");
        }
    }
    for n in forgotten {
        store.forget(&id(n)).expect("forgotten");
    }
    let mut scan = Scan::default();
    for n in forgotten {
        scan.add("the id", &id(n));
        for state in ["first", "second", "third"] {
            scan.add("a name", &name(n, state));
        }
    }
    let wal = folder.path().join("state.db-wal");
    assert!(wal.exists() && std::fs::metadata(&wal).expect("a file").len() == 0, "the log is empty");
    assert_eq!(scan.folder(folder.path(), &[]), Vec::<String>::new());
    store.end_run(run, RunOutcome::Completed, &Value::Null).expect("an end");
    let mut awake = Scan::default();
    awake.add("another's name", &name(5, "third"));
    assert!(!awake.folder(folder.path(), &[]).is_empty(), "the search is awake");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_looks_into_logs_too() {
    let world = World::empty().await;
    world.project(MAPPING);
    let logs = world.folder.path().join("logs/deep");
    std::fs::create_dir_all(&logs).expect("a folder");
    std::fs::write(logs.join("a.log"), format!("one\ntwo {}\nthree\n", id(1).to_uppercase())).expect("a log");
    std::fs::write(logs.join("b.log"), b"nothing \xff here\n").expect("a log");
    let (status, out, error) = world.call(&["privacy", "report", &id(1), "--log", "logs", "--format", "json"]).await;
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{error}"));
    assert_eq!((status, &report["total"], &report["logs"][0]["lines"]), (1, &json!(0), &json!([2])));
    assert_eq!(report["logs"].as_array().map(Vec::len), Some(1));
    let (status, out, _) = world.call(&["privacy", "report", &id(2), "--log", "logs"]).await;
    assert!(status == 0 && out.contains("the logs hold no trace"), "{out}");
    let (status, _, error) = world.call(&["privacy", "report", &id(1), "--log", "none.log"]).await;
    assert!(status == 2 && error.contains("none.log"), "{error}");
    let (status, _, error) = world.call(&["privacy", "report", "ab"]).await;
    assert!(status == 2 && error.contains("too short"), "{error}");
}
