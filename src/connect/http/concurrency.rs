//! How many requests go to one host at once: as many as it bears.
//!
//! The limit grows by one per round trip while the host answers well and the limit is in use (additive increase), and shrinks by
//! a factor when the host refuses for overload, times out, fails, or takes ever longer (multiplicative decrease), once for all
//! requests that were under way together. The ceiling is the configuration's, lowered by what the service recommends
//! (`x-ms-dop-hint`). Sources: Dataverse, *Service protection API limits* (degree of parallelism); TCP's congestion avoidance
//! (RFC 5681) for the rule itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where a host begins; it is not known yet what it bears.
const FIRST: f64 = 4.0;
/// What is left of the limit after a refusal for overload.
const AFTER_REFUSAL: f64 = 0.5;
/// What is left of it after a time-out or a failure.
const AFTER_FAILURE: f64 = 0.7;
/// What is left of it when answers take ever longer.
const AFTER_SLOWNESS: f64 = 0.9;
/// How many times its usual time an answer takes when the host is called slow.
const SLOW: f64 = 2.0;
/// Differences below this are noise, in seconds.
const NOISE: f64 = 0.03;
/// Samples of a kind of request before its times are judged.
const SAMPLES: u32 = 16;

/// What a request tells about its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// The host answered after this time.
    Answered(Duration),
    /// The host refused for overload.
    Refused,
    /// The host failed or did not answer in time.
    Failed,
    /// Nothing: the request was given up, or its failure was its own fault.
    Nothing,
}

/// The times of one kind of request, in seconds.
#[derive(Debug, Default)]
struct Times {
    seen: u32,
    /// What is usual: falls fast, rises slowly, so that a host that stays slow is at last taken as it is.
    usual: f64,
    /// What is the case now.
    current: f64,
}

impl Times {
    /// Takes a sample; whether the host has become slow.
    fn slow(&mut self, seconds: f64) -> bool {
        if self.seen == 0 {
            (self.usual, self.current) = (seconds, seconds);
        }
        self.seen = self.seen.saturating_add(1);
        self.current += 0.2 * (seconds - self.current);
        self.usual += if self.current < self.usual { 0.2 } else { 0.01 } * (self.current - self.usual);
        self.seen > SAMPLES && self.current > SLOW * self.usual + NOISE
    }
}

#[derive(Debug)]
struct State {
    limit: f64,
    configured: usize,
    hint: Option<usize>,
    in_flight: usize,
    /// Permits that are to vanish when they are given back.
    debt: usize,
    /// Permits there are, those in debt not counted.
    permits: usize,
    /// Counts decreases: requests that began before the last one do not cause another.
    epoch: u64,
    times: HashMap<&'static str, Times>,
}

impl State {
    /// Whether the limit is in use: at half of it or more.
    fn pressed(&self) -> bool {
        self.in_flight * 2 >= self.permits
    }

    fn ceiling(&self) -> usize {
        self.hint.map_or(self.configured, |hint| hint.min(self.configured)).max(1)
    }
}

/// The gate to one host.
#[derive(Debug)]
pub(super) struct Gate {
    semaphore: Arc<Semaphore>,
    state: Mutex<State>,
}

/// A place among the requests under way.
#[derive(Debug)]
pub(super) struct Permit {
    gate: Arc<Gate>,
    permit: Option<OwnedSemaphorePermit>,
    epoch: u64,
    /// Whether the limit was in use when this request began.
    pressed: bool,
}

