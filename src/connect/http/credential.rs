//! How a client proves who it is to a token service: a secret, a certificate, or Adobe's deprecated service account.
//!
//! Sources: Microsoft identity platform, *Client credentials flow* and *Certificate credentials* (header and claims of the assertion);
//! RFC 7523; Adobe, *Service account (JWT) authentication*, which Adobe has replaced by OAuth server-to-server. Assumed: the
//! names of Adobe's metascopes and the unit of its `expires_in` (milliseconds).

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use crate::connect::error::ConnectError;
use crate::time;

/// How long an assertion is good for. Entra ID asks for five to ten minutes.
const ASSERTION_LIFE: Duration = Duration::from_secs(300);
/// How far an assertion reaches back, for a token service whose clock is behind ours.
const CLOCK_SLACK: Duration = Duration::from_secs(60);
/// Where a client that authenticates by an assertion says so (RFC 7523, 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a client has to show.
#[derive(Clone)]
pub enum Credential {
    /// A client secret (RFC 6749, 2.3.1, in the form).
    Secret(SecretString),
    /// A certificate whose public part the token service knows.
    Certificate(ClientCertificate),
    /// Adobe's deprecated service account.
    AdobeJwt(AdobeServiceAccount),
}

impl From<SecretString> for Credential {
    fn from(secret: SecretString) -> Self {
        Self::Secret(secret)
    }
}

/// Shows the kind alone.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret",
            Self::Certificate(_) => "Certificate",
            Self::AdobeJwt(_) => "AdobeJwt",
        })
    }
}

/// How an assertion is signed, and how it names its certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Signature {
    /// `PS256`, certificate by its SHA-256 (`x5t#S256`): what Entra ID documents today.
    #[default]
    Ps256,
    /// `RS256`, certificate by its SHA-1 (`x5t`): what it documented before, and still accepts.
    Rs256,
}

/// A certificate with its private key.
#[derive(Clone)]
pub struct ClientCertificate {
    key: EncodingKey,
    signature: Signature,
    /// The certificate's DER.
    der: Vec<u8>,
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").field("x5t", &self.x5t()).field("signature", &self.signature).finish_non_exhaustive()
    }
}

impl ClientCertificate {
    /// Takes a certificate and its RSA private key, both as PEM.
    ///
    /// # Errors
    /// [`ConnectError::Config`] when one of them is not what it should be, or when they do not belong together.
    pub fn new(certificate_pem: &str, key_pem: &SecretString, signature: Signature) -> Result<Self, ConnectError> {
        let wrong = |problem: &str, remedy: &str| ConnectError::config(format!("the client certificate: {problem}"), remedy);
        let pem = first_certificate(certificate_pem)
            .ok_or_else(|| wrong("the file has no certificate", "give the public certificate in PEM form (BEGIN CERTIFICATE)"))?;
        let certificate = pem.parse_x509().map_err(|_| wrong("it cannot be read", "export it again, in PEM form"))?;
        let key = rsa_key(key_pem)?;
        let parsed = certificate.public_key().parsed().ok();
        if !matches!(parsed, Some(x509_parser::public_key::PublicKey::RSA(_))) {
            return Err(wrong("its key is not an RSA key", "Entra ID takes assertions signed by RSA keys: make a certificate with one"));
        }
        // A signature of ours that the certificate does not verify would be refused by the token service with fewer words.
        let proof = jsonwebtoken::crypto::sign(b"proof", &key, Algorithm::RS256)
            .map_err(|_| wrong("the private key cannot sign", "give an RSA key of 2048 bits or more"))?;
        let public = jsonwebtoken::DecodingKey::from_rsa_der(&certificate.public_key().subject_public_key.data);
        if !jsonwebtoken::crypto::verify(&proof, b"proof", &public, Algorithm::RS256).unwrap_or(false) {
            return Err(wrong("the private key is not that of the certificate", "give the key that the certificate was made with"));
        }
        Ok(Self { key, signature, der: pem.contents.clone() })
    }

    /// The certificate's thumbprint by SHA-1, as the assertion's header has it.
    pub fn x5t(&self) -> String {
        x5t(&Sha1::digest(&self.der))
    }

