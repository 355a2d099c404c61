//! Rows of other tables that lookups point to.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use d365map::store::{
    Absence, Change, Claim, CursorMove, PageCommit, PageTimes, Partition, Phase, RelatedMove, RelatedOutcome, RelatedPage, RelatedRows,
    RelatedUses, RunKind, StoreError, Stores,
};
use d365map::time::{Instant, parse_instant};

use super::{New, rules, wait};

rules! {
    the_rows_of_a_page_are_kept_with_the_place_behind_it,
    a_row_that_appears_changes_or_goes_makes_the_records_due_that_were_evaluated_with_it,
    a_record_that_was_evaluated_with_older_rows_is_due_at_once,
    a_full_load_deletes_the_rows_that_it_did_not_see,
    a_page_that_was_read_from_another_place_changes_nothing,
    other_columns_begin_a_full_load_and_a_table_that_is_not_followed_goes_with_its_rows,
    what_a_mapping_follows_is_its_own_and_survives_the_death_of_the_process,
}

const FLOW: &str = "contacts";
const USERS: &str = "d365.systemuser";

fn at(seconds: i64) -> Instant {
    parse_instant("2026-01-01T00:00:00Z").unwrap() + TimeDelta::seconds(seconds)
}

fn page(stores: &Stores, rows: &[(&str, Option<&str>)], to: RelatedMove) -> RelatedPage {
    let from = wait(stores.related.related_place(FLOW, USERS, "columns")).unwrap();
    let rows = rows.iter().map(|(id, columns)| ((*id).to_owned(), columns.map(str::to_owned))).collect();
    RelatedPage { mapping: FLOW.to_owned(), table: USERS.to_owned(), from, rows, to, at: at(0) }
}

/// Stores a page that was read from where the table is.
fn store_rows(stores: &Stores, rows: &[(&str, Option<&str>)], to: RelatedMove) -> RelatedOutcome {
    wait(stores.related.store_related(page(stores, rows, to))).unwrap()
}

fn end(link: &str) -> RelatedMove {
    RelatedMove::RoundEnd(Some(link.to_owned()))
}

fn found(stores: &Stores, mapping: &str, ids: &[&str]) -> RelatedRows {
    let ids: BTreeSet<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    wait(stores.related.related_rows(mapping, BTreeMap::from([(USERS.to_owned(), ids)]))).unwrap()
}

fn kept(stores: &Stores, id: &str) -> Option<String> {
    found(stores, FLOW, &[id]).rows.into_values().next()
}

fn due(stores: &Stores) -> Vec<String> {
    let mut due = wait(stores.cursors.due_records(FLOW, at(60), 10)).unwrap();
    due.sort();
    due
}

/// Stores a page with a record that was evaluated with a row, when the table had changed so often.
fn evaluated(stores: &Stores, record: &str, row: &str, version: i64) {
    let (run, _) = wait(stores.runs.start_run(RunKind::Once, &[], std::time::Duration::ZERO)).unwrap();
    let partition = Partition::of(FLOW);
    let Claim::Page(lease) = wait(stores.cursors.claim_page(run, &partition, "plan", at(1))).unwrap() else { panic!("no page") };
    let uses = RelatedUses {
        versions: BTreeMap::from([(USERS.to_owned(), version)]),
        records: BTreeMap::from([(record.to_owned(), BTreeSet::from([(USERS.to_owned(), row.to_owned())]))]),
    };
    let times = PageTimes { at: Some(at(1)), uses: Some(uses), ..PageTimes::default() };
    let changes = vec![Change::Absent { source_id: record.to_owned(), why: Absence::FilteredOut, remove: false }];
    let to = CursorMove::Next(format!("after {record} {row}"));
    let from = lease.cursor.clone();
    let commit = PageCommit { run, mapping: FLOW.to_owned(), from, changes, rewrite: false, times, guard: None, to };
    wait(stores.cursors.checkpoint(lease, commit)).unwrap();
}

fn the_rows_of_a_page_are_kept_with_the_place_behind_it(store: New) {
    let mut store = store();
    let stores = store.open();
    let begun = wait(stores.related.related_place(FLOW, USERS, "columns")).unwrap();
    assert_eq!((begun.phase, begun.link), (Phase::Full, None));
    let outcome = store_rows(&stores, &[("u1", Some("{\"a\":1}"))], RelatedMove::Next("p2".to_owned()));
    assert_eq!((outcome.changed, outcome.affected, outcome.place.link.as_deref()), (1, 0, Some("p2")));
    store_rows(&stores, &[("u2", Some("{}"))], end("d1"));
    let place = wait(stores.related.related_place(FLOW, USERS, "columns")).unwrap();
    assert_eq!((place.phase, place.link.as_deref()), (Phase::Delta, Some("d1")));
    let rows = found(&stores, FLOW, &["u1", "u2", "u3"]).rows;
    let row = |id: &str, columns: &str| ((USERS.to_owned(), id.to_owned()), columns.to_owned());
    assert_eq!(rows, BTreeMap::from([row("u1", "{\"a\":1}"), row("u2", "{}")]));
}

