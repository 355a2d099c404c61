//! Fields that are named by what forms show: `First Name -> firstName`, `Straße -> location.address1`.
//!
//! The grammar accepts names only. The label is covered by a name of the same length, so that every place in the file stays what it is.

use std::sync::LazyLock;

use pest::Parser;
use pest::iterators::Pair;
use regex::Regex;

use super::ast::{FieldMapping, Ident, Path, Source};
use super::build::Builder;
use super::faulty::blank_strings;
use super::parse::{Grammar, Rule};
use super::scan::{Piece, Scan, visible_length};
use crate::diagnostics::Span;

impl Builder<'_> {
    /// A field mapping that names a field by its label, such as `First Name -> firstName`. The check knows the labels.
    pub(super) fn labelled(&mut self, pair: &Pair<'_, Rule>) -> Option<FieldMapping> {
        let text = &pair.as_str()[..visible_length(pair.as_str())];
        let start = self.piece.start + pair.as_span().start();
        if self.reported.iter().any(|r| r.start <= start + text.len() && start <= r.end) {
            return None;
        }
        let Labels { text: masked, source, target } = find(text)?;
        let piece = Piece { start, length: masked.len(), text: masked };
        let field = Grammar::parse(Rule::only_field, &piece.text).ok()?.next()?.into_inner().next()?;
        let scan = Scan { reported: self.reported.to_vec(), ..Scan::default() };
        let mut field = Builder::new(self.file, &piece, &scan, self.diagnostics).field(field)?;
        let path = |label: String, span: Span| Path { parts: vec![Ident { text: label, span }], span };
        if let (Some(label), Source::Field(old)) = (source, &field.source) {
            field.source = Source::Field(path(label, old.span));
        }
        if let Some(label) = target {
            field.target = path(label, field.target.span);
        }
        Some(field)
    }
}

/// An entry with labels.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Labels {
    /// The entry with a name of the same length instead of each label.
    pub(super) text: String,
    /// The label on the left side.
    pub(super) source: Option<String>,
    /// The label on the right side.
    pub(super) target: Option<String>,
}

static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    let label = r"[\p{L}_][\p{L}\p{N}_]*(?:[ .:/-]+[\p{L}\p{N}_]+)*";
    // A constant pattern that the tests compile, so `expect` cannot be reached by any input.
    Regex::new(&format!(r"^(?P<s>{label})\s*->\s*(?P<t>{label})\s*(?:[|@#].*)?$")).expect("a constant pattern")
});

/// Words that begin an entry or join its parts, and so are not part of a label.
const WORDS: [&str; 14] = ["not", "if", "then", "else", "when", "key", "to", "and", "or", "case", "filter", "where", "let", "lookup"];

/// Steps whose bar is missing after a target.
const STEPS: [&str; 12] = ["trim", "upper", "lower", "title", "truncate", "collapse", "digits", "email", "phone", "date", "slug", "label"];

/// The labels of an entry, if it has one and is a field mapping otherwise.
pub(super) fn find(text: &str) -> Option<Labels> {
    if text.len() > 300 || text.contains('\n') {
        return None;
    }
    let visible = blank_strings(text);
    let found = PATTERN.captures(&visible)?;
    let mut masked = text.to_owned();
    let mut label = |name: &str| {
        let range = found.name(name)?.range();
        let label = text.get(range.clone())?.to_owned();
        let plain = label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
        if plain || label.contains("//") || label.contains("--") || label.contains("..") {
            return None;
        }
        masked.replace_range(range.clone(), &"_".repeat(range.len()));
        Some(label)
    };
    let (source, target) = (label("s"), label("t"));
    let has = |label: &Option<String>, from: usize, list: &[&str]| {
        let mut words = label.iter().flat_map(|l| l.split(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty()).skip(from);
        words.any(|word| list.contains(&word.to_lowercase().as_str()))
    };
    let no_label = has(&source, 0, &WORDS) || has(&target, 0, &WORDS) || has(&target, 1, &STEPS);
    if no_label || (source.is_none() && target.is_none()) {
        return None;
    }
    Some(Labels { text: masked, source, target })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_covered_without_moving_what_follows() {
        let found = find("Straße -> Address 1: City | trim").unwrap();
        assert_eq!(found.text, "_______ -> _______________ | trim");
        assert_eq!((found.source.as_deref(), found.target.as_deref()), (Some("Straße"), Some("Address 1: City")));
        assert_eq!(find("lastname -> lastName | trim"), None);
        assert_eq!(find("not followemail -> isExternal"), None);
    }
}
