//! Test blocks: the record that is given, as the source would send it, and what is expected of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::names::{self};
use super::types::constant;
use super::values::resolve;
use super::{Context, MappingInfo};
use crate::diagnostics::{Code, Diagnostic, Span, near};
use crate::plan::{Condition, Const, FORMATTED_VALUE, FieldProgram, Fit, IngressFlow, LinkedRecord, LinkedRows, Scope, Slot, TwoWayFlow};
use crate::schema::{Field, FieldType, Table, TableId};
use crate::syntax::ast::{Assigned, Assignment, Clause, Expectation, Ident, LiteralValue, MomentBase, Path, TestBlock, Value, Way};
use crate::time::{self, Instant};

/// One test, ready to run.
#[derive(Clone, Debug, PartialEq)]
pub struct TestCase {
    /// The mapping that is tested.
    pub mapping: String,
    /// Whether the record is one of the right side of a two-way mapping, and goes to the left.
    pub backward: bool,
    /// What the test shows.
    pub title: String,
    /// The whole block.
    pub span: Span,
    /// The record as the source sends it (JSON).
    pub record: String,
    /// The items of the record's lists, and the rows that lead to it.
    pub items: Vec<GivenItem>,
    /// The time of the run; `None` for that of the test's run.
    pub now: Option<Instant>,
    /// What should happen to the record.
    pub expected: Expected,
    /// The place of the expectation.
    pub expected_span: Span,
}

/// What should happen to a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Expected {
    /// It is mapped.
    Mapped(ExpectedRecord),
    /// The filter keeps it out.
    Filtered,
    /// It is rejected, under this code where one is given.
    Rejected(Option<String>),
}

/// An item of a list that a test gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenItem {
    /// The place of the list in the mapping.
    pub list: usize,
    /// The item as its system sends it (JSON).
    pub record: String,
}

/// What a mapped record should have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExpectedRecord {
    /// Fields with their values.
    pub fields: Vec<ExpectedField>,
    /// Lists with all their items.
    pub lists: Vec<ExpectedList>,
}

/// The items that a list should have, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedList {
    /// The place of the list in the mapping.
    pub list: usize,
    /// Its name in the test.
    pub name: String,
    /// The fields of each item.
    pub items: Vec<Vec<ExpectedField>>,
}

/// The value that a field should have.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedField {
    /// The target's path by the names on the wire, dotted.
    pub path: String,
    /// The value; `None` for a field that is not written.
    pub value: Option<Const>,
    /// Its place.
    pub span: Span,
}

/// The id of a record whose test gives none.
const SOME_ID: &str = "00000000-0000-0000-0000-000000000001";

/// What tests need to know of a flow in one direction.
struct Lowered<'f> {
    slots: &'f [Slot],
    programs: Vec<&'f FieldProgram>,
    /// Whether the result of a record depends on the time of the run.
    asks_the_time: bool,
    /// Whether the scope decides by fields that no program reads.
    scope: bool,
    /// The records that lookups of the Dynamics 365 side point to.
    links: &'f [LinkedRecord],
    /// The lists whose items are rows.
    rows: &'f [LinkedRows],
    /// Whether the record is one of the right side.
    backward: bool,
}

/// A list that a test gives or expects items of.
struct ListOf<'f> {
    place: usize,
    table: Arc<Table>,
    /// The property that tells items apart.
    key: &'f str,
    /// What one item is put through.
    item: Lowered<'f>,
}

