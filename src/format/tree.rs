//! Tokens as nested lists of entries, with their comments and blank lines.

use crate::syntax::{Token, TokenKind};

/// What a list contains.
#[derive(Debug)]
pub(super) enum Node<'t> {
    /// A comment on a separate line.
    Comment {
        text: &'t str,
        /// Whether a blank line precedes it.
        gap: bool,
    },
    /// An entry.
    Entry(Entry<'t>),
}

/// Words with blocks among them.
#[derive(Debug)]
pub(super) struct Entry<'t> {
    pub(super) parts: Vec<Part<'t>>,
    /// The comment at its end.
    pub(super) comment: Option<&'t str>,
    /// Whether a blank line precedes it.
    pub(super) gap: bool,
}

/// A piece of an entry.
#[derive(Debug)]
pub(super) enum Part<'t> {
    Word(TokenKind, &'t str),
    Block(Block<'t>),
    /// A line's end in a list in parentheses.
    Break,
}

/// `{ … }`
#[derive(Debug)]
pub(super) struct Block<'t> {
    pub(super) nodes: Vec<Node<'t>>,
    /// The comment after the opening brace.
    pub(super) comment: Option<&'t str>,
    /// Whether its author wrote it in one line.
    pub(super) in_one_line: bool,
}

struct Reader<'t> {
    text: &'t str,
    tokens: &'t [Token],
    at: usize,
}

/// Reads the tokens of a text that follows the grammar.
pub(super) fn read<'t>(text: &'t str, tokens: &'t [Token]) -> Vec<Node<'t>> {
    let mut reader = Reader { text, tokens, at: 0 };
    let mut nodes = reader.list(false);
    // Braces balance in such a text; if one is left nevertheless, the rest is read as part of the list.
    while reader.at < tokens.len() {
        reader.at += 1;
        nodes.extend(reader.list(false));
    }
    nodes
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<(TokenKind, &'t str)> {
        self.tokens.get(self.at).map(|t| (t.kind, t.text(self.text)))
    }

    /// The next tokens that are neither a line's end nor a comment.
    fn next_words(&self) -> impl Iterator<Item = &'t str> {
        let rest = self.tokens.get(self.at..).unwrap_or_default();
        rest.iter().filter(|t| !matches!(t.kind, TokenKind::Newline | TokenKind::Comment)).map(|t| t.text(self.text))
    }

    /// Entries to the closing brace, which is left to the caller. `values`: commas separate entries.
    fn list(&mut self, values: bool) -> Vec<Node<'t>> {
        let mut nodes: Vec<Node<'t>> = Vec::new();
        let mut newlines = 0;
        // Whether the current line already has an entry, at whose end a comment can be.
        let mut on_line = false;
        while let Some((kind, text)) = self.peek() {
            match (kind, text) {
                (TokenKind::Newline, _) => {
                    newlines += 1;
                    on_line = false;
                    self.at += 1;
                }
                (TokenKind::Comment, _) => {
                    self.at += 1;
                    match nodes.last_mut() {
                        Some(Node::Entry(entry)) if on_line && entry.comment.is_none() => entry.comment = Some(text),
                        _ => nodes.push(Node::Comment { text, gap: newlines > 1 && !nodes.is_empty() }),
                    }
                    newlines = 0;
                }
                (_, "}") => break,
                (_, ";") => self.at += 1,
                (_, ",") if values => self.at += 1,
                _ => {
                    let gap = newlines > 1 && !nodes.is_empty();
                    let (mut entry, between) = self.entry(values);
                    entry.gap = gap;
                    // Comments within an entry are written before it.
                    for (i, text) in between.into_iter().enumerate() {
                        nodes.push(Node::Comment { text, gap: gap && i == 0 });
                        entry.gap = false;
                    }
                    nodes.push(Node::Entry(entry));
                    on_line = true;
                    newlines = 0;
                }
            }
        }
        nodes
    }

    /// One entry, and the comments in its midst.
    fn entry(&mut self, values: bool) -> (Entry<'t>, Vec<&'t str>) {
        let mut entry = Entry { parts: Vec::new(), comment: None, gap: false };
        let mut between = Vec::new();
        let mut parens = 0_usize;
        while let Some((kind, text)) = self.peek() {
            match (kind, text) {
                // A list goes over several lines if its author wrote it so, and keeps their ends.
                (TokenKind::Newline, _) if parens > 0 => {
                    if !matches!(entry.parts.last(), Some(Part::Break)) {
                        entry.parts.push(Part::Break);
                    }
                    self.at += 1;
                }
                (TokenKind::Comment, _) if parens > 0 => {
                    between.push(text);
                    self.at += 1;
                }
                (TokenKind::Newline, _) | (TokenKind::Comment, _) if !self.goes_on(&entry) => break,
                (TokenKind::Newline, _) => self.at += 1,
                (TokenKind::Comment, _) => {
                    between.push(text);
                    self.at += 1;
                }
                (_, ";" | "}") => break,
                (_, ",") if values && parens == 0 => break,
                (_, "{") => {
                    let keyword = entry.parts.first().map(|p| match p {
                        Part::Word(_, word) => *word,
                        Part::Block(_) | Part::Break => "",
                    });
                    let block = self.block(matches!(keyword, Some("given" | "expect")));
                    entry.parts.push(Part::Block(block));
                }
                _ => {
                    match (kind, text) {
                        (TokenKind::Sign, "(") => parens += 1,
                        (TokenKind::Sign, ")") => parens = parens.saturating_sub(1),
                        _ => {}
                    }
                    entry.parts.push(Part::Word(kind, text));
                    self.at += 1;
                }
            }
        }
        entry.parts = lists_in_form(entry.parts);
        (entry, between)
    }

    /// Whether an entry continues in the next line: with a step, a block, the `else` of a `when`, or the `or` of a step or of `adopt`.
    fn goes_on(&self, entry: &Entry<'t>) -> bool {
        let mut words = self.next_words();
        match words.next() {
            Some("|" | "{") => true,
            Some("or") => match (entry.parts.first(), words.next()) {
                // A field can have the name `or`.
                (Some(Part::Word(_, "adopt")), Some(word)) => !matches!(word, "->" | "<-" | "<->" | "." | "|"),
                (_, word) => matches!(word, Some("null" | "default" | "keep" | "reject" | "later" | "create")),
            },
            Some("else") => {
                matches!(entry.parts.first(), Some(Part::Word(_, "when"))) && entry.parts.iter().any(|p| matches!(p, Part::Block(_)))
            }
            _ => false,
        }
    }

    fn block(&mut self, values: bool) -> Block<'t> {
        let open = self.at;
        self.at += 1;
        let comment = match self.peek() {
            Some((TokenKind::Comment, text)) => {
                self.at += 1;
                Some(text)
            }
            _ => None,
        };
        let nodes = self.list(values);
        let inner = self.tokens.get(open..self.at).unwrap_or_default();
        let in_one_line = !inner.iter().any(|t| matches!(t.kind, TokenKind::Newline | TokenKind::Comment));
        // The closing brace.
        self.at += 1;
        Block { nodes, comment, in_one_line }
    }
}

