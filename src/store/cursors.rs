//! How far each source was read.

use std::collections::BTreeMap;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::words;
use super::{Failure, MassChange, MassLimits, Payload, Phase, RelatedUses, RunId, StoreError};
use crate::time::Instant;

/// How far each source was read. What a page brings becomes durable together with the cursor behind it.
#[cfg_attr(
    not(feature = "internals"),
    allow(dead_code, reason = "a port is the contract of a store: some methods are asked by tests only")
)]
#[async_trait]
pub trait Cursors: Send + Sync {
    /// Returns the cursor of a mapping; `None` if it has never run.
    async fn cursor(&self, mapping: &str) -> Result<Option<Cursor>, StoreError>;

    /// Returns the cursor of a mapping. One that has never run is put to the start of its first full load, by this plan.
    async fn cursor_or_first(&self, mapping: &str, plan_fingerprint: &str) -> Result<Cursor, StoreError>;

    /// Puts a mapping back to the start of a full load.
    async fn restart(&self, mapping: &str, reason: Reason, plan_fingerprint: &str) -> Result<Cursor, StoreError>;

    /// Begins a comparison of all records with the source if one is due: the last full load was complete at `before` or earlier, or
    /// it is not known when. Not during a full load, which is such a comparison. Returns whether it has begun.
    async fn begin_comparison(&self, mapping: &str, plan_fingerprint: &str, before: Instant) -> Result<bool, StoreError>;

    /// Notes by which attribute a mapping addresses its target records. If records were written by another one, returns that one and
    /// notes nothing, unless the mapping is at the start of a replay.
    async fn note_key_attribute(&self, mapping: &str, attribute: &str) -> Result<Option<String>, StoreError>;

    /// Claims the next page of a partition at `now`, for the reader of a run. A partition that has never run begins its first full
    /// load, by this plan. One reader at a time has a lease; it ends with [`Cursors::checkpoint`], [`Cursors::reschedule`], the end of
    /// the run, or its death.
    async fn claim_page(&self, run: RunId, partition: &Partition, plan_fingerprint: &str, now: Instant) -> Result<Claim, StoreError>;

    /// Commits a page that was read under a lease and ends the lease, as [`Cursors::commit_page`]. `page.from` is the lease's cursor.
    /// After an error the lease ends with the run.
    async fn checkpoint(&self, lease: Lease, page: PageCommit) -> Result<PageOutcome, StoreError>;

    /// Ends a lease without a page: it could not be read, and is not claimed again before `not_before`.
    async fn reschedule(&self, lease: Lease, not_before: Instant, error: &str) -> Result<(), StoreError>;

    /// Gives out no more pages of a partition until the next run. A page that is being read may still be committed.
    async fn cancel(&self, partition: &Partition) -> Result<(), StoreError>;

    /// Returns the positions of all partitions, by name.
    async fn partitions(&self) -> Result<Vec<PartitionStatus>, StoreError>;

    /// Commits a page: its operations, its dead letters, the marks of its records and the cursor behind it are one transaction; at the
    /// end of a full load, what the load did not see as well.
    ///
    /// An upsert is not queued if its values equal what was last written and nothing of the same record is in the outbox. A newer
    /// operation replaces a waiting one of its record. A record of a forgotten person is counted and skipped.
    ///
    /// # Errors
    /// [`StoreError::CursorMoved`] if the mapping is not at the position where the page was read.
    async fn commit_page(&self, page: PageCommit) -> Result<PageOutcome, StoreError>;

    /// Returns the source ids of up to `limit` records that are to be evaluated again at `now`, in the order in which they became due.
    async fn due_records(&self, mapping: &str, now: Instant, limit: usize) -> Result<Vec<String>, StoreError>;

    /// Commits records that were due, as [`Cursors::commit_page`] does, without a cursor. The records of the commit are no longer due,
    /// but at the instants that it gives. What may be part of a mass change is held until [`super::Outbox::judge_held`].
    async fn store_due(&self, commit: DueCommit) -> Result<PageOutcome, StoreError>;

    /// Returns how far a workflow has read each export file.
    async fn exports(&self, workflow: &str) -> Result<Vec<ExportMark>, StoreError>;

    /// Forgets the marks of all files but `names`, which are those that the server has.
    async fn keep_exports(&self, workflow: &str, names: &[String]) -> Result<(), StoreError>;

    /// Notes which files the last reading skipped, each with what is wrong with it. Replaces what was noted before.
    async fn note_skipped_exports(&self, workflow: &str, files: &[(String, String)]) -> Result<(), StoreError>;
}

