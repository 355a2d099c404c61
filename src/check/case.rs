//! `case` and `when`: what a field gets depends on conditions.

use super::Context;
use super::entry::{Checker, Flags, Origin, Piped};
use super::filter;
use super::names::{self, TargetField};
use super::reach::{self, Rest};
use super::through;
use super::types::{Ty, Typed};
use super::{consent, mapping};
use crate::diagnostics::{Code, Diagnostic, Near, Safety, Span, near};
use crate::plan::{Branch, BranchResult, Condition, FieldProgram, Fit, Op, Source, Step};
use crate::syntax::ast::{self, FieldMapping, LiteralValue, Operand, Path};

/// A checked result.
struct Checked {
    result: BranchResult,
    /// The type; `None` for a result without a value.
    typed: Option<Typed>,
    span: Span,
}

impl Checker<'_> {
    /// The conditions of branches; `None` instead of a faulty one.
    fn branch_conditions<'c>(
        &mut self,
        conditions: impl Iterator<Item = Option<&'c ast::Condition>>,
        context: &mut Context<'_>,
    ) -> Vec<Option<Option<Condition>>> {
        let source = self.source.clone();
        conditions
            .map(|condition| match condition {
                None => Some(None),
                Some(condition) => {
                    let mut slots = |field: &names::SourceField, span, context: &mut Context<'_>| self.slot(field, span, context);
                    filter::condition_alone(condition, &source, &mut slots, context).map(Some)
                }
            })
            .collect()
    }

    /// A `case` as the source of a field mapping. `ends`: no step follows, so that each result goes straight into the target.
    pub(super) fn case(
        &mut self,
        case: &ast::Case,
        field: &FieldMapping,
        target: Option<&TargetField>,
        ends: bool,
        context: &mut Context<'_>,
    ) -> Option<Origin> {
        if case.branches.is_empty() {
            if !case.unread_branches {
                context.report(
                    Diagnostic::new(Code::D315, case.span, "this `case` is empty", "nothing between the braces")
                        .help("write `condition => result`, and at the end `else => result`"),
                );
            }
            return None;
        }
        let conditions = self.branch_conditions(case.branches.iter().map(|b| b.condition.as_ref()), context);
        let results: Vec<Option<Checked>> =
            case.branches.iter().map(|b| self.result(&b.result, &b.steps, field, target, ends, context)).collect();
        let conditions: Vec<Option<Condition>> = conditions.into_iter().collect::<Option<_>>()?;
        let places: Vec<(Span, Option<&Condition>)> =
            case.branches.iter().map(|b| b.span).zip(conditions.iter().map(Option::as_ref)).collect();
        let rest = if case.unread_branches { Rest::Else } else { reach::check(&places, self, context) };
        if rest == Rest::Open {
            without_else(case, context);
        }
        let mut results: Vec<Checked> = results.into_iter().collect::<Option<_>>()?;
        if rest == Rest::Open || case.unread_branches {
            return None;
        }
        let mut typed = if ends {
            let nullable = results.iter().filter_map(|r| r.typed.as_ref()).any(|t| t.nullable);
            let ty = results.iter().filter_map(|r| r.typed.as_ref()).map(|t| t.ty.clone()).find(|ty| *ty != Ty::Null);
            Typed::new(ty.unwrap_or(Ty::Null), nullable)
        } else {
            joined(&mut results, context)?
        };
        let mut branches: Vec<Branch> = (case.branches.iter().zip(conditions).zip(results))
            .map(|((branch, condition), checked)| Branch { at: context.at(branch.span), condition, result: checked.result })
            .collect();
        if let Rest::Covered { slot, empty } = rest {
            typed.nullable |= empty;
            branches.push(Branch { at: context.at(case.span), condition: None, result: BranchResult::Uncovered(slot) });
        }
        Some(Origin { settled: ends.then(Vec::new), ..Origin::new(Source::Case(branches), typed) })
    }

    /// One result of a `case`: checked against the target at its own place if nothing follows.
    fn result(
        &mut self,
        source: &ast::Source,
        steps: &[ast::Step],
        field: &FieldMapping,
        target: Option<&TargetField>,
        ends: bool,
        context: &mut Context<'_>,
    ) -> Option<Checked> {
        let span = steps.last().map_or(source.span(), |step| source.span().to(step.span));
        if let ast::Source::Field(path) = source
            && path.text() == "reject"
            && steps.is_empty()
            && self.source.field(&["reject"]).is_none()
        {
            return Some(Checked { result: BranchResult::Reject, typed: None, span });
        }
        let source = self.word(source, target.filter(|_| ends && steps.is_empty()), context)?;
        let one = FieldMapping { span, source, steps: steps.to_vec(), flags: Vec::new(), ..field.clone() };
        self.no_link(&one, context)?;
        let Piped { source, steps, typed, .. } =
            if ends { self.converted(&one, target, context)? } else { self.piped(&one, target, false, context)? };
        if ends && target?.required && typed.nullable {
            needs_a_value(span, field, "may be empty", context);
            return None;
        }
        Some(Checked { result: BranchResult::Value { source: Box::new(source), steps, present: false }, typed: Some(typed), span })
    }

    /// A word without quotes as a result: a value of the target's enumeration, or else a field.
    fn word(&mut self, source: &ast::Source, target: Option<&TargetField>, context: &mut Context<'_>) -> Option<ast::Source> {
        let ast::Source::Field(path) = source else { return Some(source.clone()) };
        let word = path.text();
        let is_field = self.source.field(&path.names()).is_some() || through::leads(path, &self.source);
        let is_value = matches!(target.map(|t| &t.fit), Some(Fit::Enumeration(names)) if names.contains(&word));
        match (is_value, is_field) {
            (true, true) => {
                context.report(
                    Diagnostic::new(
                        Code::D409,
                        path.span,
                        format!("`{word}` is both a value of the target and a field"),
                        "a value or a field",
                    )
                    .help(format!("for the value, write \"{word}\" in quotes; for the field, write it as text: \"{{{word}}}\""))
                    .fix(Safety::Unsafe, "write the value in quotes", path.span, format!("\"{word}\"")),
                );
                None
            }
            (true, false) => Some(ast::Source::Literal(ast::Literal { span: path.span, value: LiteralValue::Text(word) })),
            (false, true) => Some(source.clone()),
            (false, false) if self.is_near_a_field(path) => Some(source.clone()),
            (false, false) => {
                let keyword = near(&word, ["reject", "null", "true", "false"]).map(|n| Near::guess(n.text));
                let quoted = format!("\"{word}\"");
                let diagnostic =
                    Diagnostic::new(Code::D310, path.span, format!("`{word}` is a word without quotes"), "expected a value or a field");
                context.report(match keyword {
                    Some(near) => diagnostic.meant(Some(near), path.span, String::new),
                    None => diagnostic.help(format!("if you mean the text, write {quoted}")).fix(
                        Safety::Unsafe,
                        format!("write {quoted}"),
                        path.span,
                        quoted,
                    ),
                });
                None
            }
        }
    }

    /// Whether a path that names no field was probably meant to be one.
    fn is_near_a_field(&self, path: &Path) -> bool {
        path.parts.len() > 1 || near(&path.text(), self.source.fields.keys().map(String::as_str)).is_some()
    }

    /// A link cannot depend on a condition: the record that it points to must be known for every record.
    fn no_link(&self, field: &FieldMapping, context: &mut Context<'_>) -> Option<()> {
        let Some(step) = field.steps.iter().find(|s| matches!(s.operand, Some(Operand::Link(_) | Operand::LinkTo { .. }))) else {
            return Some(());
        };
        context.report(
            Diagnostic::new(Code::D508, step.span, "a link cannot depend on a condition", "only outside of `case` and `when`")
                .help("write the link as a separate field mapping: `lookup -> link | link MAPPING`"),
        );
        None
    }

    /// A `when` block: for each target a `case` of its field mappings. Whether all is right, with the programs that are.
    pub(super) fn when(&mut self, when: &ast::When, programs: &mut Vec<FieldProgram>, context: &mut Context<'_>) -> bool {
        for field in when.blocks.iter().flat_map(|block| &block.fields) {
            mapping::one_way(field.way, field.way_span, context);
        }
        let conditions = self.branch_conditions(when.blocks.iter().map(|b| b.condition.as_ref()), context);
        let mut complete = when.blocks.iter().all(|block| !block.unread_fields);
        let targets = self.targets(when, &mut complete, context);
        let conditions: Option<Vec<Option<Condition>>> = conditions.into_iter().collect();
        if let Some(conditions) = &conditions {
            let places: Vec<_> = when.blocks.iter().map(|b| b.span).zip(conditions.iter().map(Option::as_ref)).collect();
            reach::check(&places, self, context);
        }
        for target in targets {
            match self.when_target(when, &target, conditions.as_deref(), context) {
                Some(program) => programs.push(program),
                None => complete = false,
            }
        }
        complete && conditions.is_some()
    }

    /// The targets of a `when` in the order in which they come first, each with its field mapping in each block.
    fn targets<'w>(&mut self, when: &'w ast::When, complete: &mut bool, context: &mut Context<'_>) -> Vec<WhenTarget<'w>> {
        let table = self.target.clone();
        let mut targets: Vec<WhenTarget<'w>> = Vec::new();
        for (at, block) in when.blocks.iter().enumerate() {
            for field in &block.fields {
                let Flags { initial, .. } = self.flags(field, context);
                let Some(target) = names::target_field(&field.target, &table, initial, context) else {
                    // Its source is still checked.
                    self.piped(field, None, false, context);
                    *complete = false;
                    continue;
                };
                let path = target.path.join(".");
                if let Some(known) = targets.iter_mut().find(|t| t.target.path == target.path) {
                    match known.fields[at] {
                        Some(first) => {
                            *complete = false;
                            let diagnostic =
                                Diagnostic::new(Code::D111, field.target.span, format!("`{path}` is written twice"), "written here again");
                            context.report(diagnostic.related(first.target.span, "written here").help("remove one of the two"));
                        }
                        None => known.fields[at] = Some(field),
                    }
                    if initial != known.initial {
                        *complete = false;
                        context.report(
                            Diagnostic::new(
                                Code::D108,
                                field.span,
                                format!("`{path}` has `@initial` in one branch only"),
                                "unlike the other branch",
                            )
                            .related(known.first.span, "the other branch")
                            .help("write `@initial` in both branches, or in neither"),
                        );
                    }
                    continue;
                }
                self.claim(path, field.target.span, context);
                consent::ordinary(self.name, field, &target, &table, context);
                let mut fields = vec![None; when.blocks.len()];
                fields[at] = Some(field);
                targets.push(WhenTarget { target, initial, first: field, fields });
            }
        }
        targets
    }

    fn when_target(
        &mut self,
        when: &ast::When,
        target: &WhenTarget<'_>,
        conditions: Option<&[Option<Condition>]>,
        context: &mut Context<'_>,
    ) -> Option<FieldProgram> {
        let WhenTarget { target, initial, first, fields } = target;
        let mut results = Vec::new();
        for field in fields {
            results.push(match field {
                None => Some(BranchResult::Unchanged),
                Some(field) => self.when_result(field, target, context),
            });
        }
        let has_else = when.blocks.last().is_some_and(|block| block.condition.is_none());
        if !has_else {
            results.push(Some(BranchResult::Unchanged));
        }
        // What could not be read may write the field.
        let read = when.blocks.iter().all(|block| !block.unread_fields);
        if read && results.contains(&Some(BranchResult::Unchanged)) {
            unchanged(target, first, has_else, context)?;
        }
        let results: Vec<BranchResult> = results.into_iter().collect::<Option<_>>()?;
        let places = when.blocks.iter().map(|block| context.at(block.span)).chain(std::iter::once(context.at(when.span)));
        let conditions = conditions?.iter().cloned().chain(std::iter::once(None));
        let branches = places.zip(conditions).zip(results).map(|((at, condition), result)| Branch { at, condition, result });
        Some(FieldProgram {
            at: context.at(first.span),
            path: target.path.clone(),
            source: Source::Case(branches.collect()),
            steps: Vec::new(),
            fit: target.fit.clone(),
            initial: *initial,
            create_only: false,
            present: false,
            link_to: None,
        })
    }

    fn when_result(&mut self, field: &FieldMapping, target: &TargetField, context: &mut Context<'_>) -> Option<BranchResult> {
        self.no_link(field, context)?;
        let Piped { source, steps, typed, .. } = self.converted(field, Some(target), context)?;
        if target.required && typed.nullable {
            needs_a_value(field.span, field, "may be empty", context);
            return None;
        }
        // Unknown flags were reported with the targets.
        let flags = Flags { present: field.flags.iter().any(|flag| flag.text == "present"), ..Flags::default() };
        self.presence(field, target, &typed, flags, context);
        Some(BranchResult::Value { source: Box::new(source), steps, present: flags.present })
    }
}

