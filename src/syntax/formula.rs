//! The builder's part for formulas: `= a * 5 + coalesce(b, 0)`.

use pest::iterators::Pair;

use super::ast::*;
use super::build::Builder;
use super::parse::Rule;
use super::scan::MAX_DEPTH;
use crate::diagnostics::{Code, Diagnostic, Span};

impl Builder<'_> {
    /// A `formula` pair.
    pub(super) fn formula(&mut self, pair: Pair<'_, Rule>) -> Option<Formula> {
        let span = self.span(&pair);
        let (mut root, mut or) = (None, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::sum => root = Some(self.chain(part)?),
                Rule::or_clause => or = Some(self.or_clause(part)?),
                _ => {}
            }
        }
        let root = root?;
        if root.depth() >= MAX_DEPTH {
            let message = format!("this formula is nested more than {} deep", MAX_DEPTH - 1);
            let diagnostic =
                Diagnostic::new(Code::D004, span, message, "too deep").help("write the formula with fewer parentheses and functions");
            self.diagnostics.push(diagnostic);
            return None;
        }
        Some(Formula { span, root, or })
    }

    /// A sum or a product: operands with operators between them.
    fn chain(&mut self, pair: Pair<'_, Rule>) -> Option<Expression> {
        let span = self.span(&pair);
        let (mut first, mut rest, mut operator) = (None, Vec::new(), None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::plus_minus | Rule::times_over => {
                    operator = Some(match part.as_str().trim_end() {
                        "+" => Operator::Add,
                        "-" => Operator::Subtract,
                        "*" => Operator::Multiply,
                        _ => Operator::Divide,
                    });
                }
                Rule::product | Rule::wide_product | Rule::factor => {
                    let operand = if part.as_rule() == Rule::factor { self.factor(part)? } else { self.chain(part)? };
                    match operator.take() {
                        None => first = Some(operand),
                        Some(operator) => rest.push((operator, operand)),
                    }
                }
                _ => {}
            }
        }
        let first = first?;
        Some(if rest.is_empty() { first } else { Expression { span, kind: ExpressionKind::Chain(Box::new(first), rest) } })
    }

    fn factor(&mut self, pair: Pair<'_, Rule>) -> Option<Expression> {
        let whole = self.span(&pair);
        let (mut negated, mut found) = (false, None);
        for part in pair.into_inner() {
            let span = self.span(&part);
            match part.as_rule() {
                Rule::minus => negated = true,
                Rule::nested => {
                    let inner = part.into_inner().find(|p| p.as_rule() == Rule::wide_sum)?;
                    // A finding about it is also one about the parentheses.
                    found = Some(Expression { span, ..self.chain(inner)? });
                }
                Rule::formula_call => {
                    let mut inner = part.into_inner();
                    let name = self.ident(&inner.next()?);
                    let arguments: Vec<_> = inner.filter(|p| p.as_rule() == Rule::wide_sum).collect();
                    let arguments = arguments.into_iter().map(|p| self.chain(p)).collect::<Option<Vec<_>>>()?;
                    found = Some(Expression { span, kind: call(span, name, arguments) });
                }
                Rule::path => found = Some(Expression { span, kind: ExpressionKind::Field(self.path(part)) }),
                Rule::amount | Rule::constant => found = Some(Expression { span, kind: ExpressionKind::Number(self.literal(part)?) }),
                _ => {}
            }
        }
        let inner = found?;
        Some(if negated { Expression { span: whole, kind: ExpressionKind::Negate(Box::new(inner)) } } else { inner })
    }
}

/// A function; `lookup(TABLE.COLUMN, FIELD, …)` reads no numbers, so it is a call as elsewhere.
fn call(span: Span, name: Ident, arguments: Vec<Expression>) -> ExpressionKind {
    let path = |argument: &Expression| match &argument.kind {
        ExpressionKind::Field(path) => Some(Argument::Path(path.clone())),
        _ => None,
    };
    match arguments.iter().map(path).collect::<Option<Vec<_>>>() {
        Some(arguments) if name.text == "lookup" => ExpressionKind::Lookup(Box::new(Call { span, name, arguments, or: None, table: None })),
        _ => ExpressionKind::Call(name, arguments),
    }
}
