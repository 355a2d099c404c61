//! Opt-out blocks, and the cases that say what a value means.

use super::mapping::Setting;
use super::name::{Ident, Path};
use super::replace::Arm;
use crate::diagnostics::Span;

/// `optout NAME { direction …; a <-> b }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Optout {
    /// The whole.
    pub span: Span,
    /// The mapping whose records it concerns.
    pub mapping: Ident,
    /// Every `direction` in order; one is allowed.
    pub directions: Vec<Setting>,
    /// The pairs of fields.
    pub pairs: Vec<OptoutPair>,
    /// A line that could not be read.
    pub unread: bool,
}

/// `donotemail <-> denyListEmail`, optionally with `not` before the second, or with cases.
#[derive(Clone, Debug, PartialEq)]
pub struct OptoutPair {
    /// The whole.
    pub span: Span,
    /// The field in Dynamics.
    pub source: Path,
    /// Whether the two say opposite things.
    pub inverted: bool,
    /// The attribute in Campaign.
    pub target: Path,
    /// What each value of the field means.
    pub cases: Option<Cases>,
}

/// `{ Given => in; else => out }` of an opt-out pair.
#[derive(Clone, Debug, PartialEq)]
pub struct Cases {
    /// The whole, with its braces.
    pub span: Span,
    /// The cases, whose results are the words `in` and `out`.
    pub arms: Vec<Arm>,
    /// A case that could not be read.
    pub unread: bool,
}