    /// The moment from which the certificate is no longer good.
    pub fn not_after(&self) -> Option<time::Instant> {
        not_after(&self.der)
    }

    fn header(&self) -> Header {
        match self.signature {
            Signature::Ps256 => Header { x5t_s256: Some(x5t(&Sha256::digest(&self.der))), ..Header::new(Algorithm::PS256) },
            Signature::Rs256 => Header { x5t: Some(self.x5t()), ..Header::new(Algorithm::RS256) },
        }
    }
}

fn not_after(der: &[u8]) -> Option<time::Instant> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    chrono::DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0)
}

/// The first certificate of a PEM file.
fn first_certificate(pem: &str) -> Option<x509_parser::pem::Pem> {
    x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes()).filter_map(Result::ok).find(|pem| pem.label == "CERTIFICATE")
}

/// The moment from which the first certificate of a PEM file is no longer good; `None` if there is none that can be read.
pub fn certificate_expiry(pem: &str) -> Option<time::Instant> {
    not_after(&first_certificate(pem)?.contents)
}

/// Base64url without padding of a thumbprint.
fn x5t(thumbprint: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(thumbprint)
}

/// A technical account of an Adobe project, with the key that signs for it.
#[derive(Clone)]
pub struct AdobeServiceAccount {
    /// The client secret of the project's credential, which the exchange asks for too.
    pub client_secret: SecretString,
    /// The organization: `0123456789ABCDEF@AdobeOrg`.
    pub organization: String,
    /// The technical account: `0123456789ABCDEF@techacct.adobe.com`.
    pub technical_account: String,
    /// The metascopes by name: `ent_campaign_sdk`.
    pub metascopes: Vec<String>,
    key: EncodingKey,
}

impl AdobeServiceAccount {
    /// Takes an account with its RSA private key as PEM.
    ///
    /// # Errors
    /// [`ConnectError::Config`] if the key is not valid.
    pub fn new(
        client_secret: SecretString,
        organization: impl Into<String>,
        technical_account: impl Into<String>,
        metascopes: Vec<String>,
        key_pem: &SecretString,
    ) -> Result<Self, ConnectError> {
        let key = rsa_key(key_pem)?;
        Ok(Self { client_secret, organization: organization.into(), technical_account: technical_account.into(), metascopes, key })
    }
}

impl fmt::Debug for AdobeServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdobeServiceAccount")
            .field("organization", &self.organization)
            .field("technical_account", &self.technical_account)
            .field("metascopes", &self.metascopes)
            .finish_non_exhaustive()
    }
}

fn rsa_key(pem: &SecretString) -> Result<EncodingKey, ConnectError> {
    // The library's error is let go: it may quote what it read.
    EncodingKey::from_rsa_pem(pem.expose_secret().as_bytes()).map_err(|_| {
        ConnectError::config(
            "the private key is not an unencrypted RSA key in PEM form",
            "give a file that begins with BEGIN PRIVATE KEY or BEGIN RSA PRIVATE KEY",
        )
    })
}

impl Credential {
    /// The fields of the form that asks for a token, made again for each attempt: an assertion is good for one use.
    ///
    /// # Errors
    /// [`ConnectError::Config`] when an assertion cannot be signed.
    pub(super) fn form(&self, token_url: &Url, client_id: &str, scope: &str) -> Result<Vec<(&'static str, SecretString)>, ConnectError> {
        let open = |text: &str| SecretString::from(text);
        let client = self.authentication(token_url, client_id)?;
        Ok(match self {
            Self::Secret(_) | Self::Certificate(_) => {
                [vec![("grant_type", open("client_credentials"))], client, vec![("scope", open(scope))]].concat()
            }
            Self::AdobeJwt(account) => [client, vec![("jwt_token", adobe_jwt(account, token_url, client_id)?)]].concat(),
        })
    }

