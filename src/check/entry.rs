//! One entry: from what it reads, through its steps, to the field that it writes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Context;
use super::consent;
use super::mismatch::{fit_mismatch, fit_text};
use super::names::{self, SourceField, TargetField};
use super::replace::{self, CheckedReplace, Expect};
use super::steps;
use super::types::{Mismatch, Ty, Typed, convert, convert_constant, list};
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::plan::{FORMATTED_VALUE, FieldProgram, Fit, Op, Picklists, Policy, Read, Related, Slot, SlotKind, Source, Step};
use crate::schema::{Derived, Field, FieldType, SystemId, Table};
use crate::steps::Operation;
use crate::syntax::ast::{self, Entry, Mapping, Path};

/// What the entries of a mapping share, for one way.
pub(super) struct Checker<'m> {
    /// The mapping's name.
    pub(super) name: &'m str,
    pub(super) source: Arc<Table>,
    pub(super) target: Arc<Table>,
    pub(super) slots: Vec<Slot>,
    pub(super) index: HashMap<String, u32>,
    /// The replacements by source field; `None` if one is faulty.
    replaces: BTreeMap<String, Option<CheckedReplace>>,
    /// Replaced fields that some entry reads.
    used: BTreeSet<String>,
    pub(super) policy: Policy,
    /// Whether the mapping says itself whether options are numbers or labels.
    pub(super) says_picklists: bool,
    /// The target fields that an entry writes already.
    pub(super) written: HashMap<String, Span>,
    /// The mappings that links lead to, each with its entry.
    pub(super) links: Vec<(String, Span)>,
    /// The lookup whose record is read, in a block of linked records.
    pub(super) behind: Option<Lookup>,
    /// What is written is written when a record is created, and not later.
    pub(super) at_creation: bool,
    /// What is read through lookups; `None` if nothing can be.
    pub(super) related: Option<Related>,
    /// The columns that are read through lookups, by their paths.
    pub(super) related_fields: HashMap<String, Field>,
}

/// A lookup that points to a record whose fields are read.
pub(super) struct Lookup {
    /// Its logical name.
    pub(super) column: String,
    /// The property of an answer that has the record.
    pub(super) navigation: String,
}

/// The flags of a field mapping.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    /// `@initial`.
    pub(super) initial: bool,
    /// `@present`.
    pub(super) present: bool,
}

/// A value on its way: what it is read from, the conversions a replacement has settled already, its type.
pub(super) struct Origin {
    pub(super) source: Source,
    pub(super) typed: Typed,
    pub(super) settled: Option<Vec<Op>>,
    /// The entry's first step is done: it said what of the field is read.
    pub(super) first_done: bool,
    /// A division that can fail, if the formula does not say what happens then. The first `or` of the steps must say it.
    pub(super) unanswered: Option<Span>,
}

impl Origin {
    /// A value on which nothing is settled or done.
    pub(super) fn new(source: Source, typed: Typed) -> Origin {
        Origin { source, typed, settled: None, first_done: false, unanswered: None }
    }
}

/// A source through its steps.
pub(super) struct Piped {
    pub(super) source: Source,
    pub(super) steps: Vec<Step>,
    pub(super) typed: Typed,
    /// The conversions that are left to do, where a replacement or a table has settled that its results fit.
    pub(super) settled: Option<Vec<Op>>,
}

/// A field as an entry reads it.
pub(super) struct Reading {
    pub(super) read: Read,
    pub(super) typed: Typed,
    /// Conversions that a replacement has settled.
    pub(super) settled: Option<Vec<Op>>,
}

