//! One mapping from Dynamics to Campaign: its entries checked and lowered to a flow of the plan.

use super::Context;
use super::entry::Checker;
use super::names;
use super::{adopt, consent, filter, keys, linked, options, style, today};
use crate::diagnostics::{Code, Diagnostic, Safety};
use crate::plan::{Condition, FieldProgram, IngressFlow, OptoutFlow, Related, SourceQuery, TargetResource};
use crate::schema::Table;
use crate::syntax::ast::{Entry, FieldMapping, Mapping, Optout, Source, Way};

/// Checks a mapping with its opt-out block. The flow is complete only if no diagnostic is an error.
pub(super) fn check(mapping: &Mapping, optout: Option<&Optout>, context: &mut Context<'_>) -> Option<(IngressFlow, Vec<OptoutFlow>)> {
    let head = mapping.head.as_ref()?;
    let (source, target) = (names::table(&head.source, context), names::table(&head.target, context));
    let (source, target) = (source?, target?);
    if head.way != Way::Forward || !source.id.system.leads_to(target.id.system) {
        context.report(
            Diagnostic::new(
                Code::D112,
                head.source.span.to(head.target.span),
                format!("nothing is mapped {} {} {}", source.id.system, head.way.sign(), target.id.system),
                "not supported",
            )
            .help("Dynamics is the source of truth: a mapping goes from a `d365` table to a `campaign` table with `->`; only partner.referral <-> d365.opportunity goes both ways"),
        );
        return None;
    }
    let head_span = head.name.span.to(head.target.span);
    let policy = options::policy(mapping, context);
    let mut checker = Checker::new(&head.name.text, source.clone(), target.clone(), policy);
    checker.related = source.id.system.tracks_changes().then(Related::default);
    checker.says_picklists = options::is_set(mapping, "picklists");
    let parts = entries(&mut checker, mapping, context);
    let optout = optout.map(|o| consent::check(o, &mut checker, context));
    checker.count_links(head_span, context);
    let (key, mut fields, filter) = parts?;
    let optout = match optout {
        Some(checked) => {
            let checked = checked?;
            fields.extend(checked.programs);
            checked.flows
        }
        None => {
            let at = context.at(head_span);
            consent::without_block(&checker, &mut fields, at, context).into_iter().collect()
        }
    };
    let primary_key = checker.source.primary_key.clone();
    let primary_key = checker.slot_by_name(&primary_key, head_span, context)?;
    let adopt = adopt::check(mapping, &target, &key, &fields, context);
    if fields.is_empty() && optout.is_empty() {
        style::writes_nothing(mapping, context);
    }
    let mut depends_on: Vec<String> = checker.links.iter().map(|(name, _)| name.clone()).filter(|n| *n != head.name.text).collect();
    depends_on.sort();
    depends_on.dedup();
    let flow = IngressFlow {
        name: head.name.text.clone(),
        at: context.at(head_span),
        source: SourceQuery {
            table: source.id.to_string(),
            collection: source.collection.clone(),
            primary_key,
            change_tracking: source.id.system.tracks_changes(),
            slots: checker.slots,
        },
        related: checker.related.unwrap_or_default(),
        target: TargetResource { table: target.id.to_string(), collection: target.collection.clone() },
        filter,
        key,
        adopt: adopt?,
        fields,
        policy,
        depends_on,
    };
    today::check(&flow, context);
    Some((flow, optout))
}

type Parts = (FieldProgram, Vec<FieldProgram>, Option<Condition>);

