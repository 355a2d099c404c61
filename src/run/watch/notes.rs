//! Notes about workflows, which the state file may not take at the moment: its disk is full, or another program keeps it locked.
//! They are kept here with their times and written when the file can be written again; until then the lock file says so.

use std::sync::Arc;
use std::time::Duration;

use crate::run::Clock;
use crate::store::{Control, StoreError, WorkflowNote};
use crate::time::Instant;

/// From an attempt to write the notes to the next one.
const AGAIN: Duration = Duration::from_secs(1);

/// The notes that are still to be written.
pub(super) struct Notebook {
    control: Arc<dyn Control>,
    clock: Clock,
    missed: Vec<(String, WorkflowNote, Instant)>,
    /// When writing them failed last, by the time since the clock was made.
    failed: Option<Duration>,
    /// The store has said in its lock file that it cannot be written.
    trouble: bool,
}

impl Notebook {
    pub fn new(control: Arc<dyn Control>, clock: Clock) -> Notebook {
        Notebook { control, clock, missed: Vec::new(), failed: None, trouble: false }
    }

    /// Notes the state of a workflow, now or when the file can be written again. That this fails is not a reason to stop
    /// moving records.
    pub async fn note(&mut self, name: &str, note: WorkflowNote) {
        self.add(name, note);
        // While the file cannot be written, an attempt may take as long as SQLite waits for a lock; `catch_up` makes them.
        if self.failed.is_none() {
            self.write().await;
        }
    }

    /// Writes what is still to be written, unless that failed a moment ago.
    pub async fn catch_up(&mut self) {
        if !self.missed.is_empty() && self.failed.is_none_or(|at| self.clock.elapsed().saturating_sub(at) >= AGAIN) {
            self.write().await;
        }
    }

    /// The newest note of a workflow counts, and its last failure, which `status` goes on to show.
    fn add(&mut self, name: &str, note: WorkflowNote) {
        let failure = |note: &WorkflowNote| matches!(note, WorkflowNote::Failed { .. });
        let newer_failure = failure(&note);
        let last_failure = self.missed.iter().rposition(|(n, note, _)| n == name && failure(note)).filter(|_| !newer_failure);
        let mut at = 0;
        self.missed.retain(|(n, ..)| {
            at += 1;
            n != name || Some(at - 1) == last_failure
        });
        self.missed.push((name.to_owned(), note, self.clock.now()));
    }

    async fn write(&mut self) {
        let written = self.control.note_workflows(&self.missed).await;
        match &written {
            Ok(()) if self.trouble => self.control.note_trouble(None).await,
            Ok(()) => {}
            Err(error) => self.control.note_trouble(Some(&error.to_string())).await,
        }
        self.settle(written);
    }

    fn settle(&mut self, written: Result<(), StoreError>) {
        match written {
            Ok(()) => {
                if self.trouble {
                    tracing::warn!(notes = self.missed.len(), "the state file can be written again");
                }
                self.missed.clear();
                (self.failed, self.trouble) = (None, false);
            }
            Err(error) => {
                if !self.trouble {
                    tracing::warn!(%error, "the state of the workflows could not be written; it will be written as soon as that is possible");
                }
                (self.failed, self.trouble) = (Some(self.clock.elapsed()), true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store;

    #[tokio::test]
    async fn of_the_notes_that_were_missed_the_newest_and_the_last_failure_of_each_workflow_are_kept() {
        let mut book = Notebook::new(store::in_memory().unwrap().control, Clock::default());
        let failed = |reason: &str| WorkflowNote::Failed { reason: reason.to_owned(), next: None };
        for (name, note) in [
            ("a", WorkflowNote::Round),
            ("a", failed("first")),
            ("b", WorkflowNote::Round),
            ("a", WorkflowNote::Round),
            ("a", failed("second")),
            ("a", WorkflowNote::Round),
            ("a", WorkflowNote::Rested { next: None }),
        ] {
            book.add(name, note);
        }
        let kept: Vec<(&str, &WorkflowNote)> = book.missed.iter().map(|(name, note, _)| (name.as_str(), note)).collect();
        assert_eq!(
            kept,
            [("b", &WorkflowNote::Round), ("a", &failed("second")), ("a", &WorkflowNote::Rested { next: None })],
            "in their order"
        );
        book.write().await;
        assert!(book.missed.is_empty() && book.failed.is_none());
        let a = book.control.workflows().await.unwrap().into_iter().find(|w| w.name == "a").unwrap();
        assert_eq!((a.state.as_str(), a.last_error.as_deref()), ("RUNNING", Some("second")));
    }
}
