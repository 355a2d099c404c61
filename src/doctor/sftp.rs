//! Campaign's SFTP server: key, host key, folders, and whether exports still come.

use std::time::Duration;

use crate::connect::sftp::{Access, Freshness, Sftp, SftpError, freshness};
use crate::time;

use super::Bench;

/// Exports come once a day; two hours more for a workflow that waits for others.
const DAILY: Duration = Duration::from_secs(26 * 3600);

const EXPORTS: (&str, &str) = ("campaign.exports", "exports");
const LOGS: (&str, &str) = ("campaign.logs", "folder for logs");

/// Connects and looks at the folders; `client` is the client or why there is none.
pub async fn examine(bench: &mut Bench, client: Result<Sftp, String>) {
    let (id, subject) = ("campaign.sftp", "SFTP server");
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            let (cause, mend) = apart(&error);
            bench.fail(id, subject, cause, mend);
            return bench.skip_all(&[EXPORTS], "there is no connection");
        }
    };
    let Ok(found) = bench.step(client.check()).await else { return bench.over(id, subject) };
    match found {
        Ok(access) => {
            bench.ok(id, subject, client.server());
            folders(bench, &access);
        }
        // The server let us in: it is the folder that is wrong.
        Err(error @ (SftpError::NotFound { .. } | SftpError::Denied { .. })) => {
            bench.ok(id, subject, client.server());
            let text = error.to_string();
            let (cause, mend) = apart(&text);
            bench.fail(EXPORTS.0, EXPORTS.1, cause, mend);
        }
        Err(error) => {
            let text = error.to_string();
            let (cause, mend) = apart(&text);
            bench.fail(id, subject, cause, mend);
            bench.skip_all(&[EXPORTS], "there is no connection");
        }
    }
}

fn folders(bench: &mut Bench, access: &Access) {
    let fresh = freshness(&access.exports, time::now(), DAILY);
    match (&fresh, fresh.warning()) {
        (Freshness::Fresh { age }, _) => {
            let count = access.exports.len();
            let files = if count == 1 { "one file".to_owned() } else { format!("{count} files") };
            bench.ok(EXPORTS.0, EXPORTS.1, format!("{files}, the newest of {} h ago", age.as_secs() / 3600));
        }
        (Freshness::Stale { .. } | Freshness::Missing, warning) => {
            let warning = warning.unwrap_or_default();
            let (cause, mend) = apart(&warning);
            bench.warn(EXPORTS.0, EXPORTS.1, cause, mend);
        }
    }
    match access.logs {
        None => {}
        Some(true) => bench.ok(LOGS.0, LOGS.1, "can be listed"),
        Some(false) => bench.fail(LOGS.0, LOGS.1, "the folder is not there, or may not be listed", "make it, or correct `logs`"),
    }
}

/// Cause and remedy of an error's text.
fn apart(text: &str) -> (&str, &str) {
    text.split_once("; ").unwrap_or((text, "docs/sftp.md tells how the server is set up"))
}
