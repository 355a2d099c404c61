//! The writer: takes waiting events from the state, hands them out in batches of one type (`batch.rs` carries out a batch), and hands in
//! what became of each.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use uuid::Uuid;

use super::Shared;
use super::batch::{Tables, Writing, write_batch};
use super::sizes::BatchSizes;
use crate::connect::ConnectError;
use crate::engine::batch_size::MOST;
use crate::engine::events::{Note, RunEvent};
use crate::engine::policy;
use crate::engine::pump::{self, Course, Handler, Outcome, Queue, Rest, Sizes, View};
use crate::engine::refusals::{Denials, Refused};
use crate::plan::EventType;
use crate::run::calls::{self, CallKind, Sides};
use crate::run::{Pace, RunError};
use crate::store::{EventResult, WaitingEvent};
use crate::systems::Timeline;

/// How often a run that goes through once comes back to what was postponed.
const ROUNDS: u32 = 3;
/// The pause before it comes back.
const BEFORE_NEXT_ROUND: Duration = Duration::from_millis(200);
/// The pause between looks while the readers read, which tell when they have queued something.
const LOOK_WHILE_READING: Duration = Duration::from_millis(500);
/// Batches that fail in a row for reasons of the moment, before the round ends.
const FAILURES_IN_A_ROW: u32 = 5;

/// Writes until the readers have ended and nothing is left that can be written.
pub(super) async fn write(shared: Arc<Shared>) -> Result<(), RunError> {
    let tables = shared.flow().types.iter().map(|kind| (*kind, OnceCell::new())).collect();
    let timeline = shared.context.services.timeline(shared.flow())?;
    let batches = Arc::new(BatchSizes::new(shared.context.options.clock.clone(), timeline.clone(), shared.context.memory.clone()));
    let writer = Writer { shared: shared.clone(), timeline, tables, denials: Denials::default(), sizes: batches.clone() };
    let waiting = Waiting { shared: shared.clone(), sizes: batches, held: BTreeMap::new(), after: 0, postponed: 0, rounds: 0 };
    let at_once = shared.context.options.concurrency.max(1);
    // A batch is settled as soon as it has ended: it has many events already.
    let sizes = Sizes { at_once, claim: at_once, settle: 1, in_a_row: FAILURES_IN_A_ROW };
    pump::run(waiting, Arc::new(writer), sizes, shared.context.round(&shared.signals)).await
}

/// The events of the flow in the state, in batches of one type.
struct Waiting {
    shared: Arc<Shared>,
    sizes: Arc<BatchSizes>,
    /// Events that were taken from the state and are in no batch yet: [`MOST`] at most for each batch that is carried out at once.
    held: BTreeMap<EventType, VecDeque<WaitingEvent>>,
    /// The number of the last event that was taken from the state.
    after: i64,
    /// Events that were postponed since it began at the front.
    postponed: u64,
    /// How often a run that goes through once has come back to what was postponed.
    rounds: u32,
}

impl Waiting {
    fn begin_at_the_front(&mut self) {
        (self.after, self.postponed) = (0, 0);
        self.held.clear();
    }

    /// Takes events from the state until there are enough for this number of the largest batches, or no more.
    async fn take(&mut self, batches: usize) -> Result<(), RunError> {
        let held: usize = self.held.values().map(VecDeque::len).sum();
        let room = (batches * MOST).saturating_sub(held);
        if room == 0 {
            return Ok(());
        }
        let (store, name) = (&self.shared.context.stores.events, &self.shared.flow().name);
        // A type that was switched off since waits until it is on again, or its events are dropped with the state.
        let events = store.waiting_events(name, &self.shared.kinds(), self.after, room).await?;
        self.after = events.last().map_or(self.after, |last| last.seq);
        for event in events {
            if let Some(kind) = EventType::from_name(&event.kind) {
                self.held.entry(kind).or_default().push_back(event);
            }
        }
        Ok(())
    }
}

impl Queue<Writer> for Waiting {
    /// The events stay in the state as they are: the handler claims those of a batch when it begins it.
    async fn claim(&mut self, batches: usize) -> Result<Vec<(EventType, Vec<WaitingEvent>)>, RunError> {
        self.take(batches).await?;
        let mut claimed = Vec::new();
        // One of each type in turn.
        loop {
            let before = claimed.len();
            for (kind, events) in &mut self.held {
                if let Some(rows) = self.sizes.hand_out(*kind, events.len()) {
                    claimed.push((*kind, events.drain(..rows).collect()));
                }
            }
            if claimed.len() == before || claimed.len() >= batches {
                return Ok(claimed);
            }
        }
    }

