//! Rows as entries of a mapping file.

use super::cells::{is_source, is_text, no, quoted, reads, spelled, steps, value, yes};
use super::date::{self, DateOrder, NotADate};
use super::direction::{self, Direction};
use super::kind::Kind;
use super::table::{Row, Table};
use crate::check::is_optout;
use crate::schema::{Field, FieldType, SystemId, Table as Schema};

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

/// Writes a mapping.
pub(super) struct Writer<'s> {
    pub(super) source: &'s Schema,
    pub(super) target: &'s Schema,
    /// The order of day and month, where a date does not tell.
    pub(super) dates: Option<DateOrder>,
    pub(super) lines: Vec<Line>,
    pub(super) notes: Vec<Note>,
    pub(super) left: usize,
}

/// Why a cell is not a value of a field.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotAValue {
    /// A date of which day and month may be taken for each other: the cell, and the two days.
    #[error("`{0}` may be {1} or {2}: write the date as {1}, or say `--dates dmy` or `--dates mdy`")]
    Ambiguous(String, String, String),
    /// A time in a field that is a day: the cell.
    #[error("`{0}` has a time, but the field is a day")]
    Time(String),
}

/// A line of the mapping file, and the row (file and number) that it comes from.
pub(super) type Line = (String, Option<(String, usize)>);

/// A row of field mappings with its file and its direction; the direction is missing if the cell says none.
type FieldRow<'t> = (&'t str, &'t Row, Option<Direction>);

/// The option that names the mapping and its tables: `contacts: d365.contact -> campaign.profile`.
pub(super) const HEADING: &str = "mapping";
/// The option that says in which direction opt-outs go.
pub(super) const OPT_OUTS: &str = "opt-outs";
/// The option that says by which fields records without a key are adopted.
pub(super) const ADOPT: &str = "adopt";
/// The option that declares a table of a file, without the word `table`.
pub(super) const TABLE: &str = "table";

/// The name of the mapping and its tables, if an option of the tables has them.
pub fn heading(tables: &[Table]) -> Option<(String, String, String)> {
    let mut rows = tables.iter().filter(|table| table.kind == Kind::Options).flat_map(|table| &table.rows);
    let value = rows.find(|row| row.cell("option") == HEADING)?.cell("value");
    let (name, rest) = value.split_once(':')?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let [source, _, target] = words.as_slice() else { return None };
    Some((name.trim().to_owned(), (*source).to_owned(), (*target).to_owned()))
}

