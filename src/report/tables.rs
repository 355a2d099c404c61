//! A mapping as tables that people work on in a spreadsheet, and that `import` reads back to the same mapping: field mappings,
//! replacements, conditions of the filter, and options.

use std::collections::BTreeMap;
use std::ops::Range;

use super::comments::{Comments, lines};
use super::text::one_line;
use crate::schema::{Catalogue, SystemId, Table, TableId};
use crate::syntax::ast::{
    self, Arm, ArmFrom, Condition, ConditionKind, Entry, FieldMapping, File, Literal, LiteralValue, Mapping, OptoutTarget, Path,
    SharedTable, Source, Test, Value, Way,
};
use crate::syntax::{TokenKind, tokens};

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// Its name, which is that of a sheet or a file.
    pub name: &'static str,
    /// The headings.
    pub head: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

/// The tables of a mapping, and what is not in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheets {
    /// In order; those without rows are left out.
    pub sheets: Vec<Sheet>,
    /// What tables cannot hold: `the test "a name"`.
    pub left_out: Vec<String>,
}

/// A file that was read.
#[derive(Clone, Copy, Debug)]
pub struct Parsed<'f> {
    /// Its text.
    pub text: &'f str,
    /// Its tree.
    pub file: &'f File,
}

/// The tables of the mapping with this name. `files` are all files that may declare what it uses.
pub fn tables(name: &str, files: &[Parsed<'_>], catalogue: &Catalogue) -> Option<Sheets> {
    let named = |mapping: &&Mapping| mapping.head.as_ref().is_some_and(|head| head.name.text == name);
    let (home, mapping) = files.iter().find_map(|parsed| Some((*parsed, parsed.file.mappings.iter().find(named)?)))?;
    let head = mapping.head.as_ref()?;
    let table = |name: &ast::TableName| {
        let id = TableId::new(SystemId::from_name(&name.system.text)?, name.table.text.clone());
        catalogue.get(&id).map(AsRef::as_ref)
    };
    let mut writer = Writer {
        text: home.text,
        files,
        catalogue,
        constants: constants(files),
        source: table(&head.source),
        target: table(&head.target),
        fields: Vec::new(),
        replacements: Vec::new(),
        filters: Vec::new(),
        options: Vec::new(),
        left_out: Vec::new(),
    };
    let id = |name: &ast::TableName| format!("{}.{}", name.system.text, name.table.text);
    let mut comments = above(&home, mapping.span.range());
    let note = comments.head(mapping.span.range());
    writer.option("mapping", format!("{name}: {} {} {}", id(&head.source), head.way.sign(), id(&head.target)), note);
    for parsed in files {
        for table in &parsed.file.lookups {
            let declaration = one_line(parsed.text.get(table.span.range()).unwrap_or_default());
            let note = above(parsed, table.span.range()).entry(table.span.range()).all();
            writer.option("table", declaration.trim_start_matches("table").trim().to_owned(), note);
        }
    }
    for entry in &mapping.entries {
        writer.entry(entry, &mut comments);
    }
    let end = mapping.span.end as usize;
    writer.title(lines(comments.until(end).into_iter().chain(comments.after(end))));
    for block in files.iter().flat_map(|parsed| parsed.file.optouts.iter().map(move |block| (parsed, block))) {
        if block.1.mapping.text == name {
            writer.opt_outs(block.0, block.1);
        }
    }
    writer.left_out.extend(unplaced(&home));
    for parsed in files {
        for test in parsed.file.tests.iter().filter(|test| test.mapping.text == name) {
            writer.left_out.push(format!("the test {}", one_line(parsed.text.get(test.title.span.range()).unwrap_or_default())));
        }
        writer.left_out.extend(parsed.file.events.iter().map(|block| format!("the event block `{}`", block.name.text)));
    }
    Some(writer.finish())
}

/// The places of what a file has at its top level, in order. The second says whether the tables have it, or whatever takes its place.
fn items(file: &File) -> Vec<(Range<usize>, bool)> {
    let replaced = file.constants.iter().map(|item| item.span);
    let replaced = replaced.chain(file.tables.iter().map(|item| item.span)).chain(file.includes.iter().map(|item| item.span));
    let others = file.mappings.iter().map(|item| item.span).chain(file.lookups.iter().map(|item| item.span));
    let others = others.chain(file.tests.iter().map(|item| item.span)).chain(file.optouts.iter().map(|item| item.span));
    let others = others.chain(file.events.iter().map(|item| item.span));
    let mut items: Vec<_> = replaced.map(|span| (span.range(), true)).chain(others.map(|span| (span.range(), false))).collect();
    items.sort_by_key(|(range, _)| range.start);
    items
}

/// The comments of a file from the end of the block that is before a place.
fn above<'f>(parsed: &Parsed<'f>, place: Range<usize>) -> Comments<'f> {
    let before = items(parsed.file).into_iter().map(|(range, _)| range.end).filter(|end| *end <= place.start).max();
    let mut comments = Comments::of(parsed.text, before.unwrap_or(0));
    if let Some(end) = before {
        comments.after(end);
    }
    comments
}

