//! Sends requests: each goes out under a token, a permit of its host and a time limit, is sent again as [`super::retry`]
//! says, and is counted. Redirects are not followed and cookies not kept: a redirect would carry the token elsewhere,
//! Dataverse's affinity cookie would bind all requests to one server's limits.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response};
use tracing::field::Empty;
use tracing::{Instrument, trace_span};
use url::Url;

use super::address::{is_loopback, origin, shown_path};
use super::answer::{self, Said};
use super::bearer::Token;
use super::breaker;
use super::breaker::Open;
use super::budget::{Budget, Budgets};
use super::concurrency::Sign;
use super::host::{HostInfo, Hosts};
use super::line::{self, Ends, Lines, Plain};
use super::redact::Redactor;
use super::request::{Expect, Payload, Reply, Request};
use super::retry::{self, Backoff, Body, Refusal, Repeat, Seen, Verdict};
use super::stats::{CallStats, Counters};
use super::transport::{lasting, transport, why};
use crate::connect::error::{Call, ConnectError, ERROR_BODY_LIMIT};

/// How long a request may still reach its service although no sender waits for its answer: a gateway may hold it. What was written
/// by such a request is looked at again after that time, and nothing else is written to the record before.
///
/// Assumed: services and gateways hold a request for less than twice the time for which its sender waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestLifetime {
    /// From the moment at which its sender gave it up.
    pub after_timeout: Duration,
    /// From the moment at which it was sent, or its sender was killed: that may be the same moment.
    pub after_sending: Duration,
}

impl RequestLifetime {
    /// The lifetime of a request whose sender waits for `timeout`.
    pub fn of(timeout: Duration) -> RequestLifetime {
        RequestLifetime { after_timeout: timeout, after_sending: 2 * timeout }
    }

    /// The same, and `more`.
    pub(crate) fn and(self, more: Duration) -> RequestLifetime {
        RequestLifetime { after_timeout: self.after_timeout + more, after_sending: self.after_sending + more }
    }
}

/// Limits of the HTTP layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Time to make a connection.
    pub connect_timeout: Duration,
    /// Time for one request with its answer. Dataverse ends requests after two to four minutes by itself.
    pub request_timeout: Duration,
    /// How long a request may still take effect.
    pub request_lifetime: RequestLifetime,
    /// How many times a request is sent at most, the first time included.
    pub attempts: u32,
    /// The upper bound of the first wait before a repetition; doubles with each.
    pub backoff_min: Duration,
    /// The upper bound of any such wait.
    pub backoff_max: Duration,
    /// The longest `Retry-After` that is waited for; a longer one ends the call with [`ConnectError::Throttled`] or
    /// [`ConnectError::Unavailable`]. Dataverse counts over 300 seconds.
    pub retry_after_cap: Duration,
    /// How many requests are under way to one host at once, at most; fewer while it bears fewer. Dataverse allows 52.
    pub concurrency_per_host: usize,
    /// The longest answer read, in bytes, after decompression.
    pub max_response_bytes: usize,
    /// What each API (`dataverse`, `campaign`, `token`) may be sent; unlimited where it is not named.
    pub budgets: BTreeMap<&'static str, Budget>,
    /// When a host that fails again and again is left alone.
    pub breaker: breaker::Settings,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(120),
            request_lifetime: RequestLifetime::of(Duration::from_secs(120)),
            attempts: 6,
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            retry_after_cap: Duration::from_secs(300),
            concurrency_per_host: 16,
            max_response_bytes: 64 * 1024 * 1024,
            budgets: BTreeMap::new(),
            breaker: breaker::Settings::default(),
        }
    }
}

/// The HTTP layer; clones share connections, limits and counts.
#[derive(Clone)]
pub struct Http(Arc<Inner>);

struct Inner {
    config: HttpConfig,
    clients: RwLock<Clients>,
    lines: Lines,
    /// The proxies of the environment, to tell which of them cannot be used.
    proxies: Matcher,
    hosts: Hosts,
    budgets: Budgets,
    counters: Counters,
    redactor: Redactor,
    /// The number of the last call: all its attempts have it in the log.
    calls: AtomicU64,
}

