//! Microsoft Partner Center: referrals, which are deals that partners and Microsoft share, over the referrals API.
//!
//! [`config`] says how it is reached, [`referral`] reads a referral and keeps what it does not know, [`patch`] says how two differ,
//! [`transitions`] which status may follow which, `requirements` what a deal must have,
//! `siblings` what Microsoft's part of it says. [`client`] makes the calls, `reading` finds what has changed; [`webhooks`] registers the
//! address for notifications, which `src/ingest` receives.
//!
//! Sources: Partner Center REST, *Referrals API*: *Referral resources*, *Create a referral*, *Patch a referral*, *Get a list of referrals*,
//! *Response codes*.

mod account;
mod client;
mod config;
pub mod patch;
mod reading;
pub mod referral;
mod requirements;
mod seam;
mod siblings;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod webhooks;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::Mutex;
use url::Url;

use crate::connect::http::{Http, Tokens};

pub(crate) use crate::transitions;
pub use account::{Account, MfaAdoption};
pub use client::{ListQuery, ReferralPage};
pub use config::{ID_IN_LINK, PORTAL_LINK, PartnerCenterConfig, REFERRALS, WEBHOOKS};

/// A client of the referrals API; clones share the token and the connections.
#[derive(Clone)]
pub struct PartnerCenter(Arc<Inner>);

struct Inner {
    http: Http,
    /// The address of the list of referrals.
    list: Url,
    tokens: Arc<dyn Tokens>,
    /// The address of a referral for people, with `{id}`.
    portal_link: Option<String>,
    /// Whether the headers of an answer were logged.
    headers_logged: AtomicBool,
    /// Which referral has which external reference.
    index: Mutex<reading::Index>,
}

impl fmt::Debug for PartnerCenter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartnerCenter").field("list", &self.0.list.as_str()).finish_non_exhaustive()
    }
}
