//! Rights, the roles that give them, and kinds of routes.

use serde::Serialize;

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
    #[cfg(any(test, feature = "internals"))]
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
