//! Opt-outs of fields that are not true or false: which of their values say that a person has opted out, and which value Dynamics gets
//! for an opt-out or a consent of Campaign.

use super::Context;
use super::names::SourceField;
use super::replace::{self, Expect};
use super::types::{Ty, convert, fit_of};
use super::values::resolve;
use crate::diagnostics::{Code, Diagnostic, Safety, Span};
use crate::plan::{Const, Direction, Fit, Meaning, SlotKind, Written};
use crate::schema::FieldType;
use crate::syntax::ast::{self, Arm, ArmFrom, LiteralValue, Test, Value};

/// What the values of a field mean.
pub(super) fn check(
    pair: &ast::OptoutPair,
    cases: &ast::Cases,
    from: &SourceField,
    kind: SlotKind,
    direction: Direction,
    context: &mut Context<'_>,
) -> Option<Meaning> {
    if pair.inverted {
        context.report(
            Diagnostic::new(Code::D611, pair.span, "a pair with cases has no `not`", "the cases say what each value means")
                .help("remove the `not`, and write `out` where the person has opted out"),
        );
        return None;
    }
    let mut known = true;
    let arms: Vec<Arm> = cases
        .arms
        .iter()
        .filter_map(|arm| {
            let flag = said(&arm.to);
            if flag.is_none() {
                known = false;
                context.report(
                    Diagnostic::new(Code::D611, arm.to.span(), "a case of an opt-out gives `in` or `out`", "expected `in` or `out`")
                        .help("write `out` if the person has opted out with this value, else `in`"),
                );
            }
            let literal = ast::Literal { span: arm.to.span(), value: LiteralValue::Boolean(flag?) };
            Some(Arm { to: Value::Literal(literal), ..arm.clone() })
        })
        .collect();
    let checked = replace::check_arms(&arms, cases.unread || !known, cases.span, from, true, context)?;
    let unsaid = pair.target.unsaid();
    let open: Vec<(&str, String)> = match checked.open(from.typed.nullable) {
        (false, false) => Vec::new(),
        (null, others) => [(null, "an empty field", "null"), (others, "every other value", "else")]
            .into_iter()
            .filter(|(open, ..)| *open)
            .map(|(_, what, case)| (what, format!("{case} => {unsaid}")))
            .collect(),
    };
    if !open.is_empty() {
        let (missing, lines): (Vec<&str>, Vec<String>) = open.into_iter().unzip();
        let (missing, line) = (missing.join(" and "), lines.join("; "));
        let other = if unsaid == "in" { "out" } else { "in" };
        context.report(
            Diagnostic::new(Code::D611, cases.span, format!("this does not say what {missing} means"), "expected a case for every value")
                .help(format!("add `{line}`, or `{other}` in place of `{unsaid}`"))
                .fix(Safety::Unsafe, format!("add `{line}`"), before_end(cases.span), format!("; {line} ")),
        );
        return None;
    }
    let expect = Expect::Target(&Fit::Boolean, "the opt-out");
    let table = replace::apply(&checked, &from.typed, None, &expect, pair.span, context)?.replacement;
    let mut meaning = Meaning { kind, cases: table, opted_out: None, opted_in: None };
    if direction != Direction::D365ToCampaign {
        // A date says since when, unless another case could mean the opposite of the time of the run.
        let is_date = matches!(from.field.ty, FieldType::Date | FieldType::DateTime | FieldType::LocalDateTime);
        let by_time = is_date && meaning.cases.entries.is_empty() && meaning.cases.tests.is_empty();
        meaning.opted_out = Some(written(true, cases, from, by_time, context)?);
        meaning.opted_in = Some(written(false, cases, from, by_time, context)?);
    }
    Some(meaning)
}

/// Whether a result says that the person has opted out; `None` if it is neither word.
fn said(value: &Value) -> Option<bool> {
    let Value::Word(path) = value else { return None };
    match path.text().as_str() {
        "out" => Some(true),
        "in" => Some(false),
        _ => None,
    }
}

/// Whether a field can hold a value. Only what is compared with it may be longer or greater.
fn holds(ty: &FieldType, value: &Const) -> bool {
    fit_of(ty).is_some_and(|fit| convert(&Ty::of_constant(value), &fit).is_ok())
}

/// The place of the closing brace.
fn before_end(span: Span) -> Span {
    Span { start: span.end - 1, end: span.end - 1, ..span }
}

/// What Dynamics gets for an opt-out (`out`) or a consent of Campaign: the first case of the file that says so. `by_time`: the time of the run
/// is a value for `else`.
fn written(out: bool, cases: &ast::Cases, from: &SourceField, by_time: bool, context: &mut Context<'_>) -> Option<Written> {
    let one = |value: &Value| resolve(value, &from.field).ok().filter(|value| holds(&from.field.ty, value)).map(Written::Constant);
    let value = cases.arms.iter().filter(|arm| said(&arm.to) == Some(out)).find_map(|arm| match &arm.from {
        Some(ArmFrom::Value(Value::Literal(literal))) if literal.value == LiteralValue::Null => Some(Written::Constant(Const::Null)),
        Some(ArmFrom::Value(value)) => one(value),
        Some(ArmFrom::Test { test: Test::In(values), .. }) => one(values.first()?),
        Some(ArmFrom::Test { .. }) => None,
        None => by_time.then_some(Written::Now),
    });
    if value.is_none() {
        let (what, word) = if out { ("an opt-out", "out") } else { ("a consent", "in") };
        context.report(
            Diagnostic::new(
                Code::D612,
                cases.span,
                format!("nothing says which value `{}` gets for {what} of Campaign", from.name),
                format!("no value is `{word}`"),
            )
            .help(format!("add a case with a value: `VALUE => {word}`; the first one is written")),
        );
    }
    value
}
