//! What an administrator has set up, rightly or wrongly: application users, secrets, certificates, privileges, the clock.
//!
//! All of it can be set in a seed and changed while the emulator runs, so that a client meets every set-up that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use sha1::Digest as _;

use super::error::{Fail, Result};
use super::table::Table;

/// A change of the set-up; what is absent stays as it is. The body of `POST setup`, and `setup` in a seed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setup {
    /// The client id whose user, secret, certificates and privileges are meant; the integration's when absent.
    #[serde(default)]
    client: Option<String>,
    #[serde(default)]
    application_user: Option<UserState>,
    #[serde(default)]
    secret: Option<SecretState>,
    /// Certificates in PEM form; the whole list.
    #[serde(default)]
    certificates: Option<Vec<String>>,
    /// Privileges the user lacks; the whole list.
    #[serde(default)]
    denied: Option<Vec<Denial>>,
    /// Seconds by which the environment's clock is ahead; negative when it is behind.
    #[serde(default)]
    clock_skew: Option<i64>,
    /// The recommended parallelism in `x-ms-dop-hint`; 0 leaves the header out.
    #[serde(default)]
    dop_hint: Option<u32>,
    /// Microseconds of work on each row of a bulk message and each part of a batch, before the answer.
    #[serde(default)]
    row_time: Option<u64>,
    /// Web servers, each with its own limits.
    #[serde(default)]
    pub(crate) servers: Option<u32>,
}

impl Setup {
    /// One certificate for the integration's application.
    pub(crate) fn certificate(pem: &str) -> Setup {
        Setup { certificates: Some(vec![pem.to_owned()]), ..Setup::default() }
    }
}

/// Whether the environment knows the application as a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum UserState {
    #[default]
    Enabled,
    Disabled,
    Missing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SecretState {
    #[default]
    Valid,
    Expired,
}

/// What a privilege allows.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Operation {
    Create,
    Read,
    /// Reading at the level of the organization, which change tracking needs. [D]
    ReadOrganization,
    Write,
    Delete,
}

impl Operation {
    /// The word in a privilege's name and in messages.
    fn word(self) -> &'static str {
        match self {
            Operation::Create => "Create",
            Operation::Read | Operation::ReadOrganization => "Read",
            Operation::Write => "Write",
            Operation::Delete => "Delete",
        }
    }
}

/// A privilege that is missing; the table by logical name, or `*`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Denial {
    table: String,
    operation: Operation,
}

/// A registered certificate.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) der: Vec<u8>,
    pub(super) sha1: Vec<u8>,
    pub(super) sha256: Vec<u8>,
}

impl Certificate {
    pub(super) fn from_pem(text: &str) -> std::result::Result<Certificate, String> {
        let pem = x509_parser::pem::Pem::iter_from_buffer(text.as_bytes())
            .filter_map(std::result::Result::ok)
            .find(|pem| pem.label == "CERTIFICATE")
            .ok_or("a certificate in PEM form is needed (BEGIN CERTIFICATE)")?;
        let certificate = pem.parse_x509().map_err(|error| format!("the certificate cannot be read: {error}"))?;
        if !matches!(certificate.public_key().parsed(), Ok(x509_parser::public_key::PublicKey::RSA(_))) {
            return Err("the certificate's key is not an RSA key".to_owned());
        }
        let sha1 = sha1::Sha1::digest(&pem.contents).to_vec();
        let sha256 = sha2::Sha256::digest(&pem.contents).to_vec();
        Ok(Certificate { sha1, sha256, der: pem.contents })
    }
}

/// One application's part of the set-up.
#[derive(Clone, Debug, Default)]
pub(super) struct Application {
    pub(super) user: UserState,
    pub(super) secret: SecretState,
    pub(super) certificates: Vec<Certificate>,
    denied: Vec<Denial>,
}

