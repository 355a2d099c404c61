//! Completion at the top of a file, and in options, tables, events, opt-outs and tests.

use std::collections::HashSet;

use lsp_types::{CompletionItem, CompletionItemKind};

use super::Tables;
use super::items::{dotted, field_item, field_values, fields, item, snippet, words};
use crate::assist::group::Group;
use crate::check::{ATTRIBUTES, DIRECTIONS, EVENTS, EventField};
use crate::schema::{FieldType, SystemId, Table};
use crate::syntax::tokens;

/// A line of a table: its key.
pub(super) fn table_lines(entry: &[&str], table: Option<&str>, group: &Group) -> Vec<CompletionItem> {
    match entry {
        [] => words(&["key"]),
        ["key"] | ["key", .., ","] => columns(table.unwrap_or_default(), group),
        _ => Vec::new(),
    }
}

/// The tables of files.
pub(super) fn tables_of_files(group: &Group) -> Vec<CompletionItem> {
    let tables = group.files.iter().flat_map(|f| &f.tree.lookups);
    tables.map(|t| item(&t.name.text, CompletionItemKind::ENUM, "table of a file")).collect()
}

/// The columns of a table of a file.
pub(super) fn columns(table: &str, group: &Group) -> Vec<CompletionItem> {
    let table = group.compiled.tables.iter().find(|t| t.name == table.trim_matches('`'));
    let columns = table.into_iter().flat_map(|t| t.columns.iter().map(move |column| (column, t.keys.contains(column))));
    columns
        .map(|(column, key)| {
            let plain = column.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && column.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let text = if plain { column.clone() } else { format!("`{column}`") };
            CompletionItem { insert_text: Some(text), ..item(column, CompletionItemKind::FIELD, if key { "key column" } else { "column" }) }
        })
        .collect()
}

