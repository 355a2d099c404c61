//! Steps with their arguments, texts with fields in them, and what happens if a step fails.

use super::name::{Ident, Path, TableName};
use super::replace::Arm;
use super::value::Literal;
use crate::diagnostics::Span;

/// `NAME(argument, …)`, for a lookup possibly with `or …`.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The whole.
    pub span: Span,
    /// The function.
    pub name: Ident,
    /// What is in the parentheses.
    pub arguments: Vec<Argument>,
    /// `or …`
    pub or: Option<Or>,
    /// Of a lookup the number of its table, once the checker has found it.
    pub table: Option<usize>,
}

/// A string with placeholders.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// The string with its quotes.
    pub span: Span,
    /// Texts and fields in order.
    pub parts: Vec<TemplatePart>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum TemplatePart {
    /// Text as it is.
    Text(String),
    /// `{field}`.
    Field(Path),
    /// `{$name}`.
    Constant(Literal),
}

/// One step of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Name, arguments and `or`.
    pub span: Span,
    /// The step's name.
    pub name: Ident,
    /// What is in parentheses; `None` if there are none.
    pub arguments: Option<Vec<Argument>>,
    /// What follows the name of `map`, `link` and `lookup`.
    pub operand: Option<Operand>,
    /// `or …`.
    pub or: Option<Or>,
}

/// What follows the name of `map`, `link` and `lookup`.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// `map { … }`
    Table {
        /// From the opening to the closing brace.
        span: Span,
        /// The arms in order.
        arms: Vec<Arm>,
        /// An arm that could not be read.
        unread_arms: bool,
    },
    /// `map NAME`: a shared table.
    Shared(Ident),
    /// `link NAME`: a mapping.
    Link(Ident),
    /// `link SYSTEM.TABLE by FIELD`: a table whose records are there already.
    LinkTo {
        /// The table.
        table: TableName,
        /// The field with the key.
        by: Option<Path>,
    },
    /// `lookup TABLE.COLUMN`.
    Lookup {
        /// The table and its column.
        column: Path,
        /// The number of the table, once the checker has found it.
        table: Option<usize>,
    },
}

/// An argument of a step or function.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A literal.
    Literal(Literal),
    /// A field, or a bare word.
    Path(Path),
    /// A field through steps: `telephone1 | phone("DE") or null`.
    Piped(Path, Vec<Step>),
    /// `6 months`, `-90d`
    Period(Period),
}

/// A period of the calendar: `6 months`, `-90d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The whole.
    pub span: Span,
    /// How many months; negative for earlier.
    pub months: i32,
    /// How many seconds in addition; negative for earlier.
    pub seconds: i64,
}

impl Argument {
    /// The field that it reads, and the steps after it.
    pub fn field(&self) -> Option<(&Path, &[Step])> {
        match self {
            Argument::Path(path) => Some((path, &[])),
            Argument::Piped(path, steps) => Some((path, steps)),
            Argument::Literal(_) | Argument::Period(_) => None,
        }
    }

    /// How many arguments with steps are within each other, this one included.
    pub fn depth(&self) -> usize {
        let Argument::Piped(_, steps) = self else { return 0 };
        1 + steps.iter().flat_map(|step| step.arguments.iter().flatten()).map(Argument::depth).max().unwrap_or(0)
    }

    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            Argument::Literal(l) => l.span,
            Argument::Path(p) => p.span,
            Argument::Piped(path, steps) => steps.last().map_or(path.span, |step| path.span.to(step.span)),
            Argument::Period(p) => p.span,
        }
    }
}

/// What happens where a step fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Or {
    /// From `or` on.
    pub span: Span,
    /// The choice.
    pub kind: OrKind,
}

/// The choices after `or`.
#[derive(Clone, Debug, PartialEq)]
pub enum OrKind {
    /// The field becomes empty.
    Null,
    /// This value is written.
    Default(Literal),
    /// The value stays as it was before the step.
    Keep,
    /// The record is rejected.
    Reject,
    /// The link is written when the record that it points to exists.
    Later,
}
