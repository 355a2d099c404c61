//! Operations on text. None of them but [`pad`] makes a text longer, in characters or in UTF-16 code units; the checker relies
//! on that.

use std::borrow::Cow;

use crate::unicode::{self, nfc};

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

/// The longest beginning of at most `units` UTF-16 code units that ends between two characters as people see them.
pub fn truncate(text: &str, units: u32) -> &str {
    unicode::beginning(text, units as usize)
}

/// Whether a text has at most `units` UTF-16 code units.
pub fn fits(text: &str, units: u32) -> bool {
    text.len() <= units as usize || text.encode_utf16().count() <= units as usize
}

/// The form in which texts are compared without regard to case: normalization form C, in lower case.
pub fn folded(text: &str) -> Cow<'_, str> {
    match nfc(text) {
        Cow::Borrowed(text) => lower(text),
        Cow::Owned(text) => Cow::Owned(lower(&text).into_owned()),
    }
}

/// Whether two texts are the same in normalization form C, without regard to upper and lower case.
pub fn same(a: &str, b: &str) -> bool {
    a == b || if a.is_ascii() && b.is_ascii() { a.eq_ignore_ascii_case(b) } else { folded(a) == folded(b) }
}

/// The text in normalization form C if that is not longer, in UTF-16 code units, and the text as it is otherwise. Steps that look
/// for one text in another work on it, so that `é` is found however it is encoded, and still make nothing longer.
pub fn comparable(text: &str) -> Cow<'_, str> {
    match nfc(text) {
        Cow::Owned(form) if form.encode_utf16().count() > text.encode_utf16().count() => Cow::Borrowed(text),
        form => form,
    }
}

/// Replaces every occurrence of one text by another.
pub fn replace(text: &str, from: &str, to: &str) -> String {
    comparable(text).replace(nfc(from).as_ref(), to)
}

/// One piece of a text between separators, counted from 0; empty if there are fewer.
pub fn piece(text: &str, separator: &str, index: usize) -> String {
    comparable(text).split(nfc(separator).as_ref()).nth(index).unwrap_or_default().to_owned()
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
    truncate(unicode::rest(text, start as usize), units)
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
    fn a_text_is_found_however_its_accents_are_encoded() {
        assert!(same("ZOE\u{308}", "zo\u{eb}"));
        assert_eq!(replace("caf\u{e9} cafe\u{301}", "e\u{301}", "e"), "cafe cafe");
        assert_eq!(piece("a\u{e9}b", "e\u{301}", 1), "b");
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
        fn looking_for_a_text_makes_nothing_longer(text in "(\\PC|e\u{301}|\u{958}){0,20}", from in "[a-z]|\u{e9}|e\u{301}", index in 0_usize..3) {
            let count = |t: &str| t.encode_utf16().count();
            prop_assert!(count(&replace(&text, &from, "")) <= count(&text));
            prop_assert!(count(&piece(&text, &from, index)) <= count(&text));
        }

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