/// Writes the mapping of these tables. `dates` says what comes first in a date such as `03/04/2024`, where no other date of the tables
/// tells.
pub fn import(name: &str, source: &Schema, target: &Schema, tables: &[Table], dates: Option<DateOrder>) -> Imported {
    let dates = dates.or_else(|| order_of_dates(tables));
    let mut writer = Writer { source, target, dates, lines: Vec::new(), notes: Vec::new(), left: 0 };
    let head = if writer.goes_both_ways() { "<->" } else { "->" };
    let rows = |kind: Kind| tables.iter().filter(move |t| t.kind == kind).flat_map(|t| t.rows.iter().map(move |r| (t.file.as_str(), r)));
    rows(Kind::Options).filter(|(_, row)| row.cell("option") == HEADING).for_each(|(file, row)| writer.comment(file, row));
    writer.line(format!("mapping {name}: {} {head} {} {{", source.id, target.id), None);
    let fields: Vec<FieldRow<'_>> = tables
        .iter()
        .filter(|t| t.kind == Kind::Fields)
        .flat_map(|t| t.rows.iter().map(move |row| (t, row)))
        .map(|(t, row)| {
            let way = direction::read(row.cell("direction"), t.mirrored, source.id.system, target.id.system);
            (t.file.as_str(), row, way.ok())
        })
        .collect();
    // Opt-outs that do not only go to Campaign are not field mappings but a separate block. An option can say their direction too.
    let of_option = rows(Kind::Options).find(|(_, row)| row.cell("option") == OPT_OUTS).map(|(_, row)| row.cell("value"));
    let direction = of_option.map(|word| match word {
        "campaign-to-d365" => Direction::Backward,
        "bidirectional" => Direction::Both,
        _ => Direction::Forward,
    });
    let of_rows = || fields.iter().filter(|f| writer.is_optout_row(f.1)).filter_map(|f| f.2).find(|way| *way != Direction::Forward);
    // Subscriptions are opt-outs whatever way they go.
    let of_topics = || fields.iter().any(|f| service(f.1).is_some()).then_some(Direction::Forward);
    let block = direction.or_else(of_rows).or_else(of_topics);
    let (optouts, fields): (Vec<_>, Vec<_>) = fields.into_iter().partition(|f| block.is_some() && writer.is_optout_row(f.1));
    writer.fields(&fields);
    writer.replacements(&rows(Kind::Replacements).collect::<Vec<_>>(), &rows(Kind::Fields).collect::<Vec<_>>());
    writer.filters(&rows(Kind::Filters).collect::<Vec<_>>());
    writer.options(&rows(Kind::Options).collect::<Vec<_>>());
    writer.line("}".to_owned(), None);
    if let Some(direction) = block {
        let word = match (of_option, direction) {
            (Some(word), _) => word,
            (None, Direction::Forward) => "d365-to-campaign",
            (None, Direction::Backward) => "campaign-to-d365",
            (None, Direction::Both) => "bidirectional",
        };
        writer.line(String::new(), None);
        rows(Kind::Options).filter(|(_, row)| row.cell("option") == OPT_OUTS).for_each(|(file, row)| writer.comment(file, row));
        writer.optouts(name, word, direction, &optouts);
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

/// The dotted name of a field: by its name, by its name in other letters, by its label.
pub(super) fn find(cell: &str, table: &Schema) -> Option<String> {
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

/// The name of the service, if the target of a row is a subscription: `subscription "SVC1"`, with `\"` and `\\` in the name. The quotation
/// marks may be those that spreadsheets put in their place.
fn service(row: &Row) -> Option<String> {
    let cell = row.cell("target");
    let name = cell.get(.."subscription".len()).filter(|word| word.eq_ignore_ascii_case("subscription")).map(|word| &cell[word.len()..])?;
    let name = name.trim().strip_prefix(['"', '“', '„', '”'])?.strip_suffix(['"', '”', '“'])?;
    let (mut plain, mut letters) = (String::new(), name.chars());
    while let Some(letter) = letters.next() {
        plain.push(match letter {
            '\\' => letters.next().filter(|next| matches!(next, '"' | '\\'))?,
            '"' => return None,
            letter => letter,
        });
    }
    (!plain.is_empty()).then_some(plain)
}

/// Whether an empty value leaves the target as it is; `None` if the cell does not say.
fn leaves_empty(row: &Row) -> Option<bool> {
    match row.cell("empty").to_lowercase().as_str() {
        "" | "write" | "send" | "clear" => Some(false),
        "leave" | "keep" | "skip" | "ignore" => Some(true),
        _ => None,
    }
}

/// A column of the row that an opt-out pair cannot have.
fn beside_the_pair(row: &Row) -> Option<&'static str> {
    let inverted = row.cell("steps").trim() == "not";
    if !row.cell("when").is_empty() {
        Some("only when")
    } else if !(row.cell("default").is_empty() || (no(row.cell("default")) && !inverted)) {
        // Without `not`, an empty field is not an opt-out anyway.
        Some("default value")
    } else if no(row.cell("updates")) {
        Some("apply updates")
    } else {
        (leaves_empty(row) != Some(false)).then_some("empty values")
    }
}

impl Writer<'_> {
    pub(super) fn line(&mut self, text: String, row: Option<(String, usize)>) {
        for part in text.split('\n') {
            self.lines.push((part.to_owned(), row.clone()));
        }
    }

    pub(super) fn note(&mut self, file: &str, row: &Row, text: String) {
        self.notes.push(Note { place: format!("{file} row {}", row.number), text });
    }

    /// A row that makes no entry.
    pub(super) fn leave(&mut self, file: &str, row: &Row, why: &str) {
        self.left += 1;
        let cells: Vec<String> = row.cells.iter().map(|(name, cell)| format!("{name}: {}", cell.replace(['\n', '\r'], " "))).collect();
        self.line(format!("# TODO {file} row {}: {why} ({})", row.number, cells.join("; ")), Some((file.to_owned(), row.number)));
        self.note(file, row, format!("left as a comment: {why}"));
    }

    pub(super) fn name(&mut self, cell: &str, table: &Schema, file: &str, row: &Row) -> String {
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

    /// Whether a row maps a field with true and false, or one whose values have a meaning, to an opt-out of a profile.
    fn is_optout_row(&self, row: &Row) -> bool {
        let field = |cell: &str, table: &'_ Schema| find(cell, table).and_then(|f| table.field(&f.split('.').collect::<Vec<_>>()).cloned());
        let is_profile = self.target.id.system == SystemId::Campaign && self.target.id.name == "profile";
        is_profile
            && (service(row).is_some() || field(row.cell("target"), self.target).is_some_and(|f| is_optout(&f)))
            && field(row.cell("source"), self.source)
                .is_some_and(|f| matches!(f.ty, FieldType::Boolean { .. }) || row.cell("steps").starts_with('{'))
    }

    /// Returns a cell as a value of a field of this type, or why it is not one.
    pub(super) fn value(&mut self, cell: &str, ty: Option<&FieldType>, file: &str, row: &Row) -> Result<String, NotAValue> {
        if is_text(cell) {
            return Ok(cell.to_owned());
        }
        let Some(FieldType::Date | FieldType::DateTime | FieldType::LocalDateTime) = ty else { return Ok(value(cell, ty)) };
        let found = match date::read(cell, self.dates) {
            Ok(found) => found,
            // What is not a date is reported where the mapping is checked.
            Err(NotADate::Other) => return Ok(cell.replace(' ', "T")),
            Err(NotADate::Ambiguous(a, b)) => {
                return Err(NotAValue::Ambiguous(cell.to_owned(), a, b));
            }
        };
        let text = match (ty, found.clock.as_deref()) {
            (_, None) => found.day,
            (Some(FieldType::Date), Some("00:00:00")) => found.day,
            (Some(FieldType::Date), Some(_)) => return Err(NotAValue::Time(cell.to_owned())),
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
                let cell = row.cell("source");
                let from = if is_text(cell) { cell.to_owned() } else { self.name(cell, source, file, row) };
                let to = self.name(row.cell("target"), target, file, row);
                self.comment(file, row);
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
        let mut open = "";
        for (file, row, way) in others {
            let condition = row.cell("when");
            if condition != open && !self.block(file, row, open, condition) {
                self.leave(file, row, "the condition cannot be read");
                continue;
            }
            open = condition;
            self.field(file, row, *way);
        }
        if !open.is_empty() {
            self.line("}".to_owned(), None);
        }
    }

    /// Ends the block of field mappings with one condition, and begins that of another. Returns false, and does nothing, if the condition cannot
    /// be read.
    fn block(&mut self, file: &str, row: &Row, open: &str, condition: &str) -> bool {
        let place = Some((file.to_owned(), row.number));
        let (goes_on, head) = match condition {
            "else" => (true, "else".to_owned()),
            condition if condition.starts_with("else when ") => (true, condition.to_owned()),
            condition => (false, format!("when {condition}")),
        };
        let before = if goes_on { "when a is empty { a -> b } " } else { "" };
        if !condition.is_empty() && ((goes_on && open.is_empty()) || !reads(&format!("{before}{head} {{ a -> b }}"))) {
            return false;
        }
        if goes_on {
            self.line(format!("}} {head} {{"), place);
            return true;
        }
        if !open.is_empty() {
            self.line("}".to_owned(), None);
        }
        if !condition.is_empty() {
            self.line(format!("{head} {{"), place);
        }
        true
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
    fn optouts(&mut self, name: &str, word: &str, direction: Direction, rows: &[FieldRow<'_>]) {
        let (source, target) = (self.source, self.target);
        self.line(format!("optout {name} {{\ndirection {word}"), None);
        for (file, row, way) in rows {
            let (inverted, cases) = match steps(row.cell("steps")).as_str() {
                "" => ("", String::new()),
                "not" => ("not ", String::new()),
                cases if cases.starts_with('{') => ("", format!(" {cases}")),
                _ => {
                    self.leave(file, row, "an opt-out can only have the step `not`, or cases in braces");
                    continue;
                }
            };
            if let Some(said) = beside_the_pair(row) {
                self.leave(file, row, &format!("an opt-out depends on nothing else, but this row says something in `{said}`"));
                continue;
            }
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
            let from = self.name(row.cell("source"), source, file, row);
            let to = match service(row) {
                Some(service) => format!("subscription {}", quoted(&service)),
                None => self.name(row.cell("target"), target, file, row),
            };
            self.comment(file, row);
            self.line(format!("{from} <-> {inverted}{to}{cases}"), Some(((*file).to_owned(), row.number)));
        }
        self.line("}".to_owned(), None);
    }

    pub(super) fn comment(&mut self, file: &str, row: &Row) {
        for comment in row.comments() {
            self.line(comment, Some((file.to_owned(), row.number)));
        }
    }

    fn field(&mut self, file: &str, row: &Row, way: Option<Direction>) {
        let (from, to) = (row.cell("source"), row.cell("target"));
        // A title over the rows that follow.
        if row.is_comment() {
            return self.comment(file, row);
        }
        if from.is_empty() || to.is_empty() {
            return self.leave(file, row, if from.is_empty() { "no source" } else { "no target" });
        }
        let unknown = find(from, self.source).is_none();
        let literal = from.starts_with('"') || from.contains('{');
        let source = match from {
            text if text.starts_with('"') => text.to_owned(),
            text if unknown && is_source(text) => text.to_owned(),
            text if text.contains('{') => format!("\"{}\"", text.replace('"', "\\\"")),
            // A formula, or a function over fields.
            text if text.starts_with('=') => text.to_owned(),
            text if text.contains('(') && unknown => text.to_owned(),
            text => self.name(text, self.source, file, row),
        };
        let arrow = match self.arrow(row, way) {
            Ok(arrow) => arrow,
            Err(why) => return self.leave(file, row, &why),
        };
        // What goes to the left may be a text or a formula on the right.
        let is_value = arrow == "<-" && find(to, self.target).is_none() && is_source(to);
        let target = if is_value { to.to_owned() } else { self.name(to, self.target, file, row) };
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
                Err(why) => return self.leave(file, row, &why.to_string()),
            }
        }
        if no(row.cell("updates")) {
            entry.push_str(" @initial");
        }
        match leaves_empty(row) {
            Some(false) => {}
            Some(true) => entry.push_str(" @present"),
            None => {
                let other = row.cell("empty").to_lowercase();
                return self.leave(file, row, &format!("`{other}` does not say what happens to empty values: write `leave` or `write`"));
            }
        }
        if !reads(&entry) {
            return self.leave(file, row, "the row does not make an entry");
        }
        self.comment(file, row);
        self.line(entry, Some((file.to_owned(), row.number)));
    }
}
