//! The work loop on a queue in memory, with a stopped clock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use chrono::TimeDelta;
use proptest::prelude::*;
use tokio::sync::Semaphore;

use super::*;
use crate::connect::{Call, ConnectError};
use crate::engine::policy::Doubt;

/// What a unit of the test does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Passes,
    Fails,
    Exhausts,
    Denied,
    Answered(Doubt),
    Breaks,
    Panics,
    Ends,
}

#[derive(Debug, PartialEq, Eq)]
enum TestError {
    Queue,
    Unit,
    Ended,
    Panic,
    Denied(&'static str),
    Stranger(u32),
    Unavailable(u32),
}

impl From<JoinError> for TestError {
    fn from(_: JoinError) -> TestError {
        TestError::Panic
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Settled(i64),
    GivenBack(i64),
}

/// What the test sees of queue and handler.
struct World {
    /// Units that can be claimed.
    ready: Mutex<VecDeque<(i64, Unit)>>,
    /// The batches of answers that were settled.
    batches: Mutex<Vec<Vec<Answer>>>,
    claims: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    /// Each unit takes one permit before it ends.
    gate: Semaphore,
    denials: Denials<&'static str>,
    /// Whether the service answers a read.
    answers: bool,
    /// What the queue says while units are neither ready nor under way; then [`Rest::Over`].
    rests: Mutex<VecDeque<Rest>>,
    /// What releases make ready.
    releases: Mutex<Vec<Vec<(i64, Unit)>>>,
    /// The number of the claim that fails.
    failing_claim: Option<usize>,
    failing_settle: bool,
    views: Mutex<Vec<View>>,
    clock: Clock,
    signals: Signals,
    stop: CancellationToken,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics while it holds the lock")
}

impl World {
    fn of(units: impl IntoIterator<Item = Unit>) -> World {
        World {
            ready: Mutex::new((0..).zip(units).collect()),
            batches: Mutex::default(),
            claims: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            denials: Denials::default(),
            answers: true,
            rests: Mutex::default(),
            releases: Mutex::default(),
            failing_claim: None,
            failing_settle: false,
            views: Mutex::default(),
            clock: Clock::stopped(crate::time::midnight(crate::time::Date::default())),
            signals: Signals::without_reader(),
            stop: CancellationToken::new(),
        }
    }

    /// No unit ends before the test lets it.
    fn gated(self) -> World {
        World { gate: Semaphore::new(0), ..self }
    }

    async fn run(self: &Arc<World>) -> Result<(), TestError> {
        let sizes = Sizes { at_once: 3, claim: 6, settle: 4, in_a_row: 5 };
        let round = Round { clock: &self.clock, signals: &self.signals, stop: &self.stop };
        run(Memory(self.clone()), Arc::new(Worker(self.clone())), sizes, round).await
    }

    fn spawn(self: &Arc<World>) -> tokio::task::JoinHandle<Result<(), TestError>> {
        let world = self.clone();
        tokio::spawn(async move { world.run().await })
    }

    /// Waits until this number of units is under way.
    async fn under_way(&self, units: usize) {
        while self.under_way.load(Ordering::SeqCst) != units {
            tokio::task::yield_now().await;
        }
    }

    fn answers(&self) -> Vec<Answer> {
        let mut answers: Vec<Answer> = lock(&self.batches).concat();
        answers.sort_by_key(|answer| match answer {
            Answer::Settled(n) | Answer::GivenBack(n) => *n,
        });
        answers
    }
}

struct Memory(Arc<World>);

impl Queue<Worker> for Memory {
    async fn claim(&mut self, limit: usize) -> Result<Vec<(i64, Unit)>, TestError> {
        let claims = self.0.claims.fetch_add(1, Ordering::SeqCst) + 1;
        if self.0.failing_claim == Some(claims) {
            return Err(TestError::Queue);
        }
        let mut ready = lock(&self.0.ready);
        let limit = limit.min(ready.len());
        Ok(ready.drain(..limit).collect())
    }

    async fn settle(&mut self, answers: Vec<Answer>) -> Result<(), TestError> {
        lock(&self.0.batches).push(answers);
        if self.0.failing_settle { Err(TestError::Queue) } else { Ok(()) }
    }

    fn give_back(&self, (number, _): (i64, Unit)) -> Option<Answer> {
        Some(Answer::GivenBack(number))
    }

