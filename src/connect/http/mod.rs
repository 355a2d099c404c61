//! The HTTP layer under every connector: one client, time limits, retry, tokens, limits per host, counts.

mod answer;
mod client;
mod limit;
mod retry;
mod stats;
mod token;

pub(super) use client::{Expect, Request, origin, service_url};
pub use client::{Http, HttpConfig};
pub use stats::{ApiCalls, CallStats};
pub(super) use token::TokenSource;
