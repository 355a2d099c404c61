//! What a test expects, each value checked against what its field admits.

use super::lowered::{Lowered, not_a_list};
use super::model::{ExpectedField, ExpectedList};
use crate::check::types::constant;
use crate::check::values::resolve;
use crate::check::{Context, mismatch, names};
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::plan::{Const, Fit};
use crate::schema::{Field, Table};
use crate::syntax::ast::{Assigned, Assignment, LiteralValue, MomentBase, Value};
use crate::time;

/// The lists that are expected, and the other values.
pub(super) fn expected_lists<'a>(
    values: &'a [Assignment],
    target: &Table,
    flow: Option<&Lowered<'_>>,
    context: &mut Context<'_>,
) -> (Option<Vec<ExpectedList>>, Vec<&'a Assignment>) {
    let (mut lists, mut others): (Vec<ExpectedList>, Vec<&Assignment>) = (Vec::new(), Vec::new());
    let mut complete = true;
    for assignment in values {
        let list = flow.and_then(|flow| flow.list(&assignment.field, target, false, context));
        let item = match (&assignment.value, list, flow) {
            (Assigned::Item(fields), Some(list), _) => {
                let fields: Vec<&Assignment> = fields.iter().collect();
                let fields = mapped(&fields, &list.table, Some(&list.item), context);
                complete &= fields.is_some();
                (list.place, fields)
            }
            (Assigned::Absent, Some(list), _) => (list.place, None),
            (Assigned::Item(_), None, Some(flow)) => {
                context.report(not_a_list(assignment, flow, false));
                complete = false;
                continue;
            }
            (Assigned::Item(_), None, None) => continue,
            (Assigned::Value(_), ..) | (Assigned::Absent, None, _) => {
                others.push(assignment);
                continue;
            }
        };
        let (place, fields) = item;
        match lists.iter_mut().find(|list| list.list == place) {
            Some(list) => list.items.extend(fields),
            None => lists.push(ExpectedList { list: place, name: assignment.field.text(), items: fields.into_iter().collect() }),
        }
    }
    (complete.then_some(lists), others)
}

/// The values that are expected, each against what its field admits.
pub(super) fn mapped(
    values: &[&Assignment],
    target: &Table,
    flow: Option<&Lowered<'_>>,
    context: &mut Context<'_>,
) -> Option<Vec<ExpectedField>> {
    let mut fields: Vec<ExpectedField> = Vec::new();
    let mut complete = true;
    for assignment in values {
        let linked = flow.and_then(|flow| flow.linked(&assignment.field, context));
        let (path, table) = linked.as_ref().map_or((&assignment.field, target), |(_, table, path)| (path, table.as_ref()));
        let Some(found) = names::target_field(path, table, true, context) else {
            complete = false;
            continue;
        };
        let path = match &linked {
            Some((link, ..)) => format!("{}.{}", link.column, found.path.join(".")),
            None => found.path.join("."),
        };
        let mut fault = |span: Span, message: String, label: String, help: String| {
            complete = false;
            context.report(Diagnostic::new(Code::D122, span, message, label).help(help));
        };
        if fields.iter().any(|f| f.path == path) {
            fault(assignment.span, format!("`{path}` is expected twice"), "the second time".to_owned(), "remove one of the two".to_owned());
            continue;
        }
        let Assigned::Value(value) = &assignment.value else {
            fields.push(ExpectedField { path, value: None, span: assignment.span });
            continue;
        };
        let written = |flow: &Lowered<'_>| match &linked {
            Some((link, ..)) => link.fields.iter().any(|program| program.path == found.path),
            None => flow.writes(&found.path),
        };
        if flow.is_some_and(|flow| !written(flow)) {
            fault(
                assignment.field.span,
                format!("the mapping does not write `{path}`"),
                "never has a value".to_owned(),
                format!("remove it from the test, map it, or write `{path} absent` if that is what the test expects"),
            );
            continue;
        }
        match expected(value, &found.field, &found.fit) {
            Some(constant) => fields.push(ExpectedField { path, value: Some(constant), span: assignment.span }),
            None => fault(
                value.span(),
                format!("`{path}` never has this value"),
                match mismatch::fit_text(&found.fit) {
                    fit if fit.starts_with("holds ") => format!("the field {fit}"),
                    fit => format!("the field holds {fit}"),
                },
                match (value, &found.fit) {
                    (Value::Word(word), Fit::Text { .. }) => format!("write a text in quotes: \"{}\"", word.text()),
                    _ => "write a value that the field can have, or `null`".to_owned(),
                },
            ),
        }
    }
    complete.then_some(fields)
}

/// An expected value in the representation of what the target holds.
fn expected(value: &Value, field: &Field, fit: &Fit) -> Option<Const> {
    // Options of Dynamics 365 are written by label or number.
    if let Fit::Options(_) = fit
        && !matches!(value, Value::Literal(literal) if literal.value == LiteralValue::Null)
    {
        return resolve(value, field).ok();
    }
    let literal = match value {
        Value::Literal(literal) => constant(&literal.value),
        Value::Word(word) => Const::Text(word.text()),
        Value::Moment(moment) => match &moment.base {
            MomentBase::Fixed(_) | MomentBase::Now | MomentBase::Today => return None,
        },
    };
    let fits = match (&literal, fit) {
        (Const::Null, _) => true,
        (Const::Boolean(_), Fit::Boolean) => true,
        (Const::Integer(n), Fit::Integer { min, max }) => min <= n && n <= max,
        (Const::Integer(_) | Const::Decimal(_), Fit::Decimal { .. } | Fit::Double) => true,
        (Const::Integer(n), Fit::Options(options)) => options.contains(n),
        (Const::Text(text), Fit::Enumeration(names)) => names.contains(text),
        (Const::Text(_), Fit::Text { .. } | Fit::Link { .. }) => matches!(value, Value::Literal(_)),
        (Const::Date(_), Fit::Date) | (Const::Instant(_), Fit::Instant) => true,
        (Const::Date(date), Fit::Instant) => return Some(Const::Instant(time::midnight(*date))),
        _ => false,
    };
    fits.then_some(literal)
}