/// The parts with the line ends of lists where they belong: in a list over several lines, after `(`, before `)` and never before a comma.
fn lists_in_form(parts: Vec<Part<'_>>) -> Vec<Part<'_>> {
    if !parts.iter().any(|part| matches!(part, Part::Break)) {
        return parts;
    }
    let mut out: Vec<Part<'_>> = Vec::with_capacity(parts.len() + 2);
    let mut list: Vec<Part<'_>> = Vec::new();
    for part in parts {
        let sign = match &part {
            Part::Word(TokenKind::Sign, sign) => *sign,
            Part::Word(..) | Part::Block(_) | Part::Break => "",
        };
        match (sign, list.is_empty()) {
            ("(", _) => {
                out.append(&mut list);
                list.push(part);
            }
            (")", false) => {
                let broken = list.iter().any(|part| matches!(part, Part::Break));
                for (i, part) in std::mem::take(&mut list).into_iter().enumerate() {
                    let comma = matches!(part, Part::Word(TokenKind::Sign, ","));
                    let before_comma = comma && matches!(out.last(), Some(Part::Break));
                    if before_comma {
                        out.pop();
                    }
                    if !(matches!(part, Part::Break) && matches!(out.last(), Some(Part::Break))) {
                        out.push(part);
                    }
                    if before_comma || (i == 0 && broken) {
                        out.push(Part::Break);
                    }
                }
                if broken && !matches!(out.last(), Some(Part::Break)) {
                    out.push(Part::Break);
                }
                out.push(part);
            }
            (_, true) => out.push(part),
            (_, false) => list.push(part),
        }
    }
    out.append(&mut list);
    out
}
