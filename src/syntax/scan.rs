//! Checks the raw text before the grammar reads it: braces, strings, depth.
//!
//! A grammar cannot say much about an unclosed block, and one such block would hide all other errors of the file. So
//! the text is cut at the words that can only begin a top-level item, each piece is balanced on its own, and what is
//! missing or too much is reported here and fixed for the parser. Offsets never shift: what must go is overwritten with
//! spaces, what is missing is added at a piece's end.

use std::ops::Range;

use crate::diagnostics::{Code, Diagnostic, Diagnostics, FileId, Safety, Span};

/// How deep blocks may be nested. Deeper than any person reads; shallow enough for every recursive walk over the tree, and
/// for the readers of JSON, which stop at 128 levels (a group takes four of them in a plan).
pub const MAX_DEPTH: usize = 24;

/// A piece of the file that the grammar can read on its own.
#[derive(Debug)]
pub struct Piece {
    /// Where the piece begins in the file.
    pub start: usize,
    /// Its text, fixed.
    pub text: String,
    /// Its length in the file, without what was added.
    pub length: usize,
}

/// The pieces of a file and the places that are already reported.
#[derive(Debug, Default)]
pub struct Scan {
    /// In order, without gaps that hold anything.
    pub pieces: Vec<Piece>,
    /// Ranges that the parser need not report again.
    pub reported: Vec<Range<usize>>,
    /// Each `;` between values, which is read as a comma.
    pub separators: Vec<usize>,
}

struct Opener {
    offset: usize,
    indent: usize,
    /// How many parentheses were open before it.
    parens: usize,
}

/// An opening brace that is probably not closed.
struct Suspect {
    offset: usize,
    indent: usize,
    /// Where the line begins before which its closing brace is missing.
    before: usize,
}

struct Scanner<'a> {
    file: FileId,
    text: &'a str,
    bytes: &'a [u8],
    /// The text with the spaces.
    repaired: Vec<u8>,
    stack: Vec<Opener>,
    /// How many parentheses are open, those around open braces among them.
    parens: usize,
    /// An opener whose closing brace is indented less than its own line: probably the block whose brace is missing.
    suspect: Option<Suspect>,
    piece_start: usize,
    scan: Scan,
}

/// Cuts and balances a text. `None` if it is nested too deeply to continue.
pub fn scan(file: FileId, text: &str, diagnostics: &mut Diagnostics) -> Option<Scan> {
    let mut scanner = Scanner {
        file,
        text,
        bytes: text.as_bytes(),
        repaired: text.as_bytes().to_vec(),
        stack: Vec::new(),
        parens: 0,
        suspect: None,
        piece_start: 0,
        scan: Scan::default(),
    };
    scanner.run(diagnostics).then_some(scanner.scan)
}

