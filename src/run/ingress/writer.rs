//! The writer of a flow: takes operations from the state, writes them to Campaign, hands the answers back.
//!
//! One call creates a record, one updates it with just the fields that changed, one deletes it. Where an answer was not seen,
//! the next attempt looks before it writes. A record is addressed by its custom key; Campaign's PKey is never kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::value::RawValue;

use super::Shared;
use super::adopt::{self, Candidate};
use super::body::{self, NoBody, Purpose, Request};
use super::ended::{Ended, Tally};
use super::reader::{Rows, mass_change, query};
use super::related::RelatedValues;
use crate::connect::ConnectError;
use crate::engine::events::{Emitter, Note, Problem, RunEvent};
use crate::engine::policy::{self, ATTEMPTS, Action, Doubt, FAILURES_IN_A_ROW, GIVE_UP};
use crate::engine::pump::{self, Course, Handler, Outcome, Queue, Rest, Sizes, View};
use crate::engine::refusals::{Denials, Refused, Unclear};
use crate::eval::Evaluator;
use crate::run::calls::{self, CallKind, Sides};
use crate::run::failure;
use crate::run::optout::keep_before_delete;
use crate::run::{Pace, RunError};
use crate::store::{ClaimedField, ClaimedOp, Failure, Judged, RefetchOutcome, Settled, Settlement, Work};
use crate::systems::{Match, Payload, RecordKey, Written};
use crate::time::Instant;

/// Operations claimed at once, per call that may be under way.
const CLAIM_PER_CALL: usize = 32;
/// Answers settled at once.
const SETTLE_BATCH: usize = 256;
/// Times that the records are looked up to which one write links.
const LOOK_UPS: usize = 3;

/// The pause between looks at what was postponed, once the reader has ended.
const LOOK: Duration = Duration::from_millis(100);
/// The pause between looks while the reader reads, which tells when it has queued something.
const LOOK_WHILE_READING: Duration = Duration::from_millis(500);

/// Writes until the reader has ended and nothing is left that can be written.
pub(super) async fn write(shared: Arc<Shared>) -> Result<(), RunError> {
    let at_once = shared.context.options.concurrency.max(1);
    let sizes = Sizes { at_once, claim: at_once * CLAIM_PER_CALL, settle: SETTLE_BATCH, in_a_row: FAILURES_IN_A_ROW };
    pump::run(Outbox { shared: shared.clone() }, shared.clone(), sizes, shared.context.round(&shared.signals)).await
}

/// The operations of the flow in the state.
struct Outbox {
    shared: Arc<Shared>,
}

impl Queue<Shared> for Outbox {
    async fn claim(&mut self, limit: usize) -> Result<Vec<ClaimedOp>, RunError> {
        let context = &self.shared.context;
        Ok(context.stores.outbox.claim(context.run, &self.shared.flow().name, limit, context.now()).await?)
    }

    async fn settle(&mut self, answers: Vec<Settlement>) -> Result<(), RunError> {
        let context = &self.shared.context;
        let outcome = context.stores.outbox.settle(context.run, answers).await?;
        context.emit(RunEvent::Created(outcome.created));
        context.emit(RunEvent::Updated(outcome.updated));
        Ok(())
    }

    fn give_back(&self, op: ClaimedOp) -> Option<Settlement> {
        Some(op.released())
    }

    async fn rest(&mut self, view: View) -> Result<Rest, RunError> {
        let backlog = self.shared.context.stores.outbox.backlog(&self.shared.flow().name).await?;
        self.shared.context.note_backlog(backlog.total());
        let once = self.shared.context.options.pace == Pace::Once;
        // What waits for records of other flows, or for some that never come, goes on waiting beyond this round.
        let left = backlog.total() - backlog.waiting_for_parents.min(backlog.total());
        Ok(match (view.reading, left) {
            (false, 0) => Rest::Over,
            // An answer has made it due.
            _ if backlog.due() > 0 => Rest::Due,
            // What was postponed too often waits for another run.
            (false, left) if once && view.exhausted >= left => Rest::Over,
            // In a watch the next round goes on with what was postponed.
            (false, left) if !once && backlog.delayed == left => Rest::Over,
            (false, _) => Rest::Wait(LOOK),
            (true, _) => Rest::Wait(LOOK_WHILE_READING),
        })
    }

