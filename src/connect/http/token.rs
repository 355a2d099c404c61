//! Access tokens: asked for by client credentials, kept until shortly before they expire, asked for by one caller at a time.
//!
//! Sources: RFC 6749, 4.4; Microsoft identity platform, *client credentials flow*; Adobe, *OAuth server-to-server*. Neither
//! service gives a refresh token here: a new token is asked for in the same way.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use super::bearer::{Pending, Token, Tokens};
use super::client::Http;
use super::credential::Credential;
use super::request::{Payload, Request};
use super::slot::{self, Slot};
use crate::connect::error::{Call, ConnectError};

/// Where a connector's tokens come from.
pub(crate) struct TokenSource {
    http: Http,
    url: Url,
    client_id: String,
    scope: String,
    credential: Credential,
    slot: Slot,
}

/// Shows the address alone.
impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl TokenSource {
    /// A source that posts a client's credential to `url`.
    pub(crate) fn new(http: Http, url: Url, client_id: &str, credential: Credential, scope: &str) -> Self {
        let (client_id, scope) = (client_id.to_owned(), scope.to_owned());
        if let Some(secret) = credential.repeatable() {
            http.redactor().keep(&client_id, secret);
        }
        Self { http, url, client_id, scope, credential, slot: Slot::default() }
    }

    /// Asks for a token, unless there is one, and keeps it.
    pub(crate) async fn prove(&self) -> Result<(), ConnectError> {
        self.get().await.map(drop)
    }

    async fn ask(&self) -> Result<(HeaderValue, Duration), ConnectError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(reqwest::header::ACCEPT, HeaderValue::from_static("application/json"));
        // Signed here so that a fault of the key is reported as such, and again for each attempt.
        let first = self.encoded()?;
        let fresh = || self.encoded().map_or_else(|_| first.clone(), Into::into);
        let request = Request {
            headers,
            body: Payload::Fresh(&fresh),
            // One token more does no harm.
            repeat: super::retry::Repeat::Safe,
            ..Request::new("token", Method::POST, self.url.clone())
        };
        let answer = self.http.send(&request).await.map_err(|e| self.explained(e))?;
        let problem = |problem: &str| request.protocol(format!("{problem}: check the connection's `token-url`"));
        let value: Value =
            serde_json::from_slice(super::answer::strip_bom(&answer)).map_err(|_| problem("the token service's answer is not JSON"))?;
        let text = value.get("access_token").and_then(Value::as_str).filter(|t| !t.is_empty());
        let text = text.ok_or_else(|| problem("the token service's answer has no `access_token`"))?;
        self.http.redactor().pass(text);
        let mut header = HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| problem("the token cannot be used in a header"))?;
        header.set_sensitive(true);
        let life = slot::bounded(slot::stated_life(&value).map(|life| self.credential.life(life)));
        Ok((header, life))
    }

    /// The form. Not inline: its serializer would keep the request from moving between threads.
    fn encoded(&self) -> Result<Bytes, ConnectError> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.credential.form(&self.url, &self.client_id, &self.scope)? {
            if matches!(name, "client_assertion" | "jwt_token") {
                self.http.redactor().pass(value.expose_secret());
            }
            form.append_pair(name, value.expose_secret());
        }
        Ok(form.finish().into())
    }

    /// A refusal by the token service, with its remedy, and without the secret should the service have repeated it.
    fn explained(&self, error: ConnectError) -> ConnectError {
        let mut call = match refusal(error) {
            Ok(call) => call,
            Err(other) => return other,
        };
        let scrub = |text: &mut Option<String>| {
            if let Some(text) = text {
                for secret in self.credential.repeatable().into_iter().filter(|s| !s.expose_secret().is_empty()) {
                    *text = text.replace(secret.expose_secret(), "***");
                }
            }
        };
        scrub(&mut call.message);
        scrub(&mut call.body);
        let remedy = remedy(call.code.as_deref().unwrap_or_default()).to_owned();
        ConnectError::Token { call, remedy }
    }
}

impl Tokens for TokenSource {
    fn get(&self) -> Pending<'_, Result<Token, ConnectError>> {
        Box::pin(self.slot.current(|| self.ask()))
    }

    fn refused<'a>(&'a self, token: &'a Token) -> Pending<'a, ()> {
        Box::pin(self.slot.forget(token))
    }
}

/// Returns the call of a refusal by a token service.
///
/// # Errors
/// The error itself, if it is not a refusal.
pub(super) fn refusal(error: ConnectError) -> Result<Box<Call>, ConnectError> {
    match error {
        ConnectError::Unauthorized { call }
        | ConnectError::Forbidden { call }
        | ConnectError::NotFound { call }
        | ConnectError::Rejected { call }
        | ConnectError::Duplicate { call } => Ok(call),
        other => Err(other),
    }
}

/// What to do about a code of Entra ID (Microsoft Entra: *error codes*) or of Adobe's IMS (the codes of RFC 6749).
pub(super) fn remedy(code: &str) -> &'static str {
    match code {
        "AADSTS7000215" => "the client secret is wrong: give the secret's value, not its id",
        "AADSTS7000222" => "the client secret has expired: make a new one in the app registration",
        "AADSTS700016" => "the app is not known in this tenant: check `client-id` and `tenant`",
        "AADSTS90002" | "AADSTS900023" => "the tenant is not known: check `tenant`",
        "AADSTS700027" => {
            "the assertion's signature is not accepted: check that this certificate is uploaded to the app registration and has not expired"
        }
        "AADSTS700024" => "the assertion is outside its time: check this machine's clock",
        "AADSTS500011" => "the environment is not known to the token service: check the connection's `url`",
        "invalid_scope" => "the scope is not granted: take the scopes from the project's OAuth server-to-server credential",
        "invalid_client" | "unauthorized_client" => {
            "the client is not accepted: check `client-id`, the secret, and that the credential is active"
        }
        _ => "the token service refuses the client: check `client-id`, the secret and the token address",
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::connect::{Call, HttpConfig};

    fn source() -> TokenSource {
        let url = "https://login.example/token".parse().unwrap();
        TokenSource::new(Http::new(HttpConfig::default()).unwrap(), url, "id", SecretString::from("s3cr3t").into(), "scope")
    }

    #[tokio::test]
    async fn a_token_error_carries_code_and_remedy_and_never_the_secret() {
        let call = Box::new(Call {
            code: Some("AADSTS7000215".into()),
            message: Some("AADSTS7000215: s3cr3t is wrong".into()),
            body: Some("{\"given\":\"s3cr3t\"}".into()),
            ..Call::default()
        });
        let error = source().explained(ConnectError::Unauthorized { call });
        assert!(matches!(error, ConnectError::Token { .. }));
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("AADSTS7000215") && shown.contains("not its id"), "{shown}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }

    #[tokio::test]
    async fn a_token_source_shows_no_secret() {
        let shown = format!("{:?}", source());
        assert!(shown.contains("login.example") && !shown.contains("s3cr3t"), "{shown}");
    }
}
