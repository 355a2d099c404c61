//! The severities that a project sets for itself.

use std::collections::BTreeMap;

use super::Code;

/// What a project sets for a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It is reported as an error.
    Error,
    /// It is reported as a warning.
    Warning,
    /// It is not reported.
    Off,
}

/// The severities that a project sets; all other codes have their own.
pub type Levels = BTreeMap<Code, Level>;
