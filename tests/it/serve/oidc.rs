//! Sign-in with an OpenID provider: a small one of this test, which can do everything wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use d365map::project::{Role, SignInSettings};
use d365map::serve::access::{AccessConfig, Rate, SignInService};
use d365map::time::Instant;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use super::access::{Answer, Site};

/// A key of the provider, with its public half.
#[derive(Clone)]
struct Key {
    signs: EncodingKey,
    algorithm: Algorithm,
    public: Value,
}

fn key(id: &str, algorithm: Algorithm) -> Key {
    let kind = match algorithm {
        Algorithm::ES256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        Algorithm::EdDSA => &rcgen::PKCS_ED25519,
        _ => &rcgen::PKCS_RSA_SHA256,
    };
    let pair = rcgen::KeyPair::generate_for(kind).expect("a key");
    let pem = pair.serialize_pem();
    let signs = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
        _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
    }
    .expect("a key");
    let mut public = if algorithm == Algorithm::EdDSA {
        json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": URL_SAFE_NO_PAD.encode(pair.public_key_raw()) })
    } else {
        serde_json::to_value(Jwk::from_encoding_key(&signs, algorithm).expect("a public key")).expect("JSON")
    };
    (public["kid"], public["use"]) = (json!(id), json!("sig"));
    Key { signs, algorithm, public }
}

impl Key {
    fn sign(&self, id: &str, claims: &Value) -> String {
        let header = Header { kid: Some(id.to_owned()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.signs).expect("a token")
    }
}

/// What the provider does.
struct Behavior {
    /// Changes of the configuration.
    configuration: Value,
    /// The keys that are published.
    published: Vec<Value>,
    /// The key that signs, and its id.
    signs: (String, Key),
    /// Changes of the claims; `null` leaves one out.
    claims: Value,
    /// Makes a token of the claims in another way.
    token: Option<fn(&Value, &Key) -> String>,
    now: Instant,
    /// The challenge and the nonce of the last request.
    asked: (String, String),
    /// How often keys were fetched.
    fetched: u32,
    /// What was sent for the token, and how the client authenticated.
    redeemed: Vec<(BTreeMap<String, String>, String)>,
}

#[derive(Clone)]
struct Provider {
    behavior: Arc<Mutex<Behavior>>,
    address: Url,
}

impl Provider {
    async fn start(now: Instant) -> Provider {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("an address");
        let key = key("one", Algorithm::ES256);
        let behavior = Behavior {
            configuration: json!({}),
            published: vec![json!({ "kty": "EC", "crv": "secp256k1", "kid": "unknown" }), key.public.clone()],
            signs: ("one".to_owned(), key),
            claims: json!({}),
            token: None,
            now,
            asked: Default::default(),
            fetched: 0,
            redeemed: Vec::new(),
        };
        let provider = Provider { behavior: Arc::new(Mutex::new(behavior)), address };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    fn with<T>(&self, change: impl FnOnce(&mut Behavior) -> T) -> T {
        change(&mut self.behavior.lock().expect("no panic"))
    }

    fn issuer(&self) -> &str {
        self.address.as_str().trim_end_matches('/')
    }
}

fn changed(mut value: Value, changes: &Value) -> Value {
    for (name, change) in changes.as_object().expect("an object") {
        if change.is_null() {
            value.as_object_mut().expect("an object").remove(name);
        } else {
            value[name] = change.clone();
        }
    }
    value
}

async fn configuration(State(provider): State<Provider>) -> Json<Value> {
    let issuer = provider.issuer();
    let own = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize?tenant=a"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
    });
    Json(provider.with(|behavior| changed(own, &behavior.configuration)))
}

async fn keys(State(provider): State<Provider>) -> Json<Value> {
    provider.with(|behavior| {
        behavior.fetched += 1;
        Json(json!({ "keys": behavior.published }))
    })
}

