//! Rows as entries of a mapping file.

use std::collections::BTreeMap;

use super::table::{Kind, Row, Table};
use crate::diagnostics::{Diagnostics, FileId};
use crate::schema::{Field, FieldType, Table as Schema};
use crate::syntax;

/// The text of a mapping, and what became of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The mapping file, in its canonical form.
    pub text: String,
    /// For each line of the text before it was put into form: the row that it comes from.
    pub draft: String,
    /// The row (file and number) of each line of [`Imported::draft`].
    pub rows: Vec<Option<(String, usize)>>,
    /// What was taken for something else than it says, and what could not be taken over.
    pub notes: Vec<Note>,
    /// How many rows are left as comments.
    pub left: usize,
}

/// A remark about a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file and the row.
    pub place: String,
    /// What is to be said.
    pub text: String,
}

struct Writer<'s> {
    source: &'s Schema,
    target: &'s Schema,
    lines: Vec<(String, Option<(String, usize)>)>,
    notes: Vec<Note>,
    left: usize,
}

/// Writes the mapping of these tables.
pub fn import(name: &str, source: &Schema, target: &Schema, tables: &[Table]) -> Imported {
    let mut writer = Writer { source, target, lines: Vec::new(), notes: Vec::new(), left: 0 };
    writer.line(format!("mapping {name}: {} -> {} {{", source.id, target.id), None);
    let rows = |kind: Kind| tables.iter().filter(move |t| t.kind == kind).flat_map(|t| t.rows.iter().map(move |r| (t.file.as_str(), r)));
    writer.fields(&rows(Kind::Fields).collect::<Vec<_>>());
    writer.replacements(&rows(Kind::Replacements).collect::<Vec<_>>(), &rows(Kind::Fields).collect::<Vec<_>>());
    writer.filters(&rows(Kind::Filters).collect::<Vec<_>>());
    writer.line("}".to_owned(), None);
    let draft: String = writer.lines.iter().map(|(l, _)| format!("{l}\n")).collect();
    let text = crate::format::format(&draft).unwrap_or_else(|| draft.clone());
    Imported { text, draft, rows: writer.lines.into_iter().map(|(_, r)| r).collect(), notes: writer.notes, left: writer.left }
}

fn yes(cell: &str) -> bool {
    matches!(cell.to_lowercase().as_str(), "yes" | "y" | "true" | "x" | "1" | "on")
}

fn no(cell: &str) -> bool {
    matches!(cell.to_lowercase().as_str(), "no" | "n" | "false" | "0" | "off")
}

fn plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn quoted(text: &str) -> String {
    let escaped =
        text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t").replace('{', "\\{").replace('}', "\\}");
    format!("\"{}\"", escaped.replace('\r', ""))
}

/// A name as a mapping file writes it.
fn spelled(path: &str) -> String {
    path.split('.').map(|p| if plain(p) { p.to_owned() } else { format!("`{p}`") }).collect::<Vec<_>>().join(".")
}

/// The dotted name of a field: by its name, by its name in other letters, by its label.
fn find(cell: &str, table: &Schema) -> Option<String> {
    let parts: Vec<&str> = cell.split('.').map(str::trim).collect();
    if table.field(&parts).is_some() {
        return Some(parts.join("."));
    }
    let mut all: Vec<(String, &Field)> = Vec::new();
    for field in table.fields.values() {
        all.push((field.name.clone(), field));
        if let FieldType::Item(inner) = &field.ty {
            all.extend(inner.values().map(|f| (format!("{}.{}", field.name, f.name), f)));
        }
    }
    let one = |matches: Vec<&(String, &Field)>| match matches.as_slice() {
        [only] => Some(only.0.clone()),
        _ => None,
    };
    one(all.iter().filter(|(name, _)| name.eq_ignore_ascii_case(cell)).collect())
        .or_else(|| one(all.iter().filter(|(_, f)| f.label.as_ref().is_some_and(|l| l.eq_ignore_ascii_case(cell))).collect()))
}

/// Whether lines can stand in a mapping.
fn reads(lines: &str) -> bool {
    let mut diagnostics = Diagnostics::default();
    syntax::parse(FileId(0), &format!("mapping a: d365.contact -> campaign.profile {{\n{lines}\n}}\n"), &mut diagnostics);
    diagnostics.is_empty()
}

