//! A trial: a fresh world, two phases of trouble, and after each a comparison with the model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::dice::Dice;
use crate::gateway::{Gateway, Lie, Service};
use crate::model::{self, Divergence, Found, Initial};
use crate::people::{Kind, People};
use crate::project::{self, Direction, Options, Ports};
use crate::runner::Runner;
use crate::services::Services;

/// Actions of a phase.
const STEPS: usize = 90;
const PHASES: usize = 2;
/// How long the runner may take to come to rest once the trouble is over. A postponed operation is due after two minutes at most.
const REST: Duration = Duration::from_secs(150);
/// Seconds beyond the longest time for which an operation is postponed.
const AHEAD: i64 = 150;
/// How long a single command may take without trouble.
const COMMAND: Duration = Duration::from_secs(60);

/// What a trial did and found.
#[derive(Default)]
pub struct Report {
    pub changes: u64,
    pub runner_kills: u64,
    pub service_kills: u64,
    pub faults: BTreeMap<String, u64>,
    pub runs: u64,
    pub clock_moves: u64,
    pub divergences: Vec<Divergence>,
}

impl Report {
    pub fn add(&mut self, other: Report) {
        self.changes += other.changes;
        self.runner_kills += other.runner_kills;
        self.service_kills += other.service_kills;
        self.runs += other.runs;
        self.clock_moves += other.clock_moves;
        for (name, count) in other.faults {
            *self.faults.entry(name).or_default() += count;
        }
        self.divergences.extend(other.divergences);
    }
}

/// Everything of a trial.
pub struct Trial {
    folder: PathBuf,
    options: Options,
    gateway: Arc<Gateway>,
    listeners: Vec<JoinHandle<()>>,
    services: Services,
    runner: Runner,
    people: People,
    report: Report,
    steps: Dice,
    acts: Dice,
    late: Dice,
}

impl Drop for Trial {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
    }
}

#[derive(Clone, Copy)]
enum Step {
    People,
    Pause,
    KillRunner,
    KillRunnerAtHeldWrite,
    StopRunner,
    KillServices,
    Fault,
    Expire,
    MoveClock,
    Retry,
}

/// What differs in a trial, by its number: all directions in turn, and over eight trials each of them with both kinds of `filtered-out`.
pub fn options(number: usize) -> Options {
    Options {
        direction: Direction::ALL[number % 4],
        contacts_leave: (number / 4 + number) % 2 == 0,
        orders_deleted: number / 2 % 2 == 0,
        changed_profiles: number / 4 % 2 == 1,
    }
}

impl Trial {
    /// A fresh world in an empty folder.
    pub async fn new(folder: &Path, seed: u64, options: Options, clock_library: Option<PathBuf>) -> Result<Trial, String> {
        let told = |error: std::io::Error| error.to_string();
        std::fs::create_dir_all(folder).map_err(told)?;
        let log = std::fs::File::create(folder.join("gateway.log")).map_err(told)?;
        let gateway = Gateway::new(Dice::new(seed, "gateway"), log);
        let mut doors = Vec::new();
        for _ in 0..3 {
            doors.push(TcpListener::bind("127.0.0.1:0").await.map_err(told)?);
        }
        let port = |at: usize| doors[at].local_addr().map(|address| address.port()).map_err(told);
        let front = Ports { dataverse: port(0)?, campaign: port(1)?, journal: port(2)? };
        let mut services = Services::start(folder, front.dataverse).await?;
        let behind = services.ports;
        let mut listeners = Vec::new();
        for (door, (name, port)) in
            doors.into_iter().zip([("dataverse", behind.dataverse), ("campaign", behind.campaign), ("journal", behind.journal)])
        {
            listeners.push(tokio::spawn(Arc::clone(&gateway).serve(door, Service { name, port })));
        }
        project::write(folder, options, front).map_err(told)?;
        let mut people = People::new(options.contacts_leave);
        let mut acts = Dice::new(seed, "people");
        people.settle_in(&mut acts, &mut services).await?;
        people.strangers = Some(strangers(services.rows("dump/profiles").await?));
        let mut runner = Runner::new(folder, clock_library);
        // The first comparison asks for approval. In the one-way direction to Campaign nothing is approved: a no there must stay.
        runner.approve = options.direction.compares_times();
        Ok(Trial {
            folder: folder.to_owned(),
            options,
            gateway,
            listeners,
            services,
            runner,
            people,
            report: Report::default(),
            steps: Dice::new(seed, "steps"),
            acts,
            late: Dice::new(seed, "late"),
        })
    }

