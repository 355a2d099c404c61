//! Every request passes two checks: [`outer`] sees every request, and knows who makes it; [`enter`] is put around each
//! route, and asks for the route's right.
//!
//! A request that changes something must come from a page of this server. The proof is the session's CSRF token. `Sec-Fetch-Site` and
//! `Origin` are checked as well, so that a leaked token is not enough: browsers send the first one with each request to https and to
//! loopback addresses, and the page of another site can change neither. Because of `Referrer-Policy: no-referrer`, the `Origin` of a form
//! is `null` in all browsers (Fetch Standard, "append a request Origin header"), which only counts together with `Sec-Fetch-Site`.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, ORIGIN};
use axum::http::{HeaderMap, Method};
use axum::middleware::{FromFnLayer, Next};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use url::form_urlencoded;

use super::caller::{Caller, Means};
use super::refusal::{Reason, Refusal};
use super::role::{Door, Right};
use super::secret::{self, Digest};
use super::{Access, headers, host};
use crate::project::Role;
use crate::store::AuditResult;

/// The longest body of a request: a mapping file in a form.
pub const BODY_LIMIT: usize = 2 * 1024 * 1024;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The cookie with the id of a session. The prefix makes browsers refuse it with a `Domain`, with another path, and without `Secure`, so
/// that no other host of the domain can set it.
///
/// Chromium and Firefox also accept a cookie with `Secure` from http://localhost and http://127.0.0.1; Safari accepts it from https only.
pub(super) const COOKIE_NAME: &str = "__Host-d365map";

/// The hidden field of forms with the CSRF token.
pub const CSRF_FIELD: &str = "csrf";
/// The header with the CSRF token.
pub const CSRF_HEADER: &str = "x-csrf-token";

/// The value of the cookie of a session.
pub(super) fn cookie(id: &str) -> String {
    format!("{COOKIE_NAME}={id}; Path=/; Secure; HttpOnly; SameSite=Lax")
}

/// The value of a cookie that removes the one of a session.
pub(super) fn no_cookie() -> String {
    format!("{COOKIE_NAME}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// The value of a cookie of a request. With two of one name, neither is used: one of them was forged.
pub(super) fn cookie_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let mut values = all.filter_map(|pair| pair.trim().split_once('=')).filter(|(found, _)| *found == name).map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// The hash of the session's id in a request.
pub(super) fn session_of(headers: &HeaderMap) -> Option<Digest> {
    cookie_of(headers, COOKIE_NAME).map(Digest::of)
}

/// Sees every request first and every answer last.
pub(super) async fn outer(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    let mut response = match admit(&access, &mut request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    headers::set(response.headers_mut(), access.is_https());
    response
}

/// Checks what can be said of a request without its route, and notes who makes it.
fn admit(access: &Access, request: &mut Request) -> Result<(), Refusal> {
    let peer = host::peer(request);
    let given = request.headers();
    let refuse = |reason| Refusal::at_path(reason, request.uri().path());
    let from = host::client(peer, given, access.0.behind_proxy);
    if !host::named(given).is_some_and(|named| host::is_own(&named, access.0.public_url.as_ref())) {
        return Err(refuse(Reason::Host));
    }
    let length = given.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > BODY_LIMIT) {
        return Err(refuse(Reason::TooLarge));
    }
    let caller = identify(access, given);
    let limits = &access.0.limits;
    let counted = match &caller {
        Ok(Some((name, ..))) => limits.caller(name),
        Ok(None) => limits.address(from),
        Err(_) => limits.sign_in(from),
    };
    counted.map_err(|many| refuse(Reason::TooMany(many.retry_after)))?;
    let caller = caller.map_err(refuse)?;
    if let Some((name, role, csrf, means)) = caller {
        request.extensions_mut().insert(Caller { name, role, csrf, from, means });
    }
    Ok(())
}

type Identified = (String, Role, Option<String>, Means);

/// Who makes a request: by the token of a client, or else by the cookie of a session.
fn identify(access: &Access, given: &HeaderMap) -> Result<Option<Identified>, Reason> {
    if let Some(authorization) = given.get(AUTHORIZATION) {
        let bearer = authorization.to_str().ok().and_then(|value| value.split_once(' '));
        let token = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        let (name, role) = token.and_then(|token| access.0.clients.find(token)).ok_or(Reason::WrongToken)?;
        return Ok(Some((name, role, None, Means::Token)));
    }
    let Some(id) = session_of(given) else { return Ok(None) };
    Ok(access.0.sessions.get(&id).map(|session| (session.name, session.role, Some(session.csrf), Means::Session(id))))
}

/// What the guard of a route knows.
#[derive(Clone)]
pub struct Guard {
    pub(super) access: Access,
    pub(super) right: Right,
    pub(super) door: Door,
}

type GuardFn = fn(State<Guard>, Request, Next) -> BoxFuture<'static, Response>;

/// The guard of a route, for `MethodRouter::layer`.
pub type GuardLayer = FromFnLayer<GuardFn, Guard, (State<Guard>, Request)>;

pub(super) fn layer(guard: Guard) -> GuardLayer {
    let enter: GuardFn = |State(guard), request, next| {
        Box::pin(async move {
            match enter(&guard, request).await {
                Ok(request) => next.run(request).await,
                Err(refusal) => refusal.into_response(),
            }
        })
    };
    axum::middleware::from_fn_with_state(guard, enter)
}

/// Asks for the right of a route, and for the proof that a page of this server sent the request if it can change something.
async fn enter(guard: &Guard, request: Request) -> Result<Request, Refusal> {
    let refuse = |reason| Refusal::at_door(reason, guard.door);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if matches!(guard.door, Door::Page | Door::Live) && !reads {
        return Err(refuse(Reason::Method));
    }
    let caller = request.extensions().get::<Caller>().cloned();
    let caller = match (guard.door, caller) {
        (Door::Open, caller) => {
            if !reads && !caller.is_some_and(|caller| caller.is_client()) {
                from_here(request.headers()).map_err(refuse)?;
            }
            return Ok(request);
        }
        (Door::Page, None) => {
            let then = request.uri().path_and_query().map_or("/", |path| path.as_str());
            return Err(Refusal::sign_in(then));
        }
        (Door::Action, None) => return Err(refuse(Reason::NoSession)),
        (Door::Api | Door::Live, None) => return Err(refuse(Reason::NoCredential)),
        (Door::Page | Door::Action, Some(caller)) if caller.is_client() => return Err(refuse(Reason::TokenAtPage)),
        (_, Some(caller)) => caller,
    };
    if !caller.may(guard.right) {
        let (method, path) = (request.method().as_str(), request.uri().path());
        guard.access.0.auditor.note(&caller, project_of(path), method, path, AuditResult::Refused).await;
        return Err(refuse(Reason::Forbidden { has: caller.role, needs: guard.right }));
    }
    if let Means::Session(id) = &caller.means {
        // A stream that a forgotten page keeps open does not keep the session alive.
        if guard.door != Door::Live {
            guard.access.0.sessions.touch(id);
        }
        if guard.door != Door::Page {
            from_here(request.headers()).map_err(refuse)?;
        }
    }
    let csrf = caller.csrf.as_deref();
    match guard.door {
        Door::Action => with_form(request, csrf).await.map_err(refuse),
        Door::Api if !reads => {
            if caller.csrf.is_some() && !header_matches(request.headers(), csrf) {
                return Err(refuse(Reason::WrongCsrfHeader));
            }
            with_body(request).await.map(|(request, _)| request).map_err(refuse)
        }
        Door::Api | Door::Page | Door::Live | Door::Open => Ok(request),
    }
}

/// The project in a path: `/p/NAME/…` or `/api/v1/projects/NAME/…`. What a path names is only compared with names of projects.
fn project_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/p/").or_else(|| path.strip_prefix("/api/v1/projects/"))?;
    rest.split('/').next().filter(|name| !name.is_empty())
}

/// Whether a request was made by a page of this server, or by the user or a program without a browser.
fn from_here(given: &HeaderMap) -> Result<(), Reason> {
    let text = |name: &str| given.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some("same-origin" | "none"), None | Some("null")) | (None, None) => Ok(()),
        (Some("same-origin" | "none") | None, Some(origin)) => {
            let own = host::named(given);
            let authority = origin.split_once("://").map(|(_, authority)| authority.to_ascii_lowercase());
            if authority.is_some() && authority == own { Ok(()) } else { Err(Reason::CrossSite) }
        }
        (Some(_), _) => Err(Reason::CrossSite),
    }
}

