//! Completion in the entries of a mapping.

use lsp_types::{CompletionItem, CompletionItemKind, Documentation, MarkupContent, MarkupKind};

use super::blocks::{columns, tables_of_files};
use super::conditions::conditions;
use super::formula::{constants, formula, outcomes};
use super::items::{dotted, fields, item, snippet, words};
use super::{Tables, linked};
use crate::assist::describe::of_step;
use crate::assist::group::Group;
use crate::check::{fitting_steps, taken_after};
use crate::schema::{Field, FieldType, SystemId, Table, TableId};
use crate::steps::{FUNCTIONS, STEPS, Step};
use crate::syntax::ast::Entry;

pub(super) fn entries(entry: &[&str], last: &str, tables: &Tables<'_>, group: &Group) -> Vec<CompletionItem> {
    let arrow = entry.iter().position(|w| matches!(*w, "->" | "<-" | "<->"));
    let piped = entry.contains(&"|");
    if let [keyword @ ("link" | "rows"), words @ ..] = entry
        && tables.two_way()
    {
        return linked_header(keyword, words, tables, group);
    }
    if piped
        && let Some(at) = entry.windows(2).rposition(|two| two == ["link", "campaign"])
        && let rest = &entry[at + 2..]
        && !rest.contains(&"or")
    {
        return linked_by_key(rest, group);
    }
    let shared = || {
        let names = group.files.iter().flat_map(|f| &f.tree.tables);
        names.map(|t| item(&t.name.text, CompletionItemKind::ENUM, "shared replacement")).collect::<Vec<_>>()
    };
    match entry {
        [] => {
            let mut all = fields(&[], tables.source, |f| f.readable || (tables.two_way() && f.creatable));
            all.extend(words(&["key"]));
            if !tables.two_way() {
                all.push(snippet("adopt", "adopt by ${0:email}", "takes over records that do not have the key yet"));
            }
            all.extend([
                snippet("replace", "replace ${1:field} {\n  $0\n}", "what each value becomes"),
                snippet("filter", "filter ${1|all,any|} {\n  $0\n}", "which records go"),
                snippet("options", "options {\n  $0\n}", "deletes, filtered and rejected records"),
                snippet(
                    "case",
                    "case {\n  ${1:condition} => ${2:result}\n  else => null\n} -> $0",
                    "the first condition that is true decides",
                ),
                snippet("=", "= $0 ->", "a formula"),
                snippet("when", "when ${1:condition} {\n  $2\n} else {\n  $0\n}", "field mappings for some records"),
            ]);
            if tables.two_way() {
                all.extend([
                    snippet(
                        "link",
                        "link ${1:lookup}: d365.${2:account} by ${3:name} or create {\n  $0\n}",
                        "the record that a lookup points to",
                    ),
                    snippet("rows", "rows ${1:list}: d365.${2:table} by ${3:lookup} {\n  key id <-> $0\n}", "the items of a list, as rows"),
                ]);
            }
            all.extend(FUNCTIONS.iter().map(|f| snippet(f.name, &format!("{}($0)", f.name), f.summary)));
            all.extend(constants(group));
            all
        }
        ["key"] => {
            let own = tables.source.map(|t| item(&t.primary_key, CompletionItemKind::FIELD, "primary key"));
            let others = tables.source.into_iter().flat_map(|t| &t.alternate_keys).filter(|key| key.fields.len() == 1);
            own.into_iter().chain(others.map(|key| item(&key.fields[0], CompletionItemKind::FIELD, "alternate key"))).collect()
        }
        ["key", .., "->" | "<->"] => {
            let keys = tables.target.into_iter().flat_map(|t| &t.alternate_keys).flat_map(|k| &k.fields);
            keys.map(|f| item(f, CompletionItemKind::FIELD, "identifies a record")).collect()
        }
        ["adopt"] => words(&["by"]),
        ["adopt", "by"] | ["adopt", "by", .., "or"] => {
            fields(&[], tables.target, |f| f.updatable && matches!(f.ty, FieldType::Text { .. } | FieldType::Integer { .. }))
        }
        ["adopt", "by", _, ..] => words(&["or"]),
        ["replace"] => fields(&[], tables.source, |f| f.readable),
        ["replace", .., "with"] => shared(),
        ["replace", _] => words(&["with"]),
        ["filter"] => words(&["all", "any"]),
        ["when", condition @ ..] => conditions(condition, tables),
        ["=", calculation @ ..] if arrow.is_none() && !piped => formula(calculation, tables, group),
        [.., "|"] => steps(&taken_at(entry, tables)),
        [.., "link"] if piped => {
            let heads = group.files.iter().flat_map(|f| &f.tree.mappings).filter_map(|m| m.head.as_ref());
            let mappings = heads.map(|h| item(&h.name.text, CompletionItemKind::CLASS, "mapping"));
            mappings.chain([item("campaign", CompletionItemKind::MODULE, "a record that Campaign has already")]).collect()
        }
        [.., "map"] if piped => shared(),
        // What a function gives that finds no row.
        [.., ")", "or"] if !piped => outcomes(false),
        [.., "lookup"] if piped => tables_of_files(group),
        [.., "lookup", "("] => tables_of_files(group),
        [.., "lookup", table, "."] | [.., "lookup", "(", table, "."] => columns(table, group),
        [.., "or"] if piped => {
            let later = item("later", CompletionItemKind::VALUE, "of a link: it is written when the other record is there");
            outcomes(true).into_iter().chain([later]).collect()
        }
        [.., "@"] => words(&["initial", "present"]),
        _ if last == "(" || last == "," => fields(&[], tables.source, |f| f.readable),
        _ => match arrow {
            Some(at) if !piped && entry[at] == "<-" => {
                let mut all = fields(&entry[at + 1..], tables.target, |f| f.readable);
                if at + 1 == entry.len() {
                    all.push(snippet("text", "\"$0\"", "a fixed value"));
                    all.push(snippet("=", "= $0", "a formula"));
                    all.extend(FUNCTIONS.iter().map(|f| snippet(f.name, &format!("{}($0)", f.name), f.summary)));
                    all.extend(constants(group));
                } else if all.is_empty() && is_operand(last) {
                    all = words(&["|"]);
                }
                all
            }
            Some(at) if !piped => {
                let all = targets(&entry[..at], &entry[at + 1..], tables);
                if all.is_empty() && is_operand(last) { after_target(&[], tables) } else { all }
            }
            Some(_) => after_target(&["or"], tables),
            None if last == "." => fields(entry, tables.source, |f| f.readable),
            None if !is_operand(last) => Vec::new(),
            None if tables.two_way() => words(&["->", "<-", "<->"]),
            None => words(&["->"]),
        },
    }
}

