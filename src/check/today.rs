//! Values that depend on the day of the run: they change although the record does not.

use super::Context;
use crate::diagnostics::{Code, Diagnostic, FileId, Span};
use crate::plan::{At, FieldProgram, IngressFlow};

/// Warns of values that depend on the day, unless the mapping evaluates all records every day.
pub(super) fn check(flow: &IngressFlow, context: &mut Context<'_>) {
    if flow.policy.refresh_daily {
        return;
    }
    for step in flow.fields.iter().flat_map(FieldProgram::steps_of_today) {
        context.report(
            Diagnostic::new(
                Code::D127,
                span(step.at),
                "this value depends on the day, but it is only written when the record changes",
                "changes with `today`",
            )
            .help(
                "add `refresh daily` to the options of the mapping, which evaluates all records once a day and writes only those that differ; or \
                 allow this warning if the day of the last change is enough",
            ),
        );
    }
}

/// Reports values that depend on the day in a two-way mapping, which has no way to write them every day.
pub(super) fn two_way(programs: &[FieldProgram], context: &mut Context<'_>) {
    for step in programs.iter().flat_map(FieldProgram::steps_of_today) {
        context.report(
            Diagnostic::new(Code::D209, span(step.at), "`today` is not supported in a two-way mapping", "the value would change every day")
                .help("name a field with a date: `days(createdon)`"),
        );
    }
    for condition in programs.iter().flat_map(FieldProgram::conditions).filter(|condition| condition.asks_the_time()) {
        context.report(
            Diagnostic::new(
                Code::D209,
                span(condition.at),
                "a value of a two-way mapping cannot depend on the time of the run",
                "the value would change although the record does not",
            )
            .help("compare with a fixed date or with another field"),
        );
    }
}

fn span(at: At) -> Span {
    Span { file: FileId(at.file), start: at.start, end: at.end }
}
