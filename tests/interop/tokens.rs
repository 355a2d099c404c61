//! The three forms in which our clients ask for a token, at token services from npm.
//!
//! `oauth2-mock-server` answers in the common form and looks at the fields; `oidc-provider` verifies secrets and assertions for
//! real: signature, issuer, subject, audience, times, and that an assertion is used once.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use d365map::connect::{ClientCertificate, ConnectError, Credential, Signature};
use d365map::systems::campaign::{Campaign, CampaignConfig};
use d365map::systems::dataverse::{Dataverse, DataverseConfig};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

use super::{http, secret, server};

fn dataverse(token_url: Url, client_id: &str, credential: Credential) -> Dataverse {
    let url = "https://contoso.crm4.dynamics.com".parse().unwrap();
    Dataverse::new(http(), DataverseConfig { url, token_url, client_id: client_id.to_owned(), credential }).unwrap()
}

fn campaign(token_url: Url, client_id: &str, credential: Credential) -> Campaign {
    let url: Url = "https://mc.adobe.io/contoso".parse().unwrap();
    let config = CampaignConfig::new(url, client_id, credential, "openid,AdobeID,campaign_sdk");
    Campaign::new(http(), CampaignConfig { token_url, ..config }).unwrap()
}

fn mock() -> Url {
    server("D365MAP_INTEROP_OAUTH").join("/token").unwrap()
}

fn oidc() -> Url {
    server("D365MAP_INTEROP_OIDC").join("/token").unwrap()
}

/// Makes a client known to oidc-provider (OpenID Connect Dynamic Client Registration) and returns what it says of it.
async fn registered(more: Value) -> Value {
    let mut client = json!({ "grant_types": ["client_credentials"], "redirect_uris": [], "response_types": [] });
    client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let address = server("D365MAP_INTEROP_OIDC").join("/reg").unwrap();
    let answer = reqwest::Client::new().post(address).json(&client).send().await.unwrap();
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

/// A certificate with its key, and its public key as the service wants to know it.
struct Made {
    certificate: String,
    key: SecretString,
    jwk: Value,
}

fn made() -> Made {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["d365map.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
    let x509_parser::public_key::PublicKey::RSA(rsa) = parsed.public_key().parsed().unwrap() else { panic!("an RSA key") };
    // DER writes a leading zero before a number whose first bit is set.
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(&bytes[bytes.iter().position(|b| *b != 0).unwrap_or(0)..]);
    let jwk = json!({ "kty": "RSA", "use": "sig", "n": number(rsa.modulus), "e": number(rsa.exponent) });
    Made { certificate: certificate.pem(), key: secret(&key.serialize_pem()), jwk }
}

fn refused(error: &ConnectError) -> bool {
    matches!(error, ConnectError::Token { .. })
}

#[tokio::test]
async fn a_secret_is_sent_in_the_form_that_token_services_expect() {
    dataverse(mock(), "client", secret("right").into()).sign_in().await.unwrap();
    campaign(mock(), "client", secret("right").into()).sign_in().await.unwrap();
    let error = dataverse(mock(), "client", secret("wrong").into()).sign_in().await.unwrap_err();
    assert!(refused(&error) && !error.to_string().contains("wrong`"), "{error}");
}

#[tokio::test]
async fn a_token_is_kept_for_its_life_and_asked_for_again_after_it() {
    for (id, asked) in [("client", 1), ("brief-client", 2)] {
        let http = http();
        let url: Url = "https://mc.adobe.io/contoso".parse().unwrap();
        let config = CampaignConfig { token_url: mock(), ..CampaignConfig::new(url, id, secret("right"), "openid,campaign_sdk") };
        let client = Campaign::new(http.clone(), config).unwrap();
        client.sign_in().await.unwrap();
        // A token of `brief-client` lives one second.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        client.sign_in().await.unwrap();
        assert_eq!(http.stats().api("token").calls, asked, "{id}");
    }
}

#[tokio::test]
async fn a_secret_is_verified_for_either_service() {
    let client = registered(json!({ "token_endpoint_auth_method": "client_secret_post" })).await;
    let (id, right) = (client["client_id"].as_str().unwrap(), client["client_secret"].as_str().unwrap());
    dataverse(oidc(), id, secret(right).into()).sign_in().await.unwrap();
    campaign(oidc(), id, secret(right).into()).sign_in().await.unwrap();
    let other = format!("{right}x");
    for error in [
        dataverse(oidc(), id, secret(&other).into()).sign_in().await.unwrap_err(),
        campaign(oidc(), id, secret(&other).into()).sign_in().await.unwrap_err(),
        dataverse(oidc(), "nobody", secret(right).into()).sign_in().await.unwrap_err(),
    ] {
        assert!(refused(&error) && !error.to_string().contains(right), "{error}");
    }
}

#[tokio::test]
async fn a_certificates_assertion_is_verified_in_both_signatures() {
    let made = made();
    for (signature, name) in [(Signature::Ps256, "PS256"), (Signature::Rs256, "RS256")] {
        let client = registered(json!({
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": name,
            "jwks": { "keys": [made.jwk] },
        }))
        .await;
        let id = client["client_id"].as_str().unwrap();
        let certificate = || ClientCertificate::new(&made.certificate, &made.key, signature).unwrap();
        // Each client starts from the beginning, so each asks with a new assertion: a used one is refused.
        for _ in 0..2 {
            dataverse(oidc(), id, Credential::Certificate(certificate())).sign_in().await.unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        let other = if signature == Signature::Ps256 { Signature::Rs256 } else { Signature::Ps256 };
        let wrong = ClientCertificate::new(&made.certificate, &made.key, other).unwrap();
        let error = dataverse(oidc(), id, Credential::Certificate(wrong)).sign_in().await.unwrap_err();
        assert!(refused(&error), "{name}: {error}");
    }
}

#[tokio::test]
async fn an_assertion_of_another_key_is_refused() {
    let (known, stranger) = (made(), made());
    let client = registered(json!({
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "PS256",
        "jwks": { "keys": [known.jwk] },
    }))
    .await;
    let id = client["client_id"].as_str().unwrap();
    let certificate = ClientCertificate::new(&stranger.certificate, &stranger.key, Signature::Ps256).unwrap();
    let error = dataverse(oidc(), id, Credential::Certificate(certificate)).sign_in().await.unwrap_err();
    assert!(refused(&error), "{error}");
}
