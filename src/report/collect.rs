//! What the mappings of a file say, in rows.

use super::text::{one_line, remark, remark_of};
use crate::schema::{Catalogue, Field, SystemId, Table, TableId};
use crate::syntax::ast::{self, Arm, Entry, File, Mapping, Path, Setting, Source, Way};

/// The documentation of several files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// In the order of files and places.
    pub sections: Vec<Section>,
}

/// A mapping or another block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// The file.
    pub file: String,
    /// The comment above the block.
    pub remark: String,
    /// A sentence or several.
    pub intro: Vec<String>,
    /// In order.
    pub tables: Vec<Grid>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    /// What it lists.
    pub title: String,
    /// The columns.
    pub head: Vec<&'static str>,
    /// The cells.
    pub rows: Vec<Vec<String>>,
}

/// Gathers a file. Names that the catalog does not know have no label and type.
pub fn collect(name: &str, text: &str, file: &File, catalogue: &Catalogue) -> Document {
    let mut document = Document::default();
    let section = |title: String, start: u32, intro: Vec<String>, tables: Vec<Grid>| Section {
        title,
        file: name.to_owned(),
        remark: remark(text, start as usize),
        intro,
        tables: tables.into_iter().filter(|t| !t.rows.is_empty()).collect(),
    };
    for mapping in &file.mappings {
        if let Some((title, intro, tables)) = of_mapping(mapping, text, catalogue) {
            document.sections.push(section(title, mapping.span.start, intro, tables));
        }
    }
    for shared in &file.tables {
        let grid = Grid { title: "Values".to_owned(), head: vec!["Value", "Becomes"], rows: arms(&shared.arms, text) };
        document.sections.push(section(format!("Replacement {}", shared.name.text), shared.span.start, Vec::new(), vec![grid]));
    }
    for table in &file.lookups {
        let path = slice(text, table.path.span.start, table.path.span.end);
        let sheet = table.sheet.as_ref().map(|s| format!(", sheet {}", slice(text, s.span.start, s.span.end))).unwrap_or_default();
        let columns: Vec<&str> = table.keys.iter().flat_map(|key| &key.columns).map(|column| column.text.as_str()).collect();
        let intro = vec![format!("The rows of {path}{sheet}. A row is found by {}.", columns.join(", "))];
        document.sections.push(section(format!("Table {}", table.name.text), table.span.start, intro, Vec::new()));
    }
    for block in &file.optouts {
        let direction = match block.directions.first().map(|d| d.value.text.as_str()) {
            Some("bidirectional") => "both ways: the later change wins; where that is not decided, an opt-out does",
            Some("d365-to-campaign") => "from Dynamics to Campaign",
            Some("campaign-to-d365") => "from Campaign to Dynamics",
            _ => "not at all",
        };
        let rows = block.pairs.iter().map(|p| {
            let meaning = match &p.cases {
                Some(cases) => arms(&cases.arms, text).iter().map(|row| row.join(": ")).collect::<Vec<_>>().join("; "),
                None if p.inverted => "yes on one side means no on the other".to_owned(),
                None if p.target.is_subscription() => "yes means subscribed".to_owned(),
                None => "the same on both sides".to_owned(),
            };
            vec![p.source.text(), p.target.text(), meaning, remark_of(text, p.span.range())]
        });
        let grid = Grid { title: "Pairs".to_owned(), head: vec!["Dynamics", "Campaign", "Meaning", "Remark"], rows: rows.collect() };
        let title = format!("Opt-outs of {}", block.mapping.text);
        document.sections.push(section(title, block.span.start, vec![format!("Opt-outs go {direction}.")], vec![grid]));
    }
    for block in &file.events {
        let grid = Grid { title: "Types".to_owned(), head: vec!["Event", "On the timeline"], rows: settings(&block.settings, text) };
        let mut grids = vec![grid];
        if !block.fields.is_empty() {
            let of = |f: &crate::syntax::ast::FieldMapping| {
                let source = text.get(f.span.start as usize..f.way_span.start as usize).unwrap_or_default().trim();
                vec![source.to_owned(), f.target.text(), remark_of(text, f.span.range())]
            };
            let rows = block.fields.iter().map(of).collect();
            grids.push(Grid { title: "What goes where".to_owned(), head: vec!["Of the event", "In Dynamics", "Remark"], rows });
        }
        document.sections.push(section(format!("Events {}", block.name.text), block.span.start, Vec::new(), grids));
    }
    document
}

