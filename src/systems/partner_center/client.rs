//! Calls of the referrals API: one referral, pages of them, create, and the two ways to change one.
//!
//! A link in an answer is not followed: of the address of the next page only the query is used, with the configured host.

use std::sync::Arc;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH};
use serde::Deserialize;
use url::Url;
use uuid::Uuid;

use super::config::PartnerCenterConfig;
use super::patch::Change;
use super::referral::Referral;
use super::tree::Node;
use super::{Inner, PartnerCenter};
use crate::connect::http::{Http, Repeat, Reply, Request, Tokens, service_url};
use crate::connect::trail::{Trail, hash_of};
use crate::connect::{Call, ConnectError, RequestLifetime};
use crate::system::SystemId;
use crate::time::Instant;

pub(super) const API: &str = "partner-center";
/// Where referrals are, below the root of the host.
const REFERRALS: &str = "v1.0/engagements/referrals";
/// Everything but RFC 3986's unreserved characters.
pub(super) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Which referrals are wanted. Filters on `engagementId`, `status`, `substatus`, `updatedDateTime` and others are documented, and the order
/// by `createdDateTime` and `updatedDateTime`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// `$filter`, not encoded.
    pub filter: Option<String>,
    /// `$orderby`.
    pub order: Option<&'static str>,
}

/// One page of the service, which has up to 100 referrals.
#[derive(Debug)]
pub struct ReferralPage {
    /// Its referrals in the order of the service. What is not a referral is kept as it is.
    pub referrals: Vec<Result<Referral, Node>>,
    /// The query of the next page.
    pub next: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    value: Vec<Node>,
    #[serde(rename = "@odata.nextLink", default)]
    next: Option<String>,
}

/// The query of a request for a list.
fn options(query: &ListQuery) -> String {
    let options = [("$filter", query.filter.as_deref()), ("$orderby", query.order)];
    let given = options.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", utf8_percent_encode(value?, SEGMENT))));
    given.collect::<Vec<_>>().join("&")
}

