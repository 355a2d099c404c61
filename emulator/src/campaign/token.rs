//! Adobe's token service (IMS): OAuth server-to-server, and the deprecated exchange of a signed JWT.
//!
//! Sources: Adobe, *OAuth server-to-server credential*; Adobe, *Service Account (JWT) authentication*. Documented: the addresses, the
//! form fields, RS256, the claims `iss`, `sub`, `aud`, `exp` and a metascope that is `true`. That the exchange gives the life of its
//! token in milliseconds is seen in published answers [C]; the error bodies are general knowledge [K].

use std::time::Instant;

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Campaign, JSON, ok};
use crate::dataverse::Call;
use crate::net::{self, Answer};

/// The longest life of an assertion, in seconds. [K]
const LONGEST: i64 = 24 * 3600;

/// The service account (technical account) that the exchange is for.
#[derive(Clone, Debug)]
pub struct TechnicalAccount {
    /// The organization that the assertion is issued by: `…@AdobeOrg`.
    pub organization: String,
    /// The assertion's subject: `…@techacct.adobe.com`.
    pub account: String,
    /// The metascopes that may be asked for, by name: `ent_campaign_sdk`. In the assertion they are written as an address under the token
    /// service's own: `https://ims-na1.adobelogin.com/s/ent_campaign_sdk`.
    pub metascopes: Vec<String>,
    /// Certificates or public keys (PEM) that are bound to the client. None means that no assertion is accepted.
    pub keys: Vec<String>,
}

/// A public key that signatures are checked with.
pub(super) struct Binding {
    key: DecodingKey,
    /// Seconds since 1970, of a certificate.
    until: Option<i64>,
}

impl Binding {
    /// From the PEM of a certificate or of a public key.
    pub(super) fn read(pem: &str) -> Result<Binding, String> {
        if !pem.contains("BEGIN CERTIFICATE") {
            let key = DecodingKey::from_rsa_pem(pem.as_bytes()).map_err(|error| format!("no public key: {error}"))?;
            return Ok(Binding { key, until: None });
        }
        let text: String = pem
            .lines()
            .skip_while(|line| !line.contains("BEGIN CERTIFICATE"))
            .skip(1)
            .take_while(|line| !line.contains("END CERTIFICATE"))
            .map(str::trim)
            .collect();
        let der = base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| format!("no certificate: {error}"))?;
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|error| format!("no certificate: {error}"))?;
        // The key in the form of the certificate's subjectPublicKeyInfo, for RSA a PKCS#1 public key.
        let key = DecodingKey::from_rsa_der(&certificate.public_key().subject_public_key.data);
        Ok(Binding { key, until: Some(certificate.validity().not_after.timestamp()) })
    }
}

fn refused(status: StatusCode, error: &str, text: &str) -> Answer {
    Answer::new("token", net::body(status, JSON, json!({"error": error, "error_description": text}).to_string()))
}

#[derive(Deserialize)]
struct Claims {
    exp: Option<Json>,
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Json>,
    #[serde(flatten)]
    rest: Map<String, Json>,
}

impl Campaign {
    pub(crate) fn is_token_path(path: &str) -> bool {
        matches!(path.trim_end_matches('/'), "/ims/token/v3" | "/ims/exchange/jwt")
    }

