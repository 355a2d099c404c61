//! When a request is sent again.
//!
//! [`classify`] says what an outcome means and is a pure function; its table is in `docs/reliability.md`, each row named
//! by its test. [`Backoff`] says how long to wait, and knows nothing of outcomes.
//!
//! Sources: Dataverse, *Service protection API limits* (429, `Retry-After`); RFC 9110 (idempotent methods, status
//! meanings). That Campaign may answer a duplicate key with status 500 is assumed.

use std::time::Duration;

use crate::time::{Instant as Utc, parse_http_date};

/// What was seen of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// An answer came.
    Answer(u16, Body),
    /// No connection was made: not a byte of the request was sent.
    NotConnected,
    /// The request was sent, at least in part, and no answer came.
    Lost,
}

/// What an error body tells beyond the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Nothing: it is empty, HTML, cut off, or a phrase for everything. A gateway may have written it.
    Mute,
    /// The service's own error document: the request reached the service, which refused it and rolled it back.
    Error,
    /// The service's own error document, which says that a record of this key exists.
    Duplicate,
    /// The service's own error document, which says that the record's version is another.
    Changed,
}

/// What to do about an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It worked.
    Done,
    /// Take a fresh token and send again, once.
    Refresh,
    /// Let the whole host rest, then send again.
    Throttled,
    /// Send again after a wait.
    Retry,
    /// The answer was not seen, and the request must not be sent again blindly.
    Unknown,
    /// It will not work.
    Refused(Refusal),
}

/// Why a request will not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The client lacks a right.
    Forbidden,
    /// Nothing there.
    NotFound,
    /// A record of that key exists.
    Duplicate,
    /// The record's version is another than the request named.
    Changed,
    /// Anything else about the request.
    Rejected,
    /// A redirect; never followed, since the token would go along.
    Redirect,
    /// A proxy on the way wants to know who asks.
    Proxy,
}

/// What it does to send a request a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The same as sending it once, and one that arrives late does no harm: reads, requests for tokens, and writes that the service
    /// itself refuses when something newer was written since (a version, an id that is taken).
    Safe,
    /// The same as sending it once, as long as nothing else is written between the two: an update or a delete by key. One that a
    /// gateway holds and passes on late overwrites what was written since. It is not sent again while one of unknown fate may be
    /// under way; one that was answered is not under way any more.
    Ordered,
    /// Something else: a create may make a second record.
    Never,
}

/// What an outcome means.
pub fn classify(repeat: Repeat, seen: Seen) -> Verdict {
    let idempotent = repeat != Repeat::Never;
    // What was sent may still be on its way, or in the hands of a gateway.
    let under_way = if repeat == Repeat::Safe { Verdict::Retry } else { Verdict::Unknown };
    let (status, body) = match seen {
        Seen::NotConnected => return Verdict::Retry,
        Seen::Lost => return under_way,
        Seen::Answer(status, body) => (status, body),
    };
    match status {
        200..=299 => Verdict::Done,
        401 => Verdict::Refresh,
        403 => Verdict::Refused(Refusal::Forbidden),
        407 => Verdict::Refused(Refusal::Proxy),
        404 => Verdict::Refused(Refusal::NotFound),
        // The limit is checked before the request is worked on, so that a POST may go again.
        429 => Verdict::Throttled,
        // The server gave up waiting for the request; a gateway may say so of a request it had passed on.
        408 => under_way,
        300..=399 => Verdict::Refused(Refusal::Redirect),
        // Answered in place of working on the request.
        503 => Verdict::Retry,
        501 | 505 => Verdict::Refused(Refusal::Rejected),
        500..=599 => match body {
            Body::Duplicate => Verdict::Refused(Refusal::Duplicate),
            // A gateway that ran out of time or lost the service: it may have passed the request on.
            Body::Mute | Body::Error | Body::Changed if status != 500 => under_way,
            Body::Mute | Body::Error | Body::Changed if idempotent => Verdict::Retry,
            // The service itself answered: the request was refused and rolled back.
            Body::Error | Body::Changed => Verdict::Refused(Refusal::Rejected),
            Body::Mute => Verdict::Unknown,
        },
        _ => match body {
            Body::Duplicate => Verdict::Refused(Refusal::Duplicate),
            Body::Changed => Verdict::Refused(Refusal::Changed),
            Body::Mute | Body::Error if status == 409 => Verdict::Refused(Refusal::Duplicate),
            Body::Mute | Body::Error => Verdict::Refused(Refusal::Rejected),
        },
    }
}

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The upper bound of the first wait.
    pub min: Duration,
    /// The upper bound of every wait.
    pub max: Duration,
}

