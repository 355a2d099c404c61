//! One look at an address: what answers there, or why nothing does. For diagnosis, where every outcome is a finding and none
//! is an error: nothing is repeated, no wait is asked for, and what an answer's headers say is kept.
//!
//! Sources: RFC 9110 (`Date`, `Location`, `WWW-Authenticate`); Dataverse, *Service protection API limits* (the
//! `x-ms-ratelimit-*` headers) and *Optimize performance for bulk operations* (`x-ms-dop-hint`). That Dataverse's challenge
//! names tenant and environment is seen in third parties' logs only.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use rustls::CertificateError;
use serde_json::Value;
use url::Url;

use super::address::{origin, shown_path};
use super::answer;
use super::client::{Http, Request, transport};
use super::line::{self, Plain};
use super::retry;
use super::token::TokenSource;
use crate::connect::error::ConnectError;
use crate::time::Instant;

/// What answered.
#[derive(Clone)]
pub struct Look {
    /// The HTTP status.
    pub status: u16,
    /// The answer's own clock.
    pub date: Option<Instant>,
    /// Our clock, in the middle of the exchange.
    pub seen_at: Instant,
    /// How long the exchange took.
    pub took: Duration,
    /// Whether it is a page for people.
    pub html: bool,
    /// Where a redirect leads: scheme, host and port.
    pub redirect: Option<String>,
    /// What a 401 asks for.
    pub challenge: Option<Challenge>,
    /// The service's error code.
    pub code: Option<String>,
    /// The service's error message.
    pub message: Option<String>,
    /// What the service says of its limits.
    pub limits: ServiceLimits,
    /// Why the body is not whole, if it is not.
    pub cut: Option<String>,
    body: Bytes,
}

/// Without the body: it may hold people's data.
impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("status", &self.status).field("code", &self.code).finish_non_exhaustive()
    }
}

impl Look {
    /// Whether the status promises success and the body is none for people.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status) && !self.html && self.cut.is_none()
    }

    /// The body as JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(answer::strip_bom(&self.body)).ok()
    }

    /// The service's own words with their code, or the status where it has none.
    pub fn said(&self) -> String {
        let message = self.message.as_deref().unwrap_or_default().trim().trim_end_matches('.');
        match (self.code.as_deref().filter(|c| !c.is_empty()), message) {
            (Some(code), "") => code.to_owned(),
            (Some(code), message) => format!("{code}: {message}"),
            (None, "") => format!("status {}", self.status),
            (None, message) => message.to_owned(),
        }
    }

    /// How far the service's clock is ahead of ours, in seconds. `Date` has whole seconds, and the way there and back adds
    /// its half: what lies within that is nothing.
    pub fn ahead(&self) -> Option<i64> {
        let ahead = (self.date? - self.seen_at).num_milliseconds();
        let doubt = 1000 + i64::try_from(self.took.as_millis() / 2).unwrap_or(i64::MAX);
        Some(if ahead.abs() <= doubt { 0 } else { ahead / 1000 })
    }
}

/// What a 401 of Dataverse names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Challenge {
    /// The first part of the authorization address's path: the directory that the environment belongs to.
    pub tenant: Option<String>,
    /// The environment's own address.
    pub resource: Option<String>,
}

impl Challenge {
    fn read(header: &str) -> Option<Self> {
        let rest = header.trim().strip_prefix("Bearer")?;
        let mut challenge = Self::default();
        for part in rest.split(',') {
            let Some((name, value)) = part.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match name.trim() {
                "authorization_uri" => {
                    let url = Url::parse(value).ok();
                    let tenant = url.as_ref().and_then(|u| u.path_segments()).and_then(|mut s| s.next().map(str::to_owned));
                    challenge.tenant = tenant.filter(|t| !t.is_empty() && t != "common" && t != "organizations");
                }
                "resource_id" => challenge.resource = Url::parse(value).ok().map(|u| origin(&u)),
                _ => {}
            }
        }
        Some(challenge)
    }
}

/// What a service says of its limits.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ServiceLimits {
    /// Requests left in the window of 300 seconds.
    pub requests_left: Option<u64>,
    /// Seconds of execution time left in the window.
    pub seconds_left: Option<f64>,
    /// The number of requests at one time that the service recommends.
    pub parallelism: Option<u32>,
    /// How long it asks to wait.
    pub retry_after: Option<Duration>,
}

impl ServiceLimits {
    /// Reads an answer's headers. The time left is in seconds; a span as .NET writes it (`00:19:59.8`) is passed over. [K]
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(|t| t.trim().replace(',', ""));
        Self {
            requests_left: text("x-ms-ratelimit-burst-remaining-xrm-requests").and_then(|t| t.parse().ok()),
            seconds_left: text("x-ms-ratelimit-time-remaining-xrm-requests").and_then(|t| t.parse().ok()),
            parallelism: text("x-ms-dop-hint").and_then(|t| t.parse().ok()),
            retry_after: headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| retry::retry_after(v, crate::time::now())),
        }
    }
}

/// Why nothing answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// Which of the known reasons.
    pub why: Why,
    /// The transport's words, without the address.
    pub message: String,
}

