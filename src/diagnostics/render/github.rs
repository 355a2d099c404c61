//! GitHub's workflow commands: one line per finding, shown beside the changed lines of a pull request.

use super::json::severity_word;
use crate::diagnostics::{Diagnostic, Sources};
use crate::printable;

/// One `::error …` or `::warning …` line per finding.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let mut out = String::new();
    for d in diagnostics {
        let (file, at) = sources.locate(d.span);
        let end = sources.get(d.span.file).map_or(at, |f| f.position(d.span.end));
        let mut text = format!("{}: {}", d.message, d.label);
        if let Some(help) = &d.help {
            text.push('\n');
            text.push_str(help);
        }
        out.push_str(&format!(
            "::{} file={},line={},col={},endLine={},endColumn={},title={}::{}\n",
            severity_word(d.severity()),
            property(&printable::inline(file)),
            at.line,
            at.column,
            end.line,
            end.column,
            property(d.code.name()),
            data(&printable::block(&text))
        ));
    }
    out
}

/// The escapes that GitHub documents for the text of a command (`@actions/core`, `escapeData`). The percent sign comes
/// first: what looks like an escape in a finding is shown as it was written.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// In a property, the separators are escaped as well.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