    /// The fields by which the client says and proves who it is, whatever it asks for; made again for each attempt.
    ///
    /// # Errors
    /// [`ConnectError::Config`] when an assertion cannot be signed.
    pub(super) fn authentication(&self, token_url: &Url, client_id: &str) -> Result<Vec<(&'static str, SecretString)>, ConnectError> {
        let open = |text: &str| SecretString::from(text);
        Ok(match self {
            Self::Secret(secret) => vec![("client_id", open(client_id)), ("client_secret", secret.clone())],
            Self::Certificate(certificate) => vec![
                ("client_id", open(client_id)),
                ("client_assertion_type", open(ASSERTION_TYPE)),
                ("client_assertion", assertion(certificate, token_url, client_id)?),
            ],
            Self::AdobeJwt(account) => vec![("client_id", open(client_id)), ("client_secret", account.client_secret.clone())],
        })
    }

    /// The secrets that a token service might repeat in an error.
    pub(super) fn repeatable(&self) -> Option<&SecretString> {
        match self {
            Self::Secret(secret) => Some(secret),
            Self::AdobeJwt(account) => Some(&account.client_secret),
            Self::Certificate(_) => None,
        }
    }

    /// What a token's `expires_in` counts, in seconds: Adobe's exchange counts milliseconds. [K]
    pub(super) fn life(&self, expires_in: f64) -> f64 {
        match self {
            // No token of Adobe's lives for 28 hours or more, so a greater number is not in seconds.
            Self::AdobeJwt(_) if expires_in > 100_000.0 => expires_in / 1000.0,
            Self::AdobeJwt(_) | Self::Secret(_) | Self::Certificate(_) => expires_in,
        }
    }
}

fn assertion(certificate: &ClientCertificate, token_url: &Url, client_id: &str) -> Result<SecretString, ConnectError> {
    let now = time::now();
    let claims = json!({
        "aud": token_url.as_str(),
        "iss": client_id,
        "sub": client_id,
        "jti": Uuid::new_v4(),
        "nbf": (now - TimeDelta::from_std(CLOCK_SLACK).unwrap_or_default()).timestamp(),
        "iat": now.timestamp(),
        "exp": (now + TimeDelta::from_std(ASSERTION_LIFE).unwrap_or_default()).timestamp(),
    });
    sign(&certificate.header(), &claims, &certificate.key)
}

fn adobe_jwt(account: &AdobeServiceAccount, token_url: &Url, client_id: &str) -> Result<SecretString, ConnectError> {
    let origin = token_url.origin().ascii_serialization();
    let mut claims = json!({
        "iss": account.organization,
        "sub": account.technical_account,
        "aud": format!("{origin}/c/{client_id}"),
        "exp": (time::now() + TimeDelta::from_std(ASSERTION_LIFE).unwrap_or_default()).timestamp(),
    });
    for scope in &account.metascopes {
        claims[format!("{origin}/s/{scope}")] = json!(true);
    }
    sign(&Header::new(Algorithm::RS256), &claims, &account.key)
}

