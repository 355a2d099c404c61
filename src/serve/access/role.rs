//! Roles, the rights that they give, and who makes a request.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use serde::Serialize;

use super::refusal::Refusal;
use super::secret::Digest;
use crate::project::Role;

impl Role {
    /// Whether the role gives a right.
    pub fn may(self, right: Right) -> bool {
        self >= right.least()
    }
}

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// To see states, counts and settings.
    View,
    /// To see personal data.
    ShowValues,
    /// To start, stop, replay, retry, drop and approve.
    Operate,
    /// To change mapping files, where the project allows it.
    Edit,
    /// To report on and forget persons, and to read the audit log.
    Administer,
}

impl Right {
    /// All rights.
    pub const ALL: [Right; 5] = [Right::View, Right::ShowValues, Right::Operate, Right::Edit, Right::Administer];

    /// The role with the fewest rights that has this one.
    pub fn least(self) -> Role {
        match self {
            Right::View => Role::Viewer,
            Right::ShowValues | Right::Operate => Role::Operator,
            Right::Edit | Right::Administer => Role::Admin,
        }
    }
}

/// The kind of a route: how a request must authenticate, and what an answer without the right looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// A page for people, by GET. Without a session it redirects to the page to sign in.
    Page,
    /// The form of a page, by POST. Needs the session's CSRF token.
    Action,
    /// The API. Takes the token of a client, or a session; with a session everything but GET needs the CSRF token as a header.
    Api,
    /// A stream of events, by GET. Takes what the API takes.
    Live,
    /// Needs no session.
    Open,
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_the_rights_of_the_one_before_and_more() {
        let rights = |role: Role| Right::ALL.into_iter().filter(|right| role.may(*right)).collect::<Vec<_>>();
        assert_eq!(rights(Role::Viewer), [Right::View]);
        assert_eq!(rights(Role::Operator), [Right::View, Right::ShowValues, Right::Operate]);
        assert_eq!(rights(Role::Admin), Right::ALL);
        assert!(Role::ALL.is_sorted());
    }
}