fn settings(settings: &[Setting], text: &str) -> Vec<Vec<String>> {
    // As written: a value can be an interval, `every 7d`.
    settings.iter().map(|s| vec![s.name.text.clone(), slice(text, s.value.span.start, s.span.end).trim().to_owned()]).collect()
}

fn of_mapping(mapping: &Mapping, text: &str, catalogue: &Catalogue) -> Option<(String, Vec<String>, Vec<Grid>)> {
    let head = mapping.head.as_ref()?;
    let table = |name: &crate::syntax::ast::TableName| {
        let id = TableId::new(SystemId::from_name(&name.system.text)?, name.table.text.clone());
        catalogue.get(&id).map(AsRef::as_ref)
    };
    let (source, target) = (table(&head.source), table(&head.target));
    let called = |name: &crate::syntax::ast::TableName, table: Option<&Table>| {
        let id = format!("{}.{}", name.system.text, name.table.text);
        table.map_or_else(|| id.clone(), |t| format!("{} ({id})", t.label))
    };
    let mut intro = vec![format!("{} {} {}", called(&head.source, source), head.way.sign(), called(&head.target, target))];
    let (mut fields, mut options, mut grids) = (Vec::new(), Vec::new(), Vec::new());
    for entry in &mapping.entries {
        match entry {
            Entry::Key(key) => {
                let source =
                    key.around.as_ref().map_or_else(|| key.source.text(), |around| slice(text, around.span.start, around.span.end));
                intro.push(format!("Key: {source} {} {}", key.way.sign(), key.target.text()));
            }
            Entry::Adopt(adopt) => {
                let by: Vec<String> = adopt.fields.iter().map(ast::Path::text).collect();
                intro.push(format!("Records without a key are found by {}, and get the key.", by.join(", then by ")));
            }
            Entry::Field(field) => fields.push(row(field, text, (source, target), catalogue)),
            Entry::When(when) => {
                for block in &when.blocks {
                    let condition = match &block.condition {
                        Some(condition) => format!("if {}", slice(text, condition.span.start, condition.span.end)),
                        None => "otherwise".to_owned(),
                    };
                    for field in &block.fields {
                        let mut cells = row(field, text, (source, target), catalogue);
                        if let Some(remark) = cells.last_mut() {
                            *remark = if remark.is_empty() { condition.clone() } else { format!("{condition}; {remark}") };
                        }
                        fields.push(cells);
                    }
                }
            }
            Entry::Replace(replace) => {
                let rows = match &replace.shared {
                    Some(shared) => vec![vec!["every value".to_owned(), format!("as the replacement {} says", shared.text)]],
                    None => arms(&replace.arms, text),
                };
                let options = source.and_then(|table| catalogue.column(table, &replace.field.names())).map(|(_, field)| field);
                let rows = rows.into_iter().map(|mut row| {
                    if let Some(label) = options.and_then(|f| option_label(f, &row[0])) {
                        row[0] = format!("{} ({label})", row[0]);
                    }
                    row
                });
                grids.push(Grid {
                    title: format!("Values of {}", replace.field.text()),
                    head: vec!["Value", "Becomes"],
                    rows: rows.collect(),
                });
            }
            Entry::Filter(filter) => {
                let body = slice(text, filter.span.start, filter.span.end);
                grids.push(Grid {
                    title: "Which records go".to_owned(),
                    head: vec!["Condition"],
                    rows: vec![vec![body.trim_start_matches("filter").trim().to_owned()]],
                });
            }
            Entry::Linked(linked) => {
                let to = table(&linked.table);
                let from = match linked.kind {
                    ast::LinkedKind::Record => source,
                    ast::LinkedKind::Rows => source.and_then(|source| catalogue.items(source, &linked.path.names()).map(AsRef::as_ref)),
                };
                let mut rows: Vec<Vec<String>> = linked
                    .keys
                    .iter()
                    .map(|key| {
                        let (from, to) = (described(&key.source, from, catalogue), described(&key.target, to, catalogue));
                        let remark = remark_of(text, key.span.range());
                        vec![from.0, from.1, key.way.sign().to_owned(), to.0, to.1, String::new(), "key".to_owned(), remark]
                    })
                    .collect();
                rows.extend(linked.fields.iter().map(|field| row(field, text, (from, to), catalogue)));
                let by: Vec<String> = linked.by.iter().map(ast::Path::text).collect();
                let or = linked.or.as_ref().map(|or| format!(", or {}", or.text)).unwrap_or_default();
                let title =
                    format!("{} {}: {} by {}{or}", linked.kind.keyword(), linked.path.text(), called(&linked.table, to), by.join(", "));
                grids.push(Grid { title, head: HEAD.to_vec(), rows });
            }
            Entry::Options(block) => options.extend(settings(&block.settings, text)),
        }
    }
    grids.insert(0, Grid { title: "Fields".to_owned(), head: HEAD.to_vec(), rows: fields });
    grids.push(Grid { title: "Options".to_owned(), head: vec!["Option", "Value"], rows: options });
    Some((head.name.text.clone(), intro, grids))
}

