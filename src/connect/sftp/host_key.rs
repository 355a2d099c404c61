//! What confirms the key of the server: a known_hosts file (OpenSSH: sshd(8), *SSH_KNOWN_HOSTS FILE FORMAT*) or a pinned fingerprint.
//!
//! A key that is not known is never taken on trust, not even the first time. Certificates of host authorities are not
//! supported: a server is asked for a bare key, and a line marked `@cert-authority` confirms no bare key.

use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey};
use sha1::Sha1;

use super::SftpError;
use super::key::describe;

/// How the server's key is recognized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKey {
    /// A file in the form of OpenSSH's known_hosts, plain or hashed; it is read at every connection.
    KnownHosts(PathBuf),
    /// The key's fingerprint as `ssh-keygen -l` prints it: `SHA256:…`.
    Fingerprint(String),
}

/// What is known of one server.
#[derive(Debug, Clone)]
pub(super) enum Known {
    File { path: PathBuf, keys: Vec<(usize, PublicKey)>, revoked: Vec<(usize, PublicKey)>, authority: bool },
    Pin(String),
}

/// Why a server's key is not accepted; the connection adds its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doubt {
    Unknown { found: String, note: String, remedy: String },
    Changed { found: String, expected: String, place: String },
    Revoked { found: String, place: String },
}

impl Doubt {
    pub(super) fn at(self, server: &str) -> SftpError {
        let server = server.to_owned();
        match self {
            Doubt::Unknown { found, note, remedy } => SftpError::HostKeyUnknown { server, found, note, remedy },
            Doubt::Changed { found, expected, place } => SftpError::HostKeyChanged { server, found, expected, place },
            Doubt::Revoked { found, place } => SftpError::HostKeyRevoked { server, found, place },
        }
    }
}

const ECDSA: [Algorithm; 3] = [
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
];
// Without ssh-rsa, whose signatures rest on SHA-1.
const RSA: [Algorithm; 2] = [Algorithm::Rsa { hash: Some(HashAlg::Sha512) }, Algorithm::Rsa { hash: Some(HashAlg::Sha256) }];

impl HostKey {
    /// Checks what can be checked without the file.
    ///
    /// # Errors
    /// [`SftpError::Config`].
    pub(super) fn check(&self) -> Result<(), SftpError> {
        match self {
            HostKey::KnownHosts(_) => Ok(()),
            HostKey::Fingerprint(text) => pin(text).map(|_| ()).ok_or_else(|| SftpError::Config {
                problem: format!("`{}` is not the fingerprint of a host key", super::error::words(text)),
                remedy: "write it as `ssh-keygen -l` prints it: SHA256: and 43 letters".to_owned(),
            }),
        }
    }

    /// Gathers what is known of `host` at `port`.
    ///
    /// # Errors
    /// [`SftpError::Config`] where the file cannot be read.
    pub(super) fn known(&self, host: &str, port: u16) -> Result<Known, SftpError> {
        match self {
            HostKey::KnownHosts(path) => {
                let text = crate::disk::read(path, crate::disk::SMALL).map_err(|e| SftpError::Config {
                    problem: format!("the known hosts {} cannot be read: {e}", path.display()),
                    remedy: "write the server's key there after you have compared its fingerprint with the operator's".to_owned(),
                })?;
                Ok(known_hosts(path, &String::from_utf8_lossy(&text), host, port))
            }
            HostKey::Fingerprint(text) => {
                self.check()?;
                Ok(Known::Pin(pin(text).unwrap_or_default()))
            }
        }
    }
}

/// `SHA256:` with unpadded base64, however it was written.
fn pin(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('=');
    let pin: russh::keys::ssh_key::Fingerprint = text.parse().ok()?;
    matches!(pin.algorithm(), HashAlg::Sha256).then(|| pin.to_string())
}

