//! Makes rows in a table of activities under ids of ours, whatever of them is there already, and completes them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::ControlFlow;

use uuid::Uuid;

use super::job::{Calls, Job, Meaning, Row, meaning, unclear};
use super::request::send;
use super::target::EventTable;
use crate::connect::ConnectError;
use crate::engine::batch_size::MOST;
use crate::engine::policy::Doubt;
use crate::engine::refusals::Unclear;
use crate::run::calls::CallKind;
use crate::systems::{ActivityBatch, ActivityState, ActivityWrites, BatchOutcome};

/// How often a batch is taken apart and looked up; each time it gets smaller, or something is found.
const STEPS: usize = 4 * MOST;
/// Requests in a row that are denied, or answered by something else, after which a batch is not taken apart any further. Taking apart
/// [`MOST`] rows for one of them needs fewer.
const REFUSED_IN_A_ROW: u32 = 12;
/// Answers of one batch that may stay unseen.
const UNSEEN: u32 = 3;

/// What became of rows.
#[derive(Default)]
pub(super) struct Made {
    /// Made now.
    pub(super) new: Vec<Uuid>,
    /// There already; true where its state is another than open.
    pub(super) there: Vec<(Uuid, bool)>,
    /// Those whose tasks were made as well.
    pub(super) tasked: HashSet<Uuid>,
    /// Those that were completed as well.
    pub(super) closed: HashSet<Uuid>,
    /// The contact is not there.
    pub(super) gone: Vec<Uuid>,
    /// Refused.
    pub(super) failed: Vec<(Uuid, ConnectError)>,
    /// Not decided.
    pub(super) postponed: Option<ConnectError>,
    pub(super) end: Option<ConnectError>,
    pub(super) unclear: Vec<Unclear<CallKind>>,
}

/// Makes rows, whatever of them is there already. A request that is refused is taken apart by what the service has: rows that are there,
/// contacts that are not, and halves of what is left.
pub(super) async fn make(job: Job<'_>, rows: Vec<Row>) -> Made {
    let size = job.rows();
    let mut rows = rows;
    let mut queue: VecDeque<Vec<Row>> = VecDeque::new();
    while !rows.is_empty() {
        let rest = rows.split_off(size.min(rows.len()));
        queue.push_back(std::mem::replace(&mut rows, rest));
    }
    let (made, refused) = (Made::default(), RefusedRows::default());
    let mut making = Making { job, queue, made, refused, looked: HashSet::new(), unseen: 0, halved: 0 };
    for _ in 0..STEPS {
        let Some(rows) = making.queue.pop_front() else { break };
        if making.request(rows).await.is_break() {
            break;
        }
    }
    let Making { mut made, refused, halved, .. } = making;
    refused.judge(job.calls, &mut made);
    if halved > 0 && made.failed.is_empty() && made.end.is_none() && made.postponed.is_none() {
        // No row was faulty.
        job.calls.sizes.too_many(job.calls.kind, job.rows_of(halved));
    }
    made
}

/// Rows that are being made.
struct Making<'a> {
    job: Job<'a>,
    /// The rows of the requests to come.
    queue: VecDeque<Vec<Row>>,
    made: Made,
    refused: RefusedRows,
    /// Rows whose contacts were looked for.
    looked: HashSet<Uuid>,
    /// Answers in a row that were not seen.
    unseen: u32,
    /// The rows of the largest request that was refused for one of its rows, and halved.
    halved: usize,
}

