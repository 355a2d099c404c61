//! Rows of other tables that lookups point to.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::{RelatedOutcome, RelatedPage, RelatedPlace, RelatedRows, StateError};

/// The rows of other tables that lookups of a mapping's records point to. Which record was evaluated with which rows comes with the page
/// of the record ([`super::PageTimes::uses`]).
#[async_trait]
pub trait Related: Send + Sync {
    /// Returns how far a table was read for a mapping. A table that was never read, or whose `fingerprint` (of the columns that are
    /// kept) is another one, is put to the start of a full load.
    async fn related_place(&self, mapping: &str, table: &str, fingerprint: &str) -> Result<RelatedPlace, StateError>;

    /// Puts a table back to the start of a full load. Its rows stay until the load is over.
    async fn restart_related(&self, mapping: &str, table: &str) -> Result<RelatedPlace, StateError>;

    /// Stores a page of a table: its rows and the place behind it. The records that were evaluated with a row that appears, changes or
    /// goes become due, as [`super::Cursors::due_records`] returns them. At the end of a full load, rows that it did not see go.
    ///
    /// # Errors
    /// [`StateError::CursorMoved`] if the reading is not at the place where the page was read.
    async fn store_related(&self, page: RelatedPage) -> Result<RelatedOutcome, StateError>;

    /// Returns the kept rows of these ids, by table.
    async fn related_rows(&self, mapping: &str, wanted: BTreeMap<String, BTreeSet<String>>) -> Result<RelatedRows, StateError>;

    /// Deletes all tables of a mapping but these, with their rows. Returns how many.
    async fn retain_related(&self, mapping: &str, tables: Vec<String>) -> Result<u64, StateError>;
}
