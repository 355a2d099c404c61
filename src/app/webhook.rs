//! The receiver of webhooks that a watch serves: made from the project file, and bound before anything runs.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::connect::ConnectError;
use crate::ingest::{HttpFetch, Receiver, ReceiverConfig, Trust, TrustError};
use crate::plan::ExecutionPlan;
use crate::project::Project;
use crate::run::Clock;
use crate::store::Notifications;

/// How long deliveries that are being answered are waited for when the watch ends. Partner Center sends again what was not answered.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Why notifications cannot be received.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// No certificate is trusted.
    #[error("`connections.partner-center.webhook` has `listen`, but `trusted-certificates` is missing")]
    NoTrust,
    /// The file with the trusted certificates cannot be read.
    #[error("connections.partner-center.webhook.trusted-certificates: {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file has no usable certificates.
    #[error("connections.partner-center.webhook.trusted-certificates: {}: {source}", path.display())]
    Trust {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: TrustError,
    },
    /// The address to listen on is in use.
    #[error("connections.partner-center.webhook.listen: another program, or another `d365map run --watch`, listens on {0}")]
    Taken(SocketAddr),
    /// The address to listen on cannot be used.
    #[error("connections.partner-center.webhook.listen: this machine cannot listen on {address}: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The client that fetches certificates cannot be made.
    #[error(transparent)]
    Client(#[from] ConnectError),
}

impl WebhookError {
    /// What the user can do, if it is not in the message.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            WebhookError::NoTrust => Some("add `trusted-certificates: FILE` with Microsoft's issuing certificates in PEM format"),
            WebhookError::Taken(_) => Some("end the other program, or choose another port: `listen: 127.0.0.1:8086`"),
            WebhookError::Address { .. } => Some("use an address of this machine: `listen: 127.0.0.1:8085`"),
            WebhookError::Unreadable { .. } | WebhookError::Trust { .. } | WebhookError::Client(_) => None,
        }
    }
}

/// The address for notifications, which is bound and not served yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    config: ReceiverConfig,
}

/// Binds the address for notifications, if the project has one and one of the workflows that run is a two-way mapping.
///
/// # Errors
/// [`WebhookError`].
pub fn bind(project: &Project, plan: &ExecutionPlan, wanted: Option<&[String]>) -> Result<Option<Bound>, WebhookError> {
    if !plan.two_way.iter().any(|flow| wanted.is_none_or(|wanted| wanted.contains(&flow.name))) {
        return Ok(None);
    }
    let Some(webhook) = project.connections.partner_center.as_ref().and_then(|connection| connection.webhook.as_ref()) else {
        return Ok(None);
    };
    let Some(address) = webhook.listen else { return Ok(None) };
    let path = project.root.join(webhook.trusted_certificates.as_ref().ok_or(WebhookError::NoTrust)?);
    let trust = match crate::disk::read(&path, crate::disk::SMALL) {
        Ok(pem) => Trust::from_pem(&pem).map_err(|source| WebhookError::Trust { path, source })?,
        Err(source) => return Err(WebhookError::Unreadable { path, source }),
    };
    let listener = TcpListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    let listener = listener.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => WebhookError::Taken(address),
        _ => WebhookError::Address { address, source },
    })?;
    let config = ReceiverConfig {
        path: webhook.url.as_ref().map_or("/", |url| url.path()).to_owned(),
        certificate_hosts: webhook.certificate_hosts.clone(),
        trust,
        organization: webhook.organization.clone(),
        certificate_name: webhook.certificate_name.clone(),
    };
    Ok(Some(Bound { listener, config }))
}

impl Bound {
    /// The address that is bound.
    ///
    /// # Errors
    /// The system's.
    #[cfg_attr(not(feature = "internals"), expect(dead_code, reason = "for tests"))]
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until [`Served::end`]; must be called within a runtime.
    ///
    /// # Errors
    /// [`WebhookError::Client`], or [`WebhookError::Address`] if the runtime cannot use the address.
    pub fn serve(self, notifications: Arc<dyn Notifications>, clock: Clock) -> Result<Served, WebhookError> {
        let receiver = Receiver::new(self.config, Arc::new(HttpFetch::new()?), notifications, clock);
        let address = self.listener.local_addr();
        let listener = tokio::net::TcpListener::from_std(self.listener)
            .map_err(|source| WebhookError::Address { address: address.unwrap_or_else(|_| ([0, 0, 0, 0], 0).into()), source })?;
        let end = CancellationToken::new();
        let server = axum::serve(listener, receiver.router()).with_graceful_shutdown(end.clone().cancelled_owned());
        let task = tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "notifications of Partner Center are no longer received");
            }
        });
        Ok(Served { news: receiver.news(), end, task })
    }
}

/// The address for notifications, which is served.
pub struct Served {
    news: Arc<Notify>,
    end: CancellationToken,
    task: JoinHandle<()>,
}

impl Served {
    /// Is notified when a notification has been stored.
    pub fn news(&self) -> Arc<Notify> {
        self.news.clone()
    }

    /// Takes no more deliveries, and waits until those that have begun are answered.
    pub async fn end(mut self) {
        self.end.cancel();
        if tokio::time::timeout(LAST_ANSWERS, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}
