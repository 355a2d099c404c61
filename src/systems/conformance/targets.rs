//! What every target must do.

use super::{Subject, for_each_system, key};
use crate::connect::ConnectError;
use crate::engine::policy::{self, Action, Scope};
use crate::systems::{Link, Linked, Payload, Search, Written};

for_each_system! {
    a_record_that_is_created_is_found_with_its_values
    a_key_that_is_taken_is_rejected_and_changes_nothing
    an_update_changes_only_what_it_names
    a_record_that_is_missing_is_told_apart_from_an_error
    a_deleted_record_is_gone_and_a_second_delete_finds_nothing
    any_text_can_be_a_key
    of_many_records_one_that_is_refused_costs_none_of_the_others
    a_write_under_an_old_version_changes_nothing
    a_link_to_a_record_that_is_missing_is_reported
    a_record_without_a_key_is_found_by_its_values_and_gets_a_key_once
}

async fn a_record_that_is_created_is_found_with_its_values(subject: &Subject) {
    subject.create(&key(1), "Löve \"1\"").await;
    assert_eq!(subject.text(&key(1)).await.as_deref(), Some("Löve \"1\""));
    assert_eq!(subject.text(&key(2)).await, None);
}

async fn a_key_that_is_taken_is_rejected_and_changes_nothing(subject: &Subject) {
    subject.create(&key(1), "First").await;
    let error = subject.target.create(subject.table, subject.attribute, subject.body(&key(1), "Second")).await.unwrap_err();
    assert_eq!(policy::action(&error, Scope::Unknown), Action::Reject, "{error}");
    assert_eq!(subject.text(&key(1)).await.as_deref(), Some("First"));
}

async fn an_update_changes_only_what_it_names(subject: &Subject) {
    subject.create(&key(1), "Before").await;
    subject.create(&key(2), "Another").await;
    let change = Payload::from(serde_json::json!({ subject.text: "After" }).to_string());
    assert_eq!(subject.target.update(subject.key(&key(1)), change, None).await.unwrap(), Written::Done);
    assert_eq!(subject.text(&key(1)).await.as_deref(), Some("After"));
    assert_eq!(subject.text(&key(2)).await.as_deref(), Some("Another"));
    let found = subject.target.get(subject.key(&key(1))).await.unwrap().expect("the record");
    assert_eq!(found.record[subject.other], "Other");
}

async fn a_record_that_is_missing_is_told_apart_from_an_error(subject: &Subject) {
    let change = Payload::from(serde_json::json!({ subject.text: "After" }).to_string());
    assert_eq!(subject.target.update(subject.key(&key(1)), change, None).await.unwrap(), Written::Missing);
    if subject.target.capabilities().deletes {
        assert_eq!(subject.target.delete(subject.key(&key(1))).await.unwrap(), Written::Missing);
    }
    assert!(subject.target.get(subject.key(&key(1))).await.unwrap().is_none());
}

async fn a_deleted_record_is_gone_and_a_second_delete_finds_nothing(subject: &Subject) {
    subject.create(&key(1), "One").await;
    subject.create(&key(2), "Two").await;
    if !subject.target.capabilities().deletes {
        let error = subject.target.delete(subject.key(&key(1))).await.unwrap_err();
        assert!(matches!(error, ConnectError::Config { .. }), "{error}");
        assert_eq!(subject.text(&key(1)).await.as_deref(), Some("One"));
        return;
    }
    assert_eq!(subject.target.delete(subject.key(&key(1))).await.unwrap(), Written::Done);
    assert_eq!(subject.target.delete(subject.key(&key(1))).await.unwrap(), Written::Missing);
    assert_eq!((subject.text(&key(1)).await, subject.text(&key(2)).await), (None, Some("Two".to_owned())));
}

async fn any_text_can_be_a_key(subject: &Subject) {
    if !subject.free_keys {
        return;
    }
    for odd in ["a+b@example.com", "it's", "a b", "a&b=c", "ü", "a,b"] {
        subject.create(odd, odd).await;
        assert_eq!(subject.text(odd).await.as_deref(), Some(odd), "{odd}");
        let change = Payload::from(serde_json::json!({ subject.text: "After" }).to_string());
        assert_eq!(subject.target.update(subject.key(odd), change, None).await.unwrap(), Written::Done, "{odd}");
        assert_eq!(subject.text(odd).await.as_deref(), Some("After"), "{odd}");
        if subject.target.capabilities().deletes {
            assert_eq!(subject.target.delete(subject.key(odd)).await.unwrap(), Written::Done, "{odd}");
        }
    }
}

