//! Signing in over real HTTP. The waits between polls are noted and not waited for.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::connect::http::delegated::login::{DeviceSignIn, LoginError};

const AUDIENCE: &str = "https://api.partner.microsoft.com";

/// Begins with a device code, and polls until there is a result; also gives the pauses in seconds.
async fn signs_in(access: &Delegated) -> (Result<SignedIn, LoginError>, Vec<u64>) {
    let begun: DeviceSignIn = access.begin_device(AUDIENCE).await.unwrap();
    assert_eq!((begun.user_code.as_str(), begun.address.as_str()), ("ABCD-EFGH", "https://microsoft.com/devicelogin"));
    let pauses = Arc::new(StdMutex::new(Vec::new()));
    let noted = pauses.clone();
    let result = access
        .poll(begun, &move |pause| {
            noted.lock().unwrap().push(pause.as_secs());
            Box::pin(std::future::ready(()))
        })
        .await;
    let pauses = pauses.lock().unwrap().clone();
    (result, pauses)
}

#[tokio::test]
async fn a_device_code_is_polled_at_its_interval_which_slow_down_lengthens() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/tokens.json");
    service.with(|inside| inside.polls = ["authorization_pending", "slow_down", "authorization_pending"].into());
    let (result, pauses) = signs_in(&access(&url, &path)).await;
    let signed_in = result.unwrap();
    assert_eq!(pauses, [5, 5, 10, 10]);
    assert_eq!((signed_in.method.as_str(), signed_in.account.as_deref(), signed_in.mfa), ("device-code", Some("ann@contoso.com"), true));
    assert_eq!(file::read(&path).unwrap().unwrap().about, signed_in);
    assert_eq!(kept_token(&path), "refresh-1");
    let asked = service.with(|inside| inside.asked[0].clone());
    assert_eq!((asked["device_code"].as_str(), asked["client_id"].as_str()), ("device-code-1", "app"));
    assert_eq!(asked["grant_type"], "urn:ietf:params:oauth:grant-type:device_code");
}

#[tokio::test]
async fn a_device_code_that_is_declined_or_expires_ends_the_sign_in() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let access = access(&url, &folder.path().join("tokens.json"));
    for (errors, expected, polls) in [
        (vec!["authorization_pending", "authorization_declined"], LoginError::Declined, 2),
        (vec!["expired_token"], LoginError::Expired, 1),
        // 60 seconds by 5.
        (vec!["authorization_pending"; 20], LoginError::Expired, 12),
    ] {
        service.with(|inside| inside.polls = errors.into());
        let (result, pauses) = signs_in(&access).await;
        assert_eq!((result.unwrap_err().to_string(), pauses.len()), (expected.to_string(), polls));
    }
    assert!(access.signed_in().unwrap().is_none());
}

#[tokio::test]
async fn a_new_sign_in_without_mfa_stores_nothing_and_an_earlier_one_stays() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.json");
    signed_in(&path, &config(&url));
    service.with(|inside| inside.amr = json!(["pwd"]));
    let (result, _) = signs_in(&access(&url, &path)).await;
    let error = result.unwrap_err();
    assert!(matches!(error, LoginError::NoMfa { .. }) && error.to_string().contains("ann@contoso.com"), "{error}");
    assert_eq!(kept_token(&path), "refresh-0");
}

#[tokio::test]
async fn the_browsers_code_is_exchanged_with_the_verifier_of_its_challenge() {
    let (service, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.json");
    let access = access(&url, &path);
    let begun = access.begin_browser(AUDIENCE).await.unwrap();
    let query: HashMap<String, String> = begun.address.query_pairs().into_owned().collect();
    assert!(begun.address.path().ends_with("/contoso.com/oauth2/v2.0/authorize"), "{}", begun.address);
    assert_eq!((query["response_type"].as_str(), query["code_challenge_method"].as_str()), ("code", "S256"));
    let redirect: Url = query["redirect_uri"].parse().unwrap();
    assert_eq!(redirect.host_str(), Some("localhost"));
    let task = tokio::spawn({
        let access = access.clone();
        async move { access.finish_browser(begun, Duration::from_secs(60)).await }
    });
    let mut stream = TcpStream::connect(("127.0.0.1", redirect.port().unwrap())).await.unwrap();
    let head = format!("GET /?code=code-1&state={}&session_state=x HTTP/1.1\r\nHost: localhost\r\n\r\n", query["state"]);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    assert!(page.contains("You can close this window") && page.contains("default-src 'none'"), "{page}");
    assert_eq!(task.await.unwrap().unwrap().method, "authorization-code");
    let asked = service.with(|inside| inside.asked[0].clone());
    assert_eq!((asked["code"].as_str(), asked["redirect_uri"].as_str()), ("code-1", query["redirect_uri"].as_str()));
    let challenge = URL_SAFE_NO_PAD.encode(<sha2::Sha256 as sha2::Digest>::digest(&asked["code_verifier"]));
    assert_eq!(challenge, query["code_challenge"]);
}

#[tokio::test]
async fn a_browser_that_never_comes_back_ends_the_sign_in_after_the_time() {
    let (_, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let access = access(&url, &folder.path().join("tokens.json"));
    let begun = access.begin_browser(AUDIENCE).await.unwrap();
    assert!(matches!(access.finish_browser(begun, Duration::ZERO).await, Err(LoginError::Expired)));
}

#[tokio::test]
async fn a_refresh_token_by_reference_is_not_replaced_by_a_sign_in() {
    let (_, url) = Service::start().await;
    let access = access_with(config(&url), RefreshToken::Given("refresh-0".into()));
    assert!(matches!(access.begin_device(AUDIENCE).await, Err(LoginError::NoTokenFile)));
    assert!(matches!(access.sign_out().await, Err(LoginError::NoTokenFile)));
}

#[tokio::test]
async fn signing_out_removes_the_token_file() {
    let (_, url) = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.json");
    signed_in(&path, &config(&url));
    let access = access(&url, &path);
    assert!(access.sign_out().await.unwrap());
    assert!(!path.exists() && !access.sign_out().await.unwrap());
}
