//! The types of the plan. What compiles to a plan needs no further check before it runs.
//!
//! A plan is data: versioned, serialisable, the same bytes for the same input. Names are resolved to slots, literals to
//! typed constants, replacements to tables, implicit conversions to steps; every node keeps its place in the mapping file,
//! so that a rejected record points at the line that rejected it.

mod condition;
mod events;
mod flow;
mod optout;
mod place;
mod policy;
mod program;
mod query;
mod step;
mod two_way;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::lookup::LookupTable;
pub use crate::syntax::ast::{Mode, Relation, TextTest, Way};
pub use crate::value::{Const, Fit};
pub use condition::*;
pub use events::*;
pub use flow::*;
pub use optout::*;
pub use place::*;
pub use policy::*;
pub use program::*;
pub use query::*;
pub use step::*;
pub use two_way::*;

/// The version of the plan's format. A runner refuses a plan of another version.
pub const FORMAT: u32 = 10;

/// Everything that the runner executes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutionPlan {
    /// [`FORMAT`] of the compiler that made it.
    pub format: u32,
    /// The mapping files, by their paths with `/` relative to the project; [`At::file`] counts in this list.
    pub files: Vec<String>,
    /// The tables that values are looked up in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<Arc<LookupTable>>,
    /// The flows from Dynamics to Campaign, in order of dependence, then of name.
    pub ingress: Vec<IngressFlow>,
    /// Opt-outs, in every direction but `disabled`, by name of their mapping.
    pub optouts: Vec<OptoutFlow>,
    /// Marketing events from Campaign to Dynamics, by name.
    pub events: Vec<EventFlow>,
    /// Two-way mappings, by name.
    pub two_way: Vec<TwoWayFlow>,
}