    async fn rest(&mut self, view: View) -> Result<Rest, TestError> {
        lock(&self.0.views).push(view);
        Ok(lock(&self.0.rests).pop_front().unwrap_or(Rest::Over))
    }

    async fn release(&mut self) -> Result<bool, TestError> {
        let released = lock(&self.0.releases).pop();
        let more = released.is_some();
        lock(&self.0.ready).extend(released.unwrap_or_default());
        Ok(more)
    }
}

struct Worker(Arc<World>);

impl Handler for Worker {
    type Unit = (i64, Unit);
    type Answer = Answer;
    type Call = &'static str;
    type Failure = ();
    type Error = TestError;

    async fn carry_out(self: Arc<Self>, (number, unit): (i64, Unit)) -> Result<Outcome<Worker>, TestError> {
        let now = self.0.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most_under_way.fetch_max(now, Ordering::SeqCst);
        self.0.gate.acquire().await.expect("the gate stays").forget();
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        let silent = || Outcome::silent(number, vec![Answer::Settled(number)]);
        let unclear = |doubt| {
            let error = ConnectError::Protocol { call: Box::<Call>::default(), problem: String::new() };
            vec![Unclear { doubt, call: "write", key: number.to_string(), error }]
        };
        Ok(match unit {
            Unit::Passes => Outcome { course: Course::Passed, answered: true, ..silent() },
            Unit::Fails => Outcome { course: Course::Failed(()), ..silent() },
            Unit::Exhausts => Outcome { course: Course::Failed(()), exhausted: true, ..silent() },
            Unit::Denied => Outcome { unclear: unclear(Doubt::Denied), ..silent() },
            Unit::Answered(doubt) => Outcome { unclear: unclear(doubt), ..silent() },
            Unit::Breaks => return Err(TestError::Unit),
            Unit::Panics => panic!("a fault of the test's own"),
            Unit::Ends => Outcome { end: Some(TestError::Ended), ..silent() },
        })
    }

    fn denials(&self) -> &Denials<&'static str> {
        &self.0.denials
    }

    async fn service_answers(&self, _: &'static str, _: &str) -> bool {
        self.0.answers
    }

    fn refused(&self, refused: Refused<&'static str>) -> TestError {
        match refused {
            Refused::Denied(call, _) => TestError::Denied(call),
            Refused::Stranger { answers, .. } => TestError::Stranger(answers),
        }
    }

