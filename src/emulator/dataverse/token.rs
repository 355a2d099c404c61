//! Entra ID's token endpoint, client credentials with a secret.

use std::time::Instant;

use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use serde_json::json;

use super::{Call, Dataverse};
use crate::emulator::net;

fn refuse(status: u16, error: &str, code: u32, text: &str) -> Response<Body> {
    let trace = uuid::Uuid::new_v4();
    let at = crate::time::now().format("%Y-%m-%d %H:%M:%SZ").to_string();
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {trace} Timestamp: {at}"),
        "error_codes": [code],
        "timestamp": at,
        "trace_id": trace,
        "correlation_id": trace,
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    net::body(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), "application/json; charset=utf-8", body.to_string())
}

pub(super) fn answer(dataverse: &Dataverse, call: &Call<'_>) -> Response<Body> {
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
    let Some(id) = field("client_id") else {
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
    let Some(secret) = field("client_secret") else {
        return refuse(
            401,
            "invalid_client",
            7000216,
            "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
        );
    };
    if dataverse.clients[client].secret != secret {
        return refuse(
            401,
            "invalid_client",
            7000215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value.",
        );
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
