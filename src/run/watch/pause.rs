//! How long a watch waits after a failed round. No error ends a workflow: one odd answer, a maintenance window or a full disk
//! passes, and what a person must fix is looked at again too, so that the fix alone is enough.

use std::time::Duration;

use crate::connect::ConnectError;
use crate::run::RunError;

/// From a failed round to the next attempt, doubled with each failure in a row.
const BACK_OFF: Duration = Duration::from_secs(1);
/// The longest pause between two attempts where the reason may pass.
pub(super) const LONGEST_BACK_OFF: Duration = Duration::from_secs(600);
/// The pause where the state, the plan or the project names a reason that only a person can remove. `d365map start` tries at once.
const PROBE: Duration = Duration::from_secs(3600);

/// The pause after a round that failed for this reason, and after this number of failures in a row before it.
pub(super) fn after(error: &RunError, failures: u32) -> Duration {
    match error {
        // A portal or a gateway that answers in the service's place does so for a while, and each request may be passed on late.
        RunError::Stranger { .. } => LONGEST_BACK_OFF,
        // The service or its token service lets the client do nothing: each further request would be one more failed log-in.
        RunError::Denied { .. } => LONGEST_BACK_OFF,
        RunError::Service(service) if error.needs_person() && !matches!(service, ConnectError::Config { .. }) => LONGEST_BACK_OFF,
        _ if error.needs_person() => PROBE,
        _ => back_off(failures),
    }
}

/// The pause after this number of failures in a row before this one.
pub(super) fn back_off(failures: u32) -> Duration {
    BACK_OFF.saturating_mul(1 << failures.min(16)).min(LONGEST_BACK_OFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Call;
    use crate::store::{FailureKind, StoreError};

    #[test]
    fn pauses_grow_and_stay_within_ten_minutes() {
        let pauses: Vec<u64> = [0, 1, 2, 5, 9, 10, 30, u32::MAX].iter().map(|n| back_off(*n).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 32, 512, 600, 600, 600]);
    }

    #[test]
    fn an_answer_that_may_be_odd_is_tried_again_soon_a_refused_client_after_ten_minutes_and_other_work_for_a_person_every_hour() {
        let call = || Box::<Call>::default();
        let failed = |kind| RunError::State(StoreError::Failed { place: "s".into(), doing: "write", kind, source: "an error".into() });
        for error in [
            RunError::Service(ConnectError::Forbidden { call: call() }),
            RunError::Service(ConnectError::NotFound { call: call() }),
            RunError::Service(ConnectError::Rejected { call: call() }),
            RunError::Service(ConnectError::Protocol { call: call(), problem: "an HTML page".to_owned() }),
            failed(FailureKind::Full),
            failed(FailureKind::Busy),
            failed(FailureKind::Disk),
            failed(FailureKind::Denied),
            failed(FailureKind::Other),
            RunError::Task("a panic".to_owned()),
            RunError::Taken { name: "a".to_owned() },
        ] {
            assert_eq!(after(&error, 0), BACK_OFF, "{error}");
        }
        let denied = || {
            let call = Box::new(Call { code: Some("0x80040220".to_owned()), ..Call::default() });
            ConnectError::Forbidden { call }
        };
        for error in [
            RunError::Service(ConnectError::Unauthorized { call: call() }),
            RunError::Service(denied()),
            RunError::Service(ConnectError::Token { call: call(), remedy: String::new() }),
            RunError::Service(ConnectError::SignIn { problem: String::new(), remedy: String::new() }),
            RunError::Denied { name: "a".to_owned(), calls: "every create".to_owned(), error: Box::new(denied()) },
        ] {
            assert!(error.needs_person(), "{error}");
            assert_eq!(after(&error, 0), LONGEST_BACK_OFF, "{error}");
        }
        let stranger =
            RunError::Stranger { name: "a".to_owned(), service: "Campaign", answers: 3, last: "an HTML page".to_owned(), waiting: 3 };
        assert_eq!(after(&stranger, 0), LONGEST_BACK_OFF);
        for error in [
            failed(FailureKind::Damaged),
            RunError::State(StoreError::MassChange { mapping: "a".to_owned(), change: Box::default() }),
            RunError::KeyChanged { name: "a".to_owned(), before: "x".to_owned(), now: "y".to_owned() },
            RunError::Untracked { name: "a".to_owned(), table: "t".to_owned(), message: String::new() },
            RunError::Service(ConnectError::Config { problem: String::new(), remedy: String::new() }),
        ] {
            assert_eq!(after(&error, 0), PROBE, "{error}");
        }
    }
}
