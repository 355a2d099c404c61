//! Which hosts a request may name, and where it comes from.
//!
//! A page of another site can let its name resolve to 127.0.0.1 and then read what this server answers ("DNS rebinding"). Its requests
//! name that site in `Host`. So a request must name an IP address, `localhost`, or the host of the public address: none of these can be
//! made to resolve to something else by a stranger.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::extract::Request;
use axum::extract::connect_info::Connected;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::serve::IncomingStream;
use tokio::net::TcpListener;
use url::{Host, Url};

/// The other end of a connection, for `into_make_service_with_connect_info`. A listener with TLS needs an implementation of `Connected`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Peer {
        Peer(*stream.remote_addr())
    }
}

/// The headers in which proxies write whom they speak for.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];

/// The host that a request names, in lower case, with its port if it has one.
pub(super) fn named(headers: &HeaderMap) -> Option<String> {
    // Two of them could mean two hosts to two readers.
    let mut all = headers.get_all(HOST).iter();
    let host = all.next()?.to_str().ok()?;
    all.next().is_none().then(|| host.trim().to_ascii_lowercase())
}

/// Whether a request may name a host.
pub(super) fn is_own(authority: &str, public: Option<&Url>) -> bool {
    let Ok(url) = Url::parse(&format!("http://{authority}/")) else { return false };
    if url.path() != "/" || !url.username().is_empty() || url.password().is_some() {
        return false;
    }
    match url.host() {
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        Some(Host::Domain(name)) => name == "localhost" || public.is_some_and(|public| public.host_str() == Some(name)),
        None => false,
    }
}

/// Whether a request was made on this machine: it comes from and names a loopback address, and no proxy speaks for somebody else.
pub(super) fn is_local(peer: Option<IpAddr>, headers: &HeaderMap) -> bool {
    let names_loopback = named(headers).and_then(|host| Url::parse(&format!("http://{host}/")).ok()).is_some_and(|url| match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    });
    peer.is_some_and(|peer| peer.to_canonical().is_loopback())
        && names_loopback
        && FORWARDED.iter().all(|name| !headers.contains_key(*name))
}

/// The address at the other end of the connection.
pub(super) fn peer(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<Peer>>().map(|ConnectInfo(Peer(address))| address.ip().to_canonical())
}

/// The address that a request comes from. With a proxy it is the last one in `X-Forwarded-For`, which the proxy has added; those before
/// it are what the client wrote.
pub(super) fn client(peer: Option<IpAddr>, headers: &HeaderMap, behind_proxy: bool) -> Option<IpAddr> {
    let forwarded = || {
        let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?.rsplit(',').next()?.trim();
        let with_port = || last.parse::<SocketAddr>().ok().map(|address| address.ip());
        last.parse::<IpAddr>().ok().or_else(with_port).map(|address| address.to_canonical())
    };
    if behind_proxy { forwarded().or(peer) } else { peer }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_request_must_name_an_address_localhost_or_the_public_host() {
        let public = Url::parse("https://sync.contoso.com/").ok();
        for host in ["127.0.0.1:8070", "localhost:8070", "localhost", "[::1]:8070", "10.0.0.7", "sync.contoso.com", "SYNC.contoso.com:443"]
        {
            assert!(is_own(&host.to_ascii_lowercase(), public.as_ref()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8070",
            "localhost.evil.example",
            "sync.contoso.com.evil.example",
            "",
            "a@127.0.0.1",
            "127.0.0.1/x",
        ] {
            assert!(!is_own(host, public.as_ref()), "{host}");
        }
        assert!(!is_own("sync.contoso.com", None));
        assert_eq!(named(&headers(&[("host", "localhost"), ("host", "evil.example")])), None);
    }

    #[test]
    fn only_a_proxy_can_say_where_a_request_comes_from() {
        let peer: Option<IpAddr> = "127.0.0.1".parse().ok();
        let given = headers(&[("x-forwarded-for", "10.0.0.1, 192.0.2.1"), ("x-forwarded-for", "10.0.0.2, 192.0.2.7:4711")]);
        assert_eq!(client(peer, &given, false), peer);
        assert_eq!(client(peer, &given, true), "192.0.2.7".parse().ok());
        assert_eq!(client(peer, &headers(&[("x-forwarded-for", "unknown")]), true), peer);
    }

    #[test]
    fn a_request_through_a_proxy_is_not_local() {
        let (here, there): (Option<IpAddr>, Option<IpAddr>) = ("127.0.0.1".parse().ok(), "192.0.2.1".parse().ok());
        let local = headers(&[("host", "localhost:8070")]);
        assert!(is_local(here, &local) && !is_local(there, &local) && !is_local(None, &local));
        assert!(!is_local(here, &headers(&[("host", "sync.contoso.com")])));
        assert!(!is_local(here, &headers(&[("host", "localhost"), ("x-forwarded-for", "192.0.2.1")])));
    }
}
