//! What handlers of the API take and give: JSON, and problem documents where something is wrong.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::documents::ProblemDocument;
use crate::serve::access::Right;
use crate::serve::answer::{At, Failure};
use crate::serve::site::Site;

/// The media type of problem documents (RFC 9457).
const PROBLEM: &str = "application/problem+json";

/// A failure as a problem document.
#[derive(Debug)]
pub struct Problem(Failure);

impl<E: Into<Failure>> From<E> for Problem {
    fn from(error: E) -> Problem {
        Problem(error.into())
    }
}

impl Problem {
    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Problem {
        self.0.status = status;
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Failure { status, message, hints } = self.0;
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), error = message, "a request of the API failed");
        }
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        let document = ProblemDocument { kind: "about:blank".to_owned(), title, status: status.as_u16(), detail: message, hints };
        (status, [(CONTENT_TYPE, PROBLEM)], axum::Json(document)).into_response()
    }
}

/// The answer of a handler.
pub type Answer<T> = Result<Document<T>, Problem>;

/// A document with its status.
pub struct Document<T>(StatusCode, T);

impl<T> Document<T> {
    /// What was asked for.
    pub fn of(document: T) -> Document<T> {
        Document(StatusCode::OK, document)
    }

    /// A wish is noted; the process that runs the workflow carries it out.
    pub fn accepted(document: T) -> Document<T> {
        Document(StatusCode::ACCEPTED, document)
    }
}

impl<T: Serialize> IntoResponse for Document<T> {
    fn into_response(self) -> Response {
        (self.0, axum::Json(self.1)).into_response()
    }
}

/// A project and who asks about it.
pub struct Asked(pub At);

impl FromRequestParts<Arc<Site>> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Asked, Problem> {
        Ok(Asked(At::from_request_parts(parts, site).await?))
    }
}

/// What the query of an address says.
pub struct Given<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Site>> for Given<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Given<T>, Problem> {
        let query = Query::<T>::from_request_parts(parts, site).await;
        query.map(|Query(given)| Given(given)).map_err(|rejection| Failure::bad_request(rejection.body_text()).into())
    }
}

/// The JSON body of a request. An empty body says nothing, where that is enough.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<Arc<Site>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, site: &Arc<Site>) -> Result<Body<T>, Problem> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_json = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        let body = Bytes::from_request(request, site).await;
        let body = body.map_err(|rejection| Problem::from(Failure::bad_request(rejection.body_text())).with_status(rejection.status()))?;
        if body.is_empty() {
            return Ok(Body(T::default()));
        }
        if !is_json {
            let failure =
                Failure::bad_request("the body of the request is not JSON").hint("Send it with `Content-Type: application/json`.");
            return Err(Problem::from(failure).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let read = serde_json::from_slice(&body);
        read.map(Body).map_err(|error| Failure::bad_request(format!("the body of the request cannot be used: {error}")).into())
    }
}

/// Refuses values of records to a caller without that right, and notes that a caller with it has asked for them. What cannot be noted is
/// refused, too.
pub async fn values(at: &At, asked: bool, object: &str) -> Result<(), Problem> {
    if !asked {
        return Ok(());
    }
    if !at.may(Right::ShowValues) {
        let failure = Failure::forbidden("your role does not include the right to see values of records");
        return Err(failure.hint("Ask without `values`, or use a token with the role operator or admin.").into());
    }
    at.audit_view(object).await.map_err(Problem::from)
}
