//! Writing: takes persons from the state, does what the rule says step by step, hands back what is known then.
//!
//! An intention for Dynamics is on disk before it is sent, so that our own write is known again when its answer was not seen. So is a
//! consent for Campaign: it must not be written a second time over an opt-out that came after it. An opt-out for Campaign needs none:
//! writing it twice is writing it once.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Map, Value};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::rule::Step;
use super::{Shared, pairs, profiles, sight};
use crate::connect::ConnectError;
use crate::connect::campaign::{Key, Written};
use crate::connect::dataverse::{Condition, Outcome, RowKey};
use crate::engine::policy::{self, Action, Doubt, Scope};
use crate::engine::refusals::{Unclear, Undecided};
use crate::run::calls::{self, CallKind};
use crate::run::failure::place;
use crate::run::{Pace, RunError};
use crate::state::{ClaimedPerson, Failure, Flags, Person, PersonEnd};
use crate::time;

/// Persons taken from the state at once, per call that may be under way.
const CLAIM_PER_CALL: usize = 16;
/// Answers handed to the state at once.
const SETTLE_BATCH: usize = 128;
/// Attempts for reasons of the moment, before a run that goes through once leaves a person waiting.
const ATTEMPTS: u32 = 6;
/// Failures in a row for reasons of the moment, before the round ends: the service is down.
const FAILURES_IN_A_ROW: u32 = 25;
/// Attempts over several runs after which a write that something other than the service answers is taken to be blocked for what is in it.
const GIVE_UP: u32 = 3 * ATTEMPTS;
/// Steps in one attempt at a person. Four do it unless somebody works on the same record at the same time, or a service refuses some
/// of the attributes, which are written one by one then.
const STEPS: usize = 32;

/// How one attempt ended.
struct Ended {
    seq: i64,
    /// What the person was owed at the beginning.
    owed: Flags,
    end: PersonEnd,
    /// How often it was tried before.
    attempts: u32,
    /// The fault that ended it, if it is about more than this person, or may be.
    trouble: Option<Trouble>,
    /// Calls that changed something.
    written: u64,
}

/// A fault that is about more than one person, or may be.
enum Trouble {
    /// The round ends.
    Abort(RunError),
    /// A refusal.
    Unclear(Unclear<CallKind>),
}

/// Writes until nothing is left that can be written.
pub(super) async fn work(shared: &Arc<Shared>) -> Result<(), RunError> {
    let mut worker = Worker {
        shared: shared.clone(),
        queue: VecDeque::new(),
        tasks: JoinSet::new(),
        ends: Vec::new(),
        failures: 0,
        exhausted: HashSet::new(),
        undecided: Undecided::default(),
        abort: None,
    };
    let result = worker.run().await;
    let drained = worker.drain().await;
    result.and(drained)
}

struct Worker {
    shared: Arc<Shared>,
    queue: VecDeque<ClaimedPerson>,
    tasks: JoinSet<Result<Ended, RunError>>,
    ends: Vec<(i64, Flags, PersonEnd)>,
    failures: u32,
    exhausted: HashSet<i64>,
    /// Refusals that may be about one person or about all.
    undecided: Undecided<CallKind>,
    abort: Option<RunError>,
}

