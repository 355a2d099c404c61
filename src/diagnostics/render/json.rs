//! One JSON object: `{"version":1,"diagnostics":[…]}`. Fields are only ever added while the version stays.

use serde::Serialize;

use crate::diagnostics::{Diagnostic, Safety, Severity, Sources, Span};

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    diagnostics: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    code: &'static str,
    severity: &'static str,
    message: &'a str,
    file: &'a str,
    start: Point,
    end: Point,
    label: &'a str,
    help: Option<&'a str>,
    related: Vec<Related<'a>>,
    fix: Option<Fixed<'a>>,
}

/// A place: byte offset from 0, line and column from 1 (columns count characters).
#[derive(Serialize)]
struct Point {
    offset: u32,
    line: u32,
    column: u32,
}

#[derive(Serialize)]
struct Related<'a> {
    file: &'a str,
    start: Point,
    end: Point,
    label: &'a str,
}

/// A change that makes the finding go away: each edit replaces a range of a file.
#[derive(Serialize)]
struct Fixed<'a> {
    title: &'a str,
    /// Whether `check --fix` applies it; the others are applied by `check --unsafe-fixes`.
    safe: bool,
    edits: Vec<Edited<'a>>,
}

#[derive(Serialize)]
struct Edited<'a> {
    file: &'a str,
    start: Point,
    end: Point,
    text: &'a str,
}

/// The word for a severity in machine formats.
pub fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn place(span: Span, sources: &Sources) -> (&str, Point, Point) {
    let point = |offset: u32| {
        let at = sources.get(span.file).map(|f| f.position(offset));
        Point { offset, line: at.map_or(1, |p| p.line), column: at.map_or(1, |p| p.column) }
    };
    (sources.locate(span).0, point(span.start), point(span.end))
}

/// All findings as one object.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let items = diagnostics.iter().map(|d| {
        let (file, start, end) = place(d.span, sources);
        let related = d.related.iter().map(|(span, label)| {
            let (file, start, end) = place(*span, sources);
            Related { file, start, end, label }
        });
        Item {
            code: d.code.name(),
            severity: severity_word(d.severity()),
            message: &d.message,
            file,
            start,
            end,
            label: &d.label,
            help: d.help.as_deref(),
            related: related.collect(),
            fix: d.fix.as_ref().map(|fix| Fixed {
                title: &fix.title,
                safe: fix.safety == Safety::Safe,
                edits: fix
                    .edits
                    .iter()
                    .map(|edit| {
                        let (file, start, end) = place(edit.span, sources);
                        Edited { file, start, end, text: &edit.text }
                    })
                    .collect(),
            }),
        }
    });
    let document = Document { version: 1, diagnostics: items.collect() };
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}
