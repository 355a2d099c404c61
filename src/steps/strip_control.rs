//! `strip_control`: one line without invisible characters.

use std::borrow::Cow;

use super::{Row, Rule, Step, Text};

/// The step.
pub const STEP: Step = Step {
    name: "strip_control",
    usage: "strip_control",
    summary: "removes line endings, tabs and invisible characters",
    rows: &[
        Row {
            signature: "`strip_control`",
            takes: "text",
            gives: "the text on one line: each line ending and tab becomes a space, and invisible characters are removed (zero-width spaces, soft hyphens, direction marks). Joiners, which emojis and Persian need, stay. Other control characters are already removed, see [empty values](#empty-values)",
        },
    ],
    samples: &["strip_control"],
    rule: Rule::Text(Text { apply: strip_control, longest: |most| most, may_leave_nothing: true }),
};

/// Characters of general category Cf that only direct the layout. U+200C and U+200D, which join letters and emojis, and the tags of flags
/// (U+E0020 to U+E007F) change what people see, and are not among them.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
    )
}

/// The text in one line and without invisible characters.
fn strip_control(text: &str) -> Cow<'_, str> {
    let stays = |c: char| !c.is_control() && !is_invisible(c) && !matches!(c, '\u{2028}' | '\u{2029}');
    if text.chars().all(stays) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        match c {
            // A line end of two characters is one.
            '\n' if before == '\r' => {}
            '\t' | '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push(' '),
            c if stays(c) => out.push(c),
            _ => {}
        }
        before = c;
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_and_tabs_become_spaces_and_invisible_characters_go() {
        assert_eq!(strip_control("a\r\nb\tc\u{2028}d\n\ne"), "a b c d  e");
        assert_eq!(strip_control("\u{feff}so\u{ad}ft\u{200b} \u{202e}x"), "soft x");
        assert_eq!(strip_control("\u{200b}"), "");
        assert!(matches!(strip_control("plain text"), Cow::Borrowed(_)));
    }

    #[test]
    fn joiners_of_emojis_and_letters_stay() {
        let family = "👨\u{200d}👩\u{200d}👧";
        assert_eq!(strip_control(family), family);
        assert_eq!(strip_control("می\u{200c}خواهم"), "می\u{200c}خواهم");
    }
}