    /// Records that were read again on their own may have added to what is held after the reader's round was judged.
    async fn release(&mut self) -> Result<bool, RunError> {
        if !self.shared.round_over.load(Ordering::Acquire) {
            return Ok(false);
        }
        let limits = self.shared.context.options.mass_limits;
        match self.shared.context.stores.outbox.judge_held(&self.shared.flow().name, limits).await? {
            Judged::Released(count) => Ok(count > 0),
            Judged::Held(change) => Err(mass_change(self.shared.flow(), change)),
        }
    }
}

impl Handler for Shared {
    type Unit = ClaimedOp;
    type Answer = Settlement;
    type Call = CallKind;
    type Failure = String;
    type Error = RunError;

    async fn carry_out(self: Arc<Self>, op: ClaimedOp) -> Result<Outcome<Shared>, RunError> {
        let ended = match &op.work {
            Work::Upsert(_) => upsert(&self, &op).await,
            Work::Delete => delete(&self, &op).await,
            Work::Refetch => refetch(&self, &op).await?,
        };
        Ok(outcome(&self.context.events, op.seq, ended))
    }

    fn denials(&self) -> &Denials<CallKind> {
        &self.denials
    }

    async fn service_answers(&self, _: CallKind, key: &str) -> bool {
        target_answers(self, key).await
    }

    fn refused(&self, refused: Refused<CallKind>) -> RunError {
        let sides = Sides { source: self.source.system(), target: self.target.system() };
        calls::refused(refused, sides, &self.flow().name, self.context.memory.backlog())
    }

    fn unavailable(&self, failures: u32, last: String) -> RunError {
        RunError::Unavailable { failures, last, waiting: self.context.memory.backlog() }
    }
}

/// Counts how an operation ended, and says what it means for the others.
fn outcome(events: &Emitter, seq: i64, ended: Ended) -> Outcome<Shared> {
    let silent = |settlement| Outcome::silent(seq, vec![settlement]);
    match ended {
        Ended::Settle(settlement, tally) => {
            let course = match tally {
                Tally::Call | Tally::Deleted | Tally::Failed => Course::Passed,
                Tally::NoCall | Tally::NothingToDelete | Tally::Waits => Course::Silent,
                Tally::Retried { .. } => Course::Failed(match &settlement.result {
                    Settled::Retry { error, .. } => error.clone(),
                    _ => String::new(),
                }),
            };
            match tally {
                Tally::Call | Tally::Waits => {}
                Tally::NoCall => events.emit(RunEvent::Unchanged(1)),
                Tally::Deleted => events.emit(RunEvent::Deleted(1)),
                Tally::NothingToDelete => events.emit(RunEvent::DeletedWithoutEffect(1)),
                Tally::Failed => events.emit(RunEvent::Failed(1)),
                Tally::Retried { .. } => events.emit(RunEvent::Postponed(1)),
            }
            let exhausted = matches!(tally, Tally::Retried { attempts } if attempts >= ATTEMPTS);
            Outcome { answered: course == Course::Passed, course, exhausted, ..silent(settlement) }
        }
        Ended::Refetched(RefetchOutcome::Applied(outcome)) => {
            events.emit(RunEvent::Read(outcome.records));
            events.emit(RunEvent::Unchanged(outcome.unchanged));
            events.emit(RunEvent::FilteredOut(outcome.filtered_out));
            events.emit(RunEvent::Rejected(outcome.rejected));
            events.emit(RunEvent::Forgotten(outcome.forgotten));
            Outcome::silent(seq, Vec::new())
        }
        Ended::Refetched(RefetchOutcome::Superseded | RefetchOutcome::Stale) => Outcome::silent(seq, Vec::new()),
        Ended::Unclear(settlement, unclear) => {
            events.emit(RunEvent::Postponed(1));
            // A run that goes through once does not wait for what something else has answered: the request may be under way for minutes.
            let exhausted = unclear.doubt == Doubt::Stranger;
            Outcome { exhausted, unclear: vec![*unclear], ..silent(settlement) }
        }
        Ended::Abort(settlement, error) => Outcome { end: Some(error), ..silent(settlement) },
    }
}

