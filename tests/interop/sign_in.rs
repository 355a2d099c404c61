//! A person signs in to the pages with `oidc-provider` from npm, which does the flow for real: PKCE, consent, id tokens with its keys.

use std::collections::BTreeMap;

use axum::Router;
use axum::routing::get;
use d365map::project::{Role, SignInSettings};
use d365map::run::Clock;
use d365map::serve::access::{Access, AccessConfig, Caller, Door, Peer, Right, SignInService};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::{secret, server};

/// A browser: follows redirects, and keeps all cookies.
struct Browser {
    client: Client,
    cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    fn new() -> Browser {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().expect("a client");
        Browser { client, cookies: BTreeMap::new() }
    }

    /// Sends a request and follows redirects to the first page.
    async fn go(&mut self, to: Url, form: Option<&[(&str, &str)]>) -> (Url, StatusCode, String) {
        let (mut at, mut form) = (to, form);
        for _ in 0..20 {
            let answer = self.send(&at, form.take()).await;
            match answer.headers().get("location") {
                Some(next) if answer.status().is_redirection() => at = at.join(next.to_str().expect("text")).expect("an address"),
                _ => return (at, answer.status(), answer.text().await.expect("text")),
            }
        }
        panic!("too many redirects, the last one to {at}");
    }

    async fn send(&mut self, to: &Url, form: Option<&[(&str, &str)]>) -> Response {
        // Ports are not told apart by real cookies either, but the names here are.
        let origin = to.origin().ascii_serialization();
        let own = self.cookies.iter().filter(|((of, _), value)| *of == origin && !value.is_empty());
        let cookies = own.map(|((_, name), value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let request = match form {
            Some(form) => self.client.post(to.clone()).form(form),
            None => self.client.get(to.clone()),
        };
        let answer = request.header("cookie", cookies).send().await.expect("an answer");
        for cookie in answer.headers().get_all("set-cookie") {
            let (name, rest) = cookie.to_str().expect("text").split_once('=').expect("a cookie");
            let value = rest.split(';').next().unwrap_or_default();
            self.cookies.insert((origin.clone(), name.to_owned()), value.to_owned());
        }
        answer
    }

    /// Signs in at the service: its page asks for a name, and another one for the consent.
    async fn sign_in(&mut self, site: &Url, name: &str) -> (StatusCode, String) {
        let (page, ..) = self.go(site.join("/page").expect("a path"), None).await;
        assert_eq!(page.path(), "/sign-in");
        let (login, _, text) = self.go(site.join("/sign-in/oidc?then=/page").expect("a path"), None).await;
        assert!(login.path().starts_with("/interaction/"), "{login}: {text}");
        let (consent, _, text) = self.go(login, Some(&[("prompt", "login"), ("login", name), ("password", "any")])).await;
        assert!(consent.path().starts_with("/interaction/"), "{consent}: {text}");
        let (_, status, text) = self.go(consent, Some(&[("prompt", "consent")])).await;
        (status, text)
    }
}

/// Registers this program and serves a page behind the guard.
async fn site(method: &str) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let site: Url = format!("http://{address}").parse().expect("an address");
    let issuer = server("D365MAP_INTEROP_PEOPLE");
    let client = json!({
        "redirect_uris": [site.join("/sign-in/callback").expect("a path")], "grant_types": ["authorization_code"], "response_types": ["code"],
        "application_type": "native", "scope": "openid profile roles", "token_endpoint_auth_method": method,
    });
    let answer = Client::new().post(issuer.join("/reg").expect("a path")).json(&client).send().await.expect("an answer");
    assert_eq!(answer.status(), 201);
    let registered: Value = answer.json().await.expect("JSON");
    let text = |name: &str| registered[name].as_str().expect(name).to_owned();
    let list = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let settings = SignInSettings {
        issuer,
        client_id: text("client_id"),
        client_secret: None,
        scopes: list(&["openid", "profile", "roles"]),
        roles_claim: "roles".to_owned(),
        name_claim: "preferred_username".to_owned(),
        roles: vec![(Role::Viewer, list(&["see"])), (Role::Operator, list(&["operate"]))],
    };
    let secret = (method != "none").then(|| secret(&text("client_secret")));
    let config = AccessConfig {
        public_url: Some(site.clone()),
        sign_in: Some(SignInService { settings, secret }),
        ..AccessConfig::local(address, Clock::default())
    };
    let access = Access::new(config).expect("a safe configuration");
    let page = async |caller: Caller| format!("{} is {}", caller.name, caller.role.name());
    let router = Router::new().merge(access.routes()).route("/page", get(page).layer(access.guard(Right::View, Door::Page)));
    let router = access.around(router);
    tokio::spawn(async move { axum::serve(listener, router.into_make_service_with_connect_info::<Peer>()).await });
    site
}

#[tokio::test]
async fn a_person_signs_in_with_a_provider_from_npm() {
    for method in ["client_secret_basic", "client_secret_post", "none"] {
        let site = site(method).await;
        let page = Browser::new().sign_in(&site, "operate").await;
        // The provider takes a secret in the header, the standard's default, also from a client that is registered to send it in the form.
        assert_eq!(page, (StatusCode::OK, "operate@contoso.com is operator".to_owned()), "{method}");
    }
}

#[tokio::test]
async fn a_person_without_a_role_sees_which_claim_was_read() {
    let site = site("client_secret_basic").await;
    let (status, text) = Browser::new().sign_in(&site, "guest").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(text.contains("guest@contoso.com") && text.contains("<code>guest</code>"), "{text}");
}
