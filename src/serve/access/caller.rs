//! Who makes a request.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;

use super::refusal::Refusal;
use super::role::Right;
use super::secret::Digest;
use crate::project::Role;

/// How a caller has authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// By the cookie of a session.
    Session(Digest),
    /// By the token of an API client.
    Token,
}

/// Who makes a request. The guard puts it into the request; a handler takes it as an argument.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The person's name, or the client's.
    pub name: String,
    /// The role.
    pub role: Role,
    /// The CSRF token of the session, for the hidden field `csrf` of forms and for the header `X-CSRF-Token`. An API client has none.
    pub csrf: Option<String>,
    /// The address that the request comes from.
    pub from: Option<IpAddr>,
    pub(super) means: Means,
}

impl Caller {
    /// Whether the caller has a right.
    pub fn may(&self, right: Right) -> bool {
        self.role.may(right)
    }

    /// Whether the caller is an API client, and not a person with a session.
    pub fn is_client(&self) -> bool {
        self.means == Means::Token
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Refusal> {
        // Only a handler at an open door is reached without a caller, and that one must not ask for it.
        parts.extensions.get::<Caller>().cloned().ok_or_else(|| Refusal::no_session(parts.uri.path()))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Caller>, Infallible> {
        Ok(parts.extensions.get::<Caller>().cloned())
    }
}
