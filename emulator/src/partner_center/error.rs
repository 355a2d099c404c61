//! Errors in the two shapes of Partner Center: that of the referrals API and that of the older APIs, webhooks among them.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::{Value as Json, json};

use super::settings::PartnerCenterConfig;
use crate::net;

pub(super) const JSON: &str = "application/json; charset=utf-8";

/// The longest message of an error. [D]
const LONGEST: usize = 1024;

/// Which API answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// `api.partner.microsoft.com`
    Referrals,
    /// `api.partnercenter.microsoft.com`
    Webhooks,
}

/// A request that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) target: Option<&'static str>,
    /// Code and message of the nested error.
    pub(super) inner: Option<Box<(String, String)>>,
    pub(super) retry_after: Option<u64>,
}

pub(super) type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Problem {
        Problem { status, code: code.to_owned(), message: message.into(), target: None, inner: None, retry_after: None }
    }

    /// 400 for a request that is not valid.
    pub(super) fn invalid(message: impl Into<String>) -> Problem {
        Problem::new(400, "invalidRequest", message)
    }

    /// 400 for a change that the state of the referral does not allow.
    pub(super) fn illegal(message: impl Into<String>) -> Problem {
        Problem { target: Some("referral"), ..Problem::invalid(message) }
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Problem {
        Problem::new(403, "accessDenied", message)
    }

    pub(super) fn missing(message: impl Into<String>) -> Problem {
        Problem::new(404, "itemNotFound", message)
    }

    pub(super) fn method() -> Problem {
        Problem::new(405, "invalidRequest", "The HTTP method in the request isn't allowed on the resource.")
    }

    /// 412 for an ETag that is not the current one.
    pub(super) fn stale() -> Problem {
        let inner = ("resourceModified".to_owned(), "The resource being updated has changed since the caller last read it.".to_owned());
        Problem { inner: Some(Box::new(inner)), ..Problem::new(412, "preconditionFailed", "A precondition in the request does not match.") }
    }

    pub(super) fn response(&self, host: Host, settings: &PartnerCenterConfig) -> Response<Body> {
        let message: String = self.message.chars().take(LONGEST).collect();
        let code = if self.code == "unauthenticated" { &settings.unauthenticated_code } else { &self.code };
        let body = match host {
            Host::Referrals => {
                let mut error = json!({"code": code, "message": message, "target": self.target});
                if let Some((code, message)) = self.inner.as_deref() {
                    error[&settings.inner_error] = json!({"code": code, "message": message});
                }
                json!({ "error": error })
            }
            Host::Webhooks => {
                // The code that says most: 900421 and not the one around it.
                let code = self.inner.as_deref().map_or(code, |(code, _)| code);
                json!({"code": code, "description": message, "data": [], "source": "PartnerFD"})
            }
        };
        let mut response = json_response(self.status, &body);
        if let Some(seconds) = self.retry_after {
            net::set(&mut response, "retry-after", &seconds.to_string());
        }
        if self.status == 401 {
            net::set(&mut response, "www-authenticate", "Bearer");
        }
        response
    }
}

pub(super) fn json_response(status: u16, body: &Json) -> Response<Body> {
    net::body(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), JSON, body.to_string())
}
