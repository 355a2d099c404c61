//! The section `webhook` of the connection to Partner Center: the address for notifications, and what a delivery must prove.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::reader::Reader;
use crate::systems::partner_center::webhooks::{REFERRAL_EVENTS, TEST_EVENT};
use crate::yaml::Spanned;

/// The host of the certificate in the documented sample of a delivery.
const CERTIFICATE_HOST: &str = "3psostorageacct.blob.core.windows.net";
/// The issuer that Partner Center's documentation asks to check for.
const ORGANIZATION: &str = "Microsoft Corporation";

/// How notifications of Partner Center are received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConnection {
    /// The address that Partner Center sends to.
    pub url: Option<Url>,
    /// Where this machine listens.
    pub listen: Option<SocketAddr>,
    /// The hosts that certificates may be fetched from.
    pub certificate_hosts: Vec<String>,
    /// A file with the certificates that a signer's must lead to, relative to the project's folder.
    pub trusted_certificates: Option<PathBuf>,
    /// The issuer's organization.
    pub organization: String,
    /// A name that the certificate must have.
    pub certificate_name: Option<String>,
    /// The events to register.
    pub events: Vec<String>,
    /// Whether the signature is to come in `x-ms-signature`, and not in `Authorization`.
    pub ms_signature: bool,
    /// Whether `webhook remove` may register an empty list of events.
    pub remove_by_empty_events: bool,
}

impl Default for WebhookConnection {
    fn default() -> WebhookConnection {
        WebhookConnection {
            url: None,
            listen: None,
            certificate_hosts: vec![CERTIFICATE_HOST.to_owned()],
            trusted_certificates: None,
            organization: ORGANIZATION.to_owned(),
            certificate_name: None,
            events: REFERRAL_EVENTS.into_iter().chain([TEST_EVENT]).map(str::to_owned).collect(),
            ms_signature: true,
            remove_by_empty_events: false,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WebhookDoc {
    /// The address that Partner Center sends notifications to: https, and reachable from the internet.
    url: Option<Spanned<String>>,
    /// The address and port on which this machine takes them: 127.0.0.1:8085 behind a server that speaks https.
    listen: Option<Spanned<String>>,
    /// The hosts that the certificate of a signature may be fetched from, as `host` or `host:port`. Default: the host in the documented
    /// sample.
    certificate_hosts: Option<Vec<Spanned<String>>>,
    /// A file with the certificates (PEM) that the certificate of a signature must lead to, relative to this file.
    trusted_certificates: Option<Spanned<String>>,
    /// The organization that must be the issuer of that certificate. Default: Microsoft Corporation.
    organization: Option<Spanned<String>>,
    /// A name that the certificate must be valid for. Default: any.
    certificate_name: Option<Spanned<String>>,
    /// The events to register. Default: all events of referrals, and test-created.
    events: Option<Vec<Spanned<String>>>,
    /// The header with the signature. Default: x-ms-signature.
    #[schemars(extend("enum" = ["x-ms-signature", "authorization", null]))]
    signature_header: Option<Spanned<String>>,
    /// What `d365map webhook remove` does: explain, or register an empty list of events, which is not documented. Default: explain.
    #[schemars(extend("enum" = ["explain", "empty-events", null]))]
    remove: Option<Spanned<String>>,
}

impl Reader<'_> {
    pub(super) fn webhook(&mut self, doc: &WebhookDoc) -> WebhookConnection {
        let WebhookDoc { trusted_certificates, organization, certificate_name, .. } = doc;
        for text in [trusted_certificates, organization, certificate_name].into_iter().flatten() {
            self.word(text);
        }
        let defaults = WebhookConnection::default();
        let text = |given: &Option<Spanned<String>>| given.as_ref().map(|given| given.value.trim().to_owned());
        WebhookConnection {
            url: doc.url.as_ref().and_then(|given| self.url(given)),
            listen: doc.listen.as_ref().and_then(|given| self.listen(given)),
            certificate_hosts: doc.certificate_hosts.as_ref().map_or(defaults.certificate_hosts, |given| self.hosts(given)),
            trusted_certificates: text(trusted_certificates).map(PathBuf::from),
            organization: text(organization).unwrap_or(defaults.organization),
            certificate_name: text(certificate_name),
            events: doc.events.as_ref().map_or(defaults.events, |given| self.words(given)),
            ms_signature: self.one_of(doc.signature_header.as_ref(), ["x-ms-signature", "authorization"]) == 0,
            remove_by_empty_events: self.one_of(doc.remove.as_ref(), ["explain", "empty-events"]) == 1,
        }
    }

    fn hosts(&mut self, given: &[Spanned<String>]) -> Vec<String> {
        for host in given {
            let url = Url::parse(&format!("https://{}/", host.value.trim()));
            if !url.is_ok_and(|url| url.path() == "/" && url.username().is_empty() && url.query().is_none() && url.fragment().is_none()) {
                self.problem(&host.span, "this is not a host", "not a host", "write the name alone, as in `certs.example.com`");
            }
        }
        given.iter().map(|host| host.value.trim().to_ascii_lowercase()).collect()
    }

    /// The position of a word in a list of two; the first one if none is given.
    fn one_of(&mut self, given: Option<&Spanned<String>>, words: [&str; 2]) -> usize {
        let Some(given) = given else { return 0 };
        words.iter().position(|word| *word == given.value).unwrap_or_else(|| {
            self.problem(
                &given.span,
                format!("`{}` is not allowed here", given.value),
                "not allowed",
                format!("write `{}` or `{}`", words[0], words[1]),
            );
            0
        })
    }
}
