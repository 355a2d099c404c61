//! Who may do what: roles, sessions, the ways to sign in, and the guard around every route.
//!
//! [`Access`] is made once from [`AccessConfig`]. [`Access::around`] is put around the whole router, [`Access::guard`] around each route.
//! Only the outer layer notes the [`Caller`] in a request, so that a guarded route without it is closed to everybody.
//!
//! # What is trusted
//! * The operator of this machine: whoever sees the terminal or sends the process a signal can become an administrator by a one-time link.
//! * The service to sign in with, for names and roles.
//! * A proxy, if the project says that there is one: for the client's address, and for https.
//!
//! Nothing else in a request is trusted, its `Host` included: redirects are paths, and the address that a sign-in service sends people
//! back to is the public address of the project file.

mod audit;
mod caller;
mod client;
mod config;
mod guard;
mod headers;
mod host;
mod limit;
mod link;
mod oidc;
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

pub use self::audit::{AUDIT, Auditor};
pub use self::caller::Caller;
pub use self::client::ApiClient;
pub use self::config::{AccessConfig, AccessError, SignInService};
pub use self::guard::{BODY_LIMIT, CSRF_FIELD, CSRF_HEADER, Guard, GuardLayer};
pub use self::host::Peer;
pub use self::limit::{Rate, Rates};
pub use self::refusal::Refusal;
pub use self::role::{Door, Right};
pub use crate::project::Role;

/// Decides who may do what. Clones are the same.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    listen: SocketAddr,
    public_url: Option<Url>,
    tls: bool,
    behind_proxy: bool,
    provider: Option<oidc::Provider>,
    auditor: Auditor,
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
        let AccessConfig { listen, public_url, tls, behind_proxy, sign_in, clients, rates, auditor, clock } = config;
        let provider = match (sign_in, &public_url) {
            (Some(service), Some(public)) => Some(oidc::Provider::new(service, public, clock.clone()).map_err(AccessError::Client)?),
            _ => None,
        };
        Ok(Access(Arc::new(Inner {
            listen,
            public_url,
            tls,
            behind_proxy,
            provider,
            auditor,
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
            caller::Means::Session(id) => self.0.sessions.get(id).is_some(),
            caller::Means::Token => true,
        }
    }

    /// Whether people reach the server by https.
    pub fn is_https(&self) -> bool {
        self.0.tls || self.0.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
    }

    /// Writes the audit log.
    pub fn auditor(&self) -> &Auditor {
        &self.0.auditor
    }

    /// Whether people sign in with a service: then the one-time link is for whoever asks for it, and is not printed at the start.
    pub fn has_service(&self) -> bool {
        self.0.provider.is_some()
    }

    /// Begins a session without a sign-in. Returns the value of the header `Cookie`, and the CSRF token.
    #[cfg(any(test, feature = "internals"))]
    pub fn session(&self, name: &str, role: Role) -> (String, String) {
        let id = self.0.sessions.begin(None, name.to_owned(), role);
        let csrf = self.0.sessions.get(&secret::Digest::of(&id)).map(|session| session.csrf).unwrap_or_default();
        (format!("{}={id}", guard::COOKIE_NAME), csrf)
    }

    /// The address that a request comes from.
    fn client_of(&self, request: &axum::extract::Request) -> Option<std::net::IpAddr> {
        host::client(host::peer(request), request.headers(), self.0.behind_proxy)
    }
}
