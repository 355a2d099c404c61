//! What must survive: cursors, outbox, ledger, dead letters, runs, in one SQLite file.
//!
//! ```text
//! source page ──commit_page──▶ outbox ──claim──▶ worker ──settle──▶ ledger
//!               (+ cursor)       ▲                   │
//!                                └─ retry / refetch ─┴──▶ dead letters
//! ```
//!
//! [`Store`] is the one writer. Its methods are synchronous and short; flows call them through the ports of [`crate::store`], which
//! keep them off the asynchronous threads. Each public method that writes is exactly one transaction, and these are
//! the ones the guarantees rest on:
//!
//! * [`Store::commit_page`]: a page's operations, its rejects, its ledger marks and the cursor behind it; at the end of a
//!   full load the sweep of what was not seen as well.
//! * [`Store::claim`]: a batch of operations becomes one run's.
//! * [`Store::settle`]: a batch of answers, with the ledger and the dead letters they change.
//! * [`Store::start_run`]: what a dead run left claimed becomes waiting again, marked uncertain.
//!
//! `docs/state.md` describes the tables and what survives what. The data of a record is held only while it waits
//! (outbox) or has failed (dead letter); the ledger keeps keyed hashes.

mod copy;
mod cursor;
mod dead_letter;
mod due;
mod environment;
mod error;
mod events;
mod exports;
mod fingerprint;
mod forgotten;
mod identity;
mod kept;
mod key;
mod lease;
mod links;
mod lock;
mod mass;
mod migrate;
mod notifications;
mod optout_work;
mod optouts;
mod outbox;
mod page;
mod pair_rows;
mod pairs;
mod payload;
mod person;
mod place;
mod preview;
mod privacy;
mod related;
mod run;
mod settle;
mod status;
mod store;
mod sweep;
mod tx;
mod types;
mod unwritten;
mod usage;
mod words;
mod workflow;

pub use cursor::{Cursor, CursorMove, Phase, Reason, Unseen};
pub use dead_letter::{DeadLetter, DeadLetterFilter, Failure, Place};
pub use due::{DueCommit, DueStatus, PageTimes};
pub use environment::{Environment, Side};
pub use error::StateError;
pub use events::{EventGap, EventIntake, EventMark, EventResult, EventsStatus, JournalCursor, NewEvent, REMEMBERED_DAYS, WaitingEvent};
pub use exports::ExportMark;
pub use fingerprint::{Comparison, Fingerprint};
pub use identity::{KnownWorkflow, PlannedWorkflow, Recognition, RenamedWorkflow, WorkflowIdentity};
pub use lease::{Claim, Lease, Partition, PartitionStatus};
pub use links::{Waiting, WrittenLink};
pub use lock::{Holder, Trouble, run_in_progress};
pub use mass::{EmptiedField, HeldCause, Judged, MassChange, MassLimits};
pub use notifications::{Notification, WaitingNotification};
pub use optout_work::{ClaimedPerson, PersonEnd};
pub use optouts::{Approval, Fate, Mark, OptoutIntake, OptoutStage, OptoutState};
pub use outbox::{ClaimedField, ClaimedLink, ClaimedOp, Destination, Work};
pub use page::{Absence, Change, PageCommit, PageOutcome, RefetchOutcome};
pub use pair_rows::PairRowNotice;
pub use pairs::{ClaimedPair, Fingerprinter, Joined, Pair, PairEnd, PairIntake, PairMark, PairNotice, PairSide, PairsStatus};
pub use payload::{Field, IfAbsent, JsonText, Payload};
pub use person::{ATTRIBUTES, Contact, Flags, Person, Profile};
pub use preview::QueuedChange;
pub use privacy::{Forgotten, Trace, Traces};
pub use related::{RelatedMove, RelatedOutcome, RelatedPage, RelatedPlace, RelatedRows, RelatedUses};
pub use run::{Recovery, RunKind, RunOutcome, RunRecord};
pub use settle::{SettleOutcome, Settled, Settlement};
pub use status::{Backlog, MappingStatus, Status, Totals};
pub use store::Store;
pub use types::{LONGEST_POSTPONEMENT, Op, RunId};
pub use unwritten::WrittenPath;
pub use words::mentions;
pub use workflow::{FINISHED, Wish, WorkflowNote, WorkflowRecord, WorkflowState};
