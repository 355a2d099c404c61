//! Events of marketing that become activities, each of them once.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ExportMark, Failure, RunId, StoreError};
use crate::time::Instant;

/// Events that become activities, each of them once. An event is identified by its keys, which are remembered after it was written.
#[cfg_attr(
    not(feature = "internals"),
    allow(dead_code, reason = "a port is the contract of a store: some methods are asked by tests only")
)]
#[async_trait]
pub trait Events: Send + Sync {
    /// Begins a round: failed events whose retry was requested wait again, and those whose dead letter was dropped are removed.
    /// Returns how many wait again.
    async fn begin_events(&self, workflow: &str) -> Result<u64, StoreError>;

    /// Adds events and moves the mark of their source, in one transaction. Events that were added before, or that are repeated in
    /// the list, are counted and not added again; so are those of forgotten persons.
    async fn take_events(&self, workflow: &str, events: Vec<NewEvent>, mark: EventMark) -> Result<EventIntake, StoreError>;

    /// Returns for each event whether it would be new. Changes nothing. Repetitions within the list are the caller's to find.
    async fn unseen_events(&self, workflow: &str, events: Vec<NewEvent>) -> Result<Vec<bool>, StoreError>;

    /// Returns how far the journal was read.
    async fn journal_cursor(&self, workflow: &str) -> Result<JournalCursor, StoreError>;

    /// Notes that the journal no longer has the position: reading begins with the oldest event, and the gap is on file. Returns `None`
    /// if a gap is open already.
    async fn note_event_gap(&self, workflow: &str) -> Result<Option<EventGap>, StoreError>;

    /// Returns the gaps of a workflow, the oldest first.
    async fn event_gaps(&self, workflow: &str) -> Result<Vec<EventGap>, StoreError>;

    /// Returns how many events wait that are of none of these types.
    async fn events_aside(&self, workflow: &str, kinds: &[&str]) -> Result<u64, StoreError>;

    /// Returns up to `limit` waiting events of these types with numbers above `after`, in the order of their numbers.
    async fn waiting_events(&self, workflow: &str, kinds: &[&str], after: i64, limit: usize) -> Result<Vec<WaitingEvent>, StoreError>;

    /// Returns the events of a contact that wait or have failed.
    async fn unwritten_events_of(&self, workflow: &str, contact: &str) -> Result<Vec<WaitingEvent>, StoreError>;

    /// Claims events before they are written: their persons are not forgotten until they are settled. Returns the numbers of those that
    /// still wait.
    async fn claim_events(&self, run: RunId, workflow: &str, seqs: &[i64]) -> Result<Vec<i64>, StoreError>;

    /// Settles events: what is written or has no contact is removed, what failed becomes a dead letter and keeps its payload until that
    /// is retried or dropped. Returns how many wait now.
    async fn settle_events(&self, run: RunId, workflow: &str, results: Vec<(i64, EventResult)>) -> Result<u64, StoreError>;

    /// Forgets keys of events that were added long ago, of all workflows and once a day, a part with each call. The first call is with
    /// `i64::MIN`, the next ones with what the last one returned, until that is `None`. It can be left off at any part.
    async fn prune_events(&self, from: i64) -> Result<Option<i64>, StoreError>;
}

/// An event to store.
#[derive(Clone)]
pub struct NewEvent {
    /// The id under which its activity is made; it follows from the event alone.
    pub activity: String,
    /// The contact's id.
    pub contact: String,
    /// Its type: `send`, `open`, `click`, `bounce`.
    pub kind: String,
    /// What tells it apart by the log's id, where it has one.
    pub log_key: Option<String>,
    /// What tells it apart by its values.
    pub value_key: String,
    /// What is written of it, as JSON.
    pub payload: String,
}

/// Without what is a person's.
impl std::fmt::Debug for NewEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewEvent").field("activity", &self.activity).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Where a source is read on, kept with what it gave.
#[derive(Debug, Clone)]
pub enum EventMark {
    /// The journal: the link to follow.
    Journal {
        /// The link.
        link: Option<String>,
        /// The earliest and the latest time of the events that came, whatever became of them.
        span: Option<(Instant, Instant)>,
        /// Not to be asked again before.
        quiet_until: Option<Instant>,
    },
    /// A file of exports.
    Export(ExportMark),
    /// Nothing is kept: a repair.
    None,
}

/// The result of storing events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct EventIntake {
    /// Waiting now.
    pub new: u64,
    /// Stored before, from this or another source.
    pub known: u64,
    /// Of a person who was forgotten.
    pub forgotten: u64,
    /// Events of the flow that wait now.
    pub backlog: u64,
}

/// An event that waits to be written.
#[derive(Clone)]
pub struct WaitingEvent {
    /// Its number.
    pub seq: i64,
    /// The id of its activity.
    pub activity: String,
    /// The contact's id.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "tests look at it"))]
    pub contact: String,
    /// Its type.
    pub kind: String,
    /// What is written of it, as JSON.
    pub payload: String,
    /// How often it was tried before.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "tests look at it"))]
    pub attempts: u32,
}

/// Without what is a person's.
impl std::fmt::Debug for WaitingEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WaitingEvent").field("seq", &self.seq).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What became of an event.
#[derive(Debug, Clone)]
pub enum EventResult {
    /// Its activity is there.
    Written,
    /// Its contact is no more: there is no timeline to write to.
    Gone,
    /// Refused permanently.
    Failed(Failure),
    /// To be tried again.
    Later,
}

/// The position of a flow in the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JournalCursor {
    /// The link to follow; none before the first answer and after a gap.
    pub link: Option<String>,
    /// Not to be asked again before.
    pub quiet_until: Option<Instant>,
    /// The latest time of an event that was read.
    pub read_up_to: Option<Instant>,
    /// Events whose contact was no more, since the store was made.
    pub gone: u64,
}

/// The status of a flow of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventsStatus {
    /// The latest time of an event of the journal that was read.
    pub read_up_to: Option<Instant>,
    /// Events whose contact was no more, since the store was made.
    pub gone: u64,
    /// What the journal did not keep long enough, the oldest first.
    pub gaps: Vec<EventGap>,
}

/// What the journal did not keep long enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventGap {
    /// When it was noticed.
    pub noticed_at: Instant,
    /// The latest time of an event before it, if any was read.
    pub from: Option<Instant>,
    /// The earliest time of an event after it, once one was read.
    pub until: Option<Instant>,
}
