//! Mistakes that are recognized by their form: habits from spreadsheets, SQL, YAML and other languages.
//!
//! Each mistake knows how to write the entry right. The rewritten entry is offered only if the grammar accepts it, after the next mistake
//! in it is rewritten too, so that the line in the help does not cause another syntax error.

mod blocks;
mod conditions;
mod entries;
mod values;

use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::faulty::{Context, Finding, blank_strings};
use crate::diagnostics::{Code, Safety};

/// Longer entries are not searched for mistakes: no person wrote them by hand.
const LONGEST: usize = 4_000;

/// How many mistakes of one entry are rewritten one after the other.
const MOST: usize = 10;

/// How a mistake is written right.
#[derive(Clone, Copy)]
enum Write {
    /// What takes the place of the whole match; `<name>` stands for a group of the pattern.
    As(&'static str),
    /// The same, by a function.
    By(fn(&Parts<'_>) -> Option<String>),
    /// Only a person can tell.
    Unknown,
}

/// A mistake. In `message`, `label` and `help`, `<name>` stands for a group of the pattern and `{line}` for the line as it should be.
struct Mistake {
    contexts: &'static [Context],
    /// Matched against the entry with its strings blanked out. The group `at` is underlined. `%P` stands for a field, `%V` for a value.
    pattern: &'static str,
    write: Write,
    safety: Safety,
    message: &'static str,
    label: &'static str,
    help: &'static str,
}

struct Compiled {
    pattern: Regex,
    mistake: &'static Mistake,
}

static MISTAKES: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
    let tables: [&'static [Mistake]; 4] = [entries::MISTAKES, blocks::MISTAKES, conditions::MISTAKES, values::MISTAKES];
    let compile = |mistake: &'static Mistake| {
        let pattern =
            mistake.pattern.replace("%P", r"[A-Za-z_][A-Za-z0-9_.]*").replace("%V", r#"(?:"[^"\n]*"|\$?[\p{L}\p{N}_][\p{L}\p{N}_.-]*)"#);
        // The patterns are constants that the tests compile, so `expect` cannot be reached by any input.
        Compiled { pattern: Regex::new(&pattern).expect("a constant pattern"), mistake }
    };
    tables.into_iter().flatten().map(compile).collect()
});

/// The groups of a match, in the words of the author.
struct Parts<'a> {
    text: &'a str,
    captures: &'a Captures<'a>,
}

impl<'a> Parts<'a> {
    fn get(&self, name: &str) -> &'a str {
        self.captures.name(name).and_then(|found| self.text.get(found.range())).map_or("", str::trim)
    }

    fn expand(&self, pattern: &Regex, template: &str) -> String {
        let mut out = template.to_owned();
        for name in pattern.capture_names().flatten() {
            out = out.replace(&format!("<{name}>"), self.get(name));
        }
        out
    }
}

/// A mistake that was found in an entry.
struct Found {
    at: Range<usize>,
    safety: Safety,
    message: String,
    label: String,
    help: String,
    /// The entry, written right.
    rewritten: Option<String>,
}

fn find(text: &str, context: Context) -> Option<Found> {
    let visible = blank_strings(text);
    MISTAKES.iter().filter(|m| applies(m.mistake, context, text)).find_map(|compiled| {
        let Compiled { pattern, mistake } = compiled;
        let captures = pattern.captures(&visible)?;
        let whole = captures.get(0)?.range();
        let parts = Parts { text, captures: &captures };
        let instead = match mistake.write {
            Write::As(template) => Some(parts.expand(pattern, template)),
            // A function without a result says that this is another mistake.
            Write::By(write) => Some(write(&parts)?),
            Write::Unknown => None,
        };
        // A match can end within a string that was blanked out, and so within a character.
        let (before, after) = (text.get(..whole.start)?, text.get(whole.end..)?);
        let rewritten = instead.map(|instead| format!("{before}{instead}{after}"));
        if rewritten.as_deref() == Some(text) {
            return None;
        }
        let at = captures.name("at").map_or(whole, |at| at.range());
        let at = trimmed(text, at)?;
        let words = |template: &str| parts.expand(pattern, template);
        Some(Found {
            at,
            safety: mistake.safety,
            message: words(mistake.message),
            label: words(mistake.label),
            help: words(mistake.help),
            rewritten,
        })
    })
}

