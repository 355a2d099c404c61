//! The projects of this server.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;

use crate::serve::shell::outside;
use crate::serve::site::Site;

/// Lists the projects; with one, its overview.
pub async fn page(State(site): State<Arc<Site>>) -> Response {
    let mut names = site.projects.keys();
    if let (Some(only), None) = (names.next(), names.next()) {
        return Redirect::to(&format!("/p/{only}")).into_response();
    }
    let content = html! {
        ul.plain {
            @for (name, served) in &site.projects {
                li {
                    a href={ "/p/" (name) } { (name) }
                    @if served.now().problem.is_some() { " " span.badge.bad { "not running" } }
                }
            }
        }
    };
    outside("Projects", &content).into_response()
}
