//! Why a request is not carried out, as a page for people or as a problem document (RFC 9457) for programs.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::html;
use serde_json::json;

use super::page;
use super::paths;
use super::role::{Door, Right};
use crate::project::Role;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    #[error("Sign in first: this request has no session, or its session is over.")]
    NoSession,
    #[error("Send the token of an API client, as `Authorization: Bearer TOKEN`, or the cookie of a session.")]
    NoCredential,
    #[error("The token in `Authorization` does not belong to an API client of this server.")]
    WrongToken,
    #[error("The token of an API client is accepted at /api only. A page needs a session.")]
    TokenAtPage,
    #[error("Your role is `{}`. This needs the role `{}`.", has.name(), needs.least().name())]
    Forbidden { has: Role, needs: Right },
    #[error("The form does not belong to your session. Go back, reload the page, and send the form again.")]
    WrongForm,
    #[error("The header `X-CSRF-Token` is missing, or does not belong to the session.")]
    WrongCsrfHeader,
    #[error("The request comes from another website.")]
    CrossSite,
    #[error(
        "This server does not answer to the host name of the request. Use the address that `d365map serve` has printed, or set `serve.public-url`."
    )]
    Host,
    #[error("The body of the request is too large.")]
    TooLarge,
    #[error("The body of the request did not arrive in time.")]
    Incomplete,
    #[error("Too many requests. Try again in {} seconds.", .0.as_secs().max(1))]
    TooMany(Duration),
    #[error("This address does not accept the method of the request.")]
    Method,
}

impl Reason {
    fn status(&self) -> StatusCode {
        match self {
            Reason::NoSession | Reason::NoCredential | Reason::WrongToken => StatusCode::UNAUTHORIZED,
            Reason::TokenAtPage | Reason::Forbidden { .. } | Reason::WrongForm | Reason::WrongCsrfHeader | Reason::CrossSite => {
                StatusCode::FORBIDDEN
            }
            Reason::Host => StatusCode::MISDIRECTED_REQUEST,
            Reason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Reason::Incomplete => StatusCode::REQUEST_TIMEOUT,
            Reason::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Reason::Method => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Reason::NoSession | Reason::NoCredential | Reason::WrongToken | Reason::TokenAtPage => "Not signed in",
            Reason::Forbidden { .. } => "Not allowed",
            Reason::WrongForm | Reason::WrongCsrfHeader | Reason::CrossSite => "Request refused",
            Reason::Host => "Wrong address",
            Reason::TooLarge => "Too large",
            Reason::Incomplete => "Request incomplete",
            Reason::TooMany(_) => "Too many requests",
            Reason::Method => "Method not allowed",
        }
    }
}

/// How a refusal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Page,
    Document,
}

impl Form {
    fn of_path(path: &str) -> Form {
        if path.starts_with("/api/") || path.starts_with("/live/") { Form::Document } else { Form::Page }
    }
}

/// An answer to a request that is not carried out.
#[derive(Clone, Debug)]
pub struct Refusal {
    reason: Reason,
    form: Form,
    /// The path to come back to after signing in: the answer is then a redirect to the page to sign in.
    then: Option<String>,
}

impl Refusal {
    /// A refusal before the route of a request is known.
    pub(super) fn at_path(reason: Reason, path: &str) -> Refusal {
        Refusal { reason, form: Form::of_path(path), then: None }
    }

    /// A refusal at a door.
    pub(super) fn at_door(reason: Reason, door: Door) -> Refusal {
        let form = match door {
            Door::Api | Door::Live => Form::Document,
            Door::Page | Door::Action | Door::Open => Form::Page,
        };
        Refusal { reason, form, then: None }
    }

    /// The refusal of a request without a session.
    pub(super) fn no_session(path: &str) -> Refusal {
        Refusal::at_path(Reason::NoSession, path)
    }

    /// A redirect to the page to sign in, which leads back to a path.
    pub(super) fn sign_in(then: &str) -> Refusal {
        Refusal { reason: Reason::NoSession, form: Form::Page, then: Some(then.to_owned()) }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        if let Some(then) = &self.then {
            return (StatusCode::SEE_OTHER, [(LOCATION, paths::sign_in(then))]).into_response();
        }
        let (status, title, detail) = (self.reason.status(), self.reason.title(), self.reason.to_string());
        let mut response = match self.form {
            Form::Document => {
                let document = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
                (status, [(CONTENT_TYPE, "application/problem+json")], document.to_string()).into_response()
            }
            Form::Page => {
                let asks = matches!(self.reason, Reason::NoSession | Reason::TokenAtPage);
                let text = html! {
                    p { (detail) }
                    @if asks { p { a href="/sign-in" { "Sign in" } } } @else { p { a href="/" { "Back to the overview" } } }
                };
                page::plain(status, title, &text)
            }
        };
        match self.reason {
            Reason::NoCredential | Reason::WrongToken => {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Reason::TooMany(wait) => {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
            }
            _ => {}
        }
        response
    }
}
