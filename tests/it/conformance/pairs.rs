//! Pairs: a notice is handled once, one worker at a time has a pair, and two rows of one deal become one.

use std::time::Duration;

use d365map::store::{ClaimedPair, Failure, Joined, Pair, PairEnd, PairMark, PairNotice, PairSide, RunId, RunKind, StoreError, Stores};
use d365map::time::now;

use super::{Factory, New, rules, wait};

const FLOW: &str = "referrals";

struct Bench {
    factory: Box<dyn Factory>,
    stores: Stores,
    run: RunId,
    fields: Vec<String>,
}

impl Bench {
    fn new(store: New) -> Bench {
        let mut factory = store();
        let stores = factory.open();
        let run = Bench::begin(&stores);
        Bench { factory, stores, run, fields: vec!["name".to_owned(), "value".to_owned()] }
    }

    fn begin(stores: &Stores) -> RunId {
        wait(stores.runs.start_run(RunKind::Once, &[FLOW.to_owned()], Duration::ZERO)).unwrap().0
    }

    /// The process dies and starts again.
    fn restart(&mut self) {
        // What is open is closed first.
        self.stores = d365map::store::in_memory().unwrap();
        self.stores = self.factory.open();
        self.run = Bench::begin(&self.stores);
    }

    fn tell(&self, side: PairSide, id: &str, version: Option<&str>) -> (u64, u64) {
        let notice = PairNotice { id: id.to_owned(), version: version.map(str::to_owned), begins: true };
        let intake = wait(self.stores.pairs.take_pairs(FLOW, side, vec![notice], None)).unwrap();
        (intake.queued, intake.unchanged)
    }

    fn claim(&self) -> Vec<ClaimedPair> {
        wait(self.stores.pairs.claim_pairs(self.run, FLOW, &self.fields, 10, now())).unwrap()
    }

    fn claim_one(&self) -> (i64, Pair) {
        let mut claimed = self.claim();
        assert_eq!(claimed.len(), 1, "{claimed:?}");
        let claimed = claimed.remove(0);
        (claimed.seq, claimed.pair.unwrap())
    }

    fn settle(&self, seq: i64, end: PairEnd) {
        wait(self.stores.pairs.settle_pairs(self.run, FLOW, &self.fields, vec![(seq, end)])).unwrap();
    }

    fn join(&self, pair: &Pair, left: &str, right: &str) -> Joined {
        wait(self.stores.pairs.join_pair(FLOW, pair.number, left, right)).unwrap()
    }

    fn of(&self, side: PairSide, id: &str) -> Option<Pair> {
        wait(self.stores.pairs.pair_of(FLOW, side, id, &self.fields)).unwrap()
    }

    fn backlog(&self) -> u64 {
        wait(self.stores.outbox.backlog_size(FLOW)).unwrap()
    }
}

fn a_pair_waits_once_however_many_notices_come_and_a_known_version_is_not_news(store: New) {
    let bench = Bench::new(store);
    assert_eq!(bench.tell(PairSide::Left, "l", Some("1")), (1, 0));
    assert_eq!(bench.tell(PairSide::Left, "l", Some("1")), (1, 0));
    assert_eq!(bench.backlog(), 1);
    let (seq, pair) = bench.claim_one();
    assert!(pair.look_left && !pair.look_right, "{pair:?}");
    bench.settle(seq, PairEnd::Done(Box::new(Pair { left_version: Some("1".to_owned()), ..pair })));
    assert_eq!(bench.backlog(), 0);
    assert_eq!(bench.tell(PairSide::Left, "l", Some("1")), (0, 1));
    assert_eq!(bench.tell(PairSide::Left, "l", Some("2")), (1, 0));
    assert_eq!(bench.tell(PairSide::Left, "l", None), (1, 0));
}

fn a_notice_about_a_claimed_pair_waits_until_it_is_settled(store: New) {
    let bench = Bench::new(store);
    bench.tell(PairSide::Left, "l", None);
    let (seq, pair) = bench.claim_one();
    bench.tell(PairSide::Left, "l", None);
    assert!(bench.claim().is_empty());
    bench.settle(seq, PairEnd::Forget);
    let (_, again) = bench.claim_one();
    assert_eq!(again.number, pair.number);
}

