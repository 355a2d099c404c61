//! Names, types, loss and lints: syntax trees and the schemas become a plan, or diagnostics.
//!
//! One walk over each mapping checks and lowers at once ([`mapping`]), so what passes cannot fail to lower. The other files
//! hold one family of rules each: [`names`] tables and fields, [`steps`] pipelines, [`types`] loss, [`replace`]
//! replacements, [`filter`] conditions, [`keys`] keys.

mod filter;
mod keys;
mod mapping;
mod names;
mod replace;
mod steps;
mod types;
mod values;

use std::collections::BTreeMap;

use crate::diagnostics::{Code, Diagnostic, Diagnostics, Sources, Span};
use crate::plan::{At, ExecutionPlan, FORMAT, IngressFlow};
use crate::schema::{Catalogue, TableId};
use crate::syntax;

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
    /// The plan; `None` where a finding is an error.
    pub plan: Option<ExecutionPlan>,
    /// How many mappings were read, faulty ones included.
    pub mappings: usize,
}

/// Where the parts of a checker put what they find, and how spans become places of the plan.
pub(crate) struct Context<'a> {
    catalogue: &'a Catalogue,
    sources: &'a Sources,
    diagnostics: &'a mut Diagnostics,
}

impl Context<'_> {
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
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let mut files = Vec::new();
    for input in inputs {
        let (text, fault) = syntax::decode(input.bytes);
        let id = sources.add(input.name, text);
        match fault {
            Some(fault) => diagnostics.push(fault.diagnostic(id)),
            None => files.push(id),
        }
    }
    let mut mappings = Vec::new();
    for id in files {
        let text = sources.get(id).map(|f| f.text.clone()).unwrap_or_default();
        mappings.extend(syntax::parse(id, &text, &mut diagnostics).mappings);
    }

    let mut context = Context { catalogue, sources: &sources, diagnostics: &mut diagnostics };
    project_rules(&mappings, &mut context);
    let count = mappings.len();
    let mut ingress: Vec<IngressFlow> = mappings.iter().filter_map(|m| mapping::check(m, &mut context)).collect();
    ingress.sort_by(|a, b| a.name.cmp(&b.name));

    let plan = (!diagnostics.has_errors()).then(|| ExecutionPlan {
        format: FORMAT,
        files: sources.iter().map(|(_, f)| f.name.clone()).collect(),
        ingress,
    });
    Compiled { sources, diagnostics: diagnostics.into_sorted(), plan, mappings: count }
}

/// The rules that concern several mappings: names are unique, and each table is mapped once, as the integration requires.
fn project_rules(mappings: &[syntax::ast::Mapping], context: &mut Context<'_>) {
    let mut names: BTreeMap<&str, Span> = BTreeMap::new();
    let mut tables: BTreeMap<TableId, (Span, &str)> = BTreeMap::new();
    for head in mappings.iter().filter_map(|m| m.head.as_ref()) {
        let name = head.name.text.as_str();
        if let Some(first) = names.get(name) {
            context.report(
                Diagnostic::new(Code::D109, head.name.span, format!("two mappings are named `{name}`"), "the second one")
                    .related(*first, "the first one")
                    .help("give each mapping a name of its own; state and reports are kept under it"),
            );
        } else {
            names.insert(name, head.name.span);
        }
        for table in [&head.source, &head.target] {
            let Some(system) = crate::schema::System::from_name(&table.system.text) else { continue };
            let id = TableId::new(system, table.table.text.clone());
            if let Some((first, by)) = tables.get(&id) {
                context.report(
                    Diagnostic::new(Code::D110, table.span, format!("`{id}` is mapped twice"), "mapped here again")
                        .related(*first, format!("mapped here by `{by}`"))
                        .help("each table is mapped once: put the fields of both into one mapping"),
                );
            } else {
                tables.insert(id, (table.span, name));
            }
        }
    }
}
