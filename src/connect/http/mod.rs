//! The HTTP layer under every connector: one client, time limits, retry, tokens, limits per host, budgets, counts.

mod address;
mod answer;
mod bearer;
mod breaker;
mod budget;
mod client;
mod concurrency;
mod credential;
mod delegated;
mod host;
mod limits;
mod line;
mod probe;
mod redact;
mod request;
mod retry;
mod slot;
mod stats;
mod token;
mod transport;

pub(crate) use address::{origin, service_url};
#[cfg(test)]
pub(crate) use bearer::FixedTokens;
pub(crate) use bearer::Tokens;
pub use breaker::Settings as BreakerSettings;
pub use budget::Budget;
pub(crate) use client::refusal;
pub use client::{Http, HttpConfig, RequestLifetime};
pub use credential::{AdobeServiceAccount, ClientCertificate, Credential, Signature, certificate_expiry};
pub(crate) use delegated::DelegatedTokens;
pub use delegated::{Delegated, DelegatedCredential, LoginError, RefreshToken, SignInConfig, SignInMethod, SignedIn};
pub use host::HostInfo;
pub use limits::ServiceLimits;
pub use probe::{Challenge, Look, Miss};
pub(crate) use request::{Expect, Reply, Request};
pub(crate) use retry::Repeat;
pub use stats::{ApiCalls, CallStats, LATENCY_BOUNDS, Latency};
pub(crate) use token::TokenSource;
pub use transport::{Unreachable, Why};
