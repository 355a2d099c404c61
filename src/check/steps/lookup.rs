//! `lookup TABLE.COLUMN`: the value of a table's row.

use super::{Checked, StepChecker, Use};
use crate::check::Context;
use crate::check::replace::Expect;
use crate::check::tables::{self, Key};
use crate::check::types::{Ty, Typed};
use crate::diagnostics::{Code, Diagnostic};
use crate::plan::{Fit, OnFailure, Op};
use crate::syntax::ast::{self, Operand, OrKind};

impl StepChecker<'_, '_, '_> {
    pub(super) fn lookup(&mut self) -> Option<Checked> {
        let Some(Operand::Lookup { column, table }) = &self.step.operand else {
            return self.wrong_arguments("expected a table and its column: `lookup industries.label`");
        };
        // What is empty stays empty, so no row is searched for.
        let key = Key { span: self.step.span, what: "the value".to_owned(), ty: &self.input.ty, nullable: false };
        let found = tables::find(*table, column, &[key], self.use_.expect, self.context)?;
        let output = Typed::new(found.typed.ty, found.typed.nullable || self.input.nullable);
        Some(Checked { op: Some(Op::Lookup(found.lookup)), output, fallible: found.missing, settled: None })
    }
}

/// What `or` says after a function, against whether it can fail: `reason` says why.
pub(in crate::check) fn outcome_of_call(
    call: &ast::Call,
    reason: Option<String>,
    output: Typed,
    context: &mut Context<'_>,
) -> Option<(Option<OnFailure>, Typed)> {
    if let (Some(or), Some(_)) = (&call.or, &reason)
        && or.kind == OrKind::Keep
    {
        context.report(
            Diagnostic::new(Code::D213, or.span, "a function has no earlier value, so `or keep` is not allowed", "no value before it")
                .help("write `or null`, `or default(…)` or `or reject`"),
        );
        return None;
    }
    let step =
        ast::Step { span: call.span, name: call.name.clone(), arguments: Some(call.arguments.clone()), operand: None, or: call.or.clone() };
    let (input, fit, expect) = (Typed::new(Ty::Null, false), Fit::Text { max: None }, Expect::Any(None));
    let use_ = Use { input: &input, fit: &fit, first: true, entry: call.span, expect: &expect, answers: false };
    StepChecker { step: &step, use_: &use_, input: &input, context }.outcome(reason, output)
}
