//! The SFTP client against OpenSSH's own server.

mod bare;
pub mod server;

use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use d365map::connect::sftp::{
    Access, BadLine, Consumed, CsvFormat, DeliveryLog, DeliveryLogColumns, Export, ExportReader, HostKey, OptOut, OptOutChange,
    OptOutColumns, Position, Record, Sftp, SftpConfig, SftpError, TrackingKind, TrackingLog, TrackingLogColumns,
};
use secrecy::SecretString;

use server::{Line, Options, Server, keygen};

const HEADER: &str = "externalId,attribute,value,lastModified\n";

fn opt_out(number: usize) -> String {
    format!("contact-{number},denyListEmail,{},2024-05-06 07:08:09.010Z\n", number.is_multiple_of(2))
}

fn set_time(server: &Server, name: &str, seconds: u64) {
    let file = std::fs::File::options().append(true).open(server.exports().join(name)).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

/// Sets a file's time of change to this many seconds ago.
fn age(server: &Server, name: &str, seconds: u64) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    set_time(server, name, now.as_secs() - seconds);
}

/// What is in an export: the numbers of the contacts, and the bad lines.
async fn numbers(reader: &mut ExportReader<OptOutChange>) -> (Vec<usize>, Vec<BadLine>) {
    let (mut found, mut bad) = (Vec::new(), Vec::new());
    while let Some(batch) = reader.next_batch(1000).await.unwrap() {
        found.extend(batch.records.iter().map(|(_, r)| r.external_id.trim_start_matches("contact-").parse::<usize>().unwrap()));
        bad.extend(batch.bad);
    }
    (found, bad)
}

async fn open(sftp: &Sftp, export: &Export) -> ExportReader<OptOutChange> {
    sftp.read(export, CsvFormat::default(), OptOutColumns::default()).await.unwrap()
}

async fn only(sftp: &Sftp, consumed: &[Consumed]) -> Export {
    let mut exports = sftp.settled("*.csv", consumed).await.unwrap();
    assert_eq!(exports.len(), 1, "{exports:?}");
    exports.remove(0)
}

fn consumed(export: &Export, position: Position) -> Consumed {
    Consumed { name: export.file.name.clone(), size: export.file.size, modified: export.file.modified, position }
}