impl<'f> Lowered<'f> {
    /// The list of a path: by its path on the left side, by the name of the rows' table on the right side. `of`: the record's table,
    /// `given`: whether it is the record that is given.
    fn list(&self, path: &Path, of: &Table, given: bool, context: &Context<'_>) -> Option<ListOf<'f>> {
        let of_rows = self.backward == given;
        let wire = of.wire_path(&path.names()).map(|(wire, _)| wire);
        let named = |rows: &LinkedRows| if of_rows { rows.name() == path.text() } else { wire.as_ref() == Some(&rows.list.join(".")) };
        let (place, rows) = self.rows.iter().enumerate().find(|(_, rows)| named(rows))?;
        let table =
            if of_rows { context.catalogue.get(&TableId::parse(&rows.table)?)? } else { context.catalogue.items(of, &path.names())? };
        let (slots, programs) = if self.backward { (&rows.rows, &rows.backward) } else { (&rows.items, &rows.forward) };
        let item = Lowered {
            slots,
            programs: programs.iter().collect(),
            asks_the_time: false,
            scope: false,
            links: &[],
            rows: &[],
            backward: self.backward,
        };
        let key = if of_rows { &rows.row_key } else { &rows.item_key };
        Some(ListOf { place, table: table.clone(), key, item })
    }

    fn reads(&self, name: &str) -> bool {
        self.slots.iter().any(|slot| slot.field == name) || (self.scope && matches!(name, "qualification" | "type"))
    }

    fn writes(&self, path: &[String]) -> bool {
        self.programs.iter().any(|program| program.path == path)
    }

    /// The record that a path points to by its first part, a lookup, with the path within it.
    fn linked(&self, path: &Path, context: &Context<'_>) -> Option<(&LinkedRecord, Arc<Table>, Path)> {
        let (lookup, rest) = path.parts.split_first().filter(|(_, rest)| !rest.is_empty())?;
        let link = self.links.iter().find(|link| link.column == lookup.text)?;
        let table = context.catalogue.get(&TableId::parse(&link.table)?)?.clone();
        let span = Span { start: rest.first()?.span.start, ..path.span };
        Some((link, table, Path { parts: rest.to_vec(), span }))
    }
}

/// The flows of all mappings without an error, by name and direction.
pub(super) struct Flows<'f>(BTreeMap<(&'f str, bool), Lowered<'f>>);

impl<'f> Flows<'f> {
    pub(super) fn new(ingress: &'f [IngressFlow], two_way: &'f [TwoWayFlow]) -> Flows<'f> {
        // Asked once for each mapping and not for each of its tests.
        let asks = |filter: &Option<Condition>| filter.as_ref().is_some_and(Condition::asks_the_time);
        let one_way = ingress.iter().map(|flow| {
            let today = flow.fields.iter().any(|field| field.steps_of_today().next().is_some());
            let programs = flow.fields.iter().chain(std::iter::once(&flow.key)).collect();
            let lowered = Lowered {
                slots: &flow.source.slots,
                programs,
                asks_the_time: today || flow.asks_the_time(),
                scope: false,
                links: &[],
                rows: &[],
                backward: false,
            };
            ((flow.name.as_str(), false), lowered)
        });
        let both = two_way.iter().flat_map(|flow| {
            let to_right = Lowered {
                slots: &flow.left.slots,
                programs: flow.forward.iter().collect(),
                asks_the_time: asks(&flow.filter),
                scope: flow.scope != Scope::All,
                links: &flow.links,
                rows: &flow.rows,
                backward: false,
            };
            let to_left = Lowered {
                slots: &flow.right.slots,
                programs: flow.backward.iter().collect(),
                asks_the_time: false,
                scope: false,
                links: &flow.links,
                rows: &flow.rows,
                backward: true,
            };
            [((flow.name.as_str(), false), to_right), ((flow.name.as_str(), true), to_left)]
        });
        Flows(one_way.chain(both).collect())
    }
}

fn cannot(span: Span, message: String, label: &str, help: &str) -> Diagnostic {
    Diagnostic::new(Code::D122, span, message, label).help(help)
}