impl Scanner<'_> {
    fn run(&mut self, diagnostics: &mut Diagnostics) -> bool {
        let mut at = 0;
        let mut line_start = 0;
        let mut at_line_start = true;
        while let Some(&byte) = self.bytes.get(at) {
            if at_line_start && !matches!(byte, b' ' | b'\t' | b'\r') {
                at_line_start = false;
                if begins_item(&self.text[at..], !self.stack.is_empty()) && at > self.piece_start {
                    self.end_piece(line_start, diagnostics);
                }
            }
            match byte {
                b'\n' => {
                    line_start = at + 1;
                    at_line_start = true;
                    at += 1;
                }
                b'#' => at = self.line_end(at),
                b'`' => at = self.token_end(at, b'`').unwrap_or(at + 1),
                b'"' => at = self.string(at, diagnostics),
                b'{' => {
                    self.stack.push(Opener { offset: at, indent: self.indent(line_start), parens: self.parens });
                    if self.too_deep(at, diagnostics) {
                        return false;
                    }
                    at += 1;
                }
                b'(' => {
                    self.parens += 1;
                    if self.too_deep(at, diagnostics) {
                        return false;
                    }
                    at += 1;
                }
                b')' => {
                    self.parens = self.parens.saturating_sub(1).max(self.outer_parens());
                    at += 1;
                }
                b';' if self.parens > self.outer_parens() && self.is_separator(at) => {
                    self.separator(at);
                    at += 1;
                }
                b';' => {
                    self.parens = self.outer_parens();
                    at += 1;
                }
                b'}' => {
                    self.close(at, line_start, diagnostics);
                    at += 1;
                }
                _ => at += 1,
            }
        }
        self.end_piece(self.bytes.len(), diagnostics);
        true
    }

    /// How many parentheses are open around the present block.
    fn outer_parens(&self) -> usize {
        self.stack.last().map_or(0, |opener| opener.parens)
    }

    /// Reports blocks and parentheses that are nested too deeply.
    fn too_deep(&self, at: usize, diagnostics: &mut Diagnostics) -> bool {
        let too_deep = self.stack.len() + self.parens > MAX_DEPTH;
        if too_deep {
            let message = format!("blocks are nested more than {MAX_DEPTH} deep");
            diagnostics.push(
                Diagnostic::new(Code::D004, self.span(at..at + 1), message, "this block is nested too deeply")
                    .help("write the conditions with fewer blocks and parentheses; the rest of this file was not read"),
            );
        }
        too_deep
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, range)
    }

    fn indent(&self, line_start: usize) -> usize {
        self.bytes[line_start..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count()
    }

    fn line_end(&self, from: usize) -> usize {
        self.bytes[from..].iter().position(|b| *b == b'\n').map_or(self.bytes.len(), |n| from + n)
    }

    /// The end of a quoted token on the same line, `None` if it is not closed there.
    fn token_end(&self, from: usize, quote: u8) -> Option<usize> {
        let mut at = from + 1;
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b'\n' => return None,
                b'\\' if quote == b'"' && self.bytes.get(at + 1).is_some_and(|b| *b != b'\n') => at += 2,
                b if b == quote => return Some(at + 1),
                _ => at += 1,
            }
        }
        None
    }

    fn string(&mut self, from: usize, diagnostics: &mut Diagnostics) -> usize {
        if let Some(end) = self.token_end(from, b'"') {
            return end;
        }
        let end = self.line_end(from);
        let shown = from + self.text[from..end].trim_end().len();
        diagnostics.push(
            Diagnostic::new(Code::D007, self.span(from..shown), "this string is not closed", "no closing `\"` on this line")
                .help("end the string with `\"`; write a line break in a string as `\\n`"),
        );
        self.repaired[from..end].fill(b' ');
        self.scan.reported.push(from..end);
        end
    }

    /// Whether there is a `;` between the values of a call or a list, which are closed on the same line.
    fn is_separator(&self, at: usize) -> bool {
        let line_start = self.text[..at].rfind('\n').map_or(0, |n| n + 1);
        let before = &self.text[line_start..at];
        let closes = self.text[at..self.line_end(at)].find([')', '{', '}', '(']).is_some_and(|n| self.bytes[at + n] == b')');
        let Some(open) = before.rfind('(') else { return false };
        let word = before[..open].trim_end().rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
        closes && !word.is_empty() && !matches!(word, "and" | "or" | "not" | "when" | "all" | "any") && !before[open..].contains(')')
    }

    /// Notes a `;` between values, and reads it as a comma.
    fn separator(&mut self, at: usize) {
        self.scan.separators.push(at);
        self.repaired[at] = b',';
    }

    fn close(&mut self, at: usize, line_start: usize, diagnostics: &mut Diagnostics) {
        match self.stack.pop() {
            Some(opener) => {
                self.parens = opener.parens;
                let first_on_line = self.text[line_start..at].trim().is_empty();
                if first_on_line && self.indent(line_start) < opener.indent && self.suspect.is_none() {
                    self.suspect = Some(Suspect { offset: opener.offset, indent: opener.indent, before: line_start });
                }
            }
            None => {
                diagnostics.push(
                    Diagnostic::new(Code::D006, self.span(at..at + 1), "this `}` has no `{`", "no block is open here")
                        .help("remove it, or check whether a block above it was closed too early"),
                );
                self.repaired[at] = b' ';
                self.scan.reported.push(at..at + 1);
            }
        }
    }

    fn end_piece(&mut self, end: usize, diagnostics: &mut Diagnostics) {
        let missing = self.stack.len();
        if let Some(first) = self.stack.first() {
            let what = if self.suspect.is_some() { "the `}` of this block seems to be missing" } else { "this `{` has no `}`" };
            let written = self.piece_start + self.text[self.piece_start..end].trim_end().len();
            let after = written + usize::from(self.bytes.get(written) == Some(&b'\n'));
            let (offset, indent, before) = match self.suspect.take() {
                Some(Suspect { offset, indent, before }) => (offset, indent, before),
                None => (first.offset, first.indent, after),
            };
            let line = self.text[..before].matches('\n').count() + usize::from(before == after && after == written) + 1;
            let text = format!("{}}}\n", " ".repeat(indent));
            let text = if before == after && after == written { format!("\n{}", text.trim_end_matches('\n')) } else { text };
            let diagnostic = Diagnostic::new(Code::D005, self.span(offset..offset + 1), "a block is never closed", what)
                .help(format!("add a line with `}}` as line {line}"))
                .fix(Safety::Unsafe, "add `}`", self.span(before..before), text);
            diagnostics.push(diagnostic);
        }
        let range = self.piece_start..end;
        // Blanks replace whole characters, so the bytes are UTF-8 still.
        let mut text = String::from_utf8_lossy(&self.repaired[range.clone()]).into_owned();
        if missing > 0 {
            text.push('\n');
            text.extend(std::iter::repeat_n('}', missing));
        }
        self.scan.pieces.push(Piece { start: range.start, text, length: range.len() });
        self.stack.clear();
        self.parens = 0;
        self.suspect = None;
        self.piece_start = end;
    }
}