/// What follows `link campaign`: a table, the key of its records, what happens if there is no record.
fn linked_by_key(rest: &[&str], group: &Group) -> Vec<CompletionItem> {
    let keys = |table: &Table| {
        table.alternate_keys.iter().filter(|key| key.fields.len() == 1).map(|key| key.fields[0].clone()).collect::<Vec<_>>()
    };
    match rest {
        ["."] => {
            let tables = group.catalogue.tables().filter(|t| t.id.system == SystemId::Campaign && !keys(t).is_empty());
            tables.map(|t| item(&t.id.name, CompletionItemKind::STRUCT, &t.label)).collect()
        }
        [".", _] => words(&["by", "or"]),
        [".", table, "by"] => {
            let table = group.catalogue.get(&TableId::new(SystemId::Campaign, *table));
            let names = table.into_iter().flat_map(|table| keys(table));
            names.map(|name| item(name, CompletionItemKind::FIELD, "identifies a record")).collect()
        }
        [".", _, "by", _] => words(&["or"]),
        _ => Vec::new(),
    }
}

/// A line of a `case`: a condition, then what the field gets.
pub(super) fn branches(entry: &[&str], last: &str, tables: &Tables<'_>, group: &Group) -> Vec<CompletionItem> {
    let Some(arrow) = entry.iter().position(|w| *w == "=>") else {
        let mut all = conditions(entry, tables);
        if entry.is_empty() {
            all.extend(words(&["else"]));
        }
        return all;
    };
    let result = &entry[arrow + 1..];
    let mut all = entries(result, last, tables, group);
    if result.is_empty() {
        all.retain(|item| !matches!(item.label.as_str(), "key" | "adopt" | "replace" | "filter" | "options" | "when"));
        all.extend(words(&["null", "reject"]));
    }
    all
}

