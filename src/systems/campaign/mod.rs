//! Reads from and writes to Adobe Campaign Standard over its REST API. Records are addressed by a key of ours: the PKey that
//! answers carry belongs to Campaign and must not be kept outside, so that no method returns or takes one. What is behind an
//! address of an answer (`href`, `next`, `count`, `events`) is reached by that address, after a check that it leads to the
//! configured organization.
//!
//! [`record`] reads and writes single records, [`link`] writes links between them, [`list`] follows pages, [`metadata`] describes
//! resources, [`history`] reads what was sent to a profile, [`adopt`] finds records that have no key of ours and gives them one,
//! [`subscription`] reads, begins and ends subscriptions of profiles to services.
//!
//! Sources: Campaign Standard API, *Must read*, *Endpoints*, *Interacting with custom resources*; Adobe, *OAuth server-to-server*.
//! A resource is named by itself (`profile`, `cusBrand`) or with its endpoint (`customResources/cusBrand`).

mod adopt;
mod history;
mod link;
mod list;
mod metadata;
mod persons;
mod probe;
mod record;
mod seam;
mod subscription;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::sync::OnceCell;
use url::Url;

use crate::connect::http::{Http, Repeat, Reply, Request, TokenSource, origin, service_url};
use crate::connect::{Call, ConnectError, Credential, RequestLifetime};
use crate::json;

pub use self::history::{Event, Events};
pub use self::link::{Link, LinkForm, Target};
pub use self::list::{Filter, Pages, Query};
pub use self::metadata::{Attribute, AttributeType, FilterType, ResourceType};
pub use self::record::Key;
pub use super::target::{Linked, Payload, Written};

const API: &str = "campaign";
/// The endpoint of extended and custom fields, and of custom resources that are linked to the profile.
const EXTENDED: &str = "profileAndServicesExt";
/// The endpoint of custom resources that are not.
const CUSTOM: &str = "customResources";
/// The endpoint of standard fields, under which marketing history is.
const STANDARD: &str = "profileAndServices";
/// Everything but RFC 3986's unreserved characters: what else a key has must not end or split its path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// As far as it is known, a PKey is `@` and letters, digits, `-` and `_`; documents and answers write the `@` as it is.
const PKEY: &AsciiSet = &SEGMENT.remove(b'@');

/// A connection to one instance. `C` is the credential, or where it is kept.
#[derive(Debug, Clone)]
pub struct CampaignConfig<C = Credential> {
    /// The organization's address: `https://mc.adobe.io/<ORGANIZATION>`.
    pub url: Url,
    /// Where tokens come from.
    pub token_url: Url,
    /// The credential's client id; also the API key.
    pub client_id: String,
    /// What the client shows: the secret of an OAuth server-to-server credential, or a deprecated service account.
    pub credential: C,
    /// The scopes, separated by commas.
    pub scope: String,
    /// The endpoint of resources that are named without one. With `profileAndServicesExt` the service is asked which of the custom
    /// resources are there, and the others are looked for under `customResources`.
    pub api: String,
    /// How links to other records are written.
    pub link_form: LinkForm,
}

impl<C> CampaignConfig<C> {
    /// As [`CampaignConfig::new`], with a credential that is not at hand; `is_service_account` tells its kind.
    pub fn of(url: Url, client_id: impl Into<String>, credential: C, is_service_account: bool, scope: impl Into<String>) -> Self {
        let path = if is_service_account { "exchange/jwt" } else { "token/v3" };
        let token_url = Url::parse(&format!("https://ims-na1.adobelogin.com/ims/{path}")).expect("a constant");
        Self {
            url,
            token_url,
            client_id: client_id.into(),
            credential,
            scope: scope.into(),
            api: EXTENDED.to_owned(),
            link_form: LinkForm::default(),
        }
    }

    /// The same with another credential, such as the one that was kept where the first one says.
    pub fn with_credential<D>(&self, credential: D) -> CampaignConfig<D> {
        let CampaignConfig { url, token_url, client_id, scope, api, link_form, .. } = self;
        CampaignConfig {
            url: url.clone(),
            token_url: token_url.clone(),
            client_id: client_id.clone(),
            credential,
            scope: scope.clone(),
            api: api.clone(),
            link_form: *link_form,
        }
    }
}

