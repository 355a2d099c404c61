//! What all connections through Entra ID share: the directory, and the certificate of an app registration.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::reader::Reader;
use super::{EntraCredential, SecretRef};
use crate::yaml::Spanned;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CertificateDoc {
    /// The file of the public certificate (PEM), relative to this file.
    pub(super) certificate: Spanned<String>,
    /// Where its private key is kept (PEM, RSA, not encrypted).
    private_key: SecretRef,
    /// PS256 (default), or RS256 for token services that know only the older form.
    #[schemars(extend("enum" = ["PS256", "RS256", null]))]
    signature: Option<Spanned<String>>,
}

impl Reader<'_> {
    /// A directory of Entra ID.
    pub(super) fn tenant(&mut self, tenant: &Spanned<String>) {
        if !tenant.value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')) {
            self.problem(
                &tenant.span,
                "this is not the id or domain of a directory",
                "not a tenant",
                "write the directory's id (a GUID) or its domain, as in contoso.onmicrosoft.com",
            );
        }
    }

    pub(super) fn certificate(&mut self, doc: &CertificateDoc) -> EntraCredential {
        self.word(&doc.certificate);
        let rs256 = match doc.signature.as_ref().map(|s| (s, s.value.to_ascii_uppercase())) {
            None => false,
            Some((_, name)) if name == "PS256" => false,
            Some((_, name)) if name == "RS256" => true,
            Some((given, _)) => {
                self.problem(
                    &given.span,
                    "this is not a signature of an assertion",
                    "not a signature",
                    "write PS256 (the default) or RS256",
                );
                false
            }
        };
        EntraCredential::Certificate { certificate: PathBuf::from(&doc.certificate.value), private_key: doc.private_key.clone(), rs256 }
    }
}
