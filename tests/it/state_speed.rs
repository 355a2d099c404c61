//! How fast the state is: not part of the ordinary run. `cargo test --release state_speed -- --ignored --nocapture`

use std::time::Instant as Clock;

use d365map::store::{Change, Payload, Unseen};
use serde_json::json;

use crate::conformance::wait;
use crate::state_support::{Flow, temp_file};

const RECORDS: usize = 100_000;
const PAGE: usize = 1_000;
const BATCH: usize = 200;

fn change(i: usize, turn: usize) -> Change {
    let id = format!("{i:08x}-0000-4000-8000-000000000000");
    let mut payload = Payload::with_capacity(12);
    payload.push_value("externalId", &json!(id), false).unwrap();
    for n in 0..10 {
        payload.push_value(format!("field{n}"), &json!(format!("value {n} of record {i}")), false).unwrap();
    }
    payload.push_value("email", &json!(format!("person.{i}.{turn}@example.com")), false).unwrap();
    Change::Upsert { source_id: id.clone(), key: id, payload }
}

#[test]
#[ignore = "measures; run it in release"]
fn a_first_load_of_100_000_records_is_queued_and_acknowledged_at_30_000_a_second() {
    let file = temp_file();
    let flow = Flow::open(&file.path);
    for (turn, what) in [(0, "first load"), (0, "unchanged resync"), (1, "changed resync")].iter().enumerate() {
        let (version, what) = *what;
        if turn > 0 {
            wait(flow.stores.cursors.restart("contacts", d365map::store::Reason::Resync, "plan-1")).unwrap();
        }
        let (mut queueing, mut claiming, mut settling) = (0.0, 0.0, 0.0);
        for page in 0..RECORDS / PAGE {
            let changes: Vec<_> = (page * PAGE..(page + 1) * PAGE).map(|i| change(i, version)).collect();
            let clock = Clock::now();
            flow.page(changes);
            queueing += clock.elapsed().as_secs_f64();
        }
        let clock = Clock::now();
        flow.end_of_load(vec![], Unseen::Delete);
        let sweep = clock.elapsed().as_secs_f64();
        let mut written = 0;
        loop {
            let clock = Clock::now();
            let ops = flow.claim(BATCH);
            claiming += clock.elapsed().as_secs_f64();
            if ops.is_empty() {
                break;
            }
            written += ops.len();
            let settlements = ops.iter().map(|op| op.written(!op.known)).collect();
            let clock = Clock::now();
            flow.settle(settlements);
            settling += clock.elapsed().as_secs_f64();
        }
        let rate = |n: usize, seconds: f64| if n == 0 { 0 } else { (n as f64 / seconds) as u64 };
        println!(
            "{what}: pages {}/s, claims {}/s, acknowledgements {}/s, {written} written, sweep {:.0} ms",
            rate(RECORDS, queueing),
            rate(written, claiming),
            rate(written, settling),
            sweep * 1000.0
        );
        if !cfg!(debug_assertions) {
            assert!(rate(RECORDS, queueing) >= 30_000, "{what}");
            assert!(written == 0 || rate(written, settling) >= 30_000, "{what}");
        }
    }
    let size = std::fs::metadata(&file.path).unwrap().len() / 1024 / 1024;
    println!("file: {size} MiB");
}