impl CampaignConfig {
    /// A configuration with Adobe's token service for this kind of credential, the extended endpoint, and links by PKey.
    #[cfg(any(test, feature = "internals"))]
    pub fn new(url: Url, client_id: impl Into<String>, credential: impl Into<Credential>, scope: impl Into<String>) -> Self {
        let credential = credential.into();
        let is_service_account = matches!(credential, Credential::AdobeJwt(_));
        CampaignConfig::of(url, client_id, credential, is_service_account, scope)
    }
}

/// A client of one instance; clones share the token and the connections.
#[derive(Clone)]
pub struct Campaign(Arc<Inner>);

struct Inner {
    http: Http,
    /// The instance's address up to `/campaign/`.
    root: Url,
    /// The endpoint of resources that are named without one.
    api: String,
    link_form: LinkForm,
    /// The custom resources that are linked to the profile, once they have been asked for.
    linked: OnceCell<HashSet<String>>,
    /// The filters of resources that have been asked for; none where Campaign did not tell them.
    filters: Mutex<HashMap<String, Option<Arc<[FilterType]>>>>,
    /// Where links lead that last.
    lasting: link::Lasting,
    headers: HeaderMap,
    token: TokenSource,
}

impl fmt::Debug for Campaign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Campaign").field("root", &self.0.root.as_str()).field("api", &self.0.api).finish_non_exhaustive()
    }
}

