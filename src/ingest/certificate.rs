//! The certificate of whoever signed a delivery: where it may be fetched from, and what it must be.
//!
//! The address is a stranger's word until the signature is checked, so it is fetched only from hosts that the project names, over https,
//! without following redirects, and with a limit of size and of fetches. `rustls-webpki` checks the chain to the trusted certificates, the
//! dates, that the certificate is not one of an authority, and the signature. Whether a certificate was revoked is not checked.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::TimeDelta;
use reqwest::Method;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use tokio::sync::Mutex;
use url::{Host, Url};
use webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA256;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::ReceiverConfig;
use super::signature::Signed;
use crate::connect::http::{Http, Request};
use crate::connect::{ConnectError, HttpConfig};
use crate::time::Instant;

/// The longest certificate.
const SIZE_LIMIT: usize = 32 * 1024;
/// How long a certificate is kept.
const KEPT: TimeDelta = TimeDelta::hours(1);
/// How old a kept certificate must be to be fetched again because a signature does not fit it: keys are replaced under one address.
const STALE: TimeDelta = TimeDelta::minutes(1);
/// Certificates that are kept.
const KEPT_AT_ONCE: usize = 16;
/// Fetches in a minute, failed ones included.
const FETCHES_A_MINUTE: u32 = 10;
/// The purposes that a certificate may be for, if it names any: TLS server, TLS client, signing of code.
const PURPOSES: [KeyUsage; 3] =
    [KeyUsage::server_auth(), KeyUsage::client_auth(), KeyUsage::required_if_present(&[0x2b, 6, 1, 5, 5, 7, 3, 3])];

/// Why a delivery is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// The address of the certificate may not be fetched.
    #[error("the address of the certificate {0}")]
    Address(&'static str),
    /// The certificate could not be fetched.
    #[error("the certificate cannot be fetched")]
    Unavailable,
    /// What is at the address is not a certificate.
    #[error("the certificate {0}")]
    Certificate(&'static str),
    /// The signature is not that of the body.
    #[error("the signature does not fit the body")]
    Signature,
    /// Too many certificates were fetched.
    #[error("{FETCHES_A_MINUTE} certificates were fetched within a minute")]
    TooManyFetches,
}

/// The certificates that a signer's certificate must lead to.
#[derive(Clone)]
pub struct Trust {
    anchors: Vec<TrustAnchor<'static>>,
    intermediates: Vec<CertificateDer<'static>>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust({} roots, {} others)", self.anchors.len(), self.intermediates.len())
    }
}

/// Why trusted certificates cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// There is no certificate.
    #[error("there is no certificate in it: a file in PEM format has lines `-----BEGIN CERTIFICATE-----`")]
    Empty,
    /// One of them cannot be read.
    #[error("certificate {0} in it cannot be read")]
    Unusable(usize),
}

impl Trust {
    /// Reads certificates in PEM format. Those that are signed by themselves are roots, and the others may be between them and the
    /// signer's; if there is no root, all of them are trusted as if they were.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn from_pem(pem: &[u8]) -> Result<Trust, TrustError> {
        let certificates = CertificateDer::pem_slice_iter(pem).enumerate();
        let certificates: Vec<CertificateDer<'static>> =
            certificates.map(|(at, certificate)| certificate.map_err(|_| TrustError::Unusable(at + 1))).collect::<Result<_, _>>()?;
        let mut trust = Trust { anchors: Vec::new(), intermediates: Vec::new() };
        let mut others = Vec::new();
        for (at, certificate) in certificates.iter().enumerate() {
            let unusable = TrustError::Unusable(at + 1);
            let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| unusable)?;
            let is_root = parsed.subject() == parsed.issuer();
            let anchor = anchor_from_trusted_cert(certificate).map_err(|_| unusable)?.to_owned();
            if is_root {
                trust.anchors.push(anchor);
            } else {
                others.push(anchor);
                trust.intermediates.push(certificate.clone());
            }
        }
        if trust.anchors.is_empty() {
            trust = Trust { anchors: others, intermediates: Vec::new() };
        }
        if trust.anchors.is_empty() { Err(TrustError::Empty) } else { Ok(trust) }
    }
}

