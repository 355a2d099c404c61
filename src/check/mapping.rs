//! One mapping: its entries checked and lowered to a flow of the plan.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Context;
use super::names::{self, SourceField, TargetField};
use super::replace::{self, CheckedReplace, Expect};
use super::types::{Mismatch, Ty, Typed, constant, convert, convert_constant, list};
use super::{filter, keys, steps};
use crate::diagnostics::{Code, Diagnostic, Span, nearest};
use crate::plan::{
    Condition, Deletes, FieldProgram, FilteredOut, Fit, IngressFlow, Op, Picklists, Piece, Policy, Read, Rejected, Slot, SlotKind, Source,
    SourceQuery, Step, TargetResource,
};
use crate::schema::{FieldType, System, Table};
use crate::syntax::ast::{self, Argument, Entry, LiteralValue, Mapping, Path, TemplatePart};

/// Checks a mapping. The flow is complete only where no diagnostic is an error.
pub(super) fn check(mapping: &Mapping, context: &mut Context<'_>) -> Option<IngressFlow> {
    let head = mapping.head.as_ref()?;
    let (source, target) = (names::table(&head.source, context), names::table(&head.target, context));
    let (source, target) = (source?, target?);
    if (source.id.system, target.id.system) != (System::D365, System::Campaign) {
        context.report(
            Diagnostic::new(
                Code::D112,
                head.source.span.to(head.target.span),
                format!("nothing is mapped from {} to {}", source.id.system, target.id.system),
                "not a direction of the integration",
            )
            .help("Dynamics is the source of truth: a mapping goes from a `d365` table to a `campaign` table"),
        );
        return None;
    }
    let name = head.name.text.clone();
    let at = context.at(head.name.span.to(head.target.span));
    let head_span = head.name.span.to(head.target.span);
    let mut checker = Checker {
        source,
        target,
        slots: Vec::new(),
        index: HashMap::new(),
        replaces: BTreeMap::new(),
        used: BTreeSet::new(),
        policy: Policy::default(),
    };
    let parts = checker.entries(mapping, head_span, context);
    let (key, fields, filter) = parts?;
    let primary_key = *checker.index.get(&checker.source.primary_key)?;
    Some(IngressFlow {
        name,
        at,
        source: SourceQuery {
            table: checker.source.id.to_string(),
            collection: checker.source.collection.clone(),
            primary_key,
            change_tracking: true,
            slots: checker.slots,
        },
        target: TargetResource { table: checker.target.id.to_string(), collection: checker.target.collection.clone() },
        filter,
        key,
        fields,
        policy: checker.policy,
        depends_on: Vec::new(),
    })
}

struct Checker {
    source: Arc<Table>,
    target: Arc<Table>,
    slots: Vec<Slot>,
    index: HashMap<String, u32>,
    /// The replacements by source field; `None` where one is faulty.
    replaces: BTreeMap<String, Option<CheckedReplace>>,
    /// Replaced fields that some entry reads.
    used: BTreeSet<String>,
    policy: Policy,
}

type Parts = (FieldProgram, Vec<FieldProgram>, Option<Condition>);

/// A value on its way: what it is read from, the conversions a replacement has settled already, its type.
struct Origin {
    source: Source,
    typed: Typed,
    settled: Option<Vec<Op>>,
}

