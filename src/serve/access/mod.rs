//! Who may do what: roles, sessions, the ways to sign in, and the guard around every route.
//!
//! [`Access`] is made once from [`AccessConfig`]. [`Access::around`] is put around the whole router, [`Access::guard`] around each route;
//! a route without a guard is reached by everybody, and one without the outer layer by nobody: only there a request gets its [`Caller`].
//!
//! # What is trusted
//! * The operator of this machine: whoever sees the terminal or sends the process a signal can become an administrator by a one-time link.
//! * The service to sign in with, for names and roles.
//! * A proxy, if the project says that there is one: for the client's address, and for https.
//!
//! Nothing else in a request is trusted, its `Host` included: redirects are paths, and the address that a sign-in service sends people
//! back to is the public address of the project file.

mod client;
mod config;
mod guard;
mod headers;
mod host;
mod limit;
mod link;
mod page;
mod paths;
mod refusal;
mod role;
mod secret;
mod session;
mod sign_in;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use url::Url;

pub use self::client::ApiClient;
pub use self::config::{AccessConfig, AccessError, SignInService};
pub use self::guard::{BODY_LIMIT, CSRF_FIELD, CSRF_HEADER, Guard, GuardLayer};
pub use self::host::Peer;
pub use self::limit::{Rate, Rates};
pub use self::refusal::Refusal;
pub use self::role::{Caller, Door, Right};
pub use crate::project::Role;

/// The target of what is traced about who did what.
pub const AUDIT: &str = "d365map::audit";

/// Decides who may do what. Clones are the same.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    listen: SocketAddr,
    public_url: Option<Url>,
    tls: bool,
    behind_proxy: bool,
    sign_in: Option<SignInService>,
    clients: client::Clients,
    sessions: session::Sessions,
    links: link::Links,
    limits: limit::Limits,
}

impl Access {
    /// Checks a configuration and makes what decides by it.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn new(config: AccessConfig) -> Result<Access, AccessError> {
        config.check()?;
        let AccessConfig { listen, public_url, tls, behind_proxy, sign_in, clients, rates, clock } = config;
        Ok(Access(Arc::new(Inner {
            listen,
            public_url,
            tls,
            behind_proxy,
            sign_in,
            clients: client::Clients::new(&clients),
            limits: limit::Limits::new(rates, &clock),
            sessions: session::Sessions::new(clock.clone()),
            links: link::Links::new(clock),
        })))
    }

    /// The guard of a route, for `MethodRouter::layer`.
    pub fn guard(&self, right: Right, door: Door) -> GuardLayer {
        guard::layer(Guard { access: self.clone(), right, door })
    }

    /// Puts around a router what sees every request: the check of the host, the limits, who makes the request, and the headers of the
    /// answer. To be called last, and served with `into_make_service_with_connect_info::<Peer>()`.
    pub fn around(&self, router: Router) -> Router {
        let outer = axum::middleware::from_fn_with_state(self.clone(), guard::outer);
        router.layer(DefaultBodyLimit::max(BODY_LIMIT)).layer(outer)
    }

    /// The routes to sign in and out, with their guards.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        sign_in::routes(self)
    }

    /// Makes a one-time link for the terminal; it replaces the one before. `port` is the one that the server listens on.
    pub fn link(&self, port: u16) -> String {
        let ip = self.0.listen.ip();
        let host = if ip.is_loopback() { SocketAddr::new(ip, port).to_string() } else { format!("localhost:{port}") };
        let scheme = if self.0.tls { "https" } else { "http" };
        format!("{scheme}://{host}/sign-in/link?token={}", self.0.links.make())
    }

    /// Whether the session of a caller goes on. A stream asks from time to time, and ends if it does not.
    pub fn is_valid(&self, caller: &Caller) -> bool {
        match &caller.means {
            role::Means::Session(id) => self.0.sessions.get(id).is_some(),
            role::Means::Token => true,
        }
    }

    /// Whether people reach the server by https.
    pub fn is_https(&self) -> bool {
        self.0.tls || self.0.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
    }

    /// The name of the service to sign in with, if there is one.
    fn service(&self) -> Option<&str> {
        self.0.sign_in.as_ref().and_then(|service| service.settings.issuer.host_str())
    }
}
