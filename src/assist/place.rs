//! Where in a file the cursor is, from the words before it: also in half-typed text, which has no tree.

use crate::syntax::{Token, TokenKind, tokens};

/// A block around the cursor: the words before its brace.
pub struct Open<'t> {
    pub header: Vec<&'t str>,
}

/// What is before the cursor.
pub struct Place<'t> {
    pub blocks: Vec<Open<'t>>,
    /// The words of the entry, without the one that is being typed.
    pub entry: Vec<&'t str>,
    /// Where the comment begins in which the cursor is.
    pub comment: Option<usize>,
    /// Where the text begins in which the cursor is.
    pub text: Option<usize>,
}

/// Returns what is before a byte of a text.
pub fn place(text: &str, offset: usize) -> Place<'_> {
    let all = tokens(text);
    let before: Vec<&Token> = all.iter().take_while(|t| t.range.start < offset).collect();
    let mut place = Place { blocks: Vec::new(), entry: Vec::new(), comment: None, text: None };
    for (i, token) in before.iter().enumerate() {
        let word = token.text(text);
        let typed = token.range.end >= offset;
        match token.kind {
            // A comment continues to the end of its line, even if there are spaces.
            TokenKind::Comment => {
                if text.get(token.range.start..offset).is_some_and(|t| !t.contains('\n')) {
                    place.comment = Some(token.range.start);
                }
            }
            TokenKind::Text if typed && (token.range.end > offset || word.len() == 1 || !word.ends_with('"')) => {
                place.text = Some(token.range.start)
            }
            TokenKind::Newline => {
                // Steps continue in the next line.
                let next = all
                    .iter()
                    .skip_while(|t| t.range.start <= token.range.start)
                    .find(|t| !matches!(t.kind, TokenKind::Newline | TokenKind::Comment));
                if next.is_none_or(|t| !matches!(t.text(text), "|" | "or") || t.range.start >= offset)
                    && !place.entry.is_empty()
                    && !waits_for_brace(&before[i..], text)
                    && !in_list(&place.entry, next.map(|t| t.text(text)))
                {
                    place.entry.clear();
                }
            }
            TokenKind::Sign if word == "{" => place.blocks.push(Open { header: std::mem::take(&mut place.entry) }),
            TokenKind::Sign if word == "}" => {
                place.blocks.pop();
                place.entry.clear();
            }
            TokenKind::Sign if word == ";" => place.entry.clear(),
            TokenKind::Sign if word == "," && in_values(&place) => place.entry.clear(),
            // The word that is being typed.
            TokenKind::Word | TokenKind::Number if typed => {}
            TokenKind::Word | TokenKind::Number | TokenKind::Text | TokenKind::Sign => place.entry.push(word),
        }
    }
    place
}

/// Whether the next word is the brace of the present entry.
fn waits_for_brace(rest: &[&Token], text: &str) -> bool {
    rest.iter().find(|t| !matches!(t.kind, TokenKind::Newline | TokenKind::Comment)).is_some_and(|t| t.text(text) == "{")
}

/// Whether a list in parentheses continues in the next line. A parenthesis that is not closed yet is not a list of several lines.
fn in_list(entry: &[&str], next: Option<&str>) -> bool {
    let open = entry.iter().rposition(|word| *word == "(").is_some_and(|at| !entry[at..].contains(&")"));
    open && (matches!(entry.last(), Some(&"(" | &",")) || matches!(next, Some(")" | ",")))
}

/// Whether the cursor is among the values of a test, possibly in an item of a list.
pub fn in_values(place: &Place<'_>) -> bool {
    place.blocks.iter().rev().take(2).any(|b| matches!(b.header.first(), Some(&"given" | &"expect")))
}
