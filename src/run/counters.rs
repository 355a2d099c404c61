//! What a run has done so far: counted by reader and writer, shown by the progress line and the summary.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::summary::RejectionSummary;

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
    /// Records of persons who were forgotten: not taken in.
    pub forgotten: Count,
    /// Deletes in the source that the mapping ignores, or of records never written.
    pub deletes_without_effect: Count,
    /// Records that could not be mapped.
    pub rejected: Count,
    /// Operations that the target refused for good.
    pub failed: Count,
    /// Attempts that were postponed.
    pub retried: Count,
    /// Operations waiting.
    pub backlog: Count,
    /// How long the last listing of all records took, in milliseconds.
    pub(super) listing: Count,
    rejections: Mutex<BTreeMap<(String, String, String), RejectionSummary>>,
    notes: Mutex<BTreeMap<&'static str, u64>>,
}

/// Kinds of rejections that are told apart in a summary; there are no more than lines in a mapping times codes, but a plan
/// may be large.
const REJECTION_KINDS: usize = 100;

impl FlowCounters {
    /// Notes a rejected or refused record under its line, field and code.
    pub fn reject(&self, place: &str, field: &str, code: &str, message: &str, source_id: &str) {
        let mut kinds = self.rejections.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (place.to_owned(), field.to_owned(), code.to_owned());
        let full = kinds.len() >= REJECTION_KINDS;
        match kinds.get_mut(&key) {
            Some(kind) => kind.count += 1,
            None if full => {}
            None => {
                let kind = RejectionSummary {
                    place: place.to_owned(),
                    field: field.to_owned(),
                    code: code.to_owned(),
                    message: message.to_owned(),
                    count: 1,
                    example: source_id.to_owned(),
                };
                kinds.insert(key, kind);
            }
        }
    }

    /// Counts what only some kinds of flows have, by its words.
    pub fn note(&self, what: &'static str, n: u64) {
        if n > 0 {
            *self.notes.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += n;
        }
    }

    /// What only some kinds of flows have.
    pub fn notes(&self) -> BTreeMap<&'static str, u64> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The kinds of rejections so far.
    pub fn rejections(&self) -> Vec<RejectionSummary> {
        self.rejections.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
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
    pub(super) fn begin(&self, names: &[String]) {
        names.iter().for_each(|name| {
            self.flow(name);
        });
    }

    /// The counts of a flow.
    pub fn flow(&self, name: &str) -> Arc<FlowCounters> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default().clone()
    }

    /// The sum of one count over all flows.
    pub fn total(&self, count: impl Fn(&FlowCounters) -> u64) -> u64 {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner).values().map(|f| count(f)).sum()
    }
}