impl Making<'_> {
    /// Makes one request, and decides what comes of those of its rows that were not made.
    async fn request(&mut self, rows: Vec<Row>) -> ControlFlow<()> {
        let outcome = send(&self.job, &rows).await;
        let mut rows: HashMap<Uuid, Row> = rows.into_iter().map(|row| (row.id, row)).collect();
        if !outcome.done.is_empty() {
            self.unseen = 0;
            self.refused.in_a_row = 0;
            self.job.calls.denials.passed(self.job.calls.kind);
        }
        self.made.new.extend(&outcome.done);
        if outcome.tasked {
            self.made.tasked.extend(&outcome.done);
        }
        self.made.closed.extend(outcome.closed);
        outcome.done.iter().for_each(|id| drop(rows.remove(id)));
        let Some(error) = outcome.error else { return ControlFlow::Continue(()) };
        if self.job.calls.sizes.is_too_large(&error) && rows.len() > 1 {
            halve(rows, &mut self.queue);
            return ControlFlow::Continue(());
        }
        let looked = match meaning(&error) {
            Meaning::Look => {
                // A service that never answers is left alone for now.
                self.unseen += u32::from(matches!(error, ConnectError::OutcomeUnknown { .. }));
                if self.unseen > UNSEEN {
                    self.made.postponed = Some(error);
                    return ControlFlow::Break(());
                }
                self.look_for_rows(&error, rows).await
            }
            Meaning::Row => self.look_for_contacts(&error, rows).await,
            Meaning::Doubt(doubt) => return self.refuse(doubt, error, rows),
            Meaning::Moment | Meaning::Run => Err(error),
        };
        if let Err(error) = looked {
            self.made.undecided(error);
        }
        if self.made.end.is_some() || self.made.postponed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Which of these rows are there, each with its state if that matters.
    async fn existing(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Option<ActivityState>>, ConnectError> {
        self.job.table.states(ids, self.job.completed).await
    }

    /// Asks which rows are there, after a request that may have made some or met some.
    async fn look_for_rows(&mut self, error: &ConnectError, mut rows: HashMap<Uuid, Row>) -> Result<(), ConnectError> {
        let alone = rows.len() == 1;
        let ids: Vec<Uuid> = rows.keys().copied().collect();
        let found = self.existing(&ids).await?;
        let nothing = found.is_empty();
        for (id, state) in found {
            rows.remove(&id);
            self.made.is_there(id, state);
        }
        if nothing && alone && matches!(error, ConnectError::Duplicate { .. }) {
            self.made.fail(rows, error);
        } else if nothing && !alone {
            // If no answer came, a request of this size may take longer than is waited for.
            halve(rows, &mut self.queue);
        } else if !rows.is_empty() {
            self.queue.push_front(rows.into_values().collect());
        }
        Ok(())
    }

    /// Asks which contacts are there, after a request that was refused for a row. A contact is looked for once; a row that is refused
    /// again is refused for another reason.
    async fn look_for_contacts(&mut self, error: &ConnectError, mut rows: HashMap<Uuid, Row>) -> Result<(), ConnectError> {
        let asked: Vec<Uuid> = rows.values().filter(|row| self.looked.insert(row.id)).map(|row| row.contact).collect();
        if asked.is_empty() {
            if rows.len() == 1 {
                self.made.fail(rows, error);
            } else {
                self.halved = self.halved.max(rows.len());
                halve(rows, &mut self.queue);
            }
            return Ok(());
        }
        let found = self.job.table.timeline.persons(&asked).await?;
        let is_gone = |row: &&Row| asked.contains(&row.contact) && !found.contains(&row.contact);
        let gone: Vec<Uuid> = rows.values().filter(is_gone).map(|row| row.id).collect();
        // An earlier attempt may have made them, before the contact was deleted: then they are completed.
        let there = self.existing(&gone).await?;
        for id in gone {
            rows.remove(&id);
            match there.get(&id) {
                Some(state) => self.made.is_there(id, *state),
                None => self.made.gone.push(id),
            }
        }
        if !rows.is_empty() {
            self.queue.push_front(rows.into_values().collect());
        }
        Ok(())
    }

    /// Takes the rows of a refusal apart that may be about one of them or about all.
    fn refuse(&mut self, doubt: Doubt, error: ConnectError, rows: HashMap<Uuid, Row>) -> ControlFlow<()> {
        self.refused.in_a_row += 1;
        if rows.len() == 1 {
            self.refused.rows.extend(rows.into_keys().map(|id| (id, doubt, error.clone())));
        } else if self.refused.in_a_row < REFUSED_IN_A_ROW {
            halve(rows, &mut self.queue);
        }
        if self.refused.in_a_row >= REFUSED_IN_A_ROW {
            self.refused.last = Some((doubt, error));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
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
                // After this many in a row, the right is missing or was taken away.
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
    /// A row is there already, in this state.
    fn is_there(&mut self, id: Uuid, state: Option<ActivityState>) {
        self.there.push((id, state.is_some_and(|state| state != ActivityState::Open)));
    }

    /// The rows are refused permanently.
    fn fail(&mut self, rows: HashMap<Uuid, Row>, error: &ConnectError) {
        self.failed.extend(rows.into_keys().map(|id| (id, error.clone())));
    }

    fn undecided(&mut self, error: ConnectError) {
        match meaning(&error) {
            Meaning::Run => self.end = Some(error),
            // A question that is refused ends as well: it will be refused again.
            Meaning::Row | Meaning::Doubt(Doubt::Denied) => self.end = Some(error),
            // Nothing is known of the rows; they are asked for again.
            Meaning::Doubt(Doubt::Stranger) => self.postponed = Some(error),
            Meaning::Moment | Meaning::Look => self.postponed = Some(error),
        }
    }
}

/// Completes activities; gives those that could not be.
pub(super) async fn complete(job: &Job<'_>, ids: &[Uuid]) -> Vec<(Uuid, ConnectError)> {
    let mut failed = Vec::new();
    let mut ids = ids;
    while !ids.is_empty() {
        let (chunk, rest) = ids.split_at(job.rows().min(ids.len()));
        ids = rest;
        let begun = job.calls.sizes.begin();
        let refused = complete_chunk(job, chunk).await;
        let error = refused.first().map(|(_, error)| error);
        job.calls.sizes.ended(job.calls.kind, job.rows_of(chunk.len()), begun, error);
        failed.extend(refused);
    }
    failed
}

async fn complete_chunk(job: &Job<'_>, ids: &[Uuid]) -> Vec<(Uuid, ConnectError)> {
    let batch = ActivityBatch { table: &job.table.table, writes: ActivityWrites::Complete(ids) };
    let outcomes = match job.table.timeline.write_each(&batch).await {
        Ok(outcomes) => outcomes,
        Err(error) => return ids.iter().map(|id| (*id, error.clone())).collect(),
    };
    ids.iter()
        .zip(outcomes)
        .filter_map(|(id, outcome)| match outcome {
            BatchOutcome::Failed(error) => Some((*id, error)),
            BatchOutcome::Done | BatchOutcome::NotBegun => None,
        })
        .collect()
}

/// Whether a row is gone, or closed already.
pub(super) async fn is_settled(table: &EventTable, id: Uuid) -> bool {
    match table.states(&[id], true).await {
        Ok(found) => found.get(&id).is_none_or(|state| state.is_some_and(|state| state != ActivityState::Open)),
        Err(_) => false,
    }
}