/// A resource with its endpoint.
#[derive(Debug)]
struct Place<'a> {
    api: Cow<'a, str>,
    resource: &'a str,
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
                format!("campaign: `{}` is not an endpoint", config.api),
                "use profileAndServicesExt or customResources",
            ));
        }
        let root = format!("{}/campaign/", config.url.as_str().trim_end_matches('/'));
        let root = Url::parse(&root)
            .map_err(|_| ConnectError::config("campaign: `url` is not an address", "use https://mc.adobe.io/<ORGANIZATION>"))?;
        let mut key = HeaderValue::try_from(&config.client_id).map_err(|_| {
            ConnectError::config("campaign: `client-id` cannot be used in a header", "copy it again from the project's credential")
        })?;
        key.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(HeaderName::from_static("x-api-key"), key);
        let token = TokenSource::new(http.clone(), config.token_url, &config.client_id, config.credential, &config.scope);
        Ok(Self(Arc::new(Inner {
            http,
            root,
            api: config.api,
            link_form: config.link_form,
            linked: OnceCell::new(),
            filters: Mutex::default(),
            lasting: link::Lasting::default(),
            headers,
            token,
        })))
    }

    /// The instance's address with its path, without a slash at its end.
    pub fn instance(&self) -> &str {
        self.0.root.as_str().trim_end_matches("/campaign/")
    }

    /// How long a request may still take effect.
    pub fn request_lifetime(&self) -> RequestLifetime {
        self.0.http.config().request_lifetime
    }

    /// A resource by its name, with its endpoint or without. Which endpoint has a custom resource is asked once: those that are
    /// linked to the profile are listed under the extended one, and all others are under the other.
    ///
    /// # Errors
    /// [`ConnectError`] of that question.
    async fn place<'a>(&'a self, resource: &'a str) -> Result<Place<'a>, ConnectError> {
        if let Some((api, resource)) = resource.split_once('/') {
            return Ok(Place { api: Cow::Borrowed(api), resource });
        }
        let mut place = Place { api: Cow::Borrowed(self.0.api.as_str()), resource };
        // Every custom resource begins so; others are the product's. [D]
        if resource.starts_with("cus") && self.0.api == EXTENDED {
            let linked = self.0.linked.get_or_try_init(|| async { self.resources(EXTENDED).await.map(HashSet::from_iter) }).await?;
            if !linked.contains(resource) {
                place.api = Cow::Borrowed(CUSTOM);
            }
        }
        Ok(place)
    }

    /// An address below the instance's root, of segments and parameters as they are meant: both are encoded here.
    ///
    /// # Errors
    /// [`ConnectError::Rejected`] for a segment that cannot be used in an address.
    fn address<'a>(
        &self,
        path: impl IntoIterator<Item = &'a str>,
        query: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Url, ConnectError> {
        let root = &self.0.root;
        let mut address = root.path().trim_end_matches('/').to_owned();
        for segment in path {
            // These would change the address, encoded or not (RFC 3986, 5.2.4; WHATWG URL: double-dot path segment).
            if ["", ".", ".."].contains(&segment) {
                return Err(self.refused(format!("a record cannot be addressed by the key `{segment}`")));
            }
            address.push('/');
            address.extend(utf8_percent_encode(segment, if segment.starts_with('@') { PKEY } else { SEGMENT }));
        }
        // Scheme and host are not parsed again for each request.
        let mut url = root.clone();
        url.set_path(&address);
        extend_query(&mut url, query);
        Ok(url)
    }

    /// An address from an answer, when it leads to this organization's API. One without a host is taken from the root; no document
    /// shows any. [K]
    ///
    /// # Errors
    /// [`ConnectError::ForeignLink`].
    fn own(&self, link: &str) -> Result<Url, ConnectError> {
        let root = &self.0.root;
        let foreign = |found: String| ConnectError::ForeignLink { api: API, found, expected: root.to_string() };
        let parsed = if link.starts_with('/') { root.join(link) } else { Url::parse(link) };
        let mut url = parsed.map_err(|_| foreign("no address".to_owned()))?;
        let bare = url.username().is_empty() && url.password().is_none();
        if url.origin() == root.origin() && bare && url.path().starts_with(root.path()) {
            url.set_fragment(None);
            Ok(url)
        } else if url.origin() == root.origin() && bare {
            Err(foreign(format!("another organization at {}", origin(&url))))
        } else {
            Err(foreign(origin(&url)))
        }
    }

    /// A refusal of ours, before anything was sent.
    fn refused(&self, message: String) -> ConnectError {
        let call = Call { api: API, url: self.0.root.to_string(), message: Some(message), ..Call::default() };
        ConnectError::Rejected { call: Box::new(call) }
    }

    fn request(&self, method: Method, url: Url, body: Option<Bytes>) -> Request<'_> {
        let mut headers = self.0.headers.clone();
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=utf-8"));
        }
        if method == Method::DELETE {
            // Its answer has nothing that tells it from the answer to another delete, so it is the last one on its connection.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let body = body.into();
        // Campaign knows no versions: an update or a delete that arrives late takes effect.
        let repeat = match method {
            Method::GET => Repeat::Safe,
            Method::POST => Repeat::Never,
            _ => Repeat::Ordered,
        };
        // The answer to a create is the created record (documented), so the answers to two creates differ.
        let own_answer = method == Method::POST;
        Request { headers, body, repeat, own_answer, token: Some(&self.0.token), ..Request::new(API, method, url) }
    }

    /// Sends a request; an error names no PKey.
    async fn send(&self, request: &Request<'_>) -> Result<Bytes, ConnectError> {
        self.exchange(request).await.map(|reply| reply.body)
    }

    /// Sends a request, and gives the answer with its status.
    async fn exchange(&self, request: &Request<'_>) -> Result<Reply, ConnectError> {
        self.0.http.exchange(request).await.map_err(understood)
    }

    /// Gets a JSON document.
    async fn read<T: serde::de::DeserializeOwned>(&self, url: Url) -> Result<T, ConnectError> {
        let request = self.request(Method::GET, url, None);
        let body = self.send(&request).await?;
        json::read(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&body)).map_err(|e| {
            let place = format!("line {}, column {}", e.line(), e.column());
            let problem = match e.classify() {
                serde_json::error::Category::Data => format!("the answer does not have the documented shape ({place})"),
                serde_json::error::Category::Io | serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
                    format!("the answer is not JSON ({place})")
                }
            };
            without_pkeys(request.protocol(format!("{problem}: check the connection's `url`")))
        })
    }
}

/// Adds parameters to an address, beside those that it has.
fn extend_query<'a>(url: &mut Url, query: impl IntoIterator<Item = (&'a str, &'a str)>) {
    let mut text = url.query().unwrap_or_default().to_owned();
    for (name, value) in query {
        if !text.is_empty() {
            text.push('&');
        }
        text.extend(utf8_percent_encode(name, SEGMENT));
        text.push('=');
        // Not as in forms: a space is `%20` here, by the documents' examples.
        text.extend(utf8_percent_encode(value, SEGMENT));
    }
    if !text.is_empty() {
        url.set_query(Some(&text));
    }
}