fn header_matches(given: &HeaderMap, csrf: Option<&str>) -> bool {
    let header = given.get(CSRF_HEADER).and_then(|value| value.to_str().ok());
    matches!((header, csrf), (Some(header), Some(csrf)) if secret::same(header, csrf))
}

/// Checks the token in a form, or in the header of a request that a script has sent.
async fn with_form(request: Request, csrf: Option<&str>) -> Result<Request, Reason> {
    let by_header = header_matches(request.headers(), csrf);
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_form = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    let (request, body) = with_body(request).await?;
    let given = || form_urlencoded::parse(&body).find(|(name, _)| name == CSRF_FIELD).map(|(_, token)| token);
    let by_form = || is_form && matches!((given(), csrf), (Some(given), Some(csrf)) if secret::same(&given, csrf));
    if by_header || by_form() { Ok(request) } else { Err(Reason::WrongForm) }
}

/// Reads the body, with a limit on its length and its time.
async fn with_body(request: Request) -> Result<(Request, Bytes), Reason> {
    let (parts, body) = request.into_parts();
    let body = tokio::time::timeout(BODY_TIME, to_bytes(body, BODY_LIMIT)).await.map_err(|_| Reason::Incomplete)?;
    let body = body.map_err(|_| Reason::TooLarge)?;
    Ok((Request::from_parts(parts, Body::from(body.clone())), body))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn given(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("localhost:8070"));
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_this_servers_pages_and_programs_without_a_browser_may_change_something() {
        let allowed: &[&[(&str, &str)]] = &[
            &[],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "same-origin"), ("origin", "null")],
            &[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8070")],
            &[("origin", "http://localhost:8070")],
        ];
        for pairs in allowed {
            assert_eq!(from_here(&given(pairs)), Ok(()), "{pairs:?}");
        }
        let refused: &[&[(&str, &str)]] = &[
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "")],
            &[("origin", "null")],
            &[("origin", "http://localhost:8071")],
            &[("origin", "https://evil.example")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")],
            &[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:8070")],
        ];
        for pairs in refused {
            assert_eq!(from_here(&given(pairs)), Err(Reason::CrossSite), "{pairs:?}");
        }
    }

    #[test]
    fn a_cookie_that_is_sent_twice_is_not_used() {
        let of = |value: &'static str| cookie_of(&given(&[("cookie", value)]), COOKIE_NAME).map(str::to_owned);
        assert_eq!(of("a=1; __Host-d365map=x; b=2"), Some("x".to_owned()));
        assert_eq!(of("__Host-d365map=x; __Host-d365map=y"), None);
        assert_eq!(of("__host-d365map=x"), None);
        assert_eq!(of("x__Host-d365map=x"), None);
        assert_eq!(cookie_of(&given(&[("cookie", "__Host-d365map=x"), ("cookie", "__Host-d365map=y")]), COOKIE_NAME), None);
    }
}
