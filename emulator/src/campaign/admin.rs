//! The instance's part of the admin interface: changes as somebody in the product's own screens makes them.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete as delete_route, get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::history::EventSeed;
use super::subscriptions::SubscriptionSeed;
use crate::App;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/dump/resource/{name}", get(dump))
        .route("/campaign/rows/{resource}", post(add))
        .route("/campaign/rows/{resource}/{key}", patch(change).delete(delete))
        .route("/campaign/subscriptions", post(subscribe))
        .route("/campaign/subscriptions/{service}/{profile}", delete_route(unsubscribe))
        .route("/campaign/history", post(history))
        .route("/campaign/jwt-key", post(bind))
}

type AppState = State<Arc<App>>;

#[derive(Deserialize)]
struct Dump {
    #[serde(default)]
    system: bool,
}

fn answer(done: Result<(), String>) -> Response {
    match done {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response(),
    }
}

async fn dump(State(app): AppState, Path(name): Path<String>, Query(dump): Query<Dump>) -> Response {
    match app.campaign.dump(&name, dump.system) {
        Some(rows) => Json(rows).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({"error": format!("no resource `{name}`")}))).into_response(),
    }
}

async fn add(State(app): AppState, Path(resource): Path<String>, body: String) -> Response {
    answer(app.campaign.seed(&resource, &body))
}

async fn change(State(app): AppState, Path((resource, key)): Path<(String, String)>, body: String) -> Response {
    answer(app.campaign.change(&resource, &key, Some(&body)))
}

async fn delete(State(app): AppState, Path((resource, key)): Path<(String, String)>) -> Response {
    answer(app.campaign.change(&resource, &key, None))
}

async fn subscribe(State(app): AppState, Json(subscription): Json<SubscriptionSeed>) -> Response {
    answer(app.campaign.set_subscription(&subscription, true))
}

async fn unsubscribe(State(app): AppState, Path((service, profile)): Path<(String, String)>) -> Response {
    answer(app.campaign.set_subscription(&SubscriptionSeed { profile, service }, false))
}

async fn history(State(app): AppState, body: String) -> Response {
    answer(serde_json::from_str::<EventSeed>(&body).map_err(|error| error.to_string()).and_then(|event| app.campaign.add_events(&event)))
}

/// The body is a certificate or a public key as PEM.
async fn bind(State(app): AppState, body: String) -> Response {
    answer(app.campaign.bind(&body))
}
