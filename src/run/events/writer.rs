//! The writer: takes waiting events from the state, makes their activities in batches, completes them, makes follow-up tasks, and hands
//! in what became of each.
//!
//! All rows have ids of ours, so a batch that may have been made already is looked up and not made again, and nothing needs to be
//! remembered between the steps of a batch: after a crash it is done once more from its beginning, without effect where it was done.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use uuid::Uuid;

use super::Shared;
use super::event::{Event, task_id};
use super::rows::{Calls, Meaning, ROWS, Row, complete, is_settled, make, meaning, unclear};
use super::target::ActivityTable;
use crate::connect::ConnectError;
use crate::engine::events::{Note, RunEvent};
use crate::engine::policy::{self, Doubt};
use crate::engine::pump::{self, Course, Handler, Outcome, Queue, Rest, Sizes, View};
use crate::engine::refusals::{Denials, Refused, Unclear};
use crate::plan::EventType;
use crate::run::calls::{self, CallKind, Sides};
use crate::run::{Pace, RunError, failure};
use crate::state::{EventResult, Failure, WaitingEvent};
use crate::systems::dataverse::{Dataverse, Entity};

/// How often a run that goes through once comes back to what was postponed.
const ROUNDS: u32 = 3;
/// The pause before it comes back.
const BEFORE_NEXT_ROUND: Duration = Duration::from_millis(200);
/// The pause between looks while the readers read, which tell when they have queued something.
const LOOK_WHILE_READING: Duration = Duration::from_millis(500);
/// Batches that fail in a row for reasons of the moment, before the round ends.
const FAILURES_IN_A_ROW: u32 = 5;

/// What became of a batch.
#[derive(Default)]
struct Batch {
    results: Vec<(i64, EventResult)>,
    created: u64,
    tasks: u64,
    /// Of the moment: what has no result is tried again.
    postponed: Option<ConnectError>,
    /// Every other batch would fail as well.
    end: Option<ConnectError>,
    /// Refusals that may be about some rows or about all.
    unclear: Vec<Unclear<CallKind>>,
    /// The service has carried out a request.
    answered: bool,
}

/// Writes until the readers have ended and nothing is left that can be written.
pub(super) async fn write(shared: Arc<Shared>) -> Result<(), RunError> {
    let kinds = || shared.flow().types.iter().map(|kind| (*kind, OnceCell::new()));
    let (activities, tasks) = (kinds().collect(), kinds().collect());
    let writer = Writer { shared: shared.clone(), activities, tasks, denials: Denials::default() };
    let waiting = Waiting { shared: shared.clone(), after: 0, postponed: 0, rounds: 0 };
    let at_once = shared.context.options.concurrency.max(1);
    // A batch is settled as soon as it has ended: it has many events already.
    let sizes = Sizes { at_once, claim: at_once, settle: 1, in_a_row: FAILURES_IN_A_ROW };
    pump::run(waiting, Arc::new(writer), sizes, shared.context.round(&shared.signals)).await
}

/// The events of the flow in the state, in batches of one type.
struct Waiting {
    shared: Arc<Shared>,
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
    }
}

impl Queue<Writer> for Waiting {
    /// The events stay in the state as they are: the handler claims those of a batch when it begins it.
    async fn claim(&mut self, batches: usize) -> Result<Vec<(EventType, Vec<WaitingEvent>)>, RunError> {
        let (name, kinds, after) = (self.shared.flow().name.clone(), self.shared.kinds(), self.after);
        // A type that was switched off since waits until it is on again, or its events are dropped with the state.
        let events = self.shared.context.blocking(move |store| store.waiting_events(&name, &kinds, after, batches * ROWS)).await?;
        self.after = events.last().map_or(self.after, |last| last.seq);
        let mut by_kind: Vec<(EventType, Vec<WaitingEvent>)> = Vec::new();
        for event in events {
            let Some(kind) = EventType::from_name(&event.kind) else { continue };
            match by_kind.iter_mut().find(|(k, events)| *k == kind && events.len() < ROWS) {
                Some((_, events)) => events.push(event),
                None => by_kind.push((kind, vec![event])),
            }
        }
        Ok(by_kind)
    }

