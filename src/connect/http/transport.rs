//! Why no answer came, read from the errors of the HTTP library.

use std::error::Error;
use std::io;

use rustls::CertificateError;
use url::Url;

use super::address::origin;

/// Why nothing answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// Which of the known reasons.
    pub why: Why,
    /// The transport's words, without the address.
    pub message: String,
}

/// The reasons for which nothing answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// There is no host of that name, or the name service does not answer.
    NoSuchHost,
    /// Nothing listens at that port.
    Refused,
    /// No answer within the time.
    Slow,
    /// The proxy does not make the connection.
    Proxy,
    /// The proxy asks for a user name and password.
    ProxyLogin,
    /// Who issued the certificate is not trusted here.
    Untrusted,
    /// The certificate's time is over.
    Expired,
    /// The certificate's time has not come.
    NotYetValid,
    /// The certificate is for other names.
    WrongName(Vec<String>),
    /// The certificate was withdrawn.
    Revoked,
    /// What answers does not speak TLS, or no version that is safe.
    NotTls,
    /// The connection broke, or something else.
    Other,
}

impl Unreachable {
    /// Reads an error of the HTTP library.
    pub fn of(error: reqwest::Error) -> Self {
        let why = if error.is_timeout() { Why::Slow } else { why(error.source()) };
        Self { why, message: transport(error) }
    }
}

pub(super) fn why(first: Option<&(dyn Error + 'static)>) -> Why {
    let mut source = first;
    while let Some(cause) = source {
        if let Some(found) = cause.downcast_ref::<rustls::Error>() {
            return tls(found);
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            match error.kind() {
                io::ErrorKind::ConnectionRefused => return Why::Refused,
                io::ErrorKind::TimedOut => return Why::Slow,
                _ => {}
            }
        }
        // The HTTP library keeps these two apart by their words alone.
        let words = cause.to_string();
        if words.contains("dns error") || words.contains("invalid dns name") {
            return Why::NoSuchHost;
        }
        if words.contains("proxy authorization required") {
            return Why::ProxyLogin;
        }
        if words.contains("tunnel") || words.contains("proxy") {
            return Why::Proxy;
        }
        source = beneath(cause);
    }
    Why::Other
}

/// The next error of a chain. An input error passes the one within it over: its source is already that one's.
fn beneath<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    }
}

fn tls(error: &rustls::Error) -> Why {
    match error {
        rustls::Error::InvalidCertificate(found) => match found {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Why::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Why::NotYetValid,
            CertificateError::NotValidForName => Why::WrongName(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => Why::WrongName(presented.iter().map(|n| bare(n)).collect()),
            CertificateError::Revoked => Why::Revoked,
            // Every other fault of a certificate means that this machine does not trust it.
            _ => Why::Untrusted,
        },
        rustls::Error::InvalidMessage(_)
        | rustls::Error::AlertReceived(_)
        | rustls::Error::PeerIncompatible(_)
        | rustls::Error::PeerMisbehaved(_)
        | rustls::Error::InappropriateMessage { .. }
        | rustls::Error::InappropriateHandshakeMessage { .. } => Why::NotTls,
        _ => Why::Other,
    }
}

/// `DnsName("contoso.example")` as the library lists it, without its wrapping.
fn bare(name: &str) -> String {
    name.split_once('"').and_then(|(_, rest)| rest.split_once('"')).map_or(name, |(inner, _)| inner).to_owned()
}

/// Why every further attempt at a connection would fail alike, with the fix; none where it may pass by itself.
pub(super) fn lasting(why: Why, url: &Url) -> Option<(String, String)> {
    let host = origin(url);
    let told = |problem: String, remedy: &str| Some((problem, remedy.to_owned()));
    match why {
        Why::Untrusted => told(
            format!("this machine does not trust the certificate of {host}"),
            "put the root certificate of your company's proxy into the system's trust store, or name its file in SSL_CERT_FILE",
        ),
        Why::Expired => told(
            format!("the certificate of {host} has expired"),
            "check this machine's clock; if it is right, whoever runs the service or the proxy must renew the certificate",
        ),
        Why::NotYetValid => told(format!("the certificate of {host} is not valid yet"), "check this machine's clock"),
        Why::WrongName(names) => {
            let names = if names.is_empty() { String::new() } else { format!("; it is for {}", names.join(", ")) };
            told(format!("the certificate of {host} is for another host name{names}"), "check the connection's `url`")
        }
        Why::Revoked => {
            told(format!("the certificate of {host} was revoked"), "check the connection's `url`, and that no proxy is in between")
        }
        Why::ProxyLogin => told(
            format!("the proxy for {host} asks for a user name and password (407)"),
            "write them into HTTPS_PROXY: http://USER:PASSWORD@PROXY:PORT, special characters percent-encoded",
        ),
        Why::NoSuchHost | Why::Refused | Why::Slow | Why::Proxy | Why::NotTls | Why::Other => None,
    }
}

/// A transport error with its causes, without the address: that could show a query string.
pub(super) fn transport(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_known_and_a_port_where_nothing_listens_are_found_in_the_chain() {
        #[derive(Debug, thiserror::Error)]
        #[error("{words}")]
        struct Layer {
            words: &'static str,
            source: Option<io::Error>,
        }
        let found = |words, source| why(Some(&Layer { words, source }));
        assert_eq!(found("dns error", Some(io::Error::other("failed to lookup address information"))), Why::NoSuchHost);
        assert_eq!(found("tcp connect error", Some(io::ErrorKind::ConnectionRefused.into())), Why::Refused);
        let expired = rustls::Error::InvalidCertificate(CertificateError::Expired);
        assert_eq!(found("client error (Connect)", Some(io::Error::other(io::Error::other(expired)))), Why::Expired);
        assert_eq!(found("connection reset", None), Why::Other);
    }

    #[test]
    fn a_certificates_fault_is_distinguished_from_the_others() {
        let fault = |error| tls(&rustls::Error::InvalidCertificate(error));
        assert_eq!(fault(CertificateError::UnknownIssuer), Why::Untrusted);
        assert_eq!(fault(CertificateError::Expired), Why::Expired);
        assert_eq!(fault(CertificateError::NotValidYet), Why::NotYetValid);
        assert_eq!(fault(CertificateError::NotValidForName), Why::WrongName(Vec::new()));
        assert_eq!(fault(CertificateError::Revoked), Why::Revoked);
        assert_eq!(bare("DnsName(\"a.example\")"), "a.example");
        assert_eq!(bare("a.example"), "a.example");
    }
}
