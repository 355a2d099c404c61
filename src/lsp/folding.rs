//! Blocks and comments that an editor can fold.

use lsp_types::{FoldingRange, FoldingRangeKind};

use super::documents::Source;
use crate::syntax::{TokenKind, tokens};

/// The blocks of several lines, and the comments of several lines.
pub(super) fn of(file: &Source) -> Vec<FoldingRange> {
    let line = |offset: usize| file.lines.position(offset).line;
    let (mut folds, mut open) = (Vec::new(), Vec::new());
    // The first and the last line of the comments that follow each other.
    let mut comments: Option<(u32, u32)> = None;
    for token in tokens(&file.text) {
        let (word, at) = (token.text(&file.text), line(token.range.start));
        match token.kind {
            TokenKind::Comment => {
                comments = Some(match comments.filter(|(_, last)| *last + 1 == at) {
                    Some((first, _)) => (first, at),
                    None => {
                        folds.extend(comment(comments));
                        (at, at)
                    }
                });
            }
            TokenKind::Sign if word == "{" => open.push(at),
            TokenKind::Sign if word == "}" => {
                // The line with the closing brace stays visible.
                folds.extend(open.pop().filter(|first| *first + 1 < at).map(|first| fold(first, at - 1, None)));
            }
            TokenKind::Sign | TokenKind::Word | TokenKind::Number | TokenKind::Text | TokenKind::Newline => {}
        }
    }
    folds.extend(comment(comments));
    folds.sort_by_key(|fold| (fold.start_line, fold.end_line));
    folds
}

fn comment(lines: Option<(u32, u32)>) -> Option<FoldingRange> {
    lines.filter(|(first, last)| first < last).map(|(first, last)| fold(first, last, Some(FoldingRangeKind::Comment)))
}

fn fold(start_line: u32, end_line: u32, kind: Option<FoldingRangeKind>) -> FoldingRange {
    FoldingRange { start_line, end_line, kind, ..FoldingRange::default() }
}