/// The clients, each with its connections.
#[derive(Clone)]
struct Clients {
    remote: Client,
    /// For loopback hosts: never through a proxy, which would be sent the credentials and could not reach them anyway.
    local: Client,
}

impl Clients {
    fn new(config: &HttpConfig) -> Result<Self, reqwest::Error> {
        let builder = || {
            let mut headers = HeaderMap::new();
            // Decompressed here and not by the library, which reads the first member of a gzip body alone.
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
            Client::builder()
                .user_agent(concat!("d365map/", env!("CARGO_PKG_VERSION")))
                .default_headers(headers)
                .connect_timeout(config.connect_timeout)
                .timeout(config.request_timeout)
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .pool_idle_timeout(Duration::from_secs(60))
                .tcp_keepalive(Duration::from_secs(30))
        };
        Ok(Self { remote: builder().build()?, local: builder().no_proxy().build()? })
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("config", &self.0.config).finish_non_exhaustive()
    }
}

/// What one attempt brought.
struct Attempt {
    seen: Seen,
    said: Said,
    headers: HeaderMap,
    body: Bytes,
    /// A fault in an answer whose status promises success.
    fault: Option<String>,
    /// Why every further attempt would fail alike, with the fix.
    permanent: Option<(String, String)>,
}

impl Attempt {
    fn without_answer(seen: Seen, message: String) -> Self {
        let said = Said { code: None, message: Some(message) };
        Self { seen, said, headers: HeaderMap::new(), body: Bytes::new(), fault: None, permanent: None }
    }

    fn unsent(open: Open) -> Self {
        let message = format!(
            "nothing was sent: the host failed {} in a row, and requests to it are paused for {} s more",
            crate::count::counted(open.failures, "time"),
            open.wait.as_secs_f64().ceil()
        );
        Self::without_answer(Seen::NotConnected, message)
    }

    fn status(&self) -> Option<u16> {
        match self.seen {
            Seen::Answer(status, _) => Some(status),
            Seen::NotConnected | Seen::Lost => None,
        }
    }
}

impl Http {
    /// Builds the client.
    ///
    /// # Errors
    /// [`ConnectError::Config`] when the TLS machinery cannot start, such as without any root certificate.
    pub fn new(config: HttpConfig) -> Result<Self, ConnectError> {
        let clients = Clients::new(&config).map_err(|e| {
            ConnectError::config(
                format!("the HTTP client cannot be built: {}", transport(e)),
                "check the system's root certificates and proxy settings",
            )
        })?;
        let lines = Lines::new(config.request_timeout);
        let hosts = Hosts::new(config.concurrency_per_host, config.breaker);
        let budgets = Budgets::new(&config.budgets);
        Ok(Self(Arc::new(Inner {
            config,
            clients: RwLock::new(clients),
            lines,
            proxies: Matcher::from_system(),
            hosts,
            budgets,
            counters: Counters::default(),
            redactor: Redactor::default(),
            calls: AtomicU64::new(0),
        })))
    }

    /// The calls made so far.
    pub fn stats(&self) -> CallStats {
        self.0.counters.get()
    }

    /// What each API that has a budget was sent on its last day, earlier runs included: the day since 1970 in UTC, and how much.
    pub fn spent(&self) -> Vec<(&'static str, i64, u64)> {
        self.0.budgets.spent()
    }

    /// What the host of an address last said of itself.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "for tests and benchmarks"))]
    pub fn host(&self, url: &Url) -> HostInfo {
        self.0.hosts.of(url).info()
    }

    /// Sends a request until there is a verdict, and returns the answer's body.
    pub(crate) async fn send(&self, request: &Request<'_>) -> Result<Bytes, ConnectError> {
        self.exchange(request).await.map(|reply| reply.body)
    }

