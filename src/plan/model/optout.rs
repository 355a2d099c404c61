//! Opt-outs: which fields of both sides belong together, and what their values mean.

use serde::{Deserialize, Serialize};

use super::place::At;
use super::query::SlotKind;
use super::step::Replacement;
use crate::value::Const;

/// How opt-outs move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Nothing moves.
    Disabled,
    /// Dynamics is the source.
    D365ToCampaign,
    /// Campaign is the source.
    CampaignToD365,
    /// The later change wins; where that is not decided, an opt-out does.
    Bidirectional,
}

/// The opt-outs of one mapping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptoutFlow {
    /// The mapping whose records it concerns.
    pub mapping: String,
    /// The block.
    pub at: At,
    /// Any but [`Direction::Disabled`].
    pub direction: Direction,
    /// The pairs, in the order of the file.
    pub pairs: Vec<OptoutPair>,
    /// The pairs are topics: the target of each is the name of a service, and to be subscribed to it is the consent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub topics: bool,
}

impl OptoutFlow {
    /// The name of its workflow.
    pub fn workflow(&self) -> String {
        format!("{}.{}", self.mapping, if self.topics { "topics" } else { "optout" })
    }

    /// Whether a value of a pair's property, which is true or false, is an opt-out.
    pub fn is_opt_out(&self, pair: &OptoutPair, value: bool) -> bool {
        value != (pair.inverted != self.topics)
    }
}

/// One pair of opt-out fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptoutPair {
    /// The line.
    pub at: At,
    /// The property of the Dynamics record.
    pub source: String,
    /// The attribute of the profile, by its name on the wire; of a topic, the name of the service.
    pub target: String,
    /// Whether `true` on one side is `false` on the other.
    pub inverted: bool,
    /// What the values of the property mean, if it is not true or false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<Box<Meaning>>,
}

/// Which values of a property say that a person has opted out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meaning {
    /// How the property is read.
    pub kind: SlotKind,
    /// For every value whether the person has opted out: every outcome is true or false.
    pub cases: Replacement,
    /// What is written for an opt-out of Campaign; `None` if nothing is written to Dynamics.
    pub opted_out: Option<Written>,
    /// What is written for a consent of Campaign.
    pub opted_in: Option<Written>,
}

/// A value that Dynamics gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Written {
    /// This value.
    Constant(Const),
    /// The time of the run.
    Now,
}
