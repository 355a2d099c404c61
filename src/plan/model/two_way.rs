//! Two-way mappings: two sides that are kept in step, with their linked records and the rule for conflicts.

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::place::At;
use super::program::FieldProgram;
use super::query::{Slot, name_within, system_of};
use crate::system::SystemId;

/// A two-way mapping, such as referrals and opportunities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwoWayFlow {
    /// The mapping's name.
    pub name: String,
    /// The mapping's head.
    pub at: At,
    /// The table on the left of the arrow.
    pub left: Side,
    /// The table on the right of the arrow.
    pub right: Side,
    /// Programs over the left side's slots; they write the right side. The key comes first.
    pub forward: Vec<FieldProgram>,
    /// Programs over the right side's slots; they write the left side.
    pub backward: Vec<FieldProgram>,
    /// The records that lookups of the right side point to.
    pub links: Vec<LinkedRecord>,
    /// The lists of the left side whose items are rows that point to the record of the right side.
    pub rows: Vec<LinkedRows>,
    /// The conditions on a record of the left side.
    pub filter: Option<Condition>,
    /// Which referrals take part.
    pub scope: Scope,
    /// What happens where both sides have changed.
    pub conflicts: Conflicts,
    /// Whether the names on the right side get a mark that tells whether the two are in step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub check_mark: bool,
}

/// One side of a two-way mapping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// The table's name, `partner.referral`.
    pub table: String,
    /// The collection in the URL.
    pub collection: String,
    /// The primary key's property.
    pub primary_key: String,
    /// The property that identifies the record of the other side.
    pub key: String,
    /// The fields that are needed. A dotted wire name names nested objects.
    pub slots: Vec<Slot>,
}

/// The record that a lookup of the right side points to.
///
/// What of it goes to the left side is among [`TwoWayFlow::backward`]: its fields are slots of the right side below the navigation property.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkedRecord {
    /// The lookup in its block.
    pub at: At,
    /// The lookup's logical name.
    pub column: String,
    /// The navigation property that reads and writes it.
    pub navigation: String,
    /// The table that it leads to, `d365.account`.
    pub table: String,
    /// The collection in the URL.
    pub collection: String,
    /// The primary key's property.
    pub primary_key: String,
    /// Whether the table has active and inactive records; only active ones are found.
    pub active: bool,
    /// The columns by which a record is found.
    pub by: Vec<String>,
    /// Programs over the left side's slots; they write a record that is created, and give the values of `by`.
    pub fields: Vec<FieldProgram>,
    /// The columns of it that are read.
    pub select: Vec<String>,
    /// What happens if no record is found.
    pub otherwise: Otherwise,
}

/// What happens if the record of a lookup is not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Otherwise {
    /// It is created.
    Create,
    /// The lookup stays as it is.
    Null,
    /// The pair becomes a dead letter.
    Reject,
}

/// A list of the left side whose items are rows of a table that point to the record of the right side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkedRows {
    /// The list in its block.
    pub at: At,
    /// The path of the list.
    pub list: Vec<String>,
    /// The table of the rows, `d365.new_solution`.
    pub table: String,
    /// The collection in the URL.
    pub collection: String,
    /// The primary key's property.
    pub primary_key: String,
    /// The property of a row with the id of the right side's record.
    pub lookup: String,
    /// The navigation property that writes it.
    pub navigation: String,
    /// The property that identifies an item.
    pub item_key: String,
    /// The property that identifies a row among those of a record.
    pub row_key: String,
    /// The fields of an item.
    pub items: Vec<Slot>,
    /// The fields of a row.
    pub rows: Vec<Slot>,
    /// Programs over the items' slots, the key first; empty if no rows are written.
    pub forward: Vec<FieldProgram>,
    /// Programs over the rows' slots, the key first; empty if no items are written.
    pub backward: Vec<FieldProgram>,
}

/// Which referrals take part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Every referral.
    #[default]
    All,
    /// Co-sell opportunities only.
    CoSell,
}

/// What happens where both sides have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conflicts {
    /// The later change wins.
    #[default]
    Newest,
    /// The left side wins.
    Left,
    /// The right side wins.
    Right,
    /// Neither side is written: a person decides.
    Report,
}

impl Side {
    /// The system; a plan that was compiled names one.
    pub fn system(&self) -> Option<SystemId> {
        system_of(&self.table)
    }

    /// The table's name within its system.
    pub fn name(&self) -> &str {
        name_within(&self.table)
    }
}

impl LinkedRecord {
    /// The table's name within its system.
    pub fn name(&self) -> &str {
        name_within(&self.table)
    }

    /// The property of the right side's record with the id that the lookup holds.
    pub fn property(&self) -> String {
        format!("_{}_value", self.column)
    }
}

impl LinkedRows {
    /// The table's name within its system.
    pub fn name(&self) -> &str {
        name_within(&self.table)
    }
}