async fn of_many_records_one_that_is_refused_costs_none_of_the_others(subject: &Subject) {
    subject.create(&key(2), "Taken").await;
    let bodies = (1..=4).map(|n| subject.body(&key(n), &format!("Many {n}"))).collect();
    let results = subject.target.create_many(subject.table, subject.attribute, bodies).await;
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, true]);
    let change = || Payload::from(serde_json::json!({ subject.text: "Changed" }).to_string());
    let keys = [key(1), key(9), key(3)];
    let results = subject.target.update_many(keys.iter().map(|key| (subject.key(key), change())).collect()).await;
    let results: Vec<Written> = results.into_iter().map(|result| result.unwrap()).collect();
    assert_eq!(results, [Written::Done, Written::Missing, Written::Done]);
    if subject.target.capabilities().deletes {
        let results = subject.target.delete_many(keys.iter().map(|key| subject.key(key)).collect()).await;
        let results: Vec<Written> = results.into_iter().map(|result| result.unwrap()).collect();
        assert_eq!(results, [Written::Done, Written::Missing, Written::Done]);
    }
    assert_eq!((subject.text(&key(2)).await.as_deref(), subject.text(&key(4)).await.as_deref()), (Some("Taken"), Some("Many 4")));
}

async fn a_write_under_an_old_version_changes_nothing(subject: &Subject) {
    subject.create(&key(1), "Before").await;
    let change = |text: &str| Payload::from(serde_json::json!({ subject.text: text }).to_string());
    let version = subject.target.get(subject.key(&key(1))).await.unwrap().expect("the record").version;
    if !subject.target.capabilities().conditional_write {
        assert_eq!(version, None);
        let error = subject.target.update(subject.key(&key(1)), change("After"), Some("1")).await.unwrap_err();
        assert!(matches!(error, ConnectError::Config { .. }), "{error}");
        return;
    }
    let version = version.expect("a version");
    assert_eq!(subject.target.update(subject.key(&key(1)), change("After"), Some(&version)).await.unwrap(), Written::Done);
    let error = subject.target.update(subject.key(&key(1)), change("Too late"), Some(&version)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Changed { .. }), "{error}");
    assert_eq!(subject.text(&key(1)).await.as_deref(), Some("After"));
}

async fn a_link_to_a_record_that_is_missing_is_reported(subject: &Subject) {
    let parent = key(1);
    let link = |to| [Link { name: "other", to: Some(to), lasting: false }];
    let absent = subject.target.linked("{}", &link(subject.key(&parent))).await.unwrap();
    assert_eq!(absent, Linked::Absent { link: "other".to_owned() });
    subject.create(&parent, "Parent").await;
    let ready = subject.target.linked(r#"{"n":1.50}"#, &link(subject.key(&parent))).await.unwrap();
    assert!(matches!(&ready, Linked::Ready(body) if body.to_text().contains("other")), "{ready:?}");
    assert!(matches!(subject.target.linked("[]", &[]).await, Err(ConnectError::Rejected { .. })));
}

async fn a_record_without_a_key_is_found_by_its_values_and_gets_a_key_once(subject: &Subject) {
    let search = |value, most| Search { table: subject.table, by: subject.searched, value, key: subject.attribute, most };
    if !subject.target.capabilities().adopts {
        let error = subject.target.search(search("x@example.com", 1)).await.unwrap_err();
        assert!(matches!(error, ConnectError::Config { .. }), "{error}");
        return;
    }
    let body = |key: Option<&str>, value: &str| {
        let mut body = serde_json::json!({ subject.searched: value, subject.other: "Other" });
        if let Some(key) = key {
            body[subject.attribute] = key.into();
        }
        Payload::from(body.to_string())
    };
    for (key, value) in [(Some(key(1)), "x@example.com"), (Some(key(2)), "y@example.com")] {
        subject.target.create(subject.table, subject.attribute, body(key.as_deref(), value)).await.unwrap();
    }
    for value in ["x@example.com", "z@example.com", "z@example.com"] {
        subject.without_key(body(None, value)).await;
    }
    let none = subject.target.search(search("nobody@example.com", 5)).await.unwrap();
    assert!(none.records.is_empty() && !none.more);
    let two = subject.target.search(search(" X@EXAMPLE.com", 5)).await.unwrap();
    let keys: Vec<Option<&str>> = two.records.iter().map(|found| found.key.as_deref()).collect();
    assert!(keys.len() == 2 && keys.contains(&None) && keys.contains(&Some(key(1).as_str())), "{two:?}");
    assert_eq!(subject.target.search(search("z@example.com", 1)).await.map(|found| (found.records.len(), found.more)).unwrap(), (1, true));

    let free = two.records.iter().find(|found| found.key.is_none()).expect("a record without a key");
    let change = |key: &str| Payload::from(serde_json::json!({ subject.attribute: key, subject.text: "After" }).to_string());
    let error = subject.target.adopt(free, subject.key(&key(2)), change(&key(2))).await.unwrap_err();
    assert_eq!(policy::action(&error, Scope::Unknown), Action::Reject, "{error}");
    assert_eq!(subject.target.adopt(free, subject.key(&key(3)), change(&key(3))).await.unwrap(), Written::Done);
    assert_eq!(subject.text(&key(3)).await.as_deref(), Some("After"));
    let found = subject.target.get(subject.key(&key(3))).await.unwrap().expect("the record");
    assert_eq!(found.record[subject.other], "Other");
    // It has a key now, which is not changed.
    let error = subject.target.adopt(free, subject.key(&key(4)), change(&key(4))).await.unwrap_err();
    assert_eq!(policy::action(&error, Scope::Unknown), Action::Reject, "{error}");
    assert!(subject.target.get(subject.key(&key(4))).await.unwrap().is_none());
}
