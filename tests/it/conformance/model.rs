//! The state against a model: random pages, claims, answers, lost answers, late requests, crashes and resyncs, on three records.
//!
//! A late request was sent by a worker that is dead or has given it up, and is held by a gateway: it is carried out at any moment
//! within its lifetime, or never. The clock is the model's own.
//!
//! What must come out whatever the order: once everything has been drained and every late request has arrived, the target holds
//! what the source holds; no record ever went back to an older state; nothing is left over.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use d365map::store::{Change, ClaimedOp, Comparison, CursorMove, DeadLetterFilter, PageTimes, Reason, Settlement, Unseen, Work};
use d365map::time::{Instant, now};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestError, TestRunner};
use serde_json::json;

use super::{New, rules, wait};
use crate::state_support::{FLOW, Flow, failure, filtered_out, payload, reject, tombstone, upsert};

const RECORDS: usize = 3;
const IDS: [&str; RECORDS] = ["a", "b", "c"];
/// How long a late request may live.
const LIFETIME: TimeDelta = TimeDelta::minutes(2);

/// What happens to a source record.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// A new state: the value of `x`, and of `y` unless it is kept.
    Put {
        x: u8,
        y: Option<u8>,
    },
    Delete,
    LeaveFilter,
    /// A state that cannot be evaluated.
    Spoil,
}

/// What became of a request whose answer was not seen.
#[derive(Debug, Clone, Copy)]
enum Unanswered {
    CarriedOut,
    NeverArrived,
    /// A gateway holds it.
    Late,
}

/// A request that a gateway holds, as it was sent.
enum Held {
    Create(Vec<(String, String)>),
    Update(Vec<(String, String)>),
    Delete,
}

/// How a claimed operation goes.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Done,
    Refused,
    LostAndGivenUp {
        carried_out: bool,
    },
    Busy,
    Lost(Unanswered),
    NotSent,
    /// Stays in the worker's hands.
    Pending,
}

#[derive(Debug, Clone)]
enum Step {
    Page(Vec<(usize, Act)>),
    /// A deletion whose tombstone never comes.
    SilentDelete(usize),
    Claim(usize),
    Settle(Vec<Fate>),
    /// The process dies with requests in flight.
    Crash(Vec<Unanswered>),
    /// A late request is carried out.
    Arrive(usize),
    /// The lifetime of all late requests passes; some of them are carried out before its end.
    Wait(Vec<bool>),
    RetryDeadLetters,
    Resync(Vec<Option<Vec<Fate>>>),
}

/// The source's truth.
#[derive(Debug, Clone, PartialEq)]
enum Truth {
    Absent,
    Present { x: u8, y: Option<u8>, version: u64 },
    Spoiled,
}

struct World {
    flow: Option<Flow>,
    source: [Truth; RECORDS],
    target: BTreeMap<String, BTreeMap<String, String>>,
    /// The highest version ever seen at the target.
    newest: BTreeMap<String, u64>,
    /// `y` as it must be if the newest state keeps it; `None` if a failure in between leaves that open.
    kept_y: [Option<u8>; RECORDS],
    in_hand: Vec<(ClaimedOp, Option<Truth>)>,
    version: u64,
    late: Vec<(String, Held)>,
    /// How far the model's clock is ahead of the machine's.
    ahead: TimeDelta,
    /// Whether operations of unknown fate rest for the lifetime of a request.
    rest: bool,
}

impl World {
    fn new(store: New, rest: bool) -> World {
        let flow = Some(Flow::new(store));
        let world = World {
            flow,
            source: [Truth::Absent, Truth::Absent, Truth::Absent],
            target: BTreeMap::new(),
            newest: BTreeMap::new(),
            kept_y: [None; RECORDS],
            in_hand: Vec::new(),
            version: 0,
            late: Vec::new(),
            ahead: TimeDelta::zero(),
            rest,
        };
        world.flow().end_of_load(vec![], Unseen::Delete);
        world
    }

    fn flow(&self) -> &Flow {
        self.flow.as_ref().unwrap()
    }

