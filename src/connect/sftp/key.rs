//! The user's private key: OpenSSH's own form, PEM (PKCS#1, PKCS#8, SEC1) and PuTTY's, with or without a passphrase.

use std::sync::Arc;

use russh::keys::{HashAlg, PrivateKey, decode_secret_key};
use secrecy::{ExposeSecret, SecretString};

use super::SftpError;

/// Reads the key. The text of an error says nothing of the key.
///
/// # Errors
/// [`SftpError::Key`].
pub(super) fn parse(text: &SecretString, passphrase: Option<&SecretString>) -> Result<Arc<PrivateKey>, SftpError> {
    let wrong = |problem: &str, remedy: &str| SftpError::Key { problem: problem.to_owned(), remedy: remedy.to_owned() };
    // A key that came through an environment variable or a Windows editor.
    let plain = SecretString::from(text.expose_secret().replace("\\n", "\n").replace("\r\n", "\n"));
    let plain = plain.expose_secret().trim();
    if plain.is_empty() {
        return Err(wrong("it is empty", "let `key` refer to the file with the private key"));
    }
    if ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| plain.starts_with(kind)) || plain.contains("BEGIN PUBLIC KEY") {
        return Err(wrong("it is a public key", "let `key` refer to the private half, the file without `.pub`"));
    }
    let encrypted = sealed(plain);
    if encrypted && passphrase.is_none() {
        return Err(wrong("it is protected by a passphrase", "add `passphrase` with a reference to it"));
    }
    let given = passphrase.filter(|_| encrypted).map(|p| p.expose_secret());
    match decode_secret_key(plain, given) {
        Ok(key) if key.is_encrypted() => Err(wrong("it is protected by a passphrase", "add `passphrase` with a reference to it")),
        Ok(key) => Ok(Arc::new(key)),
        Err(_) if encrypted => {
            Err(wrong("the passphrase is wrong, or the key is damaged", "check `passphrase`; `ssh-keygen -y -f FILE` tries it"))
        }
        Err(_) => Err(wrong(
            "its format is not supported, or it is damaged",
            "make one with `ssh-keygen -t ed25519`, or convert this one to OpenSSH's format with `ssh-keygen -p -f FILE`",
        )),
    }
}

/// Whether the text says, or in OpenSSH's form its first bytes say, that a passphrase is needed.
fn sealed(plain: &str) -> bool {
    if plain.contains("BEGIN OPENSSH PRIVATE KEY") {
        return PrivateKey::from_openssh(plain).is_ok_and(|key| key.is_encrypted());
    }
    let putty = plain.starts_with("PuTTY-User-Key-File-") && !plain.contains("Encryption: none");
    putty || plain.contains("BEGIN ENCRYPTED PRIVATE KEY") || plain.contains("Proc-Type: 4,ENCRYPTED")
}

/// Kind and fingerprint, as `ssh-keygen -l` and Campaign's Control Panel show it.
pub(super) fn describe(key: &russh::keys::PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        parse(&SecretString::from(text), None).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_a_private_key_is_told_apart_and_not_repeated() {
        assert!(problem("").contains("it is empty"));
        assert!(problem("ssh-ed25519 AAAAC3Nz hunter2").contains("it is a public key"));
        let damaged = problem("-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----");
        assert!(damaged.contains("damaged") && !damaged.contains("hunter2"), "{damaged}");
        assert!(problem("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----").contains("passphrase"));
    }
}
