//! One SSH connection with one SFTP session on it: handshake, host key, public key authentication, and the requests.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::client::{AuthResult, Config, Handle, Handler, connect_stream};
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, kex};
use russh_sftp::client::error::Error as ProtocolError;
use russh_sftp::client::fs::File;
use russh_sftp::client::{RawSftpSession, SftpSession};
use russh_sftp::extensions::{FSYNC, HardlinkExtension};
use russh_sftp::protocol::{FileAttributes, OpenFlags, Packet, StatusCode};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::SftpError;
use super::error::words;
use super::host_key::{Doubt, Known};
use super::key::describe;

/// OpenSSH's rename that replaces an existing file in one step (OpenSSH: PROTOCOL, 4.3).
#[cfg(any(test, feature = "internals"))]
const POSIX_RENAME: &str = "posix-rename@openssh.com";
/// Bytes in one write request; every server takes 32 KiB (SFTP version 3).
#[cfg(any(test, feature = "internals"))]
const WRITE_CHUNK: usize = 32 * 1024;

/// What a connection is made of.
pub(super) struct Target {
    /// `user@host:port`, for error texts.
    pub server: String,
    pub host: String,
    pub port: u16,
    pub user: String,
    pub key: Arc<PrivateKey>,
    pub connect_timeout: Duration,
    pub request_timeout: Duration,
}

/// An open session. Requests may be made at the same time.
pub(super) struct Session {
    target: Arc<Target>,
    ssh: Handle<Checker>,
    sftp: SftpSession,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("server", &self.target.server).finish_non_exhaustive()
    }
}

/// Judges the server's key before anything of ours is sent.
struct Checker {
    known: Known,
    doubt: Arc<Mutex<Option<Doubt>>>,
}

impl Handler for Checker {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let judged = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => self.known.judge(key),
            // None is asked for; a server that still sends one is not the known one.
            PublicKeyOrCertificate::Certificate(_) => return Ok(false),
        };
        match judged {
            Ok(()) => Ok(true),
            Err(doubt) => {
                if let Ok(mut slot) = self.doubt.lock() {
                    *slot = Some(doubt);
                }
                Ok(false)
            }
        }
    }
}

impl Session {
    /// Connects, checks the server's key, authenticates and starts SFTP.
    ///
    /// # Errors
    /// [`SftpError`]; among the transient ones only those that come from the network.
    pub(super) async fn open(target: Arc<Target>, known: &Known) -> Result<Session, SftpError> {
        let after = target.connect_timeout;
        let late = SftpError::Timeout { server: target.server.clone(), doing: "connecting".to_owned(), after };
        timeout(after, Session::connect(target, known)).await.map_err(|_| late)?
    }

    async fn connect(target: Arc<Target>, known: &Known) -> Result<Session, SftpError> {
        let mut refused = None;
        for algorithms in known.offers() {
            match handshake(&target, known, algorithms).await {
                Ok(ssh) => return Session::begin(target, ssh).await,
                Err(Handshake::Doubt(doubt)) => refused = Some(doubt.at(&target.server)),
                // The server has no key of this kind; another kind may be the pinned one.
                Err(Handshake::NoKeyOfThatKind(cause)) => {
                    refused.get_or_insert(SftpError::Unreachable { server: target.server.clone(), cause });
                }
                Err(Handshake::Failed(error)) => return Err(error),
            }
        }
        let cause = "no kind of host key to offer".to_owned();
        Err(refused.unwrap_or(SftpError::Unreachable { server: target.server.clone(), cause }))
    }

