//! What a service says of its limits in the headers of an answer.
//!
//! Source: Dataverse, *Service protection API limits* (the `x-ms-ratelimit-*` headers) and *Optimize performance for bulk operations*
//! (`x-ms-dop-hint`).

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::retry;

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
    /// Reads an answer's headers. The time left is in seconds; a span as .NET writes it (`00:19:59.8`) is skipped. [K]
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
