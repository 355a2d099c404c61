//! What waits to be written.

use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Change, Failure, Flags, JsonText, Judged, MassChange, MassLimits, PageOutcome, PageTimes, RunId, StoreError};
use crate::time::Instant;

/// What waits to be written, and what is in the hands of a run.
#[cfg_attr(
    not(feature = "internals"),
    allow(dead_code, reason = "a port is the contract of a store: some methods are asked by tests only")
)]
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Claims up to `limit` operations that are due at `now`, in the order in which they were queued. At any time one operation of a
    /// record is claimed. One that links to a record which is not at the target is not claimed, and waits until that record is written.
    async fn claim(&self, run: RunId, mapping: &str, limit: usize, now: Instant) -> Result<Vec<ClaimedOp>, StoreError>;

    /// Takes all fields out of the mapping's waiting upserts that it does not write any more, so that their values are neither sent nor
    /// kept. Returns how many upserts had such fields. For the start of a run: nothing of the mapping may be claimed.
    async fn drop_unwritten(&self, mapping: &str, written: Vec<WrittenPath>) -> Result<u64, StoreError>;

    /// Settles claimed operations: each leaves the outbox or waits again, the ledger has what was written, and a success removes the
    /// record's dead letter unless that is of a newer change. What waited for a record that is written now becomes due. An answer about
    /// an operation that is not claimed by the run is counted as stale and has no effect.
    ///
    /// # Errors
    /// [`StoreError::Misfit`] if an answer does not fit its operation.
    async fn settle(&self, run: RunId, settlements: Vec<Settlement>) -> Result<SettleOutcome, StoreError>;

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
    ) -> Result<RefetchOutcome, StoreError>;

    /// Notes, before it is sent, that the record of a claimed operation is created again, since somebody deleted it at the target.
    /// From then on the ledger is not trusted for the record, and the links that led to it are written again. Returns whether the
    /// operation is claimed by the run.
    async fn note_remade(&self, run: RunId, seq: i64) -> Result<bool, StoreError>;

    /// Returns what waits, by what it waits for.
    async fn backlog(&self, workflow: &str) -> Result<Backlog, StoreError>;

    /// Returns how many operations, or events, there are in all. Cheap, however many there are.
    async fn backlog_size(&self, workflow: &str) -> Result<u64, StoreError>;

    /// Returns how many operations wait for a record that is not at the target. Cheap, however many there are.
    async fn waiting_size(&self, mapping: &str) -> Result<u64, StoreError>;

    /// Returns for which mappings' records operations wait, the most waited for first.
    async fn waiting_for(&self, mapping: &str) -> Result<Vec<Waiting>, StoreError>;

    /// Releases deletions that wait for records which link to theirs, if they were queued before this instant. Returns how many.
    async fn let_deletes_go(&self, mapping: &str, queued_before: Instant) -> Result<u64, StoreError>;

    /// Returns the changes that need approval, if there are any.
    async fn mass_change(&self, mapping: &str) -> Result<Option<MassChange>, StoreError>;

    /// Approves the changes that are held: they are queued. Returns how many; `None` if nothing needs approval.
    async fn approve_mass_change(&self, mapping: &str) -> Result<Option<u64>, StoreError>;

    /// Judges what is held when a round is over: it is queued, or it needs approval.
    async fn judge_held(&self, mapping: &str, limits: MassLimits) -> Result<Judged, StoreError>;
}

/// What became of a refetched record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefetchOutcome {
    /// It was stored as a page of one record.
    Applied(Box<PageOutcome>),
    /// What was read may be old: a page brought a newer state of the record in the meantime, or a full load ended without
    /// it (then it will be read again). Nothing was stored.
    Superseded,
    /// The operation is not (any more) in this run's hands.
    Stale,
}

