//! How far each source was read.

use async_trait::async_trait;

use super::{Claim, Cursor, DueCommit, ExportMark, Lease, PageCommit, PageOutcome, Partition, PartitionStatus, Reason, RunId, StateError};
use crate::time::Instant;

/// How far each source was read. What a page brings becomes durable together with the cursor behind it.
#[async_trait]
pub trait Cursors: Send + Sync {
    /// Returns the cursor of a mapping; `None` if it has never run.
    async fn cursor(&self, mapping: &str) -> Result<Option<Cursor>, StateError>;

    /// Returns the cursor of a mapping. One that has never run is put to the start of its first full load, by this plan.
    async fn cursor_or_first(&self, mapping: &str, plan_fingerprint: &str) -> Result<Cursor, StateError>;

    /// Puts a mapping back to the start of a full load.
    async fn restart(&self, mapping: &str, reason: Reason, plan_fingerprint: &str) -> Result<Cursor, StateError>;

    /// Begins a comparison of all records with the source if one is due: the last full load was complete at `before` or earlier, or
    /// it is not known when. Not during a full load, which is such a comparison. Returns whether it has begun.
    async fn begin_comparison(&self, mapping: &str, plan_fingerprint: &str, before: Instant) -> Result<bool, StateError>;

    /// Notes by which attribute a mapping addresses its target records. If records were written by another one, returns that one and
    /// notes nothing, unless the mapping is at the start of a replay.
    async fn note_key_attribute(&self, mapping: &str, attribute: &str) -> Result<Option<String>, StateError>;

    /// Claims the next page of a partition at `now`, for the reader of a run. A partition that has never run begins its first full
    /// load, by this plan. One reader at a time has a lease; it ends with [`Cursors::checkpoint`], [`Cursors::reschedule`], the end of
    /// the run, or its death.
    async fn claim_page(&self, run: RunId, partition: &Partition, plan_fingerprint: &str, now: Instant) -> Result<Claim, StateError>;

    /// Commits a page that was read under a lease and ends the lease, as [`Cursors::commit_page`]. `page.from` is the lease's cursor.
    /// After an error the lease ends with the run.
    async fn checkpoint(&self, lease: Lease, page: PageCommit) -> Result<PageOutcome, StateError>;

    /// Ends a lease without a page: it could not be read, and is not claimed again before `not_before`.
    async fn reschedule(&self, lease: Lease, not_before: Instant, error: &str) -> Result<(), StateError>;

    /// Gives out no more pages of a partition until the next run. A page that is being read may still be committed.
    async fn cancel(&self, partition: &Partition) -> Result<(), StateError>;

    /// Returns the positions of all partitions, by name.
    async fn partitions(&self) -> Result<Vec<PartitionStatus>, StateError>;

    /// Commits a page: its operations, its dead letters, the marks of its records and the cursor behind it are one transaction; at the
    /// end of a full load, what the load did not see as well.
    ///
    /// An upsert is not queued if its values equal what was last written and nothing of the same record is in the outbox. A newer
    /// operation replaces a waiting one of its record. A record of a forgotten person is counted and skipped.
    ///
    /// # Errors
    /// [`StateError::CursorMoved`] if the mapping is not at the position where the page was read.
    async fn commit_page(&self, page: PageCommit) -> Result<PageOutcome, StateError>;

    /// Returns the source ids of up to `limit` records that are to be evaluated again at `now`, in the order in which they became due.
    async fn due_records(&self, mapping: &str, now: Instant, limit: usize) -> Result<Vec<String>, StateError>;

    /// Commits records that were due, as [`Cursors::commit_page`] does, without a cursor. The records of the commit are no longer due,
    /// but at the instants that it gives. What may be part of a mass change is held until [`super::Outbox::judge_held`].
    async fn store_due(&self, commit: DueCommit) -> Result<PageOutcome, StateError>;

    /// Returns how far a workflow has read each export file.
    async fn exports(&self, workflow: &str) -> Result<Vec<ExportMark>, StateError>;

    /// Forgets the marks of all files but `names`, which are those that the server has.
    async fn keep_exports(&self, workflow: &str, names: &[String]) -> Result<(), StateError>;

    /// Notes which files the last reading skipped, each with what is wrong with it. Replaces what was noted before.
    async fn note_skipped_exports(&self, workflow: &str, files: &[(String, String)]) -> Result<(), StateError>;
}
