//! Lengths and comparison of texts.

use std::borrow::Cow;

use crate::steps::lower;
use crate::unicode::nfc;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_same_however_its_accents_are_encoded() {
        assert!(same("ZOE\u{308}", "zo\u{eb}"));
        assert!(!same("zoe", "zo\u{eb}"));
    }
}
