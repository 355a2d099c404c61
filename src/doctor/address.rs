//! The form of Dynamics' address: what can be checked before anything is sent.
//!
//! Sources: Power Platform admin, *Datacenter regions* and *National clouds*; Dataverse, *View developer resources* (where an
//! environment shows its address). Which number stands for which region is known from third parties' code; a number that is not
//! in the list is not an error.

use url::{Host, Url};

use super::Bench;

/// The regions behind the numbers of an address.
const REGIONS: [(&str, &str); 11] = [
    ("crm", "North America"),
    ("crm2", "South America"),
    ("crm3", "Canada"),
    ("crm4", "Europe, Middle East and Africa"),
    ("crm5", "Asia and Pacific"),
    ("crm6", "Australia"),
    ("crm7", "Japan"),
    ("crm8", "India"),
    ("crm9", "North America (government)"),
    ("crm11", "United Kingdom"),
    ("crm12", "France"),
];

/// Separate clouds, whose tokens come from elsewhere.
const CLOUDS: [(&str, &str); 4] = [
    (".dynamics.cn", "login.partner.microsoftonline.cn"),
    (".microsoftdynamics.us", "login.microsoftonline.us"),
    (".appsplatform.us", "login.microsoftonline.us"),
    (".microsoftdynamics.de", "login.microsoftonline.de"),
];

/// Where people find the right address.
pub const WHERE: &str = "take the address from the environment itself: Settings › Developer resources › Web API endpoint, up to and without `/api`; or the environment URL in the Power Platform admin center";

const ID: &str = "dynamics.address";

/// What the form of an address says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// An address of this machine: an emulator.
    Local,
    /// An environment: its name, the part that names the region, and whether it is the API's own form.
    Environment {
        /// The environment's name.
        name: String,
        /// `crm4`
        region: String,
        /// Whether `.api` is between the two; both forms work.
        api: bool,
    },
    /// An environment of a separate cloud, with the host that its tokens come from.
    Cloud(&'static str),
    /// Something else of the vendor's, which has no Dataverse Web API.
    Other(&'static str),
    /// Of no known form.
    Unknown,
}

/// Reads the form.
pub fn form(url: &Url) -> Form {
    let host = match url.host() {
        Some(Host::Domain(name)) => name.trim_end_matches('.').to_ascii_lowercase(),
        Some(Host::Ipv4(address)) if address.is_loopback() => return Form::Local,
        Some(Host::Ipv6(address)) if address.is_loopback() => return Form::Local,
        Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => return Form::Unknown,
    };
    if host == "localhost" {
        return Form::Local;
    }
    let within = |domain: &str| host == domain || host.ends_with(&format!(".{domain}"));
    if within("powerapps.com") || within("powerplatform.microsoft.com") || host == "home.dynamics.com" || host == "www.dynamics.com" {
        return Form::Other("a portal's, not an environment's");
    }
    if within("operations.dynamics.com") || within("cloudax.dynamics.com") {
        return Form::Other("that of a finance and operations environment, which is a different service than Dataverse");
    }
    if let Some((_, tokens)) = CLOUDS.iter().find(|(domain, _)| host.ends_with(domain)) {
        return Form::Cloud(tokens);
    }
    let Some(labels) = host.strip_suffix(".dynamics.com") else { return Form::Unknown };
    let labels: Vec<&str> = labels.split('.').collect();
    let is_region = |label: &str| label.strip_prefix("crm").is_some_and(|number| number.chars().all(|c| c.is_ascii_digit()));
    match labels.as_slice() {
        ["globaldisco" | "disco", ..] => Form::Other("that of the discovery service, not an environment's"),
        [name, region] if is_region(region) => Form::Environment { name: (*name).to_owned(), region: (*region).to_owned(), api: false },
        [name, "api", region] if is_region(region) => {
            Form::Environment { name: (*name).to_owned(), region: (*region).to_owned(), api: true }
        }
        _ => Form::Unknown,
    }
}

/// The region of a part of an address.
fn region(part: &str) -> &'static str {
    REGIONS.iter().find(|(name, _)| *name == part).map_or("a region that this version has no name for", |(_, region)| region)
}

