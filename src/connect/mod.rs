//! The services: one HTTP layer, and Dataverse and Campaign on it. Knows no plan.
//!
//! [`Http`] sends requests: time limits, retry with back-off, pauses asked for by a service, tokens, counts.
//! [`dataverse`] reads from Dynamics 365, [`campaign`] writes to Adobe Campaign Standard. Both return
//! [`ConnectError`], whose variants say what a caller can do about it, not merely which status was seen.

pub mod campaign;
pub mod dataverse;
mod error;
mod http;
pub mod journal;
pub mod sftp;
mod trail;

pub use error::{Call, ConnectError};
pub use http::{
    AdobeServiceAccount, ApiCalls, BreakerSettings, Budget, CallStats, ClientCertificate, Credential, HostInfo, Http, HttpConfig, Signature,
};
pub use http::{Challenge, Look, Miss, ServiceLimits, Unreachable, Why};
pub use trail::{EndlessPages, Trail};
