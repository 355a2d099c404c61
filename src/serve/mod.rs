//! `d365map serve`: runs what `run --watch` runs, for one or several projects, and shows and steers it in a browser.
//!
//! Each project is watched by a separate thread ([`runner`]), with a separate runtime, as `run --watch` would be: a page that takes
//! long keeps no record waiting. Pages, actions and the API are routes of one table ([`routes`]), which says for each what right it needs;
//! they read and write the state beside the run, as other commands do, and share with these what they do (`app::operate`).
//!
//! Pages are rendered on the server and work without JavaScript. A script of ours replaces parts of them as the state changes.

pub mod access;
mod answer;
mod api;
mod assets;
mod failure;
mod files;
mod jobs;
mod live;
pub mod metrics;
mod pages;
mod route;
mod routes;
mod runner;
mod shell;
mod site;
mod situation;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};

#[cfg(feature = "internals")]
pub use api::openapi;
pub use api::{
    CountDocument, DeadLetterChoice, DeadLetterDocument, DeadLettersDocument, ProblemDocument, ProjectsDocument, ReplayChoice,
    WishDocument, WorkflowsDocument,
};
pub use route::Route;
pub use routes::table;
pub use runner::{RunnerOptions, Runners};
pub use site::{Served, ServedError, Site};
pub use tls::{TlsError, TlsFiles, TlsListener};

/// How long requests that are being answered are waited for at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Answers requests until [`Site::stop`] is cancelled. Live connections end then; other requests have a few seconds.
///
/// # Errors
/// The system's, if the listener cannot be used.
pub async fn answer_requests<L>(listener: L, site: Arc<Site>) -> std::io::Result<()>
where
    L: Listener,
    L::Addr: std::fmt::Debug,
    access::Peer: for<'a> Connected<IncomingStream<'a, L>>,
{
    let stop = site.stop.clone();
    let projects: Vec<_> = site.projects.values().cloned().collect();
    let app = routes::router(site).into_make_service_with_connect_info::<access::Peer>();
    let server = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    let task = tokio::spawn(async move { server.await });
    let mut task = tokio_util::task::AbortOnDropHandle::new(task);
    tokio::select! {
        ended = &mut task => return ended.unwrap_or_else(|error| Err(std::io::Error::other(error))),
        () = stop.cancelled() => projects.iter().for_each(|served| served.jobs.stop()),
    }
    match tokio::time::timeout(LAST_ANSWERS, &mut task).await {
        Ok(ended) => ended.unwrap_or_else(|error| Err(std::io::Error::other(error))),
        Err(_) => Ok(()),
    }
}
