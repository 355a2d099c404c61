//! Formulas in the tree: `= a * 5 + coalesce(b, 0) or null`.

use super::name::{Ident, Path};
use super::step::{Argument, Call, Or};
use super::value::Literal;
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

    /// Visits every part of it in the order of the text, itself included, to be changed.
    pub fn each_mut(&mut self, visit: &mut dyn FnMut(&mut ExpressionKind)) {
        visit(&mut self.kind);
        match &mut self.kind {
            ExpressionKind::Field(_) | ExpressionKind::Number(_) | ExpressionKind::Lookup(_) => {}
            ExpressionKind::Negate(inner) => inner.each_mut(visit),
            ExpressionKind::Chain(first, rest) => {
                first.each_mut(visit);
                rest.iter_mut().for_each(|(_, part)| part.each_mut(visit));
            }
            ExpressionKind::Call(_, arguments) => arguments.iter_mut().for_each(|argument| argument.each_mut(visit)),
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