    /// The whole trial. The error is one of the chaos run itself.
    pub async fn run(mut self) -> Result<Report, String> {
        for phase in 1..=PHASES {
            let watch = self.steps.percent(50);
            self.gateway.note(&format!("== phase {phase}: {}", if watch { "run --watch" } else { "run" }));
            self.trouble(watch).await?;
            self.calm(watch).await?;
            if !self.rest().await? {
                break;
            }
            let found = self.compare(Initial::Any, "after the trouble").await?;
            if self.report.divergences.is_empty() {
                self.replay(&found).await?;
            }
            if !self.report.divergences.is_empty() {
                break;
            }
        }
        self.end().await
    }

    async fn end(mut self) -> Result<Report, String> {
        self.runner.kill().await;
        self.services.kill().await;
        self.report.changes = self.people.changes;
        self.report
            .faults
            .extend(self.gateway.counts().into_iter().filter(|(name, _)| *name != "passed").map(|(name, n)| (name.to_owned(), n)));
        self.write_stories();
        Ok(std::mem::take(&mut self.report))
    }

    fn diverge(&mut self, class: &'static str, text: String) {
        self.report.divergences.push(Divergence { class, id: String::new(), text });
    }

    /// Starts a runner where none runs.
    fn ensure_runner(&mut self, watch: bool) -> Result<(), String> {
        if let Some(status) = self.runner.ended() {
            self.gateway.note(&format!("== runner {} ended: {status}", self.runner.number()));
            if !matches!(status.code(), Some(0..=2)) {
                self.diverge("runner", format!("runner-{:03} ended by itself with {status}", self.runner.number()));
            }
        }
        if !self.runner.is_running() {
            self.runner.start(watch).map_err(|error| error.to_string())?;
            self.report.runs += 1;
            self.gateway.note(&format!("== runner {} starts, its clock {:+} s", self.runner.number(), self.runner.clock));
        }
        Ok(())
    }

    async fn kill_runner(&mut self) {
        if self.runner.kill().await {
            self.report.runner_kills += 1;
            self.gateway.note(&format!("== runner {} killed", self.runner.number()));
        }
    }

    /// Trouble: people, faults and kills.
    async fn trouble(&mut self, watch: bool) -> Result<(), String> {
        self.gateway.set_trouble(true);
        for _ in 0..STEPS {
            self.ensure_runner(watch)?;
            let step = self.steps.weighted(&[
                (70, Step::People),
                (22, Step::Pause),
                (3, Step::KillRunner),
                (3, Step::KillRunnerAtHeldWrite),
                (1, Step::StopRunner),
                (2, Step::KillServices),
                (4, Step::Fault),
                (2, Step::Expire),
                (2, Step::MoveClock),
                (1, Step::Retry),
            ]);
            match step {
                Step::People => {
                    self.people.act(&mut self.acts, &mut self.services).await?;
                    tokio::time::sleep(self.steps.millis(0, 60)).await;
                }
                Step::Pause => tokio::time::sleep(self.steps.millis(50, 700)).await,
                Step::KillRunner => self.kill_runner().await,
                Step::KillRunnerAtHeldWrite => {
                    let request = self.gateway.held_write(Duration::from_millis(1500)).await;
                    self.kill_runner().await;
                    // The record that the delayed request names changes before the request arrives.
                    if let Some((kind, number)) = request.and_then(|request| self.people.named_in(&request)) {
                        if self.late.percent(70) {
                            self.people.rename(&self.services, kind, number).await?;
                        } else if kind != Kind::Order {
                            let active = self.people.records[&(kind, number)].current().is_some_and(|row| row["active"] == true);
                            self.people.update(&self.services, kind, number, "active", json!(!active)).await?;
                        }
                    }
                }
                Step::StopRunner => {
                    if self.runner.is_running() && self.runner.stop(Duration::from_secs(40)).await.is_none() {
                        self.diverge("runner", format!("runner-{:03} does not end within 40 s of SIGTERM", self.runner.number()));
                    }
                }
                Step::KillServices => {
                    self.services.kill().await;
                    self.gateway.note("== the services are killed");
                    self.report.service_kills += 1;
                    tokio::time::sleep(self.steps.millis(0, 1200)).await;
                    self.services.up().await?;
                }
                Step::Fault => self.fault().await?,
                Step::Expire => {
                    let what = self.steps.pick(&["expire-tokens", "expire-delta", "expire-pkeys"]);
                    self.gateway.note(&format!("== {what}"));
                    self.services.send("POST", what, &Value::Null).await?;
                    *self.report.faults.entry(what.to_owned()).or_default() += 1;
                }
                Step::MoveClock => self.move_clock().await?,
                Step::Retry => {
                    self.runner.call(&["dead-letters", "retry", "--all"], COMMAND).await;
                }
            }
        }
        Ok(())
    }

