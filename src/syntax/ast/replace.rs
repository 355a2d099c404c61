//! Replacements: `map` blocks and their cases.

use super::condition::Test;
use super::name::{Ident, Path};
use super::value::Value;
use super::way::Way;
use crate::diagnostics::Span;

/// `replace FIELD { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Replace {
    /// The whole.
    pub span: Span,
    /// The source field.
    pub field: Path,
    /// The shared table that is used instead of cases.
    pub shared: Option<Ident>,
    /// The arms in order.
    pub arms: Vec<Arm>,
    /// An arm that could not be read: what the block leaves out is not known.
    pub unread_arms: bool,
}

/// `value => value`; in a two-way mapping also `value <=> value`, and `value <= value`, which is `value => value` reversed.
#[derive(Clone, Debug, PartialEq)]
pub struct Arm {
    /// The whole.
    pub span: Span,
    /// `None` for `else`.
    pub from: Option<ArmFrom>,
    /// Whether the case applies from left to right, from right to left (then `from` is on the right), or both ways.
    pub way: Way,
    /// The result; the bare words `keep` and `reject` are outcomes.
    pub to: Value,
}

/// What is before the arrow of a case.
#[derive(Clone, Debug, PartialEq)]
pub enum ArmFrom {
    /// A value.
    Value(Value),
    /// A comparison, such as `< 18` or `starts with "10"`.
    Test {
        /// The whole.
        span: Span,
        /// The comparison.
        test: Test,
    },
}

impl ArmFrom {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            ArmFrom::Value(value) => value.span(),
            ArmFrom::Test { span, .. } => *span,
        }
    }
}
