//! Code actions: the fixes of findings, and a comment that allows one.

#![allow(clippy::mutable_key_type)] // An address is not changed while it is a key.

use std::collections::HashMap;

use lsp_types::{CodeAction, CodeActionKind, CodeActionOrCommand, Range, TextEdit, Uri, WorkspaceEdit};

use super::documents::Group;
use super::finding::to_lsp;
use crate::diagnostics::{Safety, Severity};

/// What can be done about the findings in a range.
pub(super) fn of(group: &Group, file: usize, range: Range) -> Vec<CodeActionOrCommand> {
    let source = &group.files[file];
    let lines = &source.lines;
    let (from, to) = (lines.offset(range.start), lines.offset(range.end));
    let mut actions = Vec::new();
    for finding in group.compiled.diagnostics.iter().filter(|d| d.span.file.0 as usize == file) {
        let at = finding.span.range();
        if at.end < from || to < at.start {
            continue;
        }
        let action = |title: String, changes: HashMap<Uri, Vec<TextEdit>>, preferred: bool| {
            CodeActionOrCommand::CodeAction(CodeAction {
                title,
                kind: Some(CodeActionKind::QUICKFIX),
                diagnostics: Some(vec![to_lsp(finding, group)]),
                edit: Some(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }),
                is_preferred: Some(preferred),
                ..CodeAction::default()
            })
        };
        if let Some(fix) = &finding.fix {
            let mut changes: HashMap<Uri, Vec<TextEdit>> = HashMap::new();
            for edit in &fix.edits {
                let Some(target) = group.files.get(edit.span.file.0 as usize) else { continue };
                let range = target.lines.range(edit.span.range());
                changes.entry(target.uri.clone()).or_default().push(TextEdit { range, new_text: edit.text.clone() });
            }
            // An editor applies the preferred action without a question ("fix all").
            actions.push(action(fix.title.clone(), changes, fix.safety == Safety::Safe));
        }
        if finding.code.severity() == Severity::Warning {
            let start = source.text[..at.start].rfind('\n').map_or(0, |n| n + 1);
            let indent: String = source.text[start..].chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
            let place = lines.range(start..start);
            let text = format!("{indent}# allow({}): reason\n", finding.code);
            let changes = HashMap::from([(source.uri.clone(), vec![TextEdit { range: place, new_text: text }])]);
            actions.push(action(format!("allow {} here", finding.code), changes, false));
        }
    }
    actions
}