impl Gate {
    pub(super) fn new(configured: usize) -> Arc<Self> {
        let configured = configured.clamp(1, Semaphore::MAX_PERMITS >> 1);
        let limit = FIRST.min(configured as f64);
        let permits = limit as usize;
        let state = State { limit, configured, hint: None, in_flight: 0, debt: 0, permits, epoch: 0, times: HashMap::new() };
        Arc::new(Self { semaphore: Arc::new(Semaphore::new(permits)), state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place, first come, first served.
    pub(super) async fn enter(self: &Arc<Self>) -> Permit {
        // The semaphore is never closed; without a permit the request would simply go unlimited.
        let permit = Arc::clone(&self.semaphore).acquire_owned().await.ok();
        let mut state = self.state();
        state.in_flight += 1;
        let pressed = state.pressed();
        Permit { gate: Arc::clone(self), permit, epoch: state.epoch, pressed }
    }

    /// What the service recommends.
    pub(super) fn hint(&self, hint: usize) {
        let mut state = self.state();
        if state.hint != Some(hint) {
            state.hint = Some(hint);
            self.apply(&mut state);
        }
    }

    /// How many requests may be under way now.
    pub(super) fn limit(&self) -> usize {
        self.state().permits
    }

    fn learn(&self, kind: &'static str, began_in: u64, pressed: bool, sign: Sign) {
        let mut state = self.state();
        let factor = match sign {
            Sign::Nothing => return,
            Sign::Refused => AFTER_REFUSAL,
            Sign::Failed => AFTER_FAILURE,
            Sign::Answered(time) => {
                if !state.times.entry(kind).or_default().slow(time.as_secs_f64()) {
                    if pressed || state.pressed() {
                        state.limit += 1.0 / state.limit.max(1.0);
                        self.apply(&mut state);
                    }
                    return;
                }
                AFTER_SLOWNESS
            }
        };
        if began_in == state.epoch {
            state.epoch += 1;
            state.limit = (state.limit * factor).max(1.0);
            self.apply(&mut state);
        }
    }

    /// Brings the semaphore to the limit.
    fn apply(&self, state: &mut State) {
        state.limit = state.limit.clamp(1.0, state.ceiling() as f64);
        let wanted = state.limit as usize;
        while state.permits < wanted {
            state.permits += 1;
            if state.debt > 0 {
                state.debt -= 1;
            } else {
                self.semaphore.add_permits(1);
            }
        }
        while state.permits > wanted {
            state.permits -= 1;
            match self.semaphore.try_acquire() {
                Ok(idle) => idle.forget(),
                Err(_) => state.debt += 1,
            }
        }
    }
}

impl Permit {
    /// Gives the place back and says what was learnt. Requests of one `kind` take alike long.
    pub(super) fn finish(self, kind: &'static str, sign: Sign) {
        self.gate.learn(kind, self.epoch, self.pressed, sign);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        // Given back under the lock, so that the counts are always of one moment.
        match self.permit.take() {
            Some(permit) if state.debt > 0 => {
                state.debt -= 1;
                permit.forget();
            }
            permit => drop(permit),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(10);

    /// Runs rounds of as many requests as may go at once.
    async fn rounds(gate: &Arc<Gate>, count: usize, sign: Sign) {
        for _ in 0..count {
            let mut permits = Vec::new();
            while let Ok(permit) = tokio::time::timeout(Duration::from_millis(1), gate.enter()).await {
                permits.push(permit);
            }
            permits.into_iter().for_each(|p| p.finish("GET", sign));
        }
    }

    #[tokio::test]
    async fn the_limit_grows_by_about_one_per_round_trip_up_to_the_ceiling() {
        let gate = Gate::new(16);
        assert_eq!(gate.limit(), 4);
        rounds(&gate, 3, Sign::Answered(MS)).await;
        assert!((6..=7).contains(&gate.limit()), "{}", gate.limit());
        rounds(&gate, 20, Sign::Answered(MS)).await;
        assert_eq!(gate.limit(), 16);
    }

    #[tokio::test]
    async fn a_limit_that_is_not_in_use_does_not_grow() {
        let gate = Gate::new(16);
        for _ in 0..100 {
            gate.enter().await.finish("GET", Sign::Answered(MS));
        }
        assert_eq!(gate.limit(), 4);
    }

    #[tokio::test]
    async fn a_round_of_refusals_halves_the_limit_once_and_never_below_one() {
        let gate = Gate::new(16);
        rounds(&gate, 20, Sign::Answered(MS)).await;
        rounds(&gate, 1, Sign::Refused).await;
        assert_eq!(gate.limit(), 8, "sixteen refusals of one round are one sign");
        rounds(&gate, 1, Sign::Failed).await;
        assert_eq!(gate.limit(), 5);
        rounds(&gate, 10, Sign::Refused).await;
        assert_eq!(gate.limit(), 1);
    }

    #[tokio::test]
    async fn rising_times_of_one_kind_of_request_shrink_the_limit_and_a_kind_that_is_always_slow_does_not() {
        let gate = Gate::new(16);
        rounds(&gate, 20, Sign::Answered(MS)).await;
        for _ in 0..40 {
            gate.enter().await.finish("$batch", Sign::Answered(MS * 100));
        }
        assert_eq!(gate.limit(), 16);
        rounds(&gate, 6, Sign::Answered(MS * 20)).await;
        assert!(gate.limit() < 16, "{}", gate.limit());
    }

    #[tokio::test]
    async fn a_recommendation_of_the_service_lowers_the_ceiling_and_does_not_raise_it() {
        let gate = Gate::new(16);
        gate.hint(2);
        assert_eq!(gate.limit(), 2);
        gate.hint(52);
        rounds(&gate, 40, Sign::Answered(MS)).await;
        assert_eq!(gate.limit(), 16);
        gate.hint(0);
        assert_eq!(gate.limit(), 1);
    }

    #[tokio::test]
    async fn a_request_given_up_gives_its_place_back() {
        let gate = Gate::new(1);
        drop(gate.enter().await);
        assert!(tokio::time::timeout(Duration::from_secs(5), gate.enter()).await.is_ok());
    }

    proptest! {
        /// Whatever the signs and whenever they come, no more requests are under way than the limit allowed when they began,
        /// and no place is lost or made.
        #[test]
        fn places_are_neither_lost_nor_made(steps in prop::collection::vec((0_u8..6, 0_usize..8), 1..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let gate = Gate::new(8);
                let mut held = Vec::new();
                for (step, at) in steps {
                    match step {
                        0 | 1 => {
                            let free = gate.semaphore.available_permits() > 0;
                            let entered = tokio::select! { biased; p = gate.enter() => Some(p), () = std::future::ready(()) => None };
                            assert_eq!(entered.is_some(), free);
                            if let Some(permit) = entered {
                                held.push(permit);
                                assert!(held.len() <= 8);
                            }
                        }
                        2 => gate.hint(at),
                        _ if held.is_empty() => {}
                        _ => {
                            let permit = held.swap_remove(at % held.len());
                            match step {
                                3 => permit.finish("GET", Sign::Refused),
                                4 => permit.finish("GET", Sign::Answered(MS)),
                                _ => drop(permit),
                            }
                        }
                    }
                    let state = gate.state();
                    assert_eq!(state.in_flight, held.len());
                    assert_eq!(gate.semaphore.available_permits() + held.len(), state.permits + state.debt);
                }
                drop(held);
                assert_eq!(gate.semaphore.available_permits(), gate.limit());
            });
        }
    }
}
