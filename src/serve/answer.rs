//! What handlers take and give: the project and the caller of a request, and failures as pages.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect, Response};

use super::access::{Caller, Right};
use super::pages;
use super::site::{Served, Site};
use crate::app::{AppError, CommandError, ErrorKind};
use crate::run::RunError;
use crate::store::{AuditResult, StoreError};

/// A project and who asks about it.
#[derive(Clone)]
pub struct At {
    /// What all requests share.
    pub site: Arc<Site>,
    /// The project.
    pub served: Arc<Served>,
    /// Who asks.
    pub caller: Caller,
}

impl At {
    /// The address of a page of the project: `path` begins with `/`, or is empty for the overview.
    pub fn path(&self, path: &str) -> String {
        format!("/p/{}{path}", self.served.name)
    }

    /// Back to a page of the project.
    pub fn back(&self, path: &str) -> Redirect {
        Redirect::to(&self.path(path))
    }

    /// Notes what the caller did, and whether it was done.
    pub async fn audit<T>(&self, action: &str, object: &str, result: &Result<T, Failure>) {
        let ended = if result.is_ok() { AuditResult::Done } else { AuditResult::Failed };
        self.site.access.auditor().note(&self.caller, Some(&self.served.name), action, object, ended).await;
    }

    /// Whether the caller may do this here.
    pub fn may(&self, right: Right) -> bool {
        self.caller.may(right)
    }
}

impl FromRequestParts<Arc<Site>> for At {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<At, Failure> {
        let caller = parts.extensions.get::<Caller>().cloned().ok_or_else(|| Failure::bug("no caller"))?;
        let params = RawPathParams::from_request_parts(parts, site).await.map_err(|_| Failure::not_found("there is no such page"))?;
        let name = params.iter().find(|(name, _)| *name == "project").map(|(_, value)| value);
        let served = name.and_then(|name| site.projects.get(name)).cloned();
        let served = served.ok_or_else(|| Failure::not_found("there is no such project"))?;
        Ok(At { site: site.clone(), served, caller })
    }
}

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

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(status = self.status.as_u16(), error = self.message, "a request failed");
        }
        (self.status, pages::failure(&self)).into_response()
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
