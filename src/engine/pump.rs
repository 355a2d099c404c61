//! The work loop of every flow: claims units of work, carries out some of them at the same time, settles what became of them in
//! batches, and rests while nothing is due.
//!
//! Whatever ends the loop, whether the end of the work, a request to stop or an error: units that are being carried out are awaited and
//! their answers are settled, and units that were claimed and not begun are given back. Only a loop that is dropped does neither; its
//! state then has the units as those of a process that died.

use std::collections::{HashSet, VecDeque};
use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::clock::Clock;
use super::refusals::{Denials, Refused, Unclear, Undecided};
use super::signals::Signals;

/// The pause if units are said to be due and cannot be claimed.
const NOTHING_CLAIMED: Duration = Duration::from_millis(100);

/// Where units of work come from, and where their answers go.
pub(crate) trait Queue<H: Handler>: Send {
    /// Claims units for this loop alone until they are settled. `limit` is the number to claim at most.
    fn claim(&mut self, limit: usize) -> impl Future<Output = Result<Vec<H::Unit>, H::Error>> + Send;

    /// Takes the answers of units in.
    fn settle(&mut self, answers: Vec<H::Answer>) -> impl Future<Output = Result<(), H::Error>> + Send;

    /// The answer that gives back a unit that was not begun; `None` if claiming leaves no trace in the state.
    fn give_back(&self, unit: H::Unit) -> Option<H::Answer>;

    /// What to do while no unit is being carried out and none could be claimed.
    fn rest(&mut self, view: View) -> impl Future<Output = Result<Rest, H::Error>> + Send;

    /// Called when the work is over. Returns whether that made more units due, so that the work goes on.
    fn release(&mut self) -> impl Future<Output = Result<bool, H::Error>> + Send {
        async { Ok(false) }
    }
}

/// Carries out units of work, several at the same time.
pub(crate) trait Handler: Sized + Send + Sync + 'static {
    /// What is carried out at once.
    type Unit: Send + 'static;
    /// What became of it, for the queue.
    type Answer: Send + 'static;
    /// Calls that need the same right in the same service.
    type Call: Copy + Debug + Eq + Hash + Send + Sync + 'static;
    /// Why a unit failed for a reason of the moment.
    type Failure: Send + 'static;
    /// Why a round ends.
    type Error: From<JoinError> + Send + 'static;

    /// Carries out a unit. An error ends the loop like [`Outcome::end`], but the unit has no answer.
    fn carry_out(self: Arc<Self>, unit: Self::Unit) -> impl Future<Output = Result<Outcome<Self>, Self::Error>> + Send + 'static;

    /// Which calls were denied in this round, and which passed.
    fn denials(&self) -> &Denials<Self::Call>;

    /// Asks the service to which these calls go whether it answers itself. `key` is that of the last record for which something
    /// else answered.
    fn service_answers(&self, call: Self::Call, key: &str) -> impl Future<Output = bool> + Send;

    /// Why the round ends for a refusal that is about all units.
    fn refused(&self, refused: Refused<Self::Call>) -> Self::Error;

    /// Why the round ends after failures in a row: the service is down, and it is not because of a record.
    fn unavailable(&self, failures: u32, last: Self::Failure) -> Self::Error;
}

/// What became of a unit.
pub(crate) struct Outcome<H: Handler> {
    /// The unit's number, if it can be exhausted.
    pub unit: i64,
    /// For the queue.
    pub answers: Vec<H::Answer>,
    /// What it says about the service.
    pub course: Course<H::Failure>,
    /// The service has carried out a call or had its word on it: refusals before were not about everything.
    pub answered: bool,
    /// It was tried so often that a run that goes through once leaves it.
    pub exhausted: bool,
    /// Refusals that may be about this unit or about all.
    pub unclear: Vec<Unclear<H::Call>>,
    /// The round ends.
    pub end: Option<H::Error>,
}

/// What a unit's outcome says about the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course<F> {
    /// It does its work.
    Passed,
    /// Nothing: there was no call, or it is not decided yet what a refusal is about.
    Silent,
    /// It failed for a reason of the moment.
    Failed(F),
}