/// An operation that a worker has in its hands.
#[derive(Debug, Clone)]
pub struct ClaimedOp {
    /// Its number; answers refer to it.
    pub seq: i64,
    /// The target record's business key. Of a refetch whose record has never had a key: a stand-in, see [`Work::Refetch`].
    pub key: String,
    /// The source record.
    pub source_id: String,
    /// What to do.
    pub work: Work,
    /// From a first load or a replay: `@initial` fields are written even where the record exists.
    pub with_initial: bool,
    /// Of a replay that repairs the target: nothing is left out because it was written before.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "tests look at it"))]
    pub rewrite: bool,
    /// How often it was tried before.
    pub attempts: u32,
    /// An earlier attempt may have been carried out though its answer was not seen. The worker looks at the target record
    /// before it writes, and the ledger is not relied on.
    pub uncertain: bool,
    /// The ledger has this record: it was written before, by us.
    pub known: bool,
    /// Opt-outs that a profile of this contact had when the mapping deleted it: an upsert writes them as `true`, whatever else it writes.
    pub kept: Flags,
}

/// What an operation asks for.
#[derive(Debug, Clone)]
pub enum Work {
    /// Create the record or bring it to these values; [`ClaimedOp::write_set`] says which of them to send.
    Upsert(Vec<ClaimedField>),
    /// Remove the record.
    Delete,
    /// Read the source record again, evaluate it, and store the result with [`Outbox::resolve_refetch`].
    Refetch,
}

/// A field of an upsert, compared with what was last written.
#[derive(Clone)]
pub struct ClaimedField {
    /// The target path.
    pub path: Arc<str>,
    /// The value as JSON text.
    pub value: JsonText,
    /// Marked `@initial`.
    pub initial_only: bool,
    /// Written when the record is made and never again.
    pub create_only: bool,
    /// Not the value that was last written there, as far as the ledger can be relied on.
    pub differs: bool,
    /// For a link: where it leads.
    pub link: Option<ClaimedLink>,
    /// A link that is not written now: it follows when the record is there that it leads to.
    pub later: bool,
    pub(super) slot: u32,
    pub(super) hash: u64,
    pub(super) filled: Option<u8>,
}

/// A link to another target record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedLink {
    /// The mapping that writes the other record.
    pub mapping: Arc<str>,
    /// The other record.
    pub to: Destination,
}

/// Where a link leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere: the link is empty.
    Nowhere,
    /// To the record of this key.
    Record {
        /// Its id in the source.
        source_id: String,
        /// Its key at the target.
        key: String,
    },
    /// To a record that is not at the target as far as the ledger says. Only a link that need not be written has this: should
    /// the record have to be created again after all, see [`ClaimedOp::unlinked`].
    Absent {
        /// Its id in the source.
        source_id: String,
    },
}

impl Destination {
    /// The other record's id in the source.
    pub fn source_id(&self) -> Option<&str> {
        match self {
            Destination::Nowhere => None,
            Destination::Record { source_id, .. } | Destination::Absent { source_id } => Some(source_id),
        }
    }
}

/// Without the value, which is a person's.
impl std::fmt::Debug for ClaimedField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ClaimedField { path, initial_only, differs, .. } = self;
        f.debug_struct("ClaimedField")
            .field("path", path)
            .field("initial_only", initial_only)
            .field("differs", differs)
            .finish_non_exhaustive()
    }
}

impl ClaimedField {
    /// Of a link: the mapping and the source record that it leads to.
    pub(super) fn leads_to(&self) -> Option<(String, String)> {
        let link = self.link.as_ref()?;
        Some((link.mapping.to_string(), link.to.source_id()?.to_owned()))
    }
}

impl ClaimedOp {
    /// The fields to send. `create`: the record is not there yet, so all of them; otherwise those that differ from what was
    /// last written, `@initial` ones only with an initial load or replay. Empty: there is nothing to do, and the operation
    /// is settled as written without a call.
    pub fn write_set(&self, create: bool) -> impl Iterator<Item = &ClaimedField> {
        let fields: &[ClaimedField] = match &self.work {
            Work::Upsert(fields) => fields,
            Work::Delete | Work::Refetch => &[],
        };
        let fields = fields.iter().filter(|field| !field.later);
        fields.filter(move |field| create || (field.differs && !field.create_only && (self.with_initial || !field.initial_only)))
    }

