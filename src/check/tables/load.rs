//! Reading declarations: the file, its columns and its keys.

use std::collections::HashMap;

use super::{Content, Declared, TableFile, TableFiles, TableInfo, faults, shown, unknown_column};
use crate::check::Context;
use crate::check::declare::{Parsed, included_name};
use crate::diagnostics::{Code, Diagnostic, Span, near};
use crate::sheets::{self, TableError};
use crate::syntax::ast::{LiteralValue, LookupTable};
use crate::unicode::nfc;

/// Reads the tables that the files declare, in the order of the files.
pub(in crate::check) fn load(parsed: &[Parsed], files: &TableFiles, context: &mut Context<'_>) {
    for one in parsed {
        let own = context.sources.get(one.id).map_or("", |f| f.name.as_str()).to_owned();
        for table in &one.file.lookups {
            let declared = declared(table, &own, files, context);
            context.tables.declared.push(declared);
        }
    }
}

fn declared(table: &LookupTable, own: &str, files: &TableFiles, context: &mut Context<'_>) -> Declared {
    let LiteralValue::Text(path) = &table.path.value else { return without_content(table, String::new()) };
    let Some(name) = included_name(own, path) else {
        let label = "outside of the project folder";
        context.report(
            Diagnostic::new(Code::D321, table.path.span, format!("the file \"{path}\" cannot be read"), label)
                .help("copy the file into the folder of the project"),
        );
        return without_content(table, path.clone());
    };
    let mut declared = without_content(table, name.clone());
    if let Some(bytes) = bytes(table, path, &name, files, context) {
        declared.content = content(table, &name, bytes, &mut declared.info, context);
    }
    declared
}

fn without_content(table: &LookupTable, file: String) -> Declared {
    let at = table.name.span;
    let info = TableInfo { name: table.name.text.clone(), at, file: file.clone(), rows: 0, keys: Vec::new(), columns: Vec::new() };
    Declared { name: table.name.clone(), file, info, content: None, used: false, used_columns: Default::default() }
}

fn bytes<'f>(table: &LookupTable, path: &str, name: &str, files: &'f TableFiles, context: &mut Context<'_>) -> Option<&'f [u8]> {
    let span = table.path.span;
    match files.get(name) {
        Some(TableFile::Bytes(bytes)) => return Some(bytes),
        Some(TableFile::Unreadable(reason)) => {
            context.report(
                Diagnostic::new(Code::D321, span, format!("the file \"{path}\" cannot be read"), reason.clone())
                    .help("a table file is CSV (UTF-8), YAML or a workbook (.xlsx), with at most 32 MiB"),
            );
        }
        None => {
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            let beside = files.keys().filter_map(|known| known.strip_prefix(folder)).map(|known| known.trim_start_matches('/'));
            let prefix = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
            let file = path.rsplit('/').next().unwrap_or_default();
            let near = near(file, beside).map(|near| near.written(|name| format!("\"{prefix}{name}\"")));
            context.report(Diagnostic::new(Code::D321, span, format!("there is no file \"{path}\""), "not found").meant(
                near,
                span,
                || {
                    "write the path relative to the folder of this file, with `/`: table names from \"tables/names.csv\" { key code }"
                        .to_owned()
                },
            ));
        }
    }
    None
}

/// What a file holds, if all of it can be used.
fn content(table: &LookupTable, file: &str, bytes: &[u8], info: &mut TableInfo, context: &mut Context<'_>) -> Option<Content> {
    let sheet_name = table.sheet.as_ref().and_then(|sheet| match &sheet.value {
        LiteralValue::Text(name) => Some(name.as_str()),
        _ => None,
    });
    let sheet = match sheets::read(file, bytes, sheet_name) {
        Ok(sheet) => sheet,
        Err(error) => {
            context.report(unreadable(table, file, &error));
            return None;
        }
    };
    (info.rows, info.columns) = (sheet.rows.len(), sheet.columns.clone());
    let columns = match table.keys.as_slice() {
        [] => {
            if !table.unread {
                let first = sheet.columns.first().map_or("column".to_owned(), |name| super::written(name));
                context.report(
                    Diagnostic::new(Code::D329, table.name.span, format!("the table `{}` has no key", table.name.text), "no `key` line")
                        .help(format!("write by which column a row is found: `key {first}`")),
                );
            }
            return None;
        }
        [one] => &one.columns,
        [first, second, ..] => {
            context.report(
                Diagnostic::new(Code::D329, second.span, format!("the table `{}` has two keys", table.name.text), "the second one")
                    .related(first.span, "the first one")
                    .help("separate the columns of the key with commas: `key gender, language`"),
            );
            return None;
        }
    };
    let mut content = Content { sheet, keys: Vec::new() };
    for column in columns {
        let Some(at) = content.column(&column.text) else {
            let diagnostic = unknown_column(column, &table.name.text, file, &content);
            context.report(diagnostic);
            return None;
        };
        if let Some((_, first)) = content.keys.iter().find(|(known, _)| *known == at) {
            context.report(
                Diagnostic::new(Code::D329, column.span, format!("the column `{}` is twice in the key", column.text), "the second time")
                    .related(*first, "the first time")
                    .help("remove one of the two"),
            );
            return None;
        }
        content.keys.push((at, column.span));
        info.keys.extend(content.sheet.columns.get(at).cloned());
    }
    let whole = !table.unread & (no_empty_keys(&content, file, context) && no_repeated_keys(table, &content, file, context));
    whole.then_some(content)
}

