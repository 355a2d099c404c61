//! `lookup(TABLE.COLUMN, FIELD, …)`: the value of the row of a table that has the values of several fields as its keys.

use super::Context;
use super::entry::{Checker, Origin};
use super::replace::Expect;
use super::steps::outcome_of_call;
use super::tables::{self, Key};
use super::types::Typed;
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::plan::{LookupBy, Source};
use crate::syntax::ast::{self, Argument};

impl Checker<'_> {
    /// A lookup as the source of a value.
    pub(super) fn lookup(&mut self, call: &ast::Call, entry: Span, expect: &Expect<'_>, context: &mut Context<'_>) -> Option<Origin> {
        let (by, typed, missing) = self.lookup_by(call, entry, expect, context)?;
        let (on_failure, typed) = outcome_of_call(call, missing, typed, context)?;
        Some(Origin::new(Source::Lookup(Box::new(LookupBy { on_failure, ..by })), typed))
    }

    /// A lookup without what happens if no row is found; the type of its values, and why there may be no row.
    pub(super) fn lookup_by(
        &mut self,
        call: &ast::Call,
        entry: Span,
        expect: &Expect<'_>,
        context: &mut Context<'_>,
    ) -> Option<(LookupBy, Typed, Option<String>)> {
        let wrong = |span: Span, label: &str, context: &mut Context<'_>| {
            context.report(
                Diagnostic::new(Code::D209, span, "`lookup` has the wrong arguments", label)
                    .help("write `lookup(table.column, field)`, with a field for each key column of the table"),
            );
        };
        let Some((Argument::Path(column), fields)) = call.arguments.split_first() else {
            let span = call.arguments.first().map_or(call.span, Argument::span);
            wrong(span, "expected a table and its column, such as `industries.label`", context);
            return None;
        };
        if fields.is_empty() {
            wrong(call.span, "expected the fields by which a row is found", context);
            return None;
        }
        let mut readings = Vec::new();
        for field in fields {
            let Argument::Path(path) = field else {
                wrong(field.span(), "expected a field", context);
                return None;
            };
            // Options are compared by their numbers, whatever the mapping writes of them.
            readings.push((path, self.read(path, entry, &Expect::Any(None), Some(false), context)?));
        }
        let keys: Vec<Key<'_>> = readings
            .iter()
            .map(|(path, reading)| {
                let Typed { ty, nullable } = &reading.typed;
                Key { span: path.span, what: format!("`{}`", path.text()), ty, nullable: *nullable }
            })
            .collect();
        let found = tables::find(call.table, column, &keys, expect, context)?;
        let keys = readings.into_iter().map(|(_, reading)| reading.read).collect();
        let by = LookupBy { at: context.at(call.span), lookup: found.lookup, keys, on_failure: None };
        Some((by, found.typed, found.missing))
    }

    /// Reports an `or` after a function that cannot fail.
    pub(super) fn no_outcome(&self, call: &ast::Call, context: &mut Context<'_>) -> Option<()> {
        if call.or.is_some() {
            outcome_of_call(call, None, Typed::new(super::types::Ty::Null, true), context)?;
        }
        Some(())
    }
}