/// A GUID or another text as a literal of OData.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The names of headers. The value is shown only of those that contain a yes or no, since any other could be secret: the header that confirms
/// multifactor authentication is not documented.
fn shown(headers: &HeaderMap) -> String {
    let one = |(name, value): (&HeaderName, &HeaderValue)| match value.to_str().map(str::trim) {
        Ok(value) if ["true", "false", "yes", "no", "0", "1"].iter().any(|word| value.eq_ignore_ascii_case(word)) => {
            format!("{name}: {value}")
        }
        Ok(_) | Err(_) => name.to_string(),
    };
    headers.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl PartnerCenter {
    /// A client for the person who signed in. Makes no call and reads no file.
    ///
    /// # Errors
    /// [`ConnectError::Config`].
    pub fn of(http: Http, config: &PartnerCenterConfig) -> Result<Self, ConnectError> {
        let tokens = config.access(http.clone())?.tokens(&config.audience);
        PartnerCenter::connect(http, &config.url, Arc::new(tokens), config.portal_link.clone())
    }

    /// A client of the host at `url`, with tokens of a person who signed in. Makes no call.
    ///
    /// # Errors
    /// [`ConnectError::Config`].
    #[cfg(test)]
    pub(crate) fn new(http: Http, url: &Url, tokens: Arc<dyn Tokens>) -> Result<Self, ConnectError> {
        PartnerCenter::connect(http, url, tokens, None)
    }

    fn connect(http: Http, url: &Url, tokens: Arc<dyn Tokens>, portal_link: Option<String>) -> Result<Self, ConnectError> {
        service_url(API, "url", url)?;
        let list = format!("{}/{REFERRALS}", url.as_str().trim_end_matches('/'));
        let list = Url::parse(&list)
            .map_err(|_| ConnectError::config("partner-center: `url` is not an address", "use https://api.partner.microsoft.com"))?;
        Ok(Self(Arc::new(Inner { http, list, tokens, portal_link, headers_logged: false.into(), index: tokio::sync::Mutex::default() })))
    }

    /// How long a request may still take effect after it was given up.
    pub fn request_lifetime(&self) -> RequestLifetime {
        self.0.http.config().request_lifetime
    }

    /// The address of a referral for people, if there is to be one.
    pub(super) fn portal_page(&self, id: &str) -> Option<String> {
        let link = self.0.portal_link.as_ref()?;
        Some(link.replace(super::ID_IN_LINK, &utf8_percent_encode(id, SEGMENT).to_string()))
    }

    /// The address of a referral.
    fn address(&self, id: &str) -> Result<Url, ConnectError> {
        if ["", ".", ".."].contains(&id) {
            return Err(self.refused(format!("a referral cannot be addressed by the id `{id}`")));
        }
        let address = format!("{}/{}", self.0.list.as_str().trim_end_matches('/'), utf8_percent_encode(id, SEGMENT));
        Url::parse(&address).map_err(|_| self.refused(format!("a referral cannot be addressed by the id `{id}`")))
    }

    /// A refusal of ours, before anything was sent.
    pub(super) fn refused(&self, message: impl Into<String>) -> ConnectError {
        let call = Call { api: API, url: self.0.list.to_string(), message: Some(message.into()), ..Call::default() };
        ConnectError::Rejected { call: Box::new(call) }
    }

    fn request(&self, method: Method, url: Url, body: Option<Bytes>, etag: Option<&str>) -> Result<Request<'_>, ConnectError> {
        let mut headers = headers();
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(etag) = etag {
            // As it came, with its quotation marks.
            let value = HeaderValue::from_str(etag).map_err(|_| self.refused("the version cannot be sent in a header"))?;
            headers.insert(IF_MATCH, value);
        }
        let repeat = match (&method, etag) {
            (&Method::GET, _) | (_, Some(_)) => Repeat::Safe,
            (&Method::POST, None) => Repeat::Never,
            (_, None) => Repeat::Ordered,
        };
        let own_answer = method == Method::POST;
        Ok(Request { headers, body: body.into(), repeat, own_answer, token: Some(&*self.0.tokens), ..Request::new(API, method, url) })
    }

    async fn exchange(&self, request: &Request<'_>) -> Result<Reply, ConnectError> {
        let reply = self.0.http.exchange(request).await.map_err(understood)?;
        if !self.0.headers_logged.swap(true, std::sync::atomic::Ordering::Relaxed) {
            tracing::debug!(headers = shown(&reply.headers), "the headers of the first answer of Partner Center");
        }
        Ok(reply)
    }

    /// Returns a referral as it is now; `None` if there is none.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn referral(&self, id: &str) -> Result<Option<Referral>, ConnectError> {
        let request = self.request(Method::GET, self.address(id)?, None, None)?;
        match self.exchange(&request).await {
            Ok(reply) => read(&request, reply).map(Some),
            Err(ConnectError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the first page of a list.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn list(&self, query: &ListQuery) -> Result<ReferralPage, ConnectError> {
        self.page(&options(query)).await
    }

    /// Returns the page that a query of a [`ReferralPage::next`] leads to.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn page(&self, query: &str) -> Result<ReferralPage, ConnectError> {
        let mut url = self.0.list.clone();
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        let request = self.request(Method::GET, url, None, None)?;
        let body = self.exchange(&request).await?.body;
        let listed: Listed =
            crate::json::read(&body).map_err(|_| request.protocol("the answer is not a list of referrals: check `url`"))?;
        let referrals = listed.value.into_iter().map(|node| Referral::of(node.clone()).map_err(|_| node)).collect();
        let next = match listed.next.filter(|link| !link.is_empty()) {
            // The documented samples have another scheme, host and path than the API: only the query says where the next page is.
            Some(link) => match link.split_once('?') {
                Some((_, query)) if !query.is_empty() => Some(query.split('#').next().unwrap_or_default().to_owned()),
                _ => return Err(request.protocol("the link to the next page has no query")),
            },
            None => None,
        };
        Ok(ReferralPage { referrals, next })
    }

    /// Returns the referrals of an engagement: the deal as each of its partners, and Microsoft, has it.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn engagement(&self, engagement: &str) -> Result<Vec<Referral>, ConnectError> {
        let filter = Some(format!("engagementId eq {}", literal(engagement)));
        let mut found = Vec::new();
        self.each(&ListQuery { filter, order: None }, |referral| {
            // A service that ignores the filter must not join deals.
            if referral.engagement_id().is_some_and(|id| id.eq_ignore_ascii_case(engagement)) {
                found.push(referral);
            }
            true
        })
        .await?;
        Ok(found)
    }

    /// Returns the referral with an external reference that was created last, among those created since then.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn find_created(&self, reference: &str, since: Option<Instant>) -> Result<Option<Referral>, ConnectError> {
        let mut found = None;
        self.each(&ListQuery { filter: None, order: Some("createdDateTime desc") }, |referral| {
            if since.is_some_and(|since| referral.created().is_some_and(|created| created < since)) {
                return false;
            }
            if referral.external_reference() == Some(reference) {
                found = Some(referral);
            }
            found.is_none()
        })
        .await?;
        Ok(found)
    }

    /// Calls `f` with each referral of a list, until it returns false.
    async fn each(&self, query: &ListQuery, mut f: impl FnMut(Referral) -> bool + Send) -> Result<(), ConnectError> {
        let mut query = options(query);
        let mut trail = Trail::default();
        loop {
            let page = self.page(&query).await?;
            let content = hash_of(page.referrals.iter().flatten().map(Referral::id).collect::<Vec<_>>());
            let items = page.referrals.len();
            for referral in page.referrals.into_iter().flatten() {
                if !f(referral) {
                    return Ok(());
                }
            }
            let Some(next) = page.next else { return Ok(()) };
            if let Err(problem) = trail.step(Some(&query), &next, items, content) {
                let request = self.request(Method::GET, self.0.list.clone(), None, None)?;
                return Err(request.protocol(format!("{problem}: check that no proxy is in between")));
            }
            query = next;
        }
    }

    /// Creates a referral. The service decides about id, dates and version; a referral that a partner creates may come back as accepted.
    /// `None` if the service accepted it without showing it.
    ///
    /// # Errors
    /// [`ConnectError::OutcomeUnknown`] if the answer was not seen: look with [`PartnerCenter::find_created`] before it is sent again.
    pub async fn create(&self, body: &Node) -> Result<Option<Referral>, ConnectError> {
        let request = self.request(Method::POST, self.0.list.clone(), Some(self.bytes(body)?), None)?;
        let reply = self.exchange(&request).await?;
        if reply.body.is_empty() {
            return Ok(None);
        }
        read(&request, reply).map(Some).map_err(|_| request.unknown("the answer is not a referral"))
    }

    /// Changes a referral: with a version, only if it still has it. `None` if there is no referral of that id.
    ///
    /// # Errors
    /// [`ConnectError::Changed`] if the version is another one. After a request that was sent more than once it can be our own change.
    pub async fn patch(&self, id: &str, changes: &[Change], etag: Option<&str>) -> Result<Option<()>, ConnectError> {
        let body = serde_json::to_vec(changes).map_err(|_| self.refused("the change cannot be written as JSON"))?;
        let request = self.request(Method::PATCH, self.address(id)?, Some(body.into()), etag)?;
        self.done(&request).await
    }

    /// Replaces a referral, as the older operation does it. The body is one that was read, changed as it is to be; its version must be the
    /// present one. `None` if there is no referral of that id.
    ///
    /// # Errors
    /// As [`PartnerCenter::patch`].
    pub async fn replace(&self, referral: &Referral) -> Result<Option<()>, ConnectError> {
        let etag = referral.etag().ok_or_else(|| self.refused("a referral without a version cannot be replaced"))?;
        let mut body = referral.body().clone();
        if let Node::Object(properties) = &mut body {
            properties.retain(|name, _| name != "links" && !name.starts_with('@'));
        }
        let request = self.request(Method::PUT, self.address(referral.id())?, Some(self.bytes(&body)?), Some(etag))?;
        self.done(&request).await
    }

    async fn done(&self, request: &Request<'_>) -> Result<Option<()>, ConnectError> {
        match self.exchange(request).await {
            Ok(_) => Ok(Some(())),
            Err(ConnectError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn bytes(&self, body: &Node) -> Result<Bytes, ConnectError> {
        serde_json::to_vec(body).map(Bytes::from).map_err(|_| self.refused("the referral cannot be written as JSON"))
    }
}

/// The headers of every request: an id of the call, by which its operator finds it.
pub(super) fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Ok(id) = HeaderValue::from_str(&Uuid::new_v4().to_string()) {
        headers.insert(HeaderName::from_static("client-request-id"), id);
    }
    headers
}

/// Reads the one referral of an answer. Its version is in the body, and in a header if it is not there.
fn read(request: &Request<'_>, reply: Reply) -> Result<Referral, ConnectError> {
    let mut body = Node::read(&reply.body).map_err(|_| request.protocol("the answer is not JSON: check the connection's `url`"))?;
    if body.text(&["eTag"]).is_none()
        && let Node::Object(properties) = &mut body
        && let Some(etag) = reply.headers.get(ETAG).and_then(|value| value.to_str().ok())
    {
        properties.insert("eTag".to_owned(), etag.into());
    }
    Referral::of(body).map_err(|problem| request.protocol(format!("the answer is not a referral: {problem}")))
}

/// An error as it is meant: the status says more here than the words.
pub(super) fn understood(error: ConnectError) -> ConnectError {
    match error {
        ConnectError::Rejected { call } => match call.status {
            Some(412) => ConnectError::Changed { call },
            Some(410) => ConnectError::NotFound { call },
            // Someone else is writing it.
            Some(423) => ConnectError::Unavailable { call },
            _ => ConnectError::Rejected { call },
        },
        other => other,
    }
}

/// The name of the system in the state.
pub(super) const SYSTEM: SystemId = SystemId::Partner;
