//! Who may do what, over HTTP: a router with a route for each kind of door, behind the guards of the service.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get};
use bytes::Bytes;
use d365map::run::Clock;
use d365map::serve::access::{
    Access, AccessConfig, AccessError, ApiClient, Auditor, BODY_LIMIT, Caller, Door, Peer, Rate, Rates, Right, Role,
};
use d365map::store::{Audit, AuditFilter, AuditResult, in_memory};
use d365map::time;
use reqwest::header::{HeaderMap, SET_COOKIE};
use reqwest::{Client, Method, StatusCode};
use secrecy::SecretString;

const DOORS: [(Door, &str); 5] =
    [(Door::Page, "page"), (Door::Action, "action"), (Door::Api, "api/v1"), (Door::Live, "live"), (Door::Open, "open")];

/// A server on a free port, and its clock, which does not move by itself.
pub struct Site {
    pub access: Access,
    /// The audit log of the project `crm`.
    pub audit: Arc<dyn Audit>,
    pub clock: Clock,
    pub address: SocketAddr,
    client: Client,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The id in the cookie that the answer sets.
    fn session(&self) -> String {
        let cookie = self.header(SET_COOKIE.as_str());
        cookie.strip_prefix("__Host-d365map=").and_then(|rest| rest.split(';').next()).unwrap_or_else(|| panic!("{cookie:?}")).to_owned()
    }
}

fn token(role: Role) -> String {
    format!("{}-0123456789abcdef0123456789abcdef", role.name())
}

fn right_name(right: Right) -> String {
    format!("{right:?}").to_lowercase()
}

/// What every route of the test answers: who asks.
async fn who(caller: Option<Caller>, body: Bytes) -> String {
    match caller {
        Some(caller) => {
            format!("{} {} {} {} {}", caller.name, caller.role.name(), caller.is_client(), caller.csrf.unwrap_or_default(), body.len())
        }
        None => "a stranger".to_owned(),
    }
}

impl Site {
    pub async fn start() -> Site {
        Site::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut AccessConfig)) -> Site {
        let clock = Clock::stopped(time::parse_instant("2024-05-01T12:00:00Z").expect("an instant"));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut config = AccessConfig::local(address, clock.clone());
        config.clients = Role::ALL
            .into_iter()
            .map(|role| ApiClient { name: format!("the {}", role.name()), token: SecretString::from(token(role)), role })
            .collect();
        let audit = in_memory().expect("a store").audit;
        config.auditor = Auditor::new(clock.clone(), [("crm".to_owned(), audit.clone())]);
        change(&mut config);
        let access = Access::new(config).expect("a safe configuration");
        let mut router = Router::new().merge(access.routes());
        for right in Right::ALL {
            for (door, path) in DOORS {
                router = router.route(&format!("/{path}/{}", right_name(right)), any(who).layer(access.guard(right, door)));
            }
        }
        let router = access.around(router.route("/", get(who)));
        tokio::spawn(async move { axum::serve(listener, router.into_make_service_with_connect_info::<Peer>()).await });
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().expect("a client");
        Site { access, audit, clock, address, client }
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Answer {
        let mut request = self.client.request(method, format!("http://{}{path}", self.address)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("an answer");
        Answer { status: answer.status(), headers: answer.headers().clone(), body: answer.text().await.expect("a text") }
    }

    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, headers, "").await
    }

    async fn post_form(&self, path: &str, headers: &[(&str, &str)], form: &str) -> Answer {
        let headers = [headers, &[("content-type", "application/x-www-form-urlencoded")]].concat();
        self.send(Method::POST, path, &headers, form.to_owned()).await
    }

    /// The path of a fresh link.
    fn link(&self) -> String {
        let link = self.access.link(self.address.port());
        link.strip_prefix(&format!("http://{}", self.address)).unwrap_or_else(|| panic!("{link}")).to_owned()
    }

    /// Signs in by a link and returns the header with the cookie, and the CSRF token.
    async fn sign_in(&self) -> (String, String) {
        let answer = self.get(&self.link(), &[]).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/"));
        let cookie = format!("__Host-d365map={}", answer.session());
        let csrf = self.csrf(&cookie).await.expect("a session");
        (cookie, csrf)
    }

    /// The CSRF token of a session; none if there is no session.
    async fn csrf(&self, cookie: &str) -> Option<String> {
        let answer = self.get("/page/view", &[("cookie", cookie)]).await;
        let words = answer.body.split(' ').collect::<Vec<_>>();
        (answer.status == StatusCode::OK).then(|| words[words.len() - 2].to_owned())
    }
}