/// Comments of a file that belong to nothing in the tables: those of constants and shared replacements, whose values are written instead,
/// and those after the last block.
fn unplaced(parsed: &Parsed<'_>) -> Vec<String> {
    let mut comments = Comments::of(parsed.text, 0);
    let mut found = Vec::new();
    for (range, replaced) in items(parsed.file) {
        let own = comments.entry(range);
        if replaced {
            found.extend(own.loose.into_iter().chain(own.own));
        }
    }
    found.extend(comments.until(usize::MAX));
    found.into_iter().map(|comment| format!("the comment `# {comment}`")).collect()
}

/// The texts of the constants that the files declare.
fn constants<'f>(files: &[Parsed<'f>]) -> BTreeMap<&'f str, &'f str> {
    let of = |parsed: &Parsed<'f>| {
        let text = parsed.text;
        parsed.file.constants.iter().filter_map(move |constant| Some((constant.name.text.as_str(), text.get(constant.value.span.range())?)))
    };
    files.iter().flat_map(of).collect()
}

struct Writer<'f> {
    text: &'f str,
    files: &'f [Parsed<'f>],
    catalogue: &'f Catalogue,
    constants: BTreeMap<&'f str, &'f str>,
    source: Option<&'f Table>,
    target: Option<&'f Table>,
    fields: Vec<Vec<String>>,
    replacements: Vec<Vec<String>>,
    filters: Vec<Vec<String>>,
    options: Vec<Vec<String>>,
    left_out: Vec<String>,
}

/// A row of field mappings.
struct FieldRow<'r> {
    source: String,
    /// The field that the source is, if it is one; likewise of the target.
    from: Option<&'r Path>,
    way: Way,
    target: String,
    to: Option<&'r Path>,
    steps: String,
    updates: &'static str,
    empty: &'static str,
    when: &'r str,
    key: &'static str,
    notes: String,
    /// The file's text, and where the row begins in it.
    text: &'r str,
    start: usize,
}

impl<'r> FieldRow<'r> {
    /// A row of two fields without anything else.
    fn new(from: &'r Path, way: Way, to: &'r Path, text: &'r str, start: u32) -> FieldRow<'r> {
        let (source, target) = (from.text(), to.text());
        let (from, to, start) = (Some(from), Some(to), start as usize);
        let (steps, notes) = (String::new(), String::new());
        FieldRow { source, from, way, target, to, steps, updates: "", empty: "", when: "", key: "", notes, text, start }
    }
}

/// The headings of [`FieldRow`]. `import` knows them by their roles, but for labels, types and lines, which it does not read.
const FIELDS: [&str; 14] = [
    "Source",
    "Source label",
    "Source type",
    "Direction",
    "Target",
    "Target label",
    "Target type",
    "Steps",
    "Apply updates",
    "Empty values",
    "Only when",
    "Key",
    "Notes",
    "Line",
];

impl<'f> Writer<'f> {
    fn option(&mut self, name: &str, value: String, notes: String) {
        self.options.push(vec![name.to_owned(), value, notes]);
    }

