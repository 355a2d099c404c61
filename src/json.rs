//! JSON from services that is not quite JSON. A text that another program cut in the middle of an emoji comes as half of a surrogate
//! pair (`\ud83d` alone), a number as `1e999`: serde_json refuses both, and with them the whole answer. Here the fault stays with
//! the value.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::bytes;

/// What a half of a surrogate pair is read as: the character for what cannot be shown (U+FFFD).
const REPLACEMENT: &str = "\\ufffd";

/// Appends a text as JSON writes it.
pub fn push_string(out: &mut String, text: &str) {
    // Most texts need no escape: names, keys, ids.
    let escaped = |word| bytes::below(word, 0x20) || bytes::has(word, b'"') || bytes::has(word, b'\\');
    if !bytes::any(text.as_bytes(), escaped) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&Value::from(text).to_string());
    }
}

/// The text with U+FFFD in place of each half of a surrogate pair; `None` if it has no such half.
pub fn without_lone_surrogates(text: &str) -> Option<String> {
    let mut repaired: Option<String> = None;
    let (mut copied, mut at) = (0, 0);
    // An escape is ASCII, so that byte offsets are those of characters.
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    while let Some(found) = text[at..].find('\\') {
        at += found;
        match unit(at) {
            Some(0xD800..=0xDBFF) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(0xD800..=0xDFFF) => {
                let out = repaired.get_or_insert_default();
                out.push_str(&text[copied..at]);
                out.push_str(REPLACEMENT);
                at += 6;
                copied = at;
            }
            Some(_) => at += 6,
            // The character after it is escaped; a text that ends here is not JSON anyway.
            None => at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        }
    }
    repaired.map(|mut out| {
        out.push_str(&text[copied..]);
        out
    })
}

/// Reads an answer, with U+FFFD for halves of surrogate pairs.
///
/// # Errors
/// Those of serde_json about the answer as it came.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(body).or_else(|error| {
        let repaired = std::str::from_utf8(body).ok().and_then(without_lone_surrogates);
        repaired.and_then(|text| serde_json::from_str(&text).ok()).ok_or(error)
    })
}

/// The properties of an object with their values as they came; `None` where the text is not an object, or a name is not a text.
pub fn properties(text: &str) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(text).ok()
}

/// An object as far as it can be read, and whether a value had to be left out. Halves of surrogate pairs become U+FFFD.
pub fn readable(text: &str) -> Option<(Map<String, Value>, bool)> {
    if let Ok(object) = read(text.as_bytes()) {
        return Some((object, false));
    }
    let repaired = without_lone_surrogates(text);
    let properties = properties(repaired.as_deref().unwrap_or(text))?;
    let known = properties.into_iter().filter_map(|(name, raw)| Some((name, serde_json::from_str(raw.get()).ok()?)));
    Some((known.collect(), true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_surrogate_pairs_are_replaced_and_nothing_else_is() {
        for (text, repaired) in [
            (r#"{"a":"x\ud83d"}"#, Some(r#"{"a":"x\ufffd"}"#)),
            (r#"{"a":"\ude00 \ud83d\ud83d\ude00"}"#, Some(r#"{"a":"\ufffd \ufffd\ud83d\ude00"}"#)),
            (r#"{"a":"\uD83D\n"}"#, Some(r#"{"a":"\ufffd\n"}"#)),
            (r#"{"a":"\ud83d\ude00 \u00e9 \\ud83d é 😀"}"#, None),
            (r#"{"a":"\\\ud83d"}"#, Some(r#"{"a":"\\\ufffd"}"#)),
            (r#"{"a":"\ud8"#, None),
            ("{\"a\":\"\\é", None),
            ("\\", None),
        ] {
            assert_eq!(without_lone_surrogates(text).as_deref(), repaired, "{text}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_read_costs_itself() {
        let deep = "[".repeat(500) + &"]".repeat(500);
        let text = format!(r#"{{"id":"1","half":"x\ud83d","huge":1e999,"deep":{deep}}}"#);
        let (object, left_out) = readable(&text).unwrap();
        assert!(left_out);
        assert_eq!(Value::Object(object), serde_json::json!({"id": "1", "half": "x\u{fffd}"}));
        assert!(!readable(r#"{"id":"\ud83d"}"#).unwrap().1);
        assert!(readable("[]").is_none());
        assert_eq!(properties(&text).unwrap()["huge"].get(), "1e999");
    }

    #[test]
    fn an_answer_that_is_not_json_is_refused_with_the_place_in_the_answer() {
        let error = read::<Value>(br#"{"a":"\ud83d",}"#).unwrap_err();
        assert_eq!(error.line(), 1);
        assert_eq!(read::<Value>(br#"{"a":"\ud83d"}"#).unwrap(), serde_json::json!({"a": "\u{fffd}"}));
    }
}