    async fn begin(target: Arc<Target>, mut ssh: Handle<Checker>) -> Result<Session, SftpError> {
        let lost = |e: russh::Error| lost(&target, "authenticating", &e);
        // RSA keys sign with SHA-2; a server that lists what it takes and has no SHA-2 among it gets no SHA-1 signature.
        let hash = if target.key.algorithm().is_rsa() {
            match ssh.best_supported_rsa_hash().await.map_err(lost)? {
                Some(hash @ Some(_)) => hash,
                None => Some(HashAlg::Sha512),
                Some(None) => {
                    let note = "; it takes RSA only with SHA-1, which is not safe: use an Ed25519 key".to_owned();
                    return Err(SftpError::Refused { server: target.server.clone(), key: describe(target.key.public_key()), note });
                }
            }
        } else {
            None
        };
        let key = PrivateKeyWithHashAlg::new(target.key.clone(), hash);
        match ssh.authenticate_publickey(target.user.clone(), key).await.map_err(lost)? {
            AuthResult::Success => {}
            AuthResult::Failure { remaining_methods, partial_success } => {
                let methods: Vec<&str> = remaining_methods.iter().map(<&str>::from).collect();
                let note = if partial_success {
                    format!("; it took the key and wants {} as well, which is not supported", methods.join(", "))
                } else if methods.contains(&"publickey") || methods.is_empty() {
                    String::new()
                } else {
                    format!("; it takes {} alone", methods.join(", "))
                };
                return Err(SftpError::Refused { server: target.server.clone(), key: describe(target.key.public_key()), note });
            }
        }
        let stream = channel(&target, &ssh).await?;
        let config = russh_sftp::client::Config {
            request_timeout_secs: target.request_timeout.as_secs().max(1),
            ..russh_sftp::client::Config::default()
        };
        let sftp = SftpSession::new_with_config(stream, config).await.map_err(|e| failed(&target, &e, ".", "read"))?;
        Ok(Session { target, ssh, sftp })
    }

    /// Whether requests have no chance any more.
    pub(super) fn is_closed(&self) -> bool {
        self.ssh.is_closed()
    }

    /// Names and attributes of what a folder holds, in no order; links are not followed.
    pub(super) async fn list(&self, folder: &str) -> Result<Vec<(String, FileAttributes)>, SftpError> {
        let entries = self.sftp.read_dir(folder).await.map_err(|e| self.failed(&e, folder, "list"))?;
        Ok(entries.map(|entry| (entry.file_name(), entry.metadata())).collect())
    }

    /// Attributes of a file, now (STAT).
    pub(super) async fn attributes(&self, path: &str) -> Result<FileAttributes, SftpError> {
        self.sftp.metadata(path).await.map_err(|e| self.failed(&e, path, "read"))
    }

    /// The server tells neither in a listing nor when asked what is needed to read a file.
    pub(super) fn untold(&self, path: &str) -> SftpError {
        SftpError::Untold { server: self.target.server.clone(), path: path.to_owned() }
    }

    /// Opens a file for reading.
    pub(super) async fn open_file(&self, path: &str) -> Result<File, SftpError> {
        self.sftp.open(path).await.map_err(|e| self.failed(&e, path, "read"))
    }

    /// Size of an open file, now.
    pub(super) async fn size(&self, file: &File, path: &str) -> Result<u64, SftpError> {
        Ok(file.metadata().await.map_err(|e| self.failed(&e, path, "read"))?.len())
    }

    /// What an error of reading or seeking in an open file means.
    pub(super) fn read_failed(&self, error: &std::io::Error, path: &str) -> SftpError {
        match error.get_ref().and_then(|e| e.downcast_ref::<ProtocolError>()) {
            Some(error) => self.failed(error, path, "read"),
            // The library keeps a server's status here as its text alone.
            None => SftpError::Failed {
                server: self.target.server.clone(),
                doing: format!("reading `{path}`"),
                cause: words(&error.to_string()),
            },
        }
    }

