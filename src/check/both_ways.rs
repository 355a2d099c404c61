//! Field mappings of two-way mappings: each is lowered for every way that it goes.

use super::entry::Checker;
use super::{Context, mutual};
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::plan::FieldProgram;
use crate::schema::{Field, FieldType};
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
        _ if field.turned => Some(field.clone()),
        ast::Source::Literal(_) | ast::Source::Template(_) | ast::Source::Call(_) | ast::Source::Case(_) | ast::Source::Formula(_) => None,
    };
    let each = each_direction(field, forward, context);
    let not_both = |span: Span, label: &str| {
        Diagnostic::new(Code::D509, span, "this entry cannot go both ways", label).related(field.way_span, "both ways").help(
            each.clone().unwrap_or_else(|| "write an entry for each direction: `left -> right | step` and `left <- right`".to_owned()),
        )
    };
    let (there, back) = match (field.way, turned) {
        (Way::Forward, _) => (mutual::with_options(field, &forward.target, context), None),
        (Way::Backward, Some(turned)) => (None, Some(turned)),
        (Way::Backward | Way::Both, None) => {
            context.report(not_both(field.span, "only a field can be written to"));
            return false;
        }
        (Way::Both, Some(turned)) => {
            if let ast::Source::Field(path) = &field.source
                && forward.is_replaced(&path.text())
            {
                context.report(not_both(path.span, "replaced, which works in one direction"));
                return false;
            }
            match field.steps.as_slice() {
                [] => (Some(field.clone()), Some(turned)),
                [step] if matches!(step.operand, Some(ast::Operand::Table { .. })) && step.or.is_none() => {
                    let Some((there, back)) = mutual::split(field, &turned, step, &forward.source, &forward.target, context) else {
                        return false;
                    };
                    (Some(there), Some(back))
                }
                [step, ..] => {
                    context.report(not_both(step.span, "a step works in one direction"));
                    return false;
                }
            }
        }
    };
    // A fault in one direction is often one in the other too; it is reported for both, since each must be complete.
    let (wanted, before) = (usize::from(there.is_some()) + usize::from(back.is_some()), to_right.len() + to_left.len());
    to_right.extend(there.and_then(|field| forward.field(&field, context)));
    to_left.extend(back.and_then(|field| backward.field(&field, context)));
    wanted > 0 && to_right.len() + to_left.len() == before + wanted
}

/// How an entry with steps is written as one entry for each direction.
fn each_direction(field: &FieldMapping, forward: &Checker<'_>, context: &Context<'_>) -> Option<String> {
    let (ast::Source::Field(path), [first, .., last] | [first @ last]) = (&field.source, field.steps.as_slice()) else { return None };
    let (left, right, steps) = (path.text(), field.target.text(), context.text(first.span.to(last.span)));
    let longest = |field: Option<&Field>| match field.map(|field| &field.ty) {
        Some(FieldType::Text { max, .. }) => *max,
        _ => None,
    };
    let (there, back) = (longest(forward.target.field(&field.target.names())), longest(forward.source.field(&path.names())));
    let shortened = |from: Option<u32>, to: Option<u32>| match (from, to) {
        (from, Some(to)) if from.is_none_or(|from| from > to) => format!(" | truncate({to})"),
        _ => String::new(),
    };
    let (to_right, to_left) = (shortened(back, there), shortened(there, back));
    Some(format!("write an entry for each direction: `{left} -> {right} | {steps}{to_right}` and `{left} <- {right}{to_left}`"))
}
