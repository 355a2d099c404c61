//! Issued access tokens and who holds them.

use std::collections::HashMap;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// A client that may ask for tokens. The secrets are the emulator's own and open no other door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The application's id.
    pub id: String,
    /// The application's secret.
    pub secret: String,
    /// The user the application acts as (Dataverse: the application user's systemuserid); empty for Campaign.
    pub user: uuid::Uuid,
}

/// The body of a refusal by Entra ID. [D]
pub(super) fn entra_refusal(error: &str, code: u32, text: &str, at: DateTime<Utc>) -> Value {
    let trace = uuid::Uuid::new_v4();
    let at = at.format("%Y-%m-%d %H:%M:%SZ").to_string();
    json!({
        "error": error,
        "error_description": format!("AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {trace} Timestamp: {at}"),
        "error_codes": [code],
        "timestamp": at,
        "trace_id": trace,
        "correlation_id": trace,
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    })
}

#[derive(Clone, Debug)]
struct Grant {
    client: usize,
    until: Instant,
}

/// The tokens of one service.
pub(super) struct Tokens {
    lifetime: Duration,
    issued: RwLock<HashMap<String, Grant>>,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Missing,
    Unknown,
    Expired,
}

impl Tokens {
    pub(super) fn new(lifetime: Duration) -> Tokens {
        Tokens { lifetime, issued: RwLock::new(HashMap::new()) }
    }

    /// A new token for a client, and its lifetime in whole seconds.
    pub(super) fn issue(&self, client: usize, now: Instant) -> (String, u64) {
        let token = format!("emulated.{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        let mut issued = super::write(&self.issued);
        // Dead tokens are kept for a while, to distinguish them from made-up ones, but not forever.
        if issued.len() >= 1024 {
            issued.retain(|_, grant| grant.until > now);
        }
        issued.insert(token.clone(), Grant { client, until: now + self.lifetime });
        (token, self.lifetime.as_secs())
    }

    /// The client behind an `Authorization` header.
    pub(super) fn check(&self, authorization: Option<&str>, now: Instant) -> Result<usize, Refused> {
        let header = authorization.ok_or(Refused::Missing)?;
        let (scheme, token) = header.split_once(' ').ok_or(Refused::Missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refused::Missing);
        }
        let issued = super::read(&self.issued);
        let grant = issued.get(token.trim()).ok_or(Refused::Unknown)?;
        if grant.until <= now { Err(Refused::Expired) } else { Ok(grant.client) }
    }

    /// Ends every token at once.
    pub(super) fn expire_all(&self, now: Instant) {
        for grant in super::write(&self.issued).values_mut() {
            grant.until = now;
        }
    }
}
