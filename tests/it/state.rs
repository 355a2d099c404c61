//! The state file: who may open it, what is in it, and a copy of it.

use d365map::store::sqlite::db::Store;
use d365map::store::{DeadLetterFilter, FailureKind, RunKind, StoreError};
use serde_json::json;

use crate::conformance::wait;
use crate::state_support::{Flow, reject, temp_file, upsert};

#[test]
fn a_copy_of_the_file_made_in_the_middle_of_a_run_can_be_run_from_there() {
    let file = temp_file();
    let flow = Flow::open(&file.path);
    flow.page((0..50).map(|i| upsert(&i.to_string(), &[("x", json!(i))])).collect());
    let ops = flow.claim(20);
    flow.settle(ops[..10].iter().map(|op| op.written(true)).collect());
    // The process holds the file open; what a kill would leave behind is the file and its log.
    let copy = temp_file();
    std::fs::create_dir_all(copy.path.parent().unwrap()).unwrap();
    for suffix in ["", "-wal"] {
        let with_suffix = |path: &std::path::Path| format!("{}{suffix}", path.display());
        std::fs::copy(with_suffix(&file.path), with_suffix(&copy.path)).unwrap();
    }
    let copied = Flow::open(&copy.path);
    assert_eq!((copied.recovery.recovered_operations, copied.backlog()), (10, 40));
    assert_eq!(copied.cursor().link.as_deref(), Some("next"));
    let ops = copied.claim(100);
    assert_eq!((ops.len(), ops.iter().filter(|op| op.uncertain).count()), (40, 10));
    copied.settle(ops.iter().map(|op| op.written(true)).collect());
    assert_eq!((copied.backlog(), wait(copied.stores.control.status()).unwrap().mappings[0].ledger_rows), (0, 50));
}

#[test]
fn a_second_runner_is_refused_with_the_name_of_the_first_and_readers_are_not() {
    let file = temp_file();
    let flow = Flow::open(&file.path);
    flow.page(vec![upsert("a", &[("x", json!(1))]), reject("b")]);
    let refused = Store::open_for_run(&file.path).unwrap_err();
    assert!(matches!(&refused, StoreError::InUse { holder, .. } if holder.pid == Some(std::process::id())), "{refused}");
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");

    let reader = Store::open_read(&file.path).unwrap();
    let status = reader.status().unwrap();
    assert_eq!((status.mappings[0].backlog.ready, status.mappings[0].dead_letters), (1, 1));
    assert!(reader.drop_dead_letters(&DeadLetterFilter::default()).is_err(), "a reader writes nothing");
    let beside = Store::open(&file.path).unwrap();
    assert_eq!(beside.retry_dead_letters(&DeadLetterFilter::default()).unwrap(), 1);
    assert!(matches!(beside.start_run(RunKind::Once, &[]), Err(StoreError::NotLocked { .. })));
    assert_eq!(flow.claim(10).len(), 2, "the runner sees what was asked for beside it");

    let clone = flow.stores.clone();
    drop(flow);
    assert!(matches!(Store::open_for_run(&file.path), Err(StoreError::InUse { .. })), "held by its last clone");
    drop(clone);
    Flow::open(&file.path);
}

#[test]
fn reading_where_there_is_no_state_file_says_so_and_makes_none() {
    let file = temp_file();
    assert!(matches!(Store::open_read(&file.path), Err(StoreError::NotFound { .. })));
    assert!(!file.path.exists());
    std::fs::create_dir_all(file.path.parent().unwrap()).unwrap();
    std::fs::write(&file.path, "").unwrap();
    // A run has just made it, and not its tables yet.
    assert!(matches!(Store::open_read(&file.path), Err(StoreError::NotFound { .. })));
}

#[test]
fn a_file_of_a_newer_format_or_of_another_program_is_refused_unchanged() {
    let file = temp_file();
    drop(Store::open(&file.path).unwrap());
    let raw = rusqlite::Connection::open(&file.path).unwrap();
    raw.execute_batch("PRAGMA user_version = 99").unwrap();
    for opened in [Store::open_for_run(&file.path), Store::open_read(&file.path)] {
        let error = opened.unwrap_err();
        assert!(matches!(error, StoreError::NewerFormat { found: 99, .. }), "{error}");
        assert!(error.to_string().contains("newer d365map"), "{error}");
    }

    let foreign = temp_file();
    std::fs::create_dir_all(foreign.path.parent().unwrap()).unwrap();
    rusqlite::Connection::open(&foreign.path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = std::fs::read(&foreign.path).unwrap();
    assert!(matches!(Store::open(&foreign.path), Err(StoreError::Foreign { .. })));
    assert_eq!(std::fs::read(&foreign.path).unwrap(), before);

    let text = temp_file();
    std::fs::create_dir_all(text.path.parent().unwrap()).unwrap();
    std::fs::write(&text.path, "not a database, but a text of more than a hundred characters ".repeat(10)).unwrap();
    assert!(matches!(Store::open(&text.path), Err(StoreError::Failed { kind: FailureKind::Damaged, .. })));
}

#[cfg(unix)]
#[test]
fn the_state_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let file = temp_file();
    let flow = Flow::open(&file.path);
    flow.page(vec![upsert("a", &[("x", json!(1))])]);
    for suffix in ["", "-wal"] {
        let mode = std::fs::metadata(format!("{}{suffix}", file.path.display())).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{suffix}");
    }
}

#[test]
fn the_ledger_holds_no_value_of_a_record() {
    let file = temp_file();
    let flow = Flow::open(&file.path);
    flow.write_all(vec![upsert("a", &[("email", json!("ada@example.com"))])]);
    drop(flow);
    let raw = rusqlite::Connection::open(&file.path).unwrap();
    let (rows, bytes): (i64, i64) =
        raw.query_row("SELECT COUNT(*), sum(length(fingerprints)) FROM ledger", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!((rows, bytes), (1, 8), "one hash of 64 bits");
    let waiting: i64 = raw.query_row("SELECT COUNT(*) FROM outbox", [], |row| row.get(0)).unwrap();
    assert_eq!(waiting, 0);
}
