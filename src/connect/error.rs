//! What can go wrong with a call to a service, sorted by what the caller can do about it.

use crate::count::counted;
use std::fmt;
use std::time::Duration;

/// The longest piece of a service's answer that an error keeps, in bytes.
pub const ERROR_BODY_LIMIT: usize = 64 * 1024;

/// The call an error speaks of, and what the service said. Holds no header, no query string and no request body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// `dataverse`, `campaign` or `token`.
    pub api: &'static str,
    /// The HTTP method.
    pub method: String,
    /// The address without its query string.
    pub url: String,
    /// The status of the last answer; none when none was seen.
    pub status: Option<u16>,
    /// The service's own error code, as it wrote it: `0x80040217`, `401013`, `AADSTS7000215`.
    pub code: Option<String>,
    /// The service's own message, or the transport's when there was no answer.
    pub message: Option<String>,
    /// The id under which the service's operator finds the request.
    pub request_id: Option<String>,
    /// How many requests were sent for this call.
    pub attempts: u32,
    /// The service's error body, cut to 64 KiB.
    pub body: Option<String>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.api, self.method, self.url)?;
        if let Some(status) = self.status {
            write!(f, " answered {status}")?;
        }
        if let Some(code) = self.code.as_deref().filter(|c| !c.is_empty()) {
            write!(f, " [{code}]")?;
        }
        if let Some(message) = self.message.as_deref().filter(|m| !m.is_empty()) {
            write!(f, ": {}", message.trim_end_matches(['.', ' ', '\n', '\r']))?;
        }
        if self.attempts > 1 {
            write!(f, " (after {})", counted(self.attempts, "attempt"))?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " (request id {id})")?;
        }
        Ok(())
    }
}

/// An error of a call to a service.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// The service keeps asking for fewer requests; the retries are used up, or it asks for a longer wait than configured.
    #[error("{call}; the service limits requests{}; lower `limits.concurrency` or run again later", wait(*.retry_after))]
    Throttled {
        /// The call.
        call: Box<Call>,
        /// How long the service asked to wait, when it did.
        retry_after: Option<Duration>,
    },
    /// A fresh token was refused as well.
    #[error("{call}; a fresh token was refused too: check that the client has this API assigned, and that its user exists and is enabled")]
    Unauthorized {
        /// The call.
        call: Box<Call>,
    },
    /// The client may not do this.
    #[error(
        "{call}; the client lacks a right: give its application user a role (Dynamics) or its project a product profile (Campaign) that allows this"
    )]
    Forbidden {
        /// The call.
        call: Box<Call>,
    },
    /// The address leads nowhere: no such table, resource or record.
    #[error("{call}; there is nothing at this address: check the names, and the connection's `url`")]
    NotFound {
        /// The call.
        call: Box<Call>,
    },
    /// The service refused the request, and would refuse it again.
    #[error("{call}; the same request would be refused again")]
    Rejected {
        /// The call.
        call: Box<Call>,
    },
    /// The service has a record of that key already.
    #[error("{call}; a record with this key already exists")]
    Duplicate {
        /// The call.
        call: Box<Call>,
    },
    /// The service cannot be reached or fails; the request had no effect, or may be repeated without harm.
    #[error("{call}; the service is not available: run again later")]
    Unavailable {
        /// The call.
        call: Box<Call>,
    },
    /// A request that must not be repeated blindly was sent, and its answer was not seen.
    #[error("{call}; it is not known whether the request took effect: look the record up before sending it again")]
    OutcomeUnknown {
        /// The call.
        call: Box<Call>,
    },
    /// The delta link is too old, or the table's definition has changed since: a full load is due.
    #[error("{call}; the change tracking token has expired: a full load is needed")]
    DeltaExpired {
        /// The call.
        call: Box<Call>,
    },
    /// The day's budget of requests is used up; nothing was sent.
    #[error(
        "the budget of {per_day} requests a day to {api} is spent; it starts again at {}: wait, or raise `limits.requests-per-day`",
        .until.format("%Y-%m-%d %H:%M UTC")
    )]
    BudgetSpent {
        /// `dataverse` or `campaign`.
        api: &'static str,
        /// The budget.
        per_day: u64,
        /// When it starts again.
        until: crate::time::Instant,
    },
    /// The record is not the one the caller has seen: its version differs (`If-Match`).
    #[error("{call}; the record has changed since it was read: read it again")]
    Changed {
        /// The call.
        call: Box<Call>,
    },
    /// The answer is not what the service's protocol promises.
    #[error("{call}; {problem}")]
    Protocol {
        /// The call.
        call: Box<Call>,
        /// What is wrong with the answer, with a remedy.
        problem: String,
    },
    /// A link in an answer, or a kept one, leads away from the configured service; a token would go to a stranger.
    #[error("{api}: a link leads to {found}, the connection is to {expected}; it was not followed: check the connection's `url`")]
    ForeignLink {
        /// `dataverse` or `campaign`.
        api: &'static str,
        /// Where the link leads, without path and query.
        found: String,
        /// The configured service.
        expected: String,
    },
    /// The token service refuses the client.
    #[error("{call}; {remedy}")]
    Token {
        /// The call.
        call: Box<Call>,
        /// What to do.
        remedy: String,
    },
    /// A person must sign in, again or for the first time: the refresh token is missing or no longer accepted, or the sign-in had no
    /// multifactor authentication.
    #[error("{problem}; {remedy}")]
    SignIn {
        /// What is wrong.
        problem: String,
        /// What to do: the command to run.
        remedy: String,
    },
    /// The configuration cannot work.
    #[error("{problem}; {remedy}")]
    Config {
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
}

