//! What the steps on text share. Nothing here makes a text longer, in characters or in UTF-16 code units; the checker relies on that.

use std::borrow::Cow;

use crate::unicode::nfc;

/// Applies a mapping to each letter; borrowed if nothing changes.
pub fn map_letters(text: &str, map: impl Fn(char) -> char) -> Cow<'_, str> {
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
pub fn single(original: char, mut mapped: impl ExactSizeIterator<Item = char>) -> char {
    match (mapped.len(), mapped.next()) {
        (1, Some(c)) if c.len_utf16() <= original.len_utf16() => c,
        _ => original,
    }
}

/// The text in normalization form C if that is not longer, in UTF-16 code units, and the text as it is otherwise. Steps that look
/// for one text in another work on it, so that `é` is found however it is encoded, and still make nothing longer.
pub fn comparable(text: &str) -> Cow<'_, str> {
    match nfc(text) {
        Cow::Owned(form) if form.encode_utf16().count() > text.encode_utf16().count() => Cow::Borrowed(text),
        form => form,
    }
}