/// A field that a `when` writes.
struct WhenTarget<'w> {
    target: TargetField,
    initial: bool,
    first: &'w FieldMapping,
    /// Its field mapping in each block.
    fields: Vec<Option<&'w FieldMapping>>,
}

fn needs_a_value(span: Span, field: &FieldMapping, label: &str, context: &mut Context<'_>) {
    context.report(
        Diagnostic::new(Code::D205, span, format!("`{}` needs a value, but the source may be empty", field.target.text()), label)
            .related(field.target.span, "required")
            .help("add `| default(…)`, or give another value"),
    );
}

/// Says that some branch leaves a target as it is. `None` if it must have a value.
fn unchanged(target: &TargetField, field: &FieldMapping, has_else: bool, context: &mut Context<'_>) -> Option<()> {
    let name = field.target.text();
    if target.required {
        needs_a_value(field.span, field, "not written in every branch, so it is missing in a new record", context);
        return None;
    }
    let label = if has_else { "keeps its old value in the other branch" } else { "keeps its old value in all other records" };
    context.report(Diagnostic::new(Code::D313, field.target.span, format!("`{name}` is written in one branch only"), label).help(format!(
        "write it in every branch: `null -> {name}` empties it{}; or allow this warning if the old value is right",
        if has_else { "" } else { " in an `else { … }`" }
    )));
    Some(())
}

