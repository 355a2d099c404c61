//! The lines of a file that a finding shows.
//!
//! The renderer (miette) looks for a span by reading the source from its beginning, once for each label, and it panics when a
//! label is beyond column 65,535, the largest width that Rust's formatting knows. So it never sees the file: it gets these
//! few lines, found by the file's index, cut around what is marked, with control characters escaped. They keep the numbers
//! that they have in the file.

use std::ops::Range;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use crate::diagnostics::{SourceFile, Span};
use crate::printable;

/// Lines shown before and after a marked one.
pub const CONTEXT: usize = 1;
/// A longer line is cut, in bytes.
const LONGEST_LINE: usize = 400;
/// What is shown of a longer line before the marked place, and of it and after it.
const BEFORE: usize = 60;
const AFTER: usize = 300;
/// If a finding marks more lines than this, only the first of them is shown.
const MOST_LINES: usize = 40;

/// The lines around the labels of one finding in one file.
pub struct Excerpt {
    name: String,
    /// The lines that are shown, each with its line break.
    text: String,
    lines: Vec<Line>,
    /// The labels' places in `text`, in the order in which they were given.
    spans: Vec<SourceSpan>,
    /// Line and column of each label in the file, both from zero.
    places: Vec<(usize, usize)>,
}

/// A line of an excerpt.
struct Line {
    /// Its number in the file, from zero.
    number: usize,
    /// Its bytes in the excerpt, with the line break.
    at: Range<usize>,
    /// What of the file it shows.
    window: Range<usize>,
}

impl Excerpt {
    /// The lines around `labels`, of which the first is the most important: a line that is too long is cut around it.
    pub fn new(file: &SourceFile, labels: &[Span]) -> Excerpt {
        let labels: Vec<Range<usize>> = labels.iter().map(|span| shown(file, *span)).collect();
        let mut numbers: Vec<usize> = labels
            .iter()
            .flat_map(|label| {
                let (first, last) = (file.line_at(label.start), file.line_at(label.end));
                first.saturating_sub(CONTEXT)..(last + CONTEXT + 1).min(file.line_count())
            })
            // Nothing follows the last line break of a file.
            .filter(|number| *number == 0 || *number + 1 < file.line_count() || !file.line_range(*number).is_empty())
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        let mut excerpt = Excerpt {
            name: printable::inline(&file.name).into_owned(),
            text: String::new(),
            lines: Vec::new(),
            spans: Vec::new(),
            places: Vec::new(),
        };
        for number in numbers {
            excerpt.push_line(file, number, &labels);
        }
        for label in &labels {
            let start = excerpt.offset(file, label.start);
            let end = excerpt.offset(file, label.end).max(start);
            excerpt.spans.push((start, end - start).into());
            let at = file.position(u32::try_from(label.start).unwrap_or(u32::MAX));
            excerpt.places.push((at.line as usize - 1, at.column as usize - 1));
        }
        excerpt
    }

    /// Where the label with this number is in the excerpt.
    pub fn span(&self, label: usize) -> SourceSpan {
        self.spans.get(label).copied().unwrap_or_else(|| (0, 0).into())
    }

    fn push_line(&mut self, file: &SourceFile, number: usize, labels: &[Range<usize>]) {
        let line = file.line_range(number);
        let window = if line.len() <= LONGEST_LINE {
            line.clone()
        } else {
            let marked = labels.iter().map(|l| l.start).find(|start| (line.start..=line.end).contains(start)).unwrap_or(line.start);
            let start = boundary(&file.text, marked.saturating_sub(BEFORE).max(line.start));
            start..boundary(&file.text, (marked + AFTER).min(line.end))
        };
        let begin = self.text.len();
        if window.start > line.start {
            self.text.push('…');
        }
        push_source(&mut self.text, &file.text[window.clone()]);
        if window.end < line.end {
            self.text.push('…');
        }
        self.text.push('\n');
        self.lines.push(Line { number, at: begin..self.text.len(), window });
    }

    /// The place in the excerpt of a byte of the file; one that is cut off is at the nearest place that is shown.
    fn offset(&self, file: &SourceFile, at: usize) -> usize {
        let number = file.line_at(at);
        let Some(line) = self.lines.iter().find(|l| l.number == number) else { return 0 };
        let lead = if line.window.start > file.line_range(number).start { '…'.len_utf8() } else { 0 };
        let mut before = String::new();
        push_source(&mut before, &file.text[line.window.start..boundary(&file.text, at.clamp(line.window.start, line.window.end))]);
        line.at.start + lead + before.len()
    }

    /// The line of an offset, by its place in the list.
    fn line_of(&self, offset: usize) -> Option<usize> {
        self.lines.iter().position(|l| l.at.contains(&offset))
    }

    /// Whether the lines from one to another are neighbors in the file.
    fn without_gap(&self, first: usize, last: usize) -> bool {
        self.lines[last].number - self.lines[first].number == last - first
    }
}

/// What of a finding's span is marked: within the text, without a line break at its end, and of a span over very many lines
/// only the first.
fn shown(file: &SourceFile, span: Span) -> Range<usize> {
    let start = boundary(&file.text, (span.start as usize).min(span.end as usize));
    let end = boundary(&file.text, span.end as usize);
    let line = file.line_at(start);
    let last = file.line_at(end);
    let at_end = start == end && start == file.text.len();
    if last > 0 && file.line_range(last).start == end && (last > line || at_end) {
        let end = file.line_range(last - 1).end;
        return start.min(end)..end;
    }
    if last - line >= MOST_LINES { start..file.line_range(line).end.max(start) } else { start..end }
}

/// The beginning of the character at an offset, or the end of the text.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A piece of a line as it is shown: tabs stay, other control characters are escaped.
fn push_source(out: &mut String, text: &str) {
    for c in text.chars() {
        if printable::is_hidden(c) && c != '\t' { printable::push_escaped(out, c) } else { out.push(c) }
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(&'a self, span: &SourceSpan, before: usize, after: usize) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let last_byte = (span.offset() + span.len()).saturating_sub(1).max(span.offset());
        let (Some(mut first), Some(mut last)) = (self.line_of(span.offset()), self.line_of(last_byte)) else {
            return Err(MietteError::OutOfBounds);
        };
        // Two labels whose lines are not neighbors are shown as two excerpts.
        if !self.without_gap(first, last) {
            return Err(MietteError::OutOfBounds);
        }
        for _ in 0..before {
            if first > 0 && self.without_gap(first - 1, first) {
                first -= 1;
            }
        }
        for _ in 0..after {
            if last + 1 < self.lines.len() && self.without_gap(last, last + 1) {
                last += 1;
            }
        }
        let range = self.lines[first].at.start..self.lines[last].at.end;
        // Without context, the renderer asks for the place that it prints above the lines.
        let (line, column) = match self.spans.iter().position(|s| s.offset() == span.offset()).filter(|_| before == 0) {
            Some(label) => self.places[label],
            None => (self.lines[first].number, 0),
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            &self.text.as_bytes()[range.clone()],
            (range.start, range.len()).into(),
            line,
            column,
            last - first + 1,
        )))
    }
}