/// The columns of a grid of field mappings.
const HEAD: [&str; 8] = ["From", "Type", "", "To", "Type", "Steps", "When", "Remark"];

/// A field mapping as a row of such a grid.
fn row(field: &ast::FieldMapping, text: &str, (source, target): (Option<&Table>, Option<&Table>), catalogue: &Catalogue) -> Vec<String> {
    let from = match &field.source {
        Source::Field(path) => described(path, source, catalogue),
        Source::Literal(literal) => (slice(text, literal.span.start, literal.span.end), "fixed".to_owned()),
        Source::Template(template) => (slice(text, template.span.start, template.span.end), "text with fields".to_owned()),
        Source::Call(call) if call.name.text == "lookup" => (slice(text, call.span.start, call.span.end), "from a table".to_owned()),
        Source::Call(call) => (slice(text, call.span.start, call.span.end), "function".to_owned()),
        Source::Case(case) => (slice(text, case.span.start, case.span.end), "by condition".to_owned()),
        Source::Formula(formula) => (slice(text, formula.span.start, formula.span.end), "formula".to_owned()),
    };
    let steps: Vec<String> = field.steps.iter().map(|s| slice(text, s.span.start, s.span.end)).collect();
    let to = described(&field.target, if field.turned { source } else { target }, catalogue);
    // As in the file: what is written is before the arrow.
    let (from, to) = if field.turned { (to, from) } else { (from, to) };
    let flagged = |name: &str| field.flags.iter().any(|f| f.text == name);
    let when = match (flagged("initial"), flagged("present")) {
        (false, false) => "every change",
        (true, false) => "first load and replay",
        (false, true) => "every change, if not empty",
        (true, true) => "first load and replay, if not empty",
    };
    let remark = remark_of(text, field.span.range());
    vec![from.0, from.1, field.way.sign().to_owned(), to.0, to.1, steps.join(", then "), when.to_owned(), remark]
}

fn arms(arms: &[Arm], text: &str) -> Vec<Vec<String>> {
    let row = |arm: &Arm| {
        let from = arm.from.as_ref().map_or("every other".to_owned(), |from| slice(text, from.span().start, from.span().end));
        let to = slice(text, arm.to.span().start, arm.to.span().end);
        match arm.way {
            Way::Forward => vec![from, to],
            Way::Backward => vec![to, format!("from {from}")],
            Way::Both => vec![from, format!("{to}, and back")],
        }
    };
    arms.iter().map(row).collect()
}

fn option_label(field: &Field, value: &str) -> Option<String> {
    match &field.ty {
        crate::schema::FieldType::Choice(set) => set.by_value(value.parse().ok()?).map(|o| o.label.clone()),
        _ => None,
    }
}

fn slice(text: &str, start: u32, end: u32) -> String {
    one_line(text.get(start as usize..end as usize).unwrap_or_default())
}

/// A field's name with its label, and its type.
fn described(path: &Path, table: Option<&Table>, catalogue: &Catalogue) -> (String, String) {
    match table.and_then(|table| catalogue.column(table, &path.names())) {
        Some((_, field)) => {
            let name = field.label.as_ref().map_or_else(|| path.text(), |l| format!("{} ({l})", path.text()));
            (name, crate::schema::describe(field))
        }
        None => (path.text(), String::new()),
    }
}
