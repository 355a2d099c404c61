//! Pairs of records that are kept in step both ways.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fingerprint::HashKey;
use super::types::words;
use super::{Failure, RunId, StoreError};
use crate::time::Instant;

/// Pairs of records that are kept in step both ways: what both sides had when they last agreed, and what is to be looked at.
///
/// `fields` are the names of a mapping's fields. Fingerprints are passed and returned in their order; those of other names are kept.
#[cfg_attr(
    not(feature = "internals"),
    allow(dead_code, reason = "a port is the contract of a store: some methods are asked by tests only")
)]
#[async_trait]
pub trait Pairs: Send + Sync {
    /// Returns what makes the fingerprints of this store.
    async fn fingerprinter(&self) -> Result<Fingerprinter, StoreError>;

    /// Returns the link by which the reading of a side goes on; `None` at its beginning. A reading that was begun by another plan
    /// begins again.
    async fn pair_cursor(&self, workflow: &str, side: PairSide, plan: &str) -> Result<Option<String>, StoreError>;

    /// Stores what a side reported, and how far it was read, in one transaction. A pair waits once however often it is reported. A version
    /// that is stored is not news; without a version every notice is. Without a mark, the notices come from elsewhere than the reading.
    ///
    /// # Errors
    /// [`StoreError::CursorMoved`] if a page was read from another place.
    async fn take_pairs(
        &self,
        workflow: &str,
        side: PairSide,
        notices: Vec<PairNotice>,
        mark: Option<PairMark>,
    ) -> Result<PairIntake, StoreError>;

    /// Returns the link by which the reading of a table goes on whose rows are items of a list; `None` at its beginning. A reading that
    /// was begun by another plan begins again.
    async fn pair_row_cursor(&self, workflow: &str, table: &str, plan: &str) -> Result<Option<String>, StoreError>;

    /// Stores what such a table reported, and how far it was read, in one transaction: the pairs of the records that the rows lead to, and of
    /// those that they led to before, are to be looked at.
    ///
    /// # Errors
    /// [`StoreError::CursorMoved`] if the page was read from another place.
    async fn take_pair_rows(
        &self,
        workflow: &str,
        table: &str,
        notices: Vec<PairRowNotice>,
        mark: PairMark,
    ) -> Result<PairIntake, StoreError>;

    /// Returns the pair of a record.
    async fn pair_of(&self, workflow: &str, side: PairSide, id: &str, fields: &[String]) -> Result<Option<Pair>, StoreError>;

    /// Claims up to `limit` pairs that are due at `now`. A pair is in one worker's hands at a time; what is reported of it in the meantime waits.
    async fn claim_pairs(
        &self,
        run: RunId,
        workflow: &str,
        fields: &[String],
        limit: usize,
        now: Instant,
    ) -> Result<Vec<ClaimedPair>, StoreError>;

    /// Makes two records a pair. `number` is the row in the worker's hands, which has one of them. A row that has the other one becomes
    /// part of it. If that row is a pair already, knows what was sent, or is that of the left record and in another worker's hands, it is
    /// the one that stays. What was reported of either is checked again.
    async fn join_pair(&self, workflow: &str, number: i64, left: &str, right: &str) -> Result<Joined, StoreError>;

    /// Stores, before something is sent, what a pair shows if it takes effect ([`Pair::left_sent`], and the fingerprints of a record that
    /// is created), and until when a create may take effect if its answer is not seen. Returns `false` if the pair is gone, so that
    /// nothing may be sent.
    async fn note_sent(&self, workflow: &str, fields: &[String], pair: &Pair) -> Result<bool, StoreError>;

    /// Settles claimed pairs: what is known of them, and dead letters. What was reported of them in the meantime is still to be checked.
    async fn settle_pairs(&self, run: RunId, workflow: &str, fields: &[String], ends: Vec<(i64, PairEnd)>) -> Result<(), StoreError>;
}

