//! Test blocks.

use super::name::{Ident, Path};
use super::value::{Literal, Value};
use crate::diagnostics::Span;

/// `test NAME "title" { given { … } expect … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct TestBlock {
    /// The whole.
    pub span: Span,
    /// The mapping that is tested.
    pub mapping: Ident,
    /// What the test shows.
    pub title: Literal,
    /// Every clause in order.
    pub clauses: Vec<Clause>,
    /// A clause that could not be read.
    pub unread: bool,
}

/// A clause of a test.
#[derive(Clone, Debug, PartialEq)]
pub enum Clause {
    /// `given { field: value }`, or `given SYSTEM { … }`: the record.
    Given {
        /// The whole.
        span: Span,
        /// The system whose record it is.
        system: Option<Ident>,
        /// The fields of the record.
        values: Vec<Assignment>,
    },
    /// `now 2024-01-31`: the time of the run.
    Clock {
        /// The whole.
        span: Span,
        /// A date or an instant.
        at: Literal,
    },
    /// `expect …`.
    Expect {
        /// The whole.
        span: Span,
        /// The system that gets what is expected.
        system: Option<Ident>,
        /// What should happen to the record.
        kind: Expectation,
    },
}

/// What should happen to a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Expectation {
    /// It is mapped, and these fields have these values.
    Mapped(Vec<Assignment>),
    /// The filter keeps it out.
    Filtered,
    /// It is rejected, optionally with this code.
    Rejected(Option<Literal>),
}

/// `field: value`, `field absent`, or `list { field: value … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The whole.
    pub span: Span,
    /// The field.
    pub field: Path,
    /// What it has.
    pub value: Assigned,
}

/// What a test gives or expects of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Assigned {
    /// `field: value`.
    Value(Value),
    /// `field absent`.
    Absent,
    /// `list { … }`: one item of a list.
    Item(Vec<Assignment>),
}
