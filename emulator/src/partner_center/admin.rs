//! The part of the admin interface that is about Partner Center. Without `--partner-center` it answers 404.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::TimeDelta;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::delivery::Order;
use super::error::Problem;
use super::referral::canonical;
use super::settings::SellerAction;
use super::store::Actor;
use super::tokens::{Progress, Role};
use super::{PartnerCenter, clock, patch};
use crate::{App, lock};

type AppState = axum::extract::State<Arc<App>>;

/// The routes.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/partner/clock", get(read_clock).post(move_clock))
        .route("/partner/referrals", get(dump).post(receive))
        .route("/partner/referrals/{id}", get(one).patch(change))
        .route("/partner/seller", post(act))
        .route("/partner/sign-in", post(sign_in))
        .route("/partner/device", post(device))
        .route("/partner/revoke", post(revoke))
        .route("/partner/users", post(set_user))
        .route("/partner/deliveries", get(deliveries))
        .route("/partner/deliveries/hurry", post(hurry))
        .route("/partner/webhook-faults", post(trouble).delete(clear_trouble))
        .route("/partner/pki/{name}", get(certificate))
}

fn problem(status: u16, text: impl Into<String>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    (status, Json(json!({"error": text.into()}))).into_response()
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Refused {
        Refused(problem.status, problem.message)
    }
}

/// Why the admin interface does not do something.
struct Refused(u16, String);

/// Works on Partner Center, if it is started, with a body.
fn work<T: DeserializeOwned>(app: &App, body: &str, work: impl FnOnce(&PartnerCenter, T) -> Result<Value, Refused>) -> Response {
    let Some(center) = &app.partner else { return problem(404, "Partner Center is not started: use --partner-center") };
    let body = if body.trim().is_empty() { "{}" } else { body };
    let result = serde_json::from_str(body).map_err(|error| Refused(400, error.to_string())).and_then(|body| work(center, body));
    center.tick();
    match result {
        Ok(Value::Null) => StatusCode::NO_CONTENT.into_response(),
        Ok(value) => Json(value).into_response(),
        Err(Refused(status, text)) => problem(status, text),
    }
}

