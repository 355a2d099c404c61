//! Where the value of an entry comes from: a field, a literal, text with fields in it, a function over fields.

use super::Context;
use super::entry::{Checker, Origin};
use super::names::{self, TargetField};
use super::replace::Expect;
use super::types::{Ty, Typed, constant, convert_constant};
use crate::diagnostics::{Code, Diagnostic, Safety, Span};
use crate::plan::{Const, FORMATTED_VALUE, Fit, Op, Piece, Read, Source};
use crate::schema::{Field, FieldType};
use crate::steps::{Operation, STEPS};
use crate::syntax::ast::{self, Argument, LiteralValue, TemplatePart};
use crate::unicode::same;

impl Checker<'_> {
    /// Reports a word that is not the name of a field, and not similar to one: a text without quotes. Whether it was reported.
    pub(super) fn word_without_quotes(&self, field: &ast::FieldMapping, context: &mut Context<'_>) -> bool {
        let ast::Source::Field(path) = &field.source else { return false };
        if field.way != ast::Way::Forward || path.parts.len() != 1 || self.source.field(&path.names()).is_some() {
            return false;
        }
        let diagnostic = names::unknown_field(Code::D103, path, &self.source);
        let rest = context.text(Span::new(path.span.file, path.span.range().end..field.span.range().end));
        let name = path.text();
        if diagnostic.fix.is_some() || rest.contains('\n') || name.contains(['"', '\\', '{']) {
            return false;
        }
        let table = &self.source.id;
        context.report(diagnostic.help(format!(
            "if you mean the text, write `\"{name}\"{rest}`; if you mean a field, find its name with `d365map schema show {table}`, or fetch a new field with `d365map schema pull {table}`"
        )));
        true
    }

    /// Where the value of an entry comes from.
    pub(super) fn origin(
        &mut self,
        field: &ast::FieldMapping,
        target: Option<&TargetField>,
        ends: bool,
        context: &mut Context<'_>,
    ) -> Option<Origin> {
        match &field.source {
            ast::Source::Field(path) => {
                if let Some(step) = field.steps.first().filter(|s| s.name.text == "label")
                    && let Some(lookup) = self.column(path, context).filter(|f| matches!(f.ty, FieldType::Lookup { .. }))
                    && lookup.readable
                {
                    return self.name_of(path, step, context);
                }
                let name = field.target.text();
                let expect = match target {
                    Some(target) if ends && field.steps.is_empty() => Expect::Target(&target.fit, &name),
                    _ => Expect::Any(target.map(|t| &t.fit)),
                };
                // The first step may say by itself what of a picklist is wanted; it works on the number.
                let labelled = match field.steps.first().map(|s| s.name.text.as_str()) {
                    Some("label" | "value" | "lookup") => Some(false),
                    _ => None,
                };
                let reading = self.read(path, field.span, &expect, labelled, context)?;
                Some(Origin { settled: reading.settled, ..Origin::new(Source::Field(reading.read), reading.typed) })
            }
            ast::Source::Literal(literal) => {
                if let LiteralValue::Duration(_) = literal.value {
                    context.report(
                        Diagnostic::new(Code::D211, literal.span, "a duration is not a value that a field can have", "a duration")
                            .help("write it as text, in double quotes"),
                    );
                    return None;
                }
                self.quoted_name(literal, true, context);
                let ty = Ty::of_literal(&literal.value);
                let nullable = ty == Ty::Null;
                Some(Origin::new(Source::Constant(constant(&literal.value)), Typed::new(ty, nullable)))
            }
            ast::Source::Template(template) => self.template(template, field.span, context),
            ast::Source::Call(call) if call.name.text == "lookup" => {
                let name = field.target.text();
                let expect = match target {
                    Some(target) if ends && field.steps.is_empty() => Expect::Target(&target.fit, &name),
                    _ => Expect::Any(target.map(|t| &t.fit)),
                };
                self.lookup(call, field.span, &expect, context)
            }
            ast::Source::Call(call) => {
                self.no_outcome(call, context)?;
                self.call(call, field.span, target.map(|target| &target.fit), context)
            }
            ast::Source::Case(case) => self.case(case, field, target, ends && field.steps.is_empty(), context),
            ast::Source::Formula(formula) => self.formula(formula, field.span, context),
        }
    }

    /// Warns of a text in quotes that is the name of a source field, or its label if `labels` says so: it is written as it is.
    fn quoted_name(&self, literal: &ast::Literal, labels: bool, context: &mut Context<'_>) {
        let LiteralValue::Text(text) = &literal.value else { return };
        let named = |f: &&Field| f.name == *text || f.aliases.contains(text);
        let labelled = |f: &&Field| labels && f.label.as_ref().is_some_and(|l| same(l, text));
        let fields = || self.source.fields.values();
        let Some(field) = fields().find(named).or_else(|| fields().find(labelled)) else { return };
        let what = if named(&field) { "the name of a field".to_owned() } else { format!("the label of the field `{}`", field.name) };
        context.report(
            Diagnostic::new(
                Code::D216,
                literal.span,
                format!("`{text}` in quotes is a text, not a field"),
                format!("{what}, but written as text to every record"),
            )
            .help(format!("write `{}` without quotes to map the field; if you mean the text, allow this warning", field.name)),
        );
    }

    /// The name of the record that a lookup points to, as the source returns it next to the lookup.
    fn name_of(&mut self, path: &ast::Path, step: &ast::Step, context: &mut Context<'_>) -> Option<Origin> {
        if step.arguments.is_some() {
            context.report(
                Diagnostic::new(Code::D209, step.span, "`label` has the wrong arguments", "a lookup has only one name")
                    .help("write `label` alone"),
            );
            return None;
        }
        if let Some(or) = &step.or {
            context.report(
                Diagnostic::new(Code::D207, or.span, "`label` cannot fail here", "this never happens")
                    .help("remove the `or`: for an empty lookup, the result is empty"),
            );
            return None;
        }
        let source = self.source.clone();
        let found = names::source_field(path, &source, context)?;
        let slot = self.beside(&found, FORMATTED_VALUE, path.span, context);
        // As long as the primary name of the other table, whose schema need not be at hand.
        let typed = Typed::new(Ty::Text { max: None }, true);
        let source = Source::Field(Read::plain(slot));
        Some(Origin { first_done: true, ..Origin::new(source, typed) })
    }

    /// Text with fields in it, each given as a piece.
    fn template(&mut self, template: &ast::Template, entry: Span, context: &mut Context<'_>) -> Option<Origin> {
        let mut text = Pieces::default();
        for part in &template.parts {
            match part {
                TemplatePart::Text(fixed) => text.fixed(fixed),
                TemplatePart::Constant(literal) => text.fixed(&literal_text(&literal.value)),
                TemplatePart::Field(path) => {
                    let reading = self.read(path, entry, &Expect::Any(None), None, context)?;
                    self.piece_of_text(path, &reading.read, context);
                    text.field(reading.read, &reading.typed);
                }
            }
        }
        Some(text.origin())
    }

    /// A function. `fit`: what the target allows; without it, the function has no result, but its fields are still checked.
    fn call(&mut self, call: &ast::Call, entry: Span, fit: Option<&Fit>, context: &mut Context<'_>) -> Option<Origin> {
        let fit = fit.unwrap_or(&Fit::Text { max: None });
        match call.name.text.as_str() {
            "coalesce" => self.coalesce(call, entry, fit, context),
            "concat" => self.concat(call, entry, fit, context),
            "join" => self.join(call, entry, fit, context),
            name => {
                let diagnostic = Diagnostic::new(Code::D107, call.name.span, format!("there is no function `{name}`"), "unknown function");
                context.report(match step_after_the_target(call, entry, context) {
                    Some(line) => diagnostic.help(format!("`{name}` is a step: write `{line}`")).fix(
                        Safety::Unsafe,
                        format!("write `{line}`"),
                        entry,
                        line,
                    ),
                    None if STEPS.iter().any(|step| step.name == name) => {
                        diagnostic.help(format!("`{name}` is a step: write `field -> target | {name}`"))
                    }
                    None => diagnostic.help(
                        "the functions are `coalesce(field, field)`, `concat(field, \" \", field)`, `join(\", \", field, field)` and `lookup(table.column, field)`; everything else is a step",
                    ),
                });
                None
            }
        }
    }

    fn wrong_arguments<T>(&self, call: &ast::Call, span: Span, label: &str, help: &str, context: &mut Context<'_>) -> Option<T> {
        let message = format!("`{}` has the wrong arguments", call.name.text);
        context.report(Diagnostic::new(Code::D209, span, message, label).help(help));
        None
    }

    fn coalesce(&mut self, call: &ast::Call, entry: Span, fit: &Fit, context: &mut Context<'_>) -> Option<Origin> {
        let mut reads = Vec::new();
        let mut typed: Option<Typed> = None;
        for argument in &call.arguments {
            let Some((path, steps)) = argument.field() else {
                let help = "write `coalesce(telephone1, telephone2)`; for a fixed value, use a step: `| default(\"…\")`";
                return self.wrong_arguments(call, argument.span(), "expected a field", help, context);
            };
            let (read, one) = self.argument(path, steps, entry, fit, context)?;
            reads.push(read);
            typed = Some(match typed {
                None => one,
                Some(before) => match before.ty.join(&one.ty) {
                    Some(ty) => Typed::new(ty, before.nullable && one.nullable),
                    None => {
                        context.report(
                            Diagnostic::new(
                                Code::D208,
                                argument.span(),
                                "`coalesce` would mix values of different types",
                                format!("{} beside {}", one.ty.describe(), before.ty.describe()),
                            )
                            .help("use fields of the same type"),
                        );
                        return None;
                    }
                },
            });
        }
        let Some(typed) = typed else {
            return self.wrong_arguments(
                call,
                call.span,
                "expected one field or more",
                "write `coalesce(telephone1, telephone2)`",
                context,
            );
        };
        Some(Origin::new(Source::Coalesce(reads), typed))
    }

    fn concat(&mut self, call: &ast::Call, entry: Span, fit: &Fit, context: &mut Context<'_>) -> Option<Origin> {
        let mut text = Pieces::default();
        let mut fields = 0;
        for argument in &call.arguments {
            match argument {
                Argument::Literal(literal) => match &literal.value {
                    LiteralValue::Null | LiteralValue::Duration(_) => {
                        let help = "write `concat(firstname, \" \", lastname)`";
                        return self.wrong_arguments(call, literal.span, "this is not a text", help, context);
                    }
                    value => {
                        self.quoted_name(literal, false, context);
                        text.fixed(&literal_text(value));
                    }
                },
                Argument::Period(period) => {
                    let help = "write `concat(firstname, \" \", lastname)`";
                    return self.wrong_arguments(call, period.span, "a period is not a text", help, context);
                }
                Argument::Path(path) | Argument::Piped(path, _) => {
                    fields += 1;
                    let steps = argument.field().map_or(&[][..], |(_, steps)| steps);
                    let (read, typed) = self.argument(path, steps, entry, fit, context)?;
                    if steps.is_empty() {
                        self.piece_of_text(path, &read, context);
                    }
                    text.field(read, &typed);
                }
            }
        }
        if fields == 0 {
            let help = "write `concat(firstname, \" \", lastname)`; a fixed text needs no function";
            return self.wrong_arguments(call, call.span, "expected one field or more", help, context);
        }
        Some(text.origin())
    }

    fn join(&mut self, call: &ast::Call, entry: Span, fit: &Fit, context: &mut Context<'_>) -> Option<Origin> {
        let help = "write `join(\", \", address1_city, address1_country)`";
        let separator = match call.arguments.first() {
            Some(Argument::Literal(literal)) => match &literal.value {
                LiteralValue::Text(text) => text.clone(),
                _ => return self.wrong_arguments(call, literal.span, "expected the text between the values", help, context),
            },
            _ => return self.wrong_arguments(call, call.span, "expected the text between the values", help, context),
        };
        let (mut reads, mut longest, mut nullable) = (Vec::new(), Some(0_u32), true);
        for argument in &call.arguments[1..] {
            let Some((path, steps)) = argument.field() else {
                return self.wrong_arguments(call, argument.span(), "expected a field", help, context);
            };
            let (read, typed) = self.argument(path, steps, entry, fit, context)?;
            if steps.is_empty() {
                self.piece_of_text(path, &read, context);
            }
            // One separator too many: an upper bound is all that is needed.
            let length = typed.ty.text_length().flatten();
            longest = longest.zip(length).map(|(a, b)| a.saturating_add(b).saturating_add(super::types::length(&separator)));
            nullable &= typed.nullable;
            reads.push(read);
        }
        if reads.len() < 2 {
            return self.wrong_arguments(call, call.span, "expected two fields or more", help, context);
        }
        let longest = longest.map(|n| n.saturating_sub(super::types::length(&separator)));
        Some(Origin::new(Source::Join { separator, reads }, Typed::new(Ty::Text { max: longest }, nullable)))
    }
}