pub(super) fn top(entry: &[&str], group: &Group) -> Vec<CompletionItem> {
    let mapping_names = || {
        let heads = group.files.iter().flat_map(|f| &f.tree.mappings).filter_map(|m| m.head.as_ref());
        heads.map(|h| item(&h.name.text, CompletionItemKind::CLASS, "mapping")).collect()
    };
    match entry {
        [] => vec![
            snippet(
                "mapping",
                "mapping ${1:name}: d365.${2:contact} -> campaign.${3:profile} {\n  key ${4:contactid} -> ${5:externalId}\n  $0\n}",
                "a mapping",
            ),
            snippet("test", "test ${1:mapping} \"${2:what it shows}\" {\n  given { $3 }\n  expect { $0 }\n}", "a test"),
            snippet(
                "optout",
                "optout ${1:contacts} {\n  direction ${2|bidirectional,d365-to-campaign,campaign-to-d365,disabled|}\n  $0\n}",
                "opt-outs",
            ),
            snippet("events", "events ${1:email}: campaign.email -> d365.contact {\n  send on\n  $0\n}", "marketing events"),
            snippet("let", "let ${1:name} = $0", "a constant"),
            snippet("include", "include \"$0\"", "names of another file"),
            snippet("replace", "replace ${1:name} {\n  $0\n}", "a shared replacement"),
            snippet("table", "table ${1:name} from \"tables/${2:name}.csv\" {\n  key ${0:column}\n}", "a table of a file"),
        ],
        ["test" | "optout"] => mapping_names(),
        ["let", _, "="] => vec![
            snippet("text", "\"$0\"", "a text"),
            snippet("number", "${1:42}", "a number"),
            snippet("date", "${1:2024-01-31}", "a date"),
            snippet("duration", "${1:30}d", "a duration"),
            item("true", CompletionItemKind::VALUE, ""),
            item("false", CompletionItemKind::VALUE, ""),
        ],
        [.., system, "."] => group
            .catalogue
            .tables()
            .filter(|t| t.id.system.name() == *system)
            .map(|t| item(&t.id.name, CompletionItemKind::STRUCT, &t.label))
            .collect(),
        [.., ":" | "->" | "<->"] => SystemId::ALL.iter().map(|s| item(s.name(), CompletionItemKind::MODULE, "")).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn settings(entry: &[&str], known: &crate::check::Known) -> Vec<CompletionItem> {
    match entry {
        [] => known.iter().map(|(name, values)| item(*name, CompletionItemKind::PROPERTY, values.join(" | "))).collect(),
        [name] => {
            let values = known.iter().find(|k| k.0 == *name).map_or(&[][..], |k| k.1);
            let detail = |i| if i == 0 && values.len() > 1 { "default" } else { "" };
            values.iter().enumerate().map(|(i, v)| item(*v, CompletionItemKind::ENUM_MEMBER, detail(i))).collect()
        }
        _ => Vec::new(),
    }
}

/// A line of an event block: a setting, or what of an event is written.
pub(super) fn event_lines(entry: &[&str]) -> Vec<CompletionItem> {
    let fields =
        EventField::ALL.iter().filter(|_| entry.is_empty()).map(|(_, name)| item(*name, CompletionItemKind::FIELD, "of the event"));
    settings(entry, EVENTS).into_iter().chain(fields).collect()
}

pub(super) fn optout(entry: &[&str], tables: &Tables<'_>) -> Vec<CompletionItem> {
    match entry {
        [] => {
            let booleans = tables.source.into_iter().flat_map(|t| t.fields.values()).filter(|f| matches!(f.ty, FieldType::Boolean { .. }));
            words(&["direction"]).into_iter().chain(booleans.map(|f| field_item(&f.name, f))).collect()
        }
        ["direction"] => settings(entry, DIRECTIONS),
        [.., "<->"] => words(&["not"]).into_iter().chain(opt_outs()).collect(),
        [.., "<->", "not"] => opt_outs().collect(),
        _ => Vec::new(),
    }
}

/// What a pair can have on its right side.
fn opt_outs() -> impl Iterator<Item = CompletionItem> {
    let attributes = ATTRIBUTES.iter().map(|a| item(*a, CompletionItemKind::FIELD, "opt-out"));
    attributes.chain([snippet("subscription", "subscription \"${1:SERVICE}\"", "an opt-out of a topic")])
}

pub(super) fn clauses(entry: &[&str], tables: &Tables<'_>) -> Vec<CompletionItem> {
    match entry {
        [] => vec![
            snippet("given", "given { $0 }", "the record"),
            snippet("expect", "expect { $0 }", "what should happen to it"),
            snippet("now", "now ${1:2024-01-31}", "the time of the run"),
        ],
        ["given"] => words(&tables.systems()),
        ["expect"] => words(&["filtered", "rejected"]).into_iter().chain(words(&tables.systems())).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn values(entry: &[&str], table: Option<&Table>, tables: &Tables<'_>, group: &Group) -> Vec<CompletionItem> {
    match entry {
        [path @ .., ":"] => {
            let column = table.and_then(|table| tables.catalogue.column(table, &dotted(path)));
            column.map(|(_, field)| field_values(field)).unwrap_or_default()
        }
        path => {
            let mut all = fields(path, table, |f| f.readable || f.creatable);
            // The fields of the mapping come first: no others can be expected, and those that are given are read.
            let used = names_in_mapping(tables, group);
            for one in &mut all {
                one.sort_text = Some(format!("{}{}", u8::from(!used.contains(one.label.as_str())), one.label));
            }
            // A mapping of which only the key is written says nothing about its fields yet.
            if all.iter().filter(|one| used.contains(one.label.as_str())).count() > 1 {
                all.retain(|one| used.contains(one.label.as_str()));
            }
            all
        }
    }
}

/// The names that the tested mapping has in its field mappings and filters.
fn names_in_mapping<'g>(tables: &Tables<'g>, group: &'g Group) -> HashSet<&'g str> {
    let Some(mapping) = tables.mapping else { return HashSet::new() };
    let Some(text) = group.files.get(mapping.span.file.0 as usize).and_then(|file| file.text.get(mapping.span.range())) else {
        return HashSet::new();
    };
    tokens(text).iter().map(|token| token.text(text).trim_matches('`')).collect()
}