/// A certificate could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("the certificate cannot be fetched: {0}")]
pub struct FetchError(#[from] ConnectError);

/// Fetches certificates.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Returns what is at an address. Redirects are not followed, and what is too large is an error.
    async fn fetch(&self, address: &Url) -> Result<Bytes, FetchError>;
}

/// Fetches certificates over HTTP.
pub struct HttpFetch(Http);

impl HttpFetch {
    /// Its own HTTP layer, with short waits: a delivery waits for it.
    ///
    /// # Errors
    /// [`ConnectError::Config`].
    pub fn new() -> Result<HttpFetch, ConnectError> {
        Ok(HttpFetch(Http::new(HttpConfig {
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(5),
            attempts: 1,
            max_response_bytes: SIZE_LIMIT,
            ..HttpConfig::default()
        })?))
    }
}

#[async_trait]
impl Fetch for HttpFetch {
    async fn fetch(&self, address: &Url) -> Result<Bytes, FetchError> {
        Ok(self.0.send(&Request::new("certificate", Method::GET, address.clone())).await?)
    }
}

#[derive(Clone)]
struct Kept {
    certificate: Bytes,
    fetched: Instant,
}

#[derive(Default)]
struct Cache {
    kept: HashMap<Url, Kept>,
    /// The present minute, and how many fetches it has seen.
    minute: (i64, u32),
}

/// Fetches, keeps and checks certificates.
pub(super) struct Certificates {
    hosts: Vec<String>,
    trust: Trust,
    organization: String,
    name: Option<String>,
    fetch: Arc<dyn Fetch>,
    /// Held while a certificate is fetched, so that deliveries that come together share one fetch.
    cache: Mutex<Cache>,
}

impl Certificates {
    pub(super) fn new(config: &ReceiverConfig, fetch: Arc<dyn Fetch>) -> Certificates {
        Certificates {
            hosts: config.certificate_hosts.clone(),
            trust: config.trust.clone(),
            organization: config.organization.clone(),
            name: config.certificate_name.clone(),
            fetch,
            cache: Mutex::default(),
        }
    }

    /// Checks that a body was signed by the holder of the certificate at the address that the headers name, and that this certificate is
    /// to be believed.
    pub(super) async fn check(&self, signed: &Signed, body: &[u8], now: Instant) -> Result<(), Refused> {
        let address = allowed(&signed.certificate, &self.hosts).map_err(Refused::Address)?;
        let kept = self.certificate(&address, now, KEPT).await?;
        match self.verify(&kept.certificate, signed, body, now) {
            Ok(()) => Ok(()),
            // The signer may have another key by now.
            Err(refused) if now - kept.fetched >= STALE => {
                let fresh = self.certificate(&address, now, STALE).await?;
                if fresh.certificate == kept.certificate { Err(refused) } else { self.verify(&fresh.certificate, signed, body, now) }
            }
            Err(refused) => Err(refused),
        }
    }

    async fn certificate(&self, address: &Url, now: Instant, not_older_than: TimeDelta) -> Result<Kept, Refused> {
        let mut cache = self.cache.lock().await;
        if let Some(kept) = cache.kept.get(address).filter(|kept| now - kept.fetched < not_older_than) {
            return Ok(kept.clone());
        }
        let minute = now.timestamp().div_euclid(60);
        if cache.minute.0 != minute {
            cache.minute = (minute, 0);
        }
        if cache.minute.1 >= FETCHES_A_MINUTE {
            return Err(Refused::TooManyFetches);
        }
        cache.minute.1 += 1;
        let certificate = self.fetch.fetch(address).await.map_err(|error| {
            tracing::warn!(%error, "the certificate of a delivery cannot be fetched");
            Refused::Unavailable
        })?;
        if certificate.len() > SIZE_LIMIT {
            return Err(Refused::Certificate("is too large"));
        }
        let kept = Kept { certificate, fetched: now };
        cache.kept.retain(|_, kept| now - kept.fetched < KEPT);
        if cache.kept.len() < KEPT_AT_ONCE {
            cache.kept.insert(address.clone(), kept.clone());
        }
        Ok(kept)
    }

