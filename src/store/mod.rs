//! What the flows ask of the durable state: one port for each concern, and nothing of how it is kept.
//!
//! [`Stores`] holds the ports of one store. The store of today is one SQLite file (`crate::state`); `sqlite/` connects it. The flows
//! know the ports and the data types below, and no store. `tests/it/conformance` runs the same tests against every store.
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

mod control;
mod cursors;
mod dead_letters;
mod events;
mod ledger;
mod notifications;
mod optouts;
mod outbox;
mod pairs;
mod previews;
mod privacy;
mod related;
mod runs;
mod sqlite;
mod usage;

use std::sync::Arc;

pub use control::Control;
pub use cursors::Cursors;
pub use dead_letters::DeadLetters;
pub use events::Events;
pub use ledger::Ledger;
pub use notifications::Notifications;
pub use optouts::{AfterDelete, IsDue, Judge, OptOuts, Sightings};
pub use outbox::Outbox;
pub use pairs::Pairs;
pub use previews::Previews;
pub use privacy::Privacy;
pub use related::Related;
pub use runs::Runs;
pub use sqlite::{in_memory, open, run_in_progress};
pub use usage::Usage;

pub use crate::state::{
    ATTRIBUTES, Absence, Approval, Backlog, Change, Claim, ClaimedField, ClaimedLink, ClaimedOp, ClaimedPair, ClaimedPerson, Comparison,
    Contact, Cursor, CursorMove, DeadLetter, DeadLetterFilter, Destination, DueCommit, DueStatus, EmptiedField, Environment, EventGap,
    EventIntake, EventMark, EventResult, EventsStatus, ExportMark, FINISHED, Failure, Fate, Field, Fingerprinter, Flags, Forgotten,
    HeldCause, Holder, IfAbsent, Joined, JournalCursor, JsonText, Judged, KnownWorkflow, Lease, MappingStatus, Mark, MassChange,
    MassLimits, NewEvent, Notification, OptoutIntake, OptoutStage, OptoutState, PageCommit, PageOutcome, PageTimes, Pair, PairEnd,
    PairIntake, PairMark, PairNotice, PairRowNotice, PairSide, Partition, PartitionStatus, Payload, Person, PersonEnd, Phase, Place,
    PlannedWorkflow, Profile, QueuedChange, Reason, Recognition, Recovery, RefetchOutcome, RelatedMove, RelatedOutcome, RelatedPage,
    RelatedPlace, RelatedRows, RelatedUses, RenamedWorkflow, RunId, RunKind, RunOutcome, RunRecord, SettleOutcome, Settled, Settlement,
    Side, StateError, Status, Totals, Traces, Unseen, Waiting, WaitingEvent, WaitingNotification, Wish, Work, WorkflowIdentity,
    WorkflowNote, WorkflowRecord, WorkflowState, WrittenLink, WrittenPath, mentions,
};

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
    /// Copies for dry runs.
    pub previews: Arc<dyn Previews>,
    /// What each API was sent on a day.
    pub usage: Arc<dyn Usage>,
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
            + Previews
            + Usage
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
            previews: store.clone(),
            usage: store,
        }
    }
}
