//! What is under the cursor: a field's label, type, length and options; a step's use; a table; a code in a comment.

use std::fmt::Write;
use std::ops::Range;

use super::describe::{of_step, type_text};
use super::group::Group;
use super::marks::{Mark, Name, all_marks, mark_at};
use super::words;
use crate::count::counted;
use crate::diagnostics::Code;
use crate::schema::{Field, FieldType, Provenance, TableId};

/// Options shown at most.
const MOST_OPTIONS: usize = 12;

/// What is at a byte of a file (Markdown), and the range that it is about.
pub fn at(group: &Group, file: usize, offset: usize) -> Option<(String, Range<usize>)> {
    let all = all_marks(group);
    let text = &group.files.get(file)?.text;
    mark_at(all.get(file)?, offset)
        .and_then(|mark| Some((of_mark(mark, group)?, mark.span.range())))
        .or_else(|| words::of_word(text, offset))
        .or_else(|| of_code(text, offset))
}

/// The text for a name (Markdown).
fn of_mark(mark: &Mark, group: &Group) -> Option<String> {
    match &mark.name {
        Name::Mapping(name) => {
            let heads = group.files.iter().flat_map(|f| &f.tree.mappings).filter_map(|m| m.head.as_ref());
            let head = heads.into_iter().find(|h| h.name.text == *name)?;
            let table = |t: &crate::syntax::ast::TableName| format!("{}.{}", t.system.text, t.table.text);
            Some(format!("mapping `{name}`: `{}` {} `{}`", table(&head.source), head.way.sign(), table(&head.target)))
        }
        Name::Constant(name) => {
            let constants = group.files.iter().flat_map(|f| f.tree.constants.iter().map(move |c| (f, c)));
            let (file, constant) = constants.into_iter().find(|(_, c)| c.name.text == *name)?;
            Some(format!("constant `${name}` = `{}`", file.text.get(constant.value.span.range())?))
        }
        Name::Shared(name) => {
            let tables = group.files.iter().flat_map(|f| f.tree.tables.iter().map(move |t| (f, t)));
            let (file, shared) = tables.into_iter().find(|(_, t)| t.name.text == *name)?;
            Some(format!("shared replacement `{name}`\n\n```d365map\n{}\n```", file.text.get(shared.span.range())?))
        }
        Name::Table(id) => {
            let table = group.catalogue.get(id)?;
            Some(format!("**{}** `{id}`\n\n{}, primary key `{}`", table.label, counted(table.fields.len(), "field"), table.primary_key))
        }
        Name::Field(id, name) => of_field(id, name, group),
        Name::Step(name) => of_step(name),
        Name::Rows(name) => {
            let table = group.compiled.tables.iter().find(|t| t.name == *name)?;
            let mut out = format!("table `{name}`: {} of `{}`\n", counted(table.rows, "row"), table.file);
            for column in table.columns.iter().take(MOST_OPTIONS) {
                let key = if table.keys.contains(column) { ": key" } else { "" };
                // Writing into a String cannot fail.
                let _ = write!(out, "\n- `{column}`{key}");
            }
            if table.columns.len() > MOST_OPTIONS {
                let _ = write!(out, "\n- and {} more", table.columns.len() - MOST_OPTIONS);
            }
            Some(out)
        }
        Name::Column(name, column) => {
            let table = group.compiled.tables.iter().find(|t| t.name == *name)?;
            table.columns.iter().find(|known| *known == column)?;
            let what = if table.keys.contains(column) { "key column" } else { "column" };
            Some(format!("{what} `{column}` of the table `{name}`\n\n{} of `{}`", counted(table.rows, "row"), table.file))
        }
    }
}

fn of_field(id: &TableId, name: &str, group: &Group) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let field = group.catalogue.get(id)?.field(&parts)?;
    let mut out = String::new();
    if let Some(label) = &field.label {
        let _ = write!(out, "**{label}** ");
    }
    // Writing into a String cannot fail.
    let _ = write!(out, "`{id}.{name}`\n\n{}: {}", field.vendor_type, type_text(field));
    for note in notes(field) {
        let _ = write!(out, "  \n{note}");
    }
    let options = option_lines(field);
    if !options.is_empty() {
        out.push('\n');
        for line in options.iter().take(MOST_OPTIONS) {
            let _ = write!(out, "\n- {line}");
        }
        if options.len() > MOST_OPTIONS {
            let _ = write!(out, "\n- and {} more", options.len() - MOST_OPTIONS);
        }
    }
    Some(out)
}

fn notes(field: &Field) -> Vec<String> {
    let mut notes = Vec::new();
    if field.required {
        notes.push("required".to_owned());
    }
    match (field.creatable, field.updatable) {
        (false, false) => notes.push("read-only".to_owned()),
        (true, false) => notes.push("can be set when a record is created only".to_owned()),
        (false | true, true) => {}
    }
    if !field.aliases.is_empty() {
        notes.push(format!("also called {}", field.aliases.join(", ")));
    }
    if field.provenance == Provenance::Assumed {
        notes.push("assumed; a pull of the schema confirms it".to_owned());
    }
    notes.extend(field.derived.map(|d| format!("{}: its value changes although the record does not", d.name())));
    notes.extend(field.deprecated.as_ref().map(|d| format!("deprecated: {d}")));
    notes
}

fn option_lines(field: &Field) -> Vec<String> {
    match &field.ty {
        FieldType::Choice(set) | FieldType::MultiChoice(set) => set.options.iter().map(|o| format!("`{}` {}", o.value, o.label)).collect(),
        FieldType::Enumeration(values) => values.iter().map(|v| format!("`{}` {}", v.name, v.label)).collect(),
        FieldType::Boolean { labels: Some((no, yes)) } => vec![format!("`false` {no}"), format!("`true` {yes}")],
        _ => Vec::new(),
    }
}

/// A code under the cursor, as in `# allow(D304): why`.
fn of_code(text: &str, offset: usize) -> Option<(String, std::ops::Range<usize>)> {
    let word = |c: char| c.is_ascii_alphanumeric();
    let start = text.get(..offset)?.rfind(|c| !word(c)).map_or(0, |n| n + 1);
    let end = text.get(offset..)?.find(|c| !word(c)).map_or(text.len(), |n| offset + n);
    let code = Code::from_name(text.get(start..end)?)?;
    Some((format!("**{code}** {}\n\n`d365map explain {code}` says more", code.title()), start..end))
}