    fn act(&mut self, record: usize, act: Act) -> Change {
        match act {
            Act::Put { x, y } => {
                self.version += 1;
                self.source[record] = Truth::Present { x, y, version: self.version };
                if y.is_some() {
                    self.kept_y[record] = y;
                }
            }
            Act::Delete | Act::LeaveFilter => {
                self.source[record] = Truth::Absent;
                self.kept_y[record] = None;
            }
            Act::Spoil => self.source[record] = Truth::Spoiled,
        }
        match act {
            Act::LeaveFilter => filtered_out(IDS[record], true),
            Act::Put { .. } | Act::Delete | Act::Spoil => change_of(record, &self.source[record]),
        }
    }

    /// Carries an operation out at the target, as a worker would.
    fn carry_out(&mut self, op: &ClaimedOp) -> bool {
        let create = !self.target.contains_key(&op.key);
        match &op.work {
            Work::Upsert(_) => self.put(&op.key, sent(op, create)),
            Work::Delete => {
                self.target.remove(&op.key);
            }
            Work::Refetch => {}
        }
        create
    }

    fn put(&mut self, key: &str, values: Vec<(String, String)>) {
        let fields = self.target.entry(key.to_owned()).or_default();
        fields.extend(values);
        let version: u64 = fields["version"].parse().unwrap();
        let newest = self.newest.entry(key.to_owned()).or_default();
        assert!(version >= *newest, "{key} went back from version {newest} to {version}");
        *newest = version;
    }

    /// An operation's request goes out, and no answer is seen.
    fn lose(&mut self, op: &ClaimedOp, how: Unanswered) {
        match how {
            Unanswered::CarriedOut => {
                self.carry_out(op);
            }
            Unanswered::NeverArrived => {}
            Unanswered::Late => {
                // What a worker sends first: a read decides if there is a doubt, the ledger otherwise.
                let exists = if op.uncertain { self.target.contains_key(&op.key) } else { op.known };
                let held = match &op.work {
                    Work::Upsert(_) if exists => Held::Update(sent(op, false)),
                    Work::Upsert(_) => Held::Create(sent(op, true)),
                    Work::Delete => Held::Delete,
                    Work::Refetch => return,
                };
                self.late.push((op.key.clone(), held));
            }
        }
    }

    fn arrive(&mut self, at: usize) {
        let (key, held) = self.late.remove(at);
        match (held, self.target.contains_key(&key)) {
            (Held::Create(values), false) | (Held::Update(values), true) => self.put(&key, values),
            (Held::Delete, true) => drop(self.target.remove(&key)),
            // Refused by the service, and the answer is lost.
            (Held::Create(_), true) | (Held::Update(_) | Held::Delete, false) => {}
        }
    }

    fn wait(&mut self, mut arrives: impl FnMut() -> bool) {
        while !self.late.is_empty() {
            if arrives() {
                self.arrive(0);
            } else {
                self.late.remove(0);
            }
        }
        self.ahead += LIFETIME + TimeDelta::seconds(1);
    }

    fn now(&self) -> Instant {
        now() + self.ahead
    }

    /// When an operation of unknown fate may be claimed again.
    fn over(&self) -> Instant {
        if self.rest { self.now() + LIFETIME } else { self.now() }
    }

    fn crash(&mut self, fates: Vec<Unanswered>) {
        for ((op, _), how) in std::mem::take(&mut self.in_hand).into_iter().zip(fates) {
            self.lose(&op, how);
        }
        let lifetime = if self.rest { (self.ahead + LIFETIME).to_std().unwrap() } else { Duration::ZERO };
        self.flow = self.flow.take().map(|flow| flow.after_a_crash(lifetime));
    }

    fn claim(&mut self, limit: usize) {
        for op in self.flow().claim_at(limit, self.now()) {
            assert!(self.in_hand.iter().all(|(other, _)| other.key != op.key), "two operations on {} at once", op.key);
            // A refetch reads the source now; what it read may be old when it is handed in.
            let read = matches!(op.work, Work::Refetch).then(|| self.source[record_of(&op)].clone());
            self.in_hand.push((op, read));
        }
    }

