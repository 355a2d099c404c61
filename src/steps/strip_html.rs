//! `strip_html`: the text of HTML, without tags.

use std::borrow::Cow;

use super::{Row, Rule, Step, Text};

/// The step.
pub const STEP: Step = Step {
    name: "strip_html",
    usage: "strip_html",
    summary: "the text of HTML, without tags and character names",
    rows: &[
        Row {
            signature: "`strip_html`",
            takes: "text",
            gives: "the text of HTML: without tags, comments, scripts and styles, with `&` instead of `&amp;`, a line break after a paragraph, a row and `<br>`, and one space instead of any other run of white space. A text without HTML keeps its words. A `<` without a tag name after it stays",
        },
    ],
    samples: &["strip_html"],
    rule: Rule::Text(Text { apply: strip_html, longest: |most| most, may_leave_nothing: true }),
};

/// Elements whose content is not text that a reader sees.
const HIDDEN: [&str; 5] = ["script", "style", "head", "title", "template"];

/// Elements that end a line.
const LINES: [&str; 19] = [
    "address", "article", "blockquote", "br", "div", "dd", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "p", "section", "table",
    "tr",
];

/// What is written before the next character that is not white space. A gap stands for at least as many characters of the source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    No,
    Space,
    Line,
}

/// The text of HTML. It never has more UTF-16 code units than its source: a tag of at least three characters becomes one line end at most, and
/// no name of a character (`&lt;`) is shorter than what it stands for.
fn strip_html(text: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len());
    let mut gap = Gap::No;
    let mut rest = text;
    while !rest.is_empty() {
        match rest.find('<') {
            Some(0) => match tag(rest) {
                Some(Tag { name, closing, length }) => {
                    rest = &rest[length..];
                    if !closing && HIDDEN.contains(&name.as_str()) {
                        rest = after_element(rest, &name);
                    }
                    if LINES.contains(&name.as_str()) {
                        gap = gap.max(Gap::Line);
                    }
                }
                None => {
                    write("<", &mut gap, &mut out);
                    rest = &rest[1..];
                }
            },
            at => {
                let (words, tail) = rest.split_at(at.unwrap_or(rest.len()));
                write(&html_escape::decode_html_entities(words), &mut gap, &mut out);
                rest = tail;
            }
        }
    }
    Cow::Owned(out)
}

/// Writes text with its white space as gaps.
fn write(text: &str, gap: &mut Gap, out: &mut String) {
    for c in text.chars() {
        if c.is_whitespace() {
            *gap = (*gap).max(Gap::Space);
            continue;
        }
        match gap {
            Gap::Space if !out.is_empty() => out.push(' '),
            Gap::Line if !out.is_empty() => out.push('\n'),
            Gap::No | Gap::Space | Gap::Line => {}
        }
        *gap = Gap::No;
        out.push(c);
    }
}

/// A tag or a comment.
struct Tag {
    /// The element in small letters; empty for a comment.
    name: String,
    closing: bool,
    /// In bytes.
    length: usize,
}

/// The tag or comment at the beginning of a text (HTML Living Standard, 13.2.5: a tag begins with a letter or `/` and a letter after `<`,
/// a comment with `!` or `?`). One that nothing ends continues to the end of the text.
fn tag(text: &str) -> Option<Tag> {
    let inside = text.strip_prefix('<')?;
    if inside.starts_with(['!', '?']) {
        let end = match inside.strip_prefix("!--") {
            Some(comment) => comment.find("-->").map(|at| 4 + at + 3),
            None => text.find('>').map(|at| at + 1),
        };
        return Some(Tag { name: String::new(), closing: false, length: end.unwrap_or(text.len()) });
    }
    let (closing, named) = match inside.strip_prefix('/') {
        Some(named) => (true, named),
        None => (false, inside),
    };
    if !named.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let end = named.find(|c: char| c.is_whitespace() || matches!(c, '/' | '>')).unwrap_or(named.len());
    let name = named[..end].to_ascii_lowercase();
    // A `>` in quotes is part of an attribute.
    let mut quote = None;
    let mut length = text.len();
    for (at, c) in named.char_indices().skip_while(|(at, _)| *at < end) {
        match (quote, c) {
            (None, '>') => {
                length = text.len() - named.len() + at + 1;
                break;
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    Some(Tag { name, closing, length })
}

/// What follows the end tag of an element.
fn after_element<'t>(text: &'t str, name: &str) -> &'t str {
    let mut rest = text;
    while let Some(at) = rest.find("</") {
        rest = &rest[at..];
        match tag(rest) {
            Some(tag) if tag.name == name => return &rest[tag.length..],
            _ => rest = &rest[2..],
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_go_and_text_stays() {
        assert_eq!(strip_html("<p>Dear <b>Ada</b>,</p>\n<p>1 &lt; 2 &amp;&nbsp;3</p>"), "Dear Ada,\n1 < 2 & 3");
        assert_eq!(strip_html("one<br/>two<BR>three"), "one\ntwo\nthree");
        assert_eq!(strip_html("<a title=\"a > b\" href='x'>link</a>"), "link");
        assert_eq!(strip_html("a<!-- <p>no</p> -->b<?xml?>c<!DOCTYPE html>d"), "abcd");
        assert_eq!(strip_html("<style>p { color: red }</style>x<script>if (a </b) {}</script>y"), "xy");
        assert_eq!(strip_html("a < b, c <3 and </>"), "a < b, c <3 and </>");
        assert_eq!(strip_html("<p>&nbsp;</p>"), "");
        assert_eq!(strip_html("no HTML"), "no HTML");
    }

    #[test]
    fn an_unclosed_tag_or_element_continues_to_the_end() {
        assert_eq!(strip_html("a<b c=\"d>e"), "a");
        assert_eq!(strip_html("a<script>b"), "a");
        assert_eq!(strip_html("a<!-- b"), "a");
    }
}
