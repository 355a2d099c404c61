//! Style: what compiles but is probably not what its author wants. Unused declarations are found in [`super::declare`],
//! unused allow comments in [`super::allow`], deprecated fields in [`super::names`].

use std::collections::HashMap;

use super::Context;
use crate::diagnostics::{Code, Diagnostic, Edit, FileId, Safety, Span};
use crate::syntax::ast::{Entry, LiteralValue, Mapping, TestBlock};
use crate::unicode;

/// Warns of characters that are not seen and change the direction of text, in comments too: with them, a file can look different from
/// what is compiled ("Trojan Source", CVE-2021-42574). The first one of each line is reported. In a string, they are an error already.
pub(super) fn direction_marks(file: FileId, text: &str, context: &mut Context<'_>) {
    if text.is_ascii() {
        return;
    }
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let Some((at, mark)) = line.char_indices().find(|(_, c)| unicode::reorders(*c)) {
            let span = Span::new(file, start + at..start + at + mark.len_utf8());
            let said =
                context.diagnostics.iter().any(|d| d.code == Code::D012 && d.span.file == file && d.span.range().contains(&(start + at)));
            if said {
                start += line.len();
                continue;
            }
            let name = format!("U+{:04X}", u32::from(mark));
            context.report(
                Diagnostic::new(
                    Code::D013,
                    span,
                    format!("the invisible character {name} changes the direction of text"),
                    "editors can show this line in a different order",
                )
                .help("remove the character, or allow this warning if the text needs it")
                .fix(Safety::Unsafe, format!("remove {name}"), span, ""),
            );
        }
        start += line.len();
    }
}

/// The rules that concern one mapping.
pub(super) fn mapping(mapping: &Mapping, context: &mut Context<'_>) {
    key_first(mapping, context);
}

/// A valid mapping that creates empty records.
pub(super) fn writes_nothing(mapping: &Mapping, context: &mut Context<'_>) {
    let Some(head) = &mapping.head else { return };
    if mapping.fields().next().is_some() || mapping.unread_entries {
        return;
    }
    context.report(
        Diagnostic::new(Code::D810, head.name.span, format!("`{}` only writes its key", head.name.text), "no field is mapped")
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
        .related(first.span(), "the entry before it")
        .help("move the key to the top, where readers look for it");
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

/// Two tests of one mapping with one title cannot be distinguished in a report.
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
                .help("write in each title what the test shows"),
            );
        }
    }
}
