//! Lists of entries as text: indentation, columns, blocks in one line or in several.

use super::formula::Formula;
use super::tree::{Block, Entry, Node, Part};
use crate::syntax::TokenKind;

/// A line with a block in it may be this long.
const BLOCK_WIDTH: usize = 100;

/// A line with steps is broken at its bars where it is longer.
const LINE_WIDTH: usize = 120;

/// What is wider than this makes no column wider: one long text must not push a whole block to the right.
const COLUMN_WIDTH: usize = 40;

/// The text of a file.
pub(super) fn print(nodes: &[Node<'_>]) -> String {
    let mut out = String::new();
    list(nodes, 0, "", &mut out);
    out
}

/// An entry in one line, cut where columns begin.
struct Row {
    /// What is before the arrow, or the name of an option; empty if the row has no columns.
    left: String,
    /// The arrow and what it points to, or the option's value.
    middle: String,
    /// Steps and flags.
    right: String,
    comment: Option<String>,
}

impl Row {
    fn has_columns(&self) -> bool {
        !self.middle.is_empty()
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn list(nodes: &[Node<'_>], depth: usize, owner: &str, out: &mut String) {
    let indent = "  ".repeat(depth);
    // Rows of neighboring lines share their columns.
    let mut run: Vec<Row> = Vec::new();
    let mut first = true;
    let mut after_block = false;
    for node in nodes {
        let gap = match node {
            Node::Comment { gap, .. } => *gap,
            Node::Entry(entry) => entry.gap || (depth == 0 && !first && is_item(entry) && !after_comment(out)),
        };
        // Items of a file are separated.
        let gap = gap || (depth == 0 && after_block);
        after_block = false;
        if gap && !first {
            flush(&mut run, &indent, out);
            out.push('\n');
        }
        first = false;
        match node {
            Node::Comment { text, .. } => {
                flush(&mut run, &indent, out);
                line(&indent, text, out);
            }
            Node::Entry(entry) => match one_line(entry, depth, owner) {
                Some(row) if row.has_columns() => run.push(row),
                Some(row) => {
                    flush(&mut run, &indent, out);
                    run.push(row);
                    flush(&mut run, &indent, out);
                }
                None => {
                    flush(&mut run, &indent, out);
                    several_lines(entry, depth, out);
                    after_block = entry.parts.iter().any(|p| matches!(p, Part::Block(_)));
                }
            },
        }
    }
    flush(&mut run, &indent, out);
}

fn line(indent: &str, text: &str, out: &mut String) {
    out.push_str(indent);
    out.push_str(text.trim_end());
    out.push('\n');
}

/// Whether the last line is a comment: it belongs to what follows.
fn after_comment(out: &str) -> bool {
    out.trim_end_matches('\n').rsplit('\n').next().is_some_and(|l| l.trim_start().starts_with('#'))
}

/// Whether an entry of the file is a block, which is separated from its neighbors.
fn is_item(entry: &Entry<'_>) -> bool {
    entry.parts.iter().any(|p| matches!(p, Part::Block(_)))
}

fn first_word<'t>(entry: &Entry<'t>) -> &'t str {
    match entry.parts.first() {
        Some(Part::Word(_, word)) => word,
        Some(Part::Block(_) | Part::Break) | None => "",
    }
}

/// Writes the rows of neighboring lines with their columns.
fn flush(run: &mut Vec<Row>, indent: &str, out: &mut String) {
    let widest = |of: &dyn Fn(&Row) -> Option<&String>| {
        run.iter().filter_map(of).map(|t| width(t)).filter(|w| *w <= COLUMN_WIDTH).max().unwrap_or(0)
    };
    let left = widest(&|r| r.has_columns().then_some(&r.left));
    let middle = widest(&|r| (!r.right.is_empty()).then_some(&r.middle));
    let texts: Vec<(String, Option<String>)> = run
        .drain(..)
        .map(|row| {
            if !row.has_columns() {
                return (row.left, row.comment);
            }
            let mut text = format!("{:left$} {}", row.left, row.middle);
            if !row.right.is_empty() {
                let used = width(&row.left).max(left) + 1;
                let pad = (used + middle).saturating_sub(width(&text));
                text.push_str(&" ".repeat(pad));
                text.push(' ');
                text.push_str(&row.right);
            }
            (text, row.comment)
        })
        .collect();
    let longest = texts.iter().filter(|(_, c)| c.is_some()).map(|(t, _)| width(t)).filter(|w| *w <= 2 * COLUMN_WIDTH).max().unwrap_or(0);
    for (text, comment) in texts {
        match comment {
            Some(comment) => line(indent, &format!("{text:longest$}  {comment}"), out),
            None => line(indent, &text, out),
        }
    }
}

/// Where the steps and the flags of an entry begin: those in parentheses are of an argument.
fn bars(parts: &[Part<'_>]) -> Vec<usize> {
    let mut depth = 0_usize;
    let mut found = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        match part {
            Part::Word(_, "(") => depth += 1,
            Part::Word(_, ")") => depth = depth.saturating_sub(1),
            Part::Word(_, "|" | "@") if depth == 0 => found.push(at),
            Part::Word(..) | Part::Block(_) | Part::Break => {}
        }
    }
    found
}

/// An entry as a row; `None` if it takes several lines.
fn one_line(entry: &Entry<'_>, depth: usize, owner: &str) -> Option<Row> {
    let arrow = entry.parts.iter().position(|p| matches!(p, Part::Word(_, "->" | "<-" | "<->" | "=>")));
    // Steps of a formula can be before the arrow.
    let bars = bars(&entry.parts);
    let steps = bars.iter().copied().find(|at| arrow.is_none_or(|arrow| arrow < *at));
    let comment = entry.comment.map(str::to_owned);
    let all = words(&entry.parts)?;
    let blocks = entry.parts.iter().any(|p| matches!(p, Part::Block(_)));
    let room = if blocks { BLOCK_WIDTH } else { LINE_WIDTH };
    let item = depth == 0 && blocks;
    if item || ((blocks || !bars.is_empty()) && width(&all) + 2 * depth > room) {
        return None;
    }
    let columns = |left: &[Part<'_>], middle: &[Part<'_>], right: &[Part<'_>], comment| {
        Some(Row { left: words(left)?, middle: words(middle)?, right: words(right)?, comment })
    };
    match arrow {
        // A key is not an ordinary field mapping.
        Some(at) if first_word(entry) != "key" || at == 0 => {
            let end = steps.unwrap_or(entry.parts.len());
            columns(&entry.parts[..at], &entry.parts[at..end], &entry.parts[end..], comment)
        }
        None if matches!(owner, "options" | "events") && entry.parts.len() == 2 => {
            columns(&entry.parts[..1], &entry.parts[1..], &[], comment)
        }
        Some(_) | None => Some(Row { left: all, middle: String::new(), right: String::new(), comment }),
    }
}

/// Words with the spaces between them, blocks in one line; `None` if a block or a list takes several.
fn words(parts: &[Part<'_>]) -> Option<String> {
    words_in(parts, &mut Formula::default())
}

/// The same, where a formula may continue from the words before.
fn words_in(parts: &[Part<'_>], formula: &mut Formula) -> Option<String> {
    let mut out = String::new();
    let mut before: Option<(TokenKind, &str)> = None;
    // The word before the last one: a minus after `now` is not the sign of a number.
    for part in parts {
        match part {
            Part::Word(kind, text) => {
                let in_formula = formula.blank_before(before.map(|(_, word)| word), text);
                if before.is_some_and(|left| in_formula.unwrap_or_else(|| blank_between(left, (*kind, text), &out))) {
                    out.push(' ');
                }
                out.push_str(text);
                before = Some((*kind, text));
            }
            Part::Block(block) => {
                out.push(' ');
                out.push_str(&in_one_line(block, parts)?);
                before = Some((TokenKind::Sign, "}"));
            }
            Part::Break => return None,
        }
    }
    Some(out)
}

/// Words with the spaces between them, and lists over several lines. `indent` is that of the first line.
fn broken(parts: &[Part<'_>], indent: &str) -> String {
    let mut formula = Formula::default();
    let mut pieces = parts.split(|part| matches!(part, Part::Break));
    let mut out = pieces.next().and_then(|piece| words_in(piece, &mut formula)).unwrap_or_default();
    for piece in pieces {
        let closes = matches!(piece.first(), Some(Part::Word(_, ")")));
        out.push('\n');
        out.push_str(indent);
        out.push_str(if closes { "" } else { "  " });
        out.push_str(&words_in(piece, &mut formula).unwrap_or_default());
    }
    out
}

fn in_one_line(block: &Block<'_>, parts: &[Part<'_>]) -> Option<String> {
    if block.nodes.is_empty() && block.comment.is_none() {
        return Some("{}".to_owned());
    }
    if !block.in_one_line {
        return None;
    }
    let values = matches!(parts.first(), Some(Part::Word(_, "given" | "expect")));
    let entries = block.nodes.iter().map(|node| match node {
        Node::Entry(entry) => words(&entry.parts),
        Node::Comment { .. } => None,
    });
    let entries: Vec<String> = entries.collect::<Option<_>>()?;
    Some(format!("{{ {} }}", entries.join(if values { ", " } else { "; " })))
}

/// Whether there is a space between two words. `out` is what precedes the second one.
fn blank_between(left: (TokenKind, &str), right: (TokenKind, &str), out: &str) -> bool {
    match (left, right) {
        (_, (_, "," | ")" | "." | ":")) | ((_, "." | "(" | "@"), _) => false,
        // A call has none; a list has one.
        ((TokenKind::Word, word), (_, "(")) => matches!(word, "in" | "and" | "or" | "not" | "when"),
        ((_, "-" | "+"), (TokenKind::Number, _)) => is_offset(out),
        _ => true,
    }
}

/// Whether the sign at the end of a text is between a point in time and a duration, and not before a number.
fn is_offset(out: &str) -> bool {
    let before = out.trim_end_matches(['-', '+']).trim_end();
    let word = before.rsplit([' ', '(', ',']).next().unwrap_or_default();
    matches!(word, "now" | "today") || (word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('-'))
}

/// An entry with blocks of several lines, or with steps that are broken at their bars.
fn several_lines(entry: &Entry<'_>, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let comment = entry.comment.map(|c| format!("  {c}")).unwrap_or_default();
    let has_block = entry.parts.iter().any(|p| matches!(p, Part::Block(_)));
    if !has_block {
        // Broken at its bars.
        let mut from = 0;
        for i in bars(&entry.parts).into_iter().filter(|i| *i > 0 && matches!(entry.parts[*i], Part::Word(_, "|"))) {
            piece(&entry.parts[from..i], from, &indent, "", out);
            from = i;
        }
        piece(&entry.parts[from..], from, &indent, &comment, out);
        return;
    }
    let mut from = 0;
    let mut open = indent.clone();
    for (i, part) in entry.parts.iter().enumerate() {
        let Part::Block(block) = part else { continue };
        let head = broken(&entry.parts[from..i], &indent);
        let behind = block.comment.map(|c| format!("  {c}")).unwrap_or_default();
        let blank = if head.is_empty() || open.ends_with(' ') && head.is_empty() { "" } else { " " };
        let keyword = first_word(entry);
        if block.nodes.is_empty() && block.comment.is_none() {
            open = format!("{open}{head}{blank}{{}}");
        } else {
            out.push_str(&open);
            // Words between two blocks: `} else {`.
            if open.ends_with('}') && !head.is_empty() {
                out.push(' ');
            }
            out.push_str(&head);
            out.push_str(blank);
            out.push('{');
            out.push_str(&behind);
            out.push('\n');
            list(&block.nodes, depth + 1, keyword, out);
            open = format!("{indent}}}");
        }
        from = i + 1;
    }
    let tail = broken(&entry.parts[from..], &indent);
    let blank = if tail.is_empty() { "" } else { " " };
    out.push_str(&open);
    out.push_str(blank);
    out.push_str(&tail);
    out.push_str(&comment);
    out.push('\n');
}

fn piece(parts: &[Part<'_>], from: usize, indent: &str, comment: &str, out: &mut String) {
    let deeper = if from == 0 { "" } else { "  " };
    let text = broken(parts, &format!("{indent}{deeper}"));
    line(indent, &format!("{deeper}{text}{comment}"), out);
}
