//! Mass changes: from how many changes on they need approval, and what is held.

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::types::words;
use crate::count::counted;

/// Fewer changes than this are never a mass change, whatever their share.
const FEW: u64 = 10;

/// The share, in percent, beyond which few changes are a mass change as well.
const MOST: u8 = 50;

/// How long changes that passed count together with those that come later: a mass change may arrive a few records at a time.
pub(super) const WINDOW: TimeDelta = TimeDelta::hours(24);

/// The number of changes from which they need approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MassLimits {
    /// As many changes as this need approval if their share is above `percent`.
    pub count: u64,
    /// The share, in percent.
    pub percent: u8,
}

impl Default for MassLimits {
    fn default() -> Self {
        MassLimits { count: 100, percent: 20 }
    }
}

impl MassLimits {
    /// Lets everything pass except what a source without any record would delete.
    pub fn unlimited() -> Self {
        MassLimits { count: u64::MAX, percent: 100 }
    }

    /// Whether a person has approved in advance whatever comes.
    pub(super) fn approve_all(self) -> bool {
        self == MassLimits::unlimited()
    }

    /// The fewest changes that can be a mass change.
    pub(super) fn least(self) -> u64 {
        if self.percent >= 100 { u64::MAX } else { self.count.min(FEW) }
    }

    /// `count` changes or more, above `percent`; or 10 or more, above half. A share of 100 percent is never exceeded.
    pub(super) fn are_exceeded_by(self, changes: u64, known: u64) -> bool {
        let above = |percent: u8| changes.saturating_mul(100) > known.saturating_mul(u64::from(percent));
        (changes >= self.count && above(self.percent)) || (changes >= self.least() && above(self.percent.max(MOST)))
    }
}

words! {
    /// Why a change is held.
    pub enum HeldCause {
        /// A deletion in the source.
        Deleted = "deleted",
        /// The record no longer passes the filter, and `filtered-out delete` is set.
        Filtered = "filtered",
        /// A full load did not see the record.
        Unseen = "unseen",
        /// Fields that have a value would become empty.
        Emptied = "emptied",
    }
}

/// A field that would become empty, or whose value would no longer come from a source column that has become empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmptiedField {
    /// The target path.
    pub path: String,
    /// Records in which that would happen.
    pub records: u64,
    /// Records at the target in which it has a value, or a value from that column.
    pub known: u64,
    /// Records in which it happened in the last 24 hours without approval.
    #[serde(default)]
    pub earlier: u64,
    /// It would not become empty, but get what the mapping has for an empty source column: a default, or the next column's value.
    #[serde(default)]
    pub falls_back: bool,
}

/// Changes that need approval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MassChange {
    /// Deletions that the source reported.
    pub deleted: u64,
    /// Deletions of records that no longer pass the filter.
    pub filtered: u64,
    /// Deletions of records that a full load did not see.
    pub unseen: u64,
    /// Records at the target.
    pub known: u64,
    /// Deletions that passed without approval in the last 24 hours. They count together with the others.
    #[serde(default)]
    pub earlier: u64,
    /// The full load returned no record at all.
    pub source_empty: bool,
    /// Fields that would become empty in too many records.
    pub emptied: Vec<EmptiedField>,
    /// Some of the source records.
    #[serde(default)]
    pub examples: Vec<String>,
}

impl MassChange {
    /// Says what needs approval and how to approve it, in the same words wherever it is shown.
    pub fn approval(&self, workflow: &str) -> String {
        format!("needs approval: it would {self}; approve it with `d365map run --approve-mass-change {workflow}`")
    }

    pub(super) fn deletions(&self) -> u64 {
        self.deleted + self.filtered + self.unseen
    }
}

/// What came before within the window, as part of a sentence.
fn after_earlier(earlier: u64) -> String {
    if earlier > 0 { format!(", after {earlier} in the last {} hours", WINDOW.num_hours()) } else { String::new() }
}

impl std::fmt::Display for MassChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if self.deletions() > 0 {
            let causes = [
                (self.deleted, "deleted in Dynamics 365"),
                (self.filtered, "no longer pass the filter"),
                (self.unseen, "not found by the full load"),
            ];
            let causes: Vec<String> = causes.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
            let empty = if self.source_empty { "; Dynamics 365 returned no record at all" } else { "" };
            let (deletions, causes, earlier) = (self.deletions(), causes.join(", "), after_earlier(self.earlier));
            parts.push(format!("delete {deletions} of {} at the target ({causes}{empty}){earlier}", counted(self.known, "record")));
        }
        for field in &self.emptied {
            let EmptiedField { path, records, known, .. } = field;
            let earlier = after_earlier(field.earlier);
            parts.push(if field.falls_back {
                format!("write a fallback value to `{path}` in {records} of {} whose source column had a value, since the column is empty now{earlier}", counted(*known, "record"))
            } else {
                format!("empty `{path}` in {records} of {} with a value{earlier}", counted(*known, "record"))
            });
        }
        f.write_str(&parts.join(", and "))?;
        if !self.examples.is_empty() {
            write!(f, ", for example of {}", self.examples.join(", "))?;
        }
        Ok(())
    }
}

/// What became of held changes when a load was over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// The number that was released.
    Released(u64),
    /// They need approval.
    Held(MassChange),
}
