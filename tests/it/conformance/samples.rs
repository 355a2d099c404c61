//! The history for charts.

use chrono::TimeDelta;
use d365map::store::{CallCounts, RecordCounts, Stores};
use d365map::time::{Instant, parse_instant};

use super::{New, rules, wait};

rules! {
    what_is_noted_in_one_minute_is_added_up_by_name,
    samples_of_a_time_come_in_order_and_without_those_outside_of_it,
    samples_become_coarser_and_lose_nothing_until_they_are_removed,
    noted_samples_survive_the_death_of_the_process,
}

fn begin() -> Instant {
    parse_instant("2026-01-01T00:00:00Z").unwrap()
}

fn read(read: u64) -> RecordCounts {
    RecordCounts { read, ..RecordCounts::default() }
}

fn note(stores: &Stores, at: Instant, name: &str, counts: RecordCounts) {
    wait(stores.samples.note_samples(at, &[(name.to_owned(), counts)], &[])).unwrap();
}

/// Seconds since the beginning, name and records read, of all samples.
fn all(stores: &Stores) -> Vec<(i64, String, u64)> {
    let (records, _) = wait(stores.samples.samples(begin(), begin() + TimeDelta::days(1000))).unwrap();
    records.into_iter().map(|sample| ((sample.at - begin()).num_seconds(), sample.name, sample.counts.read)).collect()
}

fn what_is_noted_in_one_minute_is_added_up_by_name(store: New) {
    let mut store = store();
    let stores = store.open();
    let counts = RecordCounts { read: 1, created: 2, updated: 3, deleted: 4, rejected: 5, failed: 6 };
    let calls = CallCounts { calls: 10, throttled: 1, failed: 2, milliseconds: 900 };
    for second in [0, 59] {
        let at = begin() + TimeDelta::seconds(second);
        wait(stores.samples.note_samples(at, &[("a".to_owned(), counts)], &[("campaign".to_owned(), calls)])).unwrap();
    }
    let twice = RecordCounts { read: 2, created: 4, updated: 6, deleted: 8, rejected: 10, failed: 12 };
    let twice_calls = CallCounts { calls: 20, throttled: 2, failed: 4, milliseconds: 1800 };
    note(&stores, begin(), "b", read(7));
    let (records, called) = wait(stores.samples.samples(begin(), begin() + TimeDelta::minutes(1))).unwrap();
    assert_eq!((records.len(), records[0].counts, records[0].at), (2, twice, begin()));
    assert_eq!((records[1].name.as_str(), records[1].counts), ("b", read(7)));
    assert_eq!((called.len(), called[0].name.as_str(), called[0].counts), (1, "campaign", twice_calls));
}

fn samples_of_a_time_come_in_order_and_without_those_outside_of_it(store: New) {
    let mut store = store();
    let stores = store.open();
    for minute in [3, 1, 2, 0] {
        note(&stores, begin() + TimeDelta::minutes(minute), "a", read(1));
    }
    let (from, until) = (begin() + TimeDelta::minutes(1), begin() + TimeDelta::minutes(3));
    let (records, _) = wait(stores.samples.samples(from, until)).unwrap();
    let minutes: Vec<_> = records.iter().map(|sample| (sample.at - begin()).num_minutes()).collect();
    assert_eq!(minutes, [1, 2]);
}

fn samples_become_coarser_and_lose_nothing_until_they_are_removed(store: New) {
    let mut store = store();
    let stores = store.open();
    for minute in [0, 1, 9, 10, 59, 60] {
        note(&stores, begin() + TimeDelta::minutes(minute), "a", read(1));
    }
    let of = |samples: &[(i64, u64)]| samples.iter().map(|(minute, read)| (minute * 60, "a".to_owned(), *read)).collect::<Vec<_>>();
    assert_eq!(all(&stores), of(&[(0, 1), (1, 1), (9, 1), (10, 1), (59, 1), (60, 1)]));
    let nothing = |at: TimeDelta| wait(stores.samples.note_samples(begin() + at, &[], &[])).unwrap();
    // A day after the first ten minutes, only these are added up.
    nothing(TimeDelta::days(1) + TimeDelta::minutes(10));
    assert_eq!(all(&stores), of(&[(0, 3), (10, 1), (59, 1), (60, 1)]));
    nothing(TimeDelta::days(2));
    assert_eq!(all(&stores), of(&[(0, 3), (10, 1), (50, 1), (60, 1)]));
    nothing(TimeDelta::days(8));
    assert_eq!(all(&stores), of(&[(0, 5), (60, 1)]));
    // A late note of an hour that was added up already belongs to it.
    note(&stores, begin() + TimeDelta::minutes(5), "a", read(10));
    nothing(TimeDelta::days(8));
    assert_eq!(all(&stores), of(&[(0, 15), (60, 1)]));
    nothing(TimeDelta::days(90));
    assert_eq!(all(&stores), of(&[(0, 15), (60, 1)]));
    nothing(TimeDelta::days(90) + TimeDelta::minutes(1));
    assert_eq!(all(&stores), of(&[(60, 1)]));
}

fn noted_samples_survive_the_death_of_the_process(store: New) {
    let mut store = store();
    note(&store.open(), begin(), "a", read(4));
    assert_eq!(all(&store.open()), [(0, "a".to_owned(), 4)]);
}
