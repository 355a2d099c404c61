//! What [`super::Access`] is made from, and what is refused.

use std::net::SocketAddr;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::audit::Auditor;
use super::client::{ApiClient, SHORTEST_TOKEN};
use super::limit::Rates;
use crate::connect::ConnectError;
use crate::project::{SecretError, ServeSettings, SignInSettings};
use crate::run::Clock;

/// How the pages and the API are reached, and by whom.
#[derive(Clone)]
pub struct AccessConfig {
    /// Where the server listens.
    pub listen: SocketAddr,
    /// The address that people and programs use, if it is not that of `listen`.
    pub public_url: Option<Url>,
    /// Whether the server speaks TLS itself.
    pub tls: bool,
    /// Whether a proxy in front of the server speaks TLS and adds `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// The service to sign in with.
    pub sign_in: Option<SignInService>,
    /// The programs that use the API.
    pub clients: Vec<ApiClient>,
    /// How many requests are accepted.
    pub rates: Rates,
    /// What writes the audit log.
    pub auditor: Auditor,
    /// The clock, by which sessions and links end.
    pub clock: Clock,
}

/// A service to sign in with, and this program's secret there.
#[derive(Clone, Debug)]
pub struct SignInService {
    /// As the project file has it.
    pub settings: SignInSettings,
    /// The secret, if there is one.
    pub secret: Option<SecretString>,
}

/// Why a server must not be started.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Sessions and data would cross the network unencrypted.
    #[error("`{0}` is reachable from other machines, and would be served unencrypted")]
    Unencrypted(SocketAddr),
    /// People on other machines could not sign in.
    #[error("the server is for people on other machines, but no service to sign in with is configured")]
    NoSignIn,
    /// The service to sign in with does not know where to send people back to.
    #[error("`sign-in` needs `public-url`")]
    NoPublicUrl,
    /// A token can be guessed.
    #[error("the token of the API client `{0}` has fewer than {shortest} characters", shortest = SHORTEST_TOKEN)]
    ShortToken(String),
    /// Two clients have the same name.
    #[error("there are two API clients with the name `{0}`")]
    SameName(String),
    /// Two clients have the same token.
    #[error("the API clients `{0}` and `{1}` have the same token")]
    SameToken(String, String),
    /// The client of the service to sign in with cannot be made.
    #[error(transparent)]
    Client(Box<ConnectError>),
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl AccessError {
    /// What the user can do, if it is not in the message.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            AccessError::Unencrypted(_) => {
                Some("listen on 127.0.0.1, add `tls:` with `certificate` and `key`, or set `behind-proxy: true` if a proxy speaks https")
            }
            AccessError::NoSignIn => Some("add `sign-in:` with `issuer` and `client-id` to the section `serve`; see docs/access.md"),
            AccessError::NoPublicUrl => Some("add `public-url: https://…` to the section `serve`: the address that people use"),
            AccessError::ShortToken(_) => Some("make one with `openssl rand -base64 32`"),
            AccessError::SameName(_) => Some("give each client its own name: the audit log names clients"),
            AccessError::SameToken(..) => Some("make a token for each client with `openssl rand -base64 32`"),
            AccessError::Secret(_) | AccessError::Client(_) => None,
        }
    }
}

impl AccessConfig {
    /// The configuration of a server for people on this machine.
    pub fn local(listen: SocketAddr, clock: Clock) -> AccessConfig {
        AccessConfig {
            listen,
            public_url: None,
            tls: false,
            behind_proxy: false,
            sign_in: None,
            clients: Vec::new(),
            rates: Rates::default(),
            auditor: Auditor::new(clock.clone(), []),
            clock,
        }
    }

    /// The configuration that a project file has. Fetches the secrets, which may run programs and wait for them.
    ///
    /// # Errors
    /// [`AccessError::Secret`].
    pub fn of_project(settings: &ServeSettings, root: &Path, clock: Clock) -> Result<AccessConfig, AccessError> {
        let ServeSettings { listen, public_url, tls, behind_proxy, edit: _, sign_in, clients } = settings;
        let sign_in = match sign_in {
            Some(settings) => {
                let secret = settings.client_secret.as_ref().map(|secret| secret.resolve(root)).transpose()?;
                Some(SignInService { settings: settings.clone(), secret })
            }
            None => None,
        };
        let client = |client: &crate::project::ClientSettings| {
            Ok(ApiClient { name: client.name.clone(), token: client.token.resolve(root)?, role: client.role })
        };
        Ok(AccessConfig {
            public_url: public_url.clone(),
            tls: tls.is_some(),
            behind_proxy: *behind_proxy,
            sign_in,
            clients: clients.iter().map(client).collect::<Result<_, SecretError>>()?,
            ..AccessConfig::local(*listen, clock)
        })
    }

    /// Checks that nothing is unprotected.
    pub(super) fn check(&self) -> Result<(), AccessError> {
        let beyond = !self.listen.ip().to_canonical().is_loopback();
        if beyond && !self.tls && !self.behind_proxy {
            return Err(AccessError::Unencrypted(self.listen));
        }
        if beyond && self.sign_in.is_none() {
            return Err(AccessError::NoSignIn);
        }
        if self.sign_in.is_some() && self.public_url.is_none() {
            return Err(AccessError::NoPublicUrl);
        }
        for (n, client) in self.clients.iter().enumerate() {
            if client.token.expose_secret().chars().count() < SHORTEST_TOKEN {
                return Err(AccessError::ShortToken(client.name.clone()));
            }
            for other in self.clients.iter().take(n) {
                if other.name == client.name {
                    return Err(AccessError::SameName(client.name.clone()));
                }
                if other.token.expose_secret() == client.token.expose_secret() {
                    return Err(AccessError::SameToken(other.name.clone(), client.name.clone()));
                }
            }
        }
        Ok(())
    }
}