async fn upsert(shared: &Shared, op: &ClaimedOp) -> Ended {
    let exists = if op.uncertain {
        match shared.target.get(identity(shared, op)).await {
            Ok(found) => {
                shared.denials.passed(CallKind::Look);
                found.is_some()
            }
            Err(error) => return failed(shared, op, CallKind::Look, &error, None).await,
        }
    } else {
        op.known
    };
    if !exists {
        return create(shared, op, true).await;
    }
    match update(shared, op).await {
        // Somebody deleted the record at the target; Dynamics is the source of truth.
        Update::Missing => create(shared, op, false).await,
        Update::Done(replaced) => Ended::Settle(op.written(false).without(op, &replaced), Tally::Call),
        Update::Nothing => Ended::Settle(op.written(false), Tally::NoCall),
        Update::Ended(ended) => *ended,
    }
}

/// What names an operation's record, and what an answer about it must have.
fn identity<'a>(shared: &'a Shared, op: &'a ClaimedOp) -> RecordKey<'a> {
    RecordKey { table: body::table(shared.flow()), attribute: &shared.key, value: &op.key }
}

/// The body of a write, or how the operation ends if there is none.
async fn body_of(shared: &Shared, op: &ClaimedOp, purpose: Purpose) -> Result<Request, Box<Ended>> {
    match body::of(shared, op, purpose).await {
        Ok(request) => Ok(request),
        Err(NoBody::Ended(ended)) => Err(ended),
        Err(NoBody::NoRecord(failure)) => Err(Box::new(dead_letter(shared, op, *failure, false))),
        Err(NoBody::LookUpFailed { error, shown }) => Err(Box::new(failed(shared, op, CallKind::Look, &error, Some(shown)).await)),
    }
}

/// How an update went.
enum Update {
    /// Written, but for the links by key of these fields, which lead somewhere else.
    Done(Vec<String>),
    /// There is no such record.
    Missing,
    /// No field differs: no call was made.
    Nothing,
    Ended(Box<Ended>),
}

/// Sends the fields that differ.
async fn update(shared: &Shared, op: &ClaimedOp) -> Update {
    if op.write_set(false).next().is_none() && op.kept.is_empty() {
        return Update::Nothing;
    }
    let request = match body_of(shared, op, Purpose::Update).await {
        Ok(request) => request,
        Err(ended) => return Update::Ended(ended),
    };
    let replaced = request.replaced.clone();
    match send(shared, op, Write::Update, request).await {
        Ok(Ok(Written::Done)) => Update::Done(replaced),
        Ok(Ok(Written::Missing)) => Update::Missing,
        Ok(Err((error, shown))) => Update::Ended(Box::new(failed(shared, op, CallKind::Update, &error, Some(shown)).await)),
        Err(ended) => Update::Ended(ended),
    }
}

/// How a body is sent.
#[derive(Clone, Copy)]
enum Write<'a> {
    Create,
    Update,
    /// To a record that a search has found.
    Adopt(&'a Match),
}

impl Write<'_> {
    fn purpose(self) -> Purpose {
        match self {
            Write::Create => Purpose::Create,
            Write::Update => Purpose::Update,
            Write::Adopt(_) => Purpose::Adopt,
        }
    }
}

/// Sends a body. Gives the answer, or the error with the body as it may be kept;
/// how the operation ends instead if a record that it links to is not at the target any more.
///
/// A link is written with the PKey of the other record, which was looked up just before. If that PKey expires until the write
/// arrives, Campaign rejects the record, though nothing is wrong with it. So after a rejection the links are looked up again, and
/// the write is repeated if their PKeys are other ones now. How long a PKey lives is not documented.
async fn send(
    shared: &Shared,
    op: &ClaimedOp,
    write: Write<'_>,
    mut request: Request,
) -> Result<Result<Written, (ConnectError, String)>, Box<Ended>> {
    for _ in 1..LOOK_UPS {
        let error = match call(shared, op, write, request.sent.clone()).await {
            Ok(written) => return Ok(Ok(written)),
            Err(error) => error,
        };
        if !policy::is_rejection(&error) || matches!(error, ConnectError::Duplicate { .. }) {
            return Ok(Err((error, request.into_shown())));
        }
        shared.target.forget_links();
        let again = body_of(shared, op, write.purpose()).await?;
        if again.sent == request.sent {
            return Ok(Err((error, request.into_shown())));
        }
        request = again;
    }
    Ok(call(shared, op, write, request.sent.clone()).await.map_err(|error| (error, request.into_shown())))
}