fn a_pair_in_the_hands_of_a_process_that_dies_is_looked_at_again(store: New) {
    let mut bench = Bench::new(store);
    bench.tell(PairSide::Right, "r", None);
    bench.claim_one();
    bench.restart();
    let (_, pair) = bench.claim_one();
    assert!(pair.look_right, "{pair:?}");
}

fn fingerprints_and_what_was_sent_are_kept_by_the_names_of_fields(store: New) {
    let mut bench = Bench::new(store);
    bench.tell(PairSide::Left, "l", None);
    let (seq, pair) = bench.claim_one();
    let printer = wait(bench.stores.pairs.fingerprinter()).unwrap();
    assert_ne!(printer.print("name", "1"), printer.print("value", "1"));
    let sent = Pair { right_sent: vec![Some(7), None], create_until: Some(now()), ..pair.clone() };
    assert!(wait(bench.stores.pairs.note_sent(FLOW, &bench.fields, &sent)).unwrap());
    assert_eq!(bench.of(PairSide::Left, "l").unwrap().right_sent, [Some(7), None]);
    assert!(bench.of(PairSide::Left, "l").unwrap().create_until.is_some());
    let known = Pair { left_prints: vec![Some(1), Some(2)], right_prints: vec![None, Some(3)], ..pair };
    bench.settle(seq, PairEnd::Done(Box::new(known)));
    bench.fields.reverse();
    let pair = bench.of(PairSide::Left, "l").unwrap();
    assert_eq!((pair.left_prints, pair.right_prints), (vec![Some(2), Some(1)], vec![Some(3), None]));
    assert_eq!((pair.right_sent, pair.create_until), (vec![None, None], None));
    // A field that the mapping does not have any more, and has again.
    bench.fields = vec!["value".to_owned()];
    assert_eq!(bench.of(PairSide::Left, "l").unwrap().left_prints, [Some(2)]);
}

fn two_rows_of_one_deal_become_one(store: New) {
    let bench = Bench::new(store);
    bench.tell(PairSide::Left, "l", None);
    let (seq, pair) = bench.claim_one();
    bench.tell(PairSide::Right, "r", None);
    assert_eq!(bench.join(&pair, "l", "r"), Joined::Done);
    assert_eq!(bench.backlog(), 2, "the notice of the other row is handled again");
    bench.settle(seq, PairEnd::Done(Box::new(bench.of(PairSide::Left, "l").unwrap())));
    assert_eq!(bench.of(PairSide::Right, "r").map(|pair| pair.number), Some(pair.number));
    let (seq, again) = bench.claim_one();
    assert_eq!((again.left.as_deref(), again.right.as_deref()), (Some("l"), Some("r")));
    assert!(again.look_right);
    bench.settle(seq, PairEnd::Done(Box::new(again)));
    assert_eq!(bench.backlog(), 0);
}

fn of_two_rows_in_hands_the_one_with_the_left_record_stays(store: New) {
    let bench = Bench::new(store);
    bench.tell(PairSide::Left, "l", None);
    bench.tell(PairSide::Right, "r", None);
    let mut claimed = bench.claim();
    claimed.sort_by_key(|claimed| claimed.pair.as_ref().unwrap().left.is_none());
    let (of_left, of_right) = (claimed[0].pair.clone().unwrap(), claimed[1].pair.clone().unwrap());
    assert_eq!(bench.join(&of_left, "l", "r"), Joined::Busy);
    assert_eq!(bench.join(&of_right, "l", "r"), Joined::TakenOver);
    assert_eq!(bench.of(PairSide::Right, "r"), None);
    bench.settle(claimed[1].seq, PairEnd::Gone);
    assert_eq!(bench.join(&of_left, "l", "r"), Joined::Done);
    bench.settle(claimed[0].seq, PairEnd::Done(Box::new(bench.of(PairSide::Left, "l").unwrap())));
    assert_eq!(bench.claim_one().1.right.as_deref(), Some("r"));
}