#[tokio::test]
async fn without_a_session_only_open_doors_are_open() {
    let site = Site::start().await;
    let page = site.get("/page/view?a=1&b=2", &[]).await;
    assert_eq!((page.status, page.header("location")), (StatusCode::SEE_OTHER, "/sign-in?then=/page/view%3Fa%3D1%26b%3D2"));
    let action = site.post_form("/action/view", &[], "csrf=x").await;
    assert_eq!(action.status, StatusCode::UNAUTHORIZED);
    for path in ["/api/v1/view", "/live/view"] {
        let answer = site.get(path, &[]).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (StatusCode::UNAUTHORIZED, "Bearer"), "{path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert!(answer.body.contains("\"status\":401"), "{}", answer.body);
    }
    assert_eq!(site.get("/open/administer", &[]).await.body, "a stranger");
}

#[tokio::test]
async fn a_link_signs_in_once_with_a_cookie_that_only_this_server_gets() {
    let site = Site::start().await;
    let link = site.link();
    let answer = site.get(&link, &[]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let cookie = answer.header("set-cookie");
    let attributes = cookie.split_once("; ").expect("attributes").1;
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax");
    assert_eq!(answer.session().len(), 43);
    let again = site.get(&link, &[]).await;
    assert_eq!(again.status, StatusCode::FORBIDDEN);
    assert!(!again.headers.contains_key(SET_COOKIE));
    // The person is an administrator, and sees no page to sign in.
    let cookie = format!("__Host-d365map={}", answer.session());
    assert!(site.get("/page/administer", &[("cookie", &cookie)]).await.body.starts_with("local administrator admin false "));
    let sign_in = site.get("/sign-in?then=/page/view", &[("cookie", &cookie)]).await;
    assert_eq!((sign_in.status, sign_in.header("location")), (StatusCode::SEE_OTHER, "/page/view"));
}

#[tokio::test]
async fn a_link_works_on_this_machine_only_and_survives_a_browser_that_loads_ahead() {
    let site = Site::with(|config| config.behind_proxy = true).await;
    let link = site.link();
    let forwarded = site.get(&link, &[("x-forwarded-for", "127.0.0.1")]).await;
    assert_eq!(forwarded.status, StatusCode::FORBIDDEN);
    let ahead = site.get(&link, &[("sec-purpose", "prefetch;prerender")]).await;
    assert_eq!(ahead.status, StatusCode::SERVICE_UNAVAILABLE);
    site.clock.advance(chrono::TimeDelta::minutes(14));
    assert_eq!(site.get(&link, &[]).await.status, StatusCode::SEE_OTHER);
    let late = site.link();
    site.clock.advance(chrono::TimeDelta::minutes(15));
    assert_eq!(site.get(&late, &[]).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_id_that_a_browser_brings_along_does_not_become_a_session() {
    let site = Site::start().await;
    let planted = "__Host-d365map=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let answer = site.get(&site.link(), &[("cookie", planted)]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(!planted.ends_with(&answer.session()));
    assert_eq!(site.csrf(planted).await, None);
    // Signing in again gives another id, and the first session ends.
    let first = format!("__Host-d365map={}", answer.session());
    assert!(site.csrf(&first).await.is_some());
    let second = format!("__Host-d365map={}", site.get(&site.link(), &[("cookie", &first)]).await.session());
    assert_eq!(site.csrf(&first).await, None);
    assert!(site.csrf(&second).await.is_some());
}

#[tokio::test]
async fn a_session_ends_by_time_by_signing_out_and_never_belongs_to_a_forged_cookie() {
    let site = Site::start().await;
    let (cookie, csrf) = site.sign_in().await;
    for forged in [cookie[..cookie.len() - 1].to_owned(), format!("{cookie}A"), "__Host-d365map=".to_owned(), format!("{cookie}; {cookie}")]
    {
        assert_eq!(site.csrf(&forged).await, None, "{forged}");
    }
    site.clock.advance(chrono::TimeDelta::minutes(59));
    assert!(site.csrf(&cookie).await.is_some());
    site.clock.advance(chrono::TimeDelta::minutes(60));
    assert_eq!(site.csrf(&cookie).await, None);
    let old = site.post_form("/action/operate", &[("cookie", &cookie)], &format!("csrf={csrf}")).await;
    assert_eq!(old.status, StatusCode::UNAUTHORIZED);

    let (cookie, csrf) = site.sign_in().await;
    let refused = site.post_form("/sign-out", &[("cookie", &cookie)], "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let out = site.post_form("/sign-out", &[("cookie", &cookie)], &format!("csrf={csrf}")).await;
    assert_eq!((out.status, out.header("location")), (StatusCode::SEE_OTHER, "/sign-in?out=true"));
    assert!(out.header("set-cookie").ends_with("; Max-Age=0"), "{out:?}");
    assert_eq!(site.csrf(&cookie).await, None);
}

#[tokio::test]
async fn a_stream_does_not_keep_a_session_alive() {
    let site = Site::start().await;
    let (cookie, _) = site.sign_in().await;
    for _ in 0..2 {
        site.clock.advance(chrono::TimeDelta::minutes(29));
        assert_eq!(site.get("/live/view", &[("cookie", &cookie)]).await.status, StatusCode::OK);
    }
    site.clock.advance(chrono::TimeDelta::minutes(2));
    assert_eq!(site.get("/live/view", &[("cookie", &cookie)]).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_role_has_its_rights_and_no_others() {
    let site = Site::start().await;
    for role in Role::ALL {
        let bearer = format!("Bearer {}", token(role));
        for right in Right::ALL {
            for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
                let answer = site.send(method, &format!("/api/v1/{}", right_name(right)), &[("authorization", &bearer)], "").await;
                let expected = if role >= right.least() { StatusCode::OK } else { StatusCode::FORBIDDEN };
                assert_eq!(answer.status, expected, "{role:?} {right:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_token_of_a_client_opens_the_api_and_no_page() {
    let site = Site::start().await;
    let bearer = format!("Bearer {}", token(Role::Admin));
    assert_eq!(site.get("/api/v1/view", &[("authorization", &bearer)]).await.body, "the admin admin true  0");
    assert_eq!(site.get("/live/view", &[("authorization", &bearer)]).await.status, StatusCode::OK);
    assert_eq!(site.get("/page/view", &[("authorization", &bearer)]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.post_form("/action/view", &[("authorization", &bearer)], "csrf=").await.status, StatusCode::FORBIDDEN);
    // A wrong token is refused even together with a session.
    let (cookie, _) = site.sign_in().await;
    for wrong in ["Bearer x", "Bearer ", "Bearer", "Basic YTpi", &bearer[..bearer.len() - 1]] {
        let answer = site.get("/api/v1/view", &[("authorization", wrong), ("cookie", &cookie)]).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{wrong}");
    }
}

#[tokio::test]
async fn a_form_needs_the_token_of_its_session() {
    let site = Site::start().await;
    let (cookie, csrf) = site.sign_in().await;
    let (_, of_another) = site.sign_in().await;
    let form = format!("name=contacts&csrf={csrf}");
    let post = async |headers: &[(&str, &str)], form: &str| {
        site.post_form("/action/operate", &[headers, &[("cookie", cookie.as_str())]].concat(), form).await.status
    };
    assert_eq!(post(&[], &form).await, StatusCode::OK);
    assert_eq!(post(&[("sec-fetch-site", "same-origin"), ("origin", "null")], &form).await, StatusCode::OK);
    assert_eq!(post(&[("x-csrf-token", &csrf)], "name=contacts").await, StatusCode::OK);
    for wrong in ["", "csrf=", "csrf=x", &format!("csrf={of_another}"), &format!("csrf=x&csrf={csrf}")] {
        assert_eq!(post(&[], wrong).await, StatusCode::FORBIDDEN, "{wrong}");
    }
    // A token in the address is in logs and histories.
    let in_query = site.post_form(&format!("/action/operate?csrf={csrf}"), &[("cookie", &cookie)], "").await;
    assert_eq!(in_query.status, StatusCode::FORBIDDEN);
    // A script of another site can send text, but not a form of this server.
    let as_text = site.send(Method::POST, "/action/operate", &[("cookie", &cookie), ("content-type", "text/plain")], form.clone()).await;
    assert_eq!(as_text.status, StatusCode::FORBIDDEN);
    for elsewhere in [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.example")] {
        assert_eq!(post(&[elsewhere], &form).await, StatusCode::FORBIDDEN, "{elsewhere:?}");
    }
    // Nothing is lost of the body.
    let answer = site.post_form("/action/operate", &[("cookie", &cookie)], &form).await;
    assert!(answer.body.ends_with(&format!(" {}", form.len())), "{}", answer.body);
}

#[tokio::test]
async fn a_session_at_the_api_needs_the_token_in_a_header_to_change_something() {
    let site = Site::start().await;
    let (cookie, csrf) = site.sign_in().await;
    let send = async |method, headers: &[(&str, &str)]| {
        site.send(method, "/api/v1/operate", &[headers, &[("cookie", cookie.as_str())]].concat(), "{}").await.status
    };
    assert_eq!(send(Method::GET, &[]).await, StatusCode::OK);
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        assert_eq!(send(method.clone(), &[]).await, StatusCode::FORBIDDEN);
        assert_eq!(send(method.clone(), &[("x-csrf-token", "x")]).await, StatusCode::FORBIDDEN);
        assert_eq!(send(method.clone(), &[("x-csrf-token", &csrf)]).await, StatusCode::OK);
        assert_eq!(send(method, &[("x-csrf-token", &csrf), ("origin", "https://evil.example")]).await, StatusCode::FORBIDDEN);
    }
    // Not even reading, from another site.
    assert_eq!(send(Method::GET, &[("sec-fetch-site", "cross-site")]).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_page_and_a_stream_are_read_only() {
    let site = Site::start().await;
    let (cookie, csrf) = site.sign_in().await;
    for path in ["/page/view", "/live/view"] {
        let answer = site.post_form(path, &[("cookie", &cookie), ("x-csrf-token", &csrf)], &format!("csrf={csrf}")).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn a_request_for_another_host_is_refused() {
    let site = Site::with(|config| config.public_url = "https://sync.contoso.com/".parse().ok()).await;
    for host in ["evil.example", "localhost.evil.example:8070", "sync.contoso.com.evil.example"] {
        let answer = site.get("/open/view", &[("host", host)]).await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
        assert!(!answer.body.contains("evil"), "{}", answer.body);
    }
    for host in ["localhost:1", "127.0.0.1", "[::1]:8070", "sync.contoso.com"] {
        assert_eq!(site.get("/open/view", &[("host", host)]).await.status, StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_a_page_to_this_server() {
    let site = Site::start().await;
    let (cookie, _) = site.sign_in().await;
    let cookie = [("cookie", cookie.as_str())];
    let answers = [
        site.get("/page/view", &cookie).await,
        site.get("/page/view", &[]).await,
        site.get("/sign-in", &[]).await,
        site.get("/api/v1/view", &[]).await,
        site.get("/no/such/page", &[]).await,
        site.get("/open/view", &[("host", "evil.example")]).await,
        site.post_form("/action/view", &cookie, "").await,
    ];
    for answer in answers {
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; \
             frame-ancestors 'none'; base-uri 'none'"
        );
        let headers = ["x-content-type-options", "referrer-policy", "x-frame-options", "cache-control", "strict-transport-security"];
        assert_eq!(headers.map(|name| answer.header(name)), ["nosniff", "no-referrer", "DENY", "no-store", ""]);
    }
    let https = Site::with(|config| config.tls = true).await;
    assert_eq!(https.get("/open/view", &[]).await.header("strict-transport-security"), "max-age=31536000");
}

#[tokio::test]
async fn the_page_to_sign_in_leads_to_pages_of_this_server_only() {
    let site = Site::start().await;
    let (cookie, _) = site.sign_in().await;
    for elsewhere in ["//evil.example", "https://evil.example/", "/%5Cevil.example", "/%09/evil.example", "/.//evil.example"] {
        let answer = site.get(&format!("/sign-in?then={elsewhere}"), &[("cookie", &cookie)]).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/"), "{elsewhere}");
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_whether_its_length_is_known_or_not() {
    let site = Site::start().await;
    let (cookie, csrf) = site.sign_in().await;
    let form = format!("csrf={csrf}&text={}", "x".repeat(BODY_LIMIT));
    assert_eq!(site.post_form("/action/edit", &[("cookie", &cookie)], &form).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let bearer = format!("Bearer {}", token(Role::Admin));
    let pieces = (0..=BODY_LIMIT / 65_536).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 65_536])));
    let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let answer = site.send(Method::POST, "/api/v1/edit", &[("authorization", &bearer)], stream).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn strangers_and_guesses_are_slowed_down_and_a_session_is_not() {
    let rate = |burst| Rate { burst, per_minute: 60 };
    let site = Site::with(|config| config.rates = Rates { caller: rate(50), address: rate(5), sign_in: rate(3) }).await;
    let (cookie, _) = site.sign_in().await;
    for _ in 0..2 {
        assert_eq!(site.get("/sign-in/link?token=x", &[]).await.status, StatusCode::FORBIDDEN);
    }
    let refused = site.get("/sign-in/link?token=x", &[]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
    let refused = site.get("/api/v1/view", &[("authorization", "Bearer x")]).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    while site.get("/open/view", &[]).await.status == StatusCode::OK {}
    for _ in 0..20 {
        assert_eq!(site.get("/page/view", &[("cookie", &cookie)]).await.status, StatusCode::OK);
    }
    site.clock.advance(chrono::TimeDelta::seconds(1));
    assert_eq!(site.get("/open/view", &[]).await.status, StatusCode::OK);
    assert_eq!(site.get("/open/view", &[]).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn what_people_and_clients_do_is_in_the_audit_log() {
    let site = Site::start().await;
    let (cookie, csrf) = site.sign_in().await;
    site.get("/sign-in/link?token=x", &[]).await;
    let bearer = format!("Bearer {}", token(Role::Viewer));
    site.send(Method::POST, "/api/v1/operate", &[("authorization", &bearer)], "").await;
    site.post_form("/sign-out", &[("cookie", &cookie)], &format!("csrf={csrf}")).await;
    let mut entries = site.audit.audit(&AuditFilter::default(), None, 10).await.expect("a log");
    entries.reverse();
    let told: Vec<_> = entries
        .iter()
        .map(|record| {
            let entry = &record.entry;
            assert_eq!((entry.at, entry.from.as_deref()), (site.clock.now(), Some("127.0.0.1")));
            (entry.who.as_str(), entry.role.as_deref(), entry.action.as_str(), entry.object.as_str(), entry.result)
        })
        .collect();
    let (local, admin) = ("local administrator", Some("admin"));
    assert_eq!(
        told,
        [
            (local, admin, "sign-in", "link", AuditResult::Done),
            ("", None, "sign-in", "link", AuditResult::Refused),
            ("the viewer", Some("viewer"), "POST", "/api/v1/operate", AuditResult::Refused),
            (local, admin, "sign-out", "", AuditResult::Done),
        ]
    );
}

#[test]
fn a_server_is_not_reachable_from_other_machines_without_encryption_and_a_service_to_sign_in_with() {
    let config = |address: &str| AccessConfig::local(address.parse().expect("an address"), Clock::default());
    for address in ["0.0.0.0:8070", "192.0.2.1:8070", "[::]:8070", "[2001:db8::1]:8070"] {
        let error = |config| Access::new(config).err();
        assert!(matches!(error(config(address)), Some(AccessError::Unencrypted(_))), "{address}");
        assert!(matches!(error(AccessConfig { tls: true, ..config(address) }), Some(AccessError::NoSignIn)), "{address}");
        assert!(matches!(error(AccessConfig { behind_proxy: true, ..config(address) }), Some(AccessError::NoSignIn)), "{address}");
    }
    for address in ["127.0.0.1:8070", "127.0.0.2:8070", "[::1]:8070"] {
        assert!(Access::new(config(address)).is_ok(), "{address}");
    }
}

#[test]
fn a_client_needs_a_long_token_and_its_own_name() {
    let client = |name: &str, token: &str| ApiClient { name: name.to_owned(), token: SecretString::from(token), role: Role::Viewer };
    let with = |clients| {
        let config = AccessConfig::local("127.0.0.1:8070".parse().expect("an address"), Clock::default());
        Access::new(AccessConfig { clients, ..config }).err()
    };
    let long = "0123456789abcdef0123456789abcdef";
    assert!(with(vec![client("ci", long)]).is_none());
    assert!(matches!(with(vec![client("ci", &long[1..])]), Some(AccessError::ShortToken(_))));
    assert!(matches!(with(vec![client("ci", long), client("ci", &long.replace('0', "1"))]), Some(AccessError::SameName(_))));
    assert!(matches!(with(vec![client("ci", long), client("cd", long)]), Some(AccessError::SameToken(..))));
}