    /// Comments that belong to no field mapping, as a row by themselves. `import` makes comments of it, in this place.
    fn title(&mut self, notes: String) {
        if !notes.is_empty() {
            self.fields.push(FIELDS.map(|heading| if heading == "Notes" { notes.clone() } else { String::new() }).to_vec());
        }
    }

    fn push(&mut self, row: FieldRow<'_>) {
        let described = |path: Option<&Path>, table: Option<&Table>| {
            let field = path.zip(table).and_then(|(path, table)| self.catalogue.column(table, &path.names()));
            field.map(|(_, field)| (field.label.clone().unwrap_or_default(), crate::schema::describe(field))).unwrap_or_default()
        };
        let (from, to) = (described(row.from, self.source), described(row.to, self.target));
        let line = row.text.get(..row.start).unwrap_or_default().matches('\n').count() + 1;
        self.fields.push(vec![
            row.source,
            from.0,
            from.1,
            row.way.sign().to_owned(),
            row.target,
            to.0,
            to.1,
            row.steps,
            row.updates.to_owned(),
            row.empty.to_owned(),
            row.when.to_owned(),
            row.key.to_owned(),
            row.notes,
            line.to_string(),
        ]);
    }

    fn entry(&mut self, entry: &Entry, comments: &mut Comments<'f>) {
        match entry {
            Entry::Key(key) => {
                let notes = comments.entry(key.span.range()).all();
                let row = FieldRow::new(&key.source, key.way, &key.target, self.text, key.span.start);
                let mut row = FieldRow { key: "yes", notes, ..row };
                if let Some(around) = &key.around {
                    row.source = self.spelled(around.span.range());
                }
                self.push(row);
            }
            Entry::Field(field) => {
                let remarks = comments.entry(field.span.range());
                self.title(lines(remarks.loose));
                self.field(field, "", lines(remarks.own));
            }
            Entry::Adopt(adopt) => {
                let text = self.spelled(adopt.span.range());
                let notes = comments.entry(adopt.span.range()).all();
                self.option("adopt", text.trim_start_matches("adopt").trim().to_owned(), notes);
            }
            Entry::When(when) => self.when(when, comments),
            Entry::Replace(replace) => self.replacement(replace, comments),
            Entry::Filter(filter) => self.filter(filter, comments),
            Entry::Options(block) => {
                let head = comments.head(block.span.range());
                if !head.is_empty() {
                    self.option("", String::new(), head);
                }
                for setting in &block.settings {
                    let value = one_line(self.text.get(setting.value.span.start as usize..setting.span.end as usize).unwrap_or_default());
                    self.option(&setting.name.text, value, comments.entry(setting.span.range()).all());
                }
                let rest = lines(comments.until(block.span.end as usize).into_iter().chain(comments.after(block.span.end as usize)));
                if !rest.is_empty() {
                    self.option("", String::new(), rest);
                }
            }
            Entry::Linked(linked) => {
                self.title(lines(comments.before(linked.span.start as usize).loose));
                comments.entry(linked.span.range());
                self.left_out.push(format!("the block `{} {}`", linked.kind.keyword(), linked.path.text()));
            }
        }
    }

    fn when(&mut self, when: &ast::When, comments: &mut Comments<'_>) {
        let head = comments.head(when.span.range());
        self.title(head);
        for (at, block) in when.blocks.iter().enumerate() {
            let condition = block.condition.as_ref().map(|condition| self.spelled(condition.span.range()));
            let condition = match (at, condition) {
                (0, Some(condition)) => condition,
                (_, Some(condition)) => format!("else when {condition}"),
                (_, None) => "else".to_owned(),
            };
            // A row without the condition would end the block, so that all comments are those of rows.
            for (number, field) in block.fields.iter().enumerate() {
                let mut notes = comments.entry(field.span.range()).all();
                if number + 1 == block.fields.len() {
                    let rest = comments.until(block.span.end as usize).into_iter().chain(comments.after(block.span.end as usize));
                    notes = lines([notes.as_str()].into_iter().chain(rest).filter(|note| !note.is_empty()));
                }
                self.field(field, &condition, notes);
            }
        }
    }