fn wait(after: Option<Duration>) -> String {
    after.map_or(String::new(), |d| format!(" and asks to wait {} s", d.as_secs_f64().ceil()))
}

/// The call within an error, by the same reference as the error's.
macro_rules! call_in {
    ($error:expr) => {
        match $error {
            ConnectError::Throttled { call, .. }
            | ConnectError::Unauthorized { call }
            | ConnectError::Forbidden { call }
            | ConnectError::NotFound { call }
            | ConnectError::Rejected { call }
            | ConnectError::Duplicate { call }
            | ConnectError::Unavailable { call }
            | ConnectError::OutcomeUnknown { call }
            | ConnectError::DeltaExpired { call }
            | ConnectError::Changed { call }
            | ConnectError::Protocol { call, .. }
            | ConnectError::Token { call, .. } => Some(call),
            ConnectError::ForeignLink { .. }
            | ConnectError::BudgetSpent { .. }
            | ConnectError::SignIn { .. }
            | ConnectError::Config { .. } => None,
        }
    };
}

impl ConnectError {
    /// Whether the same call may succeed later. [`ConnectError::OutcomeUnknown`] is among these, but needs a lookup first.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Throttled { .. } | Self::Unavailable { .. } | Self::OutcomeUnknown { .. } | Self::BudgetSpent { .. } => true,
            Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Rejected { .. }
            | Self::Duplicate { .. }
            | Self::DeltaExpired { .. }
            | Self::Changed { .. }
            | Self::Protocol { .. }
            | Self::ForeignLink { .. }
            | Self::Token { .. }
            | Self::SignIn { .. }
            | Self::Config { .. } => false,
        }
    }

    /// The call the error speaks of, where one was made.
    pub fn call(&self) -> Option<&Call> {
        call_in!(self)
    }

    /// The same, to take out what must not be kept.
    pub(crate) fn call_mut(&mut self) -> Option<&mut Call> {
        call_in!(self)
    }

    /// The HTTP status of the last answer.
    pub fn status(&self) -> Option<u16> {
        self.call().and_then(|c| c.status)
    }

    /// The service's own error code, as it wrote it.
    pub fn vendor_code(&self) -> Option<&str> {
        self.call().and_then(|c| c.code.as_deref())
    }

    /// The service's error body, cut to 64 KiB.
    pub fn response_body(&self) -> Option<&str> {
        self.call().and_then(|c| c.body.as_deref())
    }

    pub(crate) fn config(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Config { problem: problem.into(), remedy: remedy.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_call_the_cause_and_the_remedy() {
        let call = Call {
            api: "dataverse",
            method: "GET".into(),
            url: "https://o.crm4.dynamics.com/api/data/v9.2/contacts".into(),
            status: Some(403),
            code: Some("0x80040220".into()),
            message: Some("missing prvReadContact.".into()),
            request_id: Some("r-1".into()),
            attempts: 1,
            body: None,
        };
        let text = ConnectError::Forbidden { call: Box::new(call) }.to_string();
        assert_eq!(
            text,
            "dataverse GET https://o.crm4.dynamics.com/api/data/v9.2/contacts answered 403 [0x80040220]: missing prvReadContact \
             (request id r-1); the client lacks a right: give its application user a role (Dynamics) or its project a product \
             profile (Campaign) that allows this"
        );
    }

    #[test]
    fn only_what_may_pass_by_itself_is_transient() {
        let call = || Box::<Call>::default();
        assert!(ConnectError::Throttled { call: call(), retry_after: None }.is_transient());
        assert!(ConnectError::Unavailable { call: call() }.is_transient());
        assert!(ConnectError::OutcomeUnknown { call: call() }.is_transient());
        assert!(!ConnectError::Rejected { call: call() }.is_transient());
        assert!(!ConnectError::Unauthorized { call: call() }.is_transient());
        assert!(!ConnectError::DeltaExpired { call: call() }.is_transient());
        assert!(!ConnectError::config("a", "b").is_transient());
        assert!(!ConnectError::SignIn { problem: "a".to_owned(), remedy: "b".to_owned() }.is_transient());
    }
}