/// The reasons for which nothing answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// There is no host of that name, or the name service does not answer.
    NoSuchHost,
    /// Nobody listens at that port.
    Refused,
    /// No answer within the time.
    Slow,
    /// The proxy does not make the connection.
    Proxy,
    /// The proxy asks for a user name and password.
    ProxyLogin,
    /// Who issued the certificate is not trusted here.
    Untrusted,
    /// The certificate's time is over.
    Expired,
    /// The certificate's time has not come.
    NotYetValid,
    /// The certificate is for other names.
    WrongName(Vec<String>),
    /// The certificate was withdrawn.
    Revoked,
    /// What answers does not speak TLS, or no version that is safe.
    NotTls,
    /// The connection broke, or something else.
    Other,
}

impl Unreachable {
    fn of(error: reqwest::Error) -> Self {
        let why = if error.is_timeout() { Why::Slow } else { why(error.source()) };
        Self { why, message: transport(error) }
    }
}

pub(super) fn why(first: Option<&(dyn Error + 'static)>) -> Why {
    let mut source = first;
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref::<rustls::Error>() {
            return tls(found);
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            match error.kind() {
                io::ErrorKind::ConnectionRefused => return Why::Refused,
                io::ErrorKind::TimedOut => return Why::Slow,
                _ => {}
            }
        }
        // The HTTP library keeps these two apart by their words alone.
        let words = cause.to_string();
        if words.contains("dns error") || words.contains("invalid dns name") {
            return Why::NoSuchHost;
        }
        if words.contains("proxy authorization required") {
            return Why::ProxyLogin;
        }
        if words.contains("tunnel") || words.contains("proxy") {
            return Why::Proxy;
        }
        source = beneath(cause);
    }
    Why::Other
}

/// The next error of a chain. An input error passes the one within it over: its source is already that one's.
fn beneath<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    }
}

