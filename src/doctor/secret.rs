//! Whether a secret can be read, and whether it looks like one. No part of it is ever shown.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::Bench;
use crate::project::{SecretError, SecretRef};

/// What a secret is for, for what is said about one that looks wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A client secret of Entra ID, whose id is a GUID and often copied in its place.
    Entra,
    /// A private key.
    Key,
    /// Any other.
    Other,
}

/// Fetches a secret and says how that went; `None` if it cannot be read.
pub fn check(
    bench: &mut Bench,
    id: &'static str,
    subject: &str,
    reference: &SecretRef,
    root: &Path,
    resolved: Result<SecretString, SecretError>,
    used: Use,
) -> Option<SecretString> {
    let secret = match resolved {
        Ok(secret) => secret,
        Err(error) => {
            let (cause, mend) = explain(&error);
            bench.fail(id, subject, cause, mend);
            return None;
        }
    };
    let text = secret.expose_secret();
    if used == Use::Entra && uuid::Uuid::try_parse(text.trim()).is_ok() {
        bench.warn(
            id,
            subject,
            format!("{} holds what looks like the id of a client secret, not its value", place(reference)),
            "the value is shown once, when the secret is made: make a new one under Certificates & secrets, and copy the column Value",
        );
    } else if used != Use::Key && text.trim() != text {
        bench.warn(
            id,
            subject,
            format!("{} holds a secret with white space at its end or beginning", place(reference)),
            "remove it unless it belongs to the secret",
        );
    } else if open_to_all(reference, root) {
        bench.warn(id, subject, format!("every user of this machine can read {}", place(reference)), "`chmod 600` the file");
    } else {
        bench.ok(id, subject, format!("from {}", place(reference)));
    }
    Some(secret)
}

/// Where a secret is kept, for people.
pub fn place(reference: &SecretRef) -> String {
    match reference {
        SecretRef::Env(name) => format!("the environment variable {name}"),
        SecretRef::File(path) => format!("the file {}", path.display()),
        SecretRef::Command(words) => format!("the command {}", words.first().map_or("", String::as_str)),
    }
}

fn explain(error: &SecretError) -> (String, String) {
    match error {
        SecretError::Env { name, state } => (
            format!("the environment variable {name} is {state}"),
            format!("set {name} to the secret where d365map is started: in the shell, the service's unit, or the pipeline's secrets"),
        ),
        SecretError::File { path, source } => (
            format!("the secret's file {}: {source}", path.display()),
            "put the secret there on one line, readable by you alone".to_owned(),
        ),
        SecretError::Start { program, source } => {
            (format!("the secret's command {program}: {source}"), "check that the program is installed and on the PATH".to_owned())
        }
        SecretError::Failed { program, status } => {
            (format!("the secret's command {program} failed ({status})"), "run it by hand to see why".to_owned())
        }
        SecretError::Slow { .. } => (error.to_string(), "run it by hand: it may wait for a password".to_owned()),
        SecretError::Unfit { origin, fault } => {
            (format!("the secret from {origin} {fault}"), "put the secret there on one line".to_owned())
        }
    }
}

#[cfg(unix)]
fn open_to_all(reference: &SecretRef, root: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let SecretRef::File(path) = reference else { return false };
    std::fs::metadata(root.join(path)).is_ok_and(|m| m.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn open_to_all(_: &SecretRef, _: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::{Check, Group, Outcome};

    fn checked(secret: &str, used: Use) -> Check {
        let mut bench = Bench::new(Group::Dynamics, Duration::from_secs(1));
        let reference = SecretRef::Env("CRM_SECRET".into());
        check(&mut bench, "dynamics.secret", "secret", &reference, Path::new("."), Ok(SecretString::from(secret)), used);
        let check = bench.done().remove(0);
        assert!(!format!("{check:?}").contains(secret.trim()), "{check:?}");
        check
    }

    #[tokio::test]
    async fn the_id_of_a_secret_is_distinguished_from_its_value() {
        let id = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert!(matches!(checked(id, Use::Entra).outcome, Outcome::Warning { .. }));
        assert!(matches!(checked(id, Use::Other).outcome, Outcome::Ok { .. }));
        assert!(matches!(checked("s3cr3t~value", Use::Entra).outcome, Outcome::Ok { .. }));
    }

    #[tokio::test]
    async fn white_space_around_a_secret_is_worth_a_word() {
        assert!(matches!(checked("s3cr3t ", Use::Other).outcome, Outcome::Warning { .. }));
    }
}
