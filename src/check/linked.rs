//! Blocks of linked records in two-way mappings: `link`, the record that a lookup points to, and `rows`, the items of a list.

use std::mem;
use std::sync::Arc;

use super::Context;
use super::both_ways::entry_both_ways;
use super::entry::{Checker, Lookup};
use super::names;
use crate::diagnostics::{Code, Diagnostic, Near, Safety, near};
use crate::plan::{FieldProgram, LinkedRecord, LinkedRows, Otherwise};
use crate::schema::{Field, FieldType, SystemId, Table};
use crate::syntax::ast::{self, FieldMapping, Key, Linked, LinkedKind, Mapping, Path, Way};

/// What the blocks of a mapping add to its plan.
#[derive(Default)]
pub(super) struct Blocks {
    pub(super) records: Vec<LinkedRecord>,
    pub(super) rows: Vec<LinkedRows>,
}

/// Checks the blocks of a two-way mapping. Whether all of them could be lowered.
pub(super) fn check(
    mapping: &Mapping,
    forward: &mut Checker<'_>,
    backward: &mut Checker<'_>,
    to_left: &mut Vec<FieldProgram>,
    context: &mut Context<'_>,
) -> Option<Blocks> {
    let mut blocks = Blocks::default();
    let mut complete = true;
    let mut seen: Vec<(String, crate::diagnostics::Span)> = Vec::new();
    for entry in &mapping.entries {
        let ast::Entry::Linked(block) = entry else { continue };
        let name = block.path.text();
        if let Some((_, first)) = seen.iter().find(|(known, _)| *known == name) {
            context.report(
                Diagnostic::new(Code::D530, block.path.span, format!("`{name}` has two blocks"), "the second one")
                    .related(*first, "the first one")
                    .help("put the lines of both into one block"),
            );
            complete = false;
            continue;
        }
        seen.push((name, block.path.span));
        complete &= !block.unread;
        match block.kind {
            LinkedKind::Record => match record(block, forward, backward, to_left, context) {
                Some(lowered) => blocks.records.push(lowered),
                None => complete = false,
            },
            LinkedKind::Rows => match rows(block, forward, backward, context) {
                Some(lowered) => blocks.rows.push(lowered),
                None => complete = false,
            },
        }
    }
    complete.then_some(blocks)
}

/// Reports blocks in a mapping that only writes to Campaign.
pub(super) fn refuse(mapping: &Mapping, context: &mut Context<'_>) {
    for entry in &mapping.entries {
        let ast::Entry::Linked(block) = entry else { continue };
        let help = match block.kind {
            LinkedKind::Record => "write `lookup -> link | link MAPPING` to link to a record of another mapping",
            LinkedKind::Rows => "map the other table in a separate mapping",
        };
        context.report(
            Diagnostic::new(
                Code::D531,
                block.keyword,
                format!("a `{}` block is not allowed in this mapping", block.kind.keyword()),
                "only in two-way mappings",
            )
            .help(help),
        );
    }
}

/// The table of a block, which must be one of Dynamics 365.
fn table_of(block: &Linked, context: &mut Context<'_>) -> Option<Arc<Table>> {
    let table = names::table(&block.table, context)?;
    if table.id.system != SystemId::D365 {
        context.report(
            Diagnostic::new(
                Code::D532,
                block.table.span,
                format!("`{}` is not a table of Dynamics 365", table.id),
                "linked records are in Dynamics 365",
            )
            .help("name the table with its system: `d365.account`"),
        );
        return None;
    }
    Some(table)
}

