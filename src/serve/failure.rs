//! Why a request is not answered as it asked. How a failure is shown is decided above: as a page ([`super::shell`]), or as a problem
//! document of the API.

use axum::http::StatusCode;

use crate::app::{AppError, CommandError, ErrorKind};
use crate::run::RunError;
use crate::store::StoreError;

/// Why a request is not answered as it asked.
#[derive(Debug)]
pub struct Failure {
    /// The status of the answer.
    pub status: StatusCode,
    /// What is wrong.
    pub message: String,
    /// What the person can do.
    pub hints: Vec<String>,
}

impl Failure {
    fn new(status: StatusCode, message: impl Into<String>) -> Failure {
        Failure { status, message: message.into(), hints: Vec::new() }
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::NOT_FOUND, message)
    }

    /// The request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, message)
    }

    /// Something has changed meanwhile, or must be confirmed first.
    pub fn conflict(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::CONFLICT, message)
    }

    /// The caller lacks a right.
    pub fn forbidden(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::FORBIDDEN, message)
    }

    /// Too many at once.
    pub fn busy(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// A fault of this program.
    pub fn bug(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// Adds what the person can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hints.push(hint.into());
        self
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Failure {
        let status = match error.kind() {
            ErrorKind::Usage => StatusCode::BAD_REQUEST,
            ErrorKind::Findings => StatusCode::CONFLICT,
            ErrorKind::Service => StatusCode::BAD_GATEWAY,
            ErrorKind::State => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let hints = error.hints().to_vec();
        // The hints are lines of the text, too.
        let text = error.to_string();
        let message = text.lines().take(text.lines().count().saturating_sub(hints.len())).collect::<Vec<_>>().join("\n");
        Failure { status, message, hints }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        CommandError::from(error).into()
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Failure {
        CommandError::from(error).into()
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Failure {
        CommandError::from(error).into()
    }
}

/// Does blocking work off the asynchronous threads.
///
/// # Errors
/// The work's, or a panic in it.
pub async fn blocking<T: Send + 'static, E: Into<Failure> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(Into::into),
        Err(error) => Err(Failure::bug(format!("the work ended without a result: {error}"))),
    }
}