/// The direction that a test is about, from the system that `given` names.
fn way(
    block: &TestBlock,
    info: &MappingInfo,
    given: (Option<&Ident>, Span),
    expect: Option<&Ident>,
    context: &mut Context<'_>,
) -> Option<Way> {
    let (left, right) = (info.source.as_ref()?.system, info.target.as_ref()?.system);
    let name = &block.mapping.text;
    let way = match given.0 {
        Some(word) if info.two_way && word.text == right.name() => Way::Backward,
        Some(word) if word.text == left.name() => Way::Forward,
        None if !info.two_way => Way::Forward,
        Some(word) => {
            let help = if info.two_way {
                format!(
                    "write `given {left} {{ … }}` for a record of {}, or `given {right} {{ … }}` for a record of {}",
                    left.title(),
                    right.title()
                )
            } else {
                format!("write `given {{ … }}`: `{name}` reads records of {} only", left.title())
            };
            let message = format!("`{name}` does not read records of `{}`", word.text);
            context.report(cannot(word.span, message, "not a system that this mapping reads", &help));
            return None;
        }
        None => {
            let message = format!("`{name}` is a two-way mapping, but this test does not say which direction it tests");
            let help = format!(
                "write `given {left} {{ … }}` to test what is written to {}, or `given {right} {{ … }}` to test what is written to {}",
                right.title(),
                left.title()
            );
            context.report(cannot(given.1, message, "expected the system of the record", &help));
            return None;
        }
    };
    let to = if way == Way::Forward { right } else { left };
    match expect {
        Some(word) if word.text != to.name() => {
            let message = format!("the record of this test is written to {}, not to `{}`", to.title(), word.text);
            context.report(cannot(word.span, message, "not the target system", &format!("write `expect {to} {{ … }}`")));
            None
        }
        _ => Some(way),
    }
}

/// Checks a test block against the tables of its mapping.
pub(super) fn check(block: &TestBlock, flows: &Flows<'_>, context: &mut Context<'_>) -> Option<TestCase> {
    let Some(info) = context.mappings.get(&block.mapping.text).cloned() else {
        let names: Vec<String> = context.mappings.keys().cloned().collect();
        let diagnostic =
            Diagnostic::new(Code::D121, block.mapping.span, format!("there is no mapping `{}`", block.mapping.text), "unknown mapping")
                .meant(near(&block.mapping.text, names.iter().map(String::as_str)), block.mapping.span, || {
                    "a test names the mapping that it tests: `test contacts \"what it shows\" { … }`".to_owned()
                });
        context.report(diagnostic);
        return None;
    };
    let (mut given, mut clock, mut expect) = (None, None, None);
    for clause in &block.clauses {
        let (span, first, what) = match clause {
            Clause::Given { span, system, values } => (*span, given.replace((values, system, *span)).map(|(.., s)| s), "given"),
            Clause::Clock { span, at } => (*span, clock.replace((at, *span)).map(|(_, s)| s), "now"),
            Clause::Expect { span, system, kind } => (*span, expect.replace((kind, system, *span)).map(|(.., s)| s), "expect"),
        };
        if let Some(first) = first {
            let diagnostic = cannot(span, format!("this test has two clauses `{what}`"), "the second one", "put both into one");
            context.report(diagnostic.related(first, "the first one"));
        }
    }
    if block.unread {
        return None;
    }
    let Some((kind, to, expected_span)) = expect else {
        context.report(cannot(
            block.title.span,
            "this test expects nothing".to_owned(),
            "no `expect`",
            "write `expect { field: value }`, `expect filtered` or `expect rejected`",
        ));
        return None;
    };
    let Some((values, from, given_span)) = given else {
        context.report(cannot(block.title.span, "this test gives no record".to_owned(), "no `given`", "write `given { field: value }`"));
        return None;
    };
    let way = way(block, &info, (from.as_ref(), given_span), to.as_ref(), context)?;
    let (source, target) = (context.catalogue.get(info.source.as_ref()?)?.clone(), context.catalogue.get(info.target.as_ref()?)?.clone());
    let (source, target) = if way == Way::Backward { (target, source) } else { (source, target) };
    let flow = flows.0.get(&(block.mapping.text.as_str(), way == Way::Backward));
    let may_be_wrong = matches!(kind, Expectation::Rejected(_));
    let (values, items): (Vec<&Assignment>, Vec<&Assignment>) = values.iter().partition(|a| !matches!(a.value, Assigned::Item(_)));
    let record = record(&values, &source, may_be_wrong, flow, context);
    let items = given_items(&items, &source, may_be_wrong, flow, context);
    let now = match clock.map(|(at, _)| &at.value) {
        Some(LiteralValue::Date(date)) => Some(time::midnight(*date)),
        Some(LiteralValue::Instant(instant)) => Some(*instant),
        _ => None,
    };
    if now.is_none() && flow.is_some_and(|flow| flow.asks_the_time) {
        context.report(
            Diagnostic::new(
                Code::D804,
                block.title.span,
                "this test depends on the day on which it is run",
                "what the mapping writes depends on the time",
            )
            .help("set the time of the test: `now 2024-01-31`"),
        );
    }
    let expected = match kind {
        Expectation::Filtered => Some(Expected::Filtered),
        Expectation::Rejected(None) => Some(Expected::Rejected(None)),
        Expectation::Rejected(Some(code)) => match &code.value {
            LiteralValue::Text(text) if Code::from_name(text).is_some_and(|c| c.name().starts_with("D9")) => {
                Some(Expected::Rejected(Some(text.to_uppercase())))
            }
            _ => {
                context.report(cannot(
                    code.span,
                    "this is not the code of a rejection".to_owned(),
                    "unknown code of a rejection",
                    "the codes are D901 to D906: `d365map explain` lists them; or omit the code",
                ));
                None
            }
        },
        Expectation::Mapped(values) => {
            let (lists, fields) = expected_lists(values, &target, flow, context);
            let fields = mapped(&fields, &target, flow, context);
            lists.zip(fields).map(|(lists, fields)| Expected::Mapped(ExpectedRecord { fields, lists }))
        }
    };
    let LiteralValue::Text(title) = &block.title.value else { return None };
    Some(TestCase {
        mapping: block.mapping.text.clone(),
        backward: way == Way::Backward,
        title: title.clone(),
        span: block.span,
        record: record?,
        items: items?,
        now,
        expected: expected?,
        expected_span,
    })
}

