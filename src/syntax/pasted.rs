//! Characters that word processors, mail programs and web pages insert instead of those that were typed: non-breaking spaces,
//! dashes and symbols as arrows, curly quotes, invisible characters.
//!
//! All of an entry are replaced by one fix, so that an entry that was pasted from a document is right after one `check --fix`.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::faulty::Context;

/// What such a character is, for the message about the first one of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pasted {
    Space,
    Invisible,
    DashedArrow,
    SignArrow,
    Quotes,
}

impl Pasted {
    /// The message, the label and the help of a finding.
    pub(super) fn words(self, context: Context) -> (&'static str, &'static str, &'static str) {
        let replacement = context == Context::Arm;
        match self {
            Pasted::Space => (
                "this space is not an ordinary space",
                "a non-breaking or wide space",
                "write an ordinary space; word processors and web pages insert other ones",
            ),
            Pasted::Invisible => (
                "an invisible character is not allowed here",
                "an invisible character",
                "remove it; word processors and web pages insert such characters",
            ),
            Pasted::DashedArrow if replacement => ("this arrow has a dash instead of a hyphen", "not `=>`", "write `=>`"),
            Pasted::DashedArrow => ("this arrow has a dash instead of a hyphen", "not `->`", "write it with a hyphen: `->`"),
            Pasted::SignArrow if replacement => ("this arrow is a single character", "not `=>`", "write the arrow as two characters: `=>`"),
            Pasted::SignArrow => ("this arrow is a single character", "not `->`", "write the arrow as two characters: `->`"),
            Pasted::Quotes => ("text is written in straight quotes", "curly quotes", "write \"…\""),
        }
    }
}

/// The pasted characters of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// What the first one is, and where; of quotes with the text between them.
    pub(super) first: (Range<usize>, Pasted),
    /// What takes the place of which bytes, in order.
    pub(super) edits: Vec<(Range<usize>, &'static str)>,
}

static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    let spaces = r"[\x{A0}\x{1680}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}]+";
    let invisible = r"[\x{AD}\x{200B}-\x{200F}\x{2060}\x{FEFF}]+";
    let dashes = r"<?[‐‑‒–—―−]{1,2}>|<[‐‑‒–—―−]{1,2}";
    // Those of the private use area are what Word makes of `-->`, `<--` and `==>` in its font Wingdings.
    let signs = r"[→⇒➔⟶\x{F0E0}\x{F0E8}]|[←⇐⟵\x{F0DF}]|[↔⇔⟷]";
    let quotes = r"[“”„‟][^“”„‟\n]*[“”‟]|[‘‚‛][^‘’‚‛\n]*[‘’‛]|«[^«»\n]*»";
    // A constant pattern that the tests compile, so `expect` cannot be reached by any input.
    Regex::new(&format!("(?<space>{spaces})|(?<invisible>{invisible})|(?<dashes>{dashes})|(?<sign>{signs})|(?<quotes>{quotes})"))
        .expect("a constant pattern")
});

/// Finds the pasted characters of an entry; `visible` is its text without strings and comments, of the same length. Nothing if one of
/// them cannot be replaced without a person looking at it.
pub(super) fn find(visible: &str, context: Context) -> Option<Found> {
    let mut first = None;
    let mut edits = Vec::new();
    for found in PATTERN.captures_iter(visible) {
        let range = found.get(0)?.range();
        let text = &visible[range.clone()];
        let kind = if found.name("space").is_some() {
            edits.push((range.clone(), " "));
            Pasted::Space
        } else if found.name("invisible").is_some() {
            edits.push((range.clone(), ""));
            Pasted::Invisible
        } else if found.name("quotes").is_some() {
            quotes(text, range.start, &mut edits);
            Pasted::Quotes
        } else {
            let (arrow, kind) = match found.name("sign") {
                Some(_) => (
                    arrow(
                        text.contains(['→', '⇒', '➔', '⟶', '\u{F0E0}', '\u{F0E8}']),
                        text.contains(['←', '⇐', '⟵', '\u{F0DF}']),
                        text,
                        context,
                    ),
                    Pasted::SignArrow,
                ),
                None => (arrow(!text.starts_with('<'), !text.ends_with('>'), text, context), Pasted::DashedArrow),
            };
            edits.push((range.clone(), arrow));
            kind
        };
        first = first.or(Some((range, kind)));
    }
    Some(Found { first: first?, edits })
}

fn arrow(forward: bool, backward: bool, text: &str, context: Context) -> &'static str {
    match (forward, backward) {
        (true, _) if context == Context::Arm || text.contains(['⇒', '\u{F0E8}']) => "=>",
        (true, _) => "->",
        (_, true) => "<-",
        _ => "<->",
    }
}

/// Straight quotes instead of curly ones, unless the text between them would mean something else in a string.
fn quotes(text: &str, start: usize, edits: &mut Vec<(Range<usize>, &'static str)>) {
    let mut signs = text.char_indices();
    let (Some((_, open)), Some((last, close))) = (signs.next(), signs.next_back()) else { return };
    let (begin, end) = (open.len_utf8(), last);
    if text[begin..end].contains(['\\', '{', '}', '"']) {
        return;
    }
    // French quotes have a space inside that is not part of the text.
    let space = |c: char| open == '«' && matches!(c, '\u{a0}' | '\u{202f}');
    let inner = &text[begin..end];
    let left = begin + inner.len() - inner.trim_start_matches(space).len();
    let right = (end - (inner.len() - inner.trim_end_matches(space).len())).max(left);
    edits.push((start..start + left, "\""));
    edits.push((start + right..start + last + close.len_utf8(), "\""));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(text: &str, context: Context) -> String {
        let found = find(text, context).unwrap_or_else(|| panic!("{text}"));
        let mut out = text.to_owned();
        for (range, instead) in found.edits.iter().rev() {
            out.replace_range(range.clone(), instead);
        }
        out
    }

    #[test]
    fn all_pasted_characters_of_an_entry_are_replaced_at_once() {
        for (text, context, right) in [
            ("firstname\u{a0}\u{a0}–>\u{a0}firstName\u{a0}|\u{202f}truncate(30)", Context::Entry, "firstname -> firstName | truncate(30)"),
            ("“crm” —> cus\u{200b}Origin | default(„a\u{a0}b“)", Context::Entry, "\"crm\" -> cusOrigin | default(\"a\u{a0}b\")"),
            ("a → b", Context::Entry, "a -> b"),
            ("a \u{f0e0} b", Context::Entry, "a -> b"),
            ("Male → male", Context::Arm, "Male => male"),
            ("Male –> ‘male’", Context::Arm, "Male => \"male\""),
            ("donotemail <–> denyListEmail", Context::Pair, "donotemail <-> denyListEmail"),
            ("details.notes <– description", Context::Entry, "details.notes <- description"),
            ("lastname = «\u{a0}Müller\u{a0}»", Context::Condition, "lastname = \"Müller\""),
        ] {
            assert_eq!(fixed(text, context), right);
        }
    }

    #[test]
    fn quotes_stay_where_the_text_would_mean_something_else() {
        let found = find("“a {b}”\u{a0}-> c", Context::Entry).unwrap();
        assert_eq!(found.edits, [(11..13, " ")]);
        assert_eq!(found.first.1, Pasted::Quotes);
        assert_eq!(find("firstname -> firstName", Context::Entry), None);
    }
}
