//! Carries out one batch of events of one type: makes their activities, their follow-up tasks, and completes them.
//!
//! As much of it as possible goes in one request; the rest is done by separate requests, which show which row an error belongs to. All rows
//! have ids of ours, so a batch that may have been made already is looked up and not made again, and nothing needs to be remembered
//! between the steps of a batch: after a crash it is done again from its beginning, without effect where it was done.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::OnceCell;
use uuid::Uuid;

use super::event::{Event, task_id};
use super::job::{Calls, Job, Meaning, Row, meaning, unclear};
use super::rows::{Made, complete, is_settled, make};
use super::sizes::BatchSizes;
use super::target::EventTable;
use crate::connect::ConnectError;
use crate::engine::policy::Doubt;
use crate::engine::refusals::{Denials, Unclear};
use crate::plan::{self, EventFlow, EventType};
use crate::run::calls::CallKind;
use crate::run::{Context, RunError, failure};
use crate::store::{EventResult, Failure, Place, WaitingEvent};
use crate::systems::Timeline;

/// The tables to which the events of a type go.
pub(super) struct Tables {
    activities: EventTable,
    /// The table of follow-up tasks, if there are any for this type.
    tasks: Option<EventTable>,
}

/// What became of a batch.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) results: Vec<(i64, EventResult)>,
    pub(super) created: u64,
    pub(super) tasks: u64,
    /// Of the moment: what has no result is tried again.
    pub(super) postponed: Option<ConnectError>,
    /// Every other batch would fail as well.
    pub(super) end: Option<ConnectError>,
    /// Refusals that may be about some rows or about all.
    pub(super) unclear: Vec<Unclear<CallKind>>,
    /// The service has carried out a request.
    pub(super) answered: bool,
}

/// What a batch is part of.
#[derive(Clone, Copy)]
pub(super) struct Writing<'a> {
    pub(super) context: &'a Context,
    pub(super) timeline: &'a Arc<dyn Timeline>,
    pub(super) flow: &'a EventFlow,
    pub(super) kind: EventType,
    pub(super) denials: &'a Denials<CallKind>,
    pub(super) sizes: &'a BatchSizes,
}

impl<'a> Writing<'a> {
    fn job(self, kind: CallKind, table: &'a EventTable) -> Job<'a> {
        let calls = Calls { kind, denials: self.denials, sizes: self.sizes };
        Job { table, tasks: None, completed: false, calls }
    }

    async fn resolve(self, activity: &plan::ActivityTable) -> Result<Tables, ConnectError> {
        let activities = EventTable::resolve(self.timeline, self.kind, &activity.table, &self.flow.columns).await?;
        let tasks = match &activity.task {
            Some(subject) => Some(EventTable::tasks(self.timeline, subject, activity.at).await?),
            None => None,
        };
        Ok(Tables { activities, tasks })
    }

    /// Takes events in hand: they may have waited here for a while, and their persons been forgotten. From now on none is, until they are
    /// settled.
    async fn claim(self, events: &[WaitingEvent]) -> Result<HashSet<i64>, RunError> {
        let numbers: Vec<i64> = events.iter().map(|e| e.seq).collect();
        let claimed = self.context.stores.events.claim_events(self.context.run, &self.flow.name, &numbers).await?;
        Ok(claimed.into_iter().collect())
    }
}

/// Carries out a batch of one type.
pub(super) async fn write_batch(
    writing: Writing<'_>,
    tables: Option<&OnceCell<Tables>>,
    events: Vec<WaitingEvent>,
) -> Result<Batch, RunError> {
    let (Some(cell), Some(activity)) = (tables, writing.flow.activities.iter().find(|a| a.kind == writing.kind)) else {
        return Ok(Batch::default());
    };
    let tables = match cell.get_or_try_init(|| writing.resolve(activity)).await {
        Ok(tables) => tables,
        Err(error) => return Ok(stopped(&events, error)),
    };
    let claimed = writing.claim(&events).await?;
    let place = failure::place(&writing.context.plan, activity.at);
    let mut progress = Progress::new(writing, tables, place);
    let rows = events.iter().filter(|waiting| claimed.contains(&waiting.seq)).filter_map(|waiting| progress.row(waiting)).collect();
    progress.make(rows).await;
    progress.make_tasks().await;
    progress.complete().await;
    Ok(progress.settle())
}

/// A batch whose table is not available.
fn stopped(events: &[WaitingEvent], error: ConnectError) -> Batch {
    let results = events.iter().map(|event| (event.seq, EventResult::Later)).collect();
    let batch = Batch { results, ..Batch::default() };
    match meaning(&error) {
        Meaning::Moment | Meaning::Look => Batch { postponed: Some(error), ..batch },
        Meaning::Row | Meaning::Run | Meaning::Doubt(_) => Batch { end: Some(error), ..batch },
    }
}

/// How far a batch has come.
struct Progress<'a> {
    writing: Writing<'a>,
    tables: &'a Tables,
    /// The line of the mapping file.
    place: Place,
    batch: Batch,
    /// Events without a result, by the ids of their activities, each with its number and its activity's columns.
    left: HashMap<Uuid, (i64, Event, String)>,
    /// Activities that exist, and have their tasks as far as these are made.
    done: Vec<Uuid>,
    /// Those whose tasks exist.
    tasked: HashSet<Uuid>,
    /// Those that are completed.
    closed: HashSet<Uuid>,
}

