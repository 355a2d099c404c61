//! Formulas: the range and the decimals of what they give, and whether they can fail.
//!
//! Every number is an exact decimal of at most 28 digits, so that no formula loses a digit. Only a quotient is rounded, to
//! [`QUOTIENT_SCALE`] decimals.

use rust_decimal::Decimal;

use super::Context;
use super::entry::{Checker, Origin};
use super::replace::Expect;
use super::types::{Ty, Typed, constant};
use crate::diagnostics::{Code, Diagnostic, Safety, Span, near};
use crate::eval::quotient;
use crate::plan::{Const, Formula, LookupBy, OnFailure, QUOTIENT_SCALE, Source, Term, TermPart};
use crate::steps::FORMULA_FUNCTIONS;
use crate::syntax::ast::{self, Expression, ExpressionKind, Operator, OrKind};

/// Digits that a decimal number holds, before and after the point together.
const DIGITS: u32 = 28;

/// What a part of a formula can be.
#[derive(Clone, Copy)]
struct Number {
    scale: u32,
    min: Decimal,
    max: Decimal,
    nullable: bool,
}

impl Number {
    fn of(typed: &Typed) -> Option<Number> {
        let (scale, min, max) = match &typed.ty {
            Ty::Integer { min, max } => (0, Decimal::from(*min), Decimal::from(*max)),
            Ty::Decimal { scale, min, max } => (*scale, *min, *max),
            _ => return None,
        };
        Some(Number { scale, min, max, nullable: typed.nullable })
    }

    /// The type: a whole number if it has no decimals.
    fn typed(&self) -> Typed {
        let ty = match (self.scale, i64::try_from(self.min), i64::try_from(self.max)) {
            (0, Ok(min), Ok(max)) => Ty::Integer { min, max },
            _ => Ty::Decimal { scale: self.scale, min: self.min, max: self.max },
        };
        Typed::new(ty, self.nullable)
    }

    /// Whether every number of the range has at most 28 digits, if it is written with this many decimals.
    fn holds(&self, scale: u32) -> bool {
        let whole = |d: Decimal| if d.trunc().is_zero() { 0 } else { d.trunc().abs().to_string().len() };
        whole(self.min).max(whole(self.max)) + scale as usize <= DIGITS as usize
    }

    /// The range from the least to the greatest of these.
    fn spanned(corners: impl Iterator<Item = Option<Decimal>>, scale: u32, nullable: bool) -> Option<Number> {
        let corners: Vec<Decimal> = corners.collect::<Option<_>>()?;
        Some(Number { scale, min: *corners.iter().min()?, max: *corners.iter().max()?, nullable })
    }

    /// The sum, difference, product or quotient; `None` if it can have more than 28 digits.
    fn with(self, operator: Operator, other: Number) -> Option<Number> {
        let nullable = self.nullable || other.nullable;
        let aligned = self.scale.max(other.scale);
        let fits = |number: &Number| number.holds(aligned);
        let number = match operator {
            // Numbers are aligned before they are added or divided.
            Operator::Add | Operator::Subtract | Operator::Divide if !(fits(&self) && fits(&other)) => return None,
            Operator::Add | Operator::Subtract => {
                let other = if operator == Operator::Add { other } else { other.negative() };
                let (min, max) = (self.min.checked_add(other.min)?, self.max.checked_add(other.max)?);
                Number { scale: aligned, min, max, nullable }
            }
            Operator::Multiply => {
                let corners = [(self.min, other.min), (self.min, other.max), (self.max, other.min), (self.max, other.max)];
                Number::spanned(corners.into_iter().map(|(a, b)| a.checked_mul(b)), self.scale + other.scale, nullable)?
            }
            Operator::Divide => {
                let divisors = other.divisors();
                let corners = divisors.iter().flat_map(|by| [quotient(self.min, *by), quotient(self.max, *by)]);
                Number::spanned(corners, QUOTIENT_SCALE, nullable)?
            }
        };
        number.holds(number.scale).then_some(number)
    }

