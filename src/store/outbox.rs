//! What waits to be written.

use async_trait::async_trait;

use super::{
    Backlog, Change, ClaimedOp, Judged, MassChange, MassLimits, PageTimes, RefetchOutcome, RunId, SettleOutcome, Settlement, StateError,
    Waiting, WrittenPath,
};
use crate::time::Instant;

/// What waits to be written, and what is in the hands of a run.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Claims up to `limit` operations that are due at `now`, in the order in which they were queued. At any time one operation of a
    /// record is claimed. One that links to a record which is not at the target is not claimed, and waits until that record is written.
    async fn claim(&self, run: RunId, mapping: &str, limit: usize, now: Instant) -> Result<Vec<ClaimedOp>, StateError>;

    /// Takes all fields out of the mapping's waiting upserts that it does not write any more, so that their values are neither sent nor
    /// kept. Returns how many upserts had such fields. For the start of a run: nothing of the mapping may be claimed.
    async fn drop_unwritten(&self, mapping: &str, written: Vec<WrittenPath>) -> Result<u64, StateError>;

    /// Settles claimed operations: each leaves the outbox or waits again, the ledger has what was written, and a success removes the
    /// record's dead letter unless that is of a newer change. What waited for a record that is written now becomes due. An answer about
    /// an operation that is not claimed by the run is counted as stale and has no effect.
    ///
    /// # Errors
    /// [`StateError::Misfit`] if an answer does not fit its operation.
    async fn settle(&self, run: RunId, settlements: Vec<Settlement>) -> Result<SettleOutcome, StateError>;

    /// Settles a claimed operation that reads its record again, with what the record came to. `times`: when it was evaluated, and when it is to
    /// be evaluated again.
    /// With `guarded`, what may be part of a mass change is held until [`Outbox::judge_held`].
    async fn resolve_refetch(
        &self,
        run: RunId,
        mapping: &str,
        seq: i64,
        change: Change,
        times: PageTimes,
        guarded: bool,
    ) -> Result<RefetchOutcome, StateError>;

    /// Notes, before it is sent, that the record of a claimed operation is created again, since somebody deleted it at the target.
    /// From then on the ledger is not trusted for the record, and the links that led to it are written again. Returns whether the
    /// operation is claimed by the run.
    async fn note_remade(&self, run: RunId, seq: i64) -> Result<bool, StateError>;

    /// Returns what waits, by what it waits for.
    async fn backlog(&self, workflow: &str) -> Result<Backlog, StateError>;

    /// Returns how many operations, or events, there are in all. Cheap, however many there are.
    async fn backlog_size(&self, workflow: &str) -> Result<u64, StateError>;

    /// Returns how many operations wait for a record that is not at the target. Cheap, however many there are.
    async fn waiting_size(&self, mapping: &str) -> Result<u64, StateError>;

    /// Returns for which mappings' records operations wait, the most waited for first.
    async fn waiting_for(&self, mapping: &str) -> Result<Vec<Waiting>, StateError>;

    /// Releases deletions that wait for records which link to theirs, if they were queued before this instant. Returns how many.
    async fn let_deletes_go(&self, mapping: &str, queued_before: Instant) -> Result<u64, StateError>;

    /// Returns the changes that need approval, if there are any.
    async fn mass_change(&self, mapping: &str) -> Result<Option<MassChange>, StateError>;

    /// Approves the changes that are held: they are queued. Returns how many; `None` if nothing needs approval.
    async fn approve_mass_change(&self, mapping: &str) -> Result<Option<u64>, StateError>;

    /// Judges what is held when a round is over: it is queued, or it needs approval.
    async fn judge_held(&self, mapping: &str, limits: MassLimits) -> Result<Judged, StateError>;
}
