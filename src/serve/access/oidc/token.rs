//! The id token: its signature, and what its claims must say (OpenID Connect Core 1.0, 3.1.3.7).

use chrono::TimeDelta;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode};
use serde_json::Value;

use super::super::secret;
use super::claims::Claims;
use super::error::TokenError;
use super::pending::LIFETIME;
use crate::time::Instant;

/// By how much the clocks of this machine and of the service may differ.
const SKEW: TimeDelta = TimeDelta::seconds(60);

/// What a token must say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now: Instant,
}

/// Reads the header of a token, which says what the signature was made with.
pub(super) fn header(token: &str) -> Result<Header, TokenError> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Unreadable)?;
    if let Some(kind) = header.typ.as_ref().filter(|kind| !kind.eq_ignore_ascii_case("JWT")) {
        return Err(TokenError::Type(kind.clone()));
    }
    if header.crit.is_some() || header.enc.is_some() {
        return Err(TokenError::Critical);
    }
    Ok(header)
}

/// The algorithm of a token, if it is one that the kind of the key admits. What the token says is never enough: with HMAC, the public key
/// would be the secret.
fn algorithm(said: Algorithm, key: &Jwk) -> Result<Algorithm, TokenError> {
    let signs = key.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature)
        && key.common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    let fits = match (&key.algorithm, said) {
        (AlgorithmParameters::RSA(_), Algorithm::RS256 | Algorithm::PS256) => true,
        (AlgorithmParameters::EllipticCurve(curve), Algorithm::ES256) => curve.curve == EllipticCurve::P256,
        (AlgorithmParameters::OctetKeyPair(curve), Algorithm::EdDSA) => curve.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    let own = key.common.key_algorithm.is_none_or(|own| own == KeyAlgorithm::from(said));
    if signs && fits && own { Ok(said) } else { Err(TokenError::Algorithm) }
}

/// Checks the signature of a token and returns its claims.
pub(super) fn signed(token: &str, header: &Header, key: &Jwk) -> Result<Claims, TokenError> {
    let algorithm = algorithm(header.alg, key)?;
    let key = DecodingKey::from_jwk(key).map_err(|_| TokenError::Algorithm)?;
    // The claims are checked below, by the clock of this program.
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_aud) = (false, false);
    match decode::<Value>(token, &key, &validation) {
        Ok(data) => match data.claims {
            Value::Object(claims) => Ok(claims),
            _ => Err(TokenError::Unreadable),
        },
        Err(error) => Err(match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenError::Signature,
            jsonwebtoken::errors::ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
            _ => TokenError::Unreadable,
        }),
    }
}

fn text<'c>(claims: &'c Claims, name: &'static str) -> Result<&'c str, TokenError> {
    claims.get(name).and_then(Value::as_str).ok_or(TokenError::Claim(name))
}

/// A time in seconds since 1970, which may have decimals.
fn time(claims: &Claims, name: &'static str) -> Result<Option<Instant>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    #[expect(clippy::cast_possible_truncation, reason = "decimals have no meaning here, and a number that is too large is not an instant")]
    let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64));
    seconds.and_then(|seconds| Instant::from_timestamp(seconds, 0)).map(Some).ok_or(TokenError::Claim(name))
}