async fn read_clock(State(app): AppState) -> Response {
    work::<Value>(&app, "", |center, _| Ok(json!({"now": clock::format(center.clock.now())})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MoveClock {
    /// The time to set.
    #[serde(default)]
    now: Option<String>,
    /// Seconds to go forward.
    #[serde(default)]
    seconds: Option<i64>,
    /// Days to go forward.
    #[serde(default)]
    days: Option<i64>,
}

async fn move_clock(State(app): AppState, body: String) -> Response {
    work::<MoveClock>(&app, &body, |center, change| {
        if let Some(now) = &change.now {
            let now = crate::time::parse_instant(now).ok_or_else(|| Refused(400, format!("`{now}` is not a time")))?;
            center.clock.set(now);
        }
        let too_far = || Refused(400, "the clock cannot be moved so far".to_owned());
        let seconds = TimeDelta::try_seconds(change.seconds.unwrap_or(0)).ok_or_else(too_far)?;
        let days = TimeDelta::try_days(change.days.unwrap_or(0)).filter(|days| days.num_days().abs() < 36_500).ok_or_else(too_far)?;
        center.clock.advance(seconds + days);
        // Attempts that wait are made at once.
        center.deliveries.hurry();
        Ok(json!({"now": clock::format(center.clock.now())}))
    })
}

async fn dump(State(app): AppState) -> Response {
    work::<Value>(&app, "", |center, _| {
        let state = lock(&center.state);
        Ok(state.referrals.values().map(|referral| referral.body.clone()).collect())
    })
}

async fn one(State(app): AppState, Path(id): Path<String>) -> Response {
    work::<Value>(&app, "", |center, _| {
        let state = lock(&center.state);
        let referral = state.referrals.values().find(|referral| referral.body["id"] == *id);
        referral.map(|referral| referral.body.clone()).ok_or_else(|| Refused(404, format!("there is no referral `{id}`")))
    })
}

/// Microsoft, or another partner, sends a referral.
async fn receive(State(app): AppState, body: String) -> Response {
    work::<Value>(&app, &body, |center, body| {
        let id = lock(&center.state).create(&body, Actor::Microsoft, center.clock.stamp(), &center.settings)?;
        Ok(json!({ "id": id }))
    })
}

/// A person changes a referral in Partner Center: JSON Patch, or an object whose fields are merged into the referral (RFC 7396).
async fn change(State(app): AppState, Path(id): Path<String>, body: String) -> Response {
    work::<Value>(&app, &body, |center, change| {
        let mut state = lock(&center.state);
        let at = center.clock.stamp();
        if change.is_array() {
            let operations = patch::parse(body.as_bytes())?;
            state.patch(&id, operations, Actor::Partner, at, &center.settings)?;
        } else {
            let change = canonical(&change)?;
            state.change(&id, Actor::Partner, at, &center.settings, false, |body| {
                merge(body, &change);
                Ok(())
            })?;
        }
        Ok(Value::Null)
    })
}

fn merge(body: &mut Value, change: &Value) {
    let Value::Object(fields) = change else {
        body.clone_from(change);
        return;
    };
    if !body.is_object() {
        *body = json!({});
    }
    for (name, value) in fields {
        merge(&mut body[name.as_str()], value);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Act {
    /// The id of a referral of the engagement, or of the engagement.
    referral: String,
    action: SellerAction,
    /// The identifier in Microsoft's CRM, for `accept`.
    #[serde(default)]
    msx: Option<String>,
}

async fn act(State(app): AppState, body: String) -> Response {
    work::<Act>(&app, &body, |center, act| {
        let id = center.seller(&act.referral, act.action, act.msx.as_deref())?;
        Ok(json!({ "id": id }))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    /// Whether sign-ins put `mfa` into the tokens.
    #[serde(default)]
    mfa: Option<bool>,
    /// The next authorization by a browser is denied.
    #[serde(default)]
    deny_next: Option<bool>,
    /// This number of polls of device codes is answered `slow_down`.
    #[serde(default)]
    slow_down: Option<u32>,
}

async fn sign_in(State(app): AppState, body: String) -> Response {
    work::<SignIn>(&app, &body, |center, change| {
        if let Some(mfa) = change.mfa {
            *lock(&center.mfa) = mfa;
        }
        if let Some(deny) = change.deny_next {
            *lock(&center.deny_next) = deny;
        }
        if let Some(count) = change.slow_down {
            *lock(&center.slow_down) = count;
        }
        Ok(Value::Null)
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DeviceAction {
    Approve,
    Decline,
    Expire,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceChange {
    /// The code that the person types in; all that wait when absent.
    #[serde(default)]
    user_code: Option<String>,
    action: DeviceAction,
    /// Who signs in; the Referrals admin when absent.
    #[serde(default)]
    user: Option<String>,
}

fn user(center: &PartnerCenter, name: &str) -> Result<usize, Refused> {
    let users = crate::read(&center.users);
    let found = users.iter().position(|user| user.upn.eq_ignore_ascii_case(name));
    found.ok_or_else(|| Refused(404, format!("there is no user `{name}`")))
}

async fn device(State(app): AppState, body: String) -> Response {
    work::<DeviceChange>(&app, &body, |center, change| {
        let index = change.user.as_deref().map_or(Ok(0), |name| user(center, name))?;
        let (progress, until) = match change.action {
            DeviceAction::Approve => (Progress::SignedIn(index), None),
            DeviceAction::Decline => (Progress::Declined, None),
            DeviceAction::Expire => (Progress::Pending, Some(center.clock.now())),
        };
        match center.tokens.settle_device(change.user_code.as_deref(), &progress, until) {
            0 => Err(Refused(404, "no device code waits".to_owned())),
            count => Ok(json!({ "codes": count })),
        }
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    /// Whose refresh tokens; everybody's when absent.
    #[serde(default)]
    user: Option<String>,
}

async fn revoke(State(app): AppState, body: String) -> Response {
    work::<Revoke>(&app, &body, |center, revoke| {
        let index = revoke.user.as_deref().map(|name| user(center, name)).transpose()?;
        Ok(json!({"revoked": center.tokens.revoke(index)}))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetUser {
    name: String,
    role: Role,
}

async fn set_user(State(app): AppState, body: String) -> Response {
    work::<SetUser>(&app, &body, |center, change| {
        let index = user(center, &change.name)?;
        if let Some(user) = crate::write(&center.users).get_mut(index) {
            user.role = change.role;
        }
        Ok(Value::Null)
    })
}

async fn deliveries(State(app): AppState) -> Response {
    work::<Value>(&app, "", |center, _| Ok(center.deliveries.to_json()))
}

/// Ends the pauses between attempts, and sends what waits for another delivery.
async fn hurry(State(app): AppState) -> Response {
    work::<Value>(&app, "", |center, _| {
        center.deliveries.release();
        center.deliveries.hurry();
        Ok(Value::Null)
    })
}

async fn trouble(State(app): AppState, body: String) -> Response {
    work::<Order>(&app, &body, |center, order| {
        center.deliveries.order(order);
        Ok(Value::Null)
    })
}

async fn clear_trouble(State(app): AppState) -> Response {
    work::<Value>(&app, "", |center, _| {
        center.deliveries.clear_orders();
        Ok(Value::Null)
    })
}

async fn certificate(State(app): AppState, Path(name): Path<String>) -> Response {
    let pem = app.partner.as_ref().and_then(|center| match name.as_str() {
        "root.pem" => Some(center.chain.root_pem.clone()),
        "issuer.pem" => Some(center.chain.issuer_pem.clone()),
        _ => None,
    });
    match pem {
        Some(pem) => ([(axum::http::header::CONTENT_TYPE, "application/x-pem-file")], pem).into_response(),
        None => problem(404, "there is root.pem and issuer.pem, if Partner Center is started"),
    }
}