    /// Writes a file beside its place and moves it there in one step: a reader sees the old file or the whole new one.
    #[cfg(any(test, feature = "internals"))]
    pub(super) async fn put(&self, folder: &str, name: &str, temporary: &str, content: &[u8]) -> Result<(), SftpError> {
        // A separate channel: the other session does not offer extensions.
        let stream = channel(&self.target, &self.ssh).await?;
        let raw = RawSftpSession::new(stream);
        raw.set_timeout(self.target.request_timeout.as_secs().max(1));
        let version = raw.init().await.map_err(|e| self.failed(&e, folder, "write"))?;
        let extensions = &version.extensions;
        let (place, aside) = (join(folder, name), join(folder, temporary));
        let wrong = |e: ProtocolError| self.failed(&e, &place, "write");

        let flags = OpenFlags::CREATE | OpenFlags::EXCLUDE | OpenFlags::WRITE;
        let handle = raw.open(&aside, flags, FileAttributes::empty()).await.map_err(wrong)?.handle;
        let written = async {
            let mut offset = 0;
            for chunk in content.chunks(WRITE_CHUNK) {
                raw.write(handle.as_str(), offset, chunk.to_vec()).await?;
                offset += chunk.len() as u64;
            }
            if extensions.contains_key(FSYNC) {
                raw.fsync(handle.as_str()).await?;
            }
            raw.close(handle.as_str()).await?;
            if !extensions.contains_key(POSIX_RENAME) {
                // The rename of SFTP version 3 fails where the target exists: nothing is lost, and the error says so.
                return raw.rename(&aside, &place).await.map(|_| ());
            }
            let names = HardlinkExtension { oldpath: aside.clone(), newpath: place.clone() };
            match raw.extended(POSIX_RENAME, names.try_into()?).await? {
                Packet::Status(status) if status.status_code != StatusCode::Ok => Err(ProtocolError::Status(status)),
                _ => Ok(()),
            }
        }
        .await;
        if written.is_err() {
            // At best; a file that stays behind has the suffix of an unfinished one.
            let _ = raw.remove(&aside).await;
        }
        let _ = raw.close_session();
        written.map_err(wrong)
    }

    fn failed(&self, error: &ProtocolError, path: &str, action: &'static str) -> SftpError {
        failed(&self.target, error, path, action)
    }
}

/// What a failed request means. `action` is `list`, `read` or `write`.
fn failed(target: &Target, error: &ProtocolError, path: &str, action: &'static str) -> SftpError {
    let server = target.server.clone();
    let doing = match action {
        "list" => format!("listing `{path}`"),
        "write" => format!("writing `{path}`"),
        _ => format!("reading `{path}`"),
    };
    match error {
        ProtocolError::Status(status) => match status.status_code {
            StatusCode::NoSuchFile => SftpError::NotFound { server, path: path.to_owned() },
            StatusCode::PermissionDenied => SftpError::Denied { server, path: path.to_owned(), action },
            StatusCode::NoConnection | StatusCode::ConnectionLost => SftpError::Lost { server, doing, cause: words(&status.error_message) },
            StatusCode::Ok | StatusCode::Eof | StatusCode::Failure | StatusCode::BadMessage | StatusCode::OpUnsupported => {
                SftpError::Failed { server, doing, cause: format!("{} ({})", words(&status.error_message), status.status_code) }
            }
        },
        ProtocolError::Timeout => SftpError::Timeout { server, doing, after: target.request_timeout },
        // A session that ended answers with these; which one depends on the moment.
        ProtocolError::IO(cause) | ProtocolError::UnexpectedBehavior(cause) => SftpError::Lost { server, doing, cause: words(cause) },
        ProtocolError::Limited(cause) => SftpError::Failed { server, doing, cause: words(cause) },
        ProtocolError::UnexpectedPacket => {
            SftpError::Failed { server, doing, cause: "its answer does not follow SFTP version 3".to_owned() }
        }
    }
}

enum Handshake {
    Doubt(Doubt),
    NoKeyOfThatKind(String),
    Failed(SftpError),
}

