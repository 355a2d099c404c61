//! Live updates: parts of pages that are sent again when they have changed, as server-sent events.
//!
//! A part is rendered at most once a second for all who look at it, and sent to each only if it differs from what it has.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::Path;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use tokio::sync::{Mutex as Lock, OwnedSemaphorePermit, Semaphore};

use super::access::Role;
use super::answer::{At, Failure};
use super::pages;
use crate::run::{Receiver, RunEvent, Subscriber};

/// How often a part is looked at while somebody watches.
const LOOK: Duration = Duration::from_secs(1);
/// How long a connection lives; the browser opens another one, and its session is checked again.
const LIFE: Duration = Duration::from_secs(600);
/// Connections of a project that are open at the same time.
const MOST: usize = 2_000;
/// The time over which a rate is measured.
const SPAN: Duration = Duration::from_secs(60);

/// What changes in a project. Clones are the same.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    version: AtomicU64,
    written: Mutex<BTreeMap<String, Arc<Written>>>,
    rendered: Lock<BTreeMap<(Part, Role), Rendered>>,
    places: Arc<Semaphore>,
}

/// A part of a page that is updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The workflows of the overview.
    Workflows,
    /// The opt-outs.
    Optouts,
    /// The checks of `doctor`.
    Checks,
    /// The changes of the services' schemas.
    Drift,
}

impl Part {
    const ALL: [Part; 4] = [Part::Workflows, Part::Optouts, Part::Checks, Part::Drift];

    /// Its name in addresses.
    pub fn name(self) -> &'static str {
        match self {
            Part::Workflows => "workflows",
            Part::Optouts => "opt-outs",
            Part::Checks => "checks",
            Part::Drift => "drift",
        }
    }

    fn of(name: &str) -> Option<Part> {
        Part::ALL.into_iter().find(|part| part.name() == name)
    }
}

struct Rendered {
    at: Instant,
    html: Arc<str>,
}

/// Records that a workflow has written, and when that was looked at.
#[derive(Default)]
struct Written {
    count: AtomicU64,
    looks: Mutex<VecDeque<(Instant, u64)>>,
}

impl Default for Live {
    fn default() -> Live {
        Live(Arc::new(Inner {
            version: AtomicU64::new(0),
            written: Mutex::default(),
            rendered: Lock::default(),
            places: Arc::new(Semaphore::new(MOST)),
        }))
    }
}

impl Live {
    /// Something has changed that events do not tell.
    pub fn changed(&self) {
        self.0.version.fetch_add(1, Ordering::Relaxed);
    }

    fn of(&self, workflow: &str) -> Arc<Written> {
        let mut written = self.0.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.entry(workflow.to_owned()).or_default().clone()
    }

    /// Records that a workflow wrote in a minute, measured over the last minute in which somebody looked; `None` if it has not run since
    /// the server started.
    pub fn per_minute(&self, workflow: &str) -> Option<u64> {
        let written = self.0.written.lock().unwrap_or_else(PoisonError::into_inner).get(workflow).cloned()?;
        let (now, count) = (Instant::now(), written.count.load(Ordering::Relaxed));
        let mut looks = written.looks.lock().unwrap_or_else(PoisonError::into_inner);
        while looks.len() > 1 && looks.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= SPAN) {
            looks.pop_front();
        }
        let rate = looks.front().map(|(at, before)| (now.duration_since(*at).as_secs_f64(), count.saturating_sub(*before)));
        if looks.back().is_none_or(|(at, _)| now.duration_since(*at) >= LOOK / 2) {
            looks.push_back((now, count));
        }
        let (seconds, records) = rate?;
        (seconds >= 0.5).then(|| (records as f64 * 60.0 / seconds).round() as u64)
    }

    /// A part as it is now, at most a second old.
    async fn part(&self, at: &At, part: Part) -> Result<Arc<str>, Failure> {
        let key = (part, at.caller.role);
        let mut rendered = self.0.rendered.lock().await;
        if let Some(found) = rendered.get(&key).filter(|found| found.at.elapsed() < LOOK) {
            return Ok(found.html.clone());
        }
        let html = match part {
            Part::Workflows => pages::overview::workflows(at).await?,
            Part::Optouts => pages::optouts::part(at).await?,
            Part::Checks => pages::doctor::part(at),
            Part::Drift => pages::drift::part(at),
        };
        let html: Arc<str> = html.into_string().into();
        rendered.insert(key, Rendered { at: Instant::now(), html: html.clone() });
        Ok(html)
    }

    fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.0.places.clone().try_acquire_owned().ok()
    }
}

impl Subscriber for Live {
    fn workflow(&self, name: &str) -> Arc<dyn Receiver> {
        self.of(name)
    }
}

impl Receiver for Written {
    fn receive(&self, event: &RunEvent<'_>) {
        if let RunEvent::Created(n) | RunEvent::Updated(n) | RunEvent::Deleted(n) = event {
            self.count.fetch_add(*n, Ordering::Relaxed);
        }
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
                tokio::time::sleep(LOOK).await;
            }
            if Instant::now() >= ends || !at.site.access.is_valid(&at.caller) {
                return None;
            }
            let live = at.served.live.clone();
            // What cannot be rendered now can be later; the page shows what it has.
            let Ok(html) = live.part(&at, part).await else {
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
