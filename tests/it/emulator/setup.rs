//! What an administrator sets up: certificates, secrets, users, privileges, keys, clocks, limits; and trouble on the wire.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use d365map_emulator::{Config, credentials};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Digest as _;

use super::{Bench, ID, OTHER_ID, refused};

struct Signer {
    pem: String,
    der: Vec<u8>,
    key: EncodingKey,
}

impl Signer {
    fn new() -> Signer {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["client.test".to_owned()]).unwrap().self_signed(&key).unwrap();
        let der = certificate.der().to_vec();
        Signer { pem: certificate.pem(), der, key: EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes()).unwrap() }
    }

    fn header(&self, algorithm: Algorithm) -> Header {
        let mut header = Header::new(algorithm);
        match algorithm {
            Algorithm::PS256 => header.x5t_s256 = Some(URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(&self.der))),
            _ => header.x5t = Some(URL_SAFE_NO_PAD.encode(sha1::Sha1::digest(&self.der))),
        }
        header
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.key).unwrap()
    }
}

fn claims(bench: &Bench) -> Value {
    let now = chrono::Utc::now().timestamp();
    let id = credentials().dataverse.id;
    json!({"aud": bench.running.dataverse_token_url(), "iss": id, "sub": id, "jti": uuid::Uuid::new_v4(), "nbf": now, "iat": now, "exp": now + 300})
}

/// Asks for a token with an assertion: the status and the error's code, 0 for none.
async fn ask(bench: &Bench, assertion: &str) -> (u16, u64) {
    let scope = format!("{}/.default", bench.running.dataverse_url());
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &credentials().dataverse.id),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
        ("scope", &scope),
    ];
    let answer = bench.http.post(bench.running.dataverse_token_url()).form(&form).send().await.unwrap();
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body["error_codes"][0].as_u64().unwrap_or(0))
}

#[tokio::test]
async fn both_documented_forms_of_an_assertion_are_taken_once_each() {
    let signer = Signer::new();
    let bench = Bench::with(Config { certificate: Some(signer.pem.clone()), ..Config::default() }).await;
    for algorithm in [Algorithm::PS256, Algorithm::RS256] {
        let assertion = signer.sign(&signer.header(algorithm), &claims(&bench));
        assert_eq!(ask(&bench, &assertion).await, (200, 0), "{algorithm:?}");
        assert_eq!(ask(&bench, &assertion).await, (401, 50_013), "a used jti");
    }
}

#[tokio::test]
async fn an_assertion_is_checked_claim_by_claim() {
    let signer = Signer::new();
    let bench = Bench::with(Config { certificate: Some(signer.pem.clone()), ..Config::default() }).await;
    let header = signer.header(Algorithm::PS256);
    let with = |name: &str, value: Value| {
        let mut claims = claims(&bench);
        claims[name] = value;
        signer.sign(&header, &claims)
    };
    let now = chrono::Utc::now().timestamp();
    for (name, value, code) in [
        ("aud", json!("https://login.microsoftonline.com/other/oauth2/v2.0/token"), 700_023),
        ("iss", json!("someone"), 700_021),
        ("sub", json!("someone"), 700_021),
        ("exp", json!(now - 3600), 700_024),
        ("nbf", json!(now + 3600), 700_024),
        ("exp", json!(now + 30 * 24 * 3600), 700_024),
        ("jti", json!(""), 50_027),
    ] {
        assert_eq!(ask(&bench, &with(name, value)).await.1, code, "{name}");
    }
    let stranger = Signer::new();
    assert_eq!(ask(&bench, &stranger.sign(&stranger.header(Algorithm::PS256), &claims(&bench))).await, (401, 700_027), "not registered");
    assert_eq!(ask(&bench, &stranger.sign(&header, &claims(&bench))).await, (401, 700_027), "another key than the certificate's");
    let mut swapped = Header::new(Algorithm::PS256);
    swapped.x5t = signer.header(Algorithm::RS256).x5t;
    assert_eq!(ask(&bench, &signer.sign(&swapped, &claims(&bench))).await, (401, 700_027), "PS256 goes with x5t#S256");
    let shared = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(&bench), &EncodingKey::from_secret(b"x")).unwrap();
    assert_eq!(ask(&bench, &shared).await, (400, 50_027));
    assert_eq!(ask(&bench, "no.jwt").await, (400, 50_027));
    bench.admin("setup", json!({"certificates": []})).await;
    assert_eq!(ask(&bench, &signer.sign(&header, &claims(&bench))).await, (401, 700_027), "taken away");
    bench.admin("setup", json!({"certificates": [signer.pem]})).await;
    bench.admin("setup", json!({"clock_skew": 3600})).await;
    assert_eq!(ask(&bench, &signer.sign(&header, &claims(&bench))).await, (401, 700_024), "the service's clock decides");
}