    /// Sends a request until there is a verdict, and returns the answer.
    pub(crate) async fn exchange(&self, request: &Request<'_>) -> Result<Reply, ConnectError> {
        let config = &self.0.config;
        let backoff = Backoff { min: config.backoff_min, max: config.backoff_max };
        let host = self.0.hosts.of(&request.url);
        let call = self.0.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let mut refreshed = false;
        // Attempts count against the limit; a request that merely found its token refused does not.
        let mut number = 0_u32;
        let mut sent = 0_u32;
        loop {
            let mut token = match request.token {
                Some(source) => Some(source.get().await?),
                None => None,
            };
            self.0.budgets.pay(request.api, request.weight).await?;
            let mut pass = host.enter().await;
            // The wait may have outlasted the token. It is not asked for under the permit: its service may be on the same host.
            if let Some(source) = request.token
                && token.as_ref().is_some_and(Token::expired)
            {
                drop(pass);
                token = Some(source.get().await?);
                pass = host.enter().await;
            }
            number += 1;
            let attempt = match pass {
                Ok(pass) => {
                    sent += 1;
                    let (attempt, took) = self.attempt(request, token.as_ref(), call, sent).await;
                    pass.finish(request.kind, sign(&attempt, took));
                    host.learn(&attempt.headers);
                    attempt
                }
                // An attempt that was not sent: the host is being left alone.
                Err(open) => Attempt::unsent(open),
            };

            let last = number >= config.attempts.max(1);
            let fail = |attempt: Attempt| Box::new(call_of(request, attempt, sent));
            let asked =
                attempt.headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| retry::retry_after(v, crate::time::now()));
            let too_long = asked.is_some_and(|d| d > config.retry_after_cap);
            if let Some((problem, remedy)) = attempt.permanent {
                return Err(ConnectError::Config { problem: format!("{}: {problem}", request.api), remedy });
            }
            let jitter = rand::random::<f64>();
            // What a service asks for is a least wait; a little jitter on top keeps the workers apart.
            let wait =
                asked.map_or_else(|| backoff.wait(number, jitter), |d| d.min(config.retry_after_cap) + config.backoff_min.mul_f64(jitter));
            match retry::classify(request.repeat, attempt.seen) {
                Verdict::Done => match attempt.fault {
                    None => {
                        let status = attempt.status().unwrap_or_default();
                        return Ok(Reply { status, headers: attempt.headers, body: attempt.body });
                    }
                    Some(ref problem) => {
                        let problem = problem.clone();
                        return Err(ConnectError::Protocol { call: fail(attempt), problem });
                    }
                },
                Verdict::Refresh => {
                    if let Some(error) = request.token.and_then(|source| source.lasting(&attempt.body)) {
                        return Err(error);
                    }
                    match (request.token, &token) {
                        (Some(source), Some(token)) if !refreshed => {
                            source.refused(token).await;
                            refreshed = true;
                            number -= 1;
                        }
                        _ if is_page(&attempt) => return Err(ConnectError::Protocol { call: fail(attempt), problem: HTML.to_owned() }),
                        _ => return Err(ConnectError::Unauthorized { call: fail(attempt) }),
                    }
                }
                Verdict::Throttled => {
                    if host.pause(wait) {
                        let seconds = wait.as_secs_f64().ceil();
                        tracing::info!(
                            api = request.api,
                            host = origin(&request.url),
                            call,
                            request_id = answer::request_id(&attempt.headers),
                            seconds,
                            "the service limits requests; they are paused"
                        );
                    }
                    if last || too_long {
                        return Err(ConnectError::Throttled { call: fail(attempt), retry_after: asked });
                    }
                }
                Verdict::Retry if last || too_long => return Err(ConnectError::Unavailable { call: fail(attempt) }),
                Verdict::Retry => tokio::time::sleep(wait).await,
                Verdict::Unknown => return Err(ConnectError::OutcomeUnknown { call: fail(attempt) }),
                Verdict::Refused(refusal) => {
                    let page = is_page(&attempt);
                    return Err(refused(refusal, page, fail(attempt)));
                }
            }
        }
    }

    /// What must not come out of an answer.
    pub(super) fn redactor(&self) -> &Redactor {
        &self.0.redactor
    }

    pub(crate) fn config(&self) -> &HttpConfig {
        &self.0.config
    }

    /// The client for an address: loopback hosts have a separate one.
    pub(super) fn client(&self, url: &Url) -> Client {
        let clients = self.0.clients.read().unwrap_or_else(PoisonError::into_inner);
        if is_loopback(url) { clients.local.clone() } else { clients.remote.clone() }
    }

    /// Leaves all connections: none of them takes another request, and those under way are closed when they end. For a caller that got
    /// the answer to another request: those that follow on the connection may be shifted as well.
    pub(crate) fn leave_connections(&self) {
        // If the clients cannot be built again the old ones stay in use; their bad connection is still not trusted.
        if let Ok(fresh) = Clients::new(&self.0.config) {
            *self.0.clients.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
    }

    /// A proxy of the environment by which this address would be asked, and that cannot be used.
    fn unusable_proxy(&self, url: &Url) -> Option<(String, String)> {
        if is_loopback(url) {
            return None;
        }
        let intercept = self.0.proxies.intercept(&url.as_str().parse::<http::Uri>().ok()?)?;
        let scheme = intercept.uri().scheme_str().unwrap_or_default();
        (!matches!(scheme, "http" | "https")).then(|| {
            (
                format!("the proxy for {} has the scheme `{scheme}`, which is not supported", origin(url)),
                "set HTTPS_PROXY to an address that begins with http:// or https://, or name the host in NO_PROXY".to_owned(),
            )
        })
    }

    /// Sends a request once. `call` is its number, and `number` that of the attempt.
    async fn attempt(&self, request: &Request<'_>, token: Option<&Token>, call: u64, number: u32) -> (Attempt, Duration) {
        let span = trace_span!(
            target: "d365map::span",
            "call",
            otel.kind = "client",
            api = request.api,
            http.request.method = request.method.as_str(),
            server.address = request.url.host_str(),
            http.response.status_code = Empty,
            outcome = Empty,
            attempt = number,
            // By which the operator of the service finds the request.
            correlation_id = Empty,
            otel.status_code = Empty,
        );
        let mut message = reqwest::Request::new(request.method.clone(), request.url.clone());
        *message.headers_mut() = request.headers.clone();
        if let Some(token) = token {
            message.headers_mut().insert(AUTHORIZATION, token.header());
        }
        *message.body_mut() = match &request.body {
            Payload::Empty => None,
            Payload::Fixed(body) => Some(body.clone().into()),
            Payload::Fresh(make) => Some(make().into()),
        };
        let start = Instant::now();
        let attempt = match self.unusable_proxy(&request.url) {
            Some(permanent) => Attempt { permanent: Some(permanent), ..Attempt::without_answer(Seen::NotConnected, String::new()) },
            None => match self.client(&request.url).execute(message).instrument(span.clone()).await {
                Ok(response) => self.read(request, response).instrument(span.clone()).await,
                // A builder's error comes again however often it is tried, but nothing was sent either; a URL and headers that were
                // checked before cause none.
                Err(error) if error.is_connect() || error.is_builder() => {
                    let permanent = lasting(why(error.source()), &request.url);
                    Attempt { permanent, ..Attempt::without_answer(Seen::NotConnected, transport(error)) }
                }
                Err(error) => Attempt::without_answer(Seen::Lost, transport(error)),
            },
        };
        let outcome = outcome(retry::classify(request.repeat, attempt.seen));
        let took = start.elapsed();
        self.0.counters.add(request.api, request.method.as_str(), outcome, number > 1, took);
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if !span.is_disabled() {
            span.record("outcome", outcome);
            span.record("http.response.status_code", attempt.status());
            span.record("correlation_id", answer::request_id(&attempt.headers));
            if outcome != "ok" {
                span.record("otel.status_code", "ERROR");
            }
        }
        tracing::debug!(
            api = request.api,
            method = request.method.as_str(),
            path = shown_path(&request.url),
            status = attempt.status(),
            outcome,
            ms,
            attempt = number,
            call,
            request_id = answer::request_id(&attempt.headers),
            "request"
        );
        (attempt, took)
    }

    async fn read(&self, request: &Request<'_>, mut response: Response) -> Attempt {
        let ends = line::ends(&response);
        let headers = std::mem::take(response.headers_mut());
        let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let multipart = request.expect == Expect::Multipart && kind.to_ascii_lowercase().starts_with("multipart/");
        let given = response.status().as_u16();
        let status = if multipart { 200 } else { given };
        let success = multipart || response.status().is_success();
        let limit = if success { self.0.config.max_response_bytes } else { ERROR_BODY_LIMIT };
        let length = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
        let mut body = Vec::with_capacity(length.min(limit).min(FIRST_CAPACITY));
        let mut over = response.content_length().is_some_and(|n| success && n > limit as u64);
        let mut broken = None;
        while !over {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                    body.extend_from_slice(&chunk[..limit - body.len()]);
                    over = true;
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => {
                    broken = Some(transport(error));
                    break;
                }
            }
        }
        // A page for people is the same for every request, so it says nothing about the order of answers. It is not the service's
        // either: a proxy in between may have mixed up more.
        let page = answer::is_html(&headers, &body);
        if page {
            self.leave_connections();
        }
        if let Some(ends) = ends
            && broken.is_none()
            && !over
            && !page
            && self.is_shifted(request, ends, given, line::answer_hash(given, &headers, &body)).await
        {
            self.leave_connections();
            return Attempt::without_answer(Seen::Lost, "the response to an earlier request came again instead of the response".to_owned());
        }
        let mut fault = None;
        let body = match line::plain(&headers, body, limit) {
            Plain::Body(body, more) => {
                over |= more;
                body
            }
            Plain::Broken(problem) => {
                broken.get_or_insert(problem);
                Vec::new()
            }
            Plain::Unknown(encoding) => {
                fault = Some(format!(
                    "the answer is compressed as `{encoding}`, which was not asked for: check proxies between d365map and the service"
                ));
                Vec::new()
            }
        };
        if success {
            if answer::is_html(&headers, &body) {
                fault = Some(HTML.to_owned());
            } else if request.expect == Expect::Status {
                fault = None;
            } else if over {
                fault = Some(format!("the answer is longer than {limit} bytes: ask for fewer columns or a smaller page"));
            } else if let Some(problem) = broken {
                return Attempt::without_answer(Seen::Lost, problem);
            }
            if let Some(problem) = fault.take_if(|problem| request.repeat != Repeat::Safe && problem != HTML) {
                // A write may have been carried out, whatever its answer looks like.
                return Attempt::without_answer(Seen::Lost, problem);
            }
            let body = if fault.is_some() { Bytes::new() } else { Bytes::from(body) };
            return Attempt { seen: Seen::Answer(status, Body::Mute), said: Said::default(), headers, body, fault, permanent: None };
        }
        let body = self.0.redactor.clean(body);
        let (said, kind) = answer::read(&body);
        Attempt { seen: Seen::Answer(status, kind), said, headers, body: body.into(), fault: None, permanent: None }
    }

    /// Whether an answer is that of another request. Statuses that a gateway gives to every request alike say nothing about the
    /// record, so nothing can be concluded wrongly from them.
    async fn is_shifted(&self, request: &Request<'_>, ends: Ends, status: u16, answer: u64) -> bool {
        if matches!(status, 401 | 403 | 407 | 408 | 429 | 500..) {
            return false;
        }
        // An earlier request on this connection may have its answer, and not have been looked at yet.
        tokio::task::yield_now().await;
        // Two requests about one record in one second can have the same answer: two changes, or a read and a change of a record
        // that is not there. So neither method nor body counts, but for creates, which all have the same address.
        let body = match &request.body {
            Payload::Fixed(body) if request.own_answer => Some(body),
            Payload::Fixed(_) | Payload::Fresh(_) | Payload::Empty => None,
        };
        let question = line::hash_of((request.url.as_str(), body));
        self.0.lines.is_shifted(ends, question, answer)
    }
}

