//! The pages to sign in and out.

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::html;
use serde::Deserialize;

use super::role::{Caller, Door, Means, Right};
use super::{Access, guard, host, page, paths};
use crate::project::Role;

/// The name of whoever has used the link that is printed on the terminal.
pub(super) const LOCAL: &str = "local administrator";

/// The routes to sign in and out, each with its guard.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(access: &Access) -> Router<S> {
    let open = || access.guard(Right::View, Door::Open);
    Router::new()
        .route("/sign-in", get(sign_in).layer(open()))
        .route("/sign-in/link", get(link).layer(open()))
        .route("/sign-out", post(sign_out).layer(access.guard(Right::View, Door::Action)))
        .with_state(access.clone())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SignIn {
    /// The path to return to.
    pub(super) then: String,
    /// Whether the user has just signed out.
    pub(super) out: bool,
}

/// `GET /sign-in`: shows how to sign in.
async fn sign_in(State(access): State<Access>, caller: Option<Caller>, Query(query): Query<SignIn>) -> Response {
    if caller.is_some_and(|caller| !caller.is_client()) {
        return redirect(&paths::own(&query.then));
    }
    let title = if query.out { "Signed out" } else { "Sign in" };
    let text = html! {
        @if let Some(service) = access.service() {
            p { a.button href=(paths::sign_in_service(&query.then)) { "Sign in with " (service) } }
        } @else {
            p { "Open the link that " code { "d365map serve" } " has printed in its terminal. It works once, on the same machine, and for 15 minutes." }
            p { "To get a new link, send the process the signal USR1 (" code { "kill -USR1 PID" } "), or restart it." }
            p { "If you have just used the link and this page came up, your browser did not store the session's cookie. Safari stores it from https addresses only." }
        }
    };
    page::plain(StatusCode::OK, title, &text)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Link {
    token: String,
}

/// `GET /sign-in/link`: signs in whoever has the link.
async fn link(State(access): State<Access>, Query(link): Query<Link>, request: Request) -> Response {
    let headers = request.headers();
    let peer = host::peer(&request);
    let from = host::client(peer, headers, access.0.behind_proxy);
    // A browser that loads a page before its user opens it would use the link up.
    let ahead =
        ["sec-purpose", "purpose", "x-moz"].iter().any(|name| headers.get(*name).is_some_and(|v| v.as_bytes().starts_with(b"prefetch")));
    if ahead {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if !host::is_local(peer, headers) {
        let text = html! { p { "The link can only be opened on the machine that " code { "d365map serve" } " runs on, under the address that it has printed." } };
        return page::plain(StatusCode::FORBIDDEN, "Not on this machine", &text);
    }
    if let Err(many) = access.0.limits.sign_in(from) {
        return super::Refusal::at_path(super::refusal::Reason::TooMany(many.retry_after), "/sign-in/link").into_response();
    }
    if !access.0.links.take(&link.token) {
        tracing::info!(target: super::AUDIT, action = "sign-in", by = "link", result = "refused", from = from.map(tracing::field::display));
        let text = html! {
            p { "This link has been used, is older than 15 minutes, or is not complete." }
            p { "To get a new one, send the process the signal USR1 (" code { "kill -USR1 PID" } "), or restart it." }
        };
        return page::plain(StatusCode::FORBIDDEN, "The link cannot be used", &text);
    }
    tracing::info!(target: super::AUDIT, who = LOCAL, action = "sign-in", by = "link", result = "done", from = from.map(tracing::field::display));
    let id = access.0.sessions.begin(guard::session_of(headers), LOCAL.to_owned(), Role::Admin);
    (StatusCode::SEE_OTHER, [(SET_COOKIE, guard::cookie(&id)), (LOCATION, "/".to_owned())]).into_response()
}

/// `POST /sign-out`: ends the session.
async fn sign_out(State(access): State<Access>, caller: Caller) -> Response {
    if let Means::Session(id) = &caller.means {
        access.0.sessions.end(id);
    }
    tracing::info!(target: super::AUDIT, who = caller.name, action = "sign-out", result = "done", from = caller.from.map(tracing::field::display));
    (StatusCode::SEE_OTHER, [(SET_COOKIE, guard::no_cookie()), (LOCATION, "/sign-in?out=true".to_owned())]).into_response()
}

pub(super) fn redirect(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, path.to_owned())]).into_response()
}
