//! Conditions of filters and cases.

use serde::{Deserialize, Serialize};

use super::place::At;
use crate::syntax::ast::{Mode, Relation, TextTest};
use crate::value::Const;

/// A condition of a filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Its place.
    pub at: At,
    /// Whether its result is negated.
    pub negated: bool,
    /// What is asked.
    pub kind: ConditionKind,
}

/// What a condition asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConditionKind {
    /// All or any of several conditions.
    Group {
        /// All or any.
        mode: Mode,
        /// The conditions.
        conditions: Vec<Condition>,
    },
    /// A test of one slot; every test but `Empty` is false for a missing value.
    Test {
        /// The slot.
        slot: u32,
        /// The test.
        test: Test,
    },
}

/// A test of one value. Text is compared without regard to case, as Dataverse does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Test {
    /// There is a value. Text of only white space does not count.
    Present,
    /// The value is empty.
    Empty,
    /// A comparison with a constant.
    Relation(Relation, Const),
    /// A comparison with the value of another slot; false if that is missing.
    Field(Relation, u32),
    /// Equal to one of these.
    In(Vec<Const>),
    /// From the first to the second, both included.
    Between(Const, Const),
    /// An instant at most this many seconds before the run.
    Within(u64),
    /// A comparison with a point in time that the run decides.
    Relative {
        /// The comparison.
        relation: Relation,
        /// What the offset is counted from.
        base: RelativeBase,
        /// The offset in seconds.
        offset: i64,
    },
    /// A comparison of text.
    Text(TextTest, String),
    /// A match anywhere in the text, unless the expression is anchored.
    Matches(String),
    /// The option is among several chosen ones.
    HasOption(i64),
}

/// What an offset in a comparison is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelativeBase {
    /// The time of the run.
    Now,
    /// The midnight (UTC) before the run.
    Today,
}
