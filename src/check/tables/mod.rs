//! Tables of files: what a declaration reads, and what a use of a column is.
//!
//! A declaration is read and checked once ([`load`]). Each use says by which fields a row is found ([`keys`]) and what happens to the value
//! ([`values`]); the rows go into the plan once for each way in which their keys are compared.

mod keys;
mod load;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) use keys::Key;
pub(super) use load::load;

use super::Context;
use super::replace::Expect;
use super::types::{Typed, list};
use crate::diagnostics::{Code, Diagnostic, Span, near};
use crate::plan::{Column, Lookup, LookupTable};
use crate::sheets::{self, Row};
use crate::syntax::ast::{Ident, Path};
use keys::KeyKind;
use values::CellKind;

/// The files that tables are read from, by their names, which are relative to what the names of mapping files are relative to.
pub type TableFiles = BTreeMap<String, TableFile>;

/// A file that a table is read from.
#[derive(Clone, Debug)]
pub enum TableFile {
    /// What is in it.
    Bytes(Arc<[u8]>),
    /// Why it cannot be read.
    Unreadable(String),
}

/// A table as editors show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// The place of its name in the mapping files.
    pub at: Span,
    /// The file that it was read from.
    pub file: String,
    /// How many rows it has.
    pub rows: usize,
    /// The names of its key columns.
    pub keys: Vec<String>,
    /// The names of all columns.
    pub columns: Vec<String>,
}

/// Rows shown of those that have a fault.
const SHOWN: usize = 3;

/// The tables that the files declare, and what of them goes into the plan.
#[derive(Default)]
pub(crate) struct Tables {
    declared: Vec<Declared>,
    lowered: Vec<Lowered>,
}

/// A declaration.
struct Declared {
    name: Ident,
    /// The file, relative to the project.
    file: String,
    /// What editors show of it, as far as it could be read.
    info: TableInfo,
    /// What was read; `None` if it cannot be used, which is reported.
    content: Option<Content>,
    used: bool,
    /// The columns that are looked up.
    used_columns: BTreeSet<usize>,
}

/// What a file holds.
struct Content {
    sheet: sheets::Table,
    /// The key columns, with the places of their names.
    keys: Vec<(usize, Span)>,
}

impl Content {
    /// A row for people: `row 17`.
    fn place(&self, row: usize) -> String {
        format!("{} {}", self.sheet.unit, self.sheet.rows.get(row).map_or(0, |row| row.number))
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.sheet.columns.iter().position(|column| crate::unicode::same(column, name))
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &str> {
        self.sheet.rows.iter().map(move |row: &Row| row.cells.get(column).map_or("", String::as_str))
    }
}

/// A table with its keys in the form in which the values of fields are compared with them.
struct Lowered {
    declared: usize,
    kinds: Vec<KeyKind>,
    /// `None` if rows do not fit, which is reported.
    table: Option<LookupTable>,
    /// The columns of the table by their numbers in the file and what they are in the plan, with their fingerprints.
    columns: Vec<(usize, CellKind, String)>,
}

/// A column that is looked up.
pub(super) struct Found {
    pub(super) lookup: Lookup,
    /// The type of its values.
    pub(super) typed: Typed,
    /// Why there may be no row; `None` if there is one for every value of the keys.
    pub(super) missing: Option<String>,
}

impl Tables {
    /// Notes that some mapping names a table.
    pub(super) fn note_use(&mut self, number: usize) {
        if let Some(declared) = self.declared.get_mut(number) {
            declared.used = true;
        }
    }

    /// The name of a column, for an example of its use.
    pub(super) fn example(&self, number: usize) -> Option<String> {
        let declared = self.declared.get(number)?;
        let content = declared.content.as_ref()?;
        let is_key = |column: usize| content.keys.iter().any(|(key, _)| *key == column);
        let column = (0..content.sheet.columns.len()).find(|column| !is_key(*column)).unwrap_or(0);
        Some(format!("{}.{}", declared.name.text, written(content.sheet.columns.get(column)?)))
    }

    /// What editors show.
    pub(super) fn infos(&self) -> Vec<TableInfo> {
        self.declared.iter().map(|declared| declared.info.clone()).collect()
    }

    /// The tables of the plan.
    pub(super) fn into_plan(self) -> Vec<Arc<LookupTable>> {
        self.lowered.into_iter().filter_map(|lowered| lowered.table.map(Arc::new)).collect()
    }