    /// A request to the token service.
    pub(crate) fn token(&self, call: &Call<'_>) -> Answer {
        if call.method != Method::POST {
            return refused(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "use POST");
        }
        let content_type = call.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
        let form = std::str::from_utf8(call.body).ok().filter(|_| content_type.starts_with("application/x-www-form-urlencoded"));
        let form = form.and_then(|text| net::query(Some(text))).unwrap_or_default();
        let field = |name: &str| form.iter().find(|(other, value)| other == name && !value.is_empty()).map(|(_, value)| value.as_str());
        let exchange = call.path.trim_end_matches('/') == "/ims/exchange/jwt";
        if !exchange {
            match field("grant_type") {
                Some("client_credentials") => {}
                Some(_) => return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", "unsupported grant_type"),
                None => return refused(StatusCode::BAD_REQUEST, "invalid_request", "missing grant_type parameter"),
            }
        }
        let Some(client) = field("client_id").and_then(|id| self.clients.iter().position(|client| client.id == id)) else {
            return refused(StatusCode::BAD_REQUEST, "invalid_client", "invalid client_id parameter");
        };
        if field("client_secret") != Some(self.clients[client].secret.as_str()) {
            return refused(StatusCode::UNAUTHORIZED, "invalid_client", "invalid client_secret parameter");
        }
        if exchange {
            let Some(assertion) = field("jwt_token") else {
                return refused(StatusCode::BAD_REQUEST, "bad_request", "missing jwt_token parameter");
            };
            if let Err((error, text)) = self.verify(assertion, &self.clients[client].id) {
                return refused(StatusCode::BAD_REQUEST, error, &text);
            }
        } else if field("scope").is_none() {
            return refused(StatusCode::BAD_REQUEST, "invalid_scope", "missing scope parameter");
        }
        let (token, seconds) = self.tokens.issue(client, Instant::now());
        // Milliseconds by the exchange, one less than the whole [C]; seconds by the other [D].
        let life = if exchange { (seconds * 1000).saturating_sub(1) } else { seconds };
        Answer::new("token", ok(StatusCode::OK, &json!({"access_token": token, "token_type": "bearer", "expires_in": life})))
    }

    /// Binds another certificate or public key to the client.
    pub(crate) fn bind(&self, pem: &str) -> Result<(), String> {
        let binding = Binding::read(pem)?;
        crate::write(&self.bindings).push(binding);
        Ok(())
    }

    /// Checks an assertion: signature against each bound key, then the claims. An assertion may be used again while it lives. [D]
    fn verify(&self, assertion: &str, client: &str) -> Result<(), (&'static str, String)> {
        let invalid = |text: &str| ("invalid_token", text.to_owned());
        let header = jsonwebtoken::decode_header(assertion).map_err(|_| invalid("JWT token is malformed."))?;
        if header.alg != Algorithm::RS256 {
            return Err(invalid("JWT token is not signed with RS256."));
        }
        // Only the signature here: the claims are looked at one by one, so that each refusal names its own.
        let mut validation = Validation::new(Algorithm::RS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let now = crate::time::now().timestamp();
        let bindings = crate::read(&self.bindings);
        let bound = bindings.iter().filter(|binding| binding.until.is_none_or(|until| until > now));
        let claims = bound.filter_map(|binding| jsonwebtoken::decode::<Claims>(assertion, &binding.key, &validation).ok()).next();
        let claims = claims.ok_or_else(|| invalid("Could not match JWT signature to any of the bindings."))?.claims;
        let account = &self.account;
        let exp = claims.exp.as_ref().and_then(Json::as_i64).ok_or_else(|| invalid("JWT token has no exp in whole seconds."))?;
        if exp <= now {
            return Err(invalid("JWT token has expired."));
        }
        if exp > now + LONGEST + 300 {
            return Err(invalid("JWT token lives for too long; 24 hours at most."));
        }
        if claims.iss.as_deref() != Some(&account.organization) {
            return Err(invalid("JWT token has an unknown issuer."));
        }
        if claims.sub.as_deref() != Some(&account.account) {
            return Err(invalid("JWT token has an unknown subject."));
        }
        let audience = format!("{}/c/{client}", self.site.ims);
        let meant = match &claims.aud {
            Some(Json::String(aud)) => *aud == audience,
            Some(Json::Array(list)) => list.iter().any(|aud| aud.as_str() == Some(&audience)),
            Some(_) | None => false,
        };
        if !meant {
            return Err(invalid("JWT token has the wrong audience."));
        }
        let scope = format!("{}/s/", self.site.ims);
        let asked: Vec<&str> =
            claims.rest.iter().filter(|(_, on)| **on == json!(true)).filter_map(|(name, _)| name.strip_prefix(&scope)).collect();
        if asked.is_empty() {
            return Err(("invalid_scope", "JWT token asks for no metascope.".to_owned()));
        }
        if asked.iter().any(|scope| !account.metascopes.iter().any(|granted| granted == scope)) {
            return Err(("invalid_scope", "Invalid metascope for this client.".to_owned()));
        }
        Ok(())
    }
}
