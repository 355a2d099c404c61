//! Links between mappings: a lookup in Dynamics becomes a reference to the record that another mapping writes.
//!
//! Rules of the integration: links make an acyclic order, at most three tables deep, at most five in one mapping.

use std::collections::BTreeMap;

use super::entry::Checker;
use super::names::{self, TargetField};
use super::{Context, MappingInfo};
use crate::diagnostics::{Code, Diagnostic, Safety, Span, near};
use crate::plan::{FieldProgram, Fit, IngressFlow, LOOKUP_TABLE, LinkAbsent, Op, Read, Source, Step, TableOf};
use crate::schema::FieldType;
use crate::syntax::ast::{self, FieldMapping, Operand, OrKind};

/// The greatest number of links in one mapping.
const MOST_LINKS: usize = 5;

/// The greatest number of tables in a chain of links.
const MOST_LEVELS: usize = 3;

impl Checker<'_> {
    /// Reports a lookup that is written to a link without the step `link`. Whether it was reported.
    pub(super) fn link_without_step(&self, field: &FieldMapping, target: Option<&TargetField>, context: &mut Context<'_>) -> bool {
        let (ast::Source::Field(path), Some(target), []) = (&field.source, target, field.steps.as_slice()) else { return false };
        let FieldType::Link { target: linked } = &target.field.ty else { return false };
        let Some(FieldType::Lookup { targets }) = self.source.field(&path.names()).map(|found| &found.ty) else { return false };
        let fits = |info: &MappingInfo| {
            info.target.as_ref().is_some_and(|id| linked.as_ref().is_some_and(|linked| *linked == id.name))
                && info.source.as_ref().is_some_and(|id| targets.iter().any(|to| to.table == id.name))
        };
        let Some((mapping, _)) = context.mappings.iter().find(|(_, info)| fits(info)) else { return false };
        let step = format!(" | link {mapping}");
        let written = context.text(path.span.to(field.target.span));
        let end = Span::new(field.target.span.file, field.target.span.range().end..field.target.span.range().end);
        let diagnostic = Diagnostic::new(
            Code::D202,
            path.span,
            format!("the value does not fit `{}`", field.target.text()),
            "the id of a record of Dynamics 365",
        )
        .related(field.target.span, "a record of another table")
        .help(format!("write `{written}{step}`"))
        .fix(Safety::Unsafe, format!("add `| link {mapping}`"), end, step);
        context.report(diagnostic);
        true
    }

    /// Checks an entry that links two records.
    pub(super) fn link(
        &mut self,
        field: &FieldMapping,
        step: &ast::Step,
        target: &TargetField,
        context: &mut Context<'_>,
    ) -> Option<FieldProgram> {
        let Some(Operand::Link(name)) = &step.operand else { return None };
        let unresolved = |span: Span, label: &str, help: String| {
            Diagnostic::new(Code::D508, span, format!("`{}` cannot be linked like this", field.target.text()), label).help(help)
        };
        if let Some(extra) = field.steps.iter().find(|s| s.span != step.span) {
            context.report(unresolved(extra.span, "another step next to `link`", "a link cannot have another step: remove it".to_owned()));
            return None;
        }
        let absent = match step.or.as_ref().map(|or| (&or.kind, or.span)) {
            None => LinkAbsent::Wait,
            Some((OrKind::Null, _)) => LinkAbsent::Null,
            Some((OrKind::Later, _)) => LinkAbsent::Later,
            Some((OrKind::Default(_) | OrKind::Keep | OrKind::Reject, span)) => {
                context.report(Diagnostic::new(Code::D207, span, "`link` cannot fail here", "this never happens").help(
                    "remove the `or`: the record waits until the one that it links to is there. Write `or later` to write the record at once and \
                     its link when it is possible, or `or null` to write an empty link",
                ));
                return None;
            }
        };
        let ast::Source::Field(path) = &field.source else {
            context.report(unresolved(field.span, "not a field", "only a lookup of the source table can be linked".to_owned()));
            return None;
        };
        let source = self.source.clone();
        let found = names::source_field(path, &source, context)?;
        let FieldType::Lookup { targets } = &found.field.ty else {
            let help = format!("`{}` is {}; only a lookup points to another record", found.name, found.typed.ty.describe());
            context.report(unresolved(path.span, "not a lookup", help));
            return None;
        };
        let FieldType::Link { target: linked } = &target.field.ty else {
            let help = format!("`{}` contains a value; a link needs a field of type link", field.target.text());
            context.report(unresolved(field.target.span, "not a link", help));
            return None;
        };
        let Some(other) = context.mappings.get(&name.text).cloned() else {
            let names: Vec<String> = context.mappings.keys().cloned().collect();
            let diagnostic = Diagnostic::new(Code::D505, name.span, format!("there is no mapping `{}`", name.text), "unknown mapping")
                .meant(near(&name.text, names.iter().map(String::as_str)), name.span, || {
                    "a link names the mapping that writes the other record".to_owned()
                });
            context.report(diagnostic);
            return None;
        };
        self.links.push((name.text.clone(), step.span));
        let apart = |what: String, label: String| {
            Diagnostic::new(Code::D507, step.span, what, label).related(other.span, format!("mapping `{}`", name.text)).help(
                "name the mapping that reads the table that the lookup points to, and writes the resource that the target field links to",
            )
        };
        let (from, to) = (other.source.as_ref()?, other.target.as_ref()?);
        if !targets.is_empty() && !targets.iter().any(|t| t.table == from.name) {
            let tables: Vec<&str> = targets.iter().map(|t| t.table.as_str()).collect();
            context.report(apart(
                format!("`{}` does not point to `{from}`", found.name),
                format!("it points to {}", super::types::list(tables, 5)),
            ));
            return None;
        }
        if linked.as_ref().is_some_and(|l| *l != to.name) {
            let resource = linked.clone().unwrap_or_default();
            context.report(apart(format!("`{}` does not link to `{to}`", field.target.text()), format!("it links to `{resource}`")));
            return None;
        }
        let at = context.at(field.span);
        let slot = self.slot(&found, path.span, context);
        // A customer may be an account or a contact; a lookup of which no table is known, anything.
        let table =
            (targets.len() != 1).then(|| TableOf { slot: self.beside(&found, LOOKUP_TABLE, path.span, context), name: from.name.clone() });
        let key = other.key?;
        Some(FieldProgram {
            at,
            path: target.path.clone(),
            source: Source::Field(Read::plain(slot)),
            steps: vec![Step { at: context.at(step.span), op: Op::Link { mapping: name.text.clone(), table, absent }, on_failure: None }],
            fit: Fit::Link { key },
            initial: field.flags.iter().any(|f| f.text == "initial"),
            create_only: false,
            present: field.flags.iter().any(|f| f.text == "present"),
            link_to: None,
        })
    }

    /// The limit of links in one mapping.
    pub(super) fn count_links(&self, head: Span, context: &mut Context<'_>) {
        if let Some((_, span)) = self.links.get(MOST_LINKS) {
            context.report(
                Diagnostic::new(
                    Code::D703,
                    *span,
                    format!("this mapping has {} links, but at most {MOST_LINKS} are allowed", self.links.len()),
                    "above the limit",
                )
                .related(head, "in this mapping")
                .help("remove links that are not used in Campaign, or move some columns to another table"),
            );
        }
    }
}

