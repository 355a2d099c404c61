//! What goes over the wire, and to whom: nothing secret leaves for another host, and no certificate is taken on trust.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use d365map::connect::{ConnectError, Credential, Http, HttpConfig};
use d365map::project::{FILE_NAME, Project};
use d365map::systems::campaign::{Campaign, CampaignConfig};
use d365map::systems::dataverse::{Dataverse, DataverseConfig, PageRequest, Query};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use crate::connect_server::{Reply, Server, raw_server};
use crate::doctor::tls;

const SECRET: &str = "s3cr3t-value";

fn http() -> Http {
    Http::new(HttpConfig { attempts: 1, max_response_bytes: 64 * 1024, ..HttpConfig::default() }).expect("a client")
}

fn dataverse(url: &Url, token_url: Url) -> Dataverse {
    let config = DataverseConfig { url: url.clone(), token_url, client_id: "client".into(), credential: SecretString::from(SECRET).into() };
    Dataverse::new(http(), config).expect("a client")
}

fn campaign(url: &Url, token_url: Url) -> Campaign {
    let config = CampaignConfig::new(url.join("org").expect("an address"), "client", SecretString::from(SECRET), "openid");
    Campaign::new(http(), CampaignConfig { token_url, ..config }).expect("a client")
}

fn page() -> PageRequest {
    PageRequest::First(Query::of("contacts", vec!["lastname".into()], 2).tracked())
}

const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