    /// The divisors that give the least and the greatest quotients: the ends of the range, and the numbers next to zero.
    fn divisors(&self) -> Vec<Decimal> {
        let unit = Decimal::try_new(1, self.scale.min(DIGITS)).unwrap_or(Decimal::ONE);
        let mut divisors = vec![self.min, self.max];
        if self.has_zero() {
            divisors.extend([-unit, unit]);
        }
        divisors.retain(|by| !by.is_zero() && self.min <= *by && *by <= self.max);
        divisors
    }

    fn negative(self) -> Number {
        let turned = |d: Decimal| if d.is_zero() { Decimal::ZERO } else { -d };
        Number { min: turned(self.max), max: turned(self.min), ..self }
    }

    fn absolute(self) -> Number {
        let (low, high) = (self.min.abs(), self.max.abs());
        let min = if self.has_zero() { Decimal::ZERO } else { low.min(high) };
        Number { min, max: low.max(high), ..self }
    }

    fn has_zero(&self) -> bool {
        self.min <= Decimal::ZERO && Decimal::ZERO <= self.max
    }
}

/// What the walk through a formula needs and finds.
struct Walk {
    entry: Span,
    /// The first division whose divisor can be zero.
    division: Option<Span>,
}

impl Checker<'_> {
    /// A formula as the source of a value.
    pub(super) fn formula(&mut self, formula: &ast::Formula, entry: Span, context: &mut Context<'_>) -> Option<Origin> {
        let mut walk = Walk { entry, division: None };
        let (term, mut number) = self.term(&formula.root, &mut walk, context)?;
        let on_failure = match (walk.division, &formula.or) {
            (_, None) => None,
            (None, Some(or)) => {
                let before = Span { start: formula.root.span.end, ..or.span };
                context.report(
                    Diagnostic::new(Code::D207, or.span, "this formula cannot fail", "this never happens").help("remove the `or`").fix(
                        Safety::Safe,
                        "remove the `or`",
                        before,
                        "",
                    ),
                );
                return None;
            }
            (Some(_), Some(or)) => Some(outcome(or, &mut number, context)?),
        };
        let typed = number.typed();
        let on_failure = on_failure.map(|outcome| match outcome {
            OnFailure::Default(value) => OnFailure::Default(typed.ty.represent(value)),
            other => other,
        });
        let whole = matches!(typed.ty, Ty::Integer { .. });
        let unanswered = walk.division.filter(|_| formula.or.is_none());
        Some(Origin { unanswered, ..Origin::new(Source::Formula(Formula { term, whole, steps: Vec::new(), on_failure }), typed) })
    }

    fn term(&mut self, expression: &Expression, walk: &mut Walk, context: &mut Context<'_>) -> Option<(Term, Number)> {
        match &expression.kind {
            ExpressionKind::Number(literal) => {
                let value = constant(&literal.value);
                let ty = Ty::of_constant(&value);
                match (value, Number::of(&Typed::new(ty.clone(), false))) {
                    (Const::Integer(n), Some(number)) => Some((Term::Number(n.into()), number)),
                    (Const::Decimal(d), Some(number)) => Some((Term::Number(d), number)),
                    _ => not_a_number(expression.span, &ty, context),
                }
            }
            ExpressionKind::Field(path) => {
                let reading = self.read(path, walk.entry, &Expect::Any(None), None, context)?;
                let Some(number) = Number::of(&reading.typed) else { return not_a_number(path.span, &reading.typed.ty, context) };
                Some((Term::Field(reading.read), number))
            }
            ExpressionKind::Negate(inner) => {
                let (term, number) = self.term(inner, walk, context)?;
                Some((Term::Negative(Box::new(term)), number.negative()))
            }
            ExpressionKind::Chain(first, rest) => self.chain(first, rest, walk, context),
            ExpressionKind::Call(name, arguments) => self.function(name, arguments, expression.span, walk, context),
            ExpressionKind::Lookup(call) => {
                let (by, typed, missing) = self.lookup_by(call, walk.entry, &Expect::Any(None), context)?;
                let Some(number) = Number::of(&typed) else {
                    let span = call.arguments.first().map_or(call.span, ast::Argument::span);
                    return not_a_number(span, &typed.ty, context);
                };
                // As a field that is empty: `coalesce` gives another number.
                let on_failure = missing.is_some().then_some(OnFailure::Null);
                let nullable = number.nullable || on_failure.is_some();
                Some((Term::Lookup(Box::new(LookupBy { on_failure, ..by })), Number { nullable, ..number }))
            }
        }
    }

    /// Operands with operators between them, from left to right.
    fn chain(
        &mut self,
        first: &Expression,
        rest: &[(Operator, Expression)],
        walk: &mut Walk,
        context: &mut Context<'_>,
    ) -> Option<(Term, Number)> {
        // All operands are checked, so that all faults are reported.
        let checked = self.term(first, walk, context);
        let operands: Vec<Option<(Term, Number)>> = rest.iter().map(|(_, operand)| self.term(operand, walk, context)).collect();
        let (first_term, mut number) = checked?;
        let mut parts = Vec::with_capacity(rest.len());
        for ((operator, expression), (term, operand)) in rest.iter().zip(operands.into_iter().collect::<Option<Vec<_>>>()?) {
            let span = first.span.to(expression.span);
            if *operator == Operator::Divide && operand.has_zero() {
                if operand.divisors().is_empty() {
                    context.report(
                        Diagnostic::new(Code::D220, expression.span, "this formula always divides by zero", "always zero")
                            .help("divide by another number, or remove the division"),
                    );
                    return None;
                }
                walk.division.get_or_insert(span);
            }
            let Some(result) = number.with(*operator, operand) else {
                return too_many_digits(span, *operator == Operator::Divide, context);
            };
            number = result;
            parts.push(TermPart { operator: *operator, term });
        }
        Some((Term::Chain { first: Box::new(first_term), rest: parts }, number))
    }

    /// A function of [`FORMULA_FUNCTIONS`] that calculates with numbers.
    fn function(
        &mut self,
        name: &ast::Ident,
        arguments: &[Expression],
        span: Span,
        walk: &mut Walk,
        context: &mut Context<'_>,
    ) -> Option<(Term, Number)> {
        let names = || FORMULA_FUNCTIONS.iter().map(|function| function.name);
        let Some(function) = FORMULA_FUNCTIONS.iter().find(|function| function.name == name.text) else {
            let message = format!("formulas have no function `{}`", name.text);
            context.report(Diagnostic::new(Code::D107, name.span, message, "unknown function").meant(
                near(&name.text, names()),
                name.span,
                || format!("the functions of formulas are {}; steps may follow the formula", super::types::list(names(), 9)),
            ));
            return None;
        };
        if function.name == "lookup" {
            context.report(
                Diagnostic::new(Code::D209, span, "`lookup` has the wrong arguments", "expected a column of a table and fields")
                    .help("write `lookup(table.column, field)`, with a field for each key column of the table"),
            );
            return None;
        }
        let checked: Vec<Option<(Term, Number)>> = arguments.iter().map(|a| self.term(a, walk, context)).collect();
        let (mut terms, numbers): (Vec<Term>, Vec<Number>) = checked.into_iter().collect::<Option<Vec<_>>>()?.into_iter().unzip();
        let wanted = if function.name == "abs" { 1..=1 } else { 1..=usize::MAX };
        let Some(first) = numbers.first().copied().filter(|_| wanted.contains(&numbers.len())) else {
            let label = if function.name == "abs" { "expected one number" } else { "expected one number or more" };
            let message = format!("`{}` has the wrong arguments", function.name);
            context.report(Diagnostic::new(Code::D209, span, message, label).help(format!("write `{}`", function.usage)));
            return None;
        };
        let joined = |nullable: bool, min: fn(Decimal, Decimal) -> Decimal, max: fn(Decimal, Decimal) -> Decimal| {
            numbers.iter().fold(Number { nullable, ..first }, |all, one| Number {
                scale: all.scale.max(one.scale),
                min: min(all.min, one.min),
                max: max(all.max, one.max),
                nullable,
            })
        };
        let (any, all) = (numbers.iter().any(|n| n.nullable), numbers.iter().all(|n| n.nullable));
        let (term, number) = match function.name {
            "coalesce" => (Term::Coalesce(terms), joined(all, Decimal::min, Decimal::max)),
            "min" => (Term::Min(terms), joined(any, Decimal::min, Decimal::min)),
            "max" => (Term::Max(terms), joined(any, Decimal::max, Decimal::max)),
            _ => (Term::Absolute(Box::new(terms.pop()?)), first.absolute()),
        };
        if !number.holds(number.scale) {
            return too_many_digits(span, false, context);
        }
        Some((term, number))
    }

    /// The step whose `or` says what happens if a division fails: the first that has one.
    pub(super) fn answering(field: &ast::FieldMapping, division: Span, context: &mut Context<'_>) -> Option<usize> {
        let found = field.steps.iter().position(|step| step.or.is_some());
        if found.is_none() {
            let end = field.source.span();
            context.report(
                Diagnostic::new(
                    Code::D220,
                    division,
                    "this formula can divide by zero, but does not say what happens then",
                    "may divide by zero",
                )
                .help("add `or null`, `or default(0)` or `or reject` to the formula; or divide by a number that is never zero: `max(a, 1)`")
                .fix(Safety::Unsafe, "add `or null`", Span { start: end.end, ..end }, " or null"),
            );
        }
        found
    }
}

