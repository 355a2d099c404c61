//! The emulators as a separate process, and their admin interface.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::project::{Ports, write_seed};

/// Both services, which can be killed and started again on the same ports and data.
pub struct Services {
    folder: PathBuf,
    pub ports: Ports,
    admin_port: u16,
    gateway_dataverse: u16,
    child: Option<Child>,
    client: reqwest::Client,
    /// Events that the journal has had.
    events: Vec<Value>,
    /// Seconds by which Dynamics' clock is ahead.
    skew: i64,
}

/// A free port. Another process could take it before the emulator does; then the start fails with an error that says so.
async fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

impl Services {
    /// Starts the emulators with their data in the folder.
    pub async fn start(folder: &Path, gateway_dataverse: u16) -> Result<Services, String> {
        let port = || async { free_port().await.map_err(|error| error.to_string()) };
        let ports = Ports { dataverse: port().await?, campaign: port().await?, journal: port().await? };
        let mut services = Services {
            folder: folder.to_owned(),
            ports,
            admin_port: port().await?,
            gateway_dataverse,
            child: None,
            client: reqwest::Client::builder().pool_max_idle_per_host(0).build().map_err(|error| error.to_string())?,
            events: Vec::new(),
            skew: 0,
        };
        services.up().await?;
        Ok(services)
    }

    /// Starts the process and waits until it answers.
    pub async fn up(&mut self) -> Result<(), String> {
        let seed = self.folder.join("seed.json");
        write_seed(&seed, &self.events).map_err(|error| error.to_string())?;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("emulators.log"))
            .map_err(|error| error.to_string())?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_d365map"))
            .args(["emulate", "--format", "json", "--contacts", "0", "--data", "data", "--seed", "seed.json"])
            .args(["--dataverse-port", &self.ports.dataverse.to_string(), "--campaign-port", &self.ports.campaign.to_string()])
            .args(["--journal-port", &self.ports.journal.to_string(), "--admin-port", &self.admin_port.to_string()])
            .args(["--dataverse-public-url", &format!("http://127.0.0.1:{}", self.gateway_dataverse)])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| error.to_string())?;
        for _ in 0..2000 {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!("the emulators ended with {status}; see emulators.log"));
            }
            if self.get("stats").await.is_ok() {
                self.child = Some(child);
                return if self.skew == 0 { Ok(()) } else { self.set_skew(self.skew).await };
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err("the emulators do not answer; see emulators.log".to_owned())
    }

    /// Kills the process.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill().await;
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.admin_port)
    }

    /// What the admin interface says.
    pub async fn get(&self, path: &str) -> Result<Value, String> {
        let answer = self.client.get(self.url(path)).send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        if !status.is_success() {
            return Err(format!("GET {path}: {status} {text}"));
        }
        serde_json::from_str(&text).map_err(|error| format!("GET {path}: {error}"))
    }

    /// Sends a change to the admin interface; the error has the service's words.
    pub async fn send(&self, method: &str, path: &str, body: &Value) -> Result<(), String> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = self.client.request(method.clone(), self.url(path)).header("Content-Type", "application/json").body(body);
        let answer = request.send().await.map_err(|error| format!("{method} {path}: {error}"))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(format!("{method} {path}: {status} {}", answer.text().await.unwrap_or_default()))
    }

    /// A list of rows.
    pub async fn rows(&self, path: &str) -> Result<Vec<Value>, String> {
        match self.get(path).await? {
            Value::Array(rows) => Ok(rows),
            other => Err(format!("GET {path}: not a list: {other}")),
        }
    }

    /// Adds events to the journal.
    pub async fn add_events(&mut self, events: Vec<Value>) -> Result<(), String> {
        self.send("POST", "journal/events", &Value::Array(events.clone())).await?;
        self.events.extend(events);
        Ok(())
    }

    /// Moves Dynamics' clock.
    pub async fn set_skew(&mut self, seconds: i64) -> Result<(), String> {
        self.skew = seconds;
        self.send("POST", "setup", &serde_json::json!({"clock_skew": seconds})).await
    }

    /// How many writes each service has carried out or refused since the counts were reset: Dynamics, Campaign.
    pub async fn writes(&self) -> Result<(u64, u64), String> {
        let stats = self.get("stats").await?;
        let of = |api: &str| stats["apis"][api]["writes"].as_u64().unwrap_or(0);
        Ok((of("dataverse"), of("campaign")))
    }
}