/// The words before the brace of a block of linked records: `link COLUMN: TABLE by COLUMNS or create`, `rows LIST: TABLE by LOOKUP`.
pub(super) fn linked_header(keyword: &str, entry: &[&str], tables: &Tables<'_>, group: &Group) -> Vec<CompletionItem> {
    let (path, table) = linked(entry, group);
    let record = keyword == "link";
    let lookup = |f: &Field| matches!(f.ty, FieldType::Lookup { .. });
    let after = entry.get(path.len() + 1..).unwrap_or_default();
    match after {
        _ if path.len() == entry.len() && record => fields(path, tables.target, |f| lookup(f) && f.readable),
        _ if path.len() == entry.len() => {
            fields(path, tables.source, |f| matches!(f.ty, FieldType::Item(_) | FieldType::Collection { .. }))
        }
        [] => vec![item(SystemId::D365.name(), CompletionItemKind::MODULE, "")],
        [system, "."] => {
            let of_system = group.catalogue.tables().filter(|t| t.id.system.name() == *system);
            of_system.map(|t| item(&t.id.name, CompletionItemKind::STRUCT, &t.label)).collect()
        }
        [_, ".", _] => words(&["by"]),
        [.., "or"] if record => vec![
            item("create", CompletionItemKind::VALUE, "the record is created"),
            item("null", CompletionItemKind::VALUE, "the lookup stays as it is"),
            item("reject", CompletionItemKind::VALUE, "the deal becomes a dead letter"),
        ],
        [.., "by" | ","] => fields(&[], table, |f| f.readable && (record || lookup(f))),
        [_, ".", _, "by", ..] if record => words(&["or"]),
        _ => Vec::new(),
    }
}

/// Whether a word can end a source or a target: a name, a literal or a closing bracket.
fn is_operand(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '`' | '"' | ')' | '}' | '$'))
}

/// What can follow a target and its steps.
fn after_target(more: &[&str], tables: &Tables<'_>) -> Vec<CompletionItem> {
    let flags: &[&str] = if tables.two_way() { &[] } else { &["@initial", "@present"] };
    words(&[more, &["|"], flags].concat())
}

