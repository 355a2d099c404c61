//! Where a node of the plan comes from.

use serde::{Deserialize, Serialize};

/// A place in a mapping file. Lines and columns count from 1, columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct At {
    /// Index into [`ExecutionPlan::files`].
    pub file: u32,
    /// The first line.
    pub line: u32,
    /// The first column.
    pub column: u32,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}
