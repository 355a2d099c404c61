//! Rows of other tables that lookups point to.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Phase, StoreError};
use crate::time::Instant;

/// The rows of other tables that lookups of a mapping's records point to. Which record was evaluated with which rows comes with the page
/// of the record ([`super::PageTimes::uses`]).
#[cfg_attr(
    not(feature = "internals"),
    allow(dead_code, reason = "a port is the contract of a store: some methods are asked by tests only")
)]
#[async_trait]
pub trait Related: Send + Sync {
    /// Returns how far a table was read for a mapping. A table that was never read, or whose `fingerprint` (of the columns that are
    /// kept) is another one, is put to the start of a full load.
    async fn related_place(&self, mapping: &str, table: &str, fingerprint: &str) -> Result<RelatedPlace, StoreError>;

    /// Puts a table back to the start of a full load. Its rows stay until the load is over.
    async fn restart_related(&self, mapping: &str, table: &str) -> Result<RelatedPlace, StoreError>;

    /// Stores a page of a table: its rows and the place behind it. The records that were evaluated with a row that appears, changes or
    /// goes become due, as [`super::Cursors::due_records`] returns them. At the end of a full load, rows that it did not see go.
    ///
    /// # Errors
    /// [`StoreError::CursorMoved`] if the reading is not at the place where the page was read.
    async fn store_related(&self, page: RelatedPage) -> Result<RelatedOutcome, StoreError>;

    /// Returns the kept rows of these ids, by table.
    async fn related_rows(&self, mapping: &str, wanted: BTreeMap<String, BTreeSet<String>>) -> Result<RelatedRows, StoreError>;

    /// Deletes all tables of a mapping but these, with their rows. Returns how many.
    async fn retain_related(&self, mapping: &str, tables: Vec<String>) -> Result<u64, StoreError>;
}

/// A table that a mapping follows, as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FollowedTable {
    /// The table.
    pub table: String,
    /// Full load or changes.
    pub phase: Phase,
    /// When the reading last moved.
    pub updated_at: Instant,
    /// Rows that are kept.
    pub rows: u64,
    /// Records of the mapping that were evaluated with a row of the table.
    pub records: u64,
}

/// How far a table was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelatedPlace {
    /// Full load or changes.
    pub phase: Phase,
    /// The link of the next page or of the next delta; none at the start of a full load.
    pub link: Option<String>,
    /// Counts the full loads.
    pub generation: i64,
}

/// Where the reading of a table goes when a page is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelatedMove {
    /// There are more pages; this is the link of the next.
    Next(String),
    /// It was the last page, with the delta link if the service gave one. After a full load, rows that it did not see are gone.
    RoundEnd(Option<String>),
}

/// A page of a table.
#[derive(Debug, Clone)]
pub struct RelatedPage {
    /// The mapping whose records point to the rows.
    pub mapping: String,
    /// The table.
    pub table: String,
    /// Where it was read.
    pub from: RelatedPlace,
    /// By id, the kept columns as JSON; `None` for a row that is gone.
    pub rows: Vec<(String, Option<String>)>,
    /// Where the reading goes on.
    pub to: RelatedMove,
    /// When it was read: from then on the records that point to changed rows are due.
    pub at: Instant,
}

/// What became of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelatedOutcome {
    /// Rows that appeared, changed or are gone.
    pub changed: u64,
    /// Records that are evaluated again for it.
    pub affected: u64,
    /// Where the reading goes on.
    pub place: RelatedPlace,
}

/// Kept rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelatedRows {
    /// How often each of the tables had changed when they were read, by name.
    pub versions: BTreeMap<String, i64>,
    /// The kept columns as JSON, by table and id.
    pub rows: BTreeMap<(String, String), String>,
}

/// Which rows records were evaluated with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelatedUses {
    /// How often each table had changed when its rows were read, by name: see [`RelatedRows::versions`].
    pub versions: BTreeMap<String, i64>,
    /// By source id, the tables and ids of the rows, also of those that are not kept. A record without rows is in it too.
    pub records: BTreeMap<String, BTreeSet<(String, String)>>,
}