    async fn settle(&mut self, results: Vec<(i64, EventResult)>) -> Result<(), RunError> {
        self.postponed += count(&results, |result| matches!(result, EventResult::Later));
        let (run, name) = (self.shared.context.run, self.shared.flow().name.clone());
        let waiting = self.shared.context.blocking(move |store| store.settle_events(run, &name, &results)).await?;
        self.shared.context.note_backlog(waiting);
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
    /// The tables, asked for when the first event of a type comes.
    activities: BTreeMap<EventType, OnceCell<ActivityTable>>,
    tasks: BTreeMap<EventType, OnceCell<ActivityTable>>,
    /// Which kinds of calls were denied in this round.
    denials: Denials<CallKind>,
}

impl Handler for Writer {
    type Unit = (EventType, Vec<WaitingEvent>);
    type Answer = (i64, EventResult);
    type Call = CallKind;
    type Failure = ConnectError;
    type Error = RunError;

    async fn carry_out(self: Arc<Self>, (kind, events): Self::Unit) -> Result<Outcome<Writer>, RunError> {
        let batch = write_batch(&self, kind, events).await?;
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
        dynamics_answers(&self.shared.context.services.dataverse).await
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

/// Whether Dynamics 365 itself answers a look.
async fn dynamics_answers(dataverse: &Dataverse) -> bool {
    // Any contact: what counts is who answers.
    let contacts = Entity::new("contacts", "contact", "contactid");
    let error = dataverse.existing(&contacts, &[Uuid::nil()], None).await.err();
    error.is_none_or(|error| policy::is_answer_of_service(&error))
}

/// Carries out a batch of one type.
async fn write_batch(writer: &Writer, kind: EventType, events: Vec<WaitingEvent>) -> Result<Batch, RunError> {
    let mut batch = Batch::default();
    let shared = &writer.shared;
    let flow = shared.flow();
    let dataverse = &shared.context.services.dataverse;
    let (Some(cell), Some(activity)) = (writer.activities.get(&kind), flow.activities.iter().find(|a| a.kind == kind)) else {
        return Ok(batch);
    };
    let table = match cell.get_or_try_init(|| ActivityTable::resolve(dataverse, kind, &activity.table, &flow.columns)).await {
        Ok(table) => table,
        Err(error) => return Ok(stopped(batch, &events, error)),
    };
    // They may have waited here for a while, and their persons been forgotten: from now on none is, until they are settled.
    let (run, name, numbers) = (shared.context.run, flow.name.clone(), events.iter().map(|e| e.seq).collect::<Vec<_>>());
    let claimed = shared.context.blocking(move |store| store.claim_events(run, &name, &numbers)).await?;
    let claimed: HashSet<i64> = claimed.into_iter().collect();
    let (mut rows, mut seqs) = (Vec::new(), HashMap::new());
    let mut parsed = HashMap::new();
    for waiting in events.iter().filter(|waiting| claimed.contains(&waiting.seq)) {
        // Both are our own writing; a damaged row is a failure that can be looked at.
        let (Ok(id), Ok(event)) = (Uuid::try_parse(&waiting.activity), serde_json::from_str::<Event>(&waiting.payload)) else {
            let failure = Failure {
                code: "damaged".to_owned(),
                message: "the state's record of the event cannot be read".to_owned(),
                ..Failure::default()
            };
            batch.results.push((waiting.seq, EventResult::Failed(failure)));
            continue;
        };
        rows.push(Row { id, contact: event.contact, target: table.row(id, &event) });
        seqs.insert(id, waiting.seq);
        parsed.insert(id, event);
    }
    let bodies: HashMap<Uuid, String> = rows.iter().map(|row| (row.id, row.target.fields.clone())).collect();
    let place = failure::place(&shared.context.plan, activity.at);
    let of_error = |id: &Uuid, error: &ConnectError| refused(error, bodies.get(id).cloned(), place.clone());

    let calls = Calls { kind: CallKind::Activities(kind), denials: &writer.denials };
    let mut made = make(dataverse, table, rows, flow.completed.then_some("statecode"), calls).await;
    batch.answered = !made.new.is_empty();
    batch.unclear.append(&mut made.unclear);
    batch.created = made.new.len() as u64;
    let mut left: HashSet<Uuid> = seqs.keys().copied().collect();
    let mut settle = |id: &Uuid, result: EventResult, batch: &mut Batch| {
        if left.remove(id)
            && let Some(seq) = seqs.get(id)
        {
            batch.results.push((*seq, result));
        }
    };
    made.gone.iter().for_each(|id| settle(id, EventResult::Gone, &mut batch));
    made.failed.iter().for_each(|(id, error)| settle(id, EventResult::Failed(of_error(id, error)), &mut batch));
    let (mut postponed, mut end) = (made.postponed, made.end);
    let mut done: Vec<Uuid> = made.new.iter().copied().chain(made.there.iter().map(|(id, _)| *id)).collect();

    if activity.task.is_some() && end.is_some() {
        // Their tasks cannot be made now: they are not done yet.
        done.clear();
    }
    if let (Some(subject), Some(cell), None) = (&activity.task, writer.tasks.get(&kind), &end)
        && !done.is_empty()
    {
        match cell.get_or_try_init(|| ActivityTable::tasks(dataverse, subject, activity.at)).await {
            Ok(tasks) => {
                let row = |id: Uuid| {
                    let (task, event) = (task_id(id), parsed.get(&id)?);
                    Some(Row { id: task, contact: event.contact, target: tasks.row(task, event) })
                };
                let rows: Vec<Row> = done.iter().filter_map(|id| row(*id)).collect();
                let calls = Calls { kind: CallKind::Tasks(kind), denials: &writer.denials };
                let mut made = make(dataverse, tasks, rows, None, calls).await;
                batch.unclear.append(&mut made.unclear);
                batch.tasks = made.new.len() as u64;
                let by_task: HashMap<Uuid, Uuid> = done.iter().map(|id| (task_id(*id), *id)).collect();
                let has: HashSet<Uuid> = made.new.iter().chain(made.there.iter().map(|(id, _)| id)).chain(&made.gone).copied().collect();
                for (task, error) in &made.failed {
                    if let Some(id) = by_task.get(task) {
                        settle(id, EventResult::Failed(of_error(id, error)), &mut batch);
                    }
                }
                done.retain(|id| has.contains(&task_id(*id)));
                postponed = postponed.or(made.postponed);
                end = end.or(made.end);
            }
            Err(error) => {
                done.clear();
                end = Some(error);
            }
        }
    }
    if flow.completed && end.is_none() {
        // The last step: a closed row can be changed no more.
        let closed: HashSet<Uuid> = made.there.iter().filter(|(_, closed)| *closed).map(|(id, _)| *id).collect();
        let open: Vec<Uuid> = done.iter().filter(|id| !closed.contains(id)).copied().collect();
        let calling = CallKind::Completing(kind);
        let refused = complete(dataverse, table, &open).await;
        let passed = refused.len() < open.len();
        if passed {
            writer.denials.passed(calling);
        }
        for (id, error) in refused {
            done.retain(|d| *d != id);
            match meaning(&error) {
                Meaning::Doubt(Doubt::Denied) if passed && writer.denials.is_of_the_record(calling) => {
                    settle(&id, EventResult::Failed(of_error(&id, &error)), &mut batch);
                }
                Meaning::Doubt(doubt) => batch.unclear.push(unclear(doubt, calling, error)),
                // Somebody has deleted it since, or closed it.
                Meaning::Row if is_settled(dataverse, &table.entity, id).await => settle(&id, EventResult::Written, &mut batch),
                Meaning::Row => settle(&id, EventResult::Failed(of_error(&id, &error)), &mut batch),
                Meaning::Look | Meaning::Moment => postponed = Some(error),
                Meaning::Run => end = Some(error),
            }
        }
    }
    if end.is_none() || !flow.completed {
        done.iter().for_each(|id| settle(id, EventResult::Written, &mut batch));
    }
    let rest: Vec<Uuid> = left.into_iter().collect();
    batch.results.extend(rest.iter().filter_map(|id| Some((*seqs.get(id)?, EventResult::Later))));
    batch.postponed = postponed;
    batch.end = end;
    Ok(batch)
}

/// A batch whose table cannot be had.
fn stopped(mut batch: Batch, events: &[WaitingEvent], error: ConnectError) -> Batch {
    batch.results.extend(events.iter().map(|event| (event.seq, EventResult::Later)));
    match meaning(&error) {
        Meaning::Moment | Meaning::Look => batch.postponed = Some(error),
        Meaning::Row | Meaning::Run | Meaning::Doubt(_) => batch.end = Some(error),
    }
    batch
}

fn refused(error: &ConnectError, request: Option<String>, place: crate::state::Place) -> Failure {
    let message = match error.call() {
        Some(call) => {
            let status = call.status.map_or("nothing".to_owned(), |s| s.to_string());
            format!("Dynamics answered {status}: {}", call.message.as_deref().unwrap_or("no reason given"))
        }
        None => error.to_string(),
    };
    Failure {
        code: error.vendor_code().filter(|c| !c.is_empty()).map_or("D906".to_owned(), str::to_owned),
        message,
        field: None,
        place: Some(place),
        request,
        status: error.status(),
        response: error.response_body().map(str::to_owned),
    }
}
