//! A token as requests carry it, and the port to where tokens come from. The sender knows this port alone, since a source of tokens
//! sends requests itself.

use std::pin::Pin;

use reqwest::header::HeaderValue;
use tokio::time::Instant;

use crate::connect::error::ConnectError;

/// What an asynchronous method of [`Tokens`] returns.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where a request gets its token from.
pub(crate) trait Tokens: Send + Sync {
    /// Returns a token that is good for the next request. Callers that come while one is being asked for wait and share the result, even
    /// if it is a failure.
    fn get(&self) -> Pending<'_, Result<Token, ConnectError>>;

    /// Forgets a token that was refused, unless another caller has replaced it already.
    fn refused<'a>(&'a self, token: &'a Token) -> Pending<'a, ()>;

    /// Says whether the body of an answer with status 401 shows that a fresh token would be refused as well. Then the call ends with
    /// this error.
    fn lasting(&self, _body: &[u8]) -> Option<ConnectError> {
        None
    }
}

/// A token as it goes into a request.
#[derive(Clone)]
pub(crate) struct Token {
    pub(super) header: HeaderValue,
    /// From this time on a new token is asked for.
    pub(super) refresh_at: Instant,
    pub(super) expires_at: Instant,
    /// Tells the tokens of one source apart.
    pub(super) number: u64,
}

impl Token {
    /// The value of the `Authorization` header, marked sensitive.
    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    pub(super) fn expired(&self) -> bool {
        self.expires_at <= Instant::now()
    }
}

/// A token that never expires, for tests.
#[cfg(test)]
pub(crate) struct FixedTokens(Token);

#[cfg(test)]
impl FixedTokens {
    pub(crate) fn new(token: &str) -> FixedTokens {
        let header = HeaderValue::try_from(format!("Bearer {token}")).expect("a token");
        let later = Instant::now() + std::time::Duration::from_secs(24 * 3600);
        FixedTokens(Token { header, refresh_at: later, expires_at: later, number: 1 })
    }
}

#[cfg(test)]
impl Tokens for FixedTokens {
    fn get(&self) -> Pending<'_, Result<Token, ConnectError>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }

    fn refused<'a>(&'a self, _token: &'a Token) -> Pending<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}