async fn handshake(target: &Target, known: &Known, algorithms: Vec<Algorithm>) -> Result<Handle<Checker>, Handshake> {
    let unreachable = |cause: String| Handshake::Failed(SftpError::Unreachable { server: target.server.clone(), cause: words(&cause) });
    let config = Config {
        preferred: russh::Preferred { key: algorithms.into(), kex: key_exchanges().into(), ..russh::Preferred::DEFAULT },
        // A peer that has silently disappeared is noticed after three of these.
        keepalive_interval: Some(Duration::from_secs(15)),
        keepalive_max: 3,
        nodelay: true,
        ..Config::default()
    };
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(|e| unreachable(e.to_string()))?;
    let doubt = Arc::default();
    let checker = Checker { known: known.clone(), doubt: Arc::clone(&doubt) };
    match connect_stream(Arc::new(config), stream, checker).await {
        Ok(handle) => Ok(handle),
        Err(error) => {
            if let Some(doubt) = doubt.lock().ok().and_then(|mut slot| slot.take()) {
                return Err(Handshake::Doubt(doubt));
            }
            match error {
                russh::Error::NoCommonAlgo { kind: russh::AlgorithmKind::Key, theirs, .. } => Err(Handshake::NoKeyOfThatKind(words(
                    &format!("the server has no host key of a kind asked for, just {}", theirs.join(", ")),
                ))),
                russh::Error::NoCommonAlgo { kind, ours, theirs } => Err(Handshake::Failed(SftpError::NoCommonAlgorithm {
                    server: target.server.clone(),
                    kind: of_kind(kind),
                    ours: ours.join(", "),
                    theirs: words(&theirs.join(", ")),
                })),
                other => Err(unreachable(other.to_string())),
            }
        }
    }
}

/// The key exchanges that are offered, best first: the library's own choice and, after those on other curves, the NIST curves
/// (RFC 5656), which servers under FIPS rules offer alone.
fn key_exchanges() -> Vec<kex::Name> {
    let nist = [kex::ECDH_SHA2_NISTP256, kex::ECDH_SHA2_NISTP384, kex::ECDH_SHA2_NISTP521];
    let mut offered = russh::Preferred::DEFAULT.kex.into_owned();
    let at = offered.iter().position(|name| *name == kex::DH_GEX_SHA256).unwrap_or(offered.len());
    offered.splice(at..at, nist);
    offered
}

/// What two sides agree on in the first messages, for people.
fn of_kind(kind: russh::AlgorithmKind) -> &'static str {
    match kind {
        russh::AlgorithmKind::Kex => "key exchange",
        russh::AlgorithmKind::Key => "host key",
        russh::AlgorithmKind::Cipher => "cipher",
        russh::AlgorithmKind::Compression => "compression",
        russh::AlgorithmKind::Mac => "message authentication code",
    }
}

/// A channel on which the server has promised to speak SFTP.
async fn channel(target: &Target, ssh: &Handle<Checker>) -> Result<russh::ChannelStream<russh::client::Msg>, SftpError> {
    let doing = "opening a channel";
    let open = async {
        let mut channel = ssh.channel_open_session().await.map_err(|e| lost(target, doing, &e))?;
        channel.request_subsystem(true, "sftp").await.map_err(|e| lost(target, doing, &e))?;
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Success) => return Ok(channel.into_stream()),
                Some(ChannelMsg::Failure) => {
                    return Err(SftpError::NoSubsystem { server: target.server.clone(), cause: "the request was refused".to_owned() });
                }
                Some(ChannelMsg::Close | ChannelMsg::Eof) | None => {
                    let cause = "the server closed the channel".to_owned();
                    return Err(SftpError::Lost { server: target.server.clone(), doing: doing.to_owned(), cause });
                }
                // Window sizes and the like; the list of messages is the library's and grows.
                Some(_) => {}
            }
        }
    };
    let after = target.request_timeout;
    let late = || SftpError::Timeout { server: target.server.clone(), doing: doing.to_owned(), after };
    timeout(after, open).await.map_err(|_| late())?
}

fn lost(target: &Target, doing: &str, error: &russh::Error) -> SftpError {
    SftpError::Lost { server: target.server.clone(), doing: doing.to_owned(), cause: words(&error.to_string()) }
}

/// A path on the server; folders are separated by `/` there, whatever the system.
pub(super) fn join(folder: &str, name: &str) -> String {
    match folder.trim_end_matches('/') {
        "" if folder.starts_with('/') => format!("/{name}"),
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    }
}
