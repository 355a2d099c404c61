//! Events of marketing that become activities, each of them once.

use async_trait::async_trait;

use super::{EventGap, EventIntake, EventMark, EventResult, JournalCursor, NewEvent, RunId, StateError, WaitingEvent};

/// Events that become activities, each of them once. An event is identified by its keys, which are remembered after it was written.
#[async_trait]
pub trait Events: Send + Sync {
    /// Begins a round: failed events whose retry was requested wait again, and those whose dead letter was dropped are removed.
    /// Returns how many wait again.
    async fn begin_events(&self, workflow: &str) -> Result<u64, StateError>;

    /// Adds events and moves the mark of their source, in one transaction. Events that were added before, or that are repeated in
    /// the list, are counted and not added again; so are those of forgotten persons.
    async fn take_events(&self, workflow: &str, events: Vec<NewEvent>, mark: EventMark) -> Result<EventIntake, StateError>;

    /// Returns for each event whether it would be new. Changes nothing. Repetitions within the list are the caller's to find.
    async fn unseen_events(&self, workflow: &str, events: Vec<NewEvent>) -> Result<Vec<bool>, StateError>;

    /// Returns how far the journal was read.
    async fn journal_cursor(&self, workflow: &str) -> Result<JournalCursor, StateError>;

    /// Notes that the journal no longer has the position: reading begins with the oldest event, and the gap is on file. Returns `None`
    /// if a gap is open already.
    async fn note_event_gap(&self, workflow: &str) -> Result<Option<EventGap>, StateError>;

    /// Returns the gaps of a workflow, the oldest first.
    async fn event_gaps(&self, workflow: &str) -> Result<Vec<EventGap>, StateError>;

    /// Returns how many events wait that are of none of these types.
    async fn events_aside(&self, workflow: &str, kinds: &[&str]) -> Result<u64, StateError>;

    /// Returns up to `limit` waiting events of these types with numbers above `after`, in the order of their numbers.
    async fn waiting_events(&self, workflow: &str, kinds: &[&str], after: i64, limit: usize) -> Result<Vec<WaitingEvent>, StateError>;

    /// Returns the events of a contact that wait or have failed.
    async fn unwritten_events_of(&self, workflow: &str, contact: &str) -> Result<Vec<WaitingEvent>, StateError>;

    /// Claims events before they are written: their persons are not forgotten until they are settled. Returns the numbers of those that
    /// still wait.
    async fn claim_events(&self, run: RunId, workflow: &str, seqs: &[i64]) -> Result<Vec<i64>, StateError>;

    /// Settles events: what is written or has no contact is removed, what failed becomes a dead letter and keeps its payload until that
    /// is retried or dropped. Returns how many wait now.
    async fn settle_events(&self, run: RunId, workflow: &str, results: Vec<(i64, EventResult)>) -> Result<u64, StateError>;

    /// Forgets keys of events that were added long ago, of all workflows and once a day, a part with each call. The first call is with
    /// `i64::MIN`, the next ones with what the last one returned, until that is `None`. It can be left off at any part.
    async fn prune_events(&self, from: i64) -> Result<Option<i64>, StateError>;
}
