//! What the flows ask of the durable state: one port for each concern, and nothing of how it is kept.
//!
//! [`Stores`] holds the ports of one store, and each port's file has the data types that it takes and returns. The store of today is one
//! SQLite file (`sqlite/`); nothing above knows it, but for the module that opens a store (`app/state.rs`). `tests/it/conformance` runs the
//! same tests against every store.
//!
//! # Contract of all ports
//!
//! * **One call, one transaction.** A method that writes does all of it or nothing. If it returns `Ok`, what it wrote survives the death
//!   of the process; if it returns an error, nothing was written.
//! * **A dropped future** leaves the call carried out or not, never in part.
//! * **One after the other.** Calls of several tasks and processes have the effect that they would have one after the other, in some
//!   order. A method that reads sees one moment.
//! * **Names.** A workflow that the store does not know is not an error: reading gives an empty answer, writing makes it known.
//! * **Time.** What is compared with an instant of the caller is never compared with the store's own clock.
//! * **Call a method once for a page or a batch**, not once for a record.

mod alerts;
mod audit;
mod control;
mod cursors;
mod dead_letters;
mod environment;
mod error;
mod events;
mod fingerprint;
mod ledger;
mod mass;
mod members;
mod mentions;
mod notifications;
mod optouts;
mod outbox;
mod pairs;
mod payload;
mod person;
mod previews;
mod privacy;
mod process;
mod related;
mod runs;
mod samples;
#[cfg(feature = "internals")]
pub mod sqlite;
#[cfg(not(feature = "internals"))]
mod sqlite;
mod types;
mod usage;

use std::sync::Arc;

pub use alerts::Alerts;
pub use audit::{AUDIT_RETENTION, Audit, AuditEntry, AuditFilter, AuditRecord, AuditResult};
pub use control::{
    Control, FINISHED, KnownWorkflow, MappingStatus, PlannedWorkflow, Recognition, RenamedWorkflow, Status, Totals, Wish, WorkflowIdentity,
    WorkflowNote, WorkflowRecord, WorkflowState,
};
pub use cursors::{
    Absence, Change, Claim, Cursor, CursorMove, Cursors, DueCommit, DueStatus, ExportMark, Lease, PageCommit, PageOutcome, PageTimes,
    Partition, PartitionStatus, Reason, Unseen,
};
pub use dead_letters::{DeadLetter, DeadLetterFilter, DeadLetters, Failure, Place};
pub use environment::{Environment, Side};
pub use error::{FailureKind, StoreError, StorePlace};
pub use events::{EventGap, EventIntake, EventMark, EventResult, Events, EventsStatus, JournalCursor, NewEvent, WaitingEvent};
pub use ledger::{Comparison, Ledger};
pub use mass::{EmptiedField, HeldCause, Judged, MassChange, MassLimits};
pub use mentions::mentions;
pub use notifications::{Notification, Notifications, WaitingNotification};
pub use optouts::{
    AfterDelete, Approval, ClaimedPerson, Fate, IsDue, Judge, Mark, OptOuts, OptoutIntake, OptoutStage, OptoutState, PersonEnd, Sightings,
    TopicsAfterDelete,
};
pub use outbox::{
    Backlog, ClaimedField, ClaimedLink, ClaimedOp, Destination, Outbox, RefetchOutcome, SettleOutcome, Settled, Settlement, Waiting, Work,
    WrittenLink, WrittenPath,
};
pub use pairs::{
    ClaimedPair, Fingerprinter, Joined, Pair, PairEnd, PairIntake, PairMark, PairNotice, PairRowNotice, PairSide, Pairs, PairsStatus,
};
pub use payload::{Field, IfAbsent, JsonText, Outline, Payload};
pub use person::{ATTRIBUTES, Contact, Flags, Person, Profile};
pub use previews::{Previews, QueuedChange};
pub use privacy::{Forgotten, Privacy, Trace, Traces};
pub use process::{Holder, Trouble};
pub use related::{FollowedTable, Related, RelatedMove, RelatedOutcome, RelatedPage, RelatedPlace, RelatedRows, RelatedUses};
pub use runs::{Recovery, RunKind, RunOutcome, RunRecord, Runs};
pub use samples::{CallCounts, RecordCounts, Sample, SampleRows, Samples};
pub use sqlite::{open, run_in_progress};
pub use types::{LONGEST_POSTPONEMENT, Op, Phase, RunId};
pub use usage::Usage;

/// Opens an empty store that goes with its last clone, for what keeps nothing.
///
/// # Errors
/// Only when memory runs out.
pub fn in_memory() -> Result<Stores, StoreError> {
    sqlite::in_memory()
}

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A run, of which there is one at a time. Creates the store if there is none.
    Run,
    /// Changes beside a run that may be going on. Creates the store if there is none.
    Write,
    /// Reading, beside a run that may be going on. The store must exist and be up to date.
    Read,
}

/// The ports of one store. A clone has the same store behind it.
#[derive(Clone)]
pub struct Stores {
    /// How far each source was read.
    pub cursors: Arc<dyn Cursors>,
    /// What waits to be written.
    pub outbox: Arc<dyn Outbox>,
    /// What the target has.
    #[cfg_attr(not(feature = "internals"), allow(dead_code, reason = "flows reach the ledger by the outbox; tests read it"))]
    pub ledger: Arc<dyn Ledger>,
    /// What could not be written.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// Events, and how far the journal was read.
    pub events: Arc<dyn Events>,
    /// Notifications of webhooks.
    pub notifications: Arc<dyn Notifications>,
    /// The opt-outs of both sides.
    pub optouts: Arc<dyn OptOuts>,
    /// Records that are kept in step both ways.
    pub pairs: Arc<dyn Pairs>,
    /// Workflows: what they are, how they are, and what is wanted of them.
    pub control: Arc<dyn Control>,
    /// Persons who were forgotten.
    pub privacy: Arc<dyn Privacy>,
    /// Rows that lookups point to.
    pub related: Arc<dyn Related>,
    /// The runs of this store.
    pub runs: Arc<dyn Runs>,
    /// What was done in each minute.
    pub samples: Arc<dyn Samples>,
    /// Of which causes people were notified.
    pub alerts: Arc<dyn Alerts>,
    /// Copies for dry runs.
    pub previews: Arc<dyn Previews>,
    /// What each API was sent on a day.
    pub usage: Arc<dyn Usage>,
    /// Who did what through the pages and the API.
    pub audit: Arc<dyn Audit>,
}

impl Stores {
    /// The ports of a store that implements all of them.
    pub fn of<S>(store: S) -> Stores
    where
        S: Cursors
            + Outbox
            + Ledger
            + DeadLetters
            + Events
            + Notifications
            + OptOuts
            + Pairs
            + Control
            + Privacy
            + Related
            + Runs
            + Samples
            + Alerts
            + Previews
            + Usage
            + Audit
            + 'static,
    {
        let store = Arc::new(store);
        Stores {
            cursors: store.clone(),
            outbox: store.clone(),
            ledger: store.clone(),
            dead_letters: store.clone(),
            events: store.clone(),
            notifications: store.clone(),
            optouts: store.clone(),
            pairs: store.clone(),
            control: store.clone(),
            privacy: store.clone(),
            related: store.clone(),
            runs: store.clone(),
            samples: store.clone(),
            alerts: store.clone(),
            previews: store.clone(),
            usage: store.clone(),
            audit: store,
        }
    }
}
