//! A first load of contacts, and what it costs: the release binary moves them from the Dynamics emulator to the Campaign emulator,
//! beside `wrk`, which sends the same requests at the same concurrency to the same emulator, and beside the HTTP library alone
//! ([`sender`]).
//!
//! Each round starts emulators of their own, so that every measurement meets the same tables. The emulators are another process:
//! the CPU time of the runner is its own. Linux only, since times and memory are read from `/proc`.

mod sender;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The attributes that `mappings/contacts.d365map` writes, in the order in which it writes them.
const ATTRIBUTES: [&str; 13] = [
    "externalId",
    "salutation",
    "firstName",
    "middleName",
    "lastName",
    "email",
    "birthDate",
    "gender",
    "phone",
    "mobilePhone",
    "fax",
    "location",
    "emailFormat",
];
/// Requests under way at once: the default of `limits.concurrency`.
const CONCURRENCY: usize = 8;
/// Clock ticks in a second of the times in `/proc` (Linux: always 100 for user space).
const TICKS: f64 = 100.0;

const USAGE: &str = "usage: load [--binary PATH] [--wrk PATH] [--contacts N] [--rounds N] [--seconds N]";

struct Args {
    binary: PathBuf,
    wrk: String,
    contacts: usize,
    rounds: usize,
    /// How long wrk sends in each round.
    seconds: u64,
}

fn args() -> Result<Args> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut args = Args { binary: root.join("target/release/d365map"), wrk: "wrk".to_owned(), contacts: 100_000, rounds: 3, seconds: 10 };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or(USAGE)?;
        match name.as_str() {
            "--binary" => args.binary = value.into(),
            "--wrk" => args.wrk = value,
            "--contacts" => args.contacts = value.parse()?,
            "--rounds" => args.rounds = value.parse()?,
            "--seconds" => args.seconds = value.parse()?,
            _ => return Err(USAGE.into()),
        }
    }
    args.binary = args.binary.canonicalize().map_err(|e| format!("{}: {e}: run `cargo build --release` first", args.binary.display()))?;
    Ok(args)
}

/// What one process took.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    /// Seconds of CPU in user space.
    user: f64,
    /// Seconds of CPU in the kernel.
    system: f64,
    peak_mib: f64,
}

impl Cost {
    fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some(sender::NAME) {
        return sender::main(std::env::args().skip(2).collect());
    }
    let args = args()?;
    let folder = std::env::temp_dir().join(format!("d365map-load-{}", std::process::id()));
    let result = measure(&args, &folder);
    std::fs::remove_dir_all(&folder).ok();
    result
}

fn measure(args: &Args, folder: &Path) -> Result<()> {
    println!(
        "{} contacts, {CONCURRENCY} requests at once, {} CPUs; the runner's CPU time is its own, without the emulators'\n",
        args.contacts,
        std::thread::available_parallelism()?
    );
    println!(
        "round   wrk req/s   runner req/s   ratio   CPU µs/record (user + system)   reqwest alone   peak MiB   replay CPU s   replay s"
    );
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        let (created, load, replay, bodies) = runner(args, &folder.join(round.to_string()))?;
        let wrk = wrk(args, &bodies)?;
        let (sent, alone) = reqwest_alone(args, &bodies)?;
        let alone = alone.cpu() * 1e6 / sent as f64;
        let rate = created as f64 / load.wall.as_secs_f64();
        let micros = |seconds: f64| seconds * 1e6 / created as f64;
        println!(
            "{round:<7} {wrk:<11.0} {rate:<14.0} {:<7.2} {:<6.1} ({:.1} + {:.1}) {alone:>24.1} {:>10.1} {:>14.2} {:>10.2}",
            rate / wrk,
            micros(load.cpu()),
            micros(load.user),
            micros(load.system),
            load.peak_mib.max(replay.peak_mib),
            replay.cpu(),
            replay.wall.as_secs_f64()
        );
        rounds.push((rate / wrk, micros(load.cpu()), load.peak_mib.max(replay.peak_mib), replay.cpu(), alone));
    }
    let median = |pick: fn(&(f64, f64, f64, f64, f64)) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!(
        "\nmedian: {:.2} of wrk's requests per second, {:.1} µs CPU per created record (reqwest alone {:.1}), {:.1} MiB, replay {:.2} s CPU",
        median(|r| r.0),
        median(|r| r.1),
        median(|r| r.4),
        median(|r| r.2),
        median(|r| r.3)
    );
    Ok(())
}