    /// Orders a fault of the emulators.
    async fn fault(&mut self) -> Result<(), String> {
        let kind = self.steps.pick(&[
            "reset",
            "lost-answer",
            "cut-body",
            "duplicate",
            "repeated-answer",
            "html",
            "throttle",
            "status",
            "slow-body",
        ]);
        let api = self.steps.pick(&["dataverse", "campaign", "campaign", "dataverse-token", "campaign-token", "journal"]);
        let mut order = json!({"kind": kind, "api": api, "count": 1 + self.steps.below(3), "skip": self.steps.below(3)});
        if kind == "status" {
            order["status"] = json!(self.steps.pick(&[500, 502, 503, 504]));
        }
        if kind == "throttle" {
            order["retry_after"] = json!(1);
        }
        self.gateway.note(&format!("== fault {order}"));
        *self.report.faults.entry(format!("emulator: {kind}")).or_default() += 1;
        self.services.send("POST", "fail-next", &order).await
    }

    /// Moves a clock. Where times are compared, all clocks stay within the project's tolerance; elsewhere the runner's may be days off.
    async fn move_clock(&mut self) -> Result<(), String> {
        self.report.clock_moves += 1;
        let seconds = if self.options.direction.compares_times() {
            self.steps.pick(&[0, 1, -1])
        } else {
            self.steps.pick(&[0, 1, -1, 5 * 3600, -26 * 3600, 26 * 3600])
        };
        if self.steps.percent(30) {
            let skew = seconds.clamp(-1, 1);
            self.gateway.note(&format!("== the clock of Dynamics is {skew:+} s"));
            self.services.set_skew(skew).await
        } else {
            // It holds from the next start of the runner.
            self.runner.clock = seconds;
            Ok(())
        }
    }

