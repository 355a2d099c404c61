//! Numbers of options and ids of records in texts, where people expect a label or a name.

use super::Context;
use super::entry::Checker;
use crate::diagnostics::{Code, Diagnostic};
use crate::plan::Read;
use crate::schema::FieldType;
use crate::syntax::ast::{self, Path};

impl Checker<'_> {
    /// Warns of an option's number in a text field, where people expect its label.
    pub(super) fn number_as_text(&self, field: &ast::FieldMapping, context: &mut Context<'_>) {
        if self.says_picklists || field.steps.iter().any(|s| s.name.text == "value") {
            return;
        }
        let ast::Source::Field(path) = &field.source else { return };
        context.report(
            Diagnostic::new(
                Code::D215,
                field.span,
                format!("`{}` writes the number of an option to the text `{}`", path.text(), field.target.text()),
                "a number, not a label",
            )
            .help("write the label with `| label`; if you mean the number, write `| value`"),
        );
    }

    /// Warns of the id of a lookup in a text field, where people expect the name of the record.
    pub(super) fn id_as_text(&self, field: &ast::FieldMapping, context: &mut Context<'_>) {
        let path = match &field.source {
            ast::Source::Field(path) => path,
            ast::Source::Call(call) if call.name.text == "lookup" => return,
            ast::Source::Call(call) => match call.arguments.first() {
                Some(ast::Argument::Path(path)) => path,
                _ => return,
            },
            ast::Source::Literal(_) | ast::Source::Template(_) | ast::Source::Case(_) | ast::Source::Formula(_) => return,
        };
        if self.is_lookup(path, context) {
            context.report(
                Diagnostic::new(
                    Code::D217,
                    field.span,
                    format!("`{}` writes the id of a record to the text `{}`", path.text(), field.target.text()),
                    "an id, not a name",
                )
                .help("write the name of the record with `| label`; if you mean the id, write `| string`"),
            );
        }
    }

    /// Warns of a field that a longer text is made of, where its number or its id would go into the text.
    pub(super) fn piece_of_text(&self, path: &Path, read: &Read, context: &mut Context<'_>) {
        let Some(field) = self.column(path, context) else { return };
        let replaced = read.replace.is_some() || read.labels.is_some();
        let (code, what, label, help) = match &field.ty {
            FieldType::Lookup { .. } => (
                Code::D217,
                "the id of a record",
                "an id, not a name",
                format!("begin with the name of the record: `{} -> … | label | concat(…)`", path.text()),
            ),
            FieldType::Choice(_) | FieldType::MultiChoice(_) if !replaced && !self.says_picklists => (
                Code::D215,
                "the number of an option",
                "a number, not a label",
                format!("begin with the label: `{} -> … | label | concat(…)`, or write `picklists labels` into `options`", path.text()),
            ),
            _ => return,
        };
        context.report(Diagnostic::new(code, path.span, format!("`{}` puts {what} into a text", path.text()), label).help(help));
    }
}
