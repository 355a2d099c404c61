//! Why a run, or a flow of it, ends.

use tokio::task::JoinError;

use crate::connect::ConnectError;
use crate::connect::sftp::SftpError;
use crate::count::counted;
use crate::engine::policy::{self, Action, Scope};
use crate::eval::EvalError;
use crate::store::StoreError;

/// Why a run ended before its work was done. What was read and not written waits in the state.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state file.
    #[error(transparent)]
    State(#[from] StoreError),
    /// A service that does not answer, or refuses everything.
    #[error("{0}")]
    Service(#[from] ConnectError),
    /// The SFTP server of the exports.
    #[error("{0}")]
    Sftp(#[from] SftpError),
    /// The journal of events.
    #[error("{0}")]
    Journal(#[source] ConnectError),
    /// The plan.
    #[error("the plan cannot be run: {0}. Compile it again")]
    Plan(#[from] EvalError),
    /// A mapping that the plan does not have.
    #[error("there is no mapping `{name}` in the plan; it has {known}")]
    UnknownMapping {
        /// The name.
        name: String,
        /// The mappings of the plan.
        known: String,
    },
    /// `options { rejected stop }`.
    #[error(
        "{place}: record {source_id} is rejected ({code}: {message}), and the mapping says to stop then. Fix the record or the mapping, or write `rejected dead-letter`"
    )]
    Rejected {
        /// The line of the mapping file.
        place: String,
        /// The record.
        source_id: String,
        /// The diagnostic's code.
        code: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The source gave records that cannot even be named. Of a single one the round goes on without it.
    #[error("{place}: no row of a page says which record it is about ({message}); nothing of the page was stored")]
    Nameless {
        /// The line of the mapping file.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// Too many calls in a row that failed for reasons of the service.
    #[error("the service has failed {} in a row, last with: {last}. {} waiting in the state; run again later", counted(*failures, "time"), counted(*waiting, "operation"))]
    Unavailable {
        /// How many.
        failures: u32,
        /// The last reason.
        last: String,
        /// The backlog.
        waiting: u64,
    },
    /// The service denies all calls of one kind that a workflow makes.
    #[error("{calls} of `{name}` is denied: {error}")]
    Denied {
        /// The workflow.
        name: String,
        /// What is denied, in words.
        calls: String,
        /// The last denial.
        error: Box<ConnectError>,
    },
    /// Something other than the service answers.
    #[error(
        "`{name}` pauses: its last {answers} writes were answered by something other than {service}, and so was a read of a record. Last: {last}. Nothing is concluded from these answers: the records are looked up before they are written again. {waiting} operations wait in the state"
    )]
    Stranger {
        /// The workflow.
        name: String,
        /// The service that should have answered.
        service: &'static str,
        /// Answers in a row.
        answers: u32,
        /// The last of them.
        last: String,
        /// The backlog.
        waiting: u64,
    },
    /// Change tracking is off for a table.
    #[error(
        "Dynamics does not track the changes of `{table}`, which mapping `{name}` reads ({message}). Nothing was read: switch \"Track changes\" on in the table's advanced options; `d365map doctor` checks all tables"
    )]
    Untracked {
        /// The mapping.
        name: String,
        /// The table.
        table: String,
        /// What Dynamics said.
        message: String,
    },
    /// The attribute that the target's records are addressed by is another one than before.
    #[error(
        "mapping `{name}` addresses records by `{now}`, and has written them by `{before}`: records that do not have the new key yet would be created a second time. When all of them have it in Campaign, run `d365map replay {name}`; until then write `{before}` again"
    )]
    KeyChanged {
        /// The mapping.
        name: String,
        /// The attribute before.
        before: String,
        /// The attribute of the plan.
        now: String,
    },
    /// A table of a system that the project does not connect to, or not in this direction.
    #[error("the project has no connection for `{table}`: add the table's system under `connections` in d365map.yaml")]
    NotConnected {
        /// The table, with its system.
        table: String,
    },
    /// Another reader is at the flow.
    #[error("another process reads mapping `{name}`; wait until it ends")]
    Taken {
        /// The mapping.
        name: String,
    },
    /// A task of the program ended by itself.
    #[error("a part of the program ended unexpectedly: {0}")]
    Task(String),
}

impl From<JoinError> for RunError {
    fn from(error: JoinError) -> RunError {
        RunError::Task(error.to_string())
    }
}

impl RunError {
    /// Whether only a person can remove the reason. A watch still tries again by itself, after the longest pause.
    pub fn needs_person(&self) -> bool {
        match self {
            RunError::State(error) => error.needs_person(),
            RunError::Service(error) => policy::action(error, Scope::Everything) == Action::Stop,
            RunError::Denied { .. } => true,
            RunError::Sftp(_) | RunError::Journal(_) | RunError::Unavailable { .. } | RunError::Stranger { .. } => false,
            RunError::Taken { .. } | RunError::Task(_) => false,
            RunError::Plan(_)
            | RunError::UnknownMapping { .. }
            | RunError::NotConnected { .. }
            | RunError::Rejected { .. }
            | RunError::Nameless { .. }
            | RunError::Untracked { .. }
            | RunError::KeyChanged { .. } => true,
        }
    }

    /// Whether it is one source beside the two services that failed: exports or the journal. What the flow's other sources gave was read
    /// and still written.
    pub fn is_of_one_source(&self) -> bool {
        self.reach() == Reach::Source
    }

    /// Whether every flow would fail the same.
    pub(super) fn concerns_all(&self) -> bool {
        self.reach() == Reach::All
    }

    fn reach(&self) -> Reach {
        match self {
            RunError::Sftp(_) | RunError::Journal(_) => Reach::Source,
            RunError::State(StoreError::MassChange { .. })
            | RunError::Plan(_)
            | RunError::NotConnected { .. }
            | RunError::Rejected { .. }
            | RunError::Nameless { .. }
            | RunError::Taken { .. }
            | RunError::Untracked { .. }
            | RunError::Denied { .. }
            | RunError::KeyChanged { .. } => Reach::Flow,
            // A right to one table or resource is missing, as far as is known.
            RunError::Service(error @ ConnectError::Forbidden { .. }) if policy::action(error, Scope::Everything) == Action::Stop => {
                Reach::Flow
            }
            RunError::State(_)
            | RunError::Service(_)
            | RunError::Unavailable { .. }
            | RunError::Stranger { .. }
            | RunError::UnknownMapping { .. }
            | RunError::Task(_) => Reach::All,
        }
    }
}

/// Whom an error concerns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// One source of a flow beside the two services.
    Source,
    /// One flow.
    Flow,
    /// Every flow: the others would fare the same.
    All,
}

/// Both, one after the other: the first failure counts, but that of one source only where nothing else failed.
pub(super) fn both(first: Result<(), RunError>, second: Result<(), RunError>) -> Result<(), RunError> {
    match (first, second) {
        (Err(first), Err(second)) if first.is_of_one_source() && !second.is_of_one_source() => Err(second),
        (first, second) => first.and(second),
    }
}