    fn settle(&mut self, fates: &[Fate]) {
        let mut settlements: Vec<Settlement> = Vec::new();
        let mut fates = fates.iter().copied();
        for (op, read) in std::mem::take(&mut self.in_hand) {
            let fate = fates.next().unwrap_or(Fate::Pending);
            let record = record_of(&op);
            if matches!(fate, Fate::Refused | Fate::LostAndGivenUp { .. }) {
                self.kept_y[record] = None;
            }
            let carried_out = matches!(fate, Fate::Done | Fate::LostAndGivenUp { carried_out: true });
            match (fate, read) {
                (Fate::Pending, read) => {
                    self.in_hand.push((op, read));
                    continue;
                }
                (Fate::Done, Some(read)) => {
                    let flow = self.flow();
                    wait(flow.stores.outbox.resolve_refetch(flow.run, FLOW, op.seq, change_of(record, &read), PageTimes::default(), false))
                        .unwrap();
                    continue;
                }
                (_, Some(_)) | (_, None) => {}
            }
            let created = carried_out && self.carry_out(&op);
            if let Fate::Lost(how) = fate {
                self.lose(&op, how);
            }
            settlements.push(match fate {
                Fate::Done if matches!(op.work, Work::Delete) => op.deleted(),
                Fate::Done => op.written(created),
                Fate::Refused => op.failed(failure("refused"), false),
                Fate::LostAndGivenUp { .. } => op.failed(failure("timeout"), true),
                Fate::Busy => op.retry(self.now(), "busy", false),
                Fate::Lost(_) => op.retry(self.over(), "no answer", true),
                Fate::NotSent => op.released(),
                Fate::Pending => unreachable!("handled above"),
            });
        }
        assert_eq!(self.flow().settle(settlements).stale, 0);
    }

    fn retry_dead_letters(&mut self) {
        let letters = wait(self.flow().stores.dead_letters.dead_letters(&DeadLetterFilter::default(), 0, 100)).unwrap();
        for letter in &letters {
            self.kept_y[IDS.iter().position(|id| **id == letter.source_id).unwrap()] = None;
        }
        assert_eq!(wait(self.flow().stores.dead_letters.retry_dead_letters(&DeadLetterFilter::default())).unwrap(), letters.len() as u64);
    }

