//! The record that a test gives, as its system would send it.

use serde_json::Value as Json;

use super::lowered::{Lowered, cannot, not_a_list};
use super::model::GivenItem;
use crate::check::types::constant;
use crate::check::values::{Unfit, resolve};
use crate::check::{Context, names};
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::plan::{Const, FORMATTED_VALUE};
use crate::schema::{Field, FieldType, Table};
use crate::syntax::ast::{Assigned, Assignment, LiteralValue, Value};
use crate::time;

/// The id of a record whose test gives none.
const SOME_ID: &str = "00000000-0000-0000-0000-000000000001";

/// The record as the source would send it.
pub(super) fn record(
    values: &[&Assignment],
    source: &Table,
    may_be_wrong: bool,
    flow: Option<&Lowered<'_>>,
    context: &mut Context<'_>,
) -> Option<String> {
    let mut members: Vec<(String, String, Span)> = Vec::new();
    // Lookups that are given by the name of their record.
    let mut named: Vec<(String, Span)> = Vec::new();
    let mut complete = true;
    for assignment in values {
        // A column of the record that a lookup points to.
        let linked = flow.and_then(|flow| flow.linked(&assignment.field, context));
        let (path, table) = linked.as_ref().map_or((&assignment.field, source), |(_, table, path)| (path, table.as_ref()));
        let Some(mut found) = names::source_field(path, table, context) else {
            complete = false;
            continue;
        };
        let mut wire = found.wire(table);
        if let Some((link, ..)) = &linked {
            wire = format!("{}.{wire}", link.navigation);
            found.name = format!("{}.{}", link.column, found.name);
        }
        let Assigned::Value(value) = &assignment.value else {
            complete = false;
            let help = "remove the line: a field that is not given is empty";
            context.report(cannot(assignment.span, format!("`{}` is given as `absent`", found.name), "only in `expect`", help));
            continue;
        };
        let beside = format!("{wire}@{FORMATTED_VALUE}");
        let name = name_of_record(value, &found.field).filter(|_| flow.is_none_or(|f| f.slots.iter().any(|s| s.wire == beside)));
        // A lookup has an id and a name, and a test can give either or both.
        let member = if name.is_some() { &beside } else { &wire };
        if let Some((_, _, first)) = members.iter().find(|(name, _, _)| name == member) {
            context.report(
                Diagnostic::new(Code::D122, assignment.span, format!("`{}` is given twice", found.name), "the second time")
                    .related(*first, "the first time")
                    .help("remove one of the two"),
            );
            complete = false;
            continue;
        }
        if flow.is_some_and(|f| !f.reads(&found.name)) && found.name != source.primary_key {
            context.report(
                Diagnostic::new(
                    Code::D811,
                    assignment.field.span,
                    format!("the mapping does not read `{}`", found.name),
                    "given without effect",
                )
                .help("remove it from the test, or map it"),
            );
        }
        if let Some(name) = name {
            members.push((beside, Json::from(name).to_string(), assignment.span));
            named.push((wire, assignment.span));
            continue;
        }
        match json(value, &found.field, may_be_wrong) {
            Ok(text) => members.push((wire, text, assignment.span)),
            Err(unfit) => {
                complete = false;
                let message = format!("`{}` never has this value", found.name);
                context.report(unfit.diagnostic(Code::D122, value.span(), message));
            }
        }
    }
    complete.then_some(())?;
    for (wire, span) in named {
        if members.iter().all(|(name, _, _)| *name != wire) {
            // Some record of this name.
            members.push((wire, Json::from(SOME_ID).to_string(), span));
        }
    }
    let mut text = String::from("{");
    if !members.iter().any(|(name, _, _)| *name == source.primary_key) {
        text.push_str(&format!("{}:\"{SOME_ID}\"", Json::from(source.primary_key.as_str())));
    }
    for (name, value, _) in members {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&format!("{}:{value}", Json::from(name)));
    }
    text.push('}');
    Some(text)
}

