//! A sign-in that has begun: kept in a cookie of the browser, so that strangers cannot fill this program's memory, and signed with a key
//! that ends with the process.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::secret;

/// How long a person may take to sign in.
pub(super) const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// A sign-in that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    /// Comes back in the address, and shows that this browser has begun it.
    pub(super) state: String,
    /// Comes back in the id token, and shows that the token was made for it.
    pub(super) nonce: String,
    /// Shows the service that whoever has begun it also ends it (RFC 7636).
    pub(super) verifier: String,
    /// The path to return to.
    pub(super) then: String,
    /// When it began, by the process's clock, in milliseconds.
    begun: u64,
}

/// Signs what is in cookies.
pub(super) struct Seal([u8; 32]);

impl Seal {
    pub(super) fn new() -> Seal {
        Seal(rand::random())
    }

    /// `None` cannot come: a key of any length is accepted.
    fn mac(&self, text: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(text.as_bytes());
        Some(mac)
    }

    /// The cookie's value.
    pub(super) fn close(&self, pending: &Pending) -> Option<String> {
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(pending).ok()?);
        let tag = URL_SAFE_NO_PAD.encode(self.mac(&body)?.finalize().into_bytes());
        Some(format!("{body}.{tag}"))
    }

    /// What is in a cookie, if this process has written it within the lifetime.
    pub(super) fn open(&self, value: &str, now: Duration) -> Option<Pending> {
        let (body, tag) = value.split_once('.')?;
        self.mac(body)?.verify_slice(&URL_SAFE_NO_PAD.decode(tag).ok()?).ok()?;
        let pending: Pending = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        (now.saturating_sub(Duration::from_millis(pending.begun)) < LIFETIME).then_some(pending)
    }
}

impl Pending {
    pub(super) fn new(then: String, now: Duration) -> Pending {
        let begun = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        Pending { state: secret::token(), nonce: secret::token(), verifier: secret::token(), then, begun }
    }

    /// What is sent of the verifier first: its hash (S256).
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_as_it_was_written_for_ten_minutes() {
        let (seal, begun) = (Seal::new(), Duration::from_secs(5));
        let pending = Pending::new("/p/crm?a=b".to_owned(), begun);
        let cookie = seal.close(&pending).expect("a cookie");
        assert!(cookie.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) && cookie.len() < 1000, "{cookie}");
        assert_eq!(seal.open(&cookie, begun + LIFETIME - Duration::from_millis(1)), Some(pending));
        assert_eq!(seal.open(&cookie, begun + LIFETIME), None);
    }

    #[test]
    fn a_cookie_that_was_changed_or_written_by_another_process_is_not_read() {
        let (seal, now) = (Seal::new(), Duration::ZERO);
        let cookie = seal.close(&Pending::new("/".to_owned(), now)).expect("a cookie");
        let (body, tag) = cookie.split_once('.').expect("two parts");
        let other = Seal::new().close(&Pending::new("/".to_owned(), now)).expect("a cookie");
        let (other_body, other_tag) = other.split_once('.').expect("two parts");
        for wrong in ["", ".", body, &format!("{body}."), &format!("{body}.{other_tag}"), &format!("{other_body}.{tag}"), &other] {
            assert_eq!(seal.open(wrong, now), None, "{wrong}");
        }
    }

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let pending =
            Pending { verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(), ..Pending::new("/".to_owned(), Duration::ZERO) };
        assert_eq!(pending.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