fn a_row_that_appears_changes_or_goes_makes_the_records_due_that_were_evaluated_with_it(store: New) {
    let mut store = store();
    let stores = store.open();
    store_rows(&stores, &[("u1", Some("{}")), ("u2", Some("{}"))], end("d1"));
    let version = found(&stores, FLOW, &["u1"]).versions[USERS];
    for (record, row) in [("a", "u1"), ("b", "u1"), ("c", "u2"), ("d", "u3")] {
        evaluated(&stores, record, row, version);
    }
    assert!(due(&stores).is_empty());
    assert_eq!(store_rows(&stores, &[("u1", Some("{}"))], end("d2")).affected, 0, "nothing differs");
    assert_eq!(store_rows(&stores, &[("u1", Some("{\"x\":1}"))], end("d3")).affected, 2);
    assert_eq!(due(&stores), ["a", "b"]);
    assert_eq!(store_rows(&stores, &[("u3", Some("{}"))], end("d4")).affected, 1, "a row that was not there");
    assert_eq!(store_rows(&stores, &[("u2", None), ("u9", None)], end("d5")).affected, 1);
    assert_eq!((due(&stores).len(), kept(&stores, "u2")), (4, None));
}

fn a_record_that_was_evaluated_with_older_rows_is_due_at_once(store: New) {
    let mut store = store();
    let stores = store.open();
    store_rows(&stores, &[("u1", Some("{}"))], end("d1"));
    let old = found(&stores, FLOW, &["u1"]).versions[USERS];
    store_rows(&stores, &[("u1", Some("{\"x\":1}"))], end("d2"));
    let new = found(&stores, FLOW, &["u1"]).versions[USERS];
    assert!(new > old, "{old} {new}");
    evaluated(&stores, "a", "u1", new);
    assert!(due(&stores).is_empty());
    evaluated(&stores, "b", "u1", old);
    assert_eq!(due(&stores), ["b"]);
}

fn a_full_load_deletes_the_rows_that_it_did_not_see(store: New) {
    let mut store = store();
    let stores = store.open();
    store_rows(&stores, &[("u1", Some("{}")), ("u2", Some("{}"))], end("d1"));
    evaluated(&stores, "a", "u2", found(&stores, FLOW, &["u2"]).versions[USERS]);
    wait(stores.related.restart_related(FLOW, USERS)).unwrap();
    assert_eq!(kept(&stores, "u2").as_deref(), Some("{}"), "until the load is over");
    assert_eq!(store_rows(&stores, &[("u1", Some("{}"))], RelatedMove::Next("p2".to_owned())).affected, 0);
    assert_eq!(store_rows(&stores, &[], end("d2")).affected, 1);
    assert_eq!((due(&stores), kept(&stores, "u1").as_deref(), kept(&stores, "u2")), (vec!["a".to_owned()], Some("{}"), None));
}

fn a_page_that_was_read_from_another_place_changes_nothing(store: New) {
    let mut store = store();
    let stores = store.open();
    let late = page(&stores, &[("u1", Some("{}"))], end("d2"));
    store_rows(&stores, &[], end("d1"));
    assert!(matches!(wait(stores.related.store_related(late)), Err(StoreError::CursorMoved { .. })));
    let place = wait(stores.related.related_place(FLOW, USERS, "columns")).unwrap();
    assert_eq!((place.link.as_deref(), kept(&stores, "u1")), (Some("d1"), None));
}

fn other_columns_begin_a_full_load_and_a_table_that_is_not_followed_goes_with_its_rows(store: New) {
    let mut store = store();
    let stores = store.open();
    store_rows(&stores, &[("u1", Some("{}"))], end("d1"));
    let place = wait(stores.related.related_place(FLOW, USERS, "other columns")).unwrap();
    assert_eq!((place.phase, place.link, kept(&stores, "u1").is_some()), (Phase::Full, None, true));
    assert_eq!(wait(stores.related.retain_related(FLOW, vec![USERS.to_owned()])).unwrap(), 0);
    assert_eq!(wait(stores.related.retain_related(FLOW, Vec::new())).unwrap(), 1);
    assert_eq!(kept(&stores, "u1"), None);
    // It begins again if it is followed again.
    let place = wait(stores.related.related_place(FLOW, USERS, "columns")).unwrap();
    assert_eq!((place.phase, place.link), (Phase::Full, None));
}

fn what_a_mapping_follows_is_its_own_and_survives_the_death_of_the_process(store: New) {
    let mut store = store();
    let stores = store.open();
    store_rows(&stores, &[("u1", Some("{}"))], end("d1"));
    drop(stores);
    let stores = store.open();
    assert_eq!(kept(&stores, "u1").as_deref(), Some("{}"));
    let place = wait(stores.related.related_place(FLOW, USERS, "columns")).unwrap();
    assert_eq!(place.link.as_deref(), Some("d1"));
    // A mapping that is not known has nothing, and that is not an error.
    assert_eq!(found(&stores, "others", &["u1"]), RelatedRows::default());
    let place = wait(stores.related.related_place("others", USERS, "columns")).unwrap();
    assert_eq!(place.link, None);
}