/// What the `or` of a formula says.
fn outcome(or: &ast::Or, number: &mut Number, context: &mut Context<'_>) -> Option<OnFailure> {
    let mut mismatch = |span: Span, label: &str| {
        context.report(
            Diagnostic::new(Code::D213, span, "the value that `or` leaves does not fit", label)
                .help("write `or null`, `or default(0)` or `or reject`"),
        );
        None
    };
    match &or.kind {
        OrKind::Null => {
            number.nullable = true;
            Some(OnFailure::Null)
        }
        OrKind::Reject => Some(OnFailure::Reject),
        OrKind::Keep => mismatch(or.span, "a formula has no value to keep"),
        OrKind::Later => mismatch(or.span, "only a link can be written later"),
        OrKind::Default(literal) => {
            let value = constant(&literal.value);
            let Some(other) = Number::of(&Typed::new(Ty::of_constant(&value), false)) else {
                return mismatch(literal.span, "not a number");
            };
            let (min, max) = (number.min.min(other.min), number.max.max(other.max));
            *number = Number { scale: number.scale.max(other.scale), min, max, ..*number };
            Some(OnFailure::Default(value))
        }
    }
}

fn not_a_number<T>(span: Span, ty: &Ty, context: &mut Context<'_>) -> Option<T> {
    let help = match ty {
        Ty::Double => "a floating-point number is not exact: map the field on its own, with `| round(2) or null`",
        Ty::Choice(_) => "give each option a number in a `replace` block: `replace FIELD { OPTION => 1; else => 0 }`",
        Ty::Text { .. } | Ty::Words(_) => "formulas calculate with numbers only; to join texts, write `\"{a} {b}\"`",
        Ty::Date | Ty::Instant | Ty::Local => "to count days or years between dates, use a step: `createdon -> … | days(modifiedon)`",
        _ => "formulas calculate with whole and decimal numbers only",
    };
    context.report(Diagnostic::new(Code::D218, span, "formulas can only calculate with numbers", ty.describe()).help(help));
    None
}

fn too_many_digits<T>(span: Span, quotient: bool, context: &mut Context<'_>) -> Option<T> {
    let help = if quotient {
        "a quotient has 10 decimals: use a divisor with fewer decimals, or one that is not close to zero: `max(a, 1)`"
    } else {
        "limit the operands with `min(a, 1000)`, or use fields with a smaller range or fewer decimals"
    };
    context.report(Diagnostic::new(Code::D219, span, "the result can have more than 28 digits", "too many digits").help(help));
    None
}
