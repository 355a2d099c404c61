//! Of which causes people were notified.

use std::collections::BTreeMap;

use d365map::time::parse_instant;

use super::{New, rules, wait};

rules! {
    a_cause_is_known_from_the_note_on_it_to_the_note_on_its_end,
    noted_causes_survive_the_death_of_the_process,
}

fn a_cause_is_known_from_the_note_on_it_to_the_note_on_its_end(store: New) {
    let mut store = store();
    let alerts = store.open().alerts;
    let [first, second] = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"].map(|at| parse_instant(at).unwrap());
    wait(alerts.note_alert("failed/a", Some(first))).unwrap();
    wait(alerts.note_alert("failed/b", Some(first))).unwrap();
    wait(alerts.note_alert("failed/a", Some(second))).unwrap();
    wait(alerts.note_alert("failed/b", None)).unwrap();
    wait(alerts.note_alert("failed/c", None)).unwrap();
    assert_eq!(wait(alerts.alerts()).unwrap(), BTreeMap::from([("failed/a".to_owned(), second)]));
}

fn noted_causes_survive_the_death_of_the_process(store: New) {
    let mut store = store();
    let since = parse_instant("2026-01-01T00:00:00Z").unwrap();
    wait(store.open().alerts.note_alert("failed/a", Some(since))).unwrap();
    assert_eq!(wait(store.open().alerts.alerts()).unwrap().len(), 1);
}
