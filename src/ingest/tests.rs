//! The receiver over real HTTP, with certificates of an authority that is made for each test.

use std::collections::HashMap;
use std::sync::Mutex as StdMutex;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256, SigningKey};
use url::Url;

use super::certificate::FetchError;
use super::*;
use crate::connect::ConnectError;
use crate::store::{Notification, Stores, in_memory};
use crate::time::{Instant, parse_instant};

const ADDRESS: &str = "https://certs.example/signer.cer";
const ORGANIZATION: &str = "Microsoft Corporation";

fn now() -> Instant {
    parse_instant("2026-06-01T12:00:00Z").unwrap()
}

/// An authority with an intermediate one.
struct Authority {
    root_pem: String,
    intermediate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority_params(name: &str, organization: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.distinguished_name.push(DnType::OrganizationName, organization);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

impl Authority {
    fn new(organization: &str) -> Authority {
        let root = Issuer::new(authority_params("Root", organization), KeyPair::generate().unwrap());
        let root_pem = authority_params("Root", organization).self_signed(root.key()).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let params = authority_params("Intermediate", organization);
        let intermediate_pem = params.signed_by(&key, &root).unwrap().pem();
        Authority { root_pem, intermediate_pem, issuer: Issuer::new(params, key) }
    }

    fn trust(&self) -> Trust {
        Trust::from_pem(format!("{}{}", self.root_pem, self.intermediate_pem).as_bytes()).unwrap()
    }

    fn signer(&self, change: impl FnOnce(&mut CertificateParams)) -> Signer {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let mut params = CertificateParams::new(vec!["signer.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Signer { key, certificate }
    }
}

struct Signer {
    key: KeyPair,
    certificate: Vec<u8>,
}

/// What is at the addresses of certificates.
#[derive(Default)]
struct Shelf {
    certificates: StdMutex<HashMap<String, Vec<u8>>>,
    fetched: AtomicU64,
}

#[async_trait]
impl Fetch for Shelf {
    async fn fetch(&self, address: &Url) -> Result<Bytes, FetchError> {
        self.fetched.fetch_add(1, Ordering::Relaxed);
        let found = self.certificates.lock().unwrap().get(address.as_str()).cloned();
        found.map(Bytes::from).ok_or_else(|| ConnectError::config("nothing is there", "-").into())
    }
}

/// A receiver that is served, with what it needs.
struct Bench {
    receiver: Receiver,
    shelf: Arc<Shelf>,
    stores: Stores,
    clock: Clock,
    url: String,
    client: reqwest::Client,
}

impl Bench {
    async fn start(trust: Trust) -> Bench {
        Bench::with(trust, |_| {}).await
    }

    async fn with(trust: Trust, change: impl FnOnce(&mut ReceiverConfig)) -> Bench {
        let (shelf, stores, clock) = (Arc::new(Shelf::default()), in_memory().unwrap(), Clock::stopped(now()));
        let mut config = ReceiverConfig {
            path: "/hooks/partner".to_owned(),
            certificate_hosts: vec!["certs.example".to_owned()],
            trust,
            organization: ORGANIZATION.to_owned(),
            certificate_name: None,
        };
        change(&mut config);
        let receiver = Receiver::new(config, shelf.clone(), stores.notifications.clone(), clock.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks/partner", listener.local_addr().unwrap());
        let app = receiver.router();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Bench { receiver, shelf, stores, clock, url, client }
    }

    fn put(&self, address: &str, certificate: &[u8]) {
        self.shelf.certificates.lock().unwrap().insert(address.to_owned(), certificate.to_vec());
    }

    async fn send(&self, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> u16 {
        let mut request = self.client.post(&self.url).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(body).send().await.unwrap().status().as_u16()
    }

    /// Sends a body whose length is not in the headers; gives the status of the answer.
    async fn send_in_pieces(&self, headers: &[(&str, &str)], length: usize) -> u16 {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let url: Url = self.url.parse().unwrap();
        let (host, port) = (url.host_str().unwrap(), url.port().unwrap());
        let mut connection = tokio::net::TcpStream::connect((host, port)).await.unwrap();
        let mut head = format!("POST {} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n", url.path());
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        let text = format!("{head}transfer-encoding: chunked\r\n\r\n{length:x}\r\n{}\r\n0\r\n\r\n", " ".repeat(length));
        connection.write_all(text.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        connection.read_exact(&mut answer).await.unwrap();
        std::str::from_utf8(&answer[9..]).unwrap().parse().unwrap()
    }

    /// Sends a body with a good signature.
    async fn deliver(&self, signer: &Signer, body: &str) -> u16 {
        self.deliver_from(signer, body, ADDRESS).await
    }

    async fn deliver_from(&self, signer: &Signer, body: &str, address: &str) -> u16 {
        let signature = format!("Signature {}", STANDARD.encode(signer.key.sign(body.as_bytes()).unwrap()));
        let headers =
            [("x-ms-signature", signature.as_str()), ("x-ms-certificate-url", address), ("x-ms-signature-algorithm", "rsa-sha256")];
        self.send(&headers, body.to_owned()).await
    }

    async fn waiting(&self) -> Vec<String> {
        let waiting = self.stores.notifications.waiting_notifications(10_000).await.unwrap();
        waiting.into_iter().map(|waiting| waiting.notification.resource).collect()
    }
}

fn change(id: &str, second: u32) -> String {
    let uri = format!("https://api.partnercenter.microsoft.com/engagements/v1/referrals/{id}");
    let date = format!("2026-06-01T11:{:02}:{:02}.0000001+00:00", second / 60 % 60, second % 60);
    serde_json::json!({"EventName": "referral-updated", "ResourceUri": uri, "ResourceName": "referral", "AuditUri": null,
                       "ResourceChangeUtcDate": date})
    .to_string()
}

async fn bench() -> (Bench, Authority, Signer) {
    let authority = Authority::new(ORGANIZATION);
    let bench = Bench::start(authority.trust()).await;
    let signer = authority.signer(|_| {});
    bench.put(ADDRESS, &signer.certificate);
    (bench, authority, signer)
}

#[tokio::test]
async fn a_genuine_delivery_is_in_the_state_before_it_is_answered_and_wakes_who_waits() {
    let (bench, _, signer) = bench().await;
    assert_eq!(bench.deliver(&signer, &change("r1", 1)).await, 200);
    let waiting = bench.stores.notifications.waiting_notifications(10).await.unwrap();
    let expected = Notification {
        event: "referral-updated".to_owned(),
        resource: "r1".to_owned(),
        changed: "2026-06-01T11:00:01.000000100Z".to_owned(),
    };
    assert_eq!((waiting.len(), &waiting[0].notification, waiting[0].received), (1, &expected, now()));
    bench.receiver.arrived().await;
    assert_eq!(bench.receiver.received(), Received { new: 1, ..Received::default() });
}

#[tokio::test]
async fn the_signature_may_be_in_either_header() {
    let (bench, _, signer) = bench().await;
    for (second, name) in [(1, "authorization"), (2, "x-ms-signature")] {
        let body = change("r1", second);
        let signature = format!("Signature {}", STANDARD.encode(signer.key.sign(body.as_bytes()).unwrap()));
        let headers = [(name, signature.as_str()), ("x-ms-certificate-url", ADDRESS), ("x-ms-signature-algorithm", "rsa-sha256")];
        assert_eq!(bench.send(&headers, body).await, 200, "{name}");
    }
    assert_eq!(bench.waiting().await.len(), 2);
}

#[tokio::test]
async fn a_delivery_without_a_good_signature_is_refused_and_leaves_nothing() {
    let (bench, _, signer) = bench().await;
    let body = change("r1", 1);
    let good = format!("Signature {}", STANDARD.encode(signer.key.sign(body.as_bytes()).unwrap()));
    let other = format!("Signature {}", STANDARD.encode(signer.key.sign(change("r2", 1).as_bytes()).unwrap()));
    let rest = [("x-ms-certificate-url", ADDRESS), ("x-ms-signature-algorithm", "rsa-sha256")];
    assert_eq!(bench.send(&rest, body.clone()).await, 401, "no signature");
    assert_eq!(bench.send(&[("x-ms-signature", &other), rest[0], rest[1]], body.clone()).await, 401, "the signature of another body");
    assert_eq!(bench.send(&[("x-ms-signature", "Signature AAAA"), rest[0], rest[1]], body.clone()).await, 401, "not a signature");
    assert_eq!(bench.send(&[("x-ms-signature", &good), rest[0], rest[1]], format!("{body} ")).await, 401, "one more byte in the body");
    assert_eq!(bench.send(&[("x-ms-signature", &good), rest[0]], body.clone()).await, 400, "no algorithm");
    assert_eq!(bench.send(&[("x-ms-signature", &good), rest[1]], body.clone()).await, 400, "no certificate");
    let weak = ("x-ms-signature-algorithm", "rsa-sha1");
    assert_eq!(bench.send(&[("x-ms-signature", &good), rest[0], weak], body).await, 400, "another algorithm");
    assert!(bench.waiting().await.is_empty());
    assert_eq!(bench.receiver.received(), Received { refused: 7, ..Received::default() });
}

#[tokio::test]
async fn a_certificate_that_is_foreign_expired_early_or_of_an_authority_is_refused() {
    let (bench, authority, _) = bench().await;
    let ours = |change: fn(&mut CertificateParams)| authority.signer(change);
    let refused = [
        ("of another authority", Authority::new(ORGANIZATION).signer(|_| {})),
        ("expired", ours(|params| params.not_after = rcgen::date_time_ymd(2026, 5, 1))),
        ("not valid yet", ours(|params| params.not_before = rcgen::date_time_ymd(2026, 7, 1))),
        ("of an authority", ours(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))),
        ("for something else", ours(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::TimeStamping])),
    ];
    for (number, (what, signer)) in refused.iter().enumerate() {
        let address = format!("https://certs.example/{number}.cer");
        bench.put(&address, &signer.certificate);
        assert_eq!(bench.deliver_from(signer, &change("r1", 1), &address).await, 401, "{what}");
    }
    bench.put("https://certs.example/x.cer", b"not a certificate");
    assert_eq!(bench.deliver_from(&refused[0].1, &change("r1", 1), "https://certs.example/x.cer").await, 401);
    assert!(bench.waiting().await.is_empty());
}

#[tokio::test]
async fn a_certificate_whose_purpose_is_tls_or_signing_is_taken() {
    let (bench, authority, _) = bench().await;
    use ExtendedKeyUsagePurpose::{ClientAuth, CodeSigning, ServerAuth};
    for (number, purpose) in [ServerAuth, ClientAuth, CodeSigning].into_iter().enumerate() {
        let signer = authority.signer(|params| params.extended_key_usages = vec![purpose]);
        let address = format!("https://certs.example/{number}.cer");
        bench.put(&address, &signer.certificate);
        assert_eq!(bench.deliver_from(&signer, &change(&format!("r{number}"), 1), &address).await, 200, "{number}");
    }
}

#[tokio::test]
async fn the_issuer_and_the_name_of_the_certificate_must_be_those_that_are_asked_for() {
    let authority = Authority::new("Somebody Else");
    let bench = Bench::start(authority.trust()).await;
    let signer = authority.signer(|_| {});
    bench.put(ADDRESS, &signer.certificate);
    assert_eq!(bench.deliver(&signer, &change("r1", 1)).await, 401);
    let authority = Authority::new(ORGANIZATION);
    for (name, status) in [("signer.example", 200), ("other.example", 401)] {
        let bench = Bench::with(authority.trust(), |config| config.certificate_name = Some(name.to_owned())).await;
        let signer = authority.signer(|_| {});
        bench.put(ADDRESS, &signer.certificate);
        assert_eq!(bench.deliver(&signer, &change("r1", 1)).await, status, "{name}");
    }
}

#[tokio::test]
async fn a_certificate_on_another_host_is_not_even_fetched() {
    let (bench, _, signer) = bench().await;
    for address in [
        "https://evil.example/signer.cer",
        "http://certs.example/signer.cer",
        "https://127.0.0.1/signer.cer",
        "https://[::1]/signer.cer",
        "https://169.254.169.254/latest/meta-data",
        "https://certs.example:8443/signer.cer",
    ] {
        assert_eq!(bench.deliver_from(&signer, &change("r1", 1), address).await, 401, "{address}");
    }
    assert_eq!(bench.shelf.fetched.load(Ordering::Relaxed), 0);
}

/// A server of certificates on this machine that answers with one thing.
async fn server(status: u16, headers: &'static [(&'static str, &'static str)], body: Vec<u8>) -> Url {
    let answer = move || async move {
        let mut response = axum::http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(Body::from(body)).unwrap()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/signer.cer", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    url
}

#[tokio::test]
async fn a_fetch_follows_no_redirect_reads_no_large_answer_and_takes_what_fits() {
    let fetch = HttpFetch::new().unwrap();
    let redirect = server(302, &[("location", "http://127.0.0.1:1/")], Vec::new()).await;
    assert!(fetch.fetch(&redirect).await.is_err());
    let large = server(200, &[], vec![0x30; 33 * 1024]).await;
    assert!(fetch.fetch(&large).await.is_err());
    let good = server(200, &[("content-type", "application/octet-stream")], vec![0x30; 1000]).await;
    assert_eq!(fetch.fetch(&good).await.unwrap().len(), 1000);
    let missing = server(404, &[], Vec::new()).await;
    assert!(fetch.fetch(&missing).await.is_err());
}

#[tokio::test]
async fn a_certificate_is_fetched_once_an_hour_and_sooner_when_the_key_was_replaced() {
    let (bench, authority, signer) = bench().await;
    let fetched = || bench.shelf.fetched.load(Ordering::Relaxed);
    for second in 0..5 {
        assert_eq!(bench.deliver(&signer, &change("r1", second)).await, 200);
    }
    assert_eq!(fetched(), 1);
    let next = authority.signer(|_| {});
    bench.put(ADDRESS, &next.certificate);
    assert_eq!(bench.deliver(&next, &change("r1", 10)).await, 401, "what was just fetched is not fetched again");
    bench.clock.advance(TimeDelta::minutes(2));
    assert_eq!(bench.deliver(&next, &change("r1", 10)).await, 200);
    assert_eq!(fetched(), 2);
    bench.clock.advance(TimeDelta::minutes(61));
    assert_eq!(bench.deliver(&next, &change("r1", 11)).await, 200);
    assert_eq!(fetched(), 3);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_fetched_asks_for_another_delivery_and_fetches_are_limited() {
    let (bench, _, signer) = bench().await;
    let statuses = [503; 12];
    for (number, status) in statuses.into_iter().enumerate() {
        let address = format!("https://certs.example/missing-{number}.cer");
        assert_eq!(bench.deliver_from(&signer, &change("r1", 1), &address).await, status);
    }
    assert_eq!(bench.shelf.fetched.load(Ordering::Relaxed), 10);
    bench.clock.advance(TimeDelta::minutes(1));
    assert_eq!(bench.deliver(&signer, &change("r1", 1)).await, 200);
}

#[tokio::test]
async fn a_body_over_the_limit_or_of_another_type_is_refused_before_anything_is_fetched() {
    let (bench, _, signer) = bench().await;
    let signature = format!("Signature {}", STANDARD.encode(signer.key.sign(b"{}").unwrap()));
    let headers = [("x-ms-signature", signature.as_str()), ("x-ms-certificate-url", ADDRESS), ("x-ms-signature-algorithm", "rsa-sha256")];
    assert_eq!(bench.send(&headers, "x".repeat(17 * 1024)).await, 413);
    assert_eq!(bench.send_in_pieces(&headers, 17 * 1024).await, 413);
    let request = bench.client.post(&bench.url).header("content-type", "text/plain");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    assert_eq!(request.body("{}").send().await.unwrap().status(), 415);
    assert_eq!(bench.shelf.fetched.load(Ordering::Relaxed), 0);
    assert_eq!(bench.client.get(&bench.url).send().await.unwrap().status(), 405);
    assert_eq!(bench.client.post(bench.url.replace("/partner", "/other")).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_genuine_body_that_is_not_a_notification_is_refused_and_a_test_needs_no_work() {
    let (bench, _, signer) = bench().await;
    assert_eq!(bench.deliver(&signer, "[]").await, 400);
    let test = r#"{"EventName":"test-created","ResourceUri":"http://localhost:16722/v1/webhooks/registration/test"}"#;
    assert_eq!(bench.deliver(&signer, test).await, 200);
    assert!(bench.waiting().await.is_empty());
    assert_eq!(bench.receiver.received(), Received { ignored: 1, refused: 1, ..Received::default() });
}

#[tokio::test]
async fn a_delivery_that_is_sent_again_is_answered_and_not_handled_twice() {
    let (bench, _, signer) = bench().await;
    for _ in 0..3 {
        assert_eq!(bench.deliver(&signer, &change("r1", 1)).await, 200);
    }
    assert_eq!(bench.waiting().await, ["r1"]);
    let seq = bench.stores.notifications.waiting_notifications(1).await.unwrap()[0].seq;
    bench.stores.notifications.settle_notifications(&[seq], now()).await.unwrap();
    assert_eq!(bench.deliver(&signer, &change("r1", 1)).await, 200);
    assert!(bench.waiting().await.is_empty());
    assert_eq!(bench.receiver.received(), Received { new: 1, repeated: 3, ..Received::default() });
}

#[tokio::test]
async fn deliveries_out_of_their_order_are_all_taken() {
    let (bench, _, signer) = bench().await;
    for second in [9, 2, 5, 1] {
        assert_eq!(bench.deliver(&signer, &change("r1", second)).await, 200);
    }
    assert_eq!(bench.waiting().await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_deliveries_with_repetitions_are_each_stored_once() {
    let (bench, _, signer) = bench().await;
    let bench = Arc::new(bench);
    let signer = Arc::new(signer);
    let mut tasks = tokio::task::JoinSet::new();
    for lane in 0..20_u32 {
        let (bench, signer) = (bench.clone(), signer.clone());
        tasks.spawn(async move {
            for n in 0..50_u32 {
                // Each change is sent by two lanes.
                let number = (lane / 2) * 50 + n;
                assert_eq!(bench.deliver(&signer, &change(&format!("r{number}"), number)).await, 200);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(bench.waiting().await.len(), 500);
    assert_eq!(bench.receiver.received(), Received { new: 500, repeated: 500, ..Received::default() });
    assert_eq!(bench.shelf.fetched.load(Ordering::Relaxed), 1);
}

#[test]
fn trusted_certificates_are_read_from_a_file_with_roots_and_others() {
    let authority = Authority::new(ORGANIZATION);
    assert!(format!("{:?}", authority.trust()).contains("1 roots, 1 others"));
    // Only the one that issues: trusted as it is.
    assert!(format!("{:?}", Trust::from_pem(authority.intermediate_pem.as_bytes()).unwrap()).contains("1 roots, 0 others"));
    assert_eq!(Trust::from_pem(b"").unwrap_err(), TrustError::Empty);
    let broken = format!("{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", authority.root_pem);
    assert_eq!(Trust::from_pem(broken.as_bytes()).unwrap_err(), TrustError::Unusable(2));
}
