//! The pages to sign in and out.

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;
use url::Url;

use super::audit::Actor;
use super::caller::{Caller, Means};
use super::oidc::{self, Provider, SignInError};
use super::refusal::{Reason, Refusal};
use super::role::{Door, Right};
use super::{Access, guard, host, page, paths};
use crate::project::Role;
use crate::store::AuditResult;

/// The name of whoever has used the link that is printed on the terminal.
const LOCAL: &str = "local administrator";

/// The routes to sign in and out, each with its guard.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(access: &Access) -> Router<S> {
    let open = || access.guard(Right::View, Door::Open);
    Router::new()
        .route("/sign-in", get(sign_in).layer(open()))
        .route("/sign-in/link", get(link).layer(open()))
        .route("/sign-in/oidc", get(begin).layer(open()))
        .route(oidc::CALLBACK, get(callback).layer(open()))
        .route("/sign-out", post(sign_out).layer(access.guard(Right::View, Door::Action)))
        .with_state(access.clone())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SignIn {
    /// The path to return to.
    then: String,
    /// Whether the user has just signed out.
    out: bool,
}

/// `GET /sign-in`: shows how to sign in.
async fn sign_in(State(access): State<Access>, caller: Option<Caller>, Query(query): Query<SignIn>) -> Response {
    if caller.is_some_and(|caller| !caller.is_client()) {
        return redirect(&paths::own(&query.then));
    }
    let title = if query.out { "Signed out" } else { "Sign in" };
    let text = html! {
        @if let Some(provider) = &access.0.provider {
            @if query.out { p { "You have signed out here, but not from " (provider.host()) "." } }
            p { a.button href=(paths::sign_in_service(&query.then)) { "Sign in with " (provider.host()) } }
        } @else {
            p { "Open the link that " code { "d365map serve" } " has printed in its terminal. It works once, on the same machine, and for 15 minutes." }
            (another_link())
            p { "If you have just used the link and this page came up, your browser did not store the session's cookie. Safari stores it from https addresses only." }
        }
    };
    page::plain(StatusCode::OK, title, &text)
}

fn another_link() -> Markup {
    html! { p { "To get a new link, send the process the signal USR1 (" code { "kill -USR1 PID" } "), or restart it." } }
}

/// Counts an attempt to sign in.
fn count(access: &Access, request: &Request) -> Result<(), Refusal> {
    let counted = access.0.limits.sign_in(access.client_of(request));
    counted.map_err(|many| Refusal::at_path(Reason::TooMany(many.retry_after), request.uri().path()))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Link {
    token: String,
}

/// Whether a browser loads a page before its user opens it: it would use the link up.
fn is_ahead(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-moz"].iter().any(|name| headers.get(*name).is_some_and(|value| value.as_bytes().starts_with(b"prefetch")))
}

/// `GET /sign-in/link`: signs in whoever has the link.
async fn link(State(access): State<Access>, Query(link): Query<Link>, request: Request) -> Response {
    let headers = request.headers();
    if is_ahead(headers) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if !host::is_local(host::peer(&request), headers) {
        let text = html! { p { "The link can only be opened on the machine that " code { "d365map serve" } " runs on, at the address that it has printed." } };
        return page::plain(StatusCode::FORBIDDEN, "Not on this machine", &text);
    }
    if let Err(refusal) = count(&access, &request) {
        return refusal.into_response();
    }
    let (before, from) = (guard::session_of(headers), access.client_of(&request));
    let note = async |name, role, result| {
        access.0.auditor.note_actor(Actor { name, role, from }, None, "sign-in", "link", result).await;
    };
    if access.0.links.take(&link.token) {
        note(LOCAL, Some(Role::Admin), AuditResult::Done).await;
        let id = access.0.sessions.begin(before, LOCAL.to_owned(), Role::Admin);
        return (StatusCode::SEE_OTHER, [(SET_COOKIE, guard::cookie(&id)), (LOCATION, "/".to_owned())]).into_response();
    }
    note("", None, AuditResult::Refused).await;
    let text = html! {
        p { "This link has been used, is older than 15 minutes, or is not complete." }
        (another_link())
    };
    page::plain(StatusCode::FORBIDDEN, "The link cannot be used", &text)
}

/// `GET /sign-in/oidc`: sends the browser to the service to sign in with.
async fn begin(State(access): State<Access>, Query(query): Query<SignIn>, request: Request) -> Response {
    let Some(provider) = &access.0.provider else { return redirect("/sign-in") };
    if let Err(refusal) = count(&access, &request) {
        return refusal.into_response();
    }
    // The cookie belongs to the host. A proxy may change `Host`, so only its own address is known then.
    let named = host::named(request.headers()).and_then(|named| Url::parse(&format!("http://{named}/")).ok());
    let back = provider.returns_to();
    if !access.0.behind_proxy && named.is_some_and(|named| named.host_str() != back.host_str()) {
        return redirect(&format!("{}{}", back.origin().ascii_serialization(), paths::sign_in_service(&query.then)));
    }
    match provider.begin(paths::own(&query.then)).await {
        Ok((address, cookie)) => {
            let cookie = format!("{}={cookie}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600", oidc::COOKIE_NAME);
            (StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, address.to_string())]).into_response()
        }
        Err(error) => failed(provider, &error),
    }
}

