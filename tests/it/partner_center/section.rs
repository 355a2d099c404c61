//! The section `connections.partner-center` of the project file.

use d365map::connect::SignInMethod;
use d365map::diagnostics::FileProblem;
use d365map::project::{EntraCredential, FILE_NAME, PartnerCenterConnection, Project, ProjectError, RefreshTokenPlace, SecretRef};

pub(super) fn load(lines: &str) -> Result<PartnerCenterConnection, Vec<FileProblem>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, format!("version: 1\nconnections:\n  partner-center:\n{lines}")).unwrap();
    match Project::load(&path) {
        Ok(project) => Ok(project.connections.partner_center.unwrap()),
        Err(ProjectError::Invalid(problems)) => Err(problems),
        Err(error) => panic!("{error}"),
    }
}

pub(super) const LEAST: &str = "    tenant: contoso.onmicrosoft.com\n    client-id: app\n";

#[test]
fn a_tenant_and_a_client_id_are_enough_for_a_public_client() {
    let connection = load(LEAST).unwrap();
    let config = connection.config;
    assert_eq!(
        (config.url.as_str(), config.audience.as_str()),
        ("https://api.partner.microsoft.com/", "https://api.partner.microsoft.com")
    );
    assert_eq!(
        (config.webhooks_url.as_str(), config.webhooks_audience.as_str()),
        ("https://api.partnercenter.microsoft.com/", "https://api.partnercenter.microsoft.com")
    );
    assert_eq!(config.portal_link.as_deref(), Some("https://partner.microsoft.com/dashboard/referrals/v2/coselldeals/{id}"));
    assert_eq!(config.sign_in.authority.as_str(), "https://login.microsoftonline.com/");
    assert_eq!((config.sign_in.method, config.sign_in.require_mfa), (SignInMethod::DeviceCode, true));
    assert_eq!((config.credential.client, config.credential.refresh_token), (None, RefreshTokenPlace::Default));
}

#[test]
fn every_default_can_be_set() {
    let connection = load(&format!(
        "{LEAST}    client-secret: {{ env: A }}
    sign-in: authorization-code
    require-mfa: false
    token-file: secrets/partner.json
    authority: http://127.0.0.1:8083
    url: http://127.0.0.1:8084
    audience: https://api.example
    webhooks-url: http://127.0.0.1:8085
    webhooks-audience: https://hooks.example
    portal-link: \"https://portal.example/deals/{{id}}?tab=1\"\n"
    ));
    let config = connection.unwrap().config;
    assert_eq!((config.url.port(), config.webhooks_url.port(), config.sign_in.authority.port()), (Some(8084), Some(8085), Some(8083)));
    assert_eq!((config.audience.as_str(), config.webhooks_audience.as_str()), ("https://api.example", "https://hooks.example"));
    assert_eq!(config.portal_link.as_deref(), Some("https://portal.example/deals/{id}?tab=1"));
    assert_eq!((config.sign_in.method, config.sign_in.require_mfa), (SignInMethod::AuthorizationCode, false));
    assert_eq!(config.credential.client, Some(EntraCredential::Secret(SecretRef::Env("A".into()))));
    assert_eq!(config.credential.refresh_token, RefreshTokenPlace::File("secrets/partner.json".into()));
}

#[test]
fn a_refresh_token_is_a_reference_and_has_one_place() {
    let given = load(&format!("{LEAST}    refresh-token: {{ env: TOKEN }}\n")).unwrap();
    assert_eq!(given.config.credential.refresh_token, RefreshTokenPlace::Given(SecretRef::Env("TOKEN".into())));
    let literal = load(&format!("{LEAST}    refresh-token: hunter2\n")).unwrap_err();
    let text = format!("{literal:?}");
    assert!(text.contains("must not be written in the project file") && !text.contains("hunter2"), "{text}");
    let both = load(&format!("{LEAST}    token-file: a\n    refresh-token: {{ env: TOKEN }}\n")).unwrap_err();
    assert_eq!(both[0].message, "the connection to Partner Center has two places for the refresh token");
}

#[test]
fn no_link_is_written_if_the_file_says_so() {
    assert_eq!(load(&format!("{LEAST}    portal-link: off\n")).unwrap().config.portal_link, None);
    assert_eq!(load(&format!("{LEAST}    portal-link: \"off\"\n")).unwrap().config.portal_link, None);
}

#[test]
fn wrong_values_are_reported_with_what_to_write() {
    for (lines, message, help) in [
        ("    sign-in: password\n", "`password` is not a way to sign in", "device-code"),
        (
            "    url: https://api.partner.microsoft.com/v1.0\n",
            "`url` must be the address of a host, without a path",
            "`https://api.partner.microsoft.com`",
        ),
        ("    webhooks-url: http://example.com\n", "a secret would be sent over the network unencrypted", "https"),
        ("    portal-link: https://a.example/deals\n", "`portal-link` must be a web address with `{id}`", "`off`"),
        ("    portal-link: \"deal {id}\"\n", "`portal-link` must be a web address with `{id}`", "`off`"),
        (
            "    client-secret: { env: A }\n    client-certificate: { certificate: a.pem, private-key: { env: B } }\n",
            "the connection to Partner Center has a secret and a certificate",
            "remove one",
        ),
    ] {
        let problems = load(&format!("{LEAST}{lines}")).unwrap_err();
        assert_eq!(problems[0].message, message, "{lines}");
        assert!(problems[0].help.as_deref().unwrap_or_default().contains(help), "{:?}", problems[0].help);
    }
    let tenant = load("    tenant: a/b\n    client-id: app\n").unwrap_err();
    assert_eq!(tenant[0].message, "this is not the id or domain of a directory");
}
