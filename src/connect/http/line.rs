//! Answers that come twice, and what compressed ones hold.
//!
//! HTTP/1.1 pairs answers with requests by their order alone. Where something on the way sends the bytes of an answer twice, the
//! second copy is taken for the answer to the next request on that connection, and from then on each answer is one too late. The
//! HTTP library drops a connection when it finds unrequested bytes, but a copy that arrives while the next request is
//! being sent looks like its answer. So each answer is compared with the one before it on the same connection: two answers
//! that are alike to the last byte, headers included, to two different requests are taken for one answer that came twice.
//! HTTP/2 numbers its streams and needs none of this.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use hyper_util::client::legacy::connect::HttpInfo;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use reqwest::{Response, Version};

/// Connections that are remembered at most. Beyond that all are forgotten, which costs one comparison for each.
const REMEMBERED: usize = 4096;

/// Both ends of a connection.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// The last answer on each connection.
#[derive(Debug)]
pub(super) struct Lines {
    last: Mutex<HashMap<Ends, Last>>,
    /// How long a connection on which an answer came twice is not believed: as long as an answer may take. Later its ports may be
    /// another connection's.
    doubt: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Last {
    /// Hashes of a request and its answer.
    Answer { request: u64, answer: u64 },
    /// An answer came twice: none is believed any more.
    Shifted { until: Instant },
}

impl Lines {
    pub(super) fn new(doubt: Duration) -> Self {
        Self { last: Mutex::default(), doubt }
    }

    /// Records an answer; returns whether it belongs to another request. After that, no answer on that connection is trusted.
    pub(super) fn is_shifted(&self, ends: Ends, request: u64, answer: u64) -> bool {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= REMEMBERED {
            last.retain(|_, last| matches!(last, Last::Shifted { until } if *until > now));
        }
        match last.get(&ends) {
            Some(Last::Shifted { until }) if *until > now => return true,
            Some(Last::Answer { request: before, answer: same }) if *same == answer && *before != request => {
                last.insert(ends, Last::Shifted { until: now + self.doubt });
                return true;
            }
            Some(_) | None => {}
        }
        last.insert(ends, Last::Answer { request, answer });
        false
    }
}

/// The ends of the connection that an answer came on; none where answers are numbered, or where it is not known.
pub(super) fn ends(response: &Response) -> Option<Ends> {
    if response.version() > Version::HTTP_11 {
        return None;
    }
    response.extensions().get::<HttpInfo>().map(|info| (info.local_addr(), info.remote_addr()))
}

/// A hash of whatever distinguishes one message from another.
pub(super) fn hash_of(message: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.hash(&mut hasher);
    hasher.finish()
}

/// A hash of an answer as it came: status, headers, body.
pub(super) fn answer_hash(status: u16, headers: &HeaderMap, body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    status.hash(&mut hasher);
    for (name, value) in headers {
        (name.as_str(), value.as_bytes()).hash(&mut hasher);
    }
    body.hash(&mut hasher);
    hasher.finish()
}

/// What a body holds without its compression.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plain {
    /// The body, and whether it goes on beyond the limit.
    Body(Vec<u8>, bool),
    /// The compressed data are damaged or end too early.
    Broken(String),
    /// An encoding that was not asked for.
    Unknown(String),
}

/// Takes the compression off a body; `limit` is in bytes of what comes out. `x-gzip` is `gzip` (RFC 9110, 8.4.1.3), which may have
/// several members, one after the other (RFC 1952, 2.2).
pub(super) fn plain(headers: &HeaderMap, body: Vec<u8>, limit: usize) -> Plain {
    let encoding = headers.get(CONTENT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default().trim().to_ascii_lowercase();
    match encoding.as_str() {
        "" | "identity" => Plain::Body(body, false),
        "gzip" | "x-gzip" if body.is_empty() => Plain::Body(body, false),
        "gzip" | "x-gzip" => {
            let mut out = Vec::new();
            let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
            match MultiGzDecoder::new(body.as_slice()).take(most).read_to_end(&mut out) {
                Ok(_) => {
                    let over = out.len() > limit;
                    out.truncate(limit);
                    Plain::Body(out, over)
                }
                Err(error) => Plain::Broken(format!("the compressed answer is damaged: {error}")),
            }
        }
        other => Plain::Unknown(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn ends(port: u16) -> Ends {
        (SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::from(([127, 0, 0, 1], 80)))
    }

    #[test]
    fn the_same_answer_to_another_request_on_the_same_connection_is_that_of_the_one_before() {
        let lines = Lines::new(Duration::from_secs(60));
        assert!(!lines.is_shifted(ends(1), 1, 10));
        // The same question may have the same answer, and another connection knows nothing of this one.
        assert!(!lines.is_shifted(ends(1), 1, 10));
        assert!(!lines.is_shifted(ends(2), 2, 10));
        assert!(!lines.is_shifted(ends(1), 2, 20));
        assert!(lines.is_shifted(ends(1), 3, 20));
        // The next one is the answer to request 3, whatever was asked.
        assert!(lines.is_shifted(ends(1), 4, 30));
        assert!(!lines.is_shifted(ends(2), 4, 30));
    }

    #[test]
    fn a_connection_that_reuses_the_ports_of_a_bad_one_is_believed_after_a_while() {
        let lines = Lines::new(Duration::ZERO);
        assert!(!lines.is_shifted(ends(1), 1, 10));
        assert!(lines.is_shifted(ends(1), 2, 10));
        assert!(!lines.is_shifted(ends(1), 3, 30));
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn encoded(encoding: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
        headers
    }

    #[test]
    fn gzip_is_read_under_both_names_and_with_several_members() {
        let members = [gzip("{\"a\":"), gzip("1}")].concat();
        for name in ["gzip", "x-gzip", "GZIP"] {
            assert_eq!(plain(&encoded(name), members.clone(), 100), Plain::Body(b"{\"a\":1}".to_vec(), false), "{name}");
        }
        assert_eq!(plain(&encoded("gzip"), Vec::new(), 100), Plain::Body(Vec::new(), false));
        assert_eq!(plain(&HeaderMap::new(), b"{}".to_vec(), 100), Plain::Body(b"{}".to_vec(), false));
    }

    #[test]
    fn a_body_that_is_longer_than_the_limit_damaged_or_of_another_encoding_is_reported() {
        assert_eq!(plain(&encoded("gzip"), gzip("abcdef"), 3), Plain::Body(b"abc".to_vec(), true));
        let whole = gzip("abcdef");
        assert!(matches!(plain(&encoded("gzip"), whole[..whole.len() - 4].to_vec(), 100), Plain::Broken(_)));
        assert_eq!(plain(&encoded("br"), whole, 100), Plain::Unknown("br".to_owned()));
    }
}