impl<H: Handler> Outcome<H> {
    /// The outcome of a unit without an answer of the service about it.
    pub fn silent(unit: i64, answers: Vec<H::Answer>) -> Outcome<H> {
        Outcome { unit, answers, course: Course::Silent, answered: false, exhausted: false, unclear: Vec::new(), end: None }
    }
}

/// What the queue receives when it is asked what to do next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// The reader may queue more.
    pub reading: bool,
    /// Units that were tried so often that a run that goes through once leaves them.
    pub exhausted: u64,
}

/// What to do while nothing is being carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Units are due.
    Due,
    /// Look again after this time, or when the reader has queued something.
    Wait(Duration),
    /// The work is done, or the rest is for a later round.
    Over,
}

/// How much is done at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Units that are carried out at the same time.
    pub at_once: usize,
    /// Units that are claimed together.
    pub claim: usize,
    /// Answers that are settled together. Fewer are settled when nothing else waits.
    pub settle: usize,
    /// Failures in a row, or refusals of unclear reach in a row, after which they are about everything or it is asked whether they are.
    pub in_a_row: u32,
}

/// What a loop shares with the rest of its round.
#[derive(Clone, Copy)]
pub(crate) struct Round<'a> {
    pub clock: &'a Clock,
    pub signals: &'a Signals,
    /// Cancelled when the round is to finish what is in flight and end. The loop cancels it if it ends before the reader.
    pub stop: &'a CancellationToken,
}

/// Works until the reader has ended and nothing is left that can be done, until the round is stopped, or until an error ends it.
///
/// # Errors
/// The first error of: the queue, a unit whose handler failed, [`Outcome::end`] and the refusals and failures that are about everything.
pub(crate) async fn run<H: Handler, Q: Queue<H>>(queue: Q, handler: Arc<H>, sizes: Sizes, round: Round<'_>) -> Result<(), H::Error> {
    let mut pump = Pump {
        queue,
        handler,
        sizes,
        round,
        waiting: VecDeque::new(),
        tasks: JoinSet::new(),
        answers: Vec::new(),
        failures: 0,
        exhausted: HashSet::new(),
        undecided: Undecided::default(),
        end: None,
        claimed_in_vain: 0,
    };
    let worked = pump.work().await;
    if (worked.is_err() || pump.end.is_some()) && round.signals.is_reading() {
        // The reader need not go on for a round that ends, and would wait for room that never comes.
        round.stop.cancel();
    }
    let drained = pump.drain().await;
    worked.and(drained).and(pump.end.map_or(Ok(()), Err))
}

struct Pump<'a, H: Handler, Q> {
    queue: Q,
    handler: Arc<H>,
    sizes: Sizes,
    round: Round<'a>,
    /// Claimed and not begun.
    waiting: VecDeque<H::Unit>,
    tasks: JoinSet<Result<Outcome<H>, H::Error>>,
    /// Not settled yet.
    answers: Vec<H::Answer>,
    /// Failures for reasons of the moment since the last success.
    failures: u32,
    exhausted: HashSet<i64>,
    undecided: Undecided<H::Call>,
    /// Why the round ends.
    end: Option<H::Error>,
    /// How often in a row units were said to be due and none could be claimed.
    claimed_in_vain: u32,
}