/// The navigation property of a lookup to a table.
fn navigation(path: &Path, table: &Table, target: &Table, context: &mut Context<'_>) -> Option<(String, String)> {
    let Some(field) = table.field(&path.names()) else {
        context.report(names::unknown_field(Code::D104, path, table));
        return None;
    };
    let FieldType::Lookup { targets } = &field.ty else {
        context.report(
            Diagnostic::new(Code::D532, path.span, format!("`{}` is not a lookup", path.text()), format!("a {}", field.vendor_type))
                .help(format!("name a lookup of `{}` that points to `{}`", table.id, target.id)),
        );
        return None;
    };
    let Some(to) = targets.iter().find(|to| to.table == target.id.name) else {
        let known: Vec<&str> = targets.iter().map(|to| to.table.as_str()).collect();
        context.report(
            Diagnostic::new(
                Code::D532,
                path.span,
                format!("`{}` does not point to `{}`", path.text(), target.id),
                format!("leads to {}", known.join(", ")),
            )
            .help(format!("write one of: {}", known.iter().map(|name| format!("`d365.{name}`")).collect::<Vec<_>>().join(", "))),
        );
        return None;
    };
    let Some(navigation) = &to.navigation else {
        context.report(
            Diagnostic::new(
                Code::D532,
                path.span,
                format!("the schema does not say how to write `{}`", path.text()),
                "no navigation property in the schema",
            )
            .help(format!("fetch the table with `d365map schema pull {}`", table.id)),
        );
        return None;
    };
    Some((field.name.clone(), navigation.clone()))
}

/// `link COLUMN: TABLE by A, B or create { … }`.
fn record(
    block: &Linked,
    forward: &mut Checker<'_>,
    backward: &mut Checker<'_>,
    to_left: &mut Vec<FieldProgram>,
    context: &mut Context<'_>,
) -> Option<LinkedRecord> {
    let table = table_of(block, context)?;
    let (column, navigation) = navigation(&block.path, &forward.target.clone(), &table, context)?;
    let otherwise = otherwise(block, context);
    for key in &block.keys {
        context.report(
            Diagnostic::new(Code::D530, key.span, "a `link` block cannot have a key", "not allowed here")
                .help("write the columns by which the record is found after `by`, and replace the key with an ordinary line"),
        );
    }
    // The lines go between the referral and the linked record, through the slots of the mapping.
    let outer = mem::replace(&mut forward.target, table.clone());
    let claimed = mem::take(&mut forward.written);
    let back = mem::replace(&mut backward.source, table.clone());
    backward.behind = Some(Lookup { column: column.clone(), navigation: navigation.clone() });
    forward.at_creation = true;
    let mut fields = Vec::new();
    let mut complete = block.keys.is_empty();
    for field in &block.fields {
        complete &= entry_both_ways(field, forward, backward, &mut fields, to_left, context);
    }
    forward.at_creation = false;
    backward.behind = None;
    backward.source = back;
    forward.written = claimed;
    forward.target = outer;

    let by = by_columns(block, &table, &fields, context);
    let otherwise = otherwise?;
    let (by, true) = (by?, complete) else { return None };
    let mut select = by.clone();
    for read in block.fields.iter().filter(|field| field.way != Way::Forward) {
        if let Some((wire, _)) = table.wire_path(&read.target.names()) {
            select.push(wire);
        }
    }
    select.sort();
    select.dedup();
    Some(LinkedRecord {
        at: context.at(block.path.span),
        column,
        navigation,
        table: table.id.to_string(),
        collection: table.collection.clone(),
        primary_key: table.primary_key.clone(),
        active: table.fields.contains_key("statecode"),
        by,
        fields,
        select,
        otherwise,
    })
}

/// What happens if no record is found. A block that only reads needs no answer.
fn otherwise(block: &Linked, context: &mut Context<'_>) -> Option<Otherwise> {
    let words = [("create", Otherwise::Create), ("null", Otherwise::Null), ("reject", Otherwise::Reject)];
    let Some(or) = &block.or else {
        if block.by.is_empty() || block.fields.iter().all(|field| field.way == Way::Backward) {
            return Some(Otherwise::Null);
        }
        let last = block.by.last().map_or(block.table.span, |path| path.span);
        context.report(
            Diagnostic::new(Code::D533, last, "this block does not say what happens if no record is found", "`or` is missing")
                .help("add `or create` to create one, `or null` to leave the lookup empty, or `or reject` to make the deal a dead letter"),
        );
        return None;
    };
    if let Some((_, found)) = words.iter().find(|(word, _)| *word == or.text) {
        return Some(*found);
    }
    let diagnostic = Diagnostic::new(Code::D533, or.span, format!("`or {}` is not allowed here", or.text), "unknown word");
    context.report(match near(&or.text, words.iter().map(|(word, _)| *word)) {
        Some(Near { text, safety }) => {
            diagnostic.help(format!("did you mean `or {text}`?")).fix(safety, format!("write `{text}`"), or.span, text)
        }
        None => diagnostic.help("write `or create`, `or null` or `or reject`"),
    });
    None
}