async fn call(shared: &Shared, op: &ClaimedOp, write: Write<'_>, body: Payload) -> Result<Written, ConnectError> {
    let flow = shared.flow();
    let (kind, answer) = match write {
        Write::Create => {
            let created = shared.target.create(body::table(flow), &shared.key, body).await;
            (CallKind::Create, created.map(|()| Written::Done))
        }
        Write::Update => (CallKind::Update, shared.target.update(identity(shared, op), body, None).await),
        Write::Adopt(found) => (CallKind::Update, shared.target.adopt(found, identity(shared, op), body).await),
    };
    if answer.is_ok() {
        shared.denials.passed(kind);
    }
    answer
}

/// On disk before a request that makes a record again: if its answer is never seen, the links that led to the old record are still
/// written again. A record that the ledger does not have needs no note: the row that its write adds says as much.
async fn note_remade(shared: &Shared, op: &ClaimedOp) -> Result<(), Ended> {
    if !op.known {
        return Ok(());
    }
    let seq = op.seq;
    match shared.context.stores.outbox.note_remade(shared.context.run, seq).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Ended::Abort(op.released(), RunError::Task(format!("operation {seq} is no longer in progress")))),
        Err(error) => Err(Ended::Abort(op.released(), error.into())),
    }
}

/// Looks for a record that is not ours yet and is to be adopted; how the operation ends if there is one, or more than one. `None` if the
/// record is to be created.
async fn adopt(shared: &Shared, op: &ClaimedOp) -> Option<Ended> {
    let candidate = match candidate(shared, op).await {
        Ok(candidate) => candidate,
        Err(error) => return Some(failed(shared, op, CallKind::Look, &error, None).await),
    };
    match candidate {
        Candidate::None => None,
        Candidate::Own => Some(update_found(shared, op).await),
        Candidate::Several { by, count, more } => {
            Some(dead_letter(shared, op, adopt::ambiguous(&shared.context.plan, shared.flow(), &by, count, more), false))
        }
        Candidate::One { found, .. } => Some(give_key(shared, op, &found).await),
    }
}

async fn candidate(shared: &Shared, op: &ClaimedOp) -> Result<Candidate, ConnectError> {
    let fields: &[ClaimedField] = if let Work::Upsert(fields) = &op.work { fields } else { &[] };
    let value_of = |path: &str| fields.iter().find(|field| *field.path == *path).map(|field| field.value.get());
    let candidate = adopt::find(&*shared.target, shared.flow(), &op.key, value_of).await?;
    shared.denials.passed(CallKind::Look);
    Ok(candidate)
}

/// Gives a record the key and all values, in one write.
async fn give_key(shared: &Shared, op: &ClaimedOp, found: &Match) -> Ended {
    let again = |why: &str| {
        Ended::Settle(op.retry(shared.context.later(op.attempts), why, op.uncertain), Tally::Retried { attempts: op.attempts + 1 })
    };
    let Some(reserved) = shared.adoptions.reserve(found, &op.key) else {
        return again("another record is about to be matched with the same record");
    };
    let request = match body_of(shared, op, Purpose::Adopt).await {
        Ok(request) => request,
        Err(ended) => return *ended,
    };
    if let Err(ended) = note_remade(shared, op).await {
        return ended;
    }
    let replaced = request.replaced.clone();
    let (error, shown) = match send(shared, op, Write::Adopt(found), request).await {
        Ok(Ok(Written::Done)) => {
            reserved.keep();
            shared.context.emit(RunEvent::Noted(Note::Adopted, 1));
            return Ended::Settle(op.adopted().without(op, &replaced), Tally::Call);
        }
        Ok(Ok(Written::Missing)) => return again("the record that was found is gone"),
        Ok(Err(refused)) => refused,
        Err(ended) => return *ended,
    };
    if !policy::is_rejection(&error) {
        // It may have been carried out.
        reserved.keep();
        return failed(shared, op, CallKind::Update, &error, Some(shown)).await;
    }
    // Somebody may have given it a key since, or another record has ours already.
    match shared.target.get(identity(shared, op)).await {
        Ok(Some(_)) => return update_found(shared, op).await,
        Ok(None) => {}
        Err(second) if !policy::is_rejection(&second) => return failed(shared, op, CallKind::Look, &second, None).await,
        Err(_) => {}
    }
    match candidate(shared, op).await {
        Ok(Candidate::One { found: still, .. }) if still == *found => failed(shared, op, CallKind::Update, &error, Some(shown)).await,
        Ok(_) => again("the record that was found has a key by now"),
        Err(second) => failed(shared, op, CallKind::Look, &second, None).await,
    }
}

