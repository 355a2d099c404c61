//! The writer of a flow: takes operations from the state, writes them to Campaign, hands the answers back.
//!
//! One call creates a record, one updates it with just the fields that changed, one deletes it. Where an answer was not seen,
//! the next attempt looks before it writes. A record is addressed by its custom key; Campaign's PKey is never kept.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::task::JoinSet;

use super::Shared;
use super::body::{self, NoBody, Request};
use super::ended::{Ended, Tally};
use super::reader::{evaluate_known, mass_change, paths};
use crate::connect::ConnectError;
use crate::connect::campaign::{Key, Payload, Written};
use crate::engine::policy::{self, Action, Doubt, Scope};
use crate::engine::refusals::Undecided;
use crate::eval::Evaluator;
use crate::run::calls::{self, CallKind};
use crate::run::failure;
use crate::run::optout::keep_before_delete;
use crate::run::{Pace, RunError};
use crate::state::{ClaimedOp, Judged, RefetchOutcome, Settlement, Work};
use crate::time;

/// Operations taken from the state at once, per call that may be under way.
const CLAIM_PER_CALL: usize = 32;
/// Answers handed to the state at once.
const SETTLE_BATCH: usize = 256;
/// Attempts of one operation for reasons of the moment, before a run that goes through once leaves it waiting.
const ATTEMPTS: u32 = 6;
/// Attempts of one operation over several runs after which a status of 500 is taken for the service's word on the record.
const GIVE_UP: u32 = 3 * ATTEMPTS;
/// Times that the records are looked up to which one write links.
const LOOK_UPS: usize = 3;
/// Calls in a row that fail for reasons of the moment, before the run ends: the service is down, not the record at fault.
const FAILURES_IN_A_ROW: u32 = 25;

/// Writes until the reader has ended and nothing is left that can be written.
pub(super) async fn write(shared: Arc<Shared>) -> Result<(), RunError> {
    let mut writer = Writer {
        shared: shared.clone(),
        queue: VecDeque::new(),
        tasks: JoinSet::new(),
        answers: Vec::new(),
        failures: 0,
        exhausted: HashSet::new(),
        undecided: Undecided::default(),
        end: None,
    };
    let result = writer.work().await;
    // Whatever happened, what is in flight is waited for and its answers are kept.
    let drained = writer.drain().await;
    result.and(drained)
}

/// What the writer does while no call is under way.
#[derive(PartialEq, Eq)]
enum Rest {
    /// Operations are due.
    Due,
    /// To look again after this time.
    Wait(Duration),
    /// The work is done, or the rest is for a later round.
    Done,
}

struct Writer {
    shared: Arc<Shared>,
    queue: VecDeque<ClaimedOp>,
    tasks: JoinSet<Result<Ended, RunError>>,
    answers: Vec<Settlement>,
    /// Failures for reasons of the moment since the last success.
    failures: u32,
    /// Operations that were tried [`ATTEMPTS`] times.
    exhausted: HashSet<i64>,
    /// Refusals that may be about one record or about all.
    undecided: Undecided<CallKind>,
    /// Why the run ends.
    end: Option<RunError>,
}

impl Writer {
    async fn work(&mut self) -> Result<(), RunError> {
        let most = self.shared.context.options.concurrency.max(1);
        let mut reading = self.shared.reading.subscribe();
        loop {
            if self.shared.context.stop.is_cancelled() {
                return Ok(());
            }
            if self.end.is_some() {
                // The reader need not go on for a run that ends.
                self.shared.context.stop.cancel();
                return Ok(());
            }
            let reader_done = !*reading.borrow_and_update();
            if self.queue.is_empty() && self.tasks.len() < most {
                self.claim(most * CLAIM_PER_CALL).await?;
            }
            while self.tasks.len() < most
                && let Some(op) = self.queue.pop_front()
            {
                self.tasks.spawn(carry_out(self.shared.clone(), op));
            }
            if self.tasks.is_empty() {
                self.settle().await?;
                let rest = self.rest(reader_done).await?;
                if reader_done && rest != Rest::Due {
                    self.decide().await;
                    if self.end.is_some() {
                        continue;
                    }
                }
                match rest {
                    Rest::Due => {}
                    Rest::Wait(wait) => {
                        tokio::select! {
                            () = self.shared.queued.notified() => {}
                            _ = reading.changed() => {}
                            () = tokio::time::sleep(wait) => {}
                            () = self.shared.context.stop.cancelled() => {}
                        }
                    }
                    Rest::Done if self.judge().await? > 0 => {}
                    Rest::Done => return Ok(()),
                }
                continue;
            }
            if self.undecided.are_many(FAILURES_IN_A_ROW) && self.end.is_none() {
                self.decide().await;
            }
            if let Some(ended) = self.tasks.join_next().await {
                self.take(ended)?;
                while let Some(ended) = self.tasks.try_join_next() {
                    self.take(ended)?;
                }
            }
            if self.answers.len() >= SETTLE_BATCH || self.queue.is_empty() {
                self.settle().await?;
            }
        }
    }

