//! The section `connections.campaign.sftp`: Campaign's SFTP server.

use std::path::PathBuf;

use serde::Deserialize;

use super::exports::{DeliveriesDoc, ExportKinds, OptOutsDoc, TrackingDoc};
use super::reader::Reader;
use super::{SecretRef, SftpConnection, SftpHostKey};
use crate::yaml::Spanned;

/// The folder that the integration's workflow exports to (vendor's documentation of the integration).
const EXPORTS: &str = "d365_loads/exports";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SftpDoc {
    host: Spanned<String>,
    port: Option<Spanned<i64>>,
    user: Spanned<String>,
    key: SecretRef,
    passphrase: Option<SecretRef>,
    known_hosts: Option<Spanned<String>>,
    host_key: Option<Spanned<String>>,
    exports: Option<Spanned<String>>,
    logs: Option<Spanned<String>>,
    deliveries: Option<DeliveriesDoc>,
    tracking: Option<TrackingDoc>,
    opt_outs: Option<OptOutsDoc>,
}

impl Reader<'_> {
    pub(super) fn sftp(&mut self, doc: &SftpDoc) -> Option<SftpConnection> {
        let SftpDoc { host, port, user, key, passphrase, known_hosts, host_key, exports, logs, deliveries, tracking, opt_outs } = doc;
        let kinds = ExportKinds {
            deliveries: deliveries.as_ref().map(|d| self.deliveries(d)),
            tracking: tracking.as_ref().map(|t| self.tracking(t)),
            opt_outs: opt_outs.as_ref().map(|o| self.opt_outs(o)),
        };
        for text in [Some(host), Some(user), known_hosts.as_ref(), exports.as_ref(), logs.as_ref()].into_iter().flatten() {
            self.word(text);
        }
        if host.value.contains(['/', '@']) || host.value.trim().contains(' ') {
            self.problem(
                &host.span,
                "this is not the name of a server",
                "not a name",
                "write the name alone, as in contoso.campaign.adobe.com",
            );
        }
        let number = port.as_ref().map_or(Some(22), |p| u16::try_from(p.value).ok().filter(|p| *p > 0));
        if let (None, Some(port)) = (number, port) {
            self.problem(&port.span, "this is not a port", "not a port", "write a number from 1 to 65535, or leave it out for 22");
        }
        let host_key = match (known_hosts, host_key) {
            (Some(file), None) => Some(SftpHostKey::KnownHosts(PathBuf::from(&file.value))),
            (None, Some(print)) => {
                if !fingerprint(&print.value) {
                    self.problem(
                        &print.span,
                        "this is not the fingerprint of a host key",
                        "not a fingerprint",
                        "write it as `ssh-keygen -l` prints it: `SHA256:` and 43 letters",
                    );
                }
                Some(SftpHostKey::Fingerprint(print.value.trim().to_owned()))
            }
            (Some(_), Some(print)) => {
                self.problem(
                    &print.span,
                    "the server's key is vouched for twice",
                    "beside `known-hosts`",
                    "leave one of them out; with several keys use the file",
                );
                None
            }
            (None, None) => {
                self.problem(
                    &host.span,
                    "nothing says by which key the SFTP server is known",
                    "neither `known-hosts` nor `host-key`",
                    "add `known-hosts:` with a file in OpenSSH's form, or `host-key: SHA256:…`",
                );
                None
            }
        };
        Some(SftpConnection {
            host: host.value.trim().to_owned(),
            port: number?,
            user: user.value.trim().to_owned(),
            key: key.clone(),
            passphrase: passphrase.clone(),
            host_key: host_key?,
            exports: exports.as_ref().map_or_else(|| EXPORTS.to_owned(), |e| e.value.trim().to_owned()),
            logs: logs.as_ref().map(|l| l.value.trim().to_owned()),
            kinds,
        })
    }
}

/// `SHA256:` and the base64 of 32 bytes, with or without padding.
fn fingerprint(text: &str) -> bool {
    let body = text.trim().strip_prefix("SHA256:").map(|b| b.trim_end_matches('='));
    body.is_some_and(|b| b.len() == 43 && b.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/')))
}
