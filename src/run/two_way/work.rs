//! Working at pairs: claims them, does what the rule says step by step, and settles what is known then.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use super::Shared;
use super::audit::{self, Mark};
use super::fields::{CRM_ID, Record};
use super::requirements;
use super::rule::{FieldWay, LeftSight, Look, Reason, RightSight, Rule, SideWrite, Step, Work};
use super::trouble::{conflict, fault, problem, service_answers, stuck};
use super::values::{Body, Fault};
use crate::connect::ConnectError;
use crate::engine::events::RunEvent;
use crate::engine::policy::{ATTEMPTS, FAILURES_IN_A_ROW};
use crate::engine::pump::{self, Course, Handler, Outcome, Queue, Rest, Sizes, View};
use crate::engine::refusals::{Denials, Refused};
use crate::engine::signals::Signals;
use crate::run::calls::{self, CallKind, Sides};
use crate::run::failure::{of_rejection, place};
use crate::run::trouble::{FailedCall, Trouble, with_trouble};
use crate::run::{Pace, RunError};
use crate::store::{ClaimedPair, Failure, Joined, Pair, PairEnd, PairSide, StoreError};
use crate::systems::{Payload, RecordKey, Written};
use crate::time::Instant;

/// Pairs claimed at once, per call that may be under way.
pub(super) const CLAIM_PER_CALL: usize = 16;
/// Answers settled at once.
const SETTLE_BATCH: usize = 64;
/// Steps in one attempt at a pair. Ten do it unless somebody works on the same records at the same time.
const STEPS: usize = 40;
/// The pause between looks at what was postponed.
const LOOK: Duration = Duration::from_millis(100);
/// The pause before a pair is tried again whose other record is in another worker's hands.
pub(super) const BUSY: TimeDelta = TimeDelta::seconds(1);

/// How one attempt ended.
struct Ended {
    end: PairEnd,
    trouble: Option<Trouble>,
    /// Calls that changed something.
    written: u64,
    /// It waits for something that says nothing about the services.
    waits: bool,
}

impl Ended {
    fn with(end: PairEnd, written: u64) -> Ended {
        Ended { end, trouble: None, written, waits: false }
    }
}

/// Why an attempt ends before the rule is done.
pub(super) enum Break {
    Call(Box<FailedCall>),
    Fault(Fault),
    Run(RunError),
    End(Box<PairEnd>),
}

impl From<Fault> for Break {
    fn from(fault: Fault) -> Break {
        Break::Fault(fault)
    }
}

impl From<StoreError> for Break {
    fn from(error: StoreError) -> Break {
        Break::Run(error.into())
    }
}

/// Works until nothing is left that can be done.
pub(super) async fn work(shared: &Arc<Shared>) -> Result<(), RunError> {
    let at_once = shared.context.options.concurrency.max(1);
    let sizes = Sizes { at_once, claim: at_once * CLAIM_PER_CALL, settle: SETTLE_BATCH, in_a_row: FAILURES_IN_A_ROW };
    let signals = Signals::without_reader();
    let result = pump::run(Pairs { shared: shared.clone() }, shared.clone(), sizes, shared.context.round(&signals)).await;
    let backlog = shared.context.stores.outbox.backlog_size(shared.name()).await;
    result.and(backlog.map_err(RunError::from).map(|backlog| shared.context.note_backlog(backlog)))
}

/// The pairs that are to be looked at.
struct Pairs {
    shared: Arc<Shared>,
}

impl Queue<Shared> for Pairs {
    async fn claim(&mut self, limit: usize) -> Result<Vec<ClaimedPair>, RunError> {
        let context = &self.shared.context;
        Ok(context.stores.pairs.claim_pairs(context.run, self.shared.name(), &self.shared.fields.names, limit, context.now()).await?)
    }

    async fn settle(&mut self, ends: Vec<(i64, PairEnd)>) -> Result<(), RunError> {
        let context = &self.shared.context;
        Ok(context.stores.pairs.settle_pairs(context.run, self.shared.name(), &self.shared.fields.names, ends).await?)
    }

    fn give_back(&self, pair: ClaimedPair) -> Option<(i64, PairEnd)> {
        Some((pair.seq, PairEnd::Released))
    }

