//! Field mappings of two-way mappings: each is lowered for every way that it goes.

use super::Context;
use super::entry::Checker;
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::plan::FieldProgram;
use crate::syntax::ast::{self, FieldMapping, Way};

/// Lowers an entry for each way that it goes. Whether it could be lowered.
pub(super) fn entry_both_ways(
    field: &FieldMapping,
    forward: &mut Checker<'_>,
    backward: &mut Checker<'_>,
    to_right: &mut Vec<FieldProgram>,
    to_left: &mut Vec<FieldProgram>,
    context: &mut Context<'_>,
) -> bool {
    let turned = match &field.source {
        ast::Source::Field(path) => {
            Some(FieldMapping { source: ast::Source::Field(field.target.clone()), target: path.clone(), ..field.clone() })
        }
        ast::Source::Literal(_) | ast::Source::Template(_) | ast::Source::Call(_) => None,
    };
    let not_both = |span: Span, label: &str| {
        Diagnostic::new(Code::D509, span, "this entry cannot go both ways", label)
            .related(field.way_span, "both ways")
            .help("write an entry for each way: `left -> right | step` and `left <- right | step`")
    };
    match (field.way, turned) {
        (Way::Forward, _) => match forward.field(field, context) {
            Some(program) => {
                to_right.push(program);
                true
            }
            None => false,
        },
        (Way::Backward, Some(turned)) => match backward.field(&turned, context) {
            Some(program) => {
                to_left.push(program);
                true
            }
            None => false,
        },
        (Way::Backward | Way::Both, None) => {
            context.report(not_both(field.span, "only a field can be written to"));
            false
        }
        (Way::Both, Some(turned)) => {
            if let Some(step) = field.steps.first() {
                context.report(not_both(step.span, "a step works one way"));
                return false;
            }
            if let ast::Source::Field(path) = &field.source
                && forward.is_replaced(&path.text())
            {
                context.report(not_both(path.span, "replaced, which works one way"));
                return false;
            }
            let (there, back) = (forward.field(field, context), backward.field(&turned, context));
            let both = there.is_some() && back.is_some();
            to_right.extend(there);
            to_left.extend(back);
            both
        }
    }
}