/// The longest body for which memory is set aside by what its header says, in bytes: the header may not be true.
const FIRST_CAPACITY: usize = 1 << 16;

const HTML: &str =
    "an HTML page came in place of JSON, probably a sign-in page: check the connection's `url`, and that no proxy or portal is in between";

fn call_of(request: &Request<'_>, attempt: Attempt, number: u32) -> Call {
    let mut message = attempt.said.message.clone();
    if message.is_none() && attempt.status().is_some_and(|s| (300..400).contains(&s)) {
        let to = attempt.headers.get(reqwest::header::LOCATION).and_then(|v| v.to_str().ok()).and_then(|l| request.url.join(l).ok());
        message = to.map(|to| format!("a redirect to {}", origin(&to)));
    }
    let body = String::from_utf8_lossy(answer::strip_bom(&attempt.body));
    Call {
        status: attempt.status(),
        code: attempt.said.code.clone(),
        message,
        request_id: answer::request_id(&attempt.headers),
        attempts: number,
        body: (attempt.status().is_some() && !body.is_empty()).then(|| body.into_owned()),
        ..request.call()
    }
}

/// The error of one answer within an answer.
pub(crate) fn refusal(request: &Request<'_>, repeat: Repeat, status: u16, headers: &HeaderMap, body: Bytes) -> ConnectError {
    let (said, kind) = answer::read(&body);
    let seen = Seen::Answer(status, kind);
    let asked = headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| retry::retry_after(v, crate::time::now()));
    let attempt = Attempt { seen, said, headers: headers.clone(), body, fault: None, permanent: None };
    let page = is_page(&attempt);
    let call = Box::new(call_of(request, attempt, 1));
    match retry::classify(repeat, seen) {
        Verdict::Done => ConnectError::Protocol { call, problem: "a success response was treated as an error".to_owned() },
        Verdict::Refresh => ConnectError::Unauthorized { call },
        Verdict::Throttled => ConnectError::Throttled { call, retry_after: asked },
        Verdict::Retry => ConnectError::Unavailable { call },
        Verdict::Unknown => ConnectError::OutcomeUnknown { call },
        Verdict::Refused(refusal) => refused(refusal, page, call),
    }
}