    async fn rest(&mut self, view: View) -> Result<Rest, RunError> {
        let backlog = self.shared.context.stores.outbox.backlog(self.shared.name()).await?;
        self.shared.context.note_backlog(backlog.total());
        let once = self.shared.context.options.pace == Pace::Once;
        let left = backlog.total();
        // In a watch the next round goes on with what was postponed.
        let over = left == 0 || (once && view.exhausted >= left) || (!once && backlog.delayed == left);
        Ok(match backlog.due() {
            _ if over => Rest::Over,
            0 => Rest::Wait(LOOK),
            _ => Rest::Due,
        })
    }
}

impl Handler for Shared {
    type Unit = ClaimedPair;
    type Answer = (i64, PairEnd);
    type Call = CallKind;
    type Failure = String;
    type Error = RunError;

    async fn carry_out(self: Arc<Self>, claimed: ClaimedPair) -> Result<Outcome<Shared>, RunError> {
        let (seq, attempts, anchor) = (claimed.seq, claimed.attempts, claimed.anchor.clone());
        let ended = match claimed.pair {
            None => Ended::with(PairEnd::Gone, 0),
            Some(pair) => attempt(&self, &anchor, attempts, pair).await?,
        };
        Ok(outcome(&self, seq, attempts, ended))
    }

    fn denials(&self) -> &Denials<CallKind> {
        &self.denials
    }

    async fn service_answers(&self, call: CallKind, id: &str) -> bool {
        service_answers(self, call, id).await
    }

    fn refused(&self, refused: Refused<CallKind>) -> RunError {
        calls::refused(refused, Sides::PARTNER_AND_DYNAMICS, self.name(), self.context.memory.backlog())
    }

    fn unavailable(&self, failures: u32, last: String) -> RunError {
        RunError::Unavailable { failures, last, waiting: self.context.memory.backlog() }
    }
}

/// Counts how an attempt ended, and says what it means for the others.
fn outcome(shared: &Shared, seq: i64, attempts: u32, ended: Ended) -> Outcome<Shared> {
    let Ended { end, trouble, written, waits } = ended;
    let events = &shared.context.events;
    events.emit(RunEvent::Updated(written));
    let course = match &end {
        PairEnd::Done(_) | PairEnd::Undecided(..) | PairEnd::Failed(_) | PairEnd::Forget => Course::Passed,
        PairEnd::Retry { error, .. } if trouble.is_none() && !waits => Course::Failed(error.clone()),
        PairEnd::Retry { .. } | PairEnd::Gone | PairEnd::Released => Course::Silent,
    };
    match &end {
        PairEnd::Done(_) if written == 0 => events.emit(RunEvent::Unchanged(1)),
        PairEnd::Forget => events.emit(RunEvent::FilteredOut(1)),
        PairEnd::Failed(_) | PairEnd::Undecided(..) => events.emit(RunEvent::Failed(1)),
        PairEnd::Retry { .. } => events.emit(RunEvent::Postponed(1)),
        PairEnd::Done(_) | PairEnd::Gone | PairEnd::Released => {}
    }
    let retried = matches!(end, PairEnd::Retry { .. });
    let exhausted = retried && attempts + 1 >= ATTEMPTS;
    let answered = course == Course::Passed;
    with_trouble(Outcome { course, answered, exhausted, ..Outcome::silent(seq, vec![(seq, end)]) }, trouble)
}

