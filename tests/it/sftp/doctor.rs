//! `doctor` at an SFTP server, good and broken.

use std::path::Path;

use super::server::{Options, Server, keygen};
use crate::doctor::{about, doctor};

/// What `doctor` says of the server; nobody listens where the project has Campaign itself.
async fn of(folder: &Path, lines: &str) -> String {
    let project = format!(
        "version: 1\nconnections:\n  campaign:\n    url: http://127.0.0.1:9\n    organization: contoso\n    client-id: a\n    client-secret: {{ env: A }}\n    sftp:\n\
         {lines}"
    );
    std::fs::write(folder.join("d365map.yaml"), project).unwrap();
    let (_, out) = doctor(folder, &["--connection", "campaign"], &[("A", "secret")]).await;
    ["SFTP server", "exports", "folder for logs"].into_iter().filter(|s| out.contains(s)).map(|s| about(&out, s) + "\n").collect()
}

#[tokio::test]
async fn doctor_tells_what_keeps_exports_from_being_read() {
    let server = Server::start(&Options::default());
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::copy(server.path("user"), at("key")).unwrap();
    keygen(&at("stranger"), &["-t", "ed25519", "-N", ""]);
    std::fs::copy(server.known_hosts("known", &server.host_key("ed25519")), at("known")).unwrap();
    std::fs::write(at("nobody"), "").unwrap();
    let lines = format!(
        "      host: 127.0.0.1\n      port: {}\n      user: {}\n      key: {{ file: key }}\n      known-hosts: known\n",
        server.port, server.user
    );

    let empty = of(folder.path(), &lines).await;
    assert!(
        empty.contains("ok       SFTP server") && empty.contains("warning  exports") && empty.contains("there is no export"),
        "{empty}"
    );
    server.write("optout.csv", "externalId\n");
    let good = of(folder.path(), &format!("{lines}      logs: logs\n")).await;
    assert!(good.contains("one file, the newest of 0 h ago") && good.contains("ok       folder for logs"), "{good}");

    for (from, to, failed, cause) in [
        ("key }", "stranger }", "SFTP server", "the server refuses the user"),
        ("file: key", "file: absent", "SFTP server", "connections.campaign.sftp.key"),
        ("hosts: known", "hosts: nobody", "SFTP server", "is not known"),
        ("hosts: known\n", "hosts: known\n      exports: elsewhere\n", "exports", "there is no `elsewhere`"),
        ("hosts: known\n", "hosts: known\n      logs: elsewhere\n", "folder for logs", "the folder is not there"),
    ] {
        let told = of(folder.path(), &lines.replace(from, to)).await;
        assert!(told.contains(&format!("failed   {failed}")) && told.contains(cause) && told.contains('→'), "{told}");
    }
}
