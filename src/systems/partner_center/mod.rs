//! Microsoft Partner Center: referrals, which are deals that partners and Microsoft share, over the referrals API.
//!
//! [`referral`] reads a referral and keeps what it does not know, [`patch`] says how two differ, [`transitions`] which status may follow
//! which.
//!
//! Sources: Partner Center REST, *Referrals API*: *Referral resources*, *Create a referral*, *Patch a referral*, *Get a list of referrals*,
//! *Response codes*.

mod config;
pub mod patch;
pub mod referral;
pub mod transitions;
pub mod tree;

pub use config::{PartnerCenterConfig, REFERRALS, WEBHOOKS};
