//! Takes secrets out of what services say, before it becomes an error, a log line or a dead letter.
//!
//! No service should repeat a credential, but proxies in a debugging mood do, and token services that quote the request.
//! What was sent is known here, so it can be found in what comes back, in the forms in which it is likely to come.

use std::collections::VecDeque;
use std::sync::{PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

/// Shorter ones would be found in every other word.
const SHORTEST: usize = 4;
/// How many of the newest tokens and assertions, which are short-lived, are remembered.
const REMEMBERED: usize = 64;
/// What is written in their place.
const MASK: &str = "***";
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What must not come out.
#[derive(Default)]
pub(super) struct Redactor(RwLock<Known>);

#[derive(Default)]
struct Known {
    /// For as long as the program runs.
    lasting: Vec<SecretString>,
    /// The newest at the end.
    passing: VecDeque<SecretString>,
}

impl Redactor {
    /// Remembers a secret that stays, in each form in which it may be repeated.
    pub(super) fn keep(&self, client_id: &str, secret: &SecretString) {
        let text = secret.expose_secret();
        if text.len() < SHORTEST {
            return;
        }
        let escaped = serde_json::to_string(text).unwrap_or_default();
        let escaped = escaped.trim_matches('"').to_owned();
        let percent = utf8_percent_encode(text, UNRESERVED).to_string();
        let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        // As a password of HTTP's basic scheme (RFC 7617).
        let basic = STANDARD.encode(format!("{client_id}:{text}"));
        let forms = [
            text.to_owned(),
            escaped.replace('/', "\\/"),
            escaped,
            percent.to_ascii_lowercase(),
            percent,
            form.to_ascii_lowercase(),
            form,
            basic,
            STANDARD.encode(text).trim_end_matches('=').to_owned(),
        ];
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for form in forms {
            if known.lasting.iter().all(|k| k.expose_secret() != form) {
                known.lasting.push(SecretString::from(form));
            }
        }
    }

    /// Remembers a token or an assertion.
    pub(super) fn pass(&self, token: &str) {
        if token.len() < SHORTEST {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.passing.iter().any(|k| k.expose_secret() == token) {
            return;
        }
        if known.passing.len() >= REMEMBERED {
            known.passing.pop_front();
        }
        known.passing.push_back(SecretString::from(token));
    }

    /// A body without what must not come out. Bytes that are not UTF-8 are replaced only where something was found.
    pub(super) fn clean(&self, body: Vec<u8>) -> Vec<u8> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let secrets = || known.lasting.iter().chain(&known.passing).map(ExposeSecret::expose_secret);
        let text = String::from_utf8_lossy(&body);
        if !secrets().any(|s| text.contains(s)) {
            drop(text);
            return body;
        }
        // Longer ones first: one may be the beginning of another.
        let mut found: Vec<&str> = secrets().collect();
        found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let mut clean = text.into_owned();
        for secret in found {
            if clean.contains(secret) {
                clean = clean.replace(secret, MASK);
            }
        }
        clean.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "s3cr3t+/\"%&=~ü";

    fn redactor() -> Redactor {
        let redactor = Redactor::default();
        redactor.keep("client", &SecretString::from(SECRET));
        redactor.pass("eyJ0.token.sig");
        redactor
    }

    fn clean(text: &str) -> String {
        String::from_utf8(redactor().clean(text.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn a_repeated_secret_is_taken_out_in_every_likely_form() {
        let escaped = serde_json::json!({ "secret": SECRET }).to_string();
        let form: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("client_secret", SECRET).finish();
        let percent = utf8_percent_encode(SECRET, UNRESERVED).to_string();
        let basic = STANDARD.encode(format!("client:{SECRET}"));
        let forms =
            [SECRET, &escaped, &escaped.replace('/', "\\/"), &form, &form.to_lowercase(), &percent, &basic, &STANDARD.encode(SECRET)];
        for text in forms {
            let cleaned = clean(&format!("before {text} after"));
            assert!(cleaned.contains("***") && cleaned.starts_with("before ") && cleaned.ends_with(" after"), "{cleaned}");
            for part in ["s3cr3t", "czNjcjN0", &basic[8..]] {
                assert!(!cleaned.contains(part), "{cleaned}");
            }
        }
        assert_eq!(clean("Authorization: Bearer eyJ0.token.sig"), "Authorization: Bearer ***");
    }

    #[test]
    fn what_holds_no_secret_stays_byte_for_byte() {
        let body = b"\xff\xfe nothing here".to_vec();
        assert_eq!(redactor().clean(body.clone()), body);
    }

    #[test]
    fn just_the_newest_tokens_are_remembered_and_all_secrets() {
        let redactor = redactor();
        for n in 0..REMEMBERED {
            redactor.pass(&format!("token-{n}"));
        }
        let text = |t: &str| String::from_utf8(redactor.clean(t.as_bytes().to_vec())).unwrap();
        assert_eq!(text("eyJ0.token.sig"), "eyJ0.token.sig");
        assert_eq!(text("token-63"), "***");
        assert_eq!(text(SECRET), "***");
    }
}
