//! Names, types, loss and lints: syntax trees and the schemas become a plan, or diagnostics.
//!
//! One walk over each mapping checks and lowers at the same time ([`mapping`], [`entry`]), so what passes cannot fail to lower. Before
//! it, [`declare`] puts constants and shared tables in their place; after it, [`allow`] leaves out what the files allow. The
//! other files hold one family of rules each: [`names`] tables and fields (D1xx), [`types`], [`steps`] and [`mismatch`]
//! types and loss (D2xx), [`replace`] replacements (D3xx), [`filter`] and [`together`] conditions (D4xx), [`case`] and [`reach`] what depends on them, [`keys`], [`adopt`], [`links`] and [`two_way`]
//! (D5xx), [`consent`] (D6xx), [`limits`] (D7xx), [`style`] (D8xx). [`tables`] reads files with rows, and [`lookup`] looks values up in them; [`through`] and [`related`] read columns of other records. [`cases`] makes test blocks ready to run.

mod adopt;
mod allow;
mod as_text;
mod both_ways;
mod case;
mod cases;
mod consent;
mod covers;
mod declare;
mod entry;
mod events;
mod filter;
mod fitting;
mod formula;
mod keys;
mod limits;
mod link_to;
mod linked;
mod links;
mod lookup;
mod mapping;
mod meanings;
mod mismatch;
mod mutual;
mod names;
mod options;
mod owners;
mod presence;
mod reach;
mod related;
mod replace;
mod source;
mod status;
mod steps;
mod style;
mod tables;
mod through;
mod today;
mod together;
mod two_way;
mod types;
mod values;

use std::collections::BTreeMap;

pub use crate::plan::EventField;
pub use cases::{Expected, ExpectedField, ExpectedList, GivenItem, TestCase};
pub use consent::{ATTRIBUTES, is_optout};
pub use declare::{included_name, included_paths, table_paths};
pub use fitting::{fitting_steps, taken_after};
pub use options::{DIRECTIONS, EVENTS, INGRESS, Known, TWO_WAY};
pub use tables::{TableFile, TableFiles, TableInfo};

use declare::Parsed;
use owners::Owners;

use crate::diagnostics::{Code, Diagnostic, Diagnostics, FileId, Levels, Sources, Span, near};
use crate::plan::{At, Direction, EventFlow, ExecutionPlan, FORMAT, IngressFlow, OptoutFlow, TwoWayFlow};
use crate::schema::{Catalogue, SystemId, TableId};
use crate::syntax;
use crate::syntax::ast::{File, Optout, Way};

/// One mapping file: its name for people (a relative path with `/`) and its bytes.
#[derive(Clone, Debug)]
pub struct Input {
    /// The name.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The result of compiling the mapping files of one project.
#[derive(Debug)]
pub struct Compiled {
    /// The texts that the diagnostics point into.
    pub sources: Sources,
    /// All findings, sorted.
    pub diagnostics: Vec<Diagnostic>,
    /// The plan; `None` if a finding is an error.
    pub plan: Option<ExecutionPlan>,
    /// The tests that can be run, in the order of files and places.
    pub tests: Vec<TestCase>,
    /// How many mappings were read, faulty ones included.
    pub mappings: usize,
    /// The tables of files that are declared.
    pub tables: Vec<TableInfo>,
}

/// Where the parts of a checker put what they find, and how spans become places of the plan.
pub(crate) struct Context<'a> {
    catalogue: &'a Catalogue,
    sources: &'a Sources,
    diagnostics: &'a mut Diagnostics,
    /// The mappings of all files by their names.
    mappings: BTreeMap<String, MappingInfo>,
    /// The tables that the files declare.
    tables: tables::Tables,
}

/// What other blocks need to know of a mapping.
#[derive(Clone, Debug)]
struct MappingInfo {
    /// The head, from the name to the target.
    span: Span,
    source: Option<TableId>,
    target: Option<TableId>,
    /// The target's field that identifies a record.
    key: Option<String>,
    two_way: bool,
    /// The direction of its opt-out block, and its place.
    optout: Option<(Direction, Span)>,
}

impl<'a> Context<'a> {
    /// What the file has at a span.
    fn text(&self, span: Span) -> &'a str {
        self.sources.get(span.file).and_then(|file| file.text.get(span.range())).unwrap_or_default()
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn at(&self, span: Span) -> At {
        let (_, position) = self.sources.locate(span);
        At { file: span.file.0, line: position.line, column: position.column, start: span.start, end: span.end }
    }
}