fn a_row_that_knows_what_was_sent_takes_the_other_one_over(store: New) {
    let bench = Bench::new(store);
    bench.tell(PairSide::Right, "r", None);
    let (seq, pair) = bench.claim_one();
    let sent = Pair { left_prints: vec![Some(1), None], ..pair.clone() };
    assert!(wait(bench.stores.pairs.note_sent(FLOW, &bench.fields, &sent)).unwrap());
    bench.settle(seq, PairEnd::Released);
    // Out of the queue, so that only the other row is claimed.
    let (seq, _) = bench.claim_one();
    bench.settle(seq, PairEnd::Retry { not_before: now() + chrono::TimeDelta::seconds(60), error: "later".to_owned() });
    bench.tell(PairSide::Left, "l", None);
    let (seq, of_left) = bench.claim_one();
    assert_eq!(bench.join(&of_left, "l", "r"), Joined::TakenOver);
    bench.settle(seq, PairEnd::Gone);
    let known = bench.of(PairSide::Left, "l").unwrap();
    assert_eq!((known.number, known.left_prints), (pair.number, vec![Some(1), None]));
}

fn a_pair_that_a_person_must_look_at_is_a_dead_letter_and_a_retry_looks_at_both_sides(store: New) {
    let bench = Bench::new(store);
    bench.tell(PairSide::Left, "l", None);
    let (seq, _) = bench.claim_one();
    let failure = Failure { code: "D921".to_owned(), message: "unknown".to_owned(), ..Failure::default() };
    bench.settle(seq, PairEnd::Failed(failure));
    let letters = wait(bench.stores.dead_letters.dead_letters(&Default::default(), 0, 10)).unwrap();
    assert_eq!(letters.iter().map(|letter| letter.source_id.as_str()).collect::<Vec<_>>(), ["l"]);
    wait(bench.stores.dead_letters.retry_dead_letters(&Default::default())).unwrap();
    let (seq, pair) = bench.claim_one();
    assert!(pair.look_left && pair.look_right);
    bench.settle(seq, PairEnd::Done(Box::new(pair)));
    assert!(wait(bench.stores.dead_letters.dead_letters(&Default::default(), 0, 10)).unwrap().is_empty());
}

fn a_page_moves_the_reading_of_its_side_and_one_from_another_place_is_refused(store: New) {
    let bench = Bench::new(store);
    let pairs = &bench.stores.pairs;
    let cursor = |plan: &str| wait(pairs.pair_cursor(FLOW, PairSide::Left, plan)).unwrap();
    assert_eq!(cursor("plan"), None);
    let mark = PairMark { from: None, to: Some("next".to_owned()) };
    wait(pairs.take_pairs(FLOW, PairSide::Left, Vec::new(), Some(mark.clone()))).unwrap();
    assert_eq!(cursor("plan").as_deref(), Some("next"));
    assert_eq!(wait(pairs.pair_cursor(FLOW, PairSide::Right, "plan")).unwrap(), None);
    let notice = PairNotice { id: "l".to_owned(), version: None, begins: true };
    let refused = wait(pairs.take_pairs(FLOW, PairSide::Left, vec![notice], Some(mark)));
    assert!(matches!(refused, Err(StoreError::CursorMoved { .. })), "{refused:?}");
    assert_eq!(bench.backlog(), 0);
    assert_eq!(cursor("another plan"), None);
}

rules! {
    a_pair_waits_once_however_many_notices_come_and_a_known_version_is_not_news,
    a_notice_about_a_claimed_pair_waits_until_it_is_settled,
    a_pair_in_the_hands_of_a_process_that_dies_is_looked_at_again,
    fingerprints_and_what_was_sent_are_kept_by_the_names_of_fields,
    two_rows_of_one_deal_become_one,
    of_two_rows_in_hands_the_one_with_the_left_record_stays,
    a_row_that_knows_what_was_sent_takes_the_other_one_over,
    a_pair_that_a_person_must_look_at_is_a_dead_letter_and_a_retry_looks_at_both_sides,
    a_page_moves_the_reading_of_its_side_and_one_from_another_place_is_refused,
}