words! {
    /// A side of a two-way mapping, left or right of the arrow.
    pub enum PairSide {
        /// Before the arrow.
        Left = "left",
        /// After the arrow.
        Right = "right",
    }
}

/// How many pairs a two-way mapping has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PairsStatus {
    /// Records of both sides that belong together.
    pub linked: u64,
    /// Records that do not have one on the other side: what created them there is waiting or has failed, or they have left the mapping.
    pub single: u64,
}

/// What is stored of a pair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pair {
    /// Its number.
    pub number: i64,
    /// The id of the left side's record, if it is known.
    pub left: Option<String>,
    /// The id of the right side's record, if it is known.
    pub right: Option<String>,
    /// The last version of the left record that was seen.
    pub left_version: Option<String>,
    /// The last version of the right record that was seen.
    pub right_version: Option<String>,
    /// For each field of the mapping, the fingerprint of what the left side had when both agreed.
    pub left_prints: Vec<Option<u64>>,
    /// The same of the right side.
    pub right_prints: Vec<Option<u64>>,
    /// What the left side shows if a write that was sent, and whose answer was not noted, took effect.
    pub left_sent: Vec<Option<u64>>,
    /// The same of the right side.
    pub right_sent: Vec<Option<u64>>,
    /// Something was reported of the left record.
    pub look_left: bool,
    /// Something was reported of the right record.
    pub look_right: bool,
    /// Until when a create whose answer was not seen may still take effect.
    pub create_until: Option<Instant>,
}

/// A record that a system told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairNotice {
    /// Its id.
    pub id: String,
    /// Its version, if it came with the notice. A known version is not news.
    pub version: Option<String>,
    /// Whether it begins a pair if it is in none.
    pub begins: bool,
}

/// The position of a reading, and where it goes with a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairMark {
    /// The link that the page was read by.
    pub from: Option<String>,
    /// The link of the next page, or of the next changes; `None` begins again.
    pub to: Option<String>,
}

/// What came of notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairIntake {
    /// Pairs that are to be looked at.
    pub queued: u64,
    /// Records whose version is known.
    pub unchanged: u64,
    /// Records that are in no pair and begin none.
    pub apart: u64,
    /// Records of persons who were forgotten.
    pub forgotten: u64,
    /// Pairs that wait now.
    pub backlog: u64,
}

/// A pair in a worker's hands.
#[derive(Clone, Debug)]
pub struct ClaimedPair {
    /// The number of the operation.
    pub seq: i64,
    /// The id under which it waits.
    pub anchor: String,
    /// How often it was tried before.
    pub attempts: u32,
    /// What is stored; none if the pair is gone.
    pub pair: Option<Pair>,
}

/// What came of making two records a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// They are a pair. The row of the other record, if there was one, is part of it now.
    Done,
    /// The other record's row has taken over, and is to be looked at: this row is gone.
    TakenOver,
    /// Another worker has the other record in its hands: try again.
    Busy,
}

/// How work on a pair ended.
#[derive(Debug)]
pub enum PairEnd {
    /// Both sides are in step, or nothing is to be done about them now.
    Done(Box<Pair>),
    /// In step but for what a person must decide.
    Undecided(Box<Pair>, Failure),
    /// A person must act.
    Failed(Failure),
    /// The record takes no part: nothing is kept of it.
    Forget,
    /// The pair is part of another one now.
    Gone,
    /// To be tried again.
    Retry {
        /// Not before.
        not_before: Instant,
        /// Why.
        error: String,
    },
    /// It was not tried.
    Released,
}

/// Makes fingerprints with the store's key.
#[derive(Clone, Copy)]
pub struct Fingerprinter(pub(super) HashKey);

impl Fingerprinter {
    /// The fingerprint of a field's value, as JSON text.
    pub fn print(&self, field: &str, json: &str) -> u64 {
        self.0.hash(field, json)
    }
}

/// A row that its table told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairRowNotice {
    /// Its id.
    pub row: String,
    /// The id of the right side's record that it leads to; `None` if it leads to none, or is gone.
    pub leads_to: Option<String>,
}
