//! Whether a text mentions a person, whatever the text is: plain words, an address, a JSON document, or a JSON document within a
//! string of another one, as the answers that dead letters keep.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::unicode::nfc;

/// Documents within documents that are looked into.
const DEPTH: usize = 4;

/// Whether `text` has `words` in it, in any case and in either form of Unicode (`é`, or `e` with a combining accent), as it is or once
/// it is decoded: the escapes of JSON, and the percent-encoding of addresses.
pub fn mentions(text: &str, words: &str) -> bool {
    let words = folded(words);
    let mut form = Cow::Borrowed(text);
    for _ in 0..DEPTH {
        if folded(&form).contains(&words) || from_address(&form).is_some_and(|decoded| folded(&decoded).contains(&words)) {
            return true;
        }
        match unescaped(&form) {
            Some(next) => form = Cow::Owned(next),
            None => return false,
        }
    }
    false
}

/// A text in the form in which it is compared. Form C comes first, because case is changed character by character.
fn folded(text: &str) -> String {
    nfc(text).to_lowercase()
}

/// A text with percent-encoding decoded; `None` if there is none. `+` stays: in a query it is a space, but in an e-mail address it is a
/// character (`ada+news@example.com`), and the words that are looked for rarely have a space.
fn from_address(text: &str) -> Option<String> {
    let encoded = text.as_bytes().windows(3).any(|w| w[0] == b'%' && w[1].is_ascii_hexdigit() && w[2].is_ascii_hexdigit());
    encoded.then(|| percent_decode_str(text).decode_utf8_lossy().into_owned())
}

/// A text with JSON's escapes decoded once; `None` if there are none. Half of a surrogate pair becomes U+FFFD.
fn unescaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut any = false;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (decoded, length) = escape(&rest[at..]);
        any |= length > 1;
        match decoded {
            Some(c) => out.push(c),
            None => out.push('\\'),
        }
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    any.then_some(out)
}

/// The character of an escape that begins a text, and the escape's length in bytes; a backslash that begins none has length 1.
fn escape(text: &str) -> (Option<char>, usize) {
    let unit = |at: usize| text.get(at..at + 4).and_then(|hex| u16::from_str_radix(hex, 16).ok());
    let decoded = match text.as_bytes().get(1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let Some(high) = unit(2) else { return (None, 1) };
            let low = text.get(6..8).filter(|mark| *mark == "\\u").and_then(|_| unit(8));
            if let Some(low) = low
                && let Some(Ok(c)) = char::decode_utf16([high, low]).next()
                && c > '\u{ffff}'
            {
                return (Some(c), 12);
            }
            return (Some(char::from_u32(u32::from(high)).unwrap_or(char::REPLACEMENT_CHARACTER)), 6);
        }
        _ => return (None, 1),
    };
    (Some(decoded), 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_any_case_and_under_any_escapes() {
        let address = "zoë.o'neill@example.com";
        let plain = serde_json::json!({ "email": "Zoë.O'Neill@Example.com" }).to_string();
        let escaped = plain.replace('ë', "\\u00eb").replace('@', "\\u0040");
        let within = serde_json::json!({ "body": escaped }).to_string();
        let twice = serde_json::json!({ "answer": within }).to_string();
        for text in [&plain, &escaped, &within, &twice] {
            assert!(mentions(text, address), "{text}");
            assert!(!mentions(text, "zoe.o'neill@example.com"), "{text}");
        }
        assert!(mentions(r#"say \"hello\" \/ \ud83d\ude00"#, "\"Hello\" / 😀"));
    }

    #[test]
    fn words_are_found_in_either_unicode_form_and_under_the_encoding_of_addresses() {
        let (composed, decomposed) = ("zo\u{eb}.o'neill@example.com", "Zoe\u{308}.O'Neill@example.com");
        for (text, words) in [(composed, decomposed), (decomposed, composed)] {
            assert!(mentions(text, words) && mentions(&serde_json::json!({ "email": text }).to_string(), words), "{text}");
        }
        assert!(!mentions(composed, "zoe"), "another letter is another name");
        for text in ["GET /profile/byEmail?email=Zo%C3%AB.O%27Neill%40example.com", "{\"url\": \"x?e=zoe%CC%88.o%27neill%40example.com\"}"]
        {
            assert!(mentions(text, composed), "{text}");
        }
        assert!(
            mentions("to=ada%2Bnews%40example.com", "ada+news@example.com") && mentions("ada+news@example.com", "ada+news@example.com")
        );
        assert!(!mentions("100% of 5%", "nobody"));
    }

    #[test]
    fn backslashes_that_are_not_escapes_are_left_alone() {
        for text in [r"C:\x\y", r"\u12", r"\ud83d", "\\", r"\u12é4"] {
            assert!(mentions(text, &text[..1]), "{text}");
            assert!(!mentions(text, "nobody"), "{text}");
        }
        assert_eq!(unescaped(r"a\qb"), None);
    }
}
