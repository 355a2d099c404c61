//! Steps that read other fields.

use super::{Checked, Reader, StepChecker};
use crate::check::source::literal_text;
use crate::check::types::{Ty, Typed, length};
use crate::diagnostics::{Code, Diagnostic};
use crate::plan::{Op, Piece};
use crate::syntax::ast::{Argument, LiteralValue};

impl StepChecker<'_, '_, '_> {
    pub(super) fn coalesce(&mut self, read: &mut Reader<'_>) -> Option<Checked> {
        let arguments = self.step.arguments.as_deref().unwrap_or_default();
        if arguments.is_empty() {
            return self.wrong_arguments("expected one field or more");
        }
        if !self.input.nullable {
            self.no_effect("the value is never missing");
        }
        let mut reads = Vec::new();
        let mut output = self.input.clone();
        for argument in arguments {
            let Argument::Path(path) = argument else {
                return self.wrong_arguments("expected fields; for a fixed value use `default`");
            };
            let (one, typed) = read(path, self.context)?;
            let Some(ty) = output.ty.join(&typed.ty) else {
                let diagnostic = Diagnostic::new(
                    Code::D208,
                    path.span,
                    "`coalesce` would mix values of different types",
                    format!("{} beside {}", typed.ty.describe(), output.ty.describe()),
                )
                .help("name fields of one type");
                self.context.report(diagnostic);
                return None;
            };
            output = Typed::new(ty, output.nullable && typed.nullable);
            reads.push(one);
        }
        Some(Checked::sure(Op::Coalesce(reads), output))
    }

    pub(super) fn concat(&mut self, read: &mut Reader<'_>) -> Option<Checked> {
        if self.arguments().is_empty() {
            return self.wrong_arguments("expected texts and fields");
        }
        let Some(mut longest) = self.input.ty.text_length() else {
            return self.wrong_type("a value that can be written as text", "choose another field");
        };
        let mut pieces = Vec::new();
        for argument in self.step.arguments.as_deref().unwrap_or_default() {
            match argument {
                Argument::Literal(literal) => {
                    if matches!(literal.value, LiteralValue::Null | LiteralValue::Duration(_)) {
                        return self.wrong_argument(literal.span, "this is no text");
                    }
                    let text = literal_text(&literal.value);
                    longest = longest.map(|n| n.saturating_add(length(&text)));
                    pieces.push(Piece::Text(text));
                }
                Argument::Path(path) => {
                    let (one, typed) = read(path, self.context)?;
                    longest = longest.zip(typed.ty.text_length().flatten()).map(|(a, b)| a.saturating_add(b));
                    pieces.push(Piece::Field(one));
                }
            }
        }
        Some(Checked::sure(Op::Concat(pieces), Typed::new(Ty::Text { max: longest }, self.input.nullable)))
    }
}
