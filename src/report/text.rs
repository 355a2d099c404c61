//! Texts of a mapping file as they are shown elsewhere.

use std::ops::Range;

use crate::syntax::{TokenKind, tokens};

/// A piece of a file on one line, without its comments. Strings keep their spaces; line ends become `;` in braces.
pub(super) fn one_line(body: &str) -> String {
    let mut out = String::with_capacity(body.len());
    let (mut end, mut depth, mut broken) = (0, 0_usize, false);
    for token in tokens(body) {
        let text = token.text(body);
        let spaced = token.range.start > end;
        end = token.range.end;
        match token.kind {
            TokenKind::Comment => continue,
            TokenKind::Newline => {
                broken = true;
                continue;
            }
            _ => {}
        }
        let last = out.chars().next_back();
        if broken {
            // Between items of braces; after an opening brace and before a closing one there is none.
            if depth > 0 && !matches!(last, Some('{' | ';' | '(' | ',')) && !matches!(text, "}" | ")" | ",") && !text.starts_with(';') {
                out.push(';');
            }
            out.push(' ');
        } else if spaced && !out.is_empty() {
            out.push(' ');
        }
        broken = false;
        match text {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        out.push_str(text);
    }
    out.trim().to_owned()
}

/// The comment lines directly above a place.
pub(super) fn remark(text: &str, start: usize) -> String {
    let before = text.get(..start).unwrap_or_default();
    let before = before.rfind('\n').map_or("", |n| &before[..n]);
    let lines: Vec<&str> = before.lines().rev().map(str::trim).take_while(|l| l.starts_with('#')).collect();
    lines.into_iter().rev().map(|l| l.trim_start_matches('#').trim()).filter(|l| !l.starts_with("allow(")).collect::<Vec<_>>().join(" ")
}

/// The comments above an entry and at its end.
pub(super) fn remark_of(text: &str, bytes: Range<usize>) -> String {
    let above = remark(text, bytes.start);
    let rest = text.get(bytes.end..).and_then(|t| t.lines().next()).unwrap_or_default();
    let behind = tokens(rest).first().filter(|t| t.kind == TokenKind::Comment).map_or("", |t| t.text(rest).trim_start_matches('#').trim());
    [above.as_str(), behind].into_iter().filter(|t| !t.is_empty() && !t.starts_with("allow(")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_piece_keeps_the_spaces_of_its_strings_and_separates_the_items_of_braces() {
        for (body, line) in [
            ("map {\n  \"a  b\" => \"c\"  # why\n  else => null\n}", "map { \"a  b\" => \"c\"; else => null }"),
            ("in (\n  1,\n  2\n)", "in ( 1, 2 )"),
            ("a  <->   b", "a <-> b"),
            ("all {\n\n  any { a = 1; b = 2 }\n  c is empty\n}", "all { any { a = 1; b = 2 }; c is empty }"),
        ] {
            assert_eq!(one_line(body), line);
        }
    }
}
