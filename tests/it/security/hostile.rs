//! What services, file names and schema files say, on its way through every command that shows it.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use d365map::printable::is_hidden;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::connect_server::Reply;
use crate::doctor::fake;
use crate::flow::support::id;

/// Clears the screen, sets the title, reverses the order of words, forges a line of a report, and commands three CI services.
const HOSTILE: &str =
    "owned \u{1b}[2J\u{1b}]0;t\u{7}\u{9b}2J\u{202e}\u{2066}\r\n  status     200\n::error file=a::b\n##[error]c\n##vso[task.setvariable]d";

/// What goes wrong at the services.
#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    /// Campaign refuses each record.
    Records = 0,
    /// Dynamics refuses every read.
    Reading,
    /// There are no tokens.
    Tokens,
    /// Every answer is an error of the service.
    Everything,
}

/// A command at work in the project's folder.
fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_d365map"));
    command.args(args).current_dir(folder).env("TEST_SECRET", "s3cr3t").env_remove("D365MAP_LOG").stdin(Stdio::null());
    command
}

/// Fails unless a text is safe to show: nothing that a terminal obeys, no command of a CI service, no forged row.
#[track_caller]
fn assert_safe(name: &str, text: &str) {
    let found = text.chars().find(|c| is_hidden(*c) && !matches!(c, '\n' | '\t'));
    assert_eq!(found, None, "{name}: {text:?}");
    for line in text.lines() {
        assert!(!line.trim_start().starts_with("::"), "{name}: {text}");
        assert!(!line.starts_with("  status     200"), "{name}: a row was forged: {text}");
    }
    // JSON documents are for programs, which decode them.
    if !text.starts_with('{') && !text.starts_with('[') {
        assert!(!text.contains("##[error]") && !text.contains("##vso["), "{name}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_says_is_escaped_by_every_command() {
    let trouble = Arc::new(AtomicUsize::new(Trouble::Records as usize));
    let now = trouble.clone();
    let server = fake::services(move |seen| {
        let is = |kind: Trouble| now.load(Ordering::Relaxed) == kind as usize;
        let refused = |status: u16| {
            let said = json!({"error_code": HOSTILE, "error": {"code": HOSTILE, "message": HOSTILE}, "message": HOSTILE});
            Some(Reply::json(status, said.to_string()))
        };
        if seen.is_token() {
            let said = json!({"error": HOSTILE, "error_description": HOSTILE}).to_string();
            return (is(Trouble::Tokens) && seen.method == "POST").then(|| Reply::json(400, said));
        }
        if is(Trouble::Everything) {
            return refused(403);
        }
        if seen.target.contains("/contacts") {
            if is(Trouble::Reading) {
                return refused(403);
            }
            let row = json!({"@odata.etag": "W/\"1\"", "contactid": id(1), "lastname": "Lovelace"});
            let host = seen.header("host").unwrap_or_default();
            let delta = format!("http://{host}/api/data/v9.2/contacts?$deltatoken=1");
            return Some(Reply::json(200, json!({"value": [row], "@odata.deltaLink": delta}).to_string()));
        }
        if seen.method == "POST" && seen.target.contains("/profile") {
            let said = json!({"error_code": HOSTILE, "message": HOSTILE, "more": HOSTILE});
            return Some(Reply::json(400, said.to_string()));
        }
        None
    })
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    fake::project(folder.path(), server.url.as_str(), fake::WRITES);
    std::fs::create_dir(folder.path().join("schemas")).expect("a folder");
    let schema = "version: 1\ntable: campaign.profile\nextends: built-in\nfields:\n  cusEvil: { type: string, max: 10, label: \"owned \\e[2J\\u202e\\n::error::x\\n##[error]y\" }\n";
    std::fs::write(folder.path().join("schemas/campaign.profile.yaml"), schema).expect("a file");
    let log = folder.path().join("log owned \u{1b}[2J\n::error::x");
    std::fs::write(&log, format!("{}\n", id(1))).expect("a log");
    let (log, contact) = (log.display().to_string(), id(1));

    let mut owned = Vec::new();
    let mut said = async |args: &[&str]| {
        let output = command(folder.path(), args).output().await.expect("the command runs");
        for (stream, text) in [("stdout", output.stdout), ("stderr", output.stderr)] {
            let name = format!("{} [{stream}]", args.join(" "));
            let text = String::from_utf8(text).expect("UTF-8");
            assert!(!text.contains("panicked"), "{name}: {text}");
            assert_safe(&name, &text);
            if text.contains("owned") {
                owned.push(args.join(" "));
            }
        }
    };
    for args in [
        &["run", "--ignore-drift", "--mapping", "contacts"][..],
        &["run", "--ignore-drift", "--dry-run"],
        &["run", "--ignore-drift", "-vv", "--log-format", "json", "--format", "json"],
        &["status"],
        &["status", "--format", "json"],
        &["state", "list"],
        &["dead-letters", "list"],
        &["dead-letters", "list", "--format", "json"],
        &["dead-letters", "show", "1"],
        &["dead-letters", "show", "1", "--format", "json"],
        &["privacy", "report", &contact, "--log", &log],
        &["privacy", "report", HOSTILE],
        &["privacy", "report", "owned", "--format", "json"],
        &["privacy", "forget", &contact, "--dry-run"],
        &["optout", "reconcile"],
        &["optout", "reconcile", "--format", "json"],
        &["events", "repair", &contact],
        &["schema", "show", "campaign.profile"],
        &["schema", "show", "campaign.profile", "--format", "yaml"],
        &["schema", "diff"],
        &["schema", "pull", "--dry-run"],
        &["check"],
        &["check", "--format", "github"],
        &["plan"],
        &["export"],
        &["doctor"],
        &["doctor", "--format", "json"],
    ] {
        said(args).await;
    }
    for kind in [Trouble::Reading, Trouble::Tokens, Trouble::Everything] {
        trouble.store(kind as usize, Ordering::Relaxed);
        for args in [
            &["run", "--ignore-drift"][..],
            &["run"],
            &["run", "--ignore-drift", "--dry-run"],
            &["replay", "contacts"],
            &["optout", "reconcile"],
            &["schema", "diff"],
            &["schema", "pull", "d365.contact", "campaign.profile"],
            &["doctor"],
            &["status"],
        ] {
            said(args).await;
        }
    }
    // Without these words the search above would find nothing because nothing is shown.
    for shown in ["dead-letters list", "dead-letters show 1", "doctor", "run --ignore-drift", "optout reconcile", "schema pull", "status"] {
        assert!(owned.iter().any(|args| args.starts_with(shown)), "{shown} does not show what the service said: {owned:?}");
    }

    // The log of a watch, whose workflow fails and is tried again.
    trouble.store(Trouble::Reading as usize, Ordering::Relaxed);
    let mut watch = command(folder.path(), &["run", "--watch", "--ignore-drift", "--interval", "1"]);
    let mut watch = watch.stderr(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true).spawn().expect("a start");
    let mut lines = BufReader::new(watch.stderr.take().expect("its log")).lines();
    let read = async {
        let mut seen = String::new();
        while let Some(line) = lines.next_line().await.expect("UTF-8") {
            seen.push_str(&line);
            seen.push('\n');
            if line.contains("owned") {
                break;
            }
        }
        seen
    };
    let seen = tokio::time::timeout(Duration::from_secs(60), read).await.expect("the watch says why its workflow fails");
    watch.kill().await.expect("its end");
    assert!(seen.contains("owned"), "{seen}");
    assert_safe("run --watch", &seen);
}