fn tls(error: &rustls::Error) -> Why {
    match error {
        rustls::Error::InvalidCertificate(found) => match found {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Why::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Why::NotYetValid,
            CertificateError::NotValidForName => Why::WrongName(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => Why::WrongName(presented.iter().map(|n| bare(n)).collect()),
            CertificateError::Revoked => Why::Revoked,
            // Everything else about a certificate comes to this: nobody vouches for it.
            _ => Why::Untrusted,
        },
        rustls::Error::InvalidMessage(_)
        | rustls::Error::AlertReceived(_)
        | rustls::Error::PeerIncompatible(_)
        | rustls::Error::PeerMisbehaved(_)
        | rustls::Error::InappropriateMessage { .. }
        | rustls::Error::InappropriateHandshakeMessage { .. } => Why::NotTls,
        _ => Why::Other,
    }
}

/// `DnsName("contoso.example")` as the library lists it, without its wrapping.
fn bare(name: &str) -> String {
    name.split_once('"').and_then(|(_, rest)| rest.split_once('"')).map_or(name, |(inner, _)| inner).to_owned()
}

/// Why a look with a token brought nothing.
#[derive(Debug, Clone)]
pub enum Miss {
    /// No token was to be had, or the request could not be made.
    Connect(ConnectError),
    /// Nothing answered.
    Unreachable(Unreachable),
}

impl From<ConnectError> for Miss {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}

impl TokenSource {
    /// Asks for a token, unless there is one, and keeps it.
    pub(crate) async fn prove(&self) -> Result<(), ConnectError> {
        self.get().await.map(drop)
    }
}

impl Http {
    /// Asks an address once without any credentials.
    ///
    /// # Errors
    /// [`Unreachable`].
    pub async fn look_at(&self, url: &Url) -> Result<Look, Unreachable> {
        let mut request = Request::new("probe", Method::GET, url.clone());
        request.headers.insert(reqwest::header::ACCEPT, reqwest::header::HeaderValue::from_static("application/json"));
        match self.look(&request).await {
            Ok(look) => Ok(look),
            Err(Miss::Unreachable(unreachable)) => Err(unreachable),
            Err(Miss::Connect(error)) => Err(Unreachable { why: Why::Other, message: error.to_string() }),
        }
    }

    /// Sends a request without a body once.
    pub(crate) async fn look(&self, request: &Request<'_>) -> Result<Look, Miss> {
        let mut builder = self.client(&request.url).request(request.method.clone(), request.url.clone()).headers(request.headers.clone());
        if let Some(source) = request.token {
            builder = builder.header(AUTHORIZATION, source.get().await?.header());
        }
        let (start, before) = (std::time::Instant::now(), crate::time::now());
        let sent = builder.send().await;
        let took = start.elapsed();
        let status = sent.as_ref().ok().map(|r| r.status().as_u16());
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(api = request.api, method = request.method.as_str(), path = shown_path(&request.url), status, ms, "look");
        let mut response = sent.map_err(|e| Miss::Unreachable(Unreachable::of(e)))?;
        let headers = std::mem::take(response.headers_mut());
        let limit = self.config().max_response_bytes;
        let (mut body, mut cut) = (Vec::new(), None);
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                    cut = Some(format!("the answer is longer than {limit} bytes"));
                    break;
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => {
                    cut = Some(transport(error));
                    break;
                }
            }
        }
        let body = match line::plain(&headers, body, limit) {
            Plain::Body(body, more) => {
                if more {
                    cut = Some(format!("the answer is longer than {limit} bytes"));
                }
                body
            }
            Plain::Broken(problem) => {
                cut.get_or_insert(problem);
                Vec::new()
            }
            Plain::Unknown(encoding) => {
                cut.get_or_insert(format!("it is compressed as `{encoding}`, which was not asked for"));
                Vec::new()
            }
        };
        let mut body = body;
        let status = response.status().as_u16();
        if !(200..300).contains(&status) {
            body = self.redactor().clean(body);
        }
        let (said, _) = answer::read(&body);
        let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
        let redirect = text(LOCATION).filter(|_| (300..400).contains(&status)).and_then(|l| request.url.join(l).ok());
        Ok(Look {
            status,
            date: text(reqwest::header::DATE).and_then(crate::time::parse_http_date),
            seen_at: before + took / 2,
            took,
            html: answer::is_html(&headers, &body),
            redirect: redirect.map(|to| origin(&to)),
            challenge: text(WWW_AUTHENTICATE).and_then(Challenge::read),
            code: said.code,
            message: said.message,
            limits: ServiceLimits::read(&headers),
            cut,
            body: body.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_names_the_tenant_and_the_environment() {
        let header =
            "Bearer authorization_uri=https://login.microsoftonline.com/7e2f/oauth2/authorize, resource_id=https://o.crm4.dynamics.com/";
        let expected = Challenge { tenant: Some("7e2f".into()), resource: Some("https://o.crm4.dynamics.com".into()) };
        assert_eq!(Challenge::read(header), Some(expected));
        assert_eq!(Challenge::read("Bearer authorization_uri=\"https://login/common/oauth2\"").unwrap().tenant, None);
        assert_eq!(Challenge::read("Basic realm=x"), None);
    }

    #[test]
    fn a_difference_within_the_exchange_and_the_whole_second_of_the_header_is_none() {
        let at = crate::time::parse_instant("2026-01-01T12:00:00Z").unwrap();
        let look = |date: &str, took: u64| Look {
            status: 200,
            date: crate::time::parse_instant(date),
            seen_at: at,
            took: Duration::from_millis(took),
            html: false,
            redirect: None,
            challenge: None,
            code: None,
            message: None,
            limits: ServiceLimits::default(),
            cut: None,
            body: Bytes::new(),
        };
        assert_eq!(look("2026-01-01T11:59:59Z", 10).ahead(), Some(0));
        assert_eq!(look("2026-01-01T12:00:04Z", 8000).ahead(), Some(0));
        assert_eq!(look("2026-01-01T12:10:00Z", 10).ahead(), Some(600));
        assert_eq!(look("2026-01-01T11:50:00Z", 10).ahead(), Some(-600));
        assert_eq!(look("", 10).ahead(), None);
    }

    #[test]
    fn limits_are_read_from_the_headers_that_name_them() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-ms-ratelimit-burst-remaining-xrm-requests", "5,998"),
            ("x-ms-ratelimit-time-remaining-xrm-requests", "1,199.42"),
            ("x-ms-dop-hint", "12"),
            ("retry-after", "7"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let expected = ServiceLimits {
            requests_left: Some(5998),
            seconds_left: Some(1199.42),
            parallelism: Some(12),
            retry_after: Some(Duration::from_secs(7)),
        };
        assert_eq!(ServiceLimits::read(&headers), expected);
        assert_eq!(ServiceLimits::read(&HeaderMap::new()), ServiceLimits::default());
    }

    #[test]
    fn a_name_that_is_not_known_and_a_port_where_nobody_listens_are_found_in_the_chain() {
        #[derive(Debug, thiserror::Error)]
        #[error("{words}")]
        struct Layer {
            words: &'static str,
            source: Option<io::Error>,
        }
        let found = |words, source| why(Some(&Layer { words, source }));
        assert_eq!(found("dns error", Some(io::Error::other("failed to lookup address information"))), Why::NoSuchHost);
        assert_eq!(found("tcp connect error", Some(io::ErrorKind::ConnectionRefused.into())), Why::Refused);
        let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
        assert_eq!(found("client error (Connect)", Some(io::Error::other(io::Error::other(expired)))), Why::Expired);
        assert_eq!(found("connection reset", None), Why::Other);
    }

    #[test]
    fn a_certificates_fault_is_told_from_the_others() {
        let fault = |error| tls(&rustls::Error::InvalidCertificate(error));
        assert_eq!(fault(CertificateError::UnknownIssuer), Why::Untrusted);
        assert_eq!(fault(CertificateError::Expired), Why::Expired);
        assert_eq!(fault(CertificateError::NotValidYet), Why::NotYetValid);
        assert_eq!(fault(CertificateError::NotValidForName), Why::WrongName(Vec::new()));
        assert_eq!(fault(CertificateError::Revoked), Why::Revoked);
        assert_eq!(bare("DnsName(\"a.example\")"), "a.example");
        assert_eq!(bare("a.example"), "a.example");
    }
}
