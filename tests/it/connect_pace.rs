//! How fast the HTTP layer goes: concurrency that follows the host, the circuit breaker, and new credentials.

use std::time::{Duration, Instant};

use d365map::connect::{BreakerSettings, ClientCertificate, ConnectError, Credential, Http, HttpConfig, Signature};
use d365map::systems::dataverse::{Dataverse, DataverseConfig, PageRequest, Query};
use secrecy::SecretString;

use crate::connect_server::{Reply, Server, at_once};

const EMPTY_PAGE: &str = r#"{"value":[]}"#;

fn quick() -> HttpConfig {
    HttpConfig {
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(10),
        concurrency_per_host: 16,
        ..HttpConfig::default()
    }
}

fn connect(server: &Server, config: HttpConfig, credential: impl Into<Credential>) -> (Dataverse, Http) {
    let http = Http::new(config).unwrap();
    let config = DataverseConfig {
        url: server.url.clone(),
        token_url: server.token_url(),
        client_id: "client".into(),
        credential: credential.into(),
    };
    (Dataverse::new(http.clone(), config).unwrap(), http)
}

fn dataverse(server: &Server, config: HttpConfig) -> (Dataverse, Http) {
    connect(server, config, SecretString::from("s3cr3t"))
}

async fn read(dataverse: &Dataverse) -> Result<(), ConnectError> {
    let request = PageRequest::First(Query::of("contacts", Vec::new(), 10));
    dataverse.page(&request).await.map(drop)
}

async fn read_at_once(dataverse: &Dataverse, count: usize) -> Vec<Result<(), ConnectError>> {
    at_once(count, || {
        let dataverse = dataverse.clone();
        async move { read(&dataverse).await }
    })
    .await
}

#[tokio::test]
async fn a_429_halves_the_requests_under_way_and_good_answers_bring_them_back() {
    let server = Server::with_tokens(|_, n| match n {
        101 => Reply::empty(429).with("retry-after", "0"),
        _ => Reply::json(200, EMPTY_PAGE).after(Duration::from_millis(10)),
    })
    .await;
    let (dataverse, http) = dataverse(&server, quick());
    assert!(read_at_once(&dataverse, 100).await.iter().all(Result::is_ok));
    let before = http.host(&server.url).concurrency;
    assert!(before > 8, "{before}");
    read(&dataverse).await.unwrap();
    let after = http.host(&server.url).concurrency;
    assert_eq!(after, before / 2);
    assert!(read_at_once(&dataverse, 100).await.iter().all(Result::is_ok));
    assert!(http.host(&server.url).concurrency > after);
}

#[tokio::test]
async fn the_services_recommended_parallelism_is_kept_to() {
    let server = Server::with_tokens(|_, _| Reply::json(200, EMPTY_PAGE).with("x-ms-dop-hint", "2").after(Duration::from_millis(40))).await;
    let (dataverse, http) = dataverse(&server, quick());
    read(&dataverse).await.unwrap();
    assert_eq!(http.host(&server.url).dop_hint, Some(2));
    read_at_once(&dataverse, 6).await;
    let calls = &server.calls()[1..];
    for n in 2..6 {
        let apart = calls[n].at - calls[n - 2].at;
        assert!(apart >= Duration::from_millis(35), "{apart:?}");
    }
}

#[tokio::test]
async fn a_host_that_is_down_gets_one_probe_at_a_time_and_calls_go_through_when_it_is_back() {
    let breaker = BreakerSettings { failures: 4, pause: Duration::from_millis(40), longest_pause: Duration::from_millis(80) };
    let start = Instant::now();
    let outage = Duration::from_millis(400);
    let server =
        Server::with_tokens(move |_, _| if start.elapsed() < outage { Reply::empty(502) } else { Reply::json(200, EMPTY_PAGE) }).await;
    let (patient, _) = dataverse(&server, HttpConfig { breaker, attempts: 40, ..quick() });
    assert!(read_at_once(&patient, 12).await.iter().all(Result::is_ok));
    let during = server.calls().iter().filter(|c| c.at < start + outage).count();
    assert!(during <= 4 + 11, "four at first and a probe every 40 to 80 ms, not {during} requests");

    let server = Server::with_tokens(|_, _| Reply::empty(502)).await;
    let (hasty, _) = dataverse(&server, HttpConfig { breaker, attempts: 2, ..quick() });
    let errors: Vec<_> = read_at_once(&hasty, 8).await.into_iter().map(Result::unwrap_err).collect();
    assert!(errors.iter().all(|e| matches!(e, ConnectError::Unavailable { .. })));
    assert!(errors.iter().any(|e| e.to_string().contains("nothing was sent") && e.to_string().contains("in a row")), "{}", errors[0]);
}

#[tokio::test]
async fn an_assertion_is_signed_again_for_each_attempt() {
    let server = Server::start(|seen, n| match (seen.is_token(), n) {
        (true, 1) => Reply::empty(503),
        (true, _) => Reply::token(n, 3600),
        (false, _) => Reply::json(200, EMPTY_PAGE),
    })
    .await;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["d365map.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let pem = SecretString::from(key.serialize_pem());
    let credential = Credential::Certificate(ClientCertificate::new(&certificate.pem(), &pem, Signature::Ps256).unwrap());
    let (dataverse, _) = connect(&server, quick(), credential);
    read(&dataverse).await.unwrap();
    let bodies: Vec<_> = server.tokens().into_iter().map(|t| t.body).collect();
    assert_eq!(bodies.len(), 2);
    assert!(bodies.iter().all(|b| b.contains("client_assertion=") && !b.contains("client_secret")));
    assert_ne!(bodies[0], bodies[1]);
}
