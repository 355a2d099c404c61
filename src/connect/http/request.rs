//! One request and its answer, as connectors describe them. Sending is in [`super::client`].

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;
use url::Url;

use super::address::{origin, shown_path};
use super::bearer::Tokens;
use super::retry::Repeat;
use crate::connect::error::{Call, ConnectError};

/// What an answer with status 2xx must bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Its body.
    Body,
    /// Only its status: a body lost after it changes nothing.
    Status,
    /// Answers to several requests; then the status is that of one of them, and the body tells.
    Multipart,
}

/// A request's body.
#[derive(Clone)]
pub(crate) enum Payload<'a> {
    /// None.
    Empty,
    /// The same for each attempt.
    Fixed(Bytes),
    /// Made again for each attempt.
    Fresh(&'a (dyn Fn() -> Bytes + Send + Sync)),
}

impl From<Option<Bytes>> for Payload<'_> {
    fn from(body: Option<Bytes>) -> Self {
        body.map_or(Self::Empty, Self::Fixed)
    }
}

/// One request.
pub(crate) struct Request<'a> {
    pub(crate) api: &'static str,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Payload<'a>,
    /// What it does to send it a second time.
    pub(crate) repeat: Repeat,
    pub(crate) expect: Expect,
    pub(crate) token: Option<&'a dyn Tokens>,
    /// What it counts as against a day's budget: the records of a bulk operation.
    pub(crate) weight: u64,
    /// Requests of one kind take alike long.
    pub(crate) kind: &'static str,
    /// Its answer names what it made: requests with other bodies have other answers, also at the same address.
    pub(crate) own_answer: bool,
}

impl Request<'_> {
    /// A request without headers, body and token; safe to repeat unless it is a POST.
    pub(crate) fn new(api: &'static str, method: Method, url: Url) -> Self {
        let kind = match method.as_str() {
            "GET" => "GET",
            "PATCH" => "PATCH",
            "DELETE" => "DELETE",
            _ => "POST",
        };
        let repeat = if method == Method::POST { Repeat::Never } else { Repeat::Safe };
        Self {
            api,
            method,
            url,
            headers: HeaderMap::new(),
            body: Payload::Empty,
            repeat,
            expect: Expect::Body,
            token: None,
            weight: 1,
            kind,
            own_answer: false,
        }
    }

    /// The call, for an error: without query, headers and body.
    pub(crate) fn call(&self) -> Call {
        let url = format!("{}{}", origin(&self.url), shown_path(&self.url));
        Call { api: self.api, method: self.method.to_string(), url, ..Call::default() }
    }

    /// The error of a write whose answer came with success and says nothing about it.
    pub(crate) fn unknown(&self, message: &str) -> ConnectError {
        ConnectError::OutcomeUnknown { call: Box::new(Call { message: Some(message.to_owned()), attempts: 1, ..self.call() }) }
    }

    /// The error of a read whose answer is to another question.
    pub(crate) fn unavailable(&self, message: &str) -> ConnectError {
        ConnectError::Unavailable { call: Box::new(Call { message: Some(message.to_owned()), attempts: 1, ..self.call() }) }
    }

    /// An error about an answer that came with status 200 and makes no sense.
    pub(crate) fn protocol(&self, problem: impl Into<String>) -> ConnectError {
        ConnectError::Protocol { call: Box::new(Call { status: Some(200), attempts: 1, ..self.call() }), problem: problem.into() }
    }
}

/// An answer with status 2xx.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_no_query_string() {
        let request = Request {
            body: Payload::Fixed(Bytes::from_static(b"secret")),
            ..Request::new("dataverse", Method::GET, "https://h/contacts?$deltatoken=secret#f".parse().unwrap())
        };
        let error = request.protocol("p");
        assert!(!format!("{error} {error:?}").contains("secret"));
        assert!(error.to_string().contains("https://h/contacts"));
    }
}
