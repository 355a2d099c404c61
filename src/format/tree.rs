//! Tokens as nested lists of entries, with their comments and blank lines.

use crate::syntax::{Token, TokenKind};

/// What stands in a list.
#[derive(Debug)]
pub(super) enum Node<'t> {
    /// A comment on a line of its own.
    Comment {
        text: &'t str,
        /// Whether a blank line stands before it.
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
    /// Whether a blank line stands before it.
    pub(super) gap: bool,
}

/// A piece of an entry.
#[derive(Debug)]
pub(super) enum Part<'t> {
    Word(TokenKind, &'t str),
    Block(Block<'t>),
}

/// `{ … }`
#[derive(Debug)]
pub(super) struct Block<'t> {
    pub(super) nodes: Vec<Node<'t>>,
    /// The comment behind the opening brace.
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
    // Braces balance in such a text; should one be left all the same, its rest is read as more of the list.
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

    /// The next token that is neither a line's end nor a comment.
    fn next_word(&self) -> Option<&'t str> {
        let rest = self.tokens.get(self.at..)?;
        rest.iter().find(|t| !matches!(t.kind, TokenKind::Newline | TokenKind::Comment)).map(|t| t.text(self.text))
    }

    /// Entries to the closing brace, which is left to the caller. `values`: commas separate entries.
    fn list(&mut self, values: bool) -> Vec<Node<'t>> {
        let mut nodes: Vec<Node<'t>> = Vec::new();
        let mut newlines = 0;
        // Whether the present line has an entry already, whose end a comment may stand at.
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
                    // Comments in the midst of an entry stand before it.
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
        while let Some((kind, text)) = self.peek() {
            match (kind, text) {
                (TokenKind::Newline, _) | (TokenKind::Comment, _) if !matches!(self.next_word(), Some("|" | "{")) => break,
                (TokenKind::Newline, _) => self.at += 1,
                (TokenKind::Comment, _) => {
                    between.push(text);
                    self.at += 1;
                }
                (_, ";" | "}") => break,
                (_, ",") if values => break,
                (_, "{") => {
                    let keyword = entry.parts.first().map(|p| match p {
                        Part::Word(_, word) => *word,
                        Part::Block(_) => "",
                    });
                    let block = self.block(matches!(keyword, Some("given" | "expect")));
                    entry.parts.push(Part::Block(block));
                }
                _ => {
                    entry.parts.push(Part::Word(kind, text));
                    self.at += 1;
                }
            }
        }
        (entry, between)
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