impl<H: Handler, Q: Queue<H>> Pump<'_, H, Q> {
    async fn work(&mut self) -> Result<(), H::Error> {
        let at_once = self.sizes.at_once.max(1);
        while !self.round.stop.is_cancelled() && self.end.is_none() {
            // Before the claim: what was queued until the reader ended is seen by it.
            let reading = self.round.signals.is_reading();
            if self.waiting.is_empty() && self.tasks.len() < at_once {
                self.waiting.extend(self.queue.claim(self.sizes.claim).await?);
            }
            while self.tasks.len() < at_once
                && let Some(unit) = self.waiting.pop_front()
            {
                self.claimed_in_vain = 0;
                self.tasks.spawn(self.handler.clone().carry_out(unit).in_current_span());
            }
            if self.tasks.is_empty() {
                self.settle().await?;
                if self.rest(reading).await? {
                    return Ok(());
                }
                continue;
            }
            if let Some(ended) = self.tasks.join_next().await {
                self.take(ended)?;
                while let Some(ended) = self.tasks.try_join_next() {
                    self.take(ended)?;
                }
            }
            if self.undecided.are_many(self.sizes.in_a_row) {
                self.decide().await;
            }
            if self.answers.len() >= self.sizes.settle || self.waiting.is_empty() {
                self.settle().await?;
            }
        }
        Ok(())
    }

    /// What is done while no unit is being carried out; returns whether the work is over.
    async fn rest(&mut self, reading: bool) -> Result<bool, H::Error> {
        let exhausted = u64::try_from(self.exhausted.len()).unwrap_or(u64::MAX);
        let rest = self.queue.rest(View { reading, exhausted }).await?;
        if !reading && rest != Rest::Due {
            // Nothing else will tell what the refusals so far are about.
            self.decide().await;
            if self.end.is_some() {
                return Ok(false);
            }
        }
        match rest {
            Rest::Due => {
                self.claimed_in_vain += 1;
                if self.claimed_in_vain > 1 {
                    self.wait(NOTHING_CLAIMED).await;
                }
            }
            Rest::Wait(wait) => self.wait(wait).await,
            Rest::Over => return Ok(!self.queue.release().await?),
        }
        Ok(false)
    }

    async fn wait(&self, wait: Duration) {
        tokio::select! {
            () = self.round.signals.more() => {}
            () = self.round.clock.sleep(wait) => {}
            () = self.round.stop.cancelled() => {}
        }
    }

    /// Decides what the refusals so far are about; the round ends if they are about all units.
    async fn decide(&mut self) {
        let mut refused = self.undecided.denied_to_all(self.handler.denials());
        if refused.is_none()
            && let Some(suspicion) = self.undecided.take_stranger()
            && !self.handler.service_answers(suspicion.call, &suspicion.key).await
        {
            refused = Some(suspicion.confirmed());
        }
        if let Some(refused) = refused {
            self.end.get_or_insert_with(|| self.handler.refused(refused));
        }
    }

    /// Records the result of a unit.
    fn take(&mut self, ended: Result<Result<Outcome<H>, H::Error>, JoinError>) -> Result<(), H::Error> {
        let outcome = ended??;
        if outcome.answered {
            self.undecided.answered();
        }
        match outcome.course {
            Course::Passed => {
                self.failures = 0;
                self.exhausted.remove(&outcome.unit);
            }
            Course::Silent => {}
            Course::Failed(last) => {
                self.failures += 1;
                if self.failures >= self.sizes.in_a_row && outcome.end.is_none() {
                    self.end.get_or_insert_with(|| self.handler.unavailable(self.failures, last));
                }
            }
        }
        if outcome.exhausted {
            self.exhausted.insert(outcome.unit);
        }
        outcome.unclear.into_iter().for_each(|unclear| self.undecided.note(unclear));
        if let Some(end) = outcome.end {
            self.end.get_or_insert(end);
        }
        self.answers.extend(outcome.answers);
        Ok(())
    }

    /// Hands the answers to the queue.
    async fn settle(&mut self) -> Result<(), H::Error> {
        if self.answers.is_empty() {
            return Ok(());
        }
        let answers = std::mem::take(&mut self.answers);
        self.queue.settle(answers).await?;
        self.round.signals.settled();
        Ok(())
    }

    /// Awaits what is being carried out, whatever becomes of a part of it; gives back what was not begun.
    async fn drain(&mut self) -> Result<(), H::Error> {
        let mut result = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            result = result.and(self.take(ended));
        }
        let given_back = self.waiting.drain(..).filter_map(|unit| self.queue.give_back(unit));
        self.answers.extend(given_back);
        result.and(self.settle().await)
    }
}

#[cfg(test)]
#[path = "pump_tests.rs"]
mod tests;
