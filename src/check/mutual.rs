//! `field <-> field | map { a <=> b }`: one table of cases for both directions.

use std::collections::HashMap;

use super::values::resolve;
use super::{Context, names};
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::plan::Const;
use crate::schema::{Field, FieldType, Table};
use crate::syntax::ast::{Arm, ArmFrom, FieldMapping, Literal, LiteralValue, Operand, Path, Source, Step, Value, Way};

/// A case's value as one of a field: options by their numbers, whatever name the author gives them. Outcomes and `null` stay.
fn known(value: &Value, field: &Field, context: &mut Context<'_>) -> Option<(Value, String)> {
    let same = |value: &Value, text: String| Some((value.clone(), text));
    match value {
        Value::Word(path) if matches!(path.text().as_str(), "keep" | "reject") => return same(value, path.text()),
        Value::Literal(Literal { value: LiteralValue::Null, .. }) => return same(value, "null".to_owned()),
        Value::Literal(_) | Value::Word(_) | Value::Moment(_) => {}
    }
    match resolve(value, field) {
        Ok(constant) => {
            let text = format!("{constant:?}");
            let value = Value::Literal(Literal { span: value.span(), value: literal(constant) });
            Some((value, text))
        }
        Err(unfit) => {
            let message = format!("`{}` cannot have this value", field.name);
            context.report(unfit.diagnostic(Code::D302, value.span(), message));
            None
        }
    }
}

fn literal(constant: Const) -> LiteralValue {
    match constant {
        Const::Null => LiteralValue::Null,
        Const::Boolean(b) => LiteralValue::Boolean(b),
        Const::Integer(n) => LiteralValue::Integer(n),
        Const::Decimal(d) => LiteralValue::Decimal(d),
        Const::Text(text) => LiteralValue::Text(text),
        Const::Date(date) => LiteralValue::Date(date),
        Const::Instant(instant) => LiteralValue::Instant(instant),
    }
}

/// An entry whose last step is a table, with the options that it results in by their numbers.
pub(super) fn with_options(field: &FieldMapping, target: &Table, context: &mut Context<'_>) -> Option<FieldMapping> {
    let mut field = field.clone();
    let written = target.field(&field.target.names()).cloned();
    let Some(written) = written.filter(|written| matches!(written.ty, FieldType::Choice(_))) else { return Some(field) };
    if let Some(Step { operand: Some(Operand::Table { arms, .. }), .. }) = field.steps.last_mut() {
        for arm in arms.iter_mut().filter(|arm| arm.way == Way::Forward) {
            // What is not a name is checked like every other result.
            if let Value::Word(_) | Value::Literal(Literal { value: LiteralValue::Text(_), .. }) = arm.to {
                arm.to = known(&arm.to, &written, context)?.0;
            }
        }
    }
    Some(field)
}

/// The entries of the two directions of an entry with one table for both; none if the table is faulty.
pub(super) fn split(
    field: &FieldMapping,
    turned: &FieldMapping,
    step: &Step,
    left: &Table,
    right: &Table,
    context: &mut Context<'_>,
) -> Option<(FieldMapping, FieldMapping)> {
    let Some(Operand::Table { arms, unread_arms, .. }) = &step.operand else { return None };
    let Source::Field(path) = &field.source else { return None };
    let find = |path: &Path, table: &Table, context: &mut Context<'_>| names::source_field(path, table, context).map(|found| found.field);
    let (left, right) = (find(path, left, context), find(&field.target, right, context));
    let (left, right) = (left?, right?);
    let (mut there, mut back) = (Vec::new(), Vec::new());
    let mut complete = !unread_arms;
    // For each value the first case that has it.
    let (mut lefts, mut rights): (HashMap<String, Span>, HashMap<String, Span>) = (HashMap::new(), HashMap::new());
    for arm in arms {
        let (of_from, of_to) = if arm.way == Way::Backward { (&right, &left) } else { (&left, &right) };
        let from = match &arm.from {
            Some(ArmFrom::Value(value)) => known(value, of_from, context).map(|(value, text)| (Some(ArmFrom::Value(value)), text)),
            // A comparison is checked with the way that it is for.
            Some(test @ ArmFrom::Test { .. }) => Some((Some(test.clone()), String::new())),
            None => Some((None, "else".to_owned())),
        };
        let (Some((from, from_text)), Some((to, to_text))) = (from, known(&arm.to, of_to, context)) else {
            complete = false;
            continue;
        };
        let case = |from: Option<ArmFrom>, to: Value| Arm { span: arm.span, from, way: Way::Forward, to };
        match arm.way {
            Way::Forward => there.push(case(from, to)),
            Way::Backward => back.push(case(from, to)),
            Way::Both => {
                let one_way = |from: &ArmFrom| matches!(from, ArmFrom::Value(Value::Word(_)) | ArmFrom::Test { .. });
                if from.as_ref().is_none_or(one_way) || matches!(to, Value::Word(_)) {
                    complete = false;
                    context.report(
                        Diagnostic::new(Code::D311, arm.span, "this case cannot apply in both directions", "not a value of both fields")
                            .help("`else`, `keep` and `reject` are for one way: write `else => value` for the left field, `value <= else` for the right one"),
                    );
                    continue;
                }
                let first = lefts.insert(from_text, arm.span).map(|first| (first, &left));
                let second = rights.insert(to_text, arm.span).map(|first| (first, &right));
                if let Some((first, field)) = first.or(second) {
                    complete = false;
                    context.report(twice(arm.span, first, field));
                    continue;
                }
                let Some(ArmFrom::Value(left_value)) = from else { continue };
                there.push(case(Some(ArmFrom::Value(left_value.clone())), to.clone()));
                back.push(case(Some(ArmFrom::Value(to)), left_value));
            }
        }
    }
    complete.then_some(())?;
    let with = |entry: &FieldMapping, cases: Vec<Arm>| {
        let mut entry = entry.clone();
        if let Some(Step { operand: Some(Operand::Table { arms, .. }), .. }) = entry.steps.first_mut() {
            *arms = cases;
        }
        entry
    };
    Some((with(field, there), with(turned, back)))
}

fn twice(span: Span, first: Span, field: &Field) -> Diagnostic {
    Diagnostic::new(Code::D311, span, format!("two cases with `<=>` have the same value of `{}`", field.name), "the second one")
        .related(first, "the first one")
        .help(
            "a case with `<=>` holds both ways, so that each value can be in one of them only. Write `=>` in place of `<=>` if the case is for \
             the way to the right only, `<=` if it is for the way to the left",
        )
}
