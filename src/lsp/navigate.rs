//! Where a name is declared and used, its new name, and the outline of a file.

#![allow(clippy::mutable_key_type)] // An address is not changed while it is a key.

use std::collections::HashMap;

use lsp_types::{DocumentSymbol, Location, SymbolKind, TextEdit, Uri, WorkspaceEdit};

use super::documents::Group;
use crate::assist::marks::{Mark, Name, all_marks, mark_at};
use crate::syntax::ast::{Entry, LiteralValue, Source};

fn location(group: &Group, file: usize, mark: &Mark) -> Location {
    let source = &group.files[file];
    Location { uri: source.uri.clone(), range: source.lines.range(mark.span.range()) }
}

/// Where the name under the cursor is declared; its own file comes first.
pub(super) fn definition(group: &Group, file: usize, offset: usize) -> Option<Vec<Location>> {
    let all = all_marks(group);
    let mark = mark_at(&all[file], offset)?;
    let files = std::iter::once(file).chain((0..all.len()).filter(|f| *f != file));
    // A column is declared in the file of its table.
    let wanted = match &mark.name {
        Name::Column(table, _) => Name::Rows(table.clone()),
        name => name.clone(),
    };
    let found: Vec<Location> = files
        .flat_map(|f| all[f].iter().filter(|m| m.declares && m.name == wanted).map(move |m| (f, m)))
        .filter(|(f, _)| !matches!(mark.name, Name::Field(..)) || *f == file)
        .map(|(f, m)| location(group, f, m))
        .collect();
    Some(found)
}

/// Every place where the name under the cursor is used. For a field, only the places in its file.
pub(super) fn references(group: &Group, file: usize, offset: usize, declarations: bool) -> Option<Vec<Location>> {
    let all = all_marks(group);
    let mark = mark_at(&all[file], offset)?;
    let found = all.iter().enumerate().flat_map(|(f, marks)| {
        let own = !matches!(mark.name, Name::Step(_)) || f == file;
        marks.iter().filter(move |m| own && m.name == mark.name && (declarations || !m.declares)).map(move |m| (f, m))
    });
    Some(found.map(|(f, m)| location(group, f, m)).collect())
}

/// Why a name cannot be changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RenameError {
    #[error("there is no name here that could be changed")]
    Nothing,
    #[error("`{name}` is a field of {table}: its name belongs to that system")]
    Field { name: String, table: String },
    #[error("`{0}` is a table: its name belongs to that system")]
    Table(String),
    #[error("`{0}` is a step of the language")]
    Step(String),
    #[error("`{0}` is a column: its name is in the file of the table")]
    Column(String),
    #[error("`{0}` is not a name: use letters, digits and `_`, and do not begin with a digit")]
    NotAName(String),
    #[error("`{0}` is another's name already")]
    Taken(String),
}

/// What can be renamed under the cursor, with its text; or why it cannot.
pub(super) fn renameable(group: &Group, file: usize, offset: usize) -> Result<(lsp_types::Range, String), RenameError> {
    let all = all_marks(group);
    let mark = mark_at(&all[file], offset).ok_or(RenameError::Nothing)?;
    let name = match &mark.name {
        Name::Mapping(name) | Name::Constant(name) | Name::Shared(name) | Name::Rows(name) => name.clone(),
        Name::Column(_, name) => return Err(RenameError::Column(name.to_string())),
        Name::Field(table, name) => return Err(RenameError::Field { name: name.to_string(), table: table.to_string() }),
        Name::Table(table) => return Err(RenameError::Table(table.to_string())),
        Name::Step(name) => return Err(RenameError::Step(name.to_string())),
    };
    Ok((group.files[file].lines.range(mark.span.range()), name))
}

/// The edits of a new name in all files.
pub(super) fn rename(group: &Group, file: usize, offset: usize, new: &str) -> Result<WorkspaceEdit, RenameError> {
    renameable(group, file, offset)?;
    let plain =
        new.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && new.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !plain {
        return Err(RenameError::NotAName(new.to_owned()));
    }
    let all = all_marks(group);
    let old = &mark_at(&all[file], offset).ok_or(RenameError::Nothing)?.name;
    let wanted = match old {
        Name::Mapping(_) => Name::Mapping(new.to_owned()),
        Name::Constant(_) => Name::Constant(new.to_owned()),
        Name::Shared(_) => Name::Shared(new.to_owned()),
        Name::Rows(_) => Name::Rows(new.to_owned()),
        other => other.clone(),
    };
    if *old != wanted && all.iter().flatten().any(|m| m.declares && m.name == wanted) {
        return Err(RenameError::Taken(new.to_owned()));
    }
    let mut changes: HashMap<Uri, Vec<TextEdit>> = HashMap::new();
    for (source, marks) in group.files.iter().zip(&all) {
        let lines = &source.lines;
        for mark in marks.iter().filter(|m| m.name == *old) {
            let edit = TextEdit { range: lines.range(mark.span.range()), new_text: new.to_owned() };
            changes.entry(source.uri.clone()).or_default().push(edit);
        }
    }
    Ok(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() })
}

