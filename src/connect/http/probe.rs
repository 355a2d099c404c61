//! One request to an address: what answers there, or why nothing does. For diagnosis, where every outcome is a finding and none
//! is an error: nothing is repeated, no wait is asked for, and what an answer's headers say is kept.
//!
//! Source: RFC 9110 (`Date`, `Location`, `WWW-Authenticate`). That Dataverse's challenge names tenant and environment is seen in third
//! parties' logs only.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, LOCATION, WWW_AUTHENTICATE};
use serde_json::Value;
use url::Url;

use super::address::{origin, shown_path};
use super::answer;
use super::client::Http;
use super::limits::ServiceLimits;
use super::line::{self, Plain};
use super::request::Request;
use super::transport::{Unreachable, Why, transport};
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
    /// Whether the status is a success and the body is not a web page.
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

/// Why a request with a token failed.
#[derive(Debug, Clone)]
pub enum Miss {
    /// No token was available, or the request could not be made.
    Connect(ConnectError),
    /// Nothing answered.
    Unreachable(Unreachable),
}

impl From<ConnectError> for Miss {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
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
    fn a_difference_within_the_exchange_and_the_whole_second_of_the_header_does_not_count() {
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
}