impl Application {
    /// Whether the user may do that; a missing privilege is named as in the service's message. [D form, K ids]
    pub(super) fn may(&self, user: uuid::Uuid, operation: Operation, table: &Table) -> Result<()> {
        if !self.lacks(operation, &table.name) {
            return Ok(());
        }
        let (word, entity) = (operation.word(), &table.name);
        let depth = if operation == Operation::ReadOrganization { " at the level of the organization" } else { "" };
        Err(Fail::new(
            403,
            "0x80040220",
            format!(
                "Principal user (Id={user}, type=8, roleCount=1, privilegeCount=1), is missing prv{word}{} privilege{depth} on OTC={} for entity '{entity}'.",
                table.schema, table.code
            ),
        ))
    }

    /// The same in the words of the bulk messages. [D]
    pub(super) fn may_bulk(&self, user: uuid::Uuid, operation: Operation, table: &Table) -> Result<()> {
        if !self.lacks(operation, &table.name) {
            return Ok(());
        }
        let word = operation.word();
        Err(Fail::new(
            403,
            "0x80040299",
            format!(
                "CrmCheckPrivilege failed. Returned hr = -2147220839 on UserId: {user} and PrivilegeType: {word}. Privilege name: prv{word}{}.",
                table.schema
            ),
        ))
    }

    fn lacks(&self, operation: Operation, table: &str) -> bool {
        self.denied.iter().any(|denial| {
            (denial.table == "*" || denial.table == table)
                && (denial.operation == operation
                    // Who may not read at all may not read the organization's rows either.
                    || (denial.operation == Operation::Read && operation == Operation::ReadOrganization))
        })
    }
}

/// The set-up in force.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    pub(super) applications: Vec<Application>,
    pub(super) dop_hint: u32,
    /// How long the service works on each row of a bulk message and each part of a batch.
    pub(super) row_time: Duration,
}

impl Conditions {
    pub(super) fn new(applications: usize) -> Conditions {
        Conditions { applications: vec![Application::default(); applications], dop_hint: 4, row_time: Duration::ZERO }
    }

    /// Applies a change; nothing of it when a part is wrong.
    pub(super) fn apply(&mut self, change: &Setup, clients: &[crate::Client], clock: &Clock) -> std::result::Result<(), String> {
        let at = match &change.client {
            None => 0,
            Some(id) => clients.iter().position(|client| client.id == *id).ok_or_else(|| format!("no client `{id}`"))?,
        };
        let certificates = change.certificates.as_ref().map(|list| list.iter().map(|pem| Certificate::from_pem(pem)).collect());
        let certificates: Option<Vec<Certificate>> = certificates.transpose()?;
        let application = self.applications.get_mut(at).ok_or("no such client")?;
        if let Some(state) = change.application_user {
            application.user = state;
        }
        if let Some(state) = change.secret {
            application.secret = state;
        }
        if let Some(certificates) = certificates {
            application.certificates = certificates;
        }
        if let Some(denied) = &change.denied {
            application.denied.clone_from(denied);
        }
        if let Some(hint) = change.dop_hint {
            self.dop_hint = hint;
        }
        if let Some(microseconds) = change.row_time {
            self.row_time = Duration::from_micros(microseconds);
        }
        if let Some(seconds) = change.clock_skew {
            clock.set_skew(seconds);
        }
        Ok(())
    }
}

/// The environment's clock, which may be wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(super) fn set_skew(&self, seconds: i64) {
        // Within a year: beyond it dates do not fit their formats.
        self.0.store(seconds.clamp(-31_536_000, 31_536_000), Ordering::Release);
    }

    pub(super) fn now(&self) -> crate::time::Instant {
        crate::time::now() + chrono::Duration::seconds(self.0.load(Ordering::Acquire))
    }

    /// The `Date` header's text, when it differs from what the server would write.
    pub(super) fn date(&self) -> Option<String> {
        (self.0.load(Ordering::Acquire) != 0).then(|| self.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string())
    }
}
