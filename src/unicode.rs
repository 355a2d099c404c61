//! Rules for text that depend on Unicode's tables: which texts are the same, which are empty, and where a text may be cut.
//!
//! Every function has a fast path for ASCII, which is nearly all text that the evaluator sees.

use std::borrow::Cow;

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use icu_segmenter::GraphemeClusterSegmenter;

use crate::bytes;

/// Returns the text in normalization form C: `e` followed by U+0301 becomes `é`.
///
/// Two texts that people see as the same are compared in this form. It can be longer than the original (U+0958 is two
/// characters in form C), so values are compared in it but not written in it.
pub fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { Cow::Borrowed(text) } else { ComposingNormalizerBorrowed::new_nfc().normalize(text) }
}

/// Whether two texts are the same in normalization form C. Upper and lower case differ.
pub fn same(a: &str, b: &str) -> bool {
    a == b || (!(a.is_ascii() && b.is_ascii()) && nfc(a) == nfc(b))
}

/// Whether two texts are the same in normalization form C, without regard to upper and lower case.
pub fn same_but_for_case(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(b);
    }
    nfc(a).to_lowercase() == nfc(b).to_lowercase()
}

/// What texts are sorted by for people: letters without their accents, in lower case.
pub fn alphabetical(text: &str) -> String {
    let letters = DecomposingNormalizerBorrowed::new_nfd().normalize(text);
    letters.chars().filter(|c| !matches!(c, '\u{300}'..='\u{36f}')).flat_map(char::to_lowercase).collect()
}

/// Whether a text counts as empty: it has no character, or only white space.
pub fn is_blank(text: &str) -> bool {
    // The first character decides for nearly every text.
    text.chars().all(char::is_whitespace)
}

/// Whether a character is not seen and changes the direction of the text around it (Unicode Bidirectional Algorithm, explicit formatting
/// characters and implicit marks).
pub fn reorders(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character is a control character other than tab, line feed and carriage return, or one of U+FFFE and U+FFFF.
///
/// XML 1.0, in which Campaign keeps and exchanges records, cannot hold most of them (XML 1.0, 2.2 *Characters*). That Campaign
/// rejects the others too is assumed. Dynamics 365 rejects what XML cannot hold (Microsoft, "InvalidCharactersInField").
fn is_unwanted(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// Removes control characters, U+0000 among them, and U+FFFE and U+FFFF. Tab, line feed and carriage return stay.
pub fn without_controls(text: Cow<'_, str>) -> Cow<'_, str> {
    // Control characters are below U+0020, U+007F, and U+0080 to U+009F, which begin with the byte C2. U+FFFE and U+FFFF begin with EF.
    let suspicious = |word| bytes::below(word, 0x20) || [0x7f, 0xc2, 0xef].into_iter().any(|byte| bytes::has(word, byte));
    if !bytes::any(text.as_bytes(), suspicious) || !text.contains(is_unwanted) {
        return text;
    }
    Cow::Owned(text.chars().filter(|c| !is_unwanted(*c)).collect())
}

/// Returns the longest beginning of at most `units` UTF-16 code units that ends between two characters as people see them
/// (extended grapheme clusters, UAX #29): it cuts no flag, no letter from its accent, and no line feed from its carriage return.
pub fn beginning(text: &str, units: usize) -> &str {
    // A byte is at least as much as a code unit, so short texts need no counting.
    if text.len() <= units {
        return text;
    }
    if text.is_ascii() {
        let halves = units > 0 && text.as_bytes()[units - 1] == b'\r' && text.as_bytes()[units] == b'\n';
        return &text[..units - usize::from(halves)];
    }
    let mut end = 0;
    let mut used = 0;
    for at in GraphemeClusterSegmenter::new().segment_str(text) {
        used += text[end..at].encode_utf16().count();
        if used > units {
            return &text[..end];
        }
        end = at;
    }
    text
}

/// Returns what follows the first `units` UTF-16 code units. A character that begins before them is left out as a whole.
pub fn rest(text: &str, units: usize) -> &str {
    if text.is_ascii() {
        let halves = 0 < units && units < text.len() && text.as_bytes()[units - 1] == b'\r' && text.as_bytes()[units] == b'\n';
        return text.get(units + usize::from(halves)..).unwrap_or_default();
    }
    let mut start = 0;
    let mut used = 0;
    for at in GraphemeClusterSegmenter::new().segment_str(text) {
        used += text[start..at].encode_utf16().count();
        start = at;
        if used >= units {
            return &text[start..];
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_that_people_see_as_the_same_are_the_same() {
        assert!(same("Zoe\u{308}", "Zo\u{eb}"));
        assert!(!same("Zoe", "Zo\u{eb}"));
        assert!(same_but_for_case("ZOE\u{308}", "zo\u{eb}"));
        assert!(!same_but_for_case("Zoe", "zo\u{eb}"));
    }

    #[test]
    fn white_space_of_any_kind_is_empty() {
        assert!(is_blank("") && is_blank(" \t\r\n") && is_blank("\u{a0}\u{2003}\u{3000}"));
        assert!(!is_blank(" x ") && !is_blank("\u{200b}"));
    }

    #[test]
    fn control_characters_are_removed_but_for_tabs_and_line_ends() {
        let cleaned = without_controls(Cow::Borrowed("a\u{0}b\u{7f}c\u{85}\td\r\ne\u{b}"));
        assert_eq!(cleaned, "abc\td\r\ne");
        assert_eq!(without_controls(Cow::Borrowed("a\u{fffe}b\u{ffff}")), "ab");
        assert!(matches!(without_controls(Cow::Borrowed("£ 5, é，\u{fffd}")), Cow::Borrowed("£ 5, é，\u{fffd}")));
    }

    #[test]
    fn a_cut_is_between_characters_as_people_see_them() {
        assert_eq!(beginning("a🇦🇹", 4), "a");
        assert_eq!(beginning("a🇦🇹", 5), "a🇦🇹");
        assert_eq!(beginning("e\u{301}e", 1), "");
        assert_eq!(beginning("a\r\nb", 2), "a");
        assert_eq!(beginning("a👨‍👩‍👧b", 6), "a");
        assert_eq!(rest("🇦🇹a", 1), "a");
        assert_eq!(rest("a\r\nb", 2), "b");
        assert_eq!(rest("äöü", 1), "öü");
        assert_eq!(rest("abc", 4), "");
        assert_eq!(rest("äbc", 0), "äbc");
    }

    proptest! {
        #[test]
        fn a_beginning_fits_and_what_follows_it_is_the_rest(text in "(\\PC|\\r\\n|e\u{301}|🇦🇹){0,20}", units in 0_usize..30) {
            let cut = beginning(&text, units);
            prop_assert!(cut.encode_utf16().count() <= units);
            prop_assert!(text.starts_with(cut));
            prop_assert_eq!(format!("{cut}{}", rest(&text, cut.encode_utf16().count())), text);
        }
    }
}
