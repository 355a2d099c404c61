//! Findings as a list, each with its line.

use maud::{Markup, html};

use super::address;
use crate::check::Compiled;
use crate::diagnostics::{Diagnostic, FileId, Severity};
use crate::serve::answer::At;
use crate::serve::pages::parts::prose;

/// The longest part of a line that is shown, in characters.
const LINE: usize = 160;

/// Findings of a file, or of all files with links to them; the errors first.
pub fn findings(at: &At, compiled: &Compiled, file: Option<FileId>, most: usize) -> Markup {
    let all = compiled.diagnostics.iter().filter(|d| file.is_none_or(|file| d.span.file == file));
    list(at, compiled, all.collect(), file.is_none(), most)
}

/// Errors of all files but one.
pub(super) fn of_others(at: &At, compiled: &Compiled, file: FileId, most: usize) -> Markup {
    let others = compiled.diagnostics.iter().filter(|d| d.span.file != file && d.severity() == Severity::Error);
    list(at, compiled, others.collect(), true, most)
}

fn list(at: &At, compiled: &Compiled, mut found: Vec<&Diagnostic>, linked: bool, most: usize) -> Markup {
    let all = found.len();
    found.truncate(most);
    html! {
        @if !found.is_empty() {
            ol.plain.diagnostics { @for finding in &found { (one(at, compiled, finding, linked)) } }
            @if all > most { p.quiet { (all - most) " more are not shown." } }
        }
    }
}

fn one(at: &At, compiled: &Compiled, finding: &Diagnostic, linked: bool) -> Markup {
    let (file, position) = compiled.sources.locate(finding.span);
    let place = format!("{file}:{}:{}", position.line, position.column);
    let (class, word) = match finding.severity() {
        Severity::Error => ("badge bad", "error"),
        Severity::Warning => ("badge warn", "warning"),
    };
    html! {
        li data-line=[(!linked).then_some(position.line)] data-column=[(!linked).then_some(position.column)] data-severity=(word) {
            div {
                span class=(class) { (word) } " "
                a href={ "/explain/" (finding.code) } title=(finding.code.title()) { (finding.code) } " "
                strong { (prose(&finding.message)) }
            }
            @if linked { div { a href={ (address(at, file)) "?line=" (position.line) "#text" } { (place) } } }
            @else { div.quiet.place { (place) } }
            (excerpt(compiled, finding))
            @if let Some(help) = &finding.help { p { "Help: " (prose(help)) } }
            @for (span, label) in &finding.related {
                @let (file, position) = compiled.sources.locate(*span);
                p.quiet { (file) ":" (position.line) ": " (prose(label)) }
            }
        }
    }
}

/// The line of a finding, with its part marked and labeled.
fn excerpt(compiled: &Compiled, finding: &Diagnostic) -> Markup {
    let Some(source) = compiled.sources.get(finding.span.file) else { return html! {} };
    let span = finding.span.range();
    let line = source.line_range(source.line_at(span.start));
    let start = span.start.clamp(line.start, line.end);
    let end = span.end.clamp(start, line.end);
    let part = |from: usize, to: usize| source.text.get(from..to).unwrap_or_default();
    let before: Vec<char> = part(line.start, start).chars().collect();
    let skipped = before.len().saturating_sub(LINE / 2);
    let before: String = before[skipped..].iter().collect();
    let marked: String = part(start, end).chars().take(LINE).collect();
    let after: String = part(end, line.end).chars().take(LINE / 2).collect();
    html! {
        pre.excerpt {
            @if skipped > 0 { "…" }
            (before.trim_start()) mark { (marked) } (after)
            @if !finding.label.is_empty() { "\n" span.quiet { (prose(&finding.label)) } }
        }
    }
}
