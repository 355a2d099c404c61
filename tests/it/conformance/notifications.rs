//! Notifications of webhooks.

use chrono::TimeDelta;
use d365map::store::{Notification, Stores};
use d365map::time::{Instant, parse_instant};

use super::{New, rules, wait};

rules! {
    a_notification_is_stored_once_however_often_it_comes,
    notifications_wait_in_the_order_in_which_they_were_received_until_they_are_handled,
    a_handled_notification_is_remembered_until_it_is_pruned_and_a_waiting_one_stays,
    what_was_received_survives_the_death_of_the_process,
}

fn at(minute: i64) -> Instant {
    parse_instant("2026-01-01T00:00:00Z").unwrap() + TimeDelta::minutes(minute)
}

fn notification(resource: &str, changed: &str) -> Notification {
    Notification { event: "referral-updated".to_owned(), resource: resource.to_owned(), changed: changed.to_owned() }
}

fn take(stores: &Stores, notification: &Notification, minute: i64) -> bool {
    wait(stores.notifications.take_notification(notification.clone(), at(minute))).unwrap()
}

/// The resources that wait, and their numbers.
fn waiting(stores: &Stores) -> (Vec<String>, Vec<i64>) {
    let waiting = wait(stores.notifications.waiting_notifications(100)).unwrap();
    waiting.into_iter().map(|waiting| (waiting.notification.resource, waiting.seq)).unzip()
}

fn a_notification_is_stored_once_however_often_it_comes(store: New) {
    let mut store = store();
    let stores = store.open();
    let first = notification("r1", "2026-01-01T00:00:00.000000001Z");
    assert!(take(&stores, &first, 0));
    assert!(!take(&stores, &first, 5));
    let others = [
        notification("r2", &first.changed),
        notification("r1", "2026-01-01T00:00:00.000000002Z"),
        Notification { event: "referral-created".to_owned(), ..first.clone() },
    ];
    for other in others {
        assert!(take(&stores, &other, 1), "{other:?}");
    }
    let found = wait(stores.notifications.waiting_notifications(1)).unwrap();
    assert_eq!((found.len(), &found[0].notification, found[0].received), (1, &first, at(0)));
}

fn notifications_wait_in_the_order_in_which_they_were_received_until_they_are_handled(store: New) {
    let mut store = store();
    let stores = store.open();
    for (minute, resource) in ["b", "a", "c"].into_iter().enumerate() {
        take(&stores, &notification(resource, "2026-01-01T00:00:00Z"), i64::try_from(minute).unwrap());
    }
    let (resources, seqs) = waiting(&stores);
    assert_eq!(resources, ["b", "a", "c"]);
    assert_eq!(wait(stores.notifications.settle_notifications(&[seqs[1], 999], at(9))).unwrap(), 2);
    assert_eq!(waiting(&stores).0, ["b", "c"]);
    assert_eq!(wait(stores.notifications.settle_notifications(&[seqs[1]], at(10))).unwrap(), 2);
    assert_eq!(wait(stores.notifications.settle_notifications(&seqs, at(10))).unwrap(), 0);
}

fn a_handled_notification_is_remembered_until_it_is_pruned_and_a_waiting_one_stays(store: New) {
    let mut store = store();
    let stores = store.open();
    let (old, new) = (notification("old", "2026-01-01T00:00:00Z"), notification("new", "2026-01-01T00:00:00Z"));
    take(&stores, &old, 0);
    take(&stores, &new, 0);
    let (_, seqs) = waiting(&stores);
    wait(stores.notifications.settle_notifications(&seqs[..1], at(1))).unwrap();
    assert!(!take(&stores, &old, 2));
    assert_eq!(wait(stores.notifications.prune_notifications(at(1))).unwrap(), 0);
    assert_eq!(wait(stores.notifications.prune_notifications(at(2))).unwrap(), 1);
    assert!(take(&stores, &old, 3));
    assert!(!take(&stores, &new, 3));
}

fn what_was_received_survives_the_death_of_the_process(store: New) {
    let mut store = store();
    take(&store.open(), &notification("r1", "2026-01-01T00:00:00Z"), 0);
    assert_eq!(waiting(&store.open()).0, ["r1"]);
}
