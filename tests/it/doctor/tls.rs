//! Certificates that must not be accepted, over real TLS; also for security: only the certificate of a trusted issuer,
//! for this name, within its time, is let pass.

use std::path::Path;
use std::sync::{Arc, Mutex};

use insta::assert_snapshot;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::fake::{self, READS};
use super::{about, doctor};

/// An issuer that no system trusts, unless its certificate is put into the store.
pub fn issuer() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

/// A certificate for a name, of an issuer or self-signed.
pub fn certificate(
    name: &str,
    years: (i32, i32),
    issuer: Option<&CertifiedIssuer<'static, KeyPair>>,
) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
    let key = KeyPair::generate().expect("a key");
    let made = match issuer {
        Some(issuer) => params.signed_by(&key, issuer),
        None => params.self_signed(&key),
    };
    (made.expect("a certificate").der().clone(), PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))
}

/// A server that shows a certificate and answers every request with 401, as the services do without a token. Gives its port.
pub async fn server(certificate: (CertificateDer<'static>, PrivateKeyDer<'static>)) -> u16 {
    counting_server(certificate).await.0
}

/// The same, and how many bytes it was sent under encryption.
pub async fn counting_server(certificate: (CertificateDer<'static>, PrivateKeyDer<'static>)) -> (u16, Arc<Mutex<usize>>) {
    let received = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&received);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.0], certificate.1).expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 8192];
                while let Ok(count @ 1..) = stream.read(&mut request).await {
                    *counted.lock().expect("no panic") += count;
                    let answer = b"HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, received)
}

/// What is said of a connection to a port, with only the given issuers trusted.
async fn told(port: u16, trusted: Option<&Path>) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    fake::project(folder.path(), &format!("https://localhost:{port}"), READS);
    let mut env = vec![("TEST_SECRET", "s3cr3t-value")];
    let path = trusted.map(|p| p.display().to_string()).unwrap_or_default();
    if trusted.is_some() {
        env.push(("SSL_CERT_FILE", &path));
    }
    let (_, out) = doctor(folder.path(), &["--connection", "dynamics"], &env).await;
    about(&out, "connection ")
}

#[tokio::test]
async fn a_certificate_is_refused_by_its_fault_and_a_good_one_is_accepted() {
    let ca = issuer();
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("ca.pem");
    std::fs::write(&store, ca.pem()).expect("the issuer");

    let mut all = Vec::new();
    let now = (2020, 2120);
    for (what, certificate, trusted) in [
        ("self-signed", certificate("localhost", now, None), None),
        ("unknown issuer", certificate("localhost", now, Some(&ca)), None),
        ("expired", certificate("localhost", (2020, 2021), Some(&ca)), Some(store.as_path())),
        ("not yet valid", certificate("localhost", (2110, 2120), Some(&ca)), Some(&store)),
        ("for another name", certificate("contoso.example", now, Some(&ca)), Some(&store)),
        ("good", certificate("localhost", now, Some(&ca)), Some(&store)),
    ] {
        all.push(format!("{what}\n{}", told(server(certificate).await, trusted).await));
    }
    assert_snapshot!(all.join("\n"));
}

#[tokio::test]
async fn a_port_that_speaks_no_tls_is_reported() {
    let server = fake::services(|_| None).await;
    assert_snapshot!(told(server.url.port().expect("a port"), None).await);
}
