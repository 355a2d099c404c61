//! Writing: claims persons, does what the rule says step by step, and settles what is known then.
//!
//! An intention for Dynamics is on disk before it is sent, so that our own write is known again when its answer was not seen. So is a
//! consent for Campaign: it must not be written a second time over an opt-out that came after it. An opt-out for Campaign needs none:
//! writing it twice is writing it once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::rule::{ProfileSight, Step};
use super::{Shared, profiles, sight, topics};
use crate::connect::ConnectError;
use crate::engine::events::{Problem, RunEvent};
use crate::engine::policy::{self, ATTEMPTS, FAILURES_IN_A_ROW};
use crate::engine::pump::{self, Course, Handler, Outcome, Queue, Rest, Sizes, View};
use crate::engine::refusals::{Denials, Refused};
use crate::engine::signals::Signals;
use crate::eval;
use crate::plan::OptoutPair;
use crate::run::calls::{self, CallKind, Sides};
use crate::run::failure::place;
use crate::run::trouble::{FailedCall, Meaning, Trouble, meaning, with_trouble};
use crate::run::{Pace, RunError};
use crate::store::{ClaimedPerson, Failure, Flags, Person, PersonEnd};
use crate::systems::{Payload, SubscribedProfile, Written};

/// Persons claimed at once, per call that may be under way.
const CLAIM_PER_CALL: usize = 16;
/// Answers settled at once.
const SETTLE_BATCH: usize = 128;
/// Steps in one attempt at a person. Four do it unless somebody works on the same record at the same time, or a service refuses some
/// of the attributes, which are written one by one then, as topics always are.
const STEPS: usize = 96;

/// The pause between looks at what was postponed.
const LOOK: Duration = Duration::from_millis(100);

/// How one attempt ended.
struct Ended {
    end: PersonEnd,
    /// The fault that ended it, if it is about more than this person, or may be.
    trouble: Option<Trouble>,
    /// Calls that changed something.
    written: u64,
}

/// Writes until nothing is left that can be written.
pub(super) async fn work(shared: &Arc<Shared>) -> Result<(), RunError> {
    let at_once = shared.context.options.concurrency.max(1);
    let sizes = Sizes { at_once, claim: at_once * CLAIM_PER_CALL, settle: SETTLE_BATCH, in_a_row: FAILURES_IN_A_ROW };
    let signals = Signals::without_reader();
    let result = pump::run(Persons { shared: shared.clone() }, shared.clone(), sizes, shared.context.round(&signals)).await;
    let backlog = shared.context.stores.outbox.backlog_size(&shared.name).await;
    result.and(backlog.map_err(RunError::from).map(|backlog| shared.context.note_backlog(backlog)))
}

/// The persons of the flow in the state.
struct Persons {
    shared: Arc<Shared>,
}

impl Queue<Shared> for Persons {
    async fn claim(&mut self, limit: usize) -> Result<Vec<ClaimedPerson>, RunError> {
        let (run, now) = (self.shared.context.run, self.shared.context.now());
        Ok(self.shared.optouts().claim_optouts(run, &self.shared.name, limit, now).await?)
    }

    async fn settle(&mut self, ends: Vec<Settled>) -> Result<(), RunError> {
        let run = self.shared.context.run;
        Ok(self.shared.optouts().settle_optouts(run, &self.shared.name, ends).await?)
    }

    fn give_back(&self, person: ClaimedPerson) -> Option<Settled> {
        Some((person.seq, Flags::NONE, PersonEnd::Released))
    }

    async fn rest(&mut self, view: View) -> Result<Rest, RunError> {
        // What needs approval is not resolved by waiting.
        let backlog = self.shared.context.stores.outbox.backlog(&self.shared.name).await?;
        let held = self.shared.optouts().held_operations(&self.shared.name).await?;
        self.shared.context.note_backlog(backlog.total());
        let once = self.shared.context.options.pace == Pace::Once;
        let left = backlog.total().saturating_sub(held);
        let over = left == 0
            || (once && view.exhausted >= left)
            // In a watch the next round goes on with what was postponed.
            || (!once && backlog.ready == backlog.delayed);
        // What is held counts as postponed.
        Ok(match backlog.due() {
            _ if over => Rest::Over,
            0 => Rest::Wait(LOOK),
            _ => Rest::Due,
        })
    }
}

