//! What every connector is based on: one HTTP layer, the journal of events and Campaign's SFTP server. Does not know plans.
//!
//! [`Http`] sends requests: time limits, retry with back-off, pauses asked for by a service, tokens, counts. Everything returns
//! [`ConnectError`], whose variants say what a caller can do about it, not merely which status was seen.

pub(crate) mod error;
mod hook;
pub(crate) mod http;
pub mod journal;
pub mod sftp;
pub(crate) mod trail;

pub use error::{Call, ConnectError};
pub use hook::Hook;
pub use http::{
    AdobeServiceAccount, ApiCalls, BreakerSettings, Budget, CallStats, ClientCertificate, Credential, Delegated, DelegatedCredential,
    HostInfo, Http, HttpConfig, LATENCY_BOUNDS, Latency, LoginError, RefreshToken, RequestLifetime, SignInConfig, SignInMethod, Signature,
    SignedIn, certificate_expiry,
};
pub use http::{Challenge, Look, Miss, ServiceLimits, Unreachable, Why};
pub use trail::{EndlessPages, Trail};
