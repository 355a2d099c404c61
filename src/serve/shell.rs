//! What is around every page, also around one that belongs to no project, such as that of a failure.

use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::assets::VERSION;
use super::failure::Failure;

/// A document with a title and a body.
pub fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – d365map" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href={ "/assets/style.css?v=" (VERSION) };
                script src={ "/assets/live.js?v=" (VERSION) } defer {}
                script src={ "/assets/editor.js?v=" (VERSION) } defer {}
            }
            body { (body) }
        }
    }
}

/// A page outside projects, for people who have no session or whose request failed.
pub fn outside(title: &str, content: &Markup) -> Markup {
    let body = html! {
        header.top { a.brand href="/" { "d365map" } }
        main.narrow #content { h1 { (title) } (content) }
    };
    document(title, &body)
}

/// A failure as a page.
fn failure(failure: &Failure) -> Markup {
    let title = match failure.status.as_u16() {
        404 => "Not found",
        403 => "Not allowed",
        409 => "Not done",
        400 | 422 => "This cannot be done",
        502 => "A service did not answer as expected",
        503 => "Not available at the moment",
        _ => "Something went wrong",
    };
    let content = html! {
        div.notice.bad role="alert" {
            pre { (failure.message) }
            @for hint in &failure.hints { p { (hint) } }
        }
        p { a href="/" { "Back to the overview" } }
    };
    outside(title, &content)
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(status = self.status.as_u16(), error = self.message, "a request failed");
        }
        (self.status, failure(&self)).into_response()
    }
}
