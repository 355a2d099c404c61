//! An address of the user's that takes messages: one POST for each.

use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use url::Url;

use super::error::ConnectError;
use super::http::{Expect, Http, HttpConfig, Request};

/// The header with the signature: `sha256=` and the HMAC of the body in hexadecimal digits.
const SIGNATURE: HeaderName = HeaderName::from_static("x-d365map-signature");

/// The time for one message.
const TIMEOUT: Duration = Duration::from_secs(15);

/// An address that takes messages.
pub struct Hook {
    http: Http,
    url: Url,
    token: Option<HeaderValue>,
    signing_secret: Option<SecretString>,
}

impl Hook {
    /// Prepares an address. `token` is sent as a bearer token; by `signing_secret` each message is signed.
    ///
    /// # Errors
    /// [`ConnectError::Config`] if the token cannot be sent in a header, or no HTTP client can be made.
    pub fn new(url: Url, token: Option<&SecretString>, signing_secret: Option<SecretString>) -> Result<Hook, ConnectError> {
        let header = |token: &SecretString| {
            let mut header = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())).map_err(|_| {
                ConnectError::config("the token of the webhook cannot be sent in a header", "give a token without line breaks")
            })?;
            header.set_sensitive(true);
            Ok::<_, ConnectError>(header)
        };
        // Whoever calls tries again by itself, less and less often.
        let config = HttpConfig { request_timeout: TIMEOUT, attempts: 1, ..HttpConfig::default() };
        Ok(Hook { http: Http::new(config)?, url, token: token.map(header).transpose()?, signing_secret })
    }

    /// Sends a message, which is JSON.
    ///
    /// # Errors
    /// [`ConnectError`] unless the answer is a success. If the answer was lost, the message may have arrived.
    pub async fn post(&self, body: Bytes) -> Result<(), ConnectError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        if let Some(signature) = self.signature(&body) {
            headers.insert(SIGNATURE, signature);
        }
        let request =
            Request { headers, body: Some(body).into(), expect: Expect::Status, ..Request::new("notify", Method::POST, self.url.clone()) };
        self.http.send(&request).await.map(drop)
    }

    fn signature(&self, body: &[u8]) -> Option<HeaderValue> {
        let secret = self.signing_secret.as_ref()?;
        // A key of any length is accepted.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
        mac.update(body);
        let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        HeaderValue::from_str(&format!("sha256={digits}")).ok()
    }
}
