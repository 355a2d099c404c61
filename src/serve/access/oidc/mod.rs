//! Sign-in with a service, by OpenID Connect: the authorization code flow with PKCE, in the library that this program already signs and
//! verifies tokens with, and its one HTTP layer. The crate `openidconnect` would bring a second implementation of cryptography, `rsa`,
//! with an open advisory (RUSTSEC-2023-0071), for a flow of two requests.
//!
//! 1. [`Provider::begin`] redirects the browser to the service, and binds state, nonce and verifier to it by a cookie.
//! 2. The service sends the browser back with a code. [`Provider::finish`] checks the state, exchanges the code for an id token, and checks
//!    the token: signature, issuer, audience, times, nonce.
//! 3. Claims of the token give name and role. Nothing else of the service's is kept, no access token and no refresh token.
//!
//! Sources: OpenID Connect Core 1.0 and Discovery 1.0; RFC 6749, 7636, 9207 and 9700.

mod claims;
mod discovery;
mod error;
mod pending;
mod token;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use self::discovery::{Configuration, Discovery};
pub(super) use self::error::SignInError;
use self::pending::{Pending, Seal};
use self::token::Expected;
use super::config::SignInService;
use super::secret;
use crate::connect::http::Request;
use crate::connect::{ConnectError, Http, HttpConfig};
use crate::project::{Role, SignInSettings};
use crate::run::Clock;

/// The path that the service sends people back to.
pub(super) const CALLBACK: &str = "/sign-in/callback";
/// The cookie of a sign-in that has begun.
pub(super) const COOKIE_NAME: &str = "__Host-d365map-sign-in";
/// The longest answer of the service that is read.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// The service, as it is used.
pub(super) struct Provider {
    settings: SignInSettings,
    secret: Option<SecretString>,
    redirect: Url,
    http: Http,
    discovery: Discovery,
    seal: Seal,
    clock: Clock,
}

/// The query with which the service sends people back.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Callback {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

/// Somebody who has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignedIn {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) then: String,
}

impl Provider {
    /// A service that sends people back to a public address.
    ///
    /// # Errors
    /// The HTTP layer cannot be made.
    pub(super) fn new(service: SignInService, public: &Url, clock: Clock) -> Result<Provider, Box<ConnectError>> {
        let config = HttpConfig {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(10),
            attempts: 2,
            max_response_bytes: LONGEST_ANSWER,
            ..HttpConfig::default()
        };
        let http = Http::new(config).map_err(Box::new)?;
        let mut redirect = public.clone();
        redirect.set_path(CALLBACK);
        let discovery = Discovery::new(http.clone(), service.settings.issuer.clone());
        Ok(Provider { settings: service.settings, secret: service.secret, redirect, http, discovery, seal: Seal::new(), clock })
    }

    /// The host of the service, for people.
    pub(super) fn host(&self) -> &str {
        self.settings.issuer.host_str().unwrap_or("the service")
    }

    /// The host that people are sent back to. A sign-in must begin there too: its cookie belongs to the host.
    pub(super) fn returns_to(&self) -> &Url {
        &self.redirect
    }

    /// Begins a sign-in: returns the address that the browser is sent to, and the value of the cookie.
    pub(super) async fn begin(&self, then: String) -> Result<(Url, String), SignInError> {
        let now = self.clock.elapsed();
        let configuration = self.discovery.configuration(now).await?;
        let pending = Pending::new(then, now);
        let mut address = configuration.authorization_endpoint;
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", self.redirect.as_str())
            .append_pair("scope", &self.settings.scopes.join(" "))
            .append_pair("state", &pending.state)
            .append_pair("nonce", &pending.nonce)
            .append_pair("code_challenge", &pending.challenge())
            .append_pair("code_challenge_method", "S256");
        let cookie = self.seal.close(&pending).ok_or(SignInError::NotBegun)?;
        Ok((address, cookie))
    }

    /// Ends a sign-in. `cookie` is what [`Provider::begin`] gave to the browser.
    pub(super) async fn finish(&self, cookie: Option<&str>, callback: Callback) -> Result<SignedIn, SignInError> {
        let now = self.clock.elapsed();
        let pending = cookie.and_then(|cookie| self.seal.open(cookie, now)).ok_or(SignInError::NotBegun)?;
        if !callback.state.as_ref().is_some_and(|state| secret::same(state, &pending.state)) {
            return Err(SignInError::NotBegun);
        }
        let configuration = self.discovery.configuration(now).await?;
        // An answer of another service would make this one redeem a code that is not its own.
        let named = callback.iss.as_ref();
        if named.is_some_and(|named| *named != configuration.issuer)
            || named.is_none() && configuration.authorization_response_iss_parameter_supported
        {
            return Err(SignInError::NotBegun);
        }
        if let Some(error) = &callback.error {
            let words = [Some(error), callback.error_description.as_ref()].into_iter().flatten().map(String::as_str).collect::<Vec<_>>();
            let words = words.join(": ");
            return Err(SignInError::Refused(words.chars().filter(|c| !crate::printable::is_hidden(*c)).take(300).collect()));
        }
        let code = callback.code.as_deref().filter(|code| !code.is_empty()).ok_or(SignInError::NotBegun)?;
        let token = self.redeem(&configuration, code, &pending.verifier).await?;
        let header = token::header(&token)?;
        let key = self.discovery.key(&configuration, &header, now).await?;
        let claims = token::signed(&token, &header, &key)?;
        let Configuration { issuer, .. } = &configuration;
        let expected = Expected { issuer, client_id: &self.settings.client_id, nonce: &pending.nonce, now: self.clock.now() };
        token::check(&claims, &expected)?;
        let name = claims::name(&self.settings, &claims);
        match claims::role(&self.settings, &claims) {
            Some(role) => Ok(SignedIn { name, role, then: pending.then }),
            None => {
                let claim = self.settings.roles_claim.clone();
                Err(SignInError::NoRole { name, found: claims::values(&claims, &claim), claim })
            }
        }
    }

    /// Exchanges a code for an id token.
    async fn redeem(&self, configuration: &Configuration, code: &str, verifier: &str) -> Result<String, SignInError> {
        const WHAT: &str = "token";
        #[derive(Deserialize)]
        struct Tokens {
            id_token: Option<String>,
        }
        let redirect = self.redirect.as_str();
        let mut fields =
            vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirect), ("code_verifier", verifier)];
        let mut request = Request::new("sign-in", Method::POST, configuration.token_endpoint.clone());
        let client_id = self.settings.client_id.as_str();
        match &self.secret {
            Some(secret) if configuration.takes_basic() => {
                // Both parts are encoded as in a form first (RFC 6749, 2.3.1).
                let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encoded(client_id), encoded(secret.expose_secret()));
                let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
                    .map_err(|_| SignInError::Answer { what: WHAT, problem: "the secret cannot be sent" })?;
                value.set_sensitive(true);
                request.headers.insert(AUTHORIZATION, value);
            }
            Some(secret) => fields.extend([("client_id", client_id), ("client_secret", secret.expose_secret())]),
            None => fields.push(("client_id", client_id)),
        }
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        request.body = Some(Bytes::from(form)).into();
        let body = self.http.send(&request).await.map_err(|source| SignInError::Service { what: WHAT, source: Box::new(source) })?;
        let tokens: Tokens =
            serde_json::from_slice(&body).map_err(|_| SignInError::Answer { what: WHAT, problem: "it is not a token response" })?;
        tokens.id_token.ok_or(SignInError::Answer { what: WHAT, problem: "it has no id token; the scope `openid` is needed" })
    }
}