impl Worker {
    async fn run(&mut self) -> Result<(), RunError> {
        let most = self.shared.context.options.concurrency.max(1);
        loop {
            if self.shared.stopped() || self.abort.is_some() {
                return Ok(());
            }
            if self.queue.is_empty() && self.tasks.len() < most {
                let (run, limit) = (self.shared.context.run, most * CLAIM_PER_CALL);
                let claimed = self.shared.blocking(move |store, name| store.claim_optouts(run, name, limit, time::now())).await?;
                self.queue.extend(claimed);
            }
            while self.tasks.len() < most
                && let Some(person) = self.queue.pop_front()
            {
                self.tasks.spawn(attempt(self.shared.clone(), person));
            }
            if self.undecided.are_many(FAILURES_IN_A_ROW) {
                self.decide().await;
            }
            match self.tasks.join_next().await {
                Some(ended) => {
                    self.take(ended)?;
                    if self.ends.len() >= SETTLE_BATCH {
                        self.settle().await?;
                    }
                }
                None => {
                    self.settle().await?;
                    if !self.rest().await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Decides what the refusals so far are about; the round ends if they are about all persons.
    async fn decide(&mut self) {
        let shared = &self.shared;
        let mut refused = self.undecided.denied_to_all(&shared.denials);
        if refused.is_none()
            && let Some(suspicion) = self.undecided.take_stranger()
            && !service_answers(shared, suspicion.call, &suspicion.key).await
        {
            refused = Some(suspicion.confirmed());
        }
        let Some(refused) = refused else { return };
        let waiting = shared.context.counters.backlog.get();
        self.abort.get_or_insert_with(|| calls::refused(refused, &shared.name, waiting));
    }

    /// Waits for what was put off; `false` where nothing more is to be done in this round.
    async fn rest(&mut self) -> Result<bool, RunError> {
        let backlog = self.shared.blocking(|store, name| store.backlog(name)).await?;
        self.shared.context.counters.backlog.set(backlog.total());
        let once = self.shared.context.options.pace == Pace::Once;
        // What needs approval does not go by waiting.
        let held = self.shared.blocking(|store, name| store.held_operations(name)).await?;
        let left = backlog.total().saturating_sub(held);
        let done = left == 0
            || (once && self.exhausted.len() as u64 >= left)
            // In a watch the next round takes up what was put off.
            || (!once && backlog.ready == backlog.delayed);
        if done || backlog.due() == 0 {
            self.decide().await;
        }
        if done || self.abort.is_some() {
            return Ok(false);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
            () = self.shared.context.stop.cancelled() => {}
        }
        Ok(true)
    }

    fn take(&mut self, ended: Result<Result<Ended, RunError>, tokio::task::JoinError>) -> Result<(), RunError> {
        let Ended { seq, owed, end, attempts, trouble, written } = ended.map_err(|e| RunError::Task(e.to_string()))??;
        let counters = &self.shared.context.counters;
        counters.updated.add(written);
        match &end {
            PersonEnd::Done(_) | PersonEnd::Gone => {
                self.failures = 0;
                self.undecided.answered();
            }
            PersonEnd::Failed { .. } => {
                self.failures = 0;
                self.undecided.answered();
                counters.failed.add(1);
            }
            // What it is about is not decided yet, or it ends the round by itself.
            PersonEnd::Retry { .. } if trouble.is_some() => counters.retried.add(1),
            PersonEnd::Retry { error, .. } => {
                self.failures += 1;
                counters.retried.add(1);
                if self.failures >= FAILURES_IN_A_ROW {
                    let waiting = counters.backlog.get();
                    self.abort.get_or_insert(RunError::Unavailable { failures: self.failures, last: error.clone(), waiting });
                }
            }
            PersonEnd::Released => {}
        }
        if matches!(end, PersonEnd::Retry { .. }) && attempts + 1 >= ATTEMPTS {
            self.exhausted.insert(seq);
        }
        match trouble {
            Some(Trouble::Abort(error)) => drop(self.abort.get_or_insert(error)),
            Some(Trouble::Unclear(unclear)) => {
                if unclear.doubt == Doubt::Stranger {
                    // A run that goes through once does not wait for it: whatever answered may do so for a while.
                    self.exhausted.insert(seq);
                }
                self.undecided.note(unclear);
            }
            None => {}
        }
        self.ends.push((seq, owed, end));
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), RunError> {
        if self.ends.is_empty() {
            return Ok(());
        }
        let (run, ends) = (self.shared.context.run, std::mem::take(&mut self.ends));
        self.shared.blocking(move |store, name| store.settle_optouts(run, name, ends)).await
    }

    /// Waits for what is in flight, keeps its answers, and gives back what was not begun.
    async fn drain(&mut self) -> Result<(), RunError> {
        while let Some(ended) = self.tasks.join_next().await {
            self.take(ended)?;
        }
        self.ends.extend(self.queue.drain(..).map(|person| (person.seq, Flags::NONE, PersonEnd::Released)));
        self.settle().await?;
        let backlog = self.shared.blocking(|store, name| store.backlog_size(name)).await?;
        self.shared.context.counters.backlog.set(backlog);
        self.abort.take().map_or(Ok(()), Err)
    }
}

/// One attempt at a person: step by step, until the rule has nothing more to say.
async fn attempt(shared: Arc<Shared>, claimed: ClaimedPerson) -> Result<Ended, RunError> {
    let ClaimedPerson { seq, id, attempts, person } = claimed;
    let mut written = 0;
    let owed = person.as_ref().map_or(Flags::NONE, |person| person.owed);
    let ended = |end, written| Ended { seq, owed, end, attempts, trouble: None, written };
    let (Some(mut person), Ok(guid)) = (person, Uuid::parse_str(&id)) else { return Ok(ended(PersonEnd::Gone, 0)) };
    // What a fault is told of.
    struct At<'a> {
        shared: &'a Shared,
        id: &'a str,
        seq: i64,
        owed: Flags,
        attempts: u32,
    }
    impl At<'_> {
        async fn failed(&self, person: &Person, flags: Flags, call: FailedCall, written: u64) -> Ended {
            let (end, trouble) = fault(self.shared, self.id, self.attempts, person, flags, call).await;
            Ended { seq: self.seq, owed: self.owed, end, attempts: self.attempts, trouble, written }
        }
    }
    let at_fault = At { shared: &shared, id: &id, seq, owed, attempts };
    // What the person was given since it was last looked at may have arrived by another way.
    shared.rule.spend(&mut person);
    let mut looked = false;
    let mut refusals = Refusals::default();
    for _ in 0..STEPS {
        match shared.rule.step_without(&person, looked, refusals.refused) {
            Step::Done => match refusals.last {
                Some((flags, error, body)) => {
                    return Ok(at_fault.failed(&person, flags, FailedCall::write(CallKind::Update, error, body), written).await);
                }
                None => return Ok(ended(PersonEnd::Done(person), written)),
            },
            Step::AskCampaign => {
                let at = time::now();
                let key = Key::Identity { attribute: &shared.key_attribute, value: &id };
                let found = shared.context.services.campaign.get(&shared.resource, key).await;
                passed(&shared, CallKind::Look, &found);
                match found {
                    Ok(Some(profile)) => shared.rule.profile_seen(&mut person, &profiles::sight(&profile, at, time::now())),
                    Ok(None) => shared.rule.profile_missing(&mut person),
                    Err(error) => return Ok(at_fault.failed(&person, Flags::NONE, FailedCall::look(CallKind::Look, error), written).await),
                }
                looked = true;
            }
            Step::AskDynamics => match ask_dynamics(&shared, guid, &mut person).await {
                Ok(true) => {}
                Ok(false) => return Ok(ended(PersonEnd::Gone, written)),
                Err(error) => return Ok(at_fault.failed(&person, Flags::NONE, FailedCall::look(CallKind::Reread, error), written).await),
            },
            Step::WriteCampaign { raise, lower } => {
                let (raise, lower) = (refusals.portion(raise), refusals.portion(lower));
                let body = campaign_body(&shared, raise, lower);
                // If the answer to a consent is lost, the next look has to know that it may have been written.
                if !lower.is_empty() {
                    person.lifting = person.lifting | lower;
                    let (key, intended) = (id.clone(), person.clone());
                    if !shared.blocking(move |store, name| store.note_intent(name, &key, &intended)).await? {
                        return Ok(ended(PersonEnd::Gone, written));
                    }
                }
                let key = Key::Identity { attribute: &shared.key_attribute, value: &id };
                let answer = shared.context.services.campaign.update(&shared.resource, key, &body).await;
                passed(&shared, CallKind::Update, &answer);
                match answer {
                    Ok(Written::Done) => {
                        written += 1;
                        shared.rule.campaign_written(&mut person, raise, lower, time::now());
                    }
                    Ok(Written::Missing) => shared.rule.profile_missing(&mut person),
                    Err(error) => {
                        if let Some((error, body)) = refusals.note(raise | lower, error, body) {
                            return Ok(at_fault
                                .failed(&person, raise | lower, FailedCall::write(CallKind::Update, error, body), written)
                                .await);
                        }
                        shared.rule.campaign_refused(&mut person, lower);
                    }
                }
            }
            Step::WriteDynamics { raise, lower } => {
                let (raise, lower) = if refusals.singly {
                    // An opt-out before a consent.
                    (refusals.portion(raise), if raise.is_empty() { refusals.portion(lower) } else { Flags::NONE })
                } else {
                    (raise, lower)
                };
                let version = person.contact.as_ref().and_then(|c| c.version.clone()).unwrap_or_default();
                // Beside what an earlier attempt may have sent, until the row is seen to have moved.
                person.raising = person.raising | raise;
                person.lowering = person.lowering | lower;
                let (key, intended) = (id.clone(), person.clone());
                if !shared.blocking(move |store, name| store.note_intent(name, &key, &intended)).await? {
                    return Ok(ended(PersonEnd::Gone, written));
                }
                let body = dynamics_body(&shared, raise, lower);
                let condition = Condition::Version(version);
                let sent = time::now();
                let answer = shared.context.services.dataverse.write(&shared.entity, &RowKey::Id(guid), &body, &condition).await;
                passed(&shared, CallKind::Contact, &answer);
                match answer {
                    Ok(Outcome::Missing) => return Ok(ended(PersonEnd::Gone, written)),
                    Ok(Outcome::Created { .. } | Outcome::Updated { .. } | Outcome::Written | Outcome::Exists) => {
                        written += 1;
                        shared.rule.dynamics_written(&mut person, raise, lower, sent);
                    }
                    // Somebody was faster, or it was ourselves and the answer was lost: what stands there now decides.
                    Err(ConnectError::Changed { .. }) => match ask_dynamics(&shared, guid, &mut person).await {
                        Ok(true) => looked = looked && lower.is_empty(),
                        Ok(false) => return Ok(ended(PersonEnd::Gone, written)),
                        Err(error) => {
                            return Ok(at_fault.failed(&person, raise | lower, FailedCall::look(CallKind::Reread, error), written).await);
                        }
                    },
                    Err(error) => {
                        if let Some((error, body)) = refusals.note(raise | lower, error, body) {
                            return Ok(at_fault
                                .failed(&person, raise | lower, FailedCall::write(CallKind::Contact, error, body), written)
                                .await);
                        }
                    }
                }
            }
        }
    }
    let error = "others work on the same record at the same time".to_owned();
    Ok(ended(PersonEnd::Retry { person: Some(person), not_before: later(attempts), error }, written))
}

/// Reads the contact; `false` where it is gone.
async fn ask_dynamics(shared: &Shared, id: Uuid, person: &mut Person) -> Result<bool, ConnectError> {
    let found = shared.context.services.dataverse.retrieve(&shared.entity.set, id, &shared.select).await;
    passed(shared, CallKind::Reread, &found);
    let Some(record) = found? else {
        return Ok(false);
    };
    // The service's own JSON, which the client has read once already.
    let record: Value = serde_json::from_str(record.get()).unwrap_or_default();
    shared.rule.contact_seen(person, sight::of(shared, &record));
    Ok(true)
}

/// The opt-outs as Campaign names them. `lower` is empty unless Dynamics is the one source.
fn campaign_body(shared: &Shared, raise: Flags, lower: Flags) -> String {
    let pairs = pairs(shared.flow());
    let values = raise.iter().map(|flag| (flag, true)).chain(lower.iter().map(|flag| (flag, false)));
    let body: Map<String, Value> = values.filter_map(|(flag, out)| Some((pairs.get(&flag)?.target.clone(), Value::Bool(out)))).collect();
    Value::Object(body).to_string()
}

/// The attributes of one write that a service refused: written one by one then, since it may be about one of them alone, and the others
/// must not depend on it.
#[derive(Default)]
struct Refusals {
    /// Whether attributes are written one by one.
    singly: bool,
    /// Those that were refused by themselves.
    refused: Flags,
    /// The last of these answers, with what was sent.
    last: Option<(Flags, ConnectError, String)>,
}

impl Refusals {
    /// As many of the attributes as are written with one request.
    fn portion(&self, flags: Flags) -> Flags {
        if self.singly { flags.iter().next().unwrap_or(Flags::NONE) } else { flags }
    }

    /// Notes a refusal; gives the error back if it is not about the values that were sent.
    fn note(&mut self, flags: Flags, error: ConnectError, body: String) -> Option<(ConnectError, String)> {
        if policy::action(&error, Scope::Unknown) != Action::Reject {
            return Some((error, body));
        }
        if flags.len() > 1 {
            self.singly = true;
        } else {
            self.refused = self.refused | flags;
            self.last = Some((flags, error, body));
        }
        None
    }
}

/// The flags as Dynamics has them, each in its own sense.
fn dynamics_body(shared: &Shared, raise: Flags, lower: Flags) -> String {
    let pairs = pairs(shared.flow());
    let values: BTreeMap<&str, bool> = raise
        .iter()
        .map(|flag| (flag, true))
        .chain(lower.iter().map(|flag| (flag, false)))
        .filter_map(|(flag, out)| pairs.get(&flag).map(|pair| (pair.source.as_str(), out != pair.inverted)))
        .collect();
    serde_json::json!(values).to_string()
}

/// When a person is tried again: two seconds, doubled with each attempt, two minutes at most.
fn later(attempts: u32) -> time::Instant {
    time::now() + TimeDelta::seconds((2_i64 << attempts.min(6)).min(120))
}

/// Notes that a call of a kind was let through.
fn passed<T>(shared: &Shared, kind: CallKind, answer: &Result<T, ConnectError>) {
    if answer.is_ok() {
        shared.denials.passed(kind);
    }
}

/// A call that failed.
struct FailedCall {
    kind: CallKind,
    error: ConnectError,
    /// What was sent.
    request: Option<String>,
}

impl FailedCall {
    fn look(kind: CallKind, error: ConnectError) -> FailedCall {
        FailedCall { kind, error, request: None }
    }

    fn write(kind: CallKind, error: ConnectError, body: String) -> FailedCall {
        FailedCall { kind, error, request: Some(body) }
    }
}

/// What an error means: a dead letter, another attempt, or the end of the round.
async fn fault(shared: &Shared, id: &str, attempts: u32, person: &Person, flags: Flags, call: FailedCall) -> (PersonEnd, Option<Trouble>) {
    let FailedCall { kind, error, request } = call;
    let doubt = policy::doubt(&error);
    let scope = match doubt {
        Some(Doubt::Denied) if shared.denials.is_of_the_record(kind) => Scope::Record,
        Some(Doubt::Denied | Doubt::Stranger) | None => Scope::Unknown,
    };
    let text = error.to_string();
    let retry = |not_before| PersonEnd::Retry { person: Some(person.clone()), not_before, error: text.clone() };
    match (policy::action(&error, scope), doubt) {
        (Action::Reject, _) => (given_up(shared, id, person, flags, &error, request), None),
        (Action::Retry { .. }, Some(Doubt::Stranger)) if attempts + 1 >= GIVE_UP && service_answers(shared, kind, id).await => {
            (given_up(shared, id, person, flags, &error, request), None)
        }
        (Action::Retry { .. }, None) => (retry(later(attempts)), None),
        (Action::Retry { .. }, Some(doubt)) => {
            (retry(later(attempts)), Some(Trouble::Unclear(Unclear { doubt, call: kind, key: id.to_owned(), error })))
        }
        (Action::Stop | Action::Pause, _) => (retry(time::now()), Some(Trouble::Abort(RunError::Service(error)))),
    }
}

/// The dead letter of a person.
fn given_up(shared: &Shared, id: &str, person: &Person, flags: Flags, error: &ConnectError, request: Option<String>) -> PersonEnd {
    let flow = shared.flow();
    let pair = flags.iter().next().filter(|_| flags.len() == 1).and_then(|flag| pairs(flow).get(&flag).copied());
    let message = error.call().and_then(|c| c.message.clone()).unwrap_or_else(|| error.to_string());
    let code = error.vendor_code().filter(|c| !c.is_empty()).map_or("D906".to_owned(), str::to_owned);
    let failure = Failure {
        code: code.clone(),
        message,
        field: pair.map(|p| p.target.clone()),
        place: Some(place(&shared.context.plan, pair.map_or(flow.at, |p| p.at))),
        request,
        status: error.status(),
        response: error.response_body().map(str::to_owned),
    };
    let at = shared.context.plan.place(pair.map_or(flow.at, |p| p.at));
    let status = error.status().map_or("nothing".to_owned(), |s| s.to_string());
    shared.context.counters.reject(&at, failure.field.as_deref().unwrap_or_default(), &code, &format!("answered {status}"), id);
    PersonEnd::Failed { person: Some(person.clone()), failure }
}

/// Whether the service that a call of this kind goes to answers a look at a person itself.
async fn service_answers(shared: &Shared, kind: CallKind, id: &str) -> bool {
    let services = &shared.context.services;
    let error = if kind.service() == "Campaign" {
        let key = Key::Identity { attribute: &shared.key_attribute, value: id };
        services.campaign.get(&shared.resource, key).await.err()
    } else {
        let Ok(id) = Uuid::parse_str(id) else { return true };
        services.dataverse.retrieve(&shared.entity.set, id, &shared.select).await.err()
    };
    error.is_none_or(|e| policy::doubt(&e) == Some(Doubt::Denied) || policy::action(&e, Scope::Unknown) == Action::Reject)
}
