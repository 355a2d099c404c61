//! The error policy: what an error of a service means for the work that met it. The one place that decides; its table is "What an
//! error means for the work" in `docs/reliability.md`, each row named by its test.

use chrono::TimeDelta;

use crate::connect::ConnectError;

/// Attempts at one operation for reasons of the moment, before a run that goes through once leaves it waiting.
pub(crate) const ATTEMPTS: u32 = 6;
/// Attempts at one operation over several runs after which it is asked whether it is the operation and not the service that fails.
pub(crate) const GIVE_UP: u32 = 3 * ATTEMPTS;

/// Calls in a row that fail for reasons of the moment, or are refused by something else, before a round of single records ends or asks
/// whether it should.
pub(crate) const FAILURES_IN_A_ROW: u32 = 25;

/// What is done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The operation is tried again later. `uncertain`: it may have taken effect.
    Retry { uncertain: bool },
    /// The record becomes a dead letter.
    Reject,
    /// The round of this workflow ends, and a person must act. A watch probes again at the longest back-off.
    Stop,
    /// The round ends, since the service would fail the other calls as well. It is tried again by itself after a back-off.
    Pause,
}

/// What is known about the other calls of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Others pass: the error is about this record.
    Record,
    /// Nothing yet.
    Unknown,
    /// None passes, or the call is not about a single record, such as reading a page.
    Everything,
}

/// Errors that can be about one record or about everything; what happens to other calls decides ([`super::refusals`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// The service says in its own words that the client may not do this: with this record, or at all.
    Denied,
    /// Something other than the service answered: a web page, a redirect, a proxy. It says nothing about the record, and a write may
    /// have taken effect.
    Stranger,
}

/// Whether an error can be about one record or about everything.
pub(crate) fn doubt(error: &ConnectError) -> Option<Doubt> {
    match error {
        // Both services and their gateways give a code or a message with a 403; one without either is not theirs.
        ConnectError::Forbidden { call } if call.code.is_some() || call.message.is_some() => Some(Doubt::Denied),
        ConnectError::Forbidden { .. } | ConnectError::Protocol { .. } => Some(Doubt::Stranger),
        ConnectError::Throttled { .. }
        | ConnectError::Unauthorized { .. }
        | ConnectError::NotFound { .. }
        | ConnectError::Rejected { .. }
        | ConnectError::Duplicate { .. }
        | ConnectError::Unavailable { .. }
        | ConnectError::OutcomeUnknown { .. }
        | ConnectError::DeltaExpired { .. }
        | ConnectError::BudgetSpent { .. }
        | ConnectError::Changed { .. }
        | ConnectError::ForeignLink { .. }
        | ConnectError::Token { .. }
        | ConnectError::SignIn { .. }
        | ConnectError::Config { .. } => None,
    }
}

/// What is done about an error.
pub(crate) fn action(error: &ConnectError, scope: Scope) -> Action {
    match (error, scope) {
        // A fresh token was refused as well, or none is available: the next call would fail too.
        (
            ConnectError::Unauthorized { .. }
            | ConnectError::Token { .. }
            | ConnectError::SignIn { .. }
            | ConnectError::ForeignLink { .. }
            | ConnectError::Config { .. },
            _,
        ) => Action::Stop,
        // A full load is due, which the next round begins; the budget starts again at midnight.
        (ConnectError::BudgetSpent { .. } | ConnectError::DeltaExpired { .. }, _) => Action::Pause,
        (ConnectError::OutcomeUnknown { .. }, Scope::Record | Scope::Unknown) => Action::Retry { uncertain: true },
        (ConnectError::Throttled { .. } | ConnectError::Unavailable { .. }, Scope::Record | Scope::Unknown) => {
            Action::Retry { uncertain: false }
        }
        (ConnectError::Rejected { .. } | ConnectError::Duplicate { .. } | ConnectError::Changed { .. }, Scope::Record | Scope::Unknown) => {
            Action::Reject
        }
        // A missing record is a different answer; what is not found here is the address, or a record to which a row links.
        (ConnectError::NotFound { .. }, Scope::Record) => Action::Reject,
        (ConnectError::NotFound { .. }, Scope::Unknown | Scope::Everything) => Action::Pause,
        (ConnectError::Forbidden { .. } | ConnectError::Protocol { .. }, scope) => match (doubt(error), scope) {
            (Some(Doubt::Denied), Scope::Record) => Action::Reject,
            (Some(Doubt::Denied), Scope::Unknown) => Action::Retry { uncertain: false },
            (Some(Doubt::Denied), Scope::Everything) => Action::Stop,
            // Whoever answered may have passed the request on.
            (Some(Doubt::Stranger) | None, Scope::Record | Scope::Unknown) => Action::Retry { uncertain: true },
            (Some(Doubt::Stranger) | None, Scope::Everything) => Action::Pause,
        },
        (
            ConnectError::Throttled { .. }
            | ConnectError::Unavailable { .. }
            | ConnectError::OutcomeUnknown { .. }
            | ConnectError::Rejected { .. }
            | ConnectError::Duplicate { .. }
            | ConnectError::Changed { .. },
            Scope::Everything,
        ) => Action::Pause,
    }
}

/// Whether the service refused the record itself, whatever other calls say.
pub(crate) fn is_rejection(error: &ConnectError) -> bool {
    action(error, Scope::Unknown) == Action::Reject
}

