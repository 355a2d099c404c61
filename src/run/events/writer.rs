//! The writer: takes waiting events from the state, makes their activities in batches, completes them, makes follow-up tasks, and hands
//! in what became of each.
//!
//! All rows have ids of ours, so a batch that may have been made already is looked up and not made again, and nothing needs to be
//! remembered between the steps of a batch: after a crash it is done once more from its beginning, without effect where it was done.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Shared;
use super::event::{Event, task_id};
use super::target::ActivityTable;
use crate::connect::ConnectError;
use crate::connect::dataverse::{Bulk, Condition, Dataverse, Entity, Operation, Part, PartOutcome, Target};
use crate::engine::policy::{self, Action, Doubt, Scope};
use crate::engine::refusals::{Denials, Unclear, Undecided};
use crate::plan::EventType;
use crate::run::calls::{self, CallKind};
use crate::run::{Pace, RunError, failure};
use crate::state::{EventResult, Failure, WaitingEvent};

/// Events in one batch. The documents recommend 100 to 1000 rows in a bulk request.
const ROWS: usize = 100;
/// Requests of one `$batch`, where a table takes no bulk requests. The documents advise small ones.
const PARTS: usize = 20;
/// How often a run that goes through once comes back to what was put off.
const ROUNDS: u32 = 3;
/// Batches that fail in a row for reasons of the moment, before the round ends.
const FAILURES_IN_A_ROW: u32 = 5;
/// How often a batch is taken apart and looked up; each time it gets smaller, or something is found.
const STEPS: usize = 4 * ROWS;

/// Requests in a row that are denied, or answered by something else, after which a batch is not taken apart any further. Taking apart
/// [`ROWS`] rows for one of them needs fewer.
const REFUSED_IN_A_ROW: u32 = 12;

/// Answers of one batch that may stay unseen.
const UNSEEN: u32 = 3;

/// Words for the summary.
const GONE: &str = "events whose contact was deleted";
const TASKS: &str = "follow-up tasks";

/// The tables, asked for when the first event of a type comes.
#[derive(Default)]
struct Tables {
    activities: BTreeMap<EventType, OnceCell<ActivityTable>>,
    tasks: BTreeMap<EventType, OnceCell<ActivityTable>>,
    /// Which kinds of calls were denied in this round.
    denials: Denials<CallKind>,
}

/// What became of a batch.
#[derive(Default)]
struct Batch {
    results: Vec<(i64, EventResult)>,
    created: u64,
    tasks: u64,
    /// Of the moment: what has no result is tried again.
    put_off: Option<ConnectError>,
    /// Every other batch would fail as well.
    end: Option<ConnectError>,
    /// Refusals that may be about some rows or about all.
    unclear: Vec<Unclear<CallKind>>,
    /// The service has carried out a request.
    answered: bool,
    /// The state could not be written.
    broken: Option<RunError>,
}

/// Writes until the readers have ended and nothing is left that can be written.
pub(super) async fn write(shared: Arc<Shared>) -> Result<(), RunError> {
    let kinds = || shared.flow().types.iter().map(|kind| (*kind, OnceCell::new()));
    let tables = Arc::new(Tables { activities: kinds().collect(), tasks: kinds().collect(), denials: Denials::default() });
    let mut writer = Writer {
        shared,
        tables,
        queue: VecDeque::new(),
        tasks: JoinSet::new(),
        after: 0,
        put_off: 0,
        failures: 0,
        undecided: Undecided::default(),
        end: None,
    };
    let result = writer.work().await;
    // Whatever happened, what is in flight is waited for and its answers are kept.
    while let Some(batch) = writer.tasks.join_next().await {
        writer.settle(batch).await?;
    }
    result.and(writer.end.take().map_or(Ok(()), Err))
}

struct Writer {
    shared: Arc<Shared>,
    tables: Arc<Tables>,
    queue: VecDeque<(EventType, Vec<WaitingEvent>)>,
    tasks: JoinSet<Batch>,
    /// The number of the last event that was taken from the state.
    after: i64,
    /// Events that were put off since it began at the front.
    put_off: u64,
    failures: u32,
    /// Refusals that may be about some rows or about all.
    undecided: Undecided<CallKind>,
    end: Option<RunError>,
}