/// A first load and a replay of what has not changed. Gives the records created, both costs, and the file with the profiles' bodies.
fn runner(args: &Args, folder: &Path) -> Result<(u64, Cost, Cost, PathBuf)> {
    let emulators = Emulators::start(args, args.contacts)?;
    std::fs::create_dir_all(folder.join("mappings"))?;
    std::fs::write(folder.join("d365map.yaml"), format!("version: 1\n{}limits:\n  concurrency: {CONCURRENCY}\n", emulators.connections))?;
    // A mapping that deletes profiles and has no opt-out block is warned about.
    let mapping = include_str!("../../../mappings/contacts.d365map").replace("deletes propagate", "deletes ignore");
    std::fs::write(folder.join("mappings/contacts.d365map"), mapping)?;
    let command = |words: &[&str]| {
        let mut command = Command::new(&args.binary);
        command.args(words).arg("--quiet").arg("--ignore-drift").args(["--format", "json"]).current_dir(folder);
        command.envs(emulators.secrets.iter().map(|(name, value)| (name, value)));
        command
    };
    let (load, summary) = cost(command(&["run"]))?;
    let created = count(&summary, "created")?;
    let (replay, summary) = cost(command(&["replay", "contacts"]))?;
    let (written, unchanged) = (count(&summary, "created")? + count(&summary, "updated")?, count(&summary, "unchanged")?);
    if created == 0 || written != 0 || unchanged != created {
        return Err(format!("{created} records were created; the replay wrote {written} and found {unchanged} unchanged").into());
    }
    let bodies = folder.join("profiles.jsonl");
    std::fs::write(&bodies, profiles(&emulators.get("/dump/profiles")?)?)?;
    Ok((created, load, replay, bodies))
}

/// A counter of a run's only flow.
fn count(summary: &Value, name: &str) -> Result<u64> {
    let found = summary.pointer(&format!("/summary/flows/0/{name}"));
    found.and_then(Value::as_u64).ok_or_else(|| format!("the summary has no `{name}`: {summary}").into())
}

/// The bodies that created the profiles, one a line: what has a value, of the attributes that the mapping writes.
fn profiles(dump: &str) -> Result<String> {
    let profiles: Vec<Map<String, Value>> = serde_json::from_str(dump)?;
    let mut lines = String::new();
    // The emulator has profiles of its own from the start. Those of contacts have the id of a contact as their key.
    let is_of_a_contact = |profile: &&Map<String, Value>| profile["externalId"].as_str().is_some_and(|key| key.len() == 36);
    for profile in profiles.iter().filter(is_of_a_contact) {
        let has_value = |value: &Value| !matches!(value, Value::Null) && value.as_str() != Some("");
        let mut body = Map::new();
        for name in ATTRIBUTES {
            match profile.get(name) {
                Some(Value::Object(inner)) => {
                    let inner: Map<_, _> =
                        inner.iter().filter(|(_, value)| has_value(value)).map(|(n, v)| (n.clone(), v.clone())).collect();
                    body.insert(name.to_owned(), inner.into());
                }
                Some(value) if has_value(value) => drop(body.insert(name.to_owned(), value.clone())),
                Some(_) | None => {}
            }
        }
        writeln!(lines, "{}", Value::Object(body))?;
    }
    Ok(lines)
}

/// The requests per second that wrk is answered, with the same bodies, at the same concurrency.
fn wrk(args: &Args, bodies: &Path) -> Result<f64> {
    let emulators = Emulators::start(args, args.contacts)?;
    let campaign = &emulators.addresses["campaign"];
    let field = |name: &str| campaign[name].as_str().ok_or_else(|| format!("the emulators do not print `{name}`"));
    let threads = 2;
    let script = bodies.with_file_name("requests.lua");
    std::fs::write(&script, include_str!("requests.lua"))?;
    let output = Command::new(&args.wrk)
        .args(["-t", &threads.to_string(), "-c", &CONCURRENCY.to_string(), "-d", &format!("{}s", args.seconds), "-s"])
        .arg(&script)
        .arg(format!("{}/campaign/profileAndServicesExt/profile", field("url")?))
        .arg("--")
        .arg(bodies)
        .args([&threads.to_string(), &format!("Bearer {}", emulators.campaign_token()?), field("client_id")?])
        .output()
        .map_err(|e| format!("{}: {e}: install wrk, or name it with --wrk", args.wrk))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let counted = text.lines().find_map(|line| line.strip_prefix("counted ")).ok_or_else(|| format!("wrk failed: {text}"))?;
    let numbers: Vec<f64> = counted.split(' ').map(str::parse).collect::<std::result::Result<_, _>>()?;
    let [requests, micros, refused, lost] = numbers[..] else { return Err(format!("wrk counted `{counted}`").into()) };
    if refused > 0.0 || lost > 0.0 {
        return Err(format!("of {requests} requests of wrk, {refused} were refused and {lost} lost").into());
    }
    Ok(requests / micros * 1e6)
}

