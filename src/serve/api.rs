//! The JSON API, and what monitors ask.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use super::site::Site;

/// The process answers.
pub async fn health() -> &'static str {
    "ok\n"
}

/// Every project is watched.
pub async fn ready(State(site): State<Arc<Site>>) -> (StatusCode, &'static str) {
    let ready = site.projects.values().all(|served| {
        let now = served.now();
        now.problem.is_none() && now.plan.is_some()
    });
    if ready { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "a project is not running\n") }
}