    /// Ends the trouble. A watch has to come to rest without help.
    async fn calm(&mut self, watch: bool) -> Result<(), String> {
        self.gateway.set_trouble(false);
        self.services.send("POST", "clear-faults", &Value::Null).await?;
        self.services.set_skew(0).await?;
        self.gateway.note("== calm");
        self.people.touch_deleted_in_campaign(&self.services).await?;
        let began = Instant::now();
        while !self.gateway.is_quiet() && began.elapsed() < Duration::from_secs(30) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if watch && self.runner.is_running() {
            tokio::time::sleep(Duration::from_secs(3)).await;
            self.ensure_runner(true)?;
            // A watch that has just been started still shows how the one before ended.
            let began = Instant::now();
            let mut standing = self.unchanged_workflows().await;
            while !standing.is_empty() && began.elapsed() < COMMAND {
                tokio::time::sleep(Duration::from_millis(500)).await;
                standing = self.unchanged_workflows().await;
            }
            for workflow in standing {
                self.diverge("standstill", format!("the watch does not go on with this workflow by itself: {workflow}"));
            }
            if self.runner.stop(Duration::from_secs(40)).await.is_none() {
                self.diverge("runner", format!("runner-{:03} does not end within 40 s of SIGTERM", self.runner.number()));
            }
        } else if self.runner.is_running() {
            // A run ends by itself, or is ended when its operations are postponed for long.
            for _ in 0..200 {
                if self.runner.ended().is_some() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            self.runner.stop(Duration::from_secs(40)).await;
        }
        self.runner.clock = 0;
        Ok(())
    }

    /// Workflows that have failed and are not going to be tried again.
    async fn unchanged_workflows(&self) -> Vec<Value> {
        let status = self.runner.call(&["status", "--format", "json"], COMMAND).await;
        let mut status: Value = serde_json::from_str(&status.out).unwrap_or_default();
        let workflows = status["status"]["workflows"].as_array_mut().map(std::mem::take).unwrap_or_default();
        workflows.into_iter().filter(|workflow| workflow["state"] == "FAILED" && workflow["next_round"].is_null()).collect()
    }

    /// Runs until nothing is written and nothing waits but for parents. Whether it came to rest.
    async fn rest(&mut self) -> Result<bool, String> {
        let began = Instant::now();
        let mut quiet = 0;
        // Where no times are compared, a clock that is ahead makes postponed operations due at once.
        self.runner.clock = if self.options.direction.compares_times() { 0 } else { AHEAD };
        let mut args = vec!["run", "-v", "--format", "json"];
        if self.runner.approve {
            args.push("--accept-reconciliation");
        }
        let mut last = String::new();
        while quiet < 2 {
            if began.elapsed() > REST {
                self.diverge("no rest", format!("writes or postponed operations after {REST:?} without trouble: {last}"));
                return Ok(false);
            }
            self.services.send("POST", "reset-stats", &Value::Null).await?;
            let run = self.runner.call(&args, REST).await;
            self.report.runs += 1;
            let log = self.folder.join("rest.log");
            let _ = std::fs::write(&log, format!("{}\n{}\n{}\n", std::fs::read_to_string(&log).unwrap_or_default(), run.error, run.out));
            if !matches!(run.status, Some(0..=1)) {
                self.diverge("runner", format!("a run without trouble ended with {:?}: {}", run.status, tail(&run.error)));
                return Ok(false);
            }
            let status = self.runner.call(&["status", "--format", "json"], COMMAND).await;
            let status: Value = serde_json::from_str(&status.out).map_err(|error| format!("status: {error}: {}", status.error))?;
            let writes = self.services.writes().await?;
            let waits = backlog(&status);
            last = format!("{writes:?} {waits:?} {}", tail(&run.error));
            quiet = if writes == (0, 0) && waits.is_empty() { quiet + 1 } else { 0 };
        }
        Ok(true)
    }

    async fn compare(&mut self, initial: Initial, when: &str) -> Result<Found, String> {
        let found = self.found().await?;
        let divergences = model::compare(&self.people, &found, self.options, initial);
        for divergence in divergences {
            self.report.divergences.push(Divergence { text: format!("{when}: {}", divergence.text), ..divergence });
        }
        Ok(found)
    }

    /// A replay writes `@initial` fields and nothing else; another one writes nothing. A refused record is tried again each time.
    async fn replay(&mut self, found: &Found) -> Result<(), String> {
        self.runner.clock = 0;
        // Of a record whose last write was in doubt, the runner does not know the `@initial` field, and writes it again.
        self.replay_all("a replay", found, model::is_initial_only).await?;
        let found = self.compare(Initial::Exact, "after a replay").await?;
        self.replay_all("a second replay", &found, |_| false).await?;
        model::checkpoint(&mut self.people, &found);
        Ok(())
    }

    /// Replays everything. A write that is not `allowed` by its body is a divergence.
    async fn replay_all(&mut self, what: &str, found: &Found, allowed: fn(&str) -> bool) -> Result<(), String> {
        self.gateway.take_writes();
        for kind in Kind::ALL {
            let run = self.runner.call(&["replay", "-v", kind.mapping()], COMMAND).await;
            if !matches!(run.status, Some(0..=1)) {
                self.diverge("runner", format!("replay {} ended with {:?}: {}", kind.mapping(), run.status, tail(&run.error)));
            }
        }
        for write in self.gateway.take_writes().into_iter().filter(|write| !allowed(&write.body)) {
            let text = write.to_string();
            if found.dead_letters.iter().any(|(_, id, _)| text.contains(id)) {
                continue;
            }
            let record = self.people.records.values().find(|record| text.contains(&record.id()));
            let id = record.map(|record| record.id()).unwrap_or_default();
            self.report.divergences.push(Divergence { class: "ledger", id, text: format!("{what} wrote what was right already: {text}") });
        }
        Ok(())
    }

    /// Reads everything that the services hold, past the gateway, and the dead letters.
    async fn found(&self) -> Result<Found, String> {
        let mut found = Found::default();
        for kind in Kind::ALL {
            let rows = self.services.rows(&format!("dump/table/{}", kind.table())).await?;
            let rows = rows.into_iter().filter_map(|row| Some((row[kind.primary_key()].as_str()?.to_owned(), row)));
            found.rows.insert(kind, rows.collect());
            let mut targets = BTreeMap::new();
            for record in self.services.rows(&format!("dump/resource/{}", kind.resource())).await? {
                let key = record[kind.target_key()].as_str().unwrap_or("").to_owned();
                if !is_ours(&key) {
                    found.strangers.push(record);
                } else if targets.insert(key.clone(), record).is_some() {
                    found.doubles.push(key);
                }
            }
            found.targets.insert(kind, targets);
        }
        for table in ["adobe_emailsend", "adobe_emailclick", "adobe_emailbounce", "task"] {
            found.activities.extend(self.services.rows(&format!("dump/table/{table}")).await?.into_iter().map(|row| (table, row)));
        }
        let letters = self.runner.call(&["dead-letters", "list", "--format", "json", "--limit", "1000"], COMMAND).await;
        let letters: Value =
            serde_json::from_str(&letters.out).map_err(|error| format!("dead-letters list: {error}: {}", letters.error))?;
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        for letter in letters["dead_letters"].as_array().into_iter().flatten() {
            let reason = format!("{} {}", text(&letter["code"]), text(&letter["message"]));
            found.dead_letters.push((text(&letter["mapping"]), text(&letter["source_id"]), reason));
        }
        Ok(found)
    }

    /// Writes what happened to each divergent record into the trial's folder.
    fn write_stories(&self) {
        if self.report.divergences.is_empty() {
            return;
        }
        let log = std::fs::read_to_string(self.folder.join("gateway.log")).unwrap_or_default();
        let mut out = format!("{:?}\n", self.options);
        for divergence in &self.report.divergences {
            out.push_str(&format!("\n## {} {}\n{}\n", divergence.class, divergence.id, divergence.text));
            if divergence.id.is_empty() {
                continue;
            }
            for (_, line) in self.people.diary.iter().filter(|(id, _)| *id == divergence.id) {
                out.push_str(&format!("  {line}\n"));
            }
            for line in log.lines().filter(|line| line.contains(&divergence.id) || line.contains("==")) {
                out.push_str(&format!("  {}\n", line.chars().take(400).collect::<String>()));
            }
        }
        let _ = std::fs::write(self.folder.join("divergences.txt"), &out);
        // Where the folder does not outlive the machine, the output is all that is left.
        println!("{out}");
    }

    /// A quiet trial in which the gateway lies once. What the comparison finds.
    pub async fn lie(mut self, lie: Lie) -> Result<Vec<Divergence>, String> {
        if !self.rest().await? {
            return Ok(self.end().await?.divergences);
        }
        self.compare(Initial::Any, "before the lie").await?;
        let before: Vec<String> = self.report.divergences.drain(..).map(|divergence| divergence.id).collect();
        self.gateway.set_lie(Some(lie));
        let contact =
            self.people.records.values().find(|r| r.kind == Kind::Contact && r.current().is_some()).map(|r| r.number).unwrap_or(1);
        self.people.moment += 1;
        match lie {
            Lie::ChangeName => self.people.rename(&self.services, Kind::Contact, contact).await?,
            Lie::SwallowDelete => self.people.update(&self.services, Kind::Account, 1, "active", json!(false)).await?,
            Lie::ConsentForOptOut => self.people.opt_out_in_dynamics(&self.services).await?,
            Lie::ChangeEvent => self.people.event_of(&mut self.services, contact, "send").await?,
        }
        if self.rest().await? {
            self.compare(Initial::Any, "after the lie").await?;
        }
        self.report.divergences.retain(|divergence| !before.contains(&divergence.id));
        Ok(self.end().await?.divergences)
    }
}

/// Profiles that are not the integration's.
fn strangers(profiles: Vec<Value>) -> Vec<Value> {
    profiles.into_iter().filter(|profile| !is_ours(profile["externalId"].as_str().unwrap_or(""))).collect()
}

/// Whether a key is the id of a row of this world.
fn is_ours(key: &str) -> bool {
    Kind::ALL.iter().any(|kind| key.starts_with(&kind.id(0)[..24]))
}

/// Workflows with operations that wait for something other than a parent or an approval.
fn backlog(status: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for mapping in status["status"]["mappings"].as_array().into_iter().flatten() {
        let of = |name: &str| mapping["backlog"][name].as_u64().unwrap_or(0);
        let waiting = of("ready") + of("claimed") + of("delayed");
        let parents = of("waiting_for_parents");
        // What needs approval has no date on which it is due.
        let held = mapping["backlog"]["next_due"].as_str().is_some_and(|due| due.starts_with("9999")) && of("delayed") == of("ready");
        if waiting > parents && !held || mapping["retrying"].as_u64().unwrap_or(0) > 0 {
            out.push(format!("{}: {}", mapping["mapping"], mapping["backlog"]));
        }
    }
    out
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> =
        text.lines().filter(|line| line.contains("error") || line.contains("panicked") || line.contains("ERROR")).collect();
    let lines = if lines.is_empty() { text.lines().collect() } else { lines };
    lines[lines.len().saturating_sub(4)..].join(" / ").chars().take(900).collect()
}