async fn token(State(provider): State<Provider>, headers: HeaderMap, body: String) -> (StatusCode, Json<Value>) {
    let form: BTreeMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    provider.with(|behavior| {
        let authorization = headers.get("authorization").map_or("", |value| value.to_str().expect("text")).to_owned();
        let verifier = form.get("code_verifier").cloned().unwrap_or_default();
        behavior.redeemed.push((form, authorization));
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        if challenge != behavior.asked.0 {
            return (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" })));
        }
        let at = behavior.now.timestamp();
        let own = json!({
            "iss": provider.issuer(), "aud": "d365map", "sub": "1", "iat": at, "exp": at + 3600, "nonce": behavior.asked.1,
            "preferred_username": "ada@contoso.com", "roles": ["ops"],
        });
        let claims = changed(own, &behavior.claims);
        let (id, key) = &behavior.signs;
        let token = behavior.token.map_or_else(|| key.sign(id, &claims), |make| make(&claims, key));
        (StatusCode::OK, Json(json!({ "access_token": "a", "token_type": "Bearer", "id_token": token })))
    })
}

/// A site whose people sign in with the provider.
async fn site(provider: &Provider, change: impl FnOnce(&mut AccessConfig)) -> Site {
    let list = |value: &str| vec![value.to_owned()];
    let settings = SignInSettings {
        issuer: provider.address.clone(),
        client_id: "d365map".to_owned(),
        client_secret: None,
        scopes: vec!["openid".to_owned(), "profile".to_owned()],
        roles_claim: "roles".to_owned(),
        name_claim: "preferred_username".to_owned(),
        roles: vec![(Role::Viewer, list("see")), (Role::Operator, list("ops")), (Role::Admin, list("own"))],
    };
    Site::with(|config| {
        config.public_url = format!("http://{}", config.listen).parse().ok();
        config.sign_in = Some(SignInService { settings, secret: Some(SecretString::from("s3cret/+")) });
        change(config);
    })
    .await
}

async fn start() -> (Provider, Site) {
    let clock_shows = d365map::time::parse_instant("2024-05-01T12:00:00Z").expect("an instant");
    let provider = Provider::start(clock_shows).await;
    let site = site(&provider, |_| {}).await;
    (provider, site)
}

/// The cookies that an answer sets, by name.
fn cookies(answer: &Answer) -> BTreeMap<String, String> {
    let all = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().expect("text"));
    all.map(|cookie| {
        let (name, rest) = cookie.split_once('=').expect("a cookie");
        assert!(rest.contains("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{cookie}");
        (name.to_owned(), rest.split(';').next().unwrap_or_default().to_owned())
    })
    .collect()
}

/// A sign-in that has begun: the browser's cookie, and what was sent to the provider.
struct Begun {
    cookie: String,
    query: BTreeMap<String, String>,
}

async fn begin(provider: &Provider, site: &Site, then: &str) -> Begun {
    let answer = site.get(&format!("/sign-in/oidc?then={then}"), &[]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    let address: Url = answer.header("location").parse().expect("an address");
    assert!(address.as_str().starts_with(&format!("{}/authorize?tenant=a&", provider.issuer())), "{address}");
    let query: BTreeMap<String, String> = address.query_pairs().into_owned().collect();
    provider.with(|behavior| behavior.asked = (query["code_challenge"].clone(), query["nonce"].clone()));
    let cookie = format!("__Host-d365map-sign-in={}", cookies(&answer)["__Host-d365map-sign-in"]);
    Begun { cookie, query }
}

async fn finish(site: &Site, begun: &Begun) -> Answer {
    site.get(&format!("/sign-in/callback?code=c0de&state={}", begun.query["state"]), &[("cookie", &begun.cookie)]).await
}

async fn sign_in(provider: &Provider, site: &Site) -> Answer {
    let begun = begin(provider, site, "/").await;
    finish(site, &begun).await
}

#[tokio::test]
async fn a_person_signs_in_gets_the_role_of_the_claim_and_returns_to_the_page() {
    let (provider, site) = start().await;
    let page = site.get("/page/view?a=b", &[]).await;
    let sign_in = site.get(page.header("location"), &[]).await;
    assert!(sign_in.body.contains("href=\"/sign-in/oidc?then=/page/view%3Fa%3Db\""), "{}", sign_in.body);
    let begun = begin(&provider, &site, "/page/view%3Fa%3Db").await;
    let sent = |name: &str| begun.query[name].as_str();
    assert_eq!(
        [sent("response_type"), sent("client_id"), sent("scope"), sent("code_challenge_method")],
        ["code", "d365map", "openid profile", "S256"]
    );
    let redirect = format!("http://{}/sign-in/callback", site.address);
    assert_eq!(sent("redirect_uri"), redirect);
    assert!(["state", "nonce", "code_challenge"].iter().all(|name| sent(name).len() == 43));

    let answer = finish(&site, &begun).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/page/view?a=b"), "{}", answer.body);
    let set = cookies(&answer);
    assert_eq!(set["__Host-d365map-sign-in"], "");
    let session = format!("__Host-d365map={}", set["__Host-d365map"]);
    let page = site.get("/page/operate", &[("cookie", &session)]).await;
    assert!(page.body.starts_with("ada@contoso.com operator false "), "{}", page.body);
    assert_eq!(site.get("/page/administer", &[("cookie", &session)]).await.status, StatusCode::FORBIDDEN);

    let (form, authorization) = provider.with(|behavior| behavior.redeemed[0].clone());
    assert_eq!(authorization, "Basic ZDM2NW1hcDpzM2NyZXQlMkYlMkI=");
    assert_eq!(form["grant_type"], "authorization_code");
    assert_eq!((form["code"].as_str(), form["redirect_uri"].as_str()), ("c0de", redirect.as_str()));
}

#[tokio::test]
async fn the_secret_is_sent_as_the_provider_wants_it() {
    let (provider, site) = start().await;
    provider.with(|behavior| behavior.configuration = json!({ "token_endpoint_auth_methods_supported": ["client_secret_post"] }));
    assert_eq!(sign_in(&provider, &site).await.status, StatusCode::SEE_OTHER);
    let (form, authorization) = provider.with(|behavior| behavior.redeemed[0].clone());
    assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str(), authorization.as_str()), ("d365map", "s3cret/+", ""));
}

