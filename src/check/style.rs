//! Style: what compiles and yet is not as its author would want it. Unused declarations are found in [`super::declare`],
//! idle allow comments in [`super::allow`], deprecated fields in [`super::names`].

use std::collections::HashMap;

use super::Context;
use crate::diagnostics::{Code, Diagnostic, Edit, Safety, Span};
use crate::syntax::ast::{Entry, LiteralValue, Mapping, TestBlock};

/// The rules that concern one mapping.
pub(super) fn mapping(mapping: &Mapping, context: &mut Context<'_>) {
    key_first(mapping, context);
}

/// A sound mapping that makes records which hold nothing.
pub(super) fn writes_nothing(mapping: &Mapping, context: &mut Context<'_>) {
    let Some(head) = &mapping.head else { return };
    if mapping.entries.iter().any(|e| matches!(e, Entry::Field(_))) || mapping.unread_entries {
        return;
    }
    context.report(
        Diagnostic::new(Code::D810, head.name.span, format!("`{}` writes nothing but its key", head.name.text), "no field is mapped")
            .help("add entries such as `lastname -> lastName`, or remove the mapping"),
    );
}

fn key_first(mapping: &Mapping, context: &mut Context<'_>) {
    let Some(position) = mapping.entries.iter().position(|e| matches!(e, Entry::Key(_))) else { return };
    let (Some(first), Some(Entry::Key(key))) = (mapping.entries.first(), mapping.entries.get(position)) else { return };
    let keys = mapping.entries.iter().filter(|e| matches!(e, Entry::Key(_))).count();
    if position == 0 || keys > 1 {
        return;
    }
    let diagnostic = Diagnostic::new(Code::D807, key.span, "the key is not the first entry", "expected at the top of the mapping")
        .related(first.span(), "stands before it")
        .help("move the key to the top: it is what a reader looks for first");
    context.report(match move_up(key.span, first.span(), context) {
        Some(edits) => diagnostic.fixes(Safety::Safe, "move the key to the top", edits),
        None => diagnostic,
    });
}

/// Moves an entry that has its lines to itself before another that begins its line.
fn move_up(what: Span, before: Span, context: &Context<'_>) -> Option<Vec<Edit>> {
    let text = &context.sources.get(what.file)?.text;
    let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |n| n + 1);
    let (from, to) = (what.start as usize, what.end as usize);
    let (start, end) = (line_start(from), text[to..].find('\n').map(|n| to + n + 1)?);
    let target = line_start(before.start as usize);
    let alone = text[start..from].trim().is_empty() && text[to..end].trim().is_empty();
    (alone && text[target..before.start as usize].trim().is_empty()).then_some(())?;
    let line = text[start..end].to_owned();
    let place = Span::new(what.file, target..target);
    Some(vec![Edit { span: Span::new(what.file, start..end), text: String::new() }, Edit { span: place, text: line }])
}

/// Two tests of one mapping with one title cannot be told apart in a report.
pub(super) fn test_titles<'t>(tests: impl Iterator<Item = &'t TestBlock>, context: &mut Context<'_>) {
    let mut seen: HashMap<(String, String), Span> = HashMap::new();
    for test in tests {
        let LiteralValue::Text(title) = &test.title.value else { continue };
        if let Some(first) = seen.insert((test.mapping.text.clone(), title.clone()), test.title.span) {
            context.report(
                Diagnostic::new(
                    Code::D809,
                    test.title.span,
                    format!("two tests of `{}` have this title", test.mapping.text),
                    "the second one",
                )
                .related(first, "the first one")
                .help("say in each title what the test shows"),
            );
        }
    }
}
