//! Name and role of a person, from the claims of an id token.

use serde_json::{Map, Value};

use crate::project::{Role, SignInSettings};

/// The claims of a token.
pub(super) type Claims = Map<String, Value>;

/// The longest name that is kept.
const LONGEST_NAME: usize = 200;

/// Returns a claim by its name, or by the path to a nested one. A name with dots, as some services give to claims of their customers, is
/// tried as it is first.
fn find<'c>(claims: &'c Claims, path: &str) -> Option<&'c Value> {
    claims.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        find(claims.get(first)?.as_object()?, rest)
    })
}

/// The values of a claim that is a text or a list of texts; `None` if the token does not have it.
pub(super) fn values(claims: &Claims, path: &str) -> Option<Vec<String>> {
    match find(claims, path)? {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) => Some(list.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()),
        Value::Null => None,
        _ => Some(Vec::new()),
    }
}

/// The role with the most rights among those whose values a claim has.
pub(super) fn role(settings: &SignInSettings, claims: &Claims) -> Option<Role> {
    let found = values(claims, &settings.roles_claim)?;
    let given = settings.roles.iter().filter(|(_, values)| values.iter().any(|value| found.contains(value)));
    given.map(|(role, _)| *role).max()
}

/// The person's name: by the claim of the project file, or another one that names people. The subject is always there.
pub(super) fn name(settings: &SignInSettings, claims: &Claims) -> String {
    let text = |path: &str| {
        let text: String = find(claims, path)?.as_str()?.chars().filter(|c| !crate::printable::is_hidden(*c)).take(LONGEST_NAME).collect();
        (!text.trim().is_empty()).then(|| text.trim().to_owned())
    };
    [settings.name_claim.as_str(), "email", "name", "sub"].into_iter().find_map(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(roles_claim: &str) -> SignInSettings {
        let list = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
        SignInSettings {
            issuer: "https://id.contoso.com".parse().expect("an address"),
            client_id: "a".to_owned(),
            client_secret: None,
            scopes: Vec::new(),
            roles_claim: roles_claim.to_owned(),
            name_claim: "preferred_username".to_owned(),
            roles: vec![(Role::Viewer, list(&["see"])), (Role::Operator, list(&["run", "ops"])), (Role::Admin, list(&["own"]))],
        }
    }

    fn of(claim: &str, claims: Value) -> Option<Role> {
        role(&settings(claim), claims.as_object().expect("an object"))
    }

    #[test]
    fn a_role_comes_from_a_text_or_a_list_and_the_one_with_the_most_rights_counts() {
        assert_eq!(of("roles", json!({ "roles": "see" })), Some(Role::Viewer));
        assert_eq!(of("roles", json!({ "roles": ["x", "own", "see"] })), Some(Role::Admin));
        assert_eq!(of("roles", json!({ "roles": ["ops", 1, null] })), Some(Role::Operator));
    }

    #[test]
    fn a_claim_can_be_nested_or_have_dots_in_its_name() {
        let nested = json!({ "realm_access": { "roles": ["run"] } });
        assert_eq!(of("realm_access.roles", nested), Some(Role::Operator));
        assert_eq!(of("https://contoso.com/roles", json!({ "https://contoso.com/roles": ["see"] })), Some(Role::Viewer));
        assert_eq!(of("a.b.c", json!({ "a.b": 1, "a": { "b.c": "own" } })), Some(Role::Admin));
    }

    #[test]
    fn what_is_not_exactly_a_value_gives_no_role() {
        for claims in [
            json!({}),
            json!({ "roles": null }),
            json!({ "roles": "see run" }),
            json!({ "roles": "SEE" }),
            json!({ "roles": ["se", "seen"] }),
            json!({ "roles": { "see": true } }),
            json!({ "roles": [["see"]] }),
            json!({ "groups": ["see"] }),
        ] {
            assert_eq!(of("roles", claims.clone()), None, "{claims}");
        }
        assert_eq!(of("", json!({ "": "see" })), Some(Role::Viewer));
    }

    #[test]
    fn a_person_has_a_name_without_control_characters() {
        let of = |claims: Value| name(&settings("roles"), claims.as_object().expect("an object"));
        assert_eq!(of(json!({ "preferred_username": "ada@contoso.com", "sub": "1" })), "ada@contoso.com");
        assert_eq!(of(json!({ "preferred_username": " ", "name": "Ada\u{202e} L\n", "sub": "1" })), "Ada L");
        assert_eq!(of(json!({ "sub": "1" })), "1");
        assert_eq!(of(json!({ "sub": "x".repeat(1000) })).len(), LONGEST_NAME);
    }
}
