//! Operations on text. None of them but [`pad`] makes a text longer, in characters or in UTF-16 code units; the checker relies
//! on that.

use std::borrow::Cow;

/// Lower case, letter for letter: a letter whose lower case is several letters stays as it is.
pub fn lower(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|b| b.is_ascii_uppercase()) { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) };
    }
    map_letters(text, |c| single(c, c.to_lowercase()))
}

/// Upper case, letter for letter: `ß` stays `ß`, since `SS` would be longer.
pub fn upper(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|b| b.is_ascii_lowercase()) { Cow::Owned(text.to_ascii_uppercase()) } else { Cow::Borrowed(text) };
    }
    map_letters(text, |c| single(c, c.to_uppercase()))
}

fn map_letters(text: &str, map: impl Fn(char) -> char) -> Cow<'_, str> {
    match text.char_indices().find(|(_, c)| map(*c) != *c) {
        None => Cow::Borrowed(text),
        Some((at, _)) => {
            let mut out = String::with_capacity(text.len() + 4);
            out.push_str(&text[..at]);
            out.extend(text[at..].chars().map(map));
            Cow::Owned(out)
        }
    }
}

/// The one letter of a mapping, where it has one and needs no more UTF-16 code units than the original.
fn single(original: char, mut mapped: impl ExactSizeIterator<Item = char>) -> char {
    match (mapped.len(), mapped.next()) {
        (1, Some(c)) if c.len_utf16() <= original.len_utf16() => c,
        _ => original,
    }
}

/// The longest beginning of at most `units` UTF-16 code units that ends between two characters.
pub fn truncate(text: &str, units: u32) -> &str {
    let units = units as usize;
    // A byte is at least as much as a code unit, so short texts need no counting.
    if text.len() <= units {
        return text;
    }
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.len_utf16();
        if used > units {
            return &text[..at];
        }
    }
    text
}

/// Whether a text has at most `units` UTF-16 code units.
pub fn fits(text: &str, units: u32) -> bool {
    text.len() <= units as usize || text.encode_utf16().count() <= units as usize
}

/// Whether two texts are the same but for upper and lower case.
pub fn same(a: &str, b: &str) -> bool {
    a == b || if a.is_ascii() && b.is_ascii() { a.eq_ignore_ascii_case(b) } else { lower(a) == lower(b) }
}

/// The first letter of each word in upper case, the others in lower case, letter for letter. A word is a run of letters,
/// digits and apostrophes.
pub fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        out.push(if inside { single(c, c.to_lowercase()) } else { single(c, c.to_uppercase()) });
        inside = c.is_alphanumeric() || (inside && matches!(c, '\'' | '\u{2019}'));
    }
    out
}

/// A part of a text, counted in UTF-16 code units; a character that begins before `start` is left out.
pub fn substring(text: &str, start: u32, units: u32) -> &str {
    let mut used = 0_u32;
    let from = text.char_indices().find(|(_, c)| {
        let here = used >= start;
        used += u32::try_from(c.len_utf16()).unwrap_or(2);
        here
    });
    from.map_or("", |(at, _)| truncate(&text[at..], units))
}

/// Fills a text up to a length in UTF-16 code units.
pub fn pad(text: &str, length: u32, with: char, behind: bool) -> String {
    let missing = (length as usize).saturating_sub(text.encode_utf16().count()) / with.len_utf16();
    let filling = std::iter::repeat_n(with, missing);
    if behind { text.chars().chain(filling).collect() } else { filling.chain(text.chars()).collect() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn letters_that_would_become_several_stay() {
        assert_eq!(upper("straße"), "STRAßE");
        assert_eq!(lower("İSTANBUL"), "İstanbul");
        assert_eq!(upper("élan"), "ÉLAN");
    }

    #[test]
    fn a_title_has_a_capital_at_each_word_and_nowhere_else() {
        assert_eq!(title("anna-lena VON der o'neil"), "Anna-Lena Von Der O'neil");
        assert_eq!(title("éLAN ßa"), "Élan ßa");
    }

    #[test]
    fn parts_of_a_text_never_cut_a_character_in_two() {
        assert_eq!(substring("a😀bc", 0, 2), "a");
        assert_eq!(substring("a😀bc", 2, 2), "bc");
        assert_eq!(substring("abc", 3, 2), "");
    }

    #[test]
    fn padding_fills_up_to_a_length_and_leaves_longer_text_alone() {
        assert_eq!(pad("7", 3, '0', false), "007");
        assert_eq!(pad("7", 3, ' ', true), "7  ");
        assert_eq!(pad("1234", 3, '0', false), "1234");
    }

    #[test]
    fn truncation_never_cuts_a_character_in_two() {
        assert_eq!(truncate("a😀b", 2), "a");
        assert_eq!(truncate("a😀b", 3), "a😀");
        assert_eq!(truncate("abc", 3), "abc");
        assert_eq!(truncate("äöü", 2), "äö");
    }

    proptest! {
        #[test]
        fn no_operation_makes_a_text_longer(text in "\\PC{0,40}", units in 0_u32..30) {
            let count = |t: &str| t.encode_utf16().count();
            prop_assert!(count(&lower(&text)) <= count(&text));
            prop_assert!(count(&upper(&text)) <= count(&text));
            prop_assert!(count(&title(&text)) <= count(&text));
            prop_assert!(fits(substring(&text, units / 2, units), units));
            prop_assert!(count(&pad(&text, units, '0', true)) <= count(&text).max(units as usize));
            let cut = truncate(&text, units);
            prop_assert!(fits(cut, units));
            prop_assert!(text.starts_with(cut));
        }
    }
}
