//! Client assertions: JWTs signed with the key of a registered certificate, verified as Entra ID does.
//!
//! Two forms are documented: `PS256` with the certificate's SHA-256 in `x5t#S256`, and the older `RS256` with its SHA-1 in `x5t`. Other
//! pairings are refused here, though the service may take them. [K]

use std::collections::HashMap;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use super::setup::Certificate;
use crate::lock;

/// How far the clocks may be apart, in seconds. Entra ID allows some minutes. [K]
const LEEWAY: i64 = 300;
/// The longest life of an assertion that is taken, in seconds. The documents ask for 5 to 10 minutes and set no bound. [K]
const LONGEST: i64 = 24 * 3600;

/// Why an assertion is not taken.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) error: &'static str,
    pub(super) code: u32,
    pub(super) text: String,
}

fn refuse(code: u32, text: impl Into<String>) -> Refusal {
    Refusal { status: 401, error: "invalid_client", code, text: text.into() }
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    sub: String,
    jti: Option<String>,
    // Numbers of seconds, which may have a fraction; Microsoft's own libraries send one.
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
}

/// The `jti` of assertions that were taken, until they would be too old anyway.
#[derive(Default)]
pub(super) struct Seen(Mutex<HashMap<(String, String), i64>>);

impl Seen {
    fn first_time(&self, client: &str, jti: &str, until: i64, now: i64) -> bool {
        let mut seen = lock(&self.0);
        seen.retain(|_, until| *until + LEEWAY >= now);
        seen.insert((client.to_owned(), jti.to_owned()), until).is_none()
    }
}

/// Verifies an assertion of a client.
pub(super) fn verify(
    token: &str,
    client: &str,
    audience: &str,
    certificates: &[Certificate],
    now: i64,
    seen: &Seen,
) -> Result<(), Refusal> {
    let malformed = |text: &str| Refusal {
        status: 400,
        error: "invalid_request",
        code: 50027,
        text: format!("JWT token is invalid or malformed. {text}"),
    };
    let header = jsonwebtoken::decode_header(token).map_err(|error| malformed(&error.to_string()))?;
    let (thumbprint, of): (_, fn(&Certificate) -> &Vec<u8>) = match (header.alg, &header.x5t_s256, &header.x5t) {
        (Algorithm::PS256, Some(thumbprint), _) => (thumbprint, |certificate| &certificate.sha256),
        (Algorithm::RS256, _, Some(thumbprint)) => (thumbprint, |certificate| &certificate.sha1),
        (Algorithm::PS256 | Algorithm::RS256, _, _) => {
            return Err(refuse(
                700_027,
                "Client assertion failed signature validation. [Reason - The key was not found: the header needs 'x5t#S256' with PS256 or 'x5t' with RS256.]",
            ));
        }
        (algorithm, _, _) => {
            return Err(malformed(&format!("The signing algorithm {algorithm:?} is not supported for client assertions.")));
        }
    };
    // The documents show it without padding; Microsoft's own libraries send it with padding. [C]
    let wanted = URL_SAFE_NO_PAD.decode(thumbprint.trim_end_matches('=')).map_err(|_| malformed("The thumbprint is not base64url."))?;
    let shown: String = wanted.iter().map(|byte| format!("{byte:02X}")).collect();
    let certificate = certificates.iter().find(|certificate| *of(certificate) == wanted).ok_or_else(|| {
        refuse(
            700_027,
            format!(
                "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found., \
                 Thumbprint of key used by client: '{shown}']"
            ),
        )
    })?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate.der).map_err(|_| malformed("The certificate cannot be read."))?;
    let key = DecodingKey::from_rsa_der(&parsed.public_key().subject_public_key.data);
    // The signature alone; the claims are checked below, each with a separate error.
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).map_err(|error| match error.kind() {
        jsonwebtoken::errors::ErrorKind::InvalidSignature => refuse(
            700_027,
            format!(
                "Client assertion failed signature validation. [Reason - The provided signature value did not match the expected signature value., \
                 Thumbprint of key used by client: '{shown}']"
            ),
        ),
        _ => malformed(&error.to_string()),
    })?;
    let claims = claims.claims;
    if now < parsed.validity().not_before.timestamp() || now > parsed.validity().not_after.timestamp() {
        return Err(refuse(1_000_502, "The provided certificate is not within its specified validity period."));
    }
    if claims.aud != audience {
        return Err(refuse(
            700_023,
            format!("Client assertion audience claim does not match Realm issuer. The expected audience is '{audience}'."),
        ));
    }
    if !claims.iss.eq_ignore_ascii_case(client) || !claims.sub.eq_ignore_ascii_case(client) {
        return Err(refuse(700_021, "Client assertion application identifier doesn't match 'client_id' parameter."));
    }
    let exp = claims.exp as i64;
    let from = claims.nbf.or(claims.iat).map_or(now, |from| from as i64);
    if now.saturating_add(LEEWAY) < from || now > exp.saturating_add(LEEWAY) || exp.saturating_sub(from) > LONGEST || exp <= from {
        return Err(refuse(
            700_024,
            format!(
                "Client assertion is not within its valid time range. Current time: {}, assertion valid from {}, expiry time of assertion {}.",
                shown_time(now),
                shown_time(from),
                shown_time(exp)
            ),
        ));
    }
    // Which code a second use gets is not documented. [K]
    match claims.jti.as_deref() {
        None | Some("") => Err(malformed("The assertion has no 'jti'.")),
        Some(jti) if seen.first_time(client, jti, exp, now) => Ok(()),
        Some(_) => Err(refuse(50_013, "Assertion failed validation. [Reason - The assertion was used before: 'jti' must be fresh.]")),
    }
}

fn shown_time(at: i64) -> String {
    super::value::instant(at).format("%Y-%m-%dT%H:%M:%S.0000000Z").to_string()
}