/// The types of values that a step can take at a `|`, in the words of its documentation; `None` if every step is possible.
fn taken_at(entry: &[&str], tables: &Tables<'_>) -> Option<&'static [&'static str]> {
    let before = entry.strip_suffix(&["|"])?;
    // An argument: `coalesce(a | trim |`.
    let mut depth = 0_usize;
    let start = before.iter().rposition(|word| match *word {
        ")" => {
            depth += 1;
            false
        }
        "(" if depth > 0 => {
            depth -= 1;
            false
        }
        "(" => true,
        "," => depth == 0,
        _ => false,
    });
    let value = &before[start.map_or(0, |at| at + 1)..];
    let arrow = value.iter().position(|word| matches!(*word, "->" | "<-" | "<->"));
    let first = value.iter().position(|word| *word == "|").unwrap_or(value.len());
    let (from, steps) = (&value[..arrow.unwrap_or(first).min(first)], &value[first..]);
    let names = dotted(from);
    let replaced = tables.mapping.into_iter().flat_map(|mapping| &mapping.entries).any(|other| match other {
        Entry::Replace(replace) => replace.field.names() == names,
        Entry::Key(_) | Entry::Adopt(_) | Entry::Field(_) | Entry::Filter(_) | Entry::Options(_) | Entry::Linked(_) | Entry::When(_) => {
            false
        }
    });
    if replaced {
        return None;
    }
    let (source, target) = (tables.source?, tables.target?);
    if let (Some(field), []) = (source.field(&names), steps) {
        return Some(takes(field));
    }
    if tables.two_way() {
        return None;
    }
    // What the entry writes to does not matter yet.
    let texts = target.fields.values().filter(|field| matches!(field.ty, FieldType::Text { .. }) && field.creatable && field.updatable);
    let (from, steps) = (from.join(" "), steps.join(" "));
    texts.take(3).find_map(|to| taken_after(&format!("{from} -> `{}` {steps}", to.name), source, target, tables.catalogue))
}

/// The fields that can be written, the best first: those with a similar name and a type that fits. They are inserted with the steps that
/// make the source fit.
fn targets(source: &[&str], path: &[&str], tables: &Tables<'_>) -> Vec<CompletionItem> {
    let mut all = fields(path, tables.target, |f| f.creatable || f.updatable);
    let Some(from) = tables.source.and_then(|table| table.field(&dotted(source))) else { return all };
    let parent = dotted(path);
    for one in &mut all {
        let names: Vec<&str> = parent.iter().copied().chain([one.label.as_str()]).collect();
        let Some(to) = tables.target.and_then(|table| table.field(&names)) else { continue };
        let fit = fitting_steps(from, to);
        let likeness = likeness(&from.name, &one.label);
        let rank = match (&fit, likeness) {
            (Some(_), 0) => 0,
            (Some(steps), likeness) => likeness + usize::from(!steps.is_empty()),
            (None, likeness) => 5 + likeness,
        };
        one.sort_text = Some(format!("{rank}{}", one.label));
        if let (Some(steps), Some(name)) = (fit, &one.insert_text) {
            one.insert_text = Some(format!("{name}{steps}"));
        }
    }
    all
}

/// How alike two names are: 0 if they are the same letters, 1 if one contains the other, 2 otherwise.
fn likeness(a: &str, b: &str) -> usize {
    let letters = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect::<String>();
    let (a, b) = (letters(a), letters(b));
    match () {
        () if a == b => 0,
        () if a.contains(&b) || b.contains(&a) => 1,
        () => 2,
    }
}

/// The types of values that a step can take, in the words of its documentation.
fn takes(field: &Field) -> &'static [&'static str] {
    match &field.ty {
        FieldType::Text { .. } | FieldType::Enumeration(_) => &["text"],
        FieldType::Integer { .. } => &["a number", "numbers", "whole numbers", "whole and exact numbers"],
        FieldType::Decimal { .. } => &["a number", "numbers", "whole and exact numbers"],
        FieldType::Double => &["a number", "numbers"],
        FieldType::Date => &["a date", "a day"],
        FieldType::DateTime => &["a date", "a date with time", "an instant"],
        FieldType::LocalDateTime => &["a date", "a time without a zone"],
        FieldType::Choice(_) => &["options"],
        FieldType::MultiChoice(_) => &["options", "several options"],
        FieldType::Boolean { .. } => &["true or false"],
        FieldType::Lookup { .. } => &["a lookup"],
        FieldType::Guid => &["a GUID"],
        FieldType::Link { .. } | FieldType::Collection { .. } | FieldType::Item(_) | FieldType::Unsupported => &[],
    }
}

/// The steps, or those that take a value of these types.
fn steps(taken: &Option<&'static [&'static str]>) -> Vec<CompletionItem> {
    let fits = |step: &&Step| {
        taken.is_none_or(|taken| {
            let mut types = step.rows.iter().flat_map(|row| row.takes.split(", "));
            types.any(|one| one == "anything" || taken.contains(&one))
        })
    };
    STEPS
        .iter()
        .filter(fits)
        .map(|step| {
            let usage = step.usage.split(", or ").next().unwrap_or(step.usage);
            CompletionItem {
                insert_text: Some(usage.to_owned()),
                documentation: Some(Documentation::MarkupContent(MarkupContent {
                    kind: MarkupKind::Markdown,
                    value: of_step(step.name).unwrap_or_default(),
                })),
                ..item(step.name, CompletionItemKind::FUNCTION, step.summary)
            }
        })
        .collect()
}