/// Whether a mistake can be made in an entry. The conditions of `when` and of a filter in one line are part of their entry.
fn applies(mistake: &Mistake, context: Context, text: &str) -> bool {
    let starts = |word: &str| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    mistake.contexts.contains(&context)
        || (context == Context::Entry
            && mistake.contexts.contains(&Context::Condition)
            && !mistake.pattern.starts_with('^')
            && ["when", "filter", "case"].into_iter().any(starts))
}

fn trimmed(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let part = text.get(range.clone())?;
    let start = range.start + (part.len() - part.trim_start().len());
    let end = start + part.trim().len();
    Some(if start < end { start..end } else { range })
}

/// What is wrong with an entry, if it is a known mistake.
pub(super) fn explain(text: &str, context: Context, usage: &str, reads: &dyn Fn(&str) -> bool) -> Option<Finding> {
    if text.len() > LONGEST {
        return None;
    }
    let first = find(text, context)?;
    let (mut safety, mut current) = (first.safety, first.rewritten);
    for _ in 0..MOST {
        let Some(candidate) = current.take() else { break };
        if accepted(&candidate, reads) {
            current = Some(candidate);
            break;
        }
        let Some(next) = find(&candidate, context) else { break };
        if next.safety == Safety::Unsafe {
            safety = Safety::Unsafe;
        }
        current = next.rewritten;
    }
    let right = current.filter(|candidate| accepted(candidate, reads));
    let help = match &right {
        Some(right) => first.help.replace("{line}", &shown(text, right, context)),
        None if first.help.contains("{line}") => usage.to_owned(),
        None => first.help,
    };
    let rewrite = right.map(|right| {
        let (range, instead) = difference(text, &right);
        (range, instead, safety)
    });
    Some(Finding {
        code: Code::D009,
        range: first.at,
        message: first.message,
        label: first.label,
        help: Some(help),
        instead: None,
        edits: Vec::new(),
        rewrite,
    })
}

/// Whether the grammar accepts an entry, or several that are separated by `;`.
fn accepted(text: &str, reads: &dyn Fn(&str) -> bool) -> bool {
    if reads(text.trim()) {
        return true;
    }
    let visible = blank_strings(text);
    if visible.contains(['{', '(', '\n']) && !visible.contains("; ") {
        return false;
    }
    let mut start = 0;
    visible.split(';').all(|piece| {
        let range = start..start + piece.len();
        start = range.end + 1;
        reads(text[range].trim())
    })
}

/// The line of a rewritten entry that is different.
fn shown(text: &str, right: &str, context: Context) -> String {
    let line = text.lines().zip(right.lines()).find(|(old, new)| old != new).map_or(right, |(_, new)| new).trim();
    match context {
        Context::Head => format!("mapping {line} {{"),
        _ => line.to_owned(),
    }
}

/// The smallest edit between two texts.
fn difference(text: &str, right: &str) -> (Range<usize>, String) {
    let start: usize = text.chars().zip(right.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let (old, new) = (&text[start..], &right[start..]);
    let end: usize = old.chars().rev().zip(new.chars().rev()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    (start..text.len() - end, new[..new.len() - end].to_owned())
}

/// Whether a text is a name that needs no quotes.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
}

/// The inside of a text in quotes.
fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix(['"', '\''])?.strip_suffix(['"', '\''])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_says_what_it_underlines() {
        for Compiled { pattern, mistake } in MISTAKES.iter() {
            assert!(pattern.capture_names().flatten().any(|name| name == "at"), "{}", mistake.pattern);
        }
    }

    #[test]
    fn a_fix_changes_the_smallest_part() {
        assert_eq!(difference("a --> b", "a -> b"), (3..4, String::new()));
        assert_eq!(difference("ä truncate 30", "ä truncate(30)"), (11..14, "(30)".to_owned()));
    }
}
