//! A whole run with all that goes wrong in one, at its most talkative, and then a search of everything that it left behind.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use d365map::store::sqlite::db::Store;
use d365map_emulator::Config;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::scan::Scan;
use crate::connect_server::Reply;
use crate::doctor::fake;
use crate::flow::support::{World, id};

/// One field refuses by the mapping, others are refused by Campaign.
const MAPPING: &str = "mapping contacts: d365.contact -> campaign.profile {
  key contactid -> externalId
  firstname -> firstName | truncate(30)
  lastname -> lastName
  emailaddress1 -> email
  emailaddress2 -> middleName | email or reject | truncate(30)
}
";

const PERSONS: [(&str, &str, &str); 3] = [
    ("Zebulonia", "Quixwhistle", "zebulonia.quixwhistle@private.example"),
    ("Thaddäusz", "Brömmelkämpfer", "no-at-sign.thaddaeusz.private.example"),
    ("Oksaniella", "Vyshnevetska", "oksaniella@private.example"),
];

/// A proxy between d365map and the token services: keeps every token that passes, and misbehaves on request.
#[derive(Clone, Default)]
struct Tokens {
    /// The addresses of the token services, for `/dataverse` and `/campaign`.
    to: Arc<Mutex<[String; 2]>>,
    seen: Arc<Mutex<Vec<String>>>,
    /// The next request is answered by its own body.
    echo: Arc<Mutex<Option<u16>>>,
}

impl Tokens {
    async fn start(&self) -> String {
        let app = Router::new().fallback(Tokens::pass).with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    async fn pass(State(tokens): State<Tokens>, uri: Uri, body: Bytes) -> (StatusCode, String) {
        if let Some(status) = tokens.echo.lock().expect("no panic").take() {
            let text = String::from_utf8_lossy(&body).into_owned();
            let said = json!({"error": "odd_request", "error_description": format!("cannot read {text}"), "request": text});
            return (StatusCode::from_u16(status).expect("a status"), said.to_string());
        }
        let to = tokens.to.lock().expect("no panic")[usize::from(uri.path() == "/campaign")].clone();
        let request = reqwest::Client::new().post(to).header("content-type", "application/x-www-form-urlencoded").body(body);
        let answer = request.send().await.expect("an answer");
        let (status, text) = (answer.status().as_u16(), answer.text().await.expect("a text"));
        if let Some(token) = serde_json::from_str::<Value>(&text).ok().and_then(|v| v["access_token"].as_str().map(str::to_owned)) {
            tokens.seen.lock().expect("no panic").push(token);
        }
        (StatusCode::from_u16(status).expect("a status"), text)
    }
}

/// What the commands said, by command and stream.
#[derive(Default)]
struct Said(Vec<(String, Vec<u8>)>);

impl Said {
    async fn call(&mut self, world: &World, args: &[&str], log: &str) -> i32 {
        let output = world
            .command(args)
            .env("D365MAP_LOG", log)
            .env("RUST_LOG", log)
            .env("RUST_BACKTRACE", "1")
            .output()
            .await
            .expect("the command runs");
        let name = args.join(" ");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{name} panicked");
        self.0.push((format!("{name} [stdout]"), output.stdout));
        self.0.push((format!("{name} [stderr {log}]"), output.stderr));
        output.status.code().unwrap_or(-1)
    }

