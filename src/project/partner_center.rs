//! The section `connections.partner-center`: the app in whose name a person signs in to Partner Center.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::entra::CertificateDoc;
use super::reader::Reader;
use super::webhook::{WebhookConnection, WebhookDoc};
use super::{EntraCredential, SecretRef};
use crate::connect::{SignInConfig, SignInMethod};
use crate::systems::partner_center::{ID_IN_LINK, PORTAL_LINK, PartnerCenterConfig, REFERRALS, WEBHOOKS};
use crate::yaml::Spanned;

/// Entra ID's token service.
const AUTHORITY: &str = "https://login.microsoftonline.com";
/// The command that signs in.
const LOGIN: &str = "d365map login partner-center";

/// Partner Center with a person who has signed in (delegated access).
#[derive(Clone, Debug)]
pub struct PartnerCenterConnection {
    /// As the connector takes it, but for the credential.
    pub config: PartnerCenterConfig<PartnerCenterCredential>,
    /// How notifications are received, if the file says so.
    pub webhook: Option<WebhookConnection>,
}

/// Where the credential of the app and the person's refresh token are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnerCenterCredential {
    /// The app's own secret or certificate; none for a public client.
    pub client: Option<EntraCredential>,
    /// The person's refresh token.
    pub refresh_token: RefreshTokenPlace,
}

/// Where a refresh token is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshTokenPlace {
    /// In the token file of this user and this app.
    Default,
    /// In this token file, relative to the project's folder.
    File(PathBuf),
    /// Somewhere else, where `d365map login` does not write.
    Given(SecretRef),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct PartnerCenterDoc {
    /// The directory of the partner account: its id or its domain.
    tenant: Spanned<String>,
    /// The id of the app registration.
    client_id: Spanned<String>,
    /// Where the client secret is kept, if the app is a confidential client. A public client has none.
    client_secret: Option<SecretRef>,
    /// A certificate that is uploaded to the app registration, in place of the secret.
    client_certificate: Option<CertificateDoc>,
    /// How `d365map login partner-center` signs in. Default: device-code.
    #[schemars(extend("enum" = ["device-code", "authorization-code", null]))]
    sign_in: Option<Spanned<String>>,
    /// Refuse a sign-in without multifactor authentication before the first call. Partner Center refuses its calls. Default: true.
    require_mfa: Option<Spanned<bool>>,
    /// The file in which the sign-in is kept, relative to this file. Default: a file in the state directory of the user, outside of the
    /// project.
    token_file: Option<Spanned<String>>,
    /// Where a refresh token is kept, in place of a token file. d365map cannot write a new refresh token there.
    refresh_token: Option<SecretRef>,
    /// The address of the token service. Default: https://login.microsoftonline.com.
    authority: Option<Spanned<String>>,
    /// The address of the referrals API. Default: https://api.partner.microsoft.com.
    url: Option<Spanned<String>>,
    /// The audience of tokens for the referrals API. Default: https://api.partner.microsoft.com.
    audience: Option<Spanned<String>>,
    /// The address of the webhooks API. Default: https://api.partnercenter.microsoft.com.
    webhooks_url: Option<Spanned<String>>,
    /// The audience of tokens for the webhooks API. Default: https://api.partnercenter.microsoft.com.
    webhooks_audience: Option<Spanned<String>>,
    /// The address of a deal in the portal, with `{id}` for the id of the referral, or `off`. Opportunities get it as their referral link.
    /// Default: https://partner.microsoft.com/dashboard/referrals/v2/coselldeals/{id}.
    portal_link: Option<Spanned<String>>,
    /// How notifications of changes are received.
    webhook: Option<WebhookDoc>,
}

