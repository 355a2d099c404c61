//! Completion in conditions, in the branches of a `case` and in the cases of replacements.

use lsp_types::{CompletionItem, CompletionItemKind};

use super::Tables;
use super::items::{dotted, field_values, fields, item, snippet, words};
use crate::schema::{Field, FieldType};
use crate::syntax::ast::{Mapping, Source};

pub(super) fn conditions(entry: &[&str], tables: &Tables<'_>) -> Vec<CompletionItem> {
    let entry = &entry[comparison_start(entry)..];
    // The end of the path with which the comparison begins.
    let mut end = entry.len().min(1);
    while entry.get(end) == Some(&".") && entry.len() > end + 1 {
        end += 2;
    }
    let table = tables.source;
    match entry {
        [] => {
            let mut all = fields(&[], table, |f| f.readable);
            all.extend(words(&["not"]));
            all.extend([snippet("all", "all { $0 }", "every condition"), snippet("any", "any { $0 }", "one condition")]);
            all
        }
        [.., "."] => fields(entry, table, |f| f.readable),
        [.., "is"] => words(&["present", "empty"]),
        [.., "starts" | "ends"] => words(&["with"]),
        [.., "changed"] => words(&["within"]),
        _ => {
            let rest = &entry[end..];
            let column = table.and_then(|table| tables.catalogue.column(table, &dotted(&entry[..end])));
            let Some((_, field)) = column else { return Vec::new() };
            if rest.is_empty() {
                return operators(field);
            }
            if is_complete(rest) {
                return words(&["and", "or"]);
            }
            let dates = matches!(field.ty, FieldType::Date | FieldType::DateTime);
            let mut all = field_values(field);
            if dates {
                all.extend(words(&["now", "today"]));
            }
            if matches!(rest, ["=" | "!=" | "<" | "<=" | ">" | ">="]) {
                let alike = |other: &Field| std::mem::discriminant(&other.ty) == std::mem::discriminant(&field.ty) && other.readable;
                all.extend(fields(&[], table, |other| alike(other) && other.name != field.name));
            }
            all
        }
    }
}

/// Where the comparison begins that is being typed: after the last `and`, `or`, `not` or parenthesis. The `and` of `between` and the
/// parentheses of a list are part of one.
pub(super) fn comparison_start(entry: &[&str]) -> usize {
    let (mut start, mut between) = (0, false);
    for (at, word) in entry.iter().enumerate() {
        match *word {
            "between" => between = true,
            "and" if between => between = false,
            "and" | "or" | "not" => (start, between) = (at + 1, false),
            "(" if at == 0 || entry[at - 1] != "in" => (start, between) = (at + 1, false),
            _ => {}
        }
    }
    start
}

/// Whether what is after a field is a whole comparison.
pub(super) fn is_complete(rest: &[&str]) -> bool {
    matches!(
        rest,
        ["is", "present" | "empty"]
            | ["=" | "!=" | "<" | "<=" | ">" | ">=" | "contains" | "matches", _]
            | ["starts" | "ends", "with", _]
            | ["changed", "within", _]
            | ["between", _, "and", _]
            | ["in", "(", .., ")"]
    )
}

pub(super) fn operators(field: &Field) -> Vec<CompletionItem> {
    let mut all = vec!["=", "!=", "is present", "is empty", "in ("];
    match field.ty {
        FieldType::Integer { .. } | FieldType::Decimal { .. } | FieldType::Double | FieldType::LocalDateTime => {
            all.extend(["<", "<=", ">", ">=", "between"]);
        }
        FieldType::Date | FieldType::DateTime => all.extend(["<", "<=", ">", ">=", "between", "changed within"]),
        FieldType::Text { .. } => all.extend(["contains", "starts with", "ends with", "matches"]),
        FieldType::MultiChoice(_) => all = vec!["contains", "is present", "is empty"],
        _ => {}
    }
    all.into_iter().map(|o| item(o, CompletionItemKind::OPERATOR, "")).collect()
}

/// A case of a replacement of a field. `target`: the path of the field that it is for, if the same entry says so.
pub(super) fn arms(entry: &[&str], field: Option<&str>, target: Option<&[&str]>, tables: &Tables<'_>) -> Vec<CompletionItem> {
    let name = field.unwrap_or_default().trim_matches('`');
    match entry {
        [] => {
            let field = tables.source.and_then(|t| t.field(&[name]));
            let mut all = field.map(field_values).unwrap_or_default();
            all.extend(words(&["null", "else"]));
            // A case can also compare; `=` and questions for a value have other forms here.
            let compares = |item: &CompletionItem| !matches!(item.label.as_str(), "=" | "is present" | "is empty" | "changed within");
            all.extend(field.map(operators).unwrap_or_default().into_iter().filter(compares));
            all
        }
        [.., "=>" | "<=>"] => {
            // What the target of the field admits, where an entry says which that is.
            let here = target;
            let target = tables.mapping.into_iter().flat_map(Mapping::fields).find_map(|f| match &f.source {
                Source::Field(path) if path.text() == name => Some(&f.target),
                Source::Field(_) | Source::Literal(_) | Source::Template(_) | Source::Call(_) | Source::Case(_) | Source::Formula(_) => {
                    None
                }
            });
            let names = here.map(dotted).or_else(|| target.map(|path| path.names()));
            let mut all = names.and_then(|names| tables.target?.field(&names)).map(field_values).unwrap_or_default();
            all.extend(words(&["keep", "null", "reject"]));
            all
        }
        _ => Vec::new(),
    }
}
