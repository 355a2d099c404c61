//! Entries that the grammar swallowed because it could not read them: what is reported of each.

use std::ops::Range;

use pest::iterators::Pair;

use super::build::Builder;
use super::explain::{self, Context};
use super::parse::Rule;
use super::scan::visible_length;
use crate::diagnostics::{Diagnostic, Edit, Near, Safety};

/// With more findings than this, a file is not a mapping that a person wrote, and habits of other programs are not looked for.
const MANY: usize = 20_000;

impl Builder<'_> {
    /// Says what is wrong with a swallowed entry, unless the scanner has said it.
    pub(super) fn bad(&mut self, pair: &Pair<'_, Rule>, context: Context) {
        let start = pair.as_span().start();
        self.swallowed(start, &pair.as_str()[..visible_length(pair.as_str())], context);
    }

    /// Two swallowed entries that are one field mapping with `;` instead of an arrow.
    pub(super) fn divided(&mut self, first: &Pair<'_, Rule>, second: &Pair<'_, Rule>) {
        let start = first.as_span().start();
        let end = second.as_span().start() + visible_length(second.as_str());
        let text = self.piece.text[start..end].to_owned();
        self.swallowed(start, &text, Context::Entry);
    }

    /// Reports an entry that begins at a place of the piece.
    fn swallowed(&mut self, start: usize, text: &str, context: Context) {
        let range = self.piece.start + start..self.piece.start + start + text.len().max(1);
        // A line that contains only spaces of any kind has no meaning.
        if text.chars().all(char::is_whitespace) || self.reported.iter().any(|r| r.start <= range.end && range.start <= r.end) {
            return;
        }
        let findings = match self.diagnostics.len() < MANY {
            true => explain::explain(text, context),
            false => vec![explain::reread(text, context)],
        };
        for finding in findings {
            let span = self.range_span(start + finding.range.start..start + finding.range.end);
            let diagnostic = Diagnostic::new(finding.code, span, finding.message, finding.label).maybe_help(finding.help);
            if !finding.edits.is_empty() {
                let edit = |(range, text): (Range<usize>, &str)| Edit {
                    span: self.range_span(start + range.start..start + range.end),
                    text: text.to_owned(),
                };
                let edits: Vec<Edit> = finding.edits.into_iter().map(edit).collect();
                self.diagnostics.push(diagnostic.fixes(Safety::Safe, "replace the characters that a word processor inserted", edits));
                continue;
            }
            if let Some((place, text, safety)) = finding.rewrite {
                let title = if text.trim().is_empty() { "remove it".to_owned() } else { format!("write `{}`", text.trim()) };
                let edits = self.rewritten(start + place.start..start + place.end, text, &range);
                self.diagnostics.push(diagnostic.fixes(safety, title, edits));
                continue;
            }
            self.diagnostics.push(match finding.instead {
                Some(Near { text, safety }) if text.is_empty() => diagnostic.fix(safety, "remove it", span, text),
                Some(Near { text, safety }) => diagnostic.fix(safety, format!("write `{}`", text.trim()), span, text),
                None => diagnostic,
            });
        }
    }

    /// The edits of an entry that is written right: the part that differs, and a comma for each `;` between values elsewhere in the entry.
    fn rewritten(&mut self, place: Range<usize>, text: String, entry: &Range<usize>) -> Vec<Edit> {
        let changed = self.piece.start + place.start..self.piece.start + place.end;
        let mut edits = vec![Edit { span: self.range_span(place), text }];
        for at in self.separators.iter().copied().filter(|at| entry.contains(at)) {
            if self.answered.insert(at) && !changed.contains(&at) {
                let at = at - self.piece.start;
                edits.push(Edit { span: self.range_span(at..at + 1), text: ",".to_owned() });
            }
        }
        edits
    }

    /// Whether two entries are both only names, with a `;` between them on one line: `lastname;lastName`.
    pub(super) fn is_divided(&self, first: &Pair<'_, Rule>, second: &Pair<'_, Rule>) -> bool {
        let swallowed = [first, second].iter().all(|pair| pair.as_rule() == Rule::bad_entry);
        let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
        let end = first.as_span().start() + visible_length(first.as_str());
        let between = self.piece.text.get(end..second.as_span().start()).unwrap_or_default();
        let target = second.as_str().split('|').next().unwrap_or_default();
        swallowed
            && between.trim_matches([' ', '\t']) == ";"
            && is_name(first.as_str()[..visible_length(first.as_str())].trim())
            && is_name(target[..visible_length(target)].trim())
    }
}