    fn verify(&self, certificate: &Bytes, signed: &Signed, body: &[u8], now: Instant) -> Result<(), Refused> {
        let der = CertificateDer::from(&certificate[..]);
        let end_entity = EndEntityCert::try_from(&der).map_err(|_| Refused::Certificate("cannot be read"))?;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(now.timestamp().try_into().unwrap_or_default()));
        let algorithms: &[&dyn SignatureVerificationAlgorithm] = ALL_VERIFICATION_ALGS;
        let mut refused = None;
        let chains = PURPOSES.into_iter().any(|purpose| {
            let checked =
                end_entity.verify_for_usage(algorithms, &self.trust.anchors, &self.trust.intermediates, time, purpose, None, None);
            checked.map_err(|error| refused.get_or_insert(error).clone()).is_ok()
        });
        if !chains {
            return Err(Refused::Certificate(match refused {
                Some(webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. }) => "is not valid at this time",
                Some(webpki::Error::CaUsedAsEndEntity) => "belongs to an authority",
                _ => "does not lead to a trusted certificate",
            }));
        }
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| Refused::Certificate("cannot be read"))?;
        if !parsed.issuer().iter_organization().any(|name| name.as_str() == Ok(self.organization.as_str())) {
            return Err(Refused::Certificate("does not have the required issuer"));
        }
        if let Some(name) = &self.name {
            let valid = ServerName::try_from(name.as_str()).is_ok_and(|name| end_entity.verify_is_valid_for_subject_name(&name).is_ok());
            if !valid {
                return Err(Refused::Certificate("does not have the required name"));
            }
        }
        end_entity.verify_signature(RSA_PKCS1_2048_8192_SHA256, body, &signed.signature).map_err(|_| Refused::Signature)
    }
}

/// The address, if a certificate may be fetched from it.
fn allowed(address: &str, hosts: &[String]) -> Result<Url, &'static str> {
    let mut url = Url::parse(address).map_err(|_| "is not an address")?;
    let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
    let named = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    };
    if !hosts.iter().any(|listed| listed.eq_ignore_ascii_case(&named)) {
        return Err("is not on a host that `certificate-hosts` lists");
    }
    // A host on this machine stands in for the service, and has no certificate that anyone trusts.
    let local = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    };
    if !local && !matches!(url.host(), Some(Host::Domain(_))) {
        return Err("names a machine by its IP address");
    }
    if url.scheme() != "https" && !(local && url.scheme() == "http") {
        return Err("is not an https address");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user name");
    }
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_fetched_over_https_from_a_listed_host_and_from_nowhere_else() {
        let hosts = ["certs.example".to_owned(), "10.0.0.1".to_owned(), "127.0.0.1:8443".to_owned(), "localhost".to_owned()];
        let allowed = |address: &str| allowed(address, &hosts);
        for good in
            ["https://certs.example/a.cer", "https://CERTS.example:443/a.cer?sv=1#x", "http://127.0.0.1:8443/a.cer", "http://localhost/a"]
        {
            assert!(allowed(good).is_ok(), "{good}");
        }
        for bad in [
            "http://certs.example/a.cer",
            "https://certs.example:8443/a.cer",
            "https://certs.example.evil.example/a.cer",
            "https://evil.example/certs.example/a.cer",
            "https://certs.example@evil.example/a.cer",
            "https://user:pass@certs.example/a.cer",
            "https://certs.example./a.cer",
            "https://10.0.0.1/a.cer",
            "https://0x0a000001/a.cer",
            "https://127.0.0.1/a.cer",
            "https://[::1]/a.cer",
            "https://169.254.169.254/metadata",
            "ftp://certs.example/a.cer",
            "file:///etc/passwd",
            "a.cer",
            "",
        ] {
            assert!(allowed(bad).is_err(), "{bad}");
        }
    }
}