    /// Decides what the refusals so far are about; the round ends if they are about all records.
    async fn decide(&mut self) {
        let shared = &self.shared;
        let mut refused = self.undecided.denied_to_all(&shared.denials);
        if refused.is_none()
            && let Some(suspicion) = self.undecided.take_stranger()
            && !campaign_answers(shared, &suspicion.key).await
        {
            refused = Some(suspicion.confirmed());
        }
        self.end = refused.map(|refused| calls::refused(refused, &shared.flow().name, shared.context.counters.backlog.get()));
    }

    /// What to do while no call is under way.
    async fn rest(&self, reader_done: bool) -> Result<Rest, RunError> {
        let name = self.shared.flow().name.clone();
        let backlog = self.shared.context.blocking(move |store| store.backlog(&name)).await?;
        self.shared.context.counters.backlog.set(backlog.total());
        let patient = self.shared.context.options.pace == Pace::Once;
        // What waits for records of other flows, or for some that never come, goes on waiting beyond this round.
        let left = backlog.total() - backlog.waiting_for_parents.min(backlog.total());
        Ok(match (reader_done, left) {
            (true, 0) => Rest::Done,
            // An answer has made it due.
            _ if backlog.due() > 0 => Rest::Due,
            // What was put off too often waits for another run.
            (true, left) if patient && self.exhausted.len() as u64 >= left => Rest::Done,
            // In a watch the next round takes up what was put off.
            (true, left) if !patient && backlog.delayed == left => Rest::Done,
            (true, _) => Rest::Wait(Duration::from_millis(100)),
            (false, _) => Rest::Wait(Duration::from_millis(500)),
        })
    }

    /// Records that were read again on their own may have added to what is held after the reader's round was judged. Gives how
    /// many changes were released.
    async fn judge(&self) -> Result<u64, RunError> {
        if !self.shared.round_over.load(Ordering::Acquire) {
            return Ok(0);
        }
        let (name, limits) = (self.shared.flow().name.clone(), self.shared.context.options.mass_limits);
        match self.shared.context.blocking(move |store| store.judge_held(&name, limits)).await? {
            Judged::Released(count) => Ok(count),
            Judged::Held(change) => Err(mass_change(self.shared.flow(), change)),
        }
    }

    async fn claim(&mut self, limit: usize) -> Result<(), RunError> {
        let (run, name) = (self.shared.context.run, self.shared.flow().name.clone());
        let claimed = self.shared.context.blocking(move |store| store.claim(run, &name, limit, time::now())).await?;
        self.queue.extend(claimed);
        Ok(())
    }

    fn take(&mut self, ended: Result<Result<Ended, RunError>, tokio::task::JoinError>) -> Result<(), RunError> {
        let counters = self.shared.context.counters.clone();
        match ended.map_err(|e| RunError::Task(e.to_string()))?? {
            Ended::Settle(settlement, tally) => {
                if matches!(tally, Tally::Call | Tally::Deleted | Tally::Failed) {
                    self.failures = 0;
                    self.undecided.answered();
                    self.exhausted.remove(&settlement.seq);
                }
                match tally {
                    Tally::Call | Tally::Waits => {}
                    Tally::NoCall => counters.unchanged.add(1),
                    Tally::Deleted => counters.deleted.add(1),
                    Tally::NothingToDelete => counters.deletes_without_effect.add(1),
                    Tally::Failed => counters.failed.add(1),
                    Tally::Retried { attempts } => {
                        self.failures += 1;
                        counters.retried.add(1);
                        if attempts >= ATTEMPTS {
                            self.exhausted.insert(settlement.seq);
                        }
                    }
                }
                self.answers.push(settlement);
            }
            Ended::Refetched(RefetchOutcome::Applied(outcome)) => {
                counters.read.add(outcome.records);
                counters.unchanged.add(outcome.unchanged);
                counters.filtered_out.add(outcome.filtered_out);
                counters.rejected.add(outcome.rejected);
                counters.forgotten.add(outcome.forgotten);
            }
            Ended::Refetched(RefetchOutcome::Superseded | RefetchOutcome::Stale) => {}
            Ended::Denied(settlement, kind, error) => {
                counters.retried.add(1);
                self.undecided.denied(kind, error);
                self.answers.push(settlement);
            }
            Ended::Stranger(settlement, kind, key, error) => {
                counters.retried.add(1);
                self.undecided.by_a_stranger(kind, key, error);
                // A run that goes through once does not wait for it: the request may be under way for minutes.
                self.exhausted.insert(settlement.seq);
                self.answers.push(settlement);
            }
            Ended::Abort(settlement, error) => {
                self.answers.push(settlement);
                self.end.get_or_insert(error);
            }
        }
        if self.failures >= FAILURES_IN_A_ROW && self.end.is_none() {
            let last = match self.answers.last().map(|a| &a.result) {
                Some(crate::state::Settled::Retry { error, .. }) => error.clone(),
                _ => String::new(),
            };
            self.end = Some(RunError::Unavailable { failures: self.failures, last, waiting: self.shared.context.counters.backlog.get() });
        }
        Ok(())
    }