/// The columns by which a record is found: each is written by a line of the block.
fn by_columns(block: &Linked, table: &Table, fields: &[FieldProgram], context: &mut Context<'_>) -> Option<Vec<String>> {
    let mut by = Vec::new();
    let mut complete = true;
    if block.by.is_empty() && !fields.is_empty() {
        context.report(
            Diagnostic::new(Code::D532, block.table.span, "this block does not say how a record is found", "`by` is missing")
                .help(with_by(block, table, fields, context)),
        );
        return None;
    }
    if block.fields.iter().all(|field| field.way == Way::Backward) {
        return Some(by);
    }
    for path in &block.by {
        let Some(field) = table.field(&path.names()) else {
            context.report(names::unknown_field(Code::D104, path, table));
            complete = false;
            continue;
        };
        let simple = matches!(field.ty, FieldType::Text { .. } | FieldType::Integer { .. });
        if !simple {
            context.report(
                Diagnostic::new(
                    Code::D532,
                    path.span,
                    format!("a record cannot be found by `{}`", path.text()),
                    format!("a {}", field.vendor_type),
                )
                .help("name columns with text or a whole number"),
            );
            complete = false;
        } else if !fields.iter().any(|program| program.path == [field.name.clone()]) {
            context.report(
                Diagnostic::new(
                    Code::D532,
                    path.span,
                    format!("no line of this block writes `{}`", path.text()),
                    "the value to search for is not known",
                )
                .help(format!("add a line such as `customerProfile.name <-> {}`", path.text())),
            );
            complete = false;
        }
        by.push(field.name.clone());
    }
    complete.then_some(by)
}

