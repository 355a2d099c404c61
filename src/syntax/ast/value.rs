//! Values as they are written: texts, numbers, dates, labels.

use rust_decimal::Decimal;

use super::name::Path;
use crate::diagnostics::Span;
use crate::time::{Date, Instant};

/// A literal with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    /// Its place.
    pub span: Span,
    /// What it is.
    pub value: LiteralValue,
}

/// The kinds of literals.
#[derive(Clone, Debug, PartialEq)]
pub enum LiteralValue {
    /// `null`
    Null,
    /// `true`, `false`
    Boolean(bool),
    /// `42`
    Integer(i64),
    /// `4.2`
    Decimal(Decimal),
    /// `"text"`, without placeholders
    Text(String),
    /// `2024-01-31`
    Date(Date),
    /// `2024-01-31T10:00:00Z`
    Instant(Instant),
    /// `30d`, `12h`, `5m`, in seconds
    Duration(u64),
    /// `$name`: a constant that `let` declares. The checker replaces it with its value first.
    Constant(String),
}

/// A literal or a bare word (an option's label, an enumeration's name).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A literal.
    Literal(Literal),
    /// A bare word.
    Word(Path),
    /// A point in time that the run decides, or a date with an offset. Only in comparisons.
    Moment(Moment),
}

/// `now`, `today`, or a date, with an offset: `now - 30d`.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// The whole.
    pub span: Span,
    /// What the offset is counted from.
    pub base: MomentBase,
    /// The offset, in seconds.
    pub offset: i64,
}

/// What an offset is counted from.
#[derive(Clone, Debug, PartialEq)]
pub enum MomentBase {
    /// The time of the run.
    Now,
    /// The midnight (UTC) before the run.
    Today,
    /// A date or an instant.
    Fixed(Literal),
}

impl Value {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            Value::Literal(l) => l.span,
            Value::Word(p) => p.span,
            Value::Moment(m) => m.span,
        }
    }
}
