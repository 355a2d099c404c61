//! Refusals that may be about one record or about all: a documented 403, and answers that did not come from the service.
//!
//! Both are told apart by what happens to other calls. If the service lets calls of the same kind pass, a 403 is about the record. If
//! the service answers a read of the record itself, a web page in answer to a write is about that write. Otherwise the workflow ends
//! its round.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::policy::{Doubt, Scope};
use crate::connect::ConnectError;

/// Denials in a row after which they are no longer about single records, although a call of the kind passed before: a right was
/// taken away while the round went on.
const DENIED_IN_A_ROW: u32 = 10;

/// For each kind of call that passed in this round, how often it was denied since. Calls are of one kind if they need the same right.
#[derive(Debug)]
pub(crate) struct Denials<K>(Mutex<HashMap<K, u32>>);

impl<K> Default for Denials<K> {
    fn default() -> Self {
        Denials(Mutex::default())
    }
}

impl<K: Copy + Eq + Hash> Denials<K> {
    fn counts(&self) -> MutexGuard<'_, HashMap<K, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call of the kind passed.
    pub fn passed(&self, kind: K) {
        self.counts().insert(kind, 0);
    }

    /// A call of the kind was denied; returns whether that is about its record alone.
    pub fn is_of_the_record(&self, kind: K) -> bool {
        self.counts().get_mut(&kind).is_some_and(|denied| {
            let before = *denied;
            *denied = before.saturating_add(1);
            before < DENIED_IN_A_ROW
        })
    }

    /// What a failed call of the kind is known to be about; a denial is counted by this.
    pub fn scope(&self, kind: K, doubt: Option<Doubt>) -> Scope {
        match doubt {
            Some(Doubt::Denied) if self.is_of_the_record(kind) => Scope::Record,
            Some(Doubt::Denied | Doubt::Stranger) | None => Scope::Unknown,
        }
    }

    /// Whether calls of the kind do not pass at all.
    pub fn is_of_all(&self, kind: K) -> bool {
        self.counts().get(&kind).is_none_or(|denied| *denied >= DENIED_IN_A_ROW)
    }
}

/// A refusal that may be about one record or about all.
#[derive(Debug)]
pub(crate) struct Unclear<K> {
    pub doubt: Doubt,
    /// The kind of the call that was refused.
    pub call: K,
    /// The key of its record; empty if the call was about several.
    pub key: String,
    pub error: ConnectError,
}

/// A refusal that turned out to be about all records.
#[derive(Debug)]
pub(crate) enum Refused<K> {
    /// Calls of this kind are denied.
    Denied(K, ConnectError),
    /// Something other than the service answers calls of this kind.
    Stranger {
        call: K,
        /// Answers in a row.
        answers: u32,
        /// The last of them.
        last: String,
    },
}

/// What a writer has met of such refusals and is not decided yet.
#[derive(Debug)]
pub(crate) struct Undecided<K> {
    denied: Option<(K, ConnectError)>,
    denials: u32,
    /// The call and the key of the last record for which something else answered, and the answer.
    stranger: Option<(K, String, String)>,
    strangers: u32,
}

impl<K> Default for Undecided<K> {
    fn default() -> Self {
        Undecided { denied: None, denials: 0, stranger: None, strangers: 0 }
    }
}

impl<K: Copy + Eq + Hash> Undecided<K> {
    /// The service has answered a call.
    pub fn answered(&mut self) {
        (self.denials, self.stranger, self.strangers) = (0, None, 0);
    }

    /// Notes a refusal.
    pub fn note(&mut self, unclear: Unclear<K>) {
        let Unclear { doubt, call, key, error } = unclear;
        match doubt {
            Doubt::Denied => {
                // A denial is the service's own answer.
                (self.stranger, self.strangers) = (None, 0);
                self.denied = Some((call, error));
                self.denials += 1;
            }
            Doubt::Stranger => {
                self.stranger = Some((call, key, error.to_string()));
                self.strangers += 1;
            }
        }
    }

    /// Whether there were enough in a row that the writer should not send more before it is decided.
    pub fn are_many(&self, limit: u32) -> bool {
        self.denials >= limit || self.strangers >= limit
    }

    /// Takes the denials so far; returns the last one if they are about all records. Otherwise they are about their records, which are
    /// tried again by themselves.
    pub fn denied_to_all(&mut self, denials: &Denials<K>) -> Option<Refused<K>> {
        let (call, error) = self.denied.take()?;
        self.denials = 0;
        denials.is_of_all(call).then_some(Refused::Denied(call, error))
    }

    /// Takes the answers of a stranger so far. They are about their records if the service itself answers a read of the record of `key`.
    pub fn take_stranger(&mut self) -> Option<Suspicion<K>> {
        let (call, key, last) = self.stranger.take()?;
        Some(Suspicion { call, key, answers: std::mem::take(&mut self.strangers), last })
    }
}

/// Answers that did not come from the service, before a read of the record.
#[derive(Debug)]
pub(crate) struct Suspicion<K> {
    /// The last call that was answered so.
    pub call: K,
    /// The key of its record.
    pub key: String,
    answers: u32,
    last: String,
}

impl<K> Suspicion<K> {
    /// A read was not answered by the service either.
    pub fn confirmed(self) -> Refused<K> {
        Refused::Stranger { call: self.call, answers: self.answers, last: self.last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_of_the_record_only_if_a_call_of_its_kind_passed_and_few_were_denied_since() {
        let denials = Denials::default();
        assert!(!denials.is_of_the_record("create") && denials.is_of_all("create"));
        denials.passed("update");
        assert!(!denials.is_of_the_record("create"), "another right");
        denials.passed("create");
        for _ in 0..DENIED_IN_A_ROW {
            assert!(denials.is_of_the_record("create"));
        }
        assert!(!denials.is_of_the_record("create") && denials.is_of_all("create"), "the right was taken away");
        denials.passed("create");
        assert!(denials.is_of_the_record("create"));
    }

    #[test]
    fn answers_of_a_stranger_are_counted_until_the_service_answers_and_the_last_record_is_looked_at() {
        let page = |key: &str| Unclear {
            doubt: Doubt::Stranger,
            call: "update",
            key: key.to_owned(),
            error: ConnectError::Protocol { call: Box::default(), problem: "a page".to_owned() },
        };
        let mut undecided = Undecided::default();
        undecided.note(page("1"));
        undecided.answered();
        assert!(undecided.take_stranger().is_none());
        undecided.note(page("1"));
        undecided.note(page("2"));
        assert!(undecided.are_many(2) && !undecided.are_many(3));
        let suspicion = undecided.take_stranger().expect("two answers");
        assert_eq!(suspicion.key, "2");
        assert!(matches!(suspicion.confirmed(), Refused::Stranger { call: "update", answers: 2, .. }));
        assert!(!undecided.are_many(1) && undecided.take_stranger().is_none());
    }
}