    fn found(&self, scan: &Scan, but: impl Fn(&str) -> bool) -> Vec<String> {
        self.0
            .iter()
            .filter(|(name, _)| !but(name))
            .flat_map(|(name, text)| scan.find(text).into_iter().map(move |f| format!("{name}: {f}")))
            .collect()
    }
}

/// A world with persons of whom some fail, and everything that a person at the terminal would then do.
async fn everything(log: &str) -> (World, Said, Vec<String>) {
    let world = World::new(Config { seed_text: Some(d365map_emulator::SAMPLE_SEED.to_owned()), ..Config::default() }).await;
    world.project(MAPPING);
    let tokens = Tokens::default();
    *tokens.to.lock().expect("no panic") = [world.emulators.dataverse_token_url(), world.emulators.campaign_token_url()];
    let between = tokens.start().await;
    let folder = world.folder.path().to_path_buf();
    // One secret from the environment, the other from a file.
    let file = folder.join("d365map.yaml");
    let yaml = std::fs::read_to_string(&file).expect("the project file");
    let yaml = yaml
        .replace(&world.emulators.dataverse_token_url(), &format!("{between}/dataverse"))
        .replace(&world.emulators.campaign_token_url(), &format!("{between}/campaign"))
        .replace("{ env: TEST_CAMPAIGN_SECRET }", "{ file: secrets/campaign }");
    std::fs::write(&file, yaml).expect("the project file");
    std::fs::create_dir(folder.join("secrets")).expect("a folder");
    std::fs::write(folder.join("secrets/campaign"), &world.emulators.credentials().campaign.secret).expect("a secret");

    let mut said = Said::default();
    // A token service that repeats what it was sent, refusing and failing.
    for status in [400, 401, 500] {
        *tokens.echo.lock().expect("no panic") = Some(status);
        said.call(&world, &["doctor"], log).await;
        *tokens.echo.lock().expect("no panic") = Some(status);
        said.call(&world, &["run", "--ignore-drift"], log).await;
    }
    for (n, (first, last, mail)) in (1..).zip(PERSONS) {
        world.create(n, json!({"firstname": first, "lastname": last, "emailaddress1": mail})).await;
    }
    let odd = json!({"firstname": PERSONS[0].0, "lastname": PERSONS[0].1, "emailaddress2": "zebulonia at private.example"});
    world.create(9, odd).await;
    // The run itself, with faults of every kind.
    for fault in [
        json!({"kind": "status", "status": 500, "api": "campaign", "count": 1}),
        json!({"kind": "throttle", "api": "campaign", "retry_after": 1, "count": 1}),
        json!({"kind": "unauthorized", "api": "dataverse", "count": 1}),
        json!({"kind": "unauthorized", "api": "campaign", "count": 1}),
        json!({"kind": "reset", "api": "dataverse", "count": 1}),
        json!({"kind": "lost-answer", "api": "campaign", "method": "POST", "count": 1}),
    ] {
        world.admin("fail-next", fault).await;
    }
    let status = said.call(&world, &["run", "-vv"], log).await;
    let last = said.0.iter().rev().take(2).map(|(_, t)| String::from_utf8_lossy(t).into_owned()).collect::<String>();
    assert!(status == 1 && last.contains("created"), "some records fail, others go: {last}");
    world.admin("clear-faults", Value::Null).await;
    // Faults that end a run.
    for kind in ["html", "unauthorized"] {
        world.update(3, json!({"firstname": format!("{}{kind}", PERSONS[2].0)})).await;
        world.admin("fail-next", json!({"kind": kind, "api": "campaign", "count": 20})).await;
        let status = said.call(&world, &["run", "--log-format", "json", "--ignore-drift", "--format", "json"], log).await;
        let last = said.0.iter().rev().take(2).map(|(_, t)| String::from_utf8_lossy(t).into_owned()).collect::<String>();
        assert_eq!(status, 2, "{kind}: {last}");
        world.admin("clear-faults", Value::Null).await;
    }
    for args in [
        &["run", "-v"][..],
        &["run", "--dry-run"],
        &["run", "--dry-run", "--format", "json"],
        &["replay", "contacts", "--later"],
        &["status"],
        &["status", "--format", "json"],
        &["doctor"],
        &["doctor", "--format", "json"],
        &["plan"],
        &["plan", "--format", "json"],
        &["compile", "--output", "plan.json"],
        &["export", "mappings"],
        &["schema", "diff"],
        &["check"],
        &["dead-letters", "list"],
        &["dead-letters", "list", "--format", "json"],
        &["dead-letters", "show", "1"],
        &["dead-letters", "show", "1", "--format", "json"],
        &["dead-letters", "show", "2", "--format", "json"],
        &["dead-letters", "retry", "1"],
        &["run"],
    ] {
        said.call(&world, args, log).await;
    }
    let tokens = tokens.seen.lock().expect("no panic").clone();
    assert!(tokens.len() > 10 && !world.dead_letters_of_project().is_empty(), "{} tokens", tokens.len());
    (world, said, tokens)
}

impl World {
    fn dead_letters_of_project(&self) -> Vec<d365map::store::DeadLetter> {
        let store = Store::open_read(&self.folder.path().join(".d365map/state.db")).expect("the state");
        store.dead_letters(&d365map::store::DeadLetterFilter::default(), 0, 100).expect("dead letters")
    }
}

fn secrets(world: &World, tokens: &[String]) -> Scan {
    let mut scan = Scan::default();
    let credentials = world.emulators.credentials();
    scan.add("the secret of Dynamics", &credentials.dataverse.secret);
    scan.add("the secret of Campaign", &credentials.campaign.secret);
    for (n, token) in tokens.iter().enumerate() {
        scan.add(&format!("token {n}"), token);
    }
    scan
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_token_is_in_any_output_log_or_file_of_a_run_at_its_most_talkative() {
    let (world, said, tokens) = everything("trace").await;
    let scan = secrets(&world, &tokens);
    let talk: usize = said.0.iter().map(|(_, t)| t.len()).sum();
    assert!(talk > 100_000, "just {talk} bytes were said");
    assert_eq!(said.found(&scan, |_| false), Vec::<String>::new());
    // Everything on disk but the one file that holds a secret; the state with its log, as another process sees it while a
    // connection is open.
    let store = Store::open(&world.folder.path().join(".d365map/state.db")).expect("the state");
    store.retry_dead_letters(&d365map::store::DeadLetterFilter::default()).expect("a change in the log");
    assert!(world.folder.path().join(".d365map/state.db-wal").exists());
    assert_eq!(scan.folder(world.folder.path(), &["secrets/campaign"]), Vec::<String>::new());
    drop(store);
    // The search itself is awake: the one file that was left out is found.
    assert_eq!(scan.folder(world.folder.path(), &[]).len(), 1);
}

/// Names, addresses, and what is made of them.
fn persons() -> Scan {
    let mut scan = Scan::default();
    for (first, last, mail) in PERSONS {
        for (what, text) in [("a first name", first), ("a last name", last), ("an e-mail address", mail)] {
            scan.add(what, text);
        }
    }
    scan.add("an e-mail address", "zebulonia at private.example");
    scan.add("an address's domain", "private.example");
    scan
}

#[tokio::test(flavor = "multi_thread")]
async fn nobodys_name_or_address_is_in_logs_up_to_info_or_in_any_summary() {
    let (world, said, _) = everything("info").await;
    // A dead letter that is asked for shows what was sent: that is what it is for.
    let asked = |name: &str| name.starts_with("dead-letters show") || name == "dead-letters list --format json [stdout]";
    let found = said.found(&persons(), |name| asked(name) && name.contains("[stdout]"));
    assert_eq!(found, Vec::<String>::new());
    assert!(said.0.iter().any(|(name, text)| asked(name) && !persons().find(text).is_empty()), "the search is awake");

    // In the state people's data are where a record waits or has failed, and nowhere else.
    let db = rusqlite::Connection::open(world.folder.path().join(".d365map/state.db")).expect("the state");
    let names = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).expect("a statement");
        statement.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("names")
    };
    let tables = names("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
    assert!(tables.len() > 6, "{tables:?}");
    let mut holding = Vec::new();
    for table in &tables {
        let mut text = Vec::new();
        let mut statement = db.prepare(&format!("SELECT * FROM {table}")).expect("a statement");
        let columns = statement.column_count();
        let mut rows = statement.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            for column in 0..columns {
                match row.get_ref(column).expect("a value") {
                    rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => text.extend_from_slice(bytes),
                    rusqlite::types::ValueRef::Integer(n) => text.extend_from_slice(n.to_string().as_bytes()),
                    rusqlite::types::ValueRef::Real(_) | rusqlite::types::ValueRef::Null => {}
                }
                text.push(b'\n');
            }
        }
        if !persons().find(&text).is_empty() {
            holding.push(table.as_str());
        }
    }
    assert_eq!(holding, ["dead_letter"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_been_written_leaves_no_name_in_the_bytes_of_the_state() {
    let world = World::empty().await;
    world.project("mapping contacts: d365.contact -> campaign.profile {\n  key contactid -> externalId\n  firstname -> firstName | truncate(30)\n  lastname -> lastName\n  emailaddress1 -> email\n}\n");
    for n in 1..=40 {
        world
            .create(n, json!({"firstname": PERSONS[0].0, "lastname": PERSONS[0].1, "emailaddress1": format!("{n}.{}", PERSONS[0].2)}))
            .await;
    }
    let (status, out, error) = world.call(&["run"]).await;
    assert_eq!(status, 0, "{out}{error}");
    assert!(world.profile(40).await.is_some_and(|p| p["externalId"] == id(40).as_str()));
    assert_eq!(persons().folder(&world.folder.path().join(".d365map"), &[]), Vec::<String>::new());
}

#[tokio::test]
async fn a_service_that_repeats_token_and_secret_in_a_refusal_leaves_neither_in_the_dead_letter() {
    const SECRET: &str = "s3cr3t+/%&=~value";
    const TOKEN: &str = "eyJhbGciOi.issued-to-the-client.sig";
    let server = fake::services(|seen| {
        if seen.is_token() && seen.method == "POST" {
            return Some(Reply::json(200, json!({"access_token": TOKEN, "expires_in": 3600}).to_string()));
        }
        if seen.target.contains("/contacts") {
            let row = json!({"@odata.etag": "W/\"1\"", "contactid": id(1), "lastname": "L"});
            let host = seen.header("host").unwrap_or_default();
            let delta = format!("http://{host}/api/data/v9.2/contacts?$deltatoken=1");
            return Some(Reply::json(200, json!({"value": [row], "@odata.deltaLink": delta}).to_string()));
        }
        // A proxy in a debugging mood.
        (seen.method == "POST" && seen.target.contains("/profile")).then(|| {
            let form: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
            let sent = seen.header("authorization").unwrap_or_default();
            let said = json!({"error_code": "400001", "message": format!("refused: {sent}"), "sent": {"Authorization": sent, "form": form, "secret": SECRET}});
            Reply::json(400, said.to_string()).with("x-request-id", "r-1")
        })
    })
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    fake::project(folder.path(), server.url.as_str(), fake::READS);
    let mut scan = Scan::default();
    scan.add("the secret", SECRET);
    scan.add("the token", TOKEN);
    let mut said = Vec::new();
    for args in [&["run", "--ignore-drift", "-vv"][..], &["dead-letters", "show", "1", "--format", "json"]] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_d365map"));
        command.args(args).current_dir(folder.path()).env("TEST_SECRET", SECRET).env("D365MAP_LOG", "trace");
        let output = command.output().await.expect("the command runs");
        said.extend([output.stdout, output.stderr]);
    }
    let letter = String::from_utf8_lossy(&said[2]);
    assert!(letter.contains("400001") && letter.contains("***"), "{letter}\n{}", String::from_utf8_lossy(&said[1]));
    for text in &said {
        assert_eq!(scan.find(text), Vec::<String>::new());
    }
    assert_eq!(scan.folder(folder.path(), &[]), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_key_and_the_assertions_made_with_it_are_in_no_output_log_or_file() {
    let world = World::empty().await;
    world.project(fake::READS);
    world.create(1, json!({"firstname": PERSONS[0].0, "lastname": PERSONS[0].1})).await;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
    let certificate = rcgen::CertificateParams::new(Vec::new()).and_then(|p| p.self_signed(&key)).expect("a certificate");
    let folder = world.folder.path();
    std::fs::write(folder.join("client.pem"), certificate.pem()).expect("a certificate");
    std::fs::write(folder.join("client.key"), key.serialize_pem()).expect("a key");
    let file = folder.join("d365map.yaml");
    let yaml = std::fs::read_to_string(&file).expect("the project file");
    let reference = "client-certificate: { certificate: client.pem, private-key: { file: client.key } }";
    std::fs::write(&file, yaml.replace("client-secret: { env: TEST_DYNAMICS_SECRET }", reference)).expect("the project file");

    let mut scan = Scan::default();
    let pem = key.serialize_pem();
    let lines: Vec<&str> = pem.lines().filter(|l| !l.starts_with("-----")).collect();
    assert!(lines.len() > 10);
    for (n, line) in lines.iter().enumerate().filter(|(_, line)| line.len() > 16) {
        scan.add(&format!("line {n} of the key"), line);
    }
    let mut said = Said::default();
    // First unknown to the token service, which refuses, then known.
    assert_eq!(said.call(&world, &["run"], "trace").await, 2);
    said.call(&world, &["doctor", "--connection", "dynamics"], "trace").await;
    assert!(said.0.iter().any(|(_, text)| String::from_utf8_lossy(text).contains("AADSTS700027")));
    world.admin("setup", json!({"certificates": [certificate.pem()]})).await;
    assert_eq!(said.call(&world, &["run", "-vv"], "trace").await, 0);
    assert_eq!(said.call(&world, &["doctor"], "trace").await, 0);
    assert_eq!(said.found(&scan, |_| false), Vec::<String>::new());
    assert_eq!(scan.folder(folder, &["client.key"]), Vec::<String>::new());
    assert!(!scan.folder(folder, &[]).is_empty(), "the search is awake");

    // Whatever has the form of a signed assertion or of the emulator's tokens.
    let token = regex::bytes::Regex::new(r"(?i)eyJ[a-z0-9_-]{10,}\.eyJ|emulated\.[0-9a-f]{8}|bearer [a-z0-9]").expect("a pattern");
    for (name, text) in &said.0 {
        let found = token.find(text).map(|m| String::from_utf8_lossy(m.as_bytes()).into_owned());
        assert_eq!(found, None, "{name}");
    }
    assert!(token.is_match(b"x eyJhbGciOiJQUzI1NiJ9.eyJhdWQi") && token.is_match(b"emulated.0123456789abcdef"));
}