#[tokio::test]
async fn the_discovery_document_names_the_token_endpoint() {
    let bench = Bench::new().await;
    let url = format!("{}/{}/v2.0/.well-known/openid-configuration", bench.running.dataverse_url(), credentials().tenant);
    let body: Value = bench.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(body["token_endpoint"], bench.running.dataverse_token_url());
    assert_eq!(body["token_endpoint_auth_methods_supported"], json!(["client_secret_post", "private_key_jwt", "client_secret_basic"]));
}

#[tokio::test]
async fn an_expired_secret_is_distinguished_from_a_wrong_one() {
    let seed = json!({"dataverse": {"setup": [{"client": credentials().dataverse_other.id, "secret": "expired"}]}});
    let bench = Bench::seeded(seed).await;
    let other = credentials().dataverse_other;
    let scope = format!("{}/.default", bench.running.dataverse_url());
    let mut form =
        vec![("grant_type", "client_credentials"), ("client_id", &other.id), ("client_secret", &other.secret), ("scope", &scope)];
    let answer = bench.http.post(bench.running.dataverse_token_url()).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.json::<Value>().await.unwrap()["error_codes"], json!([7_000_222]));
    form.remove(2);
    let answer = bench.http.post(bench.running.dataverse_token_url()).form(&form).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["error_codes"], json!([7_000_218]));
}

#[tokio::test]
async fn an_application_without_an_enabled_user_is_shut_out_with_a_good_token() {
    let bench = Bench::new().await;
    for (state, code) in [("missing", "0x80072560"), ("disabled", "0x80040225")] {
        bench.admin("setup", json!({"application_user": state})).await;
        let (status, found, _) = refused(bench.dv(Method::GET, "WhoAmI")).await;
        assert_eq!((status, found.as_str()), (403, code));
    }
    bench.admin("setup", json!({"application_user": "enabled"})).await;
    bench.get("WhoAmI").await;
}

#[tokio::test]
async fn a_missing_privilege_is_named() {
    let bench = Bench::new().await;
    bench.contact(ID, json!({"lastname": "A"})).await;
    let url = format!("contacts({ID})");
    let upsert = || bench.dv(Method::PATCH, &url).json(&json!({"lastname": "B"}));
    let fresh = || bench.dv(Method::PATCH, &format!("contacts({OTHER_ID})")).json(&json!({"lastname": "B"}));
    let track = || bench.dv(Method::GET, "contacts?$select=lastname").header("Prefer", "odata.track-changes");
    let deny = |operation: &str| json!({"denied": [{"table": "contact", "operation": operation}]});
    bench.admin("setup", deny("create")).await;
    let (status, code, message) = refused(fresh()).await;
    assert_eq!((status, code.as_str()), (403, "0x80040220"));
    let user = credentials().dataverse.user;
    assert!(
        message.starts_with(&format!("Principal user (Id={user}")) && message.contains("is missing prvCreateContact privilege"),
        "{message}"
    );
    assert!(message.ends_with("for entity 'contact'."), "{message}");
    assert_eq!(upsert().send().await.unwrap().status(), 204);
    bench.admin("setup", deny("write")).await;
    assert_eq!(refused(upsert()).await.0, 403);
    let bulk = json!({"Targets": [{"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": ID}]});
    let (_, _, message) = refused(bench.dv(Method::POST, "contacts/Microsoft.Dynamics.CRM.UpdateMultiple").json(&bulk)).await;
    assert!(message.contains("CrmCheckPrivilege failed") && message.contains("prvWriteContact"), "{message}");
    bench.admin("setup", deny("delete")).await;
    assert_eq!(refused(bench.dv(Method::DELETE, &url)).await.0, 403);
    bench.admin("setup", deny("read-organization")).await;
    assert_eq!(refused(track()).await.0, 403, "change tracking reads the whole organization");
    bench.get(&url).await;
    bench.admin("setup", deny("read")).await;
    assert_eq!((refused(bench.dv(Method::GET, &url)).await.0, refused(track()).await.0), (403, 403));
    bench.get("accounts").await;
    bench.admin("setup", json!({"denied": []})).await;
    bench.get(&url).await;
}

#[tokio::test]
async fn the_clock_of_the_service_can_be_wrong() {
    let bench = Bench::new().await;
    bench.admin("setup", json!({"clock_skew": -7200})).await;
    for request in [bench.dv(Method::GET, "WhoAmI"), bench.http.post(bench.running.dataverse_token_url())] {
        let answer = request.send().await.unwrap();
        let date = chrono::DateTime::parse_from_rfc2822(answer.headers()["date"].to_str().unwrap()).unwrap();
        let behind = chrono::Utc::now().timestamp() - date.timestamp();
        assert!((7195..7230).contains(&behind), "{behind}");
    }
    bench.contact(ID, json!({"lastname": "A"})).await;
    let row = bench.get(&format!("contacts({ID})?$select=createdon")).await;
    let created = chrono::DateTime::parse_from_rfc3339(row["createdon"].as_str().unwrap()).unwrap();
    assert!(chrono::Utc::now().timestamp() - created.timestamp() > 7000);
}

