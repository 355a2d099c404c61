//! What changes in a project while its pages are open, and the parts of pages that show it.
//!
//! A part is rendered at most once a second for all who look at it. `pages/live.rs` renders parts and sends them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use maud::Markup;
use tokio::sync::{Mutex as Lock, OwnedSemaphorePermit, Semaphore};

use super::access::Role;
use super::failure::Failure;
use crate::run::{Receiver, RunEvent, Subscriber};

/// How often a part is looked at while somebody watches.
pub const LOOK: Duration = Duration::from_secs(1);
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

    /// The part with this name.
    pub fn of(name: &str) -> Option<Part> {
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

    /// A part as it is for a role, at most a second old. Renders it if it is older.
    ///
    /// # Errors
    /// It cannot be rendered.
    pub async fn part(&self, part: Part, role: Role, render: impl Future<Output = Result<Markup, Failure>>) -> Result<Arc<str>, Failure> {
        let key = (part, role);
        let mut rendered = self.0.rendered.lock().await;
        if let Some(found) = rendered.get(&key).filter(|found| found.at.elapsed() < LOOK) {
            return Ok(found.html.clone());
        }
        let html: Arc<str> = render.await?.into_string().into();
        rendered.insert(key, Rendered { at: Instant::now(), html: html.clone() });
        Ok(html)
    }

    /// Holds one of the connections of the project; `None` if all are in use.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
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
