//! Webhooks: registration, signed deliveries, trouble with them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::*;

const ALL: [&str; 5] = ["test-created", "referral-created", "referral-updated", "related-referral-created", "related-referral-updated"];

/// A webhook that tells what it gets.
struct Hook {
    url: String,
    arrivals: UnboundedReceiver<(HeaderMap, Vec<u8>)>,
    /// The statuses of its next answers; 200 when there is none.
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Hook {
    async fn new() -> Hook {
        let (sender, arrivals) = unbounded_channel();
        let answers: Arc<Mutex<VecDeque<u16>>> = Arc::default();
        let statuses = Arc::clone(&answers);
        let handler = move |headers: HeaderMap, body: axum::body::Bytes| async move {
            sender.send((headers, body.to_vec())).expect("the test listens");
            let status = statuses.lock().unwrap().pop_front().unwrap_or(200);
            StatusCode::from_u16(status).unwrap()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/hook", axum::routing::post(handler));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Hook { url, arrivals, answers }
    }

    async fn next(&mut self) -> (HeaderMap, Vec<u8>) {
        tokio::time::timeout(Duration::from_secs(20), self.arrivals.recv()).await.expect("a delivery comes").expect("a delivery")
    }

    /// The name of the next event and the id of its resource.
    async fn event(&mut self) -> (String, String) {
        let body: Value = serde_json::from_slice(&self.next().await.1).unwrap();
        let id = body["ResourceUri"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        (body["EventName"].as_str().unwrap().to_owned(), id)
    }
}

impl Bench {
    /// A request to the webhooks API.
    fn hooks(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/webhooks/v1/registration{path}", self.running.webhooks_url().unwrap());
        self.http.request(method, url)
    }

    async fn hook_token(&self) -> String {
        self.sign_in("", WEBHOOKS).await["access_token"].as_str().unwrap().to_owned()
    }

    async fn register(&self, url: &str, ms: bool) -> Response {
        let body = json!({"WebhookUrl": url, "WebhookEvents": ALL, "signatureTokenToMsSignatureHeader": ms});
        self.hooks(Method::POST, "").bearer_auth(self.hook_token().await).json(&body).send().await.unwrap()
    }
}

fn quick() -> PartnerCenterConfig {
    PartnerCenterConfig { delivery_backoff: Duration::from_millis(1), ..settings() }
}

#[tokio::test]
async fn a_registration_is_made_read_and_replaced() {
    let bench = Bench::bare(settings(), json!({})).await;
    let token = bench.hook_token().await;
    let send = async |request: RequestBuilder| request.bearer_auth(&token).send().await.unwrap();
    let events = json(send(bench.hooks(Method::GET, "/events")).await).await;
    assert!(ALL.iter().all(|event| events.as_array().unwrap().contains(&json!(event))));
    let missing = send(bench.hooks(Method::GET, "")).await;
    assert_eq!(missing.status(), 404);
    assert!(json(missing).await["description"].is_string());
    let body = json!({"WebhookUrl": "https://hook.example/a", "WebhookEvents": ["referral-created"]});
    let made = json(send(bench.hooks(Method::POST, "").json(&body)).await).await;
    assert!(made["SubscriberId"].is_string());
    assert_eq!(json(send(bench.hooks(Method::GET, "")).await).await, body);
    let other = json!({"WebhookUrl": "https://hook.example/b", "WebhookEvents": ["referral-updated"]});
    assert_eq!(json(send(bench.hooks(Method::PUT, "").json(&other)).await).await["SubscriberId"], made["SubscriberId"]);
    assert_eq!(json(send(bench.hooks(Method::GET, "")).await).await, other);
    assert_eq!(send(bench.hooks(Method::POST, "").json(&body)).await.status(), 200, "a second registration replaces the first");
    for wrong in [
        json!({"WebhookUrl": "ftp://hook.example", "WebhookEvents": ["referral-created"]}),
        json!({"WebhookUrl": "https://hook.example", "WebhookEvents": ["unknown"]}),
        json!({"WebhookUrl": "https://hook.example", "WebhookEvents": []}),
    ] {
        assert_eq!(send(bench.hooks(Method::POST, "").json(&wrong)).await.status(), 400, "{wrong}");
    }
    assert_eq!(send(bench.hooks(Method::DELETE, "")).await.status(), 405);
}

#[tokio::test]
async fn a_delivery_is_signed_by_a_chain_that_leads_to_the_root() {
    let bench = Bench::with(quick(), json!({})).await;
    let mut hook = Hook::new().await;
    assert_eq!(bench.register(&hook.url, true).await.status(), 200);
    let created = bench.create(&deal("x")).await;
    let (headers, body) = hook.next().await;
    let payload: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&payload["EventName"], &payload["ResourceName"]), (&json!("referral-created"), &json!("referral")));
    assert!(payload["AuditUri"].is_null() && payload["ResourceChangeUtcDate"].as_str().unwrap().ends_with("+00:00"));
    let uri = payload["ResourceUri"].as_str().unwrap();
    assert!(uri.ends_with(&format!("/engagements/v1/referrals/{}", created["id"].as_str().unwrap())));
    let resource = bench.http.get(uri).bearer_auth(bench.hook_token().await).send().await.unwrap();
    assert_eq!(json(resource).await["id"], created["id"]);

    let text = |name: &str| headers[name].to_str().unwrap();
    assert_eq!(text("x-ms-signature-algorithm"), "rsa-sha256");
    assert!(!headers.contains_key("authorization"));
    let signature = text("x-ms-signature").strip_prefix("Signature ").unwrap();
    let signature = base64::engine::general_purpose::STANDARD.decode(signature).unwrap();
    let root = reqwest::Certificate::from_pem(bench.running.partner_root_certificate().unwrap().as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
    let url = text("x-ms-certificate-url");
    assert!(url.starts_with("https://127.0.0.1:") && url.ends_with(".cer"), "{url}");
    let leaf = client.get(url).send().await.unwrap().bytes().await.unwrap();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    assert!(leaf.issuer().to_string().contains("O=Microsoft Corporation"));
    let key = jsonwebtoken::DecodingKey::from_rsa_der(&leaf.public_key().subject_public_key.data);
    let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(signature);
    assert!(jsonwebtoken::crypto::verify(&encoded, &body, &key, jsonwebtoken::Algorithm::RS256).unwrap());

    let issuer_url = leaf
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            x509_parser::extensions::ParsedExtension::AuthorityInfoAccess(access) => {
                Some(access.accessdescs[0].access_location.to_string())
            }
            _ => None,
        })
        .expect("the leaf says where its issuer is");
    let issuer_url = &issuer_url[issuer_url.find("http").unwrap()..issuer_url.rfind("cer").unwrap() + 3];
    let issuer = client.get(issuer_url).send().await.unwrap().bytes().await.unwrap();
    let (_, issuer) = X509Certificate::from_der(&issuer).unwrap();
    assert_eq!(leaf.issuer(), issuer.subject());
}