/// A person's number, what the person was owed at the beginning, and how the attempt ended.
type Settled = (i64, Flags, PersonEnd);

impl Handler for Shared {
    type Unit = ClaimedPerson;
    type Answer = Settled;
    type Call = CallKind;
    type Failure = String;
    type Error = RunError;

    async fn carry_out(self: Arc<Self>, person: ClaimedPerson) -> Result<Outcome<Shared>, RunError> {
        let (seq, attempts) = (person.seq, person.attempts);
        let owed = person.person.as_ref().map_or(Flags::NONE, |person| person.owed);
        let ended = attempt(&self, person).await?;
        Ok(outcome(&self, seq, owed, attempts, ended))
    }

    fn denials(&self) -> &Denials<CallKind> {
        &self.denials
    }

    async fn service_answers(&self, call: CallKind, id: &str) -> bool {
        service_answers(self, call, id).await
    }

    fn refused(&self, refused: Refused<CallKind>) -> RunError {
        calls::refused(refused, Sides::DYNAMICS_AND_CAMPAIGN, &self.name, self.context.memory.backlog())
    }

    fn unavailable(&self, failures: u32, last: String) -> RunError {
        RunError::Unavailable { failures, last, waiting: self.context.memory.backlog() }
    }
}

/// Counts how an attempt ended, and says what it means for the others.
fn outcome(shared: &Shared, seq: i64, owed: Flags, attempts: u32, ended: Ended) -> Outcome<Shared> {
    let Ended { end, trouble, written } = ended;
    let events = &shared.context.events;
    events.emit(RunEvent::Updated(written));
    let course = match &end {
        PersonEnd::Done(_) | PersonEnd::Gone | PersonEnd::Failed { .. } => Course::Passed,
        // What it is about is not decided yet, or it ends the round by itself.
        PersonEnd::Retry { .. } if trouble.is_some() => Course::Silent,
        PersonEnd::Retry { error, .. } => Course::Failed(error.clone()),
        PersonEnd::Released => Course::Silent,
    };
    events.emit(RunEvent::Failed(u64::from(matches!(end, PersonEnd::Failed { .. }))));
    let retried = matches!(end, PersonEnd::Retry { .. });
    events.emit(RunEvent::Postponed(u64::from(retried)));
    let exhausted = retried && attempts + 1 >= ATTEMPTS;
    let answered = course == Course::Passed;
    with_trouble(Outcome { course, answered, exhausted, ..Outcome::silent(seq, vec![(seq, owed, end)]) }, trouble)
}

/// The attempt that a fault is about.
struct At<'a> {
    shared: &'a Shared,
    id: &'a str,
    attempts: u32,
}

impl At<'_> {
    async fn failed(&self, person: &Person, flags: Flags, call: FailedCall, written: u64) -> Ended {
        let (end, trouble) = fault(self.shared, self.id, self.attempts, person, flags, call).await;
        Ended { end, trouble, written }
    }
}