#[tokio::test]
async fn no_redirect_of_any_kind_takes_a_token_or_a_body_along_to_another_host_or_to_the_same() {
    for status in REDIRECTS {
        let stranger = Server::with_tokens(|_, _| Reply::json(200, r#"{"value":[]}"#)).await;
        for elsewhere in [Some(stranger.url.clone()), None] {
            let to = elsewhere.as_ref().map_or_else(|| "/moved".to_owned(), |u| format!("{u}moved"));
            let server = Server::with_tokens(move |seen, _| {
                if seen.target == "/moved" {
                    Reply::json(200, r#"{"value":[]}"#)
                } else {
                    Reply::empty(status).with("location", to.clone())
                }
            })
            .await;
            let read = dataverse(&server.url, server.token_url()).page(&page()).await.expect_err("a redirect is not an answer");
            let written = campaign(&server.url, server.token_url()).create("profile", None, r#"{"lastName":"L"}"#).await;
            for error in [read, written.expect_err("a redirect is not an answer")] {
                assert!(matches!(error, ConnectError::Protocol { .. }), "{status}: {error}");
            }
            assert!(server.calls().iter().all(|c| c.target != "/moved"), "{status}");
            assert_eq!(server.calls().len(), 2);
        }
        assert!(stranger.calls().is_empty() && stranger.tokens().is_empty(), "{status}");
    }
}

#[tokio::test]
async fn a_token_service_that_redirects_does_not_get_the_secret_sent_elsewhere() {
    for status in REDIRECTS {
        let stranger = Server::start(|_, n| Reply::token(n, 3600)).await;
        let to = format!("{}token", stranger.url);
        let server = Server::start(move |seen, _| {
            if seen.is_token() { Reply::empty(status).with("location", to.clone()) } else { Reply::json(200, r#"{"value":[]}"#) }
        })
        .await;
        let error = dataverse(&server.url, server.token_url()).page(&page()).await.expect_err("there is no token");
        assert!(!format!("{error} {error:?}").contains(SECRET), "{error}");
        assert!(stranger.tokens().is_empty() && stranger.calls().is_empty() && server.calls().is_empty(), "{status}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused_before_anything_is_sent() {
    for certificate in [tls::certificate("localhost", (2020, 2120), None), tls::certificate("contoso.example", (2020, 2120), None)] {
        let (port, received) = tls::counting_server(certificate).await;
        let url = Url::parse(&format!("https://localhost:{port}/")).expect("an address");
        let error = dataverse(&url, url.join("token").expect("an address")).page(&page()).await.expect_err("not trusted");
        let text = error.to_string();
        assert!(text.contains("certificate"), "{text}");
        assert!(!text.contains(SECRET));
        let error = campaign(&url, url.join("token").expect("an address")).create("profile", None, "{}").await.expect_err("not trusted");
        assert!(error.to_string().contains("certificate"), "{error}");
        assert_eq!(*received.lock().expect("no panic"), 0);
    }
}

#[tokio::test]
async fn a_command_says_that_a_certificate_is_not_trusted_and_ends_with_2() {
    let port = tls::server(tls::certificate("localhost", (2020, 2120), None)).await;
    let folder = tempfile::tempdir().expect("a folder");
    crate::doctor::fake::project(folder.path(), &format!("https://localhost:{port}"), crate::doctor::fake::READS);
    for args in [&["run"][..], &["run", "--dry-run"], &["schema", "pull"]] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_d365map"));
        let yaml = folder.path().join(FILE_NAME);
        let text = std::fs::read_to_string(&yaml).expect("a file");
        // Fewer tries: each fails alike.
        if !text.contains("limits:") {
            std::fs::write(&yaml, format!("{text}limits:\n  attempts: 1\n")).expect("a file");
        }
        let output = command.args(args).current_dir(folder.path()).env("TEST_SECRET", SECRET).output().await.expect("the command runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains("certificate"), "{args:?}: {error}");
    }
}

/// A proxy that asks for a login (407) and lets no request pass. Returns its port and the number of requests that came.
async fn proxy_that_asks_for_a_login() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let answer =
                b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"p\"\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(answer).await;
        }
    });
    (port, asked)
}

#[tokio::test]
async fn a_command_says_at_once_that_a_proxy_asks_for_a_login_or_has_an_unsupported_scheme_and_how_to_fix_it() {
    let (port, asked) = proxy_that_asks_for_a_login().await;
    let folder = tempfile::tempdir().expect("a folder");
    // No service is reached: the proxy is in between.
    crate::doctor::fake::project(folder.path(), "https://contoso.invalid", crate::doctor::fake::READS);
    for (proxy, words) in [
        (format!("http://127.0.0.1:{port}"), ["asks for a user name and password (407)", "HTTPS_PROXY: http://USER:PASSWORD@PROXY:PORT"]),
        (format!("socks5://127.0.0.1:{port}"), ["has the scheme `socks5`, which is not supported", "set HTTPS_PROXY to an address"]),
    ] {
        for args in [&["run"][..], &["run", "--ignore-drift"], &["run", "--dry-run", "--ignore-drift"], &["schema", "pull"]] {
            asked.store(0, Ordering::Relaxed);
            let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_d365map"));
            command.args(args).current_dir(folder.path()).env("TEST_SECRET", SECRET).env("HTTPS_PROXY", &proxy);
            for name in ["https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"] {
                command.env_remove(name);
            }
            let output = command.output().await.expect("the command runs");
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{args:?} {proxy}: {error}");
            assert!(words.iter().all(|words| error.contains(words)), "{args:?} {proxy}: {error}");
            assert!(!error.contains(SECRET), "{error}");
            // Each step asks once at most, and nothing is tried again: the next attempt would fail alike.
            assert!(asked.load(Ordering::Relaxed) <= 2, "{args:?}: the proxy was asked {} times", asked.load(Ordering::Relaxed));
        }
    }
}

#[tokio::test]
async fn plain_http_to_another_machine_is_refused_by_the_connectors_and_by_the_project_file() {
    let folder = tempfile::tempdir().expect("a folder");
    for host in [
        "contoso.crm4.dynamics.com",
        "127.0.0.1.example.com",
        "localhost.example.com",
        "0.0.0.0",
        "192.168.0.1",
        "[::ffff:127.0.0.1]",
        "[fe80::1]",
    ] {
        let url = Url::parse(&format!("http://{host}/")).expect("an address");
        let safe = Url::parse("https://login.example.com/token").expect("an address");
        for (url, token_url) in [(&url, &safe), (&safe.join("/").expect("an address"), &url)] {
            let credential = || Credential::from(SecretString::from(SECRET));
            let config =
                DataverseConfig { url: url.clone(), token_url: token_url.clone(), client_id: "c".into(), credential: credential() };
            assert!(matches!(Dataverse::new(http(), config), Err(ConnectError::Config { .. })), "{url} {token_url}");
            let config = CampaignConfig { token_url: token_url.clone(), ..CampaignConfig::new(url.clone(), "c", credential(), "s") };
            assert!(matches!(Campaign::new(http(), config), Err(ConnectError::Config { .. })), "{url} {token_url}");
        }
        let dynamics = |url: &str, token: &str| {
            format!(
                "version: 1\nconnections:\n  dynamics:\n    url: {url}\n    token-url: {token}\n    client-id: c\n    client-secret: {{ env: X }}\n"
            )
        };
        let file = folder.path().join(FILE_NAME);
        for text in [
            dynamics(&format!("http://{host}"), "https://login.example.com/t"),
            dynamics("https://a.crm.dynamics.com", &format!("http://{host}/t")),
        ] {
            std::fs::write(&file, text).expect("a file");
            let error = Project::load(&file).expect_err("refused").to_string();
            assert!(error.contains("unencrypted"), "{host}: {error}");
        }
    }
}

/// What comes back from a port that never ends.
async fn endless(head: &'static str) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = Url::parse(&format!("http://{}", listener.local_addr().expect("an address"))).expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt;
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(head.as_bytes()).await;
            let chunk = format!("10000\r\n{}\r\n", " ".repeat(65_536));
            // Bounded, in case the client does not hang up.
            for _ in 0..4096 {
                if stream.write_all(chunk.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    });
    url
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off_for_the_token_service_an_error_and_a_page() {
    let tokens = Server::with_tokens(|_, _| Reply::empty(404)).await;
    let start = std::time::Instant::now();
    // A token.
    let url = endless("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let error = dataverse(&url, url.join("token").expect("an address")).page(&page()).await.expect_err("too long");
    assert!(error.to_string().contains("longer than 65536 bytes"), "{error}");
    // A page.
    let error = dataverse(&url, tokens.token_url()).page(&page()).await.expect_err("too long");
    assert!(error.to_string().contains("longer than 65536 bytes"), "{error}");
    // An error, of which the beginning is kept.
    let url = endless("HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let error = campaign(&url, tokens.token_url()).create("profile", None, "{}").await.expect_err("refused");
    assert!(error.response_body().is_some_and(|b| b.len() <= 64 * 1024), "{error}");
    assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_length_that_is_declared_too_great_is_refused_without_reading() {
    let tokens = Server::with_tokens(|_, _| Reply::empty(404)).await;
    let (url, _) = raw_server("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n{").await;
    let error = dataverse(&url, tokens.token_url()).page(&page()).await.expect_err("too long");
    assert!(error.to_string().contains("longer than 65536 bytes"), "{error}");
}

fn sources(folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.insert(path.display().to_string(), std::fs::read_to_string(&path).expect("a file"));
        }
    }
}

fn program() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for folder in ["src", "emulator/src"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    assert!(files.len() > 100);
    files
}

#[test]
fn nothing_in_the_program_or_the_project_file_turns_verification_off() {
    for (path, text) in program() {
        for word in [
            "danger_accept",
            "tls_danger",
            ".dangerous()",
            "ServerCertVerifier",
            "with_custom_certificate_verifier",
            "tls_built_in_root_certs(false",
        ] {
            assert!(!text.contains(word), "{path} has {word}");
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(FILE_NAME);
    let connection =
        "connections:\n  dynamics:\n    url: https://a.crm.dynamics.com\n    tenant: t\n    client-id: c\n    client-secret: { env: X }\n";
    for key in
        ["verify", "verify-tls", "insecure", "tls", "tls-verify", "ssl", "skip-verify", "ca", "accept-invalid-certs", "check-certificate"]
    {
        for text in [
            format!("version: 1\n{key}: false\n"),
            format!("version: 1\n{connection}    {key}: false\n"),
            format!("version: 1\nlimits:\n  {key}: false\n"),
        ] {
            std::fs::write(&file, &text).expect("a file");
            let error = Project::load(&file).expect_err("an unknown key").to_string();
            assert!(error.contains("unknown key"), "{text}: {error}");
        }
    }
}

#[test]
fn what_is_named_a_secret_in_the_program_is_of_a_type_that_shows_none() {
    // Fields of structs and enums: `name: Type,`
    let field =
        regex::Regex::new(r"(?m)^\s+(?:pub(?:\([a-z]+\))? )?(\w*(?:secret|password|passphrase|private_key)\w*): ([A-Z&][^=\n]*?),?$")
            .expect("a pattern");
    let fine = [
        "SecretString",
        "SecretRef",
        "Option<SecretRef>",
        "Option<SecretString>",
        "Spanned<SecretRef>",
        "Option<Spanned<SecretRef>>",
        "&SecretString",
        "Option<&SecretString>",
        "EncodingKey",
        // Of a type that is generic over it: `SecretRef` or `SecretString`.
        "Option<K>",
    ];
    let mut seen = 0;
    for (path, text) in program() {
        // The emulators' secrets open only the emulators.
        if path.contains("/emulator/") {
            continue;
        }
        for found in field.captures_iter(&text) {
            let ty = found[2].trim();
            // A value in place of a type: a struct being made.
            if ty == "None" || ty.contains('(') {
                continue;
            }
            assert!(fine.contains(&ty), "{path}: `{}: {ty}`", &found[1]);
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn no_configuration_shows_a_secret_when_it_is_printed_for_debugging() {
    let url = || Url::parse("https://a.example/").expect("an address");
    let credential = Credential::from(SecretString::from(SECRET));
    let shown = [
        format!("{credential:?}"),
        format!("{:?}", DataverseConfig { url: url(), token_url: url(), client_id: "c".into(), credential: credential.clone() }),
        format!("{:?}", CampaignConfig::new(url(), "c", credential.clone(), "s")),
        format!("{:?}", dataverse(&url(), url())),
        format!("{:?}", campaign(&url(), url())),
        format!("{:?}", http()),
    ];
    for text in &shown {
        assert!(!text.contains(SECRET), "{text}");
    }
}
