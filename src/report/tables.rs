//! A mapping as tables that people work on in a spreadsheet, and that `import` reads back to the same mapping: field mappings,
//! replacements, conditions of the filter, and options.

use std::collections::BTreeMap;

use super::text::{one_line, remark_of};
use crate::schema::{Catalogue, SystemId, Table, TableId};
use crate::syntax::ast::{
    self, Arm, ArmFrom, Condition, ConditionKind, Entry, FieldMapping, File, Literal, LiteralValue, Mapping, Path, Source, Test, TextTest,
    Value, Way,
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
    writer.option("mapping", format!("{name}: {} {} {}", id(&head.source), head.way.sign(), id(&head.target)));
    for parsed in files {
        for table in &parsed.file.lookups {
            let declaration = one_line(parsed.text.get(table.span.range()).unwrap_or_default());
            writer.option("table", declaration.trim_start_matches("table").trim().to_owned());
        }
    }
    for entry in &mapping.entries {
        writer.entry(entry);
    }
    for block in files.iter().flat_map(|parsed| parsed.file.optouts.iter().map(move |block| (parsed, block))) {
        if block.1.mapping.text == name {
            writer.opt_outs(block.0.text, block.1);
        }
    }
    for parsed in files {
        for test in parsed.file.tests.iter().filter(|test| test.mapping.text == name) {
            writer.left_out.push(format!("the test {}", one_line(parsed.text.get(test.title.span.range()).unwrap_or_default())));
        }
        writer.left_out.extend(parsed.file.events.iter().map(|block| format!("the event block `{}`", block.name.text)));
    }
    Some(writer.finish())
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
    constants: BTreeMap<&'f str, &'f str>,
    source: Option<&'f Table>,
    target: Option<&'f Table>,
    fields: Vec<Vec<String>>,
    replacements: Vec<Vec<String>>,
    filters: Vec<Vec<String>>,
    options: Vec<Vec<String>>,
    left_out: Vec<String>,
}

/// Headings that `import` knows by their roles; those of types and labels it does not read.
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

