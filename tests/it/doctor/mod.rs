//! `doctor` against good and broken set-ups: each fault is reported with its cause and its fix.

mod campaign;
mod dynamics;
pub mod fake;
mod local;
mod sftp;
pub mod tls;

use std::path::Path;
use std::process::Output;

/// Exit status and standard output of `doctor` in a folder, with what differs from run to run taken out.
pub async fn doctor(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    let (status, out, error) = raw(folder, args, env).await;
    assert_eq!(error, "", "nothing goes to standard error");
    (status, stable(&out, folder))
}

/// Exit status, standard output, standard error.
pub async fn raw(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_d365map"));
    command.arg("doctor").args(args).current_dir(folder).envs(env.iter().copied()).kill_on_drop(true);
    // Neither may lead elsewhere.
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    let Output { status, stdout, stderr } = command.output().await.expect("the command runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// Without ports, folders, room, times and process numbers.
pub fn stable(text: &str, folder: &Path) -> String {
    let mut text = text.replace(&folder.display().to_string(), "[FOLDER]");
    for (pattern, with) in [
        (r"(127\.0\.0\.1|localhost):\d+", "$1:[PORT]"),
        (r"\d+ (GiB|MiB) are free", "[ROOM] are free"),
        (r"process \d+ on \S+ since \S+", "process [PID] on [HOST] since [TIME]"),
    ] {
        text = regex::Regex::new(pattern).expect("a pattern").replace_all(&text, with).into_owned();
    }
    text
}

/// The lines of the checks whose subjects begin so, with those below that belong to them.
pub fn about(out: &str, subject: &str) -> String {
    let mut lines = Vec::new();
    let mut on = false;
    for line in out.lines() {
        let head = line.get(11..).is_some_and(|rest| !rest.starts_with(' ')) && line.starts_with("  ");
        if head {
            on = line[11..].starts_with(subject);
        } else if !line.starts_with("   ") {
            on = false;
        }
        if on {
            lines.push(line);
        }
    }
    assert!(!lines.is_empty(), "nothing about {subject} in\n{out}");
    lines.join("\n")
}