/// The flows in an order in which every record is written before those that refer to it; reports cycles and long chains.
pub(super) fn order(mut flows: Vec<IngressFlow>, mappings: &BTreeMap<String, MappingInfo>, context: &mut Context<'_>) -> Vec<IngressFlow> {
    flows.sort_by(|a, b| a.name.cmp(&b.name));
    let edges: BTreeMap<&str, Vec<&str>> =
        flows.iter().map(|f| (f.name.as_str(), f.depends_on.iter().map(String::as_str).collect())).collect();
    // A record does not wait for the one that such a link leads to.
    let must_wait =
        |flow: &IngressFlow, to: &str| flow.fields.iter().any(|f| f.link() == Some(to) && f.link_absent() == Some(LinkAbsent::Wait));
    let hard: BTreeMap<&str, Vec<&str>> =
        flows.iter().map(|f| (f.name.as_str(), f.depends_on.iter().map(String::as_str).filter(|to| must_wait(f, to)).collect())).collect();
    // How many tables are in the longest chain that begins at a mapping; cycles have none.
    let mut levels: BTreeMap<&str, usize> = BTreeMap::new();
    let mut open: Vec<&str> = edges.keys().copied().collect();
    loop {
        let before = open.len();
        open.retain(|name| {
            let below: Option<usize> =
                edges[name].iter().filter(|n| edges.contains_key(**n)).try_fold(0, |most, n| levels.get(n).map(|l| most.max(*l)));
            if let Some(below) = below {
                levels.insert(name, below + 1);
            }
            below.is_none()
        });
        if open.len() == before {
            // Links that can be written later do not form a cycle.
            let free = |name: &&str| hard[*name].iter().all(|to| levels.contains_key(to) || !edges.contains_key(to));
            let Some(at) = open.iter().position(free) else { break };
            let name = open.remove(at);
            let below = edges[name].iter().filter_map(|to| levels.get(to)).max().copied().unwrap_or(0);
            levels.insert(name, below + 1);
        }
    }
    for name in &open {
        // Only those that are in a cycle themselves, not those that link to one.
        if on_a_circle(name, &hard)
            && let Some(info) = mappings.get(*name)
        {
            let next = hard[name].iter().filter(|n| open.contains(n)).copied().collect::<Vec<_>>();
            context.report(
                Diagnostic::new(
                    Code::D506,
                    info.span,
                    "these mappings link to each other in a cycle",
                    format!("`{name}` links to {}", super::types::list(next, 3)),
                )
                .help("one of the records must be written first: remove one of the links, or add `or later` to it"),
            );
        }
    }
    for (name, level) in &levels {
        // Reported once for each chain that is too long, at the table where it begins.
        if *level == MOST_LEVELS + 1
            && let Some(info) = mappings.get(*name)
        {
            context.report(
                Diagnostic::new(
                    Code::D704,
                    info.span,
                    format!("these links are {level} tables deep, but at most {MOST_LEVELS} are allowed"),
                    format!("`{name}` begins a chain of {level} tables"),
                )
                .help("links from level 1 to level 3 are supported: link to a table nearer to the end of the chain"),
            );
        }
    }
    let rank: BTreeMap<String, usize> = levels.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect();
    flows.sort_by(|a, b| (rank.get(&a.name), &a.name).cmp(&(rank.get(&b.name), &b.name)));
    flows
}

fn on_a_circle<'e>(start: &'e str, edges: &BTreeMap<&'e str, Vec<&'e str>>) -> bool {
    let mut seen: Vec<&str> = Vec::new();
    let mut open: Vec<&str> = edges.get(start).cloned().unwrap_or_default();
    while let Some(name) = open.pop() {
        if name == start {
            return true;
        }
        if !seen.contains(&name) {
            seen.push(name);
            open.extend(edges.get(name).into_iter().flatten());
        }
    }
    false
}