#[tokio::test]
async fn the_signature_is_in_the_authorization_header_unless_the_flag_is_set() {
    let bench = Bench::with(quick(), json!({})).await;
    let mut hook = Hook::new().await;
    bench.register(&hook.url, false).await;
    bench.create(&deal("x")).await;
    let (headers, _) = hook.next().await;
    assert!(headers["authorization"].to_str().unwrap().starts_with("Signature "));
    assert!(!headers.contains_key("x-ms-signature"));
}

#[tokio::test]
async fn events_of_microsofts_part_are_related_ones() {
    let bench = Bench::with(quick(), json!({})).await;
    let mut hook = Hook::new().await;
    bench.register(&hook.url, true).await;
    let own = bench.create(&deal("own")).await;
    assert_eq!(hook.event().await.0, "referral-created");
    bench.patch(&own["id"], json!([{"op": "replace", "path": "/name", "value": "y"}])).await;
    assert_eq!(hook.event().await, ("referral-updated".to_owned(), own["id"].as_str().unwrap().to_owned()));
    let mut body = deal("invitation");
    body["engagementId"] = own["engagementId"].clone();
    body["target"] = json!([{"type": "BusinessProfileLocation", "id": "msft"}]);
    let sibling = bench.create(&body).await["id"].as_str().unwrap().to_owned();
    assert_eq!(hook.event().await, ("related-referral-created".to_owned(), sibling.clone()));
    bench.admin("partner/seller", json!({"referral": own["engagementId"], "action": "accept"})).await;
    assert_eq!(hook.event().await, ("related-referral-updated".to_owned(), sibling));
}

#[tokio::test]
async fn a_failed_delivery_is_attempted_ten_times_and_then_given_up() {
    let bench = Bench::with(quick(), json!({})).await;
    let mut hook = Hook::new().await;
    bench.register(&hook.url, true).await;
    hook.answers.lock().unwrap().extend([500; 10]);
    bench.create(&deal("x")).await;
    for _ in 0..10 {
        hook.next().await;
    }
    bench.create(&deal("y")).await;
    let (_, body) = hook.next().await;
    assert!(String::from_utf8(body).unwrap().contains("referral-created"));
    let list = async || json(bench.http.get(format!("{}/partner/deliveries", bench.running.admin_url())).send().await.unwrap()).await;
    let mut log = list().await;
    while log[1]["state"] == "waiting" {
        log = list().await;
    }
    assert_eq!((&log[0]["state"], &log[1]["state"]), (&json!("given-up"), &json!("delivered")));
    assert_eq!(log[0]["attempts"].as_array().unwrap().len(), 10);
    assert_eq!(log[0]["attempts"][0], "InternalServerError");
}