    /// Hands the answers to the state.
    async fn settle(&mut self) -> Result<(), RunError> {
        if self.answers.is_empty() {
            return Ok(());
        }
        let (run, answers) = (self.shared.context.run, std::mem::take(&mut self.answers));
        let outcome = self.shared.context.blocking(move |store| store.settle(run, answers)).await?;
        let counters = &self.shared.context.counters;
        counters.created.add(outcome.created);
        counters.updated.add(outcome.updated);
        self.shared.settled.notify_one();
        Ok(())
    }

    /// Waits for what is in flight, gives back what was not begun.
    async fn drain(&mut self) -> Result<(), RunError> {
        while let Some(ended) = self.tasks.join_next().await {
            self.take(ended)?;
        }
        let released: Vec<Settlement> = self.queue.drain(..).map(|op| op.released()).collect();
        self.answers.extend(released);
        self.settle().await?;
        self.end.take().map_or(Ok(()), Err)
    }
}

/// Carries out one operation.
async fn carry_out(shared: Arc<Shared>, op: ClaimedOp) -> Result<Ended, RunError> {
    match &op.work {
        Work::Upsert(_) => Ok(upsert(&shared, &op).await),
        Work::Delete => Ok(delete(&shared, &op).await),
        Work::Refetch => refetch(&shared, &op).await,
    }
}

