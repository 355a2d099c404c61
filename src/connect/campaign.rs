//! Writes to Adobe Campaign Standard over its REST API. Records are addressed by a key of ours: the PKey that answers
//! carry belongs to Campaign and must not be kept outside, so that no method returns or takes one.
//!
//! Sources: Campaign Standard API, *Interacting with custom resources* and *Updating data*; Adobe, *OAuth server-to-server*.
//! Assumed: that an unknown key answers 404.

mod probe;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;

use super::http::{Expect, Http, Request, TokenSource, service_url};
use super::{Call, ConnectError, Credential};

const API: &str = "campaign";
/// Everything but RFC 3986's unreserved characters: what else a key has must not end or split its path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A connection to one instance.
#[derive(Debug, Clone)]
pub struct CampaignConfig {
    /// The organisation's address: `https://mc.adobe.io/<ORGANIZATION>`.
    pub url: Url,
    /// Where tokens come from.
    pub token_url: Url,
    /// The credential's client id; also the API key.
    pub client_id: String,
    /// What the client shows: the secret of an OAuth server-to-server credential, or a deprecated service account.
    pub credential: Credential,
    /// The scopes, separated by commas.
    pub scope: String,
    /// The endpoint: `profileAndServicesExt` unless resources not linked to profiles are meant (`customResources`).
    pub api: String,
}

impl CampaignConfig {
    /// A configuration with Adobe's token service for this kind of credential, and the extended endpoint.
    pub fn new(url: Url, client_id: impl Into<String>, credential: impl Into<Credential>, scope: impl Into<String>) -> Self {
        let credential = credential.into();
        let path = if matches!(credential, Credential::AdobeJwt(_)) { "exchange/jwt" } else { "token/v3" };
        let token_url = Url::parse(&format!("https://ims-na1.adobelogin.com/ims/{path}")).expect("a constant");
        Self { url, token_url, client_id: client_id.into(), credential, scope: scope.into(), api: "profileAndServicesExt".to_owned() }
    }
}

/// Whether a write found its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It did, and the write is done.
    Done,
    /// There is no record of that key.
    Missing,
}

/// A client of one instance; clones share the token and the connections.
#[derive(Clone)]
pub struct Campaign(Arc<Inner>);

struct Inner {
    http: Http,
    /// The endpoint's address, with a slash at its end.
    root: String,
    headers: HeaderMap,
    token: TokenSource,
}

impl fmt::Debug for Campaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Campaign").field("root", &self.0.root).finish_non_exhaustive()
    }
}

impl Campaign {
    /// Checks the configuration; makes no call.
    ///
    /// # Errors
    /// [`ConnectError::Config`].
    pub fn new(http: Http, config: CampaignConfig) -> Result<Self, ConnectError> {
        service_url(API, "url", &config.url)?;
        service_url(API, "token-url", &config.token_url)?;
        if config.api.is_empty() || !config.api.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(ConnectError::config(
                format!("campaign: `{}` is no endpoint", config.api),
                "use profileAndServicesExt or customResources",
            ));
        }
        let root = format!("{}/campaign/{}/", config.url.as_str().trim_end_matches('/'), config.api);
        let mut key = HeaderValue::try_from(&config.client_id).map_err(|_| {
            ConnectError::config("campaign: `client-id` cannot stand in a header", "copy it again from the project's credential")
        })?;
        key.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(HeaderName::from_static("x-api-key"), key);
        let token = TokenSource::new(http.clone(), config.token_url, &config.client_id, config.credential, &config.scope);
        Ok(Self(Arc::new(Inner { http, root, headers, token })))
    }

    /// A record by its key, without its PKey and the address that holds it; none when there is none.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn get(&self, resource: &str, key: &str) -> Result<Option<Value>, ConnectError> {
        let request = self.request(Method::GET, &[resource, key], None)?;
        match self.0.http.send(&request).await {
            Ok(body) => {
                let mut record: Value = json(&request, &body)?;
                if let Some(fields) = record.as_object_mut() {
                    fields.retain(|name, _| name != "PKey" && name != "href");
                }
                Ok(Some(record))
            }
            Err(ConnectError::NotFound { call }) if call.status == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a record; `body` is a JSON object that carries the key.
    ///
    /// # Errors
    /// [`ConnectError::Duplicate`] when the key is taken. [`ConnectError::OutcomeUnknown`] when the answer was not seen: the
    /// request is not repeated, since it might make a second record; look the key up first. Others as they come.
    pub async fn create(&self, resource: &str, body: &str) -> Result<(), ConnectError> {
        let request = self.request(Method::POST, &[resource], Some(body))?;
        self.0.http.send(&request).await.map(drop)
    }

    /// Changes attributes of a record; `body` is a JSON object of the changed ones, without the key.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn update(&self, resource: &str, key: &str, body: &str) -> Result<Written, ConnectError> {
        self.write(self.request(Method::PATCH, &[resource, key], Some(body))?).await
    }

    /// Deletes a record. One that is gone already is [`Written::Missing`], also when it was an earlier attempt of this very
    /// call that deleted it and whose answer was lost.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn delete(&self, resource: &str, key: &str) -> Result<Written, ConnectError> {
        self.write(self.request(Method::DELETE, &[resource, key], None)?).await
    }

    /// The description of a resource, as the service gives it.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn resource_metadata(&self, resource: &str) -> Result<Value, ConnectError> {
        let request = self.request(Method::GET, &["resourceType", resource], None)?;
        let body = self.0.http.send(&request).await?;
        json(&request, &body)
    }

    async fn write(&self, request: Request<'_>) -> Result<Written, ConnectError> {
        match self.0.http.send(&request).await {
            Ok(_) => Ok(Written::Done),
            Err(ConnectError::NotFound { call }) if call.status == Some(404) => Ok(Written::Missing),
            Err(error) => Err(error),
        }
    }

    fn request(&self, method: Method, path: &[&str], body: Option<&str>) -> Result<Request<'_>, ConnectError> {
        let mut address = self.0.root.clone();
        for (n, segment) in path.iter().enumerate() {
            // These would change the address, encoded or not (RFC 3986, 5.2.4; WHATWG URL: double-dot path segment).
            if ["", ".", ".."].contains(segment) {
                let call = Call {
                    api: API,
                    method: method.to_string(),
                    url: self.0.root.clone(),
                    message: Some(format!("a record cannot be addressed by the key `{segment}`")),
                    ..Call::default()
                };
                return Err(ConnectError::Rejected { call: Box::new(call) });
            }
            if n > 0 {
                address.push('/');
            }
            address.extend(utf8_percent_encode(segment, SEGMENT));
        }
        let url = Url::parse(&address)
            .map_err(|_| ConnectError::config("campaign: `url` is no address", "use https://mc.adobe.io/<ORGANIZATION>"))?;
        let mut headers = self.0.headers.clone();
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=utf-8"));
        }
        let expect = if method == Method::GET { Expect::Body } else { Expect::Status };
        let body = body.map(|b| Bytes::copy_from_slice(b.as_bytes())).into();
        // Everything but POST names its record by key, and so does the same when it comes twice.
        Ok(Request { headers, body, expect, token: Some(&self.0.token), ..Request::new(API, method, url) })
    }
}