/// The items of lists as their system would send them.
pub(super) fn given_items(
    values: &[&Assignment],
    source: &Table,
    may_be_wrong: bool,
    flow: Option<&Lowered<'_>>,
    context: &mut Context<'_>,
) -> Option<Vec<GivenItem>> {
    let mut items = Vec::new();
    let mut complete = true;
    for assignment in values {
        let Assigned::Item(fields) = &assignment.value else { continue };
        // Without a flow, the mapping has another error.
        let Some(flow) = flow else { continue };
        let Some(list) = flow.list(&assignment.field, source, true, context) else {
            context.report(not_a_list(assignment, flow, true));
            complete = false;
            continue;
        };
        if !fields.iter().any(|field| field.field.text() == list.key) {
            let message = format!("this item of `{}` has no `{}`", assignment.field.text(), list.key);
            let help = format!("write `{}: …`: it identifies the items of the list", list.key);
            context.report(cannot(assignment.field.span, message, "its key is missing", &help));
            complete = false;
            continue;
        }
        let fields: Vec<&Assignment> = fields.iter().collect();
        match record(&fields, &list.table, may_be_wrong, Some(&list.item), context) {
            Some(record) => items.push(GivenItem { list: list.place, record }),
            None => complete = false,
        }
    }
    complete.then_some(items)
}

/// The text that a test gives for a lookup, where it is not an id: the name of the record that it points to.
fn name_of_record<'v>(value: &'v Value, field: &Field) -> Option<&'v str> {
    match (value, &field.ty) {
        (Value::Literal(literal), FieldType::Lookup { .. }) => match &literal.value {
            LiteralValue::Text(text) if uuid::Uuid::parse_str(text).is_err() => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// A value as the source's JSON has it.
fn json(value: &Value, field: &Field, may_be_wrong: bool) -> Result<String, Unfit> {
    if let Value::Literal(literal) = value {
        match (&literal.value, &field.ty) {
            (LiteralValue::Null, _) => return Ok("null".to_owned()),
            // Several options come as their numbers with commas.
            (LiteralValue::Text(text), FieldType::MultiChoice(_)) if text.split(',').all(|n| n.trim().parse::<i64>().is_ok()) => {
                return Ok(Json::from(text.as_str()).to_string());
            }
            _ => {}
        }
    }
    match resolve(value, field) {
        Ok(constant) => Ok(match (constant, &field.ty) {
            (Const::Integer(n), FieldType::MultiChoice(_)) => format!("\"{n}\""),
            (constant, _) => const_json(&constant),
        }),
        // What the schema does not admit is just what a test of a rejection may give.
        Err(unfit) => match value {
            Value::Literal(literal) if may_be_wrong => Ok(const_json(&constant(&literal.value))),
            // A label that the field does not have. What is not an option is written in quotes here too.
            Value::Word(word) if may_be_wrong && is_labelled(field) => Ok(Json::from(word.text()).to_string()),
            Value::Moment(_) | Value::Literal(_) | Value::Word(_) => Err(unfit),
        },
    }
}

/// Whether the values of a field have names, which need no quotes.
fn is_labelled(field: &Field) -> bool {
    matches!(
        field.ty,
        FieldType::Choice(_) | FieldType::MultiChoice(_) | FieldType::Enumeration(_) | FieldType::Boolean { labels: Some(_) }
    )
}

fn const_json(constant: &Const) -> String {
    match constant {
        Const::Null => "null".to_owned(),
        Const::Boolean(b) => b.to_string(),
        Const::Integer(n) => n.to_string(),
        Const::Decimal(d) => d.to_string(),
        Const::Text(text) => Json::from(text.as_str()).to_string(),
        Const::Date(date) => format!("\"{date}\""),
        Const::Instant(instant) => format!("\"{}\"", time::format_instant(*instant)),
    }
}