/// The same creates sent by the HTTP library without anything else, at the same concurrency: how many, and what that cost.
fn reqwest_alone(args: &Args, bodies: &Path) -> Result<(u64, Cost)> {
    let emulators = Emulators::start(args, args.contacts)?;
    let campaign = &emulators.addresses["campaign"];
    let field = |name: &str| campaign[name].as_str().ok_or_else(|| format!("the emulators do not print `{name}`"));
    let mut command = Command::new(std::env::current_exe()?);
    command.args([sender::NAME, &format!("{}/campaign/profileAndServicesExt/profile", field("url")?)]).arg(bodies);
    command.args([&format!("Bearer {}", emulators.campaign_token()?), field("client_id")?, &CONCURRENCY.to_string()]);
    let (cost, sent) = cost(command)?;
    Ok((sent.as_u64().ok_or("the sender prints a number")?, cost))
}

/// Runs a process to its end. Its output is one JSON document.
fn cost(mut command: Command) -> Result<(Cost, Value)> {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
    let mut out = child.stdout.take().ok_or("no output")?;
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).map(|_| text)
    });
    let mut peak_mib = 0.0_f64;
    // A process that has ended and was not waited for yet still has its times, and no memory any more.
    let (wall, user, system) = loop {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
        let fields: Vec<&str> = text.rsplit_once(')').ok_or("an odd /proc/PID/stat")?.1.split_whitespace().collect();
        if fields[0] == "Z" {
            break (began.elapsed(), fields[11].parse::<f64>()? / TICKS, fields[12].parse::<f64>()? / TICKS);
        }
        if let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", child.id()))
            && let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))
        {
            peak_mib = peak_mib.max(line.trim().trim_end_matches("kB").trim().parse::<f64>()? / 1024.0);
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let status = child.wait()?;
    let text = reader.join().map_err(|_| "the reader of the output panicked")??;
    if !status.success() {
        return Err(format!("{command:?} ended with {status}: {text}").into());
    }
    Ok((Cost { wall, user, system, peak_mib }, serde_json::from_str(&text)?))
}

/// The emulators in a process of their own, which ends with this value.
struct Emulators {
    child: Child,
    addresses: Value,
    /// The section of a project file.
    connections: String,
    secrets: [(&'static str, String); 2],
}

impl Emulators {
    fn start(args: &Args, contacts: usize) -> Result<Emulators> {
        let mut child = Command::new(&args.binary)
            .args(["emulate", "--format", "json", "--contacts", &contacts.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let addresses: Value = serde_json::from_str(&line)?;
        let text = |path: &str| addresses.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let connections = format!(
            "connections:
  dynamics:
    url: {}
    token-url: {}
    client-id: {}
    client-secret: {{ env: D365MAP_DYNAMICS_SECRET }}
  campaign:
    url: {}
    token-url: {}
    client-id: {}
    client-secret: {{ env: D365MAP_CAMPAIGN_SECRET }}
    scope: {}
",
            text("/dataverse/url"),
            text("/dataverse/token_url"),
            text("/dataverse/client_id"),
            text("/campaign/url"),
            text("/campaign/token_url"),
            text("/campaign/client_id"),
            text("/campaign/scope"),
        );
        let secrets =
            [("D365MAP_DYNAMICS_SECRET", text("/dataverse/client_secret")), ("D365MAP_CAMPAIGN_SECRET", text("/campaign/client_secret"))];
        Ok(Emulators { child, addresses, connections, secrets })
    }

    fn get(&self, path: &str) -> Result<String> {
        let admin = self.addresses.pointer("/admin/url").and_then(Value::as_str).ok_or("no admin interface")?;
        http("GET", &format!("{admin}{path}"), "")
    }

    fn campaign_token(&self) -> Result<String> {
        let field = |name: &str| self.addresses["campaign"][name].as_str().unwrap_or_default();
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
            field("client_id"),
            field("client_secret"),
            field("scope")
        );
        let answer: Value = serde_json::from_str(&http("POST", field("token_url"), &form)?)?;
        Ok(answer["access_token"].as_str().ok_or("no token")?.to_owned())
    }
}

impl Drop for Emulators {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// One HTTP/1.0 exchange with an emulator, whose answers to it are never chunked.
fn http(method: &str, url: &str, form: &str) -> Result<String> {
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).ok_or("an address of an emulator")?;
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "{method} /{path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    if !head.split(' ').nth(1).is_some_and(|status| status == "200") {
        return Err(format!("{method} {url}: {head}").into());
    }
    Ok(body.to_owned())
}