fn json(request: &Request<'_>, body: &Bytes) -> Result<Value, ConnectError> {
    serde_json::from_slice(body).map_err(|e| {
        request.protocol(format!("the answer is not JSON (line {}, column {}): check the connection's `url`", e.line(), e.column()))
    })
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::connect::HttpConfig;

    fn config(url: &str) -> CampaignConfig {
        CampaignConfig::new(url.parse().unwrap(), "key-1", SecretString::from("s3cr3t"), "a,b")
    }

    fn new(config: CampaignConfig) -> Result<Campaign, ConnectError> {
        Campaign::new(Http::new(HttpConfig::default()).unwrap(), config)
    }

    #[test]
    fn a_key_is_one_path_segment_whatever_it_contains() {
        let campaign = new(config("https://mc.adobe.io/org/")).unwrap();
        let url = |key: &str| campaign.request(Method::GET, &["profile", key], None).unwrap().url.to_string();
        let root = "https://mc.adobe.io/org/campaign/profileAndServicesExt/profile/";
        assert_eq!(url("a/b+c%d'e"), format!("{root}a%2Fb%2Bc%25d%27e"));
        assert_eq!(url("a?b#c\\d e"), format!("{root}a%3Fb%23c%5Cd%20e"));
        assert_eq!(url("é…"), format!("{root}%C3%A9%E2%80%A6"));
        assert_eq!(url("4d9e5e49-2a5b"), format!("{root}4d9e5e49-2a5b"));
    }

    #[test]
    fn a_key_that_would_change_the_address_is_refused() {
        let campaign = new(config("https://mc.adobe.io/org")).unwrap();
        for key in ["", ".", ".."] {
            assert!(matches!(campaign.request(Method::DELETE, &["profile", key], None), Err(ConnectError::Rejected { .. })), "{key}");
        }
    }

    #[test]
    fn nothing_shown_of_a_connection_has_the_secret() {
        let config = config("https://mc.adobe.io/org");
        assert!(!format!("{config:?}").contains("s3cr3t"));
        assert!(!format!("{:?}", new(config).unwrap()).contains("s3cr3t"));
    }

    #[test]
    fn a_wrong_address_or_endpoint_is_said_at_once() {
        assert!(matches!(new(config("http://mc.adobe.io/org")), Err(ConnectError::Config { .. })));
        for api in ["", "a/b", "../x"] {
            let config = CampaignConfig { api: api.to_owned(), ..config("https://mc.adobe.io/org") };
            assert!(matches!(new(config), Err(ConnectError::Config { .. })), "{api}");
        }
    }
}
