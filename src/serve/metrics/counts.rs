//! What is counted of a workflow while it runs.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::exposition::{Exposition, Labels, Value};
use super::with;
use crate::run::{Clock, FlowCounters, Note, Receiver, RunEvent};
use crate::store::RecordCounts;
use crate::time::Instant;

/// The bounds by which durations of rounds are counted, in seconds.
const ROUND_BOUNDS: [f64; 9] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0];

/// The counts of a workflow since the process began.
pub(super) struct WorkflowCounts {
    clock: Clock,
    counters: FlowCounters,
    rounds: Mutex<Rounds>,
}

#[derive(Default)]
struct Rounds {
    good: u64,
    failed: u64,
    began: Option<Duration>,
    last_good: Option<Instant>,
    sum: Duration,
    /// By [`ROUND_BOUNDS`]; at the end those that took longer.
    buckets: [u64; ROUND_BOUNDS.len() + 1],
}

impl WorkflowCounts {
    pub fn new(clock: Clock) -> WorkflowCounts {
        WorkflowCounts { clock, counters: FlowCounters::default(), rounds: Mutex::default() }
    }

    /// When the last round ended that was successful.
    pub fn last_good(&self) -> Option<Instant> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner).last_good
    }

    /// What the history keeps of it.
    pub fn records(&self) -> RecordCounts {
        let c = &self.counters;
        RecordCounts {
            read: c.read.get(),
            created: c.created.get(),
            updated: c.updated.get(),
            deleted: c.deleted.get(),
            rejected: c.rejected.get(),
            failed: c.failed.get(),
        }
    }

    pub fn expose(&self, exposition: &mut Exposition, labels: &Labels) {
        let c = &self.counters;
        let mut counter = |name: &'static str, label: Option<(&'static str, &'static str)>, count: u64| {
            let labels = match label {
                Some((name, value)) => with(labels.clone(), name, value),
                None => labels.clone(),
            };
            exposition.add(name, labels, Value::Counter(count));
        };
        counter("d365map_records_read", None, c.read.get());
        counter("d365map_pages_read", None, c.pages.get());
        for (operation, count) in [("created", &c.created), ("updated", &c.updated), ("deleted", &c.deleted)] {
            counter("d365map_records_written", Some(("operation", operation)), count.get());
        }
        for (reason, count) in [
            ("unchanged", &c.unchanged),
            ("filtered_out", &c.filtered_out),
            ("forgotten", &c.forgotten),
            ("delete_without_effect", &c.deletes_without_effect),
        ] {
            counter("d365map_records_skipped", Some(("reason", reason)), count.get());
        }
        for (reason, count) in [("rejected", &c.rejected), ("failed", &c.failed)] {
            counter("d365map_records_not_written", Some(("reason", reason)), count.get());
        }
        counter("d365map_attempts_postponed", None, c.retried.get());
        for (note, count) in c.notes() {
            counter("d365map_notes", Some(("note", word(note))), count);
        }
        let rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        counter("d365map_rounds", Some(("outcome", "ok")), rounds.good);
        counter("d365map_rounds", Some(("outcome", "failed")), rounds.failed);
        let buckets = ROUND_BOUNDS.into_iter().chain([f64::MAX]).zip(rounds.buckets).collect();
        exposition.add("d365map_round_duration_seconds", labels.clone(), Value::distribution(rounds.sum, buckets));
    }
}

impl Receiver for WorkflowCounts {
    fn receive(&self, event: &RunEvent<'_>) {
        match *event {
            RunEvent::RoundBegan { at } => self.rounds.lock().unwrap_or_else(PoisonError::into_inner).began = Some(at),
            RunEvent::RoundEnded { at, failed } => {
                let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
                if failed {
                    rounds.failed += 1;
                } else {
                    rounds.good += 1;
                    rounds.last_good = Some(self.clock.now());
                }
                let took = rounds.began.take().map_or(Duration::ZERO, |began| at.saturating_sub(began));
                rounds.sum += took;
                rounds.buckets[ROUND_BOUNDS.partition_point(|bound| *bound < took.as_secs_f64())] += 1;
            }
            // It names a record; other events have the counts.
            RunEvent::Problem(_) => {}
            _ => self.counters.receive(event),
        }
    }
}

/// The word of a note in a label.
fn word(note: Note) -> &'static str {
    match note {
        Note::Adopted => "adopted",
        Note::ContactsGone => "contact_deleted",
        Note::Tasks => "task_created",
        Note::JournalGaps => "journal_gap",
        Note::ForeignProfiles => "foreign_profile",
        Note::ForgottenPersons => "forgotten_person",
        Note::UnreadableFiles => "unreadable_file",
        Note::OptOutDifferences => "opt_out_difference",
        Note::OptOutsToDecide => "opt_out_to_decide",
    }
}