impl<'m> Checker<'m> {
    pub(super) fn new(name: &'m str, source: Arc<Table>, target: Arc<Table>, policy: Policy) -> Checker<'m> {
        Checker {
            name,
            source,
            target,
            slots: Vec::new(),
            index: HashMap::new(),
            replaces: BTreeMap::new(),
            used: BTreeSet::new(),
            policy,
            says_picklists: false,
            written: HashMap::new(),
            links: Vec::new(),
            behind: None,
            at_creation: false,
            related: None,
            related_fields: HashMap::new(),
        }
    }

    // ------------------------------------------------------------------------------------------- replacements

    pub(super) fn replacements(&mut self, mapping: &Mapping, context: &mut Context<'_>) {
        let source = self.source.clone();
        let mut places: HashMap<String, Span> = HashMap::new();
        for entry in &mapping.entries {
            let Entry::Replace(one) = entry else { continue };
            let Some(field) = names::source_field(&one.field, &source, context) else { continue };
            if let Some(first) = places.get(&field.name) {
                context.report(
                    Diagnostic::new(Code::D305, one.field.span, format!("`{}` has two replacements", field.name), "the second one")
                        .related(*first, "the first one")
                        .help("put the cases of both into one block"),
                );
                continue;
            }
            places.insert(field.name.clone(), one.field.span);
            let checked = replace::check(one, &field, context);
            self.replaces.insert(field.name, checked);
        }
    }

    pub(super) fn unused_replacements(&mut self, context: &mut Context<'_>) {
        for (name, checked) in &self.replaces {
            let Some(checked) = checked else { continue };
            if !self.used.contains(name) {
                context.report(
                    Diagnostic::new(Code::D301, checked.span, format!("`{name}` is not mapped"), "this replacement has no effect")
                        .help(format!("map the field (`{name} -> …`), or remove the block")),
                );
            } else if !checked.left_out.is_empty() {
                context.report(
                    Diagnostic::new(
                        Code::D304,
                        checked.span,
                        format!("this replacement does not cover all options of `{name}`"),
                        format!("no case for {}", list(checked.left_out.iter().map(String::as_str), 8)),
                    )
                    .help("add a case for each, or write what happens to all others: `else => keep`, `else => null`"),
                );
            }
        }
    }

    // -------------------------------------------------------------------------------------------------- slots

    pub(super) fn slot_by_name(&mut self, name: &str, span: Span, context: &mut Context<'_>) -> Option<u32> {
        let field = self.source.fields.get(name)?.clone();
        let typed = Typed::new(Ty::of_source(&field)?, false);
        Some(self.slot(&SourceField { name: name.to_owned(), field, typed, through: None }, span, context))
    }

    pub(super) fn slot(&mut self, source: &SourceField, span: Span, context: &mut Context<'_>) -> u32 {
        if let Some(through) = &source.through {
            return self.related_slot(source, through, None, span, context);
        }
        // Fields of the record that a lookup points to have their own names.
        let name = self.behind.as_ref().map_or_else(|| source.name.clone(), |lookup| format!("{}.{}", lookup.column, source.name));
        if let Some(slot) = self.index.get(&name) {
            return *slot;
        }
        let kind = kind_of(&source.field);
        self.derived(source, span, context);
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let wire = source.wire(&self.source);
        let (field, wire) = match &self.behind {
            Some(lookup) => (name.clone(), format!("{}.{wire}", lookup.navigation)),
            None => (name.clone(), wire),
        };
        self.slots.push(Slot { field, wire, kind, related: false, at: context.at(span) });
        self.index.insert(name, slot);
        slot
    }

    /// Warns of a column that Dynamics 365 computes.
    pub(super) fn derived(&self, source: &SourceField, span: Span, context: &mut Context<'_>) {
        let what = match source.field.derived {
            None => return,
            Some(Derived::Calculated) => "a calculated column",
            Some(Derived::Rollup) => "a rollup column",
            Some(Derived::Formula) => "a formula column",
        };
        self.silent(source, what, "its value changes although the record does not", span, context);
    }

    /// The slot of what the source returns next to a lookup: its record's name, or its table.
    pub(super) fn beside(&mut self, source: &SourceField, annotation: &str, span: Span, context: &mut Context<'_>) -> u32 {
        if let Some(through) = &source.through {
            return self.related_slot(source, through, Some(annotation), span, context);
        }
        // The column itself is selected, and comes first.
        self.slot(source, span, context);
        let wire = format!("{}@{annotation}", source.field.wire_name(self.source.id.system));
        if let Some(slot) = self.index.get(&wire) {
            return *slot;
        }
        self.name_is_elsewhere(source, annotation, span, context);
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let at = context.at(span);
        self.slots.push(Slot { field: source.name.clone(), wire: wire.clone(), kind: SlotKind::Text, related: false, at });
        self.index.insert(wire, slot);
        slot
    }

    /// Warns of the name of a record that a lookup points to.
    pub(super) fn name_is_elsewhere(&self, source: &SourceField, annotation: &str, span: Span, context: &mut Context<'_>) {
        if annotation == FORMATTED_VALUE {
            let what = "a lookup, and its name is stored in another record";
            self.silent(source, what, "the name changes although this record does not", span, context);
        }
    }

    /// Warns of a value that changes although Dynamics 365 reports no change of the record (change tracking and `modifiedon` tell of
    /// columns that are stored in the record). Once for each column, where it is read first.
    fn silent(&self, source: &SourceField, what: &str, why: &str, span: Span, context: &mut Context<'_>) {
        if self.policy.reconcile.is_some() || self.source.id.system != SystemId::D365 {
            return;
        }
        context.report(
            Diagnostic::new(Code::D126, span, format!("`{}` is {what}: Dynamics 365 does not report when it changes", source.name), why).help(
                "add `reconcile every 7d` to the options of the mapping, which compares all records with Dynamics 365 every 7 days; or allow this \
                 warning if a value from the last change of the record is enough",
            ),
        );
    }

    // ------------------------------------------------------------------------------------------------- fields

    /// A field as an entry reads it: through its replacement, by its labels where the mapping or `labelled` says so.
    pub(super) fn read(
        &mut self,
        path: &Path,
        entry: Span,
        expect: &Expect<'_>,
        labelled: Option<bool>,
        context: &mut Context<'_>,
    ) -> Option<Reading> {
        let source = self.source.clone();
        let found = names::source_field(path, &source, context)?;
        if matches!(found.field.ty, FieldType::Unsupported) {
            context.report(
                Diagnostic::new(
                    Code::D210,
                    path.span,
                    format!("the type of `{}` is not known", found.name),
                    format!("{} is treated as text", found.field.vendor_type),
                )
                .help("map another field, or check that the target can use the text"),
            );
        }
        let slot = self.slot(&found, path.span, context);
        let labelled = labelled.unwrap_or(self.policy.picklists == Picklists::Labels);
        let choice = match &found.field.ty {
            FieldType::Choice(set) if labelled => Some(set.clone()),
            _ => None,
        };
        if let Some(checked) = self.replaces.get_mut(&found.name) {
            self.used.insert(found.name.clone());
            let checked = checked.as_mut()?;
            let Some(applied) = replace::apply(checked, &found.typed, choice.as_deref(), expect, entry, context) else {
                // What is left out was said with the mismatch.
                checked.left_out.clear();
                return None;
            };
            let read = Read { replace: Some(applied.replacement), ..Read::plain(slot) };
            return Some(Reading { read, typed: applied.typed, settled: applied.conversions });
        }
        let nullable = found.typed.nullable;
        if let Some(set) = choice {
            let table = replace::labels_of(&set, context.at(path.span));
            let read = Read { replace: Some(table), ..Read::plain(slot) };
            return Some(Reading { read, typed: Typed::labels(&set, nullable), settled: None });
        }
        if let (FieldType::MultiChoice(set), true) = (&found.field.ty, labelled) {
            let labels: Vec<(i64, String)> = set.options.iter().map(|o| (o.value, o.label.clone())).collect();
            let longest = labels.iter().map(|(_, l)| super::types::length(l) + 2).sum();
            let read = Read { labels: Some(labels), ..Read::plain(slot) };
            return Some(Reading { read, typed: Typed::new(Ty::Text { max: Some(longest) }, nullable), settled: None });
        }
        Some(Reading { read: Read::plain(slot), typed: found.typed, settled: None })
    }

    /// A field as an argument, with its own steps.
    pub(super) fn argument(
        &mut self,
        path: &Path,
        steps: &[ast::Step],
        entry: Span,
        fit: &Fit,
        context: &mut Context<'_>,
    ) -> Option<(Read, Typed)> {
        let labelled = match steps.first().map(|step| step.name.text.as_str()) {
            Some("label" | "value") => Some(false),
            _ => None,
        };
        let Reading { mut read, mut typed, .. } = self.read(path, entry, &Expect::Any(None), labelled, context)?;
        for (i, step) in steps.iter().enumerate() {
            if matches!(step.operand, Some(ast::Operand::Link(_) | ast::Operand::LinkTo { .. })) {
                context.report(
                    Diagnostic::new(
                        Code::D508,
                        step.span,
                        "a link cannot be used as an argument",
                        "allowed only as a step of a field mapping",
                    )
                    .help("write the link as a separate field mapping: `lookup -> link | link MAPPING`"),
                );
                return None;
            }
            let mut reader = |path: &Path, steps: &[ast::Step], context: &mut Context<'_>| self.argument(path, steps, entry, fit, context);
            let expect = Expect::Any(None);
            let use_ = super::steps::Use { input: &typed, fit, first: i == 0, entry, expect: &expect, answers: false };
            let checked = super::steps::check(step, &use_, &mut reader, context)?;
            read.steps.extend(checked.step);
            typed = checked.output;
        }
        Some((read, typed))
    }

    /// Checks an entry that goes from this checker's source to its target.
    pub(super) fn field(&mut self, field: &ast::FieldMapping, context: &mut Context<'_>) -> Option<FieldProgram> {
        let flags = self.flags(field, context);
        let table = self.target.clone();
        // A fixed value of a referral is written when it is created.
        let fixed = field.turned && matches!(field.source, ast::Source::Literal(_));
        let target = names::target_field(&field.target, &table, flags.initial || self.at_creation || fixed, context);
        if let Some(target) = &target {
            self.claim(target.path.join("."), field.target.span, context);
            consent::ordinary(self.name, field, target, &table, context);
        }
        if let Some(link) = field.steps.iter().find(|s| matches!(s.operand, Some(ast::Operand::Link(_)))) {
            return self.link(field, link, &target?, context);
        }
        if let Some(link) = field.steps.iter().find(|s| matches!(s.operand, Some(ast::Operand::LinkTo { .. }))) {
            return self.link_to(field, link, &target?, context);
        }
        if self.word_without_quotes(field, context) || self.link_without_step(field, target.as_ref(), context) {
            return None;
        }
        self.twice_replaced(field, context);
        let converted = self.converted(field, target.as_ref(), context);
        let target = target?;
        let Piped { source, steps, typed, .. } = converted?;
        let at = context.at(field.span);
        if target.required && typed.nullable {
            context.report(
                Diagnostic::new(
                    Code::D205,
                    field.span,
                    format!("`{}` needs a value, but the source may be empty", field.target.text()),
                    "may be empty",
                )
                .related(field.target.span, "required")
                .help("add `| default(…)`, or exclude such records with the filter `… is present`"),
            );
            return None;
        }
        self.presence(field, &target, &typed, flags, context);
        let create_only = field.turned && matches!(source, Source::Constant(_));
        let Flags { initial, present } = flags;
        Some(FieldProgram { at, path: target.path, source, steps, fit: target.fit, initial, create_only, present, link_to: None })
    }

    /// A source through its steps. `ends`: what comes of it goes straight into the target.
    pub(super) fn piped(
        &mut self,
        field: &ast::FieldMapping,
        target: Option<&TargetField>,
        ends: bool,
        context: &mut Context<'_>,
    ) -> Option<Piped> {
        let origin = self.origin(field, target, ends, context);
        let target = target?;
        let Origin { mut source, mut typed, mut settled, first_done, unanswered } = origin?;
        // The step whose `or` says what happens if a division fails.
        let answering = match unanswered {
            Some(division) => Some(Self::answering(field, division, context)?),
            None => None,
        };
        let mut steps = Vec::new();
        for (i, step) in field.steps.iter().enumerate().skip(usize::from(first_done)) {
            let name = field.target.text();
            let last = ends && i + 1 == field.steps.len();
            let expect = if last { Expect::Target(&target.fit, &name) } else { Expect::Any(Some(&target.fit)) };
            let mut read =
                |path: &Path, steps: &[ast::Step], context: &mut Context<'_>| self.argument(path, steps, field.span, &target.fit, context);
            let answers = answering == Some(i);
            let use_ = steps::Use { input: &typed, fit: &target.fit, first: i == 0, entry: field.span, expect: &expect, answers };
            let checked = steps::check(step, &use_, &mut read, context)?;
            steps.extend(checked.step);
            typed = checked.output;
            settled = checked.settled;
            if let (true, Source::Formula(formula)) = (answers, &mut source) {
                formula.steps = std::mem::take(&mut steps);
                formula.on_failure = checked.on_failure;
            }
        }
        Some(Piped { source, steps, typed, settled })
    }

    /// A source through its steps, and as the target holds it.
    pub(super) fn converted(
        &mut self,
        field: &ast::FieldMapping,
        target: Option<&TargetField>,
        context: &mut Context<'_>,
    ) -> Option<Piped> {
        let Piped { source, mut steps, typed, settled } = self.piped(field, target, true, context)?;
        let target = target?;
        let (source, conversions) = match settled {
            Some(ops) => (source, ops),
            None => match convert(&typed.ty, &target.fit) {
                Ok(ops) => match source {
                    source if ops.contains(&Op::Step(Operation::ToText)) && typed.ty == Ty::Guid => {
                        self.id_as_text(field, context);
                        (source, ops)
                    }
                    source if ops.contains(&Op::Step(Operation::ToText)) && matches!(typed.ty, Ty::Choice(_) | Ty::Options(_)) => {
                        self.number_as_text(field, context);
                        (source, ops)
                    }
                    // A fixed value is converted once and for all.
                    Source::Constant(value) if field.steps.is_empty() => (Source::Constant(convert_constant(value, &ops)), Vec::new()),
                    source => (source, ops),
                },
                Err(mismatch) => {
                    self.report_mismatch(&mismatch, &typed.ty, field, target, context);
                    return None;
                }
            },
        };
        let at = context.at(field.span);
        steps.extend(conversions.into_iter().map(|op| Step { at, op, on_failure: None }));
        Some(Piped { source, steps, typed, settled: None })
    }

    /// Whether a path names a lookup of the source.
    pub(super) fn is_lookup(&self, path: &Path, context: &Context<'_>) -> bool {
        self.column(path, context).is_some_and(|field| matches!(field.ty, FieldType::Lookup { .. }))
    }

    /// A `replace` block and a `map` step for the same value: rarely intended, because the step receives the result of the block.
    fn twice_replaced(&self, field: &ast::FieldMapping, context: &mut Context<'_>) {
        let ast::Source::Field(path) = &field.source else { return };
        if let Some(step) = field.steps.first().filter(|s| s.name.text == "map")
            && let Some(Some(block)) = self.replaces.get(&path.text())
        {
            context.report(
                Diagnostic::new(Code::D309, step.span, format!("`{}` is replaced twice", path.text()), "receives the results of the block")
                    .related(block.span, "replaced here first")
                    .help("move all cases into one of the two"),
            );
        }
    }

    /// Whether a block replaces a field's values.
    pub(super) fn is_replaced(&self, name: &str) -> bool {
        self.replaces.contains_key(name)
    }

    /// Notes that an entry writes a target field; reports the second one. The value itself is still checked.
    pub(super) fn claim(&mut self, name: String, span: Span, context: &mut Context<'_>) {
        if let Some(first) = self.written.get(&name) {
            context.report(
                Diagnostic::new(Code::D111, span, format!("`{name}` is written twice"), "written here again")
                    .related(*first, "written here")
                    .help(
                        "to write several fields, use a text (`\"{a} {b}\" -> c`); to write the first that has a value, use \
                         `coalesce(a, b) -> c`; to choose by conditions, use `case { … => a; else => b } -> c`",
                    ),
            );
        } else {
            self.written.insert(name, span);
        }
    }

    fn report_mismatch(&self, mismatch: &Mismatch, ty: &Ty, field: &ast::FieldMapping, target: &TargetField, context: &mut Context<'_>) {
        let name = field.target.text();
        let (code, message, label, help) = fit_mismatch(mismatch, ty, &target.fit, &name);
        let help = match mismatch {
            Mismatch::TooLong(_, max) if field.way == ast::Way::Both => {
                let from = if let ast::Source::Field(path) = &field.source { path.text() } else { "left".to_owned() };
                match field.source.span().start < field.target.span.start {
                    true => format!("write an entry for each direction: `{from} -> {name} | truncate({max})` and `{from} <- {name}`"),
                    false => format!("write an entry for each direction: `{name} -> {from}` and `{name} <- {from} | truncate({max})`"),
                }
            }
            Mismatch::Incompatible => self.linked_by(ty, target).unwrap_or(help),
            _ => help,
        };
        let literal = matches!(field.source, ast::Source::Literal(_)) && field.steps.is_empty();
        let code = if literal { Code::D211 } else { code };
        let target_label = match &target.field.label {
            Some(text) => format!("{} \"{text}\"", fit_text(&target.fit)),
            None => fit_text(&target.fit),
        };
        let end = field.steps.last().map_or(field.target.span, |s| s.span);
        let source_span = source_span(field);
        let mut diagnostic = Diagnostic::new(code, source_span, message, label).help(help);
        if end != field.target.span {
            diagnostic = diagnostic.related(end, "after this step");
        }
        context.report(diagnostic.related(field.target.span, target_label));
    }
}

/// The source of an entry.
fn source_span(field: &ast::FieldMapping) -> Span {
    field.source.span()
}

/// How the values of a field are decoded.
pub(super) fn kind_of(field: &Field) -> SlotKind {
    match &field.ty {
        FieldType::Boolean { .. } => SlotKind::Boolean,
        FieldType::Integer { .. } | FieldType::Choice(_) => SlotKind::Integer,
        FieldType::Decimal { .. } => SlotKind::Decimal,
        FieldType::Double => SlotKind::Double,
        FieldType::Date => SlotKind::Date,
        FieldType::DateTime => SlotKind::Instant,
        FieldType::LocalDateTime => SlotKind::Local,
        FieldType::Guid | FieldType::Lookup { .. } => SlotKind::Guid,
        FieldType::Text { .. }
        | FieldType::MultiChoice(_)
        | FieldType::Enumeration(_)
        | FieldType::Link { .. }
        | FieldType::Collection { .. }
        | FieldType::Item(_)
        | FieldType::Unsupported => SlotKind::Text,
    }
}
