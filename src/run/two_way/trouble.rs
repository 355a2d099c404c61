//! What a failed call means for a pair: a dead letter, another attempt, or the end of the round.

use super::Shared;
use super::fields::CRM_ID;
use super::rule::{Policy, Reason};
use crate::connect::ConnectError;
use crate::engine::events::{Problem, RunEvent};
use crate::engine::policy;
use crate::run::calls::CallKind;
use crate::run::failure::place;
use crate::run::trouble::{FailedCall, Meaning, Trouble, meaning};
use crate::store::{Failure, PairEnd, PairSide};

/// Tells of a dead letter.
pub(super) fn problem(shared: &Shared, failure: &Failure, record: &str) {
    let at = failure.place.as_ref().map(|place| format!("{}:{}:{}", place.file, place.line, place.column)).unwrap_or_default();
    let message = failure.status.map_or_else(|| failure.message.clone(), |status| format!("answered {status}"));
    shared.context.emit(RunEvent::Problem(Problem {
        place: &at,
        field: failure.field.as_deref().unwrap_or_default(),
        code: &failure.code,
        message: &message,
        record,
    }));
}

/// What an error means: a dead letter, another attempt, or the end of the round.
pub(super) async fn fault(shared: &Shared, anchor: &str, attempts: u32, call: FailedCall) -> (PairEnd, Option<Trouble>) {
    match meaning(shared, &shared.context, anchor, attempts, call).await {
        Meaning::Rejected { error, request } => (given_up(shared, anchor, &error, request), None),
        Meaning::Again { not_before, error, trouble } => (PairEnd::Retry { not_before, error }, trouble),
    }
}

/// The message about fields that both sides have changed to different values.
pub(super) fn conflict(shared: &Shared, names: &[&str]) -> String {
    if shared.rule.policy == Policy::Report {
        return format!(
            "Both sides have changed `{}` to different values, and the mapping says to report that. Give both records the same value; the other fields are in step",
            names.join("`, `")
        );
    }
    let (left, right) = (shared.flow().left.name(), shared.flow().right.name());
    format!("The {left} and the {right} were closed with different results. Reopen the {right}: it is then closed like the {left}")
}

/// The code and the message of a pair that a person must look at.
pub(super) fn stuck(shared: &Shared, reason: &Reason) -> (&'static str, String) {
    let flow = shared.flow();
    let (left, right) = (flow.left.name(), flow.right.name());
    match reason {
        Reason::UnknownCrmId(id) => (
            "unknown-crm-id",
            format!(
                "The {left} names the {right} `{id}` in `{CRM_ID}`, which does not exist. Correct or empty the CRM ID in Partner Center"
            ),
        ),
        Reason::CrmIdTaken(id) => (
            "crm-id-taken",
            format!(
                "The {left} names the {right} `{id}` in `{CRM_ID}`, which belongs to another {left}. Correct the CRM ID in Partner Center"
            ),
        ),
        Reason::UnknownIdentifier(id) => (
            "unknown-referral",
            format!("The {right} names the {left} `{id}` in `{}`, which does not exist. Empty that column", flow.right.key),
        ),
        Reason::IdentifierTaken(id) => (
            "referral-taken",
            format!("The {right} names the {left} `{id}` in `{}`, which belongs to another {right}. Empty that column", flow.right.key),
        ),
        Reason::Deleted(PairSide::Left) => {
            ("deleted", format!("The {left} was deleted. A deletion is not carried over: the {right} stays as it is"))
        }
        Reason::Deleted(PairSide::Right) => {
            ("deleted", format!("The {right} was deleted. A deletion is not carried over: the {left} stays as it is"))
        }
    }
}

/// The dead letter of a pair that a service refused.
fn given_up(shared: &Shared, anchor: &str, error: &ConnectError, request: Option<String>) -> PairEnd {
    let message = error.call().and_then(|call| call.message.clone()).unwrap_or_else(|| error.to_string());
    let failure = Failure {
        code: error.vendor_code().filter(|code| !code.is_empty()).map_or("D906".to_owned(), str::to_owned),
        message,
        field: None,
        place: Some(place(&shared.context.plan, shared.flow().at)),
        request,
        status: error.status(),
        response: error.response_body().map(str::to_owned),
    };
    problem(shared, &failure, anchor);
    PairEnd::Failed(failure)
}

/// Whether the service that a call of this kind goes to answers a read of a record itself.
pub(super) async fn service_answers(shared: &Shared, kind: CallKind, id: &str) -> bool {
    let system = if kind.is_of_target() { &shared.right } else { &shared.left };
    if !system.source.is_id(id) {
        return true;
    }
    let error = system.source.retrieve(&system.query, id).await.err();
    error.is_none_or(|error| policy::is_answer_of_service(&error))
}
