//! A text as tokens, comments and line ends included: for the formatter, for comments that allow a finding, for editors.
//!
//! The grammar decides what is valid; this only finds where one word ends and the next begins, in any text.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// `# …`, without the line's end.
    Comment,
    /// A line's end.
    Newline,
    /// A string with its quotes, or what there is of one.
    Text,
    /// A name, a keyword, an option's name with hyphens, a name in back-ticks, a constant with its `$`.
    Word,
    /// A number, date, instant or duration.
    Number,
    /// Anything else: an arrow, a brace, a comma.
    Sign,
}

/// A token and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Its place.
    pub range: Range<usize>,
}

impl Token {
    /// The token's text.
    pub fn text<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.range.clone()).unwrap_or_default()
    }
}

/// The tokens of a text in order. Blanks and a byte order mark lie between them.
pub fn tokens(text: &str) -> Vec<Token> {
    static NEXT: LazyLock<Regex> = LazyLock::new(|| {
        // A constant pattern that every test of this module compiles.
        Regex::new(concat!(
            r"(?P<newline>\n)|(?P<comment>#[^\n]*)|(?P<text>\x22(?:\\[^\n]|[^\x22\\\n])*\x22?)",
            r"|(?P<word>`[^`\n]+`|\$?[A-Za-z_][A-Za-z0-9_]*(?:-[A-Za-z_][A-Za-z0-9_]*)*)",
            r"|(?P<number>[0-9]{4}-[0-9]{2}-[0-9]{2}T[A-Za-z0-9:.+-]+|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]+(?:\.[0-9]+)?[A-Za-z_0-9]*)",
            r"|(?P<sign><->|<=>|->|<-|=>|!=|<=|>=|[^\s])"
        ))
        .expect("a constant pattern")
    });
    let mut tokens = Vec::new();
    for found in NEXT.captures_iter(text) {
        let kinds = [
            ("newline", TokenKind::Newline),
            ("comment", TokenKind::Comment),
            ("text", TokenKind::Text),
            ("word", TokenKind::Word),
            ("number", TokenKind::Number),
            ("sign", TokenKind::Sign),
        ];
        let Some((kind, range)) = kinds.iter().find_map(|(name, kind)| found.name(name).map(|m| (*kind, m.range()))) else { continue };
        if text[range.clone()] == *"\u{FEFF}" {
            continue;
        }
        // A carriage return before the line's end is white space.
        let range = if kind == TokenKind::Comment { range.start..range.start + text[range.clone()].trim_end().len() } else { range };
        tokens.push(Token { kind, range });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        tokens(text).iter().map(|t| t.text(text)).collect()
    }

    #[test]
    fn words_numbers_and_symbols_are_distinguished() {
        assert_eq!(texts("a.b->c|truncate(30) @initial"), ["a", ".", "b", "->", "c", "|", "truncate", "(", "30", ")", "@", "initial"]);
        assert_eq!(texts("filtered-out delete"), ["filtered-out", "delete"]);
        assert_eq!(texts("x >= now -30d"), ["x", ">=", "now", "-", "30d"]);
        assert_eq!(texts("x=2024-01-31T10:00:00Z;y=2024-01-31"), ["x", "=", "2024-01-31T10:00:00Z", ";", "y", "=", "2024-01-31"]);
        assert_eq!(texts("1=>-4.20"), ["1", "=>", "-", "4.20"]);
    }

    #[test]
    fn comments_strings_and_odd_names_hide_what_is_in_them() {
        assert_eq!(texts("\"a # \\\" b\" # \"c\r\n`d e`"), ["\"a # \\\" b\"", "# \"c", "\n", "`d e`"]);
        assert_eq!(texts("\u{FEFF}\"open\nx"), ["\"open", "\n", "x"]);
    }
}