/// Compiles mapping files against a catalogue. Everything that is wrong in any of them is reported.
pub fn compile(inputs: Vec<Input>, catalogue: &Catalogue) -> Compiled {
    compile_with(inputs, catalogue, &Levels::new())
}

/// Compiles with the severities that a project sets.
pub fn compile_with(inputs: Vec<Input>, catalogue: &Catalogue, levels: &Levels) -> Compiled {
    compile_project(inputs, &TableFiles::new(), catalogue, levels)
}

/// Compiles with the files that tables are read from.
pub fn compile_project(inputs: Vec<Input>, table_files: &TableFiles, catalogue: &Catalogue, levels: &Levels) -> Compiled {
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let mut ids = Vec::new();
    for input in inputs {
        let (text, fault) = syntax::decode(input.bytes);
        let id = sources.add(input.name, text);
        match fault {
            Some(fault) => diagnostics.push(fault.diagnostic(id)),
            None => ids.push(id),
        }
    }
    let text_of = |id: FileId| sources.get(id).map(|f| f.text.clone()).unwrap_or_default();
    let mut files: Vec<Parsed> = ids.into_iter().map(|id| Parsed { id, file: syntax::parse(id, &text_of(id), &mut diagnostics) }).collect();

    let mut context =
        Context { catalogue, sources: &sources, diagnostics: &mut diagnostics, mappings: BTreeMap::new(), tables: Default::default() };
    tables::load(&files, table_files, &mut context);
    declare::resolve(&mut files, &mut context);
    let checked = check_files(&files, &mut context);
    for parsed in &files {
        style::direction_marks(parsed.id, &text_of(parsed.id), &mut context);
    }
    tables::unused(&mut context);
    let tables = context.tables;
    let table_infos = tables.infos();

    let texts: Vec<_> = files.iter().map(|f| (f.id, text_of(f.id))).collect();
    let trees: Vec<(FileId, &str, &File)> = files.iter().zip(&texts).map(|(f, (id, text))| (*id, &**text, &f.file)).collect();
    allow::apply(&trees, levels, &mut diagnostics);
    let plan = (!diagnostics.has_errors()).then(|| {
        let mut plan = ExecutionPlan {
            format: FORMAT,
            files: sources.iter().map(|(_, f)| f.name.clone()).collect(),
            tables: tables.into_plan(),
            ingress: checked.ingress,
            optouts: checked.optouts,
            events: checked.events,
            two_way: checked.two_way,
        };
        // What was just made holds together.
        let _ = plan.attach_tables();
        plan
    });
    let mappings = files.iter().map(|f| f.file.mappings.len()).sum();
    Compiled { diagnostics: diagnostics.into_sorted(), plan, tests: checked.tests, mappings, tables: table_infos, sources }
}

#[derive(Default)]
struct Checked {
    ingress: Vec<IngressFlow>,
    optouts: Vec<OptoutFlow>,
    events: Vec<EventFlow>,
    two_way: Vec<TwoWayFlow>,
    tests: Vec<TestCase>,
}

fn check_files(files: &[Parsed], context: &mut Context<'_>) -> Checked {
    let mappings = || files.iter().flat_map(|f| &f.file.mappings);
    let optouts = optout_blocks(files, context);
    context.mappings = infos(files, &optouts, context.catalogue);
    project_rules(files, context);
    unknown_optouts(&optouts, context);

    let mut checked = Checked::default();
    for mapping in mappings() {
        style::mapping(mapping, context);
        let name = mapping.head.as_ref().map(|h| h.name.text.as_str());
        if mapping.head.as_ref().is_some_and(|h| h.way == Way::Both && h.source.system.text == SystemId::Partner.name()) {
            checked.two_way.extend(two_way::check(mapping, context));
            continue;
        }
        let optout = name.and_then(|n| optouts.iter().find(|o| o.mapping.text == n));
        if let Some((flow, optout)) = mapping::check(mapping, optout.copied(), context) {
            checked.ingress.push(flow);
            checked.optouts.extend(optout);
        }
        if let Some(info) = name.and_then(|n| context.mappings.get(n)).cloned() {
            limits::columns(mapping, &info, context);
            consent::unlinked_personal_data(mapping, &info, context);
            consent::deletes_without_block(mapping, &info, context);
        }
    }
    let infos = context.mappings.clone();
    let with_info = mappings().filter_map(|m| Some((m, infos.get(&m.head.as_ref()?.name.text)?)));
    limits::entities(with_info, context);
    checked.ingress = links::order(checked.ingress, &infos, context);
    checked.optouts.sort_by(|a, b| (&a.mapping, a.topics).cmp(&(&b.mapping, b.topics)));
    checked.two_way.sort_by(|a, b| a.name.cmp(&b.name));
    checked.events = files.iter().flat_map(|f| &f.file.events).filter_map(|e| events::check(e, context)).collect();
    checked.events.sort_by(|a, b| a.name.cmp(&b.name));
    let tests = || files.iter().flat_map(|f| &f.file.tests);
    style::test_titles(tests(), context);
    let flows = cases::Flows::new(&checked.ingress, &checked.two_way);
    let cases = tests().filter_map(|block| cases::check(block, &flows, context)).collect();
    checked.tests = cases;
    checked
}