async fn upsert(shared: &Shared, op: &ClaimedOp) -> Ended {
    let campaign = &shared.context.services.campaign;
    let resource = &shared.flow().target.collection;
    let attribute = shared.flow().key.path.join(".");
    let exists = if op.uncertain {
        match campaign.get(resource, identity(&attribute, op)).await {
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
        Update::Done => Ended::Settle(op.written(false), Tally::Call),
        Update::Nothing => Ended::Settle(op.written(false), Tally::NoCall),
        Update::Ended(ended) => *ended,
    }
}

/// What names an operation's record, and what an answer about it must have.
fn identity<'a>(attribute: &'a str, op: &'a ClaimedOp) -> Key<'a> {
    Key::Identity { attribute, value: &op.key }
}

/// The body of a write, or how the operation ends if there is none.
async fn body_of(shared: &Shared, op: &ClaimedOp, create: bool) -> Result<Request, Box<Ended>> {
    match body::of(shared, op, create).await {
        Ok(request) => Ok(request),
        Err(NoBody::Ended(ended)) => Err(ended),
        Err(NoBody::LookUpFailed { error, shown }) => Err(Box::new(failed(shared, op, CallKind::Look, &error, Some(shown)).await)),
    }
}

/// How an update went.
enum Update {
    Done,
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
    let request = match body_of(shared, op, false).await {
        Ok(request) => request,
        Err(ended) => return Update::Ended(ended),
    };
    match send(shared, op, false, request).await {
        Ok(Ok(Written::Done)) => Update::Done,
        Ok(Ok(Written::Missing)) => Update::Missing,
        Ok(Err((error, shown))) => Update::Ended(Box::new(failed(shared, op, CallKind::Update, &error, Some(shown)).await)),
        Err(ended) => Update::Ended(ended),
    }
}

/// Sends a body: of a record that is created (`creates`) or updated. Gives the answer, or the error with the body as it may be kept;
/// how the operation ends instead if a record that it links to is not at the target any more.
///
/// A link is written with the PKey of the other record, which was looked up just before. If that PKey expires until the write
/// arrives, Campaign rejects the record, though nothing is wrong with it. So after a rejection the links are looked up again, and
/// the write is repeated if their PKeys are other ones now. How long a PKey lives is not documented.
async fn send(
    shared: &Shared,
    op: &ClaimedOp,
    creates: bool,
    mut request: Request,
) -> Result<Result<Written, (ConnectError, String)>, Box<Ended>> {
    for _ in 1..LOOK_UPS {
        let error = match call(shared, op, creates, request.sent.clone()).await {
            Ok(written) => return Ok(Ok(written)),
            Err(error) => error,
        };
        if !is_refusal(&error) || matches!(error, ConnectError::Duplicate { .. }) {
            return Ok(Err((error, request.into_shown())));
        }
        let again = body_of(shared, op, creates).await?;
        if again.sent == request.sent {
            return Ok(Err((error, request.into_shown())));
        }
        request = again;
    }
    Ok(call(shared, op, creates, request.sent.clone()).await.map_err(|error| (error, request.into_shown())))
}

async fn call(shared: &Shared, op: &ClaimedOp, creates: bool, body: Payload) -> Result<Written, ConnectError> {
    let (campaign, flow) = (&shared.context.services.campaign, shared.flow());
    let attribute = flow.key.path.join(".");
    let (kind, answer) = if creates {
        let created = campaign.create(&flow.target.collection, Some(&attribute), body).await;
        (CallKind::Create, created.map(|()| Written::Done))
    } else {
        (CallKind::Update, campaign.update(&flow.target.collection, identity(&attribute, op), body).await)
    };
    if answer.is_ok() {
        shared.denials.passed(kind);
    }
    answer
}

/// Creates a record. Where the target has it already (`look`), it is ours by its key, and it is brought to these values.
async fn create(shared: &Shared, op: &ClaimedOp, look: bool) -> Ended {
    let flow = shared.flow();
    let request = match body_of(shared, op, true).await {
        Ok(request) => request,
        Err(ended) => return *ended,
    };
    // On disk before the request: should its answer never be seen, the links that led to the old record are written again all the
    // same. A record that the ledger does not have needs no note: the row that its write adds says as much.
    if op.known {
        let (run, seq) = (shared.context.run, op.seq);
        match shared.context.blocking(move |store| store.note_remade(run, seq)).await {
            Ok(true) => {}
            Ok(false) => return Ended::Abort(op.released(), RunError::Task(format!("operation {seq} is not in progress any more"))),
            Err(error) => return Ended::Abort(op.released(), error),
        }
    }
    let (error, shown) = match send(shared, op, true, request).await {
        Ok(Ok(Written::Done | Written::Missing)) => return Ended::Settle(op.written(true), Tally::Call),
        Ok(Err(refused)) => refused,
        Err(ended) => return *ended,
    };
    let campaign = &shared.context.services.campaign;
    let attribute = flow.key.path.join(".");
    // The answer to a duplicate key is not documented, so after every refusal the target is asked whether it has the key.
    if look && is_refusal(&error) {
        match campaign.get(&flow.target.collection, identity(&attribute, op)).await {
            Ok(Some(_)) => {
                return match update(shared, op).await {
                    Update::Done | Update::Nothing => Ended::Settle(op.written(false), Tally::Call),
                    Update::Missing => {
                        Ended::Settle(op.retry(later(op), "the record came and went", true), Tally::Retried { attempts: op.attempts + 1 })
                    }
                    Update::Ended(ended) => *ended,
                };
            }
            Ok(None) => {}
            Err(second) if !is_refusal(&second) => return failed(shared, op, CallKind::Look, &second, None).await,
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
    match shared.context.services.campaign.delete(resource, &op.key).await {
        Ok(Written::Done | Written::Missing) => {
            shared.denials.passed(CallKind::Delete);
            Ended::Settle(op.deleted(), Tally::Deleted)
        }
        Err(error) => failed(shared, op, CallKind::Delete, &error, None).await,
    }
}

/// Reads a record anew and takes in what it comes to now.
async fn refetch(shared: &Shared, op: &ClaimedOp) -> Result<Ended, RunError> {
    let flow = shared.flow();
    let Ok(id) = uuid::Uuid::parse_str(&op.source_id) else {
        return Ok(Ended::Abort(op.released(), RunError::Task(format!("`{}` is no record's id", op.source_id))));
    };
    let select = flow.source.select();
    let record =
        match shared.context.services.dataverse.retrieve_with(&flow.source.collection, id, &select, flow.source.annotations()).await {
            Ok(record) => record,
            Err(error) => return Ok(failed(shared, op, CallKind::Reread, &error, None).await),
        };
    shared.denials.passed(CallKind::Reread);
    let evaluator = Evaluator::new(flow)?;
    let (change, due) = match evaluate_known(
        &shared.context.plan,
        &shared.context.store,
        flow,
        &evaluator,
        &paths(flow),
        &op.source_id,
        record.as_deref(),
        shared.context.options.clock.now(),
    ) {
        Ok(timed) => timed,
        Err(error) => return Ok(Ended::Abort(op.released(), error)),
    };
    let (run, name, seq) = (shared.context.run, flow.name.clone(), op.seq);
    let outcome = shared.context.blocking(move |store| store.resolve_refetch_guarded(run, &name, seq, change, due, true)).await?;
    Ok(Ended::Refetched(outcome))
}

/// When an operation is tried again: two seconds, doubled with each attempt, two minutes at most.
fn later(op: &ClaimedOp) -> time::Instant {
    time::now() + TimeDelta::seconds((2_i64 << op.attempts.min(6)).min(120))
}

/// When an operation is tried again whose request may still be carried out: not before that request is over. Until then nothing
/// else is written to its record, or the late request would overwrite it.
fn when_over(shared: &Shared, op: &ClaimedOp) -> time::Instant {
    let lifetime = TimeDelta::from_std(shared.context.services.campaign.request_lifetime()).unwrap_or(TimeDelta::MAX);
    time::now().checked_add_signed(lifetime).map_or_else(|| later(op), |over| over.max(later(op)))
}

/// What a failed call makes of its operation.
async fn failed(shared: &Shared, op: &ClaimedOp, kind: CallKind, error: &ConnectError, request: Option<String>) -> Ended {
    let text = || error.to_string();
    let doubt = policy::doubt(error);
    let scope = match doubt {
        Some(Doubt::Denied) if shared.denials.is_of_the_record(kind) => Scope::Record,
        Some(Doubt::Denied | Doubt::Stranger) | None => Scope::Unknown,
    };
    match (policy::action(error, scope), doubt) {
        (Action::Reject, _) => given_up(shared, op, error, request, false),
        (Action::Retry { .. }, None | Some(Doubt::Stranger)) if op.attempts + 1 >= GIVE_UP && poisoned(shared, op, error).await => {
            given_up(shared, op, error, request, true)
        }
        (Action::Retry { .. }, Some(Doubt::Denied)) => Ended::Denied(op.retry(later(op), text(), op.uncertain), kind, error.clone()),
        (Action::Retry { .. }, Some(Doubt::Stranger)) => {
            Ended::Stranger(op.retry(when_over(shared, op), text(), true), kind, op.key.clone(), text())
        }
        (Action::Retry { uncertain }, None) => {
            let again = if uncertain { when_over(shared, op) } else { later(op) };
            Ended::Settle(op.retry(again, text(), uncertain || op.uncertain), Tally::Retried { attempts: op.attempts + 1 })
        }
        (Action::Stop | Action::Pause, _) => Ended::Abort(op.retry(time::now(), text(), op.uncertain), RunError::Service(error.clone())),
    }
}

/// Whether the service refused the record itself.
fn is_refusal(error: &ConnectError) -> bool {
    policy::action(error, Scope::Unknown) == Action::Reject
}

/// Whether Campaign itself answers a look at a record.
async fn campaign_answers(shared: &Shared, key: &str) -> bool {
    let attribute = shared.flow().key.path.join(".");
    let key = Key::Identity { attribute: &attribute, value: key };
    match shared.context.services.campaign.get(&shared.flow().target.collection, key).await {
        Ok(_) => true,
        Err(error) => policy::doubt(&error) == Some(Doubt::Denied) || is_refusal(&error),
    }
}

/// Whether it is the record and not the service: Campaign answers some refusals with 500 as it does failures of its own, so one
/// that is answered so again and again, while the service does its other work, would be tried for ever. [C] So would one that a
/// firewall blocks for what is in it.
async fn poisoned(shared: &Shared, op: &ClaimedOp, error: &ConnectError) -> bool {
    let of_the_record = error.status() == Some(500) || policy::doubt(error) == Some(Doubt::Stranger);
    of_the_record && !matches!(op.work, Work::Refetch) && campaign_answers(shared, &op.key).await
}

fn given_up(shared: &Shared, op: &ClaimedOp, error: &ConnectError, request: Option<String>, uncertain: bool) -> Ended {
    let failure = failure::of_error(&shared.context.plan, shared.flow(), error, request);
    let place = failure.place.as_ref().map(|p| format!("{}:{}:{}", p.file, p.line, p.column)).unwrap_or_default();
    let field = failure.field.as_deref().unwrap_or_default();
    let message = failure::impersonal(shared.flow(), &failure);
    shared.context.counters.reject(&place, field, &failure.code, &message, &op.source_id);
    Ended::Settle(op.failed(failure, uncertain), Tally::Failed)
}