fn unreadable(table: &LookupTable, file: &str, error: &TableError) -> Diagnostic {
    let span = match (error, &table.sheet) {
        (TableError::NoSheets | TableError::SeveralSheets(_), Some(sheet)) => sheet.span,
        _ => table.path.span,
    };
    let (code, help) = match error {
        TableError::Place { .. } => (Code::D322, "correct the file; its first row must contain the names of the columns"),
        TableError::TooManyRows => (Code::D326, "remove rows that are not needed, or store the value in Dynamics 365 with the records"),
        TableError::SeveralSheets(_) => (Code::D321, "name the sheet: table names from \"names.xlsx\" sheet \"Names\" { key code }"),
        TableError::NoSheets => (Code::D321, "remove `sheet` and the name after it"),
        TableError::NotUtf8 { .. } => (Code::D321, "save the file as UTF-8: in Excel as \"CSV UTF-8\", or as .xlsx"),
        TableError::Ending => (Code::D321, "save the sheet as CSV (UTF-8) or .xlsx"),
        TableError::Empty => (Code::D321, "the first row contains the names of the columns, the other rows their values"),
        TableError::Workbook(_) | TableError::Syntax(_) => (Code::D321, "correct the file, or save it again"),
    };
    let message = match code {
        Code::D322 => format!("the table in {file} has an error"),
        Code::D326 => format!("the table in {file} is too large"),
        _ => format!("{file} cannot be read as a table"),
    };
    Diagnostic::new(code, span, message, error.to_string()).help(help)
}

fn no_empty_keys(content: &Content, file: &str, context: &mut Context<'_>) -> bool {
    let mut whole = true;
    for (column, span) in &content.keys {
        let empty = content.cells(*column).enumerate().filter(|(_, cell)| cell.is_empty());
        let empty: Vec<(usize, String)> = empty.map(|(row, _)| (row, "no value".to_owned())).collect();
        if !empty.is_empty() {
            whole = false;
            context.report(
                Diagnostic::new(Code::D322, *span, format!("rows of {file} have no key"), faults(&empty, content))
                    .help("fill the cells or remove the rows; for empty fields, write `or default(…)` after the lookup"),
            );
        }
    }
    whole
}

/// Reports rows with the same key, and warns of keys that people take for the same.
fn no_repeated_keys(table: &LookupTable, content: &Content, file: &str, context: &mut Context<'_>) -> bool {
    let span = content.keys.first().zip(content.keys.last()).map_or(table.name.span, |((_, first), (_, last))| first.to(*last));
    let key = |row: usize| -> Vec<&str> {
        let cells = &content.sheet.rows[row].cells;
        content.keys.iter().map(|(column, _)| cells.get(*column).map_or("", String::as_str)).collect()
    };
    let mut rows: HashMap<Vec<std::borrow::Cow<'_, str>>, usize> = HashMap::with_capacity(content.sheet.rows.len());
    let mut alike: HashMap<Vec<String>, usize> = HashMap::with_capacity(content.sheet.rows.len());
    let (mut twice, mut near_twice) = (Vec::new(), Vec::new());
    for row in 0..content.sheet.rows.len() {
        let cells = key(row);
        let first = *rows.entry(cells.iter().copied().map(nfc).collect()).or_insert(row);
        if first != row {
            twice.push((row, first));
            continue;
        }
        let loose = |cell: &&str| nfc(cell).to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        let first = *alike.entry(cells.iter().map(loose).collect()).or_insert(row);
        if first != row {
            near_twice.push((row, first));
        }
    }
    let named = |pairs: &[(usize, usize)]| {
        let named = |(row, first): &(usize, usize)| {
            let key: Vec<String> = key(*row).into_iter().map(shown).collect();
            (*row, format!("{}, as {}", key.join(", "), content.place(*first)))
        };
        faults(&pairs.iter().map(named).collect::<Vec<_>>(), content)
    };
    if !near_twice.is_empty() {
        context.report(
            Diagnostic::new(Code::D328, span, format!("keys of {file} differ only in case or spaces"), named(&near_twice))
                .help("remove one of the two; or allow this warning if both texts occur in Dynamics 365: keys are compared exactly"),
        );
    }
    if twice.is_empty() {
        return true;
    }
    context.report(repeated(span, file, &named(&twice)));
    false
}

/// Two rows with one key.
pub(super) fn repeated(span: Span, file: &str, rows: &str) -> Diagnostic {
    Diagnostic::new(Code::D324, span, format!("rows of {file} have the same key"), rows.to_owned())
        .help("keep one row for each key, or add a column to the key")
}
