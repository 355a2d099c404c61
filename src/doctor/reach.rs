//! Whether an address can be reached and by what clock: names, connections, certificates, `Date`.
//!
//! Certificates are always verified; what is said about a faulty one is how to get a good one trusted, since there is no
//! switch to do without.

use url::Url;

use super::Bench;
use super::address::shown;
use crate::connect::{Look, Unreachable, Why};

/// Seconds of difference between two clocks from which it is worth a word.
const NOTICED: i64 = 30;
/// Seconds from which signed assertions and fresh tokens are refused (Microsoft Entra allows five minutes; Adobe's tolerance
/// is not documented).
const REFUSED: i64 = 300;

/// What is wrong with a connection, and what to do. `absent` is the remedy where the host's name is not known.
pub fn explain(url: &Url, unreachable: &Unreachable, absent: String) -> (String, String) {
    let host = url.host_str().unwrap_or("the host");
    let words = unreachable.message.as_str();
    let verified = "certificates are always verified";
    match &unreachable.why {
        Why::NoSuchHost => {
            (format!("the name {host} cannot be resolved: there is no such host, or the name service does not answer"), absent)
        }
        Why::Refused => (
            format!("nothing listens at {}", shown(url)),
            "check the address and its port; if a firewall blocks it, allow this machine to connect".to_owned(),
        ),
        Why::Slow => (
            format!("{} does not answer in time", shown(url)),
            "check that no firewall blocks this machine, and whether a proxy is needed (HTTPS_PROXY); `--timeout` waits longer".to_owned(),
        ),
        Why::ProxyLogin => (
            format!("the proxy for {host} asks for a user name and password (407)"),
            "write them into HTTPS_PROXY: http://USER:PASSWORD@PROXY:PORT, special characters percent-encoded".to_owned(),
        ),
        Why::Proxy => (
            format!("the proxy does not connect to {host}: {words}"),
            "check HTTPS_PROXY and NO_PROXY, and that the proxy allows this host".to_owned(),
        ),
        Why::Untrusted => (
            format!("this machine does not trust the certificate of {host}"),
            format!(
                "{verified}. If a proxy of your company inspects connections, add its root certificate to this machine's store (or name the store's file in SSL_CERT_FILE); if not, the connection may be intercepted: do not continue"
            ),
        ),
        Why::Expired => (
            format!("the certificate of {host} has expired"),
            format!(
                "{verified}. Check this machine's clock (`date -u`); if it is right, the service's operator must renew the certificate"
            ),
        ),
        Why::NotYetValid => (
            format!("the certificate of {host} is not valid yet"),
            format!("{verified}. Check this machine's clock (`date -u`): it is probably slow"),
        ),
        Why::WrongName(names) => {
            let others = if names.is_empty() { String::new() } else { format!(" but for {}", names.join(", ")) };
            (
                format!("the certificate is not for {host}{others}"),
                format!(
                    "{verified}. Write the address in the service's certificate; if it is already that, a proxy or the name service leads elsewhere"
                ),
            )
        }
        Why::Revoked => (format!("the certificate of {host} was revoked"), format!("{verified}. The service's operator must replace it")),
        Why::NotTls => (
            format!("what answers at {} does not use TLS correctly: {words}", shown(url)),
            "check the port, and that no proxy or portal answers instead of the service".to_owned(),
        ),
        Why::Other => (
            format!("the connection to {} broke: {words}", shown(url)),
            "try again; if it fails again, check proxy and firewall".to_owned(),
        ),
    }
}

/// Compares the service's clock with this machine's.
pub fn clock(bench: &mut Bench, id: &'static str, look: &Look) {
    let subject = "clock";
    let Some(ahead) = look.ahead() else {
        bench.skip(id, subject, "the answer has no `Date`");
        return;
    };
    let apart = span(ahead.abs());
    let way = if ahead > 0 { "behind" } else { "ahead of" };
    let cause = format!("this machine's clock is {apart} {way} the service's");
    let mend = "set this machine's clock by NTP (`timedatectl set-ntp true`; on Windows `w32tm /resync`)";
    match ahead.abs() {
        0 => bench.ok(id, subject, "agrees with the service's"),
        1..NOTICED => bench.ok(id, subject, format!("{apart} {way} the service's")),
        NOTICED..REFUSED => bench.warn(id, subject, cause, mend),
        _ => bench.fail(
            id,
            subject,
            format!("{cause}: beyond five minutes signed assertions are refused and tokens expire at the wrong time"),
            mend,
        ),
    }
}

