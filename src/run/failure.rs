//! From an error to what is kept of it: which are the record's own fault, which are of the moment, which end the run.

use crate::connect::ConnectError;
use crate::eval::Rejection;
use crate::plan::{At, ExecutionPlan, IngressFlow};
use crate::state::{Failure, Place};

/// A place of the plan as the state keeps it.
pub(super) fn place(plan: &ExecutionPlan, at: At) -> Place {
    Place { file: plan.files.get(at.file as usize).cloned().unwrap_or_default(), line: at.line, column: at.column }
}

/// A record that could not be mapped.
pub(super) fn of_rejection(plan: &ExecutionPlan, rejection: &Rejection) -> Failure {
    Failure {
        code: rejection.code.to_owned(),
        message: rejection.message.clone(),
        field: Some(rejection.field.clone()),
        place: Some(place(plan, rejection.at)),
        ..Failure::default()
    }
}

/// What a write's error means for the flow.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The record's own fault: a dead letter.
    Record,
    /// Of the moment: try again. `uncertain` where the write may have taken effect.
    Moment { uncertain: bool },
    /// Every other call would fail as well: the run ends.
    Run,
}

/// What a write's error means.
pub(super) fn verdict(error: &ConnectError) -> Verdict {
    match error {
        ConnectError::OutcomeUnknown { .. } => Verdict::Moment { uncertain: true },
        ConnectError::Throttled { .. } | ConnectError::Unavailable { .. } => Verdict::Moment { uncertain: false },
        ConnectError::Rejected { .. } | ConnectError::Duplicate { .. } | ConnectError::Changed { .. } => Verdict::Record,
        // A resource that is not there, a sign-in page, a wrong address: the next record would fare no better.
        ConnectError::Unauthorized { .. }
        | ConnectError::Forbidden { .. }
        | ConnectError::NotFound { .. }
        | ConnectError::DeltaExpired { .. }
        | ConnectError::BudgetSpent { .. }
        | ConnectError::Protocol { .. }
        | ConnectError::ForeignLink { .. }
        | ConnectError::Token { .. }
        | ConnectError::Config { .. } => Verdict::Run,
    }
}

/// A record that the target refused.
pub(super) fn of_error(plan: &ExecutionPlan, flow: &IngressFlow, error: &ConnectError, request: Option<String>) -> Failure {
    let message = match error.call() {
        Some(call) => {
            let status = call.status.map_or("nothing".to_owned(), |s| s.to_string());
            format!("Campaign answered {status}: {}", call.message.as_deref().unwrap_or("no reason given"))
        }
        None => error.to_string(),
    };
    let blamed = blamed_field(flow, &message);
    let code = error.vendor_code().filter(|c| !c.is_empty()).map_or("D906".to_owned(), str::to_owned);
    Failure {
        code,
        message,
        field: blamed.map(|f| f.path.join(".")),
        place: Some(place(plan, blamed.map_or(flow.at, |f| f.at))),
        request,
        status: error.status(),
        response: error.response_body().map(str::to_owned),
    }
}

/// The field whose name the service's message has as a word, so that the dead letter can point at its line.
fn blamed_field<'f>(flow: &'f IngressFlow, message: &str) -> Option<&'f crate::plan::FieldProgram> {
    let words: Vec<&str> = message.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    flow.fields.iter().find(|f| f.path.last().is_some_and(|name| words.contains(&name.as_str())))
}
