//! Entra ID's token endpoint: client credentials with a secret or a signed assertion; and the discovery document that names it.

use std::time::Instant;

use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use serde_json::json;

use super::setup::SecretState;
use super::{Call, Dataverse};
use crate::net;
use crate::tokens::entra_refusal;

fn refuse(status: u16, error: &str, code: u32, text: &str) -> Response<Body> {
    let body = entra_refusal(error, code, text, crate::time::now());
    net::body(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), "application/json; charset=utf-8", body.to_string())
}

/// The assertion type of RFC 7523.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// `GET {tenant}/v2.0/.well-known/openid-configuration`, which client libraries read to find the endpoint.
fn discovery(dataverse: &Dataverse) -> Response<Body> {
    let site = &dataverse.site;
    let of = |path: &str| format!("{}/{}/{path}", site.base, site.tenant);
    let body = json!({
        "token_endpoint": of("oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "issuer": of("v2.0"),
        "authorization_endpoint": of("oauth2/v2.0/authorize"),
        "jwks_uri": of("discovery/v2.0/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "tenant_region_scope": "EU",
    });
    net::body(StatusCode::OK, "application/json; charset=utf-8", body.to_string())
}

/// The client's id and secret in HTTP Basic authentication, `client_secret_basic`: each form-encoded before they are joined. [D: RFC
/// 6749, 2.3.1; Entra's discovery document names the method]
fn basic(call: &Call<'_>) -> Option<(String, String)> {
    use base64::Engine as _;
    let value = call.headers.get("authorization")?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let joined = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let (id, secret) = std::str::from_utf8(&joined).ok()?.split_once(':')?;
    let plain = |text: &str| net::decode(&text.replace('+', " "));
    Some((plain(id)?, plain(secret)?))
}

pub(super) fn answer(dataverse: &Dataverse, call: &Call<'_>) -> Response<Body> {
    let configuration = call.path.ends_with("/.well-known/openid-configuration");
    if configuration && call.method == Method::GET && call.path.trim_start_matches('/').starts_with(&dataverse.site.tenant) {
        return discovery(dataverse);
    }
    if call.method != Method::POST {
        return refuse(405, "invalid_request", 900561, "The endpoint only accepts POST requests.");
    }
    let tenant = call.path.trim_start_matches('/').split('/').next().unwrap_or("");
    if tenant != dataverse.site.tenant {
        return refuse(
            400,
            "invalid_request",
            90002,
            &format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID."),
        );
    }
    let content_type = call.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
    let form = std::str::from_utf8(call.body).ok().filter(|_| content_type.starts_with("application/x-www-form-urlencoded"));
    let form = form.and_then(|text| net::query(Some(text))).unwrap_or_default();
    let field = |name: &str| form.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    match field("grant_type") {
        None => return refuse(400, "invalid_request", 900144, "The request body must contain the following parameter: 'grant_type'."),
        Some("client_credentials") => {}
        Some(_) => return refuse(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type."),
    }
    let basic = basic(call);
    let Some(id) = field("client_id").or_else(|| basic.as_ref().map(|(id, _)| id.as_str())) else {
        return refuse(400, "invalid_request", 900144, "The request body must contain the following parameter: 'client_id'.");
    };
    let Some(client) = dataverse.clients.iter().position(|client| client.id.eq_ignore_ascii_case(id)) else {
        return refuse(
            400,
            "unauthorized_client",
            700016,
            &format!("Application with identifier '{id}' was not found in the directory '{tenant}'."),
        );
    };
    let application = crate::read(&dataverse.conditions).applications[client].clone();
    let secret = field("client_secret").or_else(|| basic.as_ref().map(|(_, secret)| secret.as_str()));
    match (secret, field("client_assertion")) {
        (None, None) => {
            return refuse(
                401,
                "invalid_client",
                7000218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            );
        }
        (_, Some(assertion)) => {
            if field("client_assertion_type") != Some(ASSERTION_TYPE) {
                return refuse(
                    400,
                    "invalid_request",
                    900144,
                    "The request body must contain the following parameter: 'client_assertion_type'.",
                );
            }
            let audience = format!("{}/{}/oauth2/v2.0/token", dataverse.site.base, dataverse.site.tenant);
            let now = dataverse.site.now();
            let id = &dataverse.clients[client].id;
            if let Err(refusal) = super::assertion::verify(assertion, id, &audience, &application.certificates, now, &dataverse.assertions)
            {
                return refuse(refusal.status, refusal.error, refusal.code, &refusal.text);
            }
        }
        (Some(secret), None) => {
            if dataverse.clients[client].secret != secret {
                return refuse(
                    401,
                    "invalid_client",
                    7000215,
                    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value.",
                );
            }
            if application.secret == SecretState::Expired {
                return refuse(
                    401,
                    "invalid_client",
                    7000222,
                    &format!(
                        "The provided client secret keys for app '{id}' are expired. Visit the Azure portal to create new keys for your app."
                    ),
                );
            }
        }
    }
    let Some(scope) = field("scope") else {
        return refuse(400, "invalid_request", 900144, "The request body must contain the following parameter: 'scope'.");
    };
    let Some(resource) = scope.strip_suffix("/.default") else {
        return refuse(
            400,
            "invalid_scope",
            1002012,
            &format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier."
            ),
        );
    };
    // One trailing slash is the same environment: `https://org.crm.dynamics.com//.default`. [K]
    if resource.strip_suffix('/').unwrap_or(resource) != dataverse.site.base {
        return refuse(
            400,
            "invalid_resource",
            500011,
            &format!("The resource principal named {resource} was not found in the tenant named {tenant}."),
        );
    }
    let (token, seconds) = dataverse.tokens.issue(client, Instant::now());
    let body = json!({"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token});
    let mut response = net::body(StatusCode::OK, "application/json; charset=utf-8", body.to_string());
    net::set(&mut response, "cache-control", "no-store, no-cache");
    response
}
