//! Field mappings: where their values come from, cases among them.

use super::condition::Condition;
use super::formula::Formula;
use super::name::{Ident, Path};
use super::step::{Call, Step, Template};
use super::value::Literal;
use super::way::Way;
use crate::diagnostics::Span;

/// `SOURCE -> TARGET | step … @flag`.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldMapping {
    /// The whole.
    pub span: Span,
    /// Where the value comes from.
    pub source: Source,
    /// The arrow.
    pub way: Way,
    /// The place of the arrow.
    pub way_span: Span,
    /// The field that is written.
    pub target: Path,
    /// Whether the source, which is then not a field, is to the right of the arrow: `field <- "text"`.
    pub turned: bool,
    /// What is done to the value, in order.
    pub steps: Vec<Step>,
    /// `@initial`, `@present`.
    pub flags: Vec<Ident>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A field.
    Field(Path),
    /// A literal.
    Literal(Literal),
    /// A string with at least one `{field}` in it.
    Template(Template),
    /// A function over fields.
    Call(Call),
    /// The result of the first condition that is true.
    Case(Case),
    /// Arithmetic over fields.
    Formula(Formula),
}

impl Source {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            Source::Field(path) => path.span,
            Source::Literal(literal) => literal.span,
            Source::Template(template) => template.span,
            Source::Call(call) => call.span,
            Source::Case(case) => case.span,
            Source::Formula(formula) => formula.span,
        }
    }
}

/// `case { CONDITION => RESULT … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The whole.
    pub span: Span,
    /// The branches in order.
    pub branches: Vec<Branch>,
    /// A branch that could not be read.
    pub unread_branches: bool,
}

/// `CONDITION => RESULT | step …`.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// The whole.
    pub span: Span,
    /// `None` for `else`.
    pub condition: Option<Condition>,
    /// What it gives; the bare word `reject` is an outcome.
    pub result: Source,
    /// What is done to the result, in order.
    pub steps: Vec<Step>,
}

impl Case {
    /// How many groups and `case` blocks are within each other, this one included. In a plan, a `case` takes as many levels as two
    /// groups.
    pub fn depth(&self) -> usize {
        let of_branch = |branch: &Branch| {
            let result = match &branch.result {
                Source::Case(case) => case.depth(),
                Source::Formula(formula) => formula.root.depth(),
                Source::Field(_) | Source::Literal(_) | Source::Template(_) | Source::Call(_) => 0,
            };
            branch.condition.as_ref().map_or(0, Condition::depth).max(result)
        };
        2 + self.branches.iter().map(of_branch).max().unwrap_or(0)
    }
}

/// `when CONDITION { … } else { … }`: field mappings that depend on a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct When {
    /// The whole.
    pub span: Span,
    /// The blocks in order.
    pub blocks: Vec<WhenBlock>,
}

/// One block of field mappings.
#[derive(Clone, Debug, PartialEq)]
pub struct WhenBlock {
    /// From `when` or `else` to the closing brace.
    pub span: Span,
    /// `None` for `else`.
    pub condition: Option<Condition>,
    /// The field mappings in order.
    pub fields: Vec<FieldMapping>,
    /// A field mapping that could not be read.
    pub unread_fields: bool,
}