impl Backoff {
    /// The longest wait before attempt `attempt + 1`, where the first attempt is 1: doubles each time up to the maximum.
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.min.saturating_mul(factor).min(self.max)
    }

    /// A wait drawn evenly between nothing and the ceiling ("full jitter"), so that workers that failed together do not
    /// come back together. `draw` is in 0..1.
    pub fn wait(&self, attempt: u32, draw: f64) -> Duration {
        self.ceiling(attempt).mul_f64(draw.clamp(0.0, 1.0))
    }
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110, 10.2.3). Fractions are accepted, since services write them.
pub fn retry_after(value: &str, now: Utc) -> Option<Duration> {
    let value = value.trim();
    if value.starts_with(|c: char| c.is_ascii_digit()) {
        let seconds: f64 = value.parse().ok()?;
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = parse_http_date(value)?;
    // A date in the past means: now.
    Some((at - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MUTE: Body = Body::Mute;

    fn post(seen: Seen) -> Verdict {
        classify(Repeat::Never, seen)
    }

    fn idempotent(seen: Seen) -> Verdict {
        classify(Repeat::Safe, seen)
    }

    fn ordered(seen: Seen) -> Verdict {
        classify(Repeat::Ordered, seen)
    }

    fn both(seen: Seen) -> Verdict {
        assert_eq!(post(seen), idempotent(seen), "{seen:?}");
        assert_eq!(post(seen), ordered(seen), "{seen:?}");
        post(seen)
    }

    #[test]
    fn an_update_or_delete_that_may_still_be_under_way_is_not_sent_again() {
        assert_eq!(ordered(Seen::Lost), Verdict::Unknown);
        for status in [408, 502, 504, 599] {
            assert_eq!(ordered(Seen::Answer(status, MUTE)), Verdict::Unknown, "{status}");
        }
        // Answered, so it is over.
        for status in [500, 503] {
            assert_eq!(ordered(Seen::Answer(status, MUTE)), Verdict::Retry, "{status}");
        }
    }

    #[test]
    fn a_success_is_done() {
        for status in [200, 201, 202, 204] {
            assert_eq!(both(Seen::Answer(status, MUTE)), Verdict::Done);
        }
    }

    #[test]
    fn a_401_asks_for_a_fresh_token() {
        assert_eq!(both(Seen::Answer(401, Body::Error)), Verdict::Refresh);
        assert_eq!(both(Seen::Answer(401, MUTE)), Verdict::Refresh);
    }

    #[test]
    fn a_429_lets_the_host_rest_whatever_the_method() {
        assert_eq!(both(Seen::Answer(429, MUTE)), Verdict::Throttled);
        assert_eq!(both(Seen::Answer(429, Body::Error)), Verdict::Throttled);
    }

    #[test]
    fn a_503_is_retried_whatever_the_method() {
        assert_eq!(both(Seen::Answer(503, MUTE)), Verdict::Retry);
    }

    #[test]
    fn a_failed_connect_is_retried_whatever_the_method() {
        assert_eq!(both(Seen::NotConnected), Verdict::Retry);
    }

    #[test]
    fn a_lost_answer_is_retried_only_where_repeating_does_no_harm() {
        assert_eq!(idempotent(Seen::Lost), Verdict::Retry);
        assert_eq!(post(Seen::Lost), Verdict::Unknown);
    }

    #[test]
    fn a_gateways_502_or_504_is_retried_only_where_repeating_does_no_harm() {
        for status in [502, 504] {
            for body in [MUTE, Body::Error] {
                assert_eq!(idempotent(Seen::Answer(status, body)), Verdict::Retry);
                assert_eq!(post(Seen::Answer(status, body)), Verdict::Unknown);
            }
        }
    }

    #[test]
    fn a_408_is_retried_only_where_repeating_does_no_harm() {
        assert_eq!(idempotent(Seen::Answer(408, MUTE)), Verdict::Retry);
        assert_eq!(post(Seen::Answer(408, MUTE)), Verdict::Unknown);
    }

    #[test]
    fn a_500_is_retried_for_idempotent_requests() {
        assert_eq!(idempotent(Seen::Answer(500, MUTE)), Verdict::Retry);
        assert_eq!(idempotent(Seen::Answer(500, Body::Error)), Verdict::Retry);
    }

    #[test]
    fn a_post_answered_500_by_the_service_itself_was_refused() {
        assert_eq!(post(Seen::Answer(500, Body::Error)), Verdict::Refused(Refusal::Rejected));
    }

    #[test]
    fn a_post_answered_500_without_the_services_word_is_of_unknown_outcome() {
        assert_eq!(post(Seen::Answer(500, MUTE)), Verdict::Unknown);
    }

    #[test]
    fn a_duplicate_is_distinguished_from_other_refusals() {
        assert_eq!(both(Seen::Answer(500, Body::Duplicate)), Verdict::Refused(Refusal::Duplicate));
        assert_eq!(both(Seen::Answer(412, Body::Duplicate)), Verdict::Refused(Refusal::Duplicate));
        assert_eq!(both(Seen::Answer(409, MUTE)), Verdict::Refused(Refusal::Duplicate));
        assert_eq!(both(Seen::Answer(412, Body::Error)), Verdict::Refused(Refusal::Rejected));
    }

    #[test]
    fn another_version_is_distinguished_from_other_refusals() {
        assert_eq!(both(Seen::Answer(412, Body::Changed)), Verdict::Refused(Refusal::Changed));
    }

    #[test]
    fn a_403_and_a_404_are_final() {
        assert_eq!(both(Seen::Answer(403, MUTE)), Verdict::Refused(Refusal::Forbidden));
        assert_eq!(both(Seen::Answer(404, MUTE)), Verdict::Refused(Refusal::NotFound));
    }

    #[test]
    fn any_other_4xx_is_final() {
        for status in [400, 405, 406, 410, 413, 415, 422, 431] {
            assert_eq!(both(Seen::Answer(status, Body::Error)), Verdict::Refused(Refusal::Rejected));
        }
    }

    #[test]
    fn a_proxys_407_says_nothing_about_the_record() {
        assert_eq!(both(Seen::Answer(407, MUTE)), Verdict::Refused(Refusal::Proxy));
    }

    #[test]
    fn a_missing_feature_is_final() {
        assert_eq!(both(Seen::Answer(501, MUTE)), Verdict::Refused(Refusal::Rejected));
    }

    #[test]
    fn a_redirect_is_never_followed() {
        for status in [301, 302, 303, 304, 307, 308] {
            assert_eq!(both(Seen::Answer(status, MUTE)), Verdict::Refused(Refusal::Redirect));
        }
    }

    #[test]
    fn the_wait_doubles_up_to_the_maximum_and_is_drawn_from_nothing_to_there() {
        let backoff = Backoff { min: Duration::from_millis(100), max: Duration::from_secs(1) };
        let ceilings: Vec<_> = [1, 2, 3, 4, 5, 40, 1000].iter().map(|&n| backoff.ceiling(n).as_millis()).collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1000, 1000, 1000]);
        assert_eq!(backoff.wait(3, 0.0), Duration::ZERO);
        assert_eq!(backoff.wait(3, 0.5), Duration::from_millis(200));
        assert_eq!(backoff.wait(3, 1.0), Duration::from_millis(400));
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = crate::time::parse_instant("2024-01-31T12:00:00Z").unwrap();
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(" 0.5 ", now), Some(Duration::from_millis(500)));
        assert_eq!(retry_after("Wed, 31 Jan 2024 12:00:30 GMT", now), Some(Duration::from_secs(30)));
        // The two obsolete forms, which a recipient must accept.
        assert_eq!(retry_after("Wednesday, 31-Jan-24 12:00:30 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Wed Jan 31 12:00:30 2024", now), Some(Duration::from_secs(30)));
        assert_eq!(retry_after("Wed, 31 Jan 2024 11:00:00 GMT", now), Some(Duration::ZERO));
        for wrong in ["", "soon", "-3", "1e999", "7s", "Wed, 99 Jan 2024 12:00:30 GMT"] {
            assert_eq!(retry_after(wrong, now), None, "{wrong}");
        }
    }
}
