//! Comments that allow a finding in one place, and the severities that a project sets.
//!
//! `# allow(D304): why` is above an entry or at the end of its first line, and applies to that entry, block or header. Only
//! warnings can be allowed: what is an error cannot be run.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::diagnostics::{Code, Diagnostic, Diagnostics, FileId, Level, Levels, Severity, Span};
use crate::syntax::ast::{Argument, Clause, Condition, ConditionKind, Entry, FieldMapping, File, Group, Operand, Source, Step};
use crate::syntax::{Token, TokenKind, tokens};

/// One comment that allows.
struct Allow {
    span: Span,
    code: Option<Code>,
    /// The bytes for which it holds.
    holds: Range<u32>,
    /// Those of the block of the file that these are in.
    block: Range<u32>,
    used: bool,
}

/// Leaves out what the files allow and sets what the project sets. Comments that allow nothing are reported.
pub(super) fn apply(files: &[(FileId, &str, &File)], levels: &Levels, diagnostics: &mut Diagnostics) {
    let mut allows: BTreeMap<FileId, Vec<Allow>> = BTreeMap::new();
    for (id, text, tree) in files {
        let found = in_file(*id, text, tree, diagnostics);
        if !found.is_empty() {
            allows.insert(*id, found);
        }
    }
    let mut faulty_files: Vec<FileId> = Vec::new();
    let mut errors: Vec<Span> = Vec::new();
    diagnostics.items_mut().retain(|d| {
        if d.code.name().starts_with("D0") && d.code.severity() == Severity::Error {
            faulty_files.push(d.span.file);
        }
        if d.code.severity() == Severity::Error {
            errors.push(d.span);
            return true;
        }
        let allowed = allows.get_mut(&d.span.file).and_then(|list| {
            // The narrowest place first, so that each comment applies to what is nearest to it.
            let holding = list.iter_mut().filter(|a| a.code == Some(d.code) && a.holds.contains(&d.span.start));
            holding.min_by_key(|a| a.holds.len())
        });
        match allowed {
            Some(allow) => {
                allow.used = true;
                false
            }
            None => true,
        }
    });
    for allow in allows.values().flatten().filter(|a| !a.used) {
        // In a file that could not be read in full, what it allows may just not have been found.
        let Some(code) = allow.code.filter(|_| !faulty_files.contains(&allow.span.file)) else { continue };
        // What is faulty is not checked further, so that what the comment allows was not looked for. Whether something is used is known only if
        // everything that can use it was checked.
        let of_use = matches!(code, Code::D801 | Code::D802 | Code::D814 | Code::D815);
        let faulty = |error: &Span| of_use || (error.file == allow.span.file && allow.block.contains(&error.start));
        if errors.iter().any(faulty) {
            continue;
        }
        diagnostics.push(
            Diagnostic::new(Code::D805, allow.span, format!("there is no finding {code} here"), "allows nothing")
                .help("remove the comment; it must be above the entry, or at the end of its first line"),
        );
    }
    for diagnostic in diagnostics.items_mut() {
        match levels.get(&diagnostic.code) {
            Some(Level::Error) => diagnostic.severity = Severity::Error,
            Some(Level::Warning | Level::Off) | None => {}
        }
    }
    diagnostics.items_mut().retain(|d| d.severity == Severity::Error || levels.get(&d.code) != Some(&Level::Off));
}

fn in_file(id: FileId, text: &str, tree: &File, diagnostics: &mut Diagnostics) -> Vec<Allow> {
    static ALLOW: LazyLock<Regex> = LazyLock::new(|| {
        // A constant pattern that the tests compile.
        Regex::new(r"^#+\s*(?i:allow)\b\s*(?:\(([^)]*)\))?\s*(:?)\s*(.*)$").expect("a constant pattern")
    });
    let tokens = tokens(text);
    let mut places: Option<Vec<Range<u32>>> = None;
    let mut allows = Vec::new();
    for (i, token) in tokens.iter().enumerate().filter(|(_, t)| t.kind == TokenKind::Comment) {
        let Some(found) = ALLOW.captures(token.text(text)) else { continue };
        let Some(inside) = found.get(1) else {
            // A sentence that begins with the word is not an allow comment; with a code after the word, it is one.
            if found.get(3).is_some_and(|rest| {
                rest.as_str().split_whitespace().next().is_some_and(|w| Code::from_name(w.trim_end_matches(':')).is_some())
            }) {
                diagnostics.push(written(id, token, "an allow comment needs a code in parentheses", "no parentheses"));
            }
            continue;
        };
        let reason = found.get(2).is_some_and(|c| !c.is_empty()) && found.get(3).is_some_and(|r| !r.as_str().trim().is_empty());
        if !reason {
            diagnostics.push(written(id, token, "an allow comment needs a reason", "no reason"));
        }
        let places = places.get_or_insert_with(|| entry_places(tree));
        let holds = place(&tokens, i, places);
        for name in inside.as_str().split(',') {
            let code = Code::from_name(name.trim());
            match code {
                None => {
                    diagnostics.push(written(id, token, &format!("there is no code `{}`", name.trim()), "unknown code"));
                    continue;
                }
                Some(code) if code.severity() == Severity::Error => {
                    diagnostics.push(written(id, token, &format!("{code} is an error, which cannot be allowed"), "not a warning"));
                    continue;
                }
                Some(_) => {}
            }
            let span = Span::new(id, token.range.clone());
            let holds = holds.clone().unwrap_or(0..0);
            let block = blocks(tree).find(|block| block.contains(&holds.start)).unwrap_or(holds.clone());
            allows.push(Allow { span, code, holds, block, used: false });
        }
    }
    allows
}

