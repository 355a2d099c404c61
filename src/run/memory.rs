//! What workflows remember from round to round as long as a process lives. Nothing depends on it but how often something is done or
//! said: a process that starts again only does it again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::calls::CallKind;
use crate::engine::batch_size::BatchSize;

/// The memories of all workflows, by name.
#[derive(Clone, Debug, Default)]
pub struct Memories(Arc<Mutex<BTreeMap<String, Arc<Memory>>>>);

impl Memories {
    pub(super) fn workflow(&self, name: &str) -> Arc<Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default().clone()
    }
}

/// What one workflow remembers.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    listing: Duration,
    backlog: u64,
    unreadable: HashSet<String>,
    batch_sizes: HashMap<CallKind, BatchSize>,
    outbox_fits: Option<String>,
    services: Option<(String, Duration)>,
}

impl Memory {
    fn with<T>(&self, work: impl FnOnce(&mut Remembered) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How long the last listing of all records took.
    pub fn listing(&self) -> Duration {
        self.with(|remembered| remembered.listing)
    }

    /// Notes how long a listing of all records took.
    pub fn note_listing(&self, took: Duration) {
        self.with(|remembered| remembered.listing = took);
    }

    /// How many operations waited when it was last looked at.
    pub fn backlog(&self) -> u64 {
        self.with(|remembered| remembered.backlog)
    }

    /// Notes how many operations wait.
    pub fn note_backlog(&self, waiting: u64) {
        self.with(|remembered| remembered.backlog = waiting);
    }

    /// Whether what waits in the outbox was brought to the fields of this plan.
    pub fn outbox_fits(&self, plan_fingerprint: &str) -> bool {
        self.with(|remembered| remembered.outbox_fits.as_deref() == Some(plan_fingerprint))
    }

    /// Notes that it was.
    pub fn note_outbox_fits(&self, plan_fingerprint: String) {
        self.with(|remembered| remembered.outbox_fits = Some(plan_fingerprint));
    }

    /// When the services of these pairs were last found in a list of all, by the run's clock.
    pub fn services(&self, pairs: &str) -> Option<Duration> {
        self.with(|remembered| remembered.services.as_ref().filter(|(of, _)| of == pairs).map(|(_, at)| *at))
    }

    /// Notes that the services of these pairs were found.
    pub fn note_services(&self, pairs: String, at: Duration) {
        self.with(|remembered| remembered.services = Some((pairs, at)));
    }

    /// Looks at how many rows a request of this kind carries, or changes it.
    pub fn batch_size<T>(&self, call: CallKind, work: impl FnOnce(&mut BatchSize) -> T) -> T {
        self.with(|remembered| work(remembered.batch_sizes.entry(call).or_default()))
    }

    /// Notes that a file cannot be read. Returns whether that is new.
    pub fn note_unreadable(&self, file: &str) -> bool {
        self.with(|remembered| remembered.unreadable.insert(file.to_owned()))
    }
}
