//! Rows as entries of a mapping file.

use std::collections::BTreeMap;

use super::date::{self, DateOrder, NotADate};
use super::direction::{self, Direction};
use super::kind::Kind;
use super::table::{Row, Table};
use crate::check::is_optout;
use crate::diagnostics::{Diagnostics, FileId};
use crate::schema::{Field, FieldType, SystemId, Table as Schema};
use crate::syntax::{self, is_forbidden};

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
    /// The order of day and month, where a date does not tell.
    dates: Option<DateOrder>,
    lines: Vec<(String, Option<(String, usize)>)>,
    notes: Vec<Note>,
    left: usize,
}

/// A row of field mappings with its file and its direction; the direction is missing if the cell says none.
type FieldRow<'t> = (&'t str, &'t Row, Option<Direction>);

/// Writes the mapping of these tables. `dates` says what comes first in a date such as `03/04/2024`, where no other date of the tables
/// tells.
pub fn import(name: &str, source: &Schema, target: &Schema, tables: &[Table], dates: Option<DateOrder>) -> Imported {
    let dates = dates.or_else(|| order_of_dates(tables));
    let mut writer = Writer { source, target, dates, lines: Vec::new(), notes: Vec::new(), left: 0 };
    let head = if writer.goes_both_ways() { "<->" } else { "->" };
    writer.line(format!("mapping {name}: {} {head} {} {{", source.id, target.id), None);
    let rows = |kind: Kind| tables.iter().filter(move |t| t.kind == kind).flat_map(|t| t.rows.iter().map(move |r| (t.file.as_str(), r)));
    let fields: Vec<FieldRow<'_>> = tables
        .iter()
        .filter(|t| t.kind == Kind::Fields)
        .flat_map(|t| t.rows.iter().map(move |row| (t, row)))
        .map(|(t, row)| {
            let way = direction::read(row.cell("direction"), t.mirrored, source.id.system, target.id.system);
            (t.file.as_str(), row, way.ok())
        })
        .collect();
    // Opt-outs that do not only go to Campaign are not field mappings but a separate block.
    let block = fields.iter().filter(|f| writer.is_optout_row(f.1)).filter_map(|f| f.2).find(|way| *way != Direction::Forward);
    let (optouts, fields): (Vec<_>, Vec<_>) = fields.into_iter().partition(|f| block.is_some() && writer.is_optout_row(f.1));
    writer.fields(&fields);
    writer.replacements(&rows(Kind::Replacements).collect::<Vec<_>>(), &rows(Kind::Fields).collect::<Vec<_>>());
    writer.filters(&rows(Kind::Filters).collect::<Vec<_>>());
    writer.line("}".to_owned(), None);
    if let Some(direction) = block {
        writer.optouts(name, direction, &optouts);
    }
    let draft: String = writer.lines.iter().map(|(l, _)| format!("{l}\n")).collect();
    let text = crate::format::format(&draft).unwrap_or_else(|| draft.clone());
    Imported { text, draft, rows: writer.lines.into_iter().map(|(_, r)| r).collect(), notes: writer.notes, left: writer.left }
}

/// The order of day and month, if the dates of the tables show one and not the other.
fn order_of_dates(tables: &[Table]) -> Option<DateOrder> {
    let rows = tables.iter().flat_map(|t| &t.rows);
    let cells = rows.flat_map(|r| ["default", "old", "new", "value"].map(|column| r.cell(column)));
    let mut orders = cells.filter_map(date::order_of);
    let first = orders.next()?;
    orders.all(|other| other == first).then_some(first)
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
    // A carriage return belongs to a line break; no other control character can be in a string of the language (D012).
    format!("\"{}\"", escaped.replace(is_forbidden, ""))
}