/// Whether an answer is a page for people: not the service's own word on the record, whatever its status.
fn is_page(attempt: &Attempt) -> bool {
    answer::is_html(&attempt.headers, &attempt.body)
}

/// The error of a refusal. `page`: the answer is a page for people, so a caller must not conclude that the record is faulty or gone.
fn refused(refusal: Refusal, page: bool, call: Box<Call>) -> ConnectError {
    match refusal {
        Refusal::Forbidden | Refusal::NotFound | Refusal::Duplicate | Refusal::Changed | Refusal::Rejected if page => {
            ConnectError::Protocol { call, problem: HTML.to_owned() }
        }
        Refusal::Forbidden => ConnectError::Forbidden { call },
        Refusal::NotFound => ConnectError::NotFound { call },
        Refusal::Duplicate => ConnectError::Duplicate { call },
        Refusal::Changed => ConnectError::Changed { call },
        Refusal::Rejected => ConnectError::Rejected { call },
        Refusal::Proxy => ConnectError::Protocol {
            call,
            problem: "a proxy asks for a user name and password: write them into HTTPS_PROXY (http://USER:PASSWORD@PROXY:PORT)".to_owned(),
        },
        Refusal::Redirect => ConnectError::Protocol {
            call,
            problem: "redirects are not followed: give the final address as the connection's `url`".to_owned(),
        },
    }
}