    fn filter(&mut self, filter: &ast::Filter, comments: &mut Comments<'_>) {
        let title = |notes: String| (!notes.is_empty()).then(|| vec![String::new(), String::new(), String::new(), String::new(), notes]);
        self.filters.extend(title(comments.head(filter.span.range())));
        let join = if filter.group.mode == ast::Mode::Any { "or" } else { "and" };
        for condition in &filter.group.conditions {
            let notes = comments.entry(condition.span.range()).all();
            self.condition(condition, join, notes);
        }
        let end = filter.span.end as usize;
        let rest = lines(comments.until(end).into_iter().chain(comments.after(end)));
        self.filters.extend(title(rest));
    }

    /// Text of the file on one line, with the values of its constants and the cases of its shared replacements.
    fn spelled(&self, range: Range<usize>) -> String {
        self.spelled_in(self.text, range)
    }

    fn spelled_in(&self, text: &str, range: Range<usize>) -> String {
        let body = text.get(range).unwrap_or_default();
        let mut out = String::with_capacity(body.len());
        let (mut end, mut before, mut last) = (0, "|", "|");
        for token in tokens(body) {
            out.push_str(body.get(end..token.range.start).unwrap_or_default());
            let word = token.text(body);
            end = token.range.end;
            // `| map NAME`; a step by itself begins with its name.
            let shared = || self.shared(word).filter(|_| token.kind == TokenKind::Word && (before, last) == ("|", "map"));
            if let Some(value) = word.strip_prefix('$').filter(|_| token.kind == TokenKind::Word).and_then(|name| self.constants.get(name))
            {
                out.push_str(value);
            } else if let Some((text, arms)) = shared() {
                let cases: Vec<String> = arms.iter().map(|arm| self.spelled_in(text, arm.span.range())).collect();
                out.push_str(&format!("{{ {} }}", cases.join("; ")));
            } else if token.kind == TokenKind::Text && word.contains("{$") {
                // In a text with placeholders.
                let filled = |text: String, (name, value): (&&str, &&str)| text.replace(&format!("{{${name}}}"), value.trim_matches('"'));
                out.push_str(&self.constants.iter().fold(word.to_owned(), filled));
            } else {
                out.push_str(word);
            }
            (before, last) = (last, word);
        }
        one_line(&out)
    }

    /// The cases of a shared replacement, with the text of their file.
    fn shared(&self, name: &str) -> Option<(&'f str, &'f [Arm])> {
        let named = |table: &&SharedTable| table.name.text == name;
        self.files.iter().find_map(|parsed| Some((parsed.text, parsed.file.tables.iter().find(named)?.arms.as_slice())))
    }

    fn field(&mut self, field: &FieldMapping, condition: &str, notes: String) {
        let (start, end) = (field.span.start as usize, field.span.end as usize);
        let arrow = field.way_span.range();
        // Steps of a formula may be before the arrow, where they belong to its source.
        let (before, after): (Vec<_>, Vec<_>) = field.steps.iter().partition(|step| (step.span.start as usize) < arrow.start);
        let (text, from) = (self.text, field.source.span());
        let mut row = FieldRow { notes, ..FieldRow::new(&field.target, field.way, &field.target, text, field.span.start) };
        if field.turned {
            // What is written is before the arrow, and its source after it.
            let to = after.first().map_or(end, |step| step.span.start as usize);
            row.target = self.spelled(from.start as usize..to).trim_end_matches('|').trim().to_owned();
            row.to = None;
        } else {
            row.source = self.spelled(if before.is_empty() { from.range() } else { start..arrow.start });
            row.from = match &field.source {
                Source::Field(path) => Some(path),
                _ => None,
            };
        }
        let steps: Vec<String> = after.iter().map(|step| self.spelled(step.span.range())).collect();
        let flagged = |name: &str| field.flags.iter().any(|flag| flag.text == name);
        row.updates = if flagged("initial") { "no" } else { "yes" };
        row.empty = if flagged("present") { "leave" } else { "" };
        self.push(FieldRow { steps: steps.join(" | "), when: condition, ..row });
    }