/// The record as the source would send it.
fn record(
    values: &[&Assignment],
    source: &Table,
    may_be_wrong: bool,
    flow: Option<&Lowered<'_>>,
    context: &mut Context<'_>,
) -> Option<String> {
    let mut members: Vec<(String, String, Span)> = Vec::new();
    // Lookups that are given by the name of their record.
    let mut named: Vec<(String, Span)> = Vec::new();
    let mut complete = true;
    for assignment in values {
        // A column of the record that a lookup points to.
        let linked = flow.and_then(|flow| flow.linked(&assignment.field, context));
        let (path, table) = linked.as_ref().map_or((&assignment.field, source), |(_, table, path)| (path, table.as_ref()));
        let Some(mut found) = names::source_field(path, table, context) else {
            complete = false;
            continue;
        };
        let mut wire = found.wire(table);
        if let Some((link, ..)) = &linked {
            wire = format!("{}.{wire}", link.navigation);
            found.name = format!("{}.{}", link.column, found.name);
        }
        let Assigned::Value(value) = &assignment.value else {
            complete = false;
            let help = "remove the line: a field that is not given is empty";
            context.report(cannot(assignment.span, format!("`{}` is given as `absent`", found.name), "only in `expect`", help));
            continue;
        };
        let beside = format!("{wire}@{FORMATTED_VALUE}");
        let name = name_of_record(value, &found.field).filter(|_| flow.is_none_or(|f| f.slots.iter().any(|s| s.wire == beside)));
        // A lookup has an id and a name, and a test can give either or both.
        let member = if name.is_some() { &beside } else { &wire };
        if let Some((_, _, first)) = members.iter().find(|(name, _, _)| name == member) {
            context.report(
                Diagnostic::new(Code::D122, assignment.span, format!("`{}` is given twice", found.name), "the second time")
                    .related(*first, "the first time")
                    .help("remove one of the two"),
            );
            complete = false;
            continue;
        }
        if flow.is_some_and(|f| !f.reads(&found.name)) && found.name != source.primary_key {
            context.report(
                Diagnostic::new(
                    Code::D811,
                    assignment.field.span,
                    format!("the mapping does not read `{}`", found.name),
                    "given without effect",
                )
                .help("remove it from the test, or map it"),
            );
        }
        if let Some(name) = name {
            members.push((beside, Json::from(name).to_string(), assignment.span));
            named.push((wire, assignment.span));
            continue;
        }
        match json(value, &found.field, may_be_wrong) {
            Ok(text) => members.push((wire, text, assignment.span)),
            Err(unfit) => {
                complete = false;
                let message = format!("`{}` never has this value", found.name);
                context.report(unfit.diagnostic(Code::D122, value.span(), message));
            }
        }
    }
    complete.then_some(())?;
    for (wire, span) in named {
        if members.iter().all(|(name, _, _)| *name != wire) {
            // Some record of this name.
            members.push((wire, Json::from(SOME_ID).to_string(), span));
        }
    }
    let mut text = String::from("{");
    if !members.iter().any(|(name, _, _)| *name == source.primary_key) {
        text.push_str(&format!("{}:\"{SOME_ID}\"", Json::from(source.primary_key.as_str())));
    }
    for (name, value, _) in members {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&format!("{}:{value}", Json::from(name)));
    }
    text.push('}');
    Some(text)
}

