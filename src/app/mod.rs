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
pub mod options;
pub mod plan;
pub mod services;
pub mod source;

pub use command_error::{CommandError, ErrorKind};
pub use error::{AppError, LimitError, MetadataError, PlanFileError, PullError};
pub use fix::{Fixed, apply as apply_fixes, fixed};

/// The runtime of commands that talk to services.
///
/// # Errors
/// [`AppError::Runtime`] if the system gives no threads or descriptors.
pub fn runtime() -> Result<tokio::runtime::Runtime, AppError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(AppError::Runtime)
}
