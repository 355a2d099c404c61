//! Conditions of filters and cases.

use super::name::Path;
use super::value::{Literal, Value};
use crate::diagnostics::Span;

/// How the conditions of a group are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Every condition must be true.
    All,
    /// One condition must be true.
    Any,
}

/// `filter all { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// The whole.
    pub span: Span,
    /// Its conditions.
    pub group: Group,
}

/// `all { … }` or `any { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The whole.
    pub span: Span,
    /// How the conditions are joined.
    pub mode: Mode,
    /// The conditions in order.
    pub conditions: Vec<Condition>,
    /// A condition that could not be read: the group is not empty, even if it seems to be.
    pub unread_conditions: bool,
}

impl Group {
    /// How many groups are within each other, this one included.
    pub fn depth(&self) -> usize {
        1 + self.conditions.iter().map(Condition::depth).max().unwrap_or(0)
    }
}

impl Condition {
    /// How many groups are within each other.
    pub fn depth(&self) -> usize {
        match &self.kind {
            ConditionKind::Group(group) => group.depth(),
            ConditionKind::Test { .. } => 0,
        }
    }
}

/// One condition, which can be negated.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The whole.
    pub span: Span,
    /// Whether an odd number of `not` precedes it.
    pub negated: bool,
    /// What is asked.
    pub kind: ConditionKind,
}

/// What a condition asks.
#[derive(Clone, Debug, PartialEq)]
pub enum ConditionKind {
    /// Nested conditions.
    Group(Group),
    /// A test of one field.
    Test {
        /// The field.
        field: Path,
        /// The test.
        test: Test,
    },
}

/// A test of one field.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// `is present`
    Present,
    /// `is empty`
    Empty,
    /// `= value` and similar comparisons
    Relation(Relation, Value),
    /// `in (…)`
    In(Vec<Value>),
    /// `between a and b`, both included
    Between(Value, Value),
    /// `changed within 30d`, in seconds
    Within(Literal),
    /// `contains`, `starts with`, `ends with`
    Text(TextTest, Value),
    /// `matches "regex"`
    Matches(Literal),
}

/// `=`, `!=`, `<`, `<=`, `>`, `>=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Relation {
    /// The sign.
    pub fn sign(self) -> &'static str {
        match self {
            Relation::Equal => "=",
            Relation::NotEqual => "!=",
            Relation::Less => "<",
            Relation::LessOrEqual => "<=",
            Relation::Greater => ">",
            Relation::GreaterOrEqual => ">=",
        }
    }
}

/// Tests of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextTest {
    /// `contains`
    Contains,
    /// `starts with`
    StartsWith,
    /// `ends with`
    EndsWith,
}

impl TextTest {
    /// The words.
    pub fn words(self) -> &'static str {
        match self {
            TextTest::Contains => "contains",
            TextTest::StartsWith => "starts with",
            TextTest::EndsWith => "ends with",
        }
    }
}
