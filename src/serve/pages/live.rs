//! Live updates: parts of pages that are sent again when they have changed, as server-sent events. A part is sent to a page only if it
//! differs from what the page has.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::Path;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use maud::Markup;

use super::{doctor, drift, optouts, overview};
use crate::serve::answer::{At, Failure};
use crate::serve::live::{LOOK, Part};

/// How long a connection lives; the browser opens another one, and its session is checked again.
const LIFE: Duration = Duration::from_secs(600);

/// A part of a page as it is now.
async fn render(at: &At, part: Part) -> Result<Markup, Failure> {
    match part {
        Part::Workflows => overview::workflows(at).await,
        Part::Optouts => optouts::part(at).await,
        Part::Checks => Ok(doctor::part(at)),
        Part::Drift => Ok(drift::part(at)),
    }
}

/// Sends a part of a page whenever it has changed.
pub async fn stream(at: At, Path((_, part)): Path<(String, String)>) -> Result<impl IntoResponse, Failure> {
    let part = Part::of(&part).ok_or_else(|| Failure::not_found("there is no such part of a page"))?;
    let Some(place) = at.served.live.place() else { return Err(Failure::busy("too many pages of this project are open")) };
    let ends = Instant::now() + LIFE;
    let first = (at, None::<Arc<str>>, place);
    let events = futures_util::stream::unfold(first, move |(at, sent, place)| async move {
        let mut sent = sent;
        loop {
            if sent.is_some() {
                tokio::select! {
                    () = at.site.stop.cancelled() => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
            // The end of the server waits for answers that are being given, and a stream is one.
            if at.site.stop.is_cancelled() || Instant::now() >= ends || !at.site.access.is_valid(&at.caller) {
                return None;
            }
            let live = at.served.live.clone();
            // What cannot be rendered now can be later; the page shows what it has.
            let Ok(html) = live.part(part, at.caller.role, render(&at, part)).await else {
                sent.get_or_insert_default();
                continue;
            };
            if sent.as_ref() != Some(&html) {
                let event = Event::default().event(part.name()).data(&*html);
                return Some((Ok::<_, Infallible>(event), (at, Some(html), place)));
            }
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}
