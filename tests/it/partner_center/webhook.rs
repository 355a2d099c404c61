//! The section `webhook` of the connection, and `d365map webhook` against a stand-in of the webhooks API.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use d365map::project::WebhookConnection;
use serde_json::{Value, json};

use super::section::{LEAST, load};

#[test]
fn a_webhook_section_has_the_documented_defaults() {
    assert_eq!(load(LEAST).unwrap().webhook, None);
    let webhook = load(&format!("{LEAST}    webhook:\n      url: https://hooks.example/partner\n")).unwrap().webhook.unwrap();
    let url = Some("https://hooks.example/partner".parse().unwrap());
    assert_eq!(webhook, WebhookConnection { url, ..WebhookConnection::default() });
    assert_eq!(webhook.events.len(), 5);
    assert_eq!(
        (webhook.organization.as_str(), webhook.ms_signature, webhook.remove_by_empty_events),
        ("Microsoft Corporation", true, false)
    );
}

#[test]
fn every_value_of_a_webhook_section_is_checked() {
    let wrong = |line: &str| load(&format!("{LEAST}    webhook:\n      {line}\n")).unwrap_err()[0].message.clone();
    assert_eq!(wrong("listen: somewhere"), "this is not an address to listen on");
    assert_eq!(wrong("certificate-hosts: [\"https://h/a\"]"), "this is not a host");
    assert_eq!(wrong("signature-header: cookie"), "`cookie` is not allowed here");
    assert_eq!(wrong("remove: delete"), "`delete` is not allowed here");
    let given = load(&format!(
        "{LEAST}    webhook:\n      listen: 127.0.0.1:8085\n      certificate-hosts: [Certs.example, \"127.0.0.1:8443\"]\n      \
         trusted-certificates: issuers.pem\n      signature-header: authorization\n      remove: empty-events\n      events: [referral-updated]\n"
    ));
    let given = given.unwrap().webhook.unwrap();
    assert_eq!(given.certificate_hosts, ["certs.example", "127.0.0.1:8443"]);
    assert_eq!((given.ms_signature, given.remove_by_empty_events), (false, true));
    assert_eq!((given.events, given.listen.map(|address| address.port())), (vec!["referral-updated".to_owned()], Some(8085)));
}

type Registered = Arc<Mutex<Option<Value>>>;

/// The token service and the webhooks API; gives their address.
async fn service(registered: Registered) -> String {
    async fn answer(State(registered): State<Registered>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, 1 << 16).await.unwrap();
        let mut registered = registered.lock().unwrap();
        let answer = match (parts.method.as_str(), parts.uri.path()) {
            (_, path) if path.ends_with("/oauth2/v2.0/token") => Some(json!({"access_token": "a.b.c", "expires_in": 3600})),
            ("GET", "/webhooks/v1/registration") => registered.clone(),
            ("POST" | "PUT", "/webhooks/v1/registration") => {
                *registered = Some(serde_json::from_slice(&body).unwrap());
                registered.clone()
            }
            ("GET", "/webhooks/v1/registration/events") => Some(json!(["referral-created", "test-created"])),
            _ => None,
        };
        let status = if answer.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
        Response::builder().status(status).body(Body::from(answer.unwrap_or_default().to_string())).unwrap()
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer).with_state(registered)).await });
    address
}

async fn call(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_d365map"));
    let output = command.args(args).current_dir(folder).env("REFRESH", "token-1").output().await.unwrap();
    (output.status.code(), format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn the_command_registers_shows_and_refuses_to_take_the_place_of_another_address() {
    let registered = Registered::default();
    let address = service(registered.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let project = |url: &str, remove: &str| {
        let text = format!(
            "version: 1\nconnections:\n  partner-center:\n{LEAST}    require-mfa: false\n    refresh-token: {{ env: REFRESH }}\n    \
             authority: {address}\n    webhooks-url: {address}\n    webhook:\n      url: {url}\n      remove: {remove}\n"
        );
        std::fs::write(folder.path().join("d365map.yaml"), text).unwrap();
    };
    project("https://production.example/hook", "explain");
    let (status, text) = call(folder.path(), &["webhook", "show"]).await;
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("no address is registered") && text.contains("test-created"), "{text}");
    let (status, text) = call(folder.path(), &["webhook", "register"]).await;
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(registered.lock().unwrap().as_ref().unwrap()["SignatureTokenToMsSignatureHeader"], true);
    let (status, text) = call(folder.path(), &["webhook", "remove"]).await;
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("documents no way to remove a registration"), "{text}");

    project("https://staging.example/hook", "empty-events");
    let (status, text) = call(folder.path(), &["webhook", "register"]).await;
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("https://production.example/hook") && text.contains("--take-over"), "{text}");
    let (status, text) = call(folder.path(), &["webhook", "register", "--take-over", "--format", "json"]).await;
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["replaced"], "https://production.example/hook");
    let (status, text) = call(folder.path(), &["webhook", "remove"]).await;
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(registered.lock().unwrap().as_ref().unwrap()["WebhookEvents"], json!([]));
}