impl Reader<'_> {
    pub(super) fn partner_center(&mut self, doc: &Spanned<PartnerCenterDoc>) -> Option<PartnerCenterConnection> {
        let PartnerCenterDoc { tenant, client_id, audience, webhooks_audience, token_file, .. } = &doc.value;
        for text in
            [Some(tenant), Some(client_id), audience.as_ref(), webhooks_audience.as_ref(), token_file.as_ref()].into_iter().flatten()
        {
            self.word(text);
        }
        self.tenant(tenant);
        let authority = self.root("authority", doc.value.authority.as_ref(), AUTHORITY);
        let url = self.root("url", doc.value.url.as_ref(), REFERRALS);
        let webhooks_url = self.root("webhooks-url", doc.value.webhooks_url.as_ref(), WEBHOOKS);
        let credential = PartnerCenterCredential { client: self.client(&doc.value), refresh_token: self.refresh_token(&doc.value) };
        let sign_in = SignInConfig {
            authority: authority?,
            tenant: tenant.value.trim().to_owned(),
            client_id: client_id.value.trim().to_owned(),
            method: self.sign_in(doc.value.sign_in.as_ref()),
            require_mfa: doc.value.require_mfa.as_ref().is_none_or(|given| given.value),
            command: LOGIN,
        };
        let text = |given: &Option<Spanned<String>>, default: &str| given.as_ref().map_or(default, |g| g.value.trim()).to_owned();
        let config = PartnerCenterConfig {
            url: url?,
            audience: text(audience, REFERRALS),
            webhooks_url: webhooks_url?,
            webhooks_audience: text(webhooks_audience, WEBHOOKS),
            portal_link: self.portal_link(doc.value.portal_link.as_ref()),
            sign_in,
            credential,
        };
        let webhook = doc.value.webhook.as_ref().map(|given| self.webhook(given));
        Some(PartnerCenterConnection { config, webhook })
    }

    /// The address of a host, without a path.
    fn root(&mut self, key: &str, given: Option<&Spanned<String>>, default: &str) -> Option<Url> {
        let Some(given) = given else { return Url::parse(default).ok() };
        let url = self.url(given)?;
        if !matches!(url.path(), "" | "/") {
            let mut root = url.clone();
            root.set_path("");
            self.problem(
                &given.span,
                format!("`{key}` must be the address of a host, without a path"),
                "has a path",
                format!("write `{}`", root.as_str().trim_end_matches('/')),
            );
        }
        Some(url)
    }

    /// The address of a deal for people. It need not be one of this machine or of https: it is only written into a column.
    fn portal_link(&mut self, given: Option<&Spanned<String>>) -> Option<String> {
        let Some(given) = given else { return Some(PORTAL_LINK.to_owned()) };
        let text = given.value.trim();
        if text.eq_ignore_ascii_case("off") {
            return None;
        }
        let address = Url::parse(&text.replace(ID_IN_LINK, "id")).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !address || !text.contains(ID_IN_LINK) {
            self.problem(
                &given.span,
                "`portal-link` must be a web address with `{id}`",
                if address { "has no `{id}`" } else { "not a web address" },
                format!("write for example `\"{PORTAL_LINK}\"`, or `off` to write no links"),
            );
        }
        Some(text.to_owned())
    }

    /// The app's own secret or certificate.
    fn client(&mut self, doc: &PartnerCenterDoc) -> Option<EntraCredential> {
        match (&doc.client_secret, &doc.client_certificate) {
            (Some(secret), None) => Some(EntraCredential::Secret(secret.clone())),
            (None, Some(given)) => Some(self.certificate(given)),
            (Some(_), Some(_)) => {
                self.problem(
                    &doc.client_id.span,
                    "the connection to Partner Center has a secret and a certificate",
                    "`client-secret` and `client-certificate`",
                    "remove one of them; a certificate is safer",
                );
                None
            }
            (None, None) => None,
        }
    }

    fn refresh_token(&mut self, doc: &PartnerCenterDoc) -> RefreshTokenPlace {
        match (&doc.token_file, &doc.refresh_token) {
            (None, None) => RefreshTokenPlace::Default,
            (Some(file), None) => RefreshTokenPlace::File(PathBuf::from(file.value.trim())),
            (None, Some(reference)) => RefreshTokenPlace::Given(reference.clone()),
            (Some(file), Some(reference)) => {
                self.problem(
                    &file.span,
                    "the connection to Partner Center has two places for the refresh token",
                    "beside `refresh-token`",
                    "remove `refresh-token`: only a token file can be kept up to date",
                );
                RefreshTokenPlace::Given(reference.clone())
            }
        }
    }

    fn sign_in(&mut self, given: Option<&Spanned<String>>) -> SignInMethod {
        match given.map(|given| (given, given.value.as_str())) {
            None => SignInMethod::default(),
            Some((_, "device-code")) => SignInMethod::DeviceCode,
            Some((_, "authorization-code")) => SignInMethod::AuthorizationCode,
            Some((given, other)) => {
                self.problem(
                    &given.span,
                    format!("`{other}` is not a way to sign in"),
                    "not a way to sign in",
                    "write `device-code`, or `authorization-code` for the browser of this machine",
                );
                SignInMethod::default()
            }
        }
    }
}
