//! Programs: how the value of one target field comes from a record.

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::place::At;
use super::query::name_within;
use super::step::{LinkAbsent, Op, Piece, Read, Step, columns_of_steps, pieces};
use crate::plan::formula::{Formula, outlive};
use crate::plan::lookup::LookupBy;
use crate::value::{Const, Fit};

/// The program of one target field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldProgram {
    /// The entry in the mapping file.
    pub at: At,
    /// The target field's path, by the names on the wire.
    pub path: Vec<String>,
    /// Where the value comes from.
    pub source: Source,
    /// What is done to it, in order; implicit conversions are last.
    pub steps: Vec<Step>,
    /// What the target admits; checked at the very end, against records that break their own schema.
    pub fit: Fit,
    /// `@initial`: written on create, on the initial load and on replay only.
    pub initial: bool,
    /// Written only when the record is created: an opt-out that a separate flow keeps up to date from then on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create_only: bool,
    /// `@present`: an empty value leaves the target as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub present: bool,
    /// The value is the key of a record that the target has, and the field links to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_to: Option<LinkTo>,
}

/// A link to a record that the target has already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkTo {
    /// The table's name, `campaign.orgUnitBase`.
    pub table: String,
    /// The resource in the URL.
    pub collection: String,
    /// The attribute with the key.
    pub key: String,
    /// What happens if there is no such record.
    pub absent: KeyAbsent,
}

impl LinkTo {
    /// The table's name within its system.
    pub fn name(&self) -> &str {
        name_within(&self.table)
    }
}

/// What happens if the target has no record of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAbsent {
    /// The record becomes a dead letter.
    Reject,
    /// The link is empty.
    Null,
    /// The link leads to the record of this key.
    Default(String),
}

impl FieldProgram {
    /// The slots of the source columns that the value comes from, each once, in the order in which they are read.
    pub fn columns(&self) -> Vec<u32> {
        let mut columns = Vec::new();
        self.source.columns(&mut columns);
        columns_of_steps(&self.steps, &mut columns);
        let mut seen = std::collections::BTreeSet::new();
        columns.retain(|slot| seen.insert(*slot));
        columns
    }

    /// Whether the field can have a value although a source column that it reads is empty: it has a default, a replacement that
    /// may have a case for an empty value, or reads several columns.
    pub fn outlives_its_columns(&self) -> bool {
        let replaces = match &self.source {
            Source::Field(read) => read.replace.is_some(),
            Source::Case(_) | Source::Lookup(_) => true,
            Source::Formula(formula) => formula.outlives_its_columns(),
            Source::Coalesce(reads) | Source::Join { reads, .. } => reads.iter().any(|read| outlive(&read.steps)),
            Source::Constant(_) | Source::Template(_) => false,
        };
        let steps = outlive(&self.steps);
        match self.columns().len() {
            0 => false,
            1 => replaces || steps,
            _ => true,
        }
    }

    /// What happens while the record is not at the target that the field links to; `None` if the field is not a link.
    pub fn link_absent(&self) -> Option<LinkAbsent> {
        self.steps.iter().rev().find_map(|step| match &step.op {
            Op::Link { absent, .. } => Some(*absent),
            _ => None,
        })
    }

    /// The mapping whose record the field links to, if it is a link.
    pub fn link(&self) -> Option<&str> {
        self.steps.iter().rev().find_map(|step| match &step.op {
            Op::Link { mapping, .. } => Some(mapping.as_str()),
            _ => None,
        })
    }
}

impl Source {
    /// Adds the slots of the source columns that the value comes from.
    fn columns(&self, columns: &mut Vec<u32>) {
        match self {
            Source::Field(read) => read.columns(columns),
            Source::Constant(_) => {}
            Source::Template(template) => pieces(template, columns),
            Source::Coalesce(reads) | Source::Join { reads, .. } => reads.iter().for_each(|read| read.columns(columns)),
            Source::Lookup(lookup) => lookup.keys.iter().for_each(|read| read.columns(columns)),
            Source::Case(branches) => {
                for branch in branches {
                    if let Some(condition) = &branch.condition {
                        condition.reads(columns);
                    }
                    if let BranchResult::Value { source, steps, .. } = &branch.result {
                        source.columns(columns);
                        columns_of_steps(steps, columns);
                    }
                }
            }
            Source::Formula(formula) => {
                formula.term.reads().iter().for_each(|read| read.columns(columns));
                columns_of_steps(&formula.steps, columns);
            }
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// One field.
    Field(Read),
    /// Always the same.
    Constant(Const),
    /// Text with fields in it; empty where every field in it is.
    Template(Vec<Piece>),
    /// The first of several fields that has a value.
    Coalesce(Vec<Read>),
    /// The fields that have a value, with this text between them.
    Join {
        /// The text between two values.
        separator: String,
        /// The fields.
        reads: Vec<Read>,
    },
    /// The result of the first branch whose condition is true.
    Case(Vec<Branch>),
    /// Arithmetic over fields.
    Formula(Formula),
    /// The value of a table's row.
    Lookup(Box<LookupBy>),
}

/// A branch of a `case`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// Its line.
    pub at: At,
    /// The condition; `None` for every record. The last branch has none.
    pub condition: Option<Condition>,
    /// What the field gets.
    pub result: BranchResult,
}

/// What a branch of a `case` gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BranchResult {
    /// A value.
    Value {
        /// Where it comes from.
        source: Box<Source>,
        /// What is done to it, in order.
        steps: Vec<Step>,
        /// `@present`: an empty value leaves the target as it is.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        present: bool,
    },
    /// The record is rejected.
    Reject,
    /// The target's field is left as it is.
    Unchanged,
    /// The branches before cover every value that the schema knows for this slot: an empty value stays empty, and the record is rejected
    /// for another value.
    Uncovered(u32),
}
