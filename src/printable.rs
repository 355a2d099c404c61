//! Text that somebody else wrote, made safe to show.
//!
//! Names, values and messages come from mapping files, services and file servers. Printed as they are, their control
//! characters could move the cursor, clear the screen, reverse the order of words ("Trojan Source", CVE-2021-42574), forge
//! a line of a log, or give a command to the CI service that reads the output. Here is the one place that decides what may
//! pass; everything that prints for people uses it.
//!
//! - Control characters (C0, DEL, C1) and characters that reorder text are written as an escape: `\u{1b}`.
//! - Commands of CI services are written so that the service does not recognize them. GitHub's runner takes `::` at the
//!   beginning of a line (after white space) and `##[` anywhere for a command (actions/runner, `ActionCommand.cs`); Azure
//!   Pipelines takes `##vso[`, TeamCity `##teamcity[`.

use std::borrow::Cow;

/// Whether a character must not reach a terminal as it is: control characters, line and paragraph separators, and marks
/// that change the direction of text (Unicode, "Bidirectional Algorithm", explicit formatting characters).
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// How a hidden character is shown.
pub fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
    }
}

/// A text on one line: line breaks and tabs are escaped as well.
pub fn inline(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) { push_escaped(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// A service's words as a sentence of ours: on one line, with one space for line breaks, tabs and what surrounds them; other hidden
/// characters are escaped.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let lines: Vec<&str> =
        text.split(['\n', '\r', '\t', '\u{85}', '\u{2028}', '\u{2029}']).map(str::trim).filter(|part| !part.is_empty()).collect();
    Cow::Owned(inline(&lines.join(" ")).into_owned())
}

/// A text of several lines below a heading: as [`block`], and each line but the first is indented by `width` spaces, so that none looks
/// like a line of this program.
pub fn indented(text: &str, width: usize) -> String {
    block(text.trim_end()).replace('\n', &format!("\n{}", " ".repeat(width)))
}

/// A text of several lines: line breaks and tabs stay, and no line is a command of a CI service.
pub fn block(text: &str) -> Cow<'_, str> {
    written(text, false)
}

/// As [`block`], for text that this program has colored: sequences that set colors (`ESC [ … m`) stay. What came from
/// elsewhere must have gone through [`inline`] or [`block`] before it was colored.
pub fn colored(text: &str) -> Cow<'_, str> {
    written(text, true)
}

fn written(text: &str, colors: bool) -> Cow<'_, str> {
    let stays = |c: char| matches!(c, '\n' | '\t') || (colors && c == '\u{1b}');
    let hidden = text.contains(|c| is_hidden(c) && !stays(c));
    let command = text.contains("::") || text.contains("##");
    let colored = colors && text.contains('\u{1b}');
    if !(hidden || command || colored) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        // Whether only white space and colors were seen so far.
        let mut beginning = true;
        while let Some(c) = rest.chars().next() {
            let mut length = c.len_utf8();
            if colors && let Some(sequence) = color_sequence(rest) {
                out.push_str(sequence);
                rest = &rest[sequence.len()..];
                continue;
            }
            if beginning && rest.starts_with("::") {
                out.push_str("\\u{3a}:");
                length = 2;
            } else if names_command(rest) {
                out.push_str("\\u{23}#");
                length = 2;
            } else if is_hidden(c) && !matches!(c, '\n' | '\t') {
                push_escaped(&mut out, c);
            } else {
                out.push(c);
            }
            beginning &= c.is_whitespace();
            rest = &rest[length..];
        }
    }
    Cow::Owned(out)
}

/// `ESC [`, digits and semicolons, `m`.
fn color_sequence(text: &str) -> Option<&str> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let length = parameters.find(|c: char| !(c.is_ascii_digit() || c == ';'))?;
    parameters[length..].starts_with('m').then(|| &text[..2 + length + 1])
}

/// `##`, letters, `[`.
fn names_command(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("##") else { return false };
    rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).starts_with('[')
}

/// JSON text: characters that JSON allows in a string, but that a terminal obeys, are escaped as in JSON. Such characters can
/// be nowhere but in strings, so the document stays the same.
pub fn json(text: &str) -> Cow<'_, str> {
    let escape = |c: char| is_hidden(c) && !matches!(c, '\n' | '\r' | '\t');
    if !text.contains(escape) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        // All of them are in the Basic Multilingual Plane.
        if escape(c) { out.push_str(&format!("\\u{:04x}", u32::from(c))) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_marks_of_direction_are_escaped_and_other_text_is_kept() {
        assert_eq!(inline("a\u{1b}[2Jb\r\nc\td\u{7f}\u{9b}\u{202e}e"), "a\\u{1b}[2Jb\\r\\nc\\td\\u{7f}\\u{9b}\\u{202e}e");
        assert_eq!(block("a\n\tb\r\u{0}"), "a\n\tb\\r\\u{0}");
        for text in ["Müller ≥ 10 %", "👩\u{200D}👧", "می\u{200C}خواهم", "a::b", "# title\n## another"] {
            assert!(matches!(block(text), Cow::Borrowed(_)) || block(text) == text, "{text}");
            assert_eq!(inline("x").into_owned() + text, format!("x{text}"));
        }
    }

    #[test]
    fn a_services_words_are_on_one_line_and_a_longer_text_is_indented() {
        assert_eq!(one_line(" not valid:\r\n\tfirstName \u{1b}[2J\u{2028}\u{202e}x\n"), "not valid: firstName \\u{1b}[2J \\u{202e}x");
        assert!(matches!(one_line("as it is"), Cow::Borrowed("as it is")));
        assert_eq!(indented("a\n::error::b\n", 2), "a\n  \\u{3a}:error::b");
    }

    #[test]
    fn no_line_is_a_command_of_a_ci_service() {
        for text in ["::error::x", "a\n  ::set-output name=a::b", "a\n\u{a0}::stop-commands::t"] {
            let shown = block(text);
            assert!(shown.lines().all(|l| !l.trim_start().starts_with("::")), "{shown}");
        }
        assert_eq!(block("x ##[error]y"), "x \\u{23}#[error]y");
        assert_eq!(block("##vso[task.setvariable]"), "\\u{23}#vso[task.setvariable]");
        assert_eq!(block("###[error]"), "#\\u{23}#[error]");
    }

    #[test]
    fn colors_stay_where_this_program_has_set_them_and_nothing_else_does() {
        assert_eq!(colored("\u{1b}[31mred\u{1b}[0m"), "\u{1b}[31mred\u{1b}[0m");
        assert_eq!(colored("\u{1b}[2J\u{1b}]0;title\u{7}"), "\\u{1b}[2J\\u{1b}]0;title\\u{7}");
        assert_eq!(colored("\u{1b}[1m::error::x"), "\u{1b}[1m\\u{3a}:error::x");
        assert_eq!(block("\u{1b}[31mred"), "\\u{1b}[31mred");
    }

    #[test]
    fn json_text_stays_the_same_document() {
        let value = serde_json::json!({"a\u{9b}": "\u{7f}\u{202e}\u{1b}\n"});
        let text = format!("{value:#}\n");
        let shown = json(&text);
        assert!(!shown.contains(|c| is_hidden(c) && c != '\n'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