    fn resync(&mut self, between: &[Option<Vec<Fate>>]) {
        wait(self.flow().stores.cursors.restart(FLOW, Reason::Resync, "plan-1")).unwrap();
        for record in 0..RECORDS {
            let changes = match &self.source[record] {
                Truth::Absent => vec![],
                truth @ (Truth::Present { .. } | Truth::Spoiled) => vec![change_of(record, truth)],
            };
            if record + 1 == RECORDS {
                self.flow().end_of_load(changes, Unseen::Delete);
            } else {
                self.flow().page(changes);
            }
            if let Some(Some(fates)) = between.get(record) {
                self.claim(2);
                self.settle(fates);
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Page(acts) => {
                let changes = acts.into_iter().map(|(record, act)| self.act(record, act)).collect();
                self.flow().commit(changes, CursorMove::RoundEnd { link: Some("delta".into()), unseen: Unseen::Delete });
            }
            Step::SilentDelete(record) => {
                self.act(record, Act::Delete);
            }
            Step::Claim(limit) => self.claim(limit),
            Step::Settle(fates) => self.settle(&fates),
            Step::Crash(fates) => self.crash(fates),
            Step::Arrive(at) => {
                if at < self.late.len() {
                    self.arrive(at);
                }
            }
            Step::Wait(arrives) => {
                let mut arrives = arrives.into_iter();
                self.wait(|| arrives.next().unwrap_or(true));
            }
            Step::RetryDeadLetters => self.retry_dead_letters(),
            Step::Resync(between) => self.resync(&between),
        }
    }

    fn drain(&mut self) {
        for _ in 0..50 {
            self.settle(&[Fate::Done; 2 * RECORDS]);
            self.claim(10);
            if self.in_hand.is_empty() {
                if self.late.is_empty() && self.flow().backlog() == 0 {
                    return;
                }
                // Whatever rests is due when no request can be under way any more.
                self.wait(|| true);
            }
        }
        panic!("the outbox never empties");
    }

    fn check(mut self) {
        self.resync(&[]);
        self.drain();
        // A load that reads nothing decides nothing about dead letters.
        if self.source.iter().any(|truth| !matches!(truth, Truth::Absent)) {
            for letter in wait(self.flow().stores.dead_letters.dead_letters(&DeadLetterFilter::default(), 0, 100)).unwrap() {
                let record = IDS.iter().position(|id| **id == letter.source_id).unwrap();
                assert!(!matches!(self.source[record], Truth::Absent), "{} is gone from the source", letter.source_id);
            }
        }
        self.retry_dead_letters();
        self.drain();
        let flow = self.flow();
        let letters = wait(flow.stores.dead_letters.dead_letters(&DeadLetterFilter::default(), 0, 100)).unwrap();
        let failed: Vec<&str> = letters.iter().map(|letter| letter.source_id.as_str()).collect();
        for (record, truth) in self.source.iter().enumerate() {
            let key = format!("K-{}", IDS[record]);
            match truth {
                Truth::Absent => {
                    assert_eq!(self.target.get(&key), None, "{key} is gone from the source");
                    assert!(wait(flow.stores.ledger.keys_of(FLOW, IDS[record])).unwrap().is_empty());
                }
                Truth::Present { x, y, version } => {
                    let at_target = self.target.get(&key).unwrap_or_else(|| panic!("{key} is lost"));
                    assert_eq!((&at_target["x"], &at_target["version"]), (&x.to_string(), &version.to_string()), "{key}");
                    if let Some(y) = y.or(self.kept_y[record]) {
                        assert_eq!(at_target["y"], y.to_string(), "{key}");
                    }
                    let Change::Upsert { payload, .. } = change_of(record, truth) else { unreachable!() };
                    assert_eq!(
                        wait(flow.stores.ledger.compare(FLOW, &key, &payload, true)).unwrap(),
                        Comparison::Unchanged,
                        "the ledger of {key}"
                    );
                }
                Truth::Spoiled => assert!(failed.contains(&IDS[record]), "{key} has no dead letter"),
            }
            assert_eq!(failed.contains(&IDS[record]), *truth == Truth::Spoiled, "{key}: {letters:?}");
        }
        let status = wait(flow.stores.control.status()).unwrap();
        assert_eq!(status.mappings[0].backlog.total(), 0);
        let keys: usize = IDS.iter().map(|id| wait(flow.stores.ledger.keys_of(FLOW, id)).unwrap().len()).sum();
        assert_eq!(status.mappings[0].ledger_rows, keys as u64, "the counts are kept true");
        if let Some(counted) = flow.rows() {
            assert_eq!(counted, (status.mappings[0].ledger_rows, 0), "the counts are kept true");
        }
    }
}

/// The values of an operation's request.
fn sent(op: &ClaimedOp, create: bool) -> Vec<(String, String)> {
    op.write_set(create).map(|field| (field.path.to_string(), field.value.get().to_owned())).collect()
}

fn record_of(op: &ClaimedOp) -> usize {
    IDS.iter().position(|id| *id == op.source_id).unwrap()
}

fn change_of(record: usize, truth: &Truth) -> Change {
    match truth {
        Truth::Absent => tombstone(IDS[record]),
        Truth::Present { x, y, version } => {
            let mut fields = vec![("x", json!(x)), ("version", json!(version))];
            if let Some(y) = y {
                fields.push(("y", json!(y)));
            }
            let Change::Upsert { source_id, key, .. } = upsert(IDS[record], &[]) else { unreachable!() };
            Change::Upsert { source_id, key, payload: payload(&fields) }
        }
        Truth::Spoiled => match reject(IDS[record]) {
            // Of every second record not even the key could be evaluated.
            Change::Reject { source_id, key, failure } => {
                Change::Reject { source_id, key: key.filter(|_| record.is_multiple_of(2)), failure }
            }
            other @ (Change::Upsert { .. } | Change::Rekeyed { .. } | Change::Absent { .. }) => other,
        },
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..3u8, proptest::option::weighted(0.7, 0..3u8)).prop_map(|(x, y)| Act::Put { x, y }),
        1 => Just(Act::Delete),
        1 => Just(Act::LeaveFilter),
        1 => Just(Act::Spoil),
    ]
}