/// Checks the form of an address. `token_url` says whether the project names the token service itself.
pub fn check(bench: &mut Bench, url: &Url, token_url: bool) {
    let subject = "address";
    match form(url) {
        Form::Local => bench.ok(ID, subject, format!("{}: this machine", shown(url))),
        Form::Environment { name, region: part, api } => {
            let api = if api { "; the API's own form" } else { "" };
            bench.ok(ID, subject, format!("{}: environment {name}, {part}: {}{api}", shown(url), region(&part)));
        }
        Form::Cloud(_) if token_url => bench.ok(ID, subject, format!("{}: a national cloud", shown(url))),
        Form::Cloud(tokens) => bench.fail(
            ID,
            subject,
            format!("{} belongs to a national cloud, and the public cloud's token service does not know it", shown(url)),
            format!("add `token-url: https://{tokens}/TENANT/oauth2/v2.0/token` to the connection"),
        ),
        Form::Other(what) => bench.fail(ID, subject, format!("{} is {what}", shown(url)), WHERE),
        Form::Unknown => bench.warn(
            ID,
            subject,
            format!("{} is not of the form https://NAME.crmN.dynamics.com", shown(url)),
            format!("if it is your gateway, nothing; otherwise {WHERE}"),
        ),
    }
}

/// What to do where there is no such host.
pub fn no_such_host(url: &Url) -> String {
    match form(url) {
        Form::Environment { name, region: part, .. } => format!(
            "check the spelling of `{name}`, and the region: `{part}` is {}, and an environment answers under its own region only. {WHERE}",
            region(&part)
        ),
        Form::Local | Form::Cloud(_) | Form::Other(_) | Form::Unknown => format!("check the spelling. {WHERE}"),
    }
}

/// An address for people: scheme, host and port.
pub fn shown(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Form {
        form(&text.parse().unwrap())
    }

    fn environment(region: &str, api: bool) -> Form {
        Form::Environment { name: "contoso".into(), region: region.into(), api }
    }

    #[test]
    fn an_environments_address_names_its_region_with_or_without_api() {
        assert_eq!(of("https://contoso.crm4.dynamics.com"), environment("crm4", false));
        assert_eq!(of("https://Contoso.CRM.dynamics.com."), environment("crm", false));
        assert_eq!(of("https://contoso.api.crm11.dynamics.com"), environment("crm11", true));
        assert_eq!(region("crm4"), "Europe, Middle East and Africa");
        assert_eq!(region("crm99"), "a region that this version has no name for");
    }

    #[test]
    fn addresses_of_the_vendors_other_services_are_told_apart() {
        for other in [
            "https://make.powerapps.com",
            "https://admin.powerplatform.microsoft.com",
            "https://home.dynamics.com",
            "https://contoso.operations.dynamics.com",
            "https://globaldisco.crm.dynamics.com",
        ] {
            assert!(matches!(of(other), Form::Other(_)), "{other}");
        }
        assert_eq!(of("https://contoso.crm.dynamics.cn"), Form::Cloud("login.partner.microsoftonline.cn"));
        assert_eq!(of("https://contoso.crm.microsoftdynamics.us"), Form::Cloud("login.microsoftonline.us"));
        for unknown in
            ["https://contoso.dynamics.com", "https://contoso.crmx.dynamics.com", "https://gateway.contoso.com", "https://10.0.0.1"]
        {
            assert_eq!(of(unknown), Form::Unknown, "{unknown}");
        }
        for local in ["http://127.0.0.1:8080", "https://localhost:1", "http://[::1]:3"] {
            assert_eq!(of(local), Form::Local, "{local}");
        }
    }

    #[test]
    fn a_host_that_does_not_exist_is_asked_for_its_region() {
        let mend = no_such_host(&"https://contoso.crm.dynamics.com".parse().unwrap());
        assert!(mend.contains("`crm` is North America") && mend.contains("Developer resources"), "{mend}");
    }
}