    fn find(&mut self, number: usize, column: &Path, keys: &[Key<'_>], expect: &Expect<'_>, context: &mut Context<'_>) -> Option<Found> {
        let Tables { declared, lowered } = self;
        let declared_table = declared.get_mut(number)?;
        let content = declared_table.content.as_ref()?;
        let [_, name] = column.parts.as_slice() else { return None };
        let Some(at) = content.column(&name.text) else {
            let diagnostic = unknown_column(name, &declared_table.name.text, &declared_table.file, content);
            context.report(diagnostic);
            return None;
        };
        declared_table.used_columns.insert(at);
        if keys.len() != content.keys.len() {
            context.report(number_of_keys(column, &declared_table.name.text, keys, content));
            return None;
        }
        let kinds = keys::kinds(keys, content, &declared_table.name.text, context)?;
        let place = match lowered.iter().position(|l| l.declared == number && l.kinds == kinds) {
            Some(place) => place,
            None => {
                let table = keys::lower(declared_table, content, &kinds, keys, context);
                lowered.push(Lowered { declared: number, kinds, table, columns: Vec::new() });
                lowered.len() - 1
            }
        };
        // A table that cannot be used is not in the plan, and then there is no plan.
        let lowered_table = &mut lowered[place];
        let table = lowered_table.table.as_mut()?;
        let missing = keys::missing(keys, table, &declared_table.name.text);
        let (kind, cells, typed) = values::column(content, at, column, declared_table, expect, context)?;
        let column_index = match lowered_table.columns.iter().position(|(known, as_kind, _)| (*known, *as_kind) == (at, kind)) {
            Some(index) => index,
            None => {
                table.columns.push(Column { name: content.sheet.columns[at].clone(), cells });
                let index = table.columns.len() - 1;
                lowered_table.columns.push((at, kind, table.hash(index)));
                index
            }
        };
        let hash = lowered_table.columns[column_index].2.clone();
        let index = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Some(Found { lookup: Lookup { table_index: index(place), column_index: index(column_index), hash, table: None }, typed, missing })
    }
}

/// Looks a column up by the values of fields. `table` is the table's number, if the declaration was found.
pub(super) fn find(table: Option<usize>, column: &Path, keys: &[Key<'_>], expect: &Expect<'_>, context: &mut Context<'_>) -> Option<Found> {
    // Findings are reported meanwhile, which leave the tables alone.
    let mut tables = std::mem::take(&mut context.tables);
    let found = tables.find(table?, column, keys, expect, context);
    context.tables = tables;
    found
}

/// Reports tables and columns that nothing uses.
pub(super) fn unused(context: &mut Context<'_>) {
    let tables = std::mem::take(&mut context.tables);
    for declared in &tables.declared {
        let (name, span) = (&declared.name.text, declared.name.span);
        if !declared.used {
            context.report(
                Diagnostic::new(Code::D814, span, format!("the table `{name}` is never used"), "declared here")
                    .help(format!("use it as `| lookup {name}.COLUMN` or `lookup({name}.COLUMN, FIELD)`, or remove it")),
            );
            continue;
        }
        let Some(content) = &declared.content else { continue };
        let is_key = |column: usize| content.keys.iter().any(|(key, _)| *key == column);
        let idle = (0..content.sheet.columns.len()).filter(|column| !is_key(*column) && !declared.used_columns.contains(column));
        let idle: Vec<&str> = idle.filter_map(|column| content.sheet.columns.get(column).map(String::as_str)).collect();
        // If none is used, what was meant to be used is reported already.
        if idle.is_empty() || declared.used_columns.is_empty() {
            continue;
        }
        let label = format!("not used: {}", list(idle.iter().copied(), 5));
        let message = match idle.len() {
            1 => format!("a column of the table `{name}` is never used"),
            n => format!("{n} columns of the table `{name}` are never used"),
        };
        context.report(
            Diagnostic::new(Code::D815, span, message, label)
                .help("remove them from the file, or allow this warning if others need the file as it is"),
        );
    }
    context.tables = tables;
}

fn unknown_column(name: &Ident, table: &str, file: &str, content: &Content) -> Diagnostic {
    let columns = || content.sheet.columns.iter().map(String::as_str);
    let near = near(&name.text, columns()).map(|near| near.written(written));
    let message = format!("the table `{table}` has no column `{}`", name.text);
    Diagnostic::new(Code::D323, name.span, message, format!("not in the first row of {file}"))
        .meant(near, name.span, || format!("its columns are {}", list(columns(), 20)))
}

fn number_of_keys(column: &Path, table: &str, keys: &[Key<'_>], content: &Content) -> Diagnostic {
    let names: Vec<String> = content.keys.iter().filter_map(|(column, _)| content.sheet.columns.get(*column)).map(|n| written(n)).collect();
    let label = match names.len() {
        1 => format!("the table has one key column: {}", names.join(", ")),
        n => format!("the table has {n} key columns: {}", names.join(", ")),
    };
    let fields: Vec<String> = (1..=names.len()).map(|n| format!("field{n}")).collect();
    let span = keys.last().map_or(column.span, |key| column.span.to(key.span));
    Diagnostic::new(Code::D209, span, "`lookup` has the wrong arguments", label).help(format!(
        "name a field for each key column of `{table}`, in their order: `lookup({}, {})`",
        column.text(),
        fields.join(", ")
    ))
}

/// A column's name as it is written in a mapping file.
fn written(name: &str) -> String {
    let plain =
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { name.to_owned() } else { format!("`{name}`") }
}

/// A cell for people, on one line.
fn shown(cell: &str) -> String {
    let text: String = cell.chars().take(40).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.len() < cell.len() { format!("`{text}…`") } else { format!("`{text}`") }
}

/// Rows with their faults in one line: the first ones, and how many more there are.
fn faults(list: &[(usize, String)], content: &Content) -> String {
    let mut text: Vec<String> = list.iter().take(SHOWN).map(|(row, why)| format!("{}: {why}", content.place(*row))).collect();
    match list.len().saturating_sub(SHOWN) {
        0 => {}
        1 => text.push("and 1 more".to_owned()),
        more => text.push(format!("and {more} more")),
    }
    text.join("; ")
}
