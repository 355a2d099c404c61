//! TLS of the server, with a certificate of PEM files. A renewed certificate is taken up while the server runs.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use secrecy::ExposeSecret;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::access::Peer;
use crate::project::{SecretError, SecretRef};

/// How long a client has for its part of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at the same time; others wait in the system's queue.
const HANDSHAKES: usize = 256;
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(60);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read, or has no certificate in PEM format.
    #[error("serve.tls.certificate: {}: {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The key cannot be fetched.
    #[error("serve.tls.key: {0}")]
    Secret(#[from] SecretError),
    /// The key is not in PEM format.
    #[error("serve.tls.key: {0}")]
    Key(String),
    /// The certificate and the key do not belong together, or the key cannot be used.
    #[error("serve.tls: {0}")]
    Unusable(#[from] rustls::Error),
}

/// A certificate of a project.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The folder of the project.
    pub root: PathBuf,
    /// The certificate, followed by those between it and the root, PEM.
    pub certificate: PathBuf,
    /// Where its private key is kept, PEM.
    pub key: SecretRef,
}

impl TlsFiles {
    /// Blocks: a secret can come from a command.
    fn load(&self) -> Result<CertifiedKey, TlsError> {
        let path = self.root.join(&self.certificate);
        let wrong = |reason: String| TlsError::Certificate { path: path.clone(), reason };
        let chain = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(|error| wrong(error.to_string()))?;
        if chain.is_empty() {
            return Err(wrong("there is no certificate in this file".to_owned()));
        }
        let key = self.key.resolve_key(&self.root)?;
        let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes()).map_err(|error| TlsError::Key(error.to_string()))?;
        Ok(CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?)
    }

    /// When the certificate was changed last.
    fn mark(&self) -> Option<SystemTime> {
        std::fs::metadata(self.root.join(&self.certificate)).and_then(|data| data.modified()).ok()
    }
}

/// The certificate as it is now.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl Current {
    fn get(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

/// A listener whose connections have TLS.
pub struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl TlsListener {
    /// Puts TLS on a listener. Must be called within a runtime.
    ///
    /// # Errors
    /// The files cannot be used.
    pub fn new(listener: TcpListener, address: SocketAddr, files: TlsFiles) -> Result<TlsListener, TlsError> {
        let current = Arc::new(Current(RwLock::new(Arc::new(files.load()?))));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        let (send, ready) = mpsc::channel(64);
        let accepting = tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), send));
        let reloading = tokio::spawn(reload(files, current));
        Ok(TlsListener { address, ready, _tasks: [accepting, reloading].map(AbortOnDropHandle::new) })
    }
}

/// Accepts connections, and hands on those whose handshake succeeds. One that takes long keeps no other waiting.
async fn accept(mut listener: TcpListener, acceptor: TlsAcceptor, ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>) {
    let places = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        // axum's part waits after errors such as too many open files.
        let (stream, peer) = Listener::accept(&mut listener).await;
        let (acceptor, ready) = (acceptor.clone(), ready.clone());
        tokio::spawn(async move {
            let _place = place;
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                let _ = ready.send((stream, peer)).await;
            }
        });
    }
}

/// Takes up a certificate that was renewed. One that cannot be used leaves the old one in place.
async fn reload(files: TlsFiles, current: Arc<Current>) {
    let mut mark = files.mark();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = files.mark();
        if now == mark {
            continue;
        }
        mark = now;
        let renewed = files.clone();
        match tokio::task::spawn_blocking(move || renewed.load()).await {
            Ok(Ok(certified)) => {
                *current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
                tracing::info!("the renewed certificate of the server is in use");
            }
            Ok(Err(error)) => tracing::error!(%error, "the renewed certificate of the server cannot be used; the one before stays in use"),
            Err(error) => tracing::error!(%error, "the renewed certificate of the server was not read"),
        }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // The task that accepts ends only with the listener.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Peer {
        Peer(*stream.remote_addr())
    }
}