impl Checker {
    fn entries(&mut self, mapping: &Mapping, head: Span, context: &mut Context<'_>) -> Option<Parts> {
        self.options(mapping, context);
        self.replacements(mapping, context);
        let (source, target) = (self.source.clone(), self.target.clone());
        let key = keys::check(mapping, head, &source, &target, context, |name, span, context| self.slot_by_name(name, span, context));

        let mut written: HashMap<String, Span> = HashMap::new();
        if let Some(Entry::Key(entry)) = mapping.entries.iter().find(|e| matches!(e, Entry::Key(_))) {
            written.insert(entry.target.text(), entry.target.span);
        }
        let (mut fields, mut filters) = (Vec::new(), Vec::new());
        let mut complete = true;
        for entry in &mapping.entries {
            match entry {
                Entry::Field(field) => match self.field(field, &mut written, context) {
                    Some(program) => fields.push(program),
                    None => complete = false,
                },
                Entry::Filter(one) => filters.push(one),
                Entry::Key(_) | Entry::Replace(_) | Entry::Options(_) => {}
            }
        }
        for extra in filters.iter().skip(1) {
            context.report(
                Diagnostic::new(Code::D115, extra.span, "this mapping has two filters", "the second one")
                    .related(filters[0].span, "the first one")
                    .help("put the conditions of both into one: `filter all { … any { … } }`"),
            );
        }
        let condition = match filters.first() {
            Some(one) => {
                let checked = filter::check(one, &source, &mut |field, span, context| self.slot(field, span, context), context);
                complete &= checked.is_some();
                checked
            }
            None => None,
        };
        self.unused_replacements(context);
        complete.then_some(())?;
        Some((key?, fields, condition))
    }

    // ------------------------------------------------------------------------------------------------ options

