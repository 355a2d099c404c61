//! Pairs of records that are kept in step both ways.

use async_trait::async_trait;

use super::{
    ClaimedPair, Fingerprinter, Joined, Pair, PairEnd, PairIntake, PairMark, PairNotice, PairRowNotice, PairSide, RunId, StateError,
};
use crate::time::Instant;

/// Pairs of records that are kept in step both ways: what both sides had when they last agreed, and what is to be looked at.
///
/// `fields` are the names of a mapping's fields. Fingerprints are passed and returned in their order; those of other names are kept.
#[async_trait]
pub trait Pairs: Send + Sync {
    /// Returns what makes the fingerprints of this store.
    async fn fingerprinter(&self) -> Result<Fingerprinter, StateError>;

    /// Returns the link by which the reading of a side goes on; `None` at its beginning. A reading that was begun by another plan
    /// begins again.
    async fn pair_cursor(&self, workflow: &str, side: PairSide, plan: &str) -> Result<Option<String>, StateError>;

    /// Stores what a side reported, and how far it was read, in one transaction. A pair waits once however often it is reported. A version
    /// that is stored is not news; without a version every notice is. Without a mark, the notices come from elsewhere than the reading.
    ///
    /// # Errors
    /// [`StateError::CursorMoved`] if a page was read from another place.
    async fn take_pairs(
        &self,
        workflow: &str,
        side: PairSide,
        notices: Vec<PairNotice>,
        mark: Option<PairMark>,
    ) -> Result<PairIntake, StateError>;

    /// Returns the link by which the reading of a table goes on whose rows are items of a list; `None` at its beginning. A reading that
    /// was begun by another plan begins again.
    async fn pair_row_cursor(&self, workflow: &str, table: &str, plan: &str) -> Result<Option<String>, StateError>;

    /// Stores what such a table reported, and how far it was read, in one transaction: the pairs of the records that the rows lead to, and of
    /// those that they led to before, are to be looked at.
    ///
    /// # Errors
    /// [`StateError::CursorMoved`] if the page was read from another place.
    async fn take_pair_rows(
        &self,
        workflow: &str,
        table: &str,
        notices: Vec<PairRowNotice>,
        mark: PairMark,
    ) -> Result<PairIntake, StateError>;

    /// Returns the pair of a record.
    async fn pair_of(&self, workflow: &str, side: PairSide, id: &str, fields: &[String]) -> Result<Option<Pair>, StateError>;

    /// Claims up to `limit` pairs that are due at `now`. A pair is in one worker's hands at a time; what is reported of it in the meantime waits.
    async fn claim_pairs(
        &self,
        run: RunId,
        workflow: &str,
        fields: &[String],
        limit: usize,
        now: Instant,
    ) -> Result<Vec<ClaimedPair>, StateError>;

    /// Makes two records a pair. `number` is the row in the worker's hands, which has one of them. A row that has the other one becomes
    /// part of it. If that row is a pair already, knows what was sent, or is that of the left record and in another worker's hands, it is
    /// the one that stays. What was reported of either is checked again.
    async fn join_pair(&self, workflow: &str, number: i64, left: &str, right: &str) -> Result<Joined, StateError>;

    /// Stores, before something is sent, what a pair shows if it takes effect ([`Pair::left_sent`], and the fingerprints of a record that
    /// is created), and until when a create may take effect if its answer is not seen. Returns `false` if the pair is gone, so that
    /// nothing may be sent.
    async fn note_sent(&self, workflow: &str, fields: &[String], pair: &Pair) -> Result<bool, StateError>;

    /// Settles claimed pairs: what is known of them, and dead letters. What was reported of them in the meantime is still to be checked.
    async fn settle_pairs(&self, run: RunId, workflow: &str, fields: &[String], ends: Vec<(i64, PairEnd)>) -> Result<(), StateError>;
}
