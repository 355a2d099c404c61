//! What a failed call means for a unit of work that is tried as a whole, such as the opt-outs of a person or a pair of records: it is
//! given up, or tried again, and perhaps there is trouble beyond it.

use super::calls::CallKind;
use super::{Context, RunError};
use crate::connect::ConnectError;
use crate::engine::policy::{self, Action, Doubt, GIVE_UP};
use crate::engine::pump::{Handler, Outcome};
use crate::engine::refusals::Unclear;
use crate::time::Instant;

/// A fault that is about more than one unit, or may be.
pub(super) enum Trouble {
    /// The round ends.
    Abort(RunError),
    /// A refusal.
    Unclear(Unclear<CallKind>),
}

/// A call that failed.
pub(super) struct FailedCall {
    pub kind: CallKind,
    pub error: ConnectError,
    /// What was sent.
    pub request: Option<String>,
}

impl FailedCall {
    /// A call that sends nothing of the record.
    pub fn look(kind: CallKind, error: ConnectError) -> FailedCall {
        FailedCall { kind, error, request: None }
    }

    /// A call with a body.
    pub fn write(kind: CallKind, error: ConnectError, body: String) -> FailedCall {
        FailedCall { kind, error, request: Some(body) }
    }
}

/// What a failed call means for its unit.
pub(super) enum Meaning {
    /// It becomes a dead letter.
    Rejected {
        /// Why.
        error: ConnectError,
        /// What was sent.
        request: Option<String>,
    },
    /// It is tried again.
    Again {
        /// Not before this.
        not_before: Instant,
        /// Why, for `status`.
        error: String,
        trouble: Option<Trouble>,
    },
}

/// Returns what a failed call means. `unit` is the key that [`Handler::service_answers`] takes, `attempts` the number of earlier ones.
pub(super) async fn meaning<H: Handler<Call = CallKind>>(
    handler: &H,
    context: &Context,
    unit: &str,
    attempts: u32,
    call: FailedCall,
) -> Meaning {
    let FailedCall { kind, error, request } = call;
    let doubt = policy::doubt(&error);
    let again = |not_before, trouble| Meaning::Again { not_before, error: error.to_string(), trouble };
    match (policy::action(&error, handler.denials().scope(kind, doubt)), doubt) {
        (Action::Reject, _) => Meaning::Rejected { error, request },
        (Action::Retry { .. }, Some(Doubt::Stranger)) if attempts + 1 >= GIVE_UP && handler.service_answers(kind, unit).await => {
            Meaning::Rejected { error, request }
        }
        (Action::Retry { .. }, None) => again(context.later(attempts), None),
        (Action::Retry { .. }, Some(doubt)) => {
            let unclear = Unclear { doubt, call: kind, key: unit.to_owned(), error: error.clone() };
            again(context.later(attempts), Some(Trouble::Unclear(unclear)))
        }
        (Action::Stop | Action::Pause, _) => again(context.now(), Some(Trouble::Abort(RunError::Service(error.clone())))),
    }
}

/// An outcome with the trouble that goes beyond its unit.
pub(super) fn with_trouble<H: Handler<Call = CallKind, Error = RunError>>(outcome: Outcome<H>, trouble: Option<Trouble>) -> Outcome<H> {
    match trouble {
        Some(Trouble::Abort(error)) => Outcome { end: Some(error), ..outcome },
        Some(Trouble::Unclear(unclear)) => {
            // A run that goes through once does not wait for what something else has answered: it may do so for a while.
            let exhausted = outcome.exhausted || unclear.doubt == Doubt::Stranger;
            Outcome { unclear: vec![unclear], exhausted, ..outcome }
        }
        None => outcome,
    }
}