    fn options(&mut self, mapping: &Mapping, context: &mut Context<'_>) {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for entry in &mapping.entries {
            let Entry::Options(options) = entry else { continue };
            for setting in &options.settings {
                if let Some(first) = seen.insert(&setting.name.text, setting.span) {
                    context.report(
                        Diagnostic::new(Code::D115, setting.span, format!("`{}` is set twice", setting.name.text), "the second time")
                            .related(first, "the first time")
                            .help("keep one of the two"),
                    );
                }
                self.option(setting, context);
            }
        }
    }

    fn option(&mut self, setting: &ast::Setting, context: &mut Context<'_>) {
        const OPTIONS: [(&str, [&str; 2]); 4] = [
            ("deletes", ["ignore", "propagate"]),
            ("filtered-out", ["keep", "delete"]),
            ("picklists", ["values", "labels"]),
            ("rejected", ["dead-letter", "stop"]),
        ];
        let name = setting.name.text.as_str();
        let Some((_, values)) = OPTIONS.iter().find(|o| o.0 == name) else {
            let names = OPTIONS.map(|o| o.0);
            let help = match nearest(name, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the options are {}", list(names, 9)),
            };
            context.report(
                Diagnostic::new(Code::D108, setting.name.span, format!("there is no option `{name}`"), "unknown option").help(help),
            );
            return;
        };
        let value = setting.value.text.as_str();
        let second = match values.iter().position(|v| *v == value) {
            Some(position) => position == 1,
            None => {
                context.report(
                    Diagnostic::new(Code::D108, setting.value.span, format!("`{name}` cannot be `{value}`"), "unknown value")
                        .help(format!("write `{name} {}` (the default) or `{name} {}`", values[0], values[1])),
                );
                return;
            }
        };
        match name {
            "deletes" => self.policy.deletes = if second { Deletes::Propagate } else { Deletes::Ignore },
            "filtered-out" => self.policy.filtered_out = if second { FilteredOut::Delete } else { FilteredOut::Keep },
            "picklists" => self.policy.picklists = if second { Picklists::Labels } else { Picklists::Values },
            _ => self.policy.rejected = if second { Rejected::Stop } else { Rejected::DeadLetter },
        }
    }

    // ------------------------------------------------------------------------------------------- replacements

    fn replacements(&mut self, mapping: &Mapping, context: &mut Context<'_>) {
        let source = self.source.clone();
        let mut places: HashMap<String, Span> = HashMap::new();
        for entry in &mapping.entries {
            let Entry::Replace(one) = entry else { continue };
            let Some(field) = names::source_field(&one.field, &source, context) else { continue };
            if let Some(first) = places.get(&field.name) {
                context.report(
                    Diagnostic::new(Code::D305, one.field.span, format!("`{}` has two replacements", field.name), "the second one")
                        .related(*first, "the first one")
                        .help("put the arms of both into one block"),
                );
                continue;
            }
            places.insert(field.name.clone(), one.field.span);
            let checked = replace::check(one, &field, context);
            self.replaces.insert(field.name, checked);
        }
    }

    fn unused_replacements(&mut self, context: &mut Context<'_>) {
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
                        format!("this replacement leaves options of `{name}` out"),
                        format!("no arm for {}", list(checked.left_out.iter().map(String::as_str), 8)),
                    )
                    .help("add an arm for each, or say what holds for all others: `else => keep`, `else => null`"),
                );
            }
        }
    }

    // -------------------------------------------------------------------------------------------------- slots

    fn slot_by_name(&mut self, name: &str, span: Span, context: &mut Context<'_>) -> Option<u32> {
        let field = self.source.fields.get(name)?.clone();
        let typed = Typed::new(Ty::of_source(&field)?, false);
        Some(self.slot(&SourceField { name: name.to_owned(), field, typed }, span, context))
    }

    fn slot(&mut self, source: &SourceField, span: Span, context: &mut Context<'_>) -> u32 {
        if let Some(slot) = self.index.get(&source.name) {
            return *slot;
        }
        let kind = match &source.field.ty {
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
        };
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let wire = source.field.wire_name(self.source.id.system);
        self.slots.push(Slot { field: source.name.clone(), wire, kind, at: context.at(span) });
        self.index.insert(source.name.clone(), slot);
        slot
    }

    // ------------------------------------------------------------------------------------------------- fields

    /// A field as an entry reads it: through its replacement, by its labels where the mapping says so.
    fn read(&mut self, path: &Path, entry: Span, expect: &Expect<'_>, context: &mut Context<'_>) -> Option<(Read, Typed, Option<Vec<Op>>)> {
        let source = self.source.clone();
        let found = names::source_field(path, &source, context)?;
        if matches!(found.field.ty, FieldType::Unsupported) {
            context.report(
                Diagnostic::new(
                    Code::D210,
                    path.span,
                    format!("the type of `{}` is not known", found.name),
                    format!("{} travels as text", found.field.vendor_type),
                )
                .help("map another field, or check that the target can do with the text"),
            );
        }
        let slot = self.slot(&found, path.span, context);
        let labelled = self.policy.picklists == Picklists::Labels;
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
            return Some((Read { slot, replace: Some(applied.replacement), labels: None }, applied.typed, applied.conversions));
        }
        if let Some(set) = choice {
            let table = replace::labels_of(&set, context.at(path.span));
            let words = set.options.iter().map(|o| o.label.clone()).collect();
            return Some((Read { slot, replace: Some(table), labels: None }, Typed::new(Ty::Words(words), found.typed.nullable), None));
        }
        if let (FieldType::MultiChoice(set), true) = (&found.field.ty, labelled) {
            let labels: Vec<(i64, String)> = set.options.iter().map(|o| (o.value, o.label.clone())).collect();
            let longest = labels.iter().map(|(_, l)| super::types::length(l) + 2).sum();
            return Some((
                Read { slot, replace: None, labels: Some(labels) },
                Typed::new(Ty::Text { max: Some(longest) }, found.typed.nullable),
                None,
            ));
        }
        Some((Read { slot, replace: None, labels: None }, found.typed, None))
    }

    fn field(&mut self, field: &ast::FieldMapping, written: &mut HashMap<String, Span>, context: &mut Context<'_>) -> Option<FieldProgram> {
        let initial = self.flags(field, context);
        let table = self.target.clone();
        let target = names::target_field(&field.target, &table, initial, context);
        if let Some(target) = &target {
            let name = target.path.join(".");
            if let Some(first) = written.get(&name) {
                context.report(
                    Diagnostic::new(Code::D111, field.target.span, format!("`{name}` is written twice"), "written here again")
                        .related(*first, "written here")
                        .help("several fields go into one by a text (`\"{a} {b}\" -> c`) or by the first that has a value (`coalesce(a, b) -> c`)"),
                );
                // The value itself is checked all the same.
            } else {
                written.insert(name, field.target.span);
            }
        }
        let origin = self.origin(field, target.as_ref(), context);
        let target = target?;
        let Origin { source, mut typed, settled } = origin?;

        let at = context.at(field.span);
        let mut program_steps = Vec::new();
        for step in &field.steps {
            let (lowered, output) = steps::check(
                step,
                &typed,
                &target.fit,
                &mut |path, context| self.read(path, field.span, &Expect::Any, context).map(|(read, typed, _)| (read, typed)),
                context,
            )?;
            program_steps.push(lowered);
            typed = output;
        }
        let (source, conversions) = match settled.filter(|_| field.steps.is_empty()) {
            Some(ops) => (source, ops),
            None => match convert(&typed.ty, &target.fit) {
                Ok(ops) => match source {
                    // A fixed value is converted once and for all.
                    Source::Constant(value) if field.steps.is_empty() => (Source::Constant(convert_constant(value, &ops)), Vec::new()),
                    source => (source, ops),
                },
                Err(mismatch) => {
                    self.report_mismatch(&mismatch, &typed.ty, field, &target, context);
                    return None;
                }
            },
        };
        if target.required && typed.nullable {
            context.report(
                Diagnostic::new(
                    Code::D205,
                    field.span,
                    format!("`{}` needs a value, and the source may have none", field.target.text()),
                    "may be missing",
                )
                .related(field.target.span, "required")
                .help("add `| default(…)`, or filter such records out with `… is present`"),
            );
            return None;
        }
        program_steps.extend(conversions.into_iter().map(|op| Step { at, op, on_failure: None }));
        Some(FieldProgram { at, path: target.path, source, steps: program_steps, fit: target.fit, initial })
    }

    fn flags(&self, field: &ast::FieldMapping, context: &mut Context<'_>) -> bool {
        let mut initial = false;
        for flag in &field.flags {
            if flag.text == "initial" {
                initial = true;
            } else {
                context.report(
                    Diagnostic::new(Code::D108, flag.span, format!("there is no flag `@{}`", flag.text), "unknown flag")
                        .help("`@initial` is the one flag: the value goes with the initial load and a replay, not with later changes"),
                );
            }
        }
        initial
    }

    /// Where the value of an entry comes from.
    fn origin(&mut self, field: &ast::FieldMapping, target: Option<&TargetField>, context: &mut Context<'_>) -> Option<Origin> {
        match &field.source {
            ast::Source::Field(path) => {
                let name = field.target.text();
                let expect = match target {
                    Some(target) if field.steps.is_empty() => Expect::Target(&target.fit, &name),
                    _ => Expect::Any,
                };
                let (read, typed, settled) = self.read(path, field.span, &expect, context)?;
                Some(Origin { source: Source::Field(read), typed, settled })
            }
            ast::Source::Literal(literal) => {
                if let LiteralValue::Duration(_) = literal.value {
                    context.report(
                        Diagnostic::new(Code::D211, literal.span, "a duration is no value of a field", "a duration")
                            .help("write it as text, in double quotes"),
                    );
                    return None;
                }
                let ty = Ty::of_literal(&literal.value);
                let nullable = ty == Ty::Null;
                Some(Origin { source: Source::Constant(constant(&literal.value)), typed: Typed::new(ty, nullable), settled: None })
            }
            ast::Source::Template(template) => self.template(template, field.span, context),
            ast::Source::Call(call) => self.call(call, field.span, context),
        }
    }

    fn template(&mut self, template: &ast::Template, entry: Span, context: &mut Context<'_>) -> Option<Origin> {
        let mut pieces = Vec::new();
        let mut longest = Some(0_u32);
        let mut nullable = true;
        for part in &template.parts {
            match part {
                TemplatePart::Text(text) => {
                    longest = longest.map(|n| n + super::types::length(text));
                    pieces.push(Piece::Text(text.clone()));
                }
                TemplatePart::Field(path) => {
                    let (read, typed, _) = self.read(path, entry, &Expect::Any, context)?;
                    let length = typed.ty.text_length().flatten();
                    longest = longest.zip(length).map(|(a, b)| a.saturating_add(b));
                    nullable &= typed.nullable;
                    pieces.push(Piece::Field(read));
                }
            }
        }
        Some(Origin { source: Source::Template(pieces), typed: Typed::new(Ty::Text { max: longest }, nullable), settled: None })
    }

    fn call(&mut self, call: &ast::Call, entry: Span, context: &mut Context<'_>) -> Option<Origin> {
        let name = call.name.text.as_str();
        if name != "coalesce" {
            let help = if steps::STEPS.iter().any(|s| s.0 == name) {
                let inner = match call.arguments.first() {
                    Some(Argument::Path(path)) => path.text(),
                    _ => "field".to_owned(),
                };
                format!("`{name}` is a step: write `{inner} -> … | {name}`")
            } else {
                "`coalesce(field, field)` is the one function; everything else is a step: `field -> target | step`".to_owned()
            };
            context.report(
                Diagnostic::new(Code::D107, call.name.span, format!("there is no function `{name}`"), "unknown function").help(help),
            );
            return None;
        }
        let mut reads = Vec::new();
        let mut typed: Option<Typed> = None;
        for argument in &call.arguments {
            let Argument::Path(path) = argument else {
                context.report(
                    Diagnostic::new(Code::D209, argument.span(), "`coalesce` has the wrong arguments", "expected a field")
                        .help("write `coalesce(telephone1, telephone2)`; a fixed value comes by a step: `| default(\"…\")`"),
                );
                return None;
            };
            let (read, one, _) = self.read(path, entry, &Expect::Any, context)?;
            reads.push(read);
            typed = Some(match typed {
                None => one,
                Some(before) => match before.ty.join(&one.ty) {
                    Some(ty) => Typed::new(ty, before.nullable && one.nullable),
                    None => {
                        context.report(
                            Diagnostic::new(
                                Code::D208,
                                path.span,
                                "`coalesce` would mix values of different types",
                                format!("{} beside {}", one.ty.describe(), before.ty.describe()),
                            )
                            .help("name fields of one type"),
                        );
                        return None;
                    }
                },
            });
        }
        let Some(typed) = typed else {
            context.report(
                Diagnostic::new(Code::D209, call.span, "`coalesce` has the wrong arguments", "expected one field or more")
                    .help("write `coalesce(telephone1, telephone2)`"),
            );
            return None;
        };
        Some(Origin { source: Source::Coalesce(reads), typed, settled: None })
    }

    fn report_mismatch(&self, mismatch: &Mismatch, ty: &Ty, field: &ast::FieldMapping, target: &TargetField, context: &mut Context<'_>) {
        let name = field.target.text();
        let (code, message, label, help) = fit_mismatch(mismatch, ty, &target.fit, &name);
        let literal = matches!(field.source, ast::Source::Literal(_)) && field.steps.is_empty();
        let code = if literal { Code::D211 } else { code };
        let target_label = match &target.field.label {
            Some(text) => format!("{} \"{text}\"", fit_text(&target.fit)),
            None => fit_text(&target.fit),
        };
        let end = field.steps.last().map_or(field.target.span, |s| s.span);
        let source_span = Span { end: field.target.span.start, ..field.span };
        let source_span = Span { end: source_span.end.saturating_sub(trailing_arrow(field)), ..source_span };
        let mut diagnostic = Diagnostic::new(code, source_span, message, label).help(help);
        if end != field.target.span {
            diagnostic = diagnostic.related(end, "after this step");
        }
        context.report(diagnostic.related(field.target.span, target_label));
    }
}