#[tokio::test]
async fn a_key_serves_while_its_index_is_active() {
    let seed = json!({"dataverse": {"tables": {"contact": {"keys": [{"name": "new_byemployee", "columns": ["employeeid"]}]}}}});
    let bench = Bench::seeded(seed).await;
    bench.contact(ID, json!({"employeeid": "1"})).await;
    let url = "contacts(employeeid='1')";
    let twin = || bench.dv(Method::POST, "contacts").json(&json!({"contactid": OTHER_ID, "employeeid": "1"}));
    assert_eq!(refused(twin()).await.1, "0x80060892");
    for status in ["Pending", "InProgress", "Failed"] {
        bench.admin("table", json!({"table": "contact", "keys": {"new_byemployee": status}})).await;
        assert_eq!(refused(bench.dv(Method::GET, url)).await.0, 400, "{status}");
        let keys = bench.get("EntityDefinitions(LogicalName='contact')/Keys?$select=EntityKeyIndexStatus").await;
        assert_eq!(keys["value"][0]["EntityKeyIndexStatus"], status);
    }
    // Without an index nothing is held unique; building it over duplicates fails.
    assert_eq!(twin().send().await.unwrap().status(), 204);
    bench.admin("table", json!({"table": "contact", "keys": {"new_byemployee": "Active"}})).await;
    let keys = bench.get("EntityDefinitions(LogicalName='contact')/Keys").await;
    assert_eq!(keys["value"][0]["EntityKeyIndexStatus"], "Failed");
    assert_eq!(bench.dv(Method::DELETE, &format!("contacts({OTHER_ID})")).send().await.unwrap().status(), 204);
    bench.admin("table", json!({"table": "contact", "keys": {"new_byemployee": "Active"}})).await;
    assert_eq!(bench.get(url).await["contactid"], ID);
}

#[tokio::test]
async fn change_tracking_can_be_off() {
    let bench = Bench::new().await;
    bench.admin("table", json!({"table": "contact", "tracking": false})).await;
    assert_eq!(refused(bench.dv(Method::GET, "contacts").header("Prefer", "odata.track-changes")).await.0, 400);
    assert_eq!(bench.get("EntityDefinitions(LogicalName='contact')?$select=ChangeTrackingEnabled").await["ChangeTrackingEnabled"], false);
}

