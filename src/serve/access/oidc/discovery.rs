//! What the service says of itself: its configuration and its keys. Both are fetched when they are needed, and kept.

use std::time::Duration;

use bytes::Bytes;
use jsonwebtoken::Header;
use jsonwebtoken::jwk::Jwk;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::error::{SignInError, TokenError};
use crate::connect::Http;
use crate::connect::http::Request;

/// How long configuration and keys are used before they are fetched again.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// How long they are used if they cannot be fetched again.
const LAST: Duration = Duration::from_secs(24 * 60 * 60);
/// How often keys are fetched because a token names one that is not known.
const BETWEEN: Duration = Duration::from_secs(60);

/// The part of the configuration that is used (OpenID Connect Discovery 1.0, 3).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Configuration {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    jwks_uri: Url,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether answers name the issuer (RFC 9207).
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

impl Configuration {
    /// Whether the secret is sent in a header. That is the default of the standard.
    pub(super) fn takes_basic(&self) -> bool {
        self.token_endpoint_auth_methods_supported.as_ref().is_none_or(|all| all.iter().any(|one| one == "client_secret_basic"))
    }
}

/// Something that was fetched.
#[derive(Clone)]
struct Kept<T> {
    value: T,
    fetched: Duration,
}

/// What is known of the service.
pub(super) struct Discovery {
    http: Http,
    issuer: Url,
    configuration: Mutex<Option<Kept<Configuration>>>,
    keys: Mutex<Option<Kept<Vec<Jwk>>>>,
}

/// Whether a request to an address is encrypted, or stays on this machine.
fn is_safe(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || url.scheme() == "http" && loopback
}

impl Discovery {
    pub(super) fn new(http: Http, issuer: Url) -> Discovery {
        Discovery { http, issuer, configuration: Mutex::default(), keys: Mutex::default() }
    }

    async fn get(&self, what: &'static str, url: Url) -> Result<Bytes, SignInError> {
        let request = Request::new("sign-in", Method::GET, url);
        self.http.send(&request).await.map_err(|source| SignInError::Service { what, source: Box::new(source) })
    }

    async fn fetch_configuration(&self) -> Result<Configuration, SignInError> {
        const WHAT: &str = "configuration";
        let wrong = |problem| SignInError::Answer { what: WHAT, problem };
        let issuer = self.issuer.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{issuer}/.well-known/openid-configuration")).map_err(|_| wrong("the issuer is not an address"))?;
        let body = self.get(WHAT, url).await?;
        let found: Configuration = serde_json::from_slice(&body).map_err(|_| wrong("it is not a configuration of OpenID Connect"))?;
        // A slash at the end is the only difference that addresses in the project file do not show.
        if found.issuer.trim_end_matches('/') != issuer {
            return Err(SignInError::Issuer(found.issuer.chars().filter(|c| !crate::printable::is_hidden(*c)).take(200).collect()));
        }
        if ![&found.authorization_endpoint, &found.token_endpoint, &found.jwks_uri].into_iter().all(is_safe) {
            return Err(wrong("an address in it is not encrypted"));
        }
        Ok(found)
    }

    /// The configuration.
    pub(super) async fn configuration(&self, now: Duration) -> Result<Configuration, SignInError> {
        let mut kept = self.configuration.lock().await;
        let old = kept.as_ref().map(|kept| (kept.value.clone(), now.saturating_sub(kept.fetched)));
        match old {
            Some((value, age)) if age < FRESH => Ok(value),
            old => match (self.fetch_configuration().await, old) {
                (Ok(value), _) => {
                    *kept = Some(Kept { value: value.clone(), fetched: now });
                    Ok(value)
                }
                (Err(error), Some((value, age))) if age < LAST => {
                    tracing::warn!(%error, "the configuration of the service to sign in with cannot be fetched again; the older one is used");
                    Ok(value)
                }
                (Err(error), _) => Err(error),
            },
        }
    }

    async fn fetch_keys(&self, configuration: &Configuration) -> Result<Vec<Jwk>, SignInError> {
        const WHAT: &str = "keys";
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let body = self.get(WHAT, configuration.jwks_uri.clone()).await?;
        let set: Set = serde_json::from_slice(&body).map_err(|_| SignInError::Answer { what: WHAT, problem: "it is not a set of keys" })?;
        // A key of a kind that is not known is not for us.
        Ok(set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
    }

    /// The key that a token was signed with. A key that is not known may be new: then the keys are fetched again, once a minute at most.
    pub(super) async fn key(&self, configuration: &Configuration, header: &Header, now: Duration) -> Result<Jwk, SignInError> {
        let mut kept = self.keys.lock().await;
        let age = kept.as_ref().map(|kept| now.saturating_sub(kept.fetched));
        let known = kept.as_ref().and_then(|kept| choose(&kept.value, header).cloned());
        match (known, age) {
            (Some(key), Some(age)) if age < FRESH => return Ok(key),
            (None, Some(age)) if age < BETWEEN => return Err(TokenError::NoKey.into()),
            (known, age) => match self.fetch_keys(configuration).await {
                Ok(value) => *kept = Some(Kept { value, fetched: now }),
                Err(error) => match (known, age) {
                    (Some(key), Some(age)) if age < LAST => {
                        tracing::warn!(%error, "the keys of the service to sign in with cannot be fetched again; the older ones are used");
                        return Ok(key);
                    }
                    _ => return Err(error),
                },
            },
        }
        kept.as_ref().and_then(|kept| choose(&kept.value, header).cloned()).ok_or(TokenError::NoKey.into())
    }
}

/// The key that a header names. Without a name it is the only one there is.
fn choose<'k>(keys: &'k [Jwk], header: &Header) -> Option<&'k Jwk> {
    match (&header.kid, keys) {
        (Some(id), keys) => keys.iter().find(|key| key.common.key_id.as_ref() == Some(id)),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_request_to_the_service_is_encrypted_or_stays_on_this_machine() {
        let is_safe = |text: &str| super::is_safe(&text.parse().expect("an address"));
        assert!(is_safe("https://id.contoso.com/token") && is_safe("http://127.0.0.1:1/token") && is_safe("http://localhost/token"));
        assert!(!is_safe("http://id.contoso.com/token") && !is_safe("ftp://127.0.0.1/token") && !is_safe("file:///token"));
    }
}