/// One attempt at a pair.
async fn attempt(shared: &Shared, anchor: &str, attempts: u32, pair: Pair) -> Result<Ended, RunError> {
    let alone = pair.left.is_none() || pair.right.is_none();
    if let Some(until) = pair.create_until.filter(|until| alone && *until > shared.context.now()) {
        let error = "a create whose answer was not seen may still take effect".to_owned();
        return Ok(Ended { waits: true, ..Ended::with(PairEnd::Retry { not_before: until, error }, 0) });
    }
    let work = Work { pair, left: Look::Unread, right: Look::Unread, searched: false };
    let mut job = Job { shared, anchor, work, left: None, right: None, written: 0 };
    for _ in 0..STEPS {
        let (mut trouble, mut call) = (None, false);
        let mut end = match job.step().await {
            Ok(None) => continue,
            Ok(Some(end)) => end,
            Err(Break::End(end)) => *end,
            Err(Break::Run(error)) => return Err(error),
            Err(Break::Fault(Fault::Plan(error))) => return Err(error.into()),
            Err(Break::Fault(Fault::Record(rejection))) => {
                let failure = of_rejection(&shared.context.plan, &rejection);
                problem(shared, &failure, anchor);
                PairEnd::Failed(failure)
            }
            Err(Break::Call(failed)) => {
                let end;
                (end, trouble) = fault(shared, anchor, attempts, *failed).await;
                call = true;
                end
            }
        };
        match job.audit(&mut end).await {
            Err(Break::Run(error)) => return Err(error),
            Err(Break::End(gone)) => end = *gone,
            Ok(()) | Err(Break::Call(_) | Break::Fault(_)) => {}
        }
        // What ends without a fault is postponed for its own reason.
        let waits = !call && matches!(end, PairEnd::Retry { .. });
        return Ok(Ended { trouble, waits, ..Ended::with(end, job.written) });
    }
    let error = "the records are being changed by others at the same time".to_owned();
    Ok(Ended::with(PairEnd::Retry { not_before: shared.context.later(attempts), error }, job.written))
}

/// An attempt in progress.
pub(super) struct Job<'a> {
    pub(super) shared: &'a Shared,
    anchor: &'a str,
    work: Work,
    left: Option<Record>,
    right: Option<Record>,
    pub(super) written: u64,
}