/// Whether an error of a read shows that the service itself answers.
pub(crate) fn is_answer_of_service(error: &ConnectError) -> bool {
    doubt(error) == Some(Doubt::Denied) || is_rejection(error)
}

/// How long an operation is postponed after this number of attempts before it: two seconds, doubled with each attempt, two minutes at
/// most.
pub(crate) fn postponement(attempts: u32) -> TimeDelta {
    TimeDelta::seconds((2_i64 << attempts.min(6)).min(120))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Call;

    const RETRY: Action = Action::Retry { uncertain: false };
    const LOOK_FIRST: Action = Action::Retry { uncertain: true };

    fn call() -> Box<Call> {
        Box::default()
    }

    /// What is done if the error is about one record, if nothing is known, and if it is about everything.
    fn actions(error: &ConnectError) -> [Action; 3] {
        [Scope::Record, Scope::Unknown, Scope::Everything].map(|scope| action(error, scope))
    }

    #[test]
    fn a_busy_or_absent_service_is_tried_again_until_it_fails_everything() {
        assert_eq!(actions(&ConnectError::Throttled { call: call(), retry_after: None }), [RETRY, RETRY, Action::Pause]);
        assert_eq!(actions(&ConnectError::Unavailable { call: call() }), [RETRY, RETRY, Action::Pause]);
    }

    #[test]
    fn a_write_of_unknown_outcome_is_tried_again_after_a_read() {
        assert_eq!(actions(&ConnectError::OutcomeUnknown { call: call() }), [LOOK_FIRST, LOOK_FIRST, Action::Pause]);
    }

    #[test]
    fn what_the_service_refuses_about_a_record_rejects_the_record() {
        for error in
            [ConnectError::Rejected { call: call() }, ConnectError::Duplicate { call: call() }, ConnectError::Changed { call: call() }]
        {
            assert_eq!(actions(&error), [Action::Reject, Action::Reject, Action::Pause], "{error}");
        }
    }

    #[test]
    fn an_address_without_anything_pauses_unless_it_is_about_a_record_to_which_a_row_links() {
        assert_eq!(actions(&ConnectError::NotFound { call: call() }), [Action::Reject, Action::Pause, Action::Pause]);
    }

    #[test]
    fn a_403_in_the_services_words_rejects_a_record_or_stops_the_workflow_by_what_other_calls_say() {
        let denied = Call { code: Some("0x80040220".to_owned()), ..Call::default() };
        assert_eq!(actions(&ConnectError::Forbidden { call: Box::new(denied) }), [Action::Reject, RETRY, Action::Stop]);
    }

    #[test]
    fn a_web_page_and_a_403_without_a_message_say_nothing_about_a_record() {
        let page = ConnectError::Protocol { call: call(), problem: "an HTML page".to_owned() };
        for error in [page, ConnectError::Forbidden { call: call() }] {
            assert_eq!(actions(&error), [LOOK_FIRST, LOOK_FIRST, Action::Pause], "{error}");
        }
    }

    #[test]
    fn a_401_and_a_refusal_of_the_token_service_stop_the_workflow_whoever_meets_them() {
        for error in [ConnectError::Unauthorized { call: call() }, ConnectError::Token { call: call(), remedy: String::new() }] {
            assert_eq!(actions(&error), [Action::Stop; 3], "{error}");
        }
    }

    #[test]
    fn a_sign_in_that_a_person_must_repeat_stops_the_workflow_whoever_meets_it() {
        let error = ConnectError::SignIn { problem: String::new(), remedy: String::new() };
        assert_eq!(actions(&error), [Action::Stop; 3]);
        assert_eq!(doubt(&error), None);
    }

    #[test]
    fn a_configuration_that_cannot_work_and_a_link_to_another_host_stop_the_workflow() {
        for error in [
            ConnectError::Config { problem: String::new(), remedy: String::new() },
            ConnectError::ForeignLink { api: "dataverse", found: String::new(), expected: String::new() },
        ] {
            assert_eq!(actions(&error), [Action::Stop; 3], "{error}");
        }
    }

    #[test]
    fn a_postponement_doubles_from_two_seconds_to_two_minutes() {
        let seconds: Vec<i64> = [0, 1, 2, 5, 6, 7, u32::MAX].map(|attempts| postponement(attempts).num_seconds()).into();
        assert_eq!(seconds, [2, 4, 8, 64, 120, 120, 120]);
    }

    #[test]
    fn a_denial_and_a_refusal_are_answers_of_the_service_and_a_web_page_is_not() {
        let denied = Call { code: Some("0x80040220".to_owned()), ..Call::default() };
        assert!(is_answer_of_service(&ConnectError::Forbidden { call: Box::new(denied) }));
        assert!(is_answer_of_service(&ConnectError::Rejected { call: call() }));
        for error in [
            ConnectError::Protocol { call: call(), problem: String::new() },
            ConnectError::Forbidden { call: call() },
            ConnectError::Unavailable { call: call() },
        ] {
            assert!(!is_answer_of_service(&error), "{error}");
        }
    }

    #[test]
    fn a_spent_budget_and_an_expired_delta_token_pause_the_work() {
        let spent = ConnectError::BudgetSpent { api: "campaign", per_day: 1, until: crate::time::now() };
        for error in [spent, ConnectError::DeltaExpired { call: call() }] {
            assert_eq!(actions(&error), [Action::Pause; 3], "{error}");
        }
    }
}