/// What an attempt tells about its host, rather than about the request.
fn sign(attempt: &Attempt, took: Duration) -> Sign {
    match attempt.seen {
        Seen::NotConnected | Seen::Lost => Sign::Failed,
        // A page for people may be a proxy's, a portal's or the service's.
        Seen::Answer(_, _) if attempt.fault.is_some() => Sign::Nothing,
        Seen::Answer(429, _) => Sign::Refused,
        Seen::Answer(500, Body::Error | Body::Duplicate | Body::Changed) | Seen::Answer(501 | 505, _) => Sign::Nothing,
        Seen::Answer(500..=599, _) => Sign::Failed,
        Seen::Answer(_, _) => Sign::Answered(took),
    }
}

fn outcome(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Done => "ok",
        Verdict::Refresh => "unauthorized",
        Verdict::Throttled => "throttled",
        Verdict::Retry => "unavailable",
        Verdict::Unknown => "unknown",
        Verdict::Refused(Refusal::Forbidden) => "forbidden",
        Verdict::Refused(Refusal::NotFound) => "not_found",
        Verdict::Refused(Refusal::Duplicate) => "duplicate",
        Verdict::Refused(Refusal::Changed) => "changed",
        Verdict::Refused(Refusal::Rejected) => "rejected",
        Verdict::Refused(Refusal::Redirect) => "redirect",
        Verdict::Refused(Refusal::Proxy) => "proxy",
    }
}