/// The outline of a file.
pub(super) fn symbols(group: &Group, file: usize) -> Vec<DocumentSymbol> {
    let source = &group.files[file];
    let lines = &source.lines;
    #[allow(deprecated)] // The protocol's own field, which must be given.
    let symbol = |name: String, detail: Option<String>, kind, span: crate::diagnostics::Span, at: crate::diagnostics::Span, children| {
        DocumentSymbol {
            name,
            detail,
            kind,
            tags: None,
            deprecated: None,
            range: lines.range(span.range()),
            selection_range: lines.range(at.range()),
            children,
        }
    };
    let tree = &source.tree;
    let mut symbols = Vec::new();
    for mapping in &tree.mappings {
        let Some(head) = &mapping.head else { continue };
        let children = mapping.entries.iter().map(|entry| {
            let (name, kind) = match entry {
                Entry::Key(key) => (format!("key {}", key.target.text()), SymbolKind::KEY),
                Entry::Adopt(_) => ("adopt".to_owned(), SymbolKind::KEY),
                Entry::Field(field) => (field.target.text(), SymbolKind::FIELD),
                Entry::Replace(replace) => (format!("replace {}", replace.field.text()), SymbolKind::ENUM),
                Entry::Filter(_) => ("filter".to_owned(), SymbolKind::BOOLEAN),
                Entry::Options(_) => ("options".to_owned(), SymbolKind::OBJECT),
                Entry::Linked(linked) => (format!("{} {}", linked.kind.keyword(), linked.path.text()), SymbolKind::STRUCT),
                Entry::When(_) => ("when".to_owned(), SymbolKind::BOOLEAN),
            };
            let detail = match entry {
                Entry::Field(field) => match &field.source {
                    Source::Field(path) => Some(path.text()),
                    Source::Literal(_) | Source::Template(_) | Source::Call(_) | Source::Case(_) | Source::Formula(_) => None,
                },
                Entry::Key(key) => Some(key.source.text()),
                Entry::Linked(linked) => Some(linked.table.table.text.clone()),
                Entry::Adopt(_) | Entry::Replace(_) | Entry::Filter(_) | Entry::Options(_) | Entry::When(_) => None,
            };
            symbol(name, detail, kind, entry.span(), entry.span(), None)
        });
        let detail = format!(
            "{}.{} {} {}.{}",
            head.source.system.text,
            head.source.table.text,
            head.way.sign(),
            head.target.system.text,
            head.target.table.text
        );
        symbols.push(symbol(
            head.name.text.clone(),
            Some(detail),
            SymbolKind::CLASS,
            mapping.span,
            head.name.span,
            Some(children.collect()),
        ));
    }
    for constant in &tree.constants {
        symbols.push(symbol(constant.name.text.clone(), None, SymbolKind::CONSTANT, constant.span, constant.name.span, None));
    }
    for table in &tree.tables {
        symbols.push(symbol(table.name.text.clone(), None, SymbolKind::ENUM, table.span, table.name.span, None));
    }
    for table in &tree.lookups {
        symbols.push(symbol(table.name.text.clone(), None, SymbolKind::ARRAY, table.span, table.name.span, None));
    }
    for block in &tree.optouts {
        symbols.push(symbol(format!("optout {}", block.mapping.text), None, SymbolKind::INTERFACE, block.span, block.mapping.span, None));
    }
    for block in &tree.events {
        symbols.push(symbol(block.name.text.clone(), None, SymbolKind::EVENT, block.span, block.name.span, None));
    }
    for block in &tree.tests {
        if let LiteralValue::Text(title) = &block.title.value {
            let name = format!("test {} \"{title}\"", block.mapping.text);
            symbols.push(symbol(name, None, SymbolKind::METHOD, block.span, block.title.span, None));
        }
    }
    symbols.sort_by_key(|s| (s.range.start.line, s.range.start.character));
    symbols
}