impl Writer<'_> {
    fn line(&mut self, text: String, row: Option<(String, usize)>) {
        for part in text.split('\n') {
            self.lines.push((part.to_owned(), row.clone()));
        }
    }

    fn note(&mut self, file: &str, row: &Row, text: String) {
        self.notes.push(Note { place: format!("{file} row {}", row.number), text });
    }

    /// A row that makes no entry.
    fn leave(&mut self, file: &str, row: &Row, why: &str) {
        self.left += 1;
        let cells: Vec<String> = row.cells.iter().map(|(name, cell)| format!("{name}: {}", cell.replace(['\n', '\r'], " "))).collect();
        self.line(format!("# TODO {file} row {}: {why} ({})", row.number, cells.join("; ")), Some((file.to_owned(), row.number)));
        self.note(file, row, format!("left as a comment: {why}"));
    }

    fn name(&mut self, cell: &str, table: &Schema, file: &str, row: &Row) -> String {
        match find(cell, table) {
            Some(found) if found != cell => {
                self.note(file, row, format!("`{cell}` was taken for {}.{found}", table.id));
                spelled(&found)
            }
            _ => spelled(cell),
        }
    }

    fn fields(&mut self, rows: &[(&str, &Row)]) {
        let (source, target) = (self.source, self.target);
        let is_key = |row: &Row| {
            yes(row.cell("key"))
                || (find(row.cell("source"), source).is_some_and(|f| f == source.primary_key)
                    && target.alternate_keys.iter().any(|k| find(row.cell("target"), target).is_some_and(|f| k.fields == [f])))
        };
        let (keys, others): (Vec<_>, Vec<_>) = rows.iter().partition(|(_, row)| is_key(row));
        match keys.first() {
            Some((file, row)) => {
                let (from, to) = (self.name(row.cell("source"), source, file, row), self.name(row.cell("target"), target, file, row));
                self.line(format!("key {from} -> {to}"), Some(((*file).to_owned(), row.number)));
            }
            None => {
                let to = target.alternate_keys.first().and_then(|k| k.fields.first()).map_or("externalId", String::as_str);
                self.line(format!("key {} -> {to}", source.primary_key), None);
                self.notes.push(Note {
                    place: "the key".to_owned(),
                    text: format!("no row is a key; `key {} -> {to}` was added", source.primary_key),
                });
            }
        }
        for (file, row) in keys.into_iter().skip(1) {
            self.leave(file, row, "a second key");
        }
        self.line(String::new(), None);
        for (file, row) in others {
            self.field(file, row);
        }
    }

    fn field(&mut self, file: &str, row: &Row) {
        let (from, to) = (row.cell("source"), row.cell("target"));
        if from.is_empty() || to.is_empty() {
            return self.leave(file, row, if from.is_empty() { "no source" } else { "no target" });
        }
        let literal = from.starts_with('"') || from.contains('{');
        let source = match from {
            text if text.starts_with('"') => text.to_owned(),
            text if text.contains('{') => format!("\"{}\"", text.replace('"', "\\\"")),
            // A function over fields.
            text if text.contains('(') && find(text, self.source).is_none() => text.to_owned(),
            text => self.name(text, self.source, file, row),
        };
        let target = self.name(to, self.target, file, row);
        let mut entry = format!("{source} -> {target}");
        let steps = row.cell("steps").trim_matches(['|', ' ']);
        if !steps.is_empty() {
            entry.push_str(&format!(" | {steps}"));
        }
        let default = row.cell("default");
        if !default.is_empty() && !literal {
            let field = find(from, self.source).and_then(|f| self.source.field(&f.split('.').collect::<Vec<_>>()));
            entry.push_str(&format!(" | default({})", value(default, field.map(|f| &f.ty))));
        }
        if no(row.cell("updates")) {
            entry.push_str(" @initial");
        }
        if !reads(&entry) {
            return self.leave(file, row, "the row does not make an entry");
        }
        let comment = row.cell("comment");
        for part in comment.lines().map(str::trim).filter(|p| !p.is_empty()) {
            self.line(format!("# {part}"), Some((file.to_owned(), row.number)));
        }
        self.line(entry, Some((file.to_owned(), row.number)));
    }

    fn replacements(&mut self, rows: &[(&str, &Row)], mappings: &[(&str, &Row)]) {
        let (source, target) = (self.source, self.target);
        let mut order: Vec<String> = Vec::new();
        let mut by_field: BTreeMap<String, Vec<(&str, &Row)>> = BTreeMap::new();
        for (file, row) in rows {
            let cell = row.cell("field");
            if cell.is_empty() {
                self.leave(file, row, "no field");
                continue;
            }
            let name = find(cell, source).unwrap_or_else(|| cell.to_owned());
            if !order.contains(&name) {
                order.push(name.clone());
            }
            by_field.entry(name).or_default().push((file, row));
        }
        for name in order {
            let from = source.field(&name.split('.').collect::<Vec<_>>()).map(|f| &f.ty);
            // The results are values of the field that the first mapping of the replaced one writes.
            let mapped = mappings.iter().find(|(_, row)| find(row.cell("source"), source).as_deref() == Some(&name));
            let to = mapped.and_then(|(_, row)| find(row.cell("target"), target));
            let to = to.and_then(|t| target.field(&t.split('.').collect::<Vec<_>>())).map(|f| &f.ty);
            self.line(String::new(), None);
            self.line(format!("replace {} {{", spelled(&name)), None);
            for (file, row) in by_field.remove(&name).unwrap_or_default() {
                let left = match row.cell("old").to_lowercase().as_str() {
                    "" | "null" | "(empty)" | "(blank)" => "null".to_owned(),
                    "*" | "else" | "other" | "(other)" => "else".to_owned(),
                    _ => value(row.cell("old"), from),
                };
                let right = match row.cell("new").to_lowercase().as_str() {
                    "" | "null" | "(empty)" => "null".to_owned(),
                    word @ ("keep" | "reject") => word.to_owned(),
                    _ => value(row.cell("new"), to.or(Some(&FieldType::Text { max: None }))),
                };
                let arm = format!("{left} => {right}");
                if reads(&format!("replace a {{ {arm} }}")) {
                    self.line(arm, Some((file.to_owned(), row.number)));
                } else {
                    self.leave(file, row, "the row does not make a replacement");
                }
            }
            self.line("}".to_owned(), None);
        }
    }

    fn filters(&mut self, rows: &[(&str, &Row)]) {
        if rows.is_empty() {
            return;
        }
        let either = rows.iter().any(|(_, r)| r.cell("join").eq_ignore_ascii_case("or"));
        let both = rows.iter().any(|(_, r)| r.cell("join").eq_ignore_ascii_case("and"));
        if either && both {
            self.notes.push(Note {
                place: "the filter".to_owned(),
                text: "rows are joined by And and by Or; those joined by Or stand in an `any { … }` of their own".to_owned(),
            });
        }
        self.line(String::new(), None);
        self.line(format!("filter {} {{", if either && !both { "any" } else { "all" }), None);
        let (loose, strict): (Vec<_>, Vec<_>) = rows.iter().partition(|(_, r)| either && both && r.cell("join").eq_ignore_ascii_case("or"));
        for (file, row) in strict {
            self.condition(file, row);
        }
        if !loose.is_empty() {
            self.line("any {".to_owned(), None);
            for (file, row) in loose {
                self.condition(file, row);
            }
            self.line("}".to_owned(), None);
        }
        self.line("}".to_owned(), None);
    }

    fn condition(&mut self, file: &str, row: &Row) {
        let cell = row.cell("field");
        if cell.is_empty() {
            return self.leave(file, row, "no field");
        }
        let name = self.name(cell, self.source, file, row);
        let ty = find(cell, self.source).and_then(|f| self.source.field(&f.split('.').collect::<Vec<_>>())).map(|f| &f.ty);
        let word: String = row.cell("comparison").to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        let one = || value(row.cell("value"), ty);
        let text = || quoted(row.cell("value"));
        let many = || row.cell("value").split([';', ',']).map(|v| value(v.trim(), ty)).collect::<Vec<_>>().join(", ");
        let condition = match word.as_str() {
            "=" | "==" | "equals" | "equal" | "is" | "eq" | "equal to" => format!("{name} = {}", one()),
            "!=" | "<>" | "not equal" | "does not equal" | "not equals" | "is not" | "ne" => format!("{name} != {}", one()),
            ">" | "greater than" | "gt" | "after" => format!("{name} > {}", one()),
            ">=" | "greater or equal" | "greater than or equal" | "ge" | "on or after" => format!("{name} >= {}", one()),
            "<" | "less than" | "lt" | "before" => format!("{name} < {}", one()),
            "<=" | "less or equal" | "less than or equal" | "le" | "on or before" => format!("{name} <= {}", one()),
            "contains" => format!("{name} contains {}", text()),
            "does not contain" => format!("not {name} contains {}", text()),
            "starts with" | "begins with" => format!("{name} starts with {}", text()),
            "ends with" => format!("{name} ends with {}", text()),
            "is empty" | "is null" | "empty" | "does not contain data" => format!("{name} is empty"),
            "is not empty" | "is not null" | "not empty" | "contains data" | "is present" => format!("{name} is present"),
            "in" | "one of" => format!("{name} in ({})", many()),
            "not in" => format!("not {name} in ({})", many()),
            _ => return self.leave(file, row, "an unknown comparison"),
        };
        if !reads(&format!("filter all {{\n{condition}\n}}")) {
            return self.leave(file, row, "the row does not make a condition");
        }
        self.line(condition, Some((file.to_owned(), row.number)));
    }
}

/// A cell as a value of a field of this type.
fn value(cell: &str, ty: Option<&FieldType>) -> String {
    match ty {
        Some(FieldType::Boolean { .. }) if yes(cell) => "true".to_owned(),
        Some(FieldType::Boolean { .. }) if no(cell) => "false".to_owned(),
        Some(FieldType::Choice(_) | FieldType::MultiChoice(_) | FieldType::Enumeration(_))
            if plain(cell) && !matches!(cell, "true" | "false" | "null") =>
        {
            cell.to_owned()
        }
        Some(FieldType::Choice(_) | FieldType::MultiChoice(_)) if cell.parse::<i64>().is_ok() => cell.to_owned(),
        Some(FieldType::Integer { .. } | FieldType::Decimal { .. } | FieldType::Double)
            if cell.parse::<rust_decimal::Decimal>().is_ok() =>
        {
            cell.to_owned()
        }
        Some(FieldType::Date | FieldType::DateTime | FieldType::LocalDateTime) => cell.replace(' ', "T"),
        // What a number looks like is one where nothing says otherwise.
        None if cell.parse::<i64>().is_ok() => cell.to_owned(),
        _ => quoted(cell),
    }
}