/// Updates a record that turned out to be at the target.
async fn update_found(shared: &Shared, op: &ClaimedOp) -> Ended {
    match update(shared, op).await {
        Update::Done(replaced) => Ended::Settle(op.written(false).without(op, &replaced), Tally::Call),
        Update::Nothing => Ended::Settle(op.written(false), Tally::Call),
        Update::Missing => Ended::Settle(
            op.retry(shared.context.later(op.attempts), "the record appeared and disappeared", true),
            Tally::Retried { attempts: op.attempts + 1 },
        ),
        Update::Ended(ended) => *ended,
    }
}

/// Creates a record, unless there is one to adopt. Where the target has it already (`look`), it is ours by its key, and it is brought to
/// these values.
async fn create(shared: &Shared, op: &ClaimedOp, look: bool) -> Ended {
    if !shared.flow().adopt.is_empty()
        && let Some(ended) = adopt(shared, op).await
    {
        return ended;
    }
    let request = match body_of(shared, op, Purpose::Create).await {
        Ok(request) => request,
        Err(ended) => return *ended,
    };
    if let Err(ended) = note_remade(shared, op).await {
        return ended;
    }
    let replaced = request.replaced.clone();
    let (error, shown) = match send(shared, op, Write::Create, request).await {
        Ok(Ok(Written::Done | Written::Missing)) => return Ended::Settle(op.written(true).without(op, &replaced), Tally::Call),
        Ok(Err(refused)) => refused,
        Err(ended) => return *ended,
    };
    // The answer to a duplicate key is not documented, so after every refusal the target is asked whether it has the key.
    if look && policy::is_rejection(&error) {
        match shared.target.get(identity(shared, op)).await {
            Ok(Some(_)) => return update_found(shared, op).await,
            Ok(None) => {}
            Err(second) if !policy::is_rejection(&second) => return failed(shared, op, CallKind::Look, &second, None).await,
            Err(_) => {}
        }
    }
    failed(shared, op, CallKind::Create, &error, Some(shown)).await
}

async fn delete(shared: &Shared, op: &ClaimedOp) -> Ended {
    // Of a record that was never written there is nothing to delete; one of that key which others made is not ours.
    if !op.known && !op.uncertain {
        return Ended::Settle(op.deleted(), Tally::NothingToDelete);
    }
    let resource = &shared.flow().target.collection;
    // The profile may have the only copy of an opt-out: it is on disk before the profile goes.
    match keep_before_delete(&shared.context, &shared.flow().name, resource, &op.key).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return failed(shared, op, CallKind::Look, &error, None).await,
        Err(error) => return Ended::Abort(op.released(), error),
    }
    match shared.target.delete(identity(shared, op)).await {
        Ok(Written::Done | Written::Missing) => {
            shared.denials.passed(CallKind::Delete);
            Ended::Settle(op.deleted(), Tally::Deleted)
        }
        Err(error) => failed(shared, op, CallKind::Delete, &error, None).await,
    }
}

/// Reads a record again and stores its present result.
async fn refetch(shared: &Shared, op: &ClaimedOp) -> Result<Ended, RunError> {
    let flow = shared.flow();
    if !shared.source.is_id(&op.source_id) {
        return Ok(Ended::Abort(op.released(), RunError::Task(format!("`{}` is not the id of a record", op.source_id))));
    }
    let record = match shared.source.retrieve(&query(flow), &op.source_id).await {
        Ok(record) => record,
        Err(error) => return Ok(failed(shared, op, CallKind::Reread, &error, None).await),
    };
    shared.denials.passed(CallKind::Reread);
    let evaluator = Evaluator::new(flow)?;
    let (context, stores) = (&shared.context, &shared.context.stores);
    let values = match RelatedValues::of(flow, &*shared.source, stores, record.as_deref().map(RawValue::get)).await {
        Ok(values) => values,
        Err(RunError::Service(error)) => return Ok(failed(shared, op, CallKind::Reread, &error, None).await),
        Err(error) => return Ok(Ended::Abort(op.released(), error)),
    };
    let records = [(&*op.source_id, record.as_deref())];
    let rows = Rows::of_records(&context.plan, flow, &evaluator, records, values.as_ref(), context.now());
    let (change, times) = match rows.one(&context.plan, flow, &*stores.privacy).await {
        Ok(evaluated) => evaluated,
        Err(error) => return Ok(Ended::Abort(op.released(), error)),
    };
    let outcome = stores.outbox.resolve_refetch(context.run, &flow.name, op.seq, change, times, true).await?;
    Ok(Ended::Refetched(outcome))
}

