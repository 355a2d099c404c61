//! The files of pages: a style sheet and two scripts, all of them ours and part of the program.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};

/// A file of the pages.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    text: &'static str,
}

const ASSETS: &[Asset] = &[
    Asset { name: "style.css", media_type: "text/css; charset=utf-8", text: include_str!("assets/style.css") },
    Asset { name: "live.js", media_type: "text/javascript; charset=utf-8", text: include_str!("assets/live.js") },
    Asset { name: "editor.js", media_type: "text/javascript; charset=utf-8", text: include_str!("assets/editor.js") },
    Asset { name: "icon.svg", media_type: "image/svg+xml", text: include_str!("assets/icon.svg") },
];

/// The version in the addresses of the files, so that a new program is not shown with old ones.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Returns a file.
pub async fn file(Path(name): Path<String>) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers: [(HeaderName, &str); 2] = [(CONTENT_TYPE, asset.media_type), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, asset.text).into_response()
}