/// Reports a `case` without `else`.
fn without_else(case: &ast::Case, context: &mut Context<'_>) {
    let diagnostic = Diagnostic::new(Code::D315, case.span, "this `case` has no `else`", "a record may not meet any of the conditions")
        .help("write the value for that case: `else => null` empties it, `else => reject` rejects the record");
    let Some(last) = case.branches.last() else { return };
    let text = context.sources.get(case.span.file).map(|f| f.text.clone()).unwrap_or_default();
    let inside = text.get(last.span.end as usize..case.span.end as usize).unwrap_or_default();
    let (at, words) = if inside.contains('\n') {
        let brace = case.span.end.saturating_sub(1);
        let line = text.get(..brace as usize).and_then(|t| t.rfind('\n')).map_or(0, |n| n + 1);
        let indent = text.get(line..brace as usize).unwrap_or_default();
        (brace, format!("  else => null\n{indent}"))
    } else {
        (last.span.end, "; else => null".to_owned())
    };
    context.report(diagnostic.fix(Safety::Unsafe, "write `else => null`", Span { start: at, end: at, ..case.span }, words));
}

/// The one type of all results, for the steps that follow; each result is made one of that type.
fn joined(results: &mut [Checked], context: &mut Context<'_>) -> Option<Typed> {
    let mut joined = Typed::new(Ty::Null, false);
    for checked in results.iter() {
        let Some(typed) = &checked.typed else { continue };
        let Some(ty) = joined.ty.join(&typed.ty) else {
            context.report(
                Diagnostic::new(
                    Code::D208,
                    checked.span,
                    "`case` would mix values of different types",
                    format!("{} beside {}", typed.ty.describe(), joined.ty.describe()),
                )
                .help("give results of one type, since steps follow"),
            );
            return None;
        };
        joined = Typed::new(ty, joined.nullable || typed.nullable);
    }
    for checked in results.iter_mut() {
        let at = context.at(checked.span);
        let BranchResult::Value { source, steps, .. } = &mut checked.result else { continue };
        if let (Source::Constant(value), true) = (&**source, steps.is_empty()) {
            **source = Source::Constant(joined.ty.represent(value.clone()));
        }
        if joined.ty == Ty::Instant && checked.typed.as_ref().is_some_and(|t| t.ty == Ty::Date) {
            steps.push(Step { at, op: Op::Midnight, on_failure: None });
        }
    }
    Some(joined)
}