impl Job<'_> {
    /// One step; how the attempt ended if it was the last.
    async fn step(&mut self) -> Result<Option<PairEnd>, Break> {
        let (flow, reading) = (self.shared.flow(), self.shared.reading());
        let same = |field: usize| match (&self.left, &self.right) {
            (Some(left), Some(right)) => reading.same(field, left, right),
            _ => false,
        };
        let step = self.shared.rule.next(&self.work, &same);
        match step {
            Step::ReadLeft(id) => self.read_left(&id).await?,
            Step::ReadRight(id) => self.read_right(&id).await?,
            Step::FindLeft => {
                let id = self.work.pair.right.clone().unwrap_or_default();
                self.work.searched = true;
                if let Some(found) = self.find(PairSide::Left, CRM_ID, &id).await? {
                    self.read_left(&found).await?;
                }
            }
            Step::FindRight => {
                let id = self.work.pair.left.clone().unwrap_or_default();
                self.work.searched = true;
                if let Some(found) = self.find(PairSide::Right, &flow.right.key, &id).await? {
                    self.read_right(&found).await?;
                }
            }
            Step::Join { left, right } => {
                let pairs = &self.shared.context.stores.pairs;
                match pairs.join_pair(self.shared.name(), self.work.pair.number, &left, &right).await? {
                    Joined::Done => Rule::joined(&mut self.work, &left, &right),
                    Joined::TakenOver => return Ok(Some(PairEnd::Gone)),
                    Joined::Busy => {
                        let error = "another worker has its other record".to_owned();
                        return Ok(Some(PairEnd::Retry { not_before: self.shared.context.now() + BUSY, error }));
                    }
                }
            }
            Step::CreateRight => self.create_right().await?,
            Step::CreateLeft => self.create_left().await?,
            Step::WriteRight(write) => self.write_right(&write).await?,
            Step::WriteLeft(write) => self.write_left(&write).await?,
            Step::Done { conflicts } => {
                let pair = Box::new(self.shared.rule.settled(self.work.clone(), &conflicts));
                return Ok(Some(if conflicts.is_empty() {
                    PairEnd::Done(pair)
                } else {
                    PairEnd::Undecided(pair, self.conflict(&conflicts))
                }));
            }
            // Nothing is noted, so that everything is compared when it takes part again.
            Step::Paused => return Ok(Some(PairEnd::Done(Box::new(self.work.pair.clone())))),
            Step::Forget => return Ok(Some(PairEnd::Forget)),
            Step::Stuck(reason) => return Ok(Some(PairEnd::Failed(self.stuck(&reason)))),
        }
        Ok(None)
    }

    /// Tells people how the attempt ended.
    async fn audit(&mut self, end: &mut PairEnd) -> Result<(), Break> {
        let (Look::Found(seen), Some(right)) = (&self.work.right, &self.right) else { return Ok(()) };
        let Some(told) = audit::tell(self.shared, seen, right, end).await else { return Ok(()) };
        self.written += 1;
        if told.version.is_none() {
            return Ok(());
        }
        self.work.pair.right_version = told.version;
        self.note_sent().await
    }

    /// Notes whether a call was let through.
    pub(super) fn answer<T>(&self, kind: CallKind, request: Option<String>, answer: Result<T, ConnectError>) -> Result<T, Break> {
        match answer {
            Ok(value) => {
                self.shared.denials.passed(kind);
                Ok(value)
            }
            Err(error) => Err(Break::Call(Box::new(FailedCall { kind, error, request }))),
        }
    }

    async fn fetch(&self, side: PairSide, id: &str) -> Result<Option<String>, Break> {
        let system = self.shared.system(side);
        // What a person wrote into a field need not be an id at all.
        if !system.source.is_id(id) {
            return Ok(None);
        }
        let kind = if side == PairSide::Left { CallKind::Reread } else { CallKind::Look };
        let record = self.answer(kind, None, system.source.retrieve(&system.query, id).await)?;
        Ok(record.map(|record| record.get().to_owned()))
    }

    async fn read_left(&mut self, id: &str) -> Result<(), Break> {
        match self.fetch(PairSide::Left, id).await? {
            Some(raw) => {
                let (record, mut sight) = self.shared.reading().left(&raw)?;
                sight.admitted &= !self.shared.left.source.is_of_another(&raw);
                (self.left, self.work.left) = (Some(record), Look::Found(sight));
            }
            None => self.work.left = Look::Missing,
        }
        Ok(())
    }

    async fn read_right(&mut self, id: &str) -> Result<(), Break> {
        match self.fetch(PairSide::Right, id).await? {
            Some(raw) => {
                let (record, sight) = self.right_as_it_is(id, &raw).await?;
                (self.right, self.work.right) = (Some(record), Look::Found(sight));
            }
            None => self.work.right = Look::Missing,
        }
        Ok(())
    }

    /// The id of the record that has this value in an attribute.
    async fn find(&self, side: PairSide, attribute: &str, value: &str) -> Result<Option<String>, Break> {
        let system = self.shared.system(side);
        let record = RecordKey { table: self.shared.table(side), attribute, value };
        let kind = if side == PairSide::Left { CallKind::Reread } else { CallKind::Look };
        let found = self.answer(kind, None, system.target.find(record, &system.query.primary_key).await)?;
        Ok(found.map(|id| id.to_ascii_lowercase()))
    }

    /// Ends the attempt with a dead letter if the left system requires what the record does not have.
    fn required(&self, before: Option<&str>, body: &Body) -> Result<(), Break> {
        match requirements::of_left(self.shared, before, &body.to_json()) {
            None => Ok(()),
            Some(message) => Err(Break::End(Box::new(PairEnd::Failed(self.failure(requirements::CODE, message, None))))),
        }
    }

    /// Stores what is about to be sent.
    async fn note_sent(&self) -> Result<(), Break> {
        let context = &self.shared.context;
        let noted = context.stores.pairs.note_sent(self.shared.name(), &self.shared.fields.names, &self.work.pair).await?;
        if noted { Ok(()) } else { Err(Break::End(Box::new(PairEnd::Gone))) }
    }

    /// Until when a create that is sent now may take effect.
    fn lives_until(&self, side: PairSide) -> Option<Instant> {
        let lifetime = TimeDelta::from_std(self.shared.system(side).target.request_lifetime().after_sending).unwrap_or(TimeDelta::MAX);
        self.shared.context.now().checked_add_signed(lifetime)
    }

    async fn create_right(&mut self) -> Result<(), Break> {
        let shared = self.shared;
        let (Some(left), Some(id)) = (&self.left, self.work.pair.left.clone()) else { return Ok(()) };
        let mut body = Body::default();
        let going = shared.rule.created_right();
        let bound = self.bound(&going, left).await?;
        let expected = shared.reading().to_right(&going, left, None, &bound, &mut body)?;
        self.identify_right(&mut body, &id, "created from");
        audit::mark(shared.flow(), &mut body, None, Mark::Check);
        shared.rule.creates_right(&mut self.work, &expected);
        self.work.pair.create_until = self.lives_until(PairSide::Right);
        self.note_sent().await?;
        let (body, key) = (body.to_json(), &shared.flow().right.key);
        let answer = shared.right.target.create(shared.table(PairSide::Right), key, Payload::from(&body)).await;
        self.created(CallKind::Create, body, answer)?;
        if let Some(found) = self.find(PairSide::Right, key, &id).await?
            && let Some(raw) = self.fetch(PairSide::Right, &found).await?
        {
            let (record, sight) = self.right_as_it_is(&found, &raw).await?;
            self.right = Some(record);
            shared.rule.right_created(&mut self.work, sight);
            return Ok(());
        }
        Err(self.not_found_yet())
    }

    async fn create_left(&mut self) -> Result<(), Break> {
        let shared = self.shared;
        let (Some(right), Some(id)) = (&self.right, self.work.pair.right.clone()) else { return Ok(()) };
        let mut body = Body::default();
        let going = shared.rule.going(FieldWay::ToLeft);
        let expected = shared.reading().to_left(&going, right, None, &mut body)?;
        shared.reading().fixed(right, &mut body)?;
        body.set_text(CRM_ID, &id);
        self.required(None, &body)?;
        shared.rule.creates_left(&mut self.work, &expected);
        self.work.pair.create_until = self.lives_until(PairSide::Left);
        self.note_sent().await?;
        let body = body.to_json();
        let answer = shared.left.target.create(shared.table(PairSide::Left), CRM_ID, Payload::from(&body)).await;
        self.created(CallKind::CreateBack, body, answer)?;
        if let Some(found) = self.find(PairSide::Left, CRM_ID, &id).await?
            && let Some(raw) = self.fetch(PairSide::Left, &found).await?
        {
            let (record, sight) = self.shared.reading().left(&raw)?;
            self.left = Some(record);
            shared.rule.left_created(&mut self.work, sight);
            return Ok(());
        }
        Err(self.not_found_yet())
    }

    /// A record was created and is not found: it is not created again before the create can have been lost.
    fn not_found_yet(&self) -> Break {
        let error = "a record that was created cannot be found yet".to_owned();
        Break::End(Box::new(PairEnd::Retry { not_before: self.shared.context.later(0), error }))
    }

    /// Takes the answer to a create. A record that has the key already is found by the read that follows.
    pub(super) fn created(&self, kind: CallKind, body: String, answer: Result<(), ConnectError>) -> Result<(), Break> {
        match answer {
            Err(ConnectError::Duplicate { .. }) => Ok(()),
            answer => {
                self.answer(kind, Some(body), answer)?;
                self.shared.context.emit(RunEvent::Created(1));
                Ok(())
            }
        }
    }

    /// The columns that make an opportunity that of a referral.
    fn identify_right(&self, body: &mut Body, id: &str, what: &str) {
        let columns = self.shared.fields.columns;
        body.set_text(&self.shared.flow().right.key, id);
        if let Some(gate) = columns.gate {
            body.set(&[gate.to_owned()], "true".to_owned());
        }
        if let (Some(link), Some(address)) = (columns.link, self.shared.left.source.page_for_people(id)) {
            body.set_text(link, &address);
        }
        if let Some(audit) = columns.audit {
            body.set_text(audit, &format!("{what} referral {id}"));
        }
    }

    async fn write_right(&mut self, write: &SideWrite) -> Result<(), Break> {
        let shared = self.shared;
        let (Some(left), Some(right)) = (&self.left, &self.right) else { return Ok(()) };
        let (Some(left_id), Some(id)) = (self.work.pair.left.clone(), self.work.pair.right.clone()) else { return Ok(()) };
        let Look::Found(RightSight { version, .. }) = self.work.right.clone() else { return Ok(()) };
        let mut body = Body::default();
        let bound = self.bound(&write.fields, left).await?;
        let expected = shared.reading().to_right(&write.fields, left, Some(right), &bound, &mut body)?;
        let rows = self.row_writes(&write.fields, left, right, &id);
        if write.identity {
            self.identify_right(&mut body, &left_id, "linked to");
        }
        audit::mark(shared.flow(), &mut body, Some(right).filter(|_| write.identity), Mark::Check);
        let before = self.work.pair.right_sent.clone();
        Rule::sends_right(&mut self.work, write, &expected);
        self.note_sent().await?;
        if !body.is_empty() {
            let body = body.to_json();
            let answer = shared.right.target.update(shared.key(PairSide::Right, &id), Payload::from(&body), version.as_deref()).await;
            if !self.updated(PairSide::Right, CallKind::Update, body, answer)? {
                shared.rule.refused_right(&mut self.work, write, &before);
                if !rows.is_empty() {
                    self.note_sent().await?;
                }
                return Ok(());
            }
        }
        let piecewise = !rows.is_empty();
        self.write_rows(rows, &id).await?;
        match self.fetch(PairSide::Right, &id).await? {
            Some(raw) => {
                let (record, sight) = self.right_as_it_is(&id, &raw).await?;
                self.right = Some(record);
                Rule::right_written(&mut self.work, write, sight);
                // At once, so that what people change in the rows after this is not taken for a part of the write.
                if piecewise {
                    self.note_sent().await?;
                }
            }
            None => self.work.right = Look::Missing,
        }
        Ok(())
    }

    async fn write_left(&mut self, write: &SideWrite) -> Result<(), Break> {
        let shared = self.shared;
        let (Some(left), Some(right)) = (&self.left, &self.right) else { return Ok(()) };
        let (Some(id), Some(right_id)) = (self.work.pair.left.clone(), self.work.pair.right.clone()) else { return Ok(()) };
        let Look::Found(LeftSight { version, .. }) = self.work.left.clone() else { return Ok(()) };
        let mut body = Body::default();
        let expected = shared.reading().to_left(&write.fields, right, Some(left), &mut body)?;
        if write.identity {
            body.set_text(CRM_ID, &right_id);
        }
        self.required(Some(left.raw()), &body)?;
        Rule::sends_left(&mut self.work, write, &expected);
        self.note_sent().await?;
        let body = body.to_json();
        let answer = shared.left.target.update(shared.key(PairSide::Left, &id), Payload::from(&body), version.as_deref()).await;
        if !self.updated(PairSide::Left, CallKind::UpdateBack, body, answer)? {
            return Ok(());
        }
        match self.fetch(PairSide::Left, &id).await? {
            Some(raw) => {
                let (record, sight) = self.shared.reading().left(&raw)?;
                self.left = Some(record);
                Rule::left_written(&mut self.work, write, sight);
            }
            None => self.work.left = Look::Missing,
        }
        Ok(())
    }

    /// Takes the answer to an update; `false` if the record is to be read again, or is gone.
    fn updated(&mut self, side: PairSide, kind: CallKind, body: String, answer: Result<Written, ConnectError>) -> Result<bool, Break> {
        match answer {
            // Somebody was faster: what is there now decides.
            Err(ConnectError::Changed { .. }) => {
                match side {
                    PairSide::Left => (self.work.left, self.work.pair.look_left) = (Look::Unread, true),
                    PairSide::Right => (self.work.right, self.work.pair.look_right) = (Look::Unread, true),
                }
                Ok(false)
            }
            answer => match self.answer(kind, Some(body), answer)? {
                Written::Done => {
                    self.written += 1;
                    Ok(true)
                }
                Written::Missing => {
                    match side {
                        PairSide::Left => self.work.left = Look::Missing,
                        PairSide::Right => self.work.right = Look::Missing,
                    }
                    Ok(false)
                }
            },
        }
    }

    /// The dead letter of a pair with fields that both sides have changed.
    fn conflict(&self, conflicts: &[usize]) -> Failure {
        let names: Vec<&str> = conflicts.iter().filter_map(|field| self.shared.fields.names.get(*field)).map(String::as_str).collect();
        let message = conflict(self.shared, &names);
        self.failure("conflict", message, names.first().copied())
    }

    /// The dead letter of a pair that a person must look at.
    fn stuck(&self, reason: &Reason) -> Failure {
        let (code, message) = stuck(self.shared, reason);
        self.failure(code, message, None)
    }

    /// Ends the attempt with a dead letter.
    pub(super) fn ends(&self, code: &str, message: String, field: &str) -> Break {
        Break::End(Box::new(PairEnd::Failed(self.failure(code, message, Some(field)))))
    }

    fn failure(&self, code: &str, message: String, field: Option<&str>) -> Failure {
        let plan = &self.shared.context.plan;
        let failure = Failure {
            code: code.to_owned(),
            message,
            field: field.map(str::to_owned),
            place: Some(place(plan, self.shared.flow().at)),
            ..Failure::default()
        };
        problem(self.shared, &failure, self.anchor);
        failure
    }
}