impl Writer<'_> {
    fn option(&mut self, name: &str, value: String) {
        self.options.push(vec![name.to_owned(), value]);
    }

    fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Key(key) => {
                let source = match &key.around {
                    Some(around) => self.spelled(around.span.range()),
                    None => key.source.text(),
                };
                let mut row = self.row(&source, Some(&key.source), key.way, &key.target, key.span.start as usize);
                row[11] = "yes".to_owned();
                row[12] = remark_of(self.text, key.span.start, key.span.end);
                self.fields.push(row);
            }
            Entry::Field(field) => self.field(field, ""),
            Entry::Adopt(adopt) => {
                let text = self.spelled(adopt.span.range());
                self.option("adopt", text.trim_start_matches("adopt").trim().to_owned());
            }
            Entry::When(when) => {
                for (at, block) in when.blocks.iter().enumerate() {
                    let condition = block.condition.as_ref().map(|condition| self.spelled(condition.span.range()));
                    let condition = match (at, condition) {
                        (0, Some(condition)) => condition,
                        (_, Some(condition)) => format!("else when {condition}"),
                        (_, None) => "else".to_owned(),
                    };
                    block.fields.iter().for_each(|field| self.field(field, &condition));
                }
            }
            Entry::Replace(replace) => self.replacement(replace),
            Entry::Filter(filter) => {
                let join = if filter.group.mode == ast::Mode::Any { "or" } else { "and" };
                filter.group.conditions.iter().for_each(|condition| self.condition(condition, join));
            }
            Entry::Options(block) => {
                for setting in &block.settings {
                    let value = one_line(self.text.get(setting.value.span.start as usize..setting.span.end as usize).unwrap_or_default());
                    self.option(&setting.name.text, value);
                }
            }
            Entry::Linked(linked) => self.left_out.push(format!("the block `{} {}`", linked.kind.keyword(), linked.path.text())),
        }
    }

    /// Text of the file on one line, with its constants resolved.
    fn spelled(&self, range: std::ops::Range<usize>) -> String {
        self.spelled_in(self.text, range)
    }

    fn spelled_in(&self, text: &str, range: std::ops::Range<usize>) -> String {
        let body = text.get(range).unwrap_or_default();
        let mut out = String::with_capacity(body.len());
        let mut end = 0;
        for token in tokens(body) {
            out.push_str(body.get(end..token.range.start).unwrap_or_default());
            let word = token.text(body);
            end = token.range.end;
            let value = word.strip_prefix('$').filter(|_| token.kind == TokenKind::Word).and_then(|name| self.constants.get(name));
            match (value, token.kind) {
                (Some(value), _) => out.push_str(value),
                (None, TokenKind::Text) if word.contains("{$") => {
                    // In a text with placeholders.
                    let mut text = word.to_owned();
                    for (name, value) in &self.constants {
                        text = text.replace(&format!("{{${name}}}"), value.trim_matches('"'));
                    }
                    out.push_str(&text);
                }
                (None, _) => out.push_str(word),
            }
        }
        one_line(&out)
    }

    /// A row of field mappings without steps.
    fn row(&self, source: &str, field: Option<&Path>, way: Way, target: &Path, start: usize) -> Vec<String> {
        let known = |path: Option<&Path>, table: Option<&Table>| {
            let field = path.and_then(|path| table?.field(&path.names()));
            let label = field.and_then(|field| field.label.clone()).unwrap_or_default();
            (label, field.map(crate::schema::describe).unwrap_or_default())
        };
        let (from, to) = (known(field, self.source), known(Some(target), self.target));
        let line = self.text.get(..start).unwrap_or_default().matches('\n').count() + 1;
        let mut row = vec![String::new(); FIELDS.len()];
        for (at, cell) in
            [(0, source.to_owned()), (1, from.0), (2, from.1), (3, way.sign().to_owned()), (4, target.text()), (5, to.0), (6, to.1)]
        {
            row[at] = cell;
        }
        row[13] = line.to_string();
        row
    }

    fn field(&mut self, field: &FieldMapping, condition: &str) {
        let (start, end) = (field.span.start as usize, field.span.end as usize);
        let arrow = field.way_span.range();
        // Steps of a formula may be before the arrow, where they belong to its source.
        let (before, after): (Vec<_>, Vec<_>) = field.steps.iter().partition(|step| (step.span.start as usize) < arrow.start);
        let path = match &field.source {
            Source::Field(path) => Some(path),
            _ => None,
        };
        let mut row = if field.turned {
            // What is written is before the arrow, and its source after it.
            let from = after.first().map_or(end, |step| step.span.start as usize);
            let source = self.spelled(field.source.span().start as usize..from);
            let mut row = self.row(&field.target.text(), Some(&field.target), field.way, &field.target, start);
            (row[4], row[5], row[6]) = (source.trim_end_matches('|').trim().to_owned(), String::new(), String::new());
            row
        } else {
            let source = if before.is_empty() { field.source.span().range() } else { start..arrow.start };
            let source = self.spelled(source);
            self.row(&source, path, field.way, &field.target, start)
        };
        let steps: Vec<String> = after.iter().map(|step| self.step(step)).collect();
        row[7] = steps.join(" | ");
        let flagged = |name: &str| field.flags.iter().any(|flag| flag.text == name);
        row[8] = if flagged("initial") { "no" } else { "yes" }.to_owned();
        row[9] = if flagged("present") { "leave" } else { "" }.to_owned();
        row[10] = condition.to_owned();
        row[12] = remark_of(self.text, field.span.start, field.span.end);
        self.fields.push(row);
    }

    /// A step, with the cases of a shared replacement in place of its name.
    fn step(&self, step: &ast::Step) -> String {
        let Some(ast::Operand::Shared(name)) = &step.operand else { return self.spelled(step.span.range()) };
        let named = |table: &&ast::SharedTable| table.name.text == name.text;
        let found = self.files.iter().find_map(|parsed| Some((parsed.text, parsed.file.tables.iter().find(named)?)));
        let Some((text, table)) = found else { return self.spelled(step.span.range()) };
        let cases: Vec<String> = table.arms.iter().map(|arm| self.spelled_in(text, arm.span.range())).collect();
        let after = self.text.get(name.span.end as usize..step.span.end as usize).unwrap_or_default();
        format!(
            "map {{ {} }}{}",
            cases.join("; "),
            one_line(&format!(" {after}")).split_whitespace().map(|word| format!(" {word}")).collect::<String>()
        )
    }

    fn opt_outs(&mut self, text: &str, block: &ast::Optout) {
        let Some(direction) = block.directions.first() else { return };
        self.option("opt-outs", direction.value.text.clone());
        let way = match direction.value.text.as_str() {
            "campaign-to-d365" => Way::Backward,
            "bidirectional" => Way::Both,
            _ => Way::Forward,
        };
        for pair in &block.pairs {
            let mut row = self.row(&pair.source.text(), Some(&pair.source), way, &pair.target, 0);
            row[7] = match &pair.cases {
                Some(cases) => self.spelled_in(text, cases.span.range()),
                None if pair.inverted => "not".to_owned(),
                None => String::new(),
            };
            row[12] = remark_of(text, pair.span.start, pair.span.end);
            row[13] = (text.get(..pair.span.start as usize).unwrap_or_default().matches('\n').count() + 1).to_string();
            self.fields.push(row);
        }
    }

    fn replacement(&mut self, replace: &ast::Replace) {
        let shared = replace.shared.as_ref().and_then(|shared| {
            let named = |table: &&ast::SharedTable| table.name.text == shared.text;
            self.files.iter().find_map(|parsed| Some((parsed.text, parsed.file.tables.iter().find(named)?.arms.as_slice())))
        });
        let (text, arms) = shared.unwrap_or((self.text, &replace.arms));
        for arm in arms {
            let (old, new) = (self.left(arm, text), self.right(&arm.to, text));
            let note = remark_of(text, arm.span.start, arm.span.end);
            self.replacements.push(vec![replace.field.text(), old, new, note]);
        }
    }

    fn left(&self, arm: &Arm, text: &str) -> String {
        match &arm.from {
            None => "*".to_owned(),
            Some(ArmFrom::Value(value)) => self.cell(value, text),
            Some(ArmFrom::Test { span, .. }) => self.spelled_in(text, span.range()),
        }
    }

    fn right(&self, value: &Value, text: &str) -> String {
        self.cell(value, text)
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

    fn condition(&mut self, condition: &Condition, join: &str) {
        let whole = self.spelled(condition.span.range());
        let note = remark_of(self.text, condition.span.start, condition.span.end);
        let mut row = vec![whole, String::new(), String::new(), join.to_owned(), note];
        if let (false, ConditionKind::Test { field, test }) = (condition.negated, &condition.kind) {
            let words = match test {
                Test::Present => Some(("is not empty".to_owned(), String::new())),
                Test::Empty => Some(("is empty".to_owned(), String::new())),
                Test::Relation(relation, value @ Value::Literal(_)) => Some((relation.sign().to_owned(), self.cell(value, self.text))),
                Test::Relation(relation, value @ Value::Word(path)) if path.parts.len() == 1 && self.is_option(field) => {
                    Some((relation.sign().to_owned(), self.cell(value, self.text)))
                }
                Test::Text(test, value @ Value::Literal(Literal { value: LiteralValue::Text(_), .. })) => {
                    let word = match test {
                        TextTest::Contains => "contains",
                        TextTest::StartsWith => "starts with",
                        TextTest::EndsWith => "ends with",
                    };
                    Some((word.to_owned(), self.cell(value, self.text)))
                }
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
        let found = self.source.and_then(|table| table.field(&field.names()));
        found.is_some_and(|field| matches!(field.ty, FieldType::Choice(_) | FieldType::MultiChoice(_) | FieldType::Enumeration(_)))
    }

    fn finish(self) -> Sheets {
        let sheet = |name, head: &[&'static str], rows| Sheet { name, head: head.to_vec(), rows };
        let sheets = vec![
            sheet("Fields", &FIELDS, self.fields),
            sheet("Replacements", &["Field", "Existing value", "New value", "Notes"], self.replacements),
            sheet("Filters", &["Field", "Comparison", "Value", "And/Or", "Notes"], self.filters),
            sheet("Options", &["Option", "Value"], self.options),
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
