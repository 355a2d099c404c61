//! The comments of a mapping file, by the entries that they belong to.

use std::ops::Range;

use crate::syntax::{TokenKind, tokens};

/// The comments of a file, which are read in order.
pub(super) struct Comments<'t> {
    text: &'t str,
    /// The place of each, and its text without the `#`.
    all: Vec<(Range<usize>, &'t str)>,
    /// How many were read.
    taken: usize,
}

/// The comments of an entry.
#[derive(Debug, Default)]
pub(super) struct Remarks<'t> {
    /// What is before it, with an empty line between.
    pub loose: Vec<&'t str>,
    /// What is directly above it, in it and at its end.
    pub own: Vec<&'t str>,
}

impl<'t> Remarks<'t> {
    /// All of them, one on each line.
    pub fn all(self) -> String {
        lines(self.loose.into_iter().chain(self.own))
    }
}

/// Comments as the text of a cell.
pub(super) fn lines<'t>(comments: impl IntoIterator<Item = &'t str>) -> String {
    comments.into_iter().collect::<Vec<_>>().join("\n")
}

impl<'t> Comments<'t> {
    /// The comments of a file from a place on.
    pub fn of(text: &'t str, from: usize) -> Comments<'t> {
        let comment = |token: &crate::syntax::Token| token.kind == TokenKind::Comment && token.range.start >= from;
        let words = |range: Range<usize>| text.get(range).unwrap_or_default().trim_start_matches('#').trim();
        let all = tokens(text).into_iter().filter(comment).map(|token| (token.range.clone(), words(token.range))).collect();
        Comments { text, all, taken: 0 }
    }

    /// Reads the comments that begin before a place.
    pub fn until(&mut self, end: usize) -> Vec<&'t str> {
        let rest = &self.all[self.taken..];
        let count = rest.iter().take_while(|(range, _)| range.start < end).count();
        let found = rest[..count].iter().map(|(_, words)| *words).filter(|words| !words.is_empty()).collect();
        self.taken += count;
        found
    }

    /// Reads the comments before an entry.
    pub fn before(&mut self, start: usize) -> Remarks<'t> {
        let rest = &self.all[self.taken..];
        let count = rest.iter().take_while(|(range, _)| range.start < start).count();
        let mut next = start;
        let touching = rest[..count].iter().rev().take_while(|(range, _)| {
            let between = self.text.get(range.end..next).unwrap_or_default();
            next = range.start;
            between.matches('\n').count() <= 1
        });
        let first = rest[..count].get(count - touching.count()).map_or(start, |(range, _)| range.start);
        Remarks { loose: self.until(first), own: self.until(start) }
    }

    /// Reads the comment after a place, if there is nothing between them on the line but the end of the entry.
    pub fn after(&mut self, end: usize) -> Vec<&'t str> {
        let Some((range, _)) = self.all.get(self.taken) else { return Vec::new() };
        let between = self.text.get(end..range.start);
        match between.is_some_and(|between| between.chars().all(|c| matches!(c, ' ' | '\t' | ';' | ','))) {
            true => self.until(range.end),
            false => Vec::new(),
        }
    }

    /// Reads the comments of an entry: those before it, in it and at its end.
    pub fn entry(&mut self, span: Range<usize>) -> Remarks<'t> {
        let mut remarks = self.before(span.start);
        remarks.own.extend(self.until(span.end));
        remarks.own.extend(self.after(span.end));
        remarks
    }

    /// Reads the comments before a block and on its first line.
    pub fn head(&mut self, span: Range<usize>) -> String {
        let mut remarks = self.before(span.start);
        let line = self.text.get(span.start..).and_then(|block| block.lines().next()).map_or(0, str::len);
        remarks.own.extend(self.until(span.start + line));
        remarks.all()
    }
}