fn written(id: FileId, token: &Token, message: &str, label: &str) -> Diagnostic {
    Diagnostic::new(Code::D806, Span::new(id, token.range.clone()), message, label)
        .help("write `# allow(D304): the reason`, with the code of a warning")
}

/// What an allow comment applies to: the entry whose line it ends, or the next one below it.
fn place(tokens: &[Token], comment: usize, places: &[Range<u32>]) -> Option<Range<u32>> {
    let start_of = |i: usize| tokens.get(i).and_then(|t| u32::try_from(t.range.start).ok());
    let own_line = comment == 0 || tokens[comment - 1].kind == TokenKind::Newline;
    let from = if own_line {
        (comment + 1..tokens.len()).find(|i| !matches!(tokens[*i].kind, TokenKind::Newline | TokenKind::Comment))?
    } else {
        let line = tokens[..comment].iter().rposition(|t| t.kind == TokenKind::Newline).map_or(0, |n| n + 1);
        // A closing brace before the entry is not the entry.
        (line..comment).find(|i| tokens[*i].kind != TokenKind::Sign).unwrap_or(line)
    };
    let start = start_of(from)?;
    // Places are sorted by their start, the widest first.
    let first = places.partition_point(|p| p.start < start);
    places.get(first).filter(|p| p.start == start).cloned()
}

/// The blocks of a file.
fn blocks(tree: &File) -> impl Iterator<Item = Range<u32>> {
    let spans = tree.mappings.iter().map(|block| block.span).chain(tree.lookups.iter().map(|block| block.span));
    let spans = spans.chain(tree.tables.iter().map(|block| block.span)).chain(tree.optouts.iter().map(|block| block.span));
    let spans = spans.chain(tree.events.iter().map(|block| block.span)).chain(tree.tests.iter().map(|block| block.span));
    spans.map(|span| span.start..span.end)
}

/// Every entry, arm, condition and head of a file, by its start, the widest first. A block of the file itself counts as its
/// head only: an allow above a mapping does not hold for all that is in it.
fn entry_places(tree: &File) -> Vec<Range<u32>> {
    let mut places = Vec::new();
    let mut add = |span: Span| places.push(span.start..span.end);
    for mapping in &tree.mappings {
        if let Some(head) = &mapping.head {
            add(Span { end: head.target.span.end, ..mapping.span });
        }
        for entry in &mapping.entries {
            add(entry.span());
            match entry {
                Entry::Key(_) | Entry::Adopt(_) => {}
                Entry::Field(field) => of_field(field, &mut add),
                Entry::When(when) => {
                    for field in when.blocks.iter().flat_map(|block| &block.fields) {
                        add(field.span);
                        of_field(field, &mut add);
                    }
                }
                Entry::Linked(linked) => {
                    add(Span { end: linked.table.span.end, ..linked.span });
                    linked.keys.iter().for_each(|key| add(key.span));
                    for field in &linked.fields {
                        add(field.span);
                        of_field(field, &mut add);
                    }
                }
                Entry::Replace(replace) => replace.arms.iter().for_each(|a| add(a.span)),
                Entry::Filter(filter) => conditions(&filter.group, &mut add),
                Entry::Options(options) => options.settings.iter().for_each(|s| add(s.span)),
            }
        }
    }
    tree.constants.iter().for_each(|c| add(c.span));
    tree.includes.iter().for_each(|i| add(i.span));
    tree.lookups.iter().for_each(|t| add(t.span));
    for table in &tree.tables {
        add(Span { end: table.name.span.end, ..table.span });
        table.arms.iter().for_each(|a| add(a.span));
    }
    for block in &tree.optouts {
        add(Span { end: block.mapping.span.end, ..block.span });
        block.directions.iter().for_each(|d| add(d.span));
        block.pairs.iter().for_each(|p| add(p.span));
    }
    for block in &tree.events {
        add(Span { end: block.target.span.end, ..block.span });
        block.settings.iter().for_each(|s| add(s.span));
        block.fields.iter().for_each(|f| add(f.span));
    }
    for block in &tree.tests {
        add(Span { end: block.title.span.end, ..block.span });
        for clause in &block.clauses {
            match clause {
                Clause::Given { span, .. } | Clause::Clock { span, .. } | Clause::Expect { span, .. } => add(*span),
            }
        }
    }
    places.sort_by_key(|p| (p.start, std::cmp::Reverse(p.end)));
    places
}

/// The cases and branches of a field mapping.
fn of_field(field: &FieldMapping, add: &mut dyn FnMut(Span)) {
    of_steps(&field.steps, add);
    of_source(&field.source, add);
}

fn of_source(source: &Source, add: &mut dyn FnMut(Span)) {
    match source {
        Source::Case(case) => {
            for branch in &case.branches {
                add(branch.span);
                of_steps(&branch.steps, add);
                of_source(&branch.result, add);
            }
        }
        Source::Call(call) => of_arguments(&call.arguments, add),
        Source::Field(_) | Source::Literal(_) | Source::Template(_) | Source::Formula(_) => {}
    }
}

fn of_arguments(arguments: &[Argument], add: &mut dyn FnMut(Span)) {
    for argument in arguments {
        if let Argument::Piped(_, steps) = argument {
            of_steps(steps, add);
        }
    }
}

fn of_steps(steps: &[Step], add: &mut dyn FnMut(Span)) {
    for step in steps {
        if let Some(Operand::Table { arms, .. }) = &step.operand {
            arms.iter().for_each(|a| add(a.span));
        }
        of_arguments(step.arguments.as_deref().unwrap_or_default(), add);
    }
}

fn conditions(group: &Group, add: &mut dyn FnMut(Span)) {
    for Condition { span, kind, .. } in &group.conditions {
        add(*span);
        if let ConditionKind::Group(inner) = kind {
            conditions(inner, add);
        }
    }
}
