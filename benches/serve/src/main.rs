//! What the pages of `d365map serve` take and cost: the time of each page, requests per second of the overview while records are moved
//! and what that costs the load, memory and CPU at rest, and open live connections.
//!
//! The emulators, the server and this program are different processes. Linux only, since times and memory are read from `/proc`.

mod http;

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use http::{Connection, header};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "usage: serve [--binary PATH] [--contacts N] [--letters N] [--seconds N] [--connections N]";
/// Clock ticks in a second of the times in `/proc` (Linux: always 100 for user space).
const TICKS: f64 = 100.0;
/// Requests for each page.
const TIMES: usize = 50;
/// The pages whose time is taken.
const PAGES: [&str; 10] = [
    "/p/pages",
    "/p/pages/dead-letters",
    "/p/pages/dead-letters?after=50000",
    "/p/pages/dead-letters?code=D401",
    "/p/pages/dead-letters/77",
    "/p/pages/mappings",
    "/p/pages/runs",
    "/p/pages/opt-outs",
    "/p/pages/settings",
    "/p/pages/edit",
];
/// Browsers that ask for the overview during the load.
const BROWSERS: usize = 4;

struct Args {
    binary: PathBuf,
    contacts: u64,
    letters: u64,
    seconds: u64,
    connections: usize,
}

fn args() -> Result<Args> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut args =
        Args { binary: root.join("target/release/d365map"), contacts: 100_000, letters: 100_000, seconds: 20, connections: 1000 };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or(USAGE)?;
        match name.as_str() {
            "--binary" => args.binary = value.into(),
            "--contacts" => args.contacts = value.parse()?,
            "--letters" => args.letters = value.parse()?,
            "--seconds" => args.seconds = value.parse()?,
            "--connections" => args.connections = value.parse()?,
            _ => return Err(USAGE.into()),
        }
    }
    args.binary = args.binary.canonicalize().map_err(|e| format!("{}: {e}: run `cargo build --release` first", args.binary.display()))?;
    Ok(args)
}

fn main() -> Result<()> {
    let args = args()?;
    let folder = std::env::temp_dir().join(format!("d365map-serve-{}", std::process::id()));
    let result = measure(&args, &folder);
    std::fs::remove_dir_all(&folder).ok();
    result
}

fn measure(args: &Args, folder: &Path) -> Result<()> {
    println!("{} CPUs; the server's CPU time and memory are its own, without the emulators'\n", std::thread::available_parallelism()?);
    let alone = load(args, &folder.join("alone"), 0)?;
    println!("load of {} records, nobody looks:      {:>6.1} s, {:>6.2} s CPU", args.contacts, alone.wall, alone.cpu);
    let watched = load(args, &folder.join("watched"), BROWSERS)?;
    println!(
        "the same with {BROWSERS} browsers at the overview: {:>6.1} s, {:>6.2} s CPU; {:.0} requests/s, the load takes {:.1} % longer",
        watched.wall,
        watched.cpu,
        watched.requests as f64 / watched.wall,
        (watched.wall / alone.wall - 1.0) * 100.0
    );

    let emulators = Emulators::start(args, 100)?;
    let serving = Serving::start(args, &emulators, &folder.join("pages"))?;
    serving.until(100)?;
    // Whatever begins with the process is over by then.
    std::thread::sleep(Duration::from_secs(3));
    let (cpu, began) = (serving.cpu()?, Instant::now());
    std::thread::sleep(Duration::from_secs(args.seconds));
    let share = (serving.cpu()? - cpu) / began.elapsed().as_secs_f64() * 100.0;
    println!("\nat rest, {} workflows:       {:.1} MiB, {share:.2} % of a CPU", serving.workflows()?, serving.memory()?);

    live(args, &serving)?;
    fill(&folder.join("pages/.d365map/state.db"), &folder.join("pages/state.db"), args.letters)?;
    println!("\npage, with {} dead letters          median ms   95 % ms     bytes", args.letters);
    let mut connection = Connection::open(&serving.host, &serving.cookie)?;
    for path in PAGES {
        let mut times = Vec::new();
        let mut last = None;
        for _ in 0..TIMES {
            let began = Instant::now();
            let answer = connection.get(path)?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
            last = Some((answer.status, answer.body.len()));
        }
        times.sort_by(f64::total_cmp);
        let (status, bytes) = last.unwrap_or_default();
        if status == 200 {
            println!("{path:<44} {:>9.2} {:>9.2} {bytes:>9}", times[TIMES / 2], times[TIMES * 95 / 100]);
        } else {
            println!("{path:<44} answers {status}");
        }
    }
    Ok(())
}