/// When an operation is tried again whose request may still be carried out: not before that request is over. Until then nothing
/// else is written to its record, or the late request would overwrite it.
fn when_over(shared: &Shared, op: &ClaimedOp) -> Instant {
    let lifetime = TimeDelta::from_std(shared.target.request_lifetime().after_timeout).unwrap_or(TimeDelta::MAX);
    let soonest = shared.context.later(op.attempts);
    shared.context.now().checked_add_signed(lifetime).map_or(soonest, |over| over.max(soonest))
}

/// What a failed call makes of its operation.
async fn failed(shared: &Shared, op: &ClaimedOp, kind: CallKind, error: &ConnectError, request: Option<String>) -> Ended {
    let text = || error.to_string();
    let doubt = policy::doubt(error);
    match (policy::action(error, shared.denials.scope(kind, doubt)), doubt) {
        (Action::Reject, _) => given_up(shared, op, error, request, false),
        (Action::Retry { .. }, None | Some(Doubt::Stranger)) if op.attempts + 1 >= GIVE_UP && poisoned(shared, op, error).await => {
            given_up(shared, op, error, request, true)
        }
        (Action::Retry { .. }, Some(doubt)) => {
            let again = match doubt {
                Doubt::Denied => op.retry(shared.context.later(op.attempts), text(), op.uncertain),
                Doubt::Stranger => op.retry(when_over(shared, op), text(), true),
            };
            Ended::Unclear(again, Box::new(Unclear { doubt, call: kind, key: op.key.clone(), error: error.clone() }))
        }
        (Action::Retry { uncertain }, None) => {
            let again = if uncertain { when_over(shared, op) } else { shared.context.later(op.attempts) };
            Ended::Settle(op.retry(again, text(), uncertain || op.uncertain), Tally::Retried { attempts: op.attempts + 1 })
        }
        (Action::Stop | Action::Pause, _) => {
            Ended::Abort(op.retry(shared.context.now(), text(), op.uncertain), RunError::Service(error.clone()))
        }
    }
}

/// Whether Campaign itself answers a read of a record.
async fn target_answers(shared: &Shared, key: &str) -> bool {
    let record = RecordKey { table: body::table(shared.flow()), attribute: &shared.key, value: key };
    match shared.target.get(record).await {
        Ok(_) => true,
        Err(error) => policy::is_answer_of_service(&error),
    }
}

/// Whether it is the record and not the service: Campaign answers some refusals with 500, like its own failures, so a record
/// that keeps getting that answer while the service does its other work would be tried forever. [C] So would one that a
/// firewall blocks for what is in it.
async fn poisoned(shared: &Shared, op: &ClaimedOp, error: &ConnectError) -> bool {
    let of_the_record = error.status() == Some(500) || policy::doubt(error) == Some(Doubt::Stranger);
    of_the_record && !matches!(op.work, Work::Refetch) && target_answers(shared, &op.key).await
}

fn given_up(shared: &Shared, op: &ClaimedOp, error: &ConnectError, request: Option<String>, uncertain: bool) -> Ended {
    dead_letter(shared, op, failure::of_error(&shared.context.plan, shared.flow(), error, request), uncertain)
}

/// Ends an operation as a dead letter.
fn dead_letter(shared: &Shared, op: &ClaimedOp, failure: Failure, uncertain: bool) -> Ended {
    let place = failure.place.as_ref().map(|p| format!("{}:{}:{}", p.file, p.line, p.column)).unwrap_or_default();
    let field = failure.field.as_deref().unwrap_or_default();
    let message = failure::impersonal(shared.flow(), &failure);
    shared.context.emit(RunEvent::Problem(Problem { place: &place, field, code: &failure.code, message: &message, record: &op.source_id }));
    Ended::Settle(op.failed(failure, uncertain), Tally::Failed)
}