fn known_hosts(path: &Path, text: &str, host: &str, port: u16) -> Known {
    let name = if port == 22 { host.to_lowercase() } else { format!("[{}]:{port}", host.to_lowercase()) };
    let (mut keys, mut revoked, mut authority) = (Vec::new(), Vec::new(), false);
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // Host, kind and key, after a marker if there is one; what follows is a comment.
        let parts: Vec<&str> = line.split_whitespace().take(if line.starts_with('@') { 4 } else { 3 }).collect();
        // A line that cannot be read confirms no key; it may be of a kind of key that a newer OpenSSH knows.
        let Ok(entry) = parts.join(" ").parse::<Entry>() else { continue };
        if !named(entry.host_patterns(), &name) {
            continue;
        }
        let key = (at + 1, entry.public_key().clone());
        match entry.marker() {
            Some(Marker::Revoked) => revoked.push(key),
            Some(Marker::CertAuthority) => authority = true,
            None => keys.push(key),
        }
    }
    Known::File { path: path.to_owned(), keys, revoked, authority }
}

/// Whether a line of the file speaks of the server.
fn named(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            // HMAC-SHA1 of the name with the salt as key (OpenSSH: HashKnownHosts).
            Hmac::<Sha1>::new_from_slice(salt).is_ok_and(|mac| mac.chain_update(name).verify_slice(hash).is_ok())
        }
        HostPatterns::Patterns(patterns) => {
            let mut found = false;
            for pattern in patterns {
                let pattern = pattern.to_lowercase();
                match pattern.strip_prefix('!') {
                    Some(not) if matches(not, name) => return false,
                    Some(_) => {}
                    None => found |= matches(&pattern, name),
                }
            }
            found
        }
    }
}

/// `*` for any number of characters, `?` for one; everything else stands for itself.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            Some(_) | None => match star {
                // The last star takes one character more.
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

impl Known {
    /// The host key algorithms to offer, one list for each connection to try. A server with several keys must show the one
    /// that is known: of a file, what is known comes first; of a fingerprint alone the kind is not known, so each is tried.
    pub(super) fn offers(&self) -> Vec<Vec<Algorithm>> {
        let kinds: [&[Algorithm]; 3] = [&[Algorithm::Ed25519], &ECDSA, &RSA];
        match self {
            Known::Pin(_) => kinds.iter().map(|kind| kind.to_vec()).collect(),
            Known::File { keys, .. } => {
                let all: Vec<Algorithm> = kinds.concat();
                let is_known = |a: &Algorithm| keys.iter().any(|(_, key)| same_kind(&key.algorithm(), a));
                let (mut first, rest): (Vec<Algorithm>, Vec<Algorithm>) = all.into_iter().partition(is_known);
                first.extend(rest);
                vec![first]
            }
        }
    }

    /// Judges the key that the server showed.
    pub(super) fn judge(&self, shown: &PublicKey) -> Result<(), Doubt> {
        let found = describe(shown);
        match self {
            Known::Pin(pin) => {
                if shown.fingerprint(HashAlg::Sha256).to_string() == *pin {
                    Ok(())
                } else {
                    Err(Doubt::Changed { found, expected: pin.clone(), place: "`host-key` in the project file".to_owned() })
                }
            }
            Known::File { path, keys, revoked, authority } => {
                let place = |line: usize| format!("{}:{line}", path.display());
                if let Some((line, _)) = revoked.iter().find(|(_, key)| key.key_data() == shown.key_data()) {
                    return Err(Doubt::Revoked { found, place: place(*line) });
                }
                if keys.iter().any(|(_, key)| key.key_data() == shown.key_data()) {
                    return Ok(());
                }
                if let Some((line, key)) = keys.iter().find(|(_, key)| same_kind(&key.algorithm(), &shown.algorithm())) {
                    return Err(Doubt::Changed { found, expected: describe(key), place: place(*line) });
                }
                let known: Vec<String> = keys.iter().map(|(line, key)| format!("{} in line {line}", describe(key))).collect();
                let note = if !known.is_empty() {
                    format!(": {} knows the server by {}, which the server does not show", path.display(), known.join(" and "))
                } else if *authority {
                    format!(": {} confirms the key only by the certificate of an authority, which is not supported", path.display())
                } else {
                    format!(" in {}", path.display())
                };
                let remedy = format!("write its line into {}, or the fingerprint into `host-key`", path.display());
                Err(Doubt::Unknown { found, note, remedy })
            }
        }
    }
}