/// The items of lists as their system would send them.
fn given_items(
    values: &[&Assignment],
    source: &Table,
    may_be_wrong: bool,
    flow: Option<&Lowered<'_>>,
    context: &mut Context<'_>,
) -> Option<Vec<GivenItem>> {
    let mut items = Vec::new();
    let mut complete = true;
    for assignment in values {
        let Assigned::Item(fields) = &assignment.value else { continue };
        // Without a flow, the mapping has another error.
        let Some(flow) = flow else { continue };
        let Some(list) = flow.list(&assignment.field, source, true, context) else {
            context.report(not_a_list(assignment, flow, true));
            complete = false;
            continue;
        };
        if !fields.iter().any(|field| field.field.text() == list.key) {
            let message = format!("this item of `{}` has no `{}`", assignment.field.text(), list.key);
            let help = format!("write `{}: …`: it identifies the items of the list", list.key);
            context.report(cannot(assignment.field.span, message, "its key is missing", &help));
            complete = false;
            continue;
        }
        let fields: Vec<&Assignment> = fields.iter().collect();
        match record(&fields, &list.table, may_be_wrong, Some(&list.item), context) {
            Some(record) => items.push(GivenItem { list: list.place, record }),
            None => complete = false,
        }
    }
    complete.then_some(items)
}

/// The lists that are expected, and the other values.
fn expected_lists<'a>(
    values: &'a [Assignment],
    target: &Table,
    flow: Option<&Lowered<'_>>,
    context: &mut Context<'_>,
) -> (Option<Vec<ExpectedList>>, Vec<&'a Assignment>) {
    let (mut lists, mut others): (Vec<ExpectedList>, Vec<&Assignment>) = (Vec::new(), Vec::new());
    let mut complete = true;
    for assignment in values {
        let list = flow.and_then(|flow| flow.list(&assignment.field, target, false, context));
        let item = match (&assignment.value, list, flow) {
            (Assigned::Item(fields), Some(list), _) => {
                let fields: Vec<&Assignment> = fields.iter().collect();
                let fields = mapped(&fields, &list.table, Some(&list.item), context);
                complete &= fields.is_some();
                (list.place, fields)
            }
            (Assigned::Absent, Some(list), _) => (list.place, None),
            (Assigned::Item(_), None, Some(flow)) => {
                context.report(not_a_list(assignment, flow, false));
                complete = false;
                continue;
            }
            (Assigned::Item(_), None, None) => continue,
            (Assigned::Value(_), ..) | (Assigned::Absent, None, _) => {
                others.push(assignment);
                continue;
            }
        };
        let (place, fields) = item;
        match lists.iter_mut().find(|list| list.list == place) {
            Some(list) => list.items.extend(fields),
            None => lists.push(ExpectedList { list: place, name: assignment.field.text(), items: fields.into_iter().collect() }),
        }
    }
    (complete.then_some(lists), others)
}

