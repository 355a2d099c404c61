//! Reads what an access token says of the sign-in.
//!
//! The token is meant for the service, which checks its signature. Here it is read only to tell early what the service would refuse, so the
//! signature is not checked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// What an access token says of the sign-in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// The person has proved who they are by more than one factor (`amr` contains `mfa`).
    pub mfa: bool,
    /// The person's user name.
    pub account: Option<String>,
    /// The id of the directory.
    pub tenant: Option<String>,
}

impl Claims {
    /// Reads a token. One that is not a JSON Web Token says nothing.
    pub(super) fn read(token: &str) -> Claims {
        let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok());
        let Some(claims) = payload.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()) else { return Claims::default() };
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(|text| crate::printable::one_line(text).into_owned());
        let mfa = match claims.get("amr") {
            Some(Value::Array(methods)) => methods.iter().any(|method| method == "mfa"),
            Some(Value::String(method)) => method == "mfa",
            _ => false,
        };
        // Version 1 of a token has `upn` or `unique_name`, version 2 `preferred_username`.
        let account = ["upn", "preferred_username", "unique_name"].iter().find_map(|name| text(name));
        Claims { mfa, account, tenant: text("tid") }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn mfa_is_read_from_the_methods_of_the_sign_in() {
        for (amr, mfa) in [
            (json!(["pwd", "mfa"]), true),
            (json!("mfa"), true),
            (json!(["pwd"]), false),
            (json!(["mfax"]), false),
            (json!([]), false),
            (json!(null), false),
        ] {
            assert_eq!(Claims::read(&token(&json!({ "amr": amr }))).mfa, mfa, "{amr}");
        }
    }

    #[test]
    fn the_account_is_read_from_both_versions_of_a_token() {
        for name in ["upn", "preferred_username", "unique_name"] {
            let claims = Claims::read(&token(&json!({ name: "ann@contoso.com", "tid": "t" })));
            assert_eq!((claims.account.as_deref(), claims.tenant.as_deref()), (Some("ann@contoso.com"), Some("t")));
        }
    }

    #[test]
    fn a_token_that_is_not_a_jwt_says_nothing() {
        for text in ["", "opaque", "a.b", "a.!.c", "a.e30.c", "a.bm90IGpzb24.c"] {
            assert_eq!(Claims::read(text), Claims::default(), "{text}");
        }
    }
}