/// Words of a refusal that may come with status 500; seen in a comment of the documents' sources. [C]
const REFUSAL: [&str; 2] = ["property is not valid", "property that is read-only"];

/// An error as it is meant: Campaign may answer 500 also to what it will refuse again.
fn understood(error: ConnectError) -> ConnectError {
    let error = without_pkeys(error);
    match error {
        ConnectError::Unavailable { call } if call.status == Some(500) => {
            if is_refusal(&call) {
                ConnectError::Rejected { call }
            } else {
                ConnectError::Unavailable { call }
            }
        }
        other => other,
    }
}

/// Whether the words of an answer say that the request would be refused again.
fn is_refusal(call: &Call) -> bool {
    let message = call.message.as_deref().unwrap_or_default().to_ascii_lowercase();
    REFUSAL.iter().any(|words| message.contains(words))
}

/// An error without the PKeys that its address or the service's words may hold: errors are kept, and PKeys must not be.
fn without_pkeys(mut error: ConnectError) -> ConnectError {
    if let Some(call) = error.call_mut() {
        call.url = masked(&call.url);
        for text in [&mut call.message, &mut call.body].into_iter().flatten() {
            *text = masked(text);
        }
    }
    error
}

/// The shortest run of characters behind an `@` that is taken for a PKey; those that were published have some 90.
const SHORTEST_PKEY: usize = 24;

fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let (before, after) = rest.split_at(at + 1);
        out.push_str(before);
        let run = after.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')).count();
        // A mail address goes on with a dot where a PKey ends.
        if run >= SHORTEST_PKEY && !after[run..].starts_with('.') {
            out.push_str("***");
            rest = &after[run..];
        } else {
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// A record without what must not leave this module: PKeys and the addresses that hold them, at any depth.
fn scrub(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| name != "PKey" && name != "href");
            fields.values_mut().for_each(scrub);
        }
        Value::Array(items) => items.iter_mut().for_each(scrub),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The address in `{"href": "…"}`.