    fn opt_outs(&mut self, parsed: &Parsed<'_>, block: &ast::Optout) {
        let Some(direction) = block.directions.first() else { return };
        let (text, mut comments) = (parsed.text, above(parsed, block.span.range()));
        let mut head = vec![comments.head(block.span.range())];
        let way = match direction.value.text.as_str() {
            "campaign-to-d365" => Way::Backward,
            "bidirectional" => Way::Both,
            _ => Way::Forward,
        };
        let mut rows = Vec::new();
        let mut lines_of: Vec<_> = block.pairs.iter().map(|pair| (pair.span, Some(pair))).collect();
        lines_of.extend(block.directions.iter().map(|direction| (direction.span, None)));
        lines_of.sort_by_key(|(span, _)| span.start);
        for (span, pair) in lines_of {
            let notes = comments.entry(span.range()).all();
            let Some(pair) = pair else {
                head.push(notes);
                continue;
            };
            let steps = match &pair.cases {
                Some(cases) => self.spelled_in(text, cases.span.range()),
                None if pair.inverted => "not".to_owned(),
                None => String::new(),
            };
            let row = match &pair.target {
                OptoutTarget::Attribute(path) => FieldRow::new(&pair.source, way, path, text, pair.span.start),
                OptoutTarget::Subscription(_) => {
                    let row = FieldRow::new(&pair.source, way, &pair.source, text, pair.span.start);
                    FieldRow { target: pair.target.text(), to: None, ..row }
                }
            };
            rows.push(FieldRow { steps, notes, ..row });
        }
        let end = block.span.end as usize;
        head.extend(comments.until(end).into_iter().chain(comments.after(end)).map(str::to_owned));
        let head = lines(head.iter().map(String::as_str).filter(|note| !note.is_empty()));
        self.option("opt-outs", direction.value.text.clone(), head);
        rows.into_iter().for_each(|row| self.push(row));
    }

    fn replacement(&mut self, replace: &ast::Replace, comments: &mut Comments<'f>) {
        let shared = replace.shared.as_ref().and_then(|shared| self.shared(&shared.text));
        let (text, arms) = shared.unwrap_or((self.text, &replace.arms));
        let head = comments.head(replace.span.range());
        if !head.is_empty() {
            self.replacements.push(vec![String::new(), String::new(), String::new(), head]);
        }
        let first = arms.first().map_or(0, |arm| arm.span.start as usize);
        let mut of_shared = Comments::of(text, first);
        let of_arms = if shared.is_some() { &mut of_shared } else { &mut *comments };
        for arm in arms {
            let (old, new) = (self.left(arm, text), self.cell(&arm.to, text));
            let note = of_arms.entry(arm.span.range()).all();
            self.replacements.push(vec![replace.field.text(), old, new, note]);
        }
        let end = replace.span.end as usize;
        let rest: Vec<&str> = comments.until(end).into_iter().chain(comments.after(end)).collect();
        if let Some(note) = self.replacements.last_mut().and_then(|row| row.last_mut()) {
            *note = lines([note.as_str()].into_iter().chain(rest).filter(|note| !note.is_empty()));
        }
    }

    fn left(&self, arm: &Arm, text: &str) -> String {
        match &arm.from {
            None => "*".to_owned(),
            Some(ArmFrom::Value(value)) => self.cell(value, text),
            Some(ArmFrom::Test { span, .. }) => self.spelled_in(text, span.range()),
        }
    }