/// `75` → `1 min 15 s`.
pub fn span(seconds: i64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Where one service is looked for, and what is said when it is not there.
pub struct Door<'a> {
    /// The check for the connection.
    pub connection: &'static str,
    /// The check for what answers.
    pub service: &'static str,
    /// The service's name for people.
    pub name: &'a str,
    /// The address that wants a token.
    pub url: &'a Url,
    /// The remedy for a name that is not known.
    pub absent: String,
    /// Where people find the right address.
    pub find: &'a str,
}

/// Checks an address without a token: whether a connection is made, and whether the service itself answers. A service
/// that is there refuses with 401 or, behind some gateways, 403.
pub async fn door(bench: &mut Bench, http: &crate::connect::Http, door: &Door<'_>) -> Option<Look> {
    let (connection, service) = ("connection", "service");
    let look = match bench.step(http.look_at(door.url)).await {
        Ok(Ok(look)) => look,
        Ok(Err(unreachable)) => {
            let (cause, mend) = explain(door.url, &unreachable, door.absent.clone());
            bench.fail(door.connection, connection, cause, mend);
            bench.skip(door.service, service, "there is no connection");
            return None;
        }
        Err(_) => {
            bench.over(door.connection, connection);
            bench.skip(door.service, service, "there is no connection");
            return None;
        }
    };
    let safe =
        if door.url.scheme() == "https" { "encrypted, certificate verified" } else { "not encrypted, and does not leave this machine" };
    bench.ok(door.connection, connection, safe);
    let host = shown(door.url);
    let name = door.name;
    let find = door.find;
    let (cause, mend) = match (look.status, &look.redirect) {
        (_, Some(to)) if *to == host => (format!("{host} redirects to another of its pages instead of answering"), find.to_owned()),
        (_, Some(to)) => (
            format!("{host} redirects to {to}; redirects are not followed, because they would send the token along"),
            format!("that is not {name}: {find}"),
        ),
        (status, None) if look.html => (
            format!("an HTML page comes from {host} in place of {name}'s answer (status {status})"),
            format!("a sign-in page, a portal or a proxy answered instead: {find}"),
        ),
        (401, None) => {
            bench.ok(door.service, service, format!("{name} answers and asks for a token"));
            return Some(look);
        }
        (403, None) if look.code.is_some() => {
            bench.ok(door.service, service, format!("{name} answers and asks for a token"));
            return Some(look);
        }
        (403, None) => (
            format!("{host} refuses this machine before authentication"),
            "an IP firewall or a gateway blocks it: allow this machine's address".to_owned(),
        ),
        (404, None) => (format!("{host} answers, but has no API at {}", door.url.path()), find.to_owned()),
        (429, None) => {
            bench.warn(door.service, service, format!("{name} already asks for fewer requests"), "wait a few minutes, then try again");
            return Some(look);
        }
        (500..=599, None) => {
            let said = look.message.as_deref().map_or(String::new(), |m| format!(": {m}"));
            (
                format!("{name} is not available (status {}{said})", look.status),
                "try again later; see the vendor's service health page".to_owned(),
            )
        }
        (status, None) => {
            bench.warn(
                door.service,
                service,
                format!("what answers at {host} does not ask for a token (status {status}): it is probably not {name}"),
                format!("unless it is your gateway, {find}"),
            );
            return Some(look);
        }
    };
    bench.fail(door.service, service, cause, mend);
    None
}

/// Looks whether the token service can be reached at all; any answer will do.
pub async fn token_service(bench: &mut Bench, http: &crate::connect::Http, id: &'static str, url: &Url, absent: &str) -> Option<Look> {
    let subject = "token service";
    match bench.step(http.look_at(url)).await {
        Ok(Ok(look)) => {
            bench.ok(id, subject, format!("{} answers", shown(url)));
            Some(look)
        }
        Ok(Err(unreachable)) => {
            let (cause, mend) = explain(url, &unreachable, absent.to_owned());
            bench.fail(id, subject, cause, mend);
            None
        }
        Err(_) => {
            bench.over(id, subject);
            None
        }
    }
}
