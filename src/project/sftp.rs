//! The section `connections.campaign.sftp`: Campaign's SFTP server.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::exports::{DeliveriesDoc, OptOutsDoc, TrackingDoc};
use super::reader::{Ranged, Reader};
use super::{SecretRef, SftpConnection};
use crate::connect::sftp::{EXPORTS, ExportFiles, HostKey, SftpConfig};
use crate::yaml::Spanned;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SftpDoc {
    /// The name of the server.
    host: Spanned<String>,
    /// The port of the server. Default: 22.
    port: Option<Ranged<1, 65_535>>,
    /// The SFTP user of the instance.
    user: Spanned<String>,
    /// Where the user's private key is kept, in OpenSSH's or PEM form.
    key: SecretRef,
    /// Where the passphrase of the key is kept, if it has one.
    passphrase: Option<SecretRef>,
    /// A file in the form of OpenSSH's known_hosts, relative to this file. Required without `host-key`.
    known_hosts: Option<Spanned<String>>,
    /// The fingerprint of the server's key, `SHA256:…`. Required without `known-hosts`.
    host_key: Option<Spanned<String>>,
    /// The folder of the exports, as the server names it. Default: d365_loads/exports.
    exports: Option<Spanned<String>>,
    /// The folder that logs are written to. Default: none.
    logs: Option<Spanned<String>>,
    /// The files of delivery logs. Without this section they are not read.
    deliveries: Option<DeliveriesDoc>,
    /// The files of tracking logs. Without this section they are not read.
    tracking: Option<TrackingDoc>,
    /// The files of opt-out changes. Without this section they are not read.
    opt_outs: Option<OptOutsDoc>,
}

impl Reader<'_> {
    pub(super) fn sftp(&mut self, doc: &SftpDoc) -> Option<SftpConnection> {
        let SftpDoc { host, port, user, key, passphrase, known_hosts, host_key, exports, logs, deliveries, tracking, opt_outs } = doc;
        let files = ExportFiles {
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
        let number = port.as_ref().map_or(Some(22), |p| u16::try_from(p.0.value).ok().filter(|p| *p > 0));
        if let (None, Some(port)) = (number, port) {
            self.problem(&port.0.span, "this is not a port", "not a port", "write a number from 1 to 65535, or leave it out for 22");
        }
        let host_key = match (known_hosts, host_key) {
            (Some(file), None) => Some(HostKey::KnownHosts(PathBuf::from(&file.value))),
            (None, Some(print)) => {
                if !fingerprint(&print.value) {
                    self.problem(
                        &print.span,
                        "this is not the fingerprint of a host key",
                        "not a fingerprint",
                        "write it as `ssh-keygen -l` prints it: `SHA256:` and 43 letters",
                    );
                }
                Some(HostKey::Fingerprint(print.value.trim().to_owned()))
            }
            (Some(_), Some(print)) => {
                self.problem(
                    &print.span,
                    "the server's key is given twice",
                    "beside `known-hosts`",
                    "leave one of them out; with several keys use the file",
                );
                None
            }
            (None, None) => {
                self.problem(
                    &host.span,
                    "the key of the SFTP server is not configured",
                    "neither `known-hosts` nor `host-key`",
                    "add `known-hosts:` with a file in OpenSSH's form, or `host-key: SHA256:…`",
                );
                None
            }
        };
        let config = SftpConfig {
            port: number?,
            passphrase: passphrase.clone(),
            exports: exports.as_ref().map_or_else(|| EXPORTS.to_owned(), |e| e.value.trim().to_owned()),
            logs: logs.as_ref().map(|l| l.value.trim().to_owned()),
            ..SftpConfig::new(host.value.trim(), user.value.trim(), key.clone(), host_key?)
        };
        Some(SftpConnection { config, files })
    }
}

/// `SHA256:` and the base64 of 32 bytes, with or without padding.
fn fingerprint(text: &str) -> bool {
    let body = text.trim().strip_prefix("SHA256:").map(|b| b.trim_end_matches('='));
    body.is_some_and(|b| b.len() == 43 && b.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/')))
}