fn entries(checker: &mut Checker<'_>, mapping: &Mapping, context: &mut Context<'_>) -> Option<Parts> {
    let head = mapping.head.as_ref()?;
    let head_span = head.name.span.to(head.target.span);
    checker.replacements(mapping, context);
    let (source, target) = (checker.source.clone(), checker.target.clone());
    let key = keys::check(mapping, head_span, &source, &target, context, |name, span, context| checker.slot_by_name(name, span, context));
    if let Some(Entry::Key(entry)) = mapping.entries.iter().find(|e| matches!(e, Entry::Key(_))) {
        checker.written.insert(entry.target.text(), entry.target.span);
        one_way(entry.way, entry.way_span, context);
    }
    linked::refuse(mapping, context);
    let mut fields = Vec::new();
    let mut complete = true;
    for entry in &mapping.entries {
        match entry {
            Entry::Field(field) => {
                if field.turned {
                    complete = false;
                    context.report(
                        Diagnostic::new(Code::D510, field.way_span, "`<-` is not allowed here", "this mapping writes to Campaign only")
                            .help("write the value first, then the field of Campaign: `\"crm\" -> field`"),
                    );
                    continue;
                }
                if field.way != Way::Forward && wrong_way(field, &head.name.text, &source, &target, context) {
                    complete = false;
                    continue;
                }
                one_way(field.way, field.way_span, context);
                match checker.field(field, context) {
                    Some(program) => fields.push(program),
                    None => complete = false,
                }
            }
            Entry::When(when) => complete &= checker.when(when, &mut fields, context),
            Entry::Key(_) | Entry::Adopt(_) | Entry::Replace(_) | Entry::Filter(_) | Entry::Options(_) | Entry::Linked(_) => {}
        }
    }
    let condition = condition(checker, mapping, context);
    checker.unused_replacements(context);
    complete.then_some(())?;
    Some((key?, fields, condition?))
}

/// The filter of a mapping; the outer `None` if it is faulty.
#[allow(clippy::option_option)]
pub(super) fn condition(checker: &mut Checker<'_>, mapping: &Mapping, context: &mut Context<'_>) -> Option<Option<Condition>> {
    let mut filters = mapping.entries.iter().filter_map(|e| match e {
        Entry::Filter(one) => Some(one),
        Entry::Key(_) | Entry::Adopt(_) | Entry::Field(_) | Entry::Replace(_) | Entry::Options(_) | Entry::Linked(_) | Entry::When(_) => {
            None
        }
    });
    let Some(first) = filters.next() else { return Some(None) };
    for extra in filters {
        context.report(
            Diagnostic::new(Code::D115, extra.span, "this mapping has two filters", "the second one")
                .related(first.span, "the first one")
                .help("put the conditions of both into one: `filter all { … any { … } }`"),
        );
    }
    let source = checker.source.clone();
    filter::check(first, &source, &mut |field, span, context| checker.slot(field, span, context), context).map(Some)
}

/// In a mapping from Dynamics to Campaign, every arrow points to Campaign.
pub(super) fn one_way(way: Way, span: crate::diagnostics::Span, context: &mut Context<'_>) {
    if way != Way::Forward {
        context.report(
            Diagnostic::new(Code::D510, span, format!("`{}` is not allowed here", way.sign()), "this mapping only writes to Campaign")
                .help("write `->`; opt-outs go both ways in an `optout` block")
                .fix(Safety::Unsafe, "write `->`", span, "->"),
        );
    }
}

/// Reports an arrow whose sides are exchanged, and an opt-out that is written as a field mapping of both ways.
fn wrong_way(field: &FieldMapping, mapping: &str, source: &Table, target: &Table, context: &mut Context<'_>) -> bool {
    let Source::Field(from) = &field.source else { return false };
    let (left, right) = (from.text(), field.target.text());
    let diagnostic = Diagnostic::new(
        Code::D510,
        field.way_span,
        format!("`{}` is not allowed here", field.way.sign()),
        "this mapping only writes to Campaign",
    );
    if field.way == Way::Both && source.field(&from.names()).is_some() && consent::is_opt_out(&field.target, target) {
        context.report(diagnostic.help(format!(
            "remove this entry, and write after the mapping: `optout {mapping} {{ direction bidirectional; {left} <-> {right} }}`"
        )));
        return true;
    }
    if source.field(&from.names()).is_none() && source.field(&field.target.names()).is_some() && target.field(&from.names()).is_some() {
        let span = from.span.to(field.target.span);
        let line = format!("{right} -> {left}");
        context.report(diagnostic.help(format!("write `{line}`")).fix(Safety::Unsafe, format!("write `{line}`"), span, line.clone()));
        return true;
    }
    false
}