    async fn settle(&mut self, results: Vec<(i64, EventResult)>) -> Result<(), RunError> {
        self.postponed += count(&results, |result| matches!(result, EventResult::Later));
        let context = &self.shared.context;
        let waiting = context.stores.events.settle_events(context.run, &self.shared.flow().name, results).await?;
        context.note_backlog(waiting);
        Ok(())
    }

    fn give_back(&self, _: (EventType, Vec<WaitingEvent>)) -> Option<(i64, EventResult)> {
        None
    }

    async fn rest(&mut self, view: View) -> Result<Rest, RunError> {
        if view.reading {
            // What was postponed may be all that keeps the readers waiting for room.
            if self.postponed > 0 {
                self.begin_at_the_front();
            }
            return Ok(Rest::Wait(LOOK_WHILE_READING));
        }
        if self.postponed == 0 || self.rounds >= ROUNDS || self.shared.context.options.pace != Pace::Once {
            return Ok(Rest::Over);
        }
        self.rounds += 1;
        self.begin_at_the_front();
        Ok(Rest::Wait(BEFORE_NEXT_ROUND))
    }
}

/// Makes activities of batches of events.
struct Writer {
    shared: Arc<Shared>,
    /// Where the activities go.
    timeline: Arc<dyn Timeline>,
    /// The tables, asked for when the first event of a type comes.
    tables: BTreeMap<EventType, OnceCell<Tables>>,
    /// Which kinds of calls were denied in this round.
    denials: Denials<CallKind>,
    sizes: Arc<BatchSizes>,
}

impl Handler for Writer {
    type Unit = (EventType, Vec<WaitingEvent>);
    type Answer = (i64, EventResult);
    type Call = CallKind;
    type Failure = ConnectError;
    type Error = RunError;

    async fn carry_out(self: Arc<Self>, (kind, events): Self::Unit) -> Result<Outcome<Writer>, RunError> {
        let (context, timeline, flow) = (&self.shared.context, &self.timeline, self.shared.flow());
        let writing = Writing { context, timeline, flow, kind, denials: &self.denials, sizes: &self.sizes };
        let batch = write_batch(writing, self.tables.get(&kind), events).await;
        self.sizes.came_back(kind);
        let batch = batch?;
        let events = &self.shared.context.events;
        events.emit(RunEvent::Created(batch.created));
        events.emit(RunEvent::Failed(count(&batch.results, |result| matches!(result, EventResult::Failed(_)))));
        events.emit(RunEvent::Postponed(count(&batch.results, |result| matches!(result, EventResult::Later))));
        events.emit(RunEvent::Noted(Note::ContactsGone, count(&batch.results, |result| matches!(result, EventResult::Gone))));
        events.emit(RunEvent::Noted(Note::Tasks, batch.tasks));
        let course = match (&batch.end, batch.postponed) {
            (Some(_), _) => Course::Silent,
            (None, Some(error)) => Course::Failed(error),
            (None, None) => Course::Passed,
        };
        // No batch is left by itself: what it postponed is in the next ones.
        let (unit, exhausted) = (0, false);
        let end = batch.end.map(RunError::Service);
        Ok(Outcome { unit, answers: batch.results, course, answered: batch.answered, exhausted, unclear: batch.unclear, end })
    }

    fn denials(&self) -> &Denials<CallKind> {
        &self.denials
    }

    async fn service_answers(&self, _: CallKind, _: &str) -> bool {
        // Any person: what counts is who answers.
        let error = self.timeline.persons(&[Uuid::nil()]).await.err();
        error.is_none_or(|error| policy::is_answer_of_service(&error))
    }

    fn refused(&self, refused: Refused<CallKind>) -> RunError {
        calls::refused(refused, Sides::DYNAMICS_AND_CAMPAIGN, &self.shared.flow().name, self.shared.context.memory.backlog())
    }

    fn unavailable(&self, _: u32, last: ConnectError) -> RunError {
        RunError::Service(last)
    }
}

fn count(results: &[(i64, EventResult)], test: impl Fn(&EventResult) -> bool) -> u64 {
    results.iter().filter(|(_, result)| test(result)).count() as u64
}