#[tokio::test]
async fn a_move_of_the_clock_ends_the_pause_between_attempts() {
    let bench = Bench::with(PartnerCenterConfig { delivery_backoff: Duration::from_secs(3600), ..settings() }, json!({})).await;
    let mut hook = Hook::new().await;
    bench.register(&hook.url, true).await;
    hook.answers.lock().unwrap().push_back(503);
    bench.create(&deal("x")).await;
    let first = hook.next().await;
    // The pause begins after the answer; the clock is moved until it has.
    let second = loop {
        bench.admin("partner/clock", json!({"seconds": 1})).await;
        if let Ok(arrival) = hook.arrivals.try_recv() {
            break arrival;
        }
    };
    assert_eq!(first.1, second.1);
}

#[tokio::test]
async fn deliveries_are_duplicated_reordered_dropped_and_badly_signed_by_order() {
    let bench = Bench::with(quick(), json!({})).await;
    let mut hook = Hook::new().await;
    bench.register(&hook.url, true).await;
    let trouble = async |kind: &str| bench.admin("partner/webhook-faults", json!({"kind": kind})).await;
    let create = async |name: &str| bench.create(&deal(name)).await["id"].as_str().unwrap().to_owned();

    trouble("duplicate").await;
    let id = create("a").await;
    assert_eq!((hook.event().await.1, hook.event().await.1), (id.clone(), id));

    trouble("reorder").await;
    let (first, second) = (create("b").await, create("c").await);
    assert_eq!((hook.event().await.1, hook.event().await.1), (second, first));

    trouble("drop").await;
    create("d").await;
    let id = create("e").await;
    assert_eq!(hook.event().await.1, id);

    trouble("wrong-signature").await;
    create("f").await;
    let wrong = hook.next().await;
    create("g").await;
    let good = hook.next().await;
    assert_eq!(wrong.0["x-ms-signature"].len(), good.0["x-ms-signature"].len());
    assert_eq!(wrong.0["x-ms-certificate-url"], good.0["x-ms-certificate-url"]);

    trouble("foreign-certificate").await;
    create("h").await;
    assert!(hook.next().await.0["x-ms-certificate-url"].to_str().unwrap().ends_with("/pki/foreign.cer"));

    trouble("no-signature").await;
    create("i").await;
    assert!(!hook.next().await.0.contains_key("x-ms-signature"));
}

#[tokio::test]
async fn a_validation_event_shows_its_result_and_two_in_a_minute_are_allowed() {
    let bench = Bench::bare(quick(), json!({})).await;
    let mut hook = Hook::new().await;
    let token = bench.hook_token().await;
    let send = async |request: RequestBuilder| request.bearer_auth(&token).send().await.unwrap();
    assert_eq!(send(bench.hooks(Method::POST, "/validationEvents")).await.status(), 400, "nothing is registered");
    bench.register(&hook.url, true).await;
    let id = json(send(bench.hooks(Method::POST, "/validationEvents")).await).await["correlationId"].as_str().unwrap().to_owned();
    assert_eq!(hook.event().await.0, "test-created");
    let result = loop {
        let result = json(send(bench.hooks(Method::GET, &format!("/validationEvents/{id}"))).await).await;
        if result["status"] == "completed" {
            break result;
        }
    };
    assert_eq!((&result["results"][0]["responseCode"], &result["callbackUrl"]), (&json!("OK"), &json!(hook.url)));
    assert_eq!(send(bench.hooks(Method::POST, "/validationEvents")).await.status(), 200);
    assert_eq!(send(bench.hooks(Method::POST, "/validationEvents")).await.status(), 429);
    bench.admin("partner/clock", json!({"seconds": 61})).await;
    assert_eq!(send(bench.hooks(Method::POST, "/validationEvents")).await.status(), 200);
    assert_eq!(send(bench.hooks(Method::GET, "/validationEvents/none")).await.status(), 404);
}

#[tokio::test]
async fn the_report_of_mfa_counts_calls_by_day_and_application() {
    let bench = Bench::with(settings(), json!({})).await;
    bench.get("").await;
    let url = format!("{}/v1/applicationmfaadoptionstatus", bench.running.webhooks_url().unwrap());
    let report = json(bench.http.get(url).bearer_auth(bench.hook_token().await).send().await.unwrap()).await;
    let item = &report["items"][0];
    assert_eq!((&item["mfaCompliantRequestCount"], &item["totalRequestCount"]), (&json!(2), &json!(2)));
    assert_eq!(item["applicationId"], json!(bench.people.public_client));
}

#[tokio::test]
async fn an_application_alone_may_register_webhooks() {
    let bench = Bench::bare(settings(), json!({})).await;
    let scope = format!("{WEBHOOKS}/.default");
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", bench.people.client.as_str()),
        ("client_secret", bench.people.client_secret.as_str()),
        ("scope", &scope),
    ];
    let token = json(bench.post_form("oauth2/v2.0/token", &form).await).await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bench.hooks(Method::GET, "/events").bearer_auth(token).send().await.unwrap().status(), 200);
    let token = bench.sign_in("", REFERRALS).await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bench.hooks(Method::GET, "/events").bearer_auth(token).send().await.unwrap().status(), 401, "the other audience");
}