/// An item of what is not a list of the mapping.
fn not_a_list(assignment: &Assignment, flow: &Lowered<'_>, given: bool) -> Diagnostic {
    let name = |rows: &LinkedRows| if flow.backward == given { rows.name().to_owned() } else { rows.list.join(".") };
    let names: Vec<String> = flow.rows.iter().map(name).collect();
    let text = assignment.field.text();
    let help = match names.as_slice() {
        [] => format!("write `{text}: value`; a mapping has lists if it has a `rows` block"),
        names => format!("its lists are `{}`; a field is written `{text}: value`", names.join("`, `")),
    };
    cannot(assignment.field.span, format!("`{text}` is not a list of this mapping"), "not a list", &help)
}

/// The text that a test gives for a lookup, where it is no id: the name of the record that it points to.
fn name_of_record<'v>(value: &'v Value, field: &Field) -> Option<&'v str> {
    match (value, &field.ty) {
        (Value::Literal(literal), FieldType::Lookup { .. }) => match &literal.value {
            LiteralValue::Text(text) if uuid::Uuid::parse_str(text).is_err() => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// A value as the source's JSON has it.
fn json(value: &Value, field: &Field, may_be_wrong: bool) -> Result<String, super::values::Unfit> {
    if let Value::Literal(literal) = value {
        match (&literal.value, &field.ty) {
            (LiteralValue::Null, _) => return Ok("null".to_owned()),
            // Several options come as their numbers with commas.
            (LiteralValue::Text(text), FieldType::MultiChoice(_)) if text.split(',').all(|n| n.trim().parse::<i64>().is_ok()) => {
                return Ok(Json::from(text.as_str()).to_string());
            }
            _ => {}
        }
    }
    match resolve(value, field) {
        Ok(constant) => Ok(match (constant, &field.ty) {
            (Const::Integer(n), FieldType::MultiChoice(_)) => format!("\"{n}\""),
            (constant, _) => const_json(&constant),
        }),
        // What the schema does not admit is just what a test of a rejection may give.
        Err(unfit) => match value {
            Value::Literal(literal) if may_be_wrong => Ok(const_json(&constant(&literal.value))),
            // A label that the field does not have. What is not an option is written in quotes here too.
            Value::Word(word) if may_be_wrong && is_labelled(field) => Ok(Json::from(word.text()).to_string()),
            Value::Moment(_) | Value::Literal(_) | Value::Word(_) => Err(unfit),
        },
    }
}

/// Whether the values of a field have names, which need no quotes.
fn is_labelled(field: &Field) -> bool {
    matches!(
        field.ty,
        FieldType::Choice(_) | FieldType::MultiChoice(_) | FieldType::Enumeration(_) | FieldType::Boolean { labels: Some(_) }
    )
}

fn const_json(constant: &Const) -> String {
    match constant {
        Const::Null => "null".to_owned(),
        Const::Boolean(b) => b.to_string(),
        Const::Integer(n) => n.to_string(),
        Const::Decimal(d) => d.to_string(),
        Const::Text(text) => Json::from(text.as_str()).to_string(),
        Const::Date(date) => format!("\"{date}\""),
        Const::Instant(instant) => format!("\"{}\"", time::format_instant(*instant)),
    }
}

/// The values that are expected, each against what its field admits.
fn mapped(values: &[&Assignment], target: &Table, flow: Option<&Lowered<'_>>, context: &mut Context<'_>) -> Option<Vec<ExpectedField>> {
    let mut fields: Vec<ExpectedField> = Vec::new();
    let mut complete = true;
    for assignment in values {
        let linked = flow.and_then(|flow| flow.linked(&assignment.field, context));
        let (path, table) = linked.as_ref().map_or((&assignment.field, target), |(_, table, path)| (path, table.as_ref()));
        let Some(found) = names::target_field(path, table, true, context) else {
            complete = false;
            continue;
        };
        let path = match &linked {
            Some((link, ..)) => format!("{}.{}", link.column, found.path.join(".")),
            None => found.path.join("."),
        };
        let mut fault = |span: Span, message: String, label: String, help: String| {
            complete = false;
            context.report(Diagnostic::new(Code::D122, span, message, label).help(help));
        };
        if fields.iter().any(|f| f.path == path) {
            fault(assignment.span, format!("`{path}` is expected twice"), "the second time".to_owned(), "remove one of the two".to_owned());
            continue;
        }
        let Assigned::Value(value) = &assignment.value else {
            fields.push(ExpectedField { path, value: None, span: assignment.span });
            continue;
        };
        let written = |flow: &Lowered<'_>| match &linked {
            Some((link, ..)) => link.fields.iter().any(|program| program.path == found.path),
            None => flow.writes(&found.path),
        };
        if flow.is_some_and(|flow| !written(flow)) {
            fault(
                assignment.field.span,
                format!("the mapping does not write `{path}`"),
                "never has a value".to_owned(),
                format!("remove it from the test, map it, or write `{path} absent` if that is what the test expects"),
            );
            continue;
        }
        match expected(value, &found.field, &found.fit) {
            Some(constant) => fields.push(ExpectedField { path, value: Some(constant), span: assignment.span }),
            None => fault(
                value.span(),
                format!("`{path}` never has this value"),
                match super::mismatch::fit_text(&found.fit) {
                    fit if fit.starts_with("holds ") => format!("the field {fit}"),
                    fit => format!("the field holds {fit}"),
                },
                match (value, &found.fit) {
                    (Value::Word(word), Fit::Text { .. }) => format!("write a text in quotes: \"{}\"", word.text()),
                    _ => "write a value that the field can have, or `null`".to_owned(),
                },
            ),
        }
    }
    complete.then_some(fields)
}

/// An expected value in the representation of what the target holds.
fn expected(value: &Value, field: &Field, fit: &Fit) -> Option<Const> {
    // Options of Dynamics 365 are written by label or number.
    if let Fit::Options(_) = fit
        && !matches!(value, Value::Literal(literal) if literal.value == LiteralValue::Null)
    {
        return resolve(value, field).ok();
    }
    let literal = match value {
        Value::Literal(literal) => constant(&literal.value),
        Value::Word(word) => Const::Text(word.text()),
        Value::Moment(moment) => match &moment.base {
            MomentBase::Fixed(_) | MomentBase::Now | MomentBase::Today => return None,
        },
    };
    let fits = match (&literal, fit) {
        (Const::Null, _) => true,
        (Const::Boolean(_), Fit::Boolean) => true,
        (Const::Integer(n), Fit::Integer { min, max }) => min <= n && n <= max,
        (Const::Integer(_) | Const::Decimal(_), Fit::Decimal { .. } | Fit::Double) => true,
        (Const::Integer(n), Fit::Options(options)) => options.contains(n),
        (Const::Text(text), Fit::Enumeration(names)) => names.contains(text),
        (Const::Text(_), Fit::Text { .. } | Fit::Link { .. }) => matches!(value, Value::Literal(_)),
        (Const::Date(_), Fit::Date) | (Const::Instant(_), Fit::Instant) => true,
        (Const::Date(date), Fit::Instant) => return Some(Const::Instant(time::midnight(*date))),
        _ => false,
    };
    fits.then_some(literal)
}