fn sign(header: &Header, claims: &serde_json::Value, key: &EncodingKey) -> Result<SecretString, ConnectError> {
    jsonwebtoken::encode(header, claims, key)
        .map(SecretString::from)
        .map_err(|_| ConnectError::config("the private key cannot sign", "give an RSA key of 2048 bits or more"))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use serde_json::Value;

    use super::*;

    /// A fresh certificate and its key, as PEM.
    fn made() -> (String, SecretString) {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["d365map.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem().into())
    }

    fn field(form: &[(&'static str, SecretString)], name: &str) -> String {
        form.iter().find(|(n, _)| *n == name).map(|(_, v)| v.expose_secret().to_owned()).unwrap_or_default()
    }

    fn url() -> Url {
        "https://login.example/t/oauth2/v2.0/token".parse().unwrap()
    }

    #[test]
    fn a_thumbprint_is_base64url_without_padding() {
        // The example of Microsoft's document on certificate credentials.
        let bytes: Vec<u8> =
            (0..40).step_by(2).map(|at| u8::from_str_radix(&"84E05C1D98BCE3A5421D225B140B36E86A3D5534"[at..at + 2], 16).unwrap()).collect();
        assert_eq!(x5t(&bytes), "hOBcHZi846VCHSJbFAs26Go9VTQ");
    }

    #[test]
    fn an_assertion_has_the_documented_header_and_claims_and_a_signature_that_the_certificate_verifies() {
        let (pem, key) = made();
        for (signature, algorithm) in [(Signature::Ps256, Algorithm::PS256), (Signature::Rs256, Algorithm::RS256)] {
            let certificate = ClientCertificate::new(&pem, &key, signature).unwrap();
            let credential = Credential::Certificate(certificate.clone());
            let form = credential.form(&url(), "client", "https://o/.default").unwrap();
            assert_eq!(field(&form, "client_assertion_type"), ASSERTION_TYPE);
            assert_eq!(field(&form, "client_secret"), "");
            let jwt = field(&form, "client_assertion");
            let (_, parsed) = x509_parser::parse_x509_certificate(&certificate.der).unwrap();
            let public = DecodingKey::from_rsa_der(&parsed.public_key().subject_public_key.data);
            let mut rules = Validation::new(algorithm);
            rules.set_audience(&[url().as_str()]);
            rules.validate_nbf = true;
            let token = jsonwebtoken::decode::<Value>(&jwt, &public, &rules).unwrap();
            assert_eq!(token.header.x5t_s256.is_some(), signature == Signature::Ps256);
            assert_eq!(token.header.x5t.is_some(), signature == Signature::Rs256);
            let claims = token.claims;
            assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("client"), Some("client")));
            let life = claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap();
            assert!((300..=600).contains(&life), "five to ten minutes, not {life} s");
            let again = credential.form(&url(), "client", "s").unwrap();
            assert_ne!(field(&again, "client_assertion"), jwt, "an assertion is used once");
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_refused_before_anything_is_sent() {
        let ((pem, _), (_, other)) = (made(), made());
        let error = ClientCertificate::new(&pem, &other, Signature::Ps256).unwrap_err();
        assert!(error.to_string().contains("not that of the certificate"), "{error}");
    }

    #[test]
    fn what_is_not_a_certificate_or_key_is_named_and_not_quoted() {
        let (pem, key) = made();
        for (certificate, key) in [("hunter2", &key), (key.expose_secret(), &key), (pem.as_str(), &SecretString::from("hunter2"))] {
            let error = ClientCertificate::new(certificate, key, Signature::Ps256).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hunter2") && !shown.contains("MII"), "{shown}");
        }
    }

    #[test]
    fn adobes_account_signs_for_its_organization_and_its_life_is_in_milliseconds() {
        let (_, key) = made();
        let account =
            AdobeServiceAccount::new("s3cr3t".into(), "o@AdobeOrg", "t@techacct.adobe.com", vec!["ent_campaign_sdk".into()], &key);
        let credential = Credential::AdobeJwt(account.unwrap());
        let form = credential.form(&"https://ims-na1.adobelogin.com/ims/exchange/jwt".parse().unwrap(), "client", "").unwrap();
        assert_eq!((field(&form, "client_id"), field(&form, "client_secret")), ("client".to_owned(), "s3cr3t".to_owned()));
        let jwt = field(&form, "jwt_token");
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap()).unwrap();
        assert_eq!(claims["aud"], "https://ims-na1.adobelogin.com/c/client");
        assert_eq!(claims["https://ims-na1.adobelogin.com/s/ent_campaign_sdk"], true);
        assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("o@AdobeOrg"), Some("t@techacct.adobe.com")));
        assert!((credential.life(86_399_998.0) - 86_399.998).abs() < 1e-6 && (credential.life(86_399.0) - 86_399.0).abs() < 1e-6);
    }

    #[test]
    fn no_credential_shows_its_secret() {
        let (pem, key) = made();
        let account = AdobeServiceAccount::new("s3cr3t".into(), "o", "t", Vec::new(), &key).unwrap();
        let certificate = ClientCertificate::new(&pem, &key, Signature::Ps256).unwrap();
        let inner = key.expose_secret().lines().nth(3).unwrap();
        for shown in [
            format!("{account:?} {:?}", Credential::AdobeJwt(account.clone())),
            format!("{certificate:?} {:?}", Credential::Certificate(certificate.clone())),
            format!("{:?}", Credential::from(SecretString::from("s3cr3t"))),
        ] {
            assert!(!shown.contains("s3cr3t") && !shown.contains(inner), "{shown}");
        }
    }
}