#[tokio::test]
async fn tokens_of_all_four_algorithms_are_accepted() {
    for algorithm in [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA] {
        let (provider, site) = start().await;
        let key = key("k", algorithm);
        provider.with(|behavior| {
            behavior.published = vec![key.public.clone()];
            behavior.signs = ("k".to_owned(), key);
        });
        let answer = sign_in(&provider, &site).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{algorithm:?}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_token_that_is_wrong_in_one_thing_gives_no_session() {
    let (provider, _) = start().await;
    let many = Rate { burst: 100, per_minute: 100 };
    let site = site(&provider, |config| config.rates.sign_in = many).await;
    let at = provider.with(|behavior| behavior.now).timestamp();
    let wrong = [
        json!({ "iss": "https://evil.example" }),
        json!({ "aud": "another" }),
        json!({ "aud": ["d365map", "another"] }),
        json!({ "azp": "another" }),
        json!({ "exp": at - 61 }),
        json!({ "exp": null }),
        json!({ "iat": at + 120 }),
        json!({ "iat": at - 3600 }),
        json!({ "nbf": at + 120 }),
        json!({ "nonce": "another" }),
        json!({ "nonce": null }),
        json!({ "sub": null }),
    ];
    for claims in wrong {
        provider.with(|behavior| behavior.claims = claims.clone());
        let answer = sign_in(&provider, &site).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{claims}");
        assert!(!cookies(&answer).contains_key("__Host-d365map"), "{claims}");
    }
}

#[tokio::test]
async fn a_token_with_another_signature_gives_no_session() {
    fn part(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }
    let unsigned = |claims: &Value, _: &Key| format!("{}.{}.", part(&json!({ "alg": "none", "kid": "one" })), part(claims));
    // The public key as the secret of an HMAC.
    let hmac = |claims: &Value, key: &Key| {
        let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(key.public.to_string().as_bytes())).expect("a token")
    };
    let of_another = |claims: &Value, _: &Key| key("one", Algorithm::ES256).sign("one", claims);
    let changed = |claims: &Value, key: &Key| {
        let token = key.sign("one", claims);
        let [header, _, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
        let mut claims = claims.clone();
        claims["roles"] = json!(["own"]);
        format!("{header}.{}.{signature}", part(&claims))
    };
    let no_token = |_: &Value, _: &Key| String::new();
    let ways: [fn(&Value, &Key) -> String; 5] = [unsigned, hmac, of_another, changed, no_token];
    let (provider, site) = start().await;
    for (n, way) in ways.into_iter().enumerate() {
        provider.with(|behavior| behavior.token = Some(way));
        let answer = sign_in(&provider, &site).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{n}");
        assert!(!cookies(&answer).contains_key("__Host-d365map"), "{n}");
    }
}

#[tokio::test]
async fn a_new_key_is_fetched_once_a_minute_at_most() {
    let (provider, site) = start().await;
    assert_eq!(sign_in(&provider, &site).await.status, StatusCode::SEE_OTHER);
    assert_eq!(sign_in(&provider, &site).await.status, StatusCode::SEE_OTHER);
    let fetched = || provider.with(|behavior| behavior.fetched);
    assert_eq!(fetched(), 1);
    // The provider signs with a key that it has not published when the keys were fetched.
    let new = key("two", Algorithm::ES256);
    provider.with(|behavior| {
        behavior.published.push(new.public.clone());
        behavior.signs = ("two".to_owned(), new);
    });
    assert_eq!(sign_in(&provider, &site).await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(fetched(), 1);
    site.clock.advance(chrono::TimeDelta::seconds(60));
    assert_eq!(sign_in(&provider, &site).await.status, StatusCode::SEE_OTHER);
    assert_eq!(fetched(), 2);
    // A key that does not exist does not make every sign-in fetch keys.
    provider.with(|behavior| behavior.signs.0 = "three".to_owned());
    for _ in 0..3 {
        assert_eq!(sign_in(&provider, &site).await.status, StatusCode::BAD_GATEWAY);
    }
    assert_eq!(fetched(), 2);
}

#[tokio::test]
async fn an_answer_that_this_browser_did_not_ask_for_gives_no_session() {
    let (provider, site) = start().await;
    let begun = begin(&provider, &site, "/").await;
    let other = begin(&provider, &site, "/").await;
    let state = begun.query["state"].as_str();
    let cookie = begun.cookie.as_str();
    for (path, cookie) in [
        (format!("/sign-in/callback?code=c&state={state}"), ""),
        (format!("/sign-in/callback?code=c&state={state}"), other.cookie.as_str()),
        (format!("/sign-in/callback?code=c&state={state}x"), cookie),
        ("/sign-in/callback?code=c".to_owned(), cookie),
        (format!("/sign-in/callback?state={state}"), cookie),
        (format!("/sign-in/callback?code=c&state={state}&iss=https://evil.example"), cookie),
        (format!("/sign-in/callback?code=c&state={state}"), &format!("{cookie}x")),
    ] {
        let answer = site.get(&path, &[("cookie", cookie)]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {}", answer.body);
        assert!(cookies(&answer).is_empty(), "{path}");
    }
    assert!(provider.with(|behavior| behavior.redeemed.is_empty()), "no code was redeemed");
    site.clock.advance(chrono::TimeDelta::minutes(10));
    assert_eq!(finish(&site, &begun).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_provider_that_names_itself_in_answers_must_do_so() {
    let (provider, site) = start().await;
    provider.with(|behavior| behavior.configuration = json!({ "authorization_response_iss_parameter_supported": true }));
    assert_eq!(sign_in(&provider, &site).await.status, StatusCode::BAD_REQUEST);
    let begun = begin(&provider, &site, "/").await;
    let path = format!("/sign-in/callback?code=c&state={}&iss={}", begun.query["state"], provider.issuer());
    assert_eq!(site.get(&path, &[("cookie", &begun.cookie)]).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_person_without_a_role_sees_which_claim_was_read() {
    let (provider, site) = start().await;
    for (claims, part) in [
        (json!({ "roles": ["guest", "<b>"] }), "has the values <code>guest</code>, <code>&lt;b&gt;</code>"),
        (json!({ "roles": null }), "is missing"),
        (json!({ "roles": 1 }), "is empty, or neither a text"),
    ] {
        provider.with(|behavior| behavior.claims = claims.clone());
        let answer = sign_in(&provider, &site).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(answer.body.contains("<code>roles</code>") && answer.body.contains(part), "{}", answer.body);
        assert!(answer.body.contains("ada@contoso.com") && !cookies(&answer).contains_key("__Host-d365map"));
    }
}

#[tokio::test]
async fn what_the_provider_says_is_shown_as_text() {
    let (provider, site) = start().await;
    let begun = begin(&provider, &site, "/").await;
    let path = format!("/sign-in/callback?error=access_denied&error_description=%3Cscript%3E&state={}", begun.query["state"]);
    let answer = site.get(&path, &[("cookie", &begun.cookie)]).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.body.contains("access_denied: &lt;script&gt;"), "{}", answer.body);
}

#[tokio::test]
async fn a_configuration_of_another_issuer_or_without_encryption_is_not_used() {
    for configuration in [
        json!({ "issuer": "https://evil.example" }),
        json!({ "token_endpoint": "http://evil.example/token" }),
        json!({ "jwks_uri": "http://evil.example/keys" }),
        json!({ "authorization_endpoint": "javascript:alert(1)" }),
        json!({ "token_endpoint": null }),
    ] {
        let (provider, site) = start().await;
        provider.with(|behavior| behavior.configuration = configuration.clone());
        let answer = site.get("/sign-in/oidc", &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{configuration}");
    }
}

#[tokio::test]
async fn a_sign_in_leads_to_pages_of_this_server_only() {
    let (provider, site) = start().await;
    for then in ["//evil.example", "https://evil.example/", "/%5Cevil.example"] {
        let begun = begin(&provider, &site, then).await;
        assert_eq!(finish(&site, &begun).await.header("location"), "/", "{then}");
    }
}

#[tokio::test]
async fn a_sign_in_begins_at_the_host_to_which_people_are_sent_back() {
    let (provider, site) = start().await;
    let answer = site.get("/sign-in/oidc?then=/page/view", &[("host", "localhost:1")]).await;
    let expected = format!("http://{}/sign-in/oidc?then=/page/view", site.address);
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, expected.as_str()));
    assert!(cookies(&answer).is_empty());
    drop(provider);
}
