//! Delegated access over real HTTP, against a token service and an API of the test's own.

mod login;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex as StdMutex};

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::file::{Kept, SignedIn};
use super::*;
use crate::connect::HttpConfig;
use crate::connect::http::request::Request;

type Fields = HashMap<String, String>;

/// A token service with refresh tokens that work once, and an API beside it.
#[derive(Clone)]
struct Service(Arc<StdMutex<Inside>>);

struct Inside {
    /// The methods of the sign-in that access tokens name.
    amr: Value,
    /// The refresh token that is accepted: `refresh-0`, then `refresh-1` and so on.
    number: u32,
    /// What the API answers; `None` for success.
    refusal: Option<(StatusCode, Value)>,
    /// The errors with which the next polls of a device code are answered.
    polls: VecDeque<&'static str>,
    asked: Vec<Fields>,
    called: Vec<String>,
    /// Runs when the token service is asked and when the API is called.
    on_token: Box<dyn FnMut() + Send>,
    on_call: Box<dyn FnMut() + Send>,
}

impl Service {
    async fn start() -> (Service, Url) {
        let inside = Inside {
            amr: json!(["pwd", "mfa"]),
            number: 0,
            refusal: None,
            polls: VecDeque::new(),
            asked: Vec::new(),
            called: Vec::new(),
            on_token: Box::new(|| {}),
            on_call: Box::new(|| {}),
        };
        let service = Service(Arc::new(StdMutex::new(inside)));
        let app = Router::new()
            .route("/contoso.com/oauth2/v2.0/devicecode", post(device_code))
            .route("/contoso.com/oauth2/v2.0/token", post(token))
            .route("/api", get(call))
            .with_state(service.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        (service, url)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inside) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }
}

async fn token(State(service): State<Service>, Form(fields): Form<Fields>) -> Response {
    service.with(|inside| {
        (inside.on_token)();
        let given = fields.get("refresh_token").cloned().unwrap_or_default();
        let is_refresh = fields["grant_type"] == "refresh_token";
        inside.asked.push(fields);
        if let Some(error) = inside.polls.pop_front() {
            // Entra ID puts another code into the description.
            let error = json!({"error": error, "error_description": "AADSTS70016: Continue polling."});
            return (StatusCode::BAD_REQUEST, Json(error)).into_response();
        }
        if is_refresh && given != format!("refresh-{}", inside.number) {
            let error = json!({"error": "invalid_grant", "error_description": format!("AADSTS700082: {given} has expired.")});
            return (StatusCode::BAD_REQUEST, Json(error)).into_response();
        }
        inside.number += 1;
        let claims = json!({"amr": inside.amr, "upn": "ann@contoso.com", "tid": "t-1", "number": inside.number});
        let access = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()));
        // As version 1 writes it: numbers are strings.
        let answer = json!({"access_token": access, "expires_in": "3600", "refresh_token": format!("refresh-{}", inside.number)});
        Json(answer).into_response()
    })
}

async fn device_code() -> Json<Value> {
    Json(json!({
        "device_code": "device-code-1", "user_code": "ABCD-EFGH", "verification_uri": "https://microsoft.com/devicelogin",
        "interval": 5, "expires_in": "60", "message": "To sign in …",
    }))
}

async fn call(State(service): State<Service>, headers: HeaderMap) -> Response {
    service.with(|inside| {
        (inside.on_call)();
        let given = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        inside.called.push(given.to_owned());
        match inside.refusal.clone() {
            Some((status, body)) => (status, Json(body)).into_response(),
            None => Json(json!({})).into_response(),
        }
    })
}

fn config(authority: &Url) -> SignInConfig {
    SignInConfig {
        authority: authority.clone(),
        tenant: "contoso.com".to_owned(),
        client_id: "app".to_owned(),
        method: SignInMethod::DeviceCode,
        require_mfa: true,
        command: "d365map login partner-center",
    }
}

fn http() -> Http {
    Http::new(HttpConfig { attempts: 2, backoff_min: Duration::ZERO, backoff_max: Duration::ZERO, ..HttpConfig::default() }).unwrap()
}

fn long_ago() -> Instant {
    time::parse_instant("2026-01-01T00:00:00Z").unwrap()
}

/// A sign-in of long ago, with the first refresh token.
fn signed_in(path: &Path, config: &SignInConfig) {
    let about = SignedIn::new(config, config.method.name(), long_ago());
    file::write(path, &Kept { about, refresh_token: "refresh-0".into() }).unwrap();
}

