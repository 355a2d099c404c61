//! The sign-in service: grants, tokens, MFA.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::Digest as _;

use super::*;

fn claims(token: &Value) -> Value {
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_device_code_waits_for_its_user_and_is_declined_slowed_down_or_expired_by_order() {
    let bench = Bench::bare(PartnerCenterConfig { device_sign_in: d365map_emulator::DeviceSignIn::ByHand, ..settings() }, json!({})).await;
    let client = bench.people.public_client.clone();
    let scope = format!("{REFERRALS}/.default");
    let ask = async || json(bench.post_form("oauth2/v2.0/devicecode", &[("client_id", &client), ("scope", &scope)]).await).await;
    let poll = async |device: &Value| {
        let code = device["device_code"].as_str().unwrap();
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        json(bench.post_form("oauth2/v2.0/token", &[("grant_type", grant), ("client_id", &client), ("device_code", code)]).await).await
    };
    let device = ask().await;
    assert_eq!((&device["expires_in"], &device["interval"]), (&json!(900), &json!(0)));
    assert!(device["message"].as_str().unwrap().contains(device["user_code"].as_str().unwrap()));
    assert_eq!(poll(&device).await["error"], "authorization_pending");
    bench.admin("partner/sign-in", json!({"slow_down": 1})).await;
    assert_eq!(poll(&device).await["error"], "slow_down");
    let page = format!("{}?code={}", device["verification_uri"].as_str().unwrap(), device["user_code"].as_str().unwrap());
    assert!(bench.http.get(page).send().await.unwrap().text().await.unwrap().contains("signed in"));
    let token = poll(&device).await;
    assert!(token["access_token"].is_string() && token["refresh_token"].is_null(), "offline_access was not asked for: {token}");
    assert_eq!(poll(&device).await["error"], "bad_verification_code");

    let device = ask().await;
    bench.admin("partner/device", json!({"action": "decline"})).await;
    assert_eq!(poll(&device).await["error"], "authorization_declined");
    let device = ask().await;
    bench.admin("partner/clock", json!({"seconds": 901})).await;
    assert_eq!(poll(&device).await["error"], "expired_token");
}

#[tokio::test]
async fn a_client_that_polls_faster_than_the_interval_is_asked_to_slow_down() {
    let bench = Bench::bare(PartnerCenterConfig { device_interval: std::time::Duration::from_secs(5), ..settings() }, json!({})).await;
    let client = bench.people.public_client.clone();
    let device = json(bench.post_form("oauth2/devicecode", &[("client_id", &client), ("resource", REFERRALS)]).await).await;
    assert_eq!((&device["interval"], &device["expires_in"]), (&json!("5"), &json!("900")));
    let form = [("grant_type", "device_code"), ("client_id", client.as_str()), ("code", device["device_code"].as_str().unwrap())];
    assert_eq!(json(bench.post_form("oauth2/token", &form).await).await["error"], "authorization_pending");
    assert_eq!(json(bench.post_form("oauth2/token", &form).await).await["error"], "slow_down");
    bench.admin("partner/clock", json!({"seconds": 6})).await;
    let token = json(bench.post_form("oauth2/token", &form).await).await;
    assert_eq!((&token["expires_in"], &token["resource"]), (&json!("3599"), &json!(REFERRALS)), "v1 writes numbers as texts");
    assert!(token["expires_on"].is_string() && token["not_before"].is_string() && token["refresh_token"].is_string());
}

#[tokio::test]
async fn an_authorization_code_comes_by_redirect_and_needs_the_verifier() {
    let bench = Bench::bare(settings(), json!({})).await;
    let client = bench.people.public_client.clone();
    let verifier = "a-verifier-of-enough-letters-0123456789-0123456789";
    let challenge = URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(verifier));
    let redirect = "http://localhost:50123/callback";
    let authorize = async |extra: &[(&str, &str)]| {
        let mut query = vec![("client_id", client.as_str()), ("response_type", "code"), ("redirect_uri", redirect), ("state", "s&1")];
        let scope = format!("{REFERRALS}/.default offline_access");
        query.push(("scope", &scope));
        query.extend_from_slice(extra);
        let answer = bench.http.get(bench.authority("oauth2/v2.0/authorize")).query(&query).send().await.unwrap();
        assert_eq!(answer.status(), 302);
        let location = reqwest::Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
        assert!(location.as_str().starts_with(redirect));
        let pairs: std::collections::HashMap<String, String> = location.query_pairs().into_owned().collect();
        assert_eq!(pairs["state"], "s&1");
        pairs
    };
    let with = [("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
    let redeem = async |code: &str, verifier: &str| {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", client.as_str()),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", verifier),
        ];
        json(bench.post_form("oauth2/v2.0/token", &form).await).await
    };
    assert_eq!(authorize(&[]).await["error"], "invalid_request", "a public client needs PKCE");
    assert_eq!(authorize(&[("code_challenge", "x"), ("code_challenge_method", "plain")]).await["error"], "invalid_request");
    let code = authorize(&with).await["code"].clone();
    assert_eq!(redeem(&code, "another").await["error"], "invalid_grant");
    let code = authorize(&with).await["code"].clone();
    let token = redeem(&code, verifier).await;
    let claims = claims(&token["access_token"]);
    assert_eq!((&claims["aud"], &claims["amr"], &claims["tid"]), (&json!(REFERRALS), &json!(["pwd", "mfa"]), &json!(bench.people.tenant)));
    assert_eq!(claims["upn"], json!(bench.people.admin.name));
    assert!(token["refresh_token"].is_string());
    assert_eq!(redeem(&code, verifier).await["error"], "invalid_grant", "a code works once");
    bench.admin("partner/sign-in", json!({"deny_next": true})).await;
    assert_eq!(authorize(&with).await["error"], "access_denied");
    let query = [("client_id", client.as_str()), ("response_type", "code"), ("redirect_uri", "https://evil.example/x")];
    assert_eq!(bench.http.get(bench.authority("oauth2/v2.0/authorize")).query(&query).send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_refresh_token_rotates_ages_on_the_virtual_clock_and_can_be_revoked() {
    let bench = Bench::bare(settings(), json!({})).await;
    let client = bench.people.public_client.clone();
    let refresh = async |token: &Value| {
        let form = [("grant_type", "refresh_token"), ("client_id", client.as_str()), ("refresh_token", token.as_str().unwrap())];
        json(bench.post_form("oauth2/v2.0/token", &form).await).await
    };
    let first = bench.sign_in("", REFERRALS).await["refresh_token"].clone();
    let second = refresh(&first).await;
    assert_ne!(second["refresh_token"], first);
    assert_eq!(claims(&second["access_token"])["amr"], json!(["pwd", "mfa"]), "the claim travels with the refresh token");
    assert!(refresh(&first).await["access_token"].is_string(), "the old token still works");
    bench.admin("partner/clock", json!({"days": 60})).await;
    let third = refresh(&second["refresh_token"]).await["refresh_token"].clone();
    bench.admin("partner/clock", json!({"days": 60})).await;
    assert_eq!(refresh(&first).await["error_codes"], json!([700082]));
    assert!(refresh(&third).await["access_token"].is_string(), "each new token lives 90 days");
    bench.admin("partner/revoke", json!({"user": bench.people.admin.name})).await;
    assert_eq!(refresh(&third).await["error_codes"], json!([50173]));
    let webhooks = bench.sign_in("", WEBHOOKS).await;
    assert_eq!(claims(&webhooks["access_token"])["aud"], WEBHOOKS);
}

#[tokio::test]
async fn a_single_use_refresh_token_works_once() {
    let bench = Bench::bare(PartnerCenterConfig { single_use_refresh: true, ..settings() }, json!({})).await;
    let token = bench.sign_in("", REFERRALS).await["refresh_token"].as_str().unwrap().to_owned();
    let form = [("grant_type", "refresh_token"), ("client_id", bench.people.public_client.as_str()), ("refresh_token", &token)];
    assert_eq!(bench.post_form("oauth2/v2.0/token", &form).await.status(), 200);
    assert_eq!(json(bench.post_form("oauth2/v2.0/token", &form).await).await["error"], "invalid_grant");
}

#[tokio::test]
async fn the_password_grant_is_off_and_its_token_has_no_mfa() {
    let password = |people: &PartnerCredentials| {
        [
            ("grant_type", "password".to_owned()),
            ("client_id", people.client.clone()),
            ("client_secret", people.client_secret.clone()),
            ("username", people.admin.name.clone()),
            ("password", people.admin.password.clone()),
            ("resource", REFERRALS.to_owned()),
        ]
    };
    let bench = Bench::bare(settings(), json!({})).await;
    let ask = async |bench: &Bench| {
        json(bench.http.post(bench.authority("oauth2/token")).form(&password(&bench.people)).send().await.unwrap()).await
    };
    assert_eq!(ask(&bench).await["error_codes"], json!([50076]));
    let mut bench = Bench::bare(PartnerCenterConfig { password_grant: true, ..settings() }, json!({})).await;
    bench.token = ask(&bench).await["access_token"].as_str().unwrap().to_owned();
    let answer = bench.api(Method::GET, "").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["isMfaCompliant"].to_str().unwrap()), (401, "false"));
    assert_eq!(json(answer).await["error"]["innerError"]["code"], "900421");
    let mut bench = Bench::bare(PartnerCenterConfig { password_grant: true, require_mfa: false, ..settings() }, json!({})).await;
    bench.token = ask(&bench).await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bench.api(Method::GET, "").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_sign_in_without_mfa_gives_a_token_that_the_api_refuses() {
    let mut bench = Bench::bare(settings(), json!({})).await;
    bench.admin("partner/sign-in", json!({"mfa": false})).await;
    bench.token = bench.sign_in("", REFERRALS).await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bench.api(Method::GET, "").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn each_host_takes_only_tokens_for_its_audience() {
    let mut bench = Bench::new().await;
    assert_eq!(bench.api(Method::GET, "").send().await.unwrap().status(), 200);
    let alias = format!("{}/engagements/v1/referrals/x", bench.running.webhooks_url().unwrap());
    let answer = bench.http.get(&alias).bearer_auth(&bench.token).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let body = json(answer).await;
    assert!(body["description"].is_string() && body["data"] == json!([]) && body["source"].is_string(), "the other error shape: {body}");
    bench.token = bench.sign_in("", WEBHOOKS).await["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bench.http.get(&alias).bearer_auth(&bench.token).send().await.unwrap().status(), 404);
    let answer = bench.api(Method::GET, "").send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(json(answer).await["error"]["code"], "unauthenticated");
}

#[tokio::test]
async fn an_application_alone_has_no_access_to_referrals() {
    let mut bench = Bench::bare(settings(), json!({})).await;
    let scope = format!("{REFERRALS}/.default");
    let form = |secret: &'static str| {
        [("grant_type", "client_credentials"), ("client_id", "d365d365-0000-4000-8000-000000000004"), ("client_secret", secret)]
    };
    let ask = async |secret| {
        let mut form = form(secret).to_vec();
        form.push(("scope", &scope));
        json(bench.post_form("oauth2/v2.0/token", &form).await).await
    };
    assert_eq!(ask("wrong").await["error"], "invalid_client");
    let token = ask("emulator-partner-secret").await;
    assert!(token["refresh_token"].is_null());
    bench.token = token["access_token"].as_str().unwrap().to_owned();
    assert_eq!(bench.api(Method::GET, "").send().await.unwrap().status(), 403);
}
