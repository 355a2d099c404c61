//! The connection to Campaign's SFTP server, against OpenSSH's own.

use std::path::Path;
use std::time::{Duration, SystemTime};

use insta::assert_snapshot;

use super::fake::{self, READS};
use super::{about, doctor, stable};
use crate::sftp::server::{Options, Server, keygen};

/// A project with this section of SFTP.
fn project(folder: &Path, server: &Server, lines: &str) {
    fake::project(folder, "http://127.0.0.1:9", READS);
    let file = folder.join("d365map.yaml");
    let text = std::fs::read_to_string(&file).expect("a file");
    let section = format!("    sftp:\n      host: 127.0.0.1\n      port: {}\n      user: {}\n{lines}", server.port, server.user);
    std::fs::write(&file, text + &section).expect("a file");
}

fn usual(server: &Server) -> String {
    format!("      key: {{ file: {} }}\n      host-key: {}\n", server.path("user").display(), server.fingerprint("ed25519"))
}

async fn examined(folder: &Path, server: &Server) -> (i32, String) {
    let (status, out) = doctor(folder, &["--connection", "sftp"], &[]).await;
    let fingerprint = regex::Regex::new(r"SHA256:[A-Za-z0-9+/]+").expect("a pattern");
    let out = out.replace(&format!("{}@", server.user), "[USER]@").replace(&server.path("").display().to_string(), "[SERVER]/");
    (status, fingerprint.replace_all(&stable(&out, folder), "SHA256:[PRINT]").into_owned())
}

#[tokio::test]
async fn a_server_with_a_fresh_export_is_all_well() {
    let server = Server::start(&Options::default());
    server.write("optout.csv", "a,b\n");
    let folder = tempfile::tempdir().expect("a folder");
    project(folder.path(), &server, &format!("{}      logs: logs\n", usual(&server)));
    let (status, out) = examined(folder.path(), &server).await;
    assert_eq!(status, 0, "{out}");
    assert!(about(&out, "exports").contains("1 file, the newest"), "{out}");
    assert!(about(&out, "logs").contains("ok"), "{out}");
    for subject in ["connection ", "host key", "user", "private key"] {
        assert!(about(&out, subject).trim_start().starts_with("ok"), "{out}");
    }
}

#[tokio::test]
async fn exports_that_have_ceased_are_worth_a_warning() {
    let server = Server::start(&Options::default());
    server.write("optout.csv", "a,b\n");
    let file = std::fs::File::options().append(true).open(server.exports().join("optout.csv")).expect("the export");
    file.set_modified(SystemTime::now() - Duration::from_secs(5 * 86_400)).expect("a time");
    let folder = tempfile::tempdir().expect("a folder");
    project(folder.path(), &server, &usual(&server));
    let (status, out) = examined(folder.path(), &server).await;
    assert_eq!(status, 0, "{out}");
    assert_snapshot!(about(&out, "exports"));
}

#[tokio::test]
async fn an_empty_folder_is_worth_a_warning_and_a_missing_folder_for_logs_fails() {
    let server = Server::start(&Options::default());
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(server.known_hosts("known", &server.host_key("ed25519")), folder.path().join("known")).expect("known hosts");
    let key = format!("      key: {{ file: {} }}\n", server.path("user").display());
    project(folder.path(), &server, &format!("{key}      known-hosts: known\n      logs: elsewhere\n"));
    let (status, out) = examined(folder.path(), &server).await;
    assert_eq!(status, 1, "{out}");
    assert!(about(&out, "exports").contains("warning") && about(&out, "logs").contains("failed"), "{out}");
    // A file that confirms no key.
    std::fs::write(folder.path().join("known"), "").expect("known hosts");
    let (status, out) = examined(folder.path(), &server).await;
    assert!(status == 1 && about(&out, "host key").contains("is not known"), "{out}");
}

#[tokio::test]
async fn a_strange_host_key_a_refused_key_and_a_missing_folder_are_reported_at_their_step() {
    let server = Server::start(&Options::default());
    let folder = tempfile::tempdir().expect("a folder");
    let stranger = folder.path().join("stranger");
    keygen(&stranger, &["-t", "ed25519", "-N", ""]);
    let other = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let mut told = Vec::new();
    for lines in [
        format!("      key: {{ file: {} }}\n      host-key: {other}\n", server.path("user").display()),
        format!("      key: {{ file: {} }}\n      host-key: {}\n", stranger.display(), server.fingerprint("ed25519")),
        format!("{}      exports: nowhere\n", usual(&server)),
        "      key: { env: NO_SUCH_KEY }\n      host-key: SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n".to_owned(),
    ] {
        project(folder.path(), &server, &lines);
        let (status, out) = examined(folder.path(), &server).await;
        assert_eq!(status, 1, "{out}");
        told.push(out.split("Campaign's SFTP server\n").nth(1).expect("the group").to_owned());
    }
    assert_snapshot!(told.join("---\n").replace(&folder.path().display().to_string(), "[FOLDER]"));
}