fn unseen() -> impl Strategy<Value = Unanswered> {
    prop_oneof![1 => Just(Unanswered::CarriedOut), 1 => Just(Unanswered::NeverArrived), 2 => Just(Unanswered::Late)]
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        4 => Just(Fate::Done),
        1 => Just(Fate::Refused),
        1 => any::<bool>().prop_map(|carried_out| Fate::LostAndGivenUp { carried_out }),
        1 => Just(Fate::Busy),
        1 => unseen().prop_map(Fate::Lost),
        1 => Just(Fate::NotSent),
        2 => Just(Fate::Pending),
    ];
    proptest::collection::vec(fate, 0..4)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => proptest::collection::vec((0..RECORDS, act()), 1..4).prop_map(Step::Page),
        1 => (0..RECORDS).prop_map(Step::SilentDelete),
        4 => (1..4usize).prop_map(Step::Claim),
        5 => fates().prop_map(Step::Settle),
        1 => proptest::collection::vec(unseen(), 6).prop_map(Step::Crash),
        2 => (0..3usize).prop_map(Step::Arrive),
        1 => proptest::collection::vec(any::<bool>(), 3).prop_map(Step::Wait),
        1 => Just(Step::RetryDeadLetters),
        1 => proptest::collection::vec(proptest::option::of(fates()), RECORDS).prop_map(Step::Resync),
    ]
}

/// A hundred or so in the ordinary run; more by `PROPTEST_CASES`.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(128)
}

fn explore(store: New, rest: bool, runner: &mut TestRunner) -> Result<(), TestError<Vec<Step>>> {
    runner.run(&proptest::collection::vec(step(), 0..40), |steps| {
        let mut world = World::new(store, rest);
        for step in steps {
            world.step(step);
        }
        world.check();
        Ok::<(), TestCaseError>(())
    })
}

fn whatever_happens_the_target_ends_as_the_source_and_no_record_goes_back(store: New) {
    let config = ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() };
    if let Err(error) = explore(store, true, &mut TestRunner::new(config)) {
        panic!("{error}");
    }
}

fn a_doubt_about_a_write_outlives_a_retry_that_is_rejected(store: New) {
    let mut world = World::new(store, true);
    let put = Act::Put { x: 0, y: None };
    for step in [
        Step::Page(vec![(2, put)]),
        Step::Page(vec![(2, Act::Spoil), (0, put)]),
        Step::Claim(1),
        Step::Crash(vec![Unanswered::CarriedOut; 6]),
        Step::RetryDeadLetters,
        Step::Wait(vec![false; 3]),
        Step::Claim(1),
        Step::Page(vec![(2, Act::Spoil)]),
        Step::SilentDelete(2),
    ] {
        world.step(step);
    }
    world.check();
}

fn the_model_finds_the_fault_when_operations_of_unknown_fate_do_not_rest(store: New) {
    let mut runner = TestRunner::deterministic();
    // No shrinking: any failure will do.
    let config = ProptestConfig { cases: 512, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() };
    let rng = runner.new_rng();
    let found = explore(store, false, &mut TestRunner::new_with_rng(config, rng));
    assert!(matches!(found, Err(TestError::Fail(..))), "{found:?}");
}

rules![
    whatever_happens_the_target_ends_as_the_source_and_no_record_goes_back,
    a_doubt_about_a_write_outlives_a_retry_that_is_rejected,
    the_model_finds_the_fault_when_operations_of_unknown_fate_do_not_rest,
];
