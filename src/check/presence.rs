//! Empty values: `@present` leaves a field as it is, and a lint names the fields in which Campaign stores 0 for an empty value.

use super::Context;
use super::consent::is_optout;
use super::entry::{Checker, Flags};
use super::names::TargetField;
use super::types::{Ty, Typed};
use crate::diagnostics::{Code, Diagnostic, Safety, Span, near};
use crate::plan::Fit;
use crate::schema::{FieldType, SystemId};
use crate::syntax::ast::FieldMapping;

impl Checker<'_> {
    /// Reads the flags of a field mapping; reports unknown ones, and those that it cannot have.
    pub(super) fn flags(&self, field: &FieldMapping, context: &mut Context<'_>) -> Flags {
        let mut flags = Flags::default();
        for flag in &field.flags {
            match flag.text.as_str() {
                "initial" => flags.initial = true,
                "present" if self.target.id.system == SystemId::Campaign => flags.present = true,
                "present" => context.report(
                    Diagnostic::new(Code::D108, flag.span, "`@present` is not allowed here", "only in a mapping to Campaign")
                        .help("remove the flag: a two-way mapping compares the values of both records"),
                ),
                name => {
                    let diagnostic = Diagnostic::new(Code::D108, flag.span, format!("there is no flag `@{name}`"), "unknown flag");
                    context.report(match near(name, ["initial", "present"]) {
                        Some(near) => diagnostic.help(format!("did you mean `@{}`?", near.text)).fix(
                            near.safety,
                            format!("write `@{}`", near.text),
                            flag.span,
                            near.text,
                        ),
                        None => diagnostic.help(
                            "the flags are `@initial` (the value is written by the initial load and a replay, not by later changes) and \
                             `@present` (if the value is empty, the target stays as it is)",
                        ),
                    });
                }
            }
        }
        flags
    }

    /// Checks what happens to an empty value that is written to a field of Campaign.
    pub(super) fn presence(&self, field: &FieldMapping, target: &TargetField, typed: &Typed, flags: Flags, context: &mut Context<'_>) {
        let can_be_empty = typed.nullable || typed.ty == Ty::Null;
        if flags.present && typed.ty == Ty::Null {
            context.report(
                Diagnostic::new(Code::D222, field.span, "this field mapping never writes anything", "always empty").help("remove the line"),
            );
        } else if flags.present && !can_be_empty {
            let flag = field.flags.iter().find(|flag| flag.text == "present").map_or(field.span, |flag| flag.span);
            let mut diagnostic =
                Diagnostic::new(Code::D222, flag, "`@present` has no effect here", "the value is never empty").help("remove the flag");
            if let Some(before) = before_flag(field, flag) {
                diagnostic = diagnostic.fix(Safety::Safe, "remove `@present`", before, "");
            }
            context.report(diagnostic);
        }
        let name = field.target.text();
        if flags.present || !typed.nullable || typed.ty == Ty::Null || target.required || is_optout(&target.field) {
            return;
        }
        let Some((what, instead)) = stored_for_empty(target) else { return };
        if self.target.id.system != SystemId::Campaign {
            return;
        }
        context.report(
            Diagnostic::new(
                Code::D221,
                field.target.span,
                format!("Campaign stores {what} in `{name}` if the value is empty"),
                "may be empty",
            )
            .help(format!("add `@present` to leave `{name}` as it is then, or `| default({instead})` to choose the value"))
            .fix(Safety::Unsafe, "add `@present`", at_end(field), " @present"),
        );
    }
}

/// What Campaign stores in a field for an empty value, in words, and a value that says the same; `None` if it can store nothing.
///
/// Numbers, booleans and enumerations of numbers are columns that cannot be empty in Campaign's database (assumed for Campaign Standard:
/// its documents name no empty number, and 0 as the stored value of `unknown`).
fn stored_for_empty(target: &TargetField) -> Option<(String, String)> {
    match (&target.fit, &target.field.ty) {
        (Fit::Boolean, _) => Some(("`false`".to_owned(), "false".to_owned())),
        (Fit::Integer { .. } | Fit::Decimal { .. } | Fit::Double, _) => Some(("0".to_owned(), "0".to_owned())),
        (Fit::Enumeration(_), FieldType::Enumeration(values)) => {
            let zero = values.iter().find(|value| value.stored.as_deref() == Some("0"))?;
            Some((format!("`{}`", zero.name), format!("\"{}\"", zero.name)))
        }
        _ => None,
    }
}

/// The end of a field mapping, as an empty span.
fn at_end(field: &FieldMapping) -> Span {
    let last = field.flags.last().map(|flag| flag.span).or(field.steps.last().map(|step| step.span)).unwrap_or(field.target.span);
    Span { start: last.end, end: last.end, ..field.span }
}

/// A flag with its sign and the space before it.
fn before_flag(field: &FieldMapping, flag: Span) -> Option<Span> {
    let at = field.flags.iter().position(|f| f.span == flag)?;
    let before = match at.checked_sub(1) {
        Some(before) => field.flags[before].span,
        None => field.steps.last().map_or(field.target.span, |step| step.span),
    };
    Some(Span { start: before.end, end: flag.end, ..flag })
}
