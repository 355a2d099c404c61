//! Formulas in the tree: `= a * 5 + coalesce(b, 0) or null`.

use super::{Argument, Call, Ident, Literal, Or, Path};
use crate::diagnostics::Span;

/// Arithmetic over fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    /// From the equals sign to the end of the `or` of the formula.
    pub span: Span,
    /// What is calculated.
    pub root: Expression,
    /// What happens if a division fails.
    pub or: Option<Or>,
}

/// A part of a formula.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// The whole.
    pub span: Span,
    /// What it is.
    pub kind: ExpressionKind,
}

/// The parts of formulas.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpressionKind {
    /// A field.
    Field(Path),
    /// A number or a constant.
    Number(Literal),
    /// `-a`
    Negate(Box<Expression>),
    /// `a + b - c` or `a * b / c`, from left to right. A list, so that a long formula is not a deep one.
    Chain(Box<Expression>, Vec<(Operator, Expression)>),
    /// `min(a, b)`
    Call(Ident, Vec<Expression>),
    /// `lookup(weights.points, code)`
    Lookup(Box<Call>),
}

impl Expression {
    /// The parts directly below it.
    fn parts(&self) -> Vec<&Expression> {
        match &self.kind {
            ExpressionKind::Field(_) | ExpressionKind::Number(_) | ExpressionKind::Lookup(_) => Vec::new(),
            ExpressionKind::Negate(inner) => vec![inner],
            ExpressionKind::Chain(first, rest) => std::iter::once(&**first).chain(rest.iter().map(|(_, part)| part)).collect(),
            ExpressionKind::Call(_, arguments) => arguments.iter().collect(),
        }
    }

    /// Every part of it in the order of the text, itself included.
    pub fn all(&self) -> Vec<&Expression> {
        let mut found = vec![self];
        found.extend(self.parts().into_iter().flat_map(Expression::all));
        found
    }

    /// Every field in it.
    pub fn fields(&self) -> impl Iterator<Item = &Path> {
        self.all().into_iter().flat_map(|part| match &part.kind {
            ExpressionKind::Field(path) => vec![path],
            ExpressionKind::Lookup(call) => call.arguments.iter().skip(1).filter_map(Argument::field).map(|(path, _)| path).collect(),
            _ => Vec::new(),
        })
    }

    /// Every lookup in it, to be changed.
    pub fn lookups_mut(&mut self) -> Vec<&mut Call> {
        match &mut self.kind {
            ExpressionKind::Field(_) | ExpressionKind::Number(_) => Vec::new(),
            ExpressionKind::Lookup(call) => vec![call],
            ExpressionKind::Negate(inner) => inner.lookups_mut(),
            ExpressionKind::Chain(first, rest) => {
                let rest = rest.iter_mut().flat_map(|(_, part)| part.lookups_mut());
                first.lookups_mut().into_iter().chain(rest).collect()
            }
            ExpressionKind::Call(_, arguments) => arguments.iter_mut().flat_map(Expression::lookups_mut).collect(),
        }
    }

    /// Every number and constant in it, to be changed.
    pub fn literals_mut(&mut self) -> Vec<&mut Literal> {
        match &mut self.kind {
            // The keys of a lookup are fields.
            ExpressionKind::Field(_) | ExpressionKind::Lookup(_) => Vec::new(),
            ExpressionKind::Number(literal) => vec![literal],
            ExpressionKind::Negate(inner) => inner.literals_mut(),
            ExpressionKind::Chain(first, rest) => {
                let rest = rest.iter_mut().flat_map(|(_, part)| part.literals_mut());
                first.literals_mut().into_iter().chain(rest).collect()
            }
            ExpressionKind::Call(_, arguments) => arguments.iter_mut().flat_map(Expression::literals_mut).collect(),
        }
    }

    /// How many parts are within each other, at most.
    pub fn depth(&self) -> usize {
        let parts = self.parts();
        if parts.is_empty() { 0 } else { 1 + parts.into_iter().map(Expression::depth).max().unwrap_or(0) }
    }
}

/// An operator of a formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
}

impl Operator {
    /// The sign.
    pub fn sign(self) -> char {
        match self {
            Operator::Add => '+',
            Operator::Subtract => '-',
            Operator::Multiply => '*',
            Operator::Divide => '/',
        }
    }
}
