//! Addresses: which the configuration may give, and what of one may be shown.

use std::net::IpAddr;

use url::{Host, Url};

use crate::connect::error::ConnectError;

/// An address's path as errors and logs may show it: what names a person in it is left out, which are values of alternate
/// keys and keys that are e-mail addresses; and Campaign's PKeys, which are not to be kept anywhere.
pub(super) fn shown_path(url: &Url) -> String {
    const HIDDEN: &str = "…";
    let segment = |segment: &str| match segment.split_once("='") {
        // `contacts(emailaddress1='ann%40example.com')`; a quote within a value is doubled.
        Some((before, rest)) => format!("{before}='{HIDDEN}'{}", rest.rsplit_once('\'').map_or("", |(_, after)| after)),
        None if segment.contains('@') || segment.to_ascii_lowercase().contains("%40") => HIDDEN.to_owned(),
        None => segment.to_owned(),
    };
    url.path().split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Scheme, host and port.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(ip)) => IpAddr::from(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::from(ip).is_loopback(),
        None => false,
    }
}

/// Checks an address from the configuration: encrypted unless it stays on this machine, and without user, query or fragment.
pub(crate) fn service_url(api: &str, setting: &str, url: &Url) -> Result<(), ConnectError> {
    // Not the address itself: what is wrong with it may be a password in it.
    let shown = || origin(url);
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(url) => {}
        "http" => {
            return Err(ConnectError::config(
                format!("{api}: `{setting}` {} would send credentials unencrypted", shown()),
                "use https; plain http is for loopback addresses only",
            ));
        }
        other => return Err(ConnectError::config(format!("{api}: `{setting}` has the scheme `{other}`"), "use https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConnectError::config(
            format!("{api}: `{setting}` {} carries a user name or password", shown()),
            "remove it; credentials go into `client-id` and `client-secret`",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(ConnectError::config(
            format!("{api}: `{setting}` {} has a query or fragment", shown()),
            "give the address up to its path",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_hosts_only() {
        for good in ["https://o.crm4.dynamics.com", "http://127.0.0.1:80/x", "http://[::1]:9/", "http://localhost:1"] {
            assert!(service_url("dataverse", "url", &good.parse().unwrap()).is_ok(), "{good}");
        }
        for wrong in [
            "http://o.crm4.dynamics.com",
            "http://127.0.0.1.example",
            "ftp://127.0.0.1",
            "https://u:hunter2@h/",
            "https://h/?a=hunter2",
            "https://h/#hunter2",
        ] {
            let error = service_url("dataverse", "url", &wrong.parse().unwrap()).unwrap_err();
            assert!(matches!(error, ConnectError::Config { .. }));
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_error_names_no_person_by_a_key_and_no_pkey() {
        let shown = |path: &str| shown_path(&format!("https://h/{path}").parse().unwrap());
        for (path, expected) in [
            (
                "api/data/v9.2/contacts(4d9e5e49-2a5b-4d6c-9f0a-0b5c1d2e3f40)",
                "/api/data/v9.2/contacts(4d9e5e49-2a5b-4d6c-9f0a-0b5c1d2e3f40)",
            ),
            ("contacts(emailaddress1='ann%40example.com')", "/contacts(emailaddress1='…')"),
            ("contacts(a='O''Brien',b='x')/parentcustomerid_account", "/contacts(a='…')/parentcustomerid_account"),
            ("org/campaign/profileAndServicesExt/profile/ann%40example.com/events", "/org/campaign/profileAndServicesExt/profile/…/events"),
            ("org/campaign/profileAndServices/history/@kEJp-1_x", "/org/campaign/profileAndServices/history/…"),
            ("org/campaign/profileAndServicesExt/profile/C-42", "/org/campaign/profileAndServicesExt/profile/C-42"),
        ] {
            assert_eq!(shown(path), expected);
        }
    }
}
