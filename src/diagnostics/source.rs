//! The texts that diagnostics point into: files, and places in them.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A file of a [`Sources`] collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A range of bytes in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// A span of `range` in `file`; offsets beyond 4 GiB cannot occur, since files are limited to a few megabytes.
    pub fn new(file: FileId, range: Range<usize>) -> Span {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span { file, start: clamp(range.start), end: clamp(range.end) }
    }

    /// The byte range.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// From the start of this span to the end of another of the same file.
    pub fn to(self, other: Span) -> Span {
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A place for people: both numbers count from one; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// One text with its name.
#[derive(Debug)]
pub struct SourceFile {
    /// The name shown to people: a path with `/`, relative to where the command was called or to the project.
    pub name: String,
    /// The text.
    pub text: Arc<str>,
    line_starts: OnceLock<Vec<u32>>,
    /// How many characters begin before each multiple of [`STRIDE`], so that a column deep in a long line is not counted
    /// from the beginning of that line for every finding.
    characters: OnceLock<Vec<u32>>,
}

/// The distance of the marks in [`SourceFile::characters`], in bytes.
const STRIDE: usize = 1024;

impl SourceFile {
    fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            let ends = self.text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
            std::iter::once(0).chain(ends.map(|(i, _)| u32::try_from(i + 1).unwrap_or(u32::MAX))).collect()
        })
    }

    /// The number of the line that holds a byte, counted from zero.
    pub fn line_at(&self, offset: usize) -> usize {
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        self.line_starts().partition_point(|s| *s <= offset).saturating_sub(1)
    }

    /// How many lines there are; what follows the last line break is a line, even if it is empty.
    pub fn line_count(&self) -> usize {
        self.line_starts().len()
    }

    /// The bytes of a line, counted from zero, without its line break. Empty at the end of the text for a line that does
    /// not exist.
    pub fn line_range(&self, line: usize) -> Range<usize> {
        let starts = self.line_starts();
        let Some(start) = starts.get(line).map(|s| *s as usize) else { return self.text.len()..self.text.len() };
        let end = starts.get(line + 1).map_or(self.text.len(), |next| *next as usize - 1);
        let text = &self.text[start..end];
        start..start + text.strip_suffix('\r').unwrap_or(text).len()
    }

    /// How many characters begin before a byte.
    fn characters_before(&self, offset: usize) -> usize {
        let count = |bytes: &[u8]| bytes.iter().filter(|b| !is_continuation(**b)).count();
        let marks = self.characters.get_or_init(|| {
            let mut total = 0;
            let strides = self.text.as_bytes().chunks(STRIDE).map(|chunk| {
                total += count(chunk);
                u32::try_from(total).unwrap_or(u32::MAX)
            });
            std::iter::once(0).chain(strides).collect()
        });
        let whole = offset / STRIDE;
        let rest = self.text.as_bytes().get(whole * STRIDE..offset).unwrap_or_default();
        marks.get(whole).copied().unwrap_or(0) as usize + count(rest)
    }

    /// The line and column of a byte offset. An offset inside a character has the column of that character.
    pub fn position(&self, offset: u32) -> Position {
        let line = self.line_at(offset as usize);
        let start = self.line_starts().get(line).copied().unwrap_or(0) as usize;
        let mut end = (offset as usize).min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let column = self.characters_before(end) - self.characters_before(start.min(end));
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX - 1) + 1;
        Position { line: count(line), column: count(column) }
    }
}

/// Whether a byte of UTF-8 is not the first of its character.
fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// All texts of one run of the tool.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// Adds a text under a name.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(SourceFile { name: name.into(), text: text.into(), line_starts: OnceLock::new(), characters: OnceLock::new() });
        id
    }

    /// The file of an id that this collection gave out.
    pub fn get(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// The files in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &SourceFile)> {
        self.files.iter().enumerate().map(|(i, f)| (FileId(u32::try_from(i).unwrap_or(u32::MAX)), f))
    }

    /// The name, line and column of a span's start.
    pub fn locate(&self, span: Span) -> (&str, Position) {
        match self.get(span.file) {
            Some(file) => (&file.name, file.position(span.start)),
            None => ("", Position { line: 1, column: 1 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_columns_count_characters() {
        let mut sources = Sources::default();
        let id = sources.add("a", "äb\ncd");
        let at = |o| sources.get(id).unwrap().position(o);
        assert_eq!(at(0), Position { line: 1, column: 1 });
        assert_eq!(at(2), Position { line: 1, column: 2 });
        assert_eq!(at(4), Position { line: 2, column: 1 });
        assert_eq!(at(99), Position { line: 2, column: 3 });
    }

    #[test]
    fn lines_are_known_by_their_number_without_their_breaks() {
        let mut sources = Sources::default();
        let id = sources.add("a", "one\r\n\ntwo\n");
        let file = sources.get(id).unwrap();
        let lines: Vec<_> = (0..file.line_count()).map(|n| &file.text[file.line_range(n)]).collect();
        assert_eq!(lines, ["one", "", "two", ""]);
        assert_eq!((file.line_at(0), file.line_at(4), file.line_at(5), file.line_at(99)), (0, 0, 1, 3));
        assert_eq!(file.line_range(9), 10..10);
    }

    proptest::proptest! {
        /// The rule is the plain count; the marks only make it fast.
        #[test]
        fn a_position_is_what_counting_from_the_beginning_gives(text in "[aä😀\n\r\t ]{0,4000}", at in 0_usize..12_000) {
            let mut sources = Sources::default();
            let id = sources.add("a", text.as_str());
            let mut end = at.min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            let before = &text[..end];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let position = sources.get(id).unwrap().position(u32::try_from(at).unwrap());
            proptest::prop_assert_eq!((position.line as usize, position.column as usize), (line, column));
        }
    }
}