/// Open live connections, and what they cost.
fn live(args: &Args, serving: &Serving) -> Result<()> {
    let before = serving.memory()?;
    let mut open = Vec::new();
    for _ in 0..args.connections {
        let mut connection = Connection::open(&serving.host, &serving.cookie)?;
        connection.send("/live/pages/workflows")?;
        let (status, _) = connection.head()?;
        if status != 200 {
            return Err(format!("live connection {} is answered with {status}", open.len() + 1).into());
        }
        open.push(connection);
    }
    let (cpu, began) = (serving.cpu()?, Instant::now());
    std::thread::sleep(Duration::from_secs(args.seconds));
    let share = (serving.cpu()? - cpu) / began.elapsed().as_secs_f64() * 100.0;
    println!("{} live connections:  {:.1} MiB more, {share:.2} % of a CPU", open.len(), serving.memory()? - before);
    Ok(())
}

struct Load {
    wall: f64,
    cpu: f64,
    requests: u64,
}

/// A first load, while browsers ask for the overview as fast as they can.
fn load(args: &Args, folder: &Path, browsers: usize) -> Result<Load> {
    let emulators = Emulators::start(args, args.contacts)?;
    let began = Instant::now();
    let serving = Serving::start(args, &emulators, folder)?;
    let (stop, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let name = serving.name.clone();
    let threads: Vec<_> = (0..browsers)
        .map(|_| {
            let (stop, requests, host, cookie) = (stop.clone(), requests.clone(), serving.host.clone(), serving.cookie.clone());
            let path = format!("/p/{name}");
            std::thread::spawn(move || -> Result<()> {
                let mut connection = Connection::open(&host, &cookie)?;
                while !stop.load(Ordering::Relaxed) {
                    let answer = connection.get(&path)?;
                    // A person may ask often, and not without a limit.
                    match answer.status {
                        200 => drop(requests.fetch_add(1, Ordering::Relaxed)),
                        429 => std::thread::sleep(Duration::from_millis(20)),
                        status => return Err(format!("the overview answers {status}").into()),
                    }
                }
                Ok(())
            })
        })
        .collect();
    serving.until(args.contacts)?;
    let (wall, cpu) = (began.elapsed().as_secs_f64(), serving.cpu()?);
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().map_err(|_| "a browser panicked")??;
    }
    Ok(Load { wall, cpu, requests: requests.load(Ordering::Relaxed) })
}

/// Puts dead letters into the state, beside the server.
fn fill(usual: &Path, other: &Path, letters: u64) -> Result<()> {
    let path = if usual.exists() { usual } else { other };
    let state = rusqlite::Connection::open(path)?;
    state.busy_timeout(Duration::from_secs(30))?;
    state.execute_batch(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {letters})
         INSERT INTO dead_letter (mapping, key, source_id, operation, code, message, field, file, line, column_no, request, status,
                                  response, created_at, attempts, with_initial, change_no)
         SELECT (SELECT id FROM mapping WHERE name = 'contacts'), printf('key-%d', i), printf('f0000000-0000-4000-8000-%012d', i),
                'upsert', iif(i % 3 = 0, 'D401', '400'), 'The value of the field was refused.', 'emailaddress1',
                'mappings/contacts.d365map', 5, 3, printf('{{\"email\":\"%d\"}}', i), 400, '{{\"error\":\"refused\"}}',
                1700000000000 + i, 3, 0, i FROM n"
    ))?;
    Ok(())
}