/// Reports each `;` between values.
pub(super) fn report_separators<'a>(file: FileId, separators: impl Iterator<Item = &'a usize>, diagnostics: &mut Diagnostics) {
    for at in separators {
        let span = Span::new(file, *at..at + 1);
        diagnostics.push(
            Diagnostic::new(Code::D009, span, "values in parentheses are separated by commas", "expected `,` here")
                .help("write `,` instead of `;`")
                .fix(Safety::Safe, "write `,`", span, ","),
        );
    }
}

/// Whether a line can only be the beginning of a top-level item. Inside a block, where `test` may be a field, more of the
/// line must look like one.
fn begins_item(rest: &str, inside: bool) -> bool {
    let line = rest.split('\n').next().unwrap_or_default();
    let word_end = line.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(line.len());
    let (word, after) = line.split_at(word_end);
    if !matches!(word, "mapping" | "optout" | "events" | "test" | "table" | "let" | "include") {
        return false;
    }
    if !inside {
        return true;
    }
    let after = after.trim_start();
    let name_end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '`')).unwrap_or(after.len());
    let (name, after) = after.split_at(name_end);
    let after = after.trim_start();
    !name.is_empty()
        && match word {
            "mapping" | "events" => after.starts_with(':'),
            "optout" => after.starts_with('{'),
            "test" => after.starts_with('"'),
            "table" => after.strip_prefix("from").is_some_and(|rest| rest.trim_start().starts_with('"')),
            _ => false,
        }
}

/// Whether the grammar skips a character between words. It does not skip a non-breaking space, which is an error of its entry.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// The length of a text without the spaces and comments at its end, which the grammar counts to a rule whose last part is
/// optional.
pub(super) fn visible_length(text: &str) -> usize {
    if !text.contains('#') {
        return text.trim_end_matches(is_blank).len();
    }
    let (mut end, mut quote, mut escaped, mut comment) = (0, None, false, false);
    for (at, c) in text.char_indices() {
        match (comment, quote, c) {
            (true, _, '\n') => comment = false,
            (true, _, _) => continue,
            (false, Some('"'), '\\') if !escaped => {
                escaped = true;
                end = at + 1;
                continue;
            }
            (false, Some(q), c) if c == q && !escaped => quote = None,
            (false, None, '"' | '`') => quote = Some(c),
            (false, None, '#') => {
                comment = true;
                continue;
            }
            (false, _, _) => {}
        }
        escaped = false;
        if !is_blank(c) {
            end = at + c.len_utf8();
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::visible_length;

    #[test]
    fn comments_and_spaces_at_the_end_are_not_part_of_an_entry() {
        assert_eq!(visible_length("a -> b  # why \n "), 6);
        assert_eq!(visible_length("\"#\\\"#\" -> b #x"), 11);
        assert_eq!(visible_length("a { # one\n b }"), 14);
        assert_eq!(visible_length("# only"), 0);
        // A space that the grammar does not skip is part of the entry, so that it is found.
        assert_eq!(visible_length("a -> b\u{a0} "), 8);
        assert_eq!(visible_length("a -> b\u{a0} # why"), 8);
    }
}