/// A text on its way, with the longest that it can become.
struct Pieces {
    pieces: Vec<Piece>,
    longest: Option<u32>,
    nullable: bool,
}

impl Default for Pieces {
    fn default() -> Pieces {
        Pieces { pieces: Vec::new(), longest: Some(0), nullable: true }
    }
}

impl Pieces {
    fn fixed(&mut self, text: &str) {
        self.longest = self.longest.map(|n| n.saturating_add(super::types::length(text)));
        // A constant in a text makes the same plan as its value in the same place.
        match self.pieces.last_mut() {
            Some(Piece::Text(before)) => before.push_str(text),
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }

    fn field(&mut self, read: Read, typed: &Typed) {
        let length = typed.ty.text_length().flatten();
        self.longest = self.longest.zip(length).map(|(a, b)| a.saturating_add(b));
        self.nullable &= typed.nullable;
        self.pieces.push(Piece::Field(read));
    }

    fn origin(self) -> Origin {
        // A text whose only fields were constants has no field that could be missing.
        let fixed: Option<String> = self.pieces.iter().map(|p| if let Piece::Text(t) = p { Some(t.as_str()) } else { None }).collect();
        match fixed {
            Some(text) => {
                let value = LiteralValue::Text(text);
                let ty = Ty::of_literal(&value);
                let nullable = ty == Ty::Null;
                Origin::new(Source::Constant(constant(&value)), Typed::new(ty, nullable))
            }
            None => Origin::new(Source::Template(self.pieces), Typed::new(Ty::Text { max: self.longest }, self.nullable)),
        }
    }
}

/// A literal as text, in the notation of the language.
pub(super) fn literal_text(value: &LiteralValue) -> String {
    // A separator may be white space, which is not a value where a field's value is meant.
    if let LiteralValue::Text(text) = value {
        return text.clone();
    }
    match convert_constant(constant(value), &[Op::Step(Operation::ToText)]) {
        Const::Text(text) => text,
        _ => String::new(),
    }
}

/// The field mapping with a step after its target, for a step that is written as a function: `upper(lastname) -> lastName`.
fn step_after_the_target(call: &ast::Call, entry: Span, context: &Context<'_>) -> Option<String> {
    let step = STEPS.iter().find(|step| step.name == call.name.text)?;
    let (field, rest) = call.arguments.split_first()?;
    let Argument::Path(path) = field else { return None };
    let arguments: Vec<&str> = rest.iter().map(|argument| context.text(argument.span())).collect();
    let step = if arguments.is_empty() { step.name.to_owned() } else { format!("{}({})", step.name, arguments.join(", ")) };
    let whole = context.text(entry);
    let after = context.text(Span::new(entry.file, call.span.range().end..entry.range().end));
    let target = after.trim_start().strip_prefix("->")?;
    if !whole.starts_with(context.text(call.span)) || target.contains(['{', '\n']) {
        return None;
    }
    // Steps that are already written follow the one of the function.
    let (target, steps) = target.split_once('|').map_or((target, None), |(target, steps)| (target, Some(steps)));
    let (target, flags) = target.split_once('@').map_or((target, None), |(target, flags)| (target, Some(flags)));
    let mut line = format!("{} -> {} | {step}", path.text(), target.trim());
    line.extend(steps.map(|steps| format!(" | {}", steps.trim())));
    line.extend(flags.map(|flags| format!(" @{}", flags.trim())));
    Some(line)
}
