//! An SFTP server that tells no attributes in its listings, which SFTP version 3 allows; on STAT it tells them or does not.

use std::collections::HashMap;
use std::sync::Arc;

use d365map::connect::sftp::{HostKey, SftpConfig};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, HashAlg, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use russh_sftp::protocol::{Attrs, File, FileAttributes, Handle, Name, Status, StatusCode, Version};
use secrecy::SecretString;
use tokio::net::TcpListener;

/// A running server; its task ends with the test's runtime.
pub struct Bare {
    port: u16,
    fingerprint: String,
    key: SecretString,
}

impl Bare {
    pub fn config(&self) -> SftpConfig {
        let mut config = SftpConfig::new("127.0.0.1", "u", self.key.clone(), HostKey::Fingerprint(self.fingerprint.clone()));
        config.port = self.port;
        config.exports = "exports".to_owned();
        config
    }
}

/// Starts a server with one export; `tells` says whether STAT gives its size and time.
pub async fn start(tells: bool) -> Bare {
    start_with(tells, &["optout.csv"]).await
}

/// Starts a server that lists these names.
pub async fn start_with(tells: bool, names: &[&str]) -> Bare {
    let names: Arc<[String]> = names.iter().map(|name| (*name).to_owned()).collect();
    let key = || PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).expect("a key");
    let (host, user) = (key(), key());
    let fingerprint = host.public_key().fingerprint(HashAlg::Sha256).to_string();
    let config = Arc::new(Config { keys: vec![host], ..Config::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (config, names) = (config.clone(), names.clone());
            tokio::spawn(async move {
                let session = russh::server::run_stream(config, stream, Ssh { tells, names, channels: HashMap::new() }).await;
                let _ = session.expect("a handshake").await;
            });
        }
    });
    let key = SecretString::from(user.to_openssh(LineEnding::LF).expect("text").to_string());
    Bare { port, fingerprint, key }
}

struct Ssh {
    tells: bool,
    names: Arc<[String]>,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl russh::server::Handler for Ssh {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(&mut self, channel: Channel<Msg>, reply: ChannelOpenHandle, _: &mut Session) -> Result<(), russh::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(&mut self, id: ChannelId, _: &str, session: &mut Session) -> Result<(), russh::Error> {
        let channel = self.channels.remove(&id).expect("a channel");
        session.channel_success(id)?;
        russh_sftp::server::run(channel.into_stream(), Files { tells: self.tells, names: self.names.clone(), listed: false }).await;
        Ok(())
    }
}

struct Files {
    tells: bool,
    names: Arc<[String]>,
    listed: bool,
}

impl russh_sftp::server::Handler for Files {
    type Error = StatusCode;

    fn unimplemented(&self) -> StatusCode {
        StatusCode::OpUnsupported
    }

    async fn init(&mut self, _: u32, _: HashMap<String, String>) -> Result<Version, StatusCode> {
        Ok(Version::new())
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, StatusCode> {
        Ok(Handle { id, handle: path })
    }

    async fn readdir(&mut self, id: u32, _: String) -> Result<Name, StatusCode> {
        if std::mem::replace(&mut self.listed, true) {
            return Err(StatusCode::Eof);
        }
        Ok(Name { id, files: self.names.iter().map(|name| File::new(name, FileAttributes::empty())).collect() })
    }

    async fn close(&mut self, id: u32, _: String) -> Result<Status, StatusCode> {
        Ok(Status { id, status_code: StatusCode::Ok, error_message: String::new(), language_tag: String::new() })
    }

    async fn stat(&mut self, id: u32, _: String) -> Result<Attrs, StatusCode> {
        let mut attrs = FileAttributes::empty();
        if self.tells {
            attrs.size = Some(70);
            (attrs.atime, attrs.mtime) = (Some(1_700_000_000), Some(1_700_000_000));
        }
        Ok(Attrs { id, attrs })
    }
}