#[tokio::test]
async fn rows_change_by_another_users_hand_and_columns_come_and_kill_delta_tokens() {
    let bench = Bench::new().await;
    bench.contact(ID, json!({"lastname": "A", "firstname": "Z", "gendercode": 1})).await;
    let page = super::ok(bench.dv(Method::GET, "contacts?$select=lastname").header("Prefer", "odata.track-changes")).await;
    let link = page["@odata.deltaLink"].as_str().unwrap().to_owned();
    let url = format!("{}/rows/contact", bench.running.admin_url());
    let made = bench.http.post(&url).json(&json!({"contactid": OTHER_ID, "lastname": "B", "statecode": 1})).send().await.unwrap();
    assert_eq!((made.status().as_u16(), made.json::<Value>().await.unwrap()), (201, json!({"id": OTHER_ID})));
    let patched = bench.http.patch(format!("{url}/{ID}")).json(&json!({"lastname": "C"})).send().await.unwrap();
    assert_eq!(patched.status(), 204);
    let row = bench.get(&format!("contacts({ID})?$select=lastname,_modifiedby_value")).await;
    assert_eq!((&row["lastname"], &row["_modifiedby_value"]), (&json!("C"), &json!(credentials().dataverse_other.user)));
    assert_eq!(bench.http.delete(format!("{url}/{OTHER_ID}")).send().await.unwrap().status(), 204);
    let delta = bench.get(&link).await;
    assert_eq!((delta["value"].as_array().unwrap().len(), &delta["value"][1]["reason"]), (2, &json!("deleted")));
    assert_eq!(bench.http.patch(format!("{url}/{ID}")).json(&json!({"nosuch": 1})).send().await.unwrap().status(), 400);

    let column = json!({"name": "aaa_first", "schema": "aaa_First", "type": "String", "label": "First", "length": 10});
    bench.admin("add-column", json!({"table": "contact", "column": column})).await;
    assert_eq!(refused(bench.dv(Method::GET, &link)).await.1, "0x80044352");
    // The other columns' values are where they were.
    let row = bench.get(&format!("contacts({ID})?$select=aaa_first,firstname,lastname,gendercode")).await;
    assert_eq!(
        (&row["aaa_first"], &row["firstname"], &row["lastname"], &row["gendercode"]),
        (&json!(null), &json!("Z"), &json!("C"), &json!(1))
    );
    assert_eq!(bench.dv(Method::PATCH, &format!("contacts({ID})")).json(&json!({"aaa_first": "x"})).send().await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_client_that_keeps_the_affinity_cookie_meets_the_limit_earlier() {
    let bench = Bench::with(Config { servers: 3, service_protection: Some((4, Duration::from_secs(300))), ..Config::default() }).await;
    let mut passed = 0;
    while bench.dv(Method::GET, "WhoAmI").send().await.unwrap().status() == 200 {
        passed += 1;
    }
    assert!((10..=12).contains(&passed), "three servers with four requests each: {passed}");
    bench.admin("throttle", json!({"requests": 4, "window": 300_000})).await;
    let first = bench.dv(Method::GET, "WhoAmI").send().await.unwrap();
    assert_eq!(first.headers()["x-ms-ratelimit-burst-remaining-xrm-requests"], "3");
    assert_eq!(first.headers()["x-ms-ratelimit-time-remaining-xrm-requests"], "1,200.00");
    let cookie = first.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("ARRAffinity="));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(bench.dv(Method::GET, "WhoAmI").header("Cookie", &cookie).send().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
}

#[tokio::test]
async fn execution_time_and_concurrency_have_separate_limits() {
    let bench = Bench::with(Config { latency: Duration::from_millis(60), ..Config::default() }).await;
    bench.admin("throttle", json!({"execution": 100, "window": 60_000})).await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        let body: Value = bench.dv(Method::GET, "WhoAmI").send().await.unwrap().json().await.unwrap();
        codes.push(body["error"]["code"].as_str().unwrap_or("").to_owned());
    }
    assert_eq!(codes, ["", "", "0x80072321"]);
    bench.admin("throttle", json!({"concurrency": 1})).await;
    let (a, b) = tokio::join!(bench.dv(Method::GET, "WhoAmI").send(), bench.dv(Method::GET, "WhoAmI").send());
    let mut statuses = [a.unwrap().status().as_u16(), b.unwrap().status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 429]);
    bench.admin("setup", json!({"dop_hint": 9})).await;
    bench.admin("throttle", json!({})).await;
    assert_eq!(bench.dv(Method::GET, "WhoAmI").send().await.unwrap().headers()["x-ms-dop-hint"], "9");
}

#[tokio::test]
async fn an_answer_can_break_off_or_dribble() {
    let bench = Bench::with(Config { contacts: 50, ..Config::default() }).await;
    bench.admin("fail-next", json!({"kind": "cut-body"})).await;
    let answer = bench.dv(Method::GET, "contacts").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.is_err(), "the body ends early");
    bench.admin("fail-next", json!({"kind": "slow-body", "delay": 20})).await;
    let begun = Instant::now();
    let answer = bench.dv(Method::GET, "contacts").send().await.unwrap();
    let head = begun.elapsed();
    assert_eq!(answer.json::<Value>().await.unwrap()["value"].as_array().unwrap().len(), 50);
    assert!(begun.elapsed() >= Duration::from_millis(180) && head < Duration::from_millis(150), "{head:?}, {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_request_can_be_processed_twice_and_an_answer_come_twice() {
    let bench = Bench::new().await;
    bench.admin("fail-next", json!({"kind": "duplicate", "method": "POST"})).await;
    let created = bench.dv(Method::POST, "contacts").json(&json!({"lastname": "twin"})).send().await.unwrap();
    assert_eq!((created.status().as_u16(), bench.look("dump/contacts").await.as_array().unwrap().len()), (204, 2));
    bench.admin("fail-next", json!({"kind": "repeated-answer", "method": "GET"})).await;
    let first = bench.get("contacts?$select=lastname").await;
    assert_eq!(first["value"].as_array().unwrap().len(), 2);
    // Whatever the pool does with the second copy, the next answer is the right one.
    assert!(bench.get("WhoAmI").await["UserId"].is_string());
    let mut raw = tokio::net::TcpStream::connect(bench.running.dataverse_url().trim_start_matches("http://")).await.unwrap();
    bench.admin("fail-next", json!({"kind": "repeated-answer", "path": "WhoAmI"})).await;
    let request =
        format!("GET /api/data/v9.2/WhoAmI HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n", bench.dataverse);
    tokio::io::AsyncWriteExt::write_all(&mut raw, request.as_bytes()).await.unwrap();
    let mut text = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut raw, &mut text).await.unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{text}");
}