/// The first opt-out block of each mapping; the others, and second directions, are reported.
fn optout_blocks<'f>(files: &'f [Parsed], context: &mut Context<'_>) -> Vec<&'f Optout> {
    let mut blocks: Vec<&Optout> = Vec::new();
    let mut twice = |span: Span, first: Span, message: String| {
        context.report(
            Diagnostic::new(Code::D604, span, message, "the second one").related(first, "the first one").help("keep one of the two"),
        );
    };
    for block in files.iter().flat_map(|f| &f.file.optouts) {
        if let [first, second, ..] = block.directions.as_slice() {
            twice(second.span, first.span, "this block has two directions".to_owned());
        }
        match blocks.iter().find(|b| b.mapping.text == block.mapping.text) {
            Some(first) => twice(block.mapping.span, first.mapping.span, format!("`{}` has two opt-out blocks", block.mapping.text)),
            None => blocks.push(block),
        }
    }
    blocks
}

fn unknown_optouts(blocks: &[&Optout], context: &mut Context<'_>) {
    for block in blocks {
        let name = &block.mapping;
        if context.mappings.contains_key(&name.text) {
            continue;
        }
        let names: Vec<String> = context.mappings.keys().cloned().collect();
        let diagnostic = Diagnostic::new(Code::D121, name.span, format!("there is no mapping `{}`", name.text), "unknown mapping").meant(
            near(&name.text, names.iter().map(String::as_str)),
            name.span,
            || "an opt-out block names the mapping of contacts to profiles: `optout contacts { … }`".to_owned(),
        );
        context.report(diagnostic);
    }
}

fn infos(files: &[Parsed], optouts: &[&Optout], catalogue: &Catalogue) -> BTreeMap<String, MappingInfo> {
    let mut infos = BTreeMap::new();
    for mapping in files.iter().flat_map(|f| &f.file.mappings) {
        let Some(head) = &mapping.head else { continue };
        let table = |name: &syntax::ast::TableName| {
            let id = TableId::new(SystemId::from_name(&name.system.text)?, name.table.text.clone());
            catalogue.get(&id).map(|t| t.id.clone())
        };
        let key = mapping.keys().next().map(|key| key.target.text());
        let block = optouts.iter().find(|o| o.mapping.text == head.name.text);
        infos.entry(head.name.text.clone()).or_insert_with(|| MappingInfo {
            span: head.name.span.to(head.target.span),
            source: table(&head.source),
            target: table(&head.target),
            key,
            two_way: head.way == Way::Both,
            optout: block.and_then(|o| Some((consent::direction(o)?, o.mapping.span))),
        });
    }
    infos
}

/// The rules that concern several blocks: names are unique, and each record is written by one mapping.
fn project_rules(files: &[Parsed], context: &mut Context<'_>) {
    let mut names: BTreeMap<&str, Span> = BTreeMap::new();
    let mut owners = Owners::default();
    let unique = |name: &'_ syntax::ast::Ident, what: &str, first: Option<Span>, context: &mut Context<'_>| {
        if let Some(first) = first {
            context.report(
                Diagnostic::new(Code::D109, name.span, format!("two {what} are named `{}`", name.text), "the second one")
                    .related(first, "the first one")
                    .help("rename one of them; the name identifies its state and its reports"),
            );
        }
    };
    for mapping in files.iter().flat_map(|f| &f.file.mappings) {
        let Some(head) = &mapping.head else { continue };
        unique(&head.name, "mappings", names.get(head.name.text.as_str()).copied(), context);
        names.entry(&head.name.text).or_insert(head.name.span);
        owners.add(mapping, head, context);
    }
    for block in files.iter().flat_map(|f| &f.file.events) {
        unique(&block.name, "blocks", names.get(block.name.text.as_str()).copied(), context);
        names.entry(&block.name.text).or_insert(block.name.span);
    }
}
