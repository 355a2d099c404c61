//! Paths of this server in redirects: never an address of another one.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// What may be in the value of a query as it is.
const IN_A_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A base for paths. The name is reserved (RFC 2606): it is nowhere.
const BASE: &str = "https://here.invalid";

/// Returns a path with its query if it leads to a page of this server, and `/` otherwise.
///
/// Browsers read `//host`, `/\host` and addresses with tabs and line breaks as addresses of other servers (URL Standard). So a path is
/// only taken if it is read as one of this server, and it is returned as it was read.
pub(super) fn own(path: &str) -> String {
    let base = Url::parse(BASE).ok();
    let read = base.as_ref().and_then(|base| {
        let plain = path.starts_with('/') && !path.contains(|c: char| c == '\\' || c.is_control());
        let url = plain.then(|| base.join(path).ok()).flatten()?;
        (url.origin() == base.origin() && url.username().is_empty()).then_some(url)
    });
    // A path that begins with two slashes after dots were resolved would be another server's again.
    let Some(url) = read.filter(|url| !url.path().starts_with("//") && !url.path().starts_with("/sign-")) else { return "/".to_owned() };
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

/// The address of the page to sign in, which leads back to a path.
pub(super) fn sign_in(then: &str) -> String {
    match own(then).as_str() {
        "/" => "/sign-in".to_owned(),
        then => format!("/sign-in?then={}", utf8_percent_encode(then, IN_A_QUERY)),
    }
}

/// The address that begins a sign-in with the service, and leads back to a path.
pub(super) fn sign_in_service(then: &str) -> String {
    sign_in(then).replacen("/sign-in", "/sign-in/oidc", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_this_server_is_kept_with_its_query() {
        for path in ["/", "/p/crm", "/p/crm/dead-letters?page=2&kind=a%20b", "/p/caf%C3%A9"] {
            assert_eq!(own(path), path);
        }
        assert_eq!(own("/p/a b#c"), "/p/a%20b");
    }

    #[test]
    fn what_a_browser_could_read_as_another_server_becomes_the_overview() {
        for path in [
            "",
            "p",
            "https://evil.example/",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/.//evil.example",
            "/p/..//evil.example",
            "/%2e//evil.example",
            "javascript:alert(1)",
            " //evil.example",
            "/sign-in?then=/",
            "/sign-out",
        ] {
            assert_eq!(own(path), "/", "{path:?}");
        }
    }

    #[test]
    fn the_way_back_is_one_value_of_the_query() {
        assert_eq!(sign_in("/p/crm?a=1&then=//x"), "/sign-in?then=/p/crm%3Fa%3D1%26then%3D//x");
        assert_eq!(sign_in("//x"), "/sign-in");
        assert_eq!(sign_in_service("/p"), "/sign-in/oidc?then=/p");
    }
}