/// One attempt at a person: step by step, until the rule has nothing more to say.
async fn attempt(shared: &Shared, claimed: ClaimedPerson) -> Result<Ended, RunError> {
    let ClaimedPerson { id, attempts, person, .. } = claimed;
    let mut written = 0;
    let ended = |end, written| Ended { end, trouble: None, written };
    let Some(mut person) = person.filter(|_| shared.source.is_id(&id)) else { return Ok(ended(PersonEnd::Gone, 0)) };
    let at_fault = At { shared, id: &id, attempts };
    // What the person was given since it was last looked at may have arrived by another way.
    shared.rule.spend(&mut person);
    let mut looked = false;
    // The subscriptions, in a workflow of topics, as they were read last.
    let mut found: Option<SubscribedProfile> = None;
    let is_topics = shared.flow().topics;
    let mut refusals = Refusals::default();
    for _ in 0..STEPS {
        let step = match shared.rule.step_without(&person, looked, refusals.refused) {
            // A subscription is written by the addresses of an answer.
            Step::WriteCampaign { .. } if is_topics && found.is_none() => Step::AskCampaign,
            step => step,
        };
        match step {
            Step::Done => match refusals.last {
                Some((flags, error, body)) => {
                    return Ok(at_fault.failed(&person, flags, FailedCall::write(CallKind::Update, error, body), written).await);
                }
                None => return Ok(ended(PersonEnd::Done(person), written)),
            },
            Step::AskCampaign => {
                let seen = look(shared, &id, &mut found).await;
                passed(shared, CallKind::Look, &seen);
                match seen {
                    Ok(Some(sight)) => shared.rule.profile_seen(&mut person, &sight),
                    Ok(None) => shared.rule.profile_missing(&mut person),
                    Err(error) => return Ok(at_fault.failed(&person, Flags::NONE, FailedCall::look(CallKind::Look, error), written).await),
                }
                looked = true;
            }
            Step::AskDynamics => match ask_dynamics(shared, &id, &mut person).await {
                Ok(true) => {}
                Ok(false) => return Ok(ended(PersonEnd::Gone, written)),
                Err(error) => return Ok(at_fault.failed(&person, Flags::NONE, FailedCall::look(CallKind::Reread, error), written).await),
            },
            Step::WriteCampaign { raise, lower } => {
                // Each subscription is a separate request.
                refusals.singly |= is_topics;
                let (raise, lower) = (refusals.portion(raise), refusals.portion(lower));
                let body = campaign_body(shared, raise, lower);
                // If the answer to a consent is lost, the next read has to know that it may have been written.
                if !lower.is_empty() {
                    person.lifting = person.lifting | lower;
                    if !shared.optouts().note_intent(&shared.name, &id, &person).await? {
                        return Ok(ended(PersonEnd::Gone, written));
                    }
                }
                let answer = match (&shared.subscriptions, &found, service(shared, raise | lower)) {
                    (Some(subscriptions), Some(profile), Some(service)) => {
                        topics::write(&**subscriptions, profile, service, lower.is_empty()).await
                    }
                    _ => shared.profiles.update(shared.profile(&id), Payload::from(&body), None).await,
                };
                passed(shared, CallKind::Update, &answer);
                if answer.as_ref().is_err_and(|error| is_topics && topics::had_no_effect(error)) {
                    shared.rule.campaign_refused(&mut person, lower);
                }
                match answer {
                    // The subscription or the profile is gone, or the addresses have expired.
                    Ok(Written::Missing) if is_topics => {
                        shared.rule.campaign_refused(&mut person, lower);
                        (looked, found, person.look) = (false, None, true);
                    }
                    Ok(Written::Done) => {
                        written += 1;
                        shared.rule.campaign_written(&mut person, raise, lower, shared.context.now());
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
                if !shared.optouts().note_intent(&shared.name, &id, &person).await? {
                    return Ok(ended(PersonEnd::Gone, written));
                }
                let body = dynamics_body(shared, raise, lower);
                let sent = shared.context.now();
                let answer = shared.contacts.update(shared.contact(&id), Payload::from(&body), Some(&version)).await;
                passed(shared, CallKind::Contact, &answer);
                match answer {
                    Ok(Written::Missing) => return Ok(ended(PersonEnd::Gone, written)),
                    Ok(Written::Done) => {
                        written += 1;
                        shared.rule.dynamics_written(&mut person, raise, lower, sent);
                    }
                    // Somebody was faster, or it was our own write and the answer was lost: the present value decides.
                    Err(ConnectError::Changed { .. }) => match ask_dynamics(shared, &id, &mut person).await {
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
    let error = "the record is being changed by others at the same time".to_owned();
    Ok(ended(PersonEnd::Retry { person: Some(person), not_before: shared.context.later(attempts), error }, written))
}

/// Reads the profile: its attributes, or its subscriptions, which are left in `found`.
async fn look(shared: &Shared, id: &str, found: &mut Option<SubscribedProfile>) -> Result<Option<ProfileSight>, ConnectError> {
    if let Some(subscriptions) = &shared.subscriptions {
        let (sight, profile) = topics::look(shared, &**subscriptions, id).await?.unzip();
        *found = profile;
        return Ok(sight);
    }
    let at = shared.context.now();
    let profile = shared.profiles.get(shared.profile(id)).await?;
    Ok(profile.map(|profile| profiles::sight(&profile.record, at, shared.context.now())))
}

/// The service of a topic.
fn service(shared: &Shared, flag: Flags) -> Option<&str> {
    shared.pairs().get(&flag).copied().filter(|_| shared.flow().topics).map(|pair| pair.target.as_str())
}

/// Reads the contact; `false` where it is gone.
async fn ask_dynamics(shared: &Shared, id: &str, person: &mut Person) -> Result<bool, ConnectError> {
    let found = shared.source.retrieve(&shared.query, id).await;
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
    if shared.flow().topics {
        return topics::body(service(shared, raise | lower), lower.is_empty());
    }
    let pairs = shared.pairs();
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
        if !policy::is_rejection(&error) {
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
    let pairs = shared.pairs();
    let value = |pair: &OptoutPair, out: bool| match &pair.meaning {
        Some(meaning) => eval::opt_out_value(meaning, out, shared.context.now()),
        None => Some((out != pair.inverted).to_string()),
    };
    let values: BTreeMap<&str, Box<RawValue>> = raise
        .iter()
        .map(|flag| (flag, true))
        .chain(lower.iter().map(|flag| (flag, false)))
        .filter_map(|(flag, out)| {
            let pair = pairs.get(&flag)?;
            Some((pair.source.as_str(), RawValue::from_string(value(pair, out)?).ok()?))
        })
        .collect();
    serde_json::json!(values).to_string()
}

/// Notes that a call of a kind was let through.
fn passed<T>(shared: &Shared, kind: CallKind, answer: &Result<T, ConnectError>) {
    if answer.is_ok() {
        shared.denials.passed(kind);
    }
}

/// What an error means: a dead letter, another attempt, or the end of the round.
async fn fault(shared: &Shared, id: &str, attempts: u32, person: &Person, flags: Flags, call: FailedCall) -> (PersonEnd, Option<Trouble>) {
    match meaning(shared, &shared.context, id, attempts, call).await {
        Meaning::Rejected { error, request } => (given_up(shared, id, person, flags, &error, request), None),
        Meaning::Again { not_before, error, trouble } => (PersonEnd::Retry { person: Some(person.clone()), not_before, error }, trouble),
    }
}

/// The dead letter of a person.
fn given_up(shared: &Shared, id: &str, person: &Person, flags: Flags, error: &ConnectError, request: Option<String>) -> PersonEnd {
    let flow = shared.flow();
    let pair = flags.iter().next().filter(|_| flags.len() == 1).and_then(|flag| shared.pairs().get(&flag).copied());
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
    shared.context.emit(RunEvent::Problem(Problem {
        place: &at,
        field: failure.field.as_deref().unwrap_or_default(),
        code: &code,
        message: &format!("answered {status}"),
        record: id,
    }));
    PersonEnd::Failed { person: Some(person.clone()), failure }
}

/// Whether the service that a call of this kind goes to answers a read of a person itself.
async fn service_answers(shared: &Shared, kind: CallKind, id: &str) -> bool {
    let error = if kind.is_of_target() {
        shared.profiles.get(shared.profile(id)).await.err()
    } else if shared.source.is_id(id) {
        shared.source.retrieve(&shared.query, id).await.err()
    } else {
        return true;
    };
    error.is_none_or(|error| policy::is_answer_of_service(&error))
}