fn kept_token(path: &Path) -> String {
    file::read(path).unwrap().unwrap().refresh_token.expose_secret().to_owned()
}

fn access_with(config: SignInConfig, refresh: RefreshToken) -> Delegated {
    Delegated::new(http(), config, DelegatedCredential { client: None, refresh }).unwrap()
}

fn access(authority: &Url, path: &Path) -> Delegated {
    access_with(config(authority), RefreshToken::File(path.to_owned()))
}

/// Calls the API once.
async fn calls(api: &Url, tokens: &DelegatedTokens) -> Result<(), ConnectError> {
    let request = Request { token: Some(tokens), ..Request::new("partner-center", Method::GET, api.join("api").unwrap()) };
    http().send(&request).await.map(drop)
}

#[tokio::test]
async fn a_new_refresh_token_is_in_the_file_before_the_access_token_is_used() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.json");
    signed_in(&path, &config(&url));
    let (seen, file) = (Arc::new(StdMutex::new(Vec::new())), path.clone());
    let note = seen.clone();
    service.with(|inside| inside.on_call = Box::new(move || note.lock().unwrap().push(kept_token(&file))));
    let tokens = access(&url, &path).tokens("https://api.partner.microsoft.com");
    calls(&url, &tokens).await.unwrap();
    calls(&url, &tokens).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["refresh-1", "refresh-1"], "one token serves both calls");
    let about = file::read(&path).unwrap().unwrap().about;
    assert_eq!((about.account.as_deref(), about.account_tenant.as_deref(), about.mfa), (Some("ann@contoso.com"), Some("t-1"), true));
    assert!(about.obtained == long_ago() && about.refreshed > long_ago());
    let asked = service.with(|inside| inside.asked[0].clone());
    assert_eq!(asked["grant_type"], "refresh_token");
    assert_eq!(asked["client_id"], "app");
    assert_eq!(asked["scope"], "https://api.partner.microsoft.com/.default offline_access openid");
}

#[tokio::test]
async fn an_access_token_is_not_used_if_the_new_refresh_token_cannot_be_written() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sub/tokens.json");
    signed_in(&path, &config(&url));
    let sub = folder.path().join("sub");
    service.with(|inside| {
        inside.on_token = Box::new(move || {
            // Somebody replaces the folder while the token service answers.
            std::fs::remove_dir_all(&sub).unwrap();
            crate::disk::write(&sub, b"", crate::disk::Access::Shared).unwrap();
        });
    });
    let tokens = access(&url, &path).tokens("https://api.partner.microsoft.com");
    let error = calls(&url, &tokens).await.unwrap_err();
    assert!(matches!(error, ConnectError::Config { .. }), "{error}");
    assert!(service.with(|inside| inside.called.is_empty()));
}

#[tokio::test]
async fn one_refresh_token_serves_both_audiences_in_turn() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.json");
    signed_in(&path, &config(&url));
    let access = access(&url, &path);
    let (referrals, webhooks) =
        (access.tokens("https://api.partner.microsoft.com"), access.tokens("https://api.partnercenter.microsoft.com"));
    let (a, b) = tokio::join!(calls(&url, &referrals), calls(&url, &webhooks));
    a.and(b).unwrap();
    let scopes: BTreeSet<String> = service.with(|inside| inside.asked.iter().map(|fields| fields["scope"].clone()).collect());
    assert_eq!(scopes.len(), 2, "{scopes:?}");
    assert_eq!(kept_token(&path), "refresh-2");
}

#[tokio::test]
async fn two_processes_never_use_one_refresh_token_twice() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.json");
    signed_in(&path, &config(&url));
    // What two processes share is the file alone.
    let accesses: Vec<Delegated> = (0..6).map(|_| access(&url, &path)).collect();
    let tasks: Vec<_> =
        accesses.into_iter().map(|access| tokio::spawn(async move { access.refresh("https://api.partner.microsoft.com").await })).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let used: Vec<String> = service.with(|inside| inside.asked.iter().map(|fields| fields["refresh_token"].clone()).collect());
    assert_eq!(used, ["refresh-0", "refresh-1", "refresh-2", "refresh-3", "refresh-4", "refresh-5"]);
    assert_eq!(kept_token(&path), "refresh-6");
}

