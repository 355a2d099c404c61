//! Refusals that may be about one record or about all: a documented 403, and answers that did not come from Campaign.
//!
//! Both are told apart by what happens to other calls. If Campaign lets calls of the same kind pass, a 403 is about the record. If
//! Campaign answers a look at the record itself, a web page in answer to a write is about that write. Otherwise the workflow stops.

use std::sync::atomic::{AtomicU32, Ordering};

use super::Shared;
use crate::connect::ConnectError;
use crate::connect::campaign::Key;
use crate::run::RunError;
use crate::run::failure::{Verdict, verdict};

/// Denials in a row after which they are no longer about single records, although a call of the kind passed before: a right was
/// taken away while the round went on.
const DENIED_IN_A_ROW: u32 = 10;
/// No call of the kind has passed in this round.
const NONE_PASSED: u32 = u32::MAX;

/// Calls that need the same right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallKind {
    /// A look at a record in Campaign.
    Look,
    Create,
    Update,
    Delete,
    /// A record is read again from Dynamics 365.
    Reread,
}

impl CallKind {
    /// For people: what is denied.
    fn words(self) -> &'static str {
        match self {
            CallKind::Look => "every look at a record",
            CallKind::Create => "every create",
            CallKind::Update => "every update",
            CallKind::Delete => "every delete",
            CallKind::Reread => "every read of a single record",
        }
    }
}

/// For each kind of call, how often it was denied since one passed.
#[derive(Debug)]
pub(super) struct Denials([AtomicU32; 5]);

impl Default for Denials {
    fn default() -> Self {
        Denials(std::array::from_fn(|_| AtomicU32::new(NONE_PASSED)))
    }
}

impl Denials {
    /// A call of the kind passed.
    pub fn passed(&self, kind: CallKind) {
        self.0[kind as usize].store(0, Ordering::Relaxed);
    }

    /// A call of the kind was denied; gives whether that is about its record alone.
    pub fn is_of_the_record(&self, kind: CallKind) -> bool {
        let count = |denied: u32| (denied != NONE_PASSED).then(|| denied.saturating_add(1).min(NONE_PASSED - 1));
        self.0[kind as usize].fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_ok_and(|before| before < DENIED_IN_A_ROW)
    }

    /// Whether calls of the kind do not pass at all.
    fn is_of_all(&self, kind: CallKind) -> bool {
        self.0[kind as usize].load(Ordering::Relaxed) >= DENIED_IN_A_ROW
    }
}

/// What the writer has met of such refusals and is not decided yet.
#[derive(Debug, Default)]
pub(super) struct Undecided {
    denied: Option<(CallKind, ConnectError)>,
    denials: u32,
    /// The key of the last operation that was answered by something else, and what it answered.
    stranger: Option<(String, String)>,
    strangers: u32,
}

impl Undecided {
    /// Campaign has answered a call.
    pub fn answered(&mut self) {
        (self.denials, self.stranger, self.strangers) = (0, None, 0);
    }

    pub fn denied(&mut self, kind: CallKind, error: ConnectError) {
        // A denial is Campaign's own answer.
        (self.stranger, self.strangers) = (None, 0);
        self.denied = Some((kind, error));
        self.denials += 1;
    }

    pub fn by_a_stranger(&mut self, key: String, error: String) {
        self.stranger = Some((key, error));
        self.strangers += 1;
    }

    /// Whether there were enough in a row that the writer should not send more before it is decided.
    pub fn are_many(&self, limit: u32) -> bool {
        self.denials >= limit || self.strangers >= limit
    }

    /// Decides what the refusals so far are about. Gives why the round ends, if they are about all records; otherwise they are about
    /// their records, which are tried again by themselves.
    pub async fn decide(&mut self, shared: &Shared) -> Option<RunError> {
        let name = || shared.flow().name.clone();
        if let Some((kind, error)) = self.denied.take() {
            self.denials = 0;
            if shared.denials.is_of_all(kind) {
                return Some(RunError::Denied { name: name(), calls: kind.words(), error: Box::new(error) });
            }
        }
        let (key, last) = self.stranger.take()?;
        let answers = std::mem::take(&mut self.strangers);
        if campaign_answers(shared, &key).await {
            return None;
        }
        Some(RunError::Stranger { name: name(), answers, last, waiting: shared.context.counters.backlog.get() })
    }
}

/// Whether Campaign itself answers a look at a record.
pub(super) async fn campaign_answers(shared: &Shared, key: &str) -> bool {
    let attribute = shared.flow().key.path.join(".");
    let key = Key::Identity { attribute: &attribute, value: key };
    match shared.context.services.campaign.get(&shared.flow().target.collection, key).await {
        Ok(_) => true,
        Err(error) => match verdict(&error) {
            Verdict::Record | Verdict::Denied => true,
            Verdict::Moment { .. } | Verdict::Stranger | Verdict::Run => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_of_the_record_only_if_a_call_of_its_kind_passed_and_few_were_denied_since() {
        let denials = Denials::default();
        assert!(!denials.is_of_the_record(CallKind::Create) && denials.is_of_all(CallKind::Create));
        denials.passed(CallKind::Update);
        assert!(!denials.is_of_the_record(CallKind::Create), "another right");
        denials.passed(CallKind::Create);
        for _ in 0..DENIED_IN_A_ROW {
            assert!(denials.is_of_the_record(CallKind::Create));
        }
        assert!(!denials.is_of_the_record(CallKind::Create) && denials.is_of_all(CallKind::Create), "the right was taken away");
        denials.passed(CallKind::Create);
        assert!(denials.is_of_the_record(CallKind::Create));
    }
}
