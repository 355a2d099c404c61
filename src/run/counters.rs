//! What a run has done so far: a subscriber that counts. The progress line and the summary are made of its counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::summary::RejectionSummary;
use crate::engine::events::{Note, Problem, Receiver, RunEvent, Subscriber};

/// A count that many may raise.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Raises the count.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Sets the count.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts of one flow.
#[derive(Debug, Default)]
pub struct FlowCounters {
    /// Source records read, tombstones included.
    pub read: Count,
    /// Pages read.
    pub pages: Count,
    /// Target records created.
    pub created: Count,
    /// Target records updated.
    pub updated: Count,
    /// Target records deleted.
    pub deleted: Count,
    /// Records that equal what was last written: no call.
    pub unchanged: Count,
    /// Records that the filter keeps out.
    pub filtered_out: Count,
    /// Records of forgotten persons, which are not stored.
    pub forgotten: Count,
    /// Deletes in the source that the mapping ignores, or of records never written.
    pub deletes_without_effect: Count,
    /// Records that could not be mapped.
    pub rejected: Count,
    /// Operations that the target refused permanently.
    pub failed: Count,
    /// Attempts that were postponed.
    pub retried: Count,
    /// Operations waiting.
    pub backlog: Count,
    rejections: Mutex<BTreeMap<(String, String, String), RejectionSummary>>,
    notes: Mutex<BTreeMap<Note, u64>>,
}

/// Kinds of rejections that a summary distinguishes; there are no more than lines in a mapping times codes, but a plan
/// may be large.
const REJECTION_KINDS: usize = 100;

impl FlowCounters {
    /// Notes a rejected or refused record under its line, field and code.
    fn reject(&self, problem: &Problem<'_>) {
        let mut kinds = self.rejections.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (problem.place.to_owned(), problem.field.to_owned(), problem.code.to_owned());
        let full = kinds.len() >= REJECTION_KINDS;
        match kinds.get_mut(&key) {
            Some(kind) => kind.count += 1,
            None if full => {}
            None => {
                let kind = RejectionSummary {
                    place: problem.place.to_owned(),
                    field: problem.field.to_owned(),
                    code: problem.code.to_owned(),
                    message: problem.message.to_owned(),
                    count: 1,
                    example: problem.record.to_owned(),
                };
                kinds.insert(key, kind);
            }
        }
    }

    /// What only some kinds of flows have.
    pub fn notes(&self) -> BTreeMap<Note, u64> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The kinds of rejections so far.
    pub fn rejections(&self) -> Vec<RejectionSummary> {
        self.rejections.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Receiver for FlowCounters {
    fn receive(&self, event: &RunEvent<'_>) {
        match event {
            RunEvent::RoundBegan { .. } | RunEvent::RoundEnded { .. } => {}
            RunEvent::PagesRead(n) => self.pages.add(*n),
            RunEvent::Read(n) => self.read.add(*n),
            RunEvent::Unchanged(n) => self.unchanged.add(*n),
            RunEvent::FilteredOut(n) => self.filtered_out.add(*n),
            RunEvent::Forgotten(n) => self.forgotten.add(*n),
            RunEvent::Created(n) => self.created.add(*n),
            RunEvent::Updated(n) => self.updated.add(*n),
            RunEvent::Deleted(n) => self.deleted.add(*n),
            RunEvent::DeletedWithoutEffect(n) => self.deletes_without_effect.add(*n),
            RunEvent::Rejected(n) => self.rejected.add(*n),
            RunEvent::Failed(n) => self.failed.add(*n),
            RunEvent::Postponed(n) => self.retried.add(*n),
            RunEvent::Backlog(n) => self.backlog.set(*n),
            RunEvent::Problem(problem) => self.reject(problem),
            RunEvent::Noted(_, 0) => {}
            RunEvent::Noted(note, n) => {
                *self.notes.lock().unwrap_or_else(PoisonError::into_inner).entry(*note).or_default() += n;
            }
        }
    }
}

/// The counts of a run, by flow.
#[derive(Debug, Default)]
pub struct Counters {
    flows: Mutex<BTreeMap<String, Arc<FlowCounters>>>,
    /// Workflows whose mapping is another one on disk than the one they run by.
    pub restarts_due: Count,
}

impl Counters {
    /// The counts of a flow.
    pub fn flow(&self, name: &str) -> Arc<FlowCounters> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default().clone()
    }

    /// The sum of one count over all flows.
    pub fn total(&self, count: impl Fn(&FlowCounters) -> u64) -> u64 {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner).values().map(|f| count(f)).sum()
    }
}

impl Subscriber for Counters {
    fn workflow(&self, name: &str) -> Arc<dyn Receiver> {
        self.flow(name)
    }

    fn restarts_due(&self, workflows: u64) {
        self.restarts_due.set(workflows);
    }
}
