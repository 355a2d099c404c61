//! The HTTP layer under every connector: one client, time limits, retry, tokens, limits per host, counts.

mod answer;
mod client;
mod credential;
mod limit;
mod probe;
mod retry;
mod stats;
mod token;

pub(super) use client::{Expect, Payload, Request, origin, service_url};
pub use client::{Http, HttpConfig};
pub use credential::{AdobeServiceAccount, ClientCertificate, Credential, Signature};
pub use probe::{Challenge, Look, Miss, ServiceLimits, Unreachable, Why};
pub use stats::{ApiCalls, CallStats};
pub(super) use token::TokenSource;
