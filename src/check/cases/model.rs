//! Tests, ready to run.

use crate::diagnostics::Span;
use crate::plan::Const;
use crate::time::Instant;

/// One test, ready to run.
#[derive(Clone, Debug, PartialEq)]
pub struct TestCase {
    /// The mapping that is tested.
    pub mapping: String,
    /// Whether the record is one of the right side of a two-way mapping, and goes to the left.
    pub backward: bool,
    /// What the test shows.
    pub title: String,
    /// The whole block.
    pub span: Span,
    /// The record as the source sends it (JSON).
    pub record: String,
    /// The items of the record's lists, and the rows that lead to it.
    pub items: Vec<GivenItem>,
    /// The time of the run; `None` for that of the test's run.
    pub now: Option<Instant>,
    /// What should happen to the record.
    pub expected: Expected,
    /// The place of the expectation.
    pub expected_span: Span,
}

/// What should happen to a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// It is mapped.
    Mapped(ExpectedRecord),
    /// The filter keeps it out.
    Filtered,
    /// It is rejected, under this code where one is given.
    Rejected(Option<String>),
}

/// An item of a list that a test gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenItem {
    /// The place of the list in the mapping.
    pub list: usize,
    /// The item as its system sends it (JSON).
    pub record: String,
}

/// What a mapped record should have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExpectedRecord {
    /// Fields with their values.
    pub fields: Vec<ExpectedField>,
    /// Lists with all their items.
    pub lists: Vec<ExpectedList>,
}

/// The items that a list should have, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedList {
    /// The place of the list in the mapping.
    pub list: usize,
    /// Its name in the test.
    pub name: String,
    /// The fields of each item.
    pub items: Vec<Vec<ExpectedField>>,
}

/// The value that a field should have.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedField {
    /// The target's path by the names on the wire, dotted.
    pub path: String,
    /// The value; `None` for a field that is not written.
    pub value: Option<Const>,
    /// Its place.
    pub span: Span,
}