words! {
    /// Why the full load that a flow is in, or was in last, took place.
    pub enum Reason {
        /// The flow had never run. `@initial` fields are written.
        First = "first",
        /// It was asked for. `@initial` fields are written.
        Replay = "replay",
        /// The delta link had expired or was invalidated, or the plan has changed. `@initial` fields are left alone.
        Resync = "resync",
    }
}

/// The position of a flow. A page is read with a cursor and committed from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cursor {
    /// Full load or changes.
    pub phase: Phase,
    /// Why the last full load took place.
    pub reason: Reason,
    /// The link of the next page or of the next delta, opaque, as the service gave it; none at the start of a full load.
    pub link: Option<String>,
    /// Counts the full loads, from 1. What the ledger has from an older one was not seen in this one.
    pub generation: i64,
    /// The plan with which the phase began.
    pub plan_fingerprint: String,
    /// When it last moved.
    pub updated_at: Instant,
}

impl Cursor {
    /// Whether what is read now is written with its `@initial` fields even where the record exists.
    pub fn with_initial(&self) -> bool {
        self.phase == Phase::Full
            && match self.reason {
                Reason::First | Reason::Replay => true,
                Reason::Resync => false,
            }
    }
}

/// Where a cursor goes when a page is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CursorMove {
    /// There are more pages; this is the link of the next.
    Next(String),
    /// The round is over: the last page of the full load, or of the changes.
    ///
    /// `link` is the new delta link. Without one a flow in its delta phase keeps the link it has (the answer "no changes"
    /// may lack it \[K\]), and a flow in a full load starts another one next time: its source tracks no changes.
    /// `unseen` says what happens to target records that a full load did not see; it means nothing in the delta phase.
    RoundEnd {
        /// The delta link, if the service gave one.
        link: Option<String>,
        /// What happens to target records that the source no longer has.
        unseen: Unseen,
    },
    /// Read everything again: the link has expired (Dataverse Web API: change tracking), or the plan has changed.
    /// A first load or replay that is under way stays one, since its work is not done.
    Restart {
        /// Why.
        reason: Reason,
        /// The plan that the new load is read by.
        plan_fingerprint: String,
    },
}

/// What a full load does about records of the ledger that it did not see: they are gone from the source, and the message
/// that says so was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unseen {
    /// Delete them at the target (`deletes propagate`), within the page's guard.
    Delete,
    /// Leave them alone (`deletes ignore`).
    Keep,
}

/// A part of a flow that has one cursor and at any time one reader. Today a flow is one partition: change tracking gives
/// one delta link per table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Partition {
    /// The flow.
    pub mapping: String,
}

impl Partition {
    /// The one partition of a flow.
    pub fn of(mapping: impl Into<String>) -> Self {
        Partition { mapping: mapping.into() }
    }
}

/// The right to read one page of a partition and to commit it. Given up by a checkpoint or a reschedule, or by the
/// death of the run.
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    /// Of what.
    pub partition: Partition,
    /// The run that has it.
    pub run: RunId,
    /// Where to read.
    pub cursor: Cursor,
    /// How often this page was tried without success.
    pub attempts: u32,
}

/// The answer to a claim.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// Read this page.
    Page(Lease),
    /// Not before then.
    Later(Instant),
    /// Somebody else is at it.
    Taken,
    /// The flow was cancelled for this run.
    Cancelled,
}

/// The state of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionStatus {
    /// Which.
    pub partition: Partition,
    /// Its position.
    pub cursor: Cursor,
    /// Somebody is reading a page.
    pub leased: bool,
    /// It will not be given out in this run.
    pub cancelled: bool,
    /// How often the present page was tried without success.
    pub attempts: u32,
    /// Not given out before then.
    pub not_before: Option<Instant>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Why a source record does not belong at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// The source has deleted it (a tombstone of the delta).
    Deleted,
    /// It does not pass the mapping's filter.
    FilteredOut,
}

/// What evaluation made of one source record.
#[derive(Debug, Clone)]
pub enum Change {
    /// It belongs at the target, with these values.
    Upsert {
        /// The source record's identity.
        source_id: String,
        /// The target record's business key.
        key: String,
        /// The values.
        payload: Payload,
    },
    /// As `Upsert`, of a flow whose keys may change, since they are not made from the identity of the source record.
    Rekeyed {
        /// The source record's identity.
        source_id: String,
        /// The target record's business key.
        key: String,
        /// The values.
        payload: Payload,
        /// Whether what was written under another key of the source record is to be deleted (`deletes propagate`).
        remove: bool,
    },
    /// It does not belong at the target.
    Absent {
        /// The source record's identity.
        source_id: String,
        /// Why.
        why: Absence,
        /// Whether what was written for it is to be deleted (`deletes propagate`, `filtered-out delete`).
        remove: bool,
    },
    /// It could not be evaluated.
    Reject {
        /// The source record's identity.
        source_id: String,
        /// The target record's business key, where that much could be evaluated.
        key: Option<String>,
        /// What went wrong, and where in the mapping file.
        failure: Failure,
    },
}