/// `GET /sign-in/callback`: the service has sent the browser back.
async fn callback(State(access): State<Access>, Query(callback): Query<oidc::Callback>, request: Request) -> Response {
    let Some(provider) = &access.0.provider else { return redirect("/sign-in") };
    if let Err(refusal) = count(&access, &request) {
        return refusal.into_response();
    }
    let headers = request.headers();
    let (before, from) = (guard::session_of(headers), access.client_of(&request));
    let result = provider.finish(guard::cookie_of(headers, oidc::COOKIE_NAME), callback).await;
    let (name, role, noted) = match &result {
        Ok(person) => (person.name.as_str(), Some(person.role), AuditResult::Done),
        Err(SignInError::NoRole { name, .. }) => (name.as_str(), None, AuditResult::Refused),
        Err(_) => ("", None, AuditResult::Failed),
    };
    access.0.auditor.note_actor(Actor { name, role, from }, None, "sign-in", provider.host(), noted).await;
    // A page of another site can send somebody here; that must not end a sign-in that has begun.
    let ends = !matches!(result, Err(SignInError::NotBegun));
    let mut response = match result {
        Ok(person) => {
            let id = access.0.sessions.begin(before, person.name, person.role);
            (StatusCode::SEE_OTHER, [(SET_COOKIE, guard::cookie(&id)), (LOCATION, person.then)]).into_response()
        }
        Err(error) => failed(provider, &error),
    };
    let none = format!("{}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0", oidc::COOKIE_NAME);
    if let Ok(none) = HeaderValue::from_str(&none)
        && ends
    {
        response.headers_mut().append(SET_COOKIE, none);
    }
    response
}

/// The page of a sign-in that has failed.
fn failed(provider: &Provider, error: &SignInError) -> Response {
    let (status, title) = match error {
        SignInError::NoRole { .. } => (StatusCode::FORBIDDEN, "No role"),
        SignInError::NotBegun => (StatusCode::BAD_REQUEST, "Sign in again"),
        SignInError::Refused(_) => (StatusCode::FORBIDDEN, "Sign-in refused"),
        SignInError::Service { .. } | SignInError::Answer { .. } | SignInError::Issuer(_) | SignInError::Token(_) => {
            (StatusCode::BAD_GATEWAY, "Sign-in failed")
        }
    };
    match error {
        SignInError::Service { source, .. } => tracing::warn!(%error, reason = %source, "a sign-in has failed"),
        SignInError::NotBegun => tracing::info!(%error, "a sign-in has failed"),
        _ => tracing::warn!(%error, "a sign-in has failed"),
    }
    let text = html! {
        @match error {
            SignInError::NoRole { name, claim, found } => {
                p { "You have signed in with " (provider.host()) " as " strong { (name) } ", but this gives you no role here." }
                p {
                    "The claim " code { (claim) } " of the id token "
                    @match found {
                        None => "is missing.",
                        Some(values) if values.is_empty() => "is empty, or neither a text nor a list of texts.",
                        Some(values) => { "has the values " @for (n, value) in values.iter().take(50).enumerate() { @if n > 0 { ", " } code { (value) } } ". None of them gives a role." }
                    }
                }
                p { "Ask an administrator to assign a role to you there, or to add one of the values to " code { "serve.sign-in" } " in the project file." }
            }
            error => p { (sentence(&error.to_string())) }
        }
        p { a href="/sign-in" { "Sign in again" } }
    };
    page::plain(status, title, &text)
}

/// A message as a sentence.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}

/// `POST /sign-out`: ends the session.
async fn sign_out(State(access): State<Access>, caller: Caller) -> Response {
    if let Means::Session(id) = &caller.means {
        access.0.sessions.end(id);
    }
    access.0.auditor.note(&caller, None, "sign-out", "", AuditResult::Done).await;
    (StatusCode::SEE_OTHER, [(SET_COOKIE, guard::no_cookie()), (LOCATION, "/sign-in?out=true".to_owned())]).into_response()
}

fn redirect(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, path.to_owned())]).into_response()
}
