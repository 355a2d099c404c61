//! What monitors ask: whether the process answers, and whether every project is watched.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use crate::serve::metrics;
use crate::serve::site::Site;

/// The process answers.
pub async fn health() -> &'static str {
    "ok\n"
}

/// What projects do, for monitoring.
pub async fn metrics(State(site): State<Arc<Site>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::FORMAT)], site.metrics.render().await)
}

/// Every project is watched.
pub async fn ready(State(site): State<Arc<Site>>) -> (StatusCode, &'static str) {
    let ready = site.projects.values().all(|served| {
        let now = served.now();
        now.problem.is_none() && now.plan.is_some()
    });
    if ready { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "a project is not running\n") }
}