    /// The fields to send to a record of somebody else that gets our key: all of them, since nothing is known of what it has. Of the
    /// opt-outs, which are written when a record is made, those that are set: one that it has is not lifted.
    pub fn adopt_set(&self) -> impl Iterator<Item = &ClaimedField> {
        self.write_set(true).filter(|field| !field.create_only || field.value.get() == "true")
    }
}

/// The end of one claimed operation. Made from the operation itself: `op.written(created)`, `op.deleted()` and so on.
#[derive(Debug)]
pub struct Settlement {
    /// The operation's number.
    pub seq: i64,
    /// How it ended.
    pub result: Settled,
}

impl Settlement {
    /// The same, of an operation that wrote something else than its values to these paths: the next evaluation writes them again.
    #[must_use]
    pub fn without(mut self, op: &ClaimedOp, paths: &[String]) -> Settlement {
        if let (Settled::Written { hashes, .. }, Work::Upsert(fields)) = (&mut self.result, &op.work) {
            let left_out = |slot: u32| fields.iter().any(|field| field.slot == slot && paths.iter().any(|path| **path == *field.path));
            hashes.retain(|(slot, _)| !left_out(*slot));
        }
        self
    }
}

/// How an operation ended.
#[derive(Debug)]
pub enum Settled {
    /// The target record has the values now.
    Written {
        /// It was created by this; otherwise it was there.
        created: bool,
        /// Slot and hash of each path that was written.
        hashes: Vec<(u32, u64)>,
        /// Slot and filled source columns of each path of the operation.
        filled: Vec<(u32, Option<u8>)>,
        /// Where the links among them lead.
        links: Vec<WrittenLink>,
        /// Links that follow when the records are there that they lead to: the mapping of each and the source record there.
        later: Vec<(String, String)>,
    },
    /// The target record is gone, or was not there.
    Deleted,
    /// It cannot be written as it is: a dead letter.
    Failed {
        /// What went wrong.
        failure: Failure,
        /// It may still have been carried out.
        uncertain: bool,
    },
    /// It is to be tried again.
    Retry {
        /// Not earlier than this.
        not_before: Instant,
        /// What went wrong, for `status`.
        error: String,
        /// It may still have been carried out (no answer was seen).
        uncertain: bool,
    },
    /// It was not tried: a record that it links to is not at the target. It waits for that one.
    Unlinked {
        /// The mapping that writes the other record.
        parent: String,
        /// The other record's id in the source.
        parent_id: String,
        /// The ledger has it, and yet it is not there: it is to be written again.
        gone: bool,
    },
    /// It was not tried; it waits again as if it had never been claimed.
    Released,
}

impl ClaimedOp {
    /// What [`ClaimedOp::write_set`] gave for the same `created` is at the target.
    pub fn written(&self, created: bool) -> Settlement {
        self.settled(created, &self.write_set(created).collect::<Vec<_>>())
    }

    /// What [`ClaimedOp::adopt_set`] gave is at the target, and so is the key.
    pub fn adopted(&self) -> Settlement {
        self.settled(false, &self.adopt_set().collect::<Vec<_>>())
    }

    fn settled(&self, created: bool, written: &[&ClaimedField]) -> Settlement {
        let hashes = written.iter().map(|field| (field.slot, field.hash)).collect();
        let links = written.iter().filter_map(|field| {
            let link = field.link.as_ref()?;
            let parent_id = link.to.source_id().map(str::to_owned);
            Some(WrittenLink { slot: field.slot, parent: link.mapping.to_string(), parent_id })
        });
        // Also of those that were not written: their value is the same, and may come from other columns.
        let filled = match &self.work {
            Work::Upsert(fields) => fields.iter().map(|field| (field.slot, field.filled)).collect(),
            Work::Delete | Work::Refetch => Vec::new(),
        };
        let later = match &self.work {
            Work::Upsert(fields) => fields.iter().filter(|field| field.later).filter_map(ClaimedField::leads_to).collect(),
            Work::Delete | Work::Refetch => Vec::new(),
        };
        Settlement { seq: self.seq, result: Settled::Written { created, hashes, filled, links: links.collect(), later } }
    }

