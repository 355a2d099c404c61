//! What can go wrong between here and the SFTP server: the place, the cause, the remedy.

use std::time::Duration;

/// An error of the SFTP connection or of what lies on the server. Holds no secret and nothing of a file's content.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SftpError {
    /// The configuration cannot work.
    #[error("sftp: {problem}; {remedy}")]
    Config {
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// The user's private key cannot be read.
    #[error("sftp: the private key cannot be used: {problem}; {remedy}")]
    Key {
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// No connection: name, port, network, or no SSH on the other side.
    #[error(
        "sftp {server}: no connection: {cause}; check `host` and `port`, and that this machine's address is on the server's allow-list"
    )]
    Unreachable {
        /// `user@host:port`.
        server: String,
        /// The system's or the protocol's reason.
        cause: String,
    },
    /// The two sides have no algorithm in common: a matter of the server's configuration, which no further try changes.
    #[error(
        "sftp {server}: the server and d365map have no {kind} algorithm in common: the server offers {theirs}, d365map {ours}; ask the server's operator to enable one of these"
    )]
    NoCommonAlgorithm {
        /// `user@host:port`.
        server: String,
        /// What it would be for: key exchange, cipher.
        kind: &'static str,
        /// What is offered here.
        ours: String,
        /// What the server offers.
        theirs: String,
    },
    /// Nothing is known of the server's key, so the server is not trusted.
    #[error(
        "sftp {server}: the server's key {found} is not known{note}; ask the server's operator for its fingerprint, compare, and then {remedy}"
    )]
    HostKeyUnknown {
        /// `user@host:port`.
        server: String,
        /// Kind and fingerprint of the key that the server showed.
        found: String,
        /// Where it was looked for, and what is known there.
        note: String,
        /// How a key that was compared is made known.
        remedy: String,
    },
    /// The server shows another key than the one that is known.
    #[error(
        "sftp {server}: the server's key has changed: it shows {found}, known is {expected} ({place}); either the server was set up again, \
         or the connection is intercepted: nothing was sent. Ask the server's operator for the new fingerprint by another way before you replace the known one"
    )]
    HostKeyChanged {
        /// `user@host:port`.
        server: String,
        /// Kind and fingerprint of the key that the server showed.
        found: String,
        /// Kind and fingerprint of the known key.
        expected: String,
        /// Where the known key is written.
        place: String,
    },
    /// The server shows a key that is marked as revoked.
    #[error(
        "sftp {server}: the server's key {found} is revoked ({place}): the machine that has it may not be the server; ask the server's operator for the new key"
    )]
    HostKeyRevoked {
        /// `user@host:port`.
        server: String,
        /// Kind and fingerprint of the key.
        found: String,
        /// Where it is revoked.
        place: String,
    },
    /// The server does not let the user in.
    #[error(
        "sftp {server}: the server refuses the user with the key {key}; check `user`, and that the public half of this key is registered with the instance \
         (Campaign: Control Panel, SFTP, Key management){note}"
    )]
    Refused {
        /// `user@host:port`.
        server: String,
        /// Kind and fingerprint of the key that was offered.
        key: String,
        /// What the server would take instead, where it says so.
        note: String,
    },
    /// The user is let in, but not to SFTP.
    #[error("sftp {server}: the server does not offer SFTP to this user: {cause}; ask its operator to enable the subsystem")]
    NoSubsystem {
        /// `user@host:port`.
        server: String,
        /// The protocol's reason.
        cause: String,
    },
    /// No such file or folder.
    #[error("sftp {server}: there is no `{path}`; check `exports` and `logs`, which are relative to the start folder of the user")]
    NotFound {
        /// `user@host:port`.
        server: String,
        /// The path as it was asked for.
        path: String,
    },
    /// The server does not tell the size or the time of change of a file.
    #[error(
        "sftp {server}: the server does not return the size and the time of the last change of `{path}`, so d365map cannot know whether the file is complete; \
         ask the server's operator to send file attributes (SFTP version 3, SSH_FXP_STAT)"
    )]
    Untold {
        /// `user@host:port`.
        server: String,
        /// The file.
        path: String,
    },
    /// The user may not do this.
    #[error("sftp {server}: the user may not {action} `{path}`; ask the server's operator for the right")]
    Denied {
        /// `user@host:port`.
        server: String,
        /// The path as it was asked for.
        path: String,
        /// `read`, `list`, `write`.
        action: &'static str,
    },
    /// The connection broke.
    #[error("sftp {server}: the connection was lost while {doing}: {cause}; run again: what was read is not read again")]
    Lost {
        /// `user@host:port`.
        server: String,
        /// What was being done.
        doing: String,
        /// The transport's reason.
        cause: String,
    },
    /// The server is silent.
    #[error("sftp {server}: no answer within {} s while {doing}; run again later", after.as_secs())]
    Timeout {
        /// `user@host:port`.
        server: String,
        /// What was being done.
        doing: String,
        /// The limit.
        after: Duration,
    },
    /// The server failed at a request, for an internal reason.
    #[error("sftp {server}: the server failed while {doing}: {cause}; check the server's log and its free space")]
    Failed {
        /// `user@host:port`.
        server: String,
        /// What was being done.
        doing: String,
        /// The server's words.
        cause: String,
    },
    /// A file is not the one that was read before: it is shorter, or its bytes before the kept position are others.
    #[error("sftp {server}: `{path}` was replaced since it was read: {cause}; read it from its beginning")]
    Replaced {
        /// `user@host:port`.
        server: String,
        /// The file.
        path: String,
        /// What shows it.
        cause: String,
    },
    /// A file as a whole cannot be what was expected: encoding, header, columns.
    #[error("sftp: `{path}`: {problem}; {remedy}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
}

impl SftpError {
    /// Whether it is one file that cannot be read, and not the server that fails: the others can still be read.
    pub fn is_of_the_file(&self) -> bool {
        matches!(self, Self::Content { .. } | Self::Denied { .. } | Self::NotFound { .. } | Self::Replaced { .. })
    }

    /// Whether the same call may succeed later without anybody's doing.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } | Self::Timeout { .. } => true,
            Self::Config { .. }
            | Self::Key { .. }
            | Self::NoCommonAlgorithm { .. }
            | Self::Untold { .. }
            | Self::HostKeyUnknown { .. }
            | Self::HostKeyChanged { .. }
            | Self::HostKeyRevoked { .. }
            | Self::Refused { .. }
            | Self::NoSubsystem { .. }
            | Self::NotFound { .. }
            | Self::Denied { .. }
            | Self::Failed { .. }
            | Self::Replaced { .. }
            | Self::Content { .. } => false,
        }
    }
}

/// A stranger's words for an error text: one line, not endless.
pub(super) fn words(text: &str) -> String {
    let text: String = crate::printable::one_line(text).chars().take(200).collect();
    if text.is_empty() { "no reason given".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_by_itself_is_transient() {
        let server = || "u@h:22".to_owned();
        assert!(SftpError::Unreachable { server: server(), cause: String::new() }.is_transient());
        assert!(SftpError::Lost { server: server(), doing: String::new(), cause: String::new() }.is_transient());
        assert!(!SftpError::Refused { server: server(), key: String::new(), note: String::new() }.is_transient());
        assert!(!SftpError::NotFound { server: server(), path: String::new() }.is_transient());
    }

    #[test]
    fn a_servers_words_stay_on_one_line() {
        assert_eq!(words("a\r\n\u{1b}[31mb"), "a \\u{1b}[31mb");
        assert_eq!(words(&"x".repeat(999)).len(), 200);
        assert_eq!(words(" "), "no reason given");
    }
}