/// A name as a mapping file writes it.
fn spelled(path: &str) -> String {
    path.split('.')
        .map(|p| if plain(p) { p.to_owned() } else { format!("`{}`", p.replace(is_forbidden, "")) })
        .collect::<Vec<_>>()
        .join(".")
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

/// Steps as a mapping file separates them. Between steps, tables have commas, semicolons or line breaks; within parentheses, braces and
/// quotation marks these belong to the step.
fn steps(cell: &str) -> String {
    let mut parts = vec![String::new()];
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for c in cell.chars() {
        // Text programs turn quotation marks round.
        let c = if matches!(c, '“' | '”' | '„' | '‟') { '"' } else { c };
        match c {
            '"' if !escaped => quoted = !quoted,
            '(' | '{' | '[' if !quoted => depth += 1,
            ')' | '}' | ']' if !quoted => depth = depth.saturating_sub(1),
            ',' | ';' | '\n' | '|' if !quoted && depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        escaped = quoted && c == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.iter().map(|p| p.trim()).filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" | ")
}

/// Whether a mapping can contain the lines.
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

    /// Whether the mapping is of the one kind that goes both ways.
    fn goes_both_ways(&self) -> bool {
        (self.source.id.system, self.target.id.system) == (SystemId::Partner, SystemId::D365)
    }

    /// Whether a row maps a field with true and false to an opt-out of a profile.
    fn is_optout_row(&self, row: &Row) -> bool {
        let field = |cell: &str, table: &'_ Schema| find(cell, table).and_then(|f| table.field(&f.split('.').collect::<Vec<_>>()).cloned());
        let is_profile = self.target.id.system == SystemId::Campaign && self.target.id.name == "profile";
        is_profile
            && field(row.cell("target"), self.target).is_some_and(|f| is_optout(&f))
            && field(row.cell("source"), self.source).is_some_and(|f| matches!(f.ty, FieldType::Boolean { .. }))
    }

    /// Returns a cell as a value of a field of this type, or why it is not one.
    fn value(&mut self, cell: &str, ty: Option<&FieldType>, file: &str, row: &Row) -> Result<String, String> {
        let Some(FieldType::Date | FieldType::DateTime | FieldType::LocalDateTime) = ty else { return Ok(value(cell, ty)) };
        let found = match date::read(cell, self.dates) {
            Ok(found) => found,
            // What is not a date is reported where the mapping is checked.
            Err(NotADate::Other) => return Ok(cell.replace(' ', "T")),
            Err(NotADate::Ambiguous(a, b)) => {
                return Err(format!("`{cell}` may be {a} or {b}: write the date as {a}, or say `--dates dmy` or `--dates mdy`"));
            }
        };
        let text = match (ty, found.clock.as_deref()) {
            (_, None) => found.day,
            (Some(FieldType::Date), Some("00:00:00")) => found.day,
            (Some(FieldType::Date), Some(_)) => return Err(format!("`{cell}` has a time, but the field is a day")),
            (_, Some(clock)) => format!("{}T{clock}{}", found.day, found.offset.as_deref().unwrap_or("Z")),
        };
        if text != cell {
            self.note(file, row, format!("`{cell}` was taken for {text}"));
        }
        Ok(text)
    }

    fn fields(&mut self, rows: &[FieldRow<'_>]) {
        let (source, target) = (self.source, self.target);
        let arrow = if self.goes_both_ways() { "<->" } else { "->" };
        let is_key = |row: &Row| {
            yes(row.cell("key"))
                || (find(row.cell("source"), source).is_some_and(|f| f == source.primary_key)
                    && target.alternate_keys.iter().any(|k| find(row.cell("target"), target).is_some_and(|f| k.fields == [f])))
        };
        let (keys, others): (Vec<&FieldRow<'_>>, Vec<_>) = rows.iter().partition(|(_, row, _)| is_key(row));
        match keys.first() {
            Some((file, row, _)) => {
                let (from, to) = (self.name(row.cell("source"), source, file, row), self.name(row.cell("target"), target, file, row));
                self.line(format!("key {from} {arrow} {to}"), Some(((*file).to_owned(), row.number)));
            }
            None => {
                let to = target.alternate_keys.first().and_then(|k| k.fields.first()).map_or("externalId", String::as_str);
                let key = format!("key {} {arrow} {to}", source.primary_key);
                self.line(key.clone(), None);
                self.notes.push(Note { place: "the key".to_owned(), text: format!("no row is a key; `{key}` was added") });
            }
        }
        for (file, row, _) in keys.into_iter().skip(1) {
            self.leave(file, row, "a second key");
        }
        self.line(String::new(), None);
        for (file, row, way) in others {
            self.field(file, row, *way);
        }
    }

    /// The arrow of a row, or why it cannot be an entry.
    fn arrow(&self, row: &Row, way: Option<Direction>) -> Result<&'static str, String> {
        let cell = row.cell("direction");
        match way {
            None => Err(format!("the direction `{}` is not known: write ->, <- or <->", cell.replace(['\n', '\r'], " "))),
            Some(Direction::Forward) => Ok("->"),
            Some(way) if self.goes_both_ways() => Ok(way.arrow()),
            Some(Direction::Backward) => {
                Err(format!("the row goes to {}, but the mapping only writes to {}", self.source.id, self.target.id))
            }
            Some(Direction::Both) => Err(format!("the row goes both ways, but the mapping only writes to {}", self.target.id)),
        }
    }

    /// The opt-outs of the mapping as a block.
    fn optouts(&mut self, name: &str, direction: Direction, rows: &[FieldRow<'_>]) {
        let (source, target) = (self.source, self.target);
        let word = match direction {
            Direction::Forward => "d365-to-campaign",
            Direction::Backward => "campaign-to-d365",
            Direction::Both => "bidirectional",
        };
        self.line(String::new(), None);
        self.line(format!("optout {name} {{\ndirection {word}"), None);
        for (file, row, way) in rows {
            let inverted = match steps(row.cell("steps")).as_str() {
                "" => "",
                "not" => "not ",
                _ => {
                    self.leave(file, row, "an opt-out can only have the step `not`");
                    continue;
                }
            };
            if *way != Some(direction) {
                self.leave(
                    file,
                    row,
                    &format!(
                        "the opt-outs of a mapping have one direction, which is `{word}` by the first row that does not go to Campaign"
                    ),
                );
                continue;
            }
            let (from, to) = (self.name(row.cell("source"), source, file, row), self.name(row.cell("target"), target, file, row));
            self.comment(file, row);
            self.line(format!("{from} <-> {inverted}{to}"), Some(((*file).to_owned(), row.number)));
        }
        self.line("}".to_owned(), None);
    }

    fn comment(&mut self, file: &str, row: &Row) {
        for part in row.cell("comment").lines().map(str::trim).filter(|p| !p.is_empty()) {
            self.line(format!("# {part}"), Some((file.to_owned(), row.number)));
        }
    }

    fn field(&mut self, file: &str, row: &Row, way: Option<Direction>) {
        let (from, to) = (row.cell("source"), row.cell("target"));
        // A title over the rows that follow.
        if row.cells.keys().all(|column| *column == "comment") {
            return self.comment(file, row);
        }
        if from.is_empty() || to.is_empty() {
            return self.leave(file, row, if from.is_empty() { "no source" } else { "no target" });
        }
        let literal = from.starts_with('"') || from.contains('{');
        let source = match from {
            text if text.starts_with('"') => text.to_owned(),
            text if text.contains('{') => format!("\"{}\"", text.replace('"', "\\\"")),
            // A formula, or a function over fields.
            text if text.starts_with('=') => text.to_owned(),
            text if text.contains('(') && find(text, self.source).is_none() => text.to_owned(),
            text => self.name(text, self.source, file, row),
        };
        let target = self.name(to, self.target, file, row);
        let arrow = match self.arrow(row, way) {
            Ok(arrow) => arrow,
            Err(why) => return self.leave(file, row, &why),
        };
        let mut entry = format!("{source} {arrow} {target}");
        let steps = steps(row.cell("steps"));
        if !steps.is_empty() {
            entry.push_str(&format!(" | {steps}"));
        }
        let default = row.cell("default");
        if !default.is_empty() && !literal {
            let schema = self.source;
            let field = find(from, schema).and_then(|f| schema.field(&f.split('.').collect::<Vec<_>>()));
            match self.value(default, field.map(|f| &f.ty), file, row) {
                Ok(default) => entry.push_str(&format!(" | default({default})")),
                Err(why) => return self.leave(file, row, &why),
            }
        }
        if no(row.cell("updates")) {
            entry.push_str(" @initial");
        }
        if !reads(&entry) {
            return self.leave(file, row, "the row does not make an entry");
        }
        self.comment(file, row);
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
                    "" | "null" | "(empty)" | "(blank)" => Ok("null".to_owned()),
                    "*" | "else" | "other" | "(other)" => Ok("else".to_owned()),
                    _ => self.value(row.cell("old"), from, file, row),
                };
                let right = match row.cell("new").to_lowercase().as_str() {
                    "" | "null" | "(empty)" => Ok("null".to_owned()),
                    word @ ("keep" | "reject") => Ok(word.to_owned()),
                    _ => self.value(row.cell("new"), to.or(Some(&FieldType::Text { max: None })), file, row),
                };
                let (left, right) = match (left, right) {
                    (Ok(left), Ok(right)) => (left, right),
                    (Err(why), _) | (_, Err(why)) => {
                        self.leave(file, row, &why);
                        continue;
                    }
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
                text: "rows are joined by And and by Or; those joined by Or are in a separate `any { … }`".to_owned(),
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
        let schema = self.source;
        let ty = find(cell, schema).and_then(|f| schema.field(&f.split('.').collect::<Vec<_>>())).map(|f| &f.ty);
        let word: String = row.cell("comparison").to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        let text = || quoted(row.cell("value"));
        let cells: Vec<&str> = match word.as_str() {
            "in" | "one of" | "not in" => row.cell("value").split([';', ',']).map(str::trim).collect(),
            _ => vec![row.cell("value")],
        };
        let values: Result<Vec<String>, String> = cells.into_iter().map(|cell| self.value(cell, ty, file, row)).collect();
        let values = match values {
            Ok(values) => values.join(", "),
            Err(why) => return self.leave(file, row, &why),
        };
        let condition = match word.as_str() {
            "=" | "==" | "equals" | "equal" | "is" | "eq" | "equal to" => format!("{name} = {}", values),
            "!=" | "<>" | "not equal" | "does not equal" | "not equals" | "is not" | "ne" => format!("{name} != {}", values),
            ">" | "greater than" | "gt" | "after" => format!("{name} > {}", values),
            ">=" | "greater or equal" | "greater than or equal" | "ge" | "on or after" => format!("{name} >= {}", values),
            "<" | "less than" | "lt" | "before" => format!("{name} < {}", values),
            "<=" | "less or equal" | "less than or equal" | "le" | "on or before" => format!("{name} <= {}", values),
            "contains" => format!("{name} contains {}", text()),
            "does not contain" => format!("not {name} contains {}", text()),
            "starts with" | "begins with" => format!("{name} starts with {}", text()),
            "ends with" => format!("{name} ends with {}", text()),
            "is empty" | "is null" | "empty" | "does not contain data" => format!("{name} is empty"),
            "is not empty" | "is not null" | "not empty" | "contains data" | "is present" => format!("{name} is present"),
            "in" | "one of" => format!("{name} in ({})", values),
            "not in" => format!("not {name} in ({})", values),
            _ => return self.leave(file, row, "an unknown comparison"),
        };
        if !reads(&format!("filter all {{\n{condition}\n}}")) {
            return self.leave(file, row, "the row does not make a condition");
        }
        self.line(condition, Some((file.to_owned(), row.number)));
    }
}

/// A cell as a value of a field of this type, which is not a date.
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
        // What a number looks like is one where nothing says otherwise.
        None if cell.parse::<i64>().is_ok() => cell.to_owned(),
        _ => quoted(cell),
    }
}
