//! The application below the front ends: a project on disk becomes a compiled plan, wired services, the drift of their schemas and the
//! limits that hold before a run. `cli`, `lsp` and other front ends parse arguments and render; they wire nothing themselves.
//!
//! Nothing here prints. Errors are [`AppError`] with hints; a front end turns them into a [`CommandError`], from which the exit status,
//! the text for people and the JSON follow.

mod command_error;
pub mod drift;
pub mod editors;
mod error;
pub mod files;
mod fix;
pub mod limits;
pub mod metadata;
pub mod notify;
pub mod operate;
pub mod options;
pub mod plan;
pub mod reload;
pub mod revision;
pub mod service_manager;
pub mod services;
pub mod sign_in;
pub mod source;
pub mod state;
pub mod watching;
pub mod webhook;

pub use command_error::{CommandError, ErrorKind};
pub use error::{AppError, LimitError, MetadataError, PlanFileError, PullError};
pub use fix::{Fixed, apply as apply_fixes, fixed};

/// The runtime of commands that talk to services: one thread that waits for answers, beside the threads for what blocks, such as the
/// state file. What a run does between two answers takes some 0.1 ms, so one thread carries more requests than a service
/// accepts; with several, waking one thread from another took a fifth of a run's CPU time.
///
/// # Errors
/// [`AppError::Runtime`] if the system gives no threads or descriptors.
pub fn runtime() -> Result<tokio::runtime::Runtime, AppError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AppError::Runtime)
}

/// The runtime of commands that are a service themselves: the emulators answer with all processors.
///
/// # Errors
/// As [`runtime`].
pub fn server_runtime() -> Result<tokio::runtime::Runtime, AppError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(AppError::Runtime)
}