    fn unavailable(&self, failures: u32, (): ()) -> TestError {
        TestError::Unavailable(failures)
    }
}

fn settled(numbers: impl IntoIterator<Item = i64>) -> Vec<Answer> {
    numbers.into_iter().map(Answer::Settled).collect()
}

#[tokio::test]
async fn as_many_units_as_allowed_are_under_way_and_all_are_settled() {
    let world = Arc::new(World::of([Unit::Passes; 20]).gated());
    let ended = world.spawn();
    for _ in 0..20 {
        // Whatever ends lets the next one begin.
        world.under_way(3.min(20 - world.answers().len())).await;
        world.gate.add_permits(1);
        tokio::task::yield_now().await;
        if world.answers().len() >= 17 {
            break;
        }
    }
    world.gate.add_permits(20);
    assert_eq!(ended.await.expect("no panic"), Ok(()));
    assert_eq!(world.most_under_way.load(Ordering::SeqCst), 3);
    assert_eq!(world.answers(), settled(0..20));
}

#[tokio::test]
async fn answers_are_settled_in_batches_while_more_units_wait() {
    let world = Arc::new(World::of([Unit::Passes; 20]));
    assert_eq!(world.run().await, Ok(()));
    let sizes: Vec<usize> = lock(&world.batches).iter().map(Vec::len).collect();
    assert!(sizes.iter().all(|size| *size <= 4 + 3), "{sizes:?}");
    assert!(sizes.len() < 10, "{sizes:?}");
    assert_eq!(world.answers(), settled(0..20));
}

#[tokio::test]
async fn a_loop_that_is_stopped_awaits_what_is_under_way_and_gives_back_what_was_not_begun() {
    let world = Arc::new(World::of([Unit::Passes; 20]).gated());
    let ended = world.spawn();
    world.under_way(3).await;
    world.stop.cancel();
    world.gate.add_permits(20);
    assert_eq!(ended.await.expect("no panic"), Ok(()));
    let answers = world.answers();
    assert_eq!(answers.len(), 6, "as many as were claimed: {answers:?}");
    let given_back = answers.iter().filter(|a| matches!(a, Answer::GivenBack(_))).count();
    assert!((2..=3).contains(&given_back), "{answers:?}");
    assert_eq!(world.ready.lock().unwrap().len(), 14);
}

#[tokio::test]
async fn an_error_of_a_unit_ends_the_loop_after_the_others_are_settled() {
    for (unit, error, own_answer) in
        [(Unit::Breaks, TestError::Unit, false), (Unit::Panics, TestError::Panic, false), (Unit::Ends, TestError::Ended, true)]
    {
        let mut units = [Unit::Passes; 12];
        units[1] = unit;
        let world = Arc::new(World::of(units));
        assert_eq!(world.run().await, Err(error), "{unit:?}");
        let answers = world.answers();
        assert_eq!(answers.contains(&Answer::Settled(1)), own_answer, "{unit:?}: {answers:?}");
        assert!(answers.contains(&Answer::Settled(0)) && answers.contains(&Answer::Settled(2)), "{unit:?}: {answers:?}");
        assert!(answers.iter().any(|a| matches!(a, Answer::GivenBack(_))), "{unit:?}: {answers:?}");
    }
}

#[tokio::test]
async fn an_error_of_the_queue_ends_the_loop_after_what_is_under_way_is_settled() {
    let world = Arc::new(World { failing_claim: Some(2), ..World::of([Unit::Passes; 12]) }.gated());
    let ended = world.spawn();
    world.under_way(3).await;
    // The second claim comes when the first six are begun.
    world.gate.add_permits(4);
    while world.claims.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    world.gate.add_permits(8);
    assert_eq!(ended.await.expect("no panic"), Err(TestError::Queue));
    assert_eq!(world.answers(), settled(0..6));

    let world = Arc::new(World { failing_settle: true, ..World::of([Unit::Passes; 12]) });
    assert_eq!(world.run().await, Err(TestError::Queue));
}

#[tokio::test]
async fn a_loop_that_ends_with_an_error_stops_its_reader() {
    for (unit, stops) in [(Unit::Ends, true), (Unit::Breaks, true), (Unit::Passes, false)] {
        let world = Arc::new(World { signals: Signals::default(), ..World::of([unit]) });
        let _ = world.run().await;
        assert_eq!(world.stop.is_cancelled(), stops, "{unit:?}");
    }
}

#[tokio::test]
async fn a_loop_that_rests_waits_by_the_clock_and_claims_no_sooner() {
    let world = Arc::new(World::of([]));
    lock(&world.rests).extend([Rest::Wait(Duration::from_secs(60)); 2]);
    let ended = world.spawn();
    for round in 1..=2 {
        world.clock.is_awaited().await;
        assert_eq!(world.claims.load(Ordering::SeqCst), round);
        world.clock.advance(TimeDelta::seconds(60));
        while world.claims.load(Ordering::SeqCst) == round {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(ended.await.expect("no panic"), Ok(()));
}

#[tokio::test]
async fn units_that_are_due_and_cannot_be_claimed_do_not_keep_the_loop_busy() {
    let world = Arc::new(World::of([]));
    lock(&world.rests).extend([Rest::Due; 1000]);
    let ended = world.spawn();
    world.clock.is_awaited().await;
    assert_eq!(world.claims.load(Ordering::SeqCst), 2, "again immediately, then by the clock");
    world.stop.cancel();
    assert_eq!(ended.await.expect("no panic"), Ok(()));
}

#[tokio::test]
async fn a_reader_that_queues_something_or_ends_wakes_a_loop_that_rests() {
    let world = Arc::new(World { signals: Signals::default(), ..World::of([]) });
    lock(&world.rests).extend([Rest::Wait(Duration::MAX); 2]);
    let ended = world.spawn();
    world.clock.is_awaited().await;
    lock(&world.ready).push_back((7, Unit::Passes));
    world.signals.queued();
    while world.answers() != settled([7]) {
        tokio::task::yield_now().await;
    }
    world.signals.end_reading();
    assert_eq!(ended.await.expect("no panic"), Ok(()));
    let views: Vec<bool> = lock(&world.views).iter().map(|view| view.reading).collect();
    assert_eq!(views, [true, true, false]);
}

#[tokio::test]
async fn failures_in_a_row_end_the_loop_and_a_success_between_them_does_not_let_them() {
    let world = Arc::new(World::of([Unit::Fails; 5]));
    assert_eq!(world.run().await, Err(TestError::Unavailable(5)));
    let world = Arc::new(World::of([[Unit::Fails; 4].as_slice(), &[Unit::Passes], &[Unit::Fails; 4]].concat()));
    assert_eq!(world.run().await, Ok(()));
}

#[tokio::test]
async fn units_that_are_exhausted_are_counted_for_the_queue() {
    let world = Arc::new(World::of([Unit::Exhausts, Unit::Exhausts, Unit::Passes]));
    assert_eq!(world.run().await, Ok(()));
    assert_eq!(lock(&world.views).last().map(|view| view.exhausted), Some(2));
}

#[tokio::test]
async fn denials_end_the_loop_only_if_no_call_of_their_kind_passed() {
    let world = Arc::new(World::of([Unit::Denied; 2]));
    assert_eq!(world.run().await, Err(TestError::Denied("write")));
    let world = Arc::new(World::of([Unit::Denied; 2]));
    world.denials.passed("write");
    assert_eq!(world.run().await, Ok(()));
}

#[tokio::test]
async fn answers_of_something_else_end_the_loop_only_if_the_service_does_not_answer_a_read() {
    let world = Arc::new(World { answers: false, ..World::of([Unit::Answered(Doubt::Stranger); 3]) });
    assert_eq!(world.run().await, Err(TestError::Stranger(3)));
    let world = Arc::new(World::of([Unit::Answered(Doubt::Stranger); 30]));
    assert_eq!(world.run().await, Ok(()));
    // Many in a row are looked into before more is sent.
    let world = Arc::new(World { answers: false, ..World::of([Unit::Answered(Doubt::Stranger); 30]) });
    assert!(matches!(world.run().await, Err(TestError::Stranger(5..=8))));
    assert!(world.answers().iter().filter(|a| matches!(a, Answer::Settled(_))).count() < 12);
}

#[tokio::test]
async fn work_that_is_released_at_the_end_is_done_before_the_loop_ends() {
    let world = Arc::new(World::of([Unit::Passes]));
    lock(&world.releases).push(vec![(8, Unit::Passes), (9, Unit::Passes)]);
    assert_eq!(world.run().await, Ok(()));
    assert_eq!(world.answers(), settled([0, 8, 9]));
}

fn units() -> impl Strategy<Value = Vec<Unit>> {
    let unit = prop_oneof![
        12 => Just(Unit::Passes),
        4 => Just(Unit::Fails),
        2 => Just(Unit::Denied),
        2 => Just(Unit::Answered(Doubt::Stranger)),
        1 => Just(Unit::Exhausts),
        1 => Just(Unit::Ends),
    ];
    prop::collection::vec(unit, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_unit_that_was_claimed_is_settled_or_given_back_exactly_once(
        units in units(),
        stop_after in prop::option::of(0_usize..40),
        failing_claim in prop::option::of(1_usize..6),
    ) {
        let total = units.len();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (world, result) = runtime.block_on(async {
            let world = World { failing_claim, ..World::of(units) };
            let world = Arc::new(if stop_after.is_some() { world.gated() } else { world });
            let running = world.spawn();
            if let Some(units) = stop_after {
                world.gate.add_permits(units);
                for _ in 0..units * 8 {
                    tokio::task::yield_now().await;
                }
                world.stop.cancel();
                world.gate.add_permits(100);
            }
            let result = running.await.expect("no panic");
            (world, result)
        });
        let mut seen: BTreeMap<i64, usize> = BTreeMap::new();
        for answer in world.answers() {
            let (Answer::Settled(number) | Answer::GivenBack(number)) = answer;
            *seen.entry(number).or_default() += 1;
        }
        let left = lock(&world.ready).len();
        prop_assert!(seen.values().all(|n| *n == 1), "{seen:?}");
        prop_assert_eq!(seen.len() + left, total);
        if result.is_ok() && stop_after.is_none() {
            prop_assert_eq!(left, 0);
        }
    }
}