#[tokio::test]
async fn keys_of_every_kind_and_form_open_the_door() {
    let server = Server::start(&Options::default());
    let forms: [(&str, &[&str], Option<&str>); 8] = [
        ("ed25519", &["-t", "ed25519", "-N", ""], None),
        ("ed25519_locked", &["-t", "ed25519", "-a", "1", "-N", "open sesame"], Some("open sesame")),
        ("ecdsa", &["-t", "ecdsa", "-b", "384", "-N", ""], None),
        ("ecdsa_pkcs8", &["-t", "ecdsa", "-m", "PKCS8", "-N", ""], None),
        ("rsa", &["-t", "rsa", "-b", "2048", "-N", ""], None),
        ("rsa_pem", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""], None),
        ("rsa_pem_locked", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "open sesame"], Some("open sesame")),
        ("rsa_pkcs8_locked", &["-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", "open sesame"], Some("open sesame")),
    ];
    let mut authorized = String::new();
    let mut keys = Vec::new();
    for (name, args, passphrase) in forms {
        let key = keygen(&server.path(name), args);
        authorized += &std::fs::read_to_string(server.path(&format!("{name}.pub"))).unwrap();
        keys.push((name, key, passphrase));
    }
    std::fs::write(server.path("authorized_keys"), authorized).unwrap();
    for (name, key, passphrase) in keys {
        let mut config = server.config();
        config.key = SecretString::from(key.clone());
        config.passphrase = passphrase.map(SecretString::from);
        let access = Sftp::new(config.clone()).unwrap().check().await;
        assert_eq!(access.unwrap_or_else(|e| panic!("{name}: {e}")), Access { exports: Vec::new(), logs: Some(true) }, "{name}");
        if passphrase.is_some() {
            for (given, says) in [(None, "add `passphrase`"), (Some("hunter2"), "the passphrase is wrong")] {
                config.passphrase = given.map(SecretString::from);
                let error = Sftp::new(config.clone()).unwrap_err().to_string();
                assert!(error.contains(says) && !error.contains("hunter2"), "{name}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn a_key_that_is_not_registered_is_refused_with_its_fingerprint() {
    let server = Server::start(&Options::default());
    let mut config = server.config();
    config.key = SecretString::from(keygen(&server.path("stranger"), &["-t", "ed25519", "-N", ""]));
    let error = Sftp::new(config).unwrap().exports().await.unwrap_err();
    assert!(matches!(&error, SftpError::Refused { key, .. } if key.starts_with("ssh-ed25519 SHA256:")), "{error}");
    assert!(error.to_string().contains("registered with the instance") && !error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_server_with_an_unconfirmed_key_is_not_spoken_to() {
    let server = Server::start(&Options::default());
    let other = keygen(&server.path("other"), &["-t", "ed25519", "-N", ""]);
    assert!(other.contains("PRIVATE KEY"));
    let other = std::fs::read_to_string(server.path("other.pub")).unwrap();
    let with = |host_key: HostKey| {
        let mut config = server.config();
        config.host_key = host_key;
        Sftp::new(config).unwrap()
    };
    let empty = server.path("empty");
    std::fs::write(&empty, "# none\nelsewhere.example.org ssh-ed25519 AAAA\n").unwrap();
    let error = with(HostKey::KnownHosts(empty)).exports().await.unwrap_err();
    let SftpError::HostKeyUnknown { found, .. } = &error else { panic!("{error}") };
    assert_eq!(found, &format!("ssh-ed25519 {}", server.fingerprint("ed25519")));
    assert!(error.to_string().contains("compare"), "{error}");

    let changed = server.known_hosts("changed", other.trim());
    let error = with(HostKey::KnownHosts(changed.clone())).exports().await.unwrap_err();
    assert!(matches!(&error, SftpError::HostKeyChanged { place, .. } if *place == format!("{}:1", changed.display())), "{error}");
    assert!(error.to_string().contains("the connection is intercepted"), "{error}");

    let revoked = server.known_hosts("revoked", &server.host_key("ed25519"));
    let lines = std::fs::read_to_string(&revoked).unwrap();
    std::fs::write(&revoked, format!("{lines}@revoked * {}\n", server.host_key("ed25519"))).unwrap();
    let error = with(HostKey::KnownHosts(revoked)).exports().await.unwrap_err();
    assert!(matches!(error, SftpError::HostKeyRevoked { .. }), "{error}");

    let error = with(HostKey::KnownHosts(server.path("nowhere"))).exports().await.unwrap_err();
    assert!(matches!(error, SftpError::Config { .. }), "{error}");

    // One letter of the fingerprint is another.
    let pin = server.fingerprint("ed25519");
    let wrong = format!("SHA256:{}{}", if pin.as_bytes()[7] == b'A' { 'B' } else { 'A' }, &pin[8..]);
    let error = with(HostKey::Fingerprint(wrong)).exports().await.unwrap_err();
    assert!(matches!(error, SftpError::HostKeyChanged { .. }), "{error}");
}

#[tokio::test]
async fn a_server_is_known_by_a_hashed_line_or_by_the_fingerprint_of_any_of_its_keys() {
    let server = Server::start(&Options { host_keys: &["ed25519", "ecdsa", "rsa"], ..Options::default() });
    let mut known = Vec::new();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        known.push(HostKey::Fingerprint(server.fingerprint(kind)));
        // With several keys the server must show the one that is known.
        let plain = server.known_hosts(&format!("known_{kind}"), &server.host_key(kind));
        known.push(HostKey::KnownHosts(plain.clone()));
        let hashed = server.path(&format!("hashed_{kind}"));
        std::fs::copy(&plain, &hashed).unwrap();
        let done = std::process::Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&hashed).output().unwrap();
        assert!(done.status.success());
        assert!(std::fs::read_to_string(&hashed).unwrap().starts_with("|1|"));
        known.push(HostKey::KnownHosts(hashed));
    }
    for host_key in known {
        let mut config = server.config();
        config.host_key = host_key.clone();
        Sftp::new(config).unwrap().exports().await.unwrap_or_else(|e| panic!("{host_key:?}: {e}"));
    }
}

#[tokio::test]
async fn a_server_that_is_away_silent_or_no_ssh_server_is_told_apart() {
    let server = Server::start(&Options::default());
    let at = |port: u16| {
        let mut config = server.config();
        config.port = port;
        config.attempts = 2;
        config.connect_timeout = Duration::from_millis(400);
        Sftp::new(config).unwrap()
    };
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = at(closed).exports().await.unwrap_err();
    assert!(matches!(error, SftpError::Unreachable { .. }) && error.is_transient(), "{error}");

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = at(silent.local_addr().unwrap().port()).exports().await.unwrap_err();
    assert!(matches!(error, SftpError::Timeout { .. }), "{error}");

    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in other.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let error = at(port).exports().await.unwrap_err();
    assert!(matches!(error, SftpError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_server_without_sftp_a_missing_folder_and_a_missing_right_are_named() {
    let server = Server::start(&Options { without_sftp: true, ..Options::default() });
    let error = server.client().exports().await.unwrap_err();
    assert!(matches!(error, SftpError::NoSubsystem { .. }), "{error}");

    let server = Server::start(&Options { read_only: true, ..Options::default() });
    let mut config = server.config();
    config.exports = "no/such/folder".to_owned();
    let error = Sftp::new(config).unwrap().exports().await.unwrap_err();
    assert!(matches!(&error, SftpError::NotFound { path, .. } if path == "no/such/folder"), "{error}");

    let error = server.client().upload_log("run.log", b"x").await.unwrap_err();
    assert!(matches!(&error, SftpError::Denied { path, action: "write", .. } if path == "logs/run.log"), "{error}");
}

#[tokio::test]
async fn exports_come_by_time_then_name_without_folders_links_and_unfinished_files() {
    let server = Server::start(&Options::default());
    for (name, seconds) in [("b.csv", 1000), ("a.csv", 2000), ("c.csv", 1000), ("d.csv.tmp", 10), (".e.csv", 10)] {
        server.write(name, HEADER);
        set_time(&server, name, seconds);
    }
    std::fs::create_dir(server.exports().join("folder.csv")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", server.exports().join("link.csv")).unwrap();
    let files = server.client().exports().await.unwrap();
    let names: Vec<(&str, u64, i64)> = files.iter().map(|f| (f.name.as_str(), f.size, f.modified.timestamp())).collect();
    let size = HEADER.len() as u64;
    assert_eq!(names, [("b.csv", size, 1000), ("c.csv", size, 1000), ("a.csv", size, 2000)]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_name_that_cannot_be_shown_or_asked_for_hides_no_other_export() {
    use std::os::unix::ffi::OsStrExt;
    let server = Server::start(&Options::default());
    let longest = format!("{}.csv", "x".repeat(251));
    for name in ["good.csv", "-rf", "-rf *.csv", "$(id).csv", "..csv", &longest] {
        server.write(name, HEADER);
    }
    for name in [&b"a\nb.csv"[..], b"\x1b[2J.csv", b"bad\xff\xfe.csv", "\u{202e}vsc.txt".as_bytes(), b"back\\slash.csv"] {
        std::fs::write(server.exports().join(std::ffi::OsStr::from_bytes(name)), HEADER).unwrap();
    }
    let client = server.client();
    for _ in 0..2 {
        let mut names: Vec<String> = client.exports().await.unwrap().into_iter().map(|f| f.name).collect();
        names.sort();
        assert_eq!(names, ["$(id).csv", "-rf", "-rf *.csv", "good.csv", &longest]);
    }
    // What a server lists is a name in the folder and never a way out of it.
    let bare = bare::start_with(true, &["../x.csv", "a/b.csv", "/etc/passwd", "..", ".", "", "ok.csv", &"y".repeat(5000)]).await;
    let names: Vec<String> = Sftp::new(bare.config()).unwrap().exports().await.unwrap().into_iter().map(|f| f.name).collect();
    assert_eq!(names, ["ok.csv"]);
}

#[tokio::test]
async fn a_file_of_some_megabytes_comes_through_in_batches() {
    let server = Server::start(&Options::default());
    let count = 60_000;
    let mut text = format!("\u{feff}{HEADER}");
    (0..count).for_each(|n| text += &opt_out(n));
    assert!(text.len() > 3_000_000);
    server.write("optout.csv", &text);
    let sftp = server.client();
    let export = only(&sftp, &[]).await;
    let mut reader = open(&sftp, &export).await;
    let mut expected = 0_usize;
    while let Some(batch) = reader.next_batch(777).await.unwrap() {
        assert!(batch.records.len() <= 777 && batch.bad.is_empty());
        for (line, record) in batch.records {
            assert_eq!(line, expected as u64 + 2);
            assert_eq!((record.external_id, record.value), (format!("contact-{expected}"), expected.is_multiple_of(2)));
            assert_eq!(record.attribute, OptOut::Email);
            expected += 1;
        }
    }
    assert_eq!(expected, count);
    assert!(!reader.has_grown());
    assert_eq!(reader.position().offset, text.len() as u64);
    // What was consumed is not offered again.
    let done = [consumed(&export, reader.position())];
    assert!(sftp.settled("*.csv", &done).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_connection_that_breaks_in_mid_file_is_taken_up_where_it_broke() {
    let server = Server::start(&Options::default());
    let count = 40_000;
    let mut text = HEADER.to_owned();
    (0..count).for_each(|n| text += &opt_out(n));
    server.write("optout.csv", &text);
    let line = Line::to(server.port, &[700_000, 300_000, 900_000]);
    let mut config = server.config();
    config.port = line.port;
    config.host_key = HostKey::Fingerprint(server.fingerprint("ed25519"));
    let sftp = Sftp::new(config).unwrap();
    let export = only(&sftp, &[]).await;
    let (found, bad) = numbers(&mut open(&sftp, &export).await).await;
    assert_eq!(found, (0..count).collect::<Vec<_>>());
    assert!(bad.is_empty(), "{bad:?}");
    assert_eq!(line.connections.load(Ordering::SeqCst), 4);
    // It continued and did not start again: little more than the file itself was transferred.
    let bytes = line.bytes.load(Ordering::SeqCst);
    assert!(bytes < text.len() as u64 * 3 / 2 + 1_000_000, "{bytes} of {}", text.len());
}

#[tokio::test]
async fn a_server_that_falls_silent_in_mid_file_is_left_and_taken_up_again() {
    let server = Server::start(&Options::default());
    let mut text = HEADER.to_owned();
    (0..20_000).for_each(|n| text += &opt_out(n));
    server.write("optout.csv", &text);
    let line = Line::falling_silent(server.port, &[500_000]);
    let mut config = server.config();
    config.port = line.port;
    config.request_timeout = Duration::from_secs(1);
    config.host_key = HostKey::Fingerprint(server.fingerprint("ed25519"));
    let sftp = Sftp::new(config).unwrap();
    let export = only(&sftp, &[]).await;
    let begun = std::time::Instant::now();
    let (found, _) = numbers(&mut open(&sftp, &export).await).await;
    assert_eq!(found, (0..20_000).collect::<Vec<_>>());
    assert_eq!(line.connections.load(Ordering::SeqCst), 2);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_line_that_breaks_every_time_is_given_up_and_the_position_stays() {
    let server = Server::start(&Options::default());
    let mut text = HEADER.to_owned();
    (0..40_000).for_each(|n| text += &opt_out(n));
    server.write("optout.csv", &text);
    // Enough for a handshake and the beginning of the file, then not even for a handshake.
    let line = Line::to(server.port, &[400_000, 200, 200, 200, 200, 200, 200, 200, 200]);
    let mut config = server.config();
    config.port = line.port;
    config.attempts = 3;
    config.host_key = HostKey::Fingerprint(server.fingerprint("ed25519"));
    let sftp = Sftp::new(config).unwrap();
    let export = only(&sftp, &[]).await;
    let mut reader = open(&sftp, &export).await;
    let mut read = 0;
    let error = loop {
        match reader.next_batch(100).await {
            Ok(Some(batch)) => read += batch.records.len(),
            Ok(None) => panic!("the line did not break"),
            Err(error) => break error,
        }
    };
    assert!(error.is_transient() && read > 0 && read < 40_000, "{read} {error}");
    // Another client, over a good line, goes on there.
    let rest = Export { from: Some(reader.position()), ..export };
    let (found, _) = numbers(&mut open(&server.client(), &rest).await).await;
    assert_eq!(found, (read..40_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_file_that_is_being_written_waits_until_it_no_longer_changes() {
    let server = Server::start(&Options::default());
    server.write("optout.csv", HEADER);
    let sftp = server.client();
    let seen = tokio::select! {
        seen = sftp.settled("*.csv", &[]) => seen.unwrap(),
        () = async {
            for number in 0.. {
                server.append("optout.csv", &opt_out(number));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        } => unreachable!("writing does not end"),
    };
    assert_eq!(seen, []);
    assert_eq!(only(&sftp, &[]).await.file.name, "optout.csv");
}

#[tokio::test]
async fn a_file_that_grows_while_it_is_read_is_read_on_later_without_half_a_line() {
    let server = Server::start(&Options::default());
    server.write("optout.csv", format!("{HEADER}{}{}", opt_out(0), opt_out(1)));
    let sftp = server.client();
    let export = only(&sftp, &[]).await;
    let line = opt_out(2);
    let (half, rest) = line.split_at(line.len() / 2);
    server.append("optout.csv", half);
    let mut reader = open(&sftp, &export).await;
    assert_eq!(numbers(&mut reader).await, (vec![0, 1], vec![]));
    assert!(reader.has_grown());
    let kept = consumed(&export, reader.position());
    server.append("optout.csv", &format!("{rest}{}", opt_out(3)));
    let export = only(&sftp, std::slice::from_ref(&kept)).await;
    assert_eq!(export.from.as_ref(), Some(&kept.position));
    let mut reader = open(&sftp, &export).await;
    let batch = reader.next_batch(10).await.unwrap().unwrap();
    assert_eq!(
        batch.records.iter().map(|(line, r)| (*line, r.external_id.as_str())).collect::<Vec<_>>(),
        [(4, "contact-2"), (5, "contact-3")]
    );
    assert!(reader.next_batch(10).await.unwrap().is_none() && !reader.has_grown());
}

#[tokio::test]
async fn a_last_line_without_a_line_break_is_read_only_after_the_file_has_not_changed_for_long() {
    let server = Server::start(&Options::default());
    let line = opt_out(1);
    let (half, rest) = line.split_at(line.len() / 2);
    let whole = format!("{HEADER}{}", opt_out(0));
    server.write("optout.csv", format!("{whole}{half}"));
    let sftp = server.client();
    // The upload pauses for longer than `settle`: half a line is not a line.
    age(&server, "optout.csv", 60);
    let export = only(&sftp, &[]).await;
    let mut reader = open(&sftp, &export).await;
    assert_eq!(numbers(&mut reader).await, (vec![0], vec![]));
    assert_eq!(reader.position().offset, whole.len() as u64, "the position stays before the unfinished line");
    let kept = consumed(&export, reader.position());
    server.append("optout.csv", rest.trim_end());
    age(&server, "optout.csv", 7200);
    // Nothing was written for two hours: the file ends without a line break.
    let export = only(&sftp, std::slice::from_ref(&kept)).await;
    let mut reader = open(&sftp, &export).await;
    assert_eq!(numbers(&mut reader).await, (vec![1], vec![]));
    let kept = consumed(&export, reader.position());
    assert_eq!((kept.position.offset, kept.position.tail), (whole.len() as u64, line.trim_end().len() as u64));
    assert_eq!(sftp.settled("*.csv", std::slice::from_ref(&kept)).await.unwrap(), []);
    // It still grows: the line is read again, as a whole, and so is what follows.
    server.append("optout.csv", &format!("\n{}", opt_out(2)));
    let export = only(&sftp, std::slice::from_ref(&kept)).await;
    let mut reader = open(&sftp, &export).await;
    assert_eq!(numbers(&mut reader).await, (vec![1, 2], vec![]));
    assert_eq!(reader.position().tail, 0);
}

#[tokio::test]
async fn half_a_header_is_not_judged() {
    let server = Server::start(&Options::default());
    server.write("optout.csv", &HEADER[..10]);
    let sftp = server.client();
    let export = only(&sftp, &[]).await;
    let mut reader = open(&sftp, &export).await;
    assert_eq!(numbers(&mut reader).await, (vec![], vec![]));
    assert_eq!(reader.position().offset, 0);
}

#[tokio::test]
async fn files_that_have_not_changed_lately_are_read_without_waiting() {
    let server = Server::start(&Options::default());
    server.write("optout.csv", format!("{HEADER}{}", opt_out(0)));
    age(&server, "optout.csv", 7200);
    let config = SftpConfig { settle: Duration::from_secs(3600), ..server.config() };
    // With the wait this would take an hour.
    let sftp = Sftp::new(config).unwrap();
    assert_eq!(only(&sftp, &[]).await.file.name, "optout.csv");
}

#[tokio::test]
async fn servers_that_exchange_keys_on_nist_curves_alone_are_connected_to() {
    for key_exchange in ["ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521"] {
        let server = Server::start(&Options { key_exchanges: Some(key_exchange), ..Options::default() });
        server.write("optout.csv", HEADER);
        assert_eq!(server.client().exports().await.unwrap().len(), 1, "{key_exchange}");
    }
}

#[tokio::test]
async fn a_server_without_a_common_algorithm_is_not_tried_again() {
    let server = Server::start(&Options { key_exchanges: Some("diffie-hellman-group14-sha1"), ..Options::default() });
    // A second try would come after an hour.
    let config = SftpConfig { first_pause: Duration::from_secs(3600), ..server.config() };
    let error = Sftp::new(config).unwrap().exports().await.unwrap_err();
    assert!(matches!(&error, SftpError::NoCommonAlgorithm { kind: "key exchange", .. }), "{error:?}");
    assert!(!error.is_transient());
    let text = error.to_string();
    assert!(text.contains("diffie-hellman-group14-sha1") && text.contains("ecdh-sha2-nistp256"), "{text}");
}

#[tokio::test]
async fn sizes_and_times_that_a_listing_lacks_are_asked_for_and_never_guessed() {
    let server = bare::start(true).await;
    let files = Sftp::new(server.config()).unwrap().exports().await.unwrap();
    let found: Vec<_> = files.iter().map(|f| (f.name.as_str(), f.size, f.modified.timestamp())).collect();
    assert_eq!(found, [("optout.csv", 70, 1_700_000_000)]);
    let server = bare::start(false).await;
    let error = Sftp::new(server.config()).unwrap().exports().await.unwrap_err();
    assert!(matches!(&error, SftpError::Untold { path, .. } if path == "exports/optout.csv"), "{error:?}");
}

#[tokio::test]
async fn a_file_that_was_replaced_is_not_taken_for_the_old_one() {
    let server = Server::start(&Options::default());
    server.write("optout.csv", format!("{HEADER}{}{}", opt_out(0), opt_out(1)));
    let sftp = server.client();
    let export = only(&sftp, &[]).await;
    let mut reader = open(&sftp, &export).await;
    numbers(&mut reader).await;
    let kept = consumed(&export, reader.position());
    // Longer, and other lines at its beginning.
    server.write("optout.csv", format!("{HEADER}{}{}{}", opt_out(5), opt_out(6), opt_out(7)));
    let grown = only(&sftp, std::slice::from_ref(&kept)).await;
    let error = sftp.read::<OptOutChange>(&grown, CsvFormat::default(), OptOutColumns::default()).await.unwrap_err();
    assert!(matches!(&error, SftpError::Replaced { .. }) && error.to_string().contains("from its beginning"), "{error}");
    let anew = Export { from: None, ..grown };
    assert_eq!(numbers(&mut open(&sftp, &anew).await).await.0, [5, 6, 7]);
    // Shorter: it is read from its beginning at once.
    server.write("optout.csv", format!("{HEADER}{}", opt_out(8)));
    let shorter = only(&sftp, &[kept]).await;
    assert_eq!(shorter.from, None);
}

#[tokio::test]
async fn bad_lines_are_reported_with_their_place_and_cost_no_other() {
    let server = Server::start(&Options::default());
    let mut text = HEADER.as_bytes().to_vec();
    text.extend_from_slice(opt_out(0).as_bytes());
    text.extend_from_slice(b"M\xfcller,denyListEmail,true,2024-05-06 07:08:09.010Z\n");
    text.extend_from_slice(b"secret-person,denyListEmail\n");
    text.extend_from_slice(opt_out(1).as_bytes());
    text.extend_from_slice(b"\"secret-person,denyListEmail,true,2024-05-06 07:08:09.010Z\n");
    text.extend_from_slice(opt_out(2).as_bytes());
    text.extend_from_slice(b"secret-person,denyListPigeon,true,2024-05-06 07:08:09.010Z\n");
    text.extend_from_slice(b"secret-person,denyListEmail,true,yesterday\n");
    text.extend_from_slice(opt_out(3).trim_end().as_bytes());
    server.write("optout.csv", text);
    // Old enough for its last line, which has no line break.
    age(&server, "optout.csv", 7200);
    let sftp = server.client();
    let export = only(&sftp, &[]).await;
    let (found, bad) = numbers(&mut open(&sftp, &export).await).await;
    assert_eq!(found, [0, 1, 2, 3]);
    let told: Vec<String> = bad.iter().map(BadLine::to_string).collect();
    assert_eq!(bad.iter().map(|b| b.line).collect::<Vec<_>>(), [3, 4, 6, 8, 9], "{told:?}");
    assert!(told[0].starts_with("d365_loads/exports/optout.csv:3: not valid UTF-8"), "{}", told[0]);
    assert!(told.iter().all(|t| !t.contains("secret-person")), "{told:?}");
}

#[tokio::test]
async fn a_file_of_the_wrong_columns_encoding_or_delimiter_is_refused_as_a_whole() {
    let server = Server::start(&Options::default());
    let sftp = server.client();
    let utf16: Vec<u8> = std::iter::once(0xfeff).chain(HEADER.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let files: [(&str, Vec<u8>, &str); 5] = [
        ("headless.csv", b"secret-person,denyListEmail,true,2024\n".to_vec(), "for files without a header list the columns"),
        ("columns.csv", b"externalId,attribute,value\n".to_vec(), "there is no column `lastModified` among the 3 of the header"),
        ("delimiter.csv", HEADER.replace(',', ";").into_bytes(), "set that as the delimiter"),
        ("twice.csv", b"externalId,value,value\n".to_vec(), "the name of column 3 of the header is repeated"),
        ("utf16.csv", utf16, "the file is UTF-16"),
    ];
    for (name, content, says) in files {
        server.write(name, content);
        let export = Export { file: sftp.exports().await.unwrap().into_iter().find(|f| f.name == name).unwrap(), from: None, still: true };
        let error = sftp.read::<OptOutChange>(&export, CsvFormat::default(), OptOutColumns::default()).await.unwrap_err();
        assert!(matches!(error, SftpError::Content { .. }) && error.to_string().contains(says), "{error}");
        assert!(!format!("{error:?}").contains("secret-person"), "{error:?}");
    }
    let columns = Some(["externalId", "attribute", "value", "lastModified"].map(str::to_owned).to_vec());
    server.write("headless.csv", opt_out(4));
    let export =
        Export { file: sftp.exports().await.unwrap().into_iter().find(|f| f.name == "headless.csv").unwrap(), from: None, still: true };
    let mut reader = sftp.read(&export, CsvFormat { columns, ..CsvFormat::default() }, OptOutColumns::default()).await.unwrap();
    assert_eq!(numbers(&mut reader).await, (vec![4], vec![]));
    server.write("empty.csv", "");
    let export =
        Export { file: sftp.exports().await.unwrap().into_iter().find(|f| f.name == "empty.csv").unwrap(), from: None, still: true };
    assert_eq!(numbers(&mut open(&sftp, &export).await).await, (vec![], vec![]));
}

async fn all<R: Record>(sftp: &Sftp, pattern: &str, format: CsvFormat, columns: R::Columns) -> Vec<R> {
    let mut found = Vec::new();
    for export in sftp.settled(pattern, &[]).await.unwrap() {
        let mut reader = sftp.read::<R>(&export, format.clone(), columns.clone()).await.unwrap();
        while let Some(batch) = reader.next_batch(10).await.unwrap() {
            assert!(batch.bad.is_empty(), "{:?}", batch.bad);
            found.extend(batch.records.into_iter().map(|(_, r)| r));
        }
    }
    found
}

#[tokio::test]
async fn logs_of_either_kind_are_read_with_the_columns_and_the_form_that_a_project_names() {
    let server = Server::start(&Options::default());
    server.write(
        "delivery_1.csv",
        "Log;Contact;When;State;Page\n1;c1;2019-09-25 23:20:35.000Z;ok;https://m/1\n2;c2;2019-09-25 23:20:35.000Z;ok;'a;b'\n",
    );
    server.write(
        "tracking_1.csv",
        "logId,externalId,eventDate,type,url\n9,c1,2019-09-26T00:00:00Z,Open,\n10,c1,2019-09-26T00:00:01Z,1,https://x\n",
    );
    let sftp = server.client();
    let mut columns = DeliveryLogColumns { status: "State".into(), sent: vec!["OK".into()], ..DeliveryLogColumns::default() };
    columns.log.id = "Log".into();
    columns.log.external_id = "Contact".into();
    columns.log.at = "When".into();
    columns.log.mirror_page = "Page".into();
    let format = CsvFormat { delimiter: b';', quote: b'\'', ..CsvFormat::default() };
    let logs = all::<DeliveryLog>(&sftp, "delivery*.csv", format, columns).await;
    assert_eq!(logs.iter().map(|l| l.mirror_page.as_deref().unwrap()).collect::<Vec<_>>(), ["https://m/1", "a;b"]);
    let tracks = all::<TrackingLog>(&sftp, "tracking*.csv", CsvFormat::default(), TrackingLogColumns::default()).await;
    assert_eq!(
        tracks.iter().map(|t| (t.id.as_str(), t.kind)).collect::<Vec<_>>(),
        [("9", TrackingKind::Open), ("10", TrackingKind::Click)]
    );
}

#[tokio::test]
async fn a_log_is_uploaded_whole_and_replaces_its_elder_in_one_step() {
    let server = Server::start(&Options::default());
    let sftp = server.client();
    let content: Vec<u8> = (0..200_000u32).flat_map(|n| n.to_le_bytes()).collect();
    sftp.upload_log("run-1.log", b"first").await.unwrap();
    // A reader of the old file keeps it: the new one is another file in its place.
    let old = std::fs::File::open(server.path("home/logs/run-1.log")).unwrap();
    sftp.upload_log("run-1.log", &content).await.unwrap();
    assert_eq!(std::fs::read(server.path("home/logs/run-1.log")).unwrap(), content);
    assert_eq!(std::io::read_to_string(old).unwrap(), "first");
    let names: Vec<_> = std::fs::read_dir(server.path("home/logs")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["run-1.log"], "nothing temporary is left");
    for wrong in ["", "../run", "a/b", ".hidden", "a\nb"] {
        assert!(matches!(sftp.upload_log(wrong, b"").await, Err(SftpError::Config { .. })), "{wrong}");
    }
    // A folder in the place of the file: the upload fails and leaves nothing behind.
    std::fs::create_dir(server.path("home/logs/taken.log")).unwrap();
    let error = sftp.upload_log("taken.log", b"x").await.unwrap_err();
    assert!(matches!(error, SftpError::Failed { .. }), "{error}");
    assert_eq!(std::fs::read_dir(server.path("home/logs")).unwrap().count(), 2);
}

#[tokio::test]
async fn an_upload_over_a_line_that_breaks_is_made_again() {
    let server = Server::start(&Options::default());
    let line = Line::to(server.port, &[3000]);
    let mut config = server.config();
    config.port = line.port;
    config.host_key = HostKey::Fingerprint(server.fingerprint("ed25519"));
    let content = vec![b'x'; 2_000_000];
    Sftp::new(config).unwrap().upload_log("run.log", &content).await.unwrap();
    assert_eq!(std::fs::read(server.path("home/logs/run.log")).unwrap(), content);
    assert!(line.connections.load(Ordering::SeqCst) >= 2);
}