    /// A value as a cell: a text without its quotes, unless it would be read as something else.
    fn cell(&self, value: &Value, text: &str) -> String {
        let written = self.spelled_in(text, value.span().range());
        match value {
            Value::Literal(Literal { value: LiteralValue::Null, .. }) => String::new(),
            Value::Literal(Literal { value: LiteralValue::Text(content), .. }) if is_plain_cell(content) => content.clone(),
            _ => written,
        }
    }

    fn condition(&mut self, condition: &Condition, join: &str, note: String) {
        let whole = self.spelled(condition.span.range());
        let mut row = vec![whole, String::new(), String::new(), join.to_owned(), note];
        if let (false, ConditionKind::Test { field, test }) = (condition.negated, &condition.kind) {
            let valued = |comparison: &str, value: &Value| Some((comparison.to_owned(), self.cell(value, self.text)));
            let words = match test {
                Test::Present => Some(("is not empty".to_owned(), String::new())),
                Test::Empty => Some(("is empty".to_owned(), String::new())),
                Test::Relation(relation, value @ Value::Literal(_)) => valued(relation.sign(), value),
                Test::Relation(relation, value @ Value::Word(path)) if path.parts.len() == 1 && self.is_option(field) => {
                    valued(relation.sign(), value)
                }
                Test::Text(test, value @ Value::Literal(Literal { value: LiteralValue::Text(_), .. })) => valued(test.words(), value),
                Test::Relation(..) | Test::In(_) | Test::Between(..) | Test::Within(_) | Test::Text(..) | Test::Matches(_) => None,
            };
            // A comparison needs its value.
            if let Some((comparison, value)) = words.filter(|(comparison, value)| comparison.starts_with("is ") || !value.is_empty()) {
                (row[0], row[1], row[2]) = (field.text(), comparison, value);
            }
        }
        self.filters.push(row);
    }

    /// Whether a word beside a field is one of its options, and not another field.
    fn is_option(&self, field: &Path) -> bool {
        use crate::schema::FieldType;
        let found = self.source.and_then(|table| self.catalogue.column(table, &field.names()));
        found.is_some_and(|(_, field)| matches!(field.ty, FieldType::Choice(_) | FieldType::MultiChoice(_) | FieldType::Enumeration(_)))
    }

    fn finish(self) -> Sheets {
        let sheet = |name, head: &[&'static str], rows| Sheet { name, head: head.to_vec(), rows };
        let sheets = vec![
            sheet("Fields", &FIELDS, self.fields),
            sheet("Replacements", &["Field", "Existing value", "New value", "Notes"], self.replacements),
            sheet("Filters", &["Field", "Comparison", "Value", "And/Or", "Notes"], self.filters),
            sheet("Options", &["Option", "Value", "Notes"], self.options),
        ];
        Sheets { sheets: sheets.into_iter().filter(|sheet| !sheet.rows.is_empty()).collect(), left_out: self.left_out }
    }
}

/// Whether a text in a cell is read as that text: it is not a word with a meaning, and has no spaces around it, no line break, no quotation
/// marks at its ends, and not the form of a comparison, a number or a date.
fn is_plain_cell(text: &str) -> bool {
    const WORDS: [&str; 16] = [
        "null", "(empty)", "(blank)", "*", "else", "other", "(other)", "keep", "reject", "true", "false", "yes", "no", "on", "off", "empty",
    ];
    let starts = |signs: &[char]| text.starts_with(|c: char| signs.contains(&c) || c.is_ascii_digit());
    let comparison =
        ["in ", "in(", "between ", "starts with ", "ends with ", "contains ", "matches "].iter().any(|word| text.starts_with(word));
    !(text.is_empty()
        || text.trim() != text
        || text.contains(['\n', '\r', '\t', '"', '\\', '{', '}'])
        || text.contains(char::is_control)
        || comparison
        || starts(&['<', '>', '=', '!', '-', '+', '.', '$', '\'', '“', '„'])
        || WORDS.contains(&text.to_lowercase().as_str()))
}
