//! Items of completion: words, snippets, fields and the values of fields.

use lsp_types::{CompletionItem, CompletionItemKind, InsertTextFormat};

use crate::assist::describe::type_text;
use crate::schema::{Field, FieldType, Table};

pub(super) fn item(label: impl Into<String>, kind: CompletionItemKind, detail: impl Into<String>) -> CompletionItem {
    CompletionItem {
        label: label.into(),
        kind: Some(kind),
        detail: Some(detail.into()).filter(|d| !d.is_empty()),
        ..CompletionItem::default()
    }
}

pub(super) fn words(list: &[&str]) -> Vec<CompletionItem> {
    list.iter().map(|w| item(*w, CompletionItemKind::KEYWORD, "")).collect()
}

pub(super) fn snippet(label: &str, text: &str, detail: &str) -> CompletionItem {
    CompletionItem {
        insert_text: Some(text.to_owned()),
        insert_text_format: Some(InsertTextFormat::SNIPPET),
        ..item(label, CompletionItemKind::SNIPPET, detail)
    }
}

/// The names of a path as words: `a . b`.
pub(super) fn dotted<'t>(words: &[&'t str]) -> Vec<&'t str> {
    words.iter().copied().filter(|w| *w != ".").map(|w| w.trim_matches('`')).collect()
}

/// Fields at the beginning of a path, or those within the field before the dot.
pub(super) fn fields(path: &[&str], table: Option<&Table>, wanted: impl Fn(&Field) -> bool) -> Vec<CompletionItem> {
    let Some(table) = table else { return Vec::new() };
    match path {
        [] => table.fields.values().filter(|f| wanted(f)).map(|f| field_item(&f.name, f)).collect(),
        [parent @ .., "."] => match table.field(&dotted(parent)).map(|f| &f.ty) {
            Some(FieldType::Item(inner)) => inner.values().filter(|f| wanted(f)).map(|f| field_item(&f.name, f)).collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

pub(super) fn field_item(name: &str, field: &Field) -> CompletionItem {
    let label = field.label.as_deref().map(|l| format!("{l}: ")).unwrap_or_default();
    let plain =
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let text = if plain { name.to_owned() } else { format!("`{name}`") };
    CompletionItem {
        // People look for a field by what a form calls it, too.
        filter_text: field.label.as_ref().map(|l| format!("{name} {l}")),
        insert_text: Some(text),
        deprecated: field.deprecated.is_some().then_some(true),
        ..item(name, CompletionItemKind::FIELD, format!("{label}{}", type_text(field)))
    }
}

/// The values that a field can have, as an author writes them.
pub(super) fn field_values(field: &Field) -> Vec<CompletionItem> {
    match &field.ty {
        FieldType::Choice(set) | FieldType::MultiChoice(set) => set
            .options
            .iter()
            .map(|o| {
                let plain = o.label.starts_with(|c: char| c.is_ascii_alphabetic())
                    && o.label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                let text = if plain { o.label.clone() } else { format!("\"{}\"", o.label) };
                item(text, CompletionItemKind::ENUM_MEMBER, o.value.to_string())
            })
            .collect(),
        FieldType::Enumeration(values) => values.iter().map(|v| item(&v.name, CompletionItemKind::ENUM_MEMBER, &v.label)).collect(),
        FieldType::Boolean { labels } => {
            let (no, yes) = labels.clone().unwrap_or_default();
            vec![item("true", CompletionItemKind::VALUE, yes), item("false", CompletionItemKind::VALUE, no)]
        }
        _ => Vec::new(),
    }
}