    /// Nothing was sent: this link leads to a record that is not at the target. `gone`: the target itself was asked, though
    /// the ledger has the record, which is therefore written again.
    pub fn unlinked(&self, parent: &str, parent_id: &str, gone: bool) -> Settlement {
        Settlement { seq: self.seq, result: Settled::Unlinked { parent: parent.to_owned(), parent_id: parent_id.to_owned(), gone } }
    }

    /// The target record is gone, or was not there.
    pub fn deleted(&self) -> Settlement {
        Settlement { seq: self.seq, result: Settled::Deleted }
    }

    /// It cannot be written as it is. `uncertain`: it may still have been written.
    pub fn failed(&self, failure: Failure, uncertain: bool) -> Settlement {
        Settlement { seq: self.seq, result: Settled::Failed { failure, uncertain } }
    }

    /// To be tried again, not before that. `uncertain`: no answer was seen, it may have been carried out.
    pub fn retry(&self, not_before: Instant, error: impl Into<String>, uncertain: bool) -> Settlement {
        Settlement { seq: self.seq, result: Settled::Retry { not_before, error: error.into(), uncertain } }
    }

    /// Nothing was sent; it waits again.
    pub fn released(&self) -> Settlement {
        Settlement { seq: self.seq, result: Settled::Released }
    }
}

/// What a batch of answers came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SettleOutcome {
    /// Records created.
    pub created: u64,
    /// Records that existed and have the values now.
    pub updated: u64,
    /// Records deleted.
    pub deleted: u64,
    /// Operations that are dead letters now.
    pub failed: u64,
    /// Operations that wait for another attempt.
    pub retried: u64,
    /// Operations given back.
    pub released: u64,
    /// Dead letters that a success has settled.
    pub dead_letters_cleared: u64,
    /// Answers to operations that are not in this run's hands: nothing was changed for them.
    pub stale: u64,
}

/// Records that wait for records of another or the same mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    /// The mapping whose records they wait for.
    #[serde(rename = "for")]
    pub parent: String,
    /// How many records wait.
    pub records: u64,
    /// One of them: its id in the source.
    pub example: String,
    /// The record that this one waits for: its id in the source.
    pub example_parent: String,
}

/// A link as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenLink {
    pub(super) slot: u32,
    /// The mapping that the link leads to.
    pub(super) parent: String,
    /// The source record there; none where the link was emptied.
    pub(super) parent_id: Option<String>,
}

/// What waits in the outbox for a flow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Backlog {
    /// Operations that wait for a worker, including postponed ones.
    pub ready: u64,
    /// Of them, postponed after a failed attempt.
    pub delayed: u64,
    /// Of those that wait: for a record that they link to, or, a delete, for records that link to theirs. No call is made for
    /// them until then.
    pub waiting_for_parents: u64,
    /// The mappings whose records they wait for.
    pub waiting_for: Vec<Waiting>,
    /// Operations in workers' hands.
    pub claimed: u64,
    /// When the oldest of all was queued.
    pub oldest: Option<Instant>,
    /// When the first postponed one is due.
    pub next_due: Option<Instant>,
}

impl Backlog {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.ready + self.claimed
    }

    /// Those that a worker may take at once.
    pub fn due(&self) -> u64 {
        self.ready.saturating_sub(self.delayed + self.waiting_for_parents)
    }
}

/// A path that a mapping writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenPath {
    /// The target path, dotted for nested fields.
    pub path: String,
    /// For a link: the mapping that writes the other record.
    pub link: Option<String>,
}