impl Change {
    /// The source record's identity.
    pub fn source_id(&self) -> &str {
        match self {
            Change::Upsert { source_id, .. }
            | Change::Rekeyed { source_id, .. }
            | Change::Absent { source_id, .. }
            | Change::Reject { source_id, .. } => source_id,
        }
    }

    pub(super) fn upserted_key(&self) -> Option<&str> {
        match self {
            Change::Upsert { key, .. } | Change::Rekeyed { key, .. } => Some(key),
            Change::Absent { .. } | Change::Reject { .. } => None,
        }
    }
}

/// A page, evaluated.
#[derive(Debug)]
pub struct PageCommit {
    /// The run that read it.
    pub run: RunId,
    /// The flow.
    pub mapping: String,
    /// The cursor that it was read with.
    pub from: Cursor,
    /// Its records in the order in which the service gave them.
    pub changes: Vec<Change>,
    /// Write what equals the last write too: a replay that repairs a target changed by others.
    pub rewrite: bool,
    /// When it was evaluated, and which of its records are to be evaluated again.
    pub times: PageTimes,
    /// Changes that may be part of a mass change are held until the round is over, and judged by these limits; without limits
    /// they are queued at once.
    pub guard: Option<MassLimits>,
    /// Where the flow goes on.
    pub to: CursorMove,
}

/// What became of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PageOutcome {
    /// Source records in the page.
    pub records: u64,
    /// Upserts that are new in the outbox.
    pub upserts_queued: u64,
    /// Upserts that took the place of a waiting operation on the same record.
    pub upserts_coalesced: u64,
    /// Records whose values equal what was last written: no call will be made.
    pub unchanged: u64,
    /// Target records now waiting to be deleted, for a tombstone or for leaving the filter.
    pub deletes_queued: u64,
    /// Records to be deleted of which nothing was ever written: nothing to do.
    pub deletes_unknown: u64,
    /// Deleted records that the mapping leaves alone at the target.
    pub deletes_ignored: u64,
    /// Records that did not pass the filter, whatever became of their target records.
    pub filtered_out: u64,
    /// Records of persons who were forgotten: taken as if they were not there.
    pub forgotten: u64,
    /// Records that could not be evaluated: now dead letters.
    pub rejected: u64,
    /// Target records now waiting to be deleted because a full load, which ended with this page, did not see them.
    pub unseen_deleted: u64,
    /// The round is over, and what is held needs approval.
    pub mass_change: Option<MassChange>,
    /// Operations of this flow in the outbox afterwards, waiting and claimed: the backlog.
    pub backlog: u64,
    /// The present position of the flow.
    pub cursor: Option<Cursor>,
}

/// When a page was evaluated, and which of its records are to be evaluated again.
#[derive(Debug, Clone, Default)]
pub struct PageTimes {
    /// The time of the run; the machine's clock if it is not given.
    pub at: Option<Instant>,
    /// By source id, the first instant at which the record's filter gives another answer. A record that is not in it is not due.
    pub due: BTreeMap<String, Instant>,
    /// With which rows of other tables its records were evaluated; none if the mapping reads nothing through lookups.
    pub uses: Option<RelatedUses>,
}

impl PageTimes {
    /// Notes when a record is due. A record may come several times in a page: the last state counts.
    pub fn note(&mut self, source_id: &str, due: Option<Instant>) {
        match due {
            Some(at) => self.due.insert(source_id.to_owned(), at),
            None => self.due.remove(source_id),
        };
    }
}

/// Records that were due, evaluated again.
#[derive(Debug)]
pub struct DueCommit {
    /// The run that read them.
    pub run: RunId,
    /// The flow.
    pub mapping: String,
    /// The records that were due: they are not due any more, unless `times` says so.
    pub records: Vec<String>,
    /// What they come to now.
    pub changes: Vec<Change>,
    /// When they were evaluated, and which of them are due again.
    pub times: PageTimes,
}

/// The records of a flow that are to be evaluated again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DueStatus {
    /// How many.
    pub records: u64,
    /// When the first of them is due.
    pub next: Option<Instant>,
}

/// How far one file was read by one flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportMark {
    /// The file's name.
    pub name: String,
    /// Its size when it was read, in bytes.
    pub size: u64,
    /// Its time of change when it was read.
    pub modified: Instant,
    /// Where reading stopped, as JSON of the reader's own making.
    pub position: String,
}