/// The server in a process of its own, which ends with this value.
struct Serving {
    child: Child,
    host: String,
    cookie: String,
    name: String,
}

impl Serving {
    fn start(args: &Args, emulators: &Emulators, folder: &Path) -> Result<Serving> {
        std::fs::create_dir_all(folder.join("mappings"))?;
        std::fs::write(folder.join("d365map.yaml"), format!("version: 1\n{}", emulators.connections))?;
        let mappings = [
            ("contacts", include_str!("../../../mappings/contacts.d365map")),
            ("optout", include_str!("../../../mappings/optout.d365map")),
            ("events", include_str!("../../../mappings/events.d365map")),
        ];
        for (name, text) in mappings {
            std::fs::write(folder.join(format!("mappings/{name}.d365map")), text)?;
        }
        let mut child = Command::new(&args.binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--ignore-drift", "--ignore-limits", "--quiet"])
            .current_dir(folder)
            .envs(emulators.secrets.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let link = loop {
            let line = lines.next().ok_or("the server prints no link")??;
            if let Some(link) = line.trim().strip_prefix("http://") {
                break link.to_owned();
            }
        };
        let (host, path) = link.split_once('/').ok_or("an odd link")?;
        let answer = Connection::open(host, "")?.get(&format!("/{path}"))?;
        let cookie = header(&answer.headers, "set-cookie").and_then(|value| value.split(';').next()).ok_or("no session")?.to_owned();
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Serving { child, host: host.to_owned(), cookie, name })
    }

    fn status(&self) -> Result<Value> {
        let answer = Connection::open(&self.host, &self.cookie)?.get(&format!("/api/v1/projects/{}/status", self.name))?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    fn workflows(&self) -> Result<usize> {
        Ok(self.status()?.pointer("/status/workflows").and_then(Value::as_array).map_or(0, Vec::len))
    }

    /// Waits until that many records are at the target, or failed.
    fn until(&self, records: u64) -> Result<()> {
        loop {
            let status = self.status()?;
            let mapping = status
                .pointer("/status/mappings")
                .and_then(Value::as_array)
                .and_then(|all| all.iter().find(|m| m["mapping"] == "contacts"));
            // Some sample contacts do not pass the filter, so the load is over when nothing waits and the first round has ended.
            let rest = mapping.is_some_and(|m| {
                m["full_at"].is_string()
                    && m.pointer("/backlog/ready") == Some(&0.into())
                    && m.pointer("/backlog/claimed") == Some(&0.into())
            });
            if rest || mapping.is_some_and(|m| m["ledger_rows"].as_u64() >= Some(records)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// CPU seconds of the process.
    fn cpu(&self) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = text.rsplit_once(')').ok_or("an odd /proc/PID/stat")?.1.split_whitespace().collect();
        Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / TICKS)
    }

    /// Resident memory in MiB.
    fn memory(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? / 1024.0)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The emulators in a process of their own, which ends with this value.
struct Emulators {
    child: Child,
    /// The section of a project file.
    connections: String,
    secrets: [(&'static str, String); 2],
}

impl Emulators {
    fn start(args: &Args, contacts: u64) -> Result<Emulators> {
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
    journal:
      url: {}
      ims-organization: {}
",
            text("/dataverse/url"),
            text("/dataverse/token_url"),
            text("/dataverse/client_id"),
            text("/campaign/url"),
            text("/campaign/token_url"),
            text("/campaign/client_id"),
            text("/campaign/scope"),
            text("/journal/url"),
            text("/journal/ims_organization"),
        );
        let secrets =
            [("D365MAP_DYNAMICS_SECRET", text("/dataverse/client_secret")), ("D365MAP_CAMPAIGN_SECRET", text("/campaign/client_secret"))];
        Ok(Emulators { child, connections, secrets })
    }
}

impl Drop for Emulators {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