impl<'a> Progress<'a> {
    fn new(writing: Writing<'a>, tables: &'a Tables, place: Place) -> Progress<'a> {
        let (left, done, tasked, closed) = (HashMap::new(), Vec::new(), HashSet::new(), HashSet::new());
        Progress { writing, tables, place, batch: Batch::default(), left, done, tasked, closed }
    }

    /// The row of an event.
    fn row(&mut self, waiting: &WaitingEvent) -> Option<Row> {
        // Both are our own writing; a damaged row is a failure that can be looked at.
        let (Ok(id), Ok(event)) = (Uuid::try_parse(&waiting.activity), serde_json::from_str::<Event>(&waiting.payload)) else {
            let failure = Failure {
                code: "damaged".to_owned(),
                message: "the state's record of the event cannot be read".to_owned(),
                ..Failure::default()
            };
            self.batch.results.push((waiting.seq, EventResult::Failed(failure)));
            return None;
        };
        let task = self.tables.tasks.as_ref().map(|tasks| tasks.row(task_id(id), &event));
        let row = Row { id, contact: event.contact, activity: self.tables.activities.row(id, &event), task };
        self.left.insert(id, (waiting.seq, event, row.activity.body.clone()));
        Some(row)
    }

    /// The result of an event; its first one counts.
    fn result(&mut self, id: &Uuid, result: EventResult) {
        if let Some((seq, ..)) = self.left.remove(id) {
            self.batch.results.push((seq, result));
        }
    }

    fn failed(&mut self, id: &Uuid, error: &ConnectError) {
        if let Some((.., fields)) = self.left.get(id) {
            let failure = refused(error, Some(fields.clone()), self.place.clone());
            self.result(id, EventResult::Failed(failure));
        }
    }

    /// Makes the activities, with their tasks and in their final state as far as that goes in the same requests.
    async fn make(&mut self, rows: Vec<Row>) {
        let job = self.writing.job(CallKind::Activities(self.writing.kind), &self.tables.activities);
        let job = Job { tasks: self.tables.tasks.as_ref(), completed: self.writing.flow.completed, ..job };
        let Made { new, there, tasked, closed, gone, failed, postponed, end, unclear } = make(job, rows).await;
        self.batch.answered = !new.is_empty();
        self.batch.unclear.extend(unclear);
        self.batch.created = new.len() as u64;
        self.batch.tasks = tasked.len() as u64;
        gone.iter().for_each(|id| self.result(id, EventResult::Gone));
        failed.iter().for_each(|(id, error)| self.failed(id, error));
        (self.batch.postponed, self.batch.end) = (postponed, end);
        if !tasked.is_empty() {
            self.writing.denials.passed(CallKind::Tasks(self.writing.kind));
        }
        if !closed.is_empty() {
            self.writing.denials.passed(CallKind::Completing(self.writing.kind));
        }
        self.done = new.into_iter().chain(there.iter().map(|(id, _)| *id)).collect();
        self.tasked = tasked;
        self.closed = closed;
        self.closed.extend(there.iter().filter(|(_, closed)| *closed).map(|(id, _)| *id));
    }

    /// Makes the tasks that were not made together with their activities.
    async fn make_tasks(&mut self) {
        let Some(tasks) = &self.tables.tasks else { return };
        let missing: Vec<Uuid> = self.done.iter().filter(|id| !self.tasked.contains(id)).copied().collect();
        if missing.is_empty() {
            return;
        }
        if self.batch.end.is_none() {
            let row = |id: &Uuid| {
                let (task, (_, event, _)) = (task_id(*id), self.left.get(id)?);
                Some(Row { id: task, contact: event.contact, activity: tasks.row(task, event), task: None })
            };
            let rows: Vec<Row> = missing.iter().filter_map(row).collect();
            let job = self.writing.job(CallKind::Tasks(self.writing.kind), tasks);
            let Made { new, there, gone, failed, postponed, end, unclear, .. } = make(job, rows).await;
            self.batch.unclear.extend(unclear);
            self.batch.tasks += new.len() as u64;
            let by_task: HashMap<Uuid, Uuid> = missing.iter().map(|id| (task_id(*id), *id)).collect();
            for (task, error) in &failed {
                if let Some(id) = by_task.get(task) {
                    self.failed(id, error);
                }
            }
            let made = new.iter().chain(there.iter().map(|(id, _)| id)).chain(&gone);
            self.tasked.extend(made.filter_map(|task| by_task.get(task)));
            self.batch.postponed = self.batch.postponed.take().or(postponed);
            self.batch.end = self.batch.end.take().or(end);
        }
        // Those without their tasks are not done yet.
        self.done.retain(|id| self.tasked.contains(id));
    }

    /// Completes the activities that were not made in their final state. The last step: a closed row can be changed no more.
    async fn complete(&mut self) {
        if !self.writing.flow.completed || self.batch.end.is_some() {
            return;
        }
        let calling = CallKind::Completing(self.writing.kind);
        let table = &self.tables.activities;
        let open: Vec<Uuid> = self.done.iter().filter(|id| !self.closed.contains(id)).copied().collect();
        let refused = complete(&self.writing.job(calling, table), &open).await;
        let passed = refused.len() < open.len();
        if passed {
            self.writing.denials.passed(calling);
        }
        for (id, error) in refused {
            self.done.retain(|d| *d != id);
            match meaning(&error) {
                Meaning::Doubt(Doubt::Denied) if passed && self.writing.denials.is_of_the_record(calling) => self.failed(&id, &error),
                Meaning::Doubt(doubt) => self.batch.unclear.push(unclear(doubt, calling, error)),
                // Somebody has deleted it since, or closed it.
                Meaning::Row if is_settled(table, id).await => {
                    self.result(&id, EventResult::Written);
                }
                Meaning::Row => self.failed(&id, &error),
                Meaning::Look | Meaning::Moment => self.batch.postponed = Some(error),
                Meaning::Run => self.batch.end = Some(error),
            }
        }
    }

    /// What became of each event. One without a result is tried again.
    fn settle(mut self) -> Batch {
        // If every other batch would fail as well, what is done may still have to be completed.
        let ended = self.writing.flow.completed && self.batch.end.is_some();
        for id in std::mem::take(&mut self.done) {
            if !ended || self.closed.contains(&id) {
                self.result(&id, EventResult::Written);
            }
        }
        let later = self.left.values().map(|(seq, ..)| (*seq, EventResult::Later));
        self.batch.results.extend(later);
        self.batch
    }
}

fn refused(error: &ConnectError, request: Option<String>, place: Place) -> Failure {
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
