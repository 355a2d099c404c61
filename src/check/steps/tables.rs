//! Steps that look a value up: options, their labels, and tables of an entry's own.

use super::{Checked, StepChecker};
use crate::check::names::SourceField;
use crate::check::replace::{self, Expect};
use crate::check::types::{Ty, Typed, length};
use crate::diagnostics::{Code, Diagnostic};
use crate::plan::Op;
use crate::schema::{EnumValue, Field, FieldType, Provenance};
use crate::steps::{self, Wrong};
use crate::syntax::ast::Operand;
use crate::unicode::{alphabetical, is_blank};

impl StepChecker<'_, '_, '_> {
    pub(super) fn label(&mut self) -> Option<Checked> {
        let at = self.context.at(self.step.span);
        self.call(|call| match &call.input.ty {
            Ty::Choice(set) => {
                call.no_arguments()?;
                Ok(Checked::sure(Op::Map(replace::labels_of(set, at)), Typed::labels(set, call.input.nullable)))
            }
            Ty::Options(set) => {
                let sorted = match call.arguments() {
                    [] | [_] => false,
                    [_, steps::Argument::Word(word)] if word == "sorted" => true,
                    _ => return Err(Wrong::argument(1, "expected the word `sorted`")),
                };
                let separator =
                    if call.has_arguments() { call.text_at(0, "expected the text between two labels, in quotes")? } else { "; " };
                let mut entries: Vec<(i64, String)> = set.options.iter().map(|o| (o.value, o.label.clone())).collect();
                if sorted {
                    entries.sort_by_cached_key(|(value, label)| (alphabetical(label), label.clone(), *value));
                }
                let longest = entries.iter().map(|(_, l)| length(l) + length(separator)).sum();
                // Options without a label leave nothing.
                let output = Typed::new(Ty::Text { max: Some(longest) }, call.input.nullable || entries.iter().any(|(_, l)| is_blank(l)));
                Ok(Checked::sure(Op::Labels { separator: separator.to_owned(), entries, sorted }, output))
            }
            Ty::Null
            | Ty::Boolean
            | Ty::Integer { .. }
            | Ty::Decimal { .. }
            | Ty::Double
            | Ty::Text { .. }
            | Ty::Words(_)
            | Ty::Date
            | Ty::Instant
            | Ty::Local
            | Ty::Guid => Err(call.not_an_option()),
        })
    }

    pub(super) fn map(&mut self) -> Option<Checked> {
        let Some(Operand::Table { span, arms, unread_arms }) = &self.step.operand else {
            return self.wrong_arguments("expected a table in braces, or the name of a shared replacement");
        };
        if matches!(self.input.ty, Ty::Null) {
            return self.wrong_type("a value", "remove the step");
        }
        // The table's left sides are checked as those of a field of this type.
        let field = Field {
            name: "this value".to_owned(),
            label: None,
            ty: field_type(&self.input.ty),
            vendor_type: self.input.ty.describe(),
            required: false,
            readable: true,
            creatable: false,
            updatable: false,
            aliases: Vec::new(),
            wire: None,
            provenance: Provenance::Declared,
            deprecated: None,
            derived: None,
        };
        let source = SourceField { name: "this value".to_owned(), field, typed: self.input.clone(), through: None };
        let checked = replace::check_arms(arms, *unread_arms, *span, &source, false, self.context)?;
        let applied = replace::apply(&checked, self.input, None, self.use_.expect, self.use_.entry, self.context)?;
        if !checked.left_out.is_empty() {
            let names = crate::check::types::list(checked.left_out.iter().map(String::as_str), 8);
            self.context.report(
                Diagnostic::new(Code::D304, *span, "this table does not cover all options", format!("no case for {names}"))
                    .help("add a case for each, or write what happens to all others: `else => keep`, `else => null`"),
            );
        }
        let settled = match self.use_.expect {
            Expect::Target(..) => applied.conversions,
            Expect::Any(_) => None,
        };
        Some(Checked { op: Some(Op::Map(applied.replacement)), output: applied.typed, fallible: None, settled })
    }
}

/// A field's type that has the values of a type.
fn field_type(ty: &Ty) -> FieldType {
    match ty {
        Ty::Boolean => FieldType::Boolean { labels: None },
        Ty::Integer { min, max } => FieldType::Integer { min: *min, max: *max },
        Ty::Decimal { scale, min, max } => FieldType::Decimal { scale: *scale, min: *min, max: *max },
        Ty::Double => FieldType::Double,
        Ty::Text { max } => FieldType::Text { max: *max },
        Ty::Words(words) => {
            FieldType::Enumeration(words.iter().map(|w| EnumValue { name: w.clone(), label: w.clone(), stored: None }).collect())
        }
        Ty::Date => FieldType::Date,
        Ty::Instant => FieldType::DateTime,
        Ty::Local => FieldType::LocalDateTime,
        Ty::Guid => FieldType::Guid,
        Ty::Choice(set) => FieldType::Choice(set.clone()),
        Ty::Options(set) => FieldType::MultiChoice(set.clone()),
        Ty::Null => FieldType::Unsupported,
    }
}