/// `rows LIST: TABLE by LOOKUP { key A <-> B … }`.
fn rows(block: &Linked, forward: &mut Checker<'_>, backward: &mut Checker<'_>, context: &mut Context<'_>) -> Option<LinkedRows> {
    let table = table_of(block, context)?;
    let (left, right) = (forward.source.clone(), forward.target.clone());
    if block.by.is_empty() {
        context.report(
            Diagnostic::new(Code::D532, block.table.span, "this block does not say which lookup points to the record", "`by` is missing")
                .help(format!("add `by LOOKUP`, with the lookup of `{}` that points to `{}`", table.id, right.id)),
        );
    }
    if let Some(or) = &block.or {
        context.report(
            Diagnostic::new(Code::D533, or.span, "a `rows` block cannot have an `or`", "not allowed here")
                .help("remove it: a row is created for each item of the list"),
        );
    }
    let items = match (left.field(&block.path.names()), left.items(&block.path.names())) {
        (None, _) => {
            context.report(names::unknown_field(Code::D103, &block.path, &left));
            None
        }
        (Some(_), Some(items)) => context.catalogue.get(&items).cloned(),
        (Some(field), None) => {
            context.report(
                Diagnostic::new(
                    Code::D532,
                    block.path.span,
                    format!("`{}` is not a list", block.path.text()),
                    format!("a {}", field.vendor_type),
                )
                .help("name a list of the referral, such as `details.requirements.solutions`"),
            );
            None
        }
    };
    let lookup = match block.by.as_slice() {
        [one] => navigation(one, &table, &right, context),
        [_, extra, ..] => {
            context.report(
                Diagnostic::new(Code::D532, extra.span, "rows point to their record by only one lookup", "above the limit")
                    .help(format!("keep the lookup of `{}` that points to `{}`", table.id, right.id)),
            );
            None
        }
        [] => None,
    };
    let key = one_key(block, items.as_deref(), &table, context);
    let (items, (lookup, navigation), key) = (items?, lookup?, key?);
    super::keys::no_text(key, context)?;
    let (list, _) = left.wire_path(&block.path.names())?;
    // The whole list is one field of either side.
    if key.way != Way::Forward {
        backward.claim(list.clone(), block.path.span, context);
    }
    let mut there = Checker::new(forward.name, items.clone(), table.clone(), forward.policy);
    let mut back = Checker::new(forward.name, table.clone(), items.clone(), forward.policy);
    let (mut to_rows, mut to_items) = (Vec::new(), Vec::new());
    let first = FieldMapping {
        turned: false,
        span: key.span,
        source: ast::Source::Field(key.source.clone()),
        way: key.way,
        way_span: key.way_span,
        target: key.target.clone(),
        steps: Vec::new(),
        flags: Vec::new(),
    };
    let mut complete = true;
    for field in std::iter::once(&first).chain(&block.fields) {
        if key.way != Way::Both && field.way != key.way {
            context.report(
                Diagnostic::new(
                    Code::D510,
                    field.way_span,
                    format!("`{}` is not allowed here", field.way.sign()),
                    "the rows go in one direction",
                )
                .related(key.way_span, "by their key")
                .help(format!("write `{}`, or write `<->` in the key", key.way.sign()))
                .fix(Safety::Unsafe, format!("write `{}`", key.way.sign()), field.way_span, key.way.sign()),
            );
            complete = false;
            continue;
        }
        complete &= entry_both_ways(field, &mut there, &mut back, &mut to_rows, &mut to_items, context);
    }
    complete.then(|| LinkedRows {
        at: context.at(block.path.span),
        list: list.split('.').map(str::to_owned).collect(),
        table: table.id.to_string(),
        collection: table.collection.clone(),
        primary_key: table.primary_key.clone(),
        lookup: format!("_{lookup}_value"),
        navigation,
        item_key: items.wire_path(&key.source.names()).map(|(wire, _)| wire).unwrap_or_default(),
        row_key: table.wire_path(&key.target.names()).map(|(wire, _)| wire).unwrap_or_default(),
        items: there.slots,
        rows: back.slots,
        forward: to_rows,
        backward: to_items,
    })
}

/// The one key of a block with rows.
fn one_key<'b>(block: &'b Linked, items: Option<&Table>, table: &Table, context: &mut Context<'_>) -> Option<&'b Key> {
    let mut keys = block.keys.iter();
    let Some(key) = keys.next() else {
        if !block.unread {
            let id = items.map_or("id", |items| items.primary_key.as_str());
            let is_id = |field: &&Field| field.creatable && field.name.ends_with("id") && matches!(field.ty, FieldType::Text { .. });
            let column = table.fields.values().find(is_id).map_or("COLUMN", |field| field.name.as_str());
            context.report(
                Diagnostic::new(
                    Code::D501,
                    block.keyword.to(block.table.span),
                    "this block has no key",
                    "rows and items could not be matched",
                )
                .help(format!("begin the block with `key {id} <-> {column}`, with the column that stores the id of an item")),
            );
        }
        return None;
    };
    for extra in keys {
        context.report(
            Diagnostic::new(Code::D504, extra.span, "this block has two keys", "the second one")
                .related(key.span, "the first one")
                .help("keep one of them"),
        );
    }
    Some(key)
}

/// How the head of a `link` block is written with the columns by which a record is found: the first text that the block writes.
fn with_by(block: &Linked, table: &Table, fields: &[FieldProgram], context: &Context<'_>) -> String {
    let is_text = |name: &str| table.fields.get(name).is_some_and(|field| matches!(field.ty, FieldType::Text { .. }));
    let column = fields.iter().filter_map(|program| program.path.first()).find(|name| is_text(name)).map_or("COLUMN", String::as_str);
    let head = context.text(block.keyword.to(block.table.span));
    let or = block.or.as_ref().map_or("create", |or| or.text.as_str());
    format!("write `{head} by {column} or {or} {{`, with the columns whose values identify a record")
}