fn same_kind(a: &Algorithm, b: &Algorithm) -> bool {
    let rsa = |algorithm: &Algorithm| matches!(algorithm, Algorithm::Rsa { .. });
    (rsa(a) && rsa(b)) || a == b
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const TWO: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA6rWI3G1sz07DnfFlrouTcysQlj2P+jpNSOEWD9OJ3X";

    fn key(text: &str) -> PublicKey {
        text.parse().unwrap()
    }

    fn file(text: &str, host: &str, port: u16) -> Known {
        known_hosts(Path::new("known"), text, host, port)
    }

    #[test]
    fn a_key_is_known_by_name_pattern_port_and_hash() {
        for (line, host, port) in [
            (format!("sftp.example.org {ONE} a comment"), "sftp.example.org", 22),
            (format!("# first\n\nother,SFTP.example.org\t{ONE}"), "sftp.EXAMPLE.org", 22),
            (format!("*.example.org {ONE}"), "sftp.example.org", 22),
            (format!("[127.0.0.1]:2222 {ONE}"), "127.0.0.1", 2222),
            // HMAC-SHA1 of `example.com`.
            (format!("|1|O33ESRMWPVkMYIwJ1Uw+n877jTo=|nuuC5vEqXlEZ/8BXQR7m619W6Ak= {ONE}"), "example.com", 22),
        ] {
            assert_eq!(file(&line, host, port).judge(&key(ONE)), Ok(()), "{line}");
        }
        for (line, host, port) in [
            (format!("sftp.example.org {ONE}"), "sftp.example.org", 2222),
            (format!("*.example.org,!sftp.example.org {ONE}"), "sftp.example.org", 22),
            (format!("@cert-authority * {ONE}"), "sftp.example.org", 22),
            ("sftp.example.org ssh-ed25519 AAAA".to_owned(), "sftp.example.org", 22),
            (String::new(), "sftp.example.org", 22),
        ] {
            assert!(matches!(file(&line, host, port).judge(&key(ONE)), Err(Doubt::Unknown { .. })), "{line}");
        }
    }

    #[test]
    fn another_key_of_the_same_kind_is_a_changed_key_with_its_line() {
        let known = file(&format!("# ours\nh {TWO}\n"), "h", 22);
        let Err(Doubt::Changed { place, expected, found }) = known.judge(&key(ONE)) else { panic!("not changed") };
        assert_eq!(place, "known:2");
        assert!(expected != found && expected.starts_with("ssh-ed25519 SHA256:"), "{expected}");
    }

    #[test]
    fn a_revoked_key_is_refused_even_where_another_line_confirms_it() {
        let known = file(&format!("h {ONE}\n@revoked * {ONE}\n"), "h", 22);
        assert!(matches!(known.judge(&key(ONE)), Err(Doubt::Revoked { place, .. }) if place == "known:2"));
    }

    #[test]
    fn a_pin_is_compared_however_it_was_padded() {
        let print = key(ONE).fingerprint(HashAlg::Sha256).to_string();
        for text in [print.clone(), format!(" {print}= ")] {
            let pinned = HostKey::Fingerprint(text).known("h", 22).unwrap();
            assert_eq!(pinned.judge(&key(ONE)), Ok(()));
            assert!(matches!(pinned.judge(&key(TWO)), Err(Doubt::Changed { .. })));
        }
        for wrong in ["", "SHA256:", "SHA256:x", "MD5:aa:bb", "16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48"] {
            assert!(matches!(HostKey::Fingerprint(wrong.into()).check(), Err(SftpError::Config { .. })), "{wrong}");
        }
    }

    #[test]
    fn the_kind_of_key_that_is_known_is_asked_for_first_and_sha1_never() {
        let known = file(&format!("h {ONE}\n"), "h", 22);
        assert_eq!(known.offers().len(), 1);
        assert_eq!(known.offers()[0][0], Algorithm::Ed25519);
        let pinned = HostKey::Fingerprint(key(ONE).fingerprint(HashAlg::Sha256).to_string()).known("h", 22).unwrap();
        assert_eq!(pinned.offers().len(), 3);
        assert!(pinned.offers().concat().iter().all(|a| *a != Algorithm::Rsa { hash: None }));
    }

    #[test]
    fn patterns_match_like_a_shell_does() {
        for (pattern, text) in [("*", ""), ("a*c", "abbc"), ("a?c", "abc"), ("*b*", "abc"), ("delivery*.csv", "delivery_2024.csv")] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a", ""), ("a*c", "abcd"), ("?", ""), ("*.csv", "a.csv.tmp")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