impl Writer {
    async fn work(&mut self) -> Result<(), RunError> {
        let most = self.shared.context.options.concurrency.max(1);
        let mut reading = self.shared.reading.subscribe();
        let mut rounds = 0;
        loop {
            if self.shared.context.stop.is_cancelled() {
                return Ok(());
            }
            if self.end.is_some() {
                // The readers need not go on for a round that ends.
                self.shared.context.stop.cancel();
                return Ok(());
            }
            let reader_done = !*reading.borrow_and_update();
            if self.queue.is_empty() && self.tasks.len() < most {
                self.fetch(most).await?;
            }
            while self.tasks.len() < most
                && let Some((kind, events)) = self.queue.pop_front()
            {
                self.tasks.spawn(carry_out(self.shared.clone(), self.tables.clone(), kind, events));
            }
            if let Some(batch) = self.tasks.join_next().await {
                self.settle(batch).await?;
                if self.undecided.are_many(FAILURES_IN_A_ROW) {
                    self.decide().await;
                }
                continue;
            }
            if !reader_done {
                tokio::select! {
                    () = self.shared.queued.notified() => {}
                    _ = reading.changed() => {}
                    () = tokio::time::sleep(Duration::from_millis(500)) => {}
                    () = self.shared.context.stop.cancelled() => {}
                }
                // What was put off may be all that keeps the readers waiting for room.
                if self.put_off > 0 {
                    (self.after, self.put_off) = (0, 0);
                }
                continue;
            }
            self.decide().await;
            if self.end.is_some() {
                continue;
            }
            let again = self.put_off > 0 && rounds < ROUNDS && self.shared.context.options.pace == Pace::Once;
            if !again {
                return Ok(());
            }
            rounds += 1;
            (self.after, self.put_off) = (0, 0);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Decides what the refusals so far are about; the round ends if they are about all rows.
    async fn decide(&mut self) {
        let mut refused = self.undecided.denied_to_all(&self.tables.denials);
        if refused.is_none()
            && let Some(suspicion) = self.undecided.take_stranger()
            && !dynamics_answers(&self.shared.context.services.dataverse).await
        {
            refused = Some(suspicion.confirmed());
        }
        let Some(refused) = refused else { return };
        let waiting = self.shared.context.counters.backlog.get();
        self.end.get_or_insert_with(|| calls::refused(refused, &self.shared.flow().name, waiting));
    }

    /// Takes events from the state, by type in batches.
    async fn fetch(&mut self, most: usize) -> Result<(), RunError> {
        let (name, kinds, after) = (self.shared.flow().name.clone(), self.shared.kinds(), self.after);
        // A type that was switched off since waits until it is on again, or its events are dropped with the state.
        let events = self.shared.context.blocking(move |store| store.waiting_events(&name, &kinds, after, most * ROWS)).await?;
        let Some(last) = events.last() else { return Ok(()) };
        self.after = last.seq;
        let mut by_kind: Vec<(EventType, Vec<WaitingEvent>)> = Vec::new();
        for event in events {
            let Some(kind) = EventType::from_name(&event.kind) else { continue };
            match by_kind.iter_mut().find(|(k, events)| *k == kind && events.len() < ROWS) {
                Some((_, events)) => events.push(event),
                None => by_kind.push((kind, vec![event])),
            }
        }
        self.queue.extend(by_kind);
        Ok(())
    }

    /// Hands in what became of a batch.
    async fn settle(&mut self, batch: Result<Batch, tokio::task::JoinError>) -> Result<(), RunError> {
        let batch = batch.map_err(|e| RunError::Task(e.to_string()))?;
        if let Some(error) = batch.broken {
            return Err(error);
        }
        let counters = self.shared.context.counters.clone();
        let count = |test: fn(&EventResult) -> bool| batch.results.iter().filter(|(_, r)| test(r)).count() as u64;
        let later = count(|r| matches!(r, EventResult::Later));
        counters.created.add(batch.created);
        counters.failed.add(count(|r| matches!(r, EventResult::Failed(_))));
        counters.retried.add(later);
        counters.note(GONE, count(|r| matches!(r, EventResult::Gone)));
        counters.note(TASKS, batch.tasks);
        self.put_off += later;
        let (run, name) = (self.shared.context.run, self.shared.flow().name.clone());
        let results = batch.results;
        let waiting = self.shared.context.blocking(move |store| store.settle_events(run, &name, &results)).await?;
        counters.backlog.set(waiting);
        self.shared.settled.notify_one();
        match (batch.end, batch.put_off) {
            (Some(error), _) => drop(self.end.get_or_insert(RunError::Service(error))),
            (None, Some(error)) => {
                self.failures += 1;
                if self.failures >= FAILURES_IN_A_ROW {
                    self.end.get_or_insert(RunError::Service(error));
                }
            }
            (None, None) => self.failures = 0,
        }
        if batch.answered {
            self.undecided.answered();
        }
        batch.unclear.into_iter().for_each(|unclear| self.undecided.note(unclear));
        Ok(())
    }
}

/// Whether Dynamics 365 itself answers a look.
async fn dynamics_answers(dataverse: &Dataverse) -> bool {
    // Any contact: what counts is who answers.
    let contacts = Entity::new("contacts", "contact", "contactid");
    let error = dataverse.existing(&contacts, &[Uuid::nil()], None).await.err();
    error.is_none_or(|e| policy::doubt(&e) == Some(Doubt::Denied) || policy::action(&e, Scope::Unknown) == Action::Reject)
}

/// A refusal that may be about some rows or about all.
fn unclear(doubt: Doubt, call: CallKind, error: ConnectError) -> Unclear<CallKind> {
    // The service is asked for any record, not for one of these rows: they need no key.
    Unclear { doubt, call, key: String::new(), error }
}

/// What a write's error means here.
enum Meaning {
    /// Rows of the request may be there already, or may have been made by it.
    Look,
    /// A row binds a record that is not there, or one is at fault otherwise.
    Row,
    /// It may be about one row or about all.
    Doubt(Doubt),
    /// Try again later.
    Moment,
    /// End.
    Run,
}

fn meaning(error: &ConnectError) -> Meaning {
    // A row that is there already, or may be, is looked up before anything else is concluded.
    if matches!(error, ConnectError::Duplicate { .. } | ConnectError::OutcomeUnknown { .. }) {
        return Meaning::Look;
    }
    match (policy::doubt(error), policy::action(error, Scope::Record)) {
        (Some(doubt), _) => Meaning::Doubt(doubt),
        (None, Action::Reject) => Meaning::Row,
        (None, Action::Retry { .. }) => Meaning::Moment,
        (None, Action::Stop | Action::Pause) => Meaning::Run,
    }
}

/// A row that is to be made.
struct Row {
    id: Uuid,
    contact: Uuid,
    target: Target,
}

/// What became of rows.
#[derive(Default)]
struct Made {
    /// Made now.
    new: Vec<Uuid>,
    /// There already; true where its state is another than open.
    there: Vec<(Uuid, bool)>,
    /// The contact is not there.
    gone: Vec<Uuid>,
    /// Refused.
    failed: Vec<(Uuid, ConnectError)>,
    /// Not decided.
    put_off: Option<ConnectError>,
    end: Option<ConnectError>,
    unclear: Vec<Unclear<CallKind>>,
}

/// Carries out a batch of one type.
async fn carry_out(shared: Arc<Shared>, tables: Arc<Tables>, kind: EventType, events: Vec<WaitingEvent>) -> Batch {
    let mut batch = Batch::default();
    let flow = shared.flow();
    let dataverse = &shared.context.services.dataverse;
    let (Some(cell), Some(activity)) = (tables.activities.get(&kind), flow.activities.iter().find(|a| a.kind == kind)) else {
        return batch;
    };
    let table = match cell.get_or_try_init(|| ActivityTable::resolve(dataverse, kind, &activity.table, &flow.columns)).await {
        Ok(table) => table,
        Err(error) => return stopped(batch, &events, error),
    };
    // They may have waited here for a while, and their persons been forgotten: from now on none is, until they are settled.
    let (run, name, numbers) = (shared.context.run, flow.name.clone(), events.iter().map(|e| e.seq).collect::<Vec<_>>());
    let claimed: HashSet<i64> = match shared.context.blocking(move |store| store.claim_events(run, &name, &numbers)).await {
        Ok(claimed) => claimed.into_iter().collect(),
        Err(error) => {
            batch.broken = Some(error);
            return batch;
        }
    };
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

    let calls = Calls { kind: CallKind::Activities(kind), denials: &tables.denials };
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
    let (mut put_off, mut end) = (made.put_off, made.end);
    let mut done: Vec<Uuid> = made.new.iter().copied().chain(made.there.iter().map(|(id, _)| *id)).collect();

    if activity.task.is_some() && end.is_some() {
        // Their tasks cannot be made now: they are not done yet.
        done.clear();
    }
    if let (Some(subject), Some(cell), None) = (&activity.task, tables.tasks.get(&kind), &end)
        && !done.is_empty()
    {
        match cell.get_or_try_init(|| ActivityTable::tasks(dataverse, subject, activity.at)).await {
            Ok(tasks) => {
                let row = |id: Uuid| {
                    let (task, event) = (task_id(id), parsed.get(&id)?);
                    Some(Row { id: task, contact: event.contact, target: tasks.row(task, event) })
                };
                let rows: Vec<Row> = done.iter().filter_map(|id| row(*id)).collect();
                let calls = Calls { kind: CallKind::Tasks(kind), denials: &tables.denials };
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
                put_off = put_off.or(made.put_off);
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
            tables.denials.passed(calling);
        }
        for (id, error) in refused {
            done.retain(|d| *d != id);
            match meaning(&error) {
                Meaning::Doubt(Doubt::Denied) if passed && tables.denials.is_of_the_record(calling) => {
                    settle(&id, EventResult::Failed(of_error(&id, &error)), &mut batch);
                }
                Meaning::Doubt(doubt) => batch.unclear.push(unclear(doubt, calling, error)),
                // Somebody has deleted it since, or closed it.
                Meaning::Row if is_settled(dataverse, &table.entity, id).await => settle(&id, EventResult::Written, &mut batch),
                Meaning::Row => settle(&id, EventResult::Failed(of_error(&id, &error)), &mut batch),
                Meaning::Look | Meaning::Moment => put_off = Some(error),
                Meaning::Run => end = Some(error),
            }
        }
    }
    if end.is_none() || !flow.completed {
        done.iter().for_each(|id| settle(id, EventResult::Written, &mut batch));
    }
    let rest: Vec<Uuid> = left.into_iter().collect();
    batch.results.extend(rest.iter().filter_map(|id| Some((*seqs.get(id)?, EventResult::Later))));
    batch.put_off = put_off;
    batch.end = end;
    batch
}

/// A batch whose table cannot be had.
fn stopped(mut batch: Batch, events: &[WaitingEvent], error: ConnectError) -> Batch {
    batch.results.extend(events.iter().map(|event| (event.seq, EventResult::Later)));
    match meaning(&error) {
        Meaning::Moment | Meaning::Look => batch.put_off = Some(error),
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

/// Makes rows, whatever of them is there already. A request that is refused is taken apart by what the service has: rows that are there,
/// contacts that are not, and halves of what is left.
async fn make(dataverse: &Dataverse, table: &ActivityTable, rows: Vec<Row>, state: Option<&str>, calls: Calls<'_>) -> Made {
    let mut made = Made::default();
    let mut refused = RefusedRows::default();
    let size = if table.bulk { ROWS } else { PARTS };
    let mut rows = rows;
    let mut queue: VecDeque<Vec<Row>> = VecDeque::new();
    while !rows.is_empty() {
        let rest = rows.split_off(size.min(rows.len()));
        queue.push_back(std::mem::replace(&mut rows, rest));
    }
    let contacts = Entity::new("contacts", "contact", "contactid");
    let mut looked: HashSet<Uuid> = HashSet::new();
    let mut unknown = 0;
    for _ in 0..STEPS {
        let Some(rows) = queue.pop_front() else { break };
        let outcome = send(dataverse, table, &rows).await;
        let mut by_id: HashMap<Uuid, Row> = rows.into_iter().map(|row| (row.id, row)).collect();
        if !outcome.done.is_empty() {
            unknown = 0;
            refused.in_a_row = 0;
            calls.denials.passed(calls.kind);
        }
        made.new.extend(&outcome.done);
        outcome.done.iter().for_each(|id| drop(by_id.remove(id)));
        let Some(error) = outcome.error else { continue };
        let alone = by_id.len() == 1;
        match meaning(&error) {
            Meaning::Look => {
                // A service that never answers is left alone for now.
                unknown += u32::from(matches!(error, ConnectError::OutcomeUnknown { .. }));
                if unknown > UNSEEN {
                    made.put_off = Some(error);
                    break;
                }
                let ids: Vec<Uuid> = by_id.keys().copied().collect();
                match dataverse.existing(&table.entity, &ids, state).await {
                    Ok(found) => {
                        let nothing = found.is_empty();
                        for (id, state) in found {
                            by_id.remove(&id);
                            made.there.push((id, state.is_some_and(|s| s != 0)));
                        }
                        if nothing && alone && matches!(error, ConnectError::Duplicate { .. }) {
                            made.failed.extend(by_id.into_keys().map(|id| (id, error.clone())));
                        } else if nothing && !alone {
                            // Where no answer came, so many rows may take longer than is waited for.
                            halve(by_id, &mut queue);
                        } else if !by_id.is_empty() {
                            queue.push_front(by_id.into_values().collect());
                        }
                    }
                    Err(error) => made.undecided(error),
                }
            }
            Meaning::Row => {
                // A contact is looked for once; what is refused then is refused for another reason.
                let asked: Vec<Uuid> = by_id.values().filter(|r| looked.insert(r.id)).map(|r| r.contact).collect();
                if !asked.is_empty() {
                    match dataverse.existing(&contacts, &asked, None).await {
                        Ok(found) => {
                            let gone: Vec<Uuid> = by_id
                                .values()
                                .filter(|r| asked.contains(&r.contact) && !found.contains_key(&r.contact))
                                .map(|r| r.id)
                                .collect();
                            // An earlier attempt may have made them, before the contact was deleted: then they are completed.
                            match dataverse.existing(&table.entity, &gone, state).await {
                                Ok(there) => {
                                    for id in gone {
                                        by_id.remove(&id);
                                        match there.get(&id) {
                                            Some(state) => made.there.push((id, state.is_some_and(|s| s != 0))),
                                            None => made.gone.push(id),
                                        }
                                    }
                                    if !by_id.is_empty() {
                                        queue.push_front(by_id.into_values().collect());
                                    }
                                }
                                Err(error) => made.undecided(error),
                            }
                        }
                        Err(error) => made.undecided(error),
                    }
                } else if alone {
                    made.failed.extend(by_id.into_keys().map(|id| (id, error.clone())));
                } else {
                    halve(by_id, &mut queue);
                }
            }
            Meaning::Doubt(doubt) => {
                refused.in_a_row += 1;
                if alone {
                    refused.rows.extend(by_id.into_keys().map(|id| (id, doubt, error.clone())));
                } else if refused.in_a_row < REFUSED_IN_A_ROW {
                    halve(by_id, &mut queue);
                }
                if refused.in_a_row >= REFUSED_IN_A_ROW {
                    refused.last = Some((doubt, error));
                    break;
                }
            }
            Meaning::Moment | Meaning::Run => made.undecided(error),
        }
        if made.end.is_some() || made.put_off.is_some() {
            break;
        }
    }
    refused.judge(calls, &mut made);
    made
}

/// The kind of a call, and how often its kind was denied.
#[derive(Clone, Copy)]
struct Calls<'a> {
    kind: CallKind,
    denials: &'a Denials<CallKind>,
}

/// Rows whose requests were denied, or answered by something else.
#[derive(Default)]
struct RefusedRows {
    /// Requests in a row.
    in_a_row: u32,
    /// Those that were sent alone.
    rows: Vec<(Uuid, Doubt, ConnectError)>,
    /// Why the batch was not taken apart any further.
    last: Option<(Doubt, ConnectError)>,
}

impl RefusedRows {
    /// Decides what each row's refusal is about: its row if other rows of the kind pass, and otherwise all perhaps. A row that has no
    /// result is tried again.
    fn judge(self, calls: Calls<'_>, made: &mut Made) {
        let passed = !made.new.is_empty() && self.last.is_none();
        for (id, doubt, error) in self.rows {
            match doubt {
                Doubt::Denied if passed || calls.denials.is_of_the_record(calls.kind) => made.failed.push((id, error)),
                Doubt::Denied | Doubt::Stranger => made.unclear.push(unclear(doubt, calls.kind, error)),
            }
        }
        match self.last {
            Some((Doubt::Denied, error)) if made.unclear.is_empty() => {
                // So many in a row that the right is missing, or was taken away.
                made.end = Some(error);
            }
            Some((doubt @ Doubt::Stranger, error)) if made.unclear.is_empty() => made.unclear.push(unclear(doubt, calls.kind, error)),
            Some(_) | None => {}
        }
    }
}

fn halve(rows: HashMap<Uuid, Row>, queue: &mut VecDeque<Vec<Row>>) {
    let mut rows: Vec<Row> = rows.into_values().collect();
    rows.sort_by_key(|row| row.id);
    let second = rows.split_off(rows.len() / 2);
    queue.push_front(second);
    queue.push_front(rows);
}

impl Made {
    fn undecided(&mut self, error: ConnectError) {
        match meaning(&error) {
            Meaning::Run => self.end = Some(error),
            // A question that is refused ends as well: it will be refused again.
            Meaning::Row | Meaning::Doubt(Doubt::Denied) => self.end = Some(error),
            // Nothing is known of the rows; they are asked for again.
            Meaning::Doubt(Doubt::Stranger) => self.put_off = Some(error),
            Meaning::Moment | Meaning::Look => self.put_off = Some(error),
        }
    }
}

/// What one request did: the rows that were made, and the error of the others.
struct Sent {
    done: Vec<Uuid>,
    error: Option<ConnectError>,
}

async fn send(dataverse: &Dataverse, table: &ActivityTable, rows: &[Row]) -> Sent {
    if table.bulk {
        let targets: Vec<Target> = rows.iter().map(|row| row.target.clone()).collect();
        return match dataverse.create_all(&table.entity, &targets).await {
            Ok(()) => Sent { done: rows.iter().map(|row| row.id).collect(), error: None },
            Err(error) => Sent { done: Vec::new(), error: Some(error) },
        };
    }
    let primary = &table.entity.primary_id;
    let parts: Vec<Part> = rows
        .iter()
        .map(|row| {
            let inner = row.target.fields.trim_start_matches('{');
            Part::Single(Operation::create(&table.entity, format!("{{\"{primary}\":\"{}\",{inner}", row.id)))
        })
        .collect();
    let outcomes = match dataverse.batch(&parts, true).await {
        Ok(outcomes) => outcomes,
        Err(error) => return Sent { done: Vec::new(), error: Some(error) },
    };
    let mut sent = Sent { done: Vec::new(), error: None };
    for (row, outcome) in rows.iter().zip(outcomes) {
        match outcome {
            PartOutcome::Done(_) => sent.done.push(row.id),
            PartOutcome::Failed { error, .. } => drop(sent.error.get_or_insert(error)),
            PartOutcome::NotBegun => {}
        }
    }
    sent
}

/// Completes activities; gives those that could not be.
async fn complete(dataverse: &Dataverse, table: &ActivityTable, ids: &[Uuid]) -> Vec<(Uuid, ConnectError)> {
    /// Completed, and the default reason of that state (Dataverse: *Custom activities*).
    const BODY: &str = r#"{"statecode":1,"statuscode":2}"#;
    if ids.is_empty() {
        return Vec::new();
    }
    if table.bulk {
        let targets: Vec<Target> = ids.iter().map(|id| Target { key: Some((*id).into()), fields: BODY.to_owned() }).collect();
        let results = dataverse.bulk(&table.entity, Bulk::Update, &targets, ROWS).await;
        return ids.iter().zip(results).filter_map(|(id, result)| Some((*id, result.err()?))).collect();
    }
    let mut failed = Vec::new();
    for ids in ids.chunks(PARTS) {
        let parts: Vec<Part> = ids
            .iter()
            .filter_map(|id| Operation::write(&table.entity, &(*id).into(), BODY, &Condition::Exists).map(Part::Single))
            .collect();
        match dataverse.batch(&parts, true).await {
            Ok(outcomes) => {
                for (id, outcome) in ids.iter().zip(outcomes) {
                    if let PartOutcome::Failed { error, .. } = outcome {
                        failed.push((*id, error));
                    }
                }
            }
            Err(error) => failed.extend(ids.iter().map(|id| (*id, error.clone()))),
        }
    }
    failed
}

/// Whether a row is gone, or closed already.
async fn is_settled(dataverse: &Dataverse, entity: &Entity, id: Uuid) -> bool {
    match dataverse.existing(entity, &[id], Some("statecode")).await {
        Ok(found) => found.get(&id).is_none_or(|state| state.is_some_and(|s| s != 0)),
        Err(_) => false,
    }
}
