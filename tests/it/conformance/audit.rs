//! The audit log.

use chrono::TimeDelta;
use d365map::store::{AUDIT_RETENTION, AuditEntry, AuditFilter, AuditRecord, AuditResult, Stores};
use d365map::time::{Instant, parse_instant};

use super::{New, rules, wait};

rules! {
    an_entry_is_kept_as_it_was_added_and_survives_the_death_of_the_process,
    entries_are_read_backwards_page_by_page_whatever_is_added_meanwhile,
    entries_of_a_person_or_of_an_action_are_paged_without_the_others,
    entries_of_more_than_400_days_ago_are_removed_and_their_numbers_are_not_used_again,
}

fn at(minute: i64) -> Instant {
    parse_instant("2026-01-01T00:00:00Z").unwrap() + TimeDelta::minutes(minute)
}

fn entry(object: &str, at: Instant) -> AuditEntry {
    AuditEntry {
        at,
        who: "ada@contoso.com".to_owned(),
        role: Some("operator".to_owned()),
        action: "start".to_owned(),
        object: object.to_owned(),
        result: AuditResult::Done,
        from: Some("192.0.2.1".to_owned()),
    }
}

fn note(stores: &Stores, entry: AuditEntry) {
    wait(stores.audit.note_audit(entry)).unwrap();
}

fn read(stores: &Stores, before: Option<i64>, limit: usize) -> Vec<AuditRecord> {
    wait(stores.audit.audit(&AuditFilter::default(), before, limit)).unwrap()
}

fn objects(records: &[AuditRecord]) -> Vec<&str> {
    records.iter().map(|record| record.entry.object.as_str()).collect()
}

fn an_entry_is_kept_as_it_was_added_and_survives_the_death_of_the_process(store: New) {
    let mut store = store();
    let stores = store.open();
    let stranger = AuditEntry { who: String::new(), role: None, result: AuditResult::Refused, from: None, ..entry("", at(0)) };
    let all = [entry("contacts", at(0)), AuditEntry { result: AuditResult::Failed, ..entry("a \"b\" ü", at(1)) }, stranger];
    all.iter().for_each(|entry| note(&stores, entry.clone()));
    drop(stores);
    let mut found: Vec<AuditEntry> = read(&store.open(), None, 10).into_iter().map(|record| record.entry).collect();
    found.reverse();
    assert_eq!(found, all);
}

fn entries_are_read_backwards_page_by_page_whatever_is_added_meanwhile(store: New) {
    let mut store = store();
    let stores = store.open();
    for n in 0..5 {
        // The order is the one in which they were added, even if the clock was set back.
        note(&stores, entry(&n.to_string(), at(-n)));
    }
    let first = read(&stores, None, 2);
    assert_eq!(objects(&first), ["4", "3"]);
    note(&stores, entry("new", at(9)));
    let second = read(&stores, Some(first[1].id), 2);
    assert_eq!(objects(&second), ["2", "1"]);
    assert_eq!(objects(&read(&stores, Some(second[1].id), 2)), ["0"]);
    assert!(read(&stores, Some(0), 2).is_empty());
}

fn entries_of_a_person_or_of_an_action_are_paged_without_the_others(store: New) {
    let mut store = store();
    let stores = store.open();
    for n in 0..4 {
        note(&stores, entry(&format!("ada {n}"), at(n)));
        note(&stores, AuditEntry { who: "Ada@contoso.com".to_owned(), ..entry(&format!("other {n}"), at(n)) });
        note(&stores, AuditEntry { action: "stop".to_owned(), ..entry(&format!("stop {n}"), at(n)) });
        note(&stores, AuditEntry { who: String::new(), ..entry(&format!("stranger {n}"), at(n)) });
    }
    let read = |who: Option<&str>, action: Option<&str>, before: Option<i64>| {
        let filter = AuditFilter { who: who.map(str::to_owned), action: action.map(str::to_owned) };
        wait(stores.audit.audit(&filter, before, 3)).unwrap()
    };
    let first = read(Some("ada@contoso.com"), Some("start"), None);
    assert_eq!(objects(&first), ["ada 3", "ada 2", "ada 1"]);
    assert_eq!(objects(&read(Some("ada@contoso.com"), Some("start"), Some(first[2].id))), ["ada 0"]);
    assert_eq!(objects(&read(Some("ada@contoso.com"), None, None)), ["stop 3", "ada 3", "stop 2"]);
    assert_eq!(objects(&read(None, Some("stop"), None)), ["stop 3", "stop 2", "stop 1"]);
    assert_eq!(objects(&read(Some(""), None, None)), ["stranger 3", "stranger 2", "stranger 1"]);
    for other in ["ada%", "ada", "' OR 1=1 --"] {
        assert!(read(Some(other), None, None).is_empty() && read(None, Some(other), None).is_empty(), "{other}");
    }
}

fn entries_of_more_than_400_days_ago_are_removed_and_their_numbers_are_not_used_again(store: New) {
    let mut store = store();
    let stores = store.open();
    note(&stores, entry("old", at(0)));
    note(&stores, entry("kept", at(1)));
    let last = read(&stores, None, 1)[0].id;
    note(&stores, entry("new", at(1) + AUDIT_RETENTION));
    assert_eq!(objects(&read(&stores, None, 10)), ["new", "kept"]);
    note(&stores, entry("newer", at(0) + AUDIT_RETENTION + AUDIT_RETENTION));
    let left = read(&stores, None, 10);
    assert_eq!(objects(&left), ["newer", "new"]);
    assert!(left.iter().all(|record| record.id > last));
}
