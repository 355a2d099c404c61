//! The errors of the application layer.

use std::path::PathBuf;

use super::files::FilesError;
use super::services::ServiceError;
use crate::connect::ConnectError;
use crate::count::{counted, grouped};
use crate::diagnostics::Code;
use crate::plan::PlanError;
use crate::schema::TableId;
use crate::schema::pull::PullError as DocumentError;
use crate::store::StoreError;

/// Why the application could not do what a front end asked for.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The project or its files cannot be used.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A compiled plan cannot be used.
    #[error(transparent)]
    Plan(#[from] PlanFileError),
    /// A revision cannot be compared.
    #[error(transparent)]
    Revision(#[from] super::revision::RevisionError),
    /// The clients of the services cannot be made.
    #[error(transparent)]
    Services(#[from] ServiceError),
    /// A service refused a call.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The schemas of the services could not be fetched or written.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// The state file cannot be used.
    #[error(transparent)]
    State(#[from] StoreError),
    /// A load is beyond the limits of the integration.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The services no longer fit the mapping.
    #[error("the services have changed in a way that breaks the mapping; `d365map schema diff` shows it:\n{shown}")]
    Drift {
        /// The changes and the lines that they break.
        shown: String,
    },
    /// The asynchronous runtime cannot start.
    #[error("the runtime could not be started: {0}")]
    Runtime(#[source] std::io::Error),
}

impl AppError {
    /// What the user can do, one line for each hint. Most errors name their fix in the message.
    pub fn hints(&self) -> Vec<String> {
        match self {
            AppError::Limit(LimitError::ReplayUnknown { .. }) => vec!["`--ignore-limits` replays without asking".to_owned()],
            _ => Vec::new(),
        }
    }

    /// Whether a service answered that the client lacks a right.
    pub fn is_forbidden(&self) -> bool {
        match self {
            AppError::Connect(error) => matches!(error, ConnectError::Forbidden { .. }),
            AppError::Pull(PullError::Source { source, .. }) => {
                matches!(**source, MetadataError::Connect(ConnectError::Forbidden { .. }))
            }
            _ => false,
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not text.
    #[error("{}: not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// The file is not a plan of this version.
    #[error("{}: {source}", path.display())]
    NotAPlan {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PlanError,
    },
    /// The mapping files have errors.
    #[error("{}{}; `d365map check` shows all", counted(*errors, "error"), first.as_ref().map(|f| format!(", the first at {f}")).unwrap_or_default())]
    Findings {
        /// How many.
        errors: usize,
        /// The first of them, with its place.
        first: Option<String>,
    },
}

/// Why a load is not begun.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// A replay of too many records.
    #[error(
        "{}: {what}; a replay is for less than {}. Nothing was changed. `d365map explain {}` says why; `--ignore-limits` replays anyway",
        Code::D705,
        grouped(*limit),
        Code::D705
    )]
    Replay {
        /// What is too much: the backlog, or the table.
        what: String,
        /// The number that is too much.
        limit: u64,
    },
    /// How much a replay would read is not known.
    #[error("the number of records in {table} is not known: {source}")]
    ReplayUnknown {
        /// The table.
        table: String,
        /// Why.
        source: Box<AppError>,
    },
    /// A first load of too many records.
    #[error(
        "{}: {} records are to be loaded for the first time ({tables}), and the integration is for {} at most. Nothing was read. `d365map explain {}` says more; `--ignore-limits` loads anyway",
        Code::D706, grouped(*records), grouped(*limit), Code::D706
    )]
    Initial {
        /// All of them.
        records: u64,
        /// Each table with its number.
        tables: String,
        /// The most that is loaded.
        limit: u64,
    },
}

/// Why the metadata of one table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The service does not have the table: other tables are not affected.
    #[error("{0}")]
    NoSuchTable(String),
    /// The service or the network: the other tables would fail too.
    #[error(transparent)]
    Connect(ConnectError),
    /// No client could be made.
    #[error(transparent)]
    Setup(#[from] ServiceError),
}

impl From<ConnectError> for MetadataError {
    fn from(error: ConnectError) -> MetadataError {
        match error {
            ConnectError::NotFound { .. } => MetadataError::NoSuchTable(error.to_string()),
            other => MetadataError::Connect(other),
        }
    }
}

/// Why a pull ended. Files that are named in no error were not touched by the failed step.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The service.
    #[error("{table}: {source}")]
    Source {
        /// The table.
        table: TableId,
        /// What the connector says; in a box, because it is large.
        source: Box<MetadataError>,
    },
    /// The documents make no table.
    #[error(transparent)]
    Documents(#[from] DocumentError),
    /// The file was written by hand and would be lost.
    #[error("{} was written by hand (`extends: built-in`). A pull brings your own fields by itself: remove the file, or use --force to write over it", .0.display())]
    ByHand(PathBuf),
    /// A system without metadata.
    #[error("{0}: tables of this system cannot be pulled")]
    NoMetadata(TableId),
    /// The file system.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}
