//! What every source must do.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Subject, for_each_system, key};
use crate::connect::{ConnectError, Trail};
use crate::systems::{Cursor, PageRequest, Payload, Row};

for_each_system! {
    a_full_reading_gives_each_record_once_in_pages_of_the_size_that_was_asked_for
    a_record_is_retrieved_by_its_id_and_one_that_is_missing_is_not_an_error
    changes_and_deletions_come_after_the_reading_that_tracked_them
    a_cursor_says_which_table_it_leads_to
}

/// What a reading gave: texts by id, ids that were deleted, the sizes of its pages, and the cursor to the changes after it.
struct Reading {
    texts: BTreeMap<String, String>,
    deleted: Vec<String>,
    pages: Vec<usize>,
    changes: Option<Cursor>,
    cursors: Vec<Cursor>,
}

async fn read(subject: &Subject, mut request: PageRequest, page_size: u32) -> Reading {
    let mut reading = Reading { texts: BTreeMap::new(), deleted: Vec::new(), pages: Vec::new(), changes: None, cursors: Vec::new() };
    let mut trail = Trail::default();
    loop {
        let page = subject.source.page(&request).await.expect("a page");
        page.follow(subject.source.system(), &request, &mut trail).expect("pages that come to an end");
        reading.pages.push(page.rows.len());
        for row in page.rows {
            match row {
                Row::Changed(record) => {
                    let record: Value = serde_json::from_str(record.get()).expect("JSON");
                    let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
                    let before = reading.texts.insert(text(subject.attribute), text(subject.text));
                    assert_eq!(before, None, "a record came twice");
                }
                Row::Deleted { id, left_result } => {
                    assert!(!left_result);
                    reading.deleted.push(id);
                }
                Row::Unusable { problem } => panic!("{problem}"),
            }
        }
        match page.next {
            Some(cursor) => {
                reading.cursors.push(cursor.clone());
                request = PageRequest::Follow { cursor, query: subject.query(), page_size };
            }
            None => {
                reading.changes = page.changes;
                return reading;
            }
        }
    }
}

fn first(subject: &Subject, page_size: u32) -> PageRequest {
    PageRequest::First { query: subject.query(), track_changes: subject.source.capabilities().change_tracking, page_size }
}

async fn a_full_reading_gives_each_record_once_in_pages_of_the_size_that_was_asked_for(subject: &Subject) {
    for n in 1..=7 {
        subject.create(&key(n), &format!("Text {n}")).await;
    }
    let reading = read(subject, first(subject, 3), 3).await;
    let expected: BTreeMap<String, String> = (1..=7).map(|n| (key(n), format!("Text {n}"))).collect();
    assert_eq!(reading.texts, expected);
    assert!(reading.pages.len() >= 3 && reading.pages.iter().all(|rows| *rows <= 3), "{:?}", reading.pages);
    assert_eq!(reading.changes.is_some(), subject.source.capabilities().change_tracking);
}

async fn a_record_is_retrieved_by_its_id_and_one_that_is_missing_is_not_an_error(subject: &Subject) {
    subject.create(&key(1), "One").await;
    subject.create(&key(2), "Two").await;
    // Where the id is not the key, there is nothing to ask for by it.
    if !subject.source.is_id(&key(1)) || subject.attribute == "emailaddress1" {
        return;
    }
    let record = subject.source.retrieve(&subject.query(), &key(1)).await.unwrap().expect("the record");
    assert!(record.get().contains("One"));
    assert!(subject.source.retrieve(&subject.query(), &key(3)).await.unwrap().is_none());
    let found = subject.source.retrieve_many(&subject.query(), &[key(1), key(2), key(3)]).await.unwrap();
    assert!(found[&key(1)].get().contains("One") && found[&key(2)].get().contains("Two"));
    assert_eq!(found.len(), 2);
}

async fn changes_and_deletions_come_after_the_reading_that_tracked_them(subject: &Subject) {
    let capabilities = subject.source.capabilities();
    if !capabilities.change_tracking {
        let request = PageRequest::First { query: subject.query(), track_changes: true, page_size: 10 };
        let error = subject.source.page(&request).await.unwrap_err();
        assert!(matches!(error, ConnectError::Config { .. }), "{error}");
        return;
    }
    for n in 1..=4 {
        subject.create(&key(n), &format!("Text {n}")).await;
    }
    let reading = read(subject, first(subject, 3), 3).await;
    let follow = |cursor: &Option<Cursor>| PageRequest::Follow {
        cursor: cursor.clone().expect("a cursor to the changes"),
        query: subject.query(),
        page_size: 3,
    };
    let nothing = read(subject, follow(&reading.changes), 3).await;
    assert!(nothing.texts.is_empty() && nothing.deleted.is_empty());
    let change = Payload::from(serde_json::json!({ subject.text: "Changed" }).to_string());
    subject.target.update(subject.key(&key(2)), change, None).await.unwrap();
    subject.create(&key(5), "New").await;
    if subject.target.capabilities().deletes {
        subject.target.delete(subject.key(&key(1))).await.unwrap();
    }
    let after = if nothing.changes.is_some() { &nothing.changes } else { &reading.changes };
    // A cursor can be read any number of times.
    for _ in 0..2 {
        let changes = read(subject, follow(after), 3).await;
        assert_eq!(changes.texts, BTreeMap::from([(key(2), "Changed".to_owned()), (key(5), "New".to_owned())]));
        assert_eq!(changes.deleted.len(), usize::from(capabilities.deletes));
        if capabilities.deletes && subject.attribute != "emailaddress1" {
            assert_eq!(changes.deleted, [key(1)]);
        }
    }
}

async fn a_cursor_says_which_table_it_leads_to(subject: &Subject) {
    for n in 1..=4 {
        subject.create(&key(n), "Text").await;
    }
    let reading = read(subject, first(subject, 2), 2).await;
    assert!(!reading.cursors.is_empty());
    for cursor in reading.cursors.iter().chain(&reading.changes) {
        assert_eq!(subject.source.collection_of(cursor).as_deref(), Some(subject.table.collection));
    }
}
