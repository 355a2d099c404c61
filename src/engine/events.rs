//! What happens in a run, as typed events. Flows emit them and read nothing back; counts, the summary, the progress line and the log
//! are subscribers. An event holds no personal data but the id of a record that was rejected.

use std::sync::Arc;
use std::time::Duration;

/// Something that happened in a workflow. Numbers are of records, unless they say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEvent<'a> {
    /// A round has begun. `at` is the time since the run's clock was made.
    RoundBegan {
        /// When.
        at: Duration,
    },
    /// A round has ended. `at` is the time since the run's clock was made.
    RoundEnded {
        /// When.
        at: Duration,
        /// With an error.
        failed: bool,
    },
    /// Pages were read.
    PagesRead(u64),
    /// Source records were read, tombstones included.
    Read(u64),
    /// Records equal what was last written: no call is made.
    Unchanged(u64),
    /// The filter keeps records out.
    FilteredOut(u64),
    /// Records belong to persons who were forgotten, and are skipped.
    Forgotten(u64),
    /// Records were created at the target.
    Created(u64),
    /// Records were updated at the target.
    Updated(u64),
    /// Records were deleted at the target.
    Deleted(u64),
    /// Deletes in the source that the mapping ignores, or of records that were never written.
    DeletedWithoutEffect(u64),
    /// Records could not be mapped.
    Rejected(u64),
    /// The target refused operations permanently.
    Failed(u64),
    /// Attempts were postponed.
    Postponed(u64),
    /// The number of operations that wait now.
    Backlog(u64),
    /// A record was rejected or refused, and why.
    Problem(Problem<'a>),
    /// What only some kinds of workflows have.
    Noted(Note, u64),
}

/// Why a record was rejected or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem<'a> {
    /// The line of the mapping file, `mappings/contacts.d365map:12:3`, or the file that was read.
    pub place: &'a str,
    /// The field; empty if it is the whole record.
    pub field: &'a str,
    /// The diagnostic's code, or the service's.
    pub code: &'a str,
    /// What is wrong, without values of the record.
    pub message: &'a str,
    /// The record: its id in the source, or its place in a file.
    pub record: &'a str,
}

/// What only some kinds of workflows have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// Records of the target that had no key, and got one. They count as updated, too.
    Adopted,
    /// Events whose contact was deleted.
    ContactsGone,
    /// Follow-up tasks that were made.
    Tasks,
    /// Gaps in the journal of events.
    JournalGaps,
    /// Events of profiles that are not the integration's.
    ForeignProfiles,
    /// Events of persons who were forgotten.
    ForgottenPersons,
    /// Export files that cannot be read.
    UnreadableFiles,
    /// Differences of opt-outs that need approval.
    OptOutDifferences,
    /// Opt-outs that only Campaign has, which need a decision.
    OptOutsToDecide,
}

/// Receives the events of one workflow.
pub trait Receiver: Send + Sync {
    /// Takes an event. Must not block: it is called by the tasks that do the work.
    fn receive(&self, event: &RunEvent<'_>);
}

/// Receives the events of a run.
pub trait Subscriber: Send + Sync {
    /// The receiver of a workflow's events. Asked for at the beginning of each round; what it has received before still counts.
    fn workflow(&self, name: &str) -> Arc<dyn Receiver>;

    /// Called with the number of workflows whose mapping file has changed since they started.
    fn restarts_due(&self, _workflows: u64) {}
}

/// Passes the events of a run on to its subscribers.
#[derive(Clone, Default)]
pub struct Publisher(Vec<Arc<dyn Subscriber>>);

impl Publisher {
    /// A publisher with one subscriber.
    pub fn to(subscriber: Arc<dyn Subscriber>) -> Publisher {
        Publisher(vec![subscriber])
    }

    /// The same with one more subscriber.
    #[must_use]
    pub fn and(mut self, subscriber: Arc<dyn Subscriber>) -> Publisher {
        self.0.push(subscriber);
        self
    }

    /// What emits the events of a workflow.
    pub(crate) fn workflow(&self, name: &str) -> Emitter {
        Emitter(self.0.iter().map(|subscriber| subscriber.workflow(name)).collect())
    }

    pub(crate) fn restarts_due(&self, workflows: u64) {
        self.0.iter().for_each(|subscriber| subscriber.restarts_due(workflows));
    }
}

/// Emits the events of one workflow.
#[derive(Clone)]
pub(crate) struct Emitter(Arc<[Arc<dyn Receiver>]>);

impl Emitter {
    /// An emitter with one receiver, for work outside a run.
    pub fn to(receiver: Arc<dyn Receiver>) -> Emitter {
        Emitter(Arc::new([receiver]))
    }

    /// Tells the receivers.
    pub fn emit(&self, event: RunEvent<'_>) {
        self.0.iter().for_each(|receiver| receiver.receive(&event));
    }
}
