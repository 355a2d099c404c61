//! The connection to Campaign's SFTP server: whether its key is trusted, whether it lets the user in, the folders, and how old the
//! newest export is.
//!
//! The connection reports faults by kind; here they are put in the order in which a connection is made, so that what
//! went well before the fault is said too.

use std::time::Duration;

use super::Bench;
use super::reach::span;
use crate::connect::sftp::{Freshness, Sftp, SftpError, freshness};
use crate::count::counted;
use crate::time;

/// Exports come once a day; a quarter of an hour late is nothing, half a day is.
const STALE: Duration = Duration::from_secs(36 * 3600);

/// The steps to the exports, in their order.
const STEPS: [(&str, &str); 4] =
    [("sftp.connection", "connection"), ("sftp.host-key", "host key"), ("sftp.user", "user"), ("sftp.exports", "exports")];

/// Examines the server.
pub async fn examine(bench: &mut Bench, client: &Sftp) {
    let access = match bench.step(client.check()).await {
        Ok(Ok(access)) => access,
        Ok(Err(error)) => {
            failed(bench, &error);
            return;
        }
        Err(_) => {
            bench.over(STEPS[0].0, STEPS[0].1);
            bench.skip_all(&STEPS[1..], "there is no connection");
            return;
        }
    };
    bench.ok(STEPS[0].0, STEPS[0].1, client.server());
    bench.ok(STEPS[1].0, STEPS[1].1, "it is the known key");
    bench.ok(STEPS[2].0, STEPS[2].1, "accepted with its key");
    let (id, subject) = STEPS[3];
    let files = access.exports.len();
    match freshness(&access.exports, time::now(), STALE) {
        Freshness::Fresh { age } => {
            let age = span(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
            bench.ok(id, subject, format!("{}, the newest {age} old", counted(files, "file")));
        }
        Freshness::Stale { name, age, .. } => {
            let age = span(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
            bench.warn(
                id,
                subject,
                format!("the newest export, {name}, is {age} old, and exports come once a day: opt-outs may be missed"),
                "check in Campaign whether the workflow that exports them has stopped, and start it",
            );
        }
        Freshness::Missing => bench.warn(
            id,
            subject,
            "the folder can be read and holds no export",
            "check in Campaign whether the workflow that exports opt-outs and logs is there and has run",
        ),
    }
    match access.logs {
        None => {}
        Some(true) => bench.ok("sftp.logs", "logs", "the folder can be listed; writing to it is not tested"),
        Some(false) => bench.fail(
            "sftp.logs",
            "logs",
            "the folder for logs is not there or cannot be listed",
            "check `logs`, or ask the server's operator for the right",
        ),
    }
}

/// Says at which step a connection failed, and that those before it went well.
fn failed(bench: &mut Bench, error: &SftpError) {
    let at = match error {
        SftpError::Config { .. }
        | SftpError::Key { .. }
        | SftpError::Unreachable { .. }
        | SftpError::NoCommonAlgorithm { .. }
        | SftpError::Lost { .. }
        | SftpError::Timeout { .. } => 0,
        SftpError::HostKeyUnknown { .. } | SftpError::HostKeyChanged { .. } | SftpError::HostKeyRevoked { .. } => 1,
        SftpError::Refused { .. } | SftpError::NoSubsystem { .. } => 2,
        SftpError::NotFound { .. }
        | SftpError::Denied { .. }
        | SftpError::Failed { .. }
        | SftpError::Untold { .. }
        | SftpError::Replaced { .. }
        | SftpError::Content { .. } => 3,
    };
    for (id, subject) in &STEPS[..at] {
        bench.ok(id, *subject, "well");
    }
    let (cause, mend) = parted(error);
    bench.fail(STEPS[at].0, STEPS[at].1, cause, mend);
    bench.skip_all(&STEPS[at + 1..], "an earlier step failed");
}

/// An error's cause and remedy: each text has the remedy behind a semicolon, the first one that is not part of the cause.
pub fn parted(error: &SftpError) -> (String, String) {
    let text = error.to_string();
    let text = text.strip_prefix("sftp ").or_else(|| text.strip_prefix("sftp: ")).unwrap_or(&text);
    match text.split_once("; ") {
        Some((cause, mend)) => (cause.to_owned(), mend.to_owned()),
        None => (text.to_owned(), "docs/sftp.md says how to set up the connection".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Check, Group, Outcome};

    fn checks(error: &SftpError) -> Vec<Check> {
        let mut bench = Bench::new(Group::Sftp, Duration::from_secs(1));
        failed(&mut bench, error);
        bench.done()
    }

    fn failure(checks: &[Check]) -> (&'static str, usize) {
        let at = checks.iter().position(|c| matches!(c.outcome, Outcome::Failed { .. })).unwrap();
        assert!(checks[..at].iter().all(|c| matches!(c.outcome, Outcome::Ok { .. })));
        assert!(checks[at + 1..].iter().all(|c| matches!(c.outcome, Outcome::Skipped { .. })));
        (checks[at].id, checks.len())
    }

    #[tokio::test]
    async fn a_fault_is_reported_at_its_step_and_earlier_steps_are_ok() {
        let server = || "u@h:22".to_owned();
        let unreachable = SftpError::Unreachable { server: server(), cause: "refused".into() };
        let changed =
            SftpError::HostKeyChanged { server: server(), found: "a".into(), expected: "b".into(), place: "known_hosts:3".into() };
        let refused = SftpError::Refused { server: server(), key: "k".into(), note: String::new() };
        let missing = SftpError::NotFound { server: server(), path: "d365_loads/exports".into() };
        for (error, id) in [(unreachable, "sftp.connection"), (changed, "sftp.host-key"), (refused, "sftp.user"), (missing, "sftp.exports")]
        {
            assert_eq!(failure(&checks(&error)), (id, 4));
        }
    }

    #[test]
    fn cause_and_remedy_are_parted() {
        let error = SftpError::Refused { server: "u@h:22".into(), key: "ssh-ed25519 SHA256:x".into(), note: String::new() };
        let (cause, mend) = parted(&error);
        assert_eq!(cause, "u@h:22: the server refuses the user with the key ssh-ed25519 SHA256:x");
        assert!(mend.starts_with("check `user`"), "{mend}");
    }
}