/// How many bytes before the target belong to the arrow and the blanks around it.
fn trailing_arrow(field: &ast::FieldMapping) -> u32 {
    let source_end = match &field.source {
        ast::Source::Field(path) => path.span.end,
        ast::Source::Literal(literal) => literal.span.end,
        ast::Source::Template(template) => template.span.end,
        ast::Source::Call(call) => call.span.end,
    };
    field.target.span.start.saturating_sub(source_end)
}

/// What a target admits, in words.
fn fit_text(fit: &Fit) -> String {
    match fit {
        Fit::Boolean => "true or false".to_owned(),
        Fit::Integer { min, max } => format!("a whole number from {min} to {max}"),
        Fit::Decimal { scale, .. } => format!("a number with up to {scale} decimals"),
        Fit::Double => "a floating-point number (15 digits)".to_owned(),
        Fit::Text { max: Some(max) } => format!("holds {max} characters"),
        Fit::Text { max: None } => "text".to_owned(),
        Fit::Date => "a date".to_owned(),
        Fit::Instant => "a date with time".to_owned(),
        Fit::Enumeration(names) => format!("one of {}", list(names.iter().map(String::as_str), 5)),
    }
}

/// What is wrong with a value for a target: code, message, label of the value, remedy.
pub(super) fn fit_mismatch(mismatch: &Mismatch, ty: &Ty, fit: &Fit, target: &str) -> (Code, String, String, String) {
    let from = ty.describe();
    match mismatch {
        Mismatch::TooLong(longest, max) => {
            let help = match ty {
                Ty::Text { .. } => format!("cut it on purpose with `| truncate({max})`"),
                Ty::Words(_) => format!("use a text of at most {max} characters"),
                _ => "choose a longer target field".to_owned(),
            };
            let long = longest.map_or("of any length".to_owned(), |n| format!("up to {n} characters"));
            (Code::D201, format!("the value may be too long for `{target}`"), format!("{long}, of which {max} fit"), help)
        }
        Mismatch::NumberLoss => {
            let help = match (ty, fit) {
                (Ty::Decimal { .. } | Ty::Double, Fit::Integer { .. }) => "round it on purpose: `| round(0) or null`".to_owned(),
                (Ty::Decimal { .. } | Ty::Double, _) => "round it on purpose: `| round(2) or null`".to_owned(),
                _ => "choose a target that holds such numbers, or bound it: `| round(0) or null`".to_owned(),
            };
            (Code::D203, format!("the number may not fit `{target}`"), from, help)
        }
        Mismatch::TimeLoss => {
            (Code::D204, format!("`{target}` would lose the time of day"), from, "take the day (in UTC) on purpose: `| date`".to_owned())
        }
        Mismatch::NotInEnumeration(words) => {
            let names: &[String] = match fit {
                Fit::Enumeration(names) => names,
                _ => &[],
            };
            let near = words.first().and_then(|w| nearest(w, names.iter().map(String::as_str)));
            let help = match near {
                Some(near) if words.len() == 1 => format!("did you mean `{near}`?"),
                None if words.len() == 1 => format!("its values are {}", list(names.iter().map(String::as_str), 8)),
                _ => format!("its values are {}; put a `replace` block in between", list(names.iter().map(String::as_str), 8)),
            };
            let missing = list(words.iter().map(String::as_str), 5);
            (Code::D212, format!("`{target}` has no value {missing}"), from, help)
        }
        Mismatch::ChoiceToEnumeration => {
            let names: &[String] = match fit {
                Fit::Enumeration(names) => names,
                _ => &[],
            };
            let help = format!(
                "say which value becomes which: `replace FIELD {{ value => {} … else => … }}`",
                names.first().map_or("name", String::as_str)
            );
            (Code::D212, format!("nothing says which value of `{target}` is meant"), from, help)
        }
        Mismatch::NoZone => (
            Code::D202,
            format!("`{target}` needs an instant, and this time names no zone"),
            from,
            "map it to a text field, or take the day: `| date`".to_owned(),
        ),
        Mismatch::Incompatible => {
            let help = match (ty, fit) {
                (Ty::Text { .. } | Ty::Words(_), Fit::Date) => "read the text as a date: `| date(\"dd.MM.yyyy\") or null`".to_owned(),
                (Ty::Text { .. } | Ty::Words(_), _) => "text is not turned into other types; choose a text field as the target".to_owned(),
                (_, Fit::Boolean) => "say which value is true: `replace FIELD { value => true … else => false }`".to_owned(),
                (Ty::Boolean, _) => "say what becomes of each: `replace FIELD { true => … false => … }`".to_owned(),
                _ => "choose another target field, or put a `replace` block in between".to_owned(),
            };
            (Code::D202, format!("the value does not fit `{target}`"), from, help)
        }
    }
}