/// Checks what a token says.
pub(super) fn check(claims: &Claims, expected: &Expected<'_>) -> Result<(), TokenError> {
    let issuer = text(claims, "iss")?;
    if issuer != expected.issuer {
        return Err(TokenError::Issuer(issuer.chars().filter(|c| !crate::printable::is_hidden(*c)).take(200).collect()));
    }
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().map(|one| one.as_str().unwrap_or_default()).collect(),
        _ => return Err(TokenError::Claim("aud")),
    };
    let party = claims.get("azp").map(|party| party.as_str().unwrap_or_default());
    let for_us = audiences.contains(&expected.client_id) && party.is_none_or(|party| party == expected.client_id);
    if !for_us || audiences.len() > 1 && party.is_none() {
        return Err(TokenError::Audience);
    }
    let now = expected.now;
    if time(claims, "exp")?.ok_or(TokenError::Claim("exp"))? + SKEW <= now {
        return Err(TokenError::Expired);
    }
    // It was made after the sign-in had begun, which is not long ago.
    let oldest = now - SKEW - TimeDelta::from_std(LIFETIME).unwrap_or_default();
    let issued = time(claims, "iat")?.ok_or(TokenError::Claim("iat"))?;
    if issued > now + SKEW || issued < oldest || time(claims, "nbf")?.is_some_and(|from| from > now + SKEW) {
        return Err(TokenError::Time);
    }
    if !secret::same(text(claims, "nonce")?, expected.nonce) {
        return Err(TokenError::Nonce);
    }
    if text(claims, "sub")?.is_empty() { Err(TokenError::Claim("sub")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Instant {
        crate::time::parse_instant("2026-01-01T12:00:00Z").expect("an instant")
    }

    /// A token that is right in everything, but for some claims; `null` leaves one out.
    fn checked(changes: Value) -> Result<(), TokenError> {
        let at = now().timestamp();
        let mut claims = json!({
            "iss": "https://id.contoso.com", "aud": "d365map", "sub": "1", "nonce": "n", "iat": at, "exp": at + 3600,
        });
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        let claims: Claims =
            claims.as_object().expect("an object").iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect();
        check(&claims, &Expected { issuer: "https://id.contoso.com", client_id: "d365map", nonce: "n", now: now() })
    }

    #[test]
    fn a_token_for_this_sign_in_is_accepted() {
        let at = now().timestamp();
        for changes in [
            json!({}),
            json!({ "aud": ["d365map"] }),
            json!({ "aud": ["d365map", "api"], "azp": "d365map" }),
            json!({ "azp": "d365map" }),
            json!({ "exp": at - 59 }),
            json!({ "iat": at + 60, "nbf": at + 60 }),
            json!({ "iat": at - 660, "exp": at as f64 + 0.5 }),
        ] {
            assert_eq!(checked(changes.clone()), Ok(()), "{changes}");
        }
    }

    #[test]
    fn a_token_that_is_wrong_in_one_thing_is_refused() {
        let at = now().timestamp();
        for (changes, expected) in [
            (json!({ "iss": null }), TokenError::Claim("iss")),
            (json!({ "iss": "https://id.contoso.com/" }), TokenError::Issuer("https://id.contoso.com/".to_owned())),
            (json!({ "iss": "https://evil.example" }), TokenError::Issuer("https://evil.example".to_owned())),
            (json!({ "aud": null }), TokenError::Claim("aud")),
            (json!({ "aud": 1 }), TokenError::Claim("aud")),
            (json!({ "aud": "another" }), TokenError::Audience),
            (json!({ "aud": [] }), TokenError::Audience),
            (json!({ "aud": ["d365map", "api"] }), TokenError::Audience),
            (json!({ "aud": ["d365map", "api"], "azp": "api" }), TokenError::Audience),
            (json!({ "azp": "another" }), TokenError::Audience),
            (json!({ "azp": 1 }), TokenError::Audience),
            (json!({ "exp": null }), TokenError::Claim("exp")),
            (json!({ "exp": "soon" }), TokenError::Claim("exp")),
            (json!({ "exp": 1e300 }), TokenError::Claim("exp")),
            (json!({ "exp": at - 60 }), TokenError::Expired),
            (json!({ "iat": null }), TokenError::Claim("iat")),
            (json!({ "iat": at + 61 }), TokenError::Time),
            (json!({ "iat": at - 661 }), TokenError::Time),
            (json!({ "nbf": at + 61 }), TokenError::Time),
            (json!({ "nonce": null }), TokenError::Claim("nonce")),
            (json!({ "nonce": "m" }), TokenError::Nonce),
            (json!({ "nonce": "" }), TokenError::Nonce),
            (json!({ "sub": null }), TokenError::Claim("sub")),
            (json!({ "sub": "" }), TokenError::Claim("sub")),
        ] {
            assert_eq!(checked(changes.clone()), Err(expected), "{changes}");
        }
    }

    #[test]
    fn a_header_without_an_accepted_algorithm_or_of_another_kind_of_token_is_refused() {
        use base64::Engine;
        let of = |header: Value| {
            let part = |value: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
            super::header(&format!("{}.{}.", part(&header), part(&json!({})))).err()
        };
        assert_eq!(of(json!({ "alg": "none" })), Some(TokenError::Unreadable));
        assert_eq!(of(json!({ "alg": "RS256", "typ": "at+jwt" })), Some(TokenError::Type("at+jwt".to_owned())));
        assert_eq!(of(json!({ "alg": "RS256", "crit": ["b64"] })), Some(TokenError::Critical));
        assert_eq!(of(json!({ "alg": "RS256", "typ": "jwt" })), None);
    }

    #[test]
    fn the_key_and_not_the_token_decides_about_the_algorithm() {
        let key = |value: Value| serde_json::from_value::<Jwk>(value).expect("a key");
        let rsa = json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" });
        let with = |name: &str, value: Value| {
            let mut key = rsa.clone();
            key[name] = value;
            key
        };
        let octets = json!({ "kty": "oct", "k": "AQAB" });
        let p256 = json!({ "kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB" });
        let p384 = json!({ "kty": "EC", "crv": "P-384", "x": "AQAB", "y": "AQAB" });
        let ed25519 = json!({ "kty": "OKP", "crv": "Ed25519", "x": "AQAB" });
        for (jwk, said) in [
            (&rsa, Algorithm::RS256),
            (&rsa, Algorithm::PS256),
            (&p256, Algorithm::ES256),
            (&ed25519, Algorithm::EdDSA),
            (&with("alg", json!("PS256")), Algorithm::PS256),
            (&with("use", json!("sig")), Algorithm::RS256),
            (&with("key_ops", json!(["verify"])), Algorithm::RS256),
        ] {
            assert_eq!(algorithm(said, &key(jwk.clone())), Ok(said), "{jwk}");
        }
        for (jwk, said) in [
            (&rsa, Algorithm::HS256),
            (&rsa, Algorithm::RS512),
            (&rsa, Algorithm::ES256),
            (&octets, Algorithm::HS256),
            (&octets, Algorithm::RS256),
            (&p384, Algorithm::ES384),
            (&p384, Algorithm::ES256),
            (&ed25519, Algorithm::ES256),
            (&with("alg", json!("PS256")), Algorithm::RS256),
            (&with("use", json!("enc")), Algorithm::RS256),
            (&with("key_ops", json!(["encrypt"])), Algorithm::RS256),
        ] {
            assert_eq!(algorithm(said, &key(jwk.clone())), Err(TokenError::Algorithm), "{jwk} {said:?}");
        }
    }
}
