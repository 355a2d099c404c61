//! A table for people: one line for each field, options and nested fields below it.

use std::fmt::Write;

use indexmap::IndexMap;

use super::model::{Field, FieldType, Provenance, Table};
use super::words::{Kind, integer_range};

/// More options than these are counted and not listed; `--format yaml` has them all.
const LISTED: usize = 24;

/// A readable listing.
pub fn show(table: &Table) -> String {
    let mut out = String::new();
    // Writing into a String does not fail.
    let _ = writeln!(out, "{}  {}", table.id, table.label);
    let _ = writeln!(out, "  collection       {}", table.collection);
    let _ = writeln!(out, "  primary key      {}", table.primary_key);
    if let Some(name) = &table.primary_name {
        let _ = writeln!(out, "  primary name     {name}");
    }
    if let Some(on) = table.change_tracking {
        let _ = writeln!(out, "  change tracking  {}", if on { "on" } else { "off: the table cannot be synchronized incrementally" });
    }
    for key in &table.alternate_keys {
        let _ = writeln!(out, "  alternate key    {} ({})", key.name, key.fields.join(", "));
    }
    let _ = writeln!(out, "  fields           {}\n", count(&table.fields));
    let width = names(&table.fields, 0).max().unwrap_or(0).min(48);
    let types = types(&table.fields).max().unwrap_or(0).min(40);
    list(&table.fields, 0, width, types, &mut out);
    out
}

fn count(fields: &IndexMap<String, Field>) -> usize {
    fields.values().map(|f| 1 + if let FieldType::Item(inner) = &f.ty { count(inner) } else { 0 }).sum()
}

fn names(fields: &IndexMap<String, Field>, indent: usize) -> Box<dyn Iterator<Item = usize> + '_> {
    Box::new(fields.values().flat_map(move |f| {
        let inner = if let FieldType::Item(inner) = &f.ty { Some(names(inner, indent + 2)) } else { None };
        std::iter::once(indent + f.name.chars().count()).chain(inner.into_iter().flatten())
    }))
}

fn types(fields: &IndexMap<String, Field>) -> Box<dyn Iterator<Item = usize> + '_> {
    Box::new(fields.values().flat_map(|f| {
        let inner = if let FieldType::Item(inner) = &f.ty { Some(types(inner)) } else { None };
        std::iter::once(describe(f).chars().count()).chain(inner.into_iter().flatten())
    }))
}

fn list(fields: &IndexMap<String, Field>, indent: usize, width: usize, types: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    let column = width.saturating_sub(indent);
    for field in fields.values() {
        let notes = notes(field);
        let line = format!("{pad}{:column$}  {:types$}  {:34}  {notes}", field.name, describe(field), field.label.as_deref().unwrap_or(""));
        let _ = writeln!(out, "{}", line.trim_end());
        let deeper = " ".repeat(indent + 4);
        match &field.ty {
            FieldType::Choice(set) | FieldType::MultiChoice(set) => {
                options(set.options.iter().map(|o| format!("{} {}", o.value, o.label)), set.options.len(), &deeper, out);
            }
            FieldType::Enumeration(values) => options(values.iter().map(|v| format!("{} {}", v.name, v.label)), values.len(), &deeper, out),
            FieldType::Lookup { targets } => {
                for target in targets {
                    let _ = match &target.navigation {
                        Some(navigation) => writeln!(out, "{deeper}-> {} by {navigation}", target.table),
                        None => writeln!(out, "{deeper}-> {}", target.table),
                    };
                }
            }
            FieldType::Item(inner) => list(inner, indent + 2, width, types, out),
            FieldType::Boolean { labels: Some((no, yes)) } => {
                let _ = writeln!(out, "{deeper}false {no}, true {yes}");
            }
            FieldType::Boolean { labels: None }
            | FieldType::Integer { .. }
            | FieldType::Decimal { .. }
            | FieldType::Double
            | FieldType::Text { .. }
            | FieldType::Date
            | FieldType::DateTime
            | FieldType::LocalDateTime
            | FieldType::Guid
            | FieldType::Link { .. }
            | FieldType::Collection { .. }
            | FieldType::Unsupported => {}
        }
    }
}

fn options(options: impl Iterator<Item = String>, count: usize, pad: &str, out: &mut String) {
    for option in options.take(LISTED) {
        let _ = writeln!(out, "{pad}{option}");
    }
    if count > LISTED {
        let _ = writeln!(out, "{pad}… and {} more", count - LISTED);
    }
}

/// The type with its length or range, and how the value is computed: `string(50)`, `money(2)`, `integer, rollup`.
pub fn describe(field: &Field) -> String {
    match field.derived {
        Some(derived) => format!("{}, {}", describe_type(field), derived.name()),
        None => describe_type(field),
    }
}

fn describe_type(field: &Field) -> String {
    let vendor = &field.vendor_type;
    let target = |target: &Option<String>| target.as_ref().map_or_else(|| vendor.clone(), |t| format!("{vendor} -> {t}"));
    match &field.ty {
        FieldType::Text { max: Some(max) } => format!("{vendor}({max})"),
        FieldType::Text { max: None } => format!("{vendor}(length unknown)"),
        FieldType::Decimal { scale, .. } => format!("{vendor}({scale} decimals)"),
        FieldType::Integer { min, max } if [Kind::Integer, Kind::BigInt].iter().any(|k| integer_range(*k) == (*min, *max)) => {
            vendor.clone()
        }
        FieldType::Integer { min, max } => format!("{vendor}({min}..{max})"),
        FieldType::Date => format!("{vendor} (day)"),
        FieldType::DateTime => format!("{vendor} (instant)"),
        FieldType::LocalDateTime => format!("{vendor} (no zone)"),
        FieldType::Link { target: to } | FieldType::Collection { target: to } => target(to),
        FieldType::Unsupported => format!("{vendor} (not mappable)"),
        FieldType::Boolean { .. }
        | FieldType::Double
        | FieldType::Guid
        | FieldType::Choice(_)
        | FieldType::MultiChoice(_)
        | FieldType::Enumeration(_)
        | FieldType::Lookup { .. }
        | FieldType::Item(_) => vendor.clone(),
    }
}

fn notes(field: &Field) -> String {
    let mut notes = Vec::new();
    if field.required {
        notes.push("required".to_owned());
    }
    if !field.readable {
        notes.push("not readable".to_owned());
    }
    match (field.creatable, field.updatable) {
        (true, true) => {}
        (false, false) => notes.push("read-only".to_owned()),
        (true, false) => notes.push("on create only".to_owned()),
        (false, true) => notes.push("on update only".to_owned()),
    }
    if !field.aliases.is_empty() {
        notes.push(format!("also {}", field.aliases.join(", ")));
    }
    match field.provenance {
        Provenance::Assumed => notes.push("assumed".to_owned()),
        Provenance::Documented | Provenance::Pulled | Provenance::Declared => {}
    }
    notes.join(", ")
}
