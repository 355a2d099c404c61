//! The few pages that a person without a session sees. They need only the style sheet.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

/// A page with a title and a text.
pub(super) fn plain(status: StatusCode, title: &str, text: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · d365map" }
                link rel="stylesheet" href="/assets/style.css";
            }
            body.plain {
                main {
                    h1 { (title) }
                    (text)
                }
            }
        }
    };
    (status, page).into_response()
}
