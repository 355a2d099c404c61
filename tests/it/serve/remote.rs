//! `--server`: the commands ask a server, and say what they say on its own machine.

use d365map::serve::access::Role;

use super::api::{serving, with_dead_letters};
use super::support::{NAME, Serving, token};
use crate::flow::support::{World, ada};

/// What a command left: its status, its standard output and its standard error.
type Left = (i32, String, String);

async fn call(folder: &std::path::Path, args: &[&str], token: Option<String>) -> Left {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_d365map"));
    command.args(args).current_dir(folder).env_remove("D365MAP_TOKEN").kill_on_drop(true);
    if let Some(token) = token {
        command.env("D365MAP_TOKEN", token);
    }
    let output = command.output().await.expect("the command runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// In the folder of the project.
async fn here(serving: &Serving, args: &[&str]) -> Left {
    call(&serving.world.folder.path().join(NAME), args, None).await
}

/// In a folder without a project, as the client of a role.
async fn there(serving: &Serving, role: Role, args: &[&str]) -> Left {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serving.url("/");
    call(folder.path(), &[args, &["--server", &server]].concat(), Some(token(role))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_is_the_same_as_on_the_servers_machine() {
    let serving = with_dead_letters().await;
    let (status, out, error) = there(&serving, Role::Operator, &["stop", "contacts"]).await;
    assert_eq!(status, 0, "{out}{error}");
    assert!(out.starts_with("contacts: STOPPED"), "{out}");
    let letters = here(&serving, &["dead-letters", "list"]).await.1;
    let number = letters.split_whitespace().next().expect("a number").to_owned();
    let commands: [&[&str]; 7] = [
        &["status"],
        &["status", "--format", "json"],
        &["dead-letters", "list"],
        &["dead-letters", "list", "--format", "json", "--limit", "1"],
        &["dead-letters", "list", "--code", "none"],
        &["dead-letters", "show", &number],
        &["dead-letters", "show", &number, "--format", "json"],
    ];
    for args in commands {
        let (local, remote) = (here(&serving, args).await, there(&serving, Role::Operator, args).await);
        assert_eq!(local, remote, "{args:?}");
        assert_eq!(local.0, 0, "{args:?}: {}", local.2);
    }
    let (status, out, _) = there(&serving, Role::Operator, &["dead-letters", "drop", &number]).await;
    assert_eq!((status, &*out), (0, "1 dead letter dropped\n"));
    let (status, out, _) = there(&serving, Role::Operator, &["dead-letters", "retry", "--all"]).await;
    assert_eq!((status, &*out), (0, "1 dead letter queued again; the next run retries\n"));
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_are_stopped_started_and_replayed_from_another_machine() {
    let world = World::empty().await;
    world.create(1, ada()).await;
    let mut serving = serving(world).await;
    serving.watch();
    serving.until("contacts", "at rest", |w| w["record"]["state"] == "RUNNING" && !w["record"]["round_ended"].is_null()).await;
    let (status, out, error) = there(&serving, Role::Operator, &["stop", "--all"]).await;
    assert_eq!((status, out.starts_with("contacts: STOPPED")), (0, true), "{out}{error}");
    let (status, out, error) = there(&serving, Role::Operator, &["start", "contacts"]).await;
    assert_eq!((status, out.starts_with("contacts: RUNNING")), (0, true), "{out}{error}");
    let (status, _, error) = there(&serving, Role::Operator, &["replay", "contacts"]).await;
    assert_eq!((status, error.contains("to read all records of `contacts` again")), (0, true), "{error}");
    let (status, _, error) = there(&serving, Role::Operator, &["start", "contatcs"]).await;
    assert_eq!((status, error.contains("did you mean `contacts`?")), (2, true), "{error}");
    serving.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_error_says_what_to_do() {
    let serving = serving(World::empty().await).await;
    let server = serving.url("");
    let folder = tempfile::tempdir().expect("a folder");
    let refused = async |args: &[&str], token: Option<String>, words: &[&str]| {
        let (status, out, error) = call(folder.path(), args, token).await;
        assert_eq!((status, &*out), (2, ""), "{args:?}: {error}");
        assert!(words.iter().all(|word| error.contains(word)), "{args:?}: {error}");
    };
    let viewer = || Some(token(Role::Viewer));
    refused(&["status", "--server", &server], None, &["D365MAP_TOKEN", "--token-file"]).await;
    refused(&["status", "--server", &server], Some("x".repeat(40)), &["serve: clients:"]).await;
    refused(&["dead-letters", "retry", "--all", "--server", &server], viewer(), &["`operator`", "client with that role"]).await;
    refused(&["dead-letters", "list", "--format", "json", "--server", &server], viewer(), &["values", "operator"]).await;
    refused(&["status", "--server", &server, "--project", "other"], viewer(), &["`other`", "`contoso`"]).await;
    refused(&["status", "--server", "http://sync.example:8070"], viewer(), &["not encrypted", "https"]).await;
    refused(&["status", "--server", &server.replace("http", "https")], viewer(), &["does not speak TLS"]).await;
    refused(&["status", "--token-file", "token"], None, &["--server"]).await;
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let nothing = format!("http://127.0.0.1:{port}");
    refused(&["status", "--server", &nothing], viewer(), &["nothing listens", "d365map serve"]).await;
    serving.end().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_token_comes_from_a_file_that_only_its_owner_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let serving = serving(World::empty().await).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    std::fs::write(&path, token(Role::Viewer) + "\n").expect("a file");
    let server = serving.url("");
    let args = ["status", "--server", &server, "--token-file", "token"];
    for (mode, status) in [(0o600, 0), (0o644, 2)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
        let left = call(folder.path(), &args, None).await;
        assert_eq!(left.0, status, "{left:?}");
    }
    serving.end().await;
}