#[tokio::test]
async fn a_sign_in_without_mfa_is_refused_before_the_first_call_and_keeps_the_new_refresh_token() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.json");
    signed_in(&path, &config(&url));
    service.with(|inside| inside.amr = json!(["pwd"]));
    let error = calls(&url, &access(&url, &path).tokens("https://api.partner.microsoft.com")).await.unwrap_err();
    assert!(matches!(error, ConnectError::SignIn { .. }), "{error}");
    assert!(error.to_string().contains("d365map login partner-center"), "{error}");
    assert!(service.with(|inside| inside.called.is_empty()));
    assert_eq!(kept_token(&path), "refresh-1");
    let lenient = SignInConfig { require_mfa: false, ..config(&url) };
    let access = access_with(lenient, RefreshToken::File(path));
    calls(&url, &access.tokens("https://api.partner.microsoft.com")).await.unwrap();
}

#[tokio::test]
async fn a_401_with_the_code_900421_asks_to_sign_in_and_is_not_sent_again() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.json");
    signed_in(&path, &config(&url));
    let tokens = access(&url, &path).tokens("https://api.partner.microsoft.com");
    for body in [
        json!({"error": {"code": "900421", "message": "MFA is required"}}),
        json!({"code": 900_421, "description": "MFA", "data": [], "source": "x"}),
        json!({"error": {"code": "unauthenticated", "message": "Denied (900421)."}}),
    ] {
        service.with(|inside| {
            inside.refusal = Some((StatusCode::UNAUTHORIZED, body.clone()));
            inside.called.clear();
        });
        let error = calls(&url, &tokens).await.unwrap_err();
        assert!(matches!(error, ConnectError::SignIn { .. }), "{body}: {error}");
        assert_eq!(service.with(|inside| inside.called.len()), 1, "{body}");
    }
    assert_eq!(service.with(|inside| inside.asked.len()), 1);
}

#[tokio::test]
async fn any_other_401_is_tried_again_once_with_a_fresh_token() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.json");
    signed_in(&path, &config(&url));
    service.with(|inside| inside.refusal = Some((StatusCode::UNAUTHORIZED, json!({"error": {"code": "19004210"}}))));
    let error = calls(&url, &access(&url, &path).tokens("https://api.partner.microsoft.com")).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unauthorized { .. }), "{error}");
    assert_eq!(service.with(|inside| (inside.called.len(), inside.asked.len())), (2, 2));
}

#[tokio::test]
async fn a_refused_refresh_token_asks_to_sign_in_and_is_not_sent_again() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.json");
    signed_in(&path, &config(&url));
    service.with(|inside| inside.number = 7);
    let error = access(&url, &path).refresh("https://api.partner.microsoft.com").await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, ConnectError::SignIn { .. }) && text.contains("the sign-in has expired (AADSTS700082: *** has expired)"),
        "{text}"
    );
    assert_eq!(service.with(|inside| inside.asked.len()), 1);
    assert_eq!(kept_token(&path), "refresh-0", "it stays: the reason may be the service's");
}

#[tokio::test]
async fn nothing_is_sent_if_no_account_is_signed_in() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let error = access(&url, &folder.path().join("tokens.json")).refresh("https://api.partner.microsoft.com").await.unwrap_err();
    assert!(matches!(error, ConnectError::SignIn { .. }), "{error}");
    assert!(service.with(|inside| inside.asked.is_empty()));
}

#[tokio::test]
async fn a_refresh_token_by_reference_is_replaced_in_memory() {
    let (service, url) = Service::start().await;
    let access = access_with(config(&url), RefreshToken::Given("refresh-0".into()));
    for _ in 0..3 {
        access.refresh("https://api.partner.microsoft.com").await.unwrap();
    }
    let used: Vec<String> = service.with(|inside| inside.asked.iter().map(|fields| fields["refresh_token"].clone()).collect());
    assert_eq!(used, ["refresh-0", "refresh-1", "refresh-2"]);
}

#[tokio::test]
async fn an_idle_sign_in_is_refreshed_once_a_day() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.json");
    signed_in(&path, &config(&url));
    let access = access(&url, &path);
    let mut refreshed = Vec::new();
    for hours in [1, 23, 24, 30, 47, 49] {
        refreshed.push(access.keep_alive("https://api.partner.microsoft.com", long_ago() + TimeDelta::hours(hours)).await.unwrap());
    }
    assert_eq!(refreshed, [false, false, true, false, false, true]);
    assert_eq!(service.with(|inside| inside.asked.len()), 2);
}
