//! Receives notifications of Partner Center's webhooks: an HTTP router that checks each delivery and puts it on disk before it answers.
//!
//! A delivery is checked in this order, so that what costs most comes last: size, type and headers; the address of the certificate
//! ([`certificate`]); the certificate; the signature over the body as it came ([`signature`]); what the body says ([`delivery`]). Nothing
//! of a body is used before its signature is known to be good, and no address in a body is ever fetched.
//!
//! The service sends a notification up to ten times and does not wait long, so the answer does not wait for the work: a notification is
//! answered with 200 as soon as it is in the state, and handled later. There is no time stamp in a signature, so an old delivery can be
//! sent again by anyone who has seen it: it is known by event, resource and time of change, and it only causes the resource to be read.
//!
//! Source: Partner Center, *Partner Center webhooks*.

mod certificate;
mod delivery;
mod signature;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};

use self::certificate::{Certificates, Refused};
pub use self::certificate::{Fetch, FetchError, HttpFetch, Trust, TrustError};
use self::delivery::Delivery;
use crate::engine::clock::Clock;
use crate::store::Notifications;

/// The longest body that is read. A notification has some 300 bytes.
const BODY_LIMIT: usize = 16 * 1024;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Deliveries that are checked at the same time.
const AT_ONCE: usize = 64;

/// How deliveries are checked.
#[derive(Debug, Clone)]
pub struct ReceiverConfig {
    /// The path of the address that is registered with Partner Center.
    pub path: String,
    /// The hosts that certificates may be fetched from: `host`, or `host:port`.
    pub certificate_hosts: Vec<String>,
    /// Whom the signer's certificate must come from.
    pub trust: Trust,
    /// The organization that must be named as the issuer of the certificate.
    pub organization: String,
    /// A name that the certificate must be valid for, if one is asked for.
    pub certificate_name: Option<String>,
}

/// What was received since the start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// New notifications, which are in the state.
    pub new: u64,
    /// Notifications that were known.
    pub repeated: u64,
    /// Genuine deliveries that need no work: tests, and events of other resources.
    pub ignored: u64,
    /// Deliveries that were refused.
    pub refused: u64,
}

#[derive(Default)]
struct Counts {
    new: AtomicU64,
    repeated: AtomicU64,
    ignored: AtomicU64,
    refused: AtomicU64,
}

/// The receiver. Clones share everything.
#[derive(Clone)]
pub struct Receiver(Arc<Inner>);

struct Inner {
    certificates: Certificates,
    notifications: Arc<dyn Notifications>,
    clock: Clock,
    places: Semaphore,
    path: String,
    arrived: Arc<Notify>,
    counts: Counts,
}

/// Why a delivery is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    /// The body is too long.
    #[error("the body is longer than {BODY_LIMIT} bytes")]
    TooLarge,
    /// The body did not arrive.
    #[error("the body did not arrive in time")]
    Incomplete,
    /// The body has another type.
    #[error("the content type is not application/json")]
    ContentType,
    /// Too many deliveries at once.
    #[error("{AT_ONCE} deliveries are already being checked")]
    Busy,
    /// A header is missing, or is not as documented.
    #[error(transparent)]
    Header(#[from] signature::BadHeader),
    /// The certificate or the signature is not good.
    #[error(transparent)]
    Certificate(#[from] Refused),
    /// The body is signed and not a notification.
    #[error(transparent)]
    Body(#[from] delivery::NotANotification),
    /// The notification could not be stored.
    #[error("the notification cannot be stored")]
    Store,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Incomplete => StatusCode::REQUEST_TIMEOUT,
            Refusal::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            // The service delivers again later.
            Refusal::Busy | Refusal::Store | Refusal::Certificate(Refused::Unavailable | Refused::TooManyFetches) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Refusal::Header(signature::BadHeader::NoSignature) | Refusal::Certificate(_) => StatusCode::UNAUTHORIZED,
            Refusal::Header(_) | Refusal::Body(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl Receiver {
    /// A receiver that puts notifications into a store.
    pub fn new(config: ReceiverConfig, fetch: Arc<dyn Fetch>, notifications: Arc<dyn Notifications>, clock: Clock) -> Receiver {
        let path = format!("/{}", config.path.trim_start_matches('/'));
        let certificates = Certificates::new(&config, fetch);
        Receiver(Arc::new(Inner {
            certificates,
            notifications,
            clock,
            places: Semaphore::new(AT_ONCE),
            path,
            arrived: Arc::default(),
            counts: Counts::default(),
        }))
    }

    /// The routes: one path that takes deliveries. Whoever serves them chooses the address, and TLS is done by what is in front.
    pub fn router(&self) -> Router {
        Router::new().without_v07_checks().route(&self.0.path, post(receive)).with_state(self.clone())
    }

    /// What was received since the start.
    pub fn received(&self) -> Received {
        let counts = &self.0.counts;
        let [new, repeated, ignored, refused] =
            [&counts.new, &counts.repeated, &counts.ignored, &counts.refused].map(|count| count.load(Ordering::Relaxed));
        Received { new, repeated, ignored, refused }
    }

    /// Is notified when a new notification has been stored. Notifications that come before somebody waits are one.
    pub fn news(&self) -> Arc<Notify> {
        self.0.arrived.clone()
    }

    /// Waits until a new notification has been stored since the last call.
    pub async fn arrived(&self) {
        self.0.arrived.notified().await;
    }

    async fn take(&self, headers: &HeaderMap, body: Body) -> Result<(), Refusal> {
        let inner = &*self.0;
        let _place = inner.places.try_acquire().map_err(|_| Refusal::Busy)?;
        let signed = signature::Signed::read(headers)?;
        let body = read_body(headers, body).await?;
        inner.certificates.check(&signed, &body, inner.clock.now()).await?;
        match Delivery::read(&body)? {
            Delivery::Change(notification) => {
                let event = notification.event.clone();
                let new = inner.notifications.take_notification(notification, inner.clock.now()).await.map_err(|error| {
                    tracing::error!(%error, "a notification of Partner Center cannot be stored");
                    Refusal::Store
                })?;
                tracing::debug!(event, new, "notification of Partner Center");
                if new {
                    inner.counts.new.fetch_add(1, Ordering::Relaxed);
                    inner.arrived.notify_one();
                } else {
                    inner.counts.repeated.fetch_add(1, Ordering::Relaxed);
                }
            }
            Delivery::Other => {
                inner.counts.ignored.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    let kind = text(CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind != "application/json" {
        return Err(Refusal::ContentType);
    }
    if text(CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > BODY_LIMIT) {
        return Err(Refusal::TooLarge);
    }
    let body = tokio::time::timeout(BODY_TIME, to_bytes(body, BODY_LIMIT)).await.map_err(|_| Refusal::Incomplete)?;
    body.map_err(|_| Refusal::TooLarge)
}

async fn receive(State(receiver): State<Receiver>, request: Request) -> StatusCode {
    let (parts, body) = request.into_parts();
    match receiver.take(&parts.headers, body).await {
        Ok(()) => StatusCode::OK,
        Err(refusal) => {
            receiver.0.counts.refused.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(reason = %refusal, "a delivery to the webhook address was refused");
            refusal.status()
        }
    }
}