fn href(value: Option<&Value>) -> Option<&str> {
    value?.get("href")?.as_str().filter(|href| !href.is_empty())
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
        let url = |key: &str| campaign.address(["profileAndServicesExt", "profile", key], []).unwrap().to_string();
        let root = "https://mc.adobe.io/org/campaign/profileAndServicesExt/profile/";
        assert_eq!(url("a/b+c%d'e"), format!("{root}a%2Fb%2Bc%25d%27e"));
        assert_eq!(url("a?b#c\\d e"), format!("{root}a%3Fb%23c%5Cd%20e"));
        assert_eq!(url("é…"), format!("{root}%C3%A9%E2%80%A6"));
        assert_eq!(url("4d9e5e49-2a5b"), format!("{root}4d9e5e49-2a5b"));
    }

    proptest::proptest! {
        #[test]
        fn any_key_is_one_segment_that_decodes_to_itself_or_is_refused(key in ".{0,20}") {
            static CAMPAIGN: std::sync::LazyLock<Campaign> = std::sync::LazyLock::new(|| new(config("https://mc.adobe.io/org")).unwrap());
            let campaign = &*CAMPAIGN;
            match campaign.address(["api", "profile", key.as_str()], []) {
                Ok(url) => {
                    let segments: Vec<&str> = url.path_segments().unwrap().collect();
                    proptest::prop_assert_eq!(segments.len(), 5);
                    proptest::prop_assert_eq!(percent_encoding::percent_decode_str(segments[4]).decode_utf8().unwrap(), key);
                    proptest::prop_assert!(url.query().is_none() && url.fragment().is_none());
                    proptest::prop_assert!(campaign.own(url.as_str()).is_ok());
                }
                Err(_) => proptest::prop_assert!(["", ".", ".."].contains(&key.as_str())),
            }
        }
    }

    #[test]
    fn a_key_that_would_change_the_address_is_refused() {
        let campaign = new(config("https://mc.adobe.io/org")).unwrap();
        for key in ["", ".", ".."] {
            assert!(matches!(campaign.address(["profile", key], []), Err(ConnectError::Rejected { .. })), "{key}");
        }
    }

    #[test]
    fn parameters_are_added_to_those_of_an_address_and_keep_spaces_and_signs() {
        let mut url = Url::parse("https://h/p?a=%40x").unwrap();
        extend_query(&mut url, [("_order", "lastName desc"), ("from_parameter", "2019-09-25 23:20:35.000Z"), ("b", "+&=")]);
        assert_eq!(url.as_str(), "https://h/p?a=%40x&_order=lastName%20desc&from_parameter=2019-09-25%2023%3A20%3A35.000Z&b=%2B%26%3D");
    }

    #[test]
    fn only_addresses_of_this_organizations_api_are_followed() {
        let campaign = new(config("https://mc.adobe.io/org")).unwrap();
        for good in [
            "https://mc.adobe.io/org/campaign/profileAndServicesExt/profile/@4W1bK-5q0",
            // Two slashes are seen in published answers.
            "https://mc.adobe.io/org/campaign/profileAndServicesExt/profile//byEmail/_count?email=a%40b&_lineStart=@V6q__b",
            "https://mc.adobe.io:443/org/campaign/x",
            "/org/campaign/profileAndServices/history/@x/events/",
        ] {
            assert!(campaign.own(good).is_ok(), "{good}");
        }
        for wrong in [
            "https://evil.example/org/campaign/x",
            "https://mc.adobe.io.evil.example/org/campaign/x",
            "https://mc.adobe.io@evil.example/org/campaign/x",
            "https://u:p@mc.adobe.io/org/campaign/x",
            "http://mc.adobe.io/org/campaign/x",
            "https://mc.adobe.io:444/org/campaign/x",
            "https://mc.adobe.io/other/campaign/x",
            "https://mc.adobe.io/org-mkt-stage1/campaign/x",
            "https://mc.adobe.io/org/campaign/../../other/campaign/x",
            "https://mc.adobe.io/org/campaign/%2e%2e/%2e%2e/other/campaign/x",
            "https://mc.adobe.io/org/privacy",
            "//evil.example/org/campaign/x",
            "/other/campaign/x",
            "profile/@x",
            "",
        ] {
            let error = campaign.own(wrong).unwrap_err();
            assert!(matches!(error, ConnectError::ForeignLink { .. }), "{wrong}");
            assert!(!error.to_string().contains("u:p"));
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

    #[test]
    fn a_pkey_is_masked_and_a_mail_address_is_not() {
        let pkey = "@4W1bK-5q0Icicnaf4EHUhZWyb-oXBTw1cSen3YxvSokZS26Vu";
        assert_eq!(masked(&format!("profile/{pkey}/x {pkey}")), "profile/@***/x @***");
        for text in ["a@b.example", "me@a-very-long-name-of-a-company-indeed.example", "@short", "@", "é@é"] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn a_500_that_names_what_it_refuses_is_a_refusal_and_any_other_is_a_service_that_is_ill() {
        let error = |message: &str| {
            let call = Call { status: Some(500), message: Some(message.to_owned()), ..Call::default() };
            understood(ConnectError::Unavailable { call: Box::new(call) })
        };
        assert!(matches!(error("'age' property is not valid for the 'profile' resource."), ConnectError::Rejected { .. }));
        // Said of wrong addresses, and by a gateway in trouble: of a record's address, which is right, it is the latter.
        assert!(matches!(error("Oops. Something went wrong. Check your URI and try again."), ConnectError::Unavailable { .. }));
        assert!(matches!(error("XTK-170036 unable to connect"), ConnectError::Unavailable { .. }));
    }

    #[test]
    fn a_record_leaves_without_pkeys_and_addresses_at_any_depth() {
        let mut record = serde_json::json!({
            "PKey": "@1", "href": "h", "email": "a@b.example",
            "service": {"PKey": "@2", "title": "Sport", "href": "h"}, "list": [{"PKey": "@3", "x": 1}], "subscriptions": {"href": "h"},
        });
        scrub(&mut record);
        assert_eq!(
            record,
            serde_json::json!({"email": "a@b.example", "service": {"title": "Sport"}, "list": [{"x": 1}], "subscriptions": {}})
        );
    }
}
